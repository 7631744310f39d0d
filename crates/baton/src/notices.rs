//! Tells somebody by a signed webhook which background runs have ended.
//!
//! The news is a row beside the run, put there just before the run's end is written. It has a lease as a run has one,
//! so any process tells it, one at a time, and it outlives them all. It goes when it was taken, or given up.
//!
//! - Start with [`Notices::new`]; [`Notices::work`] is a task of its own.
//! - **Invariant:** neither a run nor the end of the process waits for the receiver.
//! - **Invariant:** each end is told at least once within the tries that there are; a repeat has the same id.

use std::sync::Arc;
use std::time::Duration;

use baton_api::{RunNotice, run_news};
use baton_audit::IdSource;
use baton_config::WebhookSettings;
use baton_model::{RawJson, RunId};
use baton_net::tasks::Tasks;
use baton_net::webhook::Webhook;
use baton_state::runs::{Claimed, Lease, NewRun, RunKind, RunStatus, Step, StepError};
use baton_state::{BoxFuture, Runs, StateError, StateErrorKind, Subject};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use crate::webhooks;

/// How often it is looked for news.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How many are told at the same time.
const AT_ONCE: usize = 8;
/// Until a run's end is written that is about to be.
const NOT_YET: Duration = Duration::from_secs(5);
/// Between two tries. After the last one it is given up.
const PAUSES: [Duration; 7] = [
    Duration::from_secs(1),
    Duration::from_secs(5),
    Duration::from_secs(30),
    Duration::from_secs(2 * 60),
    Duration::from_secs(10 * 60),
    Duration::from_secs(60 * 60),
    Duration::from_secs(5 * 60 * 60),
];

/// Who is told of runs, and of which.
#[derive(Debug)]
pub(crate) struct Notices {
    webhook: Webhook,
    runs: Arc<Runs>,
    ids: IdSource,
    places: Arc<Semaphore>,
}

/// Which run the news is of.
#[derive(Serialize, Deserialize)]
struct Of {
    run: RunId,
}

/// How often the receiver did not take it.
#[derive(Default, Serialize, Deserialize)]
struct Tried {
    times: usize,
}

impl Notices {
    /// News of these runs, for the receiver of these settings.
    pub(crate) fn new(settings: &WebhookSettings, runs: &Arc<Runs>, ids: &IdSource) -> anyhow::Result<Self> {
        Ok(Self {
            webhook: webhooks::runs(settings)?,
            runs: Arc::clone(runs),
            ids: ids.clone(),
            places: Arc::new(Semaphore::new(AT_ONCE)),
        })
    }

    /// Tells what is to be told, until the tasks are stopped.
    pub(crate) async fn work(self: Arc<Self>, tasks: Tasks) {
        let mut looks = tokio::time::interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = tasks.stop_token().cancelled() => return,
                _ = looks.tick() => self.take(&tasks).await,
            }
        }
    }

    async fn take(self: &Arc<Self>, tasks: &Tasks) {
        let Some(free) = u32::try_from(self.places.available_permits()).ok().filter(|free| *free > 0) else {
            return;
        };
        let claimed = match self.runs.claim(RunKind::Notice, free).await {
            Ok(claimed) => claimed,
            Err(error) => return tracing::debug!(error = %error, "news of runs cannot be had"),
        };
        for claimed in claimed {
            let (this, stop) = (Arc::clone(self), tasks.stop_token().clone());
            let place = Arc::clone(&self.places).try_acquire_owned();
            drop(tasks.spawn(async move {
                let told = stop.run_until_cancelled(this.told(&claimed)).await;
                if let Err(error) = this.note(claimed, told).await {
                    tracing::warn!(error = format!("{error:#}"), "news of a run may be told again");
                }
                drop(place);
            }));
        }
    }

    /// Tells one, and says what is to become of it.
    async fn told(&self, claimed: &Claimed) -> anyhow::Result<Told> {
        let Ok(Of { run }) = claimed.request.read() else { return Ok(Told::Over) };
        let Some(stored) = self.runs.get(&claimed.principal, run).await? else { return Ok(Told::Over) };
        let Some(news) = run_news(&stored) else { return Ok(Told::NotYet) };
        match self.webhook.send(&news.kind, &news.data).await {
            Ok(()) => Ok(Told::Over),
            Err(error) if error.is_temporary() => {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                tracing::warn!(error = %error, cause, run = %run, "it could not be told that a run has ended");
                Ok(Told::NotTaken)
            }
            Err(error) => {
                tracing::warn!(error = %error, run = %run, "that a run has ended is not taken, and not told again");
                Ok(Told::Over)
            }
        }
    }

    /// Lets go of news: for ever, or for a while.
    async fn note(&self, mut claimed: Claimed, told: Option<anyhow::Result<Told>>) -> anyhow::Result<()> {
        let tried: Option<Tried> = claimed.checkpoint.as_ref().and_then(|checkpoint| checkpoint.read().ok());
        let Tried { times } = tried.unwrap_or_default();
        let (times, pause) = match told.transpose()? {
            // The process stops: another one goes on at once.
            None => (times, Some(Duration::ZERO)),
            Some(Told::NotYet) => (times, Some(NOT_YET)),
            Some(Told::NotTaken) => (times + 1, PAUSES.get(times).copied()),
            Some(Told::Over) => (times, None),
        };
        let lease = &mut claimed.lease;
        match pause {
            Some(pause) => self.rest(lease, &Tried { times }, pause).await?,
            None => drop(self.runs.delete(&claimed.principal, lease.run()).await?),
        }
        if pause.is_none() && times > PAUSES.len() {
            tracing::warn!("that a run has ended was not taken {times} times, and is given up");
        }
        Ok(())
    }

    async fn rest(&self, lease: &mut Lease, tried: &Tried, pause: Duration) -> Result<(), StepError> {
        let step = RawJson::of(tried).map(|tried| Step::default().checkpoint(tried)).unwrap_or_default();
        let pause = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
        let due_ms = self.ids.now_ms().saturating_add(pause);
        self.runs.rest(lease, &step, RunStatus::InProgress, Some(due_ms)).await
    }
}

/// What is to become of news.
enum Told {
    /// It was taken, will never be, or nobody is interested any more.
    Over,
    /// The run's end is not written yet.
    NotYet,
    /// It is to be told again.
    NotTaken,
}

impl RunNotice for Notices {
    fn ends<'a>(
        &'a self,
        run: RunId,
        principal: &'a str,
        subject: &'a Subject,
    ) -> BoxFuture<'a, Result<(), StateError>> {
        Box::pin(async move {
            let request = RawJson::of(&Of { run }).map_err(|error| {
                StateError::new(StateErrorKind::Rejected, "news of a run has no JSON form").with_source(error)
            })?;
            let new =
                NewRun { id: beside(run), kind: RunKind::Notice, principal, subject, request: &request };
            match self.runs.queue(&new).await {
                // Somebody who died at the same place, or the first of two tries.
                Err(error) if error.kind() == StateErrorKind::Duplicate => Ok(()),
                queued => queued,
            }
        })
    }
}

/// The id of a run's news: a function of the run's, so that there is one.
fn beside(run: RunId) -> RunId {
    let mut random = [0; 10];
    for (digit, byte) in random.iter_mut().zip(run.uuid().as_bytes().iter().skip(6)) {
        *digit = *byte;
    }
    let [.., last] = &mut random;
    *last ^= 1;
    RunId::from_parts(run.unix_ms(), random)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_run_has_news_of_its_own() {
        let runs: Vec<RunId> = (0..3_u8).map(|it| RunId::from_parts(7, [it; 10])).collect();
        for run in &runs {
            assert_eq!(beside(*run), beside(*run));
            assert!(!runs.contains(&beside(*run)), "no run's id is taken");
            assert_eq!(beside(*run).unix_ms(), run.unix_ms());
        }
        assert_ne!(beside(runs[0]), beside(runs[2]));
    }
}
