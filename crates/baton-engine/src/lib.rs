//! Carries a request out: plan, decision on paper, attempt, answer or next decision.
//!
//! The engine knows what a target is, never which vendor it is; it speaks to clients through
//! [`Reply`] and [`Refusal`], and leaves status codes to the surfaces.
//!
//! - Start with [`Engine::answer`].
//! - **Invariant:** a decision is written to the journal before its upstream call leaves, and
//!   synced before the first content byte is handed out.
//! - **Invariant:** nothing is retried once content of a turn was handed out.
//! - **Never here:** axum, SQL, names of vendors, status codes for clients.

mod agents;
mod ask;
mod attempt;
mod capture;
mod catalog;
mod choose;
mod consider;
mod course;
mod dry_run;
mod effects;
mod engine;
mod explain;
mod features;
mod flow;
mod given;
mod health;
mod judge;
mod kept;
mod ledger;
mod leg;
mod own;
mod pass;
mod plot;
mod prepare;
mod pump;
mod refusal;
mod reply;
mod report;
mod run;
mod runs;
mod said;
mod specialists;
mod steps;
mod sticky;
mod tooling;
mod versions;
mod workflow;

pub use agents::{Agent, AgentBudget, Crew, StructuredForm};
pub use ask::{Ask, Byok, Caller, Explain, ModelSpec};
pub use capture::{Answered, Bounds, Capture, Captured, Room, SaidContent};
pub use catalog::{Catalog, CatalogBuilder, ModelEntry, Pool, Route, Settings, UnknownName, Unresolved};
pub use choose::{Choosing, Chosen};
pub use consider::Outlook;
pub use dry_run::DryRun;
pub use engine::Engine;
pub use health::{
    Attempted, CredentialState, Ended, Form, HealthBoard, Keys, Manual, Picked, Probe, Scope, Snapshot,
    TargetState,
};
pub use pass::{Pass, TokenCount};
pub use refusal::{Refusal, RefusalKind};
pub use reply::{AnswerStream, ComingAnswer, Head, Reply, ReplyBody};
pub use runs::{
    Approvals, Checkpoint, Ending, HandoffTold, HeldNote, Kept, PendingApproval, PendingCall, Progress,
    RunFault, RunTerms, ToolTold, TurnTold, Word,
};
pub use specialists::{Specialist, Specialists};
pub use steps::{Action, MOST_CONTEXT, OnError, Step, variables};
pub use versions::{StoredPolicies, StoredPolicy};
pub use workflow::{AnswerStands, Carried, Halted, Within};
