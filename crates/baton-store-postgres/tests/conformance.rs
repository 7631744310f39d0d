//! Runs the suite that both stores have to pass, each test in a database of its own.
//!
//! `TEST_DATABASE_URL` names a server and a user who may create databases. Without it the tests are
//! skipped, loudly; in CI they fail.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::env;
use std::io::Write as _;
use std::str::FromStr as _;
use std::sync::{Arc, Once};

use baton_access::{BoxFuture, KeyStore, KeyStoreErrorKind, PolicyStore};
use baton_audit::{AuditStore, Block, StoreErrorKind};
use baton_store_postgres::{PostgresOptions, PostgresStore};
use baton_testkit::conformance::StoreUnderTest;
use baton_testkit::store_conformance;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection, PgPool};

static SAID: Once = Once::new();
const SKIPPED: &str = "\nSKIPPED: TEST_DATABASE_URL is not set, the PostgreSQL store was NOT tested\n";

struct Fresh {
    store: PostgresStore,
    raw: PgPool,
    server: PgConnectOptions,
    database: String,
}

async fn open() -> Option<Fresh> {
    let Some(url) = env::var("TEST_DATABASE_URL").ok().filter(|url| !url.is_empty()) else {
        assert_ne!(
            env::var("CI").as_deref(),
            Ok("true"),
            "TEST_DATABASE_URL is not set: in CI nothing is skipped"
        );
        // Not by a macro: what a passing test prints is kept from view.
        SAID.call_once(|| {
            let said = std::io::stderr().write_all(SKIPPED.as_bytes());
            said.unwrap();
        });
        return None;
    };
    let server = PgConnectOptions::from_str(&url).unwrap();
    let number = baton_audit::IdSource::default().boot().uuid().simple().to_string();
    let database = format!("baton_test_{number}");
    let mut connection = PgConnection::connect_with(&server).await.unwrap();
    let create = format!("create database {database} template template0");
    sqlx::query(AssertSqlSafe(create)).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    let options = server.clone().database(&database);
    let store =
        PostgresStore::connect(options.to_url_lossy().as_str(), PostgresOptions::STANDARD).await.unwrap();
    let raw = PgPool::connect_with(options).await.unwrap();
    Some(Fresh { store, raw, server, database })
}

impl StoreUnderTest for Fresh {
    fn audit(&self) -> Arc<dyn AuditStore> {
        Arc::new(self.store.clone())
    }

    fn keys(&self) -> Arc<dyn KeyStore> {
        Arc::new(self.store.clone())
    }

    fn policies(&self) -> Arc<dyn PolicyStore> {
        Arc::new(self.store.clone())
    }

    fn execute<'a>(&'a self, statement: &'a str) -> BoxFuture<'a, Result<u64, String>> {
        Box::pin(async move {
            let done = sqlx::query(AssertSqlSafe(statement.to_owned())).execute(&self.raw).await;
            done.map(|done| done.rows_affected()).map_err(|error| error.to_string())
        })
    }

    fn disarm(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            for statement in [
                "drop trigger audit_block_no_change on audit_block",
                "drop trigger audit_block_no_truncate on audit_block",
            ] {
                self.execute(statement).await.unwrap();
            }
        })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.raw.close().await;
            self.store.close().await;
            let mut connection = PgConnection::connect_with(&self.server).await.unwrap();
            let drop = format!("drop database {} with (force)", self.database);
            sqlx::query(AssertSqlSafe(drop)).execute(&mut connection).await.unwrap();
        })
    }

    fn replace_block<'a>(&'a self, block: &'a Block) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let replaced = sqlx::query(
                "update audit_block set last_seq = $3, previous_hash = $4, last_hash = $5, raw_bytes = $6, \
                 body = $7 where boot = $1 and first_seq = $2",
            )
            .bind(block.boot.to_string())
            .bind(i64::try_from(block.first_seq).unwrap())
            .bind(i64::try_from(block.last_seq).unwrap())
            .bind(block.previous.to_string())
            .bind(block.last.to_string())
            .bind(i64::try_from(block.raw_bytes).unwrap())
            .bind(&block.body)
            .execute(&self.raw)
            .await
            .unwrap();
            assert_eq!(replaced.rows_affected(), 1);
        })
    }
}

store_conformance!(open);

#[tokio::test]
async fn the_evidence_cannot_be_truncated() {
    let Some(fresh) = open().await else { return };
    let refusal = fresh.execute("truncate audit_block").await.unwrap_err();
    assert!(refusal.contains("insert-only"), "{refusal}");
    fresh.close().await;
}

#[tokio::test]
async fn replicas_that_start_at_once_bring_the_tables_up_to_date_once() {
    let Some(fresh) = open().await else { return };
    let url = fresh.server.clone().database(&fresh.database).to_url_lossy();
    fresh.execute("drop schema public cascade").await.unwrap();
    fresh.execute("create schema public").await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let url = url.clone();
        tasks.spawn(async move {
            let store = PostgresStore::connect(url.as_str(), PostgresOptions::STANDARD).await.unwrap();
            let revision = store.revision().await.unwrap();
            store.close().await;
            revision
        });
    }
    assert_eq!(tasks.join_all().await, [0; 4]);
    fresh.close().await;
}

#[tokio::test]
async fn a_store_whose_server_was_away_heals_when_it_is_there() {
    let Some(fresh) = open().await else { return };
    let database = format!("{}_late", fresh.database);
    let url = fresh.server.clone().database(&database).to_url_lossy();
    let store = PostgresStore::lazy(url.as_str(), PostgresOptions::STANDARD).unwrap();
    assert_eq!(*store.ping().await.unwrap_err().kind(), StoreErrorKind::Unavailable);
    assert_eq!(store.revision().await.unwrap_err().kind(), KeyStoreErrorKind::Unavailable);
    fresh.execute(&format!("create database {database} template template0")).await.unwrap();
    store.ping().await.unwrap();
    assert_eq!(store.revision().await.unwrap(), 0);
    store.close().await;
    fresh.execute(&format!("drop database {database} with (force)")).await.unwrap();
    fresh.close().await;
}

#[tokio::test]
async fn a_url_is_in_no_message() {
    let error =
        PostgresStore::connect("postgres://user:hunter2@[", PostgresOptions::STANDARD).await.unwrap_err();
    assert_eq!(error.to_string(), "the database URL cannot be read");
    let error: &dyn std::error::Error = &error;
    assert!(!error.source().unwrap().to_string().contains("hunter2"));
}
