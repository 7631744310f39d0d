//! Reads the records of rows from the evidence: a row has no copy of what its block says.
//!
//! - Start with [`fill`].
//! - **Invariant:** what is shown of a decision is what its chain says, or nothing.

use std::collections::{BTreeSet, HashMap};

use baton_model::BootId;

use super::{Database, Query};
use crate::Record;
use crate::block::Block;
use crate::content::{ContentColumns, ContentRow, StoredContent, content_row};
use crate::store::{StoreError, StoreErrorKind, StoredDecision};

/// The records of so many rows are read at once. Each may stand in a block of its own.
const ROWS_AT_ONCE: usize = 50;
/// A block begins at most so long before its entries, but when the store was away for longer.
const EARLIER_MS: u64 = 86_400_000;
/// A clock that was put back does not matter up to here.
const LATER_MS: u64 = 3_600_000;

/// Where a record stands, and when it was made.
type Place = (BootId, u64, u64);

/// Gives the rows their records, and their outcomes' records. A record whose evidence is damaged stays
/// unknown.
pub(super) async fn fill(database: &impl Database, rows: &mut [StoredDecision]) -> Result<(), StoreError> {
    for rows in rows.chunks_mut(ROWS_AT_ONCE) {
        // The time leads to the part of the evidence where a block is; without it all parts are asked.
        let near = |at_ms: u64| (at_ms.saturating_sub(EARLIER_MS), at_ms.saturating_add(LATER_MS));
        look(database, rows, near).await?;
        look(database, rows, |_| (0, u64::MAX)).await?;
    }
    Ok(())
}

async fn look(
    database: &impl Database,
    rows: &mut [StoredDecision],
    within: impl Fn(u64) -> (u64, u64),
) -> Result<(), StoreError> {
    let wanted: BTreeSet<Place> =
        rows.iter().flat_map(|stored| missing(stored).into_iter().flatten()).collect();
    if wanted.is_empty() {
        return Ok(());
    }
    let records = texts(database, wanted, within).await?;
    for stored in rows {
        let [own, ended] = missing(stored);
        let of = |place: Place| records.get(&(place.0, place.1)).cloned();
        stored.record = stored.record.take().or_else(|| own.and_then(of));
        stored.outcome = stored.outcome.take().or_else(|| ended.and_then(of));
    }
    Ok(())
}

/// The texts of the records at these places, as far as their evidence can be read.
async fn texts(
    database: &impl Database,
    wanted: BTreeSet<Place>,
    within: impl Fn(u64) -> (u64, u64),
) -> Result<HashMap<(BootId, u64), String>, StoreError> {
    let list = wanted.iter().map(|(boot, seq, at_ms)| {
        let (from_ms, to_ms) = within(*at_ms);
        serde_json::json!([boot, seq, from_ms, to_ms.min(i64::MAX.unsigned_abs())])
    });
    let list = serde_json::Value::from_iter(list).to_string();
    let blocks = database.ask(Query::BlocksOf, vec![Some(list).into()]).await?;
    let blocks = blocks.iter().map(Block::from_columns).collect::<Result<Vec<_>, _>>()?;
    let read = tokio::task::spawn_blocking(move || read(&blocks, &wanted)).await;
    read.map_err(|error| {
        StoreError::new(StoreErrorKind::Unavailable, "the reading task ended early").with_source(error)
    })
}

/// Content with its records, in the order of the rows.
///
/// # Errors
/// When the store fails, or a row means nothing.
pub async fn stored_contents(
    database: &impl Database,
    rows: Vec<ContentColumns>,
) -> Result<Vec<StoredContent>, StoreError> {
    let rows = rows.into_iter().map(content_row).collect::<Result<Vec<_>, _>>()?;
    let mut found = HashMap::new();
    for rows in rows.chunks(ROWS_AT_ONCE) {
        let wanted = rows.iter().map(|(row, _)| (row.boot, row.seq, row.at_ms)).collect();
        found.extend(texts(database, wanted, |_| (0, u64::MAX)).await?);
    }
    let record = |row: &ContentRow| match Record::read(found.get(&(row.boot, row.seq))?.as_bytes()) {
        Ok(Record::Content(content)) if content.decision == row.decision => Some(*content),
        _ => None,
    };
    Ok(rows.into_iter().map(|(row, key)| StoredContent { record: record(&row), row, key }).collect())
}

/// The places of the decision's record and of its outcome's, where they are not known yet.
fn missing(stored: &StoredDecision) -> [Option<Place>; 2] {
    let row = &stored.row;
    let own = stored.record.is_none().then_some((row.boot, row.seq, row.at_ms));
    let outcome = row.outcome.as_ref().filter(|_| stored.outcome.is_none());
    [own, outcome.map(|outcome| (outcome.boot, outcome.seq, outcome.at_ms))]
}

fn read(blocks: &[Block], wanted: &BTreeSet<Place>) -> HashMap<(BootId, u64), String> {
    let mut records = HashMap::with_capacity(wanted.len());
    for block in blocks {
        let of_block = (block.boot, block.first_seq, 0)..=(block.boot, block.last_seq, u64::MAX);
        let numbers = wanted.range(of_block).map(|(_, seq, _)| *seq);
        match block.records(numbers) {
            Ok(found) => records.extend(found.into_iter().map(|(seq, record)| ((block.boot, seq), record))),
            Err(error) => {
                tracing::warn!(boot = %block.boot, seq = block.first_seq, %error, "evidence cannot be read");
            }
        }
    }
    records
}
