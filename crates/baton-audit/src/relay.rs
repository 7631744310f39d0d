//! Moves synced entries from the journal into the store, each once, and frees the journal behind them.
//!
//! The store says how far it is; after any failure it is asked again. So a batch whose answer was
//! lost is neither sent twice nor left out.
//!
//! - Start with [`Relay::run`]; at the end [`Relay::drain`].
//! - **Invariant:** a segment is deleted only after the store has committed all of it.
//! - **Invariant:** a store that is slow, not away, is given less at a time until it can keep up.
//! - **Never here:** anything a request waits for, and nothing is ever dropped: a store that stays
//!   away fills the journal, and the journal then refuses.

use std::pin::pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex as StdMutex, PoisonError};
use std::time::Duration;

use baton_model::BootId;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, timeout};

use crate::block::BlockError;
use crate::content::ContentKeys;
use crate::frame;
use crate::journal::{Failpoint, Journal, JournalError, Mark, ReadLimit, Receipt, Stretch};
use crate::row::{Batch, Span};
use crate::store::{AuditStore, StoreError};

/// How the relay works.
#[derive(Clone, Copy, Debug)]
pub struct RelayOptions {
    /// How long it gathers before it commits.
    pub linger: Duration,
    /// How long a commit may take.
    pub commit_timeout: Duration,
    /// The pause after a failure; it doubles up to `max_backoff`.
    pub min_backoff: Duration,
    /// The longest pause.
    pub max_backoff: Duration,
    /// At most so many entries in a batch, and fewer after a commit that took too long.
    pub batch_entries: usize,
    /// No further entry is added to a batch of so many bytes.
    pub batch_bytes: usize,
}

impl RelayOptions {
    /// The settings of a server.
    pub const STANDARD: Self = Self {
        linger: Duration::from_millis(200),
        commit_timeout: Duration::from_secs(30),
        min_backoff: Duration::from_millis(100),
        max_backoff: Duration::from_secs(5),
        batch_entries: 1024,
        batch_bytes: 2 << 20,
    };
}

/// How the relay is doing. The journal's health says how far behind it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RelayHealth {
    /// Entries committed since the start.
    pub entries: u64,
    /// Batches committed since the start.
    pub batches: u64,
    /// Failures since the last commit.
    pub failures: u64,
    /// How long the store has not answered what it was asked last; zero when nothing is asked.
    pub silence: Duration,
}

/// Moves entries from one journal to one store.
#[derive(Debug)]
pub struct Relay {
    journal: Arc<Journal>,
    store: Arc<dyn AuditStore>,
    contents: Option<Arc<dyn ContentKeys>>,
    options: RelayOptions,
    position: Mutex<Position>,
    entries: AtomicU64,
    batches: AtomicU64,
    failures: AtomicU64,
    /// How many entries the store is given at a time.
    at_once: AtomicUsize,
    asked: StdMutex<Option<Instant>>,
}

/// A question to the store that is not answered; told by [`Relay::health`] until it is dropped.
struct Asking<'r>(&'r Relay);

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.0.note_asked(None);
    }
}

#[derive(Debug, Default)]
struct Position {
    /// Where to read on; `None` for the start of what is not released.
    mark: Option<Mark>,
    /// The chain that is being read, and its last number in the store; `None` when that is unknown.
    known: Option<(BootId, u64)>,
}

#[derive(Debug, thiserror::Error)]
enum RelayError {
    #[error("the journal cannot be read")]
    Journal(#[from] JournalError),
    #[error("the journal holds bytes that are no entries")]
    Block(#[from] BlockError),
    #[error("the store refused a batch")]
    Store(#[from] StoreError),
    #[error("the store did not commit in time")]
    Slow,
    #[error("the reading task ended early")]
    Reader(#[from] tokio::task::JoinError),
    #[error("a failpoint")]
    Failpoint(#[from] std::io::Error),
}

enum Step {
    /// There is nothing to move.
    Idle,
    /// Entries were moved; the batch was as large as it may be.
    Full,
    /// Entries were moved, all there were.
    Part,
}

/// Entries to send, and where to go on after them.
struct Read {
    batch: Option<Batch>,
    last_seq: u64,
    end: Mark,
    is_full: bool,
}

impl Relay {
    /// A relay between these two. It does nothing until it is run.
    #[must_use]
    pub fn new(journal: Arc<Journal>, store: Arc<dyn AuditStore>, options: RelayOptions) -> Self {
        Self {
            journal,
            store,
            contents: None,
            options,
            position: Mutex::default(),
            entries: AtomicU64::new(0),
            batches: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            at_once: AtomicUsize::new(options.batch_entries),
            asked: StdMutex::default(),
        }
    }

    /// Gives the store the keys of content before the content.
    #[must_use]
    pub fn with_contents(mut self, contents: Arc<dyn ContentKeys>) -> Self {
        self.contents = Some(contents);
        self
    }

    /// Moves entries until `stop` is ready.
    pub async fn run(&self, stop: impl Future<Output = ()> + Send) {
        let mut stop = pin!(stop);
        let mut backoff = self.options.min_backoff;
        loop {
            let moved = self.journal.progress();
            // A step that is dropped in its commit is safe: the store is asked how far it came.
            let step = tokio::select! {
                biased;
                () = &mut stop => return,
                step = self.step() => step,
            };
            let pause = async {
                match step {
                    Ok(Step::Full) => {}
                    Ok(Step::Part) => sleep(self.options.linger).await,
                    Ok(Step::Idle) => {
                        moved.await;
                        sleep(self.options.linger).await;
                    }
                    Err(error) => self.back_off(&error, &mut backoff).await,
                }
            };
            tokio::select! {
                biased;
                () = &mut stop => return,
                () = pause => {}
            }
            if self.failures.load(Ordering::Relaxed) == 0 {
                backoff = self.options.min_backoff;
            }
        }
    }

    /// Moves what is synced now, and returns whether all of it was moved before the deadline. Under
    /// load there may always be more; [`Self::deliver`] waits for one record only.
    pub async fn drain(&self, deadline: Duration) -> bool {
        self.move_until(deadline, |_known| false).await
    }

    /// Moves entries until the store has this synced record, and returns whether it has it before the
    /// deadline.
    pub async fn deliver(&self, receipt: Receipt, deadline: Duration) -> bool {
        let boot = self.journal.boot();
        self.move_until(deadline, |(of, seq)| of == boot && seq >= receipt.seq()).await
    }

    /// Moves entries until the store has what is enough, or nothing is left to move.
    async fn move_until(&self, deadline: Duration, is_enough: impl Fn((BootId, u64)) -> bool) -> bool {
        let moved = async {
            let mut backoff = self.options.min_backoff;
            loop {
                match self.step().await {
                    Ok(Step::Idle) => return,
                    Ok(Step::Full | Step::Part) => backoff = self.options.min_backoff,
                    Err(error) => self.back_off(&error, &mut backoff).await,
                }
                if self.position.lock().await.known.is_some_and(&is_enough) {
                    return;
                }
            }
        };
        timeout(deadline, moved).await.is_ok()
    }

    /// How it is doing.
    #[must_use]
    pub fn health(&self) -> RelayHealth {
        RelayHealth {
            entries: self.entries.load(Ordering::Relaxed),
            batches: self.batches.load(Ordering::Relaxed),
            failures: self.failures.load(Ordering::Relaxed),
            silence: self.asked().map_or(Duration::ZERO, |since| since.elapsed()),
        }
    }

    fn asked(&self) -> Option<Instant> {
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note_asked(&self, since: Option<Instant>) {
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner) = since;
    }

    /// Gives the store less at a time, long before it would not answer in time, and more when it is quick.
    fn adjust(&self, took: Duration) {
        let at_once = self.at_once.load(Ordering::Relaxed);
        let fits = if took > self.options.commit_timeout / 4 {
            at_once / 2
        } else if took < self.options.commit_timeout / 16 {
            at_once * 2
        } else {
            at_once
        };
        self.at_once.store(fits.clamp(1, self.options.batch_entries.max(1)), Ordering::Relaxed);
    }

    /// Waits for an answer of the store, but not for ever.
    async fn answered<T>(
        &self,
        question: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, RelayError> {
        self.note_asked(Some(Instant::now()));
        let _asking = Asking(self);
        let answer = timeout(self.options.commit_timeout, question).await;
        Ok(answer.map_err(|_elapsed| RelayError::Slow)??)
    }

    async fn back_off(&self, error: &RelayError, backoff: &mut Duration) {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed) + 1;
        let cause = std::error::Error::source(error).map(ToString::to_string);
        tracing::warn!(error = %error, cause, failures, "the audit log waits for its store");
        sleep(*backoff).await;
        *backoff = backoff.saturating_mul(2).min(self.options.max_backoff);
    }

    async fn step(&self) -> Result<Step, RelayError> {
        let mut position = self.position.lock().await;
        let Some(stretch) = self.read(position.mark).await? else { return Ok(Step::Idle) };
        let boot = stretch.boot;
        let known = match position.known.take() {
            Some((of, seq)) if of == boot => seq,
            _ => self.cursor(boot).await?,
        };
        let read = self.prepare(stretch, known).await?;
        if let Some(batch) = &read.batch {
            if let Some(contents) = self.contents.as_ref().filter(|_| !batch.contents.is_empty()) {
                self.answered(contents.settle(&batch.contents)).await?;
            }
            self.journal.failpoints().reach(Failpoint::MidRelay)?;
            self.commit(batch).await?;
            self.journal.failpoints().reach(Failpoint::AfterRelayBeforeAck)?;
        }
        position.known = Some((boot, read.last_seq));
        position.mark = Some(read.end);
        self.failures.store(0, Ordering::Relaxed);
        self.journal.release(read.end)?;
        if let Some(contents) = &self.contents {
            contents.moved(boot, read.last_seq);
        }
        Ok(if read.is_full { Step::Full } else { Step::Part })
    }

    async fn read(&self, from: Option<Mark>) -> Result<Option<Stretch>, RelayError> {
        let journal = Arc::clone(&self.journal);
        let entries = self.at_once.load(Ordering::Relaxed);
        let limit = ReadLimit { entries, bytes: self.options.batch_bytes };
        Ok(tokio::task::spawn_blocking(move || journal.read(from, limit)).await??)
    }

    /// The last number that the store has of a chain; 0 for none.
    async fn cursor(&self, boot: BootId) -> Result<u64, RelayError> {
        let cursor = self.answered(self.store.cursor(boot)).await?;
        Ok(cursor.map_or(0, |head| head.seq))
    }

    /// Leaves out what the store has, and derives the rows of the rest.
    async fn prepare(&self, stretch: Stretch, known: u64) -> Result<Read, RelayError> {
        let limit = (self.at_once.load(Ordering::Relaxed), self.options.batch_bytes);
        let prepared = tokio::task::spawn_blocking(move || prepare(&stretch, known, limit)).await?;
        Ok(prepared?)
    }

    async fn commit(&self, batch: &Batch) -> Result<(), RelayError> {
        let began = Instant::now();
        // On an overlap another try of ours came through after all: the next step asks how far.
        let committed = self.answered(self.store.commit(batch)).await;
        if committed.is_ok() || matches!(committed, Err(RelayError::Slow)) {
            self.adjust(began.elapsed());
        }
        committed?;
        let entries = batch.span().map_or(0, Span::entries);
        self.entries.fetch_add(entries, Ordering::Relaxed);
        self.batches.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

/// The limits are those that the stretch was read with: entries and bytes.
fn prepare(stretch: &Stretch, known: u64, (most, bytes): (usize, usize)) -> Result<Read, BlockError> {
    let mut previous = stretch.previous;
    let mut skipped = 0;
    let mut entries = 0;
    let mut last_seq = known;
    for frame in frame::read_all(&stretch.frames) {
        let frame = frame.map_err(|error| BlockError::Damaged(error.to_string()))?;
        entries += 1;
        if frame.seq <= known {
            skipped += frame.len();
            previous = frame.hash;
        } else {
            last_seq = frame.seq;
        }
    }
    let is_full = entries >= most || stretch.frames.len() >= bytes;
    let rest = stretch.frames.get(skipped..).unwrap_or_default();
    let batch = if rest.is_empty() { None } else { Some(Batch::from_frames(stretch.boot, previous, rest)?) };
    Ok(Read { batch, last_seq, end: stretch.end, is_full })
}

#[cfg(test)]
mod tests;
