//! The run of one client request as a pure state machine: turns, hand-overs, tools, guards.
//!
//! A run begins with a member of a pool that has the conversation. Models hand it on by hidden tools,
//! rules by their own; tools of the gateway run in between; a turn that calls a tool of the client's, or
//! none at all, is the answer.
//!
//! - Start with [`Machine`].
//! - **Invariant:** every run ends, whatever models do.
//! - **Never here:** async, clocks, dice, I/O, policies: who may go where is decided elsewhere.

mod call;
mod event;
mod history;
mod limits;
mod machine;
mod members;
mod tape;
mod team;
mod template;
mod terms;
mod validation;
mod wishes;
mod words;
mod workflow;

pub use event::{
    Aside, By, CallResult, Cause, Effect, Event, Finish, Guard, Move, Ruling, ToolCall, TurnEnd, shortened,
};
pub use history::{size, view};
pub use limits::{HandoffMode, History, Limits};
pub use machine::Machine;
pub use members::{Member, Members};
pub use tape::{Entry, Start, Tape, TapeError};
pub use team::{ErrandWay, Task, Team, TeamAgent, ToolForm, Way};
pub use template::{Known, fill, fill_value, member, names};
pub use terms::{CallGate, Terms};
pub use validation::{Check, OnInvalid, Validation, ValidationMistake};
pub use wishes::{CallsTold, HandoffWishes, TargetWishes};
pub use workflow::{
    Around, AskedStep, Asks, CheckNote, CheckThen, CheckedStep, Choice, ChoiceBy, Flow, FlowEffect, FlowEnd,
    FlowReport, Inquiry, NotAwaited, OnBranchError, StepAnswer, StepFailure, StepRecord, StepReport,
    StepStatus, Tie, Workflow, WorkflowMistake,
};
