//! Writes the steps of many runs in one transaction, without a task of its own.
//!
//! Whoever comes while another one writes waits, and then writes for all who waited. So the number of
//! commits follows from how long a commit takes, and not from how many runs there are.

use std::collections::HashSet;
use std::mem;
use std::sync::{Mutex, PoisonError};

use tokio::sync::oneshot;

use super::port::RunStore;
use super::step::{StepRow, Stepped};
use crate::error::{StateError, StateErrorKind};

/// At most so many steps in a transaction.
const MOST: usize = 64;

#[derive(Debug, Default)]
pub(super) struct Line {
    waiting: Mutex<Vec<Waiting>>,
    turn: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct Waiting {
    step: StepRow,
    answer: oneshot::Sender<Result<Stepped, StateError>>,
}

impl Line {
    /// Takes a step, together with those of others who come meanwhile.
    ///
    /// Who is dropped while it writes for others leaves them with an error; their steps may be written, so
    /// they send them again.
    pub(super) async fn take(&self, store: &dyn RunStore, step: StepRow) -> Result<Stepped, StateError> {
        let (answer, mut heard) = oneshot::channel();
        self.waiting().push(Waiting { step, answer });
        loop {
            tokio::select! {
                biased;
                heard = &mut heard => return heard.unwrap_or_else(|_dropped| Err(not_known())),
                _turn = self.turn.lock() => self.write(store).await,
            }
        }
    }

    async fn write(&self, store: &dyn RunStore) {
        let (steps, answers): (Vec<_>, Vec<_>) = self.next().into_iter().map(|w| (w.step, w.answer)).unzip();
        if steps.is_empty() {
            return;
        }
        match store.take_steps(&steps).await {
            Ok(stepped) => {
                for (answer, stepped) in answers.into_iter().zip(stepped) {
                    // Nobody hears it who has gone.
                    drop(answer.send(Ok(stepped)));
                }
            }
            Err(error) => {
                for answer in answers {
                    drop(answer.send(Err(error.clone())));
                }
            }
        }
    }

    /// Those who are first in the line, one for each run.
    fn next(&self) -> Vec<Waiting> {
        let mut waiting = self.waiting();
        let mut runs = HashSet::new();
        let (next, later) = mem::take(&mut *waiting)
            .into_iter()
            .partition(|waiting| runs.len() < MOST && runs.insert(waiting.step.run));
        *waiting = later;
        next
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, Vec<Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn not_known() -> StateError {
    StateError::new(StateErrorKind::Unavailable, "it is not known whether the step was written")
}
