//! A run that is written down as it goes, so that any process can go on with it.
//!
//! The machine of a run is a function of what it was told. What it was told is kept as a tape; beside it stands
//! what the caller may see, the [`Progress`]. Both are written with the run's events in one transaction, before
//! the next effect begins. Whoever goes on with the run plays the tape and carries out the first effect that has
//! no event yet.
//!
//! ```text
//! turn ended ─ machine told ─ tape, progress, events: one step ─ next turn
//! tools called ─ each marked as begun: one step ─ called ─ each marked with its result ─ machine told
//! ```
//!
//! - Start with [`Kept::new`]; the engine fills it while it answers an [`Ask`](crate::Ask) that has it.
//! - **Invariant:** no effect begins before what led to it is written.
//! - **Invariant:** a call of a tool whose outcome is not known is not made again.
//! - **Never here:** when a run is taken and let go, and what a surface makes of its progress.

mod progress;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use baton_model::{NanoUsd, RawJson, RunId};
use baton_policy::Current;
use baton_run::Tape;
use baton_state::runs::{KnownCalls, Lease, RunStatus, Step, StepError};
use baton_state::{Runs, StateErrorKind};
use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex, MutexGuard, watch};
use tokio_util::sync::CancellationToken;

use crate::Engine;
use crate::sticky::{Held, Key, WithAgent};

pub use self::progress::{
    Ending, HandoffTold, HeldNote, PendingCall, Progress, RunFault, ToolTold, TurnTold,
};

/// The longest pause between two tries to write a step that the store did not take.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// What bounds a run beside its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunTerms {
    /// The most tokens, in and out.
    pub max_tokens: Option<u64>,
    /// When it must have ended, in milliseconds since 1970.
    pub until_ms: Option<u64>,
    /// Whether a hand-over is followed; if not, the run ends there.
    pub follow_handoffs: bool,
}

/// Where a run has come to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// What its caller may see.
    pub progress: Progress,
    /// How often its caller was waited for.
    pub segment: u32,
    /// The messages that the present segment begins with, where they are not the request's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversation: Option<RawJson>,
    /// Whether it waits for its caller.
    #[serde(default)]
    pub waits: bool,
    /// The epoch in which it was written last.
    #[serde(default)]
    pub epoch: u64,
    /// What earlier segments used up.
    #[serde(default)]
    pub(crate) before: Spent,
    /// What happened in the present segment.
    pub(crate) tape: Tape,
}

/// What was used up of a run's limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Spent {
    pub(crate) turns: u32,
    pub(crate) handoffs: u32,
    /// How many moves were told.
    pub(crate) moves: usize,
    pub(crate) tokens: u64,
    pub(crate) cost: NanoUsd,
}

impl Checkpoint {
    /// Goes on from here with these messages, which answer what the run waited for.
    pub fn next_segment(&mut self, conversation: RawJson) {
        let progress = &mut self.progress;
        self.before = progress.spent();
        progress.calls.clear();
        progress.ending = None;
        self.segment += 1;
        self.conversation = Some(conversation);
        self.waits = false;
        self.tape = Tape::default();
    }
}

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
    pad: Mutex<Pad>,
}

/// What is to be written with the next step.
pub(crate) struct Pad {
    lease: Lease,
    pub(crate) checkpoint: Checkpoint,
    pub(crate) calls: KnownCalls,
    events: Vec<RawJson>,
    marks: Vec<Mark>,
    has_changed: bool,
}

enum Mark {
    Begun(String),
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
            pad: Mutex::new(Pad {
                lease,
                checkpoint,
                calls,
                events: Vec::new(),
                marks: Vec::new(),
                has_changed: false,
            }),
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

    pub(crate) async fn write(&self, pad: &mut Pad) -> Result<(), StepError> {
        if !pad.has_changed && pad.events.is_empty() && pad.marks.is_empty() {
            return Ok(());
        }
        let step = pad.step()?;
        let mut pause = Duration::from_millis(50);
        loop {
            match self.runs.keep(&mut pad.lease, &step).await {
                Ok(kept) => {
                    pad.written();
                    self.told.send_replace(pad.lease.events());
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
            match self.runs.finish(&mut pad.lease, &step, status, result).await {
                Ok(()) => {
                    pad.written();
                    self.told.send_replace(pad.lease.events());
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
            match self.runs.rest(&mut pad.lease, &step, status, due_ms).await {
                Ok(()) => {
                    pad.written();
                    self.told.send_replace(pad.lease.events());
                    return Ok(());
                }
                Err(error) => pause = self.again(error, pause).await?,
            }
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

impl Engine {
    /// Has the next request of this caller's session begin with whoever has the conversation.
    pub fn recall(&self, principal: &str, session: &str, note: &HeldNote) {
        let Ok(target) = note.target.parse() else { return };
        let agent = note
            .entry
            .clone()
            .zip(note.active.clone())
            .map(|(entry, active)| Box::new(WithAgent { entry, active, waiting: note.waiting.clone() }));
        let handed = note.handed && agent.is_none();
        let held = Held { current: Current { target, cached_tokens: 0 }, handed, agent };
        self.outlook.sticky.put(principal, [Key::Session(session.to_owned())], &held);
    }
}

impl Pad {
    pub(crate) fn tell(&mut self, event: &impl Serialize) {
        // What is told is made here, and has a JSON form.
        self.events.extend(RawJson::of(event).ok());
    }

    /// That something changed which has to be written.
    pub(crate) const fn touch(&mut self) {
        self.has_changed = true;
    }

    pub(crate) fn begins(&mut self, call: String) {
        self.marks.push(Mark::Begun(call));
    }

    pub(crate) fn ends(&mut self, call: String, result: RawJson) {
        self.marks.push(Mark::Ended(call, result));
    }

    fn step(&mut self) -> Result<Step, StepError> {
        self.checkpoint.epoch = self.lease.epoch();
        let checkpoint = RawJson::of(&self.checkpoint).map_err(|error| {
            let kind = StateErrorKind::Rejected;
            StepError::State(
                baton_state::StateError::new(kind, "a checkpoint has no JSON form").with_source(error),
            )
        })?;
        let step = Step::default().checkpoint(checkpoint).events(self.events.iter().cloned());
        Ok(self.marks.iter().fold(step, |step, mark| match mark {
            Mark::Begun(call) => step.begins(call),
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
