//! The run itself: what has happened, what is allowed, and what comes next.
//!
//! Whoever drives it carries out an [`Effect`] and comes back with the [`Event`] that it led to.
//!
//! - Start with [`Machine::new`], then [`Machine::step`] with [`Event::Begin`].
//! - **Invariant:** a conversation changes hands only after [`Effect::Decide`] was granted, or by
//!   [`Event::Ruled`], which is a decision itself.
//! - **Invariant:** every call of a turn that goes on inside the run has exactly one result.
//! - **Invariant:** no more turns than `max_turns`, no more hand-offs than `max_handoffs`.

use std::collections::BTreeMap;
use std::sync::Arc;

use baton_model::{Dialect, FinishReason, Message, NanoUsd, Part, PartKind, Role, Usage};

use crate::call::{Call, CallKind, calls_of, named_calls};
use crate::event::{
    Aside, By, CallResult, Cause, Effect, Event, Finish, Guard, Move, Ruling, ToolCall, TurnEnd,
};
use crate::terms::{CallGate, Terms};
use crate::words;

/// A run under way.
#[derive(Clone, Debug)]
pub struct Machine {
    terms: Arc<Terms>,
    max_turns: u32,
    /// Who has the conversation.
    active: usize,
    turns: u32,
    hop: u32,
    phase: Phase,
    /// What the run added to the client's messages.
    added: Vec<Message>,
    /// Where the last hand-over stands among them: the call, and behind it the result.
    handed: Option<usize>,
    moves: Vec<Move>,
    /// How often the conversation went each way.
    ways: BTreeMap<(usize, usize), u32>,
    /// Whether a guard has sent a transfer back already.
    warned: bool,
    /// Whether a model was told that its target is not to be had.
    told: bool,
    /// Why the present turn was asked for.
    cause: Cause,
    usage: Usage,
    spent: NanoUsd,
}

#[derive(Clone, Debug, PartialEq)]
enum Phase {
    /// Between turns; the next one may begin.
    Ready,
    /// The cost of the next turn is being looked up.
    Pricing,
    /// A model answers.
    Answering,
    /// Whether a transfer may be is being decided.
    Deciding { turn: Turn, call: usize, to: usize },
    /// Tools run.
    Running { turn: Turn },
    /// The rules are asked.
    Asking,
    /// Nothing more happens.
    Over,
}

/// A turn that ended and whose calls wait for their results.
#[derive(Clone, Debug, PartialEq)]
struct Turn {
    dialect: Dialect,
    parts: Vec<Part>,
    calls: Vec<Call>,
    /// Results by the call's place.
    results: BTreeMap<usize, CallResult>,
}

impl Machine {
    /// A run in which this member has the conversation.
    #[must_use]
    pub fn new(terms: Terms, active: usize) -> Self {
        Self {
            max_turns: terms.limits.max_turns,
            terms: Arc::new(terms),
            active,
            turns: 0,
            hop: 1,
            phase: Phase::Ready,
            added: Vec::new(),
            handed: None,
            moves: Vec::new(),
            ways: BTreeMap::new(),
            warned: false,
            told: false,
            cause: Cause::Begins,
            usage: Usage::default(),
            spent: NanoUsd(0),
        }
    }

    /// What holds for the whole run.
    #[must_use]
    pub fn terms(&self) -> &Terms {
        &self.terms
    }

    /// Tells for each call of a turn, in order, whether the client may see it.
    #[must_use]
    pub fn gate(&self) -> CallGate {
        CallGate { terms: Arc::clone(&self.terms), first: None }
    }

    /// Why the present turn was asked for.
    #[must_use]
    pub const fn cause(&self) -> Cause {
        self.cause
    }

    /// Who has the conversation.
    #[must_use]
    pub const fn active(&self) -> usize {
        self.active
    }

    /// The present turn, counted from 1; 0 before the first.
    #[must_use]
    pub const fn turn(&self) -> u32 {
        self.turns
    }

    /// The present hop, counted from 1.
    #[must_use]
    pub const fn hop(&self) -> u32 {
        self.hop
    }

    /// The hand-overs so far.
    #[must_use]
    pub fn moves(&self) -> &[Move] {
        &self.moves
    }

    /// How many hand-overs there were.
    #[must_use]
    pub fn handoffs(&self) -> u32 {
        u32::try_from(self.moves.len()).unwrap_or(u32::MAX)
    }

    /// What all turns used together.
    #[must_use]
    pub const fn usage(&self) -> Usage {
        self.usage
    }

    /// What the turns cost whose price is known.
    #[must_use]
    pub const fn spent(&self) -> NanoUsd {
        self.spent
    }

    /// What this member sees behind the client's messages.
    #[must_use]
    pub fn added(&self, member: usize) -> Vec<Message> {
        let mut added = self.added.clone();
        if let Some(instructions) = self.terms.members.instructions(member).filter(|_| member == self.active)
            && let Some(result) = self.handed.and_then(|at| added.get_mut(at + 1))
            && let Some(PartKind::ToolResult { parts, .. }) =
                result.parts.first_mut().map(|part| &mut part.kind)
        {
            // Only while this member has the conversation: nobody else is meant.
            parts.push(Part::text(words::instructions(instructions), self.terms.dialect));
        }
        added
    }

    /// Where the last hand-over's call stands in [`Self::added`].
    #[must_use]
    pub const fn handed_at(&self) -> Option<usize> {
        self.handed
    }

    /// Another member answers the turn instead of the active one, because that one failed.
    pub fn took_over(&mut self, member: usize) {
        self.active = member;
    }

    /// The conversation was with another member when the request came, and a rule has moved it.
    pub fn came_from(&mut self, from: usize) {
        let to = self.active;
        self.hand_over_unasked(from, to);
        self.cause = Cause::Ruled;
    }

    /// Allows fewer turns than before.
    pub fn limit_turns(&mut self, most: u32) {
        self.max_turns = self.max_turns.min(most);
    }

    /// What follows from what happened.
    ///
    /// An event that does not fit what was asked for ends the run: the one who drives it is wrong,
    /// and going on would be a guess.
    pub fn step(&mut self, event: Event) -> Effect {
        let phase = std::mem::replace(&mut self.phase, Phase::Over);
        match (phase, event) {
            (Phase::Ready, Event::Begin) => self.next_turn(),
            (Phase::Pricing, Event::Priced(cost)) => self.priced(cost),
            (Phase::Answering, Event::Ended(end)) => self.ended(end),
            (Phase::Answering, Event::Failed) => self.failed(),
            (Phase::Deciding { turn, call, to }, Event::Granted) => self.granted(turn, call, to),
            (Phase::Deciding { turn, call, .. }, Event::Denied(why)) => self.denied(turn, call, &why),
            (Phase::Deciding { .. }, Event::Ruled(Ruling::Stop)) => Effect::Stop(Guard::Rule),
            (Phase::Running { turn }, Event::ToolsDone(results)) => self.tools_done(turn, results),
            (Phase::Asking, Event::Ruled(ruling)) => self.ruled(ruling),
            _ => Effect::Fail,
        }
    }

    fn goes_on(&mut self, cause: Cause) -> Effect {
        self.cause = cause;
        self.next_turn()
    }

    fn next_turn(&mut self) -> Effect {
        if self.turns >= self.max_turns {
            return self.halt(Guard::MaxTurns);
        }
        if self.terms.limits.budget.is_some() {
            self.phase = Phase::Pricing;
            return Effect::Price;
        }
        self.begin_turn()
    }

    fn begin_turn(&mut self) -> Effect {
        self.turns += 1;
        self.phase = Phase::Answering;
        Effect::Turn
    }

    fn priced(&mut self, cost: Option<NanoUsd>) -> Effect {
        let Some(budget) = self.terms.limits.budget else { return self.begin_turn() };
        // What has no price could cost anything.
        match cost.and_then(|cost| self.spent.0.checked_add(cost.0)) {
            Some(sum) if sum <= budget.0 => self.begin_turn(),
            _ => self.halt(Guard::Budget),
        }
    }

    /// Ends the run before a turn. A hand-over whose target is not asked any more has not happened.
    fn halt(&mut self, guard: Guard) -> Effect {
        if matches!(self.cause, Cause::HandedOver | Cause::Ruled)
            && let Some(moved) = self.moves.pop()
        {
            self.active = moved.from;
            self.hop -= 1;
        }
        Effect::Stop(guard)
    }

    fn ended(&mut self, end: TurnEnd) -> Effect {
        if let Some(usage) = &end.usage {
            self.usage += *usage;
        }
        self.spent.0 = self.spent.0.saturating_add(end.cost.map_or(0, |cost| cost.0));
        let kinds = |name: &str| self.terms.kind(name);
        let mut parts = end.parts;
        let calls = calls_of(&mut parts, self.turns, kinds);
        let has_text =
            parts.iter().any(|part| matches!(&part.kind, PartKind::Text(text) if !text.trim().is_empty()));
        let Some(first) = calls.first() else {
            return Effect::Finish(Finish { finish: end.finish, aside: None });
        };
        let ends = first.kind == CallKind::Client || self.terms.text_is_final && has_text;
        if !ends && self.turns >= self.max_turns {
            // Nothing that is done now would still be told to a model.
            return Effect::Stop(Guard::MaxTurns);
        }
        let transfer = calls.iter().position(|call| matches!(call.kind, CallKind::Transfer(_)));
        let to = |at: usize| match calls.get(at).map(|call| call.kind) {
            Some(CallKind::Transfer(to)) => Some(to),
            _ => None,
        };
        match first.kind {
            CallKind::Client => {
                let reason = transfer.and_then(|at| calls.get(at)).and_then(Call::reason);
                let aside = transfer.and_then(to).filter(|to| self.may_go(*to));
                let aside = aside.map(|to| Aside::Later { to, reason });
                Effect::Finish(Finish { finish: end.finish, aside })
            }
            CallKind::Transfer(to) if self.terms.text_is_final && has_text => {
                Effect::Finish(Finish { finish: FinishReason::Stop, aside: Some(Aside::TextIsFinal { to }) })
            }
            CallKind::Transfer(to) => {
                let turn = Turn { dialect: end.dialect, parts, calls, results: BTreeMap::new() };
                self.transfer(turn, 0, to)
            }
            CallKind::NoSuchTarget => {
                let mut turn = Turn { dialect: end.dialect, parts, calls, results: BTreeMap::new() };
                let asked = turn.calls.first().map(|call| call.name.clone()).unwrap_or_default();
                let text = words::no_such_target(&asked, &self.terms.members, self.active);
                turn.answer(0, error(text, end.dialect));
                self.close(turn, words::NOT_EXECUTED);
                self.goes_on(Cause::NoSuchTarget)
            }
            CallKind::NoSuchTool => {
                let mut turn = Turn { dialect: end.dialect, parts, calls, results: BTreeMap::new() };
                self.answer_unknown(&mut turn);
                self.close(turn, words::NOT_EXECUTED);
                self.goes_on(Cause::NoSuchTool)
            }
            CallKind::Server => {
                let mut turn = Turn { dialect: end.dialect, parts, calls, results: BTreeMap::new() };
                let tools = turn.wanted(CallKind::Server);
                for at in 0..turn.calls.len() {
                    if turn.calls.get(at).is_some_and(|call| call.kind == CallKind::Client) {
                        turn.answer(at, error(words::CALL_AGAIN.to_owned(), end.dialect));
                    }
                }
                self.answer_unknown(&mut turn);
                self.phase = Phase::Running { turn };
                Effect::Tools(tools)
            }
        }
    }

    /// Tells for each call of a tool that does not exist which ones do.
    fn answer_unknown(&self, turn: &mut Turn) {
        for at in 0..turn.calls.len() {
            if let Some(call) = turn.calls.get(at).filter(|call| call.kind == CallKind::NoSuchTool) {
                let text = words::no_such_tool(&call.name, self.terms.offered(self.active));
                turn.answer(at, error(text, turn.dialect));
            }
        }
    }

    /// A model asks for a transfer.
    fn transfer(&mut self, mut turn: Turn, call: usize, to: usize) -> Effect {
        let dialect = turn.dialect;
        let reason = turn.calls.get(call).and_then(Call::reason);
        let objection = if to == self.active {
            let asked = turn.calls.get(call).map(|call| call.name.clone()).unwrap_or_default();
            Some((words::no_such_target(&asked, &self.terms.members, self.active), Cause::NoSuchTarget))
        } else if self.terms.limits.no_return && self.has_had(to) {
            Some((words::NO_RETURN.to_owned(), Cause::NotAccepted))
        } else if self.terms.limits.require_reason && reason.is_none() {
            Some((words::NO_REASON.to_owned(), Cause::NotAccepted))
        } else {
            None
        };
        if let Some((text, cause)) = objection {
            turn.answer(call, error(text, dialect));
            self.close(turn, words::NOT_EXECUTED);
            return self.goes_on(cause);
        }
        if let Some(guard) = self.guard(to) {
            // Said once; who asks again ends the run.
            if std::mem::replace(&mut self.warned, true) {
                return Effect::Stop(guard);
            }
            turn.answer(call, error(words::guarded(guard).to_owned(), dialect));
            self.close(turn, words::NOT_EXECUTED);
            return self.goes_on(Cause::Guarded(guard));
        }
        self.phase = Phase::Deciding { turn, call, to };
        Effect::Decide { to }
    }

    fn granted(&mut self, mut turn: Turn, call: usize, to: usize) -> Effect {
        let from = self.active;
        let reason = turn.calls.get(call).and_then(Call::reason);
        let text = words::handed_over(self.terms.members.name(from));
        turn.answer(call, CallResult { parts: vec![Part::text(text, turn.dialect)], is_error: false });
        let package = turn.calls.get(call).and_then(Call::package);
        self.moved(Move { from, to, by: By::Model, reason, package, turn: self.turns, undone: false });
        self.handed = Some(self.added.len());
        let first = turn.call_id(call);
        self.close_with(turn, words::HANDED_OVER, first.as_deref());
        self.goes_on(Cause::HandedOver)
    }

    fn denied(&mut self, mut turn: Turn, call: usize, why: &str) -> Effect {
        turn.answer(call, error(why.to_owned(), turn.dialect));
        self.close(turn, words::NOT_EXECUTED);
        self.goes_on(Cause::Denied)
    }

    fn tools_done(&mut self, mut turn: Turn, results: Vec<(String, CallResult)>) -> Effect {
        for (id, result) in results {
            if let Some(at) = turn.calls.iter().position(|call| call.id == id) {
                turn.answer(at, result);
            }
        }
        let transfer = turn.calls.iter().enumerate().find_map(|(at, call)| match call.kind {
            CallKind::Transfer(to) => Some((at, to)),
            _ => None,
        });
        if let Some((at, to)) = transfer {
            return self.transfer(turn, at, to);
        }
        self.close(turn, words::NOT_EXECUTED);
        if self.terms.rules {
            self.phase = Phase::Asking;
            return Effect::Rules;
        }
        self.goes_on(Cause::Tools)
    }

    fn ruled(&mut self, ruling: Ruling) -> Effect {
        match ruling {
            Ruling::Go(to) if to != self.active && to < self.terms.members.len() => match self.guard(to) {
                Some(guard) => Effect::Stop(guard),
                None => {
                    let from = self.active;
                    self.hand_over_unasked(from, to);
                    self.goes_on(Cause::Ruled)
                }
            },
            Ruling::Stop => Effect::Stop(Guard::Rule),
            Ruling::Stay | Ruling::Go(_) => self.goes_on(Cause::Tools),
        }
    }

    /// A hand-over that no model asked for stands in the history as if one had.
    fn hand_over_unasked(&mut self, from: usize, to: usize) {
        let dialect = self.terms.dialect;
        let id = format!("call_handoff_{}", self.moves.len() + 1);
        let call = PartKind::ToolCall {
            id: id.clone(),
            name: self.terms.members.tool_name(to).to_owned(),
            arguments: "{}".to_owned(),
        };
        let text = words::handed_over(self.terms.members.name(from));
        let turn = self.turns;
        self.moved(Move { from, to, by: By::Rule, reason: None, package: None, turn, undone: false });
        self.handed = Some(self.added.len());
        self.added.push(message(Role::Assistant, vec![Part::new(call, dialect)]));
        let result = CallResult { parts: vec![Part::text(text, dialect)], is_error: false };
        self.added.push(result_message(id, result, dialect));
    }

    fn moved(&mut self, moved: Move) {
        *self.ways.entry((moved.from, moved.to)).or_default() += 1;
        self.active = moved.to;
        self.hop += 1;
        self.moves.push(moved);
    }

    fn failed(&mut self) -> Effect {
        let dialect = self.terms.dialect;
        let fresh = self.handed.filter(|at| self.only_results_behind(*at));
        let (Some(at), Some(last)) = (fresh, self.moves.last_mut()) else { return Effect::Fail };
        if self.told || last.undone || last.to != self.active {
            return Effect::Fail;
        }
        self.told = true;
        last.undone = true;
        let (from, to) = (last.from, last.to);
        let text = words::target_unavailable(self.terms.members.name(to));
        let Some(PartKind::ToolResult { parts, is_error, .. }) =
            self.added.get_mut(at + 1).and_then(|it| it.parts.first_mut()).map(|part| &mut part.kind)
        else {
            return Effect::Fail;
        };
        *parts = vec![Part::text(text, dialect)];
        *is_error = true;
        self.handed = None;
        self.active = from;
        self.hop += 1;
        self.goes_on(Cause::Unavailable)
    }

    /// Whether nothing was said since the hand-over at this place.
    fn only_results_behind(&self, at: usize) -> bool {
        self.added.iter().skip(at + 1).all(|message| message.role == Role::Tool)
    }

    fn has_had(&self, member: usize) -> bool {
        self.moves.iter().any(|moved| moved.from == member)
    }

    /// What forbids one more hand-over to this member.
    fn guard(&self, to: usize) -> Option<Guard> {
        let way = self.ways.get(&(self.active, to)).copied().unwrap_or_default();
        if self.handoffs() >= self.terms.limits.max_handoffs {
            Some(Guard::MaxHandoffs)
        } else if way >= self.terms.limits.max_same_way {
            Some(Guard::PingPong)
        } else {
            None
        }
    }

    fn may_go(&self, to: usize) -> bool {
        to != self.active && self.guard(to).is_none() && !(self.terms.limits.no_return && self.has_had(to))
    }

    /// Puts a turn into the history, with a result for each of its calls.
    fn close(&mut self, turn: Turn, otherwise: &str) {
        self.close_with(turn, otherwise, None);
    }

    /// The same; the result of the call with this id stands first.
    fn close_with(&mut self, mut turn: Turn, otherwise: &str, first: Option<&str>) {
        let dialect = turn.dialect;
        let ids: Vec<String> = turn.calls.iter().map(|call| call.id.clone()).collect();
        let mut results: Vec<(String, CallResult)> = ids
            .into_iter()
            .enumerate()
            .map(|(at, id)| {
                let result = turn.results.remove(&at);
                (id, result.unwrap_or_else(|| error(otherwise.to_owned(), dialect)))
            })
            .collect();
        if let Some(at) = first.and_then(|first| results.iter().position(|(id, _)| id == first)) {
            let moved = results.remove(at);
            results.insert(0, moved);
        }
        self.added.push(message(Role::Assistant, named_calls(turn.parts, &turn.calls)));
        self.added.extend(results.into_iter().map(|(id, result)| result_message(id, result, dialect)));
    }
}

impl Turn {
    fn answer(&mut self, call: usize, result: CallResult) {
        self.results.insert(call, result);
    }

    fn call_id(&self, call: usize) -> Option<String> {
        self.calls.get(call).map(|call| call.id.clone())
    }

    fn wanted(&self, kind: CallKind) -> Vec<ToolCall> {
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

fn error(text: String, dialect: Dialect) -> CallResult {
    CallResult { parts: vec![Part::text(text, dialect)], is_error: true }
}

const fn message(role: Role, parts: Vec<Part>) -> Message {
    Message { role, name: None, parts }
}

fn result_message(call_id: String, result: CallResult, dialect: Dialect) -> Message {
    let kind = PartKind::ToolResult { call_id, parts: result.parts, is_error: result.is_error };
    message(Role::Tool, vec![Part::new(kind, dialect)])
}

#[cfg(test)]
mod tests;
