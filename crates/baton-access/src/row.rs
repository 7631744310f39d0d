//! Turns a key's record into the columns of its row, and back, the same for every database.
//!
//! - Start with [`KeyRow`].
//! - **Invariant:** the record is the truth; the other columns are for constraints and for reading by hand.
//! - **Never here:** SQL.

use crate::port::{KeyList, KeyStoreError, KeyStoreErrorKind};
use crate::{KeyRecord, Role};

/// A key as a table row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRow {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The MAC of its secret.
    pub mac: String,
    /// What it may do.
    pub role: &'static str,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: i64,
    /// When it expires.
    pub expires_ms: Option<i64>,
    /// When it was revoked.
    pub revoked_ms: Option<i64>,
    /// The store's revision after this change.
    pub revision: i64,
    /// The record as JSON, with that revision.
    pub record: String,
}

impl KeyRow {
    /// The row of a record that is written as the change of this revision.
    ///
    /// # Errors
    /// When the record cannot be encoded.
    pub fn new(record: &KeyRecord, revision: u64) -> Result<Self, KeyStoreError> {
        let stored = KeyRecord { revision, ..record.clone() };
        let record = serde_json::to_string(&stored).map_err(|error| corrupt().with_source(error))?;
        Ok(Self {
            id: stored.id.to_string(),
            mac: stored.mac.to_string(),
            role: Role::as_str(stored.role),
            created_ms: signed(stored.created_ms),
            expires_ms: stored.expires_ms.map(signed),
            revoked_ms: stored.revoked_ms.map(signed),
            revision: signed(revision),
            name: stored.name,
            record,
        })
    }
}

impl KeyList {
    /// The list from rows of one moment: in each the store's revision, and a record where there is one.
    ///
    /// # Errors
    /// When a record or the revision cannot be read.
    pub fn from_rows(rows: Vec<(i64, Option<String>)>) -> Result<Self, KeyStoreError> {
        let revision = revision_from(rows.first().map_or(0, |(revision, _)| *revision))?;
        let records = rows.into_iter().filter_map(|(_, record)| record);
        let records =
            records.map(|record| serde_json::from_str(&record).map_err(|error| corrupt().with_source(error)));
        Ok(Self { revision, records: records.collect::<Result<_, _>>()? })
    }
}

impl KeyRecord {
    /// Whether the stored record, of which this is the revision, is the one that the caller saw.
    ///
    /// # Errors
    /// `NotFound` when there is none, `Conflict` when it is another one.
    pub fn check_stored(&self, revision: Option<i64>) -> Result<(), KeyStoreError> {
        let (kind, message) = match revision {
            Some(revision) if revision == signed(self.revision) => return Ok(()),
            Some(_) => (KeyStoreErrorKind::Conflict, format!("the key `{}` was changed meanwhile", self.id)),
            None => (KeyStoreErrorKind::NotFound, format!("no key has the id `{}`", self.id)),
        };
        Err(KeyStoreError::new(kind, message))
    }
}

/// The revision as a store counts it.
///
/// # Errors
/// When it is negative.
pub fn revision_from(number: i64) -> Result<u64, KeyStoreError> {
    u64::try_from(number).map_err(|error| corrupt().with_source(error))
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn corrupt() -> KeyStoreError {
    KeyStoreError::new(KeyStoreErrorKind::Corrupt, "the store holds a key that cannot be read")
}
