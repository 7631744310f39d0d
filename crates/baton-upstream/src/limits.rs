//! Reads how much of a rate limit is left from the headers of an answer.
//!
//! Each provider has its own names, its own way to say a time, and its own idea of what the time means:
//! a window that starts anew, or a bucket that fills evenly. The families of names are rows of one table.
//!
//! - Start with [`limits`].
//! - **Invariant:** an answer without such headers costs one look at each header's name and no memory.
//! - **Never here:** what follows from a limit; that is the engine's.

use std::time::{Duration, UNIX_EPOCH};

use http::HeaderMap;

use crate::fault::retry_after;
use time::Reset;

mod time;

/// What an answer says about the provider's rate limits: the scarcest of them counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// What is left, in thousandths of the limit.
    pub remaining_thousandths: u32,
    /// Where nothing is left, for how long; `None` where something is, or nobody knows.
    pub exhausted_for: Option<Duration>,
}

/// One limit, by the names of its headers.
struct Row {
    remaining: &'static str,
    limit: &'static str,
    reset: &'static str,
    refill: Refill,
}

/// What the time until the reset means.
#[derive(Clone, Copy)]
enum Refill {
    /// All comes back at its end.
    Window,
    /// It comes back evenly, and all is back at its end.
    Bucket,
}

/// The limits that providers speak of.
///
/// `OpenAI` and those like it (<https://platform.openai.com/docs/guides/rate-limits>) and Anthropic
/// (<https://docs.claude.com/en/api/rate-limits>) say when a bucket is full again. The plain names are those
/// of the IETF's draft, in front of which some put an `x-`: windows.
const ROWS: [Row; 8] = [
    Row {
        remaining: "x-ratelimit-remaining-requests",
        limit: "x-ratelimit-limit-requests",
        reset: "x-ratelimit-reset-requests",
        refill: Refill::Bucket,
    },
    Row {
        remaining: "x-ratelimit-remaining-tokens",
        limit: "x-ratelimit-limit-tokens",
        reset: "x-ratelimit-reset-tokens",
        refill: Refill::Bucket,
    },
    Row {
        remaining: "anthropic-ratelimit-requests-remaining",
        limit: "anthropic-ratelimit-requests-limit",
        reset: "anthropic-ratelimit-requests-reset",
        refill: Refill::Bucket,
    },
    Row {
        remaining: "anthropic-ratelimit-tokens-remaining",
        limit: "anthropic-ratelimit-tokens-limit",
        reset: "anthropic-ratelimit-tokens-reset",
        refill: Refill::Bucket,
    },
    Row {
        remaining: "anthropic-ratelimit-input-tokens-remaining",
        limit: "anthropic-ratelimit-input-tokens-limit",
        reset: "anthropic-ratelimit-input-tokens-reset",
        refill: Refill::Bucket,
    },
    Row {
        remaining: "anthropic-ratelimit-output-tokens-remaining",
        limit: "anthropic-ratelimit-output-tokens-limit",
        reset: "anthropic-ratelimit-output-tokens-reset",
        refill: Refill::Bucket,
    },
    Row {
        remaining: "ratelimit-remaining",
        limit: "ratelimit-limit",
        reset: "ratelimit-reset",
        refill: Refill::Window,
    },
    Row {
        remaining: "x-ratelimit-remaining",
        limit: "x-ratelimit-limit",
        reset: "x-ratelimit-reset",
        refill: Refill::Window,
    },
];

/// What the headers of an answer say about the provider's rate limits; `None` if nothing. A limit that
/// cannot be read counts as none. The time is in milliseconds since 1970, for resets that are dates.
#[must_use]
pub fn limits(headers: &HeaderMap, now_unix_ms: u64) -> Option<Limits> {
    let any = headers.keys().map(http::HeaderName::as_str).any(|name| {
        ["x-ratelimit-", "anthropic-ratelimit-", "ratelimit-"].iter().any(|start| name.starts_with(start))
    });
    if !any {
        return None;
    }
    let mut all = ROWS.iter().filter_map(|row| row.read(headers, now_unix_ms));
    let first = all.next()?;
    let mut scarcest = all.fold(first, Limits::scarcer);
    if scarcest.remaining_thousandths == 0 && scarcest.exhausted_for.is_none() {
        scarcest.exhausted_for = retry_after(headers, UNIX_EPOCH + Duration::from_millis(now_unix_ms));
    }
    Some(scarcest)
}

impl Limits {
    fn scarcer(self, other: Self) -> Self {
        Self {
            remaining_thousandths: self.remaining_thousandths.min(other.remaining_thousandths),
            exhausted_for: self.exhausted_for.max(other.exhausted_for),
        }
    }
}

impl Row {
    fn read(&self, headers: &HeaderMap, now_unix_ms: u64) -> Option<Limits> {
        let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
        let remaining = count(text(self.remaining)?)?;
        // A limit of 0 is how some say that they do not know.
        let limit = text(self.limit).and_then(count).filter(|limit| *limit > 0);
        if remaining > 0 {
            return Some(Limits {
                remaining_thousandths: thousandths(remaining, limit?),
                exhausted_for: None,
            });
        }
        let reset = text(self.reset).and_then(|reset| Reset::parse(reset)?.until(now_unix_ms));
        let exhausted_for = reset.map(|reset| self.refill.wait(reset, limit));
        (limit.is_some() || exhausted_for.is_some())
            .then_some(Limits { remaining_thousandths: 0, exhausted_for })
    }
}

impl Refill {
    /// Until there is something again. Of a bucket, a hundredth is enough to try: the whole would keep
    /// a daily limit shut for a day.
    fn wait(self, reset: Duration, limit: Option<u64>) -> Duration {
        match (self, limit) {
            (Self::Bucket, Some(limit)) => {
                let enough = u32::try_from((limit / 100).max(1)).unwrap_or(u32::MAX);
                let whole = u32::try_from(limit).unwrap_or(u32::MAX);
                (reset / whole).saturating_mul(enough)
            }
            (Self::Window, _) | (Self::Bucket, None) => reset,
        }
    }
}

/// At least one where anything is left: a thousandth of a large limit is much.
fn thousandths(remaining: u64, limit: u64) -> u32 {
    let share = u128::from(remaining) * 1_000 / u128::from(limit.max(1));
    u32::try_from(share.clamp(1, 1_000)).unwrap_or(1_000)
}

/// A whole number; what follows it after a comma or a semicolon is the policy (`100, 100;w=60`).
fn count(text: &str) -> Option<u64> {
    text.split([',', ';']).next()?.trim().parse().ok()
}

#[cfg(test)]
mod tests;
