//! The run of one client request as a pure state machine.

mod limits;
mod wishes;

pub use limits::{HandoffMode, History, Limits};
pub use wishes::{HandoffWishes, TargetWishes};
