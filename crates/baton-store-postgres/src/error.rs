//! Says what a database error means to the caller.

use baton_access::{KeyStoreError, KeyStoreErrorKind, PolicyStoreError, PolicyStoreErrorKind};
use baton_audit::{StoreError, StoreErrorKind};
use baton_state::{StateError, StateErrorKind};
use sqlx::Error;

pub(crate) fn audit_error(doing: &'static str, error: Error) -> StoreError {
    let kind = match &error {
        Error::Database(database) if is_refusal(database.as_ref()) => StoreErrorKind::Rejected,
        Error::ColumnDecode { .. } | Error::Decode(_) | Error::ColumnNotFound(_) => StoreErrorKind::Corrupt,
        _ => StoreErrorKind::Unavailable,
    };
    StoreError::new(kind, format!("cannot {doing}")).with_source(error)
}

pub(crate) fn key_error(doing: &'static str, error: Error) -> KeyStoreError {
    let kind = match &error {
        Error::Database(database) if database.is_unique_violation() => KeyStoreErrorKind::Duplicate,
        Error::ColumnDecode { .. } | Error::Decode(_) | Error::ColumnNotFound(_) => {
            KeyStoreErrorKind::Corrupt
        }
        _ => KeyStoreErrorKind::Unavailable,
    };
    KeyStoreError::new(kind, format!("cannot {doing}")).with_source(error)
}

pub(crate) fn policy_error(doing: &'static str, error: Error) -> PolicyStoreError {
    let kind = match &error {
        Error::Database(database) if database.is_unique_violation() => PolicyStoreErrorKind::Duplicate,
        Error::Database(database) if database.is_foreign_key_violation() => PolicyStoreErrorKind::NotFound,
        Error::ColumnDecode { .. } | Error::Decode(_) | Error::ColumnNotFound(_) => {
            PolicyStoreErrorKind::Corrupt
        }
        _ => PolicyStoreErrorKind::Unavailable,
    };
    PolicyStoreError::new(kind, format!("cannot {doing}")).with_source(error)
}

pub(crate) fn state_error(doing: &'static str, error: Error) -> StateError {
    let kind = match &error {
        Error::Database(database) if database.is_unique_violation() => StateErrorKind::Duplicate,
        Error::Database(database) if is_refusal(database.as_ref()) => StateErrorKind::Rejected,
        Error::ColumnDecode { .. } | Error::Decode(_) | Error::ColumnNotFound(_) => StateErrorKind::Corrupt,
        _ => StateErrorKind::Unavailable,
    };
    StateError::new(kind, format!("cannot {doing}")).with_source(error)
}

/// The server refused the data itself; trying again will not help.
///
/// Class 22 is data, 23 constraints, 42 rights and names, P0 an exception of a trigger's.
fn is_refusal(error: &dyn sqlx::error::DatabaseError) -> bool {
    let code = error.code().unwrap_or_default();
    ["22", "23", "42", "P0"].iter().any(|class| code.starts_with(class))
}
