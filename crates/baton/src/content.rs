//! Captured content: gives the store the keys to it, opens it for whoever may see it, and erases it.
//!
//! Content is evidence like everything else of the log, but sealed under a key of its subject and epoch
//! ([`baton_access::Epochs`]). The store has these keys and nobody else once an epoch is over. So a deleted key is
//! erased content, and no entry of the log has to change.
//!
//! - Start with [`Contents`]; what is captured comes from [`capture`].
//! - **Invariant:** the store has a key before it has the content.
//! - **Invariant:** erasing says that it is done only when this process could not open the content either.

pub(crate) mod capture;

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use baton_access::{Epochs, KeyRing, MasterKey};
use baton_admin::{ContentBody, ContentDesk, ContentError, ContentState};
use baton_audit::{
    Change, Content, ContentKeys, ContentPart, ContentRow, ContentStore, Erased, Forgotten, IdSource,
    Journal, Record, Relay, StoreError, StoreErrorKind, StoredContent, SubjectKeyRow,
};
use baton_model::{BootId, DecisionId};
use baton_net::tasks::Tasks;
use baton_state::Subject;
use baton_state::responses::ResponseStore;
use baton_state::runs::RunStore;
use futures_util::future::BoxFuture;
use serde_json::Value;

use self::capture::Capturing;
use crate::control::Answers;

/// How often it is looked whether another replica has erased somebody, and whether an epoch is over.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// How often old content is looked for.
const DROP_EVERY: Duration = Duration::from_secs(60 * 60);
/// How long the store may take to get what waits in the journal.
const SETTLING: Duration = Duration::from_secs(30);
/// So many rows are erased in one transaction.
const AT_ONCE: u32 = 500;

/// The content of one data directory.
#[derive(Debug)]
pub(crate) struct Contents {
    epochs: Epochs,
    store: Arc<dyn ContentStore>,
    journal: Arc<Journal>,
    ids: IdSource,
    capturing: OnceLock<Arc<Capturing>>,
}

/// What is erased with content.
#[derive(Clone, Debug)]
pub(crate) struct Beside {
    pub(crate) relay: Arc<Relay>,
    pub(crate) responses: Arc<dyn ResponseStore>,
    pub(crate) runs: Arc<dyn RunStore>,
    /// The answers that are kept for repeats.
    pub(crate) answers: Answers,
}

impl Contents {
    pub(crate) fn open(
        data_dir: &std::path::Path,
        master: &MasterKey,
        store: Arc<dyn ContentStore>,
        journal: Arc<Journal>,
        ids: IdSource,
    ) -> anyhow::Result<Self> {
        let epochs = Epochs::open(data_dir.join("content-keys"), master)?;
        Ok(Self { epochs, store, journal, ids, capturing: OnceLock::new() })
    }

    /// Captures what the settings want, from now on.
    pub(crate) fn capture(
        self: &Arc<Self>,
        settings: &baton_config::CaptureSettings,
        keys: &KeyRing,
    ) -> anyhow::Result<Arc<Capturing>> {
        for id in capture::unknown_keys(settings, keys) {
            tracing::warn!(key = %id, "`audit.capture.keys` names a key that is not there");
        }
        let capturing = Capturing::start(settings, Arc::clone(self))?;
        Ok(Arc::clone(self.capturing.get_or_init(|| capturing)))
    }

    /// Waits until everything that was handed in has been written or left out, and takes nothing more.
    pub(crate) async fn stop(&self, within: Duration) {
        if let Some(capturing) = self.capturing.get() {
            capturing.stop(within).await;
        }
        self.epochs.end(self.ids.now_ms());
    }

    /// Seals a piece of content into the log.
    fn write(
        &self,
        decision: DecisionId,
        part: ContentPart,
        subject: &Subject,
        plain: &[u8],
    ) -> anyhow::Result<()> {
        let now_ms = self.ids.now_ms();
        let place = place(decision, part);
        let packed = Content::pack(plain)?;
        self.epochs.seal(now_ms, subject.as_str(), &place, &packed, |epoch, envelope| {
            let subject = subject.as_str();
            let head = baton_audit::ContentHead { decision, at_ms: now_ms, part, subject, epoch };
            let content = Content::new(head, &envelope);
            self.journal.append(&Record::Content(Box::new(content))).map(baton_audit::Receipt::seq)
        })??;
        Ok(())
    }

    /// The content of a decision, opened as far as it can be.
    pub(crate) async fn of(&self, decision: DecisionId) -> Result<Vec<ContentBody>, StoreError> {
        let found = self.store.contents(decision).await?;
        Ok(found.iter().map(|content| self.opened(content)).collect())
    }

    /// What can be opened of one side of a decision, as it was sealed.
    pub(crate) async fn plain(
        &self,
        decision: DecisionId,
        part: ContentPart,
    ) -> Result<Vec<Value>, StoreError> {
        let found = self.store.contents(decision).await?;
        let of_part = found.iter().filter(|stored| stored.row.part == part);
        Ok(of_part.filter_map(|stored| self.open_up(stored).ok()).collect())
    }

    fn opened(&self, stored: &StoredContent) -> ContentBody {
        ContentBody::new(&stored.row, self.open_up(stored))
    }

    fn open_up(&self, stored: &StoredContent) -> Result<Value, ContentState> {
        let row = &stored.row;
        match (&stored.key, &stored.record) {
            (None, _) => Err(ContentState::Erased),
            (Some(_), None) => Err(ContentState::Unavailable),
            (Some(key), Some(record)) => {
                let whose = (row.subject.as_str(), row.epoch.as_str());
                let envelope = record.envelope().unwrap_or_default();
                let packed = self.epochs.unseal(whose, key, &place(row.decision, row.part), &envelope);
                packed
                    .ok()
                    .and_then(|packed| serde_json::from_slice(&Content::unpack(&packed)?).ok())
                    .ok_or(ContentState::Unavailable)
            }
        }
    }

    /// Erases what is kept of a subject, and records that. What is being captured or answered meanwhile comes
    /// after it.
    pub(crate) async fn erase(
        &self,
        subject: &Subject,
        actor: &str,
        beside: Beside,
    ) -> anyhow::Result<Erased> {
        if let Some(capturing) = self.capturing.get() {
            capturing.flush().await;
        }
        let at_ms = self.ids.now_ms();
        self.epochs.end(at_ms);
        let begun = Record::Change(Change {
            at_ms,
            actor: actor.to_owned(),
            action: "audit.erase".to_owned(),
            subject: subject.to_string(),
            detail: Value::Null,
        });
        let receipt = self.journal.append(&begun)?;
        self.journal.synced(&receipt).await?;
        // With what the store gets, it gets the keys; only then can they be destroyed on this disk and there.
        let delivered = beside.relay.deliver(receipt, SETTLING).await;
        anyhow::ensure!(
            delivered,
            "the store does not have everything that the journal has: try again when it answers"
        );
        let left = self.epochs.destroy(receipt.seq())?;
        anyhow::ensure!(left == 0, "keys of content are still needed here: try again");
        let Forgotten { contents, keys } = self.store.forget_subject(subject.as_str(), at_ms).await?;
        let mut responses = 0;
        while let gone @ 1.. = beside.responses.erase_responses(subject, AT_ONCE).await? {
            responses += gone;
        }
        let mut runs = 0;
        while let gone @ 1.. = beside.runs.erase_runs(subject, AT_ONCE).await? {
            runs += gone;
        }
        let answers = beside.answers.forget();
        self.store.scrub().await?;
        let (actor, subject) = (actor.to_owned(), subject.to_string());
        let erased =
            Erased { at_ms: self.ids.now_ms(), actor, subject, contents, keys, responses, runs, answers };
        let receipt = self.journal.append(&Record::Erased(erased.clone()))?;
        self.journal.synced(&receipt).await?;
        Ok(erased)
    }

    /// Ends epochs that another replica's erasing asks for, and drops what is too old.
    pub(crate) async fn keep_in_order(self: Arc<Self>, keep: Option<Duration>, tasks: Tasks) {
        let mut looks = tokio::time::interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut drops = tokio::time::interval(DROP_EVERY);
        drops.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let done = tokio::select! {
                () = tasks.stop_token().cancelled() => return,
                _ = looks.tick() => self.look().await,
                _ = drops.tick() => self.drop_old(keep).await,
            };
            if let Err(error) = done {
                tracing::warn!(error = %error, "captured content was not kept in order; it is tried again");
            }
        }
    }

    async fn look(&self) -> Result<(), StoreError> {
        let Some(began_ms) = self.epochs.began_ms() else { return Ok(()) };
        if self.store.last_forgotten().await?.is_some_and(|at_ms| at_ms >= began_ms) {
            self.epochs.end(self.ids.now_ms());
        }
        Ok(())
    }

    async fn drop_old(&self, keep: Option<Duration>) -> Result<(), StoreError> {
        let Some(keep) = keep else { return Ok(()) };
        let keep = u64::try_from(keep.as_millis()).unwrap_or(u64::MAX);
        let dropped = self.store.drop_contents(self.ids.now_ms().saturating_sub(keep)).await?;
        if dropped > 0 {
            self.store.scrub().await?;
            tracing::info!(dropped, "captured content is too old, and its keys were destroyed");
        }
        Ok(())
    }
}

impl ContentKeys for Contents {
    fn settle<'a>(&'a self, contents: &'a [ContentRow]) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let whose: BTreeSet<(&str, &str)> =
                contents.iter().map(|row| (row.subject.as_str(), row.epoch.as_str())).collect();
            let mut keys = Vec::with_capacity(whose.len());
            for (subject, epoch) in whose {
                let key = self.epochs.key_of(subject, epoch).map_err(|error| {
                    StoreError::new(StoreErrorKind::Unavailable, "a key of content cannot be sealed")
                        .with_source(error)
                })?;
                match key {
                    Some(key) => keys.push(SubjectKeyRow {
                        subject: subject.to_owned(),
                        epoch: epoch.to_owned(),
                        began_ms: key.began_ms,
                        sealed: key.sealed,
                    }),
                    // The folder of keys was lost: the log is whole, and this content cannot be opened.
                    None => tracing::warn!(epoch, "the key of captured content is not here; it stays sealed"),
                }
            }
            self.store.put_contents(contents, &keys).await
        })
    }

    fn moved(&self, boot: BootId, seq: u64) {
        if boot == self.journal.boot()
            && let Err(error) = self.epochs.destroy(seq)
        {
            tracing::warn!(error = %error, "the key of an epoch that is over is still on the disk; it is tried again");
        }
    }
}

impl ContentDesk for Contents {
    fn read<'a>(
        &'a self,
        decision: DecisionId,
        reader: &'a str,
    ) -> BoxFuture<'a, Result<Vec<ContentBody>, ContentError>> {
        Box::pin(async move {
            let unrecorded = |error: baton_audit::JournalError| ContentError::Unrecorded(error.to_string());
            let change = Record::Change(Change {
                at_ms: self.ids.now_ms(),
                actor: reader.to_owned(),
                action: "content.read".to_owned(),
                subject: decision.to_string(),
                detail: Value::Null,
            });
            let receipt = self.journal.append(&change).map_err(unrecorded)?;
            self.journal.synced(&receipt).await.map_err(unrecorded)?;
            Ok(self.of(decision).await?)
        })
    }
}

/// Content belongs to its decision and its side of it, and opens nowhere else.
fn place(decision: DecisionId, part: ContentPart) -> Vec<u8> {
    format!("{decision} {}", part.as_str()).into_bytes()
}
