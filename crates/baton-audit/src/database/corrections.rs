//! Counts costs anew: keeps corrections, puts the latest one of each attempt into its row, and changes the sums.
//!
//! A correction may come before what it corrects: it waits, as feedback does. Which one counts follows from their
//! places alone, never from the order in which they came.
//!
//! - Start with [`keep`] and [`apply`]; rows that are made again take [`again`].
//! - **Invariant:** a row's cost is its outcome's, or the latest correction's.

use std::borrow::Cow;
use std::collections::HashMap;

use baton_model::DecisionId;
use serde_json::{Value as Json, json};

use super::{Command, Database, Query, Transaction, write_tally};
use crate::columns::{Columns, Known, Rows, TagRow, Value};
use crate::mark;
use crate::row::CorrectionRow;
use crate::store::StoreError;
use crate::tally::Tally;

/// So many corrections take effect at once.
const AT_ONCE: u64 = 1_000;

/// A correction that has not taken effect, and what it corrects.
struct Waiting {
    row: CorrectionRow,
    known: Known,
    cost: Option<u64>,
    /// Whether none with a later place is there.
    is_latest: bool,
}

/// Keeps corrections. One that is there is left as it is.
pub(super) async fn keep(
    transaction: &mut impl Transaction,
    corrections: &[CorrectionRow],
) -> Result<(), StoreError> {
    let rows = corrections.iter().map(|row| {
        let place = (row.decision, row.at_ms, row.boot, row.seq);
        json!([place.0, place.1, place.2, place.3, row.cost_nano, row.prices, row.first_prices])
    });
    transaction.run(Command::KeepCorrections, vec![list(rows)]).await
}

/// Lets corrections take effect whose attempts are there.
pub(super) async fn apply(transaction: &mut impl Transaction) -> Result<(), StoreError> {
    loop {
        let waiting = transaction.ask(Query::Uncorrected, vec![AT_ONCE.into()]).await?;
        let waiting = waiting.iter().map(Waiting::from_columns).collect::<Result<Vec<_>, _>>()?;
        if waiting.is_empty() {
            return Ok(());
        }
        take_effect(transaction, &waiting).await?;
    }
}

async fn take_effect(transaction: &mut impl Transaction, waiting: &[Waiting]) -> Result<(), StoreError> {
    let latest: Vec<&Waiting> = waiting.iter().filter(|waiting| waiting.is_latest).collect();
    let ids = latest.iter().map(|waiting| json!(waiting.row.decision));
    let followers = transaction.ask(Query::HandoffsAfter, vec![list(ids)]).await?;
    let followers = followers
        .iter()
        .map(|row| Ok((Known::from_columns(row)?, cost_in(row)?)))
        .collect::<Result<Vec<_>, StoreError>>()?;
    let mut by_parent: HashMap<DecisionId, Vec<&(Known, Option<u64>)>> = HashMap::new();
    for follower in &followers {
        by_parent.entry(follower.0.parent.unwrap_or(follower.0.id())).or_default().push(follower);
    }
    // What of this took effect already.
    let mut costs: HashMap<DecisionId, u64> = HashMap::new();
    let mut tally = Tally::default();
    for Waiting { row, known, cost: was, .. } in latest.iter().copied() {
        let now = |id: DecisionId, before: Option<u64>| costs.get(&id).copied().or(before);
        let parents = known.parent.map_or(known.cost_before, |parent| now(parent, known.cost_before));
        if known.is_counted {
            let status = known.status.as_deref().unwrap_or_default();
            tally.corrected(known.subject(), status, *was, row.cost_nano, parents);
        }
        for (follower, cost) in by_parent.get(&row.decision).into_iter().flatten() {
            if let Some(own) = now(follower.id(), *cost).filter(|_| follower.is_counted) {
                tally.corrected_before(follower.subject(), own, *was, row.cost_nano);
            }
        }
        costs.insert(row.decision, row.cost_nano);
    }
    let corrected = latest.iter().map(|waiting| json!([waiting.row.decision, waiting.row.cost_nano]));
    transaction.run(Command::Correct, vec![list(corrected)]).await?;
    let dear = latest.iter().filter(|waiting| waiting.row.cost_nano >= mark::DEAR_NANO);
    let mut dear: Vec<TagRow<'_>> = dear
        .map(|waiting| TagRow { tag: Cow::Borrowed(mark::DEAR), decision: waiting.row.decision })
        .collect();
    if !dear.is_empty() {
        dear.sort_unstable();
        transaction.write(Rows::Tags(&dear)).await?;
    }
    let places =
        waiting.iter().map(|Waiting { row, .. }| json!([row.decision, row.at_ms, row.boot, row.seq]));
    transaction.run(Command::SettleCorrections, vec![list(places)]).await?;
    write_tally(transaction, tally).await
}

/// Puts corrections into rows that were made again, without counting: their days are counted again.
pub(super) async fn again(transaction: &mut impl Transaction, ids: &[DecisionId]) -> Result<(), StoreError> {
    if ids.is_empty() {
        return Ok(());
    }
    transaction.run(Command::CorrectAgain, vec![list(ids.iter().map(|id| json!(id)))]).await
}

/// The corrections of these decisions, the latest last.
pub(super) async fn of(
    database: &impl Database,
    ids: &[DecisionId],
) -> Result<Vec<CorrectionRow>, StoreError> {
    let mut rows = Vec::new();
    for ids in ids.chunks(usize::try_from(AT_ONCE).unwrap_or(usize::MAX)) {
        let found = database.ask(Query::Corrections, vec![list(ids.iter().map(|id| json!(id)))]).await?;
        rows.extend(found.iter().map(CorrectionRow::from_columns).collect::<Result<Vec<_>, _>>()?);
    }
    Ok(rows)
}

impl Waiting {
    fn from_columns(row: &impl Columns) -> Result<Self, StoreError> {
        Ok(Self {
            row: CorrectionRow::from_columns(row)?,
            known: Known::from_columns(row)?,
            cost: cost_in(row)?,
            is_latest: row.flag("is_latest")?,
        })
    }
}

/// What a row's attempt costs as it stands.
fn cost_in(row: &impl Columns) -> Result<Option<u64>, StoreError> {
    Ok(row.number("cost_now")?.and_then(|cost| u64::try_from(cost).ok()))
}

fn list(items: impl Iterator<Item = Json>) -> Value<'static> {
    Some(Json::from_iter(items).to_string()).into()
}
