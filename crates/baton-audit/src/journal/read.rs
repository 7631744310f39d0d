//! Reads entries back: by id for a caller, in order for the relay.
//!
//! - **Invariant:** the relay is shown synced entries only.

use std::fs;

use baton_model::{BootId, DecisionId, RunId};

use super::Journal;
use super::index::{Place, Places};
use super::options::JournalError;
use super::segment::{EntryReader, ReadError, SEGMENT_HEADER, Segment};
use crate::chain::Hash;
use crate::frame;
use crate::{Decision, Outcome, Record};

/// A decision and its outcome as the journal has them, each with its chain and number.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) decision: Option<(Box<Decision>, BootId, u64)>,
    pub(crate) outcome: Option<(Box<Outcome>, BootId, u64)>,
}

/// A place between two entries, to read on from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(super) place: Place,
    /// The hash before it; `None` at the start of a segment, whose header has it.
    previous: Option<Hash>,
}

/// How much is read at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReadLimit {
    pub(crate) entries: usize,
    pub(crate) bytes: usize,
}

/// Consecutive entries of one chain, as they stand in the journal.
#[derive(Debug)]
pub(crate) struct Stretch {
    pub(crate) boot: BootId,
    /// The hash before the first of them.
    pub(crate) previous: Hash,
    pub(crate) frames: Vec<u8>,
    pub(crate) end: Mark,
}

impl Journal {
    /// The decision and its outcome, as far as they are here and the store may not have them.
    pub(crate) fn find(&self, id: DecisionId) -> Result<Found, JournalError> {
        let places = self.shared.lock().index.find(id);
        self.read_places(places)
    }

    /// The decisions of a run that are here, oldest first.
    pub(crate) fn find_run(&self, run: RunId) -> Result<Vec<Found>, JournalError> {
        let places: Vec<Places> = {
            let state = self.shared.lock();
            state.index.of_run(run).into_iter().map(|id| state.index.find(id)).collect()
        };
        places.into_iter().map(|places| self.read_places(places)).collect()
    }

    /// The synced entries from a place on, up to a limit; of one segment, and so of one chain.
    pub(crate) fn read(&self, from: Option<Mark>, limit: ReadLimit) -> Result<Option<Stretch>, JournalError> {
        let mut from = from.unwrap_or_else(|| self.shared.lock().relayed);
        loop {
            let (segment, end) = {
                let state = self.shared.lock();
                let Some((segment, end)) = state.synced_from(from.place) else { return Ok(None) };
                (segment, end)
            };
            if segment.number > from.place.segment {
                from = Mark::start_of(segment.number);
            }
            if from.place.offset >= end {
                from = Mark::start_of(segment.number + 1);
                continue;
            }
            return read_stretch(&segment, from, end, limit).map(Some);
        }
    }

    /// Deletes what the store has for good: everything before this place. One file is kept for the
    /// next spare.
    pub(crate) fn release(&self, until: Mark) -> Result<(), JournalError> {
        let whole = self.shared.options.segment_bytes;
        let mut worn = None;
        let mut deleted = Vec::new();
        {
            let mut state = self.shared.lock();
            if until.place > state.relayed.place {
                state.relayed = until;
            }
            state.index.forget_before(until.place);
            while let Some(segment) = state.closed.pop_front_if(|segment| segment.end_place() <= until.place)
            {
                state.kept = state.kept.saturating_sub(segment.end - SEGMENT_HEADER);
                if state.worn.is_none() && worn.is_none() && segment.capacity == whole {
                    worn = Some(segment);
                } else {
                    deleted.push(segment.path);
                }
            }
        }
        if let Some(segment) = worn {
            let path = segment.path.clone();
            let worn = segment.wear(&self.shared.options.dir);
            let doing = "put a relayed segment aside";
            self.shared.lock().worn =
                Some(worn.map_err(|source| JournalError::Io { doing, path, source })?);
        }
        for path in deleted {
            fs::remove_file(&path).map_err(|source| JournalError::Io {
                doing: "delete a relayed segment",
                path,
                source,
            })?;
        }
        Ok(())
    }

    fn read_places(&self, places: Places) -> Result<Found, JournalError> {
        let mut found = Found::default();
        if let Some((Record::Decision(decision), boot, seq)) =
            places.decision.map(|place| self.read_entry(place)).transpose()?.flatten()
        {
            found.decision = Some((decision, boot, seq));
        }
        if let Some((Record::Outcome(outcome), boot, seq)) =
            places.outcome.map(|place| self.read_entry(place)).transpose()?.flatten()
        {
            found.outcome = Some((outcome, boot, seq));
        }
        Ok(found)
    }

    /// Reads an entry; `None` when its segment was relayed and deleted meanwhile.
    fn read_entry(&self, place: Place) -> Result<Option<(Record, BootId, u64)>, JournalError> {
        let Some((segment, end)) = self.shared.lock().segment(place.segment) else { return Ok(None) };
        let unreadable =
            |why: String| JournalError::Unreadable { segment: place.segment, offset: place.offset, why };
        let mut reader = EntryReader::new(&segment.file, place.offset, end);
        let bytes = reader.next_entry().map_err(|error| unreadable(error.to_string()))?;
        let frame = frame::read(bytes.unwrap_or_default()).map_err(|error| unreadable(error.to_string()))?;
        let frame = frame.ok_or_else(|| unreadable("nothing is there".to_owned()))?;
        let record = Record::read(frame.payload).map_err(|error| unreadable(error.to_string()))?;
        Ok(Some((record, segment.boot, frame.seq)))
    }
}

impl Mark {
    pub(super) const fn start_of(segment: u64) -> Self {
        Self { place: Place { segment, offset: SEGMENT_HEADER }, previous: None }
    }
}

fn read_stretch(segment: &Segment, from: Mark, end: u64, limit: ReadLimit) -> Result<Stretch, JournalError> {
    let mut reader = EntryReader::new(&segment.file, from.place.offset, end);
    let previous = from.previous.unwrap_or(segment.previous);
    let mut last = previous;
    let mut frames = Vec::new();
    let mut entries = 0;
    while entries < limit.entries && frames.len() < limit.bytes {
        let offset = reader.offset();
        match reader.next_entry() {
            Ok(Some(bytes)) => {
                last = frame::hash_of(bytes);
                frames.extend_from_slice(bytes);
            }
            Ok(None) => break,
            Err(ReadError::Io(source)) => {
                return Err(JournalError::Io { doing: "read", path: segment.path.clone(), source });
            }
            Err(ReadError::Frame(error)) => {
                let (segment, why) = (segment.number, error.to_string());
                return Err(JournalError::Unreadable { segment, offset, why });
            }
        }
        entries += 1;
    }
    let place = Place { segment: segment.number, offset: reader.offset() };
    if frames.is_empty() {
        let (segment, offset, why) = (segment.number, place.offset, "nothing is there".to_owned());
        return Err(JournalError::Unreadable { segment, offset, why });
    }
    let end = Mark { place, previous: Some(last) };
    Ok(Stretch { boot: segment.boot, previous, frames, end })
}
