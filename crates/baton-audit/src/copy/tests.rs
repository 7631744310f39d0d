use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;

use super::*;
use crate::memory::{MemoryStore, Mood};
use crate::samples::{decision, outcome};
use crate::{CheckpointSigner, Journal, JournalOptions, Relay, RelayOptions};

/// Two chains: the outcome of the first one's last decision stands in the second.
async fn log(dir: &TempDir) -> Arc<MemoryStore> {
    let store = Arc::new(MemoryStore::default());
    life(dir, &store, 0..20, 0..19).await;
    life(dir, &store, 20..40, 19..40).await;
    store
}

async fn life(
    dir: &TempDir,
    store: &Arc<MemoryStore>,
    decided: std::ops::Range<u64>,
    ended: std::ops::Range<u64>,
) {
    let signer = CheckpointSigner::from_seed(&[7; 32]).unwrap();
    let options =
        JournalOptions { segment_bytes: 1 << 20, ..JournalOptions::new(dir.path(), signer, "test") };
    let journal = Arc::new(Journal::open(options).unwrap().0);
    for number in decided {
        journal.append(&decision(number)).unwrap();
    }
    for number in ended {
        journal.append(&outcome(number)).unwrap();
    }
    journal.checkpoint().await.unwrap();
    // Blocks of three entries, so that there are many.
    let options = RelayOptions { batch_entries: 3, ..RelayOptions::STANDARD };
    let relay = Relay::new(journal, Arc::clone(store) as Arc<dyn AuditStore>, options);
    assert!(relay.drain(Duration::from_secs(10)).await);
}

fn entries(store: &MemoryStore) -> Vec<(BootId, Vec<u64>)> {
    let mut boots: Vec<BootId> = store.content().chains.iter().map(|chain| chain.boot).collect();
    boots.sort_unstable();
    boots.into_iter().map(|boot| (boot, store.numbers(boot))).collect()
}

#[tokio::test]
async fn all_comes_over_once_with_its_outcomes() {
    let dir = TempDir::new().unwrap();
    let (from, to) = (log(&dir).await, MemoryStore::default());
    let copied = copy(&*from, &to, drop).await.unwrap();
    assert_eq!((copied.chains, copied.decisions), (2, 40));
    assert_eq!(entries(&to), entries(&from));
    assert!(to.content().rows.iter().all(|row| row.outcome.is_some()));
    assert!(to.content().blocks.len() < from.content().blocks.len(), "small blocks become large ones");
    assert_eq!(copy(&*from, &to, drop).await.unwrap(), Copied { chains: 2, ..Copied::default() });
}

#[tokio::test]
async fn a_copy_that_broke_off_goes_on_where_it_was() {
    let dir = TempDir::new().unwrap();
    let from = log(&dir).await;
    let to = MemoryStore::with_moods([Mood::LoseAnswer, Mood::Fail]);
    for _ in 0..2 {
        assert!(matches!(copy(&*from, &to, drop).await, Err(CopyError::Store(_))));
    }
    copy(&*from, &to, drop).await.unwrap();
    assert_eq!(entries(&to), entries(&from));
}

#[tokio::test]
async fn what_came_to_the_source_meanwhile_is_the_next_copys() {
    let dir = TempDir::new().unwrap();
    let (from, to) = (log(&dir).await, MemoryStore::default());
    copy(&*from, &to, drop).await.unwrap();
    life(&dir, &from, 40..50, 40..50).await;
    assert_eq!(copy(&*from, &to, drop).await.unwrap().decisions, 10);
    assert_eq!(entries(&to), entries(&from));
}

#[tokio::test]
async fn a_target_with_another_log_is_left_alone() {
    let dir = TempDir::new().unwrap();
    let (from, to) = (log(&dir).await, MemoryStore::default());
    copy(&*from, &to, drop).await.unwrap();
    let before = entries(&to);
    to.content().chains[0].head.hash = Hash::GENESIS.to_string();
    assert!(matches!(copy(&*from, &to, drop).await, Err(CopyError::Other { .. })));
    assert_eq!(entries(&to), before);
}
