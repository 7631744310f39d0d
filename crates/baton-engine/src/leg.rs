//! What one turn of a longer run adds to the request, and how its answer joins those before.

use std::sync::Arc;

use baton_audit::HandoffNote;
use baton_dialect::{Changed, JoinLane, Joiner};
use baton_model::{Dialect, RawJson, Target, Tool};
use baton_run::{History, Machine};

use crate::pump::{Calls, Join};
use crate::said::Said;

/// One turn.
pub(crate) struct Leg {
    /// The run as it stood when the turn was asked for.
    pub(crate) machine: Machine,
    pub(crate) terms: Arc<LegTerms>,
    /// The client's stream so far; none where the answer is whole.
    pub(crate) joiner: Option<Joiner>,
    /// What is announced on the client's stream when this turn begins.
    pub(crate) announcement: Vec<(&'static str, RawJson)>,
    /// What the conversation came to before the present hop, where the target is told that instead of it.
    pub(crate) summary: Option<Arc<str>>,
    /// Whether tools of the gateway's were run: the call that the client demands was made then.
    pub(crate) called: bool,
    /// The agent whose turn it is; none in a pool of models.
    pub(crate) agent: Option<Box<AgentLeg>>,
    /// What the hand-over to this turn's target says in its record; none for other turns.
    pub(crate) note: Option<Box<HandoffNote>>,
}

/// A turn of an agent.
pub(crate) struct AgentLeg {
    /// Its place in the team.
    pub(crate) member: usize,
    /// The tools that the gateway runs for it.
    pub(crate) tools: Vec<Tool>,
    /// Members of the request that have another value at a target.
    pub(crate) settings: Vec<(Target, Vec<(String, RawJson)>)>,
}

/// What is the same for every turn of a run.
pub(crate) struct LegTerms {
    pub(crate) lane: JoinLane,
    pub(crate) members: Vec<LegMember>,
    /// The tools that the gateway runs.
    pub(crate) tools: Vec<Tool>,
    pub(crate) history: History,
}

/// A member of the pool, as its turns are sent.
pub(crate) struct LegMember {
    pub(crate) target: Target,
    /// Where it stands among the plan's candidates.
    pub(crate) candidate: usize,
    /// Members of the request that have another value for it.
    pub(crate) settings: Vec<(String, RawJson)>,
}

impl LegTerms {
    /// What stands in the record of a hand-over.
    pub(crate) fn history_word(&self) -> String {
        match self.history {
            History::Full => "full".to_owned(),
            History::LastN(most) => format!("last_{most}"),
            History::Summary => "summary".to_owned(),
            History::None => "none".to_owned(),
        }
    }

    /// The member with this target; one that a rule brought in is none, and gets no additions of its own.
    pub(crate) fn member(&self, target: &Target) -> Option<usize> {
        self.members.iter().position(|member| member.target == *target)
    }
}

impl Leg {
    /// The tools that stand behind the client's: those of servers, then the transfers.
    pub(crate) fn tools(&self, member: usize) -> Vec<Tool> {
        let own = self.agent.as_ref().map_or(&self.terms.tools, |agent| &agent.tools);
        let mut tools = own.clone();
        tools.extend(self.machine.terms().tools(member));
        tools
    }

    /// Who takes the turn, when it goes to this target.
    pub(crate) fn member(&self, target: &Target) -> Option<usize> {
        self.agent.as_ref().map_or_else(|| self.terms.member(target), |agent| Some(agent.member))
    }

    pub(crate) fn settings(&self, member: usize, target: &Target) -> &[(String, RawJson)] {
        if let Some(agent) = &self.agent {
            let of_target = agent.settings.iter().find(|(of, _)| of == target);
            return of_target.map_or(&[], |(_, settings)| settings);
        }
        self.terms.members.get(member).map_or(&[], |member| &member.settings)
    }

    /// How much the present hop sees of what was before it.
    pub(crate) fn history(&self) -> History {
        match (self.machine.handed_at(), self.terms.history) {
            (None, _) => History::Full,
            // Without a summary the target sees all.
            (Some(_), History::Summary) if self.summary.is_none() => History::Full,
            (Some(_), history) => history,
        }
    }

    /// A copy of the client's stream for one attempt, with what it begins with.
    pub(crate) fn joins(&self, upstream: Dialect, model: &str, changed: &Changed) -> Option<(Join, Vec<u8>)> {
        let mut joiner = self.joiner.clone()?;
        let mut opening = Vec::new();
        joiner.begin(upstream, model);
        if !changed.is_nothing() {
            joiner.change_back(changed.stream());
        }
        if !self.announcement.is_empty() {
            joiner.announce(&self.announcement, &mut opening);
        }
        Some((Join { joiner, calls: Calls(self.machine.gate()), said: Said::new(upstream) }, opening))
    }
}
