//! Chooses which target answers a request, and what comes next when it fails.
//!
//! Everything here is a plain function of its arguments: the clock, the dice, the prices and the
//! health of the targets come in as data, so that a decision can be replayed from its record.
//!
//! - Start with [`plan`] and [`next`].
//! - **Invariant:** a plan never names the same target twice, and every candidate has a verdict.
//! - **Never here:** async, clocks, randomness, HTTP, SQL, names of providers.

mod breaker;
mod facts;
mod failure;
mod inputs;
mod output;
mod plan;
mod policy;
mod rule;
mod scorer;
mod task;
mod verdict;

pub use breaker::{Began, Breaker, BreakerState, Cooldown, Moved, ProbeId, Trip};
pub use facts::{Capabilities, Facts};
pub use failure::{Counts, History, MAX_RETRIES, Next, Reaction, SameTarget, next, reaction};
pub use inputs::{
    AgentMove, AgentMoveBy, Asked, Candidate, Context, Current, DeclaredTask, Down, DownReason, Features,
    HandoffBy, Health, Inputs, JudgeFailure, Judged, Knowledge, Latency, PolicyRef, ProviderPreferences,
    RunInputs, Timeouts, Variable, Wishes,
};
pub use output::OutputRule;
pub use plan::{PLANNER_VERSION, Plan, Planned, Question, covers, plan, replays};
pub use policy::{
    Balance, Capability, Constraints, DEFAULT_THRESHOLD, Fallback, Judge, Need, Needs, Order, Policy,
    PolicyDocument,
};
pub use rule::{Actions, Rule, RuleMistake, RuleOutcome, RuleSet, Traced};
pub use scorer::{
    FEATURES_REVISION, FeatureSpec, KindPrior, MAX_MODELS, SHAPE_ROWS, Scorer, ScorerError, ScorerFile,
    ScorerHeader, ScorerModel, ScorerSource, TextFeatures, TextShare,
};
pub use task::{
    Complexity, Shape, TaskExample, TaskKind, TaskReading, UnknownTask, cross_validate, estimate_tokens,
    read_task, train_task_kinds,
};
pub use verdict::{Reason, ReasonCode, ReasonSource, Rejection, Row, RunEvent, Stage, Verdict};
