//! Says what a store of the audit log must do, without naming a database.
//!
//! - Start with [`AuditStore`].
//! - **Invariant:** a committed block is never changed, and a commit is whole or not at all.

use std::error::Error;
use std::fmt;

use baton_model::{BootId, DecisionId, RunId};
use futures_util::future::BoxFuture;

use crate::block::Block;
use crate::row::{Batch, DecisionRow};
use crate::{ChainHead, DecisionKind, Document};

/// Where records end up. One suite in `baton-testkit` says what every store must do.
pub trait AuditStore: Send + Sync + fmt::Debug {
    /// Writes a batch in one durable transaction. A batch that is there already is left as it is.
    ///
    /// # Errors
    /// [`StoreErrorKind::Overlap`] when the store has a part of the block, but not all of it.
    fn commit<'a>(&'a self, batch: &'a Batch) -> BoxFuture<'a, Result<(), StoreError>>;

    /// The last entry of this chain that the store has.
    fn cursor(&self, boot: BootId) -> BoxFuture<'_, Result<Option<ChainHead>, StoreError>>;

    /// One decision.
    fn decision(&self, id: DecisionId) -> BoxFuture<'_, Result<Option<StoredDecision>, StoreError>>;

    /// The decisions of a run, oldest first.
    fn run(&self, run: RunId) -> BoxFuture<'_, Result<Vec<StoredDecision>, StoreError>>;

    /// A page of decisions, newest first.
    fn list<'a>(&'a self, query: &'a ListQuery) -> BoxFuture<'a, Result<StoredPage, StoreError>>;

    /// Every chain, oldest first.
    fn chains(&self) -> BoxFuture<'_, Result<Vec<Chain>, StoreError>>;

    /// Blocks of a chain that begin after this number, in order.
    fn blocks(&self, boot: BootId, after: u64, limit: u32) -> BoxFuture<'_, Result<Vec<Block>, StoreError>>;

    /// The rows of a chain whose decisions have numbers in this range, both ends included, in order.
    fn rows(&self, boot: BootId, from: u64, to: u64) -> BoxFuture<'_, Result<Vec<DecisionRow>, StoreError>>;

    /// Rows whose place is in no chain that the store knows, or beyond its end.
    fn strays(&self, limit: u32) -> BoxFuture<'_, Result<Vec<DecisionRow>, StoreError>>;

    /// A document that decisions refer to.
    fn document<'a>(&'a self, hash: &'a str) -> BoxFuture<'a, Result<Option<Document>, StoreError>>;

    /// Whether the store answers.
    fn ping(&self) -> BoxFuture<'_, Result<(), StoreError>>;
}

/// A row, and whether the process that wrote it is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredDecision {
    /// The row.
    pub row: DecisionRow,
    /// Whether its chain has ended: in order, or because another one names it as the one before.
    pub boot_ended: bool,
}

/// What to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListQuery {
    /// Only requests of this principal.
    pub principal: Option<String>,
    /// Only decisions of this kind.
    pub kind: Option<DecisionKind>,
    /// Only decisions of this run.
    pub run: Option<RunId>,
    /// Only decisions for this model: the chosen one, the chosen target, or the only one asked for.
    pub model: Option<String>,
    /// Where the page begins.
    pub start: PageStart,
    /// At most so many.
    pub limit: u32,
}

impl ListQuery {
    /// The principal as the stores keep it.
    #[must_use]
    pub fn principal_text(&self) -> Option<String> {
        self.principal.as_deref().map(crate::row::plain)
    }

    /// The model as the stores keep it.
    #[must_use]
    pub fn model_text(&self) -> Option<String> {
        self.model.as_deref().map(crate::row::plain)
    }

    /// The text that the `requested` column is compared with.
    #[must_use]
    pub fn requested_text(&self) -> Option<String> {
        self.model.as_ref().map(|model| crate::row::list_text(std::slice::from_ref(model)))
    }
}

/// Where a page begins, in a list that has the newest first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PageStart {
    /// At the newest.
    #[default]
    Newest,
    /// Right behind this one: older ones (`starting_after`).
    After(DecisionId),
    /// Right before this one: newer ones (`ending_before`).
    Before(DecisionId),
}

/// A page of rows, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoredPage {
    /// The rows.
    pub rows: Vec<StoredDecision>,
    /// Whether there are more in the direction of reading.
    pub has_more: bool,
}

/// What the store knows of a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// The life of the process that wrote it.
    pub boot: BootId,
    /// When it began, in milliseconds since 1970.
    pub at_ms: u64,
    /// Baton's version.
    pub version: String,
    /// The chain before it in the same journal.
    pub previous: Option<ChainHead>,
    /// When it ended in order.
    pub stopped_ms: Option<u64>,
    /// The last entry that the store has.
    pub head: ChainHead,
}

/// What a caller can do about a failure of the store.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StoreErrorKind {
    /// It cannot be reached, or is too slow. Trying again may help.
    Unavailable,
    /// It has a part of the block: up to this entry.
    Overlap(ChainHead),
    /// What it holds cannot be understood.
    Corrupt,
    /// It refused what it was given.
    Rejected,
}

/// A failure of the store.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct StoreError {
    kind: StoreErrorKind,
    message: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl StoreError {
    /// An error without a cause.
    pub fn new(kind: StoreErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    /// Adds the cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// What to act on.
    #[must_use]
    pub const fn kind(&self) -> &StoreErrorKind {
        &self.kind
    }
}
