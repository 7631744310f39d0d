//! The loop between the state machine of a workflow and whoever asks its steps.

use std::collections::{HashMap, HashSet};
use std::pin::Pin;

use baton_run::{
    AskedStep, CheckedStep, Flow, FlowEffect, FlowEnd, NotAwaited, StepAnswer, StepFailure, StepRecord,
};
use futures_util::future::BoxFuture;
use tokio::task::{AbortHandle, JoinSet};

use super::keeper::FlowKeeper;
use super::{Halted, Looked};

/// What a step said.
#[derive(Debug)]
pub(super) enum Said {
    /// An answer.
    Answer(StepAnswer),
    /// Nothing, and what is to be told of it all the same.
    Nothing(StepFailure, StepRecord),
    /// It waits for a word of the run's caller, and is not under way until there is one.
    Waits,
}

/// Asks steps and looks at their answers.
pub(super) trait Steps: Sync {
    /// What a step says.
    fn ask(&self, asked: AskedStep) -> BoxFuture<'static, Said>;
    /// Whether an answer is right, and what it took to know.
    fn check(&self, checked: CheckedStep) -> BoxFuture<'static, (Looked, StepRecord)>;
}

/// How far a workflow was carried.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Driven {
    /// To its end.
    Ended(FlowEnd),
    /// As far as it goes without a word of its caller's.
    Waits,
}

/// What came of an effect.
enum Came {
    Answered { step: usize, attempt: u32, said: Said },
    Checked { step: usize, attempt: u32, looked: Looked, record: StepRecord },
    Broke,
}

/// What is under way. Each has a task of its own: none of them waits for what is written of another.
#[derive(Default)]
struct UnderWay {
    tasks: JoinSet<Came>,
    handles: HashMap<usize, AbortHandle>,
    /// The steps that wait for a word of the run's caller.
    waiting: HashSet<usize>,
}

impl UnderWay {
    fn carry_out(&mut self, effect: FlowEffect, steps: &impl Steps) {
        let (step, handle) = match effect {
            FlowEffect::Drop { step } => {
                self.waiting.remove(&step);
                if let Some(handle) = self.handles.remove(&step) {
                    handle.abort();
                }
                return;
            }
            FlowEffect::Ask(asked) => {
                let (step, attempt) = (asked.step, asked.attempt);
                let said = steps.ask(*asked);
                let came = async move { Came::Answered { step, attempt, said: said.await } };
                (step, self.tasks.spawn(came))
            }
            FlowEffect::Check(checked) => {
                let (step, attempt) = (checked.step, checked.attempt);
                let looked = steps.check(*checked);
                let came = async move {
                    let (looked, record) = looked.await;
                    Came::Checked { step, attempt, looked, record }
                };
                (step, self.tasks.spawn(came))
            }
        };
        self.handles.insert(step, handle);
    }

    /// What comes next; nothing where nothing is under way. What was closed says nothing any more.
    async fn next(&mut self) -> Option<Came> {
        loop {
            match self.tasks.join_next().await? {
                Ok(came) => return Some(came),
                Err(error) if error.is_panic() => return Some(Came::Broke),
                Err(_closed) => {}
            }
        }
    }
}

pub(super) async fn drive(
    flow: &mut Flow,
    steps: &impl Steps,
    keeper: &impl FlowKeeper,
    halted: impl Future<Output = ()>,
) -> Result<Driven, Halted> {
    let mut under_way = UnderWay::default();
    let halted = std::pin::pin!(halted);
    let driven = go_on(flow, steps, keeper, &mut under_way, halted).await;
    // What is still under way is closed before anybody goes on.
    under_way.tasks.shutdown().await;
    driven
}

async fn go_on(
    flow: &mut Flow,
    steps: &impl Steps,
    keeper: &impl FlowKeeper,
    under_way: &mut UnderWay,
    mut halted: Pin<&mut impl Future<Output = ()>>,
) -> Result<Driven, Halted> {
    loop {
        let effects = flow.due();
        keeper.keep(flow).await?;
        for effect in effects {
            under_way.carry_out(effect, steps);
        }
        if let Some(end) = flow.end() {
            return Ok(Driven::Ended(end));
        }
        let came = tokio::select! {
            biased;
            () = &mut halted => return Err(Halted),
            came = under_way.next() => came,
        };
        let told = match came {
            Some(Came::Answered { step, said: Said::Waits, .. })
            | Some(Came::Checked { step, looked: Looked::Waits, .. }) => {
                under_way.waiting.insert(step);
                Ok(())
            }
            Some(Came::Answered { step, attempt, said: Said::Answer(answer) }) => {
                flow.answered(step, attempt, answer)
            }
            Some(Came::Answered { step, attempt, said: Said::Nothing(failure, record) }) => {
                flow.failed(step, attempt, failure, record)
            }
            Some(Came::Checked { step, attempt, looked: Looked::Wrong(why), record }) => {
                flow.checked(step, attempt, Some(why), record)
            }
            Some(Came::Checked { step, attempt, looked: Looked::Right, record }) => {
                flow.checked(step, attempt, None, record)
            }
            None if !under_way.waiting.is_empty() => return Ok(Driven::Waits),
            // The machine always has somebody to wait for, and a step does not break; this keeps a mistake in one of
            // them from going round for ever.
            Some(Came::Broke) | None => {
                flow.end_with(StepFailure::new("internal", "a step broke, or nobody is asked"));
                Ok(())
            }
        };
        if told == Err(NotAwaited) {
            tracing::debug!("a step came to something that nobody waits for");
        }
    }
}

#[cfg(test)]
mod tests;
