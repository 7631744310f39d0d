//! The run itself: what has happened, what is allowed, and what comes next.
//!
//! Whoever drives it carries out an [`Effect`] and comes back with the [`Event`] that it led to.
//!
//! - Start with [`Machine::new`], then [`Machine::step`] with [`Event::Begin`].
//! - **Invariant:** a conversation changes hands only after [`Effect::Decide`] was granted, or by
//!   [`Event::Ruled`], which is a decision itself.
//! - **Invariant:** every call of a turn that goes on inside the run has exactly one result.
//! - **Invariant:** no more turns than `max_turns`, no more hand-offs than `max_handoffs`, no more than `max_depth`
//!   conversations within each other.

use std::collections::BTreeMap;
use std::sync::Arc;

use baton_model::{FinishReason, Message, NanoUsd, Part, PartKind, Role, Usage};

use self::answers::End;
use self::frame::{Errand, Frame, Turn, Waiting, error, message, result_message};
use crate::call::{Call, CallKind, calls_of, named_calls};
use crate::event::{Aside, By, CallResult, Cause, Effect, Event, Finish, Guard, Move, Ruling, TurnEnd};
use crate::team::{Seat, Task, Team};
use crate::terms::{CallGate, Terms};
use crate::{Limits, words};

mod answers;
mod frame;
mod tasks;
mod transfers;

/// A run under way.
#[derive(Clone, Debug)]
pub struct Machine {
    terms: Arc<Terms>,
    max_turns: u32,
    turns: u32,
    hop: u32,
    phase: Phase,
    /// The conversation.
    root: Frame,
    /// The tasks that are being done, each within the one before it.
    errands: Vec<Errand>,
    moves: Vec<Move>,
    /// How often the conversation went each way.
    ways: BTreeMap<(usize, usize), u32>,
    /// How many turns each member of a team has taken.
    taken: BTreeMap<usize, u32>,
    /// Whether a guard has sent a transfer back already.
    warned: bool,
    /// Whether a model was told that its target is not to be had.
    told: bool,
    /// Why the present turn was asked for.
    cause: Cause,
    /// Who did the last task, or gave the conversation back last.
    back_from: Option<usize>,
    usage: Usage,
    spent: NanoUsd,
    /// Who waits for the run itself, where it does a task of another one.
    above: Vec<usize>,
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
    /// Whether the hand-over behind a final answer may be is being decided.
    Forcing { turn: Turn, to: usize, finish: FinishReason },
    /// Whether a task may be given is being decided.
    Delegating { turn: Turn, call: usize, to: usize, task: Task },
    /// That a task is done is being noted.
    Noting { turn: Turn },
    /// Tools run.
    Running { turn: Turn },
    /// The rules are asked.
    Asking,
    /// What is to be done at the end of an agent is.
    Ending(End),
    /// Nothing more happens.
    Over,
}

impl Machine {
    /// A run in which this member has the conversation.
    #[must_use]
    pub fn new(terms: Terms, active: usize) -> Self {
        Self {
            max_turns: terms.limits.max_turns,
            terms: Arc::new(terms),
            turns: 0,
            hop: 1,
            phase: Phase::Ready,
            root: Frame::new(active),
            errands: Vec::new(),
            moves: Vec::new(),
            ways: BTreeMap::new(),
            taken: BTreeMap::new(),
            warned: false,
            told: false,
            cause: Cause::Begins,
            back_from: None,
            usage: Usage::default(),
            spent: NanoUsd(0),
            above: Vec::new(),
        }
    }

    /// The whole run does a task of another one, in which these wait: none of it is in the client's sight.
    pub fn set_apart(&mut self, above: Vec<usize>) {
        self.above = above;
    }

    /// The same agents, who may reach others than before.
    pub fn regroup(&mut self, team: Team) {
        Arc::make_mut(&mut self.terms).regroup(team);
    }

    /// Why the model asks for the transfer that is being decided, in its words.
    #[must_use]
    pub fn asked_because(&self) -> Option<String> {
        match &self.phase {
            Phase::Deciding { turn, call, .. } => turn.calls.get(*call).and_then(Call::reason),
            _ => None,
        }
    }

    /// Who is at work or waits for somebody, the first one first.
    pub fn busy(&self) -> impl Iterator<Item = usize> {
        let frames = std::iter::once(&self.root).chain(self.errands.iter().map(|errand| &errand.frame));
        let here =
            frames.flat_map(|frame| frame.waiting.iter().map(|waiting| waiting.member).chain([frame.active]));
        self.above.iter().copied().chain(here)
    }

    /// These wait for the conversation since an earlier request, the last one longest no more.
    pub fn resume(&mut self, waiting: Vec<usize>) {
        self.root.waiting =
            waiting.into_iter().map(|member| Waiting { member, back: None, handed: None }).collect();
    }

    fn frame(&self) -> &Frame {
        self.errands.last().map_or(&self.root, |errand| &errand.frame)
    }

    fn frame_mut(&mut self) -> &mut Frame {
        self.errands.last_mut().map_or(&mut self.root, |errand| &mut errand.frame)
    }

    fn seat(&self) -> Seat {
        Seat { member: self.active(), aside: self.is_aside() }
    }

    fn team(&self) -> Option<&Team> {
        self.terms.team.as_ref()
    }

    /// Whether the present turn belongs to a task, out of the client's sight.
    #[must_use]
    pub const fn is_aside(&self) -> bool {
        !self.errands.is_empty() || !self.above.is_empty()
    }

    /// How many tasks are being done within each other.
    #[must_use]
    pub const fn errands(&self) -> usize {
        self.errands.len()
    }

    /// Who gave the task that is being done.
    #[must_use]
    pub fn tasked_by(&self) -> Option<usize> {
        let above = self.errands.len().checked_sub(2).and_then(|at| self.errands.get(at));
        self.errands.last().map(|_| above.map_or(self.root.active, |errand| errand.frame.active))
    }

    /// The task that is being done.
    #[must_use]
    pub fn task(&self) -> Option<&Task> {
        self.errands.last().map(|errand| &errand.task)
    }

    /// How many conversations are open within each other: the client's, tasks, and hand-overs that return.
    #[must_use]
    pub fn depth(&self) -> usize {
        let waiting: usize = self.errands.iter().map(|errand| errand.frame.waiting.len()).sum();
        self.above.len() + 1 + self.root.waiting.len() + self.errands.len() + waiting
    }

    /// Who has the client's conversation, whoever does a task meanwhile.
    #[must_use]
    pub const fn holder(&self) -> usize {
        self.root.active
    }

    /// Who waits for the client's conversation, the last one first.
    pub fn waiting(&self) -> impl Iterator<Item = usize> {
        self.root.waiting.iter().map(|waiting| waiting.member)
    }

    /// Who did the last task, or gave the conversation back last.
    #[must_use]
    pub const fn back_from(&self) -> Option<usize> {
        self.back_from
    }

    /// Gives an agent of a team the names of the tools that the gateway runs for it.
    pub fn equip(&mut self, member: usize, tools: Vec<String>) {
        if let Some(team) = &mut Arc::make_mut(&mut self.terms).team {
            team.equip(member, tools);
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
        CallGate { terms: Arc::clone(&self.terms), seat: self.seat(), first: None }
    }

    /// Why the present turn was asked for.
    #[must_use]
    pub const fn cause(&self) -> Cause {
        self.cause
    }

    /// Who has the conversation.
    #[must_use]
    pub fn active(&self) -> usize {
        self.frame().active
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
        let there = self.moves.iter().filter(|moved| moved.by != By::Return);
        u32::try_from(there.count()).unwrap_or(u32::MAX)
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
        let frame = self.frame();
        let mut added = frame.added.clone();
        let handed = frame.handed.as_ref().filter(|_| member == frame.active);
        let instructions = handed.and_then(|handed| handed.instructions.as_deref());
        let own = || self.terms.members.instructions(member);
        if let Some(at) = handed.map(|handed| handed.at)
            && let Some(instructions) = instructions.or_else(own)
            && let Some(result) = added.get_mut(at + 1)
            && let Some(PartKind::ToolResult { parts, .. }) =
                result.parts.first_mut().map(|part| &mut part.kind)
        {
            // Only while this member has the conversation: nobody else is meant.
            parts.push(Part::text(words::instructions(instructions), self.terms.dialect));
        }
        added
    }

    /// What the run added to the client's conversation, whoever does a task meanwhile.
    #[must_use]
    pub fn conversation(&self) -> &[Message] {
        &self.root.added
    }

    /// The most turns that the run may take.
    #[must_use]
    pub const fn max_turns(&self) -> u32 {
        self.max_turns
    }

    /// Sets other limits than those that the run was made with.
    pub fn bound(&mut self, limits: Limits) {
        self.max_turns = self.max_turns.min(limits.max_turns);
        Arc::make_mut(&mut self.terms).limits = limits;
    }

    /// Where the last hand-over's call stands in [`Self::added`].
    #[must_use]
    pub fn handed_at(&self) -> Option<usize> {
        self.frame().handed.as_ref().map(|handed| handed.at)
    }

    /// Another member answers the turn instead of the active one, because that one failed.
    pub fn took_over(&mut self, member: usize) {
        self.frame_mut().active = member;
    }

    /// The conversation was with another member when the request came, and a rule has moved it.
    pub fn came_from(&mut self, from: usize) {
        let to = self.active();
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
            (Phase::Answering, Event::Spent(guard)) => self.spent_up(guard),
            (Phase::Ending(end), Event::Noted) => self.after_end(end),
            (Phase::Deciding { turn, call, to }, event @ (Event::Granted | Event::Briefed(_))) => {
                self.granted(turn, call, to, By::Model, event.briefing())
            }
            (Phase::Forcing { turn, to, .. }, event @ (Event::Granted | Event::Briefed(_))) => {
                let call = turn.calls.len().saturating_sub(1);
                self.granted(turn, call, to, By::Forced, event.briefing())
            }
            (Phase::Forcing { mut turn, finish, .. }, Event::Denied(_)) => {
                // The answer stands, without the call that nobody made.
                turn.parts.pop();
                self.settled(End { dialect: turn.dialect, parts: turn.parts, finish, aside: None })
            }
            (Phase::Delegating { turn, call, to, task }, Event::Granted) => {
                self.delegated(turn, call, to, task)
            }
            (Phase::Delegating { mut turn, call, .. }, Event::Denied(why)) => {
                turn.answer(call, error(why, turn.dialect));
                self.see_to(turn, Cause::Denied)
            }
            (Phase::Noting { turn }, Event::Noted) => self.see_to(turn, Cause::Returned),
            (Phase::Deciding { turn, call, .. }, Event::Denied(why)) => self.denied(turn, call, &why),
            (
                Phase::Deciding { .. } | Phase::Forcing { .. } | Phase::Delegating { .. },
                Event::Ruled(Ruling::Stop),
            ) => Effect::Stop(Guard::Rule),
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
        let used = self.usage.input_tokens.saturating_add(self.usage.output_tokens);
        if self.terms.limits.max_tokens.is_some_and(|most| used >= most) {
            return self.halt(Guard::Tokens);
        }
        if self.has_taken_all() {
            return self.out_of_turns();
        }
        if self.terms.limits.budget.is_some() {
            self.phase = Phase::Pricing;
            return Effect::Price;
        }
        self.begin_turn()
    }

    fn begin_turn(&mut self) -> Effect {
        self.turns += 1;
        *self.taken.entry(self.active()).or_default() += 1;
        self.phase = Phase::Answering;
        Effect::Turn
    }

    /// Others have used what the turn was to be taken of.
    fn spent_up(&mut self, guard: Guard) -> Effect {
        self.turns = self.turns.saturating_sub(1);
        self.halt(guard)
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
            let frame = self.frame_mut();
            frame.active = moved.from;
            let _waits_no_more = frame.waiting.pop_if(|waiting| waiting.member == moved.from);
            self.hop -= 1;
        }
        Effect::Stop(guard)
    }

    fn ended(&mut self, end: TurnEnd) -> Effect {
        if let Some(usage) = &end.usage {
            self.usage += *usage;
        }
        self.spent.0 = self.spent.0.saturating_add(end.cost.map_or(0, |cost| cost.0));
        let seat = self.seat();
        let text_is_final = self.text_is_final();
        let kinds = |name: &str, arguments: &str| self.terms.kind(seat, name, arguments);
        let mut parts = end.parts;
        let calls = calls_of(&mut parts, self.turns, kinds);
        let has_text =
            parts.iter().any(|part| matches!(&part.kind, PartKind::Text(text) if !text.trim().is_empty()));
        let Some(first) = calls.first() else {
            return self.ends(End { dialect: end.dialect, parts, finish: end.finish, aside: None });
        };
        let ends = first.kind == CallKind::Client || text_is_final && has_text;
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
            CallKind::Transfer(to) if text_is_final && has_text => {
                let aside = Some(Aside::TextIsFinal { to });
                self.ends(End { dialect: end.dialect, parts, finish: FinishReason::Stop, aside })
            }
            CallKind::Transfer(to) => {
                let turn = Turn { dialect: end.dialect, parts, calls, results: BTreeMap::new() };
                self.transfer(turn, 0, to)
            }
            CallKind::NoSuchTarget => {
                let mut turn = Turn { dialect: end.dialect, parts, calls, results: BTreeMap::new() };
                let asked = turn.calls.first().map(|call| call.name.clone()).unwrap_or_default();
                let text = self.terms.no_such_target(&asked, seat.member);
                turn.answer(0, error(text, end.dialect));
                self.close(turn, words::NOT_EXECUTED);
                self.goes_on(Cause::NoSuchTarget)
            }
            CallKind::NoSuchTool | CallKind::NoSuchErrand => {
                let mut turn = Turn { dialect: end.dialect, parts, calls, results: BTreeMap::new() };
                self.answer_unknown(&mut turn);
                self.close(turn, words::NOT_EXECUTED);
                self.goes_on(Cause::NoSuchTool)
            }
            CallKind::Server | CallKind::Errand(_) => {
                let mut turn = Turn { dialect: end.dialect, parts, calls, results: BTreeMap::new() };
                let tools = turn.wanted(CallKind::Server);
                for at in 0..turn.calls.len() {
                    if turn.calls.get(at).is_some_and(|call| call.kind == CallKind::Client) {
                        turn.answer(at, error(words::CALL_AGAIN.to_owned(), end.dialect));
                    }
                }
                self.answer_unknown(&mut turn);
                if tools.is_empty() {
                    return self.see_to(turn, Cause::NotAccepted);
                }
                self.phase = Phase::Running { turn };
                Effect::Tools(tools)
            }
        }
    }

    fn tools_done(&mut self, mut turn: Turn, results: Vec<(String, CallResult)>) -> Effect {
        for (id, result) in results {
            if let Some(at) = turn.calls.iter().position(|call| call.id == id) {
                turn.answer(at, result);
            }
        }
        self.see_to(turn, Cause::Tools)
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
        let added = &mut self.frame_mut().added;
        added.push(message(Role::Assistant, named_calls(turn.parts, &turn.calls)));
        added.extend(results.into_iter().map(|(id, result)| result_message(id, result, dialect)));
    }
}

#[cfg(test)]
mod tests;
