//! Writes every decision down before it takes effect, and keeps it so that no change goes unseen.
//!
//! A record goes into the local [`Journal`] on the request's own task, the [`Relay`] moves it into
//! an [`AuditStore`] behind the request's back, and [`Decisions`] reads both. So a request never
//! waits for a database, and a process that is killed loses nothing that it has acknowledged.
//!
//! - Start with [`Record`], then [`Journal::append`] and [`Journal::synced`].
//! - **Invariant:** what a store holds is evidence (blocks, verbatim) or derived from it (rows);
//!   [`verify()`] derives it again and compares.
//! - **Never here:** prompts, answers, tool arguments; SQL; HTTP.

mod block;
mod chain;
mod clock;
mod columns;
mod database;
mod decisions;
mod frame;
mod journal;
mod record;
mod relay;
mod replay;
mod row;
mod store;
mod verify;

#[cfg(test)]
mod memory;
#[cfg(test)]
mod samples;

pub use block::{Block, BlockError};
pub use chain::{CheckpointKey, CheckpointSigner, Hash, HashError, SeedError};
pub use clock::{Clock, IdSource, SystemClock};
pub use columns::{Column, ColumnKind, Columns, Rows, RowsKind, Value};
pub use database::{Command, Database, PageOf, Query, Towards, Transaction};
pub use decisions::{DecisionPage, DecisionView, Decisions, DecisionsError, Lookup, OutcomeView, RunView};
pub use journal::{
    Failpoint, FailpointAction, FailpointError, Failpoints, Journal, JournalError, JournalHealth,
    JournalOptions, Quarantined, Receipt, Recovered,
};
pub use record::{
    Boot, ChainHead, Change, Checkpoint, Decision, DecisionKind, Document, HandoffNote, Labels, Outcome,
    OutcomeStatus, PackageNote, Record, Shadow, ShadowResult, ToolNote, UsageSource,
};
pub use relay::{Relay, RelayHealth, RelayOptions};
pub use replay::{NotReplayable, Replay, Replayer, WhatIf, choose};
pub use row::{Batch, DecisionRow, OutcomeRow};
pub use store::{
    AuditStore, Chain, ListQuery, PageStart, StoreError, StoreErrorKind, StoredDecision, StoredPage,
};
pub use verify::{Finding, Flaw, VerifyOptions, VerifyReport, verify};
