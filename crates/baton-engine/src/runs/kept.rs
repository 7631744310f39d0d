//! A run that this process holds, or a step of one, and what is to be written of it.
//!
//! - Start with [`Kept::new`], or [`Kept::step`] for a step within one.
//! - **Invariant:** what is written of a step is written with its run: there is one row, and one order of events.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use baton_model::{RawJson, RunId};
use baton_state::runs::{CallState, KnownCalls, Lease, RunStatus, Step, StepError};
use baton_state::{Runs, StateErrorKind};
use serde::Serialize;
use serde_json::Value;
use tokio::sync::{Mutex, MutexGuard, watch};
use tokio_util::sync::CancellationToken;

use super::{Checkpoint, RunTerms, StepNote, Word};
use crate::course::Purse;

/// The longest pause between two tries to write a step that the store did not take.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// A run that this process holds.
pub struct Kept {
    run: RunId,
    terms: RunTerms,
    runs: Arc<Runs>,
    /// Ends the run, whatever it does.
    pub cancel: CancellationToken,
    /// Lets the run go, so that somebody else goes on with it.
    pub pause: CancellationToken,
    lost: AtomicBool,
    /// How many events are written.
    told: watch::Sender<u64>,
    /// The run that it is a step of, and what it is known by there.
    of: Option<(Arc<Self>, String)>,
    /// What it may use, where others draw on the same.
    purse: Option<Purse>,
    pad: Mutex<Pad>,
}

/// What is to be written with the next step.
pub(crate) struct Pad {
    /// A step has none of its own.
    lease: Option<Lease>,
    pub(crate) checkpoint: Checkpoint,
    calls: KnownCalls,
    /// What the calls of a step are known by, in front of what they are known by within it.
    prefix: String,
    events: Vec<RawJson>,
    marks: Vec<Mark>,
    /// The words of the caller that calls were begun by.
    used: Vec<String>,
    has_changed: bool,
}

enum Mark {
    Begun(String),
    BegunAgain(String),
    Ended(String, RawJson),
}

impl Kept {
    /// A run that was just begun or claimed. `pause` is cancelled when the process stops.
    #[must_use]
    pub fn new(
        runs: Arc<Runs>,
        lease: Lease,
        calls: KnownCalls,
        checkpoint: Checkpoint,
        terms: RunTerms,
        pause: CancellationToken,
    ) -> Self {
        Self {
            run: lease.run(),
            terms,
            runs,
            cancel: CancellationToken::new(),
            pause,
            lost: AtomicBool::new(false),
            told: watch::Sender::new(lease.events()),
            of: None,
            purse: None,
            pad: Mutex::new(Pad::new(Some(lease), checkpoint, calls, String::new())),
        }
    }

    /// A step of this run, where it is. It draws on this purse.
    pub(crate) async fn step(self: &Arc<Self>, key: &str, note: StepNote, purse: Purse) -> Arc<Self> {
        let above = self.pad().await;
        let begun = || Checkpoint { step: Some(note), ..Checkpoint::default() };
        let checkpoint = above.checkpoint.steps.get(key).cloned().unwrap_or_else(begun);
        let prefix = format!("{}{key}/", above.prefix);
        let pad = Pad::new(None, checkpoint, above.calls.clone(), prefix);
        drop(above);
        Arc::new(Self {
            run: self.run,
            terms: RunTerms { follow_handoffs: true, ..self.terms.clone() },
            runs: Arc::clone(&self.runs),
            cancel: self.cancel.child_token(),
            pause: self.pause.child_token(),
            lost: AtomicBool::new(false),
            told: watch::Sender::new(0),
            of: Some((Arc::clone(self), key.to_owned())),
            purse: Some(purse),
            pad: Mutex::new(pad),
        })
    }

    /// What it draws on together with others, if it does.
    pub(crate) fn purse(&self) -> Option<Purse> {
        self.purse.as_ref().map(Purse::shared)
    }

    /// What the caller of the run said of a call.
    pub(crate) async fn word(&self, pad: &Pad, hash: &str) -> Option<Word> {
        match &self.of {
            Some((run, _)) => run.pad().await.checkpoint.words.get(hash).cloned(),
            None => pad.checkpoint.words.get(hash).cloned(),
        }
    }

    /// Which run.
    #[must_use]
    pub const fn run(&self) -> RunId {
        self.run
    }

    /// What bounds it.
    #[must_use]
    pub const fn terms(&self) -> &RunTerms {
        &self.terms
    }

    /// Whether somebody else goes on with it, or it is gone.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Acquire)
    }

    /// Somebody else goes on with it, or it is gone: what is still done for it is in vain.
    pub fn lose(&self) {
        self.lost.store(true, Ordering::Release);
        self.cancel.cancel();
    }

    /// Whether it is to stop where it is, for whatever cause.
    #[must_use]
    pub fn is_halted(&self) -> bool {
        self.cancel.is_cancelled() || self.pause.is_cancelled()
    }

    pub(crate) async fn halted(&self) {
        tokio::select! {
            () = self.cancel.cancelled() => {}
            () = self.pause.cancelled() => {}
        }
    }

    /// Tells how many events are written, whenever there are more.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.told.subscribe()
    }

    pub(crate) async fn pad(&self) -> MutexGuard<'_, Pad> {
        self.pad.lock().await
    }

    /// Where it has come to, written or not.
    pub async fn checkpoint(&self) -> Checkpoint {
        self.pad().await.checkpoint.clone()
    }

    /// Changes where it has come to, and tells events, with the next step.
    pub async fn note(
        &self,
        change: impl FnOnce(&mut Checkpoint),
        events: impl IntoIterator<Item = RawJson>,
    ) {
        let mut pad = self.pad().await;
        change(&mut pad.checkpoint);
        pad.has_changed = true;
        pad.events.extend(events);
    }

    /// Writes what there is to write, and goes on holding the run.
    ///
    /// # Errors
    /// When the run is lost, or the step does not follow what is stored.
    pub async fn flush(&self) -> Result<(), StepError> {
        let mut pad = self.pad().await;
        self.write(&mut pad).await
    }

    /// Hands over what a step came to, to be written with the next step of its run.
    pub(crate) async fn hand_over(&self) {
        if let Some((run, key)) = &self.of {
            let mut pad = self.pad().await;
            pad.hand_over(&mut *run.pad().await, key);
        }
    }

    pub(crate) async fn write(&self, pad: &mut Pad) -> Result<(), StepError> {
        if !pad.has_changed && pad.events.is_empty() && pad.marks.is_empty() {
            return Ok(());
        }
        if let Some((run, key)) = &self.of {
            let mut above = run.pad().await;
            pad.hand_over(&mut above, key);
            return Box::pin(run.write(&mut above)).await;
        }
        let step = pad.step()?;
        let mut pause = Duration::from_millis(50);
        loop {
            match self.runs.keep(pad.lease()?, &step).await {
                Ok(kept) => {
                    self.written(pad);
                    if kept.cancelled {
                        self.cancel.cancel();
                    }
                    return Ok(());
                }
                Err(error) => pause = self.again(error, pause).await?,
            }
        }
    }

    /// Writes the end of the run and what came of it.
    ///
    /// # Errors
    /// When the run is lost, or the step does not follow what is stored.
    pub async fn finish(&self, status: RunStatus, result: &RawJson) -> Result<(), StepError> {
        let mut pad = self.pad().await;
        let step = pad.step()?;
        let mut pause = Duration::from_millis(50);
        loop {
            match self.runs.finish(pad.lease()?, &step, status, result).await {
                Ok(()) => {
                    self.written(&mut pad);
                    return Ok(());
                }
                Err(error) => pause = self.again(error, pause).await?,
            }
        }
    }

    /// Lets the run go, as it is, until it is due or its caller answers.
    ///
    /// # Errors
    /// When the run is lost, or the step does not follow what is stored.
    pub async fn rest(&self, status: RunStatus, due_ms: Option<u64>) -> Result<(), StepError> {
        let mut pad = self.pad().await;
        let step = pad.step()?;
        let mut pause = Duration::from_millis(50);
        loop {
            match self.runs.rest(pad.lease()?, &step, status, due_ms).await {
                Ok(()) => {
                    self.written(&mut pad);
                    return Ok(());
                }
                Err(error) => pause = self.again(error, pause).await?,
            }
        }
    }

    fn written(&self, pad: &mut Pad) {
        pad.written();
        if let Some(lease) = &pad.lease {
            self.told.send_replace(lease.events());
        }
    }

    /// Waits until a step can be sent again that the store did not take. The run is lost by then, or it is not:
    /// the store knows.
    async fn again(&self, error: StepError, pause: Duration) -> Result<Duration, StepError> {
        match error {
            StepError::State(error) if !self.is_lost() && error.kind() == StateErrorKind::Unavailable => {
                tracing::warn!(error = %error, run = %self.run, "a step of a run was not written; it is sent again");
                tokio::time::sleep(pause).await;
                Ok((pause * 2).min(LONGEST_PAUSE))
            }
            StepError::Lost => {
                self.lose();
                Err(StepError::Lost)
            }
            error => Err(error),
        }
    }
}

impl Pad {
    const fn new(lease: Option<Lease>, checkpoint: Checkpoint, calls: KnownCalls, prefix: String) -> Self {
        Self {
            lease,
            checkpoint,
            calls,
            prefix,
            events: Vec::new(),
            marks: Vec::new(),
            used: Vec::new(),
            has_changed: false,
        }
    }

    /// Tells an event. Of a step, it says which; what a step says is told when it has ended.
    pub(crate) fn tell(&mut self, event: &impl Serialize) {
        let Some(note) = &self.checkpoint.step else {
            // What is told is made here, and has a JSON form.
            self.events.extend(RawJson::of(event).ok());
            return;
        };
        let Ok(Value::Object(mut members)) = serde_json::to_value(event) else { return };
        let is_own = |kind: &Value| {
            kind.as_str().is_some_and(|kind| matches!(kind, "run_start" | "text_delta" | "text_done"))
        };
        if !members.get("type").is_some_and(is_own) {
            members.insert("step".to_owned(), Value::from(note.name.as_str()));
            self.events.extend(RawJson::of(&members).ok());
        }
    }

    /// What a call is known by in its run.
    pub(crate) fn full(&self, mark: &str) -> String {
        format!("{}{mark}", self.prefix)
    }

    /// What is known of a call that another process may have made.
    pub(crate) fn known(&self, mark: &str) -> Option<&CallState> {
        self.calls.get(&self.full(mark))
    }

    fn lease(&mut self) -> Result<&mut Lease, StepError> {
        // A step is written, ended and let go with its run alone.
        self.lease.as_mut().ok_or(StepError::Lost)
    }

    /// Hands what is to be written of a step over to its run.
    fn hand_over(&mut self, run: &mut Self, key: &str) {
        run.checkpoint.steps.insert(key.to_owned(), self.checkpoint.clone());
        run.events.append(&mut self.events);
        run.marks.append(&mut self.marks);
        run.used.append(&mut self.used);
        run.has_changed = true;
        self.has_changed = false;
    }

    /// That something changed which has to be written.
    pub(crate) const fn touch(&mut self) {
        self.has_changed = true;
    }

    pub(crate) fn begins(&mut self, call: &str) {
        self.marks.push(Mark::Begun(self.full(call)));
    }

    pub(crate) fn begins_again(&mut self, call: &str) {
        self.marks.push(Mark::BegunAgain(self.full(call)));
    }

    pub(crate) fn ends(&mut self, call: &str, result: RawJson) {
        self.marks.push(Mark::Ended(self.full(call), result));
    }

    /// A call is begun by this word of the caller's: no other one is.
    pub(crate) fn uses(&mut self, hash: String) {
        self.used.push(hash);
    }

    fn step(&mut self) -> Result<Step, StepError> {
        for hash in self.used.drain(..) {
            self.checkpoint.words.remove(&hash);
        }
        self.checkpoint.epoch = self.lease()?.epoch();
        let checkpoint = RawJson::of(&self.checkpoint).map_err(|error| {
            let kind = StateErrorKind::Rejected;
            StepError::State(
                baton_state::StateError::new(kind, "a checkpoint has no JSON form").with_source(error),
            )
        })?;
        let step = Step::default().checkpoint(checkpoint).events(self.events.iter().cloned());
        Ok(self.marks.iter().fold(step, |step, mark| match mark {
            Mark::Begun(call) => step.begins(call),
            Mark::BegunAgain(call) => step.begins_again(call),
            Mark::Ended(call, result) => step.ends(call, result.clone()),
        }))
    }

    fn written(&mut self) {
        self.events.clear();
        self.marks.clear();
        self.has_changed = false;
    }
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kept").field("run", &self.run).field("terms", &self.terms).finish_non_exhaustive()
    }
}
