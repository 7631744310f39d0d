//! Knows where the decisions are that the store does not have yet.
//!
//! Bounded: when the store stays away for long, the oldest places are forgotten, and a reader is
//! told `not yet visible` until the relay has caught up. Evidence is never in here only.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;

use baton_model::{DecisionId, RunId};

/// Where an entry begins: segment, then offset in it. Places sort in the order of writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) segment: u64,
    pub(crate) offset: u64,
}

/// What an entry is, as far as the index needs to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Decision { id: DecisionId, run: RunId, attempt: bool },
    Outcome { decision: DecisionId },
    Other,
}

/// Where a decision and its outcome are, as far as they are in the journal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Places {
    pub(crate) decision: Option<Place>,
    pub(crate) outcome: Option<Place>,
}

#[derive(Debug, Default)]
pub(crate) struct Index {
    limit: usize,
    decisions: BTreeMap<DecisionId, (Place, RunId)>,
    outcomes: BTreeMap<DecisionId, Place>,
    order: VecDeque<(Place, DecisionId)>,
    /// A place and its time, at most one for each second: for the age of what is not relayed.
    times: VecDeque<(Place, u64)>,
}

impl Index {
    pub(crate) fn with_limit(limit: usize) -> Self {
        Self { limit, ..Self::default() }
    }

    pub(crate) fn note(&mut self, place: Place, at_ms: u64, kind: Kind) {
        if self.times.back().is_none_or(|(_, last)| at_ms >= last.saturating_add(1_000)) {
            self.times.push_back((place, at_ms));
        }
        match kind {
            Kind::Decision { id, run, .. } => {
                self.decisions.insert(id, (place, run));
                self.order.push_back((place, id));
            }
            Kind::Outcome { decision } => {
                self.outcomes.insert(decision, place);
                self.order.push_back((place, decision));
            }
            Kind::Other => {}
        }
        if self.order.len() > self.limit {
            self.forget_first();
        }
    }

    /// Forgets everything before this place: the store has it.
    pub(crate) fn forget_before(&mut self, end: Place) {
        while self.order.front().is_some_and(|(place, _)| *place < end) {
            self.forget_first();
        }
        // The last mark before the end still speaks for entries behind it.
        while self.times.get(1).is_some_and(|(place, _)| *place <= end) {
            self.times.pop_front();
        }
    }

    /// The time of the oldest entry that is not relayed, to the second.
    pub(crate) fn oldest_ms(&self) -> Option<u64> {
        self.times.front().map(|(_, at_ms)| *at_ms)
    }

    pub(crate) fn find(&self, id: DecisionId) -> Places {
        Places {
            decision: self.decisions.get(&id).map(|(place, _)| *place),
            outcome: self.outcomes.get(&id).copied(),
        }
    }

    /// The decisions of a run, oldest first. None is older than its run.
    pub(crate) fn of_run(&self, run: RunId) -> Vec<DecisionId> {
        let since = DecisionId::from_parts(run.unix_ms().saturating_sub(1_000), [0; 10]);
        let later = self.decisions.range((Bound::Included(since), Bound::Unbounded));
        let mut found: Vec<(Place, DecisionId)> =
            later.filter(|(_, (_, of))| *of == run).map(|(id, (place, _))| (*place, *id)).collect();
        // Ids of one millisecond sort by chance; the journal knows the order.
        found.sort_unstable_by_key(|(place, _)| *place);
        found.into_iter().map(|(_, id)| id).collect()
    }

    fn forget_first(&mut self) {
        let Some((place, id)) = self.order.pop_front() else { return };
        if self.decisions.get(&id).is_some_and(|(at, _)| *at == place) {
            self.decisions.remove(&id);
        }
        if self.outcomes.get(&id) == Some(&place) {
            self.outcomes.remove(&id);
        }
    }
}

#[cfg(test)]
mod tests;
