//! The stretch of time that a question is about, where it does not say itself.

use axum::extract::Query;
use axum::extract::rejection::QueryRejection;
use baton_audit::{BadParameter, Params, RangeParams};

use crate::error::AdminError;

pub(crate) const MINUTE_MS: u64 = 60_000;
pub(crate) const HOUR_MS: u64 = 60 * MINUTE_MS;
pub(crate) const DAY_MS: u64 = 24 * HOUR_MS;
/// What is looked at without a word.
pub(crate) const USUAL_MS: u64 = 30 * DAY_MS;

/// The names and values of a query.
pub(crate) type Pairs = Result<Query<Vec<(String, String)>>, QueryRejection>;

/// The parameters of a query, to be taken.
pub(crate) fn params(pairs: Pairs) -> Result<Params, AdminError> {
    let Query(pairs) = pairs.map_err(|rejection| AdminError::invalid(rejection.body_text(), "query"))?;
    Ok(Params::new(pairs))
}

/// A stretch of time in milliseconds since 1970, without its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stretch {
    pub(crate) from_ms: u64,
    pub(crate) to_ms: u64,
}

impl Stretch {
    /// What is named; without an end up to now, without a beginning the usual length.
    pub(crate) fn of(range: &RangeParams, now_ms: u64, usual_ms: u64) -> Result<Self, BadParameter> {
        let (start, end) = range.times()?;
        // Now is part of it.
        let to_ms = end.unwrap_or_else(|| start.map_or(now_ms + 1, |start| start.max(now_ms) + 1));
        let from_ms = start.unwrap_or_else(|| to_ms.saturating_sub(usual_ms));
        Ok(Self { from_ms, to_ms })
    }

    pub(crate) const fn length_ms(self) -> u64 {
        self.to_ms.saturating_sub(self.from_ms)
    }
}
