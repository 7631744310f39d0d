//! `baton store copy`: the log, the keys and the policies go to another store, and are checked there.
//!
//! A copy in a file is a backup; copying it back restores it. What was copied before is not copied again.
//!
//! - Start with [`copy`].
//! - **Never here:** stored answers and runs, which end with their time.

use std::collections::HashSet;
use std::path::Path;
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Instant;

use anyhow::{Context, bail};
use axum::http::Method;
use baton_access::{KeyStore, PolicyState, PolicyStore};
use baton_audit::{ContentStore, Copied};
use baton_config::Config;
use baton_model::Secret;
use baton_store_postgres::{PostgresOptions, PostgresStore};
use baton_store_sqlite::SqliteStore;
use serde_json::json;

use crate::audit::check;
use crate::control::Client;
use crate::core::{Stores, stores};
use crate::output::{line, note};

/// How often it is told how far a copy is, in entries.
const TELL_EVERY: u64 = 100_000;

/// So many keys and pieces of content are read at a time.
const AT_ONCE: u32 = 500;

/// The store that is not the configuration's.
#[derive(Clone, Debug)]
pub(crate) enum Other {
    /// A database file.
    File(std::path::PathBuf),
    /// A Postgres.
    Postgres(Secret<String>),
}

/// Which way a copy goes.
#[derive(Clone, Debug)]
pub(crate) enum Way {
    /// From the configuration's store.
    To(Other),
    /// To the configuration's store.
    From(Other),
}

impl FromStr for Other {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            return Ok(Self::Postgres(Secret::new(text.to_owned())));
        }
        if text.contains("://") {
            return Err("neither the path of a file nor a `postgres://` URL");
        }
        Ok(Self::File(text.into()))
    }
}

impl Other {
    async fn open(&self, must_be_there: bool) -> anyhow::Result<Stores> {
        match self {
            Self::File(path) if must_be_there && !path.exists() => bail!("there is no `{}`", path.display()),
            Self::File(path) => {
                let opened = SqliteStore::open(path as &Path).await;
                Ok(Stores::of(opened.with_context(|| format!("cannot open `{}`", path.display()))?))
            }
            Self::Postgres(url) => {
                Ok(Stores::of(PostgresStore::connect(url.expose(), PostgresOptions::STANDARD).await?))
            }
        }
    }
}

/// Copies, and checks what is there then.
pub(crate) async fn copy(config: &Config, way: &Way, as_json: bool) -> anyhow::Result<ExitCode> {
    let client = Client::open(config).await?;
    // What waits in the journal belongs to the store, and so does the end of this command's own chain.
    let settled = client.call(Method::POST, "/audit/settle", &json!({})).await;
    client.close().await?;
    let settled = settled?;
    let own = stores(config).await?;
    let (from, to) = match way {
        Way::To(other) => (own, other.open(false).await?),
        Way::From(other) => (other.open(true).await?, own),
    };
    let began = Instant::now();
    let mut told = 0;
    let copied = baton_audit::copy(&*from.audit, &*to.audit, |so_far: Copied| {
        if so_far.entries / TELL_EVERY > told {
            told = so_far.entries / TELL_EVERY;
            note(&format!("{} entries, {} decisions so far", so_far.entries, so_far.decisions));
        }
    })
    .await?;
    if matches!(way, Way::To(_)) {
        forget_what_is_gone(&*from.contents, &*to.contents).await?;
    }
    let contents = copy_contents(&*from.contents, &*to.contents).await?;
    let keys = copy_keys(&*from.keys, &*to.keys).await?;
    let policies = copy_policies(&*from.policies, &*to.policies).await?;
    note(&format!(
        "copied {} entries of {} chains, {} decisions, {contents} pieces of content, {keys} keys and {policies} versions of policies in {:.1} s; now they are checked",
        copied.entries,
        copied.chains,
        copied.decisions,
        began.elapsed().as_secs_f64()
    ));
    let report = check::store(&*to.audit, &settled, &[], &[], as_json, None).await?;
    if !as_json {
        line("the keys in it work with the master key of this gateway, and no other");
    }
    Ok(if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Adds where content stands and the keys to it. How many pieces were looked at. Who was erased in the target
/// stays erased there.
async fn copy_contents(from: &dyn ContentStore, to: &dyn ContentStore) -> anyhow::Result<u64> {
    let mut keys = from.subject_keys(("", ""), AT_ONCE).await?;
    while let Some(last) = keys.last() {
        to.put_contents(&[], &keys).await?;
        keys = from.subject_keys((&last.subject, &last.epoch), AT_ONCE).await?;
    }
    let mut copied = 0;
    let mut rows = from.content_rows("", AT_ONCE).await?;
    while let Some(last) = rows.last() {
        copied += rows.len() as u64;
        to.put_contents(&rows, &[]).await?;
        rows = from.content_rows(&last.decision.to_string(), AT_ONCE).await?;
    }
    Ok(copied)
}

/// A key of an earlier copy that the source does not have any more was destroyed: so it is in the copy.
async fn forget_what_is_gone(from: &dyn ContentStore, to: &dyn ContentStore) -> anyhow::Result<()> {
    let mut forgotten = 0;
    let mut after = (String::new(), String::new());
    loop {
        let page = to.subject_keys((&after.0, &after.1), AT_ONCE).await?;
        let Some(last) = page.last() else { break };
        // Both are in the same order, so what the source has of this stretch begins at the same place.
        let end = (last.subject.clone(), last.epoch.clone());
        let mut there = HashSet::new();
        let mut at = after;
        loop {
            let some = from.subject_keys((&at.0, &at.1), AT_ONCE).await?;
            let Some(last) = some.last() else { break };
            at = (last.subject.clone(), last.epoch.clone());
            there.extend(some.into_iter().map(|key| (key.subject, key.epoch)));
            if at >= end {
                break;
            }
        }
        for key in &page {
            if !there.contains(&(key.subject.clone(), key.epoch.clone())) {
                forgotten += to.forget_subject(&key.subject, key.began_ms).await?.keys;
            }
        }
        after = end;
    }
    if forgotten > 0 {
        to.scrub().await?;
    }
    Ok(())
}

/// Adds the keys that are not there, and revokes those that were revoked. How many changed.
async fn copy_keys(from: &dyn KeyStore, to: &dyn KeyStore) -> anyhow::Result<u64> {
    let there = to.list().await?.records;
    let mut changed = 0;
    for record in from.list().await?.records {
        match there.iter().find(|known| known.id == record.id) {
            None => {
                let _revision = to.insert(&record).await?;
            }
            Some(known) if known.revoked_ms.is_none() && record.revoked_ms.is_some() => {
                let mut revoked = known.clone();
                revoked.revoked_ms = record.revoked_ms;
                let _revision = to.update(&revoked).await?;
            }
            Some(_) => continue,
        }
        changed += 1;
    }
    Ok(changed)
}

/// Adds the versions that are not there, and says of each policy that has no state which one counts. How
/// many were added.
async fn copy_policies(from: &dyn PolicyStore, to: &dyn PolicyStore) -> anyhow::Result<u64> {
    let there = to.policies().await?;
    let all = from.policies().await?;
    let mut added = 0;
    for version in &all.versions {
        if !there
            .versions
            .iter()
            .any(|known| (&known.name, &known.version) == (&version.name, &version.version))
        {
            let _revision = to.put(version).await?;
            added += 1;
        }
    }
    for state in all.states.iter().filter(|state| there.state(&state.name).is_none()) {
        let _revision = to.set(&PolicyState { revision: 0, ..state.clone() }).await?;
    }
    Ok(added)
}
