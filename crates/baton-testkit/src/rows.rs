//! Reads the decisions of a store by SQL, past the crates that wrote them.
//!
//! - Start with [`decisions`].

use std::path::Path;

use anyhow::Context;
use sqlx::Connection;
use sqlx::postgres::PgConnection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};

use crate::checker::DecisionRow;

/// Where a gateway keeps its decisions.
#[derive(Clone, Debug)]
pub enum Store<'a> {
    /// The embedded store in a data directory.
    Embedded(&'a Path),
    /// A Postgres at this URL.
    Postgres(&'a str),
}

type Columns = (String, String, String, i64, String, Option<String>, i64, Option<String>);

const QUERY: &str = "select id, run, boot, seq, kind, end_user, \
    cast(case when attempt = TRUE then 1 else 0 end as bigint), status from decision order by id";

/// Every decision in the store.
///
/// # Errors
/// When the store cannot be read.
pub async fn decisions(store: &Store<'_>) -> anyhow::Result<Vec<DecisionRow>> {
    let rows: Vec<Columns> = match store {
        Store::Embedded(folder) => {
            let options = SqliteConnectOptions::new().filename(folder.join("baton.db"));
            let mut connection =
                SqliteConnection::connect_with(&options).await.context("opening the embedded store")?;
            sqlx::query_as(QUERY).fetch_all(&mut connection).await
        }
        Store::Postgres(url) => {
            let mut connection = PgConnection::connect(url).await.context("connecting to the store")?;
            sqlx::query_as(QUERY).fetch_all(&mut connection).await
        }
    }
    .context("reading the decisions")?;
    Ok(rows.into_iter().map(row).collect())
}

fn row((id, run, boot, seq, kind, end_user, attempt, status): Columns) -> DecisionRow {
    DecisionRow { id, run, boot, seq, kind, end_user, attempt: attempt != 0, status }
}
