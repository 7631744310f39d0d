//! The keys' queries.

use baton_access::{BoxFuture, KeyList, KeyRecord, KeyRow, KeyStore, KeyStoreError, revision_from};
use sqlx::{Sqlite, Transaction};

use crate::error::key_error;
use crate::store::SqliteStore;

const INSERT: &str = "insert into api_key (id, name, mac, role, created_ms, expires_ms, revoked_ms, revision, record) \
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
const UPDATE: &str = "update api_key set name = $2, mac = $3, role = $4, created_ms = $5, expires_ms = $6, \
     revoked_ms = $7, revision = $8, record = $9 where id = $1";

impl KeyStore for SqliteStore {
    fn revision(&self) -> BoxFuture<'_, Result<u64, KeyStoreError>> {
        Box::pin(async move {
            let revision = sqlx::query_scalar("select revision from key_revision");
            let revision = revision.fetch_one(&self.readers).await;
            revision_from(revision.map_err(|error| key_error("read the revision of the keys", error))?)
        })
    }

    fn list(&self) -> BoxFuture<'_, Result<KeyList, KeyStoreError>> {
        Box::pin(async move {
            // One statement is one moment: a change that the revision counts is in the records.
            let rows = sqlx::query_as(
                "select r.revision, k.record from key_revision r left join api_key k on true order by k.id",
            );
            let rows = rows.fetch_all(&self.readers).await;
            KeyList::from_rows(rows.map_err(|error| key_error("list the keys", error))?)
        })
    }

    fn insert<'a>(&'a self, record: &'a KeyRecord) -> BoxFuture<'a, Result<u64, KeyStoreError>> {
        Box::pin(async move {
            let mut transaction = self.begin_change().await?;
            let revision = next_revision(&mut transaction).await?;
            write(transaction, INSERT, KeyRow::new(record, revision)?).await?;
            Ok(revision)
        })
    }

    fn update<'a>(&'a self, record: &'a KeyRecord) -> BoxFuture<'a, Result<u64, KeyStoreError>> {
        Box::pin(async move {
            let mut transaction = self.begin_change().await?;
            // Counting first takes the lock that puts all changes of keys in one order.
            let revision = next_revision(&mut transaction).await?;
            let stored = sqlx::query_scalar("select revision from api_key where id = $1");
            let stored = stored.bind(record.id.to_string()).fetch_optional(&mut *transaction).await;
            record.check_stored(stored.map_err(|error| key_error("read a key", error))?)?;
            write(transaction, UPDATE, KeyRow::new(record, revision)?).await?;
            Ok(revision)
        })
    }
}

impl SqliteStore {
    async fn begin_change(&self) -> Result<Transaction<'static, Sqlite>, KeyStoreError> {
        let begun = self.begin_writing().await;
        begun.map_err(|error| key_error("begin a change of the keys", error))
    }
}

async fn next_revision(transaction: &mut Transaction<'_, Sqlite>) -> Result<u64, KeyStoreError> {
    let revision = sqlx::query_scalar("update key_revision set revision = revision + 1 returning revision");
    let revision = revision.fetch_one(&mut **transaction).await;
    revision_from(revision.map_err(|error| key_error("count a change of the keys", error))?)
}

/// Writes the row, and makes it and the counted change durable.
async fn write(
    mut transaction: Transaction<'_, Sqlite>,
    text: &'static str,
    row: KeyRow,
) -> Result<(), KeyStoreError> {
    let failed = |error| key_error("write a key", error);
    let query =
        sqlx::query(text).bind(row.id).bind(row.name).bind(row.mac).bind(row.role).bind(row.created_ms);
    let query = query.bind(row.expires_ms).bind(row.revoked_ms).bind(row.revision).bind(row.record);
    query.execute(&mut *transaction).await.map_err(failed)?;
    transaction.commit().await.map_err(failed)
}
