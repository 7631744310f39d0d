//! Says what a store of responses has to do. Both stores implement it, one suite checks both.
//!
//! Whether something may be read is asked of the store together with the reading: a row of another
//! principal, or one that has expired, is not there.
//!
//! - Start with [`ResponseStore`].
//! - **Invariant:** a response ends once; what comes later changes nothing.
//! - **Never here:** plain content. `input` and `body` are sealed before they come here.

use std::fmt;
use std::str::FromStr;

use baton_model::RunId;

use super::ResponseId;
use crate::error::{BoxFuture, StateError, StateErrorKind};
use crate::subject::Subject;

/// Where responses are kept until they expire or are deleted.
pub trait ResponseStore: fmt::Debug + Send + Sync + 'static {
    /// Adds a response.
    ///
    /// # Errors
    /// `Duplicate` when its id is taken.
    fn insert_response<'a>(&'a self, row: &'a ResponseRow) -> BoxFuture<'a, Result<(), StateError>>;

    /// Gives a response that has not ended another status and body.
    fn update_response<'a>(
        &'a self,
        change: &'a ResponseChange,
    ) -> BoxFuture<'a, Result<Updated, StateError>>;

    /// The response of this id, if it is this principal's and has not expired.
    fn response<'a>(
        &'a self,
        principal: &'a str,
        id: ResponseId,
        now_ms: u64,
    ) -> BoxFuture<'a, Result<Option<ResponseRow>, StateError>>;

    /// Removes it. Whether there was one that this principal could read.
    fn delete_response<'a>(
        &'a self,
        principal: &'a str,
        id: ResponseId,
        now_ms: u64,
    ) -> BoxFuture<'a, Result<bool, StateError>>;

    /// The response and what it goes on from, the newest first, as of one moment. Ends at the first that
    /// cannot be read, and with the first that is beyond the bounds, of which the content is left out.
    fn response_chain<'a>(
        &'a self,
        principal: &'a str,
        id: ResponseId,
        now_ms: u64,
        bounds: Bounds,
    ) -> BoxFuture<'a, Result<Vec<ResponseRow>, StateError>>;

    /// Removes at most so many that have expired, and says how many those were.
    fn drop_expired_responses(&self, now_ms: u64, limit: u32) -> BoxFuture<'_, Result<u64, StateError>>;

    /// How many there are of this subject, with those that have expired and are not removed yet.
    fn count_responses<'a>(&'a self, subject: &'a Subject) -> BoxFuture<'a, Result<u64, StateError>>;

    /// Removes at most so many of this subject, and says how many those were.
    fn erase_responses<'a>(
        &'a self,
        subject: &'a Subject,
        limit: u32,
    ) -> BoxFuture<'a, Result<u64, StateError>>;
}

/// How far back a conversation is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// At most so many responses.
    pub depth: u32,
    /// At most so many bytes of input and output together.
    pub bytes: u64,
}

/// A response as it is stored.
#[derive(Clone, PartialEq, Eq)]
pub struct ResponseRow {
    /// Its id.
    pub id: ResponseId,
    /// Who may read it.
    pub principal: String,
    /// Whose content it is.
    pub subject: Subject,
    /// The run that makes it, where one does so in the background.
    pub run: Option<RunId>,
    /// The response it goes on from.
    pub previous: Option<ResponseId>,
    /// How far it is.
    pub status: ResponseStatus,
    /// When it was begun.
    pub created_ms: u64,
    /// When it ended.
    pub ended_ms: Option<u64>,
    /// From when on it is not there any more.
    pub expires_ms: u64,
    /// How long the input was before it was packed and sealed.
    pub input_bytes: u64,
    /// The same of the body.
    pub body_bytes: u64,
    /// Its own input items, sealed.
    pub input: Vec<u8>,
    /// The response object, sealed.
    pub body: Vec<u8>,
}

impl fmt::Debug for ResponseRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("ResponseRow");
        shown.field("id", &self.id).field("status", &self.status).finish_non_exhaustive()
    }
}

/// What becomes of a response.
#[derive(Clone, PartialEq, Eq)]
pub struct ResponseChange {
    /// Which one.
    pub id: ResponseId,
    /// Whose.
    pub principal: String,
    /// How far it is now.
    pub status: ResponseStatus,
    /// When it ended, if it has.
    pub ended_ms: Option<u64>,
    /// How long the body was before it was packed and sealed.
    pub body_bytes: u64,
    /// The response object, sealed.
    pub body: Vec<u8>,
}

impl fmt::Debug for ResponseChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("ResponseChange");
        shown.field("id", &self.id).field("status", &self.status).finish_non_exhaustive()
    }
}

/// What came of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Updated {
    /// It is stored.
    Done,
    /// The response had ended before: it stays as it was.
    Ended,
    /// There is none, or none any more.
    Gone,
}

/// How far a response is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ResponseStatus {
    /// Nobody has begun it.
    Queued,
    /// It is being made.
    InProgress,
    /// It is whole.
    Completed,
    /// It ended early, with what there was.
    Incomplete,
    /// It ended with an error.
    Failed,
    /// Its caller did not want it any more.
    Cancelled,
}

impl ResponseStatus {
    const ALL: [Self; 6] =
        [Self::Queued, Self::InProgress, Self::Completed, Self::Incomplete, Self::Failed, Self::Cancelled];

    /// As it is on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::InProgress => "in_progress",
            Self::Completed => "completed",
            Self::Incomplete => "incomplete",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether nothing follows.
    #[must_use]
    pub const fn is_end(self) -> bool {
        !matches!(self, Self::Queued | Self::InProgress)
    }
}

impl FromStr for ResponseStatus {
    type Err = StateError;

    fn from_str(text: &str) -> Result<Self, StateError> {
        let known = Self::ALL.into_iter().find(|status| status.as_str() == text);
        known.ok_or_else(|| StateError::new(StateErrorKind::Corrupt, "the store holds an unknown status"))
    }
}
