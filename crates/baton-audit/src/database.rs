//! Makes an [`AuditStore`] of any database that can run a few statements.
//!
//! What is asked in which order, and what an answer means, is the same for every database: it stands
//! here once. A store crate has the texts of the statements, and binds and fetches.
//!
//! - Start with [`Database`].
//! - **Invariant:** a batch goes in as one transaction; one that is there already changes nothing.
//! - **Never here:** SQL.

use std::fmt;

use baton_model::{BootId, DecisionId, RunId};
use futures_util::future::BoxFuture;

use crate::block::Block;
use crate::chain::Hash;
use crate::columns::{Columns, Rows, Value};
use crate::row::{Batch, DecisionRow, OutcomeRow};
use crate::store::{
    AuditStore, Chain, ListQuery, PageStart, StoreError, StoreErrorKind, StoredDecision, StoredPage,
};
use crate::{ChainHead, DecisionKind, Document};

/// A question. Each has one text, whose parameters are the values in the order that is said here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Query {
    /// `boot`, `last_seq` and `last_hash` of a chain. Boot.
    Cursor,
    /// The same, and nobody else may change the chain until the transaction ends. Boot.
    HeldCursor,
    /// A decision. Id.
    Decision,
    /// The decisions of a run, oldest first. Run.
    Run,
    /// A page of decisions. An id, how many, and what is asked for, null for anything: kind, model or
    /// target, the list of requested models, principal, run.
    Page(PageOf, Towards),
    /// All chains, by boot.
    Chains,
    /// Blocks of a chain, in order. Boot, the number they begin after, how many.
    Blocks,
    /// Decisions of a chain, in order. Boot, from, to.
    Rows,
    /// Decisions whose place is in no chain. How many.
    Strays,
    /// A document. Hash.
    Document,
    /// A row if any outcome waits for its decision.
    HasOrphans,
    /// Outcomes that wait for decisions of a block. Boot, first number, last number.
    Orphans,
    /// Anything that a working database answers.
    Ping,
}

/// What leads to the rows of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageOf {
    /// The decisions of a run.
    Run,
    /// The decisions for a principal.
    Principal,
    /// All decisions.
    All,
}

/// Which way a page goes from its cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Towards {
    /// Older ones, the newest of them first.
    Older,
    /// Newer ones, the oldest of them first.
    Newer,
}

/// A change that is one row of one table, or is about one chain.
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
}

impl Query {
    /// What is done, for a message.
    #[must_use]
    pub const fn doing(self) -> &'static str {
        match self {
            Self::Cursor | Self::HeldCursor => "read a cursor",
            Self::Decision => "read a decision",
            Self::Run => "read a run",
            Self::Page(..) => "list decisions",
            Self::Chains => "list the chains",
            Self::Blocks => "read blocks",
            Self::Rows => "read rows",
            Self::Strays => "look for strays",
            Self::Document => "read a document",
            Self::HasOrphans | Self::Orphans => "look for early outcomes",
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

    /// Changes one row, or what belongs to one block.
    fn run<'a>(
        &'a mut self,
        command: Command,
        values: Vec<Value<'a>>,
    ) -> BoxFuture<'a, Result<(), StoreError>>;

    /// Writes rows, and says how many took effect.
    fn write<'a>(&'a mut self, rows: Rows<'a>) -> BoxFuture<'a, Result<u64, StoreError>>;

    /// Makes all of it durable.
    fn commit(self) -> BoxFuture<'static, Result<(), StoreError>>;
}

/// A page is never longer.
const MAX_PAGE: u32 = 1_000;
/// Greater than every decision's id.
const NEWEST: &str = "dec_g";

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
            rows.first().map(StoredDecision::from_columns).transpose()
        })
    }

    fn run(&self, run: RunId) -> BoxFuture<'_, Result<Vec<StoredDecision>, StoreError>> {
        Box::pin(async move {
            let rows = self.ask(Query::Run, vec![Value::shown(run)]).await?;
            rows.iter().map(StoredDecision::from_columns).collect()
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
            let values = vec![Value::shown(boot), after.into(), u64::from(limit).into()];
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

    fn ping(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move { self.ask(Query::Ping, Vec::new()).await.map(drop) })
    }
}

fn bare_rows(rows: &[impl Columns]) -> Result<Vec<DecisionRow>, StoreError> {
    rows.iter().map(|row| Ok(StoredDecision::from_columns(row)?.row)).collect()
}

async fn list(database: &impl Database, query: &ListQuery) -> Result<StoredPage, StoreError> {
    let limit = query.limit.clamp(1, MAX_PAGE);
    let of = match (&query.run, &query.principal) {
        (Some(_), _) => PageOf::Run,
        (None, Some(_)) => PageOf::Principal,
        (None, None) => PageOf::All,
    };
    let (towards, cursor) = match query.start {
        PageStart::Newest => (Towards::Older, NEWEST.into()),
        PageStart::After(id) => (Towards::Older, Value::shown(id)),
        PageStart::Before(id) => (Towards::Newer, Value::shown(id)),
    };
    let values = vec![
        cursor,
        (u64::from(limit) + 1).into(),
        query.kind.map(DecisionKind::as_str).into(),
        query.model_text().into(),
        query.requested_text().into(),
        query.principal_text().into(),
        query.run.map(|run| run.to_string()).into(),
    ];
    let found = database.ask(Query::Page(of, towards), values).await?;
    // The last row only says that there are more.
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let kept = found.iter().take(limit).map(StoredDecision::from_columns);
    let mut rows = kept.collect::<Result<Vec<_>, _>>()?;
    if towards == Towards::Newer {
        rows.reverse();
    }
    Ok(StoredPage { rows, has_more: found.len() > limit })
}

async fn commit(database: &impl Database, batch: &Batch) -> Result<(), StoreError> {
    let mut transaction = database.begin().await?;
    let cursor = begin_chain(&mut transaction, &batch.block).await?;
    if cursor.seq >= batch.block.last_seq {
        return Ok(());
    }
    if cursor.seq >= batch.block.first_seq {
        let message = format!("the store has a part of the block: up to entry {}", cursor.seq);
        return Err(StoreError::new(StoreErrorKind::Overlap(cursor), message));
    }
    transaction.run(Command::InsertBlock, batch.block.values()).await?;
    write_rows(&mut transaction, batch).await?;
    advance_chain(&mut transaction, batch).await?;
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

async fn write_rows(transaction: &mut impl Transaction, batch: &Batch) -> Result<(), StoreError> {
    if !batch.decisions.is_empty() {
        transaction.write(Rows::Decisions(&batch.decisions)).await?;
    }
    if !batch.outcomes.is_empty() {
        let given = transaction.write(Rows::Outcomes(&batch.outcomes)).await?;
        // The others came before their decisions, or are not the first ones.
        if given < batch.outcomes.len() as u64 {
            transaction.write(Rows::Orphans(&batch.outcomes)).await?;
        }
    }
    if !batch.documents.is_empty() {
        transaction.write(Rows::Documents(&batch.documents)).await?;
    }
    if !batch.decisions.is_empty() && !transaction.ask(Query::HasOrphans, Vec::new()).await?.is_empty() {
        adopt_orphans(transaction, &batch.block).await?;
    }
    Ok(())
}

/// Gives the decisions of a block the outcomes that came before them.
async fn adopt_orphans(transaction: &mut impl Transaction, block: &Block) -> Result<(), StoreError> {
    let values = vec![Value::shown(block.boot), block.first_seq.into(), block.last_seq.into()];
    let rows = transaction.ask(Query::Orphans, values.clone()).await?;
    let orphans = rows.iter().map(OutcomeRow::from_orphan).collect::<Result<Vec<_>, _>>()?;
    if orphans.is_empty() {
        return Ok(());
    }
    transaction.write(Rows::Outcomes(&orphans)).await?;
    transaction.run(Command::DropOrphans, values).await
}

async fn advance_chain(transaction: &mut impl Transaction, batch: &Batch) -> Result<(), StoreError> {
    let boot = || Value::shown(batch.block.boot);
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
    let block = &batch.block;
    let values = vec![boot(), block.last_seq.into(), Value::shown(block.last), batch.clean_stop_ms.into()];
    transaction.run(Command::AdvanceChain, values).await
}
