//! Says what a store of runs has to do. Both stores implement it, one suite checks both.
//!
//! - Start with [`RunStore`].
//! - **Invariant:** of two that claim at once, one gets a run; each claim has a larger epoch than the one before.
//! - **Invariant:** a step of an epoch that is over changes nothing.
//! - **Never here:** plain content. Whatever a client or a model said is sealed before it comes here.

use std::fmt;
use std::str::FromStr;

use baton_model::RunId;

use super::step::{KnownCall, StepRow, Stepped};
use crate::error::{BoxFuture, StateError, StateErrorKind};
use crate::subject::Subject;

/// Where runs are kept, with what is needed to go on with them.
pub trait RunStore: fmt::Debug + Send + Sync + 'static {
    /// Adds a run.
    ///
    /// # Errors
    /// `Duplicate` when its id is taken.
    fn insert_run<'a>(&'a self, run: &'a NewRunRow) -> BoxFuture<'a, Result<(), StateError>>;

    /// Takes runs that are due: those that are due longest first.
    fn claim_runs<'a>(&'a self, claim: &'a Claim) -> BoxFuture<'a, Result<Vec<ClaimedRow>, StateError>>;

    /// Makes leases longer. Names those that were still held, and whether somebody asked them to stop.
    fn renew_runs<'a>(
        &'a self,
        leases: &'a [LeaseRow],
        until_ms: u64,
    ) -> BoxFuture<'a, Result<Vec<Renewed>, StateError>>;

    /// Takes steps in one transaction; each is judged by itself ([`judge`](super::step::judge)). No two of
    /// them are of one run. The answers are in their order.
    fn take_steps<'a>(&'a self, steps: &'a [StepRow]) -> BoxFuture<'a, Result<Vec<Stepped>, StateError>>;

    /// Asks a run to stop. One that nobody holds becomes due, so that somebody ends it. The run as it is
    /// then, if it is this principal's.
    fn cancel_run<'a>(
        &'a self,
        principal: &'a str,
        id: RunId,
        now_ms: u64,
    ) -> BoxFuture<'a, Result<Option<RunRow>, StateError>>;

    /// Makes a run due that requires action, puts the answer beside it, and shows it as `in_progress`. A run
    /// that does not wait stays as it is. The run as it is then, if it is this principal's.
    fn wake_run<'a>(&'a self, wake: &'a Wake) -> BoxFuture<'a, Result<Option<Woken>, StateError>>;

    /// The run of this id, if it is this principal's and has not expired.
    fn run<'a>(
        &'a self,
        principal: &'a str,
        id: RunId,
        now_ms: u64,
    ) -> BoxFuture<'a, Result<Option<WholeRunRow>, StateError>>;

    /// Removes a run, held or not. Whether there was one that this principal could read.
    fn delete_run<'a>(
        &'a self,
        principal: &'a str,
        id: RunId,
        now_ms: u64,
    ) -> BoxFuture<'a, Result<bool, StateError>>;

    /// A page of a principal's runs.
    fn runs<'a>(&'a self, page: &'a RunPage) -> BoxFuture<'a, Result<Vec<RunRow>, StateError>>;

    /// Events in order, from one number on, as many batches as fit in the bytes, but one at least. `None`
    /// where there is no such run of this principal.
    fn run_events<'a>(&'a self, page: &'a EventPage) -> BoxFuture<'a, Result<Option<EventRows>, StateError>>;

    /// Removes at most so many that have expired and that nobody holds, and says how many those were.
    fn drop_expired_runs(&self, now_ms: u64, limit: u32) -> BoxFuture<'_, Result<u64, StateError>>;

    /// How many there are of this subject.
    fn count_runs<'a>(&'a self, subject: &'a Subject) -> BoxFuture<'a, Result<u64, StateError>>;

    /// Removes at most so many of this subject, held or not, and says how many those were.
    fn erase_runs<'a>(&'a self, subject: &'a Subject, limit: u32) -> BoxFuture<'a, Result<u64, StateError>>;
}

/// What a run is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RunKind {
    /// A response that is made in the background.
    Response,
    /// A run of its own.
    Run,
    /// The news that a run has ended, until somebody has taken it.
    Notice,
}

impl RunKind {
    /// As it is stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Response => "response",
            Self::Run => "run",
            Self::Notice => "notice",
        }
    }
}

impl FromStr for RunKind {
    type Err = StateError;

    fn from_str(text: &str) -> Result<Self, StateError> {
        let known = [Self::Response, Self::Run, Self::Notice].into_iter().find(|kind| kind.as_str() == text);
        known
            .ok_or_else(|| StateError::new(StateErrorKind::Corrupt, "the store holds an unknown kind of run"))
    }
}

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RunStatus {
    /// Nobody has begun it.
    Queued,
    /// Somebody goes on with it, or will.
    InProgress,
    /// It waits for its caller.
    RequiresAction,
    /// It is whole.
    Completed,
    /// It ended where the conversation was handed over, as its caller wished.
    Handoff,
    /// It ended early, with what there was.
    Incomplete,
    /// It ended with an error.
    Failed,
    /// Its caller did not want it any more.
    Cancelled,
}

impl RunStatus {
    const ALL: [Self; 8] = [
        Self::Queued,
        Self::InProgress,
        Self::RequiresAction,
        Self::Completed,
        Self::Handoff,
        Self::Incomplete,
        Self::Failed,
        Self::Cancelled,
    ];

    /// As it is on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::InProgress => "in_progress",
            Self::RequiresAction => "requires_action",
            Self::Completed => "completed",
            Self::Handoff => "handoff",
            Self::Incomplete => "incomplete",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether nothing follows.
    #[must_use]
    pub const fn is_end(self) -> bool {
        !matches!(self, Self::Queued | Self::InProgress | Self::RequiresAction)
    }
}

impl FromStr for RunStatus {
    type Err = StateError;

    fn from_str(text: &str) -> Result<Self, StateError> {
        let known = Self::ALL.into_iter().find(|status| status.as_str() == text);
        known.ok_or_else(|| StateError::new(StateErrorKind::Corrupt, "the store holds an unknown status"))
    }
}

/// What is known of a run without opening anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunRow {
    /// Its id.
    pub id: RunId,
    /// What it is of.
    pub kind: RunKind,
    /// Who may read it.
    pub principal: String,
    /// Whose content it is.
    pub subject: Subject,
    /// How far it is.
    pub status: RunStatus,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: u64,
    /// When it ended.
    pub ended_ms: Option<u64>,
    /// From when on it is not there any more.
    pub expires_ms: u64,
    /// From when on it may be taken.
    pub due_ms: Option<u64>,
    /// Who holds it.
    pub owner: Option<String>,
    /// How often it was taken.
    pub epoch: u64,
    /// Whether somebody asked it to stop.
    pub cancelled: bool,
    /// How many events it has; the next has this number.
    pub events: u64,
}

/// A run that is to be stored.
#[derive(Clone, PartialEq, Eq)]
pub struct NewRunRow {
    /// Its id.
    pub id: RunId,
    /// What it is of.
    pub kind: RunKind,
    /// Who may read it.
    pub principal: String,
    /// Whose content it is.
    pub subject: Subject,
    /// When it was made.
    pub created_ms: u64,
    /// From when on it may be taken, by somebody else where it is held.
    pub due_ms: u64,
    /// Who holds it from the beginning, in epoch 1.
    pub owner: Option<String>,
    /// From when on it is not there any more.
    pub expires_ms: u64,
    /// What is to be done, sealed.
    pub request: Vec<u8>,
}

/// Wants runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Who wants them.
    pub owner: String,
    /// Of which kind.
    pub kind: RunKind,
    /// The time.
    pub now_ms: u64,
    /// Until when they are held.
    pub until_ms: u64,
    /// At most so many.
    pub limit: u32,
}

/// A run that was taken, with all that is needed to go on with it.
#[derive(Clone, PartialEq, Eq)]
pub struct ClaimedRow {
    /// The run, as it is now.
    pub run: RunRow,
    /// What stands beside it, sealed.
    pub parts: Parts,
    /// Its calls with effects.
    pub calls: Vec<KnownCall>,
}

/// A run with what its caller may see.
#[derive(Clone, PartialEq, Eq)]
pub struct WholeRunRow {
    /// The run.
    pub run: RunRow,
    /// What stands beside it, sealed.
    pub parts: Parts,
}

/// What stands beside a run, sealed.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Parts {
    /// What is to be done.
    pub request: Vec<u8>,
    /// Where it has come to.
    pub checkpoint: Option<Vec<u8>>,
    /// What its caller gave it when it waited.
    pub answer: Option<Vec<u8>>,
    /// What came of it.
    pub result: Option<Vec<u8>>,
}

impl Parts {
    /// How the parts are called, in the store too.
    pub const REQUEST: &str = "request";
    /// The same.
    pub const CHECKPOINT: &str = "checkpoint";
    /// The same.
    pub const ANSWER: &str = "answer";
    /// The same.
    pub const RESULT: &str = "result";

    /// Puts a part where it belongs.
    ///
    /// # Errors
    /// When there is none of this name.
    pub fn put(&mut self, part: &str, body: Vec<u8>) -> Result<(), StateError> {
        match part {
            Self::REQUEST => self.request = body,
            Self::CHECKPOINT => self.checkpoint = Some(body),
            Self::ANSWER => self.answer = Some(body),
            Self::RESULT => self.result = Some(body),
            _ => {
                return Err(StateError::new(
                    StateErrorKind::Corrupt,
                    "the store holds an unknown part of a run",
                ));
            }
        }
        Ok(())
    }
}

/// A lease as its holder knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseRow {
    /// Of which run.
    pub run: RunId,
    /// Which epoch.
    pub epoch: u64,
}

/// A lease that is longer now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Renewed {
    /// Of which run.
    pub run: RunId,
    /// Whether somebody asked it to stop.
    pub cancelled: bool,
}

/// Answers what a run waits for.
#[derive(Clone, PartialEq, Eq)]
pub struct Wake {
    /// Whose run.
    pub principal: String,
    /// Which.
    pub run: RunId,
    /// The time.
    pub now_ms: u64,
    /// The answer, sealed.
    pub answer: Vec<u8>,
}

/// What came of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Woken {
    /// The run goes on with it.
    Woken(RunRow),
    /// The run did not wait, or had an answer already.
    NotWaiting(RunRow),
}

/// Which runs of a principal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunPage {
    /// Whose.
    pub principal: String,
    /// Of which kind.
    pub kind: RunKind,
    /// The time: what has expired is left out.
    pub now_ms: u64,
    /// Where the page begins.
    pub start: RunPageStart,
    /// At most so many.
    pub limit: u32,
}

/// Where a page of runs begins. Pages have the newest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunPageStart {
    /// With the newest.
    Newest,
    /// With the newest that is older than this one.
    After(RunId),
    /// With the oldest that is newer than this one, at the end of the page.
    Before(RunId),
}

/// Which events of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventPage {
    /// Whose run.
    pub principal: String,
    /// Which.
    pub run: RunId,
    /// The time.
    pub now_ms: u64,
    /// The number of the first that is wanted.
    pub from: u64,
    /// At most so many bytes, before they were packed and sealed, unless the first batch has more.
    pub bytes: u64,
}

/// Events of a run, in the order of their numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventRows {
    /// The run, not younger than its events: what it says has ended is whole in them.
    pub run: RunRow,
    /// The events.
    pub batches: Vec<BatchRow>,
}

/// Events that were written together.
#[derive(Clone, PartialEq, Eq)]
pub struct BatchRow {
    /// The number of the first.
    pub first: u64,
    /// The number of the last.
    pub last: u64,
    /// The events, sealed.
    pub body: Vec<u8>,
}

macro_rules! debug_without_content {
    ($($name:ident: $field:ident),+) => {
        $(impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name)).field(stringify!($field), &self.$field).finish_non_exhaustive()
            }
        })+
    };
}

debug_without_content!(NewRunRow: id, Wake: run, ClaimedRow: run, WholeRunRow: run, BatchRow: first);

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts").finish_non_exhaustive()
    }
}
