//! What a workflow tells of its steps.

use baton_model::{DecisionId, NanoUsd};
use serde::{Deserialize, Serialize};

use super::flow::{Flow, State};
use super::{Kind, Tie};

/// What is to be told of a step beside its answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StepRecord {
    /// The target that answered, as `provider/model`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The decisions that were made for it, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub decisions: Vec<DecisionId>,
    /// What it cost, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<NanoUsd>,
    /// When it began, in milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub began_ms: Option<u64>,
    /// When it ended, in milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_ms: Option<u64>,
    /// The answers that were not right.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<CheckNote>,
}

impl StepRecord {
    /// Adds what is to be told of another attempt, or of what looked at it.
    pub(super) fn absorb(&mut self, other: Self) {
        self.model = other.model.or_else(|| self.model.take());
        self.decisions.extend(other.decisions);
        self.cost = match (self.cost, other.cost) {
            (Some(one), Some(more)) => Some(NanoUsd(one.0.saturating_add(more.0))),
            (one, more) => one.or(more),
        };
        self.began_ms = self.began_ms.or(other.began_ms);
        self.ended_ms = other.ended_ms.or(self.ended_ms);
        self.checks.extend(other.checks);
    }
}

/// An answer that was not right.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckNote {
    /// Which attempt's.
    pub attempt: u32,
    /// Why.
    pub why: String,
    /// What followed.
    pub then: CheckThen,
}

/// What follows an answer that is not right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckThen {
    /// The same one is asked again.
    Retry,
    /// Another one is asked.
    Handoff,
    /// Nothing: the step failed.
    Fail,
}

/// Which vote counts, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    /// The voter's step.
    pub step: String,
    /// Who chose it.
    pub by: ChoiceBy,
    /// Why, in the judge's own words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Who chose a vote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChoiceBy {
    /// The judge.
    Judge,
    /// The rule for what no judge decided.
    Tie(Tie),
    /// There was only one.
    OnlyVote,
}

/// How a step stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepStatus {
    /// It has not begun.
    Waiting,
    /// It is on its way.
    Running,
    /// It has answered.
    Completed,
    /// It came to nothing.
    Failed,
    /// Nobody waits for it any more.
    Skipped,
}

/// A step as it is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepReport {
    /// Its name, behind those of the steps it stands in.
    pub name: String,
    /// `ask`, `sequence`, `parallel` or `consensus`.
    pub kind: String,
    /// How it stands.
    pub status: StepStatus,
    /// What it said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// Why it came to nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<super::StepFailure>,
    /// How often it was asked.
    pub attempts: u32,
    /// Which vote counts, where it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub choice: Option<Choice>,
    /// What else there is to tell.
    #[serde(flatten)]
    pub record: StepRecord,
}

/// All steps as they are told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowReport {
    /// The workflow's name.
    pub workflow: String,
    /// Its steps, in the order in which they are written; the workflow as a whole is not among them.
    pub steps: Vec<StepReport>,
    /// Which vote counts, where the workflow itself is a vote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub choice: Option<Choice>,
    /// What all steps cost together, as far as that is known.
    pub cost: NanoUsd,
}

impl Flow {
    /// What there is to tell of the steps.
    #[must_use]
    pub fn report(&self) -> FlowReport {
        let steps: Vec<StepReport> = (1..self.steps.len()).filter_map(|at| self.step_report(at)).collect();
        let cost = steps
            .iter()
            .filter_map(|step| step.record.cost)
            .fold(0_u64, |sum, cost| sum.saturating_add(cost.0));
        FlowReport {
            workflow: self.workflow.name.clone(),
            steps,
            choice: self.steps.first().and_then(|root| root.choice.clone()),
            cost: NanoUsd(cost),
        }
    }

    fn step_report(&self, at: usize) -> Option<StepReport> {
        let (node, step) = (self.workflow.nodes.get(at)?, self.steps.get(at)?);
        let kind = match node.kind {
            Kind::Ask(_) => "ask",
            Kind::Sequence { .. } => "sequence",
            Kind::Parallel { .. } => "parallel",
            Kind::Consensus { .. } => "consensus",
        };
        let (status, error) = match &step.state {
            State::Waiting if step.attempts == 0 => (StepStatus::Waiting, None),
            State::Waiting | State::Open | State::Asked | State::Answered | State::Checked => {
                (StepStatus::Running, None)
            }
            State::Done => (StepStatus::Completed, None),
            State::Failed(failure) => (StepStatus::Failed, Some(failure.clone())),
            State::GivenUp => (StepStatus::Skipped, None),
        };
        Some(StepReport {
            name: node.name.clone(),
            kind: kind.to_owned(),
            status,
            output: step.output.clone().filter(|_| status == StepStatus::Completed),
            error,
            attempts: step.attempts,
            choice: step.choice.clone(),
            record: step.record.clone(),
        })
    }
}
