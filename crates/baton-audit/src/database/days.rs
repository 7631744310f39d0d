//! Keeps the sums of days that are over a second time, over fewer dimensions: some hundred rows a day in place of
//! thousands, for what is asked most.
//!
//! They are made of the full sums, behind everybody's back. Whoever adds to such a day later forgets what was made
//! of it, and it is made again.
//!
//! - Start with [`make`] and [`forget`]; [`made`] says what may be read.
//! - **Invariant:** what is there of a day is what its full sums say.

use std::collections::BTreeSet;

use serde_json::{Value as Json, json};

use super::{Command, Database, Query, Transaction};
use crate::clock::{Clock as _, SystemClock};
use crate::columns::{Columns, Value};
use crate::store::{BucketWidth, StoreError};
use crate::tally::UsageRow;

/// A day may still get outcomes so long after its end.
const SETTLED_MS: u64 = 86_400_000;
/// So far apart the clocks of replicas may be.
const SKEW_MS: u64 = 3_600_000;
/// So many days are made at once.
const AT_ONCE: u64 = 50;

/// Makes the sums of days that are over and have none.
pub(super) async fn make(database: &impl Database, now_ms: u64) -> Result<(), StoreError> {
    let before = BucketWidth::Day.start_of(now_ms.saturating_sub(SETTLED_MS));
    loop {
        let days = database.ask(Query::UnmadeDays, vec![before.into(), AT_ONCE.into()]).await?;
        for row in &days {
            let Some(day) = start(row)? else { continue };
            let mut transaction = database.begin().await?;
            // Whoever is adding to the day is done then, and nobody else adds to it.
            transaction.run(Command::HoldUsage, Vec::new()).await?;
            for command in [Command::ForgetDays, Command::NoteDays, Command::MakeDays] {
                transaction.run(command, vec![list([day])]).await?;
            }
            transaction.commit().await?;
        }
        if days.is_empty() {
            return Ok(());
        }
    }
}

/// Forgets what was made of the days that these rows were added to. It comes after them: whoever makes a day waits
/// for their transaction, or is waited for by them.
pub(super) async fn forget(transaction: &mut impl Transaction, rows: &[UsageRow]) -> Result<(), StoreError> {
    let settled = BucketWidth::Day.start_of((SystemClock.now_ms() + SKEW_MS).saturating_sub(SETTLED_MS));
    let days: BTreeSet<u64> = rows.iter().map(|row| BucketWidth::Day.start_of(row.start_ms)).collect();
    let days: Vec<u64> = days.into_iter().filter(|day| *day < settled).collect();
    if days.is_empty() {
        return Ok(());
    }
    transaction.run(Command::ForgetDays, vec![list(days)]).await
}

/// The days of a stretch of which there is something, in order.
pub(super) async fn made(database: &impl Database, from_ms: u64, to_ms: u64) -> Result<Vec<u64>, StoreError> {
    let rows = database.ask(Query::MadeDays, vec![from_ms.into(), to_ms.into()]).await?;
    rows.iter().filter_map(|row| start(row).transpose()).collect()
}

fn start(row: &impl Columns) -> Result<Option<u64>, StoreError> {
    Ok(row.number("start_ms")?.and_then(|start| u64::try_from(start).ok()))
}

pub(super) fn list(days: impl IntoIterator<Item = u64>) -> Value<'static> {
    Some(Json::from_iter(days.into_iter().map(|day| json!(day))).to_string()).into()
}
