//! Marks decisions that are rare, so that they are found like those with a tag.
//!
//! A mark costs only the decisions that have it, and says what an outcome says without an index on any
//! column that an outcome fills. Marks stand among the tags: each begins with a character that is put
//! before a client's tag that begins with it.
//!
//! - Start with [`of`] for what is written and the constants for what is asked.
//! - **Invariant:** no client's tag reads like a mark.
//! - A mark leads only: whoever follows it looks at the row.

use std::borrow::Cow;

use crate::OutcomeStatus;
use crate::row::{DecisionRow, OutcomeRow};

/// How marks begin.
const SIGN: char = '\u{1}';

/// An attempt without an outcome.
pub(crate) const OPEN: &str = "\u{1}open";
/// No attempt.
pub(crate) const NO_ATTEMPT: &str = "\u{1}none";
/// A hop behind [`FAR_HOP`].
pub(crate) const FAR: &str = "\u{1}far";
/// An attempt that cost [`DEAR_NANO`] or more.
pub(crate) const DEAR: &str = "\u{1}dear";
/// An attempt that took [`SLOW_US`] or longer.
pub(crate) const SLOW: &str = "\u{1}slow";

/// Later hops are marked.
pub(crate) const FAR_HOP: u32 = 3;
/// Ten cents, in nano-dollars.
pub(crate) const DEAR_NANO: u64 = 100_000_000;
/// Thirty seconds, in microseconds.
pub(crate) const SLOW_US: u64 = 30_000_000;

/// A tag as it is kept.
pub(crate) fn tag(tag: &str) -> Cow<'_, str> {
    if tag.starts_with(SIGN) { Cow::Owned(format!("{SIGN}{tag}")) } else { Cow::Borrowed(tag) }
}

/// An attempt that ended in this status; whole answers have no mark.
pub(crate) fn ended(status: &str) -> Option<String> {
    (status != OutcomeStatus::Ok.as_str()).then(|| format!("{SIGN}ended {status}"))
}

/// An attempt with this fault.
pub(crate) fn fault(fault: &str) -> String {
    format!("{SIGN}fault {fault}")
}

/// The marks of a decision, with those of its outcome.
pub(crate) fn of(row: &DecisionRow) -> impl Iterator<Item = Cow<'static, str>> + use<'_> {
    let own = [
        (!row.attempt).then_some(NO_ATTEMPT),
        (row.attempt && row.outcome.is_none()).then_some(OPEN),
        (row.hop > FAR_HOP).then_some(FAR),
    ];
    own.into_iter().flatten().map(Cow::Borrowed).chain(row.outcome.as_ref().into_iter().flat_map(of_outcome))
}

/// The marks of an outcome.
pub(crate) fn of_outcome(row: &OutcomeRow) -> impl Iterator<Item = Cow<'static, str>> + use<> {
    let constants = [
        row.cost_nano.filter(|cost| *cost >= DEAR_NANO).map(|_| DEAR),
        (row.total_us >= SLOW_US).then_some(SLOW),
    ];
    let named = [ended(&row.status), row.fault.as_deref().map(fault)];
    constants.into_iter().flatten().map(Cow::Borrowed).chain(named.into_iter().flatten().map(Cow::Owned))
}

#[cfg(test)]
mod tests;
