//! `/v1/runs`: what takes a page of client code elsewhere, as one request that outlives its process.
//!
//! ```text
//! POST ─ order: what was asked, as the engine will read it ─ row in the store ─ this process, or whichever takes it
//!           wait for its end │ events as they are written │ 202 at once
//! ```
//!
//! There is one way to an answer. Whoever waits, reads what is stored: the events are handed out once they are
//! written, and the run that is shown is the one in the store.
//!
//! - Start with [`RunDesk`]; `order.rs` reads requests, `drive.rs` carries runs out, `shown.rs` is what callers see.
//! - **Invariant:** a run of another key is not there.
//! - **Invariant:** an event has one number, and is told under no other.

mod drive;
mod events;
mod order;
pub(crate) mod routes;
mod shown;

pub use drive::{RunDesk, RunNotice, RunOptions};
