//! Judges whether a step of a run counts.
//!
//! A step is everything that becomes true of a run at once: where it has come to, what it told, which calls
//! it is about to make or has made, and who may go on with it. A store reads what is there under a lock, asks
//! here, and writes what it is told.
//!
//! - Start with [`judge`].
//! - **Invariant:** a step counts once, however often it is sent: who did not hear the answer may ask again.
//! - **Invariant:** a call that was begun in an earlier epoch is begun again only by who says so.
//! - **Never here:** clocks, I/O.

use std::fmt;

use baton_model::RunId;

use super::port::RunStatus;
use crate::subject::half_digest;

/// The most bytes that the events of one run may have, before they are packed and sealed.
pub const MOST_EVENT_BYTES: u64 = 64 * 1024 * 1024;

/// What a call of a run is known by. Ids of calls are chosen by models: of any length, with anything in them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallKey(Box<str>);

impl CallKey {
    /// The key of the call with this id.
    #[must_use]
    pub fn of(call: &str) -> Self {
        Self(half_digest(call.as_bytes()).into())
    }

    /// A key as it was stored.
    #[must_use]
    pub fn from_stored(text: String) -> Self {
        Self(text.into())
    }

    /// As it is stored.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A call with effects, as it is stored.
#[derive(Clone, PartialEq, Eq)]
pub struct KnownCall {
    /// Which one.
    pub call: CallKey,
    /// In which epoch it was begun or, with a result, ended.
    pub epoch: u64,
    /// What came of it, sealed; nothing while that is not known.
    pub result: Option<Vec<u8>>,
}

impl fmt::Debug for KnownCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("KnownCall");
        shown.field("call", &self.call).field("epoch", &self.epoch).field("ended", &self.result.is_some());
        shown.finish()
    }
}

/// What is said of a call.
#[derive(Clone, PartialEq, Eq)]
pub enum CallMark {
    /// It is about to be made for the first time.
    Begun(CallKey),
    /// It is about to be made although it may have been made before.
    BegunAgain(CallKey),
    /// It was made, with this result, sealed.
    Ended(CallKey, Vec<u8>),
}

impl fmt::Debug for CallMark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Begun(_) => "Begun",
            Self::BegunAgain(_) => "BegunAgain",
            Self::Ended(..) => "Ended",
        };
        f.debug_tuple(name).field(self.call()).finish()
    }
}

impl CallMark {
    /// Which call.
    #[must_use]
    pub const fn call(&self) -> &CallKey {
        match self {
            Self::Begun(call) | Self::BegunAgain(call) | Self::Ended(call, _) => call,
        }
    }
}

/// Events of one step.
#[derive(Clone, PartialEq, Eq)]
pub struct NewBatch {
    /// How many.
    pub count: u64,
    /// How many bytes they were before they were packed and sealed.
    pub bytes: u64,
    /// The events, sealed.
    pub body: Vec<u8>,
}

impl fmt::Debug for NewBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewBatch").field("count", &self.count).finish_non_exhaustive()
    }
}

/// What follows a step.
#[derive(Clone, PartialEq, Eq)]
pub enum Then {
    /// The same holder goes on, and holds the run until then.
    Hold {
        /// The end of the lease.
        until_ms: u64,
    },
    /// Nobody holds it until it is due or woken.
    Rest {
        /// How it is shown meanwhile.
        status: RunStatus,
        /// When it goes on by itself.
        due_ms: Option<u64>,
    },
    /// It is over.
    End {
        /// How it ended.
        status: RunStatus,
        /// What came of it, sealed.
        result: Vec<u8>,
        /// From when on it is not there any more.
        expires_ms: u64,
    },
}

impl fmt::Debug for Then {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hold { until_ms } => f.debug_struct("Hold").field("until_ms", until_ms).finish(),
            Self::Rest { status, due_ms } => {
                f.debug_struct("Rest").field("status", status).field("due_ms", due_ms).finish()
            }
            Self::End { status, .. } => f.debug_struct("End").field("status", status).finish_non_exhaustive(),
        }
    }
}

/// A step as it is to be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepRow {
    /// Of which run.
    pub run: RunId,
    /// The epoch of its holder.
    pub epoch: u64,
    /// How many events there were before.
    pub before: u64,
    /// The time.
    pub now_ms: u64,
    /// Where it has come to, sealed; nothing where that did not change.
    pub checkpoint: Option<Vec<u8>>,
    /// What it told.
    pub events: Option<NewBatch>,
    /// What is said of calls.
    pub calls: Vec<CallMark>,
    /// What follows.
    pub then: Then,
}

/// What is stored of a run, read under a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// How often it was taken.
    pub epoch: u64,
    /// Whether somebody holds it.
    pub is_held: bool,
    /// How it is shown.
    pub status: RunStatus,
    /// How many events it has.
    pub events: u64,
    /// How many bytes those are.
    pub event_bytes: u64,
    /// Whether somebody asked it to stop.
    pub cancelled: bool,
}

/// What a store does with a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// Writes it.
    Write(Change),
    /// Writes nothing: it is answered like this.
    Answer(Stepped),
}

/// How the row of a run changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// How it is shown.
    pub status: RunStatus,
    /// When it ended.
    pub ended_ms: Option<u64>,
    /// From when on it is not there any more, where that changes.
    pub expires_ms: Option<u64>,
    /// From when on it may be taken.
    pub due_ms: Option<u64>,
    /// Whether its holder keeps it.
    pub is_kept: bool,
    /// Whether it waits for an answer from now on: one to an earlier question goes.
    pub awaits_answer: bool,
    /// How many events are added.
    pub events: u64,
    /// How many bytes those are.
    pub event_bytes: u64,
    /// What its holder is told.
    pub cancelled: bool,
}

/// What came of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stepped {
    /// It counts.
    Done {
        /// Whether somebody asked the run to stop.
        cancelled: bool,
    },
    /// The run is not this holder's any more, or there is none. Whatever the holder still does of it is in vain.
    Lost,
    /// It does not follow what is stored.
    Refused(Refusal),
}

/// Why a step does not follow what is stored. Nothing of it was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The holder has missed events, or made some up.
    #[error("the step follows event {said}, and the run has {there}")]
    OutOfOrder {
        /// How many events the holder knows.
        said: u64,
        /// How many there are.
        there: u64,
    },
    /// The run has told as much as it may.
    #[error("the events of the run have {MOST_EVENT_BYTES} bytes, and may not have more")]
    Full,
    /// A call is begun for the first time, and was begun before.
    #[error("the call was begun before, in epoch {epoch}")]
    BegunBefore {
        /// When that was.
        epoch: u64,
    },
    /// A call is begun or ended, and has a result.
    #[error("the call has a result already")]
    HasResult,
    /// A call is ended that was not begun.
    #[error("the call was not begun")]
    NotBegun,
}

/// Says what a store does with a step, from what it holds. `calls` are at least those that the step names.
#[must_use]
pub fn judge<'a>(
    held: Option<&Held>,
    calls: impl Fn(&CallKey) -> Option<&'a KnownCall>,
    step: &StepRow,
) -> Judgement {
    let Some(held) = held.filter(|held| held.epoch == step.epoch) else {
        return Judgement::Answer(Stepped::Lost);
    };
    let cancelled = held.cancelled;
    if is_repeated(held, step) {
        return Judgement::Answer(Stepped::Done { cancelled });
    }
    if !held.is_held {
        return Judgement::Answer(Stepped::Lost);
    }
    if held.events != step.before {
        let refusal = Refusal::OutOfOrder { said: step.before, there: held.events };
        return Judgement::Answer(Stepped::Refused(refusal));
    }
    let (count, bytes) = step.events.as_ref().map_or((0, 0), |batch| (batch.count, batch.bytes));
    let is_end = matches!(step.then, Then::End { .. });
    if count > 0 && !is_end && held.event_bytes.saturating_add(bytes) > MOST_EVENT_BYTES {
        return Judgement::Answer(Stepped::Refused(Refusal::Full));
    }
    if let Some(refusal) = step.calls.iter().find_map(|mark| refusal_of(mark, calls(mark.call()), step)) {
        return Judgement::Answer(Stepped::Refused(refusal));
    }
    Judgement::Write(change(held, step, count, bytes))
}

/// Whether this step is stored already, and its holder did not hear so. Between two steps of a holder
/// nobody else changes the number of events, nor whether the run is held, without another epoch.
fn is_repeated(held: &Held, step: &StepRow) -> bool {
    let follows = match step.then {
        Then::Hold { .. } => held.is_held,
        Then::Rest { .. } => !held.is_held && !held.status.is_end(),
        Then::End { status, .. } => held.status == status && status.is_end(),
    };
    let count = step.events.as_ref().map_or(0, |batch| batch.count);
    let has_events = held.events == step.before.saturating_add(count);
    match step.then {
        // Without events it is written again, which changes nothing.
        Then::Hold { .. } => follows && has_events && count > 0,
        Then::Rest { .. } | Then::End { .. } => follows && has_events,
    }
}

fn refusal_of(mark: &CallMark, known: Option<&KnownCall>, step: &StepRow) -> Option<Refusal> {
    match (mark, known) {
        (CallMark::Begun(_) | CallMark::BegunAgain(_), None) => None,
        (CallMark::Begun(_) | CallMark::BegunAgain(_), Some(known)) if known.result.is_some() => {
            Some(Refusal::HasResult)
        }
        (CallMark::Begun(_), Some(known)) if known.epoch != step.epoch => {
            Some(Refusal::BegunBefore { epoch: known.epoch })
        }
        (CallMark::Begun(_) | CallMark::BegunAgain(_), Some(_)) => None,
        (CallMark::Ended(..), None) => Some(Refusal::NotBegun),
        (CallMark::Ended(..), Some(known)) => {
            (known.result.is_some() && known.epoch != step.epoch).then_some(Refusal::HasResult)
        }
    }
}

fn change(held: &Held, step: &StepRow, events: u64, event_bytes: u64) -> Change {
    let kept = Change {
        status: held.status,
        ended_ms: None,
        expires_ms: None,
        due_ms: None,
        is_kept: false,
        awaits_answer: matches!(step.then, Then::Rest { status: RunStatus::RequiresAction, .. }),
        events,
        event_bytes,
        cancelled: held.cancelled,
    };
    match step.then {
        Then::Hold { until_ms } => Change { due_ms: Some(until_ms), is_kept: true, ..kept },
        // Who was asked to stop is not left to rest: somebody has to end it.
        Then::Rest { status, .. } if held.cancelled => Change { status, due_ms: Some(step.now_ms), ..kept },
        Then::Rest { status, due_ms } => Change { status, due_ms, ..kept },
        Then::End { status, expires_ms, .. } => {
            Change { status, ended_ms: Some(step.now_ms), expires_ms: Some(expires_ms), ..kept }
        }
    }
}

#[cfg(test)]
mod tests;
