mod backlog;
mod torn;

use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc;

use proptest::prelude::{Strategy, any, prop, proptest};
use tempfile::TempDir;

use super::index::Places;
use super::read::ReadLimit;
use super::segment::EntryReader;
use super::*;
use crate::chain::CheckpointSigner;
use crate::frame;
use crate::samples::{decision, decision_id, outcome, refusal};

#[tokio::test]
async fn what_was_appended_is_found_at_once_by_its_id() {
    let dir = TempDir::new().unwrap();
    let (journal, _) = open(&dir);
    let receipt = journal.append(&decision(1)).unwrap();
    let found = journal.find(decision_id(1)).unwrap();
    assert_eq!(found.decision.map(|(decision, ..)| Record::Decision(decision)), Some(decision(1)));
    assert!(found.outcome.is_none());
    journal.append(&outcome(1)).unwrap();
    let found = journal.find(decision_id(1)).unwrap();
    assert_eq!(found.outcome.map(|(outcome, ..)| Record::Outcome(outcome)), Some(outcome(1)));
    journal.synced(&receipt).await.unwrap();
}

#[tokio::test]
async fn a_chain_begins_with_its_boot_and_a_checkpoint_and_ends_with_a_clean_stop() {
    let dir = TempDir::new().unwrap();
    let (journal, _) = open(&dir);
    journal.append(&decision(1)).unwrap();
    journal.close().await.unwrap();
    let words: Vec<&str> = all(&journal).iter().map(|(_, record)| word(record)).collect();
    assert_eq!(words, ["boot", "checkpoint", "decision", "clean_stop", "checkpoint"]);
    assert!(matches!(journal.append(&decision(2)), Err(JournalError::Closed)));
}

#[tokio::test]
async fn a_checkpoint_is_signed_and_speaks_of_the_entry_before_it() {
    let dir = TempDir::new().unwrap();
    let (journal, _) = open(&dir);
    journal.append(&decision(1)).unwrap();
    let head = journal.head();
    journal.checkpoint().await.unwrap();
    let Some((_, Record::Checkpoint(checkpoint))) = all(&journal).pop() else { panic!("no checkpoint") };
    assert_eq!(checkpoint.head, head);
    assert!(signer().public_key().has_signed(&checkpoint));
}

#[tokio::test]
async fn the_next_boot_names_the_head_of_the_chain_before_it() {
    let dir = TempDir::new().unwrap();
    let (journal, first) = open(&dir);
    assert_eq!(first, Recovered { clean: true, ..Recovered::default() });
    journal.append(&decision(1)).unwrap();
    journal.close().await.unwrap();
    let head = journal.head();
    drop(journal);

    let (journal, recovered) = open(&dir);
    assert!(recovered.clean);
    assert_eq!(recovered.chains, std::slice::from_ref(&head));
    assert_eq!((recovered.entries, recovered.open_attempts), (5, 1));
    let boots: Vec<Boot> = all(&journal)
        .into_iter()
        .filter_map(|(_, record)| if let Record::Boot(boot) = record { Some(boot) } else { None })
        .collect();
    assert_eq!(boots.len(), 2);
    assert_eq!(boots[1].previous, Some(head));
    assert!(journal.find(decision_id(1)).unwrap().decision.is_some());
}

#[test]
fn a_journal_that_was_dropped_without_a_close_reads_as_a_crash() {
    let dir = TempDir::new().unwrap();
    let (journal, _) = open(&dir);
    journal.append(&decision(1)).unwrap();
    journal.append(&decision(2)).unwrap();
    journal.append(&outcome(1)).unwrap();
    drop(journal);
    let (_, recovered) = open(&dir);
    assert!(!recovered.clean);
    assert_eq!((recovered.entries, recovered.open_attempts), (5, 1));
    assert_eq!(recovered.quarantined, []);
}

#[test]
fn a_second_process_is_refused_and_told_who_has_the_journal() {
    let dir = TempDir::new().unwrap();
    let (_journal, _) = open(&dir);
    let error = Journal::open(options(&dir)).unwrap_err();
    let pid = std::process::id();
    assert!(matches!(error, JournalError::Locked { holder: Some(holder), .. } if holder == pid));
    assert!(error.to_string().ends_with(&format!("is in use by process {pid}")));
}

#[test]
fn a_tail_cut_at_any_byte_leaves_the_whole_entries_before_it() {
    let (dir, bytes, ends) = written(20);
    let from = bytes.len().saturating_sub(4096);
    for cut in from..bytes.len() {
        let (recovered, records) = reopened(&dir, &bytes[..cut]);
        let whole = ends.iter().filter(|end| **end <= cut).count();
        assert_eq!(size(recovered.entries), whole, "cut at {cut}");
        assert_eq!(records, whole, "cut at {cut}");
        let last = ends[..whole].last().copied().unwrap_or(HEADER_BYTES);
        let rest: u64 = recovered.quarantined.iter().map(|rest| rest.bytes).sum();
        // Zeros at the very end cannot be told from space that was never written.
        let torn = bytes[last..cut].iter().rposition(|byte| *byte != 0).map_or(0, |at| at + 1);
        assert_eq!(size(rest), torn, "cut at {cut}");
    }
}

#[test]
fn a_tail_of_zeros_from_any_byte_on_leaves_the_whole_entries_before_it() {
    let (dir, bytes, ends) = written(20);
    for cut in bytes.len().saturating_sub(4096)..bytes.len() {
        let mut torn = bytes[..cut].to_vec();
        torn.resize(bytes.len() + 512, 0);
        let (recovered, records) = reopened(&dir, &torn);
        // An entry that ends in what reads as zeros may be whole before the cut.
        let whole = ends.iter().filter(|end| bytes[cut.min(**end)..**end].iter().all(|b| *b == 0)).count();
        assert_eq!((size(recovered.entries), records), (whole, whole), "cut at {cut}");
    }
}

#[test]
fn a_flipped_bit_anywhere_leaves_the_entries_before_it_and_invents_none() {
    let (dir, bytes, ends) = written(12);
    for bit in (HEADER_BYTES * 8..bytes.len() * 8).step_by(13) {
        let mut damaged = bytes.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let (recovered, records) = reopened(&dir, &damaged);
        let whole = ends.iter().filter(|end| **end <= bit / 8).count();
        assert_eq!((size(recovered.entries), records), (whole, whole), "bit {bit}");
        assert_eq!(recovered.quarantined.len(), 1, "bit {bit}");
        let kept = fs::read(&recovered.quarantined[0].file).unwrap();
        assert!(damaged.ends_with(&kept), "the rest is kept as it was, bit {bit}");
    }
}

#[test]
fn whole_entries_in_a_wrong_place_are_not_kept() {
    let (dir, bytes, ends) = written(6);
    let entry = |number: usize| &bytes[ends[number - 1]..ends[number]];
    let last = ends.len() - 1;
    let doubled = [&bytes[..], entry(last)].concat();
    let without_one = [&bytes[..ends[last - 2]], entry(last)].concat();
    let swapped = [&bytes[..ends[last - 2]], entry(last), entry(last - 1)].concat();
    for (damaged, whole) in [(doubled, ends.len()), (without_one, last - 1), (swapped, last - 1)] {
        let (recovered, records) = reopened(&dir, &damaged);
        assert_eq!((size(recovered.entries), records), (whole, whole));
        assert_eq!(recovered.quarantined[0].reason, "the entry does not continue its chain");
    }
}

#[test]
fn a_flipped_bit_in_a_header_puts_the_segment_aside() {
    let (dir, bytes, _) = written(2);
    for bit in (0..HEADER_BYTES * 8).step_by(7) {
        let mut damaged = bytes.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let (recovered, records) = reopened(&dir, &damaged);
        assert_eq!((recovered.entries, records), (0, 0), "bit {bit}");
        assert_eq!(size(recovered.quarantined[0].bytes), bytes.len(), "bit {bit}");
    }
}

#[test]
fn segments_behind_a_damaged_one_of_the_same_chain_are_put_aside() {
    let dir = TempDir::new().unwrap();
    let (journal, _) = Journal::open(small(&dir)).unwrap();
    for number in 0..150 {
        journal.append(&refusal(number)).unwrap();
    }
    drop(journal);
    let files = segments(&dir);
    assert!(files.len() >= 3, "the test needs several segments");
    let mut bytes = fs::read(&files[1]).unwrap();
    bytes[HEADER_BYTES + 60] ^= 1;
    fs::write(&files[1], bytes).unwrap();
    let (journal, recovered) = Journal::open(small(&dir)).unwrap();
    assert_eq!(recovered.quarantined.len(), files.len() - 1);
    assert_eq!(recovered.segments, 2, "the one before, and the empty beginning of the damaged one");
    assert_eq!(recovered.chains.len(), 1);
    let boot = all(&journal).into_iter().find_map(|(_, record)| match record {
        Record::Boot(boot) if boot.boot == journal.boot() => boot.previous,
        _ => None,
    });
    assert_eq!(boot, recovered.chains.first().cloned());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_tasks_are_synced_together_and_none_is_missed() {
    let dir = TempDir::new().unwrap();
    let (journal, _) = open(&dir);
    let journal = Arc::new(journal);
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..64 {
        let journal = Arc::clone(&journal);
        tasks.spawn(async move {
            for number in 0..20 {
                let number = task * 100 + number;
                let receipt = journal.append(&decision(number)).unwrap();
                journal.synced(&receipt).await.unwrap();
                journal.append(&outcome(number)).unwrap();
            }
        });
    }
    tasks.join_all().await;
    assert_eq!(journal.health().written_seq, 2 + 64 * 20 * 2);
    assert_eq!(journal.health().open_attempts, 0);
    journal.checkpoint().await.unwrap();
    let records = all(&journal);
    assert_eq!(records.len(), 3 + 64 * 20 * 2);
    assert!(records.iter().zip(1..).all(|((seq, _), expected)| *seq == expected));
}

#[tokio::test]
async fn an_outcome_that_nobody_waits_for_is_synced_too() {
    let dir = TempDir::new().unwrap();
    let (journal, _) = open(&dir);
    let progress = journal.progress();
    journal.append(&outcome(1)).unwrap();
    progress.await;
    assert_eq!(journal.health().synced_seq, 3);
}

#[tokio::test]
async fn a_failed_sync_is_told_and_nothing_new_is_accepted() {
    let dir = TempDir::new().unwrap();
    let failing = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&failing);
    let fail = move || {
        if seen.load(Ordering::SeqCst) { Err(io::Error::other("input/output error")) } else { Ok(()) }
    };
    let failpoints = Failpoints::at(Failpoint::BeforeSync, 1, Arc::new(fail));
    let (journal, _) = Journal::open(JournalOptions { failpoints, ..options(&dir) }).unwrap();
    failing.store(true, Ordering::SeqCst);
    let receipt = journal.append(&decision(1)).unwrap();
    let error = journal.synced(&receipt).await.unwrap_err();
    assert_eq!(error.to_string(), "a sync of the journal failed: input/output error");
    // The disk is well again, but what became of the pages is not known.
    failing.store(false, Ordering::SeqCst);
    assert!(matches!(journal.append(&decision(2)), Err(JournalError::SyncFailed(_))));
    assert!(journal.has_failed());
    journal.append(&outcome(1)).unwrap();
    assert!(journal.synced(&receipt).await.is_err());
}

#[tokio::test]
async fn the_age_of_a_wait_is_seen_while_a_sync_hangs() {
    let dir = TempDir::new().unwrap();
    let (entered, has_entered) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let released = Mutex::new(released);
    // The first two syncs are the boot's.
    let hang = move || {
        entered.send(()).map_err(io::Error::other)?;
        released.lock().unwrap().recv().map_err(io::Error::other)
    };
    let failpoints = Failpoints::at(Failpoint::BeforeSync, 3, Arc::new(hang));
    let (journal, _) = Journal::open(JournalOptions { failpoints, ..options(&dir) }).unwrap();
    // Goes before the journal, so that a failed assertion does not leave the sync hanging.
    let release = release;
    assert_eq!(journal.sync_age(), Duration::ZERO);
    let first = journal.append(&decision(1)).unwrap();
    has_entered.recv().unwrap();
    let age = journal.sync_age();
    let second = journal.append(&decision(2)).unwrap();
    assert!(age > Duration::ZERO);
    assert_eq!(all(&journal).len(), 2, "the relay is not shown what is not synced");
    assert!(journal.sync_age() >= age, "the oldest wait counts");
    release.send(()).unwrap();
    journal.synced(&first).await.unwrap();
    has_entered.recv().unwrap();
    release.send(()).unwrap();
    journal.synced(&second).await.unwrap();
    assert_eq!(journal.sync_age(), Duration::ZERO);
    drop(release);
}

#[test]
fn a_write_that_fails_leaves_no_trace() {
    let dir = TempDir::new().unwrap();
    let failpoints = Failpoints::at(
        Failpoint::AfterWrite,
        4,
        Arc::new(|| Err(io::Error::from(io::ErrorKind::StorageFull))),
    );
    let (journal, _) = Journal::open(JournalOptions { failpoints, ..options(&dir) }).unwrap();
    journal.append(&decision(1)).unwrap();
    let head = journal.head();
    assert!(matches!(journal.append(&decision(2)), Err(JournalError::Io { .. })));
    assert_eq!(journal.head(), head);
    assert!(journal.find(decision_id(2)).unwrap().decision.is_none());
    assert_eq!(journal.health().open_attempts, 1);
}

#[test]
fn a_full_journal_refuses_decisions_and_still_takes_every_outcome() {
    let dir = TempDir::new().unwrap();
    let max_bytes = 256 * 1024;
    let (journal, _) = Journal::open(JournalOptions { max_bytes, ..small(&dir) }).unwrap();
    let mut accepted = 0;
    let error = loop {
        match journal.append(&decision(accepted)) {
            Ok(_) => accepted += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, JournalError::Full { limit, .. } if limit == max_bytes));
    assert!(accepted > 10, "only {accepted} were accepted");
    assert!(journal.health().full);
    for number in 0..accepted {
        let Record::Outcome(mut long) = outcome(number) else { panic!("it is an outcome") };
        long.upstream_id = Some("\u{1}".repeat(10_000));
        long.upstream_model = Some("é".repeat(10_000));
        journal.append(&Record::Outcome(long)).unwrap();
    }
    let health = journal.health();
    assert!(health.used_bytes <= max_bytes, "{health:?}");
    assert_eq!(health.open_attempts, 0);
    assert!(!health.full);
    journal.append(&decision(accepted)).unwrap();
}

#[test]
fn an_entry_larger_than_a_segment_gets_one_of_its_own() {
    let dir = TempDir::new().unwrap();
    let (journal, _) = Journal::open(small(&dir)).unwrap();
    let large = record(3, 1, 200_000);
    journal.append(&decision(1)).unwrap();
    journal.append(&large).unwrap();
    journal.append(&outcome(1)).unwrap();
    drop(journal);
    let (journal, recovered) = Journal::open(small(&dir)).unwrap();
    assert_eq!(recovered.quarantined, []);
    assert!(all(&journal).into_iter().any(|(_, record)| record == large));
    let too_long = record(3, 2, 4_000_000);
    assert!(matches!(journal.append(&too_long), Err(JournalError::TooLong(_))));
}

#[test]
fn a_process_that_dies_at_any_moment_loses_nothing_that_it_was_told_is_written() {
    for point in ["before_write:9", "after_write:9", "before_sync:4", "after_sync:4"] {
        let dir = TempDir::new().unwrap();
        let dying = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "journal::tests::the_process_that_dies", "--nocapture"])
            .env(DYING_IN, dir.path())
            .env(DYING_AT, point)
            .output()
            .unwrap();
        assert!(!dying.status.success(), "{point} was not reached");
        let told = String::from_utf8_lossy(&dying.stdout).lines().filter(|line| line.contains(TOLD)).count();
        let (journal, recovered) = open(&dir);
        assert_eq!(recovered.quarantined, [], "{point}");
        let (mut attempts, mut outcomes) = (0, 0);
        for (_, record) in all(&journal) {
            match record {
                Record::Decision(_) => attempts += 1,
                Record::Outcome(_) => outcomes += 1,
                _ => {}
            }
        }
        let written = attempts + outcomes;
        assert!(told == written || told + 1 == written, "{point}: told {told}, found {written}");
        assert!(told > 0, "{point}: the test must see some");
        assert_eq!(recovered.open_attempts, attempts as u64 - outcomes as u64, "{point}");
    }
}

const DYING_IN: &str = "BATON_TEST_DYING_IN";
const DYING_AT: &str = "BATON_TEST_DYING_AT";
const TOLD: &str = "told: written";

/// Run by the test above, in a process of its own; does nothing else.
#[tokio::test]
async fn the_process_that_dies() {
    let (Some(dir), Ok(point)) = (std::env::var_os(DYING_IN), std::env::var(DYING_AT)) else { return };
    let failpoints = point.parse().unwrap();
    let options =
        JournalOptions { segment_bytes: 1 << 20, failpoints, ..JournalOptions::new(dir, signer(), "test") };
    let (journal, _) = Journal::open(options).unwrap();
    for number in 0..100 {
        let receipt = journal.append(&decision(number)).unwrap();
        println!("\n{TOLD}");
        journal.synced(&receipt).await.unwrap();
        journal.append(&outcome(number)).unwrap();
        println!("\n{TOLD}");
    }
}

#[tokio::test]
async fn a_full_journal_takes_an_operators_act_and_can_be_closed_and_opened_again() {
    let dir = TempDir::new().unwrap();
    let options = || JournalOptions { max_bytes: 64 * 1024, ..small(&dir) };
    let (journal, _) = Journal::open(options()).unwrap();
    let full = (0..).find_map(|number| journal.append(&decision(number)).err()).unwrap();
    assert!(matches!(full, JournalError::Full { .. }));
    journal.append(&record(3, 0, 70)).unwrap();
    journal.close().await.unwrap();
    drop(journal);
    let (journal, recovered) = Journal::open(options()).unwrap();
    assert!(recovered.clean);
    // The dead process's attempts keep no space any more.
    journal.append(&decision(1_000)).unwrap();
}

#[tokio::test]
async fn relayed_segments_are_deleted_and_make_room() {
    let dir = TempDir::new().unwrap();
    let (journal, _) = Journal::open(small(&dir)).unwrap();
    for number in 0..100 {
        journal.append(&refusal(number)).unwrap();
    }
    journal.checkpoint().await.unwrap();
    let before = segments(&dir).len();
    let mut mark = None;
    while let Some(stretch) = journal.read(mark, ReadLimit { entries: 7, bytes: 1 << 20 }).unwrap() {
        mark = Some(stretch.end);
    }
    assert!(journal.health().backlog_bytes > 0);
    journal.release(mark.unwrap()).unwrap();
    assert!(before >= 3 && segments(&dir).len() == 1, "{before} segments before");
    assert_eq!(journal.health().backlog_bytes, 0);
    assert!(journal.find(decision_id(5)).unwrap().decision.is_none(), "the store has it now");
    assert_eq!(journal.shared.lock().index.find(decision_id(5)), Places::default());
}

#[test]
fn a_segment_that_is_done_with_becomes_an_empty_spare() {
    let dir = TempDir::new().unwrap();
    let spare = Spare::create(dir.path(), 1, 300 << 10, false).unwrap();
    let header =
        Header { number: 1, boot: BootId::from_parts(1, [0; 10]), first_seq: 1, previous: Hash::GENESIS };
    let mut segment = spare.activate(dir.path(), header).unwrap();
    segment.file.write_all_at(&[7; 200 << 10], segment.end).unwrap();
    segment.end += 200 << 10;
    let worn = segment.wear(dir.path()).unwrap();
    assert_eq!(segments(&dir), Vec::<PathBuf>::new(), "nothing of it is read again");
    let spare = Spare::renew(dir.path(), 2, worn).unwrap();
    let path = dir.path().join("spare-2");
    assert_eq!(fs::read(&path).unwrap(), vec![0; 300 << 10]);
    spare.activate(dir.path(), Header { number: 2, ..header }).unwrap();
    assert_eq!((segments(&dir).len(), path.exists()), (1, false));
}

#[test]
fn segments_that_are_put_aside_together_become_spares_of_their_own() {
    let dir = TempDir::new().unwrap();
    let worn = [1, 2].map(|number| {
        let spare = Spare::create(dir.path(), number, 4 << 10, false).unwrap();
        let header =
            Header { number, boot: BootId::from_parts(1, [0; 10]), first_seq: 1, previous: Hash::GENESIS };
        spare.activate(dir.path(), header).unwrap().wear(dir.path()).unwrap()
    });
    for (number, worn) in (3..).zip(worn) {
        let file = Arc::clone(&worn.file);
        Spare::renew(dir.path(), number, worn).unwrap();
        file.write_all_at(&[7], 100).unwrap();
        let written = fs::read(dir.path().join(format!("spare-{number}"))).unwrap();
        assert_eq!(written.get(100), Some(&7), "the name is that of the file");
    }
}

#[test]
fn what_is_written_into_a_worn_segment_is_all_that_is_read() {
    let dir = TempDir::new().unwrap();
    let (journal, _) = Journal::open(small(&dir)).unwrap();
    let (mut relayed, mut used_again) = (0, 0);
    for round in 0..6 {
        for number in 0..100 {
            journal.append(&refusal(round * 100 + number)).unwrap();
        }
        journal.shared.sync_once();
        let mut mark = None;
        while let Some(stretch) = journal.read(mark, ReadLimit { entries: 7, bytes: 1 << 20 }).unwrap() {
            mark = Some(stretch.end);
        }
        relayed = journal.health().written_seq;
        journal.release(mark.unwrap()).unwrap();
        // The next round takes what was made of this one.
        used_again += u32::from(journal.shared.lock().worn.is_some());
        journal.shared.ask_for_spare(&mut journal.shared.lock());
        while journal.shared.lock().preparing {
            std::thread::yield_now();
        }
    }
    let last = journal.append(&refusal(1_000)).unwrap();
    assert!(used_again > 1 && journal.shared.lock().worn.is_none(), "{used_again}");
    drop(journal);
    let (_, recovered) = Journal::open(small(&dir)).unwrap();
    assert_eq!(recovered.quarantined, []);
    assert!(relayed < last.seq() && recovered.entries <= last.seq());
}

#[test]
fn a_failpoint_is_read_from_its_text() {
    assert_eq!(
        format!("{:?}", "after_write:3".parse::<Failpoints>().unwrap()),
        "Failpoints(AfterWrite from hit 3)"
    );
    assert_eq!(
        format!("{:?}", "mid_relay".parse::<Failpoints>().unwrap()),
        "Failpoints(MidRelay from hit 1)"
    );
    assert!("sometime".parse::<Failpoints>().is_err());
    assert!("after_write:x".parse::<Failpoints>().is_err());
}

proptest! {
    #![proptest_config(proptest::test_runner::Config { cases: 48, ..Default::default() })]

    #[test]
    fn what_is_read_is_what_was_appended(steps in prop::collection::vec(step(), 0..60)) {
        let dir = TempDir::new().unwrap();
        let (mut journal, _) = Journal::open(small(&dir)).unwrap();
        let mut written = Vec::new();
        for (number, step) in steps.into_iter().enumerate() {
            match step {
                Step::Append(kind, length) => {
                    let record = record(kind, number as u64, length);
                    journal.append(&record).unwrap();
                    written.push(record);
                }
                Step::Reopen => {
                    drop(journal);
                    let (reopened, recovered) = Journal::open(small(&dir)).unwrap();
                    assert_eq!(recovered.quarantined, []);
                    journal = reopened;
                }
            }
        }
        drop(journal);
        let (journal, recovered) = Journal::open(small(&dir)).unwrap();
        assert_eq!(recovered.quarantined, []);
        let ours = |(_, record): (u64, Record)| {
            (!matches!(record, Record::Boot(_) | Record::Checkpoint(_))).then_some(record)
        };
        assert_eq!(all(&journal).into_iter().filter_map(ours).collect::<Vec<_>>(), written);
    }
}

#[derive(Clone, Debug)]
enum Step {
    Append(u8, usize),
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    (any::<u8>(), 0..9_000_usize).prop_map(|(kind, length)| match kind {
        0..=15 => Step::Reopen,
        kind => Step::Append(kind % 4, length),
    })
}

fn record(kind: u8, number: u64, length: usize) -> Record {
    match kind {
        0 => decision(number),
        1 => outcome(number),
        2 => refusal(number),
        _ => Record::Change(crate::Change {
            at_ms: number,
            actor: "cli".to_owned(),
            action: "test".to_owned(),
            subject: "\u{0}é\u{10ffff}".repeat(length / 7),
            detail: serde_json::Value::Null,
        }),
    }
}

const HEADER_BYTES: usize = 72;

fn size(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap()
}

fn signer() -> CheckpointSigner {
    CheckpointSigner::from_seed(&[7; 32]).unwrap()
}

/// Bytes are as good in memory, and thousands of journals are opened.
fn in_memory() -> TempDir {
    TempDir::new_in("/dev/shm").or_else(|_| TempDir::new()).unwrap()
}

fn options(dir: &TempDir) -> JournalOptions {
    JournalOptions { segment_bytes: 1 << 20, ..JournalOptions::new(dir.path(), signer(), "test") }
}

/// Segments so small that a few records fill one.
fn small(dir: &TempDir) -> JournalOptions {
    JournalOptions { segment_bytes: 40 * 1024, ..options(dir) }
}

fn open(dir: &TempDir) -> (Journal, Recovered) {
    Journal::open(options(dir)).unwrap()
}

fn word(record: &Record) -> &'static str {
    match record {
        Record::Boot(_) => "boot",
        Record::CleanStop { .. } => "clean_stop",
        Record::Document(_) => "document",
        Record::Decision(_) => "decision",
        Record::Outcome(_) => "outcome",
        Record::Change(_) => "change",
        Record::Checkpoint(_) => "checkpoint",
        Record::Feedback(_) => "feedback",
        Record::Dropped(_) => "dropped",
        Record::SigningKey(_) => "signing_key",
        Record::Content(_) => "content",
        Record::Erased(_) => "erased",
        Record::Correction(_) => "correction",
    }
}

/// Every synced entry, with its number, each checked against the chain before it.
fn all(journal: &Journal) -> Vec<(u64, Record)> {
    let mut records = Vec::new();
    let mut mark = None;
    while let Some(stretch) = journal.read(mark, ReadLimit { entries: 3, bytes: 1 << 20 }).unwrap() {
        let mut previous = stretch.previous;
        for frame in frame::read_all(&stretch.frames) {
            let frame = frame.unwrap();
            assert!(frame.follows(previous, frame.seq));
            previous = frame.hash;
            records.push((frame.seq, serde_json::from_slice(frame.payload).unwrap()));
        }
        mark = Some(stretch.end);
    }
    records
}

fn segments(dir: &TempDir) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "seg"))
        .collect();
    files.sort();
    files
}

/// One segment with so many decisions: its bytes without the zeros, and where each entry ends.
fn written(decisions: u64) -> (TempDir, Vec<u8>, Vec<usize>) {
    let dir = in_memory();
    let (journal, _) = open(&dir);
    for number in 0..decisions {
        journal.append(&decision(number)).unwrap();
    }
    let end = size(journal.shared.lock().active.end);
    drop(journal);
    let files = segments(&dir);
    let bytes = fs::read(&files[0]).unwrap()[..end].to_vec();
    let mut ends = Vec::new();
    let mut at = HEADER_BYTES;
    for entry in frame::read_all(&bytes[at..]) {
        at += entry.unwrap().len();
        ends.push(at);
    }
    (dir, bytes, ends)
}

/// Opens a journal whose only segment has these bytes: what was recovered, and how many entries of
/// the old chain can be read.
fn reopened(dir: &TempDir, bytes: &[u8]) -> (Recovered, usize) {
    drop(fs::remove_dir_all(dir.path().join("quarantine")));
    for old in segments(dir) {
        fs::remove_file(old).unwrap();
    }
    fs::write(dir.path().join("0000000000000001.seg"), bytes).unwrap();
    let mut index = Index::with_limit(1_000);
    let recovery = recover::recover(dir.path(), &mut index).unwrap();
    let mut entries = 0;
    for segment in &recovery.segments {
        let mut reader = EntryReader::new(&segment.file, SEGMENT_HEADER, segment.end);
        while reader.next_entry().unwrap().is_some() {
            entries += 1;
        }
    }
    (recovery.found, entries)
}
