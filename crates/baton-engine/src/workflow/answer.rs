//! Looks at the answer of a run, and says what follows where it is not right.

use std::sync::Arc;

use baton_model::RawJson;
use baton_run::{CheckNote, CheckThen, OnInvalid, Validation};
use serde_json::{Value, json};

use super::step::{Asking, Place};
use super::{Halted, Looked, check, note};
use crate::runs::{Checkpoint, Ending, Kept};
use crate::{Ask, Engine};

/// Whether the answer of a run stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AnswerStands {
    /// It does.
    Yes,
    /// It does not, and the run goes on from its checkpoint.
    Again,
    /// It does not, and the run has failed, for this reason.
    No(String),
    /// Whoever judges it has called something that waits for a word of the caller's.
    Waits,
}

impl Engine {
    /// Looks whether the answer of a run is what it has to be, and has the run go on where it is not.
    ///
    /// # Errors
    /// [`Halted`] where the run is to stop here.
    pub async fn look_at_answer(
        self: &Arc<Self>,
        client: &Ask,
        kept: &Arc<Kept>,
        validation: &Validation,
    ) -> Result<AnswerStands, Halted> {
        let asking = Asking::new(self, client, kept).await;
        let checkpoint = kept.checkpoint().await;
        let attempt = u32::try_from(checkpoint.checks.len()).unwrap_or(u32::MAX).saturating_add(1);
        let key = format!("answer.{attempt}.check");
        let place = Place { key: key.clone(), name: "validation".to_owned(), aside: true };
        let output = last_said(&checkpoint);
        let looked = tokio::select! {
            biased;
            () = kept.halted() => return Err(Halted),
            (looked, _) = check::look(&asking, place, validation, &output) => looked,
        };
        let why = match looked {
            Looked::Waits => {
                let mut pad = kept.pad().await;
                pad.checkpoint.progress.ending = Some(Ending::RequiresAction);
                pad.touch();
                return Ok(AnswerStands::Waits);
            }
            Looked::Right => None,
            Looked::Wrong(why) => Some(why),
        };
        let mut pad = kept.pad().await;
        pad.checkpoint.absorb(|step| step == key);
        pad.touch();
        let Some(why) = why else { return Ok(AnswerStands::Yes) };
        let then = match validation.on_failure {
            OnInvalid::Retry { times } if attempt <= times => CheckThen::Retry,
            OnInvalid::Handoff { .. } if attempt == 1 => CheckThen::Handoff,
            OnInvalid::Retry { .. } | OnInvalid::Handoff { .. } | OnInvalid::Fail => CheckThen::Fail,
        };
        let check = CheckNote { attempt, why: why.clone(), then };
        let progress = &pad.checkpoint.progress;
        let model = progress.turns.iter().rev().find(|turn| !turn.task).map(|turn| turn.model.clone());
        let who = model.as_deref().unwrap_or("the run");
        note::not_taken(self, client, kept.run(), who, model.as_deref(), &check)?;
        pad.tell(&json!({ "type": "validation", "attempt": attempt, "why": why, "then": then }));
        pad.checkpoint.checks.push(check);
        if then == CheckThen::Fail {
            return Ok(AnswerStands::No(why));
        }
        let Some(conversation) = once_more(&pad.checkpoint, &why) else { return Ok(AnswerStands::No(why)) };
        if let OnInvalid::Handoff { to } = &validation.on_failure {
            pad.checkpoint.taken_over = to.names().into_iter().next();
            // Whoever had the conversation has it no more.
            pad.checkpoint.progress.held = None;
        }
        // What is not taken is no part of the answer; it stays in the conversation.
        pad.checkpoint.progress.messages.pop();
        pad.checkpoint.next_segment(conversation);
        kept.write(&mut pad).await.map_err(|error| {
            tracing::warn!(error = %error, run = %kept.run(), "a run was not written, and stops here");
            Halted
        })?;
        Ok(AnswerStands::Again)
    }
}

/// What was said last.
fn last_said(checkpoint: &Checkpoint) -> String {
    let last = checkpoint.progress.messages.last();
    last.and_then(|message| message.get("content")).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// The conversation with what is wrong about its last answer.
fn once_more(checkpoint: &Checkpoint, why: &str) -> Option<RawJson> {
    let mut messages: Vec<Value> = checkpoint.progress.conversation.as_ref()?.read().ok()?;
    let again = super::step::once_more(why);
    messages.push(json!({ "role": "user", "content": again }));
    RawJson::of(&messages).ok()
}
