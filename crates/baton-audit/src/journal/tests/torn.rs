//! AUD-3: a journal that was damaged starts with what is whole, and invents nothing.
//!
//! `BATON_TORN_FLIPS` says how many bits are flipped, one in each case, and makes every byte of the last
//! 4 KiB wrong instead of some: `cargo xtask torn`.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use super::*;

#[test]
fn a_byte_of_the_end_that_reads_as_another_leaves_what_is_whole() {
    let lives = Lives::written();
    let (flips, dice) = (flips(), &mut StdRng::seed_from_u64(1));
    let file = lives.files.len() - 1;
    let end = lives.files[file].bytes.len();
    let from = end.saturating_sub(4096).max(HEADER_BYTES);
    let step = if flips.is_some() { 1 } else { 61 };
    for at in (from..end).step_by(step) {
        lives.check(file, at, dice.random_range(1..=u8::MAX));
    }
    told(flips, |_| "every byte of the last 4 KiB made wrong".to_owned());
}

#[test]
fn a_bit_that_is_flipped_anywhere_leaves_what_is_whole() {
    let lives = Lives::written();
    let flips = flips();
    for seed in 0..flips.unwrap_or(60) {
        let dice = &mut StdRng::seed_from_u64(seed);
        let file = dice.random_range(0..lives.files.len());
        let at = dice.random_range(0..lives.files[file].bytes.len());
        lives.check(file, at, 1 << dice.random_range(0..8));
    }
    told(flips, |flips| format!("{flips} bits flipped, one at a time"));
}

fn flips() -> Option<u64> {
    std::env::var("BATON_TORN_FLIPS").ok().map(|flips| flips.parse().unwrap())
}

fn told(flips: Option<u64>, what: impl Fn(u64) -> String) {
    if let Some(flips) = flips {
        let what = what(flips);
        writeln!(io::stderr(), "{what}: it starts, keeps what is whole, and invents nothing").unwrap();
    }
}

/// What several lives of several segments left, in the order of writing.
struct Lives {
    files: Vec<Written>,
}

struct Written {
    name: String,
    /// Without the zeros at its end.
    bytes: Vec<u8>,
    boot: [u8; 16],
    /// Where its entries end.
    ends: Vec<usize>,
}

impl Lives {
    fn written() -> Self {
        let dir = in_memory();
        for life in 0..3 {
            let (journal, _) = Journal::open(small(&dir)).unwrap();
            for number in life * 1_000..life * 1_000 + 120 {
                journal.append(&refusal(number)).unwrap();
            }
        }
        let files = segments(&dir).into_iter().map(|path| {
            let mut bytes = fs::read(&path).unwrap();
            bytes.truncate(bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1);
            let mut at = HEADER_BYTES;
            let mut ends = vec![at];
            for entry in frame::read_all(&bytes[at..]) {
                at += entry.unwrap().len();
                ends.push(at);
            }
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            let boot = *bytes[8..24].first_chunk().unwrap();
            Written { name, bytes, boot, ends }
        });
        let lives = Self { files: files.collect() };
        assert!(lives.files.len() >= 6, "the test needs several segments of each life");
        lives
    }

    /// Damages a byte, opens the journal, and compares what was kept with what is whole.
    #[track_caller]
    fn check(&self, damaged: usize, at: usize, mask: u8) {
        let dir = in_memory();
        let mut put_aside = 0;
        let mut expected = BTreeMap::new();
        for (number, file) in self.files.iter().enumerate() {
            let mut bytes = file.bytes.clone();
            if number == damaged {
                bytes[at] ^= mask;
            }
            fs::write(dir.path().join(&file.name), &bytes).unwrap();
            let written = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            let is_later = number > damaged && file.boot == self.files[damaged].boot;
            let kept = match () {
                () if number == damaged && at >= HEADER_BYTES => {
                    *file.ends.iter().rfind(|end| **end <= at).unwrap()
                }
                () if number == damaged || is_later => 0,
                () => file.bytes.len(),
            };
            put_aside += written.saturating_sub(kept);
            if kept > 0 {
                expected.insert(file.name.clone(), file.bytes[..kept].to_vec());
            }
        }
        let case = format!("{} at byte {at}, mask {mask:08b}", self.files[damaged].name);
        let (journal, recovered) = Journal::open(small(&dir)).unwrap();
        let told: u64 = recovered.quarantined.iter().map(|it| it.bytes).sum();
        assert_eq!(size(told), put_aside, "the count is honest: {case}");
        let aside: u64 = recovered.quarantined.iter().map(|it| written_in(&it.file)).sum();
        assert_eq!(size(aside), put_aside, "what is put aside is all there: {case}");
        drop(journal);
        for (name, bytes) in &expected {
            let found = fs::read(dir.path().join(name)).unwrap();
            assert!(found == *bytes, "{name} is not as it was written: {case}");
        }
        let others = segments(&dir).len() - 1;
        assert_eq!(others, expected.len(), "nothing else is kept: {case}");
    }
}

fn written_in(file: &Path) -> u64 {
    let bytes = fs::read(file).unwrap();
    bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1) as u64
}
