//! Opens what every command that touches data needs: keys, journal, store, relay.
//!
//! The server holds it for its life; a command that finds no server holds it for a moment.

use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::{Context, bail};
use baton_access::{
    DerivedKey, KeyRing, KeyStore, Label, MasterKey, MasterKeySource, PolicyShelf, PolicyStore, Sealer,
};
use baton_audit::{
    AuditQueries, AuditStore, AuditUpkeep, ContentStore, Decisions, Document, Export, ExportOptions,
    Failpoints, IdSource, Journal, JournalOptions, Record, Relay, RelayOptions,
};
use baton_config::{Config, Database};
use baton_engine::Engine;
use baton_model::Secret;
use baton_net::tasks::Tasks;
use baton_state::responses::{Keeping, ResponseStore};
use baton_state::runs::{Leasing, RunStore};
use baton_state::{Compactions, Responses, Runs};
use baton_store_postgres::{ConnectError, PostgresOptions, PostgresStore};
use baton_store_sqlite::SqliteStore;
use baton_tools::Registry;

use crate::alerts::Alerts;
use crate::checkpoints::Sinks;
use crate::content::Contents;
use crate::retention::Retention;
use crate::signing::Signing;
use crate::stored::{self, Sealing};
use crate::versions::Versions;

/// How often keys and policies are asked for changes that another process made.
const KEYS_EVERY: Duration = Duration::from_secs(2);

/// What holds the data of one data directory.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) journal: Arc<Journal>,
    pub(crate) relay: Arc<Relay>,
    pub(crate) keys: Arc<KeyRing>,
    pub(crate) versions: Arc<Versions>,
    pub(crate) decisions: Arc<Decisions>,
    pub(crate) store: Arc<dyn AuditStore>,
    pub(crate) queries: Arc<dyn AuditQueries>,
    pub(crate) upkeep: Arc<dyn AuditUpkeep>,
    pub(crate) responses: Arc<dyn ResponseStore>,
    pub(crate) erasable_runs: Arc<dyn RunStore>,
    /// What was captured, and the keys to it.
    pub(crate) contents: Arc<Contents>,
    pub(crate) signing: Arc<Signing>,
    pub(crate) ids: IdSource,
    /// What the idempotency keys of clients are looked up by.
    pub(crate) idempotency: DerivedKey,
    /// What models said of their hand-overs is sealed by it.
    pub(crate) sealer: Sealer,
    /// The MCP servers.
    pub(crate) tools: Registry,
    /// Where checkpoints are kept beside.
    sinks: Sinks,
    /// The files of decisions, once they are written.
    export: OnceLock<Arc<Export>>,
    tasks: Tasks,
}

/// How long the sinks of checkpoints have to take the last one.
const SINKS_SETTLE: Duration = Duration::from_secs(5);

impl Core {
    /// Takes the data directory. Fails when another process has it.
    pub(crate) async fn open(config: &Config) -> anyhow::Result<Self> {
        let dir = &config.data_dir;
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .with_context(|| format!("cannot make the data directory `{}`", dir.display()))?;
        let source = master_key_source(config)?;
        let master = MasterKey::load(&source)?;
        let ids = IdSource::default();
        let signing = Arc::new(Signing::of(&master, dir));
        let (signer, signing_keys) = signing.current()?;
        let mut options = JournalOptions::new(dir.join("journal"), signer, env!("CARGO_PKG_VERSION"));
        options.max_bytes = config.journal.max_bytes;
        options.failpoints = failpoints()?;
        options.keys = signing_keys;
        let (journal, recovered) = Journal::open(options)?;
        for quarantined in &recovered.quarantined {
            tracing::warn!(quarantined = ?quarantined, "the end of the journal was torn; what could not be read is kept aside");
        }
        let journal = Arc::new(journal);
        let Stores { audit, queries, upkeep, responses, runs, contents, keys: key_store, policies } =
            stores(config).await?;
        let contents = Contents::open(dir, &master, contents, Arc::clone(&journal), ids.clone())?;
        let contents = Arc::new(contents);
        let relay = Relay::new(Arc::clone(&journal), Arc::clone(&audit), RelayOptions::STANDARD);
        let relay = Arc::new(relay.with_contents(Arc::clone(&contents) as _));
        let admin = std::env::var("BATON_ADMIN_KEY").ok().map(Secret::new);
        let keys = Arc::new(KeyRing::open(key_store, &master, dir, admin.as_ref())?);
        let tasks = Tasks::new();
        let sinks = Sinks::start(&config.audit.checkpoints, &journal, &tasks)?;
        drop(tasks.spawn({
            let relay = Arc::clone(&relay);
            let stop = tasks.stop_token().clone();
            async move { relay.run(stop.cancelled_owned()).await }
        }));
        let shelf = PolicyShelf::open(policies, &master, dir);
        let versions = Arc::new(Versions::new(shelf, Arc::clone(&journal), ids.clone()));
        match keys.refresh().await {
            Ok(_changed) => {
                versions.refresh().await;
            }
            // The policies are in the same store: it is not waited for twice.
            Err(error) => {
                tracing::warn!(error = %error, "the store did not answer; keys and policies of the local snapshots are honoured");
            }
        }
        drop(tasks.spawn(watch_keys(Arc::clone(&keys), tasks.clone())));
        let decisions = Arc::new(Decisions::new(Arc::clone(&journal), Arc::clone(&audit)));
        let idempotency = master.derive(Label::Idempotency);
        let sealer = Sealer::new(&master.derive(Label::Sealing));
        let tools = Registry::new(config.tools.clone(), dir.join("mcp-pins.json"), tasks.clone())?;
        Ok(Self {
            journal,
            relay,
            keys,
            versions,
            decisions,
            store: audit,
            queries,
            upkeep,
            responses,
            erasable_runs: runs,
            contents,
            signing,
            ids,
            idempotency,
            sealer,
            tools,
            sinks,
            export: OnceLock::new(),
            tasks,
        })
    }

    /// Writes the configuration down before its first use, with the policies and the catalogue that
    /// decisions made under it will name.
    pub(crate) async fn record_config(&self, config: &Config) -> anyhow::Result<()> {
        let at_ms = self.ids.now_ms();
        let document = |kind: &str, hash: &str, body: serde_json::Value| {
            let (hash, kind) = (hash.to_owned(), kind.to_owned());
            self.journal.append(&Record::Document(Document { hash, kind, at_ms, body }))
        };
        let own = config.agents.agents.iter().map(|agent| &agent.policy);
        for policy in config.policies.iter().chain(own) {
            let body = serde_json::to_value(&policy.document)?;
            document("policy", &policy.reference.version, body)?;
        }
        let (version, knowledge) = config.knowledge();
        document("catalogue", &version, serde_json::to_value(&knowledge)?)?;
        let receipt = document("config", config.version(), config.document())?;
        self.journal.synced(&receipt).await?;
        Ok(())
    }

    /// From now on, makes room in the store ahead of time, drops what is too old, writes the files of
    /// decisions, and tells when the log needs somebody.
    pub(crate) fn keep_in_order(&self, config: &Config) -> anyhow::Result<()> {
        let retention = Retention {
            journal: Arc::clone(&self.journal),
            relay: Arc::clone(&self.relay),
            store: Arc::clone(&self.upkeep),
            ids: self.ids.clone(),
            keep: config.audit.retention,
        };
        drop(self.tasks.spawn(retention.run(self.tasks.clone())));
        let keep = config.audit.capture.as_ref().map_or(config.audit.retention, |capture| {
            // What is dropped from the log cannot be opened either.
            capture.keep.or(config.audit.retention)
        });
        drop(self.tasks.spawn(Arc::clone(&self.contents).keep_in_order(keep, self.tasks.clone())));
        if let Some(dir) = &config.audit.export {
            let options = ExportOptions::new(dir);
            let export = Arc::new(Export::new(self.journal.boot(), Arc::clone(&self.store), options));
            let export = Arc::clone(self.export.get_or_init(|| export));
            let stop = self.tasks.stop_token().clone();
            drop(self.tasks.spawn(async move { export.run(stop.cancelled_owned()).await }));
        }
        if let Some(settings) = &config.audit.alerts {
            let journal = Arc::clone(&self.journal);
            let alerts = Alerts::new(settings, journal, &config.data_dir, self.ids.clone())?;
            drop(self.tasks.spawn(alerts.run(self.tasks.clone())));
        }
        Ok(())
    }

    /// The responses that can be read again, unless the file wants none stored. Those that were stored
    /// before go with their time either way.
    pub(crate) fn stored_responses(&self, config: &Config) -> Option<Arc<Responses>> {
        let ids = self.ids.clone();
        let clock = Box::new(move || ids.now_ms());
        let seal = Arc::new(Sealing(self.sealer.clone()));
        let responses = Arc::new(Responses::new(Arc::clone(&self.responses), seal, clock, Keeping::STANDARD));
        drop(self.tasks.spawn(stored::purge(Arc::clone(&responses), self.tasks.clone())));
        config.stores_responses.then_some(responses)
    }

    /// What seals summaries of conversations for clients.
    pub(crate) fn compactions(&self) -> Arc<Compactions> {
        Arc::new(Compactions::new(Arc::new(Sealing(self.sealer.clone()))))
    }

    /// The runs of this installation, as this process holds them.
    pub(crate) fn stored_runs(&self) -> anyhow::Result<Arc<Runs>> {
        let ids = self.ids.clone();
        let clock = Box::new(move || ids.now_ms());
        let seal = Arc::new(Sealing(self.sealer.clone()));
        let owner = self.journal.boot().to_string();
        let runs = Arc::new(Runs::new(Arc::clone(&self.erasable_runs), seal, clock, leasing()?, owner));
        drop(self.tasks.spawn(crate::runs::purge(Arc::clone(&runs), self.tasks.clone())));
        Ok(runs)
    }

    /// Gives the engine the stored policies, now and whenever somebody changes them.
    pub(crate) async fn follow_policies(&self, engine: Arc<Engine>) -> anyhow::Result<()> {
        self.versions.apply(&engine).await?;
        drop(self.tasks.spawn(watch_policies(Arc::clone(&self.versions), engine, self.tasks.clone())));
        Ok(())
    }

    /// Writes the clean end, and hands everything to the store if it answers in time.
    pub(crate) async fn close(mut self, deadline: Duration) -> anyhow::Result<()> {
        self.contents.stop(deadline / 4).await;
        self.journal.close().await?;
        if !self.sinks.settle(&self.journal, SINKS_SETTLE).await {
            tracing::warn!("the last checkpoint could not be kept outside of the store");
        }
        let stopped = self.tasks.shut_down(deadline).await;
        let drained = self.relay.drain(deadline).await;
        if !stopped || !drained {
            tracing::warn!("the store does not have everything yet; the journal keeps it for the next start");
        }
        if let Some(export) = self.export.get()
            && !export.close(deadline).await
        {
            tracing::warn!("the export does not have everything yet; it goes on at the next start");
        }
        Ok(())
    }
}

/// The key given by environment or file, else the one in the data directory.
pub(crate) fn master_key_source(config: &Config) -> anyhow::Result<MasterKeySource> {
    let value = std::env::var("BATON_MASTER_KEY").ok();
    let file = std::env::var_os("BATON_MASTER_KEY_FILE").map(PathBuf::from);
    let source = MasterKeySource::choose(value, file, &config.data_dir)?;
    if matches!(config.database, Database::Postgres(_)) && !source.is_given() {
        bail!(
            "with Postgres the master key must be given, so that every replica has the same: set `BATON_MASTER_KEY` or `BATON_MASTER_KEY_FILE` (`openssl rand -base64 32` makes one)"
        );
    }
    Ok(source)
}

/// Places to die at, for the tests that kill the process. Read here and nowhere else.
fn failpoints() -> anyhow::Result<Failpoints> {
    match std::env::var("BATON_FAILPOINTS") {
        Ok(text) => text.parse().context("`BATON_FAILPOINTS`"),
        Err(_) => Ok(Failpoints::default()),
    }
}

/// How long runs are held. The tests that kill the process do not wait for long. Read here and nowhere else.
fn leasing() -> anyhow::Result<Leasing> {
    match std::env::var("BATON_RUN_LEASE_MS") {
        Ok(text) => {
            let lease = Duration::from_millis(text.parse().context("`BATON_RUN_LEASE_MS`")?);
            Ok(Leasing { lease, ..Leasing::STANDARD })
        }
        Err(_) => Ok(Leasing::STANDARD),
    }
}

/// One store by its ports.
pub(crate) struct Stores {
    pub(crate) audit: Arc<dyn AuditStore>,
    queries: Arc<dyn AuditQueries>,
    upkeep: Arc<dyn AuditUpkeep>,
    responses: Arc<dyn ResponseStore>,
    runs: Arc<dyn RunStore>,
    pub(crate) contents: Arc<dyn ContentStore>,
    pub(crate) keys: Arc<dyn KeyStore>,
    pub(crate) policies: Arc<dyn PolicyStore>,
}

impl Stores {
    pub(crate) fn of<S>(store: S) -> Self
    where
        S: AuditStore
            + AuditQueries
            + AuditUpkeep
            + ResponseStore
            + RunStore
            + ContentStore
            + KeyStore
            + PolicyStore,
    {
        let store = Arc::new(store);
        Self {
            audit: Arc::clone(&store) as _,
            queries: Arc::clone(&store) as _,
            upkeep: Arc::clone(&store) as _,
            responses: Arc::clone(&store) as _,
            runs: Arc::clone(&store) as _,
            contents: Arc::clone(&store) as _,
            keys: Arc::clone(&store) as _,
            policies: store,
        }
    }
}

/// The store of the configuration, for whoever reads it beside a running server, too.
pub(crate) async fn stores(config: &Config) -> anyhow::Result<Stores> {
    match &config.database {
        Database::Sqlite => Ok(Stores::of(SqliteStore::open(&config.data_dir.join("baton.db")).await?)),
        Database::Postgres(url) => {
            let options = PostgresOptions::STANDARD;
            let store = match PostgresStore::connect(url.expose(), options).await {
                // Known keys work from the snapshot, and the journal keeps what the store should have.
                Err(error @ ConnectError::Server(_)) => {
                    tracing::warn!(error = %error, "the database does not answer; the gateway starts without it and goes on asking");
                    PostgresStore::lazy(url.expose(), options)?
                }
                connected => connected?,
            };
            Ok(Stores::of(store))
        }
    }
}

async fn watch_keys(keys: Arc<KeyRing>, tasks: Tasks) {
    let mut ticks = tokio::time::interval(KEYS_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = tasks.stop_token().cancelled() => return,
            _ = ticks.tick() => {}
        }
        if let Err(error) = keys.refresh().await {
            tracing::debug!(error = %error, "keys were not refreshed");
        }
    }
}

async fn watch_policies(versions: Arc<Versions>, engine: Arc<Engine>, tasks: Tasks) {
    let mut waiting = false;
    let mut ticks = tokio::time::interval(KEYS_EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = tasks.stop_token().cancelled() => return,
            _ = ticks.tick() => {}
        }
        waiting |= versions.refresh().await;
        if waiting {
            match versions.apply(&engine).await {
                Ok(()) => waiting = false,
                Err(error) => {
                    tracing::warn!(error = %error, "changed policies cannot be written down, and wait");
                }
            }
        }
    }
}
