//! Stops the process, or fails a call, at a chosen moment, so that tests can try what a crash does.
//!
//! Without a plan each check is one comparison with `None`.

use std::fmt;
use std::io;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A moment at which something can be made to go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failpoint {
    /// An entry is about to be written.
    BeforeWrite,
    /// An entry was written, not synced.
    AfterWrite,
    /// A sync is about to begin.
    BeforeSync,
    /// A sync has ended; nobody was told.
    AfterSync,
    /// A batch was read from the journal, not committed.
    MidRelay,
    /// A batch was committed; the journal was not told.
    AfterRelayBeforeAck,
}

impl Failpoint {
    const ALL: [(&'static str, Self); 6] = [
        ("before_write", Self::BeforeWrite),
        ("after_write", Self::AfterWrite),
        ("before_sync", Self::BeforeSync),
        ("after_sync", Self::AfterSync),
        ("mid_relay", Self::MidRelay),
        ("after_relay_before_ack", Self::AfterRelayBeforeAck),
    ];
}

/// What happens at a failpoint. An error is returned from the call in which it happens.
pub type FailpointAction = Arc<dyn Fn() -> io::Result<()> + Send + Sync>;

/// Which failpoints are armed. The default arms none.
#[derive(Clone, Default)]
pub struct Failpoints {
    armed: Option<Arc<Armed>>,
}

struct Armed {
    point: Failpoint,
    nth: u64,
    hits: AtomicU64,
    action: FailpointAction,
}

impl Failpoints {
    /// Aborts the process the `nth` time (from 1) that this point is reached.
    #[must_use]
    pub fn abort_at(point: Failpoint, nth: u64) -> Self {
        Self::at(point, nth, Arc::new(|| std::process::abort()))
    }

    /// Does something from the `nth` time (from 1) on that this point is reached.
    #[must_use]
    pub fn at(point: Failpoint, nth: u64, action: FailpointAction) -> Self {
        Self { armed: Some(Arc::new(Armed { point, nth, hits: AtomicU64::new(0), action })) }
    }

    pub(crate) fn reach(&self, point: Failpoint) -> io::Result<()> {
        match &self.armed {
            None => Ok(()),
            Some(armed) if armed.point != point => Ok(()),
            Some(armed) => {
                let hit = armed.hits.fetch_add(1, Ordering::Relaxed) + 1;
                if hit >= armed.nth { (armed.action)() } else { Ok(()) }
            }
        }
    }
}

impl fmt::Debug for Failpoints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.armed {
            None => f.write_str("Failpoints(none)"),
            Some(armed) => write!(f, "Failpoints({:?} from hit {})", armed.point, armed.nth),
        }
    }
}

/// A text that names no failpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a failpoint; write it as `after_write:3`")]
pub struct FailpointError(String);

/// Reads `after_write:3`: abort the third time. Without a number: the first time.
impl FromStr for Failpoints {
    type Err = FailpointError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || FailpointError(text.to_owned());
        let (name, nth) = match text.split_once(':') {
            None => (text, 1),
            Some((name, nth)) => (name, nth.parse().map_err(|_not_a_number| error())?),
        };
        let known = Failpoint::ALL.iter().find(|(known, _)| *known == name);
        known.map(|(_, point)| Self::abort_at(*point, nth)).ok_or_else(error)
    }
}
