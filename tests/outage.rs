//! Takes the store and the disk away under load, and counts what was lost.
//!
//! Requests go on at a fixed rate while Postgres is stopped, frozen, out of connections, read-only,
//! or away when the gateway starts; while the disk is full; and while the journal is at its bound.
//! Afterwards SQL in the store is held against the client's log and the log of the upstream.
//!
//! `cargo xtask outage` starts a Postgres that may be treated so. `BATON_OUTAGE_SECS` says how long
//! each outage lasts.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]
#![expect(clippy::indexing_slicing, reason = "an answer that lacks what is looked at fails the test")]
#![expect(clippy::print_stdout, reason = "the figures are what this test is run for")]

#[path = "outage/bench.rs"]
mod bench;
#[path = "outage/disk.rs"]
mod disk;
#[path = "outage/store.rs"]
mod store;
