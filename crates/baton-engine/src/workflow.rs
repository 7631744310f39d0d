//! Carries a workflow out: asks its steps, looks at their answers, and tells the state machine.
//!
//! ```text
//! flow: what is to be asked now ─ kept ─ asked, side by side ─ one has answered ─ flow told ─ …
//! ```
//!
//! Every step is a request of its own, planned and recorded like any other. All of them carry the run's id, so that
//! the run's chain shows them.
//!
//! - Start with [`Engine::carry_workflow`].
//! - **Invariant:** nothing is asked before the state that says so is kept.
//! - **Invariant:** a step that nobody waits for any more is closed at once, with its outcome.

mod check;
mod drive;
mod step;

use std::sync::{Arc, Mutex, PoisonError};

use baton_model::{DecisionId, RunId};
use baton_run::{Flow, FlowEnd};
use futures_util::future::BoxFuture;

use self::drive::drive;
use self::step::Asking;
use crate::{Ask, Engine};

/// The run that a request is a step of.
#[derive(Debug)]
pub struct Within {
    run: RunId,
    decisions: Mutex<Vec<DecisionId>>,
}

impl Within {
    /// A step of this run.
    #[must_use]
    pub const fn new(run: RunId) -> Self {
        Self { run, decisions: Mutex::new(Vec::new()) }
    }

    /// Which run.
    #[must_use]
    pub const fn run(&self) -> RunId {
        self.run
    }

    /// A decision was made for the step.
    pub(crate) fn note(&self, decision: DecisionId) {
        self.decisions.lock().unwrap_or_else(PoisonError::into_inner).push(decision);
    }

    /// The decisions that were made for the step, in order.
    #[must_use]
    pub fn decisions(&self) -> Vec<DecisionId> {
        self.decisions.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Why a workflow does not go on here: what it came to cannot be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the state of the workflow cannot be kept")]
pub struct NotKept;

/// Keeps the state of a workflow, so that another process can go on with it.
pub trait FlowKeeper: Send + Sync {
    /// Keeps it. What it says is to be done is done only once this returns.
    ///
    /// # Errors
    /// [`NotKept`] where it could not be, or somebody else goes on: then nothing more is done here.
    fn keep<'a>(&'a self, flow: &'a Flow) -> BoxFuture<'a, Result<(), NotKept>>;
}

/// Keeps nothing: the workflow lives as long as its request.
#[derive(Clone, Copy, Debug, Default)]
pub struct KeptNowhere;

impl FlowKeeper for KeptNowhere {
    fn keep<'a>(&'a self, _flow: &'a Flow) -> BoxFuture<'a, Result<(), NotKept>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

impl Engine {
    /// Carries a workflow to its end, from wherever it is.
    ///
    /// `client` is the request that it was asked for with: steps have its caller, its labels and its policy, and
    /// none of its body. Steps that run side by side are asked at the same time. When the future is dropped, all
    /// that is under way is closed.
    ///
    /// # Errors
    /// [`NotKept`] where the keeper refuses; the workflow is then where it was kept last.
    pub async fn carry_workflow(
        self: &Arc<Self>,
        client: &Ask,
        run: RunId,
        flow: &mut Flow,
        keeper: &dyn FlowKeeper,
    ) -> Result<FlowEnd, NotKept> {
        let asking = Asking { engine: Arc::clone(self), client: Arc::new(client.clone()), run };
        drive(flow, &asking, keeper).await
    }
}
