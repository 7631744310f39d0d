//! Work that outlives the process that began it.
//!
//! A run is a row with a lease. Whoever holds it says where it has come to, before each effect; when the
//! lease is over, any other process goes on from there.
//!
//! ```text
//! queued ── claimed: epoch 1 ── steps ── ended
//!              │      ▲  └ rests until it is due, or somebody answers: nobody holds it
//!              └ dead: claimed again when the lease is over: epoch 2
//! ```
//!
//! A step is one transaction: the checkpoint, the events that it told, the calls that it begins or has ended.
//! So what was told and where the run stands agree after a crash, and a call that was begun and has no result
//! is known to be of unknown outcome. A run that rests costs a row, and nothing in any process.
//!
//! Events may be handed out once their step is written, and not before: another holder may tell others under
//! the same numbers.
//!
//! - Start with [`Runs::begin`] or [`Runs::claim`], then [`Runs::keep`], then [`Runs::finish`].
//! - **Invariant:** a holder whose lease was taken over writes nothing more, whatever the clocks say.
//! - **Invariant:** the events of a run are numbered from 0 without a gap, and none is told twice.
//! - **Never here:** what a run does; tasks, timers; when to try again.

mod line;
mod port;
mod step;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use baton_model::{RawJson, RunId};

use line::Line;
pub use port::{
    BatchRow, Claim, ClaimedRow, EventPage, EventRows, LeaseRow, NewRunRow, Parts, Renewed, RunKind, RunPage,
    RunPageStart, RunRow, RunStatus, RunStore, Wake, WholeRunRow, Woken,
};
pub use step::{
    CallKey, CallMark, Change, Held, Judgement, KnownCall, MOST_EVENT_BYTES, NewBatch, Refusal, StepRow,
    Stepped, Then, judge,
};

use crate::error::{StateError, StateErrorKind};
use crate::idempotency::Clock;
use crate::responses::in_batches;
use crate::subject::Subject;
use crate::vault::{Place, Seal, Vault};

/// How many rows go in one transaction where many are removed.
const BATCH: u32 = 100;

/// How long runs are held and kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leasing {
    /// After so long without a word of its holder, somebody else goes on with a run.
    pub lease: Duration,
    /// How long a run is kept, from its beginning and, once more, from its end on.
    pub keep: Duration,
}

impl Leasing {
    /// 30 seconds and 30 days.
    pub const STANDARD: Self =
        Self { lease: Duration::from_secs(30), keep: Duration::from_secs(30 * 24 * 60 * 60) };
}

/// The runs of one installation, as one process sees them.
pub struct Runs {
    store: Arc<dyn RunStore>,
    vault: Vault,
    clock: Clock,
    leasing: Leasing,
    owner: String,
    line: Line,
}

/// A run that is to be made.
#[derive(Clone, Copy)]
pub struct NewRun<'a> {
    /// Its id.
    pub id: RunId,
    /// What it is of.
    pub kind: RunKind,
    /// Who sent the request.
    pub principal: &'a str,
    /// Whose content it is.
    pub subject: &'a Subject,
    /// All that is needed to begin.
    pub request: &'a RawJson,
}

/// The right to go on with a run. It ends when its time is over and somebody else takes the run.
#[derive(Debug, PartialEq, Eq)]
pub struct Lease {
    run: RunId,
    subject: Subject,
    epoch: u64,
    events: u64,
}

/// A run that is held now, with all that is needed to go on with it.
pub struct Claimed {
    /// The right to go on with it.
    pub lease: Lease,
    /// What it is of.
    pub kind: RunKind,
    /// Who sent the request.
    pub principal: String,
    /// When it was made, in milliseconds since 1970.
    pub created_ms: u64,
    /// Whether somebody asked it to stop.
    pub cancelled: bool,
    /// What is to be done.
    pub request: RawJson,
    /// Where it has come to. Nothing: it has not begun, or its holder died before its first word.
    pub checkpoint: Option<RawJson>,
    /// What its caller answered when it waited last.
    pub answer: Option<RawJson>,
    calls: KnownCalls,
}

/// What is known of the calls with effects of a run.
#[derive(Clone, Default)]
pub struct KnownCalls(BTreeMap<CallKey, CallState>);

/// What is known of a call with effects.
#[derive(Clone, PartialEq)]
pub enum CallState {
    /// It was begun and its holder died: it may have been made, or not.
    Unknown,
    /// It was made.
    Ended(RawJson),
}

/// What becomes true of a run at once.
#[derive(Clone, Default)]
pub struct Step {
    checkpoint: Option<RawJson>,
    events: Vec<RawJson>,
    calls: Vec<(CallKey, Said)>,
}

#[derive(Clone)]
enum Said {
    Begun,
    BegunAgain,
    Ended(RawJson),
}

/// What a holder is told about a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Whether somebody asked it to stop.
    pub cancelled: bool,
}

/// Why a step was not written.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// Somebody else goes on with the run, or it is gone: nothing more may be done for it.
    #[error("the run is held by somebody else, or is gone")]
    Lost,
    /// The step does not follow what is stored.
    #[error("the step of the run does not follow what is stored")]
    Refused(#[source] Refusal),
    /// The store failed. The step may be written; it can be sent again.
    #[error(transparent)]
    State(#[from] StateError),
}

/// A run as its caller sees it.
#[derive(Clone, PartialEq)]
pub struct StoredRun {
    /// The run.
    pub run: RunRow,
    /// What was asked.
    pub request: RawJson,
    /// Where it has come to.
    pub checkpoint: Option<RawJson>,
    /// What came of it.
    pub result: Option<RawJson>,
}

/// Events of a run, in order.
#[derive(Clone, PartialEq)]
pub struct Events {
    /// The run, as it was when they were read or shortly before.
    pub run: RunRow,
    /// The events, each with its number.
    pub events: Vec<(u64, RawJson)>,
}

impl Runs {
    /// Runs in this store, sealed by this. No other process may have the same name of an owner.
    #[must_use]
    pub fn new(
        store: Arc<dyn RunStore>,
        seal: Arc<dyn Seal>,
        clock: Clock,
        leasing: Leasing,
        owner: impl Into<String>,
    ) -> Self {
        Self { store, vault: Vault::new(seal), clock, leasing, owner: owner.into(), line: Line::default() }
    }

    /// Makes a run that the next claim takes, by whichever process.
    ///
    /// # Errors
    /// When the store fails, or has one of this id.
    pub async fn queue(&self, new: &NewRun<'_>) -> Result<(), StateError> {
        let now_ms = (self.clock)();
        self.store.insert_run(&self.row_of(new, now_ms, now_ms, None)?).await
    }

    /// Makes a run that this process holds from the beginning.
    ///
    /// # Errors
    /// When the store fails, or has one of this id.
    pub async fn begin(&self, new: &NewRun<'_>) -> Result<Lease, StateError> {
        let now_ms = (self.clock)();
        let until_ms = self.leased_until(now_ms);
        self.store.insert_run(&self.row_of(new, now_ms, until_ms, Some(self.owner.clone()))?).await?;
        Ok(Lease { run: new.id, subject: new.subject.clone(), epoch: 1, events: 0 })
    }

    /// Takes runs that are due, at most so many: new ones, those whose time has come, and those whose
    /// holders have died.
    ///
    /// # Errors
    /// When the store fails. What cannot be opened is skipped: it is tried again when its lease is over.
    pub async fn claim(&self, kind: RunKind, limit: u32) -> Result<Vec<Claimed>, StateError> {
        let now_ms = (self.clock)();
        let until_ms = self.leased_until(now_ms);
        let claim = Claim { owner: self.owner.clone(), kind, now_ms, until_ms, limit };
        let rows = self.store.claim_runs(&claim).await?;
        let claimed = rows.into_iter().filter_map(|row| {
            let id = row.run.id;
            self.open_claimed(row)
                .inspect_err(|error| tracing::error!(error = %error, run = %id, "a run cannot be opened"))
                .ok()
        });
        Ok(claimed.collect())
    }

    /// Makes these leases longer, in one statement. Those that are not named in the answer are lost.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn renew<'a>(
        &self,
        leases: impl IntoIterator<Item = &'a Lease>,
    ) -> Result<Vec<Renewed>, StateError> {
        let rows: Vec<_> = leases.into_iter().map(Lease::row).collect();
        self.renew_rows(&rows).await
    }

    /// The same for who keeps leases elsewhere.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn renew_rows(&self, rows: &[LeaseRow]) -> Result<Vec<Renewed>, StateError> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        self.store.renew_runs(rows, self.leased_until((self.clock)())).await
    }

    /// How long runs are held and kept.
    #[must_use]
    pub const fn leasing(&self) -> Leasing {
        self.leasing
    }

    /// Writes a step, and goes on holding the run. Steps of several runs at once are one transaction.
    ///
    /// # Errors
    /// When the run is lost, the step does not follow what is stored, or the store fails.
    pub async fn keep(&self, lease: &mut Lease, step: &Step) -> Result<Kept, StepError> {
        let now_ms = (self.clock)();
        self.take(lease, step, now_ms, Then::Hold { until_ms: self.leased_until(now_ms) }).await
    }

    /// Writes a step, and lets the run go until it is due, or until it is answered where it requires action.
    ///
    /// # Errors
    /// As [`keep`](Self::keep).
    pub async fn rest(
        &self,
        lease: &mut Lease,
        step: &Step,
        status: RunStatus,
        due_ms: Option<u64>,
    ) -> Result<(), StepError> {
        if status.is_end() {
            return Err(rejected("a run that rests has not ended").into());
        }
        self.take(lease, step, (self.clock)(), Then::Rest { status, due_ms }).await.map(drop)
    }

    /// Writes the last step of a run, and what came of it.
    ///
    /// # Errors
    /// As [`keep`](Self::keep).
    pub async fn finish(
        &self,
        lease: &mut Lease,
        step: &Step,
        status: RunStatus,
        result: &RawJson,
    ) -> Result<(), StepError> {
        if !status.is_end() {
            return Err(rejected("a run that ends has an end").into());
        }
        let now_ms = (self.clock)();
        let places = Places::new(lease.run, &lease.subject);
        let result = self.vault.close(&places.part(Parts::RESULT), result.get().as_bytes())?;
        let then = Then::End { status, result, expires_ms: self.kept_until(now_ms) };
        self.take(lease, step, now_ms, then).await.map(drop)
    }

    /// Asks a run to stop. The run as it is then, if it is this principal's; one that has ended stays so.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn cancel(&self, principal: &str, id: RunId) -> Result<Option<RunRow>, StateError> {
        self.store.cancel_run(principal, id, (self.clock)()).await
    }

    /// Gives a run what it waits for. `None` where this principal has none of this id.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn answer(
        &self,
        principal: &str,
        subject: &Subject,
        id: RunId,
        answer: &RawJson,
    ) -> Result<Option<Woken>, StateError> {
        let places = Places::new(id, subject);
        let answer = self.vault.close(&places.part(Parts::ANSWER), answer.get().as_bytes())?;
        let wake = Wake { principal: principal.to_owned(), run: id, now_ms: (self.clock)(), answer };
        self.store.wake_run(&wake).await
    }

    /// The run of this id, if it is this principal's.
    ///
    /// # Errors
    /// When the store fails, or what it holds cannot be opened.
    pub async fn get(&self, principal: &str, id: RunId) -> Result<Option<StoredRun>, StateError> {
        let row = self.store.run(principal, id, (self.clock)()).await?;
        row.map(|WholeRunRow { run, parts }| {
            let places = Places::new(id, &run.subject);
            let request = self.vault.open_json(&places.part(Parts::REQUEST), &parts.request)?;
            let checkpoint = self.open_part(&places, Parts::CHECKPOINT, parts.checkpoint.as_deref())?;
            let result = self.open_part(&places, Parts::RESULT, parts.result.as_deref())?;
            Ok(StoredRun { request, checkpoint, result, run })
        })
        .transpose()
    }

    /// Removes the run of this id with all that belongs to it. Whether there was one of this principal. Who
    /// holds it loses it.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn delete(&self, principal: &str, id: RunId) -> Result<bool, StateError> {
        self.store.delete_run(principal, id, (self.clock)()).await
    }

    /// A page of a principal's runs, the newest first, and whether there are more beyond it.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list(
        &self,
        principal: &str,
        kind: RunKind,
        start: RunPageStart,
        limit: u32,
    ) -> Result<(Vec<RunRow>, bool), StateError> {
        let one_more = limit.saturating_add(1);
        let now_ms = (self.clock)();
        let page = RunPage { principal: principal.to_owned(), kind, now_ms, start, limit: one_more };
        let mut runs = self.store.runs(&page).await?;
        let has_more = runs.len() > usize::try_from(limit).unwrap_or(usize::MAX);
        if has_more && matches!(start, RunPageStart::Before(_)) {
            // The page ends next to its beginning: what is too much is the newest.
            runs.remove(0);
        } else if has_more {
            runs.pop();
        }
        Ok((runs, has_more))
    }

    /// The events of a run from this number on, as many as fit in about so many bytes. `None` where this
    /// principal has no run of this id.
    ///
    /// # Errors
    /// When the store fails, or what it holds cannot be opened.
    pub async fn events(
        &self,
        principal: &str,
        run: RunId,
        from: u64,
        bytes: u64,
    ) -> Result<Option<Events>, StateError> {
        let page = EventPage { principal: principal.to_owned(), run, now_ms: (self.clock)(), from, bytes };
        let Some(EventRows { run: row, batches }) = self.store.run_events(&page).await? else {
            return Ok(None);
        };
        let places = Places::new(run, &row.subject);
        let mut events = Vec::new();
        for batch in batches {
            let list = self.vault.open_json(&places.events(&batch.first.to_string()), &batch.body)?;
            let list = list.read::<Vec<RawJson>>().map_err(|error| unreadable().with_source(error))?;
            events.extend((batch.first..).zip(list).filter(|(number, _)| *number >= from));
        }
        Ok(Some(Events { run: row, events }))
    }

    /// Removes all that have expired and that nobody holds, and says how many those were.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn drop_expired(&self) -> Result<u64, StateError> {
        let now_ms = (self.clock)();
        let mut removed = 0;
        // Written out, because an async closure is not `Send` enough for a task.
        loop {
            let batch = self.store.drop_expired_runs(now_ms, BATCH).await?;
            removed += batch;
            if batch < u64::from(BATCH) {
                return Ok(removed);
            }
        }
    }

    /// How many there are of this subject.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn count_of(&self, subject: &Subject) -> Result<u64, StateError> {
        self.store.count_runs(subject).await
    }

    /// Removes all of this subject, and says how many those were. Who holds one loses it.
    ///
    /// # Errors
    /// When the store fails; some may be removed then.
    pub async fn erase(&self, subject: &Subject) -> Result<u64, StateError> {
        in_batches(BATCH, async || self.store.erase_runs(subject, BATCH).await).await
    }

    async fn take(&self, lease: &mut Lease, step: &Step, now_ms: u64, then: Then) -> Result<Kept, StepError> {
        let row = self.row_of_step(lease, step, now_ms, then)?;
        let added = row.events.as_ref().map_or(0, |batch| batch.count);
        match self.line.take(&*self.store, row).await? {
            Stepped::Done { cancelled } => {
                lease.events += added;
                Ok(Kept { cancelled })
            }
            Stepped::Lost => Err(StepError::Lost),
            Stepped::Refused(refusal) => Err(StepError::Refused(refusal)),
        }
    }

    fn row_of(
        &self,
        new: &NewRun<'_>,
        created_ms: u64,
        due_ms: u64,
        owner: Option<String>,
    ) -> Result<NewRunRow, StateError> {
        let places = Places::new(new.id, new.subject);
        Ok(NewRunRow {
            id: new.id,
            kind: new.kind,
            principal: new.principal.to_owned(),
            subject: new.subject.clone(),
            created_ms,
            due_ms,
            owner,
            expires_ms: self.kept_until(created_ms),
            request: self.vault.close(&places.part(Parts::REQUEST), new.request.get().as_bytes())?,
        })
    }

    fn row_of_step(
        &self,
        lease: &Lease,
        step: &Step,
        now_ms: u64,
        then: Then,
    ) -> Result<StepRow, StateError> {
        let places = Places::new(lease.run, &lease.subject);
        let checkpoint = step.checkpoint.as_ref();
        let checkpoint = checkpoint
            .map(|checkpoint| self.vault.close(&places.part(Parts::CHECKPOINT), checkpoint.get().as_bytes()));
        let events = (!step.events.is_empty()).then(|| {
            let list = RawJson::of(&step.events).map_err(|error| unreadable().with_source(error))?;
            let body = self.vault.close(&places.events(&lease.events.to_string()), list.get().as_bytes())?;
            let [count, bytes] = [step.events.len(), list.get().len()].map(number);
            Ok::<_, StateError>(NewBatch { count, bytes, body })
        });
        let calls = step.calls.iter().map(|(call, said)| {
            Ok::<_, StateError>(match said {
                Said::Begun => CallMark::Begun(call.clone()),
                Said::BegunAgain => CallMark::BegunAgain(call.clone()),
                Said::Ended(result) => {
                    let sealed = self.vault.close(&places.call(call), result.get().as_bytes())?;
                    CallMark::Ended(call.clone(), sealed)
                }
            })
        });
        Ok(StepRow {
            run: lease.run,
            epoch: lease.epoch,
            before: lease.events,
            now_ms,
            checkpoint: checkpoint.transpose()?,
            events: events.transpose()?,
            calls: calls.collect::<Result<_, _>>()?,
            then,
        })
    }

    fn open_claimed(&self, row: ClaimedRow) -> Result<Claimed, StateError> {
        let ClaimedRow { run, parts, calls } = row;
        let places = Places::new(run.id, &run.subject);
        let calls = calls.into_iter().map(|known| {
            let result = known.result.map(|result| self.vault.open_json(&places.call(&known.call), &result));
            Ok((known.call, result.transpose()?.map_or(CallState::Unknown, CallState::Ended)))
        });
        let calls = KnownCalls(calls.collect::<Result<_, StateError>>()?);
        let request = self.vault.open_json(&places.part(Parts::REQUEST), &parts.request)?;
        let checkpoint = self.open_part(&places, Parts::CHECKPOINT, parts.checkpoint.as_deref())?;
        let answer = self.open_part(&places, Parts::ANSWER, parts.answer.as_deref())?;
        Ok(Claimed {
            kind: run.kind,
            created_ms: run.created_ms,
            cancelled: run.cancelled,
            request,
            checkpoint,
            answer,
            calls,
            lease: Lease { run: run.id, epoch: run.epoch, events: run.events, subject: run.subject },
            principal: run.principal,
        })
    }

    fn open_part(
        &self,
        places: &Places<'_>,
        part: &'static str,
        sealed: Option<&[u8]>,
    ) -> Result<Option<RawJson>, StateError> {
        sealed.map(|sealed| self.vault.open_json(&places.part(part), sealed)).transpose()
    }

    fn leased_until(&self, now_ms: u64) -> u64 {
        now_ms.saturating_add(milliseconds(self.leasing.lease))
    }

    fn kept_until(&self, now_ms: u64) -> u64 {
        now_ms.saturating_add(milliseconds(self.leasing.keep))
    }
}

impl Lease {
    /// Of which run.
    #[must_use]
    pub const fn run(&self) -> RunId {
        self.run
    }

    /// What it is known by to the store.
    #[must_use]
    pub const fn row(&self) -> LeaseRow {
        LeaseRow { run: self.run, epoch: self.epoch }
    }

    /// The how many times it was taken. A run that kills whoever takes it is known by a large one.
    #[must_use]
    pub const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Whose content it is.
    #[must_use]
    pub const fn subject(&self) -> &Subject {
        &self.subject
    }

    /// How many events the run has told; the next one has this number.
    #[must_use]
    pub const fn events(&self) -> u64 {
        self.events
    }
}

impl Claimed {
    /// What is known of a call with effects; `None` if it was never begun.
    #[must_use]
    pub fn call(&self, id: &str) -> Option<&CallState> {
        self.calls.get(id)
    }

    /// What is known of its calls, for who goes on with it.
    #[must_use]
    pub fn take_calls(&mut self) -> KnownCalls {
        std::mem::take(&mut self.calls)
    }
}

impl KnownCalls {
    /// What is known of a call; `None` if it was never begun.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&CallState> {
        self.0.get(&CallKey::of(id))
    }
}

impl Step {
    /// Says where the run has come to.
    #[must_use]
    pub fn checkpoint(mut self, checkpoint: RawJson) -> Self {
        self.checkpoint = Some(checkpoint);
        self
    }

    /// Whether it says nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.checkpoint.is_none() && self.events.is_empty() && self.calls.is_empty()
    }

    /// Tells an event.
    #[must_use]
    pub fn event(mut self, event: RawJson) -> Self {
        self.events.push(event);
        self
    }

    /// Tells events.
    #[must_use]
    pub fn events(mut self, events: impl IntoIterator<Item = RawJson>) -> Self {
        self.events.extend(events);
        self
    }

    /// Says that a call with effects is about to be made. Make it once the step is written.
    #[must_use]
    pub fn begins(mut self, call: &str) -> Self {
        self.calls.push((CallKey::of(call), Said::Begun));
        self
    }

    /// The same, of a call that may have been made before: it does no harm twice, or somebody allowed it.
    #[must_use]
    pub fn begins_again(mut self, call: &str) -> Self {
        self.calls.push((CallKey::of(call), Said::BegunAgain));
        self
    }

    /// Says what came of a call.
    #[must_use]
    pub fn ends(mut self, call: &str, result: RawJson) -> Self {
        self.calls.push((CallKey::of(call), Said::Ended(result)));
        self
    }
}

impl Events {
    /// The number of the next event, and whether there will be none.
    #[must_use]
    pub fn next(&self, from: u64) -> (u64, bool) {
        let next = self.events.last().map_or(from, |(number, _)| number + 1);
        (next, self.run.status.is_end() && next >= self.run.events)
    }
}

/// The places of a run's content.
struct Places<'a> {
    subject: &'a Subject,
    row: String,
}

impl<'a> Places<'a> {
    fn new(id: RunId, subject: &'a Subject) -> Self {
        Self { subject, row: id.to_string() }
    }

    fn part(&self, part: &'static str) -> Place<'_> {
        Place { subject: self.subject, column: "run_part.body", row: &self.row, part }
    }

    /// By the number of the first: none is put in the place of another.
    fn events<'b>(&'b self, first: &'b str) -> Place<'b> {
        Place { subject: self.subject, column: "run_event.body", row: &self.row, part: first }
    }

    fn call<'b>(&'b self, call: &'b CallKey) -> Place<'b> {
        Place { subject: self.subject, column: "run_call.result", row: &self.row, part: call.as_str() }
    }
}

fn rejected(message: &'static str) -> StateError {
    StateError::new(StateErrorKind::Rejected, message)
}

fn unreadable() -> StateError {
    StateError::new(StateErrorKind::Corrupt, "the events of a run cannot be read")
}

fn number(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

macro_rules! debug_without_content {
    ($($name:ty: $($field:ident).+),+) => {
        $(impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut shown = f.debug_struct(stringify!($name));
                shown.field("run", &self.$($field).+).finish_non_exhaustive()
            }
        })+
    };
}

debug_without_content!(NewRun<'_>: id, Claimed: lease.run, StoredRun: run, Events: run, Runs: owner);

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Step").field("events", &self.events.len()).finish_non_exhaustive()
    }
}

impl fmt::Debug for KnownCalls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(&self.0).finish()
    }
}

impl fmt::Debug for CallState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unknown => "Unknown",
            Self::Ended(_) => "Ended",
        })
    }
}

#[cfg(test)]
mod tests;
