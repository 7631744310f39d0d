//! Speaks HTTP to operators: questions about everybody's decisions, under `/admin/v1`.
//!
//! - Start with [`router()`].
//! - **Invariant:** nothing is answered without a key of the role `viewer` or `admin`, whatever the
//!   gateway asks of its other callers. One layer around all routes sees to it.
//! - **Invariant:** statuses and error bodies are made in `error.rs` and nowhere else.
//! - **Invariant:** an answer is bounded: a page, a matrix, a number of groups, or a stream that holds one page.
//! - **Invariant:** what was captured is for the role `admin` alone, and that it was read is recorded. So are the routes
//!   that change things; the composition root brings them.
//! - **Never here:** SQL, ciphers.

mod content;
mod control;
mod decisions;
mod docs;
mod error;
mod export;
mod gate;
mod handoffs;
mod idle;
mod range;
mod router;
mod state;
mod usage;

pub use content::{ContentBody, ContentDesk, ContentError, ContentState};
pub use docs::openapi;
pub use router::router;
pub use state::AdminState;
