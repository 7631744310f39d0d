//! Speaks HTTP to clients: reads requests, hands them to the engine, and puts answers and errors
//! into the caller's dialect.
//!
//! - Start with [`router()`].
//! - **Invariant:** statuses and error bodies are made in `error.rs` and nowhere else.
//! - **Invariant:** every response carries `x-request-id`, errors and panics included.
//! - **Never here:** SQL, upstream calls, policy.

mod ask;
mod chat;
mod decisions;
mod docs;
mod error;
mod explain;
mod gate;
mod messages;
mod models;
mod pass;
mod reply;
mod router;
mod state;
mod status;
mod surface;

pub use decisions::{RunBody, run_body};
pub use docs::openapi;
pub use explain::{sentence, table};
pub use gate::{Access, Gate};
pub use router::router;
pub use state::{ApiState, Readiness, StatusSource};
