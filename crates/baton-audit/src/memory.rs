//! A store in memory, for tests: it keeps what it is given, and fails when it is told to.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use baton_model::{BootId, DecisionId, RunId};
use futures_util::future::BoxFuture;
use tokio::sync::Notify;

use crate::row::Span;
use crate::store::{AuditStore, Chain, ListQuery, StoreError, StoreErrorKind, StoredDecision, StoredPage};
use crate::{Batch, Block, ChainHead, CorrectionRow, DecisionRow, Document};

/// What a commit does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    /// It fails, and writes nothing.
    Fail,
    /// It writes, and the answer is lost.
    LoseAnswer,
    /// It never ends, and writes nothing.
    Hang,
}

#[derive(Debug, Default)]
pub(crate) struct MemoryStore {
    content: Mutex<Content>,
    moods: Mutex<VecDeque<Mood>>,
    entry_takes: Mutex<Duration>,
    /// Told at each commit that is begun.
    pub(crate) begun: Notify,
    /// Told after each commit that is done.
    pub(crate) done: Notify,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Content {
    pub(crate) blocks: Vec<Block>,
    pub(crate) rows: Vec<DecisionRow>,
    pub(crate) chains: Vec<Chain>,
    pub(crate) documents: Vec<Document>,
}

impl MemoryStore {
    /// A store whose next commits have these moods; later ones work.
    pub(crate) fn with_moods(moods: impl IntoIterator<Item = Mood>) -> Self {
        let store = Self::default();
        store.moods.lock().unwrap().extend(moods);
        store
    }

    /// Lets a commit take so long for each entry of its batch.
    pub(crate) fn take_for_each_entry(&self, time: Duration) {
        *self.entry_takes.lock().unwrap() = time;
    }

    pub(crate) fn content(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap()
    }

    /// The numbers of a chain that are in blocks, in the order of their commits.
    pub(crate) fn numbers(&self, boot: BootId) -> Vec<u64> {
        let content = self.content();
        let blocks = content.blocks.iter().filter(|block| block.boot == boot);
        blocks.flat_map(|block| block.first_seq..=block.last_seq).collect()
    }
}

impl Content {
    fn cursor(&self, boot: BootId) -> Option<ChainHead> {
        self.chains.iter().find(|chain| chain.boot == boot).map(|chain| chain.head.clone())
    }

    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        let Some(span) = batch.span() else { return Ok(()) };
        match self.cursor(span.boot) {
            Some(head) if head.seq >= span.last_seq => return Ok(()),
            Some(head) if head.seq >= span.first_seq => {
                return Err(StoreError::new(StoreErrorKind::Overlap(head), "overlap"));
            }
            Some(_) => {}
            None => self.chains.push(Chain {
                boot: span.boot,
                at_ms: batch.boot.as_ref().map_or(0, |boot| boot.at_ms),
                version: batch.boot.as_ref().map_or_else(String::new, |boot| boot.version.clone()),
                previous: batch.boot.as_ref().and_then(|boot| boot.previous.clone()),
                stopped_ms: None,
                head: ChainHead { boot: span.boot, seq: 0, hash: String::new() },
            }),
        }
        for outcome in &batch.outcomes {
            if let Some(row) = self.rows.iter_mut().find(|row| row.id == outcome.decision) {
                row.outcome.get_or_insert_with(|| outcome.clone());
            }
        }
        self.rows.extend(batch.decisions.iter().cloned());
        self.documents.extend(batch.documents.iter().cloned());
        self.blocks.extend(batch.blocks.iter().cloned());
        if let Some(chain) = self.chains.iter_mut().find(|chain| chain.boot == span.boot) {
            chain.stopped_ms = chain.stopped_ms.or(batch.clean_stop_ms);
            chain.head = ChainHead { boot: span.boot, seq: span.last_seq, hash: span.last.to_string() };
        }
        Ok(())
    }
}

impl AuditStore for MemoryStore {
    fn commit<'a>(&'a self, batch: &'a Batch) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            self.begun.notify_one();
            let mood = self.moods.lock().unwrap().pop_front();
            let away = || Err(StoreError::new(StoreErrorKind::Unavailable, "away"));
            match mood {
                Some(Mood::Fail) => return away(),
                Some(Mood::Hang) => std::future::pending::<()>().await,
                Some(Mood::LoseAnswer) => {
                    self.content().commit(batch)?;
                    return away();
                }
                None => {}
            }
            let takes = *self.entry_takes.lock().unwrap();
            let entries = batch.span().map_or(0, Span::entries);
            tokio::time::sleep(takes * u32::try_from(entries).unwrap()).await;
            let done = self.content().commit(batch);
            self.done.notify_one();
            done
        })
    }

    fn cursor(&self, boot: BootId) -> BoxFuture<'_, Result<Option<ChainHead>, StoreError>> {
        Box::pin(async move { Ok(self.content().cursor(boot)) })
    }

    fn decision(&self, id: DecisionId) -> BoxFuture<'_, Result<Option<StoredDecision>, StoreError>> {
        Box::pin(async move {
            let content = self.content();
            let record = |boot: BootId, seq| {
                let mut blocks = content.blocks.iter().filter(|block| block.boot == boot);
                blocks
                    .find_map(|block| block.records([seq].into_iter()).ok()?.pop())
                    .map(|(_, record)| record)
            };
            let row = content.rows.iter().find(|row| row.id == id).cloned();
            Ok(row.map(|row| StoredDecision {
                record: record(row.boot, row.seq),
                outcome: row.outcome.as_ref().and_then(|outcome| record(outcome.boot, outcome.seq)),
                row,
                boot_ended: false,
            }))
        })
    }

    fn run(&self, _: RunId) -> BoxFuture<'_, Result<Vec<StoredDecision>, StoreError>> {
        Box::pin(async { Err(StoreError::new(StoreErrorKind::Unavailable, "away")) })
    }

    fn list<'a>(&'a self, _: &'a ListQuery) -> BoxFuture<'a, Result<StoredPage, StoreError>> {
        Box::pin(async { Err(StoreError::new(StoreErrorKind::Unavailable, "away")) })
    }

    fn chains(&self) -> BoxFuture<'_, Result<Vec<Chain>, StoreError>> {
        Box::pin(async move { Ok(self.content().chains.clone()) })
    }

    fn blocks(&self, boot: BootId, after: u64, limit: u32) -> BoxFuture<'_, Result<Vec<Block>, StoreError>> {
        Box::pin(async move {
            let content = self.content();
            let blocks = content.blocks.iter().filter(|block| block.boot == boot && block.first_seq > after);
            let mut blocks: Vec<&Block> = blocks.collect();
            blocks.sort_unstable_by_key(|block| block.first_seq);
            Ok(blocks.into_iter().take(limit.try_into().unwrap()).cloned().collect())
        })
    }

    fn rows(&self, boot: BootId, from: u64, to: u64) -> BoxFuture<'_, Result<Vec<DecisionRow>, StoreError>> {
        Box::pin(async move {
            let content = self.content();
            let rows = content.rows.iter().filter(|row| row.boot == boot && (from..=to).contains(&row.seq));
            Ok(rows.cloned().collect())
        })
    }

    fn strays(&self, _: u32) -> BoxFuture<'_, Result<Vec<DecisionRow>, StoreError>> {
        Box::pin(async move {
            let content = self.content();
            let is_stray =
                |row: &&DecisionRow| content.cursor(row.boot).is_none_or(|head| head.seq < row.seq);
            Ok(content.rows.iter().filter(is_stray).cloned().collect())
        })
    }

    fn document<'a>(&'a self, hash: &'a str) -> BoxFuture<'a, Result<Option<Document>, StoreError>> {
        Box::pin(async move {
            Ok(self.content().documents.iter().find(|document| document.hash == hash).cloned())
        })
    }

    fn corrections<'a>(
        &'a self,
        _: &'a [DecisionId],
    ) -> BoxFuture<'a, Result<Vec<CorrectionRow>, StoreError>> {
        Box::pin(async { Ok(Vec::new()) })
    }

    fn ping(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async { Ok(()) })
    }
}
