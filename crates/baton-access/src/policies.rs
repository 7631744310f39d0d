//! Says what a store of policies has to do, and what it holds. Both stores implement it, one suite
//! checks both.
//!
//! The port stands beside that of the keys: both are an operator's settings under one revision, kept in
//! a local file signed with the same master key, and asked for by the same loop.
//!
//! - Start with [`PolicyStore`].
//! - **Invariant:** a version that was put is never changed or deleted: decisions name it.
//! - **Never here:** what a document means; it is a JSON value with a name and a hash.

use std::error::Error;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::BoxFuture;

/// Where policies live that are not in the file.
///
/// # What every implementation holds to
///
/// - **Revision.** One counter per store, 0 while it never held a policy. Each successful `put` and
///   `set` adds at least 1 to it in the same transaction. It never goes back.
/// - **A list is one moment.** What the revision counts is in the list.
/// - **Insert-only versions.** `put` adds; nothing changes or deletes a version.
/// - **Compare and set.** `set` takes effect only if the stored state still has the revision that the
///   caller saw.
/// - **Committed means durable.** When `put` or `set` returns `Ok`, the change survives a crash.
pub trait PolicyStore: fmt::Debug + Send + Sync + 'static {
    /// The present revision. Cheap: it is polled.
    fn policy_revision(&self) -> BoxFuture<'_, Result<u64, PolicyStoreError>>;

    /// Every version by name and age, and the state of each name that has one, with the revision.
    fn policies(&self) -> BoxFuture<'_, Result<PolicyList, PolicyStoreError>>;

    /// Adds a version. Returns the new revision.
    ///
    /// # Errors
    ///
    /// `Duplicate` when that version of that name is already there.
    fn put<'a>(&'a self, version: &'a PolicyVersion) -> BoxFuture<'a, Result<u64, PolicyStoreError>>;

    /// Replaces the state of its name as a whole, if the stored one still has `state.revision`; 0 where
    /// there is none yet. Returns the new revision.
    ///
    /// # Errors
    ///
    /// `Conflict` when the stored revision is another one, `NotFound` when it names a version that was
    /// never put. Nothing is changed then.
    fn set<'a>(&'a self, state: &'a PolicyState) -> BoxFuture<'a, Result<u64, PolicyStoreError>>;
}

/// All stored policies at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyList {
    /// The store's revision at that moment.
    pub revision: u64,
    /// Every version, by name, the oldest of each first.
    pub versions: Vec<PolicyVersion>,
    /// What is in force, by name.
    pub states: Vec<PolicyState>,
}

/// One version of a policy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyVersion {
    /// The policy's name.
    pub name: String,
    /// The hash of its document.
    pub version: String,
    /// Its content.
    pub document: Value,
    /// When it was put, in milliseconds since 1970.
    pub created_ms: u64,
    /// Who put it.
    pub created_by: String,
}

/// Which versions of a name are in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyState {
    /// The policy's name.
    pub name: String,
    /// The version that plans.
    pub active: String,
    /// The one before it, to go back to.
    pub previous: Option<String>,
    /// The version that plans a share of the requests instead.
    pub canary: Option<Canary>,
    /// The version that is planned with beside, without effect.
    pub shadow: Option<String>,
    /// The store's revision that wrote this; 0 before it was written.
    pub revision: u64,
}

/// A version on trial.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Canary {
    /// The version.
    pub version: String,
    /// Its share of the requests, in hundredths: 1 to 100.
    pub percent: u8,
}

impl PolicyList {
    /// The state of a name.
    #[must_use]
    pub fn state(&self, name: &str) -> Option<&PolicyState> {
        self.states.iter().find(|state| state.name == name)
    }

    /// The versions of a name, oldest first.
    pub fn of<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a PolicyVersion> {
        self.versions.iter().filter(move |version| version.name == name)
    }

    /// Every name, once, sorted.
    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.versions.iter().map(|version| version.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// The list from rows of one moment, ordered by name and age: in each the store's revision, and
    /// where there is one a version with the state of its name.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn from_rows(rows: Vec<PolicyColumns>) -> Result<Self, PolicyStoreError> {
        let revision = unsigned(rows.first().map_or(0, |row| row.0))?;
        let mut list = Self { revision, ..Self::default() };
        for (_, version, state) in rows.into_iter().map(split) {
            let Some(version) = version else { continue };
            let version = version.into_version()?;
            if let Some(state) = state
                && list.state(&version.name).is_none()
            {
                list.states.push(state.into_state(&version.name)?);
            }
            list.versions.push(version);
        }
        Ok(list)
    }
}

/// A row of the list: the revision; name, version, document, `created_ms` and `created_by`; active,
/// previous, canary with its percentage, shadow, and the state's revision.
pub type PolicyColumns = (
    i64,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<i64>,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<i64>,
    Option<String>,
    Option<i64>,
);

/// A version as a table row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyRow {
    /// The policy's name.
    pub name: String,
    /// The hash of its document.
    pub version: String,
    /// Its content as JSON.
    pub document: String,
    /// When it was put.
    pub created_ms: i64,
    /// Who put it.
    pub created_by: String,
}

struct StateRow {
    active: String,
    previous: Option<String>,
    canary: Option<(String, i64)>,
    shadow: Option<String>,
    revision: i64,
}

fn split(row: PolicyColumns) -> (i64, Option<PolicyRow>, Option<StateRow>) {
    let (revision, name, version, document, at, by, active, previous, canary, percent, shadow, written) = row;
    let version = (|| {
        let (name, version, document) = (name?, version?, document?);
        Some(PolicyRow { name, version, document, created_ms: at?, created_by: by? })
    })();
    let state = active.zip(written).map(|(active, revision)| StateRow {
        active,
        previous,
        canary: canary.zip(percent),
        shadow,
        revision,
    });
    (revision, version, state)
}

impl PolicyRow {
    /// The row of a version.
    #[must_use]
    pub fn new(version: &PolicyVersion) -> Self {
        Self {
            name: version.name.clone(),
            version: version.version.clone(),
            document: version.document.to_string(),
            created_ms: signed(version.created_ms),
            created_by: version.created_by.clone(),
        }
    }

    fn into_version(self) -> Result<PolicyVersion, PolicyStoreError> {
        let document = serde_json::from_str(&self.document).map_err(|error| corrupt().with_source(error))?;
        Ok(PolicyVersion {
            name: self.name,
            version: self.version,
            document,
            created_ms: unsigned(self.created_ms)?,
            created_by: self.created_by,
        })
    }
}

impl StateRow {
    fn into_state(self, name: &str) -> Result<PolicyState, PolicyStoreError> {
        let canary = self.canary.map(|(version, percent)| {
            let percent = u8::try_from(percent).map_err(|error| corrupt().with_source(error))?;
            Ok::<_, PolicyStoreError>(Canary { version, percent })
        });
        Ok(PolicyState {
            name: name.to_owned(),
            active: self.active,
            previous: self.previous,
            canary: canary.transpose()?,
            shadow: self.shadow,
            revision: unsigned(self.revision)?,
        })
    }
}

impl PolicyState {
    /// Whether the stored state, of which this is the revision, is the one that the caller saw.
    ///
    /// # Errors
    /// `Conflict` when it is another one.
    pub fn check_stored(&self, revision: Option<i64>) -> Result<(), PolicyStoreError> {
        if revision.unwrap_or_default() == signed(self.revision) {
            return Ok(());
        }
        let message = format!("the policy `{}` was changed meanwhile", self.name);
        Err(PolicyStoreError::new(PolicyStoreErrorKind::Conflict, message))
    }
}

/// What the caller of a [`PolicyStore`] can do about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PolicyStoreErrorKind {
    /// The store cannot be reached, or did not answer in time. Trying again can help.
    Unavailable,
    /// A version that is named was never put.
    NotFound,
    /// The state was changed by somebody else since it was read: read it again.
    Conflict,
    /// The version is already there.
    Duplicate,
    /// The store answered with something that is no policy.
    Corrupt,
}

/// A failure of a [`PolicyStore`].
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct PolicyStoreError {
    kind: PolicyStoreErrorKind,
    message: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl PolicyStoreError {
    /// An error of this kind; the message says what was tried, in lower case.
    pub fn new(kind: PolicyStoreErrorKind, message: impl Into<String>) -> Self {
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
    pub const fn kind(&self) -> PolicyStoreErrorKind {
        self.kind
    }
}

fn unsigned(number: i64) -> Result<u64, PolicyStoreError> {
    u64::try_from(number).map_err(|error| corrupt().with_source(error))
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn corrupt() -> PolicyStoreError {
    PolicyStoreError::new(PolicyStoreErrorKind::Corrupt, "the store holds a policy that cannot be read")
}
