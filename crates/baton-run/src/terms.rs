//! What holds for a whole run, and which calls of a turn a client may see.

use std::sync::Arc;

use baton_model::{Dialect, Tool};

use crate::call::CallKind;
use crate::team::Seat;
use crate::{Limits, Members, Team, words};

/// What holds for the whole run.
#[derive(Clone, Debug)]
pub struct Terms {
    /// What bounds it.
    pub limits: Limits,
    /// Who may have the conversation.
    pub members: Members,
    /// The same as a team of agents, each with tools of its own; none for a pool of models.
    pub team: Option<Team>,
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
    pub(crate) fn regroup(&mut self, team: Team) {
        match &mut self.team {
            Some(before) => before.regroup(team),
            None => self.team = Some(team),
        }
    }

    pub(crate) fn kind(&self, seat: Seat, name: &str, arguments: &str) -> CallKind {
        if let Some(team) = &self.team {
            return team.kind(seat, name, arguments);
        }
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

    fn is_clients(&self, seat: Seat, name: &str) -> bool {
        match &self.team {
            Some(team) => team.is_clients(seat, name),
            None => self.kind(seat, name, "") == CallKind::Client,
        }
    }

    /// The names of all tools that there are for this member, as it sees them.
    pub(crate) fn offered(&self, seat: Seat) -> Vec<&str> {
        if let Some(team) = &self.team {
            return team.offered(seat);
        }
        let members = &self.members;
        let transfers =
            members.others(seat.member).filter(|_| members.offered()).map(|at| members.tool_name(at));
        self.client_tools.iter().chain(&self.server_tools).map(String::as_str).chain(transfers).collect()
    }

    /// The tools that a member gets to hand over and to give tasks.
    #[must_use]
    pub fn tools(&self, member: usize) -> Vec<Tool> {
        self.team.as_ref().map_or_else(|| self.members.tools(member), |team| team.tools(member))
    }

    /// What a member is told that asks for somebody whom it may not hand over to.
    pub(crate) fn no_such_target(&self, asked: &str, member: usize) -> String {
        match &self.team {
            Some(team) => words::no_such_agent(team.name(member), &team.targets(member)),
            None => words::no_such_target(asked, &self.members, member),
        }
    }

    /// The call that hands over to a member, as its former one would make it.
    pub(crate) fn call_for(&self, from: usize, to: usize) -> (String, String) {
        match &self.team {
            Some(team) => team.call_for(from, to),
            None => (self.members.tool_name(to).to_owned(), "{}".to_owned()),
        }
    }
}

/// Tells which calls of one turn a client may see: the first decides whose the turn is.
#[derive(Clone, Debug)]
pub struct CallGate {
    pub(crate) terms: Arc<Terms>,
    pub(crate) seat: Seat,
    pub(crate) first: Option<bool>,
}

impl CallGate {
    /// Whether the client may see this call. To be asked once for each, in order.
    pub fn may_see(&mut self, name: &str) -> bool {
        let is_clients = self.terms.is_clients(self.seat, name);
        *self.first.get_or_insert(is_clients) && is_clients
    }
}
