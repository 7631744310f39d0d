//! Turns the columns of rows into what they mean, the same for every database.
//!
//! - Start with [`ResponseColumns`] and [`RunColumns`].
//! - **Never here:** SQL.

use std::fmt;
use std::str::FromStr;

use crate::error::{StateError, StateErrorKind};
use crate::responses::{ResponseId, ResponseRow};
use crate::runs::{Held, RunRow};
use crate::subject::Subject;

/// `id, principal, subject, run, previous, status, created_ms, ended_ms, expires_ms, input_bytes,
/// body_bytes, input, body` of a response.
pub type ResponseColumns = (
    String,
    String,
    String,
    Option<String>,
    Option<String>,
    String,
    i64,
    Option<i64>,
    i64,
    i64,
    i64,
    Vec<u8>,
    Vec<u8>,
);

/// `id, kind, principal, subject, status, created_ms, ended_ms, expires_ms, due_ms, owner, epoch, cancelled,
/// events, event_bytes` of a run.
pub type RunColumns = (
    String,
    String,
    String,
    String,
    String,
    i64,
    Option<i64>,
    i64,
    Option<i64>,
    Option<String>,
    i64,
    bool,
    i64,
    i64,
);

impl TryFrom<ResponseColumns> for ResponseRow {
    type Error = StateError;

    fn try_from(columns: ResponseColumns) -> Result<Self, StateError> {
        let (id, principal, subject, run, previous, status, created_ms, ended_ms, expires_ms, a, b, c, d) =
            columns;
        let (input_bytes, body_bytes, input, body) = (a, b, c, d);
        Ok(Self {
            id: read(&id)?,
            principal,
            subject: read::<Subject>(&subject)?,
            run: run.as_deref().map(read).transpose()?,
            previous: previous.as_deref().map(read::<ResponseId>).transpose()?,
            status: read(&status)?,
            created_ms: from_column(created_ms)?,
            ended_ms: ended_ms.map(from_column).transpose()?,
            expires_ms: from_column(expires_ms)?,
            input_bytes: from_column(input_bytes)?,
            body_bytes: from_column(body_bytes)?,
            input,
            body,
        })
    }
}

impl TryFrom<&RunColumns> for RunRow {
    type Error = StateError;

    fn try_from(columns: &RunColumns) -> Result<Self, StateError> {
        let (id, kind, principal, subject, status, created_ms, ended_ms, expires_ms, due_ms, owner, ..) =
            columns;
        let (.., epoch, cancelled, events, _) = columns;
        Ok(Self {
            id: read(id)?,
            kind: read(kind)?,
            principal: principal.clone(),
            subject: read(subject)?,
            status: read(status)?,
            created_ms: from_column(*created_ms)?,
            ended_ms: ended_ms.map(from_column).transpose()?,
            expires_ms: from_column(*expires_ms)?,
            due_ms: due_ms.map(from_column).transpose()?,
            owner: owner.clone(),
            epoch: from_column(*epoch)?,
            cancelled: *cancelled,
            events: from_column(*events)?,
        })
    }
}

impl TryFrom<&RunColumns> for Held {
    type Error = StateError;

    fn try_from(columns: &RunColumns) -> Result<Self, StateError> {
        let RunRow { epoch, owner, status, events, cancelled, .. } = columns.try_into()?;
        Ok(Self {
            epoch,
            is_held: owner.is_some(),
            status,
            events,
            event_bytes: from_column(columns.13)?,
            cancelled,
        })
    }
}

/// A number as databases store it. They have none beyond this.
#[must_use]
pub fn to_column(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A number as it was stored.
///
/// # Errors
/// When it is negative.
pub fn from_column(number: i64) -> Result<u64, StateError> {
    u64::try_from(number).map_err(|error| unreadable().with_source(error))
}

fn read<T: FromStr<Err: fmt::Debug>>(text: &str) -> Result<T, StateError> {
    text.parse().map_err(|_not_shown| unreadable())
}

fn unreadable() -> StateError {
    StateError::new(StateErrorKind::Corrupt, "the store holds a row that cannot be read")
}
