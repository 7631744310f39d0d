//! Carries one run out: its conversation or its workflow, and what its answer has to be.
//!
//! ```text
//! taken ─ what its caller said, if it waited ─ conversation or workflow ─ answer looked at ┬─ ended
//!                                                          ▲                               │
//!                                                          └── once more, or by another one ┘
//! ```
//!
//! - Start with [`RunDesk::carry`].

use std::collections::BTreeMap;
use std::sync::Arc;

use baton_engine::{AnswerStands, Ask, Carried, Checkpoint, Ending, RunFault, Word};
use baton_model::RawJson;
use baton_state::runs::{RunStatus, StepError};
use serde_json::{Value, json};

use super::drive::{MOST_IN_VAIN, RunDesk, Task, fault, not_any_more};
use super::shown;
use crate::error::ApiError;

/// How long a run rests that cannot be written at the moment.
const PAUSE_MS: u64 = 2_000;

/// How a run came to where it stops.
enum Came {
    /// Its checkpoint says how.
    Settled,
    /// A limit was reached, by this word.
    Stopped(String),
    /// It failed.
    Failed(RunFault),
    /// It is to stop here.
    Halted,
}

/// What a caller said to a run that waited.
enum Heard {
    /// The conversation with the results of its tools.
    Outputs(RawJson),
    /// A word of each call that needs one.
    Words(BTreeMap<String, Word>),
}

impl RunDesk {
    /// Carries a run out until it ends, rests, or is lost.
    pub(super) async fn carry(&self, task: &Task) -> Result<(), StepError> {
        let Task { order, kept, answer, is_cancelled, in_vain } = task;
        if *is_cancelled {
            return self.end(task, RunStatus::Cancelled, None).await;
        }
        if *in_vain > MOST_IN_VAIN {
            let fault = fault("given_up", "the run was taken too often without coming anywhere");
            return self.end(task, RunStatus::Failed, Some(fault)).await;
        }
        if let Err(error) = self.gate().recall(order.principal()) {
            return self.end(task, RunStatus::Failed, Some(not_any_more(error))).await;
        }
        let checkpoint = kept.checkpoint().await;
        if checkpoint.waits {
            let heard = answer.as_ref().and_then(|answer| heard(&checkpoint, answer));
            let Some(heard) = heard else {
                return kept.rest(RunStatus::RequiresAction, None).await;
            };
            let go_on = |checkpoint: &mut Checkpoint| match heard {
                Heard::Outputs(conversation) => checkpoint.next_segment(conversation),
                Heard::Words(words) => checkpoint.heard(words),
            };
            kept.note(go_on, []).await;
            kept.flush().await?;
        }
        if let Some((session, held)) = order.held(&kept.checkpoint().await) {
            self.engine().recall(order.principal(), session, held);
        }
        let came = self.come(task).await;
        if kept.is_lost() {
            return Err(StepError::Lost);
        }
        match came {
            Came::Settled => self.settle(task).await,
            Came::Stopped(why) => {
                let ending = Some(Ending::Incomplete(why));
                kept.note(|checkpoint| checkpoint.progress.ending = ending, []).await;
                self.end(task, RunStatus::Incomplete, None).await
            }
            Came::Failed(fault) => self.end(task, RunStatus::Failed, Some(fault)).await,
            Came::Halted if kept.cancel.is_cancelled() => self.end(task, RunStatus::Cancelled, None).await,
            // Somebody else goes on at once; or, where something could not be written, in a moment.
            Came::Halted => {
                let pause = if kept.pause.is_cancelled() { 0 } else { PAUSE_MS };
                let due_ms = self.engine().ids().now_ms().saturating_add(pause);
                kept.rest(RunStatus::InProgress, Some(due_ms)).await
            }
        }
    }

    /// Brings a run to where it stops.
    async fn come(&self, task: &Task) -> Came {
        let Task { order, kept, .. } = task;
        loop {
            let ask = match order.ask(&kept.checkpoint().await, Some(Arc::clone(kept))) {
                Ok(ask) => ask,
                Err(error) => return Came::Failed(error.into_fault()),
            };
            let came = self.once(task, &ask).await;
            let Some(validation) = &order.validation else { return came };
            let has_answer = kept.checkpoint().await.progress.ending == Some(Ending::Completed);
            if !matches!(came, Came::Settled) || !has_answer {
                return came;
            }
            match self.engine().look_at_answer(&ask, kept, validation).await {
                Ok(AnswerStands::Yes | AnswerStands::Waits) => return Came::Settled,
                Ok(AnswerStands::Again) => {}
                Ok(AnswerStands::No(why)) => return Came::Failed(fault("validation_failed", &why)),
                Err(_halted) => return Came::Halted,
            }
        }
    }

    /// Carries out what there is to carry out, until it has an answer, or waits.
    async fn once(&self, task: &Task, ask: &Ask) -> Came {
        let Task { order, kept, .. } = task;
        let Some(beginning) = &order.workflow else {
            return match self.engine().answer(ask.clone()).await {
                Ok(_reply) => Came::Settled,
                Err(_stopped) if kept.is_halted() => Came::Halted,
                Err(refusal) => Came::Failed(ApiError::from(refusal).into_fault()),
            };
        };
        match self.engine().carry_workflow(ask, kept, beginning).await {
            Ok(Carried::Done | Carried::Waits) => Came::Settled,
            Ok(Carried::Stopped(why)) => Came::Stopped(why),
            Ok(Carried::Failed(failure)) => Came::Failed(fault(&failure.code, &failure.message)),
            Err(_halted) => Came::Halted,
        }
    }

    /// Writes down how a run ended that ended well, or lets it rest for its caller.
    async fn settle(&self, task: &Task) -> Result<(), StepError> {
        let checkpoint = task.kept.checkpoint().await;
        match &checkpoint.progress.ending {
            Some(Ending::RequiresAction) => {
                let mut event = shown::action(&checkpoint);
                if let Some(members) = event.as_object_mut() {
                    // What is waited for is another member of an event than its type.
                    let kind = members.insert("type".to_owned(), json!("requires_action"));
                    members.extend(kind.map(|kind| ("action".to_owned(), kind)));
                }
                task.kept.note(|checkpoint| checkpoint.waits = true, RawJson::of(&event)).await;
                task.kept.rest(RunStatus::RequiresAction, None).await
            }
            Some(Ending::Completed) => self.end(task, RunStatus::Completed, None).await,
            Some(Ending::Handoff(_)) => self.end(task, RunStatus::Handoff, None).await,
            Some(Ending::Incomplete(_)) => self.end(task, RunStatus::Incomplete, None).await,
            None => {
                let fault = fault("internal", "the run ended without saying how");
                self.end(task, RunStatus::Failed, Some(fault)).await
            }
        }
    }
}

/// What the caller said. `None` where it answers something else.
fn heard(checkpoint: &Checkpoint, answer: &RawJson) -> Option<Heard> {
    if checkpoint.approvals().next().is_some() {
        return answer.read().ok().map(Heard::Words);
    }
    let mut messages: Vec<Value> = checkpoint.progress.conversation.as_ref()?.read().ok()?;
    let answers: Vec<Value> = answer.read().ok()?;
    messages.extend(answers);
    RawJson::of(&messages).ok().map(Heard::Outputs)
}
