//! Runs the suite that both stores have to pass, and what only this one promises.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

use baton_access::{BoxFuture, KeyStore, PolicyStore};
use baton_audit::{
    AuditQueries, AuditStore, AuditUpkeep, Block, ContentStore as _, Database as _, ListQuery, Question,
    Value, question_of,
};
use baton_state::responses::ResponseStore;
use baton_state::runs::RunStore;
use baton_store_sqlite::SqliteStore;
use baton_testkit::conformance::{BY_ALL_ROWS, BY_SORTING, StoreUnderTest};
use baton_testkit::{content_conformance, state_conformance, store_conformance};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, SqlitePool};
use tempfile::TempDir;

struct Fresh {
    store: SqliteStore,
    raw: SqlitePool,
    _dir: TempDir,
}

async fn open() -> Option<Fresh> {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("baton.db");
    let store = SqliteStore::open(&path).await.unwrap();
    let raw = SqlitePool::connect_with(SqliteConnectOptions::new().filename(&path)).await.unwrap();
    Some(Fresh { store, raw, _dir: dir })
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
                "drop trigger audit_block_no_update",
                "drop trigger audit_block_no_delete",
                "drop trigger audit_block_no_replace",
            ] {
                self.execute(statement).await.unwrap();
            }
        })
    }

    fn plan<'a>(&'a self, query: &'a ListQuery, lists: Vec<String>) -> BoxFuture<'a, String> {
        Box::pin(async move {
            let Question { text, values, .. } = question_of(query, lists, self.store.words());
            let explain =
                sqlx::query_as(AssertSqlSafe(format!("explain query plan {text}"))).persistent(false);
            let explain = values.into_iter().fold(explain, |explain, value| match value {
                Value::Text(text) => explain.bind(text.map(std::borrow::Cow::into_owned)),
                Value::Number(number) => explain.bind(number),
                Value::Flag(flag) => explain.bind(flag),
                Value::Bytes(bytes) => explain.bind(bytes.to_vec()),
            });
            let lines: Vec<(i64, i64, i64, String)> = explain.fetch_all(&self.raw).await.unwrap();
            let lines: Vec<String> = lines.into_iter().map(|(.., line)| line).collect();
            let plan = lines.join("\n").replace("SCAN d", BY_ALL_ROWS);
            // The rows of a run are few, and of branches a page each.
            let is_merged =
                query.run.is_some() || plan.contains("UNION ALL") || plan.contains("COMPOUND QUERY");
            if is_merged { plan } else { plan.replace("USE TEMP B-TREE FOR ORDER BY", BY_SORTING) }
        })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.raw.close().await;
            self.store.close().await;
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
        format!("hex({column})")
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
async fn the_files_are_readable_by_their_owner_only() {
    let fresh = open().await.unwrap();
    let files: Vec<_> = std::fs::read_dir(fresh._dir.path()).unwrap().map(|file| file.unwrap()).collect();
    assert!(files.len() >= 2, "the database and its log are there");
    for file in files {
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", file.file_name());
    }
}

#[tokio::test]
async fn a_store_that_is_opened_again_has_what_was_committed() {
    let fresh = open().await.unwrap();
    fresh.execute("update key_revision set revision = 7").await.unwrap();
    fresh.close().await;
    let again = SqliteStore::open(fresh._dir.path().join("baton.db")).await.unwrap();
    assert_eq!(again.revision().await.unwrap(), 7);
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused_and_left_alone() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("baton.db");
    let text = "not a database, but somebody's file ".repeat(100);
    std::fs::write(&path, &text).unwrap();
    let error = SqliteStore::open(&path).await.unwrap_err();
    assert_eq!(error.to_string(), format!("cannot use the store `{}`", path.display()));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
}

#[tokio::test]
async fn readers_do_not_wait_for_a_writer() {
    let fresh = open().await.unwrap();
    let mode: String = sqlx::query_scalar("pragma journal_mode").fetch_one(&fresh.raw).await.unwrap();
    assert_eq!(mode, "wal");
    let mut writing = fresh.raw.begin_with("begin immediate").await.unwrap();
    sqlx::query("update key_revision set revision = 9").execute(&mut *writing).await.unwrap();
    assert_eq!(fresh.store.revision().await.unwrap(), 0, "a reader sees the last commit");
    writing.commit().await.unwrap();
    assert_eq!(fresh.store.revision().await.unwrap(), 9);
}

#[tokio::test]
async fn a_replaced_block_is_refused() {
    let fresh = open().await.unwrap();
    let insert = |body: &str| format!("{body} into audit_block values ('b', 1, 1, '', '', 0, 0, x'')");
    fresh.execute(&insert("insert")).await.unwrap();
    let refusal = fresh.execute(&insert("insert or replace")).await.unwrap_err();
    assert!(refusal.contains("insert-only"), "{refusal}");
}

#[tokio::test]
async fn an_erased_key_is_in_no_file() {
    let fresh = open().await.unwrap();
    let key = content_conformance::key("ada", "e1", 1);
    let holds = || {
        let files = std::fs::read_dir(fresh._dir.path()).unwrap();
        let mut bytes = files.map(|file| std::fs::read(file.unwrap().path()).unwrap());
        bytes.any(|bytes| bytes.windows(key.sealed.len()).any(|window| window == key.sealed))
    };
    fresh.store.put_contents(&[], std::slice::from_ref(&key)).await.unwrap();
    fresh.store.scrub().await.unwrap();
    assert!(holds(), "the key is in the database, and no more in the log beside it");
    assert_eq!(fresh.store.forget_subject("ada", 5).await.unwrap().keys, 1);
    fresh.store.scrub().await.unwrap();
    assert!(!holds(), "the key was deleted and is still readable");
}
