//! The queries of captured content and of the keys to it.

use baton_access::BoxFuture;
use baton_audit::{
    ContentColumns, ContentRow, ContentStore, Forgotten, StoreError, StoredContent, SubjectKeyColumns,
    SubjectKeyRow, content_row, stored_contents, subject_key_row,
};
use baton_model::DecisionId;
use baton_state::to_column;

use crate::error::audit_error;
use crate::store::PostgresStore;

const PUT_CONTENT: &str = "insert into content (decision, part, boot, seq, at_ms, subject, epoch) \
     values ($1, $2, $3, $4, $5, $6, $7) on conflict do nothing";
const PUT_KEY: &str = "insert into subject_key (subject, epoch, began_ms, sealed) \
     select $1::text, $2::text, $3::bigint, $4::bytea \
     where not exists (select 1 from erasure where subject = $1::text and at_ms >= $3::bigint) on conflict do nothing";
const OF_DECISION: &str = "select c.decision, c.part, c.boot, c.seq, c.at_ms, c.subject, c.epoch, k.sealed \
     from content c left join subject_key k on k.subject = c.subject and k.epoch = c.epoch \
     where c.decision = $1 order by c.part desc, c.boot, c.seq";
const REMEMBER: &str = "insert into erasure (subject, at_ms) values ($1, $2) \
     on conflict (subject) do update set at_ms = greatest(erasure.at_ms, excluded.at_ms)";
const FORGET: [&str; 2] =
    ["delete from content where subject = $1", "delete from subject_key where subject = $1"];
const LAST: &str = "select max(at_ms) from erasure";
const DROP: [&str; 2] = [
    "delete from content where at_ms < $1",
    "delete from subject_key where began_ms < $1 and not exists \
     (select 1 from content c where c.subject = subject_key.subject and c.epoch = subject_key.epoch)",
];
const KEYS: &str = "select subject, epoch, began_ms, sealed from subject_key \
     where (subject, epoch) > ($1, $2) order by subject, epoch limit $3";
const ROWS: &str = "select decision, part, boot, seq, at_ms, subject, epoch, null::bytea from content \
     where decision in (select distinct decision from content where decision > $1 order by decision limit $2) \
     order by decision, part, boot, seq";
/// Keys come in beside each other, and never beside an erasure: it would not see those that are not committed.
const BESIDE: &str = "select pg_advisory_xact_lock_shared(7162016001)";
const ALONE: &str = "select pg_advisory_xact_lock(7162016001)";
/// A table is written anew without what was deleted: its old file goes. The table of keys is small.
const REWRITE: &str = "vacuum (full) subject_key";
const UNLIMITED: &str = "set statement_timeout = 0";
const SWEEP: &str = "vacuum response, run, run_part, run_event, run_call";

impl ContentStore for PostgresStore {
    fn put_contents<'a>(
        &'a self,
        contents: &'a [ContentRow],
        keys: &'a [SubjectKeyRow],
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let failed = |error| audit_error("take in content", error);
            let mut transaction = self.pool_for_audit().await?.begin().await.map_err(failed)?;
            sqlx::query(BESIDE).execute(&mut *transaction).await.map_err(failed)?;
            for key in keys {
                let query = sqlx::query(PUT_KEY).bind(&key.subject).bind(&key.epoch);
                let query = query.bind(to_column(key.began_ms)).bind(&key.sealed);
                query.execute(&mut *transaction).await.map_err(failed)?;
            }
            for row in contents {
                let query = sqlx::query(PUT_CONTENT)
                    .bind(row.decision.to_string())
                    .bind(row.part.as_str())
                    .bind(row.boot.to_string())
                    .bind(to_column(row.seq))
                    .bind(to_column(row.at_ms))
                    .bind(&row.subject)
                    .bind(&row.epoch);
                query.execute(&mut *transaction).await.map_err(failed)?;
            }
            transaction.commit().await.map_err(failed)
        })
    }

    fn contents(&self, decision: DecisionId) -> BoxFuture<'_, Result<Vec<StoredContent>, StoreError>> {
        Box::pin(async move {
            let rows = sqlx::query_as::<_, ContentColumns>(OF_DECISION).bind(decision.to_string());
            let rows = rows.fetch_all(self.pool_for_audit().await?).await;
            let rows = rows.map_err(|error| audit_error("read content", error))?;
            stored_contents(self, rows).await
        })
    }

    fn forget_subject<'a>(
        &'a self,
        subject: &'a str,
        at_ms: u64,
    ) -> BoxFuture<'a, Result<Forgotten, StoreError>> {
        Box::pin(async move {
            let failed = |error| audit_error("erase a subject", error);
            let mut transaction = self.pool_for_audit().await?.begin().await.map_err(failed)?;
            sqlx::query(ALONE).execute(&mut *transaction).await.map_err(failed)?;
            let remembered = sqlx::query(REMEMBER).bind(subject).bind(to_column(at_ms));
            remembered.execute(&mut *transaction).await.map_err(failed)?;
            let mut gone = [0, 0];
            for (text, gone) in FORGET.into_iter().zip(&mut gone) {
                let deleted = sqlx::query(text).bind(subject).execute(&mut *transaction).await;
                *gone = deleted.map_err(failed)?.rows_affected();
            }
            transaction.commit().await.map_err(failed)?;
            let [contents, keys] = gone;
            Ok(Forgotten { contents, keys })
        })
    }

    /// The keys' table is written anew. What was deleted of the others is free to be written over, and until then
    /// in the server's files, as it is in its log and in backups: sealed under the master key.
    fn scrub(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            let failed = |error| audit_error("write over what was erased", error);
            let mut connection = self.pool_for_audit().await?.acquire().await.map_err(failed)?;
            // It takes as long as the tables are large, on a connection that nothing else is asked on after it.
            connection.close_on_drop();
            for text in [UNLIMITED, REWRITE, SWEEP] {
                sqlx::raw_sql(text).execute(&mut *connection).await.map_err(failed)?;
            }
            Ok(())
        })
    }

    fn last_forgotten(&self) -> BoxFuture<'_, Result<Option<u64>, StoreError>> {
        Box::pin(async move {
            let last =
                sqlx::query_scalar::<_, Option<i64>>(LAST).fetch_one(self.pool_for_audit().await?).await;
            let last = last.map_err(|error| audit_error("look for erasures", error))?;
            Ok(last.and_then(|last| u64::try_from(last).ok()))
        })
    }

    fn drop_contents(&self, before_ms: u64) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(async move {
            let failed = |error| audit_error("drop old content", error);
            let mut transaction = self.pool_for_audit().await?.begin().await.map_err(failed)?;
            let mut dropped = [0, 0];
            for (text, dropped) in DROP.into_iter().zip(&mut dropped) {
                let done = sqlx::query(text).bind(to_column(before_ms)).execute(&mut *transaction).await;
                *dropped = done.map_err(failed)?.rows_affected();
            }
            transaction.commit().await.map_err(failed)?;
            let [contents, _keys] = dropped;
            Ok(contents)
        })
    }

    fn subject_keys<'a>(
        &'a self,
        after: (&'a str, &'a str),
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<SubjectKeyRow>, StoreError>> {
        Box::pin(async move {
            let rows = sqlx::query_as::<_, SubjectKeyColumns>(KEYS).bind(after.0).bind(after.1);
            let rows = rows.bind(i64::from(limit)).fetch_all(self.pool_for_audit().await?).await;
            let rows = rows.map_err(|error| audit_error("read keys of content", error))?;
            Ok(rows.into_iter().map(subject_key_row).collect())
        })
    }

    fn content_rows<'a>(
        &'a self,
        after: &'a str,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<ContentRow>, StoreError>> {
        Box::pin(async move {
            let rows = sqlx::query_as::<_, ContentColumns>(ROWS).bind(after).bind(i64::from(limit));
            let rows = rows.fetch_all(self.pool_for_audit().await?).await;
            let rows = rows.map_err(|error| audit_error("list content", error))?;
            rows.into_iter().map(|row| Ok(content_row(row)?.0)).collect()
        })
    }
}
