//! Carries runs out: those that are asked for here, and those that nobody holds any more.
//!
//! Each run that this process holds is a task. All leases are made longer by one statement. A run that waits for
//! its caller, or that was let go, costs a row and no task.
//!
//! - Start with [`RunDesk::new`], then [`RunDesk::work`] as a task of its own.
//! - **Invariant:** no more background runs are held at once than [`RunOptions::at_once`].
//! - **Invariant:** a run that was lost is not written to, and not told of.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use baton_access::AuthError;
use baton_engine::{Checkpoint, Engine, Kept, RunFault};
use baton_model::{RawJson, RunId};
use baton_net::tasks::Tasks;
use baton_state::runs::{
    Claimed, KnownCalls, Lease, LeaseRow, NewRun, RunKind, RunRow, RunStatus, StepError, StoredRun, Woken,
};
use baton_state::{Responses, Runs, StateError, Subject};
use serde_json::{Value, json};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::notice::RunNotice;
use super::order::Order;
use super::shown;
use crate::gate::Gate;
use crate::stored::background;

/// After so many claims in a row in which it came nowhere, a run is given up: it may be what kills its holders.
pub(super) const MOST_IN_VAIN: u64 = 16;

/// How runs are carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunOptions {
    /// How many background runs this process carries out at once.
    pub at_once: usize,
    /// How often it looks for runs that others made, or let go.
    pub look_every: Duration,
}

impl RunOptions {
    /// 64, each second.
    pub const STANDARD: Self = Self { at_once: 64, look_every: Duration::from_secs(1) };
}

/// Where runs are taken in and carried out. Clones are the same desk.
#[derive(Clone)]
pub struct RunDesk(Arc<Desk>);

struct Desk {
    runs: Arc<Runs>,
    engine: Arc<Engine>,
    gate: Arc<Gate>,
    tasks: Tasks,
    options: RunOptions,
    notice: Option<Arc<dyn RunNotice>>,
    held: Mutex<HashMap<RunId, Held>>,
    /// There may be something to take.
    due: Notify,
    places: Arc<Semaphore>,
    /// The process is about to end.
    stopping: CancellationToken,
    /// Where responses are stored that are made in the background.
    responses: OnceLock<Arc<Responses>>,
}

/// A run that this process holds.
#[derive(Clone)]
struct Held {
    kept: Arc<Kept>,
    row: LeaseRow,
    over: CancellationToken,
}

/// A run to be carried out.
pub(super) struct Task {
    pub(super) order: Order,
    pub(super) kept: Arc<Kept>,
    pub(super) answer: Option<RawJson>,
    pub(super) is_cancelled: bool,
    /// How often it was claimed since it came anywhere.
    pub(super) in_vain: u64,
}

impl RunDesk {
    /// A desk for these runs, which this engine carries out while the gate would let their callers in. Once `stopping` is cancelled, those in the background
    /// are let go; the others are when the tasks are to stop.
    #[must_use]
    pub fn new(
        runs: Arc<Runs>,
        engine: Arc<Engine>,
        gate: Arc<Gate>,
        tasks: Tasks,
        stopping: CancellationToken,
        options: RunOptions,
        notice: Option<Arc<dyn RunNotice>>,
    ) -> Self {
        Self(Arc::new(Desk {
            runs,
            engine,
            gate,
            options,
            notice,
            held: Mutex::default(),
            due: Notify::new(),
            places: Arc::new(Semaphore::new(options.at_once)),
            stopping,
            tasks,
            responses: OnceLock::new(),
        }))
    }

    /// The same desk, which carries out responses in the background too, where they are stored.
    #[must_use]
    pub fn with_responses(self, responses: Option<Arc<Responses>>) -> Self {
        if let Some(responses) = responses {
            self.0.responses.get_or_init(|| responses);
        }
        self
    }

    /// Takes runs that are due and keeps those that are held, until the process stops.
    pub async fn work(self) {
        let desk = &self.0;
        let every = |time| {
            let mut ticks = tokio::time::interval(time);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            ticks
        };
        let mut looks = every(desk.options.look_every);
        let mut renewals = every(desk.runs.leasing().lease / 4);
        loop {
            tokio::select! {
                biased;
                () = desk.tasks.stop_token().cancelled() => return,
                _ = renewals.tick() => self.renew().await,
                _ = looks.tick() => self.claim().await,
                () = desk.due.notified() => self.claim().await,
            }
        }
    }

    pub(crate) fn gate(&self) -> &Gate {
        &self.0.gate
    }

    pub(crate) fn engine(&self) -> &Arc<Engine> {
        &self.0.engine
    }

    /// Makes a run that this process begins with at once.
    pub(crate) async fn begin(&self, id: RunId, order: Order) -> Result<(), StateError> {
        let (subject, request) = (order.subject(), stored_form(&order)?);
        let lease = self.0.runs.begin(&new_run(id, order.principal(), &subject, &request)).await?;
        self.hold(lease, order, Checkpoint::default(), KnownCalls::default(), None, false, None);
        Ok(())
    }

    /// Makes a run that whoever has a place for it begins with.
    pub(crate) async fn queue(&self, id: RunId, order: &Order) -> Result<(), StateError> {
        let (subject, request) = (order.subject(), stored_form(order)?);
        self.0.runs.queue(&new_run(id, order.principal(), &subject, &request)).await?;
        self.0.due.notify_one();
        Ok(())
    }

    /// Makes a run of any kind that whoever has a place for it begins with.
    pub(crate) async fn queue_as(&self, new: &NewRun<'_>) -> Result<(), StateError> {
        self.0.runs.queue(new).await?;
        self.0.due.notify_one();
        Ok(())
    }

    pub(crate) fn runs(&self) -> &Arc<Runs> {
        &self.0.runs
    }

    pub(crate) fn tasks(&self) -> &Tasks {
        &self.0.tasks
    }

    pub(crate) fn responses(&self) -> Option<&Arc<Responses>> {
        self.0.responses.get()
    }

    /// A run as it is stored, if it is one of this caller's.
    pub(crate) async fn stored(&self, principal: &str, id: RunId) -> Result<Option<StoredRun>, StateError> {
        let stored = self.0.runs.get(principal, id).await?;
        Ok(stored.filter(|stored| stored.run.kind == RunKind::Run))
    }

    /// Asks a run to stop, and waits until it has where this process holds it.
    pub(crate) async fn cancel(&self, principal: &str, id: RunId) -> Result<Option<RunRow>, StateError> {
        let row = self.0.runs.cancel(principal, id).await?;
        let held = row.as_ref().and_then(|_| self.held().get(&id).cloned());
        match held {
            Some(held) => {
                held.kept.cancel.cancel();
                held.over.cancelled().await;
            }
            None => self.0.due.notify_one(),
        }
        Ok(row)
    }

    /// Gives a run what it waits for.
    pub(crate) async fn answer(
        &self,
        stored: &StoredRun,
        answer: &RawJson,
    ) -> Result<Option<Woken>, StateError> {
        let row = &stored.run;
        let woken = self.0.runs.answer(&row.principal, &row.subject, row.id, answer).await?;
        self.0.due.notify_one();
        Ok(woken)
    }

    /// Waits until a run has ended or rests, and gives it as it is then.
    pub(crate) async fn settled(&self, principal: &str, id: RunId) -> Result<Option<StoredRun>, StateError> {
        let mut ticks = tokio::time::interval(self.0.options.look_every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let stored = self.stored(principal, id).await?;
            let goes_on = stored
                .as_ref()
                .is_some_and(|stored| matches!(stored.run.status, RunStatus::Queued | RunStatus::InProgress));
            if !goes_on {
                return Ok(stored);
            }
            let here = self.held().get(&id).map(|held| held.over.clone());
            match here {
                Some(over) => over.cancelled().await,
                None => {
                    ticks.tick().await;
                }
            }
        }
    }

    /// How far a run has been written that this process holds.
    pub(super) fn watch(&self, id: RunId) -> Option<watch::Receiver<u64>> {
        self.held().get(&id).map(|held| held.kept.watch())
    }

    /// Cancelled when the process is about to end.
    pub(crate) fn stopping(&self) -> &CancellationToken {
        &self.0.stopping
    }

    pub(super) fn look_every(&self) -> Duration {
        self.0.options.look_every
    }

    /// Stops a run whose caller has gone, without anybody waiting for it.
    pub(super) fn leave(&self, principal: String, id: RunId) {
        let desk = self.clone();
        drop(self.0.tasks.spawn(async move {
            if let Err(error) = desk.cancel(&principal, id).await {
                tracing::warn!(error = %error, run = %id, "the caller of a run has gone, and it goes on");
            }
        }));
    }

    fn held(&self) -> MutexGuard<'_, HashMap<RunId, Held>> {
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes as many runs that are due as there are places.
    async fn claim(&self) {
        self.claim_of(RunKind::Run).await;
        if self.responses().is_some() {
            self.claim_of(RunKind::Response).await;
        }
    }

    async fn claim_of(&self, kind: RunKind) {
        let desk = &self.0;
        while !desk.stopping.is_cancelled() {
            let free = desk.places.available_permits().min(16);
            let Some(limit) = u32::try_from(free).ok().filter(|free| *free > 0) else { return };
            let claimed = match desk.runs.claim(kind, limit).await {
                Ok(claimed) => claimed,
                Err(error) => {
                    tracing::debug!(error = %error, "runs that are due cannot be had");
                    return;
                }
            };
            let is_last = claimed.len() < free;
            for claimed in claimed {
                // Only this task takes places.
                let place = Arc::clone(&desk.places).try_acquire_owned().ok();
                self.take(claimed, place).await;
            }
            if is_last {
                return;
            }
        }
    }

    async fn take(&self, mut claimed: Claimed, place: Option<OwnedSemaphorePermit>) {
        if claimed.kind == RunKind::Response {
            return background::take(self, claimed, place).await;
        }
        let calls = claimed.take_calls();
        let run = claimed.lease.run();
        let checkpoint = claimed.checkpoint.as_ref().map(RawJson::read::<Checkpoint>).transpose();
        match (claimed.request.read::<Order>(), checkpoint) {
            (Ok(order), Ok(checkpoint)) => {
                let checkpoint = checkpoint.unwrap_or_default();
                let Claimed { lease, answer, cancelled, .. } = claimed;
                self.hold(lease, order, checkpoint, calls, answer, cancelled, place);
            }
            _ => {
                tracing::error!(run = %run, "a stored run cannot be read, and is ended");
                let mut lease = claimed.lease;
                let fault =
                    json!({ "error": { "code": "unreadable", "message": "the stored run cannot be read" } });
                if let Ok(result) = RawJson::of(&fault) {
                    let step = baton_state::runs::Step::default();
                    drop(self.0.runs.finish(&mut lease, &step, RunStatus::Failed, &result).await);
                }
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "it is what a claim consists of, and made in two places")]
    fn hold(
        &self,
        lease: Lease,
        order: Order,
        checkpoint: Checkpoint,
        calls: KnownCalls,
        answer: Option<RawJson>,
        is_cancelled: bool,
        place: Option<OwnedSemaphorePermit>,
    ) {
        let desk = &self.0;
        let row = lease.row();
        let in_vain = lease.epoch().saturating_sub(checkpoint.epoch);
        let stop = if order.shown.background { &desk.stopping } else { desk.tasks.stop_token() };
        let pause = stop.child_token();
        let kept =
            Arc::new(Kept::new(Arc::clone(&desk.runs), lease, calls, checkpoint, order.terms(), pause));
        let task = Task { order, kept: Arc::clone(&kept), answer, is_cancelled, in_vain };
        let this = self.clone();
        self.hold_while(kept, row, place, async move { this.carry(&task).await });
    }

    /// Holds a run while this carries it out.
    pub(crate) fn hold_while(
        &self,
        kept: Arc<Kept>,
        row: LeaseRow,
        place: Option<OwnedSemaphorePermit>,
        carried: impl Future<Output = Result<(), StepError>> + Send + 'static,
    ) {
        let run = kept.run();
        let over = CancellationToken::new();
        self.held().insert(run, Held { kept, row, over: over.clone() });
        let this = self.clone();
        drop(self.0.tasks.spawn(async move {
            // However it ends, nobody waits for it any more.
            let over = over.drop_guard();
            if let Err(error) = carried.await {
                tracing::warn!(error = %error, run = %run, "a run was let go");
            }
            this.held().remove(&run);
            drop(over);
            drop(place);
            this.0.due.notify_one();
        }));
    }

    /// Makes all leases longer, and hears who is wanted no more.
    async fn renew(&self) {
        let held: Vec<Held> = self.held().values().cloned().collect();
        let rows: Vec<LeaseRow> = held.iter().map(|held| held.row).collect();
        let renewed = match self.0.runs.renew_rows(&rows).await {
            Ok(renewed) => renewed,
            Err(error) => {
                tracing::warn!(error = %error, "the leases of runs were not made longer");
                return;
            }
        };
        for held in held {
            match renewed.iter().find(|renewed| renewed.run == held.row.run) {
                Some(renewed) if renewed.cancelled => held.kept.cancel.cancel(),
                Some(_) => {}
                // One that has ended meanwhile is not held either.
                None if held.over.is_cancelled() => {}
                None => {
                    if self.held().contains_key(&held.row.run) {
                        held.kept.lose();
                    }
                }
            }
        }
    }

    /// Writes the end of a run.
    pub(super) async fn end(
        &self,
        task: &Task,
        status: RunStatus,
        error: Option<RunFault>,
    ) -> Result<(), StepError> {
        let Task { kept, .. } = task;
        // What steps came to that are cut off is part of what the run came to.
        kept.note(Checkpoint::close, []).await;
        let progress = kept.checkpoint().await.progress;
        let mut events = Vec::new();
        if let Some(speaker) = &progress.speaker {
            events.extend(RawJson::of(&json!({ "type": "agent_end", "agent": speaker })));
        }
        if let Some(error) = &error {
            let mut event = json!({ "type": "error" });
            if let (Some(event), Ok(Value::Object(error))) =
                (event.as_object_mut(), serde_json::to_value(error))
            {
                event.extend(error);
            }
            events.extend(RawJson::of(&event));
        }
        let end = json!({
            "type": "run_end", "run": kept.run(), "status": status.as_str(),
            "usage": shown::usage(&progress), "cost_usd": shown::cost(&progress),
            "turns_consumed": progress.turns.len(),
        });
        events.extend(RawJson::of(&end));
        kept.note(|_| {}, events).await;
        let result =
            RawJson::of(&json!({ "error": error })).map_err(|source| no_json().with_source(source))?;
        // Before the end, so that no crash comes between the two.
        let is_noted = self.note_end(task).await;
        kept.finish(status, &result).await?;
        if let Err(error) = is_noted {
            tracing::debug!(error = %error, run = %kept.run(), "the end of a run is noted once more");
            if let Err(error) = self.note_end(task).await {
                tracing::warn!(error = %error, run = %kept.run(), "nobody will be told that a run has ended");
            }
        }
        Ok(())
    }

    /// Has whoever wants to be told of background runs know that one ends.
    async fn note_end(&self, task: &Task) -> Result<(), StateError> {
        let Task { order, kept, .. } = task;
        match self.0.notice.as_ref().filter(|_| order.shown.background) {
            Some(notice) => notice.ends(kept.run(), order.principal(), &order.subject()).await,
            None => Ok(()),
        }
    }
}

/// The run's key may not be used any more.
pub(super) fn not_any_more(error: AuthError) -> RunFault {
    let (code, what) = match error {
        AuthError::Revoked => ("key_revoked", "was revoked"),
        AuthError::Expired => ("key_expired", "expired"),
        AuthError::Missing => ("key_missing", "is needed now, and there was none"),
        AuthError::Unknown | AuthError::Unavailable => ("key_unknown", "is not there any more"),
    };
    fault(code, &format!("the run does not go on: the API key that asked for it {what}"))
}

pub(super) fn fault(code: &str, message: &str) -> RunFault {
    RunFault { code: code.to_owned(), message: message.to_owned(), param: None }
}

fn stored_form(order: &Order) -> Result<RawJson, StateError> {
    RawJson::of(order).map_err(|error| no_json().with_source(error))
}

const fn new_run<'a>(
    id: RunId,
    principal: &'a str,
    subject: &'a Subject,
    request: &'a RawJson,
) -> NewRun<'a> {
    NewRun { id, kind: RunKind::Run, principal, subject, request }
}

fn no_json() -> StateError {
    StateError::new(baton_state::StateErrorKind::Rejected, "what a run came to has no JSON form")
}

impl fmt::Debug for RunDesk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunDesk").field("options", &self.0.options).finish_non_exhaustive()
    }
}
