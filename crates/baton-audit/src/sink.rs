//! Writes decisions and outcomes to NDJSON files, for whoever keeps them in a lake or a warehouse.
//!
//! It reads the evidence from the store, behind the relay, with a cursor of its own: a folder that
//! cannot be written holds up nothing, and loses nothing. Each gateway writes the chains of its own
//! journal, from the one in which it was told to.
//!
//! A line is the record as it was written, with its chain and its number in front:
//! `{"boot":"boot_…","seq":7,"record":"decision",…}`. The two name it: a line that comes twice can be
//! told from two lines. A file that is being written ends in `.part`, a finished one in `.ndjson`.
//!
//! - Start with [`Export::run`]; at the end [`Export::close`].
//! - **Invariant:** the cursor moves only after the lines are on the disk. So each line is written at
//!   least once, and what a crash left behind the cursor is cut off before it is written again.
//! - **Never here:** the journal, and anything that the relay or a request waits for.

mod files;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use baton_model::BootId;
use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::time::{sleep, timeout};

use crate::block::{Block, BlockError};
use crate::frame;
use crate::store::{AuditStore, StoreError};
use crate::{ChainHead, Record};

use files::{Files, Place};

/// How many blocks are read at once.
const BLOCKS: u32 = 8;

/// Where the files go, and how they are cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportOptions {
    /// The folder; made when it is missing. One gateway has it.
    pub dir: PathBuf,
    /// A file is finished when it has so many bytes.
    pub file_bytes: u64,
    /// A file is finished when it is so old.
    pub file_age: Duration,
    /// How long it waits for more.
    pub pause: Duration,
    /// The longest pause after failures.
    pub max_backoff: Duration,
    /// How long the store may take for an answer.
    pub answer_timeout: Duration,
}

impl ExportOptions {
    /// The settings of a server.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            file_bytes: 64 << 20,
            file_age: Duration::from_secs(3600),
            pause: Duration::from_secs(1),
            max_backoff: Duration::from_secs(30),
            answer_timeout: Duration::from_secs(30),
        }
    }
}

/// How the export is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExportHealth {
    /// Lines written since the start.
    pub lines: u64,
    /// Failures since the last success.
    pub failures: u64,
}

/// Writes the chains of one journal from one store into one folder.
#[derive(Debug)]
pub struct Export {
    boot: BootId,
    store: Arc<dyn AuditStore>,
    options: ExportOptions,
    files: Mutex<Option<Files>>,
    lines: AtomicU64,
    failures: AtomicU64,
}

#[derive(Debug, thiserror::Error)]
enum ExportError {
    #[error("the folder of the export cannot be written")]
    Files(#[from] std::io::Error),
    #[error("the store did not answer")]
    Store(#[from] StoreError),
    #[error("the store did not answer in time")]
    Slow,
    #[error("the store has a block that cannot be read")]
    Block(#[from] BlockError),
    #[error("the writing task ended early")]
    Writer(#[from] tokio::task::JoinError),
}

/// What a block holds for the files.
#[derive(Debug, Default)]
struct Lines {
    bytes: Vec<u8>,
    count: u64,
    last_seq: u64,
    /// Where the chain before this one ended, if this is the chain's first block.
    previous: Option<ChainHead>,
}

impl Export {
    /// An export of the journal with this boot. It does nothing until it is run.
    #[must_use]
    pub fn new(boot: BootId, store: Arc<dyn AuditStore>, options: ExportOptions) -> Self {
        Self {
            boot,
            store,
            options,
            files: Mutex::default(),
            lines: AtomicU64::new(0),
            failures: AtomicU64::new(0),
        }
    }

    /// Writes what the store has and what comes, until `stop` is ready.
    pub async fn run(&self, stop: impl Future<Output = ()> + Send) {
        let mut stop = std::pin::pin!(stop);
        let mut backoff = self.options.pause;
        loop {
            let step = async {
                match self.step().await {
                    Ok(true) => backoff = self.options.pause,
                    Ok(false) => {
                        backoff = self.options.pause;
                        sleep(self.options.pause).await;
                    }
                    Err(error) => {
                        self.report(&error);
                        sleep(backoff).await;
                        backoff = backoff.saturating_mul(2).min(self.options.max_backoff);
                    }
                }
            };
            tokio::select! {
                biased;
                () = &mut stop => return,
                () = step => {}
            }
        }
    }

    /// Writes what the store has now and finishes the last file; whether that was done in time.
    pub async fn close(&self, deadline: Duration) -> bool {
        let rest = async {
            loop {
                match self.step().await {
                    Ok(true) => {}
                    Ok(false) => return self.finish().await,
                    Err(error) => {
                        self.report(&error);
                        return false;
                    }
                }
            }
        };
        timeout(deadline, rest).await.unwrap_or(false)
    }

    /// How it is doing.
    #[must_use]
    pub fn health(&self) -> ExportHealth {
        ExportHealth {
            lines: self.lines.load(Ordering::Relaxed),
            failures: self.failures.load(Ordering::Relaxed),
        }
    }

    fn report(&self, error: &ExportError) {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed) + 1;
        let cause = std::error::Error::source(error).map(ToString::to_string);
        tracing::warn!(error = %error, cause, failures, "the export of the audit log waits");
    }

    /// Writes the next blocks; `false` when there are none.
    async fn step(&self) -> Result<bool, ExportError> {
        let mut kept = self.files.lock().await;
        // After a failure nothing is known of the files: they are opened again from the cursor.
        let files = match kept.take() {
            Some(files) => files,
            None => {
                let (options, boot) = (self.options.clone(), self.boot);
                tokio::task::spawn_blocking(move || Files::open(options, boot)).await??
            }
        };
        for Place { boot, seq } in files.chains() {
            let blocks = timeout(self.options.answer_timeout, self.store.blocks(boot, seq, BLOCKS)).await;
            let blocks = blocks.map_err(|_elapsed| ExportError::Slow)??;
            if !blocks.is_empty() {
                let (files, count) = write(files, boot, blocks).await?;
                self.lines.fetch_add(count, Ordering::Relaxed);
                self.failures.store(0, Ordering::Relaxed);
                *kept = Some(files);
                return Ok(true);
            }
        }
        self.failures.store(0, Ordering::Relaxed);
        *kept = Some(on_disk(files, Files::finish_old).await?);
        Ok(false)
    }

    async fn finish(&self) -> bool {
        let mut kept = self.files.lock().await;
        let Some(files) = kept.take() else { return true };
        match on_disk(files, Files::finish).await {
            Ok(files) => {
                *kept = Some(files);
                true
            }
            Err(error) => {
                self.report(&error);
                false
            }
        }
    }
}

/// Writes blocks of one chain, away from the tasks of requests.
async fn write(files: Files, boot: BootId, blocks: Vec<Block>) -> Result<(Files, u64), ExportError> {
    tokio::task::spawn_blocking(move || {
        let mut files = files;
        let mut written = 0;
        for block in &blocks {
            let lines = lines(block)?;
            if let Some(previous) = lines.previous {
                files.forget(&previous);
            }
            files.append(&lines.bytes, Place { boot, seq: lines.last_seq })?;
            written += lines.count;
        }
        Ok((files, written))
    })
    .await?
}

async fn on_disk(
    mut files: Files,
    work: impl FnOnce(&mut Files) -> std::io::Result<()> + Send + 'static,
) -> Result<Files, ExportError> {
    let done = tokio::task::spawn_blocking(move || work(&mut files).map(|()| files)).await?;
    Ok(done?)
}

/// What a record is. The rest of it is not read: it goes out as it stands.
#[derive(Deserialize)]
struct Tag<'a> {
    record: &'a str,
}

/// Makes lines of a block.
fn lines(block: &Block) -> Result<Lines, BlockError> {
    let frames = block.unpack()?;
    let mut lines = Lines::default();
    for frame in frame::read_all(&frames) {
        let frame = frame.map_err(|error| BlockError::Damaged(error.to_string()))?;
        lines.last_seq = frame.seq;
        let tag: Tag<'_> =
            serde_json::from_slice(frame.payload).map_err(|error| BlockError::Damaged(error.to_string()))?;
        match tag.record {
            "decision" | "outcome" => {
                let members = frame.payload.strip_prefix(b"{").unwrap_or_default();
                lines.bytes.extend_from_slice(
                    format!("{{\"boot\":\"{}\",\"seq\":{},", block.boot, frame.seq).as_bytes(),
                );
                lines.bytes.extend_from_slice(members);
                lines.bytes.push(b'\n');
                lines.count += 1;
            }
            "boot" => {
                if let Ok(Record::Boot(boot)) = Record::read(frame.payload) {
                    lines.previous = boot.previous;
                }
            }
            _ => {}
        }
    }
    Ok(lines)
}

#[cfg(test)]
mod tests;
