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
//! A step of a workflow is written down in the same way, in a checkpoint within its run's: whoever goes on with the
//! run goes on with each step where it was.
//!
//! - Start with [`Kept::new`]; the engine fills it while it answers an [`Ask`](crate::Ask) that has it.
//! - **Invariant:** no effect begins before what led to it is written.
//! - **Invariant:** a call of a tool whose outcome is not known is not made again, unless somebody allows that call.
//! - **Never here:** when a run is taken and let go, and what a surface makes of its progress.

mod approvals;
mod kept;
mod progress;

use std::collections::BTreeMap;
use std::sync::Arc;

use baton_model::{NanoUsd, RawJson};
use baton_policy::Current;
use baton_run::{CheckNote, Flow, Tape};
use serde::{Deserialize, Serialize};

use crate::Engine;
use crate::sticky::{Held, Key, WithAgent};

pub(crate) use self::approvals::Bound;
pub use self::approvals::{Approvals, PendingApproval, Word};
pub use self::kept::Kept;
pub(crate) use self::kept::Pad;
pub use self::progress::{
    Ending, HandoffTold, HeldNote, PendingCall, Progress, RunFault, ToolTold, TurnTold,
};

/// What bounds a run beside its request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunTerms {
    /// The most tokens, in and out.
    pub max_tokens: Option<u64>,
    /// When it must have ended, in milliseconds since 1970.
    pub until_ms: Option<u64>,
    /// Whether a hand-over is followed; if not, the run ends there.
    pub follow_handoffs: bool,
    /// Which calls of the gateway's tools need the caller's word; nothing: none does.
    pub approvals: Option<Arc<Approvals>>,
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
    #[serde(default)]
    pub(crate) tape: Tape,
    /// The workflow that it carries out, once it has begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flow: Option<Box<Flow>>,
    /// The steps that are under way, by what each is known by.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) steps: BTreeMap<String, Self>,
    /// Which step it is of, and when that began, where it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) step: Option<StepNote>,
    /// What its caller said of calls, by their hashes, until they are made.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub words: BTreeMap<String, Word>,
    /// Who takes the place of whoever was asked for, because an answer was not right: a model or `agent/<name>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken_over: Option<String>,
    /// The answers that were not taken.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<CheckNote>,
}

/// Which step a checkpoint is of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StepNote {
    /// Its name, behind those of the steps it stands in.
    pub(crate) name: String,
    /// When it was begun, in milliseconds since 1970.
    pub(crate) began_ms: u64,
    /// Whether nobody but the gateway sees what is said in it.
    #[serde(default)]
    pub(crate) aside: bool,
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

    /// Goes on from here with what its caller said of calls.
    pub fn heard(&mut self, words: impl IntoIterator<Item = (String, Word)>) {
        self.words.extend(words);
        self.progress.ending = None;
        self.waits = false;
    }

    /// The calls that its caller is to say a word of, those of steps too.
    pub fn approvals(&self) -> impl Iterator<Item = &PendingApproval> {
        let steps = self.steps.values().flat_map(|step| &step.progress.approvals);
        self.progress.approvals.iter().chain(steps)
    }

    /// Notes of the steps that this chooses what they came to, and holds them no more.
    pub(crate) fn absorb(&mut self, is_over: impl Fn(&str) -> bool) {
        let over: Vec<String> = self.steps.keys().filter(|key| is_over(key)).cloned().collect();
        for step in over.iter().filter_map(|key| self.steps.remove(key)) {
            let note = step.step.unwrap_or_default();
            self.progress.absorb(step.progress, &note);
        }
    }

    /// What was used so far, with what is used by steps under way: turns, tokens, money.
    pub(crate) fn used(&self) -> (u32, u64, NanoUsd) {
        let parts = std::iter::once(&self.progress).chain(self.steps.values().map(|step| &step.progress));
        parts.map(Progress::spent).fold((0, 0, NanoUsd(0)), |(turns, tokens, cost), part| {
            let cost = NanoUsd(cost.0.saturating_add(part.cost.0));
            (turns.saturating_add(part.turns), tokens.saturating_add(part.tokens), cost)
        })
    }

    /// Notes what all steps came to that are under way: the run ends.
    pub fn close(&mut self) {
        self.absorb(|_step| true);
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
