//! Counts what agents do that rarely ends well, as the lints at load name it.

use baton_policy::AgentMoveBy;
use baton_run::{By, Machine};
use baton_telemetry::{AgentPattern, Pattern};

use super::{Agents, Way};

/// More targets than a model tells apart well.
const MANY_TARGETS: usize = 5;

/// So many conversations within each other cost more than they bring.
const DEEP: usize = 4;

/// So many hand-overs in a row, a coordinator would do better.
const LONG_CHAIN: u32 = 4;

impl Agents {
    /// The agent that a run begins with.
    pub(super) fn count_first(&self, machine: &Machine, at: usize) {
        self.count_targets(machine, at);
    }

    fn count_targets(&self, machine: &Machine, at: usize) {
        let agent = machine.terms().team.as_ref().and_then(|team| team.agent(at));
        if agent.is_some_and(|agent| agent.ways.len() > MANY_TARGETS || agent.errands.len() > MANY_TARGETS) {
            AgentPattern { pattern: Pattern::ManyTargets, agent: self.name(at) }.emit();
        }
    }
}

impl Way {
    /// An agent that comes to work. The machine has not made the move yet.
    pub(super) fn count_arrival(&self, to: usize, by: AgentMoveBy) {
        let Some(agents) = &self.agents else { return };
        let count = |pattern: Pattern| AgentPattern { pattern, agent: agents.name(to) }.emit();
        agents.count_targets(&self.machine, to);
        let from = self.machine.active();
        let team = self.machine.terms().team.as_ref();
        let returns = team.and_then(|team| team.way(from, to)).is_some_and(|way| way.returns);
        let nests = by == AgentMoveBy::Task || by == AgentMoveBy::Handoff && returns;
        if nests && self.machine.depth() + 1 >= DEEP {
            count(Pattern::Depth);
        }
        if by != AgentMoveBy::Forced && agents.agent(to).is_some_and(|agent| agent.vague) {
            count(Pattern::Vague);
        }
        if nests || by == AgentMoveBy::Task {
            return;
        }
        let moves = self.machine.moves().iter().filter(|moved| !moved.undone && moved.by != By::Return);
        if moves.clone().any(|moved| (moved.from, moved.to) == (to, from)) {
            count(Pattern::PingPong);
        }
        if self.machine.handoffs() + 1 == LONG_CHAIN {
            count(Pattern::Chain);
        }
        // Who was handed the conversation in this run hands it on, and not to who began.
        if by == AgentMoveBy::Handoff && to != agents.entry && moves.clone().any(|moved| moved.to == from) {
            count(Pattern::NoCoordinator);
        }
    }
}
