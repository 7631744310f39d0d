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
use baton_audit::{
    AuditQueries, AuditStore, AuditUpkeep, Block, Clock as _, Database as _, ListQuery, Question,
    StoreErrorKind, Value, question_of,
};
use baton_state::responses::ResponseStore;
use baton_state::runs::RunStore;
use baton_store_postgres::{PostgresOptions, PostgresStore};
use baton_testkit::conformance::{BY_ALL_ROWS, BY_SORTING, StoreUnderTest};
use baton_testkit::{content_conformance, state_conformance, store_conformance};
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

    fn queries(&self) -> Arc<dyn AuditQueries> {
        Arc::new(self.store.clone())
    }

    fn upkeep(&self) -> Arc<dyn AuditUpkeep> {
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

    fn plan<'a>(&'a self, query: &'a ListQuery, lists: Vec<String>) -> BoxFuture<'a, String> {
        Box::pin(async move {
            let Question { text, values, .. } = question_of(query, lists, self.store.words());
            let mut connection = self.raw.acquire().await.unwrap();
            // Few rows are read faster without any index: what is asked is whether one leads to them.
            for setting in ["enable_seqscan", "enable_sort", "enable_bitmapscan"] {
                let off = format!("set {setting} = off");
                sqlx::query(AssertSqlSafe(off)).execute(&mut *connection).await.unwrap();
            }
            let explain = sqlx::query_scalar(AssertSqlSafe(format!("explain {text}"))).persistent(false);
            let explain = values.into_iter().fold(explain, |explain, value| match value {
                Value::Text(text) => explain.bind(text.map(std::borrow::Cow::into_owned)),
                Value::Number(number) => explain.bind(number),
                Value::Flag(flag) => explain.bind(flag),
                Value::Bytes(bytes) => explain.bind(bytes.to_vec()),
            });
            let lines: Vec<String> = explain.fetch_all(&mut *connection).await.unwrap();
            let plan = lines.join("\n");
            let plan = plan.replace("Seq Scan on decision", BY_ALL_ROWS);
            // The rows of a run are few, and of branches a page each.
            let sorts = if query.run.is_some() || plan.contains("Append  (") { "" } else { "->  Sort" };
            if sorts.is_empty() { plan } else { plan.replace(sorts, BY_SORTING) }
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

impl state_conformance::StateUnderTest for Fresh {
    fn responses(&self) -> Arc<dyn ResponseStore> {
        Arc::new(self.store.clone())
    }

    fn runs(&self) -> Arc<dyn RunStore> {
        Arc::new(self.store.clone())
    }

    fn execute<'a>(&'a self, statement: &'a str) -> BoxFuture<'a, Result<u64, String>> {
        StoreUnderTest::execute(self, statement)
    }

    fn shown(&self, column: &str) -> String {
        format!("upper({column}::text)")
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        StoreUnderTest::close(self)
    }
}

store_conformance!(open);
state_conformance!(open);

#[tokio::test]
async fn content_is_found_with_its_key_and_forgotten_with_it() {
    let Some(fresh) = open().await else { return };
    content_conformance::check(&fresh.store).await;
    StoreUnderTest::close(&fresh).await;
}

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

#[tokio::test]
async fn months_are_made_ahead_once_whoever_asks() {
    let Some(fresh) = open().await else { return };
    let now_ms = baton_audit::SystemClock.now_ms();
    let mut tasks = tokio::task::JoinSet::new();
    for ahead in 0..4 {
        let store = fresh.store.clone();
        tasks.spawn(async move { store.maintain(now_ms + ahead * 31 * 86_400_000).await.unwrap() });
    }
    tasks.join_all().await;
    let count = async |table: &str| {
        let text = format!("select count(*) from pg_inherits where inhparent = '{table}'::regclass");
        sqlx::query_scalar::<_, i64>(AssertSqlSafe(text)).fetch_one(&fresh.raw).await.unwrap()
    };
    // The first, the default, this month, three ahead of it, and three more.
    for table in ["decision", "audit_block", "decision_tag"] {
        assert!((8..=9).contains(&count(table).await), "{table}");
    }
    fresh.close().await;
}

#[tokio::test]
async fn tables_with_rows_of_the_version_before_become_the_first_partition() {
    let Some(fresh) = open().await else { return };
    fresh.execute("drop schema public cascade").await.unwrap();
    fresh.execute("create schema public").await.unwrap();
    let older = include_str!("../../../migrations/postgres/0001_audit.sql");
    sqlx::raw_sql(older).execute(&fresh.raw).await.unwrap();
    let record = r#"{"record":"decision","id":"dec_018bcfe5680071010101010101010101","run":"run_018bcfe5680071010101010101010101","request":"req_018bcfe5680071010101010101010101","at_ms":1700000000000,"turn":1,"hop":3,"kind":"select","principal":"anonymous","surface":"/v1/chat/completions","requested":["a/b"],"to":"a/b","to_model":"a/b","attempt":true,"reason":{"code":"only_model","text":"a\u0000","source":"client"},"planner":2,"config":"c","labels":{"session":"\u0000s","tags":["t"]}}"#;
    let insert = "insert into decision (id, run, boot, seq, at_ms, kind, principal, session, reason_code, requested, \
        to_model, to_target, attempt, config, record) values ('dec_018bcfe5680071010101010101010101', \
        'run_018bcfe5680071010101010101010101', 'boot_018bcfe5680071010101010101010101', 4, 1700000000000, 'select', \
        'anonymous', 's', 'only_model', '[\"a/b\"]', 'a/b', 'a/b', true, 'c', $1::json)";
    sqlx::query(insert).bind(record).execute(&fresh.raw).await.unwrap();
    let block = "insert into audit_block values ('boot_018bcfe5680071010101010101010101', 1, 9, '', '', 1700000000000, 0, '')";
    fresh.execute(block).await.unwrap();
    // As the migrations of that version left it: the later ones find their tables to change.
    for later in ["0002_keys", "0003_policies"] {
        let text = std::fs::read_to_string(format!("../../migrations/postgres/{later}.sql")).unwrap();
        sqlx::raw_sql(AssertSqlSafe(text)).execute(&fresh.raw).await.unwrap();
    }
    let migrator = sqlx::migrate!("../../migrations/postgres");
    let mut connection = fresh.raw.acquire().await.unwrap();
    sqlx::migrate::Migrate::ensure_migrations_table(&mut *connection, "_sqlx_migrations").await.unwrap();
    for migration in migrator.iter().filter(|migration| migration.version < 4) {
        sqlx::query("insert into _sqlx_migrations (version, description, success, checksum, execution_time) values ($1, $2, true, $3, 0)")
            .bind(migration.version)
            .bind(migration.description.as_ref())
            .bind(migration.checksum.as_ref())
            .execute(&mut *connection)
            .await
            .unwrap();
    }
    drop(connection);
    let url = fresh.server.clone().database(&fresh.database).to_url_lossy();
    let mut replicas = tokio::task::JoinSet::new();
    for _ in 0..3 {
        let url = url.clone();
        replicas.spawn(async move {
            let store = PostgresStore::connect(url.as_str(), PostgresOptions::STANDARD).await.unwrap();
            let by_tag = ListQuery { tag: Some("t".to_owned()), limit: 5, ..ListQuery::default() };
            let found = AuditStore::list(&store, &by_tag).await.unwrap().rows;
            store.close().await;
            found.into_iter().map(|stored| (stored.row.hop, stored.row.session)).collect::<Vec<_>>()
        });
    }
    for found in replicas.join_all().await {
        assert_eq!(found, [(3, Some("\u{fffd}s".to_owned()))]);
    }
    let first: i64 =
        sqlx::query_scalar("select count(*) from decision_first").fetch_one(&fresh.raw).await.unwrap();
    assert_eq!(first, 1, "nothing was copied");
    let marked = "select count(*) from decision_tag where tag = chr(1) || 'open'";
    let marked: i64 = sqlx::query_scalar(marked).fetch_one(&fresh.raw).await.unwrap();
    assert_eq!(marked, 1, "an attempt without an outcome is in no sum: it is counted by its mark");
    let refusal = fresh.execute("delete from audit_block").await.unwrap_err();
    assert!(refusal.contains("insert-only"), "{refusal}");
    fresh.close().await;
}

#[tokio::test]
async fn a_writer_may_add_evidence_and_nothing_else_and_a_reader_sees_the_views() {
    let Some(fresh) = open().await else { return };
    let as_role = async |role: &str, statement: &str| {
        let mut transaction = fresh.raw.begin().await.unwrap();
        let set = format!("set local role {role}");
        sqlx::query(AssertSqlSafe(set)).execute(&mut *transaction).await.unwrap();
        let done = sqlx::query(AssertSqlSafe(statement.to_owned())).execute(&mut *transaction).await;
        done.map(drop).map_err(|error| error.to_string())
    };
    let insert = "insert into audit_block values ('b', 1, 1, '', '', 0, 0, '')";
    as_role("baton_writer", insert).await.unwrap();
    as_role("baton_writer", "select * from audit_block").await.unwrap();
    as_role("baton_writer", "select baton_make_room(1)").await.unwrap();
    for denied in [
        "update audit_block set last_seq = 2",
        "delete from audit_block",
        "truncate audit_block",
        "drop table audit_block",
        "delete from dropped",
        "drop trigger audit_block_no_change on audit_block",
    ] {
        let error = as_role("baton_writer", denied).await.unwrap_err();
        assert!(error.contains("permission denied") || error.contains("must be owner"), "{denied}: {error}");
    }
    for table in ["response", "run", "run_part", "run_event", "run_call"] {
        as_role("baton_writer", &format!("delete from {table}")).await.unwrap();
        let denied = as_role("baton_reader", &format!("select * from {table}")).await.unwrap_err();
        assert!(denied.contains("permission denied"), "{table}: {denied}");
    }
    let unsigned = as_role("baton_writer", "select baton_drop_older(1)").await.unwrap_err();
    assert!(unsigned.contains("no committed statement"), "{unsigned}");
    for view in ["decisions", "handoffs", "usage"] {
        as_role("baton_reader", &format!("select * from baton_v1.{view}")).await.unwrap();
    }
    let denied = as_role("baton_reader", "select * from decision").await.unwrap_err();
    assert!(denied.contains("permission denied"), "{denied}");
    fresh.close().await;
}
