//! Says what a store of keys has to do. Both stores implement it, one suite checks both.
//!
//! The store is asked at start, on a change, and when the ring refreshes; never for a request.
//!
//! - Start with [`KeyStore`].
//! - **Invariant:** the revision grows by every committed change, and by nothing else.
//! - **Never here:** a secret; only its MAC reaches a store.

use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::KeyRecord;

/// A store that is asked for changes and says nothing for so long counts as away. A connection to a
/// machine that is gone may be silent for many minutes.
pub(crate) const ANSWERS_WITHIN: Duration = Duration::from_secs(3);

/// A boxed future, so that [`KeyStore`] can be a `dyn` trait.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Where keys live for good.
///
/// # What every implementation holds to
///
/// - **Revision.** One counter per store, 0 while it never held a key. Each successful `insert` and
///   `update` adds at least 1 to it in the same transaction and writes the new value into the stored
///   record's `revision`. It never goes back, also across restarts and replicas.
/// - **A list is one moment.** [`KeyList::revision`] and [`KeyList::records`] come from one snapshot:
///   a change counted in the revision is in the records.
/// - **Compare and set.** `update` takes effect only if the stored record still has the revision that
///   the caller saw. Two operators at once cannot undo each other's revocation.
/// - **Committed means durable.** When `insert` or `update` returns `Ok`, the change survives a crash.
/// - **Nothing is deleted.** Revoked and expired records stay: decisions point at them.
pub trait KeyStore: fmt::Debug + Send + Sync + 'static {
    /// The present revision. Cheap: it is polled.
    fn revision(&self) -> BoxFuture<'_, Result<u64, KeyStoreError>>;

    /// Every record, revoked and expired ones too, by id (that is, oldest first), with the revision.
    fn list(&self) -> BoxFuture<'_, Result<KeyList, KeyStoreError>>;

    /// Adds a record; the given `revision` is ignored. Returns the new revision.
    ///
    /// # Errors
    ///
    /// `Duplicate` when the id or the `mac` is already there.
    fn insert<'a>(&'a self, record: &'a KeyRecord) -> BoxFuture<'a, Result<u64, KeyStoreError>>;

    /// Replaces the record of that id as a whole, if the stored one still has `record.revision`.
    /// Returns the new revision.
    ///
    /// # Errors
    ///
    /// `NotFound` when there is no such id, `Conflict` when the stored revision is another one,
    /// `Duplicate` when its `mac` belongs to another key. Nothing is changed then.
    fn update<'a>(&'a self, record: &'a KeyRecord) -> BoxFuture<'a, Result<u64, KeyStoreError>>;
}

/// All keys at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyList {
    /// The store's revision at that moment.
    pub revision: u64,
    /// Every record, oldest first.
    pub records: Vec<KeyRecord>,
}

/// What the caller of a [`KeyStore`] can do about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyStoreErrorKind {
    /// The store cannot be reached, or did not answer in time. Trying again can help.
    Unavailable,
    /// No record has this id.
    NotFound,
    /// The record was changed by somebody else since it was read: read it again.
    Conflict,
    /// The id or the MAC is already taken.
    Duplicate,
    /// The store answered with something that is not a key record.
    Corrupt,
}

/// A failure of a [`KeyStore`].
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct KeyStoreError {
    kind: KeyStoreErrorKind,
    message: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl KeyStoreError {
    /// An error of this kind; the message says what was tried, in lower case and without a secret.
    pub fn new(kind: KeyStoreErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    /// Adds what caused it.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What the caller can do about it.
    #[must_use]
    pub const fn kind(&self) -> KeyStoreErrorKind {
        self.kind
    }
}
