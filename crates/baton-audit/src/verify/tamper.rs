//! AUD-8: twelve kinds of tampering, on evidence and on what is derived from it, each many times.
//!
//! Whoever tampers here may write to every table, and covers his tracks: blocks, columns and the table
//! of chains fit what he put in. What he may not have is the signing key; with it, only a checkpoint
//! that was kept outside finds him, and both sides of that are tested.
//!
//! `BATON_TAMPER_CASES` says how many cases each kind gets: `cargo xtask tamper` gives it 1,000.

use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use tempfile::TempDir;

use super::*;
use crate::chain::Hash;
use crate::frame;
use crate::journal::{Journal, JournalOptions};
use crate::memory::{Content, MemoryStore};
use crate::relay::{Relay, RelayOptions};
use crate::row::Batch;
use crate::samples::{decision, outcome};
use crate::{CheckpointSigner, Clock, Record};

#[tokio::test]
async fn every_tampering_with_the_evidence_is_found() {
    let bench = Bench::new().await;
    bench.check("evidence: a field was edited", edit_field).await;
    bench.check("evidence: a hash was edited", edit_hash).await;
    bench.check("evidence: an entry was deleted", delete_one).await;
    bench.check("evidence: a range was deleted", delete_range).await;
    bench.check("evidence: the end of a chain was deleted", delete_tail).await;
    bench.check("evidence: an entry was inserted", insert).await;
    bench.check("evidence: an entry was doubled", duplicate).await;
    bench.check("evidence: two entries changed places", swap).await;
    bench.check("evidence: two callers were exchanged", swap_tenants).await;
    bench.check("evidence: entries were reordered", reorder).await;
    bench.check("evidence: all was rolled back", roll_back).await;
    bench.check("evidence: hashed again from an edit on", rehash).await;
    bench.check("evidence: hashed and signed again with the key", resign).await;
}

#[tokio::test]
async fn every_tampering_with_what_is_derived_is_found() {
    let bench = Bench::new().await;
    bench.check("rows: a field was edited", row_edit_field).await;
    bench.check("rows: a hash was edited", row_edit_hash).await;
    bench.check("rows: a row was deleted", row_delete_one).await;
    bench.check("rows: a range was deleted", row_delete_range).await;
    bench.check("rows: the newest were deleted", row_delete_tail).await;
    bench.check("rows: a row was inserted", row_insert).await;
    bench.check("rows: a row was doubled", row_duplicate).await;
    bench.check("rows: two rows changed places", row_swap).await;
    bench.check("rows: two callers were exchanged", row_swap_tenants).await;
    bench.check("rows: rows were reordered", row_reorder).await;
    bench.check("rows: all were rolled back", row_roll_back).await;
    bench.check("rows: a record was rewritten with its columns", row_rewrite).await;
}

/// Where the first finding must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    At(BootId, u64),
    /// With a checkpoint from outside it shows earlier.
    Sooner(BootId, u64, u64),
    /// Nothing shows without a checkpoint from outside, and this with it.
    OnlyOutside(BootId, u64),
}

/// Somebody who changes a log.
struct Tamperer<'a> {
    dice: StdRng,
    bench: &'a Bench,
    content: Content,
}

/// A log of three lives, and what was known outside at its end.
struct Bench {
    whole: Content,
    /// The same log some time before.
    earlier: Content,
    held: Vec<Checkpoint>,
    cases: u64,
}

/// An entry as it stands: number, hash as claimed, payload.
type Entry = (u64, Hash, Vec<u8>);

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

impl Bench {
    async fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let store = Arc::new(MemoryStore::default());
        let mut held = Vec::new();
        let mut earlier = None;
        for life in 0..3_u64 {
            let options = JournalOptions {
                segment_bytes: 1 << 20,
                clock: Arc::new(Fixed),
                ..JournalOptions::new(dir.path(), signer(), "test")
            };
            let journal = Arc::new(Journal::open(options).unwrap().0);
            let relay = Relay::new(
                Arc::clone(&journal),
                Arc::clone(&store) as Arc<dyn AuditStore>,
                RelayOptions { batch_entries: 7, ..RelayOptions::STANDARD },
            );
            for number in life * 100..life * 100 + 24 {
                let Record::Decision(mut decided) = decision(number) else { panic!("it is a decision") };
                decided.principal =
                    ["key_a", "key_b", "key_c"][usize::try_from(number % 3).unwrap()].to_owned();
                journal.append(&Record::Decision(decided)).unwrap();
                // Outcomes come later than the next decisions, often in another block.
                if number % 100 >= 3 {
                    journal.append(&outcome(number - 3)).unwrap();
                }
                if number % 6 == 5 {
                    journal.checkpoint().await.unwrap();
                    held.extend(journal.checkpoints().borrow().clone());
                }
                if life == 2 && number % 100 == 11 {
                    assert!(relay.drain(Duration::from_secs(60)).await);
                    earlier = Some(store.content().clone());
                }
            }
            // The second life ends with a crash.
            if life != 1 {
                journal.close().await.unwrap();
                held.extend(journal.checkpoints().borrow().clone());
            }
            assert!(relay.drain(Duration::from_secs(60)).await);
        }
        let whole = store.content().clone();
        let cases = std::env::var("BATON_TAMPER_CASES").map_or(5, |cases| cases.parse().unwrap());
        Self { whole, earlier: earlier.unwrap(), held, cases }
    }

    /// Tries one kind many times, with a seed each.
    async fn check(&self, name: &str, kind: fn(&mut Tamperer<'_>) -> Expected) {
        for seed in 0..self.cases {
            let mut tamperer =
                Tamperer { dice: StdRng::seed_from_u64(seed), bench: self, content: self.whole.clone() };
            let expected = kind(&mut tamperer);
            let store = MemoryStore::default();
            *store.content() = tamperer.content;
            let (alone, beside) = (report(&store, &[]).await, report(&store, &self.held).await);
            let first = |report: &VerifyReport| report.first_bad().map(|it| (it.boot, it.seq));
            let (expected_alone, expected_beside) = match expected {
                Expected::At(boot, seq) => (Some((boot, seq)), (boot, seq)),
                Expected::Sooner(boot, seq, sooner) => (Some((boot, seq)), (boot, sooner)),
                Expected::OnlyOutside(boot, seq) => (None, (boot, seq)),
            };
            assert_eq!(first(&alone), expected_alone, "{name}, seed {seed}: {:?}", alone.findings);
            assert_eq!(first(&beside), Some(expected_beside), "{name}, seed {seed}: {:?}", beside.findings);
            assert_eq!(alone.held, 0, "the report says that nothing from outside was compared");
        }
        if self.cases >= 1_000 {
            writeln!(io::stderr(), "{name}: {0} of {0} found, the first bad record named", self.cases)
                .unwrap();
        }
    }
}

async fn report(store: &MemoryStore, held: &[Checkpoint]) -> VerifyReport {
    let keys = [signer().public_key()];
    verify(store, VerifyOptions { held, ..VerifyOptions::new(&keys) }).await.unwrap()
}

#[tokio::test]
async fn the_log_that_is_tampered_with_is_clean_before() {
    let bench = Bench::new().await;
    for content in [&bench.whole, &bench.earlier] {
        let store = MemoryStore::default();
        *store.content() = content.clone();
        assert_eq!(report(&store, &[]).await.findings, []);
    }
    let store = MemoryStore::default();
    *store.content() = bench.whole.clone();
    let whole = report(&store, &bench.held).await;
    assert_eq!((whole.findings.as_slice(), whole.held), (&[][..], 14));
    assert_eq!((whole.chains, whole.crashed, whole.decisions), (3, 1, 72));
}

impl Tamperer<'_> {
    fn below(&mut self, end: usize) -> usize {
        self.dice.random_range(0..end)
    }

    fn any_chain(&mut self) -> BootId {
        let chain = self.below(self.content.chains.len());
        self.content.chains[chain].boot
    }

    fn entries(&self, boot: BootId) -> Vec<Entry> {
        let mut blocks: Vec<&Block> = self.content.blocks.iter().filter(|block| block.boot == boot).collect();
        blocks.sort_by_key(|block| block.first_seq);
        let mut entries = Vec::new();
        for block in blocks {
            let frames = block.unpack().unwrap();
            entries.extend(frame::read_all(&frames).map(|frame| {
                let frame = frame.unwrap();
                (frame.seq, frame.hash, frame.payload.to_vec())
            }));
        }
        entries
    }

    /// A decision or an outcome, by its place among the entries of a chain.
    fn any_of_requests(&mut self, entries: &[Entry]) -> usize {
        loop {
            let at = self.below(entries.len());
            if is_of_request(&entries[at].2) {
                return at;
            }
        }
    }

    /// Puts these entries in the place of a chain's, in blocks whose columns fit them. The first so
    /// many blocks stay as they were, so that a gap may begin a block.
    fn lay(&mut self, boot: BootId, entries: &[Entry]) {
        self.content.blocks.retain(|block| block.boot != boot);
        let mut previous = Hash::GENESIS;
        for stretch in entries.chunks(7) {
            let frames: Vec<u8> =
                stretch.iter().flat_map(|(seq, hash, payload)| frame::forged(payload, *seq, *hash)).collect();
            let (first, last) = (&stretch[0], &stretch[stretch.len() - 1]);
            self.content.blocks.push(Block {
                boot,
                first_seq: first.0,
                last_seq: last.0,
                previous,
                last: last.1,
                at_ms: crate::block::time_of(&first.2),
                raw_bytes: frames.len() as u64,
                body: zstd::bulk::compress(&frames, 1).unwrap(),
            });
            previous = last.1;
        }
    }

    /// Numbers and hashes entries anew from one on, as if they had been written so.
    fn rehash(entries: &mut [Entry], from: usize) {
        for at in from..entries.len() {
            let previous = if at == 0 { Hash::GENESIS } else { entries[at - 1].1 };
            let seq = at as u64 + 1;
            entries[at].0 = seq;
            entries[at].1 = previous.link(seq, Hash::of(&entries[at].2));
        }
    }

    /// Derives rows and the table of chains again from what the blocks of a chain say now.
    fn derive(&mut self, boot: BootId) {
        let entries = self.entries(boot);
        let frames: Vec<u8> =
            entries.iter().flat_map(|(seq, hash, payload)| frame::forged(payload, *seq, *hash)).collect();
        let batch = Batch::from_frames(boot, Hash::GENESIS, &frames).unwrap();
        self.content.rows.retain(|row| row.boot != boot);
        self.content.rows.extend(batch.decisions);
        let chain = self.content.chains.iter_mut().find(|chain| chain.boot == boot).unwrap();
        chain.stopped_ms = batch.clean_stop_ms;
        chain.previous = batch.boot.and_then(|boot| boot.previous);
        chain.head =
            ChainHead { boot, seq: batch.blocks[0].last_seq, hash: batch.blocks[0].last.to_string() };
    }

    /// The rows in the order of the log, by their places in the table.
    fn rows_in_order(&self) -> Vec<usize> {
        let order = |boot| self.content.chains.iter().position(|chain| chain.boot == boot);
        let mut places: Vec<usize> = (0..self.content.rows.len()).collect();
        places.sort_by_key(|at| {
            let row = &self.content.rows[*at];
            (order(row.boot), row.seq)
        });
        places
    }

    fn place(&self, row: usize) -> Expected {
        let row = &self.content.rows[row];
        Expected::At(row.boot, row.seq)
    }
}

fn is_of_request(payload: &[u8]) -> bool {
    payload.starts_with(br#"{"record":"decision""#) || payload.starts_with(br#"{"record":"outcome""#)
}

fn replace(payload: &mut Vec<u8>, from: &str, to: &str) {
    let text = String::from_utf8(payload.clone()).unwrap();
    let changed = text.replacen(from, to, 1);
    assert_ne!(text, changed, "there is no {from} in {text}");
    *payload = changed.into_bytes();
}

fn edit(payload: &mut Vec<u8>) {
    if payload.starts_with(br#"{"record":"decision""#) {
        replace(payload, "\"principal\":\"key_", "\"principal\":\"key_z");
    } else {
        replace(payload, "\"total_us\":20", "\"total_us\":21");
    }
}

fn edit_field(it: &mut Tamperer<'_>) -> Expected {
    let boot = it.any_chain();
    let mut entries = it.entries(boot);
    let at = it.any_of_requests(&entries);
    edit(&mut entries[at].2);
    it.lay(boot, &entries);
    Expected::At(boot, at as u64 + 1)
}

fn edit_hash(it: &mut Tamperer<'_>) -> Expected {
    let boot = it.any_chain();
    let mut entries = it.entries(boot);
    let at = it.below(entries.len());
    let mut bytes = *entries[at].1.as_bytes();
    bytes[it.below(32)] ^= 1 << it.below(8);
    entries[at].1 = Hash::from_bytes(bytes);
    it.lay(boot, &entries);
    Expected::At(boot, at as u64 + 1)
}

fn delete_one(it: &mut Tamperer<'_>) -> Expected {
    let boot = it.any_chain();
    let mut entries = it.entries(boot);
    let at = it.below(entries.len() - 1);
    entries.remove(at);
    it.lay(boot, &entries);
    Expected::At(boot, at as u64 + 1)
}

fn delete_range(it: &mut Tamperer<'_>) -> Expected {
    let boot = it.any_chain();
    let mut entries = it.entries(boot);
    let at = it.below(entries.len() - 2);
    let end = at + 1 + it.below(entries.len() - at - 1);
    entries.drain(at..end);
    it.lay(boot, &entries);
    Expected::At(boot, at as u64 + 1)
}

/// The chain after it knows of the end; of the newest chain, only a checkpoint from outside does.
fn delete_tail(it: &mut Tamperer<'_>) -> Expected {
    let boot = it.any_chain();
    let mut entries = it.entries(boot);
    // What stands behind the last head that a checkpoint from outside names, nobody misses.
    let kept = 3 + it.below(entries.len() - 4);
    entries.truncate(kept);
    it.lay(boot, &entries);
    it.derive(boot);
    let newest = it.content.chains.last().unwrap().boot == boot;
    if newest { Expected::OnlyOutside(boot, kept as u64 + 1) } else { Expected::At(boot, kept as u64 + 1) }
}

fn insert(it: &mut Tamperer<'_>) -> Expected {
    let boot = it.any_chain();
    let mut entries = it.entries(boot);
    let at = it.below(entries.len());
    let payload = serde_json::to_vec(&decision(9_999)).unwrap();
    let (seq, before) = (at as u64 + 1, if at == 0 { Hash::GENESIS } else { entries[at - 1].1 });
    // A forged entry may link; then it has no row, and the one it displaces links no more.
    let links = it.dice.random_bool(0.5);
    let hash = if links { before.link(seq, Hash::of(&payload)) } else { entries[at].1 };
    entries.insert(at, (seq, hash, payload));
    it.lay(boot, &entries);
    Expected::At(boot, seq)
}

fn duplicate(it: &mut Tamperer<'_>) -> Expected {
    let boot = it.any_chain();
    let mut entries = it.entries(boot);
    let at = it.below(entries.len());
    entries.insert(at + 1, entries[at].clone());
    it.lay(boot, &entries);
    Expected::At(boot, at as u64 + 2)
}

fn swap(it: &mut Tamperer<'_>) -> Expected {
    let boot = it.any_chain();
    let mut entries = it.entries(boot);
    let one = it.below(entries.len() - 1);
    let other = one + 1 + it.below(entries.len() - one - 1);
    entries.swap(one, other);
    it.lay(boot, &entries);
    Expected::At(boot, one as u64 + 1)
}

/// Two decisions of different callers, each now the other's; numbers and hashes as they were.
fn swap_tenants(it: &mut Tamperer<'_>) -> Expected {
    let boot = it.any_chain();
    let mut entries = it.entries(boot);
    let principal = |entry: &Entry| match Record::read(&entry.2) {
        Ok(Record::Decision(decision)) => Some(decision.principal),
        _ => None,
    };
    loop {
        let (one, other) = (it.below(entries.len()), it.below(entries.len()));
        let (Some(first), Some(second)) = (principal(&entries[one]), principal(&entries[other])) else {
            continue;
        };
        if first != second {
            replace(&mut entries[one].2, &first, &second);
            replace(&mut entries[other].2, &second, &first);
            it.lay(boot, &entries);
            return Expected::At(boot, one.min(other) as u64 + 1);
        }
    }
}

fn reorder(it: &mut Tamperer<'_>) -> Expected {
    let boot = it.any_chain();
    let before = it.entries(boot);
    let mut entries = before.clone();
    let from = it.below(entries.len() - 3);
    while entries == before {
        entries[from..].shuffle(&mut it.dice);
    }
    it.lay(boot, &entries);
    let first = entries.iter().zip(&before).position(|(now, then)| now != then).unwrap();
    Expected::At(boot, first as u64 + 1)
}

/// Everything as it was some time before: a log that was true once.
fn roll_back(it: &mut Tamperer<'_>) -> Expected {
    it.content = it.bench.earlier.clone();
    // Or still further, to the end of an earlier life.
    let lives = 1 + it.below(3);
    let gone: Vec<BootId> = it.content.chains.drain(lives..).map(|chain| chain.boot).collect();
    it.content.blocks.retain(|block| !gone.contains(&block.boot));
    it.content.rows.retain(|row| !gone.contains(&row.boot));
    let is_there = |held: &Checkpoint| {
        it.content.chains.iter().any(|chain| chain.boot == held.head.boot && chain.head.seq >= held.head.seq)
    };
    let missed = it.bench.held.iter().find(|held| !is_there(held)).unwrap();
    match it.content.chains.iter().find(|chain| chain.boot == missed.head.boot) {
        Some(chain) => Expected::OnlyOutside(chain.boot, chain.head.seq + 1),
        None => Expected::OnlyOutside(missed.head.boot, missed.head.seq),
    }
}

/// A whole new chain from an edit on, with fitting blocks, rows and table of chains; without the key.
fn rehash(it: &mut Tamperer<'_>) -> Expected {
    let boot = it.any_chain();
    let mut entries = it.entries(boot);
    let at = it.any_of_requests(&entries);
    edit(&mut entries[at].2);
    Tamperer::rehash(&mut entries, at);
    it.lay(boot, &entries);
    it.derive(boot);
    // The next checkpoint tells; behind the last one of a chain that crashed, the chain after it.
    let checkpoint = entries.iter().skip(at).find(|entry| entry.2.starts_with(br#"{"record":"checkpoint""#));
    let told = checkpoint.map_or(entries.len() as u64, |entry| entry.0);
    // The same checkpoint, kept outside, tells at the entry that it speaks of.
    let seq = at as u64 + 1;
    let held = it.bench.held.iter().find(|held| held.head.boot == boot && held.head.seq >= seq);
    Expected::Sooner(boot, told, held.map_or(told, |held| held.head.seq.min(told)))
}

/// The same with the key: every checkpoint from there on is signed again, in this chain and in those
/// after it, which name it.
fn resign(it: &mut Tamperer<'_>) -> Expected {
    let chains: Vec<BootId> = it.content.chains.iter().map(|chain| chain.boot).collect();
    let first = it.below(chains.len());
    let mut edited = None;
    let mut before: Option<ChainHead> = None;
    for (number, boot) in chains.iter().copied().enumerate().skip(first) {
        let mut entries = it.entries(boot);
        let from = match before.take() {
            None => {
                // What no checkpoint from outside speaks of is not known outside.
                let last = it.bench.held.iter().rfind(|held| held.head.boot == boot).unwrap().head.seq;
                let at = loop {
                    let at = it.any_of_requests(&entries);
                    if (at as u64) < last {
                        break at;
                    }
                };
                edit(&mut entries[at].2);
                edited = Some((boot, at as u64 + 1));
                at
            }
            Some(head) => {
                let Ok(Record::Boot(mut record)) = Record::read(&entries[0].2) else { panic!("no boot") };
                record.previous = Some(head);
                entries[0].2 = serde_json::to_vec(&Record::Boot(record)).unwrap();
                0
            }
        };
        for at in from..entries.len() {
            Tamperer::rehash(&mut entries[..=at], at);
            if let Ok(Record::Checkpoint(old)) = Record::read(&entries[at].2) {
                let seq = usize::try_from(old.head.seq).unwrap();
                let head = ChainHead { hash: entries[seq - 1].1.to_string(), ..old.head };
                let signed = Record::Checkpoint(signer().sign(old.at_ms, head));
                entries[at].2 = serde_json::to_vec(&signed).unwrap();
                Tamperer::rehash(&mut entries[..=at], at);
            }
        }
        it.lay(boot, &entries);
        it.derive(boot);
        before = it.content.chains[number].head.clone().into();
    }
    let (boot, seq) = edited.unwrap();
    let held = it.bench.held.iter().find(|held| held.head.boot == boot && held.head.seq >= seq).unwrap();
    Expected::OnlyOutside(boot, held.head.seq)
}

fn row_edit_field(it: &mut Tamperer<'_>) -> Expected {
    let at = it.below(it.content.rows.len());
    let expected = it.place(at);
    let field = it.below(13);
    let row = &mut it.content.rows[at];
    if let Some(outcome) = row.outcome.as_mut().filter(|_| field > 10) {
        match field {
            11 => outcome.total_us += 1,
            _ => outcome.cost_nano = Some(1),
        }
        return Expected::At(outcome.boot, outcome.seq);
    }
    match field {
        0 => row.principal.push('x'),
        1 => row.kind = "fallback".to_owned(),
        2 => row.reason_code = "client_order".to_owned(),
        3 => row.to_model = Some("echo/other".to_owned()),
        4 => row.to_target = None,
        5 => row.at_ms += 1,
        6 => row.config.clear(),
        7 => row.requested = "[]".to_owned(),
        8 => row.session = Some("s".to_owned()),
        9 => row.rule = Some("r".to_owned()),
        _ => row.attempt = !row.attempt,
    }
    expected
}

/// The hash that the table of chains names.
fn row_edit_hash(it: &mut Tamperer<'_>) -> Expected {
    let at = it.below(it.content.chains.len());
    let digit = it.below(64);
    let head = &mut it.content.chains[at].head;
    let other = if head.hash.as_bytes()[digit] == b'0' { "1" } else { "0" };
    head.hash.replace_range(digit..=digit, other);
    Expected::At(head.boot, head.seq)
}

fn row_delete_one(it: &mut Tamperer<'_>) -> Expected {
    let at = it.below(it.content.rows.len());
    let expected = it.place(at);
    it.content.rows.remove(at);
    expected
}

fn row_delete_range(it: &mut Tamperer<'_>) -> Expected {
    let order = it.rows_in_order();
    let from = it.below(order.len() - 1);
    let end = from + 1 + it.below(order.len() - from - 1);
    let expected = it.place(order[from]);
    delete_rows(it, &order[from..=end.min(order.len() - 1)]);
    expected
}

fn row_delete_tail(it: &mut Tamperer<'_>) -> Expected {
    let order = it.rows_in_order();
    let from = it.below(order.len());
    let expected = it.place(order[from]);
    delete_rows(it, &order[from..]);
    expected
}

fn delete_rows(it: &mut Tamperer<'_>, gone: &[usize]) {
    let mut at = 0;
    it.content.rows.retain(|_| {
        at += 1;
        !gone.contains(&(at - 1))
    });
}

/// A row of a decision that nobody made: where an entry of another kind stands, beyond the end of a
/// chain, or in a chain that is not there.
fn row_insert(it: &mut Tamperer<'_>) -> Expected {
    let like = it.below(it.content.rows.len());
    let mut row = it.content.rows[like].clone();
    row.id = DecisionId::from_parts(2_000_000, [9; 10]);
    row.outcome = None;
    match it.below(3) {
        0 => row.seq = 1 + it.below(2) as u64,
        1 => row.seq = 1_000 + it.below(1_000) as u64,
        _ => row.boot = BootId::from_parts(3_000_000, [9; 10]),
    }
    let expected = Expected::At(row.boot, row.seq);
    it.content.rows.push(row);
    expected
}

fn row_duplicate(it: &mut Tamperer<'_>) -> Expected {
    let like = it.below(it.content.rows.len());
    let mut row = it.content.rows[like].clone();
    row.id = DecisionId::from_parts(2_000_000, [9; 10]);
    // One place has one row: the copy stands where a checkpoint is, or beyond the end.
    row.seq = if it.dice.random_bool(0.5) { 2 } else { 500 };
    let expected = Expected::At(row.boot, row.seq);
    it.content.rows.push(row);
    expected
}

fn row_swap(it: &mut Tamperer<'_>) -> Expected {
    let order = it.rows_in_order();
    let one = it.below(order.len() - 1);
    let other = one + 1 + it.below(order.len() - one - 1);
    let (one, other) = (order[one], order[other]);
    let expected = it.place(one);
    exchange(it, one, other, |row| (row.boot, row.seq), |row, (boot, seq)| (row.boot, row.seq) = (boot, seq));
    expected
}

fn row_swap_tenants(it: &mut Tamperer<'_>) -> Expected {
    let order = it.rows_in_order();
    loop {
        let (one, other) = (it.below(order.len()), it.below(order.len()));
        let (first, second) = (order[one.min(other)], order[one.max(other)]);
        if it.content.rows[first].principal != it.content.rows[second].principal {
            let expected = it.place(first);
            exchange(
                it,
                first,
                second,
                |row| row.principal.clone(),
                |row, principal| row.principal = principal,
            );
            return expected;
        }
    }
}

fn exchange<T>(
    it: &mut Tamperer<'_>,
    one: usize,
    other: usize,
    get: impl Fn(&DecisionRow) -> T,
    set: impl Fn(&mut DecisionRow, T),
) {
    let (first, second) = (get(&it.content.rows[one]), get(&it.content.rows[other]));
    set(&mut it.content.rows[one], second);
    set(&mut it.content.rows[other], first);
}

/// The places of some rows go round among them.
fn row_reorder(it: &mut Tamperer<'_>) -> Expected {
    let order = it.rows_in_order();
    let from = it.below(order.len() - 2);
    let some = &order[from..(from + 3 + it.below(8)).min(order.len())];
    let expected = it.place(some[0]);
    let mut places: Vec<(BootId, u64)> =
        some.iter().map(|at| (it.content.rows[*at].boot, it.content.rows[*at].seq)).collect();
    places.rotate_left(1);
    for (at, (boot, seq)) in some.iter().zip(places) {
        (it.content.rows[*at].boot, it.content.rows[*at].seq) = (boot, seq);
    }
    expected
}

/// Rows as they were some time before, or only their outcomes; the evidence is whole.
fn row_roll_back(it: &mut Tamperer<'_>) -> Expected {
    let known: Vec<DecisionId> = it.bench.earlier.rows.iter().map(|row| row.id).collect();
    let order = it.rows_in_order();
    if it.dice.random_bool(0.5) {
        let first = order.iter().find(|at| {
            let row = &it.content.rows[**at];
            !known.contains(&row.id)
                || it.bench.earlier.rows.iter().any(|then| then.id == row.id && then != row)
        });
        let row = it.content.rows[*first.unwrap()].clone();
        it.content.rows = it.bench.earlier.rows.clone();
        // A row that has lost its outcome is told at the outcome's record.
        let lost = it.content.rows.iter().any(|then| then.id == row.id);
        let seq = row.outcome.as_ref().filter(|_| lost).map_or(row.seq, |outcome| outcome.seq);
        return Expected::At(row.boot, first_lost(it, row.boot, seq));
    }
    let at = order[it.below(order.len())];
    let row = &mut it.content.rows[at];
    let Some(outcome) = row.outcome.take() else {
        row.principal.clear();
        return Expected::At(row.boot, row.seq);
    };
    Expected::At(outcome.boot, outcome.seq)
}

/// The lowest place at which the rows of before lack something.
fn first_lost(it: &Tamperer<'_>, boot: BootId, seq: u64) -> u64 {
    let missing = it.bench.whole.rows.iter().filter(|row| row.boot == boot);
    let missing = missing.filter(|row| it.content.rows.iter().all(|then| then.id != row.id));
    missing.map(|row| row.seq).chain([seq]).min().unwrap_or(seq)
}

/// A row is made of a rewritten record: the row alone is without a flaw.
fn row_rewrite(it: &mut Tamperer<'_>) -> Expected {
    let at = it.below(it.content.rows.len());
    let expected = it.place(at);
    let row = it.content.rows[at].clone();
    let (boot, seq, outcome) = (row.boot, row.seq, row.outcome);
    let mut payload = it.entries(boot).swap_remove(usize::try_from(seq).unwrap() - 1).2;
    edit(&mut payload);
    let mut derived = Derived::new(boot);
    derived.add(seq, &payload);
    it.content.rows[at] = derived.decisions.pop().unwrap();
    it.content.rows[at].outcome = outcome;
    expected
}
