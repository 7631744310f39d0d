//! Runs the audit log's statements.
//!
//! What is asked in which order is `baton-audit`'s business; here values are bound and rows fetched.

use baton_access::BoxFuture;
use baton_audit::{
    Columns, Command, Database, OutcomeRow, Query, Question, Rows, StoreError, Transaction, Value, Words,
};
use baton_model::DecisionId;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{AssertSqlSafe, Decode, Row as _, Sqlite, SqliteExecutor, Type};

use crate::error::audit_error;
use crate::store::SqliteStore;
use crate::text;

/// A row of a table of the log.
#[derive(Debug)]
pub struct Row(SqliteRow);

/// A transaction on the connection that writes.
#[derive(Debug)]
pub struct Writing(sqlx::Transaction<'static, Sqlite>);

impl Database for SqliteStore {
    type Row = Row;
    type Transaction = Writing;

    fn ask<'a>(
        &'a self,
        query: Query,
        values: Vec<Value<'a>>,
    ) -> BoxFuture<'a, Result<Vec<Row>, StoreError>> {
        Box::pin(fetch(&self.readers, query, values))
    }

    fn answer<'a>(&'a self, question: Question<'a>) -> BoxFuture<'a, Result<Vec<Row>, StoreError>> {
        Box::pin(async move {
            let Question { doing, text, values } = question;
            let query = bind(sqlx::query(AssertSqlSafe(text)).persistent(false), values);
            let rows = query.fetch_all(&self.readers).await;
            Ok(rows.map_err(|error| audit_error(doing, error))?.into_iter().map(Row).collect())
        })
    }

    fn words(&self) -> Words {
        text::words()
    }

    /// There are no months in one file.
    fn make_room(&self, _: u64) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async { Ok(()) })
    }

    fn border(&self, before_ms: u64) -> BoxFuture<'_, Result<u64, StoreError>> {
        Box::pin(async move {
            let row = bind(sqlx::query(text::BORDER), vec![before_ms.into()]).fetch_one(&self.readers).await;
            let row = Row(row.map_err(|error| audit_error("look for what is old", error))?);
            Ok(row.number("border")?.and_then(|border| u64::try_from(border).ok()).unwrap_or_default())
        })
    }

    fn begin(&self) -> BoxFuture<'_, Result<Writing, StoreError>> {
        Box::pin(async move {
            let begun = self.begin_writing().await;
            begun.map(Writing).map_err(|error| audit_error("begin a batch", error))
        })
    }
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
            let mut given = Vec::new();
            let mut left = Rows::Outcomes(outcomes);
            while !left.is_empty() {
                let (size, text) = text::rows(left.kind(), left.len());
                let (now, later) = left.split_at(size);
                let rows = bound(text, now.values()?).fetch_all(&mut *self.0).await;
                given.extend(rows.map_err(|error| audit_error("write rows", error))?.into_iter().map(Row));
                left = later;
            }
            Ok(given)
        })
    }

    fn drop_older(&mut self, before_ms: u64) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            let first = DecisionId::from_parts(before_ms, [0; 10]);
            for text in text::DROP_OLDER {
                let values = vec![before_ms.into(), Value::shown(first)];
                let dropped = bound(text, values).execute(&mut *self.0).await;
                dropped.map_err(|error| audit_error("drop what is old", error))?;
            }
            Ok(())
        })
    }

    fn write<'a>(&'a mut self, rows: Rows<'a>) -> BoxFuture<'a, Result<u64, StoreError>> {
        Box::pin(async move {
            let mut written = 0;
            let mut left = rows;
            while !left.is_empty() {
                let (size, text) = text::rows(left.kind(), left.len());
                let (now, later) = left.split_at(size);
                let done = bound(text, now.values()?).execute(&mut *self.0).await;
                written += done.map_err(|error| audit_error("write rows", error))?.rows_affected();
                left = later;
            }
            Ok(written)
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
    fn get<'row, T: Decode<'row, Sqlite> + Type<Sqlite>>(
        &'row self,
        column: &'static str,
    ) -> Result<T, StoreError> {
        self.0.try_get(column).map_err(|error| audit_error("read a column", error))
    }
}

async fn fetch(
    connection: impl SqliteExecutor<'_>,
    query: Query,
    values: Vec<Value<'_>>,
) -> Result<Vec<Row>, StoreError> {
    let rows = bound(text::query(query), values).fetch_all(connection).await;
    let rows = rows.map_err(|error| audit_error(query.doing(), error))?;
    Ok(rows.into_iter().map(Row).collect())
}

fn bound(text: &'static str, values: Vec<Value<'_>>) -> sqlx::query::Query<'static, Sqlite, SqliteArguments> {
    bind(sqlx::query(text), values)
}

fn bind<'q>(
    query: sqlx::query::Query<'q, Sqlite, SqliteArguments>,
    values: Vec<Value<'_>>,
) -> sqlx::query::Query<'q, Sqlite, SqliteArguments> {
    values.into_iter().fold(query, |query, value| match value {
        Value::Text(text) => query.bind(text),
        Value::Number(number) => query.bind(number),
        Value::Flag(flag) => query.bind(flag),
        Value::Bytes(bytes) => query.bind(bytes),
    })
}
