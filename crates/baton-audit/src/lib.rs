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
mod content;
mod copy;
mod database;
mod decisions;
mod explain;
mod export;
mod feedback;
mod frame;
mod glance;
mod journal;
mod mark;
mod params;
mod question;
mod record;
mod redact;
mod relay;
mod replay;
mod row;
mod shown;
mod sink;
mod store;
mod tally;
mod verify;

#[cfg(test)]
mod cpu;
#[cfg(test)]
mod memory;
#[cfg(test)]
mod samples;

pub use block::{Block, BlockError};
pub use chain::{CheckpointKey, CheckpointSigner, Hash, HashError, KeyError, SeedError};
pub use clock::{Clock, IdSource, SystemClock, utc};
pub use columns::{AskedRow, Column, ColumnKind, Columns, Rows, RowsKind, TagRow, Value};
pub use content::{
    ContentColumns, ContentHead, ContentKeys, ContentRow, ContentStore, Forgotten, StoredContent,
    SubjectKeyColumns, SubjectKeyRow, content_row, subject_key_row,
};
pub use copy::{Copied, CopyError, copy};
pub use database::{Command, Database, Query, Transaction, stored_contents};
pub use decisions::{DecisionPage, DecisionView, Decisions, DecisionsError, Lookup, OutcomeView, RunView};
pub use explain::{sentence, table, verdict_text};
pub use export::{CSV_HEADER, Exporter, ReadExportError, csv_line};
pub use feedback::{FeedbackByDecision, FeedbackLog};
pub use journal::{
    Failpoint, FailpointAction, FailpointError, Failpoints, Journal, JournalError, JournalHealth,
    JournalOptions, Quarantined, Receipt, Recovered,
};
pub use params::{BadParameter, Filters, PageParams, Params, RangeParams, word};
pub use question::{BOOT_ENDED, Question, Words, making_days, question_of};
pub use record::{
    Boot, ChainHead, Change, Checkpoint, Content, ContentPart, CorrectTarget, CorrectedCost, Correction,
    Decision, DecisionKind, Document, Dropped, Erased, Feedback, HandoffNote, Labels, Outcome, OutcomeStatus,
    PackageNote, Record, Shadow, ShadowResult, SigningKey, StepNote, ToolNote, UsageSource,
};
pub use redact::{BadPattern, Redactor, SecretKind, redact};
pub use relay::{Relay, RelayHealth, RelayOptions};
pub use replay::{NotReplayable, Replay, Replayer, WhatIf, choose};
pub use row::{Batch, CorrectionRow, DecisionRow, DroppedRow, FeedbackRow, OutcomeRow};
pub use shown::{
    CandidateBody, CorrectTargetSchema, CorrectionBody, DecisionBody, DecisionList, FeaturesSchema,
    FeedbackBody, OutcomeBody, ReasonSchema, RecordedBody, RunBody, candidate_rows,
};
pub use sink::{Export, ExportHealth, ExportOptions};
pub use store::{
    AuditQueries, AuditStore, AuditUpkeep, BucketWidth, Chain, Dimension, Droppable, FeedbackPlace,
    FeedbackQuery, HandoffCell, HandoffQuery, ListQuery, PageStart, PolicyFilter, Range, StatusFilter,
    StoreError, StoreErrorKind, StoredDecision, StoredPage, UsageBucket, UsageGroup, UsagePage, UsageQuery,
    UsageSums,
};
pub use tally::{HandoffRow, SeriesRow, UsageRow};
pub use verify::{Finding, Flaw, VerifyOptions, VerifyReport, verify, verify_export};
