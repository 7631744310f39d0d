//! Writes records to local files, one `pwrite` each on the caller's own task, and syncs them in groups.
//!
//! Written is safe from a killed process, synced is safe from a lost machine. The two are apart so
//! that the sync overlaps the upstream call: [`Journal::append`] writes and starts the sync,
//! [`Journal::synced`] waits for it. One thread syncs; it sleeps when there is nothing to do.
//!
//! - Start with [`Journal::open`].
//! - **Invariant:** a decision that expects an outcome is only accepted together with the space of
//!   that outcome, in the bound and on the disk.
//! - **Invariant:** after a failed sync nothing new is accepted. What the kernel did with the pages
//!   is not known, and a second sync that succeeds would prove nothing.
//! - **Never here:** a store, a retry of a sync, a lock over an `await`.

mod failpoint;
mod index;
mod options;
mod read;
mod recover;
mod segment;
mod state;
mod sync;
mod write;

use std::cell::RefCell;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use baton_model::BootId;
use rustix::fs::{FlockOperation, flock};
use tokio::sync::watch;

use crate::chain::{CheckpointKey, CheckpointSigner, Hash};
use crate::clock::{Clock, IdSource};
use crate::{Boot, ChainHead, Checkpoint, Record, SigningKey};

pub use failpoint::{Failpoint, FailpointAction, FailpointError, Failpoints};
pub use options::{JournalError, JournalHealth, JournalOptions, Receipt};
pub(crate) use read::{Found, Mark, ReadLimit, Stretch};
pub use recover::{Quarantined, Recovered};

use index::Index;
use segment::{Header, SEGMENT_HEADER, Spare};
use state::{OUTCOME_RESERVE, Phase, Progress, State};

/// The first segment of a boot is this part of a whole one, so that starting is quick.
const FIRST_SEGMENT_PART: u64 = 16;

/// The bound has room for as many segments as this. Space comes back by whole segments: if one held
/// all there may be, a full journal would stay full after the store has taken everything.
const FEWEST_SEGMENTS: u64 = 8;

/// The local log of one process.
#[derive(Debug)]
pub struct Journal {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    recovered_boots: Vec<BootId>,
    /// Held while the journal is: another process is refused.
    _lock: File,
}

#[derive(Debug)]
struct Shared {
    options: JournalOptions,
    boot: BootId,
    state: Mutex<State>,
    /// Wakes the syncing thread.
    wake: Condvar,
    progress: watch::Sender<Progress>,
    /// When the oldest wait for a sync began, in microseconds since `epoch`, plus one; 0 for none.
    waiting_since: AtomicU64,
    epoch: Instant,
    /// Asks for another spare segment.
    prepare: std::sync::mpsc::SyncSender<()>,
    /// What signs. Locked from signing to writing, so that no signature of a replaced key comes late.
    signer: Mutex<CheckpointSigner>,
    /// The newest checkpoint, for whoever keeps it elsewhere.
    signed: watch::Sender<Option<Checkpoint>>,
}

thread_local! {
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}
const SCRATCH_KEPT: usize = 64 * 1024;

impl Journal {
    /// Takes the directory, recovers what is in it, and begins a chain of its own.
    ///
    /// # Errors
    /// When another process has the directory, or the file system refuses.
    pub fn open(mut options: JournalOptions) -> Result<(Self, Recovered), JournalError> {
        options.segment_bytes = options.segment_bytes.min(options.max_bytes / FEWEST_SEGMENTS);
        let keys = std::mem::take(&mut options.keys);
        let dir = options.dir.clone();
        let failed = |doing| {
            let path = dir.clone();
            move |source| JournalError::Io { doing, path, source }
        };
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&dir)
            .and_then(|()| sync_parent(&dir))
            .map_err(failed("make the directory"))?;
        let lock = lock(&dir)?;
        let mut index = Index::with_limit(options.indexed);
        let recovery = recover::recover(&dir, &mut index).map_err(failed("read the segments"))?;
        let boot = IdSource::new(Arc::clone(&options.clock)).boot();
        let header = Header { number: recovery.next_number, boot, first_seq: 1, previous: Hash::GENESIS };
        let spare = Spare::create(&dir, 0, first_segment_bytes(&options), false);
        let spare = spare.map_err(failed("make a segment"))?;
        let active = spare.activate(&dir, header).map_err(failed("begin a segment"))?;
        let (prepare, requests) = std::sync::mpsc::sync_channel(1);
        let (progress, _) = watch::channel(Progress::default());
        let (signed, _) = watch::channel(None);
        let shared = Arc::new(Shared {
            boot,
            state: Mutex::new(State::begin(active, recovery.segments, index)),
            wake: Condvar::new(),
            progress,
            waiting_since: AtomicU64::new(0),
            epoch: Instant::now(),
            prepare,
            signer: Mutex::new(options.signer.clone()),
            signed,
            options,
        });
        shared.begin(recovery.found.chains.last().cloned(), keys)?;
        let threads = sync::start(&shared, requests).map_err(failed("start a thread"))?;
        let recovered_boots = recovery.found.chains.iter().map(|head| head.boot).collect();
        let journal = Self { shared, threads: Mutex::new(threads), recovered_boots, _lock: lock };
        Ok((journal, recovery.found))
    }

    /// Writes a record. When this returns, a killed process does not lose it; a decision with an
    /// attempt is on its way to the disk, and [`Self::synced`] says when it is there.
    ///
    /// # Errors
    /// When the journal is full, closed, or failed, or the write does. Nothing was recorded then.
    pub fn append(&self, record: &Record) -> Result<Receipt, JournalError> {
        #[cfg(feature = "bench-no-audit")]
        if matches!(record, Record::Decision(_) | Record::Outcome(_)) {
            return Ok(Receipt { seq: 0 });
        }
        SCRATCH.with_borrow_mut(|frame| {
            let receipt = self.shared.append(record, frame);
            if frame.capacity() > SCRATCH_KEPT {
                *frame = Vec::new();
            }
            receipt
        })
    }

    /// Waits until the record, and with it all before it, is on the disk.
    ///
    /// The wait counts from this call, not from the first poll.
    ///
    /// # Errors
    /// When a sync failed: the record may or may not survive a lost machine.
    pub fn synced(&self, receipt: &Receipt) -> impl Future<Output = Result<(), JournalError>> + Send + use<> {
        let seq = receipt.seq;
        let mut progress = self.shared.progress.subscribe();
        self.shared.want(seq);
        async move {
            let reached = progress.wait_for(|now| now.failed.is_some() || now.seq >= seq).await;
            match reached {
                Ok(now) if now.seq >= seq => Ok(()),
                Ok(now) => Err(JournalError::SyncFailed(now.failed.clone().unwrap_or_default())),
                Err(_journal_gone) => Err(JournalError::Closed),
            }
        }
    }

    /// How long the oldest caller has been waiting for a sync; zero when none waits.
    #[must_use]
    pub fn sync_age(&self) -> Duration {
        self.shared.sync_age()
    }

    /// Whether a sync has failed: every new decision is refused from then on.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.shared.progress.borrow().failed.is_some()
    }

    /// This life of the process.
    #[must_use]
    pub fn boot(&self) -> BootId {
        self.shared.boot
    }

    /// Where the chain stands.
    #[must_use]
    pub fn head(&self) -> ChainHead {
        self.shared.head()
    }

    /// How the journal is doing.
    #[must_use]
    pub fn health(&self) -> JournalHealth {
        let now_ms = self.shared.options.clock.now_ms();
        let mut state = self.shared.lock();
        let full = self.shared.is_full(&mut state);
        let backlog_bytes = state.backlog();
        let oldest = state.index.oldest_ms().filter(|_| backlog_bytes > 0).unwrap_or(now_ms);
        JournalHealth {
            backlog_bytes,
            oldest_unrelayed: Duration::from_millis(now_ms.saturating_sub(oldest)),
            sync_age: self.shared.sync_age(),
            used_bytes: state.kept + state.reserved(),
            max_bytes: self.shared.options.max_bytes,
            full,
            open_attempts: state.open.len() as u64,
            written_seq: state.seq,
            synced_seq: state.synced_seq,
            failed: state.failed.is_some(),
        }
    }

    /// Signs where the chain stands, once all of it is synced. The syncing thread does this by
    /// itself in the interval of the options.
    ///
    /// # Errors
    /// As [`Self::append`] and [`Self::synced`].
    pub async fn checkpoint(&self) -> Result<(), JournalError> {
        let head = self.shared.head();
        self.synced(&Receipt { seq: head.seq }).await?;
        let receipt = self.shared.append_checkpoint(head)?;
        self.synced(&receipt).await
    }

    /// Ends the chain in order: no decision is accepted any more, and the end is synced and signed.
    ///
    /// What was written can still be read and relayed.
    ///
    /// # Errors
    /// As [`Self::append`] and [`Self::synced`].
    pub async fn close(&self) -> Result<(), JournalError> {
        let at_ms = self.shared.options.clock.now_ms();
        let receipt = self.append(&Record::CleanStop { at_ms })?;
        self.synced(&receipt).await?;
        self.checkpoint().await
    }

    /// Signs what retention is about to drop, and returns once that is synced.
    ///
    /// # Errors
    /// As [`Self::append`] and [`Self::synced`].
    pub async fn sign_drop(
        &self,
        before_ms: u64,
        heads: Vec<ChainHead>,
        decisions: u64,
    ) -> Result<Receipt, JournalError> {
        let receipt = {
            let signer = self.shared.signer();
            let dropped = signer.sign_drop(self.shared.options.clock.now_ms(), before_ms, heads, decisions);
            self.append(&Record::Dropped(dropped))?
        };
        self.synced(&receipt).await?;
        Ok(receipt)
    }

    /// Lets another key sign from now on, which the one before vouches for. `keep` stores what says
    /// so, for [`JournalOptions::keys`] of the next start; when it fails, nothing has changed.
    ///
    /// # Errors
    /// As [`Self::append`] and [`Self::synced`], and when `keep` fails.
    pub async fn rotate_key(
        &self,
        next: CheckpointSigner,
        keep: impl FnOnce(&SigningKey) -> io::Result<()>,
    ) -> Result<SigningKey, JournalError> {
        let key = {
            let mut signer = self.shared.signer();
            let key = signer.sign_key(self.shared.options.clock.now_ms(), &next.public_key());
            keep(&key).map_err(|source| JournalError::Io {
                doing: "keep the new signing key",
                path: self.shared.options.dir.clone(),
                source,
            })?;
            let _receipt = self.append(&Record::SigningKey(key.clone()))?;
            *signer = next;
            key
        };
        self.checkpoint().await?;
        Ok(key)
    }

    /// The public half of the key that signs now.
    #[must_use]
    pub fn public_key(&self) -> CheckpointKey {
        self.shared.signer().public_key()
    }

    /// Follows the checkpoints: always the newest one. What it names is synced.
    #[must_use]
    pub fn checkpoints(&self) -> watch::Receiver<Option<Checkpoint>> {
        self.shared.signed.subscribe()
    }

    /// Boots whose chains were found in the directory. None of them is alive.
    pub(crate) fn recovered_boots(&self) -> &[BootId] {
        &self.recovered_boots
    }

    pub(crate) fn clock(&self) -> &dyn Clock {
        &*self.shared.options.clock
    }

    pub(crate) fn failpoints(&self) -> &Failpoints {
        &self.shared.options.failpoints
    }

    /// Learns of every sync.
    pub(crate) fn progress(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut progress = self.shared.progress.subscribe();
        async move {
            if progress.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}

impl Drop for Journal {
    /// Stops the threads. Without [`Self::close`] the chain has no end: it reads as a crash.
    fn drop(&mut self) {
        self.shared.lock().phase = Phase::Stopping;
        self.shared.wake.notify_all();
        let _asked_already = self.shared.prepare.try_send(());
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!("a thread of the journal panicked");
            }
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn signer(&self) -> MutexGuard<'_, CheckpointSigner> {
        self.signer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records the boot and signs it, so that the head of the chain before it is signed at once. The
    /// keys that followed each other are told again in every chain, so that each can be checked
    /// although the others are gone.
    fn begin(&self, previous: Option<ChainHead>, keys: Vec<SigningKey>) -> Result<(), JournalError> {
        let boot = Boot {
            boot: self.boot,
            at_ms: self.options.clock.now_ms(),
            version: self.options.version.clone(),
            previous,
        };
        let mut frame = Vec::new();
        let _receipt = self.append(&Record::Boot(boot), &mut frame)?;
        for key in keys {
            let _receipt = self.append(&Record::SigningKey(key), &mut frame)?;
        }
        let head = self.head();
        self.sync_once();
        let _receipt = self.append_checkpoint(head)?;
        self.sync_once();
        match &self.lock().failed {
            Some(why) => Err(JournalError::SyncFailed(Arc::clone(why))),
            None => Ok(()),
        }
    }

    fn append_checkpoint(&self, head: ChainHead) -> Result<Receipt, JournalError> {
        let signer = self.signer();
        let checkpoint = signer.sign(self.options.clock.now_ms(), head);
        let receipt = self.append(&Record::Checkpoint(checkpoint.clone()), &mut Vec::new())?;
        self.signed.send_replace(Some(checkpoint));
        drop(signer);
        let mut state = self.lock();
        state.checkpoint_seq = state.checkpoint_seq.max(receipt.seq);
        Ok(receipt)
    }

    fn sync_age(&self) -> Duration {
        match self.waiting_since.load(Ordering::Relaxed) {
            0 => Duration::ZERO,
            since => self.epoch.elapsed().saturating_sub(Duration::from_micros(since - 1)),
        }
    }
}

fn first_segment_bytes(options: &JournalOptions) -> u64 {
    (options.segment_bytes / FIRST_SEGMENT_PART).max(SEGMENT_HEADER + 4 * OUTCOME_RESERVE)
}

/// Makes the directory's own name durable.
fn sync_parent(dir: &Path) -> io::Result<()> {
    match dir.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        Some(parent) => File::open(parent)?.sync_all(),
        None => File::open(".")?.sync_all(),
    }
}

/// Takes the directory for this process, and says so in the lock file.
fn lock(dir: &Path) -> Result<File, JournalError> {
    let path = dir.join("lock");
    let failed = |source| JournalError::Io { doing: "lock the journal", path: dir.to_owned(), source };
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(failed)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => {
            let mut text = String::new();
            drop(file.read_to_string(&mut text));
            return Err(JournalError::Locked { path: dir.to_owned(), holder: text.trim().parse().ok() });
        }
        Err(error) => return Err(failed(error.into())),
    }
    file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id())).map_err(failed)?;
    Ok(file)
}

#[cfg(test)]
mod tests;
