//! The end of an agent's part: what it leaves to do, and who gets its answer.

use std::collections::BTreeMap;
use std::sync::Arc;

use baton_model::{Dialect, FinishReason, Part, PartKind, Role};

use super::frame::{Turn, error, message, result_message};
use super::{Machine, Phase};
use crate::call::{Call, CallKind};
use crate::event::{Aside, By, CallResult, Cause, Effect, Finish, Guard, Move};
use crate::words;

/// The last answer of a member.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct End {
    pub(super) dialect: Dialect,
    pub(super) parts: Vec<Part>,
    pub(super) finish: FinishReason,
    /// A transfer that came too late, for the text before it is the answer.
    pub(super) aside: Option<Aside>,
}

impl Machine {
    /// The active member has given its last answer. What is to be done at its end comes before anything else.
    pub(super) fn ends(&mut self, end: End) -> Effect {
        let member = self.active();
        let has_steps =
            self.team().and_then(|team| team.agent(member)).is_some_and(|agent| agent.steps_at_end);
        if !has_steps {
            return self.after_end(end);
        }
        let text = text_of(&end.parts);
        self.phase = Phase::Ending(end);
        Effect::Ended { member, text }
    }

    /// What follows a last answer: a hand-over where one is configured, else somebody gets the answer.
    pub(super) fn after_end(&mut self, end: End) -> Effect {
        let from = self.active();
        let forced = self.team().and_then(|team| team.agent(from)?.forced).filter(|_| end.aside.is_none());
        let Some(to) = forced else { return self.settled(end) };
        if let Some(guard) = self.guard(to) {
            return Effect::Stop(guard);
        }
        let End { dialect, mut parts, finish, .. } = end;
        let (name, arguments) = self.terms.call_for(from, to);
        let id = format!("call_handoff_{}", self.moves.len() + 1);
        let call = PartKind::ToolCall { id: id.clone(), name: name.clone(), arguments: arguments.clone() };
        let at = parts.len();
        parts.push(Part::new(call, dialect));
        let calls = vec![Call { part: at, id, name, arguments, kind: CallKind::Transfer(to) }];
        self.phase =
            Phase::Forcing { turn: Turn { dialect, parts, calls, results: BTreeMap::new() }, to, finish };
        Effect::Force { to }
    }

    /// An answer goes to whoever waits for it: an agent, or the client.
    pub(super) fn settled(&mut self, end: End) -> Effect {
        let End { dialect, parts, finish, aside } = end;
        if self.errands.is_empty() && self.root.waiting.is_empty() {
            return Effect::Finish(Finish { finish, aside });
        }
        let text = text_of(&parts);
        let result = if text.trim().is_empty() {
            error(words::said_nothing(self.terms.members.name(self.active())), dialect)
        } else {
            CallResult { parts: vec![Part::text(text, dialect)], is_error: false }
        };
        if self.frame().waiting.is_empty() { self.done(result) } else { self.back(result, Cause::Returned) }
    }

    /// The conversation goes back to who waits for it, with this for the result of its transfer.
    pub(super) fn back(&mut self, result: CallResult, cause: Cause) -> Effect {
        let from = self.active();
        let dialect = self.terms.dialect;
        let made_up = format!("call_handoff_{}", self.moves.len() + 1);
        let terms = Arc::clone(&self.terms);
        let frame = self.frame_mut();
        let Some(waiting) = frame.waiting.pop() else { return Effect::Fail };
        let to = waiting.member;
        // What was said in between is the other one's: who gets the conversation back sees the answer.
        let at = waiting.back.map(|(len, at)| {
            frame.added.truncate(len);
            at
        });
        match at.and_then(|at| frame.added.get_mut(at)).and_then(|message| message.parts.first_mut()) {
            Some(Part { kind: PartKind::ToolResult { parts, is_error, .. }, .. }) => {
                *parts = result.parts;
                *is_error = result.is_error;
            }
            _ => {
                let (name, arguments) = terms.call_for(to, from);
                let call = PartKind::ToolCall { id: made_up.clone(), name, arguments };
                frame.added.clear();
                frame.added.push(message(Role::Assistant, vec![Part::new(call, dialect)]));
                frame.added.push(result_message(made_up, result, dialect));
            }
        }
        frame.handed = waiting.handed;
        frame.active = to;
        self.hop += 1;
        let turn = self.turns;
        self.moves.push(Move { from, to, by: By::Return, reason: None, package: None, turn, undone: false });
        self.back_from = Some(from);
        self.goes_on(cause)
    }

    /// Whoever waits for the active member gets an error in the place of its answer.
    pub(super) fn give_up(&mut self, text: String) -> Option<Effect> {
        let result = error(text, self.terms.dialect);
        if !self.frame().waiting.is_empty() {
            return Some(self.back(result, Cause::GaveUp));
        }
        (!self.errands.is_empty()).then(|| self.done(result))
    }

    /// Whoever waits for an agent that may take no more turns goes on without its answer.
    pub(super) fn out_of_turns(&mut self) -> Effect {
        let text = words::out_of_turns(self.terms.members.name(self.active()));
        self.give_up(text).unwrap_or_else(|| self.halt(Guard::MaxTurns))
    }

    /// Whether an agent has taken as many turns as it may.
    pub(super) fn has_taken_all(&self) -> bool {
        let active = self.active();
        let most = self.team().and_then(|team| team.agent(active)?.max_turns);
        most.is_some_and(|most| self.taken.get(&active).copied().unwrap_or_default() >= most)
    }

    pub(super) fn text_is_final(&self) -> bool {
        let own =
            self.team().and_then(|team| team.agent(self.active())).is_some_and(|agent| agent.text_is_final);
        own || self.terms.text_is_final && !self.is_aside()
    }
}

/// The texts of an answer.
fn text_of(parts: &[Part]) -> String {
    let texts = parts.iter().filter_map(|part| match &part.kind {
        PartKind::Text(text) | PartKind::Refusal(text) => Some(text.as_str()),
        _ => None,
    });
    texts.collect::<Vec<_>>().join("\n\n")
}
