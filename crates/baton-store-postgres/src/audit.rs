//! The audit log's queries.
//!
//! A batch goes in as one JSON list for each table: one statement whose text never changes,
//! whatever the number of rows.

use baton_access::BoxFuture;
use baton_audit::{
    AuditStore, Batch, Block, Chain, ChainHead, DecisionRow, Document, Hash, ListQuery, PageStart,
    StoreError, StoreErrorKind, StoredDecision, StoredPage,
};
use baton_model::{BootId, DecisionId, RunId};
use serde::Serialize;
use sqlx::{Postgres, Transaction};

use crate::error::audit_error;
use crate::row::{RawBlock, RawChain, RawDecision, RawDocument, natural, signed};
use crate::store::PostgresStore;

/// A page is never longer.
const MAX_PAGE: u32 = 1_000;
/// Greater than every decision's id.
const NEWEST: &str = "dec_g";

const INSERT_DECISIONS: &str = include_str!("sql/insert_decisions.sql");
/// Gives decisions their outcomes. The first outcome counts.
const GIVE_OUTCOMES: &str = include_str!("sql/give_outcomes.sql");
const KEEP_ORPHANS: &str = include_str!("sql/keep_orphans.sql");
const INSERT_DOCUMENTS: &str = include_str!("sql/insert_documents.sql");

macro_rules! select_decision {
    ($($rest:literal),+) => {
        concat!(
            "select d.id, d.run, d.boot, d.seq, d.at_ms, d.kind, d.principal, d.session, d.end_user, ",
            "d.reason_code, d.requested, d.to_model, d.to_target, d.attempt, d.config, d.record::text as record, ",
            "d.status, d.fault, d.input_tokens, d.cached_tokens, d.output_tokens, d.reasoning_tokens, ",
            "d.cost_nano, d.first_content_us, d.total_us, d.outcome_boot, d.outcome_seq, d.ended_ms, ",
            "d.outcome::text as outcome, ",
            "(exists (select 1 from audit_chain c where c.boot = d.boot and c.stopped_ms is not null) ",
            "or exists (select 1 from audit_chain c where c.previous_boot = d.boot)) as boot_ended ",
            "from decision d where ",
            $($rest),+
        )
    };
}

/// A page: by what the index leads to, then the other filters, then the direction.
macro_rules! select_page {
    ($lead:literal, $direction:literal) => {
        select_decision!(
            $lead,
            " and (cast($3 as text) is null or d.kind = $3)",
            " and (cast($4 as text) is null or d.to_model = $4 or d.to_target = $4 or d.requested = $5)",
            $direction
        )
    };
}

macro_rules! both_directions {
    ($lead:literal) => {
        Directions {
            older: select_page!($lead, " and d.id < $1 order by d.id desc limit $2"),
            newer: select_page!($lead, " and d.id > $1 order by d.id asc limit $2"),
        }
    };
}

/// The texts of a page towards either end.
struct Directions {
    older: &'static str,
    newer: &'static str,
}

const OF_RUN: Directions = both_directions!("d.run = $7 and (cast($6 as text) is null or d.principal = $6)");
const OF_PRINCIPAL: Directions = both_directions!("d.principal = $6 and cast($7 as text) is null");
const OF_ALL: Directions = both_directions!("cast($6 as text) is null and cast($7 as text) is null");

impl AuditStore for PostgresStore {
    fn commit<'a>(&'a self, batch: &'a Batch) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let failed = |error| audit_error("commit a batch", error);
            let mut transaction = self.pool_for_audit().await?.begin().await.map_err(failed)?;
            let cursor = begin_chain(&mut transaction, batch).await?;
            if cursor.seq >= batch.block.last_seq {
                return Ok(());
            }
            if cursor.seq >= batch.block.first_seq {
                let message = format!("the store has a part of the block: up to entry {}", cursor.seq);
                return Err(StoreError::new(StoreErrorKind::Overlap(cursor), message));
            }
            insert_block(&mut transaction, &batch.block).await?;
            insert_rows(&mut transaction, batch).await?;
            advance_chain(&mut transaction, batch).await?;
            transaction.commit().await.map_err(failed)
        })
    }

    fn cursor(&self, boot: BootId) -> BoxFuture<'_, Result<Option<ChainHead>, StoreError>> {
        Box::pin(async move {
            let row: Option<(i64, String)> =
                sqlx::query_as("select last_seq, last_hash from audit_chain where boot = $1")
                    .bind(boot.to_string())
                    .fetch_optional(self.pool_for_audit().await?)
                    .await
                    .map_err(|error| audit_error("read a cursor", error))?;
            row.map(|(seq, hash)| Ok(ChainHead { boot, seq: natural(seq)?, hash })).transpose()
        })
    }

    fn decision(&self, id: DecisionId) -> BoxFuture<'_, Result<Option<StoredDecision>, StoreError>> {
        Box::pin(async move {
            let row: Option<RawDecision> = sqlx::query_as(select_decision!("d.id = $1"))
                .bind(id.to_string())
                .fetch_optional(self.pool_for_audit().await?)
                .await
                .map_err(|error| audit_error("read a decision", error))?;
            row.map(RawDecision::parse).transpose()
        })
    }

    fn run(&self, run: RunId) -> BoxFuture<'_, Result<Vec<StoredDecision>, StoreError>> {
        Box::pin(async move {
            // Ids of one millisecond sort by chance; the chain knows the order.
            let rows: Vec<RawDecision> =
                sqlx::query_as(select_decision!("d.run = $1 order by d.at_ms, d.boot, d.seq"))
                    .bind(run.to_string())
                    .fetch_all(self.pool_for_audit().await?)
                    .await
                    .map_err(|error| audit_error("read a run", error))?;
            rows.into_iter().map(RawDecision::parse).collect()
        })
    }

    fn list<'a>(&'a self, query: &'a ListQuery) -> BoxFuture<'a, Result<StoredPage, StoreError>> {
        Box::pin(async move {
            let limit = query.limit.clamp(1, MAX_PAGE);
            let texts = match (&query.run, &query.principal) {
                (Some(_), _) => &OF_RUN,
                (None, Some(_)) => &OF_PRINCIPAL,
                (None, None) => &OF_ALL,
            };
            let (text, cursor) = match query.start {
                PageStart::Newest => (texts.older, NEWEST.to_owned()),
                PageStart::After(id) => (texts.older, id.to_string()),
                PageStart::Before(id) => (texts.newer, id.to_string()),
            };
            let rows: Vec<RawDecision> = sqlx::query_as(text)
                .bind(cursor)
                .bind(i64::from(limit) + 1)
                .bind(query.kind.map(baton_audit::DecisionKind::as_str))
                .bind(query.model_text())
                .bind(query.requested_text())
                .bind(query.principal_text())
                .bind(query.run.map(|run| run.to_string()))
                .fetch_all(self.pool_for_audit().await?)
                .await
                .map_err(|error| audit_error("list decisions", error))?;
            page(rows, limit, query.start)
        })
    }

    fn chains(&self) -> BoxFuture<'_, Result<Vec<Chain>, StoreError>> {
        Box::pin(async move {
            let rows: Vec<RawChain> = sqlx::query_as(
                "select boot, at_ms, version, previous_boot, previous_seq, previous_hash, stopped_ms, \
                 last_seq, last_hash from audit_chain order by boot",
            )
            .fetch_all(self.pool_for_audit().await?)
            .await
            .map_err(|error| audit_error("list the chains", error))?;
            rows.into_iter().map(RawChain::parse).collect()
        })
    }

    fn blocks(&self, boot: BootId, after: u64, limit: u32) -> BoxFuture<'_, Result<Vec<Block>, StoreError>> {
        Box::pin(async move {
            let rows: Vec<RawBlock> = sqlx::query_as(
                "select boot, first_seq, last_seq, previous_hash, last_hash, at_ms, raw_bytes, body \
                 from audit_block where boot = $1 and first_seq > $2 order by first_seq limit $3",
            )
            .bind(boot.to_string())
            .bind(signed(after))
            .bind(i64::from(limit))
            .fetch_all(self.pool_for_audit().await?)
            .await
            .map_err(|error| audit_error("read blocks", error))?;
            rows.into_iter().map(RawBlock::parse).collect()
        })
    }

    fn rows(&self, boot: BootId, from: u64, to: u64) -> BoxFuture<'_, Result<Vec<DecisionRow>, StoreError>> {
        Box::pin(async move {
            let text = select_decision!("d.boot = $1 and d.seq between $2 and $3 order by d.seq");
            let rows: Vec<RawDecision> = sqlx::query_as(text)
                .bind(boot.to_string())
                .bind(signed(from))
                .bind(signed(to))
                .fetch_all(self.pool_for_audit().await?)
                .await
                .map_err(|error| audit_error("read rows", error))?;
            rows.into_iter().map(|row| row.parse().map(|stored| stored.row)).collect()
        })
    }

    fn strays(&self, limit: u32) -> BoxFuture<'_, Result<Vec<DecisionRow>, StoreError>> {
        Box::pin(async move {
            let text = select_decision!(
                "not exists (select 1 from audit_chain c where c.boot = d.boot and d.seq between 1 and c.last_seq) ",
                "order by d.id limit $1"
            );
            let rows: Vec<RawDecision> = sqlx::query_as(text)
                .bind(i64::from(limit))
                .fetch_all(self.pool_for_audit().await?)
                .await
                .map_err(|error| audit_error("look for strays", error))?;
            rows.into_iter().map(|row| row.parse().map(|stored| stored.row)).collect()
        })
    }

    fn document<'a>(&'a self, hash: &'a str) -> BoxFuture<'a, Result<Option<Document>, StoreError>> {
        Box::pin(async move {
            let row: Option<RawDocument> =
                sqlx::query_as("select hash, kind, at_ms, body::text as body from document where hash = $1")
                    .bind(hash)
                    .fetch_optional(self.pool_for_audit().await?)
                    .await
                    .map_err(|error| audit_error("read a document", error))?;
            row.map(RawDocument::parse).transpose()
        })
    }

    fn ping(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            let answered = sqlx::query("select 1").execute(self.pool_for_audit().await?).await;
            answered.map(|_done| ()).map_err(|error| audit_error("reach the store", error))
        })
    }
}

/// Cuts off the row that only says that there are more, and puts the newest first.
fn page(rows: Vec<RawDecision>, limit: u32, start: PageStart) -> Result<StoredPage, StoreError> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let has_more = rows.len() > limit;
    let kept = rows.into_iter().take(limit).map(RawDecision::parse);
    let mut rows = kept.collect::<Result<Vec<_>, _>>()?;
    if matches!(start, PageStart::Before(_)) {
        rows.reverse();
    }
    Ok(StoredPage { rows, has_more })
}

/// Takes hold of the chain for this transaction, and says how far the store is.
async fn begin_chain(
    transaction: &mut Transaction<'_, Postgres>,
    batch: &Batch,
) -> Result<ChainHead, StoreError> {
    let failed = |error| audit_error("begin a chain", error);
    let boot = batch.block.boot;
    sqlx::query(
        "insert into audit_chain (boot, at_ms, version, last_seq, last_hash) values ($1, $2, '', 0, $3) \
         on conflict do nothing",
    )
    .bind(boot.to_string())
    .bind(signed(batch.block.at_ms))
    .bind(Hash::GENESIS.to_string())
    .execute(&mut **transaction)
    .await
    .map_err(failed)?;
    let (seq, hash): (i64, String) =
        sqlx::query_as("select last_seq, last_hash from audit_chain where boot = $1 for update")
            .bind(boot.to_string())
            .fetch_one(&mut **transaction)
            .await
            .map_err(failed)?;
    Ok(ChainHead { boot, seq: natural(seq)?, hash })
}

async fn insert_block(transaction: &mut Transaction<'_, Postgres>, block: &Block) -> Result<(), StoreError> {
    sqlx::query(
        "insert into audit_block (boot, first_seq, last_seq, previous_hash, last_hash, at_ms, raw_bytes, body) \
         values ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(block.boot.to_string())
    .bind(signed(block.first_seq))
    .bind(signed(block.last_seq))
    .bind(block.previous.to_string())
    .bind(block.last.to_string())
    .bind(signed(block.at_ms))
    .bind(signed(block.raw_bytes))
    .bind(&block.body)
    .execute(&mut **transaction)
    .await
    .map_err(|error| audit_error("insert a block", error))?;
    Ok(())
}

async fn insert_rows(transaction: &mut Transaction<'_, Postgres>, batch: &Batch) -> Result<(), StoreError> {
    run_with_list(transaction, INSERT_DECISIONS, &batch.decisions).await?;
    run_with_list(transaction, GIVE_OUTCOMES, &batch.outcomes).await?;
    run_with_list(transaction, KEEP_ORPHANS, &batch.outcomes).await?;
    run_with_list(transaction, INSERT_DOCUMENTS, &batch.documents).await?;
    if batch.decisions.is_empty() { Ok(()) } else { adopt_orphans(transaction, &batch.block).await }
}

/// Runs a statement whose only parameter is a JSON list, unless the list is empty.
async fn run_with_list<T: Serialize>(
    transaction: &mut Transaction<'_, Postgres>,
    statement: &'static str,
    list: &[T],
) -> Result<(), StoreError> {
    if list.is_empty() {
        return Ok(());
    }
    let json = serde_json::to_string(list).map_err(|error| {
        StoreError::new(StoreErrorKind::Rejected, "a batch cannot be encoded").with_source(error)
    })?;
    run_with_json(transaction, statement, json).await
}

async fn run_with_json(
    transaction: &mut Transaction<'_, Postgres>,
    statement: &'static str,
    json: String,
) -> Result<(), StoreError> {
    let done = sqlx::query(statement).bind(json).execute(&mut **transaction).await;
    done.map(|_done| ()).map_err(|error| audit_error("insert rows", error))
}

/// Gives the decisions of a block the outcomes that came before them.
async fn adopt_orphans(transaction: &mut Transaction<'_, Postgres>, block: &Block) -> Result<(), StoreError> {
    let failed = |error| audit_error("adopt outcomes", error);
    let orphans: Vec<String> = sqlx::query_scalar(
        "select derived::text from orphan_outcome where decision in \
         (select id from decision where boot = $1 and seq between $2 and $3)",
    )
    .bind(block.boot.to_string())
    .bind(signed(block.first_seq))
    .bind(signed(block.last_seq))
    .fetch_all(&mut **transaction)
    .await
    .map_err(failed)?;
    if orphans.is_empty() {
        return Ok(());
    }
    run_with_json(transaction, GIVE_OUTCOMES, format!("[{}]", orphans.join(","))).await?;
    sqlx::query(
        "delete from orphan_outcome where decision in \
         (select id from decision where boot = $1 and seq between $2 and $3)",
    )
    .bind(block.boot.to_string())
    .bind(signed(block.first_seq))
    .bind(signed(block.last_seq))
    .execute(&mut **transaction)
    .await
    .map_err(failed)?;
    Ok(())
}

async fn advance_chain(transaction: &mut Transaction<'_, Postgres>, batch: &Batch) -> Result<(), StoreError> {
    let failed = |error| audit_error("advance a chain", error);
    let boot = batch.block.boot.to_string();
    if let Some(begun) = &batch.boot {
        let previous = begun.previous.as_ref();
        sqlx::query(
            "update audit_chain set at_ms = $2, version = $3, previous_boot = $4, previous_seq = $5, \
             previous_hash = $6 where boot = $1",
        )
        .bind(&boot)
        .bind(signed(begun.at_ms))
        .bind(&begun.version)
        .bind(previous.map(|head| head.boot.to_string()))
        .bind(previous.map(|head| signed(head.seq)))
        .bind(previous.map(|head| head.hash.clone()))
        .execute(&mut **transaction)
        .await
        .map_err(failed)?;
    }
    sqlx::query(
        "update audit_chain set last_seq = $2, last_hash = $3, stopped_ms = coalesce($4, stopped_ms) \
         where boot = $1",
    )
    .bind(&boot)
    .bind(signed(batch.block.last_seq))
    .bind(batch.block.last.to_string())
    .bind(batch.clean_stop_ms.map(signed))
    .execute(&mut **transaction)
    .await
    .map_err(failed)?;
    Ok(())
}
