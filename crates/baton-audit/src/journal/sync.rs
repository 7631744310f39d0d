//! Brings what was written to the disk, many records with one `fdatasync`.
//!
//! - **Invariant:** who waits is never missed: wishes and sleep are under the same lock.
//! - **Never here:** a second try after a failed sync.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use rustix::fs::statvfs;

use super::failpoint::Failpoint;
use super::index::Place;
use super::segment::Spare;
use super::state::{Phase, Sleep, State};
use super::write::RETRY_PREPARE;
use super::{Shared, first_segment_bytes};
use crate::ChainHead;

/// A sync that covered so many entries was one of a crowd.
const CROWD: u64 = 8;
/// In a crowd, syncs begin at least this far apart: each then covers more, and all of them cost
/// less. A lone request is never kept waiting for it.
const GATHER: Duration = Duration::from_millis(2);
/// The same where a sync covered so many entries that the processor is what they wait for.
const THRONG: (u64, Duration) = (48, Duration::from_millis(4));

pub(super) fn start(shared: &Arc<Shared>, requests: Receiver<()>) -> io::Result<Vec<JoinHandle<()>>> {
    let syncing = Arc::clone(shared);
    let preparing = Arc::clone(shared);
    Ok(vec![
        Builder::new().name("journal-sync".to_owned()).spawn(move || syncing.keep_syncing())?,
        Builder::new().name("journal-space".to_owned()).spawn(move || preparing.keep_preparing(&requests))?,
    ])
}

/// What one sync covers.
struct Batch {
    files: Vec<Arc<File>>,
    names_too: bool,
    seq: u64,
    end: Place,
}

/// What the syncing thread does next.
enum Task {
    Sync,
    Checkpoint,
    Stop,
}

impl Shared {
    /// Notes that a caller waits for this entry.
    pub(super) fn want(&self, seq: u64) {
        let mut state = self.lock();
        if seq > state.synced_seq {
            self.want_locked(&mut state, seq);
        }
    }

    pub(super) fn want_locked(&self, state: &mut State, seq: u64) {
        if seq <= state.wanted_seq || state.failed.is_some() {
            return;
        }
        state.wanted_seq = seq;
        if state.wanted_since.is_none() {
            let now = Instant::now();
            state.wanted_since = Some(now);
            if self.waiting_since.load(Ordering::Relaxed) == 0 {
                self.show_waiting_since(Some(now));
            }
        }
        if state.sleep != Sleep::Awake {
            self.wake(state);
        }
    }

    pub(super) fn wake(&self, state: &mut State) {
        state.sleep = Sleep::Awake;
        self.wake.notify_one();
    }

    /// Where the chain stands now. Before it is signed, it is synced.
    pub(super) fn head(&self) -> ChainHead {
        let state = self.lock();
        ChainHead { boot: self.boot, seq: state.seq, hash: state.hash.to_string() }
    }

    fn show_waiting_since(&self, since: Option<Instant>) {
        let shown = since.map_or(0, |since| {
            let micros = since.saturating_duration_since(self.epoch).as_micros();
            u64::try_from(micros).unwrap_or(u64::MAX - 1) + 1
        });
        self.waiting_since.store(shown, Ordering::Relaxed);
    }

    fn keep_syncing(&self) {
        let mut next_checkpoint = Instant::now() + self.options.checkpoint_every;
        let mut not_before = None;
        loop {
            match self.next_task(next_checkpoint, not_before) {
                Task::Stop => return,
                Task::Sync => {
                    let began = Instant::now();
                    not_before = match self.sync_once() {
                        covered if covered >= THRONG.0 => Some(began + THRONG.1),
                        covered if covered >= CROWD => Some(began + GATHER),
                        _ => None,
                    };
                }
                Task::Checkpoint => {
                    next_checkpoint = Instant::now() + self.options.checkpoint_every;
                    self.sync_and_sign();
                }
            }
        }
    }

    /// Sleeps until there is something to do. Nobody who waits is served before `not_before`.
    fn next_task(&self, next_checkpoint: Instant, not_before: Option<Instant>) -> Task {
        let mut state = self.lock();
        let mut lazy_until = None;
        loop {
            if state.phase == Phase::Stopping {
                return Task::Stop;
            }
            let now = Instant::now();
            if state.failed.is_none() {
                // A checkpoint syncs too, so that under load neither waits for the other.
                let to_sign = state.seq > state.checkpoint_seq && state.phase == Phase::Open;
                let many = state.seq - state.checkpoint_seq >= self.options.checkpoint_entries;
                if to_sign && (many || now >= next_checkpoint) {
                    return Task::Checkpoint;
                }
                if state.wanted_seq > state.synced_seq {
                    let Some(left) = not_before.and_then(|begin| begin.checked_duration_since(now)) else {
                        return Task::Sync;
                    };
                    // As if awake: whoever comes now joins without a call to wake anybody.
                    state = self.sleep(state, Sleep::Awake, Some(left));
                    continue;
                }
                if state.seq > state.synced_seq {
                    let until = *lazy_until.get_or_insert(now + self.options.lazy_sync);
                    if now >= until {
                        return Task::Sync;
                    }
                    state = self.sleep(state, Sleep::ForWaiters, Some(until - now));
                    continue;
                }
                if to_sign {
                    state = self.sleep(state, Sleep::ForEntries, Some(next_checkpoint - now));
                    continue;
                }
            }
            state = self.sleep(state, Sleep::ForEntries, None);
        }
    }

    fn sleep<'a>(
        &self,
        mut state: std::sync::MutexGuard<'a, State>,
        kind: Sleep,
        at_most: Option<Duration>,
    ) -> std::sync::MutexGuard<'a, State> {
        state.sleep = kind;
        let mut state = match at_most {
            None => self.wake.wait(state).unwrap_or_else(std::sync::PoisonError::into_inner),
            Some(time) => {
                self.wake.wait_timeout(state, time).unwrap_or_else(std::sync::PoisonError::into_inner).0
            }
        };
        state.sleep = Sleep::Awake;
        state
    }

    /// Syncs everything written so far, and tells those who wait. The number of entries covered.
    pub(super) fn sync_once(&self) -> u64 {
        let batch = {
            let mut state = self.lock();
            if state.failed.is_some() {
                return 0;
            }
            let mut files = std::mem::take(&mut state.unsynced);
            files.push(Arc::clone(&state.active.file));
            // Waits that begin from now on are the next sync's.
            state.wanted_since = None;
            Batch {
                files,
                names_too: std::mem::take(&mut state.renamed),
                seq: state.seq,
                end: state.active.end_place(),
            }
        };
        match self.sync_files(&batch) {
            Ok(()) => self.publish(&batch),
            Err(error) => {
                self.fail(&error);
                0
            }
        }
    }

    fn sync_files(&self, batch: &Batch) -> io::Result<()> {
        self.options.failpoints.reach(Failpoint::BeforeSync)?;
        if batch.names_too {
            File::open(&self.options.dir)?.sync_all()?;
        }
        batch.files.iter().try_for_each(|file| file.sync_data())?;
        self.options.failpoints.reach(Failpoint::AfterSync)
    }

    fn publish(&self, batch: &Batch) -> u64 {
        let covered;
        {
            let mut state = self.lock();
            covered = batch.seq.saturating_sub(state.synced_seq);
            state.synced_seq = batch.seq;
            state.synced = batch.end;
            if state.wanted_seq <= batch.seq {
                state.wanted_since = None;
            }
            self.show_waiting_since(state.wanted_since);
        }
        self.progress.send_modify(|progress| progress.seq = batch.seq);
        covered
    }

    fn fail(&self, error: &io::Error) {
        tracing::error!(error = %error, "a sync of the journal failed; no new request is accepted");
        let why: Arc<str> = error.to_string().into();
        self.lock().failed = Some(Arc::clone(&why));
        self.progress.send_modify(|progress| progress.failed = Some(why));
    }

    fn sync_and_sign(&self) {
        let head = self.head();
        self.sync_once();
        if self.lock().synced_seq < head.seq {
            return;
        }
        if let Err(error) = self.append_checkpoint(head) {
            tracing::warn!(error = %error, "no checkpoint could be written");
        }
    }

    /// How large a segment is made ahead of time. On a disk that is nearly full a small one: a whole one
    /// would take, until it fails, the room that a request needs now.
    fn bytes_ahead(&self) -> u64 {
        let whole = self.options.segment_bytes;
        let free = statvfs(&self.options.dir).map(|disk| disk.f_bavail.saturating_mul(disk.f_frsize));
        if free.is_ok_and(|free| free < whole.saturating_mul(2)) {
            return first_segment_bytes(&self.options);
        }
        whole
    }

    /// Makes spare segments ahead of time, when asked.
    fn keep_preparing(&self, requests: &Receiver<()>) {
        while requests.recv().is_ok() {
            let (number, worn) = {
                let mut state = self.lock();
                if state.phase == Phase::Stopping {
                    return;
                }
                state.spares_made += 1;
                (state.spares_made, state.worn.take())
            };
            let dir = &self.options.dir;
            let made = match worn {
                Some(worn) => Spare::renew(dir, number, worn),
                None => Spare::create(dir, number, self.bytes_ahead(), true),
            };
            let mut state = self.lock();
            state.preparing = false;
            match made {
                Ok(spare) => {
                    state.spares.push_back(spare);
                    state.prepare_after = None;
                }
                Err(error) => {
                    state.prepare_after = Some(Instant::now() + RETRY_PREPARE);
                    tracing::warn!(error = %error, "no room for another segment of the journal");
                }
            }
        }
    }
}
