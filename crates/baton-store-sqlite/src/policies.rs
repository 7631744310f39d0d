//! The policies' queries.

use baton_access::{
    BoxFuture, Canary, PolicyColumns, PolicyList, PolicyRow, PolicyState, PolicyStore, PolicyStoreError,
    PolicyVersion,
};
use sqlx::{Sqlite, Transaction};

use crate::error::policy_error;
use crate::store::SqliteStore;

const LIST: &str = "select r.revision, v.name, v.version, v.document, v.created_ms, v.created_by, \
     s.active, s.previous, s.canary, s.canary_percent, s.shadow, s.revision \
     from policy_revision r left join policy_version v on true left join policy_state s on s.name = v.name \
     order by v.name, v.created_ms, v.version";
const PUT: &str = "insert into policy_version (name, version, document, created_ms, created_by) \
     values ($1, $2, $3, $4, $5)";
const SET: &str = "insert into policy_state (name, active, previous, canary, canary_percent, shadow, revision) \
     values ($1, $2, $3, $4, $5, $6, $7) on conflict (name) do update set active = $2, previous = $3, \
     canary = $4, canary_percent = $5, shadow = $6, revision = $7";

impl PolicyStore for SqliteStore {
    fn policy_revision(&self) -> BoxFuture<'_, Result<u64, PolicyStoreError>> {
        Box::pin(async move {
            let revision = sqlx::query_scalar("select revision from policy_revision");
            let revision: i64 = revision
                .fetch_one(&self.readers)
                .await
                .map_err(|error| policy_error("read the revision of the policies", error))?;
            Ok(revision.unsigned_abs())
        })
    }

    fn policies(&self) -> BoxFuture<'_, Result<PolicyList, PolicyStoreError>> {
        Box::pin(async move {
            // One statement is one moment: a change that the revision counts is in the rows.
            let rows = sqlx::query_as::<_, PolicyColumns>(LIST).fetch_all(&self.readers).await;
            PolicyList::from_rows(rows.map_err(|error| policy_error("list the policies", error))?)
        })
    }

    fn put<'a>(&'a self, version: &'a PolicyVersion) -> BoxFuture<'a, Result<u64, PolicyStoreError>> {
        Box::pin(async move {
            let failed = |error| policy_error("write a version of a policy", error);
            let mut transaction = self.begin_policy_change().await?;
            let revision = next_revision(&mut transaction).await?;
            let row = PolicyRow::new(version);
            let query = sqlx::query(PUT).bind(row.name).bind(row.version).bind(row.document);
            let query = query.bind(row.created_ms).bind(row.created_by);
            query.execute(&mut *transaction).await.map_err(failed)?;
            transaction.commit().await.map_err(failed)?;
            Ok(revision.unsigned_abs())
        })
    }

    fn set<'a>(&'a self, state: &'a PolicyState) -> BoxFuture<'a, Result<u64, PolicyStoreError>> {
        Box::pin(async move {
            let failed = |error| policy_error("write which versions of a policy are in force", error);
            let mut transaction = self.begin_policy_change().await?;
            // Counting first takes the lock that puts all changes of policies in one order.
            let revision = next_revision(&mut transaction).await?;
            let stored = sqlx::query_scalar("select revision from policy_state where name = $1");
            let stored = stored.bind(&state.name).fetch_optional(&mut *transaction).await;
            state.check_stored(stored.map_err(|error| policy_error("read a policy", error))?)?;
            let canary = state.canary.as_ref();
            let query = sqlx::query(SET)
                .bind(&state.name)
                .bind(&state.active)
                .bind(&state.previous)
                .bind(canary.map(|Canary { version, .. }| version))
                .bind(canary.map(|canary| i64::from(canary.percent)))
                .bind(&state.shadow)
                .bind(revision);
            query.execute(&mut *transaction).await.map_err(failed)?;
            transaction.commit().await.map_err(failed)?;
            Ok(revision.unsigned_abs())
        })
    }
}

impl SqliteStore {
    async fn begin_policy_change(&self) -> Result<Transaction<'static, Sqlite>, PolicyStoreError> {
        let begun = self.begin_writing().await;
        begun.map_err(|error| policy_error("begin a change of the policies", error))
    }
}

async fn next_revision(transaction: &mut Transaction<'_, Sqlite>) -> Result<i64, PolicyStoreError> {
    let revision =
        sqlx::query_scalar("update policy_revision set revision = revision + 1 returning revision");
    let revision = revision.fetch_one(&mut **transaction).await;
    revision.map_err(|error| policy_error("count a change of the policies", error))
}
