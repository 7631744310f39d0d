use super::*;

#[tokio::test]
async fn after_a_full_disk_a_transaction_can_be_begun_again() {
    let dir = tempfile::TempDir::new().unwrap();
    let store = SqliteStore::open(dir.path().join("baton.db")).await.unwrap();
    // As many pages as there are: the next one that is needed finds the disk full.
    for statement in ["create table ballast (bytes blob)", "pragma max_page_count = 1"] {
        sqlx::query(statement).execute(&store.writer).await.unwrap();
    }
    let mut full = store.begin_writing().await.unwrap();
    let big = "insert into ballast values (zeroblob(10000000))";
    sqlx::query(big).execute(&mut *full).await.unwrap_err();
    drop(full);
    // The library takes the connection for one in a transaction, once.
    drop(store.begin_writing().await);
    let mut again = store.begin_writing().await.unwrap();
    sqlx::query(big).execute(&mut *again).await.unwrap();
    again.commit().await.unwrap();
}
