//! Answers questions about many decisions from the sums, and reads feedback.
//!
//! - **Invariant:** an answer has a largest size, whatever the question is.

use futures_util::future::BoxFuture;

use super::{Database, MAX_PAGE, days};
use crate::columns::Columns;
use crate::question::{self, Cube};
use crate::row::FeedbackRow;
use crate::store::{
    AuditQueries, BucketWidth, Dimension, FeedbackQuery, HandoffCell, HandoffQuery, StoreError,
    StoreErrorKind, UsageBucket, UsageGroup, UsagePage, UsageQuery, UsageSums,
};

/// How often a question is asked again, while days are added up.
const TRIES: u32 = 3;

impl<D: Database> AuditQueries for D {
    fn usage<'a>(&'a self, query: &'a UsageQuery) -> BoxFuture<'a, Result<UsagePage, StoreError>> {
        Box::pin(usage(self, query))
    }

    fn handoffs<'a>(
        &'a self,
        query: &'a HandoffQuery,
    ) -> BoxFuture<'a, Result<Vec<HandoffCell>, StoreError>> {
        Box::pin(async move {
            let rows = self.answer(question::handoffs(query)).await?;
            if rows.len() > usize::try_from(HandoffQuery::MAX_CELLS).unwrap_or(usize::MAX) {
                let message = format!("there are more than {} pairs in that time", HandoffQuery::MAX_CELLS);
                return Err(StoreError::new(StoreErrorKind::TooMany, message));
            }
            rows.iter().map(HandoffCell::from_columns).collect()
        })
    }

    fn feedback<'a>(
        &'a self,
        query: &'a FeedbackQuery,
    ) -> BoxFuture<'a, Result<Vec<FeedbackRow>, StoreError>> {
        Box::pin(async move {
            let rows = self.answer(question::feedback(query, MAX_PAGE)).await?;
            rows.iter().map(FeedbackRow::from_columns).collect()
        })
    }
}

async fn usage(database: &impl Database, query: &UsageQuery) -> Result<UsagePage, StoreError> {
    let width = query.width.ms();
    let from_ms = query.width.start_of(query.from_ms);
    let buckets = u64::from(query.limit.clamp(1, UsageQuery::MAX_BUCKETS));
    let to_ms = query.to_ms.min(from_ms.saturating_add(buckets.saturating_mul(width)));
    let mut next_ms = (to_ms < query.to_ms).then_some(to_ms);
    let rows = ask(database, query, from_ms, to_ms).await?;
    let mut page: Vec<UsageBucket> = Vec::new();
    for row in &rows {
        let start_ms =
            row.number("start_ms")?.and_then(|start| u64::try_from(start).ok()).unwrap_or_default();
        let group = group(row, &query.group_by)?;
        match page.last_mut().filter(|bucket| bucket.start_ms == start_ms) {
            Some(bucket) => bucket.groups.push(group),
            None => page.push(UsageBucket { start_ms, groups: vec![group] }),
        }
    }
    let most = usize::try_from(UsageQuery::MAX_GROUPS).unwrap_or(usize::MAX);
    if rows.len() > most {
        // The last bucket may have been cut.
        let cut = page.pop();
        if page.is_empty() {
            let message = format!("one bucket has more than {most} groups");
            return Err(StoreError::new(StoreErrorKind::TooMany, message));
        }
        next_ms = cut.map(|bucket| bucket.start_ms);
    }
    Ok(UsagePage { buckets: page, next_ms })
}

/// Reads the sums of days that are over where they stand over few dimensions, when that is all that is asked for.
async fn ask<D: Database>(
    database: &D,
    query: &UsageQuery,
    from_ms: u64,
    to_ms: u64,
) -> Result<Vec<D::Row>, StoreError> {
    if query.width != BucketWidth::Day || Cube::of(query).is_none() {
        return database.answer(question::usage(query, from_ms, to_ms, &[])).await;
    }
    let mut made = days::made(database, from_ms, to_ms).await?;
    for _ in 0..TRIES {
        let rows = database.answer(question::usage(query, from_ms, to_ms, &made)).await?;
        // A day that was made or forgotten meanwhile may be told twice or not at all.
        let now = days::made(database, from_ms, to_ms).await?;
        if now == made {
            return Ok(rows);
        }
        made = now;
    }
    database.answer(question::usage(query, from_ms, to_ms, &[])).await
}

fn group(row: &impl Columns, by: &[Dimension]) -> Result<UsageGroup, StoreError> {
    let value = |dimension: &Dimension| {
        row.text(dimension.as_str()).map(|value| value.filter(|value| !value.is_empty()))
    };
    let by = by.iter().map(value).collect::<Result<Vec<_>, _>>()?;
    Ok(UsageGroup { by, sums: UsageSums::from_columns(row)? })
}
