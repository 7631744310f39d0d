//! What holds for a whole run, and which calls of a turn a client may see.

use std::sync::Arc;

use baton_model::Dialect;

use crate::call::CallKind;
use crate::{Limits, Members, words};

/// What holds for the whole run.
#[derive(Clone, Debug)]
pub struct Terms {
    /// What bounds it.
    pub limits: Limits,
    /// Who may have the conversation.
    pub members: Members,
    /// The names of the client's own tools.
    pub client_tools: Vec<String>,
    /// The names of the tools that the gateway runs.
    pub server_tools: Vec<String>,
    /// Whether rules are asked between turns.
    pub rules: bool,
    /// Whether text is the answer and ends the choice: a structured answer cannot be continued.
    pub text_is_final: bool,
    /// The client's dialect.
    pub dialect: Dialect,
}

impl Terms {
    pub(crate) fn kind(&self, name: &str) -> CallKind {
        if self.client_tools.iter().any(|tool| tool == name) {
            CallKind::Client
        } else if let Some(to) = self.members.by_tool(name) {
            CallKind::Transfer(to)
        } else if self.server_tools.iter().any(|tool| tool == name) {
            CallKind::Server
        } else if self.members.offered() && words::looks_like_transfer(name) {
            CallKind::NoSuchTarget
        } else {
            CallKind::Client
        }
    }
}

/// Tells which calls of one turn a client may see: the first decides whose the turn is.
#[derive(Clone, Debug)]
pub struct CallGate {
    pub(crate) terms: Arc<Terms>,
    pub(crate) first: Option<CallKind>,
}

impl CallGate {
    /// Whether the client may see this call. To be asked once for each, in order.
    pub fn may_see(&mut self, name: &str) -> bool {
        let kind = self.terms.kind(name);
        *self.first.get_or_insert(kind) == CallKind::Client && kind == CallKind::Client
    }
}
