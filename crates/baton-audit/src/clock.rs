//! Tells the time and makes ids, behind types that a test can replace.
//!
//! - Start with [`IdSource`].
//! - **Invariant:** an id carries the time of its making, so that sorting ids sorts by time.

use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use baton_model::{BootId, DecisionId, RequestId, RunId};

/// The wall clock, as far as records need it.
pub trait Clock: Send + Sync + fmt::Debug {
    /// Milliseconds since 1970.
    fn now_ms(&self) -> u64;
}

/// The system's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now_ms(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }
}

/// A time in milliseconds since 1970 as people and spreadsheets read it: `2026-11-21T20:36:29.123Z`.
#[must_use]
pub fn utc(at_ms: u64) -> String {
    const DAY: u64 = 86_400_000;
    let (year, month, day) = date(at_ms / DAY);
    let of_day = at_ms % DAY;
    let (hour, minute) = (of_day / 3_600_000, of_day / 60_000 % 60);
    let (second, milli) = (of_day / 1_000 % 60, of_day % 1_000);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
}

/// Year, month and day of the Gregorian calendar, from days since 1970.
///
/// Years are counted from March, so that the leap day is the last of its year
/// (<https://howardhinnant.github.io/date_algorithms.html#civil_from_days>).
const fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year + year / 4 - year / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (era * 400 + year + if month <= 2 { 1 } else { 0 }, month, day)
}

/// Makes ids from a clock and the thread's own generator.
#[derive(Clone, Debug)]
pub struct IdSource {
    clock: Arc<dyn Clock>,
}

impl IdSource {
    /// Ids with the times of this clock.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock }
    }

    /// The time that the next id would carry.
    #[must_use]
    pub fn now_ms(&self) -> u64 {
        self.clock.now_ms()
    }

    /// An id for a decision.
    #[must_use]
    pub fn decision(&self) -> DecisionId {
        DecisionId::from_parts(self.clock.now_ms(), rand::random())
    }

    /// An id for everything done for one client request.
    #[must_use]
    pub fn run(&self) -> RunId {
        RunId::from_parts(self.clock.now_ms(), rand::random())
    }

    /// An id for one HTTP request.
    #[must_use]
    pub fn request(&self) -> RequestId {
        RequestId::from_parts(self.clock.now_ms(), rand::random())
    }

    /// An id for one life of the process.
    #[must_use]
    pub fn boot(&self) -> BootId {
        BootId::from_parts(self.clock.now_ms(), rand::random())
    }
}

impl Default for IdSource {
    fn default() -> Self {
        Self::new(Arc::new(SystemClock))
    }
}

#[cfg(test)]
mod tests;
