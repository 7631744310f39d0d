//! Keeps a store in order: room for what comes, retention of what was, and rows made again.
//!
//! - **Invariant:** evidence goes only after a committed record says so, and only what that record names.
//! - Whatever counts again holds the sums meanwhile, so that nothing is counted twice or not at all.

use std::collections::{BTreeSet, HashMap};

use baton_model::{BootId, DecisionId};
use futures_util::future::BoxFuture;

use super::{
    Command, Database, HANDOFF, Query, Transaction, bare_rows, begin_chain, corrections, cost_of, days, give,
    write_leads, write_tally,
};
use crate::block::Block;
use crate::columns::{Columns, Known, Rows, Value};
use crate::row::{DecisionRow, Derived, FeedbackRow, OutcomeRow};
use crate::store::{
    AuditStore, AuditUpkeep, BucketWidth, Droppable, StoreError, StoreErrorKind, StoredDecision,
};
use crate::tally::{Subject, Tally};
use crate::{ChainHead, Record};

/// So many rows are brought up to date, or counted again, at once.
const ROWS_AT_ONCE: u64 = 500;
/// Later than every decision's id has room for.
const LAST_MS: u64 = (1 << 48) - 1;

impl<D: Database> AuditUpkeep for D {
    fn maintain(&self, now_ms: u64) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            self.make_room(now_ms).await?;
            while bring_up_to_date(self).await? {}
            drop_short(self, now_ms).await?;
            days::make(self, now_ms).await
        })
    }

    fn droppable(&self, before_ms: u64) -> BoxFuture<'_, Result<Droppable, StoreError>> {
        Box::pin(async move {
            let before_ms = self.border(before_ms).await?;
            let heads = self.ask(Query::OldHeads, vec![before_ms.into()]).await?;
            let heads = heads.iter().map(ChainHead::from_columns).collect::<Result<_, _>>()?;
            let decisions = self.ask(Query::OldDecisions, vec![Value::shown(first_id(before_ms))]).await?;
            let decisions = decisions.first().map_or(Ok(None), |row| row.number("count"))?;
            let decisions = decisions.and_then(|count| u64::try_from(count).ok()).unwrap_or_default();
            Ok(Droppable { before_ms, heads, decisions })
        })
    }

    fn drop_before<'a>(&'a self, droppable: &'a Droppable) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(drop_before(self, droppable))
    }

    fn reproject(&self, boot: BootId) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(reproject(self, boot))
    }
}

/// Drops sums of short buckets whose time is over.
async fn drop_short(database: &impl Database, now_ms: u64) -> Result<(), StoreError> {
    let mut transaction = database.begin().await?;
    for width in BucketWidth::ALL {
        if let Some(kept_ms) = width.kept_ms() {
            let values = vec![(width.ms() / 1_000).into(), now_ms.saturating_sub(kept_ms).into()];
            transaction.run(Command::DropShort, values).await?;
        }
    }
    transaction.commit().await
}

/// Gives the columns of today to rows that an older version wrote, and counts them. Returns whether
/// there were any.
async fn bring_up_to_date(database: &impl Database) -> Result<bool, StoreError> {
    if database.ask(Query::OldShapes, vec![1_u64.into()]).await?.is_empty() {
        return Ok(false);
    }
    let mut transaction = database.begin().await?;
    let old = transaction.ask(Query::OldShapes, vec![ROWS_AT_ONCE.into()]).await?;
    let old = old.iter().map(StoredDecision::from_columns).collect::<Result<Vec<_>, _>>()?;
    if old.is_empty() {
        return Ok(false);
    }
    let rows: Vec<DecisionRow> = old.into_iter().map(made_again).collect();
    transaction.write(Rows::Upgrades(&rows)).await?;
    write_leads(&mut transaction, &rows.iter().collect::<Vec<_>>()).await?;
    let mut costs = HashMap::new();
    for row in rows.iter().filter(|row| row.kind == HANDOFF) {
        if let Some(parent) = row.parent {
            costs.insert(parent, cost_of(&mut transaction, parent).await?);
        }
    }
    let mut tally = Tally::default();
    for row in &rows {
        let before = row.parent.and_then(|parent| costs.get(&parent).copied().flatten());
        match &row.outcome {
            Some(outcome) => tally.whole(Subject::of(row), outcome, before),
            None => tally.decision(Subject::of(row)),
        }
    }
    write_tally(&mut transaction, tally).await?;
    transaction.commit().await?;
    Ok(true)
}

/// The row as its own texts say, which it has in the shape of that version. Where they cannot be read it
/// stays as it is: `verify` tells.
fn made_again(old: StoredDecision) -> DecisionRow {
    let StoredDecision { row: old, record, outcome, .. } = old;
    let derived = |boot, seq, text: Option<String>| {
        let mut derived = Derived::new(boot);
        derived.add(seq, text.unwrap_or_default().as_bytes());
        derived
    };
    let row = derived(old.boot, old.seq, record).decisions.pop().filter(|row| row.id == old.id);
    let Some(mut row) = row else { return old };
    row.outcome = old.outcome.map(|old| {
        let outcome = derived(old.boot, old.seq, outcome).outcomes.pop();
        outcome.filter(|outcome| outcome.decision == old.decision).unwrap_or(old)
    });
    row
}

async fn drop_before(database: &impl Database, droppable: &Droppable) -> Result<(), StoreError> {
    let refused = |why: &str| Err(StoreError::new(StoreErrorKind::Rejected, why));
    let mut transaction = database.begin().await?;
    transaction.run(Command::HoldCounts, Vec::new()).await?;
    let heads = transaction.ask(Query::OldHeads, vec![droppable.before_ms.into()]).await?;
    let heads: Vec<ChainHead> = heads.iter().map(ChainHead::from_columns).collect::<Result<_, _>>()?;
    if heads != droppable.heads {
        return refused("what would be dropped is not what was asked for");
    }
    let signed = transaction.ask(Query::Signed, vec![droppable.before_ms.into()]).await?;
    let mut is_signed = false;
    for row in &signed {
        let record = row.text("record")?.unwrap_or_default();
        if let Ok(Record::Dropped(dropped)) = Record::read(record.as_bytes()) {
            is_signed |= dropped.before_ms == droppable.before_ms && dropped.heads == heads;
        }
    }
    if !is_signed {
        return refused("no committed record says that this is dropped");
    }
    transaction.drop_older(droppable.before_ms).await?;
    // A block that began before the border has taken the records of some decisions behind it along.
    for head in &heads {
        let without_evidence = vec![Value::shown(head.boot), 0_u64.into(), head.seq.into()];
        transaction.run(Command::DropRows, without_evidence).await?;
    }
    transaction.commit().await
}

async fn reproject(database: &impl Database, boot: BootId) -> Result<u64, StoreError> {
    let mut after = 0;
    let mut covered = 0;
    let mut made = 0;
    let mut days: Option<(u64, u64)> = None;
    let mut corrected = BTreeSet::new();
    loop {
        let blocks = database.blocks(boot, after, 1).await?;
        let Some(block) = blocks.first() else { break };
        let again = block_again(database, block, covered + 1).await?;
        made += again.decisions.len() as u64;
        corrected.extend(again.days);
        for at_ms in again.decisions.into_iter().map(DecisionId::unix_ms) {
            let (first, last) = days.unwrap_or((at_ms, at_ms));
            days = Some((first.min(at_ms), last.max(at_ms)));
        }
        (after, covered) = (block.first_seq, block.last_seq);
    }
    // What stands behind the end of the chain has no evidence.
    let mut transaction = database.begin().await?;
    let beyond = vec![Value::shown(boot), (covered + 1).into(), u64::MAX.into()];
    transaction.run(Command::DropRows, beyond.clone()).await?;
    transaction.run(Command::DropCorrections, beyond).await?;
    transaction.commit().await?;
    if let Some((first, last)) = days {
        let mut day = BucketWidth::Day.start_of(first);
        while day <= last {
            corrected.insert(day);
            day += BucketWidth::Day.ms();
        }
    }
    for day in corrected {
        count_again(database, day).await?;
    }
    Ok(made)
}

/// What was made again of a block.
struct Again {
    decisions: Vec<DecisionId>,
    /// The days of what it corrects.
    days: BTreeSet<u64>,
}

/// Makes the rows of a block again: what stands in its stretch goes, what follows from it comes.
/// Outcomes that other chains gave to its decisions stay.
async fn block_again(database: &impl Database, block: &Block, from_seq: u64) -> Result<Again, StoreError> {
    let corrupt = |error| StoreError::new(StoreErrorKind::Corrupt, "a block is damaged").with_source(error);
    let mut derived = Derived::new(block.boot);
    let frames = block.unpack().map_err(corrupt)?;
    for frame in crate::frame::read_all(&frames) {
        let frame = frame.map_err(|error| {
            StoreError::new(StoreErrorKind::Corrupt, "a block is damaged").with_source(error.to_string())
        })?;
        derived.add(frame.seq, frame.payload);
    }
    derived.join();

    let mut transaction = database.begin().await?;
    begin_chain(&mut transaction, block).await?;
    let stretch = vec![Value::shown(block.boot), from_seq.into(), block.last_seq.into()];
    let stored = bare_rows(&transaction.ask(Query::Rows, stretch.clone()).await?)?;
    let foreign: Vec<OutcomeRow> = stored
        .into_iter()
        .filter_map(|row| row.outcome.filter(|outcome| outcome.boot != block.boot))
        .collect();
    transaction.run(Command::DropRows, stretch.clone()).await?;
    transaction.run(Command::DropCorrections, stretch).await?;
    for row in &derived.decisions {
        transaction.run(Command::DropRow, vec![Value::shown(row.id)]).await?;
    }
    if !derived.decisions.is_empty() {
        transaction.write(Rows::Decisions(&derived.decisions)).await?;
        write_leads(&mut transaction, &derived.decisions.iter().collect::<Vec<_>>()).await?;
    }
    for outcomes in [&derived.outcomes, &foreign] {
        give(&mut transaction, outcomes).await?;
    }
    if !derived.feedback.is_empty() {
        transaction.write(Rows::Feedback(&derived.feedback)).await?;
    }
    if !derived.documents.is_empty() {
        transaction.write(Rows::Documents(&derived.documents)).await?;
    }
    if !derived.corrections.is_empty() {
        corrections::keep(&mut transaction, &derived.corrections).await?;
    }
    // An outcome and a correction may be of a decision of another stretch.
    let outcomes = derived.outcomes.iter().chain(&foreign).map(|outcome| outcome.decision);
    let corrected = derived.corrections.iter().map(|row| row.decision);
    let changed: Vec<DecisionId> =
        derived.decisions.iter().map(|row| row.id).chain(outcomes).chain(corrected).collect();
    corrections::again(&mut transaction, &changed).await?;
    transaction.commit().await?;
    let days =
        derived.corrections.iter().map(|row| BucketWidth::Day.start_of(row.decision.unix_ms())).collect();
    Ok(Again { decisions: derived.decisions.into_iter().map(|row| row.id).collect(), days })
}

/// Makes the sums of a day again from its rows, in buckets of every width: [`AuditUpkeep::maintain`] drops
/// those that are too short.
async fn count_again(database: &impl Database, day: u64) -> Result<(), StoreError> {
    let next = day + BucketWidth::Day.ms();
    let mut transaction = database.begin().await?;
    transaction.run(Command::HoldCounts, Vec::new()).await?;
    for command in [Command::DropUsage, Command::DropHandoffs] {
        transaction.run(command, vec![day.into(), next.into()]).await?;
    }
    transaction.run(Command::ForgetDays, vec![days::list([day])]).await?;
    let (mut from, to) = (first_id(day).to_string(), first_id(next).to_string());
    loop {
        let values = vec![from.as_str().into(), to.as_str().into(), ROWS_AT_ONCE.into()];
        let found = transaction.ask(Query::Recount, values).await?;
        let rows = bare_rows(&found)?;
        let mut tally = Tally::default();
        for (row, found) in rows.iter().zip(&found) {
            let before = found.number("cost_before")?.and_then(|cost| u64::try_from(cost).ok());
            match &row.outcome {
                Some(outcome) => tally.whole(Subject::of(row), outcome, before),
                None => tally.decision(Subject::of(row)),
            }
        }
        write_tally(&mut transaction, tally).await?;
        let Some(last) = rows.last() else { break };
        from = last.id.to_string();
    }
    let (from, to) = (Value::shown(first_id(day)), Value::shown(first_id(next)));
    let found = transaction.ask(Query::RecountFeedback, vec![from, to]).await?;
    let read = |row| Ok((Known::from_columns(row)?, FeedbackRow::from_columns(row)?));
    let feedback = found.iter().map(read).collect::<Result<Vec<_>, StoreError>>()?;
    let mut tally = Tally::default();
    for (known, feedback) in &feedback {
        tally.feedback(known.subject(), known.status.as_deref(), feedback);
    }
    write_tally(&mut transaction, tally).await?;
    transaction.commit().await
}

/// No decision of this time or later has a smaller id.
pub(super) fn first_id(at_ms: u64) -> DecisionId {
    DecisionId::from_parts(at_ms.min(LAST_MS), [0; 10])
}
