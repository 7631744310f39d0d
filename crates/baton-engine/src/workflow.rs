//! Carries a workflow out within a run: asks its steps, looks at their answers, and tells the state machine.
//!
//! ```text
//! flow: what is to be asked now ─ written ─ asked, side by side ─ one has answered ─ flow told ─ …
//! ```
//!
//! Every step is a request of its own, planned and recorded like any other, and written down turn by turn in a
//! checkpoint within the run's. All of them carry the run's id, so that the run's chain shows them, and draw on the
//! run's budget.
//!
//! - Start with [`Engine::carry_workflow`].
//! - **Invariant:** nothing is asked before the state that says so is written.
//! - **Invariant:** a step that nobody waits for any more is closed at once, with its outcome.
//! - **Invariant:** what all steps have spent and may still spend together is never more than the run's budget.

mod answer;
mod check;
mod drive;
mod keeper;
mod note;
mod step;

use std::sync::{Arc, Mutex, PoisonError};

use baton_model::{DecisionId, RawJson, RunId};
use baton_policy::OutputRule;
use baton_run::{Asks, Check, Flow, FlowEnd, Inquiry, OnInvalid, StepFailure, Validation, Workflow};
use serde_json::json;

pub use self::answer::AnswerStands;
use self::drive::{Driven, drive};
use self::keeper::Keeper;
use self::step::Asking;
use crate::runs::{Ending, Kept};
use crate::{Ask, Engine, Refusal, RefusalKind};

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

/// Why a run does not go on here: it is to stop, or what it came to cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the run does not go on here")]
pub struct Halted;

/// What a workflow came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Carried {
    /// It has an answer, which is the run's.
    Done,
    /// Calls wait for a word of the caller's.
    Waits,
    /// A limit of the run was reached, by this word.
    Stopped(String),
    /// It failed.
    Failed(StepFailure),
}

/// What was found of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Looked {
    /// It is right.
    Right,
    /// It is not, and why.
    Wrong(String),
    /// Whoever judges has called something that waits for a word of the caller's.
    Waits,
}

impl Engine {
    /// Carries a run's workflow on, from wherever it is: from `beginning`, where it has not begun.
    ///
    /// `client` is the request that it was asked for with: steps have its caller, its labels and its policy, and
    /// none of its body. Steps that run side by side are asked at the same time.
    ///
    /// # Errors
    /// [`Halted`] where the run is to stop here; the workflow is then where it was written last.
    pub async fn carry_workflow(
        self: &Arc<Self>,
        client: &Ask,
        kept: &Arc<Kept>,
        beginning: &Flow,
    ) -> Result<Carried, Halted> {
        let mut flow = {
            let mut pad = kept.pad().await;
            match pad.checkpoint.flow.clone() {
                Some(mut flow) => {
                    flow.resume();
                    *flow
                }
                None => {
                    let name = &beginning.workflow().name;
                    pad.tell(&json!({ "type": "run_start", "run": kept.run(), "workflow": name }));
                    beginning.clone()
                }
            }
        };
        let asking = Asking::new(self, client, kept).await;
        let end =
            match drive(&mut flow, &asking, &Keeper { engine: self, client, kept }, kept.halted()).await? {
                Driven::Ended(end) => end,
                Driven::Waits => {
                    let mut pad = kept.pad().await;
                    pad.checkpoint.progress.ending = Some(Ending::RequiresAction);
                    pad.touch();
                    return Ok(Carried::Waits);
                }
            };
        match end {
            FlowEnd::Done(text) => {
                concluded(client, kept, &text).await;
                Ok(Carried::Done)
            }
            FlowEnd::Failed(failure) => match asking.reached() {
                Some(limit) => Ok(Carried::Stopped(limit)),
                None => Ok(Carried::Failed(failure)),
            },
        }
    }

    /// Whether every step of a workflow can be asked that is written in it, and every answer looked at.
    ///
    /// # Errors
    /// The path within the workflow, and what is wrong there.
    pub fn check_workflow(&self, client: &Ask, workflow: &Workflow) -> Result<(), (String, Box<Refusal>)> {
        for (path, inquiry) in workflow.inquiries() {
            let member = match inquiry.asks {
                Asks::Model(_) | Asks::Pool(_) => "model",
                Asks::Models(_) => "models",
                Asks::Agent(_) => "agent",
            };
            self.can_ask(client, inquiry).map_err(|refusal| (format!("{path}.{member}"), refusal))?;
            if let Some(validation) = &inquiry.validation {
                self.check_validation(client, validation)
                    .map_err(|(within, refusal)| (format!("{path}.validation{within}"), refusal))?;
            }
        }
        Ok(())
    }

    /// Whether a validation can be looked at, and who takes over can be asked.
    ///
    /// # Errors
    /// The path within it, and what is wrong there.
    pub fn check_validation(
        &self,
        client: &Ask,
        validation: &Validation,
    ) -> Result<(), (&'static str, Box<Refusal>)> {
        let can_ask = |asks: Asks| self.can_ask(client, &Inquiry::of(asks));
        match &validation.check {
            Check::Schema(_) => {}
            Check::Cel(expression) => {
                let not_usable = |why| refused(RefusalKind::Invalid, format!("it is not usable: {why}"));
                OutputRule::compile(expression).map_err(|why| (".cel", not_usable(why)))?;
            }
            Check::Criteria { judge, .. } => {
                can_ask(Asks::Model(judge.clone())).map_err(|refusal| (".judge", refusal))?;
            }
        }
        if let OnInvalid::Handoff { to } = &validation.on_failure {
            can_ask(to.clone()).map_err(|refusal| (".to", refusal))?;
        }
        Ok(())
    }

    fn can_ask(&self, client: &Ask, inquiry: &Inquiry) -> Result<(), Box<Refusal>> {
        if let Asks::Agent(name) = &inquiry.asks
            && self.settings().catalog.crew().named(name).is_none()
        {
            return Err(refused(RefusalKind::UnknownModel, format!("there is no agent `{name}` here")));
        }
        let within = Arc::new(Within::new(self.ids.run()));
        let messages = vec![json!({ "role": "user", "content": "" })];
        let ask = step::request(self, client, inquiry, messages, &within, None);
        let ask = ask.ok_or_else(|| refused(RefusalKind::Invalid, "its request cannot be written"))?;
        self.dry_run(&ask).map(drop).map_err(Box::new)
    }
}

fn refused(kind: RefusalKind, message: impl Into<String>) -> Box<Refusal> {
    Box::new(Refusal::new(kind, message))
}

/// Notes the answer of a workflow as the run's.
async fn concluded(client: &Ask, kept: &Arc<Kept>, text: &str) {
    let mut pad = kept.pad().await;
    pad.checkpoint.progress.ending = Some(Ending::Completed);
    pad.touch();
    if !pad.checkpoint.progress.messages.is_empty() {
        // It was told before the run was taken up once more.
        return;
    }
    pad.tell(&json!({ "type": "text_delta", "text": text }));
    pad.tell(&json!({ "type": "text_done", "text": text }));
    let progress = &mut pad.checkpoint.progress;
    let message = json!({ "role": "assistant", "content": text });
    let mut conversation: Vec<serde_json::Value> =
        client.body.read("messages").ok().flatten().unwrap_or_default();
    conversation.push(message.clone());
    progress.messages.push(message);
    progress.conversation = RawJson::of(&conversation).ok();
}
