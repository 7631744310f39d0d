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

use baton_model::{Dialect, FinishReason, Message, NanoUsd, Part, PartKind, Role, Usage};

use crate::call::{Call, CallKind, calls_of, named_calls};
use crate::event::{
    Aside, By, CallResult, Cause, Effect, Event, Finish, Guard, Move, Ruling, ToolCall, TurnEnd,
};
use crate::team::{Seat, Task, Team};
use crate::terms::{CallGate, Terms};
use crate::words;

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
}

/// A conversation: the client's, or that of a task.
#[derive(Clone, Debug, PartialEq)]
struct Frame {
    /// Who has it.
    active: usize,
    /// What the run added to the messages that it began with.
    added: Vec<Message>,
    /// Where the last hand-over stands among them.
    handed: Option<Handed>,
    /// Who gets it back, the last one first.
    waiting: Vec<Waiting>,
}

/// A hand-over in a history: the call, and behind it the result.
#[derive(Clone, Debug, PartialEq)]
struct Handed {
    at: usize,
    /// What the target is told that came this way.
    instructions: Option<String>,
}

/// Who gets a conversation back.
#[derive(Clone, Debug, PartialEq)]
struct Waiting {
    member: usize,
    /// How long the history was then, and where in it the result of the transfer stands. None where the
    /// conversation was handed over in an earlier request.
    back: Option<(usize, usize)>,
    /// The hand-over that it had itself got the conversation by.
    handed: Option<Handed>,
}

/// A task that is being done.
#[derive(Clone, Debug)]
struct Errand {
    frame: Frame,
    task: Task,
    /// The turn that waits for it, and which of its calls.
    turn: Turn,
    call: usize,
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

impl Frame {
    const fn new(active: usize) -> Self {
        Self { active, added: Vec::new(), handed: None, waiting: Vec::new() }
    }
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
        }
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
        !self.errands.is_empty()
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
        1 + self.root.waiting.len() + self.errands.len() + waiting
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
            (Phase::Deciding { turn, call, to }, Event::Granted) => self.granted(turn, call, to, By::Model),
            (Phase::Forcing { turn, to, .. }, Event::Granted) => {
                let call = turn.calls.len().saturating_sub(1);
                self.granted(turn, call, to, By::Forced)
            }
            (Phase::Forcing { mut turn, finish, .. }, Event::Denied(_)) => {
                // The answer stands, without the call that nobody made.
                turn.parts.pop();
                self.settled(turn.dialect, &turn.parts, finish)
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

    /// Whether an agent has taken as many turns as it may.
    fn has_taken_all(&self) -> bool {
        let active = self.active();
        let most = self.team().and_then(|team| team.agent(active)?.max_turns);
        most.is_some_and(|most| self.taken.get(&active).copied().unwrap_or_default() >= most)
    }

    /// Whoever waits for an agent that may take no more turns goes on without its answer.
    fn out_of_turns(&mut self) -> Effect {
        let text = words::out_of_turns(self.terms.members.name(self.active()));
        self.give_up(text).unwrap_or_else(|| self.halt(Guard::MaxTurns))
    }

    /// Whoever waits for the active member gets an error in the place of its answer.
    fn give_up(&mut self, text: String) -> Option<Effect> {
        let result = error(text, self.terms.dialect);
        if !self.frame().waiting.is_empty() {
            return Some(self.back(result, Cause::GaveUp));
        }
        self.is_aside().then(|| self.done(result))
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
            return self.answered(end.dialect, parts, end.finish);
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
                if self.is_aside() || !self.root.waiting.is_empty() {
                    return self.settled(end.dialect, &parts, FinishReason::Stop);
                }
                Effect::Finish(Finish { finish: FinishReason::Stop, aside: Some(Aside::TextIsFinal { to }) })
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

    fn text_is_final(&self) -> bool {
        let own =
            self.team().and_then(|team| team.agent(self.active())).is_some_and(|agent| agent.text_is_final);
        own || self.terms.text_is_final && !self.is_aside()
    }

    /// The active member has answered, and calls nobody.
    fn answered(&mut self, dialect: Dialect, mut parts: Vec<Part>, finish: FinishReason) -> Effect {
        let from = self.active();
        let Some(to) = self.team().and_then(|team| team.agent(from)?.forced) else {
            return self.settled(dialect, &parts, finish);
        };
        if let Some(guard) = self.guard(to) {
            return Effect::Stop(guard);
        }
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
    fn settled(&mut self, dialect: Dialect, parts: &[Part], finish: FinishReason) -> Effect {
        if !self.is_aside() && self.root.waiting.is_empty() {
            return Effect::Finish(Finish { finish, aside: None });
        }
        let texts = parts.iter().filter_map(|part| match &part.kind {
            PartKind::Text(text) | PartKind::Refusal(text) => Some(text.as_str()),
            _ => None,
        });
        let text = texts.collect::<Vec<_>>().join("\n\n");
        let result = if text.trim().is_empty() {
            error(words::said_nothing(self.terms.members.name(self.active())), dialect)
        } else {
            CallResult { parts: vec![Part::text(text, dialect)], is_error: false }
        };
        if self.frame().waiting.is_empty() { self.done(result) } else { self.back(result, Cause::Returned) }
    }

    /// The conversation goes back to who waits for it, with this for the result of its transfer.
    fn back(&mut self, result: CallResult, cause: Cause) -> Effect {
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

    /// A task is done, with this for its result.
    fn done(&mut self, result: CallResult) -> Effect {
        let Some(Errand { frame, mut turn, call, .. }) = self.errands.pop() else { return Effect::Fail };
        let cause = if result.is_error { Cause::GaveUp } else { Cause::Returned };
        turn.answer(call, result);
        self.back_from = Some(frame.active);
        self.hop += 1;
        if turn.open_errand().is_some() {
            self.phase = Phase::Noting { turn };
            return Effect::Returned { from: frame.active };
        }
        self.see_to(turn, cause)
    }

    /// Sees to what a turn asks for beside tools: tasks, one after the other, then a transfer.
    fn see_to(&mut self, mut turn: Turn, mut cause: Cause) -> Effect {
        while let Some((call, to)) = turn.open_errand() {
            match self.objection(&turn, call, to) {
                Ok(task) => {
                    self.phase = Phase::Delegating { turn, call, to, task: task.clone() };
                    return Effect::Delegate { to, task };
                }
                Err((text, why)) => {
                    turn.answer(call, error(text, turn.dialect));
                    if cause == Cause::NotAccepted {
                        cause = why;
                    }
                }
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
        if self.terms.rules && cause == Cause::Tools {
            self.phase = Phase::Asking;
            return Effect::Rules;
        }
        self.goes_on(cause)
    }

    /// The task of a call, or what is said against it.
    fn objection(&self, turn: &Turn, call: usize, to: usize) -> Result<Task, (String, Cause)> {
        let refused = |text: String| Err((text, Cause::NotAccepted));
        let arguments = turn.calls.get(call).map_or("", |call| call.arguments.as_str());
        let Some(task) = Team::task(arguments) else { return refused(words::NO_TASK.to_owned()) };
        let frames = std::iter::once(&self.root).chain(self.errands.iter().map(|errand| &errand.frame));
        let busy: Vec<usize> = frames
            .flat_map(|frame| frame.waiting.iter().map(|waiting| waiting.member).chain([frame.active]))
            .collect();
        if busy.contains(&to) {
            let name = |member: &usize| self.terms.members.name(*member);
            let path: Vec<&str> = busy.iter().map(name).chain([name(&to)]).collect();
            return refused(words::delegation_cycle(&path));
        }
        if self.is_too_deep() {
            return Err((words::TOO_DEEP.to_owned(), Cause::Guarded(Guard::Depth)));
        }
        Ok(task)
    }

    fn is_too_deep(&self) -> bool {
        self.depth() >= usize::try_from(self.terms.limits.max_depth).unwrap_or(usize::MAX)
    }

    fn delegated(&mut self, turn: Turn, call: usize, to: usize, task: Task) -> Effect {
        self.errands.push(Errand { frame: Frame::new(to), task, turn, call });
        self.hop += 1;
        self.goes_on(Cause::Delegated)
    }

    /// Tells for each call of what does not exist what does.
    fn answer_unknown(&self, turn: &mut Turn) {
        for at in 0..turn.calls.len() {
            let Some(call) = turn.calls.get(at) else { continue };
            let text = match call.kind {
                CallKind::NoSuchTool => {
                    words::no_such_tool(&call.name, self.terms.offered(self.seat()).into_iter())
                }
                CallKind::NoSuchErrand => self.team().map_or_else(String::new, |team| {
                    words::no_such_helper(team.name(self.active()), &team.helpers(self.active()))
                }),
                _ => continue,
            };
            turn.answer(at, error(text, turn.dialect));
        }
    }

    /// A model asks for a transfer.
    fn transfer(&mut self, mut turn: Turn, call: usize, to: usize) -> Effect {
        let dialect = turn.dialect;
        let active = self.active();
        let reason = turn.calls.get(call).and_then(Call::reason);
        let returns = self.team().and_then(|team| team.way(active, to)).is_some_and(|way| way.returns);
        let objection = if to == active {
            let asked = turn.calls.get(call).map(|call| call.name.clone()).unwrap_or_default();
            Some((self.terms.no_such_target(&asked, active), Cause::NoSuchTarget))
        } else if self.terms.limits.no_return && self.has_had(to) {
            Some((words::NO_RETURN.to_owned(), Cause::NotAccepted))
        } else if self.terms.limits.require_reason && reason.is_none() {
            Some((words::NO_REASON.to_owned(), Cause::NotAccepted))
        } else if returns && self.is_too_deep() {
            Some((words::TOO_DEEP.to_owned(), Cause::Guarded(Guard::Depth)))
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

    fn granted(&mut self, mut turn: Turn, call: usize, to: usize, by: By) -> Effect {
        let from = self.active();
        let reason = turn.calls.get(call).and_then(Call::reason);
        let text = words::handed_over(self.terms.members.name(from));
        turn.answer(call, CallResult { parts: vec![Part::text(text, turn.dialect)], is_error: false });
        let package = turn.calls.get(call).and_then(Call::package);
        let way = self.team().and_then(|team| team.way(from, to)).cloned();
        self.moved(Move { from, to, by, reason, package, turn: self.turns, undone: false });
        let at = self.frame().added.len();
        let first = turn.call_id(call);
        self.close_with(turn, words::HANDED_OVER, first.as_deref());
        let instructions = way.as_ref().and_then(|way| way.instructions.clone());
        let returns = by == By::Model && way.is_some_and(|way| way.returns);
        let frame = self.frame_mut();
        let before = frame.handed.replace(Handed { at, instructions });
        if returns {
            let back = Some((frame.added.len(), at + 1));
            frame.waiting.push(Waiting { member: from, back, handed: before });
        } else if let Some(at) = frame.waiting.iter().position(|waiting| waiting.member == to) {
            // It has what it waited for, and nobody else's answer is due to it.
            frame.waiting.truncate(at);
        }
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
        self.see_to(turn, Cause::Tools)
    }

    fn ruled(&mut self, ruling: Ruling) -> Effect {
        match ruling {
            Ruling::Go(to) if to != self.active() && to < self.terms.members.len() => match self.guard(to) {
                Some(guard) => Effect::Stop(guard),
                None => {
                    let from = self.active();
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
        let (name, arguments) = self.terms.call_for(from, to);
        let call = PartKind::ToolCall { id: id.clone(), name, arguments };
        let text = words::handed_over(self.terms.members.name(from));
        let turn = self.turns;
        self.moved(Move { from, to, by: By::Rule, reason: None, package: None, turn, undone: false });
        let frame = self.frame_mut();
        frame.handed = Some(Handed { at: frame.added.len(), instructions: None });
        frame.added.push(message(Role::Assistant, vec![Part::new(call, dialect)]));
        let result = CallResult { parts: vec![Part::text(text, dialect)], is_error: false };
        frame.added.push(result_message(id, result, dialect));
    }

    fn moved(&mut self, moved: Move) {
        let returns =
            self.team().and_then(|team| team.way(moved.from, moved.to)).is_some_and(|way| way.returns);
        if !returns {
            *self.ways.entry((moved.from, moved.to)).or_default() += 1;
        }
        self.frame_mut().active = moved.to;
        self.hop += 1;
        self.moves.push(moved);
    }

    fn failed(&mut self) -> Effect {
        let dialect = self.terms.dialect;
        let active = self.active();
        let handed = self.handed_at().filter(|at| self.only_results_behind(*at));
        let last =
            self.moves.last().filter(|last| !last.undone && last.to == active && last.by != By::Return);
        let (Some(at), Some((from, to)), false) = (handed, last.map(|last| (last.from, last.to)), self.told)
        else {
            let text = words::gave_up(self.terms.members.name(active));
            return self.give_up(text).unwrap_or(Effect::Fail);
        };
        let text = words::target_unavailable(self.terms.members.name(to));
        let frame = self.frame_mut();
        let Some(PartKind::ToolResult { parts, is_error, .. }) =
            frame.added.get_mut(at + 1).and_then(|it| it.parts.first_mut()).map(|part| &mut part.kind)
        else {
            return Effect::Fail;
        };
        *parts = vec![Part::text(text, dialect)];
        *is_error = true;
        frame.handed = None;
        frame.active = from;
        let came_this_way = |waiting: &mut Waiting| {
            waiting.member == from && waiting.back.is_some_and(|(_, result)| result == at + 1)
        };
        if let Some(waiting) = frame.waiting.pop_if(came_this_way) {
            frame.handed = waiting.handed;
        }
        self.told = true;
        if let Some(last) = self.moves.last_mut() {
            last.undone = true;
        }
        self.hop += 1;
        self.goes_on(Cause::Unavailable)
    }

    /// Whether nothing was said since the hand-over at this place.
    fn only_results_behind(&self, at: usize) -> bool {
        self.frame().added.iter().skip(at + 1).all(|message| message.role == Role::Tool)
    }

    fn has_had(&self, member: usize) -> bool {
        self.moves.iter().any(|moved| moved.from == member)
    }

    /// What forbids one more hand-over to this member.
    fn guard(&self, to: usize) -> Option<Guard> {
        let way = self.ways.get(&(self.active(), to)).copied().unwrap_or_default();
        if self.handoffs() >= self.terms.limits.max_handoffs {
            Some(Guard::MaxHandoffs)
        } else if way >= self.terms.limits.max_same_way {
            Some(Guard::PingPong)
        } else {
            None
        }
    }

    fn may_go(&self, to: usize) -> bool {
        to != self.active() && self.guard(to).is_none() && !(self.terms.limits.no_return && self.has_had(to))
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

impl Turn {
    fn answer(&mut self, call: usize, result: CallResult) {
        self.results.insert(call, result);
    }

    fn call_id(&self, call: usize) -> Option<String> {
        self.calls.get(call).map(|call| call.id.clone())
    }

    /// The first task that was given and has no result yet.
    fn open_errand(&self) -> Option<(usize, usize)> {
        self.calls.iter().enumerate().find_map(|(at, call)| match call.kind {
            CallKind::Errand(to) if !self.results.contains_key(&at) => Some((at, to)),
            _ => None,
        })
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
