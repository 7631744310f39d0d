//! The conversations of a run, and the turns in them that wait for results.

use std::collections::BTreeMap;

use baton_model::{Dialect, Message, Part, PartKind, Role};

use crate::call::{Call, CallKind};
use crate::event::{CallResult, ToolCall};
use crate::team::Task;

/// A conversation: the client's, or that of a task.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Frame {
    /// Who has it.
    pub(super) active: usize,
    /// What the run added to the messages that it began with.
    pub(super) added: Vec<Message>,
    /// Where the last hand-over stands among them.
    pub(super) handed: Option<Handed>,
    /// Who gets it back, the last one first.
    pub(super) waiting: Vec<Waiting>,
}

/// A hand-over in a history: the call, and behind it the result.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Handed {
    pub(super) at: usize,
    /// What the target is told that came this way.
    pub(super) instructions: Option<String>,
}

/// Who gets a conversation back.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Waiting {
    pub(super) member: usize,
    /// How long the history was then, and where in it the result of the transfer stands. None where the
    /// conversation was handed over in an earlier request.
    pub(super) back: Option<(usize, usize)>,
    /// The hand-over that it had itself got the conversation by.
    pub(super) handed: Option<Handed>,
}

/// A task that is being done.
#[derive(Clone, Debug)]
pub(super) struct Errand {
    pub(super) frame: Frame,
    pub(super) task: Task,
    /// The turn that waits for it, and which of its calls.
    pub(super) turn: Turn,
    pub(super) call: usize,
}

/// A turn that ended and whose calls wait for their results.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Turn {
    pub(super) dialect: Dialect,
    pub(super) parts: Vec<Part>,
    pub(super) calls: Vec<Call>,
    /// Results by the call's place.
    pub(super) results: BTreeMap<usize, CallResult>,
}

impl Frame {
    pub(super) const fn new(active: usize) -> Self {
        Self { active, added: Vec::new(), handed: None, waiting: Vec::new() }
    }
}

impl Turn {
    pub(super) fn answer(&mut self, call: usize, result: CallResult) {
        self.results.insert(call, result);
    }

    pub(super) fn call_id(&self, call: usize) -> Option<String> {
        self.calls.get(call).map(|call| call.id.clone())
    }

    /// The first task that was given and has no result yet.
    pub(super) fn open_errand(&self) -> Option<(usize, usize)> {
        self.calls.iter().enumerate().find_map(|(at, call)| match call.kind {
            CallKind::Errand(to) if !self.results.contains_key(&at) => Some((at, to)),
            _ => None,
        })
    }

    pub(super) fn wanted(&self, kind: CallKind) -> Vec<ToolCall> {
        self.calls
            .iter()
            .filter(|call| call.kind == kind)
            .map(|call| ToolCall {
                id: call.id.clone(),
                name: call.name.clone(),
                arguments: call.arguments.clone(),
            })
            .collect()
    }
}

pub(super) fn error(text: String, dialect: Dialect) -> CallResult {
    CallResult { parts: vec![Part::text(text, dialect)], is_error: true }
}

pub(super) const fn message(role: Role, parts: Vec<Part>) -> Message {
    Message { role, name: None, parts }
}

pub(super) fn result_message(call_id: String, result: CallResult, dialect: Dialect) -> Message {
    let kind = PartKind::ToolResult { call_id, parts: result.parts, is_error: result.is_error };
    message(Role::Tool, vec![Part::new(kind, dialect)])
}
