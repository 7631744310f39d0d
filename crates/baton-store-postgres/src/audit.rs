//! Runs the audit log's statements.
//!
//! What is asked in which order is `baton-audit`'s business; here values are bound and rows fetched.

use baton_access::BoxFuture;
use baton_audit::{
    Column, ColumnKind, Columns, Command, Database, OutcomeRow, Query, Question, Rows, RowsKind, StoreError,
    Transaction, Value, Words,
};
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::{AssertSqlSafe, Connection as _, Decode, PgExecutor, PgPool, Postgres, Row as _, Type};

use crate::error::audit_error;
use crate::store::PostgresStore;
use crate::text;

/// What came late to a month has come by then.
const MONTH_SETTLED_MS: u64 = 2 * 86_400_000;

/// A row of a table of the log.
#[derive(Debug)]
pub struct Row(PgRow);

/// A transaction that writes.
#[derive(Debug)]
pub struct Writing(sqlx::Transaction<'static, Postgres>);

impl Database for PostgresStore {
    type Row = Row;
    type Transaction = Writing;

    fn ask<'a>(
        &'a self,
        query: Query,
        values: Vec<Value<'a>>,
    ) -> BoxFuture<'a, Result<Vec<Row>, StoreError>> {
        Box::pin(async move { fetch(self.pool_for_audit().await?, query, values).await })
    }

    /// Planned anew each time: what is bound says which index leads to few rows.
    fn answer<'a>(&'a self, question: Question<'a>) -> BoxFuture<'a, Result<Vec<Row>, StoreError>> {
        Box::pin(async move {
            let Question { doing, text, values } = question;
            let query = bind(sqlx::query(AssertSqlSafe(text)).persistent(false), values);
            let rows = query.fetch_all(self.pool_for_audit().await?).await;
            Ok(rows.map_err(|error| audit_error(doing, error))?.into_iter().map(Row).collect())
        })
    }

    fn words(&self) -> Words {
        text::words()
    }

    fn make_room(&self, now_ms: u64) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            let query = bind(sqlx::query(text::MAKE_ROOM), vec![now_ms.into()]);
            let made = query.execute(self.pool_for_audit().await?).await;
            made.map_err(|error| audit_error("make room for months", error))?;
            compact(self.pool_for_audit().await?, now_ms).await
        })
    }

    fn border(&self, before_ms: u64) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(async move {
            let query = bind(sqlx::query(text::BORDER), vec![before_ms.into()]);
            let row = query.fetch_one(self.pool_for_audit().await?).await;
            let row = Row(row.map_err(|error| audit_error("look for what is old", error))?);
            Ok(row.number("border")?.and_then(|border| u64::try_from(border).ok()).unwrap_or_default())
        })
    }

    fn begin(&self) -> BoxFuture<'_, Result<Writing, StoreError>> {
        Box::pin(async move {
            let begun = self.pool_for_audit().await?.begin().await;
            begun.map(Writing).map_err(|error| audit_error("begin a batch", error))
        })
    }
}

/// Makes the indexes of months again that are over: rows come in the order of time and not of what the indexes are by,
/// which leaves their pages half empty. Nobody waits for it, and a month that cannot be done stays as it is.
async fn compact(pool: &PgPool, now_ms: u64) -> Result<(), StoreError> {
    let doing = |error| audit_error("make indexes of old months again", error);
    let over = bind(sqlx::query(text::MONTHS_OVER), vec![now_ms.saturating_sub(MONTH_SETTLED_MS).into()]);
    for month in over.fetch_all(pool).await.map_err(doing)? {
        let name: String = month.try_get("name").map_err(doing)?;
        // Of several replicas one does it.
        let claimed = sqlx::query(text::CLAIM_MONTH).bind(&name).execute(pool).await.map_err(doing)?;
        if claimed.rows_affected() == 0 {
            continue;
        }
        let mut connection = pool.acquire().await.map_err(doing)?;
        sqlx::query("set statement_timeout = 0").execute(&mut *connection).await.map_err(doing)?;
        let text = format!("reindex table concurrently {}", quoted(&name));
        let done = sqlx::query(AssertSqlSafe(text)).persistent(false).execute(&mut *connection).await;
        // What was set for this is not for others.
        connection.detach().close().await.map_err(doing)?;
        if let Err(error) = done {
            tracing::warn!(month = %name, %error, "the indexes of an old month stay as they are");
        }
    }
    Ok(())
}

/// A name of a table as SQL has it. The names are made by the migrations.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

impl Transaction for Writing {
    type Row = Row;

    fn ask<'a>(
        &'a mut self,
        query: Query,
        values: Vec<Value<'a>>,
    ) -> BoxFuture<'a, Result<Vec<Row>, StoreError>> {
        Box::pin(fetch(&mut *self.0, query, values))
    }

    fn run<'a>(
        &'a mut self,
        command: Command,
        values: Vec<Value<'a>>,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let done = bound(text::command(command), values).execute(&mut *self.0).await;
            done.map(drop).map_err(|error| audit_error(command.doing(), error))
        })
    }

    fn give<'a>(&'a mut self, outcomes: &'a [OutcomeRow]) -> BoxFuture<'a, Result<Vec<Row>, StoreError>> {
        Box::pin(async move {
            let ids = || outcomes.iter().map(|outcome| outcome.decision);
            let [least, most] = [ids().min(), ids().max()].map(|id| id.map(|id| id.to_string()));
            let rows = Rows::Outcomes(outcomes);
            let values = rows.values()?;
            let query = bind_lists(text::give(), rows.kind(), &values).bind(least).bind(most);
            let given = query.fetch_all(&mut *self.0).await;
            Ok(given.map_err(|error| audit_error("write rows", error))?.into_iter().map(Row).collect())
        })
    }

    fn drop_older(&mut self, before_ms: u64) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            let dropped =
                bind(sqlx::query(text::DROP_OLDER), vec![before_ms.into()]).execute(&mut *self.0).await;
            dropped.map(drop).map_err(|error| audit_error("drop what is old", error))
        })
    }

    fn write<'a>(&'a mut self, rows: Rows<'a>) -> BoxFuture<'a, Result<u64, StoreError>> {
        Box::pin(async move {
            if let Rows::Outcomes(outcomes) = rows {
                return Ok(self.give(outcomes).await?.len() as u64);
            }
            let values = rows.values()?;
            let query = bind_lists(text::rows(rows.kind()), rows.kind(), &values);
            let done = query.execute(&mut *self.0).await;
            Ok(done.map_err(|error| audit_error("write rows", error))?.rows_affected())
        })
    }

    fn commit(self) -> BoxFuture<'static, Result<(), StoreError>> {
        Box::pin(async move { self.0.commit().await.map_err(|error| audit_error("commit a batch", error)) })
    }
}

impl Columns for Row {
    fn text(&self, column: &'static str) -> Result<Option<String>, StoreError> {
        self.get(column)
    }

    fn number(&self, column: &'static str) -> Result<Option<i64>, StoreError> {
        self.get(column)
    }

    fn flag(&self, column: &'static str) -> Result<bool, StoreError> {
        self.get(column)
    }

    fn bytes(&self, column: &'static str) -> Result<Vec<u8>, StoreError> {
        self.get(column)
    }
}

impl Row {
    fn get<'row, T: Decode<'row, Postgres> + Type<Postgres>>(
        &'row self,
        column: &'static str,
    ) -> Result<T, StoreError> {
        self.0.try_get(column).map_err(|error| audit_error("read a column", error))
    }
}

/// The values of one column in many rows.
enum List<'a> {
    Texts(Vec<Option<&'a str>>),
    Numbers(Vec<Option<i64>>),
    Flags(Vec<bool>),
}

impl<'a> List<'a> {
    fn new(column: Column, values: impl Iterator<Item = &'a Value<'a>>) -> Self {
        match column.kind {
            ColumnKind::Text | ColumnKind::Json => Self::Texts(values.map(text_of).collect()),
            ColumnKind::Number => Self::Numbers(values.map(number_of).collect()),
            ColumnKind::Flag => Self::Flags(values.map(|value| *value == Value::Flag(true)).collect()),
        }
    }
}

fn text_of<'a>(value: &'a Value<'_>) -> Option<&'a str> {
    match value {
        Value::Text(text) => text.as_deref(),
        Value::Number(_) | Value::Flag(_) | Value::Bytes(_) => None,
    }
}

fn number_of(value: &Value<'_>) -> Option<i64> {
    match value {
        Value::Number(number) => *number,
        Value::Text(_) | Value::Flag(_) | Value::Bytes(_) => None,
    }
}

async fn fetch(
    connection: impl PgExecutor<'_>,
    query: Query,
    values: Vec<Value<'_>>,
) -> Result<Vec<Row>, StoreError> {
    let rows = bound(text::query(query), values).fetch_all(connection).await;
    let rows = rows.map_err(|error| audit_error(query.doing(), error))?;
    Ok(rows.into_iter().map(Row).collect())
}

/// One list for each column.
fn bind_lists<'a>(
    text: &'static str,
    kind: RowsKind,
    values: &'a [Value<'a>],
) -> sqlx::query::Query<'a, Postgres, PgArguments> {
    let columns = kind.columns();
    let lists = (0..)
        .zip(&columns)
        .map(|(at, column)| List::new(*column, values.iter().skip(at).step_by(columns.len())));
    lists.fold(sqlx::query(text), |query, list| match list {
        List::Texts(texts) => query.bind(texts),
        List::Numbers(numbers) => query.bind(numbers),
        List::Flags(flags) => query.bind(flags),
    })
}

fn bound(text: &'static str, values: Vec<Value<'_>>) -> sqlx::query::Query<'static, Postgres, PgArguments> {
    bind(sqlx::query(text), values)
}

fn bind<'q>(
    query: sqlx::query::Query<'q, Postgres, PgArguments>,
    values: Vec<Value<'_>>,
) -> sqlx::query::Query<'q, Postgres, PgArguments> {
    values.into_iter().fold(query, |query, value| match value {
        Value::Text(text) => query.bind(text),
        Value::Number(number) => query.bind(number),
        Value::Flag(flag) => query.bind(flag),
        Value::Bytes(bytes) => query.bind(bytes),
    })
}
