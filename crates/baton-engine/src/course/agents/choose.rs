//! What is decided while agents are at work, and what the records say of them.

use std::sync::Arc;

use baton_audit::{DecisionKind, HandoffNote, Record};
use baton_policy::{Candidate, Reason, ReasonCode, ReasonSource, RunEvent};
use baton_run::{Cause, Event};

use super::{Way, internal, kept_by};
use crate::Refusal;
use crate::engine::not_recordable;
use crate::run::Choice;

impl Way {
    /// The choice for a turn of an agent that works already.
    pub(in crate::course) fn choose_again(&mut self) -> Result<(Choice, Vec<Candidate>), Refusal> {
        if let Some(planned) = self.next.take() {
            return Ok(planned);
        }
        let active = self.machine.active();
        let vetoed = self.agents.as_mut().and_then(|agents| agents.vetoed.take());
        let lost = || Refusal::failed(internal("an agent that is not there"), self.no_head());
        let agents = self.agents.as_ref().ok_or_else(lost)?;
        let station = agents.station(active).ok_or_else(lost)?;
        self.retries = station.retries;
        let candidate = station.current.clone();
        let name = format!("agent `{}`", agents.name(active));
        let back_from = self.machine.back_from();
        let other = back_from.map(|from| format!("agent `{}`", agents.name(from))).unwrap_or_default();
        let said = |code, text: String, source| Reason { code, text, source };
        let (kind, reason) = match self.machine.cause() {
            Cause::Returned => {
                let text = format!("{name} goes on with the answer of {other}");
                (DecisionKind::Return, said(ReasonCode::Returned, text, ReasonSource::Policy))
            }
            Cause::GaveUp => {
                let text = format!("{name} goes on without an answer of {other}, which could not finish");
                (DecisionKind::Return, said(ReasonCode::TargetUnavailable, text, ReasonSource::Fault))
            }
            Cause::Unavailable => {
                let to = self.machine.moves().last().map_or("", |last| agents.name(last.to));
                let event = RunEvent::Unavailable { from: &name, to: &format!("agent `{to}`") };
                (DecisionKind::Fallback, Reason::in_run(event))
            }
            Cause::Guarded(guard) => (DecisionKind::Stay, kept_by(guard, &name)),
            Cause::NoSuchTarget => {
                let why = "it asked for an agent that it does not reach";
                (DecisionKind::Stay, Reason::in_run(RunEvent::Denied { from: &name, why }))
            }
            Cause::NoSuchTool => {
                let text =
                    format!("{name} goes on: it called a tool that does not exist, and was told which do");
                (DecisionKind::Stay, said(ReasonCode::ToolsAnswered, text, ReasonSource::Policy))
            }
            Cause::NotAccepted | Cause::Denied => {
                let why = match &vetoed {
                    Some(to) => format!("a step before the hand-over to agent `{to}` forbade it"),
                    None => "what it asked of another agent was not accepted".to_owned(),
                };
                (DecisionKind::Stay, Reason::in_run(RunEvent::Denied { from: &name, why: &why }))
            }
            Cause::Begins | Cause::HandedOver | Cause::Ruled | Cause::Tools | Cause::Delegated => {
                (DecisionKind::Stay, Reason::in_run(RunEvent::ToolsAnswered { by: &name }))
            }
        };
        let from = match kind {
            DecisionKind::Return => self.report.last_target(),
            DecisionKind::Fallback => self.machine.moves().last().and_then(|last| self.target(last.to)),
            _ => None,
        };
        let others = self.agents_others(active);
        let credential = self.engine.first_credential(&self.run, &candidate.target);
        Ok((Choice { kind, candidate, from, reason, credential }, others))
    }

    /// Who worked before the next turn, and who takes it, as its record says.
    pub(in crate::course) fn agents_note(&self, kind: DecisionKind, note: HandoffNote) -> HandoffNote {
        let Some(agents) = &self.agents else { return note };
        let active = self.machine.active();
        let from = match kind {
            DecisionKind::Handoff | DecisionKind::Fallback => {
                self.machine.moves().last().map(|last| if last.undone { last.to } else { last.from })
            }
            DecisionKind::Return => self.machine.back_from(),
            DecisionKind::Delegate => self.machine.tasked_by().or(agents.tasked_by),
            _ => None,
        };
        let depth = u64::try_from(self.machine.depth()).unwrap_or(u64::MAX);
        HandoffNote {
            from_agent: from.map(|from| agents.name(from).to_owned()),
            to_agent: Some(agents.name(active).to_owned()),
            depth: if depth > 1 { depth } else { 0 },
            ..note
        }
    }

    /// Records that a task is done while another of the same turn is still to be given.
    pub(in crate::course) fn returned(&mut self, from: usize) -> Result<Event, Refusal> {
        self.close_scenes();
        let to = self.machine.active();
        let name = |at: usize| self.machine.terms().members.name(at);
        let text = format!("agent `{}` has the answer of agent `{}`", name(to), name(from));
        let reason = Reason { code: ReasonCode::Returned, text, source: ReasonSource::Policy };
        let (target, candidate) = (self.report.last_target(), self.candidate(to));
        self.run.turn = self.machine.turn().max(1);
        self.run.hop = self.machine.hop();
        let engine = Arc::clone(&self.engine);
        let mut decision =
            self.run.decision(&engine, DecisionKind::Return, candidate.as_ref(), target, reason);
        decision.attempt = false;
        let note = HandoffNote {
            from_agent: Some(name(from).to_owned()),
            to_agent: Some(name(to).to_owned()),
            ..HandoffNote::default()
        };
        decision.handoff = Some(Box::new(note));
        let receipt = engine.journal.append(&Record::Decision(Box::new(decision)));
        self.report.receipt = Some(receipt.map_err(|error| not_recordable(&error))?);
        Ok(Event::Noted)
    }
}
