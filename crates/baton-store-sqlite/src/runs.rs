//! The runs' queries.

use std::collections::HashMap;

use baton_model::RunId;
use baton_state::runs::{
    BatchRow, CallKey, CallMark, Change, Claim, ClaimedRow, EventPage, EventRows, Held, Judgement, KnownCall,
    LeaseRow, NewRunRow, Parts, Renewed, RunPage, RunPageStart, RunRow, RunStatus, RunStore, StepRow,
    Stepped, Then, Wake, WholeRunRow, Woken, judge,
};
use baton_state::{BoxFuture, RunColumns, StateError, Subject, from_column, to_column};
use sqlx::{Sqlite, SqliteConnection, SqliteExecutor, Transaction};

use crate::error::state_error;
use crate::store::SqliteStore;

macro_rules! columns {
    () => {
        "id, kind, principal, subject, status, created_ms, ended_ms, expires_ms, due_ms, owner, epoch, \
         cancelled, events, event_bytes"
    };
}

const INSERT: &str = "insert into run (id, kind, principal, subject, status, created_ms, expires_ms, due_ms, \
     owner, epoch, cancelled, events, event_bytes) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, false, 0, 0)";
const IS_DUE: &str = "select exists (select 1 from run where kind = $1 and due_ms <= $2)";
const CLAIM: &str = concat!(
    "update run set owner = $1, epoch = epoch + 1, due_ms = $2, status = 'in_progress' where id in \
     (select id from run where kind = $3 and due_ms <= $4 order by due_ms limit $5) returning ",
    columns!()
);
const PARTS: &str = "select part, body from run_part where run = $1";
const CALLS: &str = "select call, epoch, result from run_call where run = $1";
const RENEW: &str = "update run set due_ms = $3 where id = $1 and epoch = $2 and owner is not null \
     returning cancelled";
const BY_ID: &str = concat!("select ", columns!(), " from run where id = $1");
const STEP: &str = "update run set status = $2, ended_ms = $3, expires_ms = coalesce($4, expires_ms), \
     due_ms = $5, owner = case when $6 then owner end, events = events + $7, event_bytes = event_bytes + $8 \
     where id = $1";
const PUT_PART: &str = "insert into run_part (run, part, body) values ($1, $2, $3) \
     on conflict (run, part) do update set body = excluded.body";
const DROP_ANSWER: &str = "delete from run_part where run = $1 and part = 'answer'";
const ADD_EVENTS: &str =
    "insert into run_event (run, first_seq, last_seq, bytes, body) values ($1, $2, $3, $4, $5)";
const MARK_CALL: &str = "insert into run_call (run, call, epoch, result) values ($1, $2, $3, $4) \
     on conflict (run, call) do update set epoch = excluded.epoch, result = excluded.result";
const CANCEL: &str = "update run set cancelled = true, due_ms = case when owner is null then $3 else due_ms end \
     where id = $1 and principal = $2 and ended_ms is null and expires_ms > $3";
const WAKE: &str = "update run set status = 'in_progress', due_ms = $3 \
     where id = $1 and principal = $2 and expires_ms > $3 and status = 'requires_action' and owner is null";
const GET: &str =
    concat!("select ", columns!(), " from run where id = $1 and principal = $2 and expires_ms > $3");
const DELETE: &str = "delete from run where id = $1 and principal = $2 and expires_ms > $3";
const NEWEST: &str = concat!(
    "select ",
    columns!(),
    " from run where principal = $1 and kind = $2 and expires_ms > $3 and id < $4 order by id desc limit $5"
);
const NEXT_NEWER: &str = concat!(
    "select ",
    columns!(),
    " from run where principal = $1 and kind = $2 and expires_ms > $3 and id > $4 order by id limit $5"
);
const EVENTS: &str = "select first_seq, last_seq, body from ( \
         select first_seq, last_seq, body, bytes, sum(bytes) over (order by last_seq) as total \
         from run_event where run = $1 and last_seq >= $2 order by last_seq limit $4) as page \
     where total - bytes < $3 order by last_seq";
const DROP_EXPIRED: &str = "delete from run where id in \
     (select id from run where expires_ms <= $1 and owner is null order by expires_ms limit $2)";
const COUNT: &str = "select count(*) from run where subject = $1";
const ERASE: &str = "delete from run where id in (select id from run where subject = $1 limit $2)";

/// At most so many batches are read at once, however small they are.
const MOST_BATCHES: i64 = 256;
/// Greater than every id.
const BEYOND: &str = "run~";

impl RunStore for SqliteStore {
    fn insert_run<'a>(&'a self, run: &'a NewRunRow) -> BoxFuture<'a, Result<(), StateError>> {
        Box::pin(async move {
            let failed = |error| state_error("store a run", error);
            let mut transaction = self.begin_step("store a run").await?;
            let is_held = run.owner.is_some();
            let status = if is_held { RunStatus::InProgress } else { RunStatus::Queued };
            let query = sqlx::query(INSERT)
                .bind(run.id.to_string())
                .bind(run.kind.as_str())
                .bind(&run.principal)
                .bind(run.subject.as_str())
                .bind(status.as_str())
                .bind(to_column(run.created_ms))
                .bind(to_column(run.expires_ms))
                .bind(to_column(run.due_ms))
                .bind(&run.owner)
                .bind(i64::from(is_held));
            query.execute(&mut *transaction).await.map_err(failed)?;
            put_part(&mut transaction, run.id, Parts::REQUEST, &run.request).await?;
            transaction.commit().await.map_err(failed)
        })
    }

    fn claim_runs<'a>(&'a self, claim: &'a Claim) -> BoxFuture<'a, Result<Vec<ClaimedRow>, StateError>> {
        Box::pin(async move {
            let failed = |error| state_error("claim runs", error);
            // Who asks often and finds nothing does not keep others from writing.
            let is_due = sqlx::query_scalar::<_, bool>(IS_DUE).bind(claim.kind.as_str());
            let is_due = is_due.bind(to_column(claim.now_ms)).fetch_one(&self.readers).await;
            if !is_due.map_err(failed)? {
                return Ok(Vec::new());
            }
            let mut transaction = self.begin_step("claim runs").await?;
            let query = sqlx::query_as::<_, RunColumns>(CLAIM)
                .bind(&claim.owner)
                .bind(to_column(claim.until_ms))
                .bind(claim.kind.as_str())
                .bind(to_column(claim.now_ms))
                .bind(i64::from(claim.limit));
            let rows = query.fetch_all(&mut *transaction).await.map_err(failed)?;
            let mut claimed = Vec::with_capacity(rows.len());
            for row in &rows {
                let run = RunRow::try_from(row)?;
                let parts = parts(&mut *transaction, run.id).await?;
                let calls = calls(&mut transaction, run.id).await?;
                claimed.push(ClaimedRow { run, parts, calls });
            }
            transaction.commit().await.map_err(failed)?;
            Ok(claimed)
        })
    }

    fn renew_runs<'a>(
        &'a self,
        leases: &'a [LeaseRow],
        until_ms: u64,
    ) -> BoxFuture<'a, Result<Vec<Renewed>, StateError>> {
        Box::pin(async move {
            let failed = |error| state_error("renew leases", error);
            let mut transaction = self.begin_step("renew leases").await?;
            let mut renewed = Vec::with_capacity(leases.len());
            for lease in leases {
                let query =
                    sqlx::query_scalar(RENEW).bind(lease.run.to_string()).bind(to_column(lease.epoch));
                let cancelled = query.bind(to_column(until_ms)).fetch_optional(&mut *transaction).await;
                let cancelled: Option<bool> = cancelled.map_err(failed)?;
                renewed.extend(cancelled.map(|cancelled| Renewed { run: lease.run, cancelled }));
            }
            transaction.commit().await.map_err(failed)?;
            Ok(renewed)
        })
    }

    fn take_steps<'a>(&'a self, steps: &'a [StepRow]) -> BoxFuture<'a, Result<Vec<Stepped>, StateError>> {
        Box::pin(async move {
            let mut transaction = self.begin_step("write a step").await?;
            let mut stepped = Vec::with_capacity(steps.len());
            for step in steps {
                stepped.push(take_step(&mut transaction, step).await?);
            }
            transaction.commit().await.map_err(|error| state_error("write a step", error))?;
            Ok(stepped)
        })
    }

    fn cancel_run<'a>(
        &'a self,
        principal: &'a str,
        id: RunId,
        now_ms: u64,
    ) -> BoxFuture<'a, Result<Option<RunRow>, StateError>> {
        Box::pin(async move {
            let failed = |error| state_error("cancel a run", error);
            let mut transaction = self.begin_step("cancel a run").await?;
            let query = sqlx::query(CANCEL).bind(id.to_string()).bind(principal).bind(to_column(now_ms));
            query.execute(&mut *transaction).await.map_err(failed)?;
            let run = head(&mut *transaction, principal, id, now_ms).await?;
            transaction.commit().await.map_err(failed)?;
            Ok(run)
        })
    }

    fn wake_run<'a>(&'a self, wake: &'a Wake) -> BoxFuture<'a, Result<Option<Woken>, StateError>> {
        Box::pin(async move {
            let failed = |error| state_error("wake a run", error);
            let mut transaction = self.begin_step("wake a run").await?;
            let query = sqlx::query(WAKE).bind(wake.run.to_string()).bind(&wake.principal);
            let woken = query.bind(to_column(wake.now_ms)).execute(&mut *transaction).await;
            let is_woken = woken.map_err(failed)?.rows_affected() > 0;
            if is_woken {
                put_part(&mut transaction, wake.run, Parts::ANSWER, &wake.answer).await?;
            }
            let run = head(&mut *transaction, &wake.principal, wake.run, wake.now_ms).await?;
            transaction.commit().await.map_err(failed)?;
            Ok(run.map(if is_woken { Woken::Woken } else { Woken::NotWaiting }))
        })
    }

    fn run<'a>(
        &'a self,
        principal: &'a str,
        id: RunId,
        now_ms: u64,
    ) -> BoxFuture<'a, Result<Option<WholeRunRow>, StateError>> {
        Box::pin(async move {
            let failed = |error| state_error("read a run", error);
            // In one transaction: a result belongs to the end that is told with it.
            let mut transaction = self.readers.begin().await.map_err(failed)?;
            let Some(run) = head(&mut *transaction, principal, id, now_ms).await? else {
                return Ok(None);
            };
            let parts = parts(&mut *transaction, id).await?;
            transaction.commit().await.map_err(failed)?;
            Ok(Some(WholeRunRow { run, parts }))
        })
    }

    fn delete_run<'a>(
        &'a self,
        principal: &'a str,
        id: RunId,
        now_ms: u64,
    ) -> BoxFuture<'a, Result<bool, StateError>> {
        Box::pin(async move {
            let query = sqlx::query(DELETE).bind(id.to_string()).bind(principal).bind(to_column(now_ms));
            let deleted = query.execute(&self.writer).await;
            Ok(deleted.map_err(|error| state_error("delete a run", error))?.rows_affected() > 0)
        })
    }

    fn runs<'a>(&'a self, page: &'a RunPage) -> BoxFuture<'a, Result<Vec<RunRow>, StateError>> {
        Box::pin(async move {
            let (text, id) = match page.start {
                RunPageStart::Newest => (NEWEST, BEYOND.to_owned()),
                RunPageStart::After(id) => (NEWEST, id.to_string()),
                RunPageStart::Before(id) => (NEXT_NEWER, id.to_string()),
            };
            let query = sqlx::query_as::<_, RunColumns>(text)
                .bind(&page.principal)
                .bind(page.kind.as_str())
                .bind(to_column(page.now_ms))
                .bind(id)
                .bind(i64::from(page.limit));
            let rows =
                query.fetch_all(&self.readers).await.map_err(|error| state_error("list runs", error))?;
            let mut runs = rows.iter().map(RunRow::try_from).collect::<Result<Vec<_>, _>>()?;
            if matches!(page.start, RunPageStart::Before(_)) {
                runs.reverse();
            }
            Ok(runs)
        })
    }

    fn run_events<'a>(&'a self, page: &'a EventPage) -> BoxFuture<'a, Result<Option<EventRows>, StateError>> {
        Box::pin(async move {
            let Some(run) = head(&self.readers, &page.principal, page.run, page.now_ms).await? else {
                return Ok(None);
            };
            let query = sqlx::query_as::<_, (i64, i64, Vec<u8>)>(EVENTS)
                .bind(page.run.to_string())
                .bind(to_column(page.from))
                .bind(to_column(page.bytes.max(1)))
                .bind(MOST_BATCHES);
            let rows = query.fetch_all(&self.readers).await;
            let rows = rows.map_err(|error| state_error("read the events of a run", error))?;
            let batches = rows.into_iter().map(|(first, last, body)| {
                Ok(BatchRow { first: from_column(first)?, last: from_column(last)?, body })
            });
            let batches = batches.collect::<Result<_, StateError>>()?;
            Ok(Some(EventRows { run, batches }))
        })
    }

    fn drop_expired_runs(&self, now_ms: u64, limit: u32) -> BoxFuture<'_, Result<u64, StateError>> {
        Box::pin(async move {
            let query = sqlx::query(DROP_EXPIRED).bind(to_column(now_ms)).bind(i64::from(limit));
            let dropped = query.execute(&self.writer).await;
            Ok(dropped.map_err(|error| state_error("drop expired runs", error))?.rows_affected())
        })
    }

    fn count_runs<'a>(&'a self, subject: &'a Subject) -> BoxFuture<'a, Result<u64, StateError>> {
        Box::pin(async move {
            let count = sqlx::query_scalar::<_, i64>(COUNT).bind(subject.as_str());
            let count = count.fetch_one(&self.readers).await;
            Ok(count.map_err(|error| state_error("count runs", error))?.unsigned_abs())
        })
    }

    fn erase_runs<'a>(&'a self, subject: &'a Subject, limit: u32) -> BoxFuture<'a, Result<u64, StateError>> {
        Box::pin(async move {
            let query = sqlx::query(ERASE).bind(subject.as_str()).bind(i64::from(limit));
            let erased = query.execute(&self.writer).await;
            Ok(erased.map_err(|error| state_error("erase runs", error))?.rows_affected())
        })
    }
}

impl SqliteStore {
    async fn begin_step(&self, doing: &'static str) -> Result<Transaction<'static, Sqlite>, StateError> {
        self.begin_writing().await.map_err(|error| state_error(doing, error))
    }
}

async fn head(
    connection: impl SqliteExecutor<'_>,
    principal: &str,
    id: RunId,
    now_ms: u64,
) -> Result<Option<RunRow>, StateError> {
    let query = sqlx::query_as::<_, RunColumns>(GET).bind(id.to_string()).bind(principal);
    let row = query.bind(to_column(now_ms)).fetch_optional(connection).await;
    let row = row.map_err(|error| state_error("read a run", error))?;
    row.as_ref().map(RunRow::try_from).transpose()
}

async fn parts(connection: impl SqliteExecutor<'_>, run: RunId) -> Result<Parts, StateError> {
    let rows =
        sqlx::query_as::<_, (String, Vec<u8>)>(PARTS).bind(run.to_string()).fetch_all(connection).await;
    let rows = rows.map_err(|error| state_error("read the parts of a run", error))?;
    let mut parts = Parts::default();
    for (part, body) in rows {
        parts.put(&part, body)?;
    }
    Ok(parts)
}

async fn calls(connection: &mut SqliteConnection, run: RunId) -> Result<Vec<KnownCall>, StateError> {
    let query = sqlx::query_as::<_, (String, i64, Option<Vec<u8>>)>(CALLS).bind(run.to_string());
    let rows = query.fetch_all(connection).await;
    let rows = rows.map_err(|error| state_error("read the calls of a run", error))?;
    let calls = rows.into_iter().map(|(call, epoch, result)| {
        Ok(KnownCall { call: CallKey::from_stored(call), epoch: from_column(epoch)?, result })
    });
    calls.collect()
}

async fn put_part(
    connection: &mut SqliteConnection,
    run: RunId,
    part: &'static str,
    body: &[u8],
) -> Result<(), StateError> {
    let put = sqlx::query(PUT_PART).bind(run.to_string()).bind(part).bind(body).execute(connection).await;
    put.map(drop).map_err(|error| state_error("write a part of a run", error))
}

async fn take_step(connection: &mut SqliteConnection, step: &StepRow) -> Result<Stepped, StateError> {
    let row = sqlx::query_as::<_, RunColumns>(BY_ID).bind(step.run.to_string());
    let row = row.fetch_optional(&mut *connection).await;
    let row = row.map_err(|error| state_error("read a run", error))?;
    let held = row.as_ref().map(Held::try_from).transpose()?;
    let known = if step.calls.is_empty() { Vec::new() } else { calls(&mut *connection, step.run).await? };
    let known: HashMap<_, _> = known.iter().map(|known| (&known.call, known)).collect();
    match judge(held.as_ref(), |call| known.get(call).copied(), step) {
        Judgement::Answer(stepped) => Ok(stepped),
        Judgement::Write(change) => {
            write_step(connection, step, &change).await?;
            Ok(Stepped::Done { cancelled: change.cancelled })
        }
    }
}

async fn write_step(
    connection: &mut SqliteConnection,
    step: &StepRow,
    change: &Change,
) -> Result<(), StateError> {
    let failed = |error| state_error("write a step", error);
    let run = step.run.to_string();
    let query = sqlx::query(STEP)
        .bind(&run)
        .bind(change.status.as_str())
        .bind(change.ended_ms.map(to_column))
        .bind(change.expires_ms.map(to_column))
        .bind(change.due_ms.map(to_column))
        .bind(change.is_kept)
        .bind(to_column(change.events))
        .bind(to_column(change.event_bytes));
    query.execute(&mut *connection).await.map_err(failed)?;
    if let Some(checkpoint) = &step.checkpoint {
        put_part(connection, step.run, Parts::CHECKPOINT, checkpoint).await?;
    }
    if let Then::End { result, .. } = &step.then {
        put_part(connection, step.run, Parts::RESULT, result).await?;
    }
    if change.awaits_answer {
        sqlx::query(DROP_ANSWER).bind(&run).execute(&mut *connection).await.map_err(failed)?;
    }
    if let Some(batch) = &step.events {
        let last = step.before.saturating_add(batch.count).saturating_sub(1);
        let query = sqlx::query(ADD_EVENTS).bind(&run).bind(to_column(step.before)).bind(to_column(last));
        let query = query.bind(to_column(batch.bytes)).bind(&batch.body);
        query.execute(&mut *connection).await.map_err(failed)?;
    }
    for mark in &step.calls {
        let result = match mark {
            CallMark::Begun(_) | CallMark::BegunAgain(_) => None,
            CallMark::Ended(_, result) => Some(result),
        };
        let query = sqlx::query(MARK_CALL).bind(&run).bind(mark.call().as_str());
        let query = query.bind(to_column(step.epoch)).bind(result);
        query.execute(&mut *connection).await.map_err(failed)?;
    }
    Ok(())
}
