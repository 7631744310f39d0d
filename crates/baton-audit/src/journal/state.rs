//! What the journal's lock protects.

use std::collections::{HashSet, VecDeque};
use std::fs::File;
use std::sync::Arc;
use std::time::Instant;

use baton_model::DecisionId;

use super::index::{Index, Place};
use super::options::JournalError;
use super::read::Mark;
use super::segment::{SEGMENT_HEADER, Segment, Spare};
use crate::Record;
use crate::chain::Hash;

/// Space kept for the outcome of each open attempt. No outcome is longer: its two texts are cut.
pub(super) const OUTCOME_RESERVE: u64 = 4096;

#[derive(Debug)]
pub(super) struct State {
    pub(super) seq: u64,
    pub(super) hash: Hash,
    pub(super) active: Segment,
    pub(super) spares: VecDeque<Spare>,
    pub(super) spares_made: u64,
    pub(super) preparing: bool,
    pub(super) prepare_after: Option<Instant>,
    /// A segment that the store has: the next spare is made of it.
    pub(super) worn: Option<Segment>,
    /// Older segments that the store does not have yet, oldest first.
    pub(super) closed: VecDeque<Segment>,
    /// Segments that were closed since the last sync.
    pub(super) unsynced: Vec<Arc<File>>,
    /// Whether a segment got its name since the last sync.
    pub(super) renamed: bool,
    pub(super) synced: Place,
    pub(super) synced_seq: u64,
    pub(super) wanted_seq: u64,
    pub(super) wanted_since: Option<Instant>,
    pub(super) sleep: Sleep,
    pub(super) phase: Phase,
    pub(super) checkpoint_seq: u64,
    pub(super) open: HashSet<DecisionId>,
    pub(super) kept: u64,
    pub(super) index: Index,
    pub(super) relayed: Mark,
    pub(super) failed: Option<Arc<str>>,
}

/// What is synced, and whether more can be.
#[derive(Clone, Debug, Default)]
pub(super) struct Progress {
    pub(super) seq: u64,
    pub(super) failed: Option<Arc<str>>,
}

/// How far the journal's life is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Open,
    /// The chain has its end.
    Closed,
    /// The threads are to leave.
    Stopping,
}

/// What the syncing thread is waiting for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sleep {
    /// Nothing: it runs.
    Awake,
    /// Any entry.
    ForEntries,
    /// A caller that waits.
    ForWaiters,
}

impl State {
    /// The state of a chain without entries, behind what earlier chains left.
    pub(super) fn begin(active: Segment, left: Vec<Segment>, index: Index) -> Self {
        let first = left.first().unwrap_or(&active).number;
        Self {
            seq: 0,
            hash: Hash::GENESIS,
            synced: active.end_place(),
            active,
            spares: VecDeque::new(),
            spares_made: 0,
            preparing: false,
            prepare_after: None,
            worn: None,
            kept: left.iter().map(|segment| segment.end - SEGMENT_HEADER).sum(),
            closed: left.into(),
            unsynced: Vec::new(),
            renamed: true,
            synced_seq: 0,
            wanted_seq: 0,
            wanted_since: None,
            sleep: Sleep::Awake,
            phase: Phase::Open,
            checkpoint_seq: 0,
            open: HashSet::new(),
            index,
            relayed: Mark::start_of(first),
            failed: None,
        }
    }

    pub(super) fn check_open(&mut self, record: &Record) -> Result<(), JournalError> {
        let is_outcome = matches!(record, Record::Outcome(_));
        // An outcome is still worth writing: it survives a killed process at least.
        if let Some(why) = self.failed.as_ref().filter(|_| !is_outcome) {
            return Err(JournalError::SyncFailed(Arc::clone(why)));
        }
        // The end is signed too.
        let signs_end = self.phase == Phase::Closed && matches!(record, Record::Checkpoint(_));
        if self.phase != Phase::Open && !signs_end {
            return Err(JournalError::Closed);
        }
        if matches!(record, Record::CleanStop { .. }) {
            self.phase = Phase::Closed;
        }
        Ok(())
    }

    pub(super) fn reserved(&self) -> u64 {
        self.open.len() as u64 * OUTCOME_RESERVE
    }

    /// Bytes that can be written without asking the file system for more, if the next entry has
    /// so many: what it does not fit into is left over.
    pub(super) fn room_for(&self, len: u64) -> u64 {
        let spare: u64 = self.spares.iter().map(|spare| spare.capacity - SEGMENT_HEADER).sum();
        let active = self.active.remaining();
        if active < len { spare } else { spare + active }
    }

    /// Whether the next segment would take an entry of so many bytes.
    pub(super) fn next_takes(&self, len: u64) -> bool {
        self.spares.front().is_some_and(|spare| spare.capacity - SEGMENT_HEADER >= len)
    }

    pub(super) fn backlog(&self) -> u64 {
        let from = self.relayed.place;
        let left = |segment: &Segment| {
            let start = if segment.number == from.segment { from.offset } else { SEGMENT_HEADER };
            if segment.number < from.segment { 0 } else { segment.end.saturating_sub(start) }
        };
        self.closed.iter().map(left).sum::<u64>() + left(&self.active)
    }

    /// A segment, and where its entries end.
    pub(super) fn segment(&self, number: u64) -> Option<(Segment, u64)> {
        let mut all = self.closed.iter().chain(std::iter::once(&self.active));
        all.find(|segment| segment.number == number).map(|segment| (segment.clone(), segment.end))
    }

    /// The segment to read on in, and where its synced entries end.
    pub(super) fn synced_from(&self, from: Place) -> Option<(Segment, u64)> {
        let mut all = self.closed.iter().chain(std::iter::once(&self.active));
        let segment = all.find(|segment| segment.number >= from.segment)?;
        let end = if segment.number < self.synced.segment {
            segment.end
        } else if segment.number == self.synced.segment {
            self.synced.offset
        } else {
            return None;
        };
        let is_last = segment.number == self.active.number;
        let is_read = segment.number == from.segment && from.offset >= end;
        (!(is_last && is_read)).then(|| (segment.clone(), end))
    }
}
