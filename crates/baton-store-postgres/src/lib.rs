//! Keeps the audit log and the keys in PostgreSQL.
//!
//! The queries are plain texts, bound and never assembled, and not checked against a database at
//! build time: a build needs no database, and the conformance suite in `baton-testkit` runs each
//! of them, on both stores.
//!
//! - Start with [`PostgresStore`].
//! - **Invariant:** a commit is on the server's disk when it returns, and no statement runs for ever.
//! - **Never here:** a decision about what is recorded.

mod audit;
mod error;
mod keys;
mod row;
mod store;

pub use store::{ConnectError, PostgresOptions, PostgresStore};
