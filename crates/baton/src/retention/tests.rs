use baton_audit::{AuditStore, Change, CheckpointSigner, JournalOptions, Record, RelayOptions};
use baton_store_sqlite::SqliteStore;
use baton_testkit::clock::FakeClock;
use serde_json::Value;
use tempfile::TempDir;

use super::*;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// 2026-06-15.
const BEGAN_MS: u64 = 1_781_481_600_000;

#[tokio::test]
async fn what_is_old_goes_once_the_store_has_what_says_so() {
    let home = Home::new().await;
    let boot = home.life().await.journal.boot();
    home.clock.advance(100 * DAY);
    let second = home.life().await;
    assert!(second.retention(None).once().await.unwrap().is_empty(), "everything is kept");
    assert!(second.retention(Some(101 * DAY)).once().await.unwrap().is_empty(), "nothing is so old");
    assert!(!home.store.blocks(boot, 0, 100).await.unwrap().is_empty());

    let dropped = second.retention(Some(40 * DAY)).once().await.unwrap();
    assert_eq!(dropped.heads.iter().map(|head| head.boot).collect::<Vec<_>>(), [boot]);
    assert_eq!(home.store.blocks(boot, 0, 100).await.unwrap(), []);
    let kept = home.store.blocks(second.journal.boot(), 0, 100).await.unwrap();
    assert!(!kept.is_empty(), "what is young stays, and with it what was signed");
    assert!(second.retention(Some(40 * DAY)).once().await.unwrap().is_empty(), "it goes once");
}

struct Home {
    dir: TempDir,
    clock: FakeClock,
    store: Arc<SqliteStore>,
}

/// A life of the server that has written something.
struct Life {
    journal: Arc<Journal>,
    relay: Arc<Relay>,
    store: Arc<SqliteStore>,
    ids: IdSource,
}

impl Home {
    async fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let store = Arc::new(SqliteStore::open(dir.path().join("baton.db")).await.unwrap());
        Self { dir, clock: FakeClock::at_ms(BEGAN_MS), store }
    }

    async fn life(&self) -> Life {
        let signer = CheckpointSigner::from_seed(&[7; 32]).unwrap();
        let options = JournalOptions {
            clock: Arc::new(self.clock.clone()),
            segment_bytes: 1 << 20,
            ..JournalOptions::new(self.dir.path().join("journal"), signer, "test")
        };
        let journal = Arc::new(Journal::open(options).unwrap().0);
        let ids = IdSource::new(Arc::new(self.clock.clone()));
        let store = Arc::clone(&self.store);
        let relay = Relay::new(
            Arc::clone(&journal),
            Arc::clone(&store) as Arc<dyn AuditStore>,
            RelayOptions::STANDARD,
        );
        for number in 0..20 {
            let change = Change {
                at_ms: ids.now_ms(),
                actor: "test".to_owned(),
                action: "key.create".to_owned(),
                subject: number.to_string(),
                detail: Value::Null,
            };
            let _receipt = journal.append(&Record::Change(change)).unwrap();
        }
        journal.checkpoint().await.unwrap();
        assert!(relay.drain(SETTLING).await);
        Life { journal, relay: Arc::new(relay), store, ids }
    }
}

impl Life {
    fn retention(&self, keep: Option<Duration>) -> Retention {
        Retention {
            journal: Arc::clone(&self.journal),
            relay: Arc::clone(&self.relay),
            store: Arc::clone(&self.store) as Arc<dyn AuditUpkeep>,
            ids: self.ids.clone(),
            keep,
        }
    }
}
