//! Speaks HTTP to clients: reads requests, hands them to the engine, and puts answers and errors
//! into the caller's dialect.
//!
//! - Start with [`router()`].
//! - **Invariant:** statuses and error bodies are made in `error.rs` and nowhere else.
//! - **Invariant:** every response carries `x-request-id`, errors and panics included.
//! - **Never here:** SQL, upstream calls, policy.

mod ahead;
mod ask;
mod chat;
mod decisions;
mod docs;
mod error;
mod feedback;
mod front;
mod gate;
mod handoff;
mod mcp;
mod messages;
mod models;
mod pass;
mod repeat;
mod reply;
mod responses;
mod route;
mod router;
mod runs;
mod state;
mod status;
mod stored;
mod surface;
mod wishes;

pub use docs::openapi;
pub use error::malformed;
pub use feedback::FeedbackDesk;
pub use front::Front;
pub use gate::{Access, Gate};
pub use route::{RouteBody, route_ask, route_body, route_text};
pub use router::{Beside, router};
pub use runs::{RunDesk, RunNews, RunNotice, RunOptions, run_news};
pub use state::{ApiState, Readiness, StatusSource};
