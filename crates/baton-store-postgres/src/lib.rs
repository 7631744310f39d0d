//! Keeps the audit log, the keys and the policies in PostgreSQL.
//!
//! What is asked in which order is in `baton-audit` (`Database`); here are the texts of the
//! statements, and what binds and fetches. The texts are constant and not checked against a database
//! at build time: a build needs no database, and the conformance suite in `baton-testkit` runs each
//! of them, on both stores.
//!
//! - Start with [`PostgresStore`].
//! - **Invariant:** a commit is on the server's disk when it returns, and no statement runs for ever.
//! - **Never here:** a decision about what is recorded.

mod audit;
mod contents;
mod error;
mod keys;
mod policies;
mod responses;
mod runs;
mod store;
mod text;

pub use store::{ConnectError, PostgresOptions, PostgresStore};
