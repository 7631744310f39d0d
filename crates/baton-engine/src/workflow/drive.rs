//! The loop between the state machine of a workflow and whoever asks its steps.

use std::collections::HashMap;

use baton_run::{
    AskedStep, CheckedStep, Flow, FlowEffect, FlowEnd, NotAwaited, StepAnswer, StepFailure, StepRecord,
};
use futures_util::StreamExt;
use futures_util::future::{AbortHandle, Abortable, Aborted, BoxFuture};
use futures_util::stream::FuturesUnordered;

use super::{FlowKeeper, NotKept};

/// Asks steps and looks at their answers.
pub(super) trait Steps: Sync {
    /// What a step says; or why it says nothing, and what is to be told of it all the same.
    fn ask(&self, asked: AskedStep) -> BoxFuture<'static, Result<StepAnswer, (StepFailure, StepRecord)>>;
    /// What is wrong with an answer, if anything is.
    fn check(&self, checked: CheckedStep) -> BoxFuture<'static, (Option<String>, StepRecord)>;
}

/// What came of an effect.
enum Came {
    Answered { step: usize, attempt: u32, said: Result<StepAnswer, (StepFailure, StepRecord)> },
    Checked { step: usize, attempt: u32, wrong: Option<String>, record: StepRecord },
}

pub(super) async fn drive(
    flow: &mut Flow,
    steps: &impl Steps,
    keeper: &dyn FlowKeeper,
) -> Result<FlowEnd, NotKept> {
    let mut under_way = FuturesUnordered::new();
    let mut handles: HashMap<usize, AbortHandle> = HashMap::new();
    loop {
        let effects = flow.due();
        keeper.keep(flow).await?;
        for effect in effects {
            let (step, came): (usize, BoxFuture<'static, Came>) = match effect {
                FlowEffect::Drop { step } => {
                    if let Some(handle) = handles.remove(&step) {
                        handle.abort();
                    }
                    continue;
                }
                FlowEffect::Ask(asked) => {
                    let (step, attempt) = (asked.step, asked.attempt);
                    let said = steps.ask(*asked);
                    (step, Box::pin(async move { Came::Answered { step, attempt, said: said.await } }))
                }
                FlowEffect::Check(checked) => {
                    let (step, attempt) = (checked.step, checked.attempt);
                    let looked = steps.check(*checked);
                    let came = async move {
                        let (wrong, record) = looked.await;
                        Came::Checked { step, attempt, wrong, record }
                    };
                    (step, Box::pin(came))
                }
            };
            let (handle, registration) = AbortHandle::new_pair();
            handles.insert(step, handle);
            under_way.push(Abortable::new(came, registration));
        }
        if let Some(end) = flow.end() {
            return Ok(end);
        }
        let told = match under_way.next().await {
            Some(Ok(Came::Answered { step, attempt, said: Ok(answer) })) => {
                flow.answered(step, attempt, answer)
            }
            Some(Ok(Came::Answered { step, attempt, said: Err((failure, record)) })) => {
                flow.failed(step, attempt, failure, record)
            }
            Some(Ok(Came::Checked { step, attempt, wrong, record })) => {
                flow.checked(step, attempt, wrong, record)
            }
            Some(Err(Aborted)) => Ok(()),
            // The machine always has somebody to wait for; this keeps a mistake in it from going round for ever.
            None => {
                flow.end_with(StepFailure::new(
                    "internal",
                    "nobody is asked, and the workflow has not ended",
                ));
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
