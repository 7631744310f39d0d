//! Chooses which target answers a request, and what comes next when it fails.
//!
//! Everything here is a plain function of its arguments: the clock, the dice, the prices and the
//! health of the targets come in as data, so that a decision can be replayed from its record.
//!
//! - Start with [`plan`] and [`next`].
//! - **Invariant:** a plan never names the same target twice, and every candidate has a verdict.
//! - **Never here:** async, clocks, randomness, HTTP, SQL, names of providers.

mod facts;
mod failure;
mod inputs;
mod plan;
mod scorer;
mod task;
mod verdict;

pub use facts::{Capabilities, Facts};
pub use failure::{Action, History, Next, next, reaction};
pub use inputs::{Candidate, Features, Inputs, PolicyRef, ProviderPreferences, Timeouts};
pub use plan::{PLANNER_VERSION, Plan, covers, plan};
pub use task::{Complexity, TaskKind, TaskReading, UnknownTask};
pub use verdict::{Reason, ReasonCode, ReasonSource, Rejection, Row, Stage, Verdict};
