//! What is decided in a run behind its first plan: hand-overs, what rules say between turns, ends.

use std::sync::Arc;

use baton_audit::{DecisionKind, HandoffNote, Record};
use baton_model::Target;
use baton_policy::{
    Asked, Candidate, Current, HandoffBy, Inputs, Plan, Planned, Policy, Reason, ReasonCode, ReasonSource,
    Rule, RunEvent, RunInputs, Stage, Verdict, plan,
};
use baton_run::{Aside, Event, Guard, Ruling};
use tokio::time::Instant;

use super::Way;
use crate::Refusal;
use crate::effects::changed;
use crate::engine::not_recordable;
use crate::prepare::Converted;

impl Way {
    /// Whether the conversation may go to this member.
    pub(super) fn decide(&mut self, to: usize) -> Event {
        let (Some(from_at), Some(to_at)) = (self.place(self.machine.active()), self.place(to)) else {
            return Event::Denied("not handed over".to_owned());
        };
        let inputs = self.inputs(false, Some(Asked { to: to_at, from: from_at, by: HandoffBy::Model }));
        match plan(&self.run.pool.policy, self.run.settings.catalog.knowledge(), &inputs) {
            Planned::Plan(Plan { order, table, reason, rule, .. }) => {
                let granted = order.first() == Some(&to_at);
                let why = table.get(usize::try_from(to_at).unwrap_or(usize::MAX)).and_then(|row| match &row
                    .verdict
                {
                    Verdict::Rejected(rejection) => Some(rejection.code.clause()),
                    Verdict::Selected | Verdict::Eligible { .. } => None,
                });
                self.run.plan = Some((inputs, table));
                self.report.planned = Some(reason);
                if granted {
                    return Event::Granted;
                }
                if self.rule(rule).is_some_and(|rule| rule.then.stop) {
                    return Event::Ruled(Ruling::Stop);
                }
                let name = self.machine.terms().members.name(to);
                Event::Denied(format!(
                    "not handed over: `{name}` {}. Answer yourself, or hand over to another.",
                    why.unwrap_or("is not allowed here")
                ))
            }
            Planned::Ask(_) => Event::Denied("not handed over".to_owned()),
        }
    }

    /// What the rules say between two turns.
    pub(super) fn ask_rules(&mut self) -> Result<Ruling, Refusal> {
        let inputs = self.inputs(true, None);
        let policy = Arc::clone(&self.run.pool.policy);
        let Planned::Plan(plan) = plan(&policy, self.run.settings.catalog.knowledge(), &inputs) else {
            return Ok(Ruling::Stay);
        };
        self.run.converted = Converted::default();
        let Some(rule) = rule_of(&policy, plan.rule) else {
            self.run.ask = Arc::clone(&self.client);
            return Ok(Ruling::Stay);
        };
        let effects = changed(&self.client, &rule.then).map_err(baton_dialect::DecodeError::from)?;
        self.run.ask = effects.map_or_else(|| Arc::clone(&self.client), |(ask, _wordless)| Arc::new(ask));
        if let Some(most) = rule.then.max_turns {
            self.machine.limit_turns(most);
        }
        if rule.then.stop || rule.then.refuse.is_some() {
            self.report.planned = Some(plan.reason);
            self.run.plan = Some((inputs, plan.table));
            return Ok(Ruling::Stop);
        }
        let active = self.place(self.machine.active());
        let pushed_out = active.and_then(|at| plan.table.get(usize::try_from(at).ok()?)).is_some_and(
            |row| matches!(&row.verdict, Verdict::Rejected(rejection) if rejection.stage == Stage::Rules),
        );
        let to = plan.handoff.or_else(|| plan.order.first().copied().filter(|_| pushed_out));
        let to = to.filter(|_| self.run.pool.handoff.by_rules());
        let Some(to) = to.filter(|to| Some(*to) != active) else { return Ok(Ruling::Stay) };
        let to = usize::try_from(to).unwrap_or(usize::MAX);
        let Some(member) = self.legs.members.iter().position(|member| member.candidate == to) else {
            return Ok(Ruling::Stay);
        };
        self.report.planned = Some(plan.reason);
        self.run.plan = Some((inputs, plan.table));
        Ok(Ruling::Go(member))
    }

    fn rule(&self, at: Option<u32>) -> Option<&Rule> {
        rule_of(&self.run.pool.policy, at)
    }

    /// Records a transfer that does not happen in this run.
    pub(super) fn set_aside(&mut self, aside: &Aside) -> Result<(), Refusal> {
        let active = self.machine.active();
        let from = self.target(active);
        let name = from.as_ref().map(ToString::to_string).unwrap_or_default();
        let (kind, to, reason) = match aside {
            Aside::Later { to, .. } if self.has_steps_before(*to) => {
                let stays = self.candidate(active);
                let why = "its steps come first, and the client's tools are to be answered";
                (DecisionKind::Stay, stays, Reason::in_run(RunEvent::Denied { from: &name, why }))
            }
            Aside::Later { to, .. } => {
                self.report.later = Some(*to);
                let to = self.candidate(*to);
                let other = to.as_ref().map(|to| to.target.to_string()).unwrap_or_default();
                let event = RunEvent::CallsGoToClient { from: &name, to: &other };
                (DecisionKind::Handoff, to, Reason::in_run(event))
            }
            Aside::TextIsFinal { .. } => {
                let stays = self.candidate(active);
                (DecisionKind::Stay, stays, Reason::in_run(RunEvent::TextIsFinal { from: &name }))
            }
        };
        self.record(kind, to.as_ref(), from, reason)
    }

    /// Records that a guard ended the run.
    pub(super) fn stop(&mut self, guard: Guard) -> Result<(), Refusal> {
        let from = self.target(self.machine.active());
        let name = from.as_ref().map(ToString::to_string).unwrap_or_default();
        let limits = self.machine.terms().limits;
        let event = match guard {
            Guard::MaxHandoffs => RunEvent::MaxHandoffs(limits.max_handoffs),
            Guard::PingPong => {
                let before = self.machine.moves().last().and_then(|last| self.target(last.from));
                let other = before.map(|before| before.to_string()).unwrap_or_default();
                let reason = Reason::in_run(RunEvent::PingPong { from: &name, to: &other });
                return self.record(DecisionKind::Stop, None, from, reason);
            }
            Guard::Budget => RunEvent::BudgetReached(limits.budget.unwrap_or_default()),
            Guard::Tokens => {
                let most = limits.max_tokens.unwrap_or_default();
                let text = format!("the run ends because it has used its {most} tokens");
                let reason = Reason { code: ReasonCode::BudgetReached, text, source: ReasonSource::Policy };
                self.run.plan = None;
                return self.record(DecisionKind::Stop, None, from, reason);
            }
            Guard::MaxTurns | Guard::Rule | Guard::Depth => RunEvent::MaxTurns(self.machine.turn()),
        };
        if guard != Guard::Rule {
            // A plan that was made for a turn that does not come is no part of the end.
            self.run.plan = None;
        }
        let ruled = self.report.planned.take().filter(|_| guard == Guard::Rule);
        self.record(DecisionKind::Stop, None, from, ruled.unwrap_or_else(|| Reason::in_run(event)))
    }

    /// Writes down a decision that no attempt follows.
    pub(super) fn record(
        &mut self,
        kind: DecisionKind,
        to: Option<&Candidate>,
        from: Option<Target>,
        reason: Reason,
    ) -> Result<(), Refusal> {
        self.run.turn = self.machine.turn().max(1);
        self.run.hop = self.machine.hop();
        let mut decision = self.run.decision(&self.engine, kind, to, from, reason);
        decision.attempt = false;
        if self.agents.is_some() {
            decision.handoff = Some(Box::new(self.agents_note(kind, HandoffNote::default())));
        }
        let receipt = self.engine.journal.append(&Record::Decision(Box::new(decision)));
        self.report.receipt = Some(receipt.map_err(|error| not_recordable(&error))?);
        Ok(())
    }

    /// What planning looks at, now.
    fn inputs(&self, tools_done: bool, asked: Option<Asked>) -> Box<Inputs> {
        let mut inputs = self.basis.clone();
        let added = self.machine.added(self.machine.active());
        let said: usize = added.iter().map(baton_run::size).sum();
        inputs.features.input_tokens += u64::try_from(said).unwrap_or(u64::MAX).div_ceil(4);
        for candidate in &mut inputs.candidates {
            let keys = self.run.keys(&candidate.target);
            let health = &self.engine.outlook.health;
            candidate.health = health.view(&candidate.target, keys, None, Instant::now());
        }
        inputs.judged = None;
        if let Some(context) = &mut inputs.context {
            context.turn = self.machine.turn() + 1;
        }
        if let Some(target) = self.target(self.machine.active()) {
            inputs.current = Some(Current { target, cached_tokens: 0 });
        }
        inputs.run = Some(Box::new(RunInputs {
            turn: self.machine.turn() + 1,
            hop: self.machine.hop(),
            handoffs: self.machine.handoffs(),
            tools_done,
            asked,
        }));
        inputs
    }
}

fn rule_of(policy: &Policy, at: Option<u32>) -> Option<&Rule> {
    policy.document.rules.get(usize::try_from(at?).ok()?)
}
