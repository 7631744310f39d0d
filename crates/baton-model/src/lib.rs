//! Says what Baton's words mean, as types: the conversation, its stream, usage, ids, money, targets.
//!
//! Wire formats meet only here, so that N formats need N converters and not N × M. Nothing in
//! this crate knows HTTP, SQL, a clock or a vendor's JSON.
//!
//! - Start with [`Request`] and [`Answer`] (whole) and [`StreamEvent`] (in pieces).
//! - **Invariant:** every [`Part`] can say which dialect it came from, so that a converter knows
//!   which signatures are its own.
//! - **Never here:** I/O, clocks, randomness, serde for wire formats, status codes.

mod answer;
mod conversation;
mod dialect;
mod fault;
mod id;
mod json;
mod money;
mod name;
mod nearest;
mod secret;
mod stream;

pub use answer::{Answer, FinishReason, Usage};
pub use conversation::{
    Attached, CacheControl, DocumentSource, ImageSource, Message, Origin, OutputFormat, Part, PartKind,
    Reasoning, Request, Role, Sampling, Tool, ToolChoice,
};
pub use dialect::{Dialect, UnknownDialect};
pub use fault::{Fault, FaultKind};
pub use id::{BootId, DecisionId, IdError, KeyId, RequestId, RunId};
pub use json::{JsonError, Member, RawJson, RawObject};
pub use money::{NanoUsd, Price};
pub use name::{ModelName, NameError, ProviderName, Target};
pub use nearest::nearest;
pub use secret::Secret;
pub use stream::{Delta, PartStart, StreamEvent};
