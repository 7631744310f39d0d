//! Hand-overs: asked for by a model, ruled, forced, and taken back where the target is not to be had.

use baton_model::{Part, PartKind, Role};

use super::frame::{Handed, Turn, Waiting, error, message, result_message};
use super::{Machine, Phase};
use crate::call::Call;
use crate::event::{By, CallResult, Cause, Effect, Guard, Move, Ruling};
use crate::words;

impl Machine {
    /// A model asks for a transfer.
    pub(super) fn transfer(&mut self, mut turn: Turn, call: usize, to: usize) -> Effect {
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

    pub(super) fn granted(
        &mut self,
        mut turn: Turn,
        call: usize,
        to: usize,
        by: By,
        briefing: Option<String>,
    ) -> Effect {
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
        let told = way.as_ref().and_then(|way| way.instructions.clone());
        let told: Vec<String> = told.into_iter().chain(briefing).collect();
        let instructions = (!told.is_empty()).then(|| told.join("\n"));
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

    pub(super) fn denied(&mut self, mut turn: Turn, call: usize, why: &str) -> Effect {
        turn.answer(call, error(why.to_owned(), turn.dialect));
        self.close(turn, words::NOT_EXECUTED);
        self.goes_on(Cause::Denied)
    }

    pub(super) fn ruled(&mut self, ruling: Ruling) -> Effect {
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
    pub(super) fn hand_over_unasked(&mut self, from: usize, to: usize) {
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

    pub(super) fn moved(&mut self, moved: Move) {
        let returns =
            self.team().and_then(|team| team.way(moved.from, moved.to)).is_some_and(|way| way.returns);
        if !returns {
            *self.ways.entry((moved.from, moved.to)).or_default() += 1;
        }
        self.frame_mut().active = moved.to;
        self.hop += 1;
        self.moves.push(moved);
    }

    pub(super) fn failed(&mut self) -> Effect {
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
    pub(super) fn only_results_behind(&self, at: usize) -> bool {
        self.frame().added.iter().skip(at + 1).all(|message| message.role == Role::Tool)
    }

    pub(super) fn has_had(&self, member: usize) -> bool {
        self.moves.iter().any(|moved| moved.from == member)
    }

    /// What forbids one more hand-over to this member.
    pub(super) fn guard(&self, to: usize) -> Option<Guard> {
        let way = self.ways.get(&(self.active(), to)).copied().unwrap_or_default();
        if self.handoffs() >= self.terms.limits.max_handoffs {
            Some(Guard::MaxHandoffs)
        } else if way >= self.terms.limits.max_same_way {
            Some(Guard::PingPong)
        } else {
            None
        }
    }

    pub(super) fn may_go(&self, to: usize) -> bool {
        to != self.active() && self.guard(to).is_none() && !(self.terms.limits.no_return && self.has_had(to))
    }
}
