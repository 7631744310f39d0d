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
    /// Whether a call of a tool that nobody offered is sent back to the model. If not, it is the client's to
    /// make something of.
    pub own_tools: bool,
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
        } else if self.own_tools {
            CallKind::NoSuchTool
        } else {
            CallKind::Client
        }
    }

    /// The names of all tools that there are for this member, as it sees them.
    pub(crate) fn offered(&self, member: usize) -> impl Iterator<Item = &str> {
        let members = &self.members;
        let transfers = members.others(member).filter(|_| members.offered()).map(|at| members.tool_name(at));
        self.client_tools.iter().chain(&self.server_tools).map(String::as_str).chain(transfers)
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
