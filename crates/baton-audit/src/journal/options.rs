//! How a journal is opened, what it answers, and why it does not.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::failpoint::Failpoints;
use crate::SigningKey;
use crate::chain::CheckpointSigner;
use crate::clock::{Clock, SystemClock};

/// How a journal is opened.
#[derive(Debug)]
pub struct JournalOptions {
    /// The directory; made when it is missing.
    pub dir: PathBuf,
    /// The size of a segment.
    pub segment_bytes: u64,
    /// The bound on everything that is not relayed yet.
    pub max_bytes: u64,
    /// How long an entry that nobody waits for may stay unsynced.
    pub lazy_sync: Duration,
    /// How often a checkpoint is signed while there is something to sign.
    pub checkpoint_every: Duration,
    /// A checkpoint is signed as soon as there are so many entries behind the last one, too.
    pub checkpoint_entries: u64,
    /// How many decisions and outcomes that are not relayed yet can be found by their id.
    pub indexed: usize,
    /// What signs the checkpoints.
    pub signer: CheckpointSigner,
    /// What says that this signer followed others, oldest first; none for the first signer.
    pub keys: Vec<SigningKey>,
    /// Baton's version, for the boot record.
    pub version: String,
    /// The wall clock of boot, checkpoint and stop records.
    pub clock: Arc<dyn Clock>,
    /// What is to go wrong.
    pub failpoints: Failpoints,
}

impl JournalOptions {
    /// The settings of a server.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>, signer: CheckpointSigner, version: impl Into<String>) -> Self {
        Self {
            dir: dir.into(),
            segment_bytes: 64 << 20,
            max_bytes: 8 << 30,
            lazy_sync: Duration::from_millis(100),
            checkpoint_every: Duration::from_secs(60),
            checkpoint_entries: 10_000,
            indexed: 262_144,
            signer,
            keys: Vec::new(),
            version: version.into(),
            clock: Arc::new(SystemClock),
            failpoints: Failpoints::default(),
        }
    }
}

/// Why the journal did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// Another process has it.
    #[error("the journal in `{}` is in use by {}", path.display(), holder_name(*holder))]
    Locked {
        /// The directory.
        path: PathBuf,
        /// The process, where the lock file says so.
        holder: Option<u32>,
    },
    /// The file system refused something.
    #[error("cannot {doing} in `{}`", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// Where.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// The bound is reached, or the disk has no room for another segment.
    #[error("the journal is full: {used} bytes wait for the store, the bound is {limit}")]
    Full {
        /// Bytes that are not relayed, reserved ones included.
        used: u64,
        /// The bound.
        limit: u64,
    },
    /// An entry longer than any that is read back.
    #[error("a record of {0} bytes is too long")]
    TooLong(usize),
    /// The record cannot be written as JSON.
    #[error("the record cannot be encoded")]
    Encode(#[source] serde_json::Error),
    /// A sync failed earlier; nothing new is accepted.
    #[error("a sync of the journal failed: {0}")]
    SyncFailed(Arc<str>),
    /// The journal was closed.
    #[error("the journal is closed")]
    Closed,
    /// An entry that was written cannot be read back.
    #[error("entry at byte {offset} of segment {segment} cannot be read: {why}")]
    Unreadable {
        /// The segment's number.
        segment: u64,
        /// Where in it.
        offset: u64,
        /// What is wrong with it.
        why: String,
    },
}

/// Proof that a record was written: its number in the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    pub(super) seq: u64,
}

impl Receipt {
    /// The number in the chain of this boot.
    #[must_use]
    pub const fn seq(self) -> u64 {
        self.seq
    }
}

/// How the journal is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalHealth {
    /// Bytes that the store does not have yet.
    pub backlog_bytes: u64,
    /// The age of the oldest entry that the store does not have yet, to the second.
    pub oldest_unrelayed: Duration,
    /// How long the oldest caller has been waiting for a sync.
    pub sync_age: Duration,
    /// Bytes of all entries kept, with what is reserved for outcomes.
    pub used_bytes: u64,
    /// The bound on them.
    pub max_bytes: u64,
    /// Whether there is no room for another attempt: by the bound, or on the disk.
    pub full: bool,
    /// Attempts without an outcome.
    pub open_attempts: u64,
    /// The number of the last entry.
    pub written_seq: u64,
    /// The number of the last synced entry.
    pub synced_seq: u64,
    /// Whether a sync has failed.
    pub failed: bool,
}

fn holder_name(holder: Option<u32>) -> String {
    holder.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
}
