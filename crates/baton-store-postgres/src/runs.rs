//! The runs' queries.

use std::collections::HashMap;

use baton_model::{IdError, RunId};
use baton_state::runs::{
    BatchRow, CallKey, CallMark, Change, Claim, ClaimedRow, EventPage, EventRows, Held, Judgement, KnownCall,
    LeaseRow, NewRunRow, Parts, Renewed, RunPage, RunPageStart, RunRow, RunStatus, RunStore, StepRow,
    Stepped, Then, Wake, WholeRunRow, Woken, judge,
};
use baton_state::{BoxFuture, RunColumns, StateError, StateErrorKind, Subject, from_column, to_column};
use sqlx::{PgConnection, PgExecutor, Postgres, Transaction};

use crate::error::state_error;
use crate::store::PostgresStore;

macro_rules! columns {
    () => {
        "id, kind, principal, subject, status, created_ms, ended_ms, expires_ms, due_ms, owner, epoch, \
         cancelled, events, event_bytes"
    };
}

const INSERT: &str = "insert into run (id, kind, principal, subject, status, created_ms, expires_ms, due_ms, \
     owner, epoch, cancelled, events, event_bytes) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, false, 0, 0)";
// What is locked is chosen once, as an array: a subquery may be run again for each row.
const CLAIM: &str = concat!(
    "update run set owner = $1, epoch = epoch + 1, due_ms = $2, status = 'in_progress' where id = any(array( \
     select id from run where kind = $3 and due_ms <= $4 order by due_ms limit $5 for update skip locked)) \
     returning ",
    columns!()
);
const PARTS: &str = "select run, part, body from run_part where run = any($1)";
const CALLS: &str = "select run, call, epoch, result from run_call where run = any($1)";
// Locked in the order of their ids, as steps are: so no two of them wait for each other.
const RENEW: &str = "with held as ( \
         select r.id from run r join unnest($1::text[], $2::bigint[]) as l (id, epoch) on l.id = r.id \
         where r.epoch = l.epoch and r.owner is not null order by r.id for update of r) \
     update run r set due_ms = $3 from held h where r.id = h.id returning r.id, r.cancelled";
const HOLD: &str = concat!("select ", columns!(), " from run where id = any($1) order by id for update");
const STEP: &str = "update run r set status = s.status, ended_ms = s.ended_ms, \
         expires_ms = coalesce(s.expires_ms, r.expires_ms), due_ms = s.due_ms, \
         owner = case when s.is_kept then r.owner end, events = r.events + s.events, \
         event_bytes = r.event_bytes + s.event_bytes \
     from unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::boolean[], \
         $7::bigint[], $8::bigint[]) \
         as s (id, status, ended_ms, expires_ms, due_ms, is_kept, events, event_bytes) \
     where r.id = s.id";
const PUT_PARTS: &str = "insert into run_part (run, part, body) \
     select * from unnest($1::text[], $2::text[], $3::bytea[]) \
     on conflict (run, part) do update set body = excluded.body";
const DROP_ANSWERS: &str = "delete from run_part where run = any($1) and part = 'answer'";
const ADD_EVENTS: &str = "insert into run_event (run, first_seq, last_seq, bytes, body) \
     select * from unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bytea[])";
const MARK_CALLS: &str = "insert into run_call (run, call, epoch, result) \
     select * from unnest($1::text[], $2::text[], $3::bigint[], $4::bytea[]) \
     on conflict (run, call) do update set epoch = excluded.epoch, result = excluded.result";
const CANCEL: &str = "update run set cancelled = true, due_ms = case when owner is null then $3 else due_ms end \
     where id = $1 and principal = $2 and ended_ms is null and expires_ms > $3";
const WAKE: &str = "update run set status = 'in_progress', due_ms = $3 \
     where id = $1 and principal = $2 and expires_ms > $3 and status = 'requires_action' and owner is null";
const ONE_MOMENT: &str = "set transaction isolation level repeatable read, read only";
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
         select first_seq, last_seq, body, bytes, sum(bytes) over (order by last_seq)::bigint as total \
         from run_event where run = $1 and last_seq >= $2 order by last_seq limit $4) as page \
     where total - bytes < $3 order by last_seq";
const DROP_EXPIRED: &str = "delete from run where id = any(array( \
     select id from run where expires_ms <= $1 and owner is null order by expires_ms limit $2 \
     for update skip locked))";
const COUNT: &str = "select count(*) from run where subject = $1";
const ERASE: &str = "delete from run where id = any(array( \
     select id from run where subject = $1 order by id limit $2 for update))";

/// At most so many batches are read at once, however small they are.
const MOST_BATCHES: i64 = 256;
/// Greater than every id.
const BEYOND: &str = "run~";

impl RunStore for PostgresStore {
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
            put_parts(&mut transaction, &[(run.id, Parts::REQUEST, &run.request)]).await?;
            transaction.commit().await.map_err(failed)
        })
    }

    fn claim_runs<'a>(&'a self, claim: &'a Claim) -> BoxFuture<'a, Result<Vec<ClaimedRow>, StateError>> {
        Box::pin(async move {
            let failed = |error| state_error("claim runs", error);
            let mut transaction = self.begin_step("claim runs").await?;
            let query = sqlx::query_as::<_, RunColumns>(CLAIM)
                .bind(&claim.owner)
                .bind(to_column(claim.until_ms))
                .bind(claim.kind.as_str())
                .bind(to_column(claim.now_ms))
                .bind(i64::from(claim.limit));
            let rows = query.fetch_all(&mut *transaction).await.map_err(failed)?;
            let runs = rows.iter().map(RunRow::try_from).collect::<Result<Vec<_>, _>>()?;
            let ids: Vec<_> = runs.iter().map(|run| run.id).collect();
            let mut parts = parts(&mut *transaction, &ids).await?;
            let mut calls = calls(&mut *transaction, &ids).await?;
            let claimed = runs.into_iter().map(|run| ClaimedRow {
                parts: parts.remove(&run.id).unwrap_or_default(),
                calls: calls.remove(&run.id).unwrap_or_default(),
                run,
            });
            let claimed = claimed.collect();
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
            let (ids, epochs): (Vec<_>, Vec<_>) =
                leases.iter().map(|lease| (lease.run.to_string(), to_column(lease.epoch))).unzip();
            let query = sqlx::query_as::<_, (String, bool)>(RENEW).bind(ids).bind(epochs);
            let rows = query.bind(to_column(until_ms)).fetch_all(self.pool_for_state().await?).await;
            let rows = rows.map_err(|error| state_error("renew leases", error))?;
            let renewed =
                rows.into_iter().map(|(id, cancelled)| Ok(Renewed { run: read_id(&id)?, cancelled }));
            renewed.collect()
        })
    }

    fn take_steps<'a>(&'a self, steps: &'a [StepRow]) -> BoxFuture<'a, Result<Vec<Stepped>, StateError>> {
        Box::pin(async move {
            let mut transaction = self.begin_step("write a step").await?;
            let ids: Vec<_> = steps.iter().map(|step| step.run.to_string()).collect();
            let rows = sqlx::query_as::<_, RunColumns>(HOLD).bind(ids).fetch_all(&mut *transaction).await;
            let rows = rows.map_err(|error| state_error("read runs", error))?;
            let held = rows.iter().map(|row| Ok((read_id(&row.0)?, Held::try_from(row)?)));
            let held = held.collect::<Result<HashMap<_, _>, StateError>>()?;
            let calling: Vec<_> =
                steps.iter().filter(|step| !step.calls.is_empty()).map(|step| step.run).collect();
            let known =
                if calling.is_empty() { HashMap::new() } else { calls(&mut *transaction, &calling).await? };
            let known_call = |run: RunId, call: &CallKey| {
                known.get(&run).and_then(|calls| calls.iter().find(|known| known.call == *call))
            };
            let judge = |step: &StepRow| judge(held.get(&step.run), |call| known_call(step.run, call), step);
            let (mut changes, mut stepped) = (Vec::new(), Vec::with_capacity(steps.len()));
            for step in steps {
                stepped.push(match judge(step) {
                    Judgement::Answer(stepped) => stepped,
                    Judgement::Write(change) => {
                        changes.push((step, change));
                        Stepped::Done { cancelled: change.cancelled }
                    }
                });
            }
            if !changes.is_empty() {
                write_steps(&mut transaction, &changes).await?;
            }
            // Without changes too: a transaction that is dropped keeps its locks until the connection is used again.
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
                put_parts(&mut transaction, &[(wake.run, Parts::ANSWER, &wake.answer)]).await?;
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
            let mut transaction = self.pool_for_state().await?.begin().await.map_err(failed)?;
            sqlx::query(ONE_MOMENT).execute(&mut *transaction).await.map_err(failed)?;
            let Some(run) = head(&mut *transaction, principal, id, now_ms).await? else {
                return Ok(None);
            };
            let parts = parts(&mut *transaction, &[id]).await?.remove(&id).unwrap_or_default();
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
            let deleted = query.execute(self.pool_for_state().await?).await;
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
            let rows = query
                .fetch_all(self.pool_for_state().await?)
                .await
                .map_err(|error| state_error("list runs", error))?;
            let mut runs = rows.iter().map(RunRow::try_from).collect::<Result<Vec<_>, _>>()?;
            if matches!(page.start, RunPageStart::Before(_)) {
                runs.reverse();
            }
            Ok(runs)
        })
    }

    fn run_events<'a>(&'a self, page: &'a EventPage) -> BoxFuture<'a, Result<Option<EventRows>, StateError>> {
        Box::pin(async move {
            let Some(run) =
                head(self.pool_for_state().await?, &page.principal, page.run, page.now_ms).await?
            else {
                return Ok(None);
            };
            let query = sqlx::query_as::<_, (i64, i64, Vec<u8>)>(EVENTS)
                .bind(page.run.to_string())
                .bind(to_column(page.from))
                .bind(to_column(page.bytes.max(1)))
                .bind(MOST_BATCHES);
            let rows = query.fetch_all(self.pool_for_state().await?).await;
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
            let dropped = query.execute(self.pool_for_state().await?).await;
            Ok(dropped.map_err(|error| state_error("drop expired runs", error))?.rows_affected())
        })
    }

    fn count_runs<'a>(&'a self, subject: &'a Subject) -> BoxFuture<'a, Result<u64, StateError>> {
        Box::pin(async move {
            let count = sqlx::query_scalar::<_, i64>(COUNT).bind(subject.as_str());
            let count = count.fetch_one(self.pool_for_state().await?).await;
            Ok(count.map_err(|error| state_error("count runs", error))?.unsigned_abs())
        })
    }

    fn erase_runs<'a>(&'a self, subject: &'a Subject, limit: u32) -> BoxFuture<'a, Result<u64, StateError>> {
        Box::pin(async move {
            let query = sqlx::query(ERASE).bind(subject.as_str()).bind(i64::from(limit));
            let erased = query.execute(self.pool_for_state().await?).await;
            Ok(erased.map_err(|error| state_error("erase runs", error))?.rows_affected())
        })
    }
}

impl PostgresStore {
    async fn begin_step(&self, doing: &'static str) -> Result<Transaction<'static, Postgres>, StateError> {
        let begun = self.pool_for_state().await?.begin().await;
        begun.map_err(|error| state_error(doing, error))
    }
}

async fn head(
    connection: impl PgExecutor<'_>,
    principal: &str,
    id: RunId,
    now_ms: u64,
) -> Result<Option<RunRow>, StateError> {
    let query = sqlx::query_as::<_, RunColumns>(GET).bind(id.to_string()).bind(principal);
    let row = query.bind(to_column(now_ms)).fetch_optional(connection).await;
    let row = row.map_err(|error| state_error("read a run", error))?;
    row.as_ref().map(RunRow::try_from).transpose()
}

async fn parts(connection: impl PgExecutor<'_>, runs: &[RunId]) -> Result<HashMap<RunId, Parts>, StateError> {
    let query = sqlx::query_as::<_, (String, String, Vec<u8>)>(PARTS).bind(texts(runs));
    let rows = query.fetch_all(connection).await;
    let rows = rows.map_err(|error| state_error("read the parts of a run", error))?;
    let mut parts = HashMap::<_, Parts>::new();
    for (run, part, body) in rows {
        parts.entry(read_id(&run)?).or_default().put(&part, body)?;
    }
    Ok(parts)
}

async fn calls(
    connection: impl PgExecutor<'_>,
    runs: &[RunId],
) -> Result<HashMap<RunId, Vec<KnownCall>>, StateError> {
    let query = sqlx::query_as::<_, (String, String, i64, Option<Vec<u8>>)>(CALLS).bind(texts(runs));
    let rows = query.fetch_all(connection).await;
    let rows = rows.map_err(|error| state_error("read the calls of a run", error))?;
    let mut calls = HashMap::<_, Vec<_>>::new();
    for (run, call, epoch, result) in rows {
        let known = KnownCall { call: CallKey::from_stored(call), epoch: from_column(epoch)?, result };
        calls.entry(read_id(&run)?).or_default().push(known);
    }
    Ok(calls)
}

async fn put_parts(
    connection: &mut PgConnection,
    parts: &[(RunId, &'static str, &[u8])],
) -> Result<(), StateError> {
    if parts.is_empty() {
        return Ok(());
    }
    let query = sqlx::query(PUT_PARTS)
        .bind(list(parts, |(run, ..)| run.to_string()))
        .bind(list(parts, |(_, part, _)| *part))
        .bind(list(parts, |(.., body)| *body));
    let put = query.execute(connection).await;
    put.map(drop).map_err(|error| state_error("write parts of runs", error))
}

/// Writes steps of as many runs in as many statements as for one.
async fn write_steps(
    connection: &mut PgConnection,
    changes: &[(&StepRow, Change)],
) -> Result<(), StateError> {
    let failed = |error| state_error("write a step", error);
    let query = sqlx::query(STEP)
        .bind(list(changes, |(step, _)| step.run.to_string()))
        .bind(list(changes, |(_, change)| change.status.as_str()))
        .bind(list(changes, |(_, change)| change.ended_ms.map(to_column)))
        .bind(list(changes, |(_, change)| change.expires_ms.map(to_column)))
        .bind(list(changes, |(_, change)| change.due_ms.map(to_column)))
        .bind(list(changes, |(_, change)| change.is_kept))
        .bind(list(changes, |(_, change)| to_column(change.events)))
        .bind(list(changes, |(_, change)| to_column(change.event_bytes)));
    query.execute(&mut *connection).await.map_err(failed)?;
    let parts = changes.iter().flat_map(|(step, _)| parts_of(step));
    put_parts(connection, &parts.collect::<Vec<_>>()).await?;
    let waiting: Vec<_> =
        changes.iter().filter(|(_, change)| change.awaits_answer).map(|(step, _)| step.run).collect();
    if !waiting.is_empty() {
        sqlx::query(DROP_ANSWERS).bind(texts(&waiting)).execute(&mut *connection).await.map_err(failed)?;
    }
    let batches = changes.iter().filter_map(|(step, _)| Some((step, step.events.as_ref()?)));
    let batches: Vec<_> = batches.collect();
    if !batches.is_empty() {
        let query = sqlx::query(ADD_EVENTS)
            .bind(list(&batches, |(step, _)| step.run.to_string()))
            .bind(list(&batches, |(step, _)| to_column(step.before)))
            .bind(list(&batches, |(step, batch)| to_column(step.before + batch.count) - 1))
            .bind(list(&batches, |(_, batch)| to_column(batch.bytes)))
            .bind(list(&batches, |(_, batch)| batch.body.as_slice()));
        query.execute(&mut *connection).await.map_err(failed)?;
    }
    let marks = changes.iter().flat_map(|(step, _)| last_marks(step));
    let marks: Vec<_> = marks.collect();
    if !marks.is_empty() {
        let query = sqlx::query(MARK_CALLS)
            .bind(list(&marks, |(step, _)| step.run.to_string()))
            .bind(list(&marks, |(_, mark)| mark.call().as_str()))
            .bind(list(&marks, |(step, _)| to_column(step.epoch)))
            .bind(list(&marks, |(_, mark)| result_of(mark)));
        query.execute(connection).await.map_err(failed)?;
    }
    Ok(())
}

fn parts_of(step: &StepRow) -> impl Iterator<Item = (RunId, &'static str, &[u8])> {
    let checkpoint = step.checkpoint.as_deref().map(|body| (step.run, Parts::CHECKPOINT, body));
    let result = match &step.then {
        Then::End { result, .. } => Some((step.run, Parts::RESULT, result.as_slice())),
        Then::Hold { .. } | Then::Rest { .. } => None,
    };
    checkpoint.into_iter().chain(result)
}

/// What is said of each call last: a statement may not change a row twice.
fn last_marks(step: &StepRow) -> impl Iterator<Item = (&StepRow, &CallMark)> {
    let is_last = |number: usize, mark: &CallMark| {
        step.calls.iter().skip(number + 1).all(|later| later.call() != mark.call())
    };
    let marks = step.calls.iter().enumerate().filter(move |(number, mark)| is_last(*number, mark));
    marks.map(move |(_, mark)| (step, mark))
}

fn result_of(mark: &CallMark) -> Option<&[u8]> {
    match mark {
        CallMark::Begun(_) | CallMark::BegunAgain(_) => None,
        CallMark::Ended(_, result) => Some(result),
    }
}

fn list<'a, T, V>(rows: &'a [T], value: impl Fn(&'a T) -> V) -> Vec<V> {
    rows.iter().map(value).collect()
}

fn texts(runs: &[RunId]) -> Vec<String> {
    list(runs, RunId::to_string)
}

fn read_id(text: &str) -> Result<RunId, StateError> {
    let id = text.parse();
    id.map_err(|error: IdError| {
        StateError::new(StateErrorKind::Corrupt, "the store holds an id that is none").with_source(error)
    })
}
