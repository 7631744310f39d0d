//! Writes the state of a workflow with its run, and tells what changed.

use std::collections::BTreeSet;
use std::sync::Arc;

use baton_run::{Flow, FlowReport, StepReport, StepStatus};
use futures_util::future::BoxFuture;
use serde_json::json;

use super::step::key;
use super::{Halted, note};
use crate::runs::{Kept, Pad};
use crate::{Ask, Engine};

/// Keeps the state of a workflow, so that another process can go on with it.
pub(super) trait FlowKeeper: Send + Sync {
    /// Keeps it. What it says is to be done is done only once this returns.
    ///
    /// # Errors
    /// [`Halted`] where it could not be, or somebody else goes on: then nothing more is done here.
    fn keep<'a>(&'a self, flow: &'a Flow) -> BoxFuture<'a, Result<(), Halted>>;
}

/// Keeps it in the checkpoint of a run.
pub(super) struct Keeper<'k> {
    pub(super) engine: &'k Engine,
    pub(super) client: &'k Ask,
    pub(super) kept: &'k Arc<Kept>,
}

impl FlowKeeper for Keeper<'_> {
    fn keep<'a>(&'a self, flow: &'a Flow) -> BoxFuture<'a, Result<(), Halted>> {
        Box::pin(async move {
            let mut pad = self.kept.pad().await;
            let before = pad.checkpoint.flow.clone();
            let open: BTreeSet<String> =
                flow.under_way().map(|(step, attempt, is_checked)| key(step, attempt, is_checked)).collect();
            // One step and its parts at a time: what is over is the run's from now on.
            pad.checkpoint.absorb(|step| !open.contains(step));
            self.tell(&mut pad, before.as_deref(), flow)?;
            pad.checkpoint.flow = Some(Box::new(flow.clone()));
            pad.touch();
            self.kept.write(&mut pad).await.map_err(|error| {
                tracing::warn!(error = %error, run = %self.kept.run(), "a workflow was not written, and stops here");
                Halted
            })
        })
    }
}

impl Keeper<'_> {
    /// Tells which steps have begun and ended since it was last done, and records what was decided of them.
    fn tell(&self, pad: &mut Pad, before: Option<&Flow>, flow: &Flow) -> Result<(), Halted> {
        let Self { engine, client, kept } = *self;
        let run = kept.run();
        let known = before.map(Flow::report);
        let report = flow.report();
        let choices = |report: &FlowReport| {
            let steps = report.steps.iter().map(|step| step.choice.clone());
            std::iter::once(report.choice.clone()).chain(steps).collect::<Vec<_>>()
        };
        let chosen = known.as_ref().map(choices).unwrap_or_default();
        for (at, choice) in choices(&report).iter().enumerate() {
            let Some(choice) = choice.as_ref().filter(|_| chosen.get(at).is_none_or(Option::is_none)) else {
                continue;
            };
            let voter = report.steps.iter().find(|step| step.name == choice.step);
            note::counted(
                engine,
                client,
                run,
                choice,
                voter.and_then(|voter| voter.record.model.as_deref()),
            )?;
        }
        let known = known.map(|known| known.steps).unwrap_or_default();
        for (at, now) in report.steps.iter().enumerate() {
            let before = known.get(at);
            let checks = before.map_or(0, |before| before.record.checks.len());
            for check in now.record.checks.iter().skip(checks) {
                let who = format!("`{}`", now.name);
                note::not_taken(engine, client, run, &who, now.record.model.as_deref(), check)?;
                pad.tell(&json!({
                    "type": "validation", "step": now.name, "attempt": check.attempt, "why": check.why,
                    "then": check.then,
                }));
            }
            let was = before.map_or(StepStatus::Waiting, |before| before.status);
            let asked_again = now.attempts > before.map_or(0, |before| before.attempts);
            let begins = was == StepStatus::Waiting && now.status != was && now.status != StepStatus::Skipped;
            if asked_again || begins {
                pad.tell(&json!({
                    "type": "step_start", "step": now.name, "kind": now.kind, "attempt": now.attempts.max(1),
                }));
            }
            if now.status != was && has_ended(now.status) {
                tell_end(pad, now);
            }
        }
        Ok(())
    }
}

const fn has_ended(status: StepStatus) -> bool {
    matches!(status, StepStatus::Completed | StepStatus::Failed | StepStatus::Skipped)
}

fn tell_end(pad: &mut Pad, now: &StepReport) {
    let cost = now.record.cost.map(|cost| cost.to_string().replace('$', ""));
    pad.tell(&json!({
        "type": "step_end", "step": now.name, "status": now.status, "output": now.output, "error": now.error,
        "model": now.record.model, "decisions": now.record.decisions, "cost_usd": cost, "choice": now.choice,
    }));
}
