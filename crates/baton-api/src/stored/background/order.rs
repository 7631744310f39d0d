//! What is asked of a response in the background, as it is stored: whichever process takes it needs nothing else.
//!
//! - Start with [`Order::of`], then [`Order::ask`].
//! - **Invariant:** a request that may run tools here says so.

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use baton_audit::Labels;
use baton_engine::{Ask, Caller, Engine, Explain};
use baton_model::{RawJson, RawObject, RequestId};
use baton_policy::DeclaredTask;
use serde::{Deserialize, Serialize};

use crate::ask::read_as;
use crate::error::ApiError;
use crate::surface::RESPONSES;

/// What stands in front of an agent's name.
const AGENT: &str = "agent/";

/// A request for a response.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Order {
    /// The request that it came by, whose digits the response has.
    pub(super) request: RequestId,
    pub(super) principal: String,
    /// The models that its key may use; none for all.
    #[serde(default)]
    models: Option<Vec<String>>,
    /// As it is asked, with the conversation that it goes on from.
    body: RawJson,
    /// Whether its events are told as they come.
    pub(super) stream: bool,
    /// Whether tools may be run for it here.
    pub(super) acts: bool,
    /// What its headers said.
    headers: Vec<(String, String)>,
    labels: Labels,
    #[serde(default)]
    task: Option<DeclaredTask>,
}

impl Order {
    /// The order for this request.
    pub(super) fn of(engine: &Engine, ask: &Ask) -> Result<Self, ApiError> {
        let body = String::from_utf8(ask.body.body().to_vec()).map_err(|_no_text| ApiError::internal())?;
        let mut headers: Vec<(String, String)> = ask
            .forward
            .iter()
            .filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())))
            .collect();
        let mut say = |name: &str, value: &str| headers.push((name.to_owned(), value.to_owned()));
        if let Some(policy) = &ask.policy {
            say("x-baton-policy", policy);
        }
        if ask.strict {
            say("x-baton-strict", "true");
        }
        match ask.explain {
            Explain::None => {}
            Explain::Summary => say("x-baton-explain", "summary"),
            Explain::Full => say("x-baton-explain", "full"),
        }
        Ok(Self {
            request: ask.request,
            principal: ask.caller.principal.clone(),
            models: ask.caller.models.clone(),
            body: RawJson::parse(body)?,
            stream: ask.stream,
            acts: may_act(engine, ask),
            headers,
            labels: ask.labels.clone(),
            task: ask.task,
        })
    }

    /// What the engine is asked.
    pub(super) fn ask(&self) -> Result<Ask, ApiError> {
        let body = RawObject::parse(self.body.get().to_owned().into())?;
        let caller = Caller { principal: self.principal.clone(), models: self.models.clone() };
        let headers: HeaderMap = self
            .headers
            .iter()
            .filter_map(|(name, value)| {
                Some((name.parse::<HeaderName>().ok()?, value.parse::<HeaderValue>().ok()?))
            })
            .collect();
        let mut ask = read_as(RESPONSES, self.request, caller, None, &headers, None, body)?;
        ask.labels = self.labels.clone();
        ask.task = self.task;
        Ok(ask)
    }
}

/// Whether tools may be run for this request here. Where that cannot be told, they may.
fn may_act(engine: &Engine, ask: &Ask) -> bool {
    if ask.mcp_servers.is_some() && ask.run_tools
        || ask.models.names.iter().any(|name| name.starts_with(AGENT))
    {
        return true;
    }
    let settings = engine.settings();
    let pool = settings.catalog.resolve(&ask.models, ask.policy.as_deref());
    pool.map_or(true, |pool| pool.policy.document.rules.iter().any(|rule| !rule.then.mcp_servers.is_empty()))
}
