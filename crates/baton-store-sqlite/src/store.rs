//! Opens the file and brings its tables up to date.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use baton_audit::{AuditUpkeep as _, Clock as _, StoreError, SystemClock};
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Sqlite, SqlitePool, Transaction};

static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations/sqlite");

const READERS: u32 = 4;
const BUSY: Duration = Duration::from_secs(5);

/// The embedded store: one file, one writing connection, a few reading ones.
#[derive(Clone, Debug)]
pub struct SqliteStore {
    pub(crate) writer: SqlitePool,
    pub(crate) readers: SqlitePool,
}

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file cannot be made or opened.
    #[error("cannot open the store `{}`", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It is no SQLite database, or a damaged one.
    #[error("cannot use the store `{}`", path.display())]
    Database {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: sqlx::Error,
    },
    /// Its tables cannot be brought up to date.
    #[error("cannot bring the tables of `{}` up to date", path.display())]
    Migrate {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: MigrateError,
    },
    /// Its rows cannot be brought up to date.
    #[error("cannot bring the rows of `{}` up to date", path.display())]
    Maintain {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: StoreError,
    },
}

impl SqliteStore {
    /// Opens the file; makes it, readable by its owner only, when it is missing.
    ///
    /// # Errors
    /// When it cannot be made, is no database of ours, or belongs to a newer version.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        let path = path.as_ref();
        // The files beside it (`-wal`, `-shm`) take its mode.
        let made = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path);
        drop(made.map_err(|source| OpenError::File { path: path.to_owned(), source })?);
        let failed = |source| OpenError::Database { path: path.to_owned(), source };
        let options = SqliteConnectOptions::new()
            .filename(path)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            // What was deleted is written over: erased is erased.
            .pragma("secure_delete", "on")
            // A page that batch after batch changes goes into the file once for all of them.
            .pragma("wal_autocheckpoint", "4000")
            // A batch is undone from memory if a statement fails, not from a file that it writes each time.
            .pragma("temp_store", "memory")
            .busy_timeout(BUSY);
        let writer = SqlitePoolOptions::new().max_connections(1).acquire_timeout(BUSY);
        let writer = writer.connect_with(options.clone()).await.map_err(failed)?;
        let migrated = MIGRATIONS.run(&writer).await;
        migrated.map_err(|source| OpenError::Migrate { path: path.to_owned(), source })?;
        let readers = SqlitePoolOptions::new().max_connections(READERS).acquire_timeout(BUSY);
        let readers = readers.connect_with(options.read_only(true)).await.map_err(failed)?;
        let store = Self { writer, readers };
        let maintained = store.maintain(SystemClock.now_ms()).await;
        maintained.map_err(|source| OpenError::Maintain { path: path.to_owned(), source })?;
        Ok(store)
    }

    /// Begins a transaction that writes.
    ///
    /// After a commit or a statement that found the disk full, SQLite has ended the transaction and
    /// the library has not: on that connection nothing can be begun any more. So it is replaced.
    pub(crate) async fn begin_writing(&self) -> Result<Transaction<'static, Sqlite>, sqlx::Error> {
        let begun = self.writer.begin_with("begin immediate").await;
        if begun.is_err()
            && let Ok(connection) = self.writer.acquire().await
        {
            drop(connection.close().await);
        }
        begun
    }

    /// Closes every connection.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

#[cfg(test)]
mod tests;
