//! Keeps the audit log, the keys and the policies in one SQLite file.
//!
//! What is asked in which order is in `baton-audit` (`Database`); here are the texts of the
//! statements, and what binds and fetches. The texts are constant and not checked against a database
//! at build time: a build needs no database, and the conformance suite in `baton-testkit` runs each
//! of them, on both stores.
//!
//! - Start with [`SqliteStore`].
//! - **Invariant:** one connection writes; a commit is on the disk when it returns.
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

pub use store::{OpenError, SqliteStore};
