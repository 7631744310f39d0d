//! Workflows as data: steps one after the other, side by side, or as voters with a judge.
//!
//! A workflow is read and checked once, with every mistake at its path. Then it is a list of steps whose inputs are
//! templates; what follows what is worked out by [`Flow`], a state machine that can be written down at any point and
//! taken up elsewhere. Who asks the models, and how, is somebody else's business: a step is an effect, and its
//! answer an event.
//!
//! - Start with [`Workflow::read`] and [`Flow::begin`].
//! - **Invariant:** every workflow ends, whatever its steps come to.
//! - **Invariant:** a step is asked once for each of its attempts, and only while somebody waits for it.
//! - **Never here:** async, clocks, models, prices.

mod flow;
mod read;
mod report;
mod template;
mod vote;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use flow::{AskedStep, CheckedStep, Flow, FlowEffect, FlowEnd, NotAwaited, StepAnswer, StepFailure};
pub use report::{CheckNote, CheckThen, Choice, ChoiceBy, FlowReport, StepRecord, StepReport, StepStatus};

use self::template::Template;
use crate::Validation;

/// A workflow that passed every check.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Workflow {
    /// What it is called.
    pub name: String,
    /// The variables of its templates, with what holds where the run brings none.
    context: BTreeMap<String, Option<Value>>,
    /// Its steps; the first holds all others.
    nodes: Vec<Node>,
}

/// What is wrong with a workflow, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkflowMistake {
    /// The path within it, as `sequence[1].input`; empty for all of it.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What would be right.
    pub hint: Option<String>,
}

/// What is known around a workflow that is read.
#[derive(Clone, Copy, Debug, Default)]
pub struct Around<'a> {
    /// The other workflows, as they are written, by their names.
    pub others: &'a [(String, Value)],
    /// The variables that the run brings, where they are known when it is read.
    pub context: Option<&'a Map<String, Value>>,
}

/// Whom a step asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Asks {
    /// One name: a model, a route, a policy.
    Model(String),
    /// A pool whose members may hand over to each other.
    Pool(Vec<String>),
    /// Models that stand in for each other, in order.
    Models(Vec<String>),
    /// An agent, by its name.
    Agent(String),
}

impl Asks {
    /// The names as a request would name them.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        match self {
            Self::Model(name) => vec![name.clone()],
            Self::Pool(names) | Self::Models(names) => names.clone(),
            Self::Agent(name) => vec![format!("agent/{name}")],
        }
    }
}

/// A step that asks somebody.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Inquiry {
    /// Whom.
    pub asks: Asks,
    /// What it is told beside the input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instructions: Option<String>,
    /// Members of its request: `temperature`, `max_tokens` and the like.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub settings: Map<String, Value>,
    /// The servers whose tools it has, as a request names them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mcp_servers: Option<Value>,
    /// What its answer has to be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation: Option<Validation>,
}

impl Inquiry {
    /// Somebody who is asked as they are.
    #[must_use]
    pub fn of(asks: Asks) -> Self {
        Self { asks, instructions: None, settings: Map::new(), mcp_servers: None, validation: None }
    }
}

/// What becomes of the whole where a branch fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnBranchError {
    /// It fails too, and the others are given up.
    #[default]
    Fail,
    /// It goes on without that branch, if one is left.
    Skip,
    /// It goes on if so many have answered.
    Quorum(usize),
}

/// Which vote counts where the judge names none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tie {
    /// That of the first voter who answered.
    First,
    /// The one that most voters gave, the first of several.
    Majority,
    /// None: the step fails.
    Fail,
}

impl Tie {
    /// The word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Majority => "majority",
            Self::Fail => "fail",
        }
    }
}

/// A step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Node {
    /// Its name, behind those of the steps it stands in: `report/research`.
    name: String,
    /// Where it is written; none where that is another workflow.
    path: Option<String>,
    /// The step that it is a part of.
    parent: Option<usize>,
    input: Template,
    kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Ask(Inquiry),
    Sequence { steps: Vec<usize> },
    Parallel { branches: Branches, synthesis: Option<usize> },
    Consensus { voters: Branches, judge: usize, tie: Tie },
}

/// Steps side by side.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Branches {
    steps: Vec<usize>,
    max_parallel: usize,
    on_error: OnBranchError,
}

impl Workflow {
    /// Reads a workflow as it is written in a file or a request.
    ///
    /// # Errors
    /// Every mistake in it, with its path.
    pub fn read(name: &str, document: &Value, around: Around<'_>) -> Result<Self, Vec<WorkflowMistake>> {
        read::read(name, document, around)
    }

    /// Every step that asks somebody, with its path in what was written. Those of other workflows that it names are
    /// left out: they are read where they are written.
    pub fn inquiries(&self) -> impl Iterator<Item = (&str, &Inquiry)> {
        self.nodes.iter().filter_map(|node| match &node.kind {
            Kind::Ask(inquiry) => Some((node.path.as_deref()?, inquiry)),
            Kind::Sequence { .. } | Kind::Parallel { .. } | Kind::Consensus { .. } => None,
        })
    }

    /// Everybody who is asked, in the steps of other workflows too.
    pub fn everybody(&self) -> impl Iterator<Item = &Inquiry> {
        self.nodes.iter().filter_map(|node| match &node.kind {
            Kind::Ask(inquiry) => Some(inquiry),
            Kind::Sequence { .. } | Kind::Parallel { .. } | Kind::Consensus { .. } => None,
        })
    }

    /// The names of all steps, in order.
    pub fn steps(&self) -> impl Iterator<Item = &str> {
        self.nodes.iter().map(|node| node.name.as_str())
    }
}

#[cfg(test)]
mod tests;
