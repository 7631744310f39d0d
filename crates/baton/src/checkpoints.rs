//! Keeps signed checkpoints outside of the store: in a file, and with whoever takes a webhook.
//!
//! A checkpoint says where a chain stood. Whoever rolls the store back, cuts its end or makes it anew
//! with the key cannot make these unsaid, as long as they are kept where he cannot write.
//!
//! - Start with [`Sinks::start`]; at the end [`Sinks::settle`].
//! - **Invariant:** nothing waits for a sink but the end of the process, and that not for long. A sink
//!   that was away gets the newest checkpoint, which speaks for all before it.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use baton_audit::{Checkpoint, Journal};
use baton_config::Checkpoints;
use baton_net::tasks::Tasks;
use baton_net::webhook::Webhook;
use tokio::sync::watch;

use crate::webhooks;

/// The pause after a failure; it doubles up to `MAX_PAUSE`.
const MIN_PAUSE: Duration = Duration::from_secs(1);
const MAX_PAUSE: Duration = Duration::from_secs(60);
/// The kind of the message.
const KIND: &str = "audit.checkpoint";

/// Where checkpoints go.
#[derive(Debug)]
pub(crate) struct Sinks {
    kept: Vec<Kept>,
}

/// The last checkpoint that a sink has.
type Kept = watch::Receiver<Option<Checkpoint>>;

/// A sink.
#[derive(Clone, Debug)]
enum Sink {
    File(PathBuf),
    Webhook(Box<Webhook>),
}

impl Sink {
    const fn name(&self) -> &'static str {
        match self {
            Self::File(_) => "file",
            Self::Webhook(_) => "webhook",
        }
    }

    async fn keep(&self, checkpoint: &Checkpoint) -> anyhow::Result<()> {
        match self {
            Self::File(path) => {
                let (path, line) = (path.clone(), serde_json::to_vec(checkpoint)?);
                tokio::task::spawn_blocking(move || append(&path, line)).await??;
            }
            Self::Webhook(webhook) => webhook.send(KIND, &serde_json::to_vec(checkpoint)?).await?,
        }
        Ok(())
    }
}

impl Sinks {
    /// Gives every checkpoint of the journal to the sinks of the configuration.
    pub(crate) fn start(settings: &Checkpoints, journal: &Journal, tasks: &Tasks) -> anyhow::Result<Self> {
        let file = settings.file.clone().map(Sink::File);
        let webhook = settings
            .webhook
            .as_ref()
            .map(webhooks::checkpoints)
            .transpose()?
            .map(Box::new)
            .map(Sink::Webhook);
        let kept = file
            .into_iter()
            .chain(webhook)
            .map(|sink| {
                let (tell, kept) = watch::channel(None);
                let stop = tasks.stop_token().clone();
                let carried = carry(sink, journal.checkpoints(), tell);
                drop(tasks.spawn(async move { stop.run_until_cancelled(carried).await }));
                kept
            })
            .collect();
        Ok(Self { kept })
    }

    /// Waits until every sink has the newest checkpoint. `false` when one does not take it in time.
    pub(crate) async fn settle(&mut self, journal: &Journal, deadline: Duration) -> bool {
        let newest = journal.checkpoints().borrow().clone();
        let all = async {
            for kept in &mut self.kept {
                if kept.wait_for(|has| *has == newest).await.is_err() {
                    return false;
                }
            }
            true
        };
        tokio::time::timeout(deadline, all).await.unwrap_or(false)
    }
}

/// Carries checkpoints to one sink.
async fn carry(
    sink: Sink,
    mut newest: watch::Receiver<Option<Checkpoint>>,
    tell: watch::Sender<Option<Checkpoint>>,
) {
    let mut pause = MIN_PAUSE;
    loop {
        let checkpoint = newest.borrow_and_update().clone();
        if let Some(checkpoint) = checkpoint.filter(|it| tell.borrow().as_ref() != Some(it)) {
            match sink.keep(&checkpoint).await {
                Ok(()) => {
                    pause = MIN_PAUSE;
                    tell.send_replace(Some(checkpoint));
                }
                Err(error) => {
                    tracing::warn!(
                        sink = sink.name(),
                        error = format!("{error:#}"),
                        "a checkpoint could not be kept outside of the store; it is tried again"
                    );
                    tokio::time::sleep(pause).await;
                    pause = pause.saturating_mul(2).min(MAX_PAUSE);
                    continue;
                }
            }
        }
        if newest.changed().await.is_err() {
            return;
        }
    }
}

/// Appends a line, and brings it to the disk. A line that a crash cut short is ended first.
fn append(path: &Path, mut line: Vec<u8>) -> io::Result<()> {
    let mut file = OpenOptions::new().read(true).create(true).append(true).mode(0o600).open(path)?;
    line.push(b'\n');
    if file.seek(SeekFrom::End(0))? > 0 {
        let mut last = [0];
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
        if last != *b"\n" {
            line.insert(0, b'\n');
        }
    }
    file.write_all(&line)?;
    file.sync_data()
}

/// The checkpoints of a file, and how many of its lines are none.
pub(crate) fn read(path: &Path) -> anyhow::Result<(Vec<Checkpoint>, usize)> {
    let file = File::open(path).with_context(|| format!("cannot read `{}`", path.display()))?;
    let mut checkpoints = Vec::new();
    let mut others = 0;
    for line in BufReader::new(file).lines() {
        let line = line.with_context(|| format!("cannot read `{}`", path.display()))?;
        match parse(&line) {
            Some(checkpoint) => checkpoints.push(checkpoint),
            None if line.trim().is_empty() => {}
            None => others += 1,
        }
    }
    Ok((checkpoints, others))
}

/// A checkpoint as the file has it, or as a webhook's message brought it.
fn parse(line: &str) -> Option<Checkpoint> {
    #[derive(serde::Deserialize)]
    struct Message {
        data: Checkpoint,
    }
    let message = || serde_json::from_str(line).ok().map(|Message { data }| data);
    serde_json::from_str(line).ok().or_else(message)
}

#[cfg(test)]
mod tests;
