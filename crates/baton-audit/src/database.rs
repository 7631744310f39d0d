//! Makes an [`AuditStore`] of any database that can run a few statements.
//!
//! What is asked in which order, and what an answer means, is the same for every database: it stands
//! here once. A store crate has the texts of the statements, and binds and fetches.
//!
//! - Start with [`Database`].
//! - **Invariant:** a batch goes in as one transaction; one that is there already changes nothing.
//! - **Never here:** SQL.

mod corrections;
mod days;
mod records;
mod reports;
mod upkeep;

pub use records::stored_contents;

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt;

use baton_model::{BootId, DecisionId, RunId};
use futures_util::future::BoxFuture;

use crate::block::Block;
use crate::chain::Hash;
use crate::columns::{AskedRow, Columns, Known, Rows, TagRow, Value};
use crate::question::{self, Lists, MAX_LISTS, Question, Words};
use crate::row::{Batch, CorrectionRow, DecisionRow, FeedbackRow, OutcomeRow, Span};
use crate::store::{
    AuditStore, Chain, ListQuery, PageStart, StoreError, StoreErrorKind, StoredDecision, StoredPage,
};
use crate::tally::{Subject, Tally};
use crate::{ChainHead, Document};

/// A question. Each has one text, whose parameters are the values in the order that is said here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Query {
    /// `boot`, `last_seq` and `last_hash` of a chain. Boot.
    Cursor,
    /// The same, and nobody else may change the chain until the transaction ends. Boot.
    HeldCursor,
    /// A decision. Id.
    Decision,
    /// The decisions of a run, oldest first. Run, and an id that none of them is smaller than.
    Run,
    /// All chains, by boot.
    Chains,
    /// Blocks of a chain, in order. Boot, the number they begin after, how many.
    Blocks,
    /// The blocks in which entries stand, each once. The places as a JSON list of
    /// `[boot, number, from, to]`: a block of another time than that is not looked at.
    BlocksOf,
    /// Decisions of a chain, in order. Boot, from, to.
    Rows,
    /// Decisions whose place is in no chain. How many.
    Strays,
    /// A document. Hash.
    Document,
    /// `orphans`, `feedback` and `corrections`: whether any outcome, any feedback, any correction, waits for its
    /// decision.
    Waiting,
    /// Outcomes that wait for decisions of a batch. Boot, first number, last number.
    Orphans,
    /// Feedback that is not counted, with what its decision is counted under. How many.
    Uncounted,
    /// `cost_nano` of a decision. Id.
    Cost,
    /// Corrections that have not taken effect and whose attempts are there, each with `is_latest`, what its decision
    /// is counted under, and `cost_now`. How many.
    Uncorrected,
    /// Hand-overs whose attempts ended right behind decisions: what they are counted under, and `cost_now`. The
    /// decisions as a JSON list.
    HandoffsAfter,
    /// Corrections of decisions, the latest last. The decisions as a JSON list.
    Corrections,
    /// `start_ms` of the newest day that has sums of usage, if any has.
    NewestDay,
    /// `start_ms` of days that have sums of usage, and none over fewer dimensions. Before when, how many.
    UnmadeDays,
    /// `start_ms` of days that have sums over fewer dimensions, in order. From, to.
    MadeDays,
    /// Decisions of the shape of an older version. How many.
    OldShapes,
    /// Decisions in the order of their ids, each with `cost_before`. Behind which id, before which id,
    /// how many.
    Recount,
    /// Feedback that is counted, with what its decision is counted under. From which id, before which
    /// id.
    RecountFeedback,
    /// The last entries of each chain in blocks that began earlier. Time.
    OldHeads,
    /// `count` of decisions with smaller ids. Id.
    OldDecisions,
    /// `record` of each committed statement that this is dropped. Border.
    Signed,
    /// Anything that a working database answers.
    Ping,
}

/// A change that is one row of one table, or is about one chain or one stretch of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// A chain that is not known yet. Boot, time, the hash before its first entry.
    BeginChain,
    /// A block. Its columns in the table's order.
    InsertBlock,
    /// What the boot record says. Boot, time, version, and of the chain before: boot, number, hash.
    DescribeChain,
    /// How far the store is. Boot, last number, last hash, the time of a stop in order or null.
    AdvanceChain,
    /// The outcomes that [`Query::Orphans`] gave. Boot, first number, last number.
    DropOrphans,
    /// Decisions of a chain, before they are made again. Boot, first number, last number.
    DropRows,
    /// A decision that stands where it should not. Id.
    DropRow,
    /// Nobody else may count until the transaction ends.
    HoldCounts,
    /// Corrections; those that are there are left as they are. A JSON list of
    /// `[decision, time, boot, number, cost, prices, first prices]`.
    KeepCorrections,
    /// Costs of rows. A JSON list of `[decision, cost]`.
    Correct,
    /// Corrections that have taken effect. A JSON list of `[decision, time, boot, number]`.
    SettleCorrections,
    /// The corrections of decisions whose rows were made again take effect. The decisions as a JSON list.
    CorrectAgain,
    /// Corrections in a stretch of a chain. Boot, first number, last number.
    DropCorrections,
    /// The sums of a stretch of time. From, to.
    DropUsage,
    /// The same of hand-overs. From, to.
    DropHandoffs,
    /// Nobody else may add to sums of usage until the transaction ends.
    HoldUsage,
    /// The sums of these days over fewer dimensions. The days as a JSON list; so for the next two.
    ForgetDays,
    /// They are made of the full sums.
    MakeDays,
    /// They are there.
    NoteDays,
    /// The sums of short buckets. Their width in seconds, and the time before which they go.
    DropShort,
}

impl Query {
    /// What is done, for a message.
    #[must_use]
    pub const fn doing(self) -> &'static str {
        match self {
            Self::Cursor | Self::HeldCursor => "read a cursor",
            Self::Decision => "read a decision",
            Self::Run => "read a run",
            Self::Chains => "list the chains",
            Self::Blocks | Self::BlocksOf => "read blocks",
            Self::Rows => "read rows",
            Self::Strays => "look for strays",
            Self::Document => "read a document",
            Self::Waiting | Self::Orphans => "look for early outcomes",
            Self::Uncounted | Self::Cost => "count what took effect",
            Self::NewestDay | Self::UnmadeDays | Self::MadeDays => "look for days",
            Self::OldShapes => "look for rows of an older version",
            Self::Recount | Self::RecountFeedback => "count again",
            Self::OldHeads | Self::OldDecisions | Self::Signed => "look for what is old",
            Self::Uncorrected | Self::HandoffsAfter | Self::Corrections => "read corrections",
            Self::Ping => "reach the store",
        }
    }
}

impl Command {
    /// What is done, for a message.
    #[must_use]
    pub const fn doing(self) -> &'static str {
        match self {
            Self::BeginChain => "begin a chain",
            Self::InsertBlock => "insert a block",
            Self::DescribeChain | Self::AdvanceChain => "advance a chain",
            Self::DropOrphans => "adopt outcomes",
            Self::DropRows | Self::DropRow | Self::CorrectAgain | Self::DropCorrections => "make rows again",
            Self::KeepCorrections | Self::Correct | Self::SettleCorrections => "correct costs",
            Self::HoldCounts | Self::DropUsage | Self::DropHandoffs | Self::DropShort => "count again",
            Self::HoldUsage | Self::ForgetDays | Self::MakeDays | Self::NoteDays => "add up days",
        }
    }
}

/// A database with the log's tables.
pub trait Database: fmt::Debug + Send + Sync {
    /// A row as it comes.
    type Row: Columns + Send + Sync;
    /// A transaction; dropped, it changes nothing.
    type Transaction: Transaction;

    /// Asks outside a transaction.
    fn ask<'a>(
        &'a self,
        query: Query,
        values: Vec<Value<'a>>,
    ) -> BoxFuture<'a, Result<Vec<Self::Row>, StoreError>>;

    /// Asks what has no text of its own.
    fn answer<'a>(&'a self, question: Question<'a>) -> BoxFuture<'a, Result<Vec<Self::Row>, StoreError>>;

    /// What it says in words of its own.
    fn words(&self) -> Words;

    /// Makes room for rows of the months to come.
    fn make_room(&self, now_ms: u64) -> BoxFuture<'_, Result<(), StoreError>>;

    /// The latest border before this time at which the database can drop what is older.
    fn border(&self, before_ms: u64) -> BoxFuture<'_, Result<u64, StoreError>>;

    /// Begins a transaction that writes.
    fn begin(&self) -> BoxFuture<'_, Result<Self::Transaction, StoreError>>;
}

/// A transaction that writes.
pub trait Transaction: Send {
    /// A row as it comes.
    type Row: Columns + Send + Sync;

    /// Asks.
    fn ask<'a>(
        &'a mut self,
        query: Query,
        values: Vec<Value<'a>>,
    ) -> BoxFuture<'a, Result<Vec<Self::Row>, StoreError>>;

    /// Changes one row, or what belongs to one batch.
    fn run<'a>(
        &'a mut self,
        command: Command,
        values: Vec<Value<'a>>,
    ) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Puts outcomes into the rows of their decisions that have none, and gives these decisions: what
    /// they are counted under, and `cost_before`.
    fn give<'a>(
        &'a mut self,
        outcomes: &'a [OutcomeRow],
    ) -> BoxFuture<'a, Result<Vec<Self::Row>, StoreError>>;

    /// Drops blocks, rows and sums that are older than a border that the database gave.
    fn drop_older(&mut self, before_ms: u64) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Writes rows, and says how many took effect.
    fn write<'a>(&'a mut self, rows: Rows<'a>) -> BoxFuture<'a, Result<u64, StoreError>>;

    /// Makes all of it durable.
    fn commit(self) -> BoxFuture<'static, Result<(), StoreError>>;
}

/// No decision of a run is made so much earlier than the run's id, whatever clocks do.
const EARLIER_MS: u64 = 86_400_000;
/// The kind whose rows stand in the matrix.
const HANDOFF: &str = "handoff";
/// As much feedback is counted with a batch; the rest with the next one.
const MAX_FEEDBACK: u64 = 1_000;
/// A page is never longer.
const MAX_PAGE: u32 = 1_000;

impl<D: Database> AuditStore for D {
    fn commit<'a>(&'a self, batch: &'a Batch) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(commit(self, batch))
    }

    fn cursor(&self, boot: BootId) -> BoxFuture<'_, Result<Option<ChainHead>, StoreError>> {
        Box::pin(async move {
            let rows = self.ask(Query::Cursor, vec![Value::shown(boot)]).await?;
            rows.first().map(ChainHead::from_columns).transpose()
        })
    }

    fn decision(&self, id: DecisionId) -> BoxFuture<'_, Result<Option<StoredDecision>, StoreError>> {
        Box::pin(async move {
            let rows = self.ask(Query::Decision, vec![Value::shown(id)]).await?;
            Ok(whole(self, &rows).await?.pop())
        })
    }

    fn run(&self, run: RunId) -> BoxFuture<'_, Result<Vec<StoredDecision>, StoreError>> {
        Box::pin(async move {
            let earliest = upkeep::first_id(run.unix_ms().saturating_sub(EARLIER_MS));
            let rows = self.ask(Query::Run, vec![Value::shown(run), Value::shown(earliest)]).await?;
            whole(self, &rows).await
        })
    }

    fn list<'a>(&'a self, query: &'a ListQuery) -> BoxFuture<'a, Result<StoredPage, StoreError>> {
        Box::pin(list(self, query))
    }

    fn chains(&self) -> BoxFuture<'_, Result<Vec<Chain>, StoreError>> {
        Box::pin(async move {
            let rows = self.ask(Query::Chains, Vec::new()).await?;
            rows.iter().map(Chain::from_columns).collect()
        })
    }

    fn blocks(&self, boot: BootId, after: u64, limit: u32) -> BoxFuture<'_, Result<Vec<Block>, StoreError>> {
        Box::pin(async move {
            let limit = u64::from(limit.min(MAX_PAGE));
            let values = vec![Value::shown(boot), after.into(), limit.into()];
            let rows = self.ask(Query::Blocks, values).await?;
            rows.iter().map(Block::from_columns).collect()
        })
    }

    fn rows(&self, boot: BootId, from: u64, to: u64) -> BoxFuture<'_, Result<Vec<DecisionRow>, StoreError>> {
        Box::pin(async move {
            let values = vec![Value::shown(boot), from.into(), to.into()];
            bare_rows(&self.ask(Query::Rows, values).await?)
        })
    }

    fn strays(&self, limit: u32) -> BoxFuture<'_, Result<Vec<DecisionRow>, StoreError>> {
        Box::pin(async move { bare_rows(&self.ask(Query::Strays, vec![u64::from(limit).into()]).await?) })
    }

    fn document<'a>(&'a self, hash: &'a str) -> BoxFuture<'a, Result<Option<Document>, StoreError>> {
        Box::pin(async move {
            let rows = self.ask(Query::Document, vec![hash.into()]).await?;
            rows.first().map(Document::from_columns).transpose()
        })
    }

    fn corrections<'a>(
        &'a self,
        of: &'a [DecisionId],
    ) -> BoxFuture<'a, Result<Vec<CorrectionRow>, StoreError>> {
        Box::pin(corrections::of(self, of))
    }

    fn ping(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move { self.ask(Query::Ping, Vec::new()).await.map(drop) })
    }
}

/// Decisions with their records.
async fn whole<D: Database>(database: &D, rows: &[D::Row]) -> Result<Vec<StoredDecision>, StoreError> {
    let mut stored = rows.iter().map(StoredDecision::from_columns).collect::<Result<Vec<_>, _>>()?;
    records::fill(database, &mut stored).await?;
    Ok(stored)
}

fn bare_rows(rows: &[impl Columns]) -> Result<Vec<DecisionRow>, StoreError> {
    rows.iter().map(|row| Ok(StoredDecision::from_columns(row)?.row)).collect()
}

/// A page is first looked for so far back, and all the way only when that does not fill it: to plan for
/// one month of thirteen is most of what a short page costs.
const NEAR_MS: u64 = 31 * 86_400_000;

async fn list(database: &impl Database, query: &ListQuery) -> Result<StoredPage, StoreError> {
    let mut query = query.clone();
    query.limit = query.limit.clamp(1, MAX_PAGE);
    let lists = match &query.requested {
        Some(model) => {
            let rows = database.answer(question::lists(model)).await?;
            let lists: Result<Vec<_>, _> = rows.iter().map(|row| row.text("requested")).collect();
            let known: Vec<String> = lists?.into_iter().flatten().collect();
            Lists { known: (known.len() <= MAX_LISTS).then_some(known) }
        }
        None => Lists::default(),
    };
    let ask =
        async |query: &ListQuery| database.answer(question::page(query, &lists, database.words())).await;
    // The last row only says that there are more.
    let limit = usize::try_from(query.limit).unwrap_or(usize::MAX);
    let (near, far) = match near_and_far(database, &query).await? {
        Some((near, far)) => (near, Some(far)),
        None => (query.clone(), None),
    };
    let mut found = ask(&near).await?;
    if let Some(mut far) = far.filter(|_| found.len() <= limit) {
        let taken = u32::try_from(found.len()).unwrap_or(u32::MAX);
        far.limit = query.limit.saturating_sub(taken);
        found.extend(ask(&far).await?);
    }
    let mut rows = whole(database, found.get(..limit).unwrap_or(&found)).await?;
    if matches!(query.start, PageStart::Before(_)) {
        rows.reverse();
    }
    Ok(StoredPage { rows, has_more: found.len() > limit })
}

/// The same question for the time next to where the page begins, and for the time behind that. `None` when
/// there is no such border, or only little time is asked for.
async fn near_and_far(
    database: &impl Database,
    query: &ListQuery,
) -> Result<Option<(ListQuery, ListQuery)>, StoreError> {
    let border = match query.start {
        PageStart::Before(id) => id.unix_ms().max(query.from_ms.unwrap_or(0)).saturating_add(NEAR_MS),
        PageStart::After(id) => id.unix_ms().min(query.to_ms.unwrap_or(u64::MAX)).saturating_sub(NEAR_MS),
        PageStart::Newest => {
            let rows = database.ask(Query::NewestDay, Vec::new()).await?;
            let newest = rows.first().map_or(Ok(None), |row| row.number("start_ms"))?;
            let Some(newest) = newest.and_then(|newest| u64::try_from(newest).ok()) else { return Ok(None) };
            newest.min(query.to_ms.unwrap_or(u64::MAX)).saturating_sub(NEAR_MS)
        }
    };
    if query.run.is_some()
        || query.from_ms.is_some_and(|from_ms| from_ms >= border)
        || query.to_ms.is_some_and(|to_ms| to_ms <= border)
    {
        return Ok(None);
    }
    let newer = ListQuery { from_ms: Some(border), ..query.clone() };
    let older = ListQuery { to_ms: Some(border), ..query.clone() };
    Ok(Some(if matches!(query.start, PageStart::Before(_)) { (older, newer) } else { (newer, older) }))
}

async fn commit(database: &impl Database, batch: &Batch) -> Result<(), StoreError> {
    let mut transaction = database.begin().await?;
    let (Some(first), Some(span)) = (batch.blocks.first(), batch.span()) else { return Ok(()) };
    let cursor = begin_chain(&mut transaction, first).await?;
    if cursor.seq >= span.last_seq {
        return Ok(());
    }
    if cursor.seq >= span.first_seq {
        let message = format!("the store has a part of the batch: up to entry {}", cursor.seq);
        return Err(StoreError::new(StoreErrorKind::Overlap(cursor), message));
    }
    for block in &batch.blocks {
        transaction.run(Command::InsertBlock, block.values()).await?;
    }
    write_rows(&mut transaction, batch, span).await?;
    advance_chain(&mut transaction, batch, span).await?;
    transaction.commit().await
}

/// Takes hold of the chain for this transaction, and says how far the store is.
async fn begin_chain(transaction: &mut impl Transaction, block: &Block) -> Result<ChainHead, StoreError> {
    let values = vec![Value::shown(block.boot), block.at_ms.into(), Value::shown(Hash::GENESIS)];
    transaction.run(Command::BeginChain, values).await?;
    let rows = transaction.ask(Query::HeldCursor, vec![Value::shown(block.boot)]).await?;
    let cursor = rows.first().map(ChainHead::from_columns).transpose()?;
    cursor.ok_or_else(|| StoreError::new(StoreErrorKind::Corrupt, "a chain that was begun is not there"))
}

async fn write_rows(transaction: &mut impl Transaction, batch: &Batch, span: Span) -> Result<(), StoreError> {
    let taken = write_decisions(transaction, batch, span).await?;
    let mut given = give(transaction, &batch.outcomes).await?;
    // The others came before their decisions, or are not the first ones.
    if given.len() < batch.outcomes.len() {
        transaction.write(Rows::Orphans(&batch.outcomes)).await?;
    }
    if !batch.documents.is_empty() {
        transaction.write(Rows::Documents(&batch.documents)).await?;
    }
    if !batch.feedback.is_empty() {
        transaction.write(Rows::Feedback(&batch.feedback)).await?;
    }
    if !batch.dropped.is_empty() {
        transaction.write(Rows::Dropped(&batch.dropped)).await?;
    }
    if !batch.corrections.is_empty() {
        corrections::keep(transaction, &batch.corrections).await?;
    }
    let mut orphans = Vec::new();
    let mut feedback = Vec::new();
    let mut corrected = false;
    if !batch.decisions.is_empty()
        || !batch.outcomes.is_empty()
        || !batch.feedback.is_empty()
        || !batch.corrections.is_empty()
    {
        let waiting = transaction.ask(Query::Waiting, Vec::new()).await?;
        let is_waiting = |what| waiting.first().map_or(Ok(false), |row| row.flag(what));
        if is_waiting("orphans")? {
            orphans = adopt_orphans(transaction, span).await?;
        }
        if is_waiting("feedback")? {
            feedback = take_feedback(transaction).await?;
        }
        corrected = is_waiting("corrections")?;
    }
    given.extend(give(transaction, &orphans).await?);
    count(transaction, batch, &taken, &given, &feedback).await?;
    if corrected {
        corrections::apply(transaction).await?;
    }
    Ok(())
}

/// Inserts the decisions of a batch and what leads to them, and gives those that were not there.
async fn write_decisions<'a>(
    transaction: &mut impl Transaction,
    batch: &'a Batch,
    span: Span,
) -> Result<Vec<&'a DecisionRow>, StoreError> {
    let decisions = &batch.decisions;
    if decisions.is_empty() {
        return Ok(Vec::new());
    }
    let written = transaction.write(Rows::Decisions(decisions)).await?;
    let taken: Vec<&DecisionRow> = if written == decisions.len() as u64 {
        decisions.iter().collect()
    } else {
        let values = vec![Value::shown(span.boot), span.first_seq.into(), span.last_seq.into()];
        let stored = bare_rows(&transaction.ask(Query::Rows, values).await?)?;
        let places: HashSet<(DecisionId, u64)> = stored.iter().map(|row| (row.id, row.seq)).collect();
        decisions.iter().filter(|row| places.contains(&(row.id, row.seq))).collect()
    };
    write_leads(transaction, &taken).await?;
    Ok(taken)
}

/// Writes what leads to decisions from their tags and marks, and from what was asked for.
async fn write_leads(transaction: &mut impl Transaction, rows: &[&DecisionRow]) -> Result<(), StoreError> {
    let mut tags: Vec<TagRow<'_>> = rows.iter().flat_map(|row| TagRow::of(row)).collect();
    if !tags.is_empty() {
        tags.sort_unstable();
        transaction.write(Rows::Tags(&tags)).await?;
    }
    let lists: BTreeSet<&str> = rows.iter().map(|row| row.requested.as_str()).collect();
    let asked: BTreeSet<AskedRow> = lists.into_iter().flat_map(AskedRow::of).collect();
    if !asked.is_empty() {
        let asked: Vec<AskedRow> = asked.into_iter().collect();
        transaction.write(Rows::Asked(&asked)).await?;
    }
    Ok(())
}

/// Puts outcomes into the rows of their decisions and marks them, and gives those that took effect.
async fn give<'a>(
    transaction: &mut impl Transaction,
    outcomes: &'a [OutcomeRow],
) -> Result<Vec<(Known, Cow<'a, OutcomeRow>)>, StoreError> {
    if outcomes.is_empty() {
        return Ok(Vec::new());
    }
    let rows = transaction.give(outcomes).await?;
    // The first one took effect.
    let by_id: HashMap<DecisionId, &OutcomeRow> =
        outcomes.iter().rev().map(|row| (row.decision, row)).collect();
    let mut given = Vec::with_capacity(rows.len());
    let (mut open, mut marks) = (Vec::new(), Vec::new());
    for row in &rows {
        let known = Known::from_columns(row)?;
        if let Some(outcome) = by_id.get(&known.id()) {
            open.push(TagRow::open(known.id()));
            marks.extend(TagRow::of_outcome(outcome));
            given.push((known, Cow::Borrowed(*outcome)));
        }
    }
    if !open.is_empty() {
        open.sort_unstable();
        transaction.write(Rows::Untagged(&open)).await?;
    }
    if !marks.is_empty() {
        marks.sort_unstable();
        transaction.write(Rows::Tags(&marks)).await?;
    }
    Ok(given)
}

/// Takes the outcomes that came before the decisions of a batch.
async fn adopt_orphans(
    transaction: &mut impl Transaction,
    span: Span,
) -> Result<Vec<OutcomeRow>, StoreError> {
    let values = vec![Value::shown(span.boot), span.first_seq.into(), span.last_seq.into()];
    let rows = transaction.ask(Query::Orphans, values.clone()).await?;
    let orphans = rows.iter().map(OutcomeRow::from_orphan).collect::<Result<Vec<_>, _>>()?;
    if !orphans.is_empty() {
        transaction.run(Command::DropOrphans, values).await?;
    }
    Ok(orphans)
}

/// Takes feedback that was not counted and whose decision is there.
async fn take_feedback(transaction: &mut impl Transaction) -> Result<Vec<(Known, FeedbackRow)>, StoreError> {
    let rows = transaction.ask(Query::Uncounted, vec![MAX_FEEDBACK.into()]).await?;
    let read = |row| Ok((Known::from_columns(row)?, FeedbackRow::from_columns(row)?));
    let feedback = rows.iter().map(read).collect::<Result<Vec<_>, StoreError>>()?;
    if !feedback.is_empty() {
        let counted: Vec<FeedbackRow> = feedback.iter().map(|(_, row)| row.clone()).collect();
        transaction.write(Rows::Counted(&counted)).await?;
    }
    Ok(feedback)
}

/// Adds what took effect to the sums. It comes last: other replicas wait for these rows.
async fn count(
    transaction: &mut impl Transaction,
    batch: &Batch,
    taken: &[&DecisionRow],
    given: &[(Known, Cow<'_, OutcomeRow>)],
    feedback: &[(Known, FeedbackRow)],
) -> Result<(), StoreError> {
    let mut costs: HashMap<DecisionId, Option<u64>> = HashMap::new();
    for outcome in batch.decisions.iter().filter_map(|row| row.outcome.as_ref()).chain(&batch.outcomes) {
        costs.insert(outcome.decision, outcome.cost_nano);
    }
    let mut tally = Tally::default();
    for row in taken {
        let Some(outcome) = &row.outcome else {
            tally.decision(Subject::of(row));
            continue;
        };
        let before = match row.parent.filter(|_| row.kind == HANDOFF) {
            Some(parent) => match costs.get(&parent) {
                Some(cost) => *cost,
                None => cost_of(transaction, parent).await?,
            },
            None => None,
        };
        tally.whole(Subject::of(row), outcome, before);
    }
    for (known, outcome) in given.iter().filter(|(known, _)| known.is_counted) {
        let own = known.parent.and_then(|parent| costs.get(&parent).copied().flatten());
        tally.ended(known.subject(), outcome, own.or(known.cost_before));
    }
    for (known, feedback) in feedback {
        tally.feedback(known.subject(), known.status.as_deref(), feedback);
    }
    write_tally(transaction, tally).await
}

async fn write_tally(transaction: &mut impl Transaction, tally: Tally<'_>) -> Result<(), StoreError> {
    let rows = tally.rows();
    if !rows.series.is_empty() {
        transaction.write(Rows::Series(&rows.series)).await?;
    }
    if !rows.usage.is_empty() {
        transaction.write(Rows::Usage(&rows.usage)).await?;
        days::forget(transaction, &rows.usage).await?;
    }
    if !rows.handoffs.is_empty() {
        transaction.write(Rows::Handoffs(&rows.handoffs)).await?;
    }
    Ok(())
}

async fn cost_of(transaction: &mut impl Transaction, id: DecisionId) -> Result<Option<u64>, StoreError> {
    let rows = transaction.ask(Query::Cost, vec![Value::shown(id)]).await?;
    let cost = rows.first().map_or(Ok(None), |row| row.number("cost_nano"))?;
    Ok(cost.and_then(|cost| u64::try_from(cost).ok()))
}

async fn advance_chain(
    transaction: &mut impl Transaction,
    batch: &Batch,
    span: Span,
) -> Result<(), StoreError> {
    let boot = || Value::shown(span.boot);
    if let Some(begun) = &batch.boot {
        let previous = begun.previous.as_ref();
        let values = vec![
            boot(),
            begun.at_ms.into(),
            begun.version.as_str().into(),
            previous.map(|head| head.boot.to_string()).into(),
            previous.map(|head| head.seq).into(),
            previous.map(|head| head.hash.as_str()).into(),
        ];
        transaction.run(Command::DescribeChain, values).await?;
    }
    let values = vec![boot(), span.last_seq.into(), Value::shown(span.last), batch.clean_stop_ms.into()];
    transaction.run(Command::AdvanceChain, values).await
}
