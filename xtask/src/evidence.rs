//! Proves what is said of the audit log's evidence, with the long forms of tests of `baton-audit`, and of the
//! content beside it, with those of the black-box tests.
//!
//! Each of those tests runs in a short form with all others; a variable makes it long.

use crate::place::{Place, run};

/// What is run, and how long.
struct Long {
    /// The tests, by a part of their names.
    tests: &'static str,
    variable: &'static str,
}

const TAMPER: Long = Long { tests: "verify::tamper", variable: "BATON_TAMPER_CASES" };
const TORN: Long = Long { tests: "journal::tests::torn", variable: "BATON_TORN_FLIPS" };
const VERIFY: Long = Long { tests: "verify::speed", variable: "BATON_VERIFY_ENTRIES" };
const RESTART: Long = Long { tests: "journal::tests::backlog", variable: "BATON_BACKLOG_BYTES" };

const CLEAN: Long = Long { tests: "redact", variable: "BATON_REDACT" };

impl Long {
    fn run(&self, place: &Place, value: u64) -> anyhow::Result<()> {
        let mut command = place.cargo(&["test", "--release", "--locked", "-p", "baton-audit", "--lib"]);
        command.args(["--", "--nocapture", "--test-threads", "1", self.tests]);
        run(command.env(self.variable, value.to_string()))
    }
}

/// So many secrets, each through a whole gateway; and the false positives on a clean corpus.
pub(crate) fn redaction(place: &Place, secrets: u64) -> anyhow::Result<()> {
    CLEAN.run(place, 0)?;
    black_box(place, "no_seeded_secret_is_found_anywhere", "BATON_CONTENT_SECRETS", secrets)
}

/// So many texts, of which two thirds are erased.
pub(crate) fn erase(place: &Place, texts: u64) -> anyhow::Result<()> {
    // Of three texts two are of the subject that is erased.
    let all = texts.saturating_mul(3).div_ceil(2);
    black_box(place, "what_is_erased_is_gone_everywhere", "BATON_CONTENT_TEXTS", all)
}

fn black_box(place: &Place, test: &str, variable: &str, value: u64) -> anyhow::Result<()> {
    let mut command = place.cargo(&["test", "--locked", "--workspace", "--test", "blackbox"]);
    command.args(["--", "--nocapture", test]);
    run(command.env(variable, value.to_string()))
}

/// Every kind of tampering so many times.
pub(crate) fn tamper(place: &Place, cases: u64) -> anyhow::Result<()> {
    TAMPER.run(place, cases)
}

/// Every byte of the tail, and so many flipped bits.
pub(crate) fn torn(place: &Place, flips: u64) -> anyhow::Result<()> {
    TORN.run(place, flips)
}

/// How many records are checked in a second.
pub(crate) fn verify(place: &Place, entries: u64) -> anyhow::Result<()> {
    VERIFY.run(place, entries)
}

/// How long a journal takes to open that has so many bytes for the store.
pub(crate) fn restart(place: &Place, bytes: u64) -> anyhow::Result<()> {
    RESTART.run(place, bytes)
}
