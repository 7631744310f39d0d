//! Proves what is said of the audit log's evidence, with the long forms of tests of `baton-audit`.
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

impl Long {
    fn run(&self, place: &Place, value: u64) -> anyhow::Result<()> {
        let mut command = place.cargo(&["test", "--release", "--locked", "-p", "baton-audit", "--lib"]);
        command.args(["--", "--nocapture", "--test-threads", "1", self.tests]);
        run(command.env(self.variable, value.to_string()))
    }
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
