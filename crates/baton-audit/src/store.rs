//! Says what a store of the audit log must do, without naming a database.
//!
//! - Start with [`AuditStore`].
//! - **Invariant:** a committed block is never changed, and a commit is whole or not at all.

use std::error::Error;
use std::fmt;

use baton_model::{BootId, DecisionId, RunId};
use futures_util::future::BoxFuture;

use crate::block::Block;
use crate::row::{Batch, CorrectionRow, DecisionRow, FeedbackRow};
use crate::{ChainHead, DecisionKind, Document, OutcomeStatus};

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

    /// The corrections of these decisions' costs, the latest last.
    fn corrections<'a>(
        &'a self,
        of: &'a [DecisionId],
    ) -> BoxFuture<'a, Result<Vec<CorrectionRow>, StoreError>>;

    /// Whether the store answers.
    fn ping(&self) -> BoxFuture<'_, Result<(), StoreError>>;
}

/// A row with the records that it follows from, and whether the process that wrote it is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredDecision {
    /// The row.
    pub row: DecisionRow,
    /// The decision's record, as it was journaled; `None` when its evidence cannot be read.
    pub record: Option<String>,
    /// The record of its outcome; `None` when there is none, or its evidence cannot be read.
    pub outcome: Option<String>,
    /// Whether its chain has ended: in order, or because another one names it as the one before.
    pub boot_ended: bool,
}

/// What to list. Everything that is named must hold; of `kinds`, one of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListQuery {
    /// Only decisions made at this time or later, in milliseconds since 1970. A decision's time is
    /// its id's.
    pub from_ms: Option<u64>,
    /// Only decisions made before this time.
    pub to_ms: Option<u64>,
    /// Only decisions of these kinds; empty for all.
    pub kinds: Vec<DecisionKind>,
    /// Only decisions with this reason code.
    pub reason_code: Option<String>,
    /// Only plans of this policy.
    pub policy: Option<PolicyFilter>,
    /// Only decisions for this model: the chosen one, the chosen target, or the only one asked for.
    pub model: Option<String>,
    /// Only requests that named this model, alone or among others.
    pub requested: Option<String>,
    /// Only decisions that chose this model or target.
    pub served: Option<String>,
    /// Only decisions that left this target.
    pub from: Option<String>,
    /// Only decisions for this target.
    pub to: Option<String>,
    /// Only decisions for a target of this provider.
    pub provider: Option<String>,
    /// Only requests of this principal.
    pub principal: Option<String>,
    /// Only decisions of this run.
    pub run: Option<RunId>,
    /// Only requests of this session.
    pub session: Option<String>,
    /// Only requests with this tag.
    pub tag: Option<String>,
    /// Only decisions whose attempt is this far.
    pub status: Option<StatusFilter>,
    /// Only attempts that ended with this fault.
    pub fault: Option<String>,
    /// Only decisions of this hop of their run or a later one.
    pub min_hop: Option<u32>,
    /// Only attempts whose known cost is in this range, in nano-dollars.
    pub cost_nano: Range,
    /// Only attempts that took so long, in microseconds.
    pub total_us: Range,
    /// Only attempts whose first content took so long, in microseconds.
    pub first_content_us: Range,
    /// Where the page begins.
    pub start: PageStart,
    /// At most so many.
    pub limit: u32,
}

/// A policy, in all its versions or in one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyFilter {
    /// Its name.
    pub name: String,
    /// The version: the hex digits of its hash, or the first few of them.
    pub version: Option<String>,
}

/// How far an attempt is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusFilter {
    /// It ended so.
    Ended(OutcomeStatus),
    /// It is under way.
    Running,
    /// Its process died before it ended.
    Crashed,
    /// There is none.
    NoAttempt,
}

/// A range of numbers; what is not known is in none that has an end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Range {
    /// At least this.
    pub at_least: Option<u64>,
    /// At most this.
    pub at_most: Option<u64>,
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

/// Answers questions about many decisions at once. Counts come from aggregates, which are written in
/// the transaction of the rows: what can be listed is counted.
pub trait AuditQueries: Send + Sync + fmt::Debug {
    /// What was used, in buckets of time. Short buckets are kept for [`BucketWidth::kept_ms`]; what is
    /// older is told in longer ones only.
    ///
    /// # Errors
    /// [`StoreErrorKind::TooMany`] when one bucket has more than [`UsageQuery::MAX_GROUPS`] groups.
    fn usage<'a>(&'a self, query: &'a UsageQuery) -> BoxFuture<'a, Result<UsagePage, StoreError>>;

    /// Who handed over to whom, and how that went.
    ///
    /// # Errors
    /// [`StoreErrorKind::TooMany`] when there are more than [`HandoffQuery::MAX_CELLS`] cells.
    fn handoffs<'a>(&'a self, query: &'a HandoffQuery)
    -> BoxFuture<'a, Result<Vec<HandoffCell>, StoreError>>;

    /// What was said of decisions, oldest first.
    fn feedback<'a>(
        &'a self,
        query: &'a FeedbackQuery,
    ) -> BoxFuture<'a, Result<Vec<FeedbackRow>, StoreError>>;
}

/// Keeps a store in order over the months.
pub trait AuditUpkeep: Send + Sync + fmt::Debug {
    /// Makes room for the months to come, brings rows of an older version up to date, and drops sums that
    /// are kept in longer buckets. It may be called at any time, by several replicas at once; once an hour
    /// is right.
    fn maintain(&self, now_ms: u64) -> BoxFuture<'_, Result<(), StoreError>>;

    /// What retention could drop: whole months that are over before this time.
    fn droppable(&self, before_ms: u64) -> BoxFuture<'_, Result<Droppable, StoreError>>;

    /// Drops it. The record that says so must be committed before.
    ///
    /// # Errors
    /// [`StoreErrorKind::Rejected`] when no committed record says so, or more has arrived meanwhile.
    fn drop_before<'a>(&'a self, droppable: &'a Droppable) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Makes the derived rows of a chain again from its evidence, and counts them again. Returns how
    /// many rows there are. Aggregates are exact once every chain was made again.
    fn reproject(&self, boot: BootId) -> BoxFuture<'_, Result<u64, StoreError>>;
}

/// How long a bucket is. Buckets begin at whole multiples since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum BucketWidth {
    /// 60 seconds.
    Minute,
    /// 3,600 seconds.
    Hour,
    /// 86,400 seconds.
    Day,
}

impl BucketWidth {
    /// All of them, the shortest first.
    pub const ALL: [Self; 3] = [Self::Minute, Self::Hour, Self::Day];

    /// In milliseconds.
    #[must_use]
    pub const fn ms(self) -> u64 {
        match self {
            Self::Minute => 60_000,
            Self::Hour => 3_600_000,
            Self::Day => 86_400_000,
        }
    }

    /// How long the store keeps sums of usage in such buckets, in milliseconds: where many callers use
    /// many models, there are nearly as many short buckets as decisions. `None` for as long as decisions.
    #[must_use]
    pub const fn kept_ms(self) -> Option<u64> {
        match self {
            Self::Minute => Some(3 * 86_400_000),
            Self::Hour => Some(62 * 86_400_000),
            Self::Day => None,
        }
    }

    /// The beginning of the bucket that this time falls into.
    #[must_use]
    pub const fn start_of(self, at_ms: u64) -> u64 {
        at_ms - at_ms % self.ms()
    }
}

/// What usage can be grouped by and narrowed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Dimension {
    /// Whose request.
    Principal,
    /// The chosen target's provider.
    Provider,
    /// The chosen model, as it was named.
    Model,
    /// The chosen target.
    Target,
    /// The policy that planned; on the first decision of a plan.
    Policy,
    /// Its version.
    PolicyVersion,
    /// The rule that the reason names.
    Rule,
    /// The reason's code.
    ReasonCode,
    /// The kind of decision.
    Kind,
    /// How the attempt ended: a word of [`OutcomeStatus`], `open`, or `none` where there is none.
    Status,
}

impl Dimension {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Principal,
        Self::Provider,
        Self::Model,
        Self::Target,
        Self::Policy,
        Self::PolicyVersion,
        Self::Rule,
        Self::ReasonCode,
        Self::Kind,
        Self::Status,
    ];

    /// Its word, which is also its column.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Principal => "principal",
            Self::Provider => "provider",
            Self::Model => "to_model",
            Self::Target => "to_target",
            Self::Policy => "policy",
            Self::PolicyVersion => "policy_version",
            Self::Rule => "rule",
            Self::ReasonCode => "reason_code",
            Self::Kind => "kind",
            Self::Status => "status",
        }
    }
}

/// What to add up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageQuery {
    /// From the bucket that this time falls into, in milliseconds since 1970.
    pub from_ms: u64,
    /// Up to this time: a bucket that begins there or later is not included.
    pub to_ms: u64,
    /// How long the buckets are.
    pub width: BucketWidth,
    /// What to keep apart.
    pub group_by: Vec<Dimension>,
    /// What must hold; an empty text stands for decisions that have none.
    pub only: Vec<(Dimension, String)>,
    /// At most so many buckets.
    pub limit: u32,
}

impl UsageQuery {
    /// An answer has no more groups than this, and a bucket is never cut.
    pub const MAX_GROUPS: u32 = 10_000;
    /// An answer has no more buckets than this.
    pub const MAX_BUCKETS: u32 = 1_500;
}

/// Buckets in the order of time. A bucket without any decision is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UsagePage {
    /// The buckets.
    pub buckets: Vec<UsageBucket>,
    /// Where to go on: the `from_ms` of the next page.
    pub next_ms: Option<u64>,
}

/// What was used in a stretch of time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageBucket {
    /// Its beginning, in milliseconds since 1970.
    pub start_ms: u64,
    /// Its groups, the most decisions first.
    pub groups: Vec<UsageGroup>,
}

/// What one group used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UsageGroup {
    /// The values of `group_by`, in its order; `None` for decisions that have none.
    pub by: Vec<Option<String>>,
    /// The sums.
    pub sums: UsageSums,
}

/// Sums over decisions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UsageSums {
    /// Decisions.
    pub decisions: u64,
    /// Decisions with an attempt.
    pub attempts: u64,
    /// Attempts that gave a whole answer.
    pub ok: u64,
    /// Attempts that failed.
    pub failed: u64,
    /// Attempts whose client left.
    pub cancelled: u64,
    /// Input tokens, cached ones included.
    pub input_tokens: u64,
    /// Input tokens read from a prompt cache.
    pub cached_tokens: u64,
    /// Input tokens written to a prompt cache.
    pub cache_write_tokens: u64,
    /// Output tokens, reasoning included.
    pub output_tokens: u64,
    /// Output tokens spent on reasoning.
    pub reasoning_tokens: u64,
    /// The known costs, in nano-dollars.
    pub cost_nano: u64,
    /// Attempts that ended without a known cost.
    pub unpriced: u64,
    /// The times of all ended attempts together, in microseconds.
    pub total_us: u64,
    /// The times to first content together, in microseconds.
    pub first_content_us: u64,
    /// The attempts that had content.
    pub with_content: u64,
    /// Feedback that says the choice was right.
    pub right: u64,
    /// Feedback that says it was not.
    pub wrong: u64,
}

/// Which hand-overs to count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandoffQuery {
    /// From the minute that this time falls into, in milliseconds since 1970.
    pub from_ms: u64,
    /// Up to this time: a minute that begins there or later is not included.
    pub to_ms: u64,
    /// Only those that left this target.
    pub from: Option<String>,
    /// Only those to this target.
    pub to: Option<String>,
}

impl HandoffQuery {
    /// A matrix has no more cells than this.
    pub const MAX_CELLS: u32 = 10_000;
}

/// Hand-overs from one target to another for one reason. A hand-over succeeded when the first attempt
/// on its target ended `ok`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HandoffCell {
    /// The target left behind.
    pub from: String,
    /// The target that took over.
    pub to: String,
    /// Why, as a code.
    pub reason_code: String,
    /// How many.
    pub count: u64,
    /// How many succeeded.
    pub succeeded: u64,
    /// How many failed.
    pub failed: u64,
    /// Whose client left meanwhile.
    pub cancelled: u64,
    /// The times to first content of the attempts together, in microseconds: what they added.
    pub first_content_us: u64,
    /// The attempts that had content.
    pub with_content: u64,
    /// Where both costs are known: what the attempts cost, in nano-dollars.
    pub cost_nano: u64,
    /// Where both are known: what the attempt before the hand-over had cost.
    pub cost_before_nano: u64,
    /// How many both costs are known of.
    pub priced: u64,
    /// Feedback that says the hand-over was right.
    pub right: u64,
    /// Feedback that says it was not.
    pub wrong: u64,
}

/// Which feedback to read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FeedbackQuery {
    /// Only of these decisions; empty for all. A run's whole chain is one question.
    pub decisions: Vec<DecisionId>,
    /// Only what comes behind this one: the last of the page before.
    pub after: Option<FeedbackPlace>,
    /// At most so many.
    pub limit: u32,
}

/// Where a feedback stands among all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeedbackPlace {
    /// Its time.
    pub at_ms: u64,
    /// Its chain.
    pub boot: BootId,
    /// Its number there.
    pub seq: u64,
}

/// What retention could drop.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Droppable {
    /// The border: the beginning of a month. What is older goes, and nothing else.
    pub before_ms: u64,
    /// Of each of these chains, the entries up to this head and with it.
    pub heads: Vec<ChainHead>,
    /// How many decisions.
    pub decisions: u64,
}

impl Droppable {
    /// Whether nothing would go.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.heads.is_empty() && self.decisions == 0
    }
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
    /// The answer would be larger than any may be. A narrower question can be answered.
    TooMany,
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
