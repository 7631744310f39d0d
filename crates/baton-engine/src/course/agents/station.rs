//! Agents at work: how their turns are sent, which of their models answers, and where they are left.

use std::sync::Arc;
use std::time::Duration;

use baton_model::Target;
use baton_policy::Candidate;
use baton_run::{By, Cause, Event, ToolCall};
use baton_tools::{Called, OfferedTool};

use super::{Way, internal, turn_end};
use crate::Refusal;
use crate::attempt::{Body, Opened};
use crate::leg::AgentLeg;
use crate::prepare::Converted;
use crate::sticky::{Held, WithAgent};

impl Way {
    /// Closes the scenes whose tasks are done.
    pub(in crate::course) fn close_scenes(&mut self) {
        let open = self.machine.errands() + 1;
        if let Some(agents) = &mut self.agents {
            agents.scenes.truncate(open);
        }
    }

    /// Sets the run up as the active agent works.
    pub(in crate::course) fn take_station(&mut self) {
        let active = self.machine.active();
        self.close_scenes();
        let Some(agents) = &self.agents else { return };
        let Some(station) = agents.station(active) else { return };
        self.run.ask = Arc::clone(&station.ask);
        self.run.pool = station.pool.clone();
        self.run.input_tokens = station.basis.features.input_tokens;
        self.run.converted = Converted::default();
    }

    /// What of a turn is its agent's; none in a pool of models.
    pub(in crate::course) fn agent_leg(&self) -> Option<Box<AgentLeg>> {
        let member = self.machine.active();
        let station = self.agents.as_ref()?.station(member)?;
        let tools = station.tools.iter().map(OfferedTool::to_tool).collect();
        Some(Box::new(AgentLeg { member, tools, settings: station.settings.clone() }))
    }

    /// Notes which model an agent's answer came from.
    pub(in crate::course) fn answered_by(&mut self, target: &Target) {
        let active = self.machine.active();
        let station = self.agents.as_mut().and_then(|it| it.scenes.last_mut()?.stations.get_mut(&active));
        if let Some(station) = station
            && let Some(candidate) = station.order.iter().find(|candidate| candidate.target == *target)
        {
            station.current = candidate.clone();
        }
    }

    /// The model that an agent works with, or would first.
    pub(in crate::course) fn agents_candidate(&self, member: usize) -> Option<Candidate> {
        let agents = self.agents.as_ref()?;
        if let Some(station) = agents.scenes.iter().rev().find_map(|scene| scene.stations.get(&member)) {
            return Some(station.current.clone());
        }
        let first = agents.agent(member)?.models.first().map(|(name, _)| name.clone())?;
        self.run.settings.catalog.candidate(first.as_str()).ok()
    }

    /// Who stands in for an agent's model in the middle of its hop.
    pub(in crate::course) fn agents_others(&self, member: usize) -> Vec<Candidate> {
        let Some(station) = self.agents.as_ref().and_then(|agents| agents.station(member)) else {
            return Vec::new();
        };
        let failed = self.failure.as_ref().map(|(target, _)| target);
        let is_other = |it: &&Candidate| it.target != station.current.target && Some(&it.target) != failed;
        station.order.iter().filter(is_other).cloned().collect()
    }

    /// What the most costly turn of the active agent is counted from: its request, and how much it may say.
    pub(in crate::course) fn agents_worst(&self) -> Option<(usize, Option<u64>)> {
        let station = self.agents.as_ref()?.station(self.machine.active())?;
        Some((station.ask.body.body().len(), station.basis.features.max_output_tokens))
    }

    /// A turn of a task ended. The client sees nothing of it.
    pub(in crate::course) fn aside_ended(&mut self, opened: Opened) -> Result<Event, Refusal> {
        let Opened { target, body: Body::Turn(mut turn), receipt, .. } = opened else {
            return Err(Refusal::failed(internal("a task's turn in pieces"), self.no_head()));
        };
        self.report.turn(&self.machine, &target, &turn.ended, receipt);
        self.note_aside(&turn);
        let parts = std::mem::take(&mut turn.answer.parts);
        Ok(Event::Ended(turn_end(&target, &turn, parts)))
    }

    /// Calls a tool of the active agent's folders, if it is one of theirs.
    pub(in crate::course) async fn call_folder(&self, call: &ToolCall, patience: Duration) -> Option<Called> {
        let agent = self.agents.as_ref()?.agent(self.machine.active())?;
        let folder = agent.folders.iter().find(|folder| folder.has(&call.name))?;
        Some(folder.call(&call.name, &call.arguments, patience).await)
    }

    /// Which agent has the conversation from now on, and who waits for it.
    pub(in crate::course) fn with_agent(&self) -> Option<Box<WithAgent>> {
        let agents = self.agents.as_ref()?;
        let holder = self.machine.holder();
        let mut waiting: Vec<usize> = self.machine.waiting().collect();
        let mut active = holder;
        if let Some(later) = self.report.later {
            let way = self.machine.terms().team.as_ref().and_then(|team| team.way(holder, later));
            if way.is_some_and(|way| way.returns) {
                waiting.push(holder);
            }
            active = later;
        }
        let names = |members: Vec<usize>| members.into_iter().map(|at| agents.name(at).to_owned()).collect();
        Some(Box::new(WithAgent {
            entry: agents.name(agents.entry).to_owned(),
            active: agents.name(active).to_owned(),
            waiting: names(waiting),
        }))
    }

    /// What is remembered of a conversation of agents, and of any other.
    pub(in crate::course) fn held(&self, current: baton_policy::Current, handed: bool) -> Held {
        match self.with_agent() {
            // Another agent is another request: no plan is to stay with a target for it.
            Some(agent) => Held { current, handed: false, agent: Some(agent) },
            None => Held { current, handed, agent: None },
        }
    }

    /// Whether the last turn's conversation goes back, or on, to another agent: the client's stream says so.
    pub(in crate::course) fn announces(&self) -> Option<String> {
        let agents = self.agents.as_ref().filter(|_| !self.machine.is_aside())?;
        let moved = matches!(self.machine.cause(), Cause::HandedOver | Cause::Unavailable)
            || self.machine.cause() == Cause::Returned
                && self.machine.moves().last().is_some_and(|last| last.by == By::Return);
        moved.then(|| agents.name(self.machine.active()).to_owned())
    }
}
