//! Has agents come to work: after a hand-over, for a task, and back where they waited.

use std::collections::HashMap;
use std::sync::Arc;

use baton_audit::DecisionKind;
use baton_model::FinishReason;
use baton_policy::{AgentMove, AgentMoveBy};
use baton_run::{Event, Task};

use super::plan::{Edits, Place, Planning};
use super::{Absent, Arrival, PREFIX, Scene, Station, Way, internal, request_of};
use crate::Refusal;
use crate::consider::Considered;
use crate::course::Stage;
use crate::run::Choice;

impl Way {
    /// Has an agent come to work: plans it, does the steps before a hand-over, and has the next decision say so.
    pub(in crate::course) async fn arrive(
        &mut self,
        to: usize,
        by: AgentMoveBy,
        task: Option<&Task>,
    ) -> Event {
        self.close_scenes();
        if task.is_some() {
            return match self.arrival(to, by, task, &Edits::default()).await {
                Ok(()) => {
                    self.count_arrival(to, by);
                    Event::Granted
                }
                Err(absent) => self.absent(to, absent),
            };
        }
        let before = self.agents.as_mut().and_then(|agents| agents.take_out(to));
        if let Err(absent) = self.arrival(to, by, None, &Edits::default()).await {
            self.put_back(to, before);
            return self.absent(to, absent);
        }
        let event = self.with_steps(to, by, before).await;
        if matches!(event, Event::Granted | Event::Briefed(_)) {
            self.count_arrival(to, by);
        }
        event
    }

    /// Does the steps before a hand-over that was planned, and what follows from them.
    async fn with_steps(&mut self, to: usize, by: AgentMoveBy, before: Option<Station>) -> Event {
        let Some(done) = self.before_handoff(to).await else { return Event::Granted };
        let briefing = done.briefing();
        if let Some(why) = done.veto {
            self.next = None;
            self.run.plan = None;
            self.put_back(to, before);
            let name = self.machine.terms().members.name(to).to_owned();
            if let Some(agents) = &mut self.agents {
                agents.vetoed = Some(name.clone());
            }
            return Event::Denied(format!(
                "not handed over: agent `{name}` does not take the conversation now: {why}"
            ));
        }
        if done.changed || done.edits() {
            let edits = Edits { prepend: done.prepend, append: done.append };
            self.run.plan = None;
            if let Err(absent) = self.arrival(to, by, None, &edits).await {
                self.next = None;
                self.put_back(to, before);
                return self.absent(to, absent);
            }
        }
        briefing.map_or(Event::Granted, Event::Briefed)
    }

    /// What a model is told whose agent cannot work.
    fn absent(&mut self, to: usize, absent: Absent) -> Event {
        let name = self.machine.terms().members.name(to);
        match absent {
            Absent::NoModel { stops: true, reason, inputs, table } => {
                self.report.planned = Some(reason);
                self.run.plan = Some((inputs, table));
                Event::Ruled(baton_run::Ruling::Stop)
            }
            Absent::NoModel { reason, .. } => Event::Denied(format!(
                "not done: agent `{name}` cannot work now ({}). Answer yourself, or turn to another.",
                reason.code.as_str()
            )),
            Absent::Refused(refusal) => {
                let why = refusal.code.as_deref().unwrap_or("its request cannot be made");
                Event::Denied(format!("not done: agent `{name}` cannot work now ({why}). Answer yourself."))
            }
        }
    }

    /// An agent that does not come to work stays where it was.
    fn put_back(&mut self, to: usize, before: Option<Station>) {
        let Some(scene) = self.agents.as_mut().and_then(|agents| agents.scenes.last_mut()) else { return };
        match before {
            Some(station) => scene.stations.insert(to, station),
            None => scene.stations.remove(&to),
        };
    }

    pub(super) async fn arrival(
        &mut self,
        to: usize,
        by: AgentMoveBy,
        task: Option<&Task>,
        edits: &Edits,
    ) -> Result<(), Absent> {
        self.close_scenes();
        let active = self.machine.active();
        let from = match by {
            AgentMoveBy::Return => self.machine.back_from().unwrap_or(active),
            AgentMoveBy::Handoff | AgentMoveBy::Forced => active,
            AgentMoveBy::Task => self.agents.as_ref().and_then(|it| it.tasked_by).unwrap_or(active),
        };
        let lost = || Absent::from(Refusal::failed(internal("an agent that is not there"), self.no_head()));
        let agents = self.agents.as_ref().ok_or_else(lost)?;
        let crew = Arc::clone(&agents.crew);
        let agent = crew.agents.get(to).ok_or_else(lost)?;
        let base = match task {
            Some(task) => request_of(&self.client, &format!("{PREFIX}{}", agent.name), task)
                .map(Arc::new)
                .ok_or_else(lost)?,
            None => Arc::clone(&agents.scene().ok_or_else(lost)?.base),
        };
        let moved = AgentMove { from: agents.name(from).to_owned(), to: agent.name.clone(), by };
        let engine = Arc::clone(&self.engine);
        let settings = Arc::clone(&self.run.settings);
        let place = Place { settings: &settings, machine: &self.machine, context: &agents.context };
        let base = agents.with_variables(base);
        let prepared = engine.prepare_agent(place, to, &base, edits, &mut self.tools).await?;
        if let Some(tools) = &self.tools {
            self.report.opened(tools);
        }
        let Considered { pool, mut inputs, probes, .. } = prepared.considered;
        self.run.probes.extend(probes);
        if task.is_none() {
            let said: usize = self.machine.added(active).iter().map(baton_run::size).sum();
            inputs.features.input_tokens += u64::try_from(said).unwrap_or(u64::MAX).div_ceil(4);
        }
        if let Some(context) = &mut inputs.context {
            context.turn = self.machine.turn() + 1;
        }
        inputs.agent = Some(Box::new(moved));
        let planning =
            Planning { pool, inputs, ask: prepared.ask, tools: prepared.tools, agent: Some(agent) };
        let arrival = engine.plan_agent(&mut self.run, planning, &mut self.tools).await?;
        if let Some(tools) = &self.tools {
            self.report.opened(tools);
        }
        let Arrival { station, reason, inputs, table } = arrival;
        let kind = match by {
            AgentMoveBy::Handoff | AgentMoveBy::Forced => DecisionKind::Handoff,
            AgentMoveBy::Task => DecisionKind::Delegate,
            AgentMoveBy::Return => DecisionKind::Return,
        };
        let candidate = station.current.clone();
        let choice = Choice {
            kind,
            from: self.target(from),
            reason,
            credential: engine.first_credential(&self.run, &candidate.target),
            candidate,
        };
        self.retries = station.retries;
        self.next = Some((choice, station.order.iter().skip(1).cloned().collect()));
        self.run.plan = Some((inputs, table));
        self.machine.equip(to, station.tools.iter().map(|tool| tool.name.clone()).collect());
        let Some(agents) = &mut self.agents else { return Ok(()) };
        if task.is_some() {
            agents.scenes.push(Scene { base, stations: HashMap::from([(to, station)]) });
        } else if let Some(scene) = agents.scenes.last_mut() {
            scene.stations.insert(to, station);
        }
        Ok(())
    }

    /// Has the active agent come to work that waited since an earlier request; one that works already stays as it
    /// is.
    pub(in crate::course) async fn come_back(&mut self) -> Result<(), Refusal> {
        let active = self.machine.active();
        if self.agents.as_ref().is_none_or(|agents| agents.station(active).is_some()) {
            return Ok(());
        }
        match self.arrival(active, AgentMoveBy::Return, None, &Edits::default()).await {
            Ok(()) => {
                self.take_station();
                Ok(())
            }
            Err(Absent::Refused(refusal)) => Err(*refusal),
            Err(Absent::NoModel { reason, inputs, table, .. }) => {
                self.run.plan = Some((inputs, table));
                let refusal = Refusal::new(crate::RefusalKind::NotEligible, reason.text.clone());
                let from = self.report.last_target();
                self.record(DecisionKind::Stop, None, from, reason)?;
                // What others have answered is the answer then.
                if let Some(agents) = &mut self.agents {
                    agents.is_stranded = self.report.spoke();
                }
                Err(refusal)
            }
        }
    }

    /// The end of a run whose next turn cannot be asked for.
    pub(in crate::course) fn refused(&self, refusal: Box<Refusal>) -> Stage {
        if self.agents.as_ref().is_some_and(|agents| agents.is_stranded) {
            return Stage::End(FinishReason::Length);
        }
        Stage::Failed(refusal)
    }
}
