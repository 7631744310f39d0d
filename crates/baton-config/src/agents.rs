//! What the file says of agents, checked.
//!
//! - Start with [`Agents`].
//! - **Invariant:** every agent that is named exists, and no chain of `force_handoff` comes back to itself.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use baton_model::{ModelName, NanoUsd};
use baton_policy::{Policy, RuleSet};
use serde::Serialize;
use serde_json::Value;

use crate::config::WebhookSettings;
use crate::mistake::Place;

/// All agents, and what was read of them.
#[derive(Clone, Debug, Default)]
pub struct Agents {
    /// In the order of the file.
    pub agents: Vec<Agent>,
    /// What every run of an agent may use.
    pub budget: Budget,
    /// Every key that agents have in the file, and what came of it.
    pub report: Vec<LoadNote>,
}

impl Agents {
    /// The agent of this name.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<&Agent> {
        self.agents.iter().find(|agent| agent.name == name)
    }
}

/// A configured role. Clients name it `agent/<name>`.
#[derive(Clone, Debug)]
pub struct Agent {
    /// Its name.
    pub name: String,
    /// What it is for, as other agents are told.
    pub description: String,
    /// What it is told itself.
    pub instruction: String,
    /// Its models, in order.
    pub models: Vec<AgentModel>,
    /// How one of them is chosen, and what happens when it fails.
    pub policy: Arc<Policy>,
    /// Whom it may hand the conversation over to.
    pub handoffs: Vec<HandoffEdge>,
    /// Whom it may give a task.
    pub sub_agents: Vec<SubAgent>,
    /// Who has the conversation after its final answer.
    pub force_handoff: Option<String>,
    /// The form of the tool that it hands over with.
    pub handoff_tool: HandoffTool,
    /// The MCP servers whose tools it has, and which of the tools.
    pub servers: Vec<AgentServer>,
    /// The folders that it may read.
    pub folders: Vec<Folder>,
    /// The client's tools that it sees; none where it sees all. A name may end in `*`.
    pub client_tools: Option<Vec<String>>,
    /// The most turns that it may take in a run.
    pub max_iterations: Option<u32>,
    /// What a run may use that begins with it.
    pub budget: Budget,
    /// The form that its answers have to have.
    pub structured_output: Option<StructuredOutput>,
    /// What is done before the conversation is handed over to it.
    pub before_handoff: Vec<Step>,
    /// What is done when it has given its last answer.
    pub on_end: Vec<Step>,
    /// Whether it may have those to whom it gives tasks work while it goes on.
    pub background: bool,
    /// Whether its description does not say what it is for.
    pub vague: bool,
}

/// What is done before a hand-over or at an end, and what if it cannot be.
#[derive(Clone, Debug)]
pub struct Step {
    /// What is done.
    pub action: StepAction,
    /// How long it may take.
    pub deadline: Duration,
    /// What if it fails.
    pub on_error: OnError,
}

/// What if a step fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OnError {
    /// The hand-over does not happen.
    #[default]
    Veto,
    /// Nothing.
    GoOn,
}

/// What a step does. Texts may have places such as `{{context.user}}`.
#[derive(Clone, Debug)]
pub enum StepAction {
    /// Sets members of the context, by paths with dots.
    Set(Vec<(String, Value)>),
    /// Adds to lists in the context.
    Push(Vec<(String, Value)>),
    /// Puts a message in front of the conversation.
    Prepend(String),
    /// Puts a message behind it.
    Append(String),
    /// Tells the agent this.
    Instructions(String),
    /// Forbids the hand-over.
    VetoIf {
        /// When.
        when: Condition,
        /// What the model is told.
        why: String,
    },
    /// Asks a tool of a server of `mcp_servers`.
    Tool {
        /// The server.
        server: String,
        /// The tool, as the server names it.
        tool: String,
        /// What it is told.
        arguments: Value,
        /// Where in the context the result goes.
        into: Option<String>,
    },
    /// Asks a webhook.
    Webhook {
        /// Where it is, and what signs what it is told.
        webhook: WebhookSettings,
        /// Whether it is told the conversation.
        conversation: bool,
    },
}

/// A model of an agent.
#[derive(Clone, Debug, PartialEq)]
pub struct AgentModel {
    /// What it is called.
    pub name: ModelName,
    /// Settings of generation that hold for it.
    pub settings: Vec<(String, Value)>,
}

/// Whom an agent may hand over to.
#[derive(Clone, Debug)]
pub struct HandoffEdge {
    /// The agent.
    pub agent: String,
    /// What it is for, where that is not its own description.
    pub description: Option<String>,
    /// Whether the conversation comes back with its answer.
    pub returns: bool,
    /// What it is told when it is handed the conversation this way.
    pub additional_instructions: Option<String>,
    /// When it is there; none for always.
    pub enabled_if: Option<Condition>,
}

/// An expression that was compiled.
#[derive(Clone, Debug)]
pub struct Condition {
    /// As it was written.
    pub text: String,
    /// Its only rule holds where the expression does.
    pub rule: Arc<RuleSet>,
}

/// Whom an agent may give a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubAgent {
    /// The agent.
    pub agent: String,
    /// The name of a tool of its own; none for `transfer_task`.
    pub tool: Option<String>,
    /// What it is for, where that is not its own description.
    pub description: Option<String>,
}

/// The form of the tool that hands over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HandoffTool {
    /// `handoff(agent)`.
    #[default]
    Handoff,
    /// `transfer_to_<agent>`, one for each.
    TransferTo,
}

/// An MCP server of an agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AgentServer {
    /// Its name in `mcp_servers`.
    pub name: String,
    /// Which of its tools; none for all.
    pub tools: Option<Vec<String>>,
}

/// Folders that an agent may use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Folder {
    /// Where they are.
    pub roots: Vec<PathBuf>,
    /// Whether it may change what is in them.
    pub write: bool,
    /// Which of the tools; none for all.
    pub tools: Option<Vec<String>>,
}

/// What a run may use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Budget {
    /// Money.
    pub max_cost: Option<NanoUsd>,
    /// Tokens, in and out.
    pub max_tokens: Option<u64>,
    /// Time.
    pub max_time: Option<Duration>,
}

/// The form that answers have to have.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StructuredOutput {
    /// What it is called.
    pub name: String,
    /// What it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// JSON Schema.
    pub schema: Value,
    /// Whether it is kept to the letter.
    pub strict: bool,
}

/// What came of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadNote {
    /// Where it stands.
    pub place: Place,
    /// Its path, as `agents.root.model`.
    pub path: String,
    /// What came of it.
    pub kind: NoteKind,
    /// What there is to say of it; empty for what is as it should be.
    pub message: String,
}

/// What can come of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NoteKind {
    /// It does what it says.
    Honoured,
    /// It changes nothing here.
    WithoutEffect,
    /// It asks for something that this version does not do.
    Unsupported,
    /// It is honoured, and may not be what is meant.
    Warning,
}

impl NoteKind {
    /// The word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Honoured => "honoured",
            Self::WithoutEffect => "without effect",
            Self::Unsupported => "unsupported",
            Self::Warning => "warning",
        }
    }
}

impl std::fmt::Display for LoadNote {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Place::Line { line, column } = self.place {
            write!(f, "{line}:{column} ")?;
        }
        write!(f, "{}: `{}`", self.kind.as_str(), self.path)?;
        if self.message.is_empty() { Ok(()) } else { write!(f, ": {}", self.message) }
    }
}
