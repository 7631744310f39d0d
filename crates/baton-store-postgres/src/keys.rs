//! The keys' queries.

use baton_access::{BoxFuture, KeyList, KeyRecord, KeyStore, KeyStoreError, KeyStoreErrorKind};
use sqlx::{Postgres, Transaction};

use crate::error::key_error;
use crate::row::signed;
use crate::store::PostgresStore;

impl KeyStore for PostgresStore {
    fn revision(&self) -> BoxFuture<'_, Result<u64, KeyStoreError>> {
        Box::pin(async move {
            let revision: i64 = sqlx::query_scalar("select revision from key_revision")
                .fetch_one(self.pool_for_keys().await?)
                .await
                .map_err(|error| key_error("read the revision of the keys", error))?;
            natural(revision)
        })
    }

    fn list(&self) -> BoxFuture<'_, Result<KeyList, KeyStoreError>> {
        Box::pin(async move {
            // One statement is one moment: a change that the revision counts is in the records.
            let rows: Vec<(i64, Option<String>)> = sqlx::query_as(
                "select r.revision, k.record::text from key_revision r left join api_key k on true order by k.id",
            )
            .fetch_all(self.pool_for_keys().await?)
            .await
            .map_err(|error| key_error("list the keys", error))?;
            let revision = natural(rows.first().map_or(0, |(revision, _)| *revision))?;
            let records = rows.into_iter().filter_map(|(_, record)| record);
            let records = records.map(|record| parse(&record)).collect::<Result<_, _>>()?;
            Ok(KeyList { revision, records })
        })
    }

    fn insert<'a>(&'a self, record: &'a KeyRecord) -> BoxFuture<'a, Result<u64, KeyStoreError>> {
        Box::pin(async move {
            let failed = |error| key_error("insert a key", error);
            let mut transaction = self.pool_for_keys().await?.begin().await.map_err(failed)?;
            let revision = next_revision(&mut transaction).await?;
            let stored = KeyRecord { revision, ..record.clone() };
            sqlx::query(
                "insert into api_key (id, name, mac, role, created_ms, expires_ms, revoked_ms, revision, record) \
                 values ($1, $2, $3, $4, $5, $6, $7, $8, $9::json)",
            )
            .bind(stored.id.to_string())
            .bind(&stored.name)
            .bind(stored.mac.to_string())
            .bind(stored.role.as_str())
            .bind(signed(stored.created_ms))
            .bind(stored.expires_ms.map(signed))
            .bind(stored.revoked_ms.map(signed))
            .bind(signed(revision))
            .bind(encode(&stored)?)
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
            transaction.commit().await.map_err(failed)?;
            Ok(revision)
        })
    }

    fn update<'a>(&'a self, record: &'a KeyRecord) -> BoxFuture<'a, Result<u64, KeyStoreError>> {
        Box::pin(async move {
            let failed = |error| key_error("update a key", error);
            let mut transaction = self.pool_for_keys().await?.begin().await.map_err(failed)?;
            // Counting first takes the lock that puts all changes of keys in one order.
            let revision = next_revision(&mut transaction).await?;
            check_revision(&mut transaction, record).await?;
            let stored = KeyRecord { revision, ..record.clone() };
            sqlx::query(
                "update api_key set name = $2, mac = $3, role = $4, created_ms = $5, expires_ms = $6, \
                 revoked_ms = $7, revision = $8, record = $9::json where id = $1",
            )
            .bind(stored.id.to_string())
            .bind(&stored.name)
            .bind(stored.mac.to_string())
            .bind(stored.role.as_str())
            .bind(signed(stored.created_ms))
            .bind(stored.expires_ms.map(signed))
            .bind(stored.revoked_ms.map(signed))
            .bind(signed(revision))
            .bind(encode(&stored)?)
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
            transaction.commit().await.map_err(failed)?;
            Ok(revision)
        })
    }
}

async fn next_revision(transaction: &mut Transaction<'_, Postgres>) -> Result<u64, KeyStoreError> {
    let revision: i64 =
        sqlx::query_scalar("update key_revision set revision = revision + 1 returning revision")
            .fetch_one(&mut **transaction)
            .await
            .map_err(|error| key_error("count a change of the keys", error))?;
    natural(revision)
}

/// Whether the stored record is the one that the caller saw.
async fn check_revision(
    transaction: &mut Transaction<'_, Postgres>,
    record: &KeyRecord,
) -> Result<(), KeyStoreError> {
    let stored: Option<i64> = sqlx::query_scalar("select revision from api_key where id = $1")
        .bind(record.id.to_string())
        .fetch_optional(&mut **transaction)
        .await
        .map_err(|error| key_error("read a key", error))?;
    match stored {
        None => {
            Err(KeyStoreError::new(KeyStoreErrorKind::NotFound, format!("no key has the id `{}`", record.id)))
        }
        Some(stored) if stored == signed(record.revision) => Ok(()),
        Some(_) => Err(KeyStoreError::new(
            KeyStoreErrorKind::Conflict,
            format!("the key `{}` was changed meanwhile", record.id),
        )),
    }
}

fn natural(number: i64) -> Result<u64, KeyStoreError> {
    u64::try_from(number).map_err(|error| corrupt().with_source(error))
}

fn parse(record: &str) -> Result<KeyRecord, KeyStoreError> {
    serde_json::from_str(record).map_err(|error| corrupt().with_source(error))
}

fn encode(record: &KeyRecord) -> Result<String, KeyStoreError> {
    serde_json::to_string(record).map_err(|error| corrupt().with_source(error))
}

fn corrupt() -> KeyStoreError {
    KeyStoreError::new(KeyStoreErrorKind::Corrupt, "the store holds a key that cannot be read")
}
