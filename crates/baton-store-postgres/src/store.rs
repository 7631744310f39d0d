//! Connects to the server and brings its tables up to date.

use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;

use baton_access::{KeyStoreError, KeyStoreErrorKind, PolicyStoreError, PolicyStoreErrorKind};
use baton_audit::{AuditUpkeep as _, Clock as _, StoreError, StoreErrorKind, SystemClock};
use baton_state::{StateError, StateErrorKind};
use sqlx::PgPool;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use tokio::sync::OnceCell;

static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations/postgres");

/// How the server is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PostgresOptions {
    /// At most so many connections.
    pub connections: u32,
    /// How long to wait for a connection.
    pub connect_timeout: Duration,
    /// The server ends a statement that takes longer.
    pub statement_timeout: Duration,
    /// The server ends a statement that waits longer for a lock.
    pub lock_timeout: Duration,
}

impl PostgresOptions {
    /// The settings of a server: nothing on the path of a request waits for these connections.
    pub const STANDARD: Self = Self {
        connections: 5,
        connect_timeout: Duration::from_secs(5),
        statement_timeout: Duration::from_secs(20),
        lock_timeout: Duration::from_secs(10),
    };
}

/// The store for several replicas.
///
/// It may be made while the server is away: it connects when it is first used.
#[derive(Clone, Debug)]
pub struct PostgresStore {
    pool: PgPool,
    options: PgConnectOptions,
    connect_timeout: Duration,
    up_to_date: Arc<OnceCell<()>>,
}

/// Why the server cannot be used. No message holds the URL: it has a password in it.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The URL is none.
    #[error("the database URL cannot be read")]
    Url(#[source] sqlx::Error),
    /// The server does not answer, or refuses.
    #[error("cannot connect to the database server")]
    Server(#[source] sqlx::Error),
    /// Its tables cannot be brought up to date.
    #[error("cannot bring the tables up to date")]
    Migrate(#[source] MigrateError),
    /// Its rows cannot be brought up to date, or there is no room for new ones.
    #[error("cannot bring the rows up to date")]
    Maintain(#[source] StoreError),
}

impl PostgresStore {
    /// Connects, and brings the tables up to date: one replica does it, the others wait for it.
    ///
    /// # Errors
    /// When the server cannot be reached, or its tables belong to a newer version.
    pub async fn connect(url: &str, options: PostgresOptions) -> Result<Self, ConnectError> {
        let store = Self::lazy(url, options)?;
        store.bring_up_to_date().await?;
        Ok(store)
    }

    /// The same, but the server is first asked when something is: it may be away now.
    ///
    /// # Errors
    /// When the URL is none.
    pub fn lazy(url: &str, options: PostgresOptions) -> Result<Self, ConnectError> {
        let milliseconds = |time: Duration| time.as_millis().to_string();
        let connect = PgConnectOptions::from_str(url).map_err(ConnectError::Url)?.application_name("baton");
        let limited = connect.clone().options([
            ("statement_timeout", milliseconds(options.statement_timeout)),
            ("lock_timeout", milliseconds(options.lock_timeout)),
            // A commit that returns is on the disk, whatever the server's default is.
            ("synchronous_commit", "on".to_owned()),
        ]);
        let pool = PgPoolOptions::new()
            .max_connections(options.connections)
            .acquire_timeout(options.connect_timeout)
            .connect_lazy_with(limited);
        let connect_timeout = options.connect_timeout;
        Ok(Self { pool, options: connect, connect_timeout, up_to_date: Arc::default() })
    }

    /// Closes every connection.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    pub(crate) async fn pool_for_audit(&self) -> Result<&PgPool, StoreError> {
        match self.bring_up_to_date().await {
            Ok(()) => Ok(&self.pool),
            Err(error) => {
                Err(StoreError::new(StoreErrorKind::Unavailable, "cannot use the store").with_source(error))
            }
        }
    }

    pub(crate) async fn pool_for_keys(&self) -> Result<&PgPool, KeyStoreError> {
        match self.bring_up_to_date().await {
            Ok(()) => Ok(&self.pool),
            Err(error) => {
                Err(KeyStoreError::new(KeyStoreErrorKind::Unavailable, "cannot use the store")
                    .with_source(error))
            }
        }
    }

    pub(crate) async fn pool_for_policies(&self) -> Result<&PgPool, PolicyStoreError> {
        match self.bring_up_to_date().await {
            Ok(()) => Ok(&self.pool),
            Err(error) => {
                Err(PolicyStoreError::new(PolicyStoreErrorKind::Unavailable, "cannot use the store")
                    .with_source(error))
            }
        }
    }

    pub(crate) async fn pool_for_state(&self) -> Result<&PgPool, StateError> {
        match self.bring_up_to_date().await {
            Ok(()) => Ok(&self.pool),
            Err(error) => {
                Err(StateError::new(StateErrorKind::Unavailable, "cannot use the store").with_source(error))
            }
        }
    }

    async fn bring_up_to_date(&self) -> Result<(), ConnectError> {
        self.up_to_date.get_or_try_init(|| self.migrate()).await.copied()
    }

    /// On a connection of its own, without the time limits: a migration may take long, and the
    /// other replicas wait for it in a lock.
    async fn migrate(&self) -> Result<(), ConnectError> {
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .acquire_timeout(self.connect_timeout)
            .connect_with(self.options.clone())
            .await
            .map_err(ConnectError::Server)?;
        let migrated = self.migrate_with(&pool).await;
        pool.close().await;
        migrated
    }

    async fn migrate_with(&self, pool: &PgPool) -> Result<(), ConnectError> {
        MIGRATIONS.run(pool).await.map_err(ConnectError::Migrate)?;
        let migrated = Self {
            pool: pool.clone(),
            options: self.options.clone(),
            connect_timeout: self.connect_timeout,
            up_to_date: Arc::new(OnceCell::new_with(Some(()))),
        };
        migrated.maintain(SystemClock.now_ms()).await.map_err(ConnectError::Maintain)
    }
}
