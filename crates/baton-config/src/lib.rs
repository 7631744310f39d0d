//! Turns `baton.yaml`, the environment and the command line into a checked configuration, or into a
//! list of everything that is wrong with them.
//!
//! - Start with [`Config::load`]; [`Watcher`] loads again when something changed.
//! - **Invariant:** a [`Config`] that exists needs no further check.
//! - **Invariant:** every mistake is reported at once, with its place, and no message holds a secret.
//! - **Never here:** what the values are used for; the binary builds the parts from them.

mod agents;
mod config;
mod document;
mod file;
mod knowledge;
mod load;
mod mistake;
mod read;
mod reader;
mod reference;
mod tree;
mod value;
mod watch;

pub use agents::{
    Agent, AgentModel, AgentServer, Agents, Budget, Condition, Folder, HandoffEdge, HandoffTool, LoadNote,
    NoteKind, OnError, Step, StepAction, StructuredOutput, SubAgent,
};
pub use config::{
    Alerts, Audit, Auth, CaFile, CaptureSettings, Checkpoints, Config, Cors, DEFAULT_POLICY, Database,
    Journal, Limits, LogFormat, McpEndpoint, Model, Provider, Route, RunSettings, Specialist, Telemetry,
    WebhookSettings,
};
pub use document::policy_version;
pub use load::{Detected, Env, Flags, Sources, detected_providers};
pub use mistake::{ConfigError, Mistake, Place};
pub use watch::{Reload, Trigger, WatchError, Watcher};
