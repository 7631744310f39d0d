//! A client's request once a surface has read it.

use std::collections::BTreeMap;
use std::sync::Arc;

use baton_audit::Labels;
use baton_model::{Dialect, ProviderName, RawJson, RawObject, RequestId, Secret};
use baton_policy::{DeclaredTask, ProviderPreferences, Variable, Wishes};
use baton_run::HandoffWishes;
use http::HeaderMap;

use crate::{Kept, Within};

/// A request for an answer, as every surface hands it in.
#[derive(Clone, Debug)]
pub struct Ask {
    /// The HTTP request's id.
    pub request: RequestId,
    /// The dialect the client speaks.
    pub dialect: Dialect,
    /// The path as matched.
    pub surface: &'static str,
    /// Who asks.
    pub caller: Caller,
    /// The body, parsed once.
    pub body: RawObject,
    /// Which models may answer.
    pub models: ModelSpec,
    /// Whether the client wants a stream.
    pub stream: bool,
    /// Client headers that go on to the provider: an allow-list, never credentials.
    pub forward: HeaderMap,
    /// The client's query string, where the dialect gives it a meaning.
    pub query: Option<String>,
    /// Session, user, tags: what the client said of where the request belongs.
    pub labels: Labels,
    /// The client's wishes about providers.
    pub providers: ProviderPreferences,
    /// The policy that the client named.
    pub policy: Option<String>,
    /// What else the client wishes of the choice.
    pub wishes: Wishes,
    /// What the client wishes of hand-offs, and of single models of its list.
    pub handoff: HandoffWishes,
    /// The MCP servers that the client names, as it named them; none where it names none.
    pub mcp_servers: Option<RawJson>,
    /// Whether tools of MCP servers are run here; if not, their calls go to the client.
    pub run_tools: bool,
    /// The kind of task that the client declared.
    pub task: Option<DeclaredTask>,
    /// The client's variables, for rules.
    pub variables: BTreeMap<String, Variable>,
    /// The context that a run of agents begins with: the variables, and what else the client said there.
    pub context: serde_json::Map<String, serde_json::Value>,
    /// Refuse what cannot be carried instead of dropping it.
    pub strict: bool,
    /// The client's own provider key.
    pub byok: Option<Byok>,
    /// Parameters of Baton's own that were sent and are not followed.
    pub ignored: Vec<String>,
    /// How much of the decision the answer should carry.
    pub explain: Explain,
    /// Where it is written down as it goes, if it is a run of its own.
    pub kept: Option<Arc<Kept>>,
    /// The run that it is a step of, where it is one.
    pub within: Option<Arc<Within>>,
}

/// Who asks, as far as it matters to a decision.
#[derive(Clone, Debug)]
pub struct Caller {
    /// `key_…` or `anonymous`.
    pub principal: String,
    /// The models the key may use; `None` for all.
    pub models: Option<Vec<String>>,
}

/// The models a request names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelSpec {
    /// The names, in the client's order; never empty.
    pub names: Vec<String>,
    /// Whether the client gave a list, so that the answer names the target.
    pub list: bool,
    /// How many of the names, from the first on, stand in a list under `model`: a pool whose members
    /// may hand the conversation over. The others only stand in for failures.
    pub members: usize,
}

impl ModelSpec {
    /// Whether the names are a pool whose members may hand the conversation over to each other.
    #[must_use]
    pub const fn hands_off(&self) -> bool {
        self.members > 1
    }
}

/// A provider key that came with the request.
#[derive(Clone, Debug)]
pub struct Byok {
    /// Whose key it is.
    pub provider: ProviderName,
    /// The key.
    pub key: Secret<String>,
    /// The model's name at the provider, where the client gave one.
    pub model: Option<String>,
}

/// How much of the decision the answer should carry in its body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Explain {
    /// Nothing.
    #[default]
    None,
    /// Ids, target, attempts, reason.
    Summary,
    /// The table as well.
    Full,
}
