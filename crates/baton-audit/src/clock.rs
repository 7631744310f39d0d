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
