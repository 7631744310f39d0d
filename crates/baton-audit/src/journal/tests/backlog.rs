//! A start with much that waits for the store is quick.
//!
//! `BATON_BACKLOG_BYTES` says how much waits, and prints the figure: `cargo xtask bench restart`.

use std::io::Write as _;

use super::*;
use crate::cpu;
use crate::samples::planned;

/// The bar, for 1 GB.
const READY: Duration = Duration::from_secs(5);

#[test]
fn a_journal_with_a_backlog_opens_with_all_of_it() {
    let asked = std::env::var("BATON_BACKLOG_BYTES").ok().map(|bytes| bytes.parse::<u64>().unwrap());
    let dir = TempDir::new().unwrap();
    let options = || JournalOptions { segment_bytes: 64 << 20, ..options(&dir) };
    let (journal, _) = Journal::open(options()).unwrap();
    let mut number = 0;
    while journal.health().backlog_bytes < asked.unwrap_or(2 << 20) {
        journal.append(&planned(number)).unwrap();
        journal.append(&outcome(number)).unwrap();
        number += 1;
    }
    let (bytes, entries) = (journal.health().backlog_bytes, journal.health().written_seq);
    drop(journal);
    let (began, busy) = (Instant::now(), cpu::of_this_thread());
    let (journal, recovered) = Journal::open(options()).unwrap();
    let (took, busy) = (began.elapsed(), cpu::of_this_thread() - busy);
    assert_eq!((recovered.entries, recovered.bytes), (entries, bytes));
    assert_eq!(recovered.open_attempts, 0);
    assert!(journal.health().backlog_bytes > bytes);
    if asked.is_some() {
        let (wall, cpu) = (took.as_secs_f64(), busy.as_secs_f64());
        let text = format!(
            "{entries} entries of {bytes} bytes that wait: open after {wall:.2} s, {cpu:.2} s of them CPU time"
        );
        writeln!(io::stderr(), "{text}").unwrap();
        // On a busy machine the clock says more of the others.
        assert!(bytes > 2 << 30 || busy < READY, "{text}");
    }
}
