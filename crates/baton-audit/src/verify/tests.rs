use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;

use super::*;
use crate::chain::Hash;
use crate::frame::{self, Draft, HEADER};
use crate::journal::{Journal, JournalOptions};
use crate::memory::MemoryStore;
use crate::relay::{Relay, RelayOptions};
use crate::row::Batch;
use crate::samples::{decision, outcome};
use crate::{CheckpointSigner, Clock, Record};

#[tokio::test]
async fn a_log_that_nobody_changed_is_clean() {
    assert_eq!(check(Forgery::Plain, |_| ()).await, []);
}

#[tokio::test]
async fn an_edited_record_breaks_the_chain_where_it_stands() {
    let found = check(Forgery::ChecksumOnly, |entries| edit(&mut entries[4])).await;
    assert_eq!(found.first(), Some(&(5, Flaw::Unlinked)));
}

#[tokio::test]
async fn a_log_that_was_hashed_again_from_an_edit_on_is_found_by_the_next_checkpoint() {
    let found = check(Forgery::Rehashed, |entries| edit(&mut entries[4])).await;
    assert_eq!(found.first(), Some(&(ENTRIES, Flaw::BadCheckpoint)));
}

#[tokio::test]
async fn a_deleted_record_is_found_by_the_next_checkpoint() {
    let found = check(Forgery::Rehashed, |entries| drop(entries.remove(5))).await;
    assert!(found.contains(&(ENTRIES - 1, Flaw::BadCheckpoint)), "{found:?}");
}

#[tokio::test]
async fn a_doubled_record_is_found_by_the_next_checkpoint() {
    let found = check(Forgery::Rehashed, |entries| entries.insert(5, entries[4].clone())).await;
    assert!(found.contains(&(ENTRIES + 1, Flaw::BadCheckpoint)), "{found:?}");
}

#[tokio::test]
async fn two_records_that_changed_places_are_found_by_the_next_checkpoint() {
    let found = check(Forgery::Rehashed, |entries| entries.swap(4, 6)).await;
    assert!(found.contains(&(ENTRIES, Flaw::BadCheckpoint)), "{found:?}");
}

#[tokio::test]
async fn a_log_without_its_checkpoints_is_found_by_the_chain_after_it() {
    let found = check(Forgery::Rehashed, |entries| {
        edit(&mut entries[4]);
        entries.retain(|entry| !entry.windows(12).any(|window| window == b"\"checkpoint\""));
    })
    .await;
    assert_eq!(found, [(2, Flaw::Unsigned), (ENTRIES - 1, Flaw::Missing(ENTRIES))]);
}

#[tokio::test]
async fn a_checkpoint_that_a_stranger_signed_is_found() {
    let found = check(Forgery::Rehashed, |entries| {
        let last = entries.len() - 1;
        let Ok(Record::Checkpoint(old)) = serde_json::from_slice(&entries[last]) else {
            panic!("no checkpoint")
        };
        let stranger = CheckpointSigner::from_seed(&[9; 32]).unwrap();
        let forged = Record::Checkpoint(stranger.sign(old.at_ms, old.head));
        entries[last] = serde_json::to_vec(&forged).unwrap();
    })
    .await;
    assert_eq!(found.first(), Some(&(ENTRIES, Flaw::BadSignature)));
}

#[tokio::test]
async fn a_long_stretch_without_a_checkpoint_is_found() {
    let found = check(Forgery::Rehashed, |entries| {
        entries.pop();
        let last = entries.len() - 1;
        let late = format!(r#"{{"record":"clean_stop","at_ms":{}}}"#, Fixed.now_ms() + 200_000);
        entries[last] = late.into_bytes();
    })
    .await;
    // The checkpoint at the beginning covers the boot record, and itself.
    assert_eq!(found.first(), Some(&(3, Flaw::Unsigned)));
}

/// Boot, checkpoint, six decisions and outcomes, clean stop, checkpoint.
const ENTRIES: u64 = 10;

/// How well the forger covers his tracks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Forgery {
    Plain,
    /// New checksums; numbers and hashes as they were.
    ChecksumOnly,
    /// A whole new chain, with fitting blocks, rows and table of chains; no key.
    Rehashed,
}

#[derive(Debug)]
struct Fixed;

impl Clock for Fixed {
    fn now_ms(&self) -> u64 {
        1_000_000
    }
}

fn signer() -> CheckpointSigner {
    CheckpointSigner::from_seed(&[7; 32]).unwrap()
}

fn edit(entry: &mut Vec<u8>) {
    let text = String::from_utf8(entry.clone())
        .unwrap()
        .replace("anonymous", "mallory")
        .replace("\"total_us\":20", "\"total_us\":21");
    assert_ne!(text.as_bytes(), entry);
    *entry = text.into_bytes();
}

/// Writes two lives, changes the records of the first, and says what is found.
async fn check(forgery: Forgery, change: impl FnOnce(&mut Vec<Vec<u8>>)) -> Vec<(u64, Flaw)> {
    let dir = TempDir::new().unwrap();
    let store = Arc::new(MemoryStore::default());
    let first = live(&dir, &store, 0).await;
    live(&dir, &store, 100).await;
    let (mut payloads, seals) = payloads(&store, first);
    assert_eq!(payloads.len() as u64, ENTRIES);
    change(&mut payloads);
    if forgery != Forgery::Plain {
        rewrite(&store, first, &payloads, (forgery == Forgery::ChecksumOnly).then_some(&seals));
    }
    let keys = [signer().public_key()];
    let report = verify(&*store, VerifyOptions::new(&keys)).await.unwrap();
    report.findings.into_iter().map(|finding| (finding.seq, finding.flaw)).collect()
}

async fn live(dir: &TempDir, store: &Arc<MemoryStore>, from: u64) -> BootId {
    let options = JournalOptions {
        segment_bytes: 1 << 20,
        clock: Arc::new(Fixed),
        ..JournalOptions::new(dir.path(), signer(), "test")
    };
    let (journal, _) = Journal::open(options).unwrap();
    let journal = Arc::new(journal);
    for number in from..from + 3 {
        journal.append(&decision(number)).unwrap();
        journal.append(&outcome(number)).unwrap();
    }
    journal.close().await.unwrap();
    let relay =
        Relay::new(Arc::clone(&journal), Arc::clone(store) as Arc<dyn AuditStore>, RelayOptions::STANDARD);
    assert!(relay.drain(Duration::from_secs(60)).await);
    journal.boot()
}

type Seal = (u64, Hash);

fn payloads(store: &MemoryStore, boot: BootId) -> (Vec<Vec<u8>>, Vec<Seal>) {
    let content = store.content();
    let block = content.blocks.iter().find(|block| block.boot == boot).unwrap();
    let frames = block.unpack().unwrap();
    let entries = frame::read_all(&frames).map(|frame| {
        let frame = frame.unwrap();
        (frame.payload.to_vec(), (frame.seq, frame.hash))
    });
    entries.unzip()
}

/// Puts a chain of these records in the place of the one that was there.
fn rewrite(store: &MemoryStore, boot: BootId, payloads: &[Vec<u8>], seals: Option<&Vec<Seal>>) {
    let mut frames = Vec::new();
    let mut previous = Hash::GENESIS;
    for (payload, seq) in payloads.iter().zip(1..) {
        let mut bytes = vec![0; HEADER];
        bytes.extend_from_slice(payload);
        let hash = Draft::of(&bytes).unwrap().seal(&mut bytes, previous, seq);
        if let Some((_, hash)) = seals.and_then(|seals| seals.get(usize::try_from(seq - 1).unwrap())) {
            bytes = frame::forged(payload, seq, *hash);
        }
        previous = seals.map_or(hash, |seals| seals[usize::try_from(seq - 1).unwrap()].1);
        frames.extend_from_slice(&bytes);
    }
    let batch = Batch::from_frames(boot, Hash::GENESIS, &frames).unwrap();
    let mut content = store.content();
    content.rows.retain(|row| row.boot != boot);
    content.rows.extend(batch.decisions);
    for chain in content.chains.iter_mut().filter(|chain| chain.boot == boot) {
        chain.stopped_ms = batch.clean_stop_ms;
        chain.head =
            ChainHead { boot, seq: batch.blocks[0].last_seq, hash: batch.blocks[0].last.to_string() };
    }
    for block in content.blocks.iter_mut().filter(|block| block.boot == boot) {
        *block = batch.blocks[0].clone();
    }
}
