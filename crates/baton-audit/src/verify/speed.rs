//! How quickly evidence is checked, on one core, in CPU time.
//!
//! `BATON_VERIFY_ENTRIES` says how many records, and prints the figures: `cargo xtask bench verify`.

use std::io::Write as _;

use super::*;
use crate::chain::Hash;
use crate::cpu;
use crate::frame::{Draft, HEADER};
use crate::samples::{outcome, planned};
use crate::{Boot, CheckpointSigner, Record};

/// The bar, in records for each second.
const BAR: f64 = 500_000.0;

#[test]
fn evidence_is_checked_at_speed() {
    let asked = std::env::var("BATON_VERIFY_ENTRIES").ok().map(|entries| entries.parse::<u64>().unwrap());
    let (chain, blocks) = log(asked.unwrap_or(3_000));
    let keys = [signer().public_key()];
    // Twice: the first time brings memory and caches up.
    for round in 0..2 {
        let (took, bytes) = timed(&keys, &chain, &blocks, false);
        let (with_rows, _) = timed(&keys, &chain, &blocks, true);
        if asked.is_some() && round == 1 {
            let entries = chain.head.seq as f64;
            let rate = entries / took;
            let text = format!(
                "{:.0} records/s on one core ({:.0} MB/s): hashes, links, signatures; {:.0} records/s with every row derived again",
                rate,
                bytes as f64 / took / 1e6,
                entries / with_rows,
            );
            writeln!(io::stderr(), "{text}").unwrap();
            assert!(rate >= BAR, "{text}");
        }
    }
}

fn timed(keys: &[CheckpointKey], chain: &Chain, blocks: &[Block], rows: bool) -> (f64, u64) {
    let began = cpu::of_this_thread();
    let mut evidence = Evidence::new(VerifyOptions::new(keys));
    let mut progress = evidence.begin(chain.boot);
    let mut decisions = 0;
    for block in blocks {
        let mut derived = Derived::new(chain.boot);
        assert!(evidence.block(&mut progress, block, rows.then_some(&mut derived)));
        derived.join();
        decisions += derived.decisions.len();
    }
    evidence.end(chain, progress);
    let report = evidence.finish();
    let took = (cpu::of_this_thread() - began).as_secs_f64();
    assert_eq!(report.findings, []);
    assert_eq!(report.entries, chain.head.seq);
    assert!(!rows || decisions as u64 > chain.head.seq / 3, "{decisions}");
    (took, blocks.iter().map(|block| block.raw_bytes).sum())
}

fn signer() -> CheckpointSigner {
    CheckpointSigner::from_seed(&[7; 32]).unwrap()
}

/// A chain of decisions with their outcomes, signed every 10,000 entries, in blocks as the relay makes them.
fn log(entries: u64) -> (Chain, Vec<Block>) {
    let boot = BootId::from_parts(1_000_000, [1; 10]);
    let begun = Boot { boot, at_ms: 1_000_000, version: "test".to_owned(), previous: None };
    let mut blocks = Vec::new();
    let (mut frames, mut before, mut hash) = (Vec::new(), Hash::GENESIS, Hash::GENESIS);
    for seq in 1..=entries {
        let record = match seq {
            1 => Record::Boot(begun.clone()),
            _ if seq % 10_000 == 2 => {
                let head = ChainHead { boot, seq: seq - 1, hash: hash.to_string() };
                Record::Checkpoint(signer().sign(1_000_000, head))
            }
            _ if seq % 2 == 0 => outcome(seq % 100_000),
            _ => planned(seq % 100_000),
        };
        let mut frame = vec![0; HEADER];
        serde_json::to_writer(&mut frame, &record).unwrap();
        hash = Draft::of(&frame).unwrap().seal(&mut frame, hash, seq);
        frames.append(&mut frame);
        if seq % 1_000 == 0 || seq == entries {
            blocks.push(Block::pack(boot, before, &frames).unwrap());
            frames.clear();
            before = hash;
        }
    }
    let head = ChainHead { boot, seq: entries, hash: hash.to_string() };
    let chain =
        Chain { boot, at_ms: begun.at_ms, version: begun.version, previous: None, stopped_ms: None, head };
    (chain, blocks)
}
