use tempfile::TempDir;

use super::*;
use crate::journal::JournalOptions;
use crate::memory::{MemoryStore, Mood};
use crate::samples::{decision, decision_id, outcome};
use crate::{CheckpointSigner, Decisions, ListQuery, Lookup, OutcomeView};

#[tokio::test]
async fn every_entry_arrives_once_and_in_order() {
    check([]).await;
}

#[tokio::test]
async fn a_store_that_is_away_gets_everything_when_it_is_back() {
    check([Mood::Fail; 7]).await;
}

#[tokio::test]
async fn an_answer_that_is_lost_duplicates_nothing() {
    check([Mood::LoseAnswer, Mood::LoseAnswer, Mood::Fail, Mood::LoseAnswer]).await;
}

#[tokio::test]
async fn a_store_that_hangs_is_given_up_and_tried_again() {
    check([Mood::Hang, Mood::LoseAnswer, Mood::Hang, Mood::Fail]).await;
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_slow_is_given_less_until_it_keeps_up() {
    let (journal, _dir) = journal();
    write(&journal, 0..40).await;
    let store = Arc::new(MemoryStore::default());
    // Sixteen entries would take four times as long as it is waited.
    store.take_for_each_entry(Duration::from_millis(50));
    let options = RelayOptions { batch_entries: 16, commit_timeout: Duration::from_millis(200), ..OPTIONS };
    let relay = Relay::new(Arc::clone(&journal), Arc::clone(&store) as Arc<dyn AuditStore>, options);
    assert!(relay.drain(DEADLINE).await);
    assert_eq!(store.numbers(journal.boot()), (1..=journal.head().seq).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_journal_that_was_full_has_room_when_the_store_has_everything() {
    let dir = TempDir::new().unwrap();
    let max_bytes = 1 << 20;
    // Segments as large as the bound would never be given back.
    let (journal, _) = Journal::open(JournalOptions { max_bytes, ..options(&dir) }).unwrap();
    let journal = Arc::new(journal);
    let accepted = (0..).take_while(|number| journal.append(&decision(*number)).is_ok()).count() as u64;
    assert!(journal.health().full);
    for number in 0..accepted {
        journal.append(&outcome(number)).unwrap();
    }
    journal.checkpoint().await.unwrap();
    assert!(relay(&journal, &Arc::new(MemoryStore::default())).drain(DEADLINE).await);
    let health = journal.health();
    assert!(!health.full && health.used_bytes < max_bytes / 4, "{health:?}");
}

#[tokio::test(start_paused = true)]
async fn a_silence_of_the_store_is_told_while_it_lasts() {
    let (journal, _dir) = journal();
    write(&journal, 0..1).await;
    let store = Arc::new(MemoryStore::with_moods([Mood::Hang]));
    let options = RelayOptions { commit_timeout: DEADLINE, ..OPTIONS };
    let relay = Relay::new(Arc::clone(&journal), Arc::clone(&store) as Arc<dyn AuditStore>, options);
    let silence = async {
        store.begun.notified().await;
        sleep(Duration::from_secs(3)).await;
        relay.health().silence
    };
    let (told, ()) = tokio::join!(silence, relay.run(sleep(Duration::from_secs(4))));
    assert!(told >= Duration::from_secs(3), "{told:?}");
    assert_eq!(relay.health().silence, Duration::ZERO, "nothing is asked any more");
}

#[tokio::test]
async fn a_batch_has_no_more_entries_than_it_may() {
    let (journal, _dir) = journal();
    write(&journal, 0..20).await;
    let store = Arc::new(MemoryStore::default());
    let relay = relay(&journal, &store);
    assert!(relay.drain(DEADLINE).await);
    let sizes: Vec<u64> =
        store.content().blocks.iter().map(|block| block.last_seq - block.first_seq + 1).collect();
    assert!(sizes.iter().all(|size| *size <= 3), "{sizes:?}");
    let health = relay.health();
    assert_eq!((health.entries, health.batches), (sizes.iter().sum(), sizes.len() as u64));
}

#[tokio::test]
async fn nothing_is_deleted_before_the_store_has_it() {
    let dir = TempDir::new().unwrap();
    let segment_bytes = 40 * 1024;
    let (journal, _) = Journal::open(JournalOptions { segment_bytes, ..options(&dir) }).unwrap();
    let journal = Arc::new(journal);
    write(&journal, 0..100).await;
    let before = journal.health();
    assert!(before.backlog_bytes > 60_000);
    let failing = Arc::new(MemoryStore::with_moods([Mood::Fail]));
    relay(&journal, &failing).run(failing.begun.notified()).await;
    assert_eq!(journal.health().backlog_bytes, before.backlog_bytes);
    assert_eq!(journal.health().used_bytes, before.used_bytes);
    let store = Arc::new(MemoryStore::default());
    assert!(relay(&journal, &store).drain(DEADLINE).await);
    assert_eq!(journal.health().backlog_bytes, 0);
    assert!(journal.health().used_bytes < before.used_bytes, "whole segments are gone");
    assert_eq!(store.numbers(journal.boot()), (1..=journal.head().seq).collect::<Vec<_>>());
}

#[tokio::test]
async fn one_record_is_delivered_without_waiting_for_what_came_after_it() {
    let (journal, _dir) = journal();
    write(&journal, 0..2).await;
    let signed = journal.sign_drop(1, Vec::new(), 0).await.unwrap();
    write(&journal, 2..20).await;
    let store = Arc::new(MemoryStore::default());
    let relay = relay(&journal, &store);
    assert!(relay.deliver(signed, DEADLINE).await);
    let last = store.numbers(journal.boot()).last().copied().unwrap();
    assert!((signed.seq()..journal.head().seq).contains(&last), "{last}");
    assert!(relay.deliver(signed, DEADLINE).await, "what is there is delivered");
}

#[tokio::test(start_paused = true)]
async fn a_record_is_not_delivered_while_the_store_is_away() {
    let (journal, _dir) = journal();
    let signed = journal.sign_drop(1, Vec::new(), 0).await.unwrap();
    let store = Arc::new(MemoryStore::with_moods([Mood::Hang]));
    let options = RelayOptions { commit_timeout: DEADLINE, ..OPTIONS };
    let relay = Relay::new(Arc::clone(&journal), Arc::clone(&store) as Arc<dyn AuditStore>, options);
    assert!(!relay.deliver(signed, DEADLINE / 2).await);
    assert_eq!(store.numbers(journal.boot()), Vec::<u64>::new());
}

#[tokio::test]
async fn a_running_relay_moves_what_is_synced_and_can_be_stopped_in_a_commit() {
    let (journal, _dir) = journal();
    let store = Arc::new(MemoryStore::default());
    let relay = Arc::new(relay(&journal, &store));
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running = {
        let relay = Arc::clone(&relay);
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(async move { relay.run(async { drop(stopped.await) }).await });
        tasks
    };
    write(&journal, 0..1).await;
    while store.numbers(journal.boot()).len() < 5 {
        store.done.notified().await;
    }
    stop.send(()).unwrap();
    running.join_all().await;

    let hanging = Arc::new(MemoryStore::with_moods([Mood::Hang]));
    let second = Relay::new(
        Arc::clone(&journal),
        Arc::clone(&hanging) as Arc<dyn AuditStore>,
        RelayOptions { commit_timeout: DEADLINE, ..OPTIONS },
    );
    write(&journal, 1..2).await;
    second.run(hanging.begun.notified()).await;
    assert_eq!(hanging.numbers(journal.boot()), Vec::<u64>::new());
    assert!(second.drain(DEADLINE).await);
    assert_eq!(hanging.numbers(journal.boot()).last(), Some(&journal.head().seq));
}

#[tokio::test]
async fn what_a_dead_process_left_is_relayed_from_where_the_store_is() {
    let dir = TempDir::new().unwrap();
    let store = Arc::new(MemoryStore::with_moods([Mood::LoseAnswer]));
    let (journal, _) = Journal::open(options(&dir)).unwrap();
    let journal = Arc::new(journal);
    write(&journal, 0..10).await;
    let first = journal.boot();
    let end = journal.head().seq;
    // The first commit came through, and the process died before it knew.
    let dying = relay(&journal, &store);
    dying.run(store.begun.notified()).await;
    assert_eq!(store.numbers(first).len(), 3);
    drop((dying, journal));

    let (journal, recovered) = Journal::open(options(&dir)).unwrap();
    let journal = Arc::new(journal);
    assert_eq!(recovered.entries, end);
    // Its batches have another size, so that none begins where the store is.
    let options = RelayOptions { batch_entries: 5, ..OPTIONS };
    let next = Relay::new(Arc::clone(&journal), Arc::clone(&store) as Arc<dyn AuditStore>, options);
    assert!(next.drain(DEADLINE).await);
    assert_eq!(store.numbers(first), (1..=end).collect::<Vec<_>>());
    assert_eq!(store.numbers(journal.boot()), (1..=journal.head().seq).collect::<Vec<_>>());
}

#[tokio::test]
async fn while_the_store_is_away_a_decision_and_its_run_are_read_from_the_journal() {
    let (journal, _dir) = journal();
    write(&journal, 0..3).await;
    journal.append(&decision(7)).unwrap();
    let decisions = Decisions::new(Arc::clone(&journal), Arc::new(MemoryStore::default()));
    let Lookup::Found(run) = decisions.chain_of(decision_id(1)).await.unwrap() else { panic!("not found") };
    assert_eq!(run.decisions.len(), 1);
    assert!(matches!(run.decisions[0].outcome, OutcomeView::Recorded(_)));
    let Lookup::Found(open) = decisions.get(decision_id(7)).await.unwrap() else { panic!("not found") };
    assert_eq!(open.outcome, OutcomeView::Running);
    assert!(decisions.list(&ListQuery::default()).await.is_err(), "a list is the store's");
}

const DEADLINE: Duration = Duration::from_secs(60);
const OPTIONS: RelayOptions = RelayOptions {
    linger: Duration::ZERO,
    commit_timeout: Duration::from_millis(20),
    min_backoff: Duration::ZERO,
    max_backoff: Duration::from_millis(1),
    batch_entries: 3,
    batch_bytes: 1 << 20,
};

/// Relays ten requests into a store of these moods: each entry must arrive once, in order, and
/// each row with its outcome.
async fn check<const N: usize>(moods: [Mood; N]) {
    let (journal, _dir) = journal();
    write(&journal, 0..10).await;
    let store = Arc::new(MemoryStore::with_moods(moods));
    assert!(relay(&journal, &store).drain(DEADLINE).await);
    assert_eq!(store.numbers(journal.boot()), (1..=journal.head().seq).collect::<Vec<_>>());
    assert_eq!(journal.health().backlog_bytes, 0);
    let content = store.content();
    let ids: Vec<_> = content.rows.iter().map(|row| row.id).collect();
    assert_eq!(ids, (0..10).map(decision_id).collect::<Vec<_>>());
    assert!(content.rows.iter().all(|row| row.outcome.is_some()));
}

async fn write(journal: &Journal, numbers: std::ops::Range<u64>) {
    for number in numbers {
        journal.append(&decision(number)).unwrap();
        journal.append(&outcome(number)).unwrap();
    }
    journal.checkpoint().await.unwrap();
}

fn options(dir: &TempDir) -> JournalOptions {
    let signer = CheckpointSigner::from_seed(&[7; 32]).unwrap();
    JournalOptions { segment_bytes: 1 << 20, ..JournalOptions::new(dir.path(), signer, "test") }
}

fn journal() -> (Arc<Journal>, TempDir) {
    let dir = TempDir::new().unwrap();
    let (journal, _) = Journal::open(options(&dir)).unwrap();
    (Arc::new(journal), dir)
}

fn relay(journal: &Arc<Journal>, store: &Arc<MemoryStore>) -> Relay {
    Relay::new(Arc::clone(journal), Arc::clone(store) as Arc<dyn AuditStore>, OPTIONS)
}
