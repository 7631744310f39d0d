//! Writes one entry: the long work before the lock, one `pwrite` in it.

use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::failpoint::Failpoint;
use super::index::Kind;
use super::options::{JournalError, Receipt};
use super::segment::{Header, SEGMENT_HEADER, Spare};
use super::state::{OUTCOME_RESERVE, Sleep, State};
use super::{Shared, first_segment_bytes};
use crate::frame::{self, Draft};
use crate::{Outcome, Record};

/// Content is taken until the journal is so full; the rest of it is for decisions.
const CONTENT_PART: u64 = 2;

/// How long the file system is left alone after it had no room.
pub(super) const RETRY_PREPARE: Duration = Duration::from_secs(1);

impl Shared {
    pub(super) fn append(&self, record: &Record, frame: &mut Vec<u8>) -> Result<Receipt, JournalError> {
        let cut;
        let record = match record {
            Record::Outcome(outcome) if has_long_text(outcome) => {
                cut = Record::Outcome(Box::new(cut_texts(outcome)));
                &cut
            }
            _ => record,
        };
        frame.clear();
        frame.resize(frame::HEADER, 0);
        serde_json::to_writer(&mut *frame, record).map_err(JournalError::Encode)?;
        let draft = Draft::of(frame).ok_or(JournalError::TooLong(frame.len()))?;
        let (kind, at_ms) = describe(record);
        let starts_sync = matches!(kind, Kind::Decision { attempt: true, .. });

        let mut state = self.lock();
        state.check_open(record)?;
        let bound = match record {
            // What is wanted beside must not be why a request is refused.
            Record::Content(_) => self.options.max_bytes / CONTENT_PART,
            record if is_of_requests(record) => self.options.max_bytes,
            _ => u64::MAX,
        };
        self.make_room(&mut state, kind, frame.len() as u64, bound)?;
        let seq = state.seq + 1;
        let hash = draft.seal(frame, state.hash, seq);
        self.write(&state, frame)?;
        let place = state.active.end_place();
        state.active.end += frame.len() as u64;
        state.kept += frame.len() as u64;
        state.seq = seq;
        state.hash = hash;
        state.index.note(place, at_ms, kind);
        match kind {
            Kind::Decision { id, attempt: true, .. } => {
                state.open.insert(id);
            }
            Kind::Outcome { decision } => {
                state.open.remove(&decision);
            }
            Kind::Decision { .. } | Kind::Other => {}
        }
        if starts_sync {
            self.want_locked(&mut state, seq);
        } else if state.sleep == Sleep::ForEntries {
            self.wake(&mut state);
        }
        Ok(Receipt { seq })
    }

    fn write(&self, state: &State, frame: &[u8]) -> Result<(), JournalError> {
        let failpoints = &self.options.failpoints;
        failpoints
            .reach(Failpoint::BeforeWrite)
            .and_then(|()| state.active.file.write_all_at(frame, state.active.end))
            .and_then(|()| failpoints.reach(Failpoint::AfterWrite))
            .map_err(|source| JournalError::Io {
                doing: "write an entry",
                path: state.active.path.clone(),
                source,
            })
    }

    /// Makes sure that the entry fits, and with it the outcomes of all open attempts.
    fn make_room(&self, state: &mut State, kind: Kind, len: u64, bound: u64) -> Result<(), JournalError> {
        let is_reserved = matches!(kind, Kind::Outcome { decision } if state.open.contains(&decision));
        if !is_reserved {
            let outcome =
                if matches!(kind, Kind::Decision { attempt: true, .. }) { OUTCOME_RESERVE } else { 0 };
            // One reserve more: what is left over at the end of a segment is lost.
            let wanted = len + outcome + state.reserved() + OUTCOME_RESERVE;
            if state.kept + wanted > bound {
                return Err(JournalError::Full { used: state.kept + state.reserved(), limit: bound });
            }
            if state.room_for(len) < wanted {
                self.add_spare(state, wanted)?;
            }
        }
        if state.active.remaining() < len {
            if !state.next_takes(len) {
                self.add_spare(state, len)?;
            }
            self.rotate(state)?;
        }
        if state.spares.is_empty() && state.active.remaining() < state.active.capacity / 2 {
            self.ask_for_spare(state);
        }
        Ok(())
    }

    /// Makes a spare segment here and now: the thread that does it ahead of time was too slow, or
    /// the disk was full when it tried.
    fn add_spare(&self, state: &mut State, wanted: u64) -> Result<(), JournalError> {
        let limit = self.options.max_bytes;
        let full = JournalError::Full { used: state.kept + state.reserved(), limit };
        if state.prepare_after.is_some_and(|after| Instant::now() < after) {
            return Err(full);
        }
        let bytes = first_segment_bytes(&self.options).max(wanted + SEGMENT_HEADER);
        state.spares_made += 1;
        match Spare::create(&self.options.dir, state.spares_made, bytes, false) {
            Ok(spare) => {
                state.spares.push_front(spare);
                Ok(())
            }
            Err(error) => {
                tracing::warn!(error = %error, "no room for another segment of the journal");
                state.prepare_after = Some(Instant::now() + RETRY_PREPARE);
                Err(full)
            }
        }
    }

    /// Whether another attempt would be refused. While the disk is what has no room, it is asked again
    /// now and then: a gateway that nobody sends requests to must notice that there is room.
    pub(super) fn is_full(&self, state: &mut State) -> bool {
        // An entry of an ordinary length, its outcome, and what is left over at the end of a segment.
        let wanted = 3 * OUTCOME_RESERVE + state.reserved();
        let disk = state.prepare_after.is_some() && state.room_for(OUTCOME_RESERVE) < wanted;
        if disk {
            self.ask_for_spare(state);
        }
        disk || state.kept + wanted > self.options.max_bytes
    }

    pub(super) fn ask_for_spare(&self, state: &mut State) {
        let due = state.prepare_after.is_none_or(|after| Instant::now() >= after);
        if !state.preparing && due && self.prepare.try_send(()).is_ok() {
            state.preparing = true;
        }
    }

    fn rotate(&self, state: &mut State) -> Result<(), JournalError> {
        let dir = &self.options.dir;
        let Some(spare) = state.spares.pop_front() else {
            let limit = self.options.max_bytes;
            return Err(JournalError::Full { used: state.kept + state.reserved(), limit });
        };
        let header = Header {
            number: state.active.number + 1,
            boot: self.boot,
            first_seq: state.seq + 1,
            previous: state.hash,
        };
        let segment = spare.activate(dir, header).map_err(|source| JournalError::Io {
            doing: "begin a segment",
            path: dir.clone(),
            source,
        })?;
        let old = std::mem::replace(&mut state.active, segment);
        state.unsynced.push(Arc::clone(&old.file));
        state.closed.push_back(old);
        state.renamed = true;
        Ok(())
    }
}

fn describe(record: &Record) -> (Kind, u64) {
    match record {
        Record::Decision(decision) => {
            let kind = Kind::Decision { id: decision.id, run: decision.run, attempt: decision.attempt };
            (kind, decision.at_ms)
        }
        Record::Outcome(outcome) => (Kind::Outcome { decision: outcome.decision }, outcome.at_ms),
        other => (Kind::Other, other.at_ms()),
    }
}

/// Whether requests make such records. The bound is on them only: what an operator and the journal
/// itself write is little, and a full journal must still begin, take a revocation, and end.
const fn is_of_requests(record: &Record) -> bool {
    matches!(record, Record::Decision(_) | Record::Outcome(_) | Record::Feedback(_))
}

/// The longest text of an upstream's that an outcome keeps.
const TEXT_KEPT: usize = 256;

fn has_long_text(outcome: &Outcome) -> bool {
    [&outcome.upstream_id, &outcome.upstream_model].into_iter().flatten().any(|text| text.len() > TEXT_KEPT)
}

fn cut_texts(outcome: &Outcome) -> Outcome {
    let cut = |text: &Option<String>| {
        text.as_ref()
            .map(|text| text.get(..text.floor_char_boundary(TEXT_KEPT)).unwrap_or_default().to_owned())
    };
    Outcome {
        upstream_id: cut(&outcome.upstream_id),
        upstream_model: cut(&outcome.upstream_model),
        ..outcome.clone()
    }
}
