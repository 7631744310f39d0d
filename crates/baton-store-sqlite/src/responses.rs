//! The stored responses' queries.

use baton_state::responses::{Bounds, ResponseChange, ResponseId, ResponseRow, ResponseStore, Updated};
use baton_state::{BoxFuture, ResponseColumns, StateError, Subject, to_column};

use crate::error::state_error;
use crate::store::SqliteStore;

const INSERT: &str = "insert into response (id, principal, subject, run, previous, status, created_ms, ended_ms, \
     expires_ms, input_bytes, body_bytes, input, body) \
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)";
const UPDATE: &str = "update response set status = $3, ended_ms = $4, body_bytes = $5, body = $6 \
     where id = $1 and principal = $2 and ended_ms is null";
const IS_THERE: &str = "select exists (select 1 from response where id = $1 and principal = $2)";
const GET: &str = "select id, principal, subject, run, previous, status, created_ms, ended_ms, expires_ms, \
     input_bytes, body_bytes, input, body from response where id = $1 and principal = $2 and expires_ms > $3";
const DELETE: &str = "delete from response where id = $1 and principal = $2 and expires_ms > $3";
const CHAIN: &str = "with recursive chain (id, previous, depth, bytes) as ( \
         select id, previous, 1, input_bytes + body_bytes from response \
         where id = $1 and principal = $2 and expires_ms > $3 \
         union all \
         select r.id, r.previous, c.depth + 1, c.bytes + r.input_bytes + r.body_bytes \
         from chain c join response r on r.id = c.previous \
         where r.principal = $2 and r.expires_ms > $3 and c.depth <= $4 and c.bytes <= $5) \
     select r.id, r.principal, r.subject, r.run, r.previous, r.status, r.created_ms, r.ended_ms, r.expires_ms, \
         r.input_bytes, r.body_bytes, \
         case when c.depth <= $4 and c.bytes <= $5 then r.input else x'' end, \
         case when c.depth <= $4 and c.bytes <= $5 then r.body else x'' end \
     from chain c join response r on r.id = c.id order by c.depth";
const DROP_EXPIRED: &str = "delete from response where id in \
     (select id from response where expires_ms <= $1 order by expires_ms limit $2)";
const COUNT: &str = "select count(*) from response where subject = $1";
const ERASE: &str = "delete from response where id in (select id from response where subject = $1 limit $2)";

impl ResponseStore for SqliteStore {
    fn insert_response<'a>(&'a self, row: &'a ResponseRow) -> BoxFuture<'a, Result<(), StateError>> {
        Box::pin(async move {
            let query = sqlx::query(INSERT)
                .bind(row.id.to_string())
                .bind(&row.principal)
                .bind(row.subject.as_str())
                .bind(row.run.map(|run| run.to_string()))
                .bind(row.previous.map(|previous| previous.to_string()))
                .bind(row.status.as_str())
                .bind(to_column(row.created_ms))
                .bind(row.ended_ms.map(to_column))
                .bind(to_column(row.expires_ms))
                .bind(to_column(row.input_bytes))
                .bind(to_column(row.body_bytes))
                .bind(&row.input)
                .bind(&row.body);
            let inserted = query.execute(&self.writer).await;
            inserted.map(drop).map_err(|error| state_error("store a response", error))
        })
    }

    fn update_response<'a>(
        &'a self,
        change: &'a ResponseChange,
    ) -> BoxFuture<'a, Result<Updated, StateError>> {
        Box::pin(async move {
            let failed = |error| state_error("change a response", error);
            let id = change.id.to_string();
            let query = sqlx::query(UPDATE)
                .bind(&id)
                .bind(&change.principal)
                .bind(change.status.as_str())
                .bind(change.ended_ms.map(to_column))
                .bind(to_column(change.body_bytes))
                .bind(&change.body);
            if query.execute(&self.writer).await.map_err(failed)?.rows_affected() > 0 {
                return Ok(Updated::Done);
            }
            let is_there = sqlx::query_scalar(IS_THERE).bind(&id).bind(&change.principal);
            let is_there = is_there.fetch_one(&self.readers).await.map_err(failed)?;
            Ok(if is_there { Updated::Ended } else { Updated::Gone })
        })
    }

    fn response<'a>(
        &'a self,
        principal: &'a str,
        id: ResponseId,
        now_ms: u64,
    ) -> BoxFuture<'a, Result<Option<ResponseRow>, StateError>> {
        Box::pin(async move {
            let query = sqlx::query_as::<_, ResponseColumns>(GET).bind(id.to_string()).bind(principal);
            let row = query.bind(to_column(now_ms)).fetch_optional(&self.readers).await;
            row.map_err(|error| state_error("read a response", error))?.map(TryInto::try_into).transpose()
        })
    }

    fn delete_response<'a>(
        &'a self,
        principal: &'a str,
        id: ResponseId,
        now_ms: u64,
    ) -> BoxFuture<'a, Result<bool, StateError>> {
        Box::pin(async move {
            let query = sqlx::query(DELETE).bind(id.to_string()).bind(principal).bind(to_column(now_ms));
            let deleted = query.execute(&self.writer).await;
            Ok(deleted.map_err(|error| state_error("delete a response", error))?.rows_affected() > 0)
        })
    }

    fn response_chain<'a>(
        &'a self,
        principal: &'a str,
        id: ResponseId,
        now_ms: u64,
        bounds: Bounds,
    ) -> BoxFuture<'a, Result<Vec<ResponseRow>, StateError>> {
        Box::pin(async move {
            let query = sqlx::query_as::<_, ResponseColumns>(CHAIN).bind(id.to_string()).bind(principal);
            let query =
                query.bind(to_column(now_ms)).bind(i64::from(bounds.depth)).bind(to_column(bounds.bytes));
            let rows = query.fetch_all(&self.readers).await;
            let rows = rows.map_err(|error| state_error("read a conversation", error))?;
            rows.into_iter().map(TryInto::try_into).collect()
        })
    }

    fn drop_expired_responses(&self, now_ms: u64, limit: u32) -> BoxFuture<'_, Result<u64, StateError>> {
        Box::pin(async move {
            let query = sqlx::query(DROP_EXPIRED).bind(to_column(now_ms)).bind(i64::from(limit));
            let dropped = query.execute(&self.writer).await;
            Ok(dropped.map_err(|error| state_error("drop expired responses", error))?.rows_affected())
        })
    }

    fn count_responses<'a>(&'a self, subject: &'a Subject) -> BoxFuture<'a, Result<u64, StateError>> {
        Box::pin(async move {
            let count = sqlx::query_scalar::<_, i64>(COUNT).bind(subject.as_str());
            let count = count.fetch_one(&self.readers).await;
            Ok(count.map_err(|error| state_error("count responses", error))?.unsigned_abs())
        })
    }

    fn erase_responses<'a>(
        &'a self,
        subject: &'a Subject,
        limit: u32,
    ) -> BoxFuture<'a, Result<u64, StateError>> {
        Box::pin(async move {
            let query = sqlx::query(ERASE).bind(subject.as_str()).bind(i64::from(limit));
            let erased = query.execute(&self.writer).await;
            Ok(erased.map_err(|error| state_error("erase responses", error))?.rows_affected())
        })
    }
}
