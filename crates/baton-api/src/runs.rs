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
//! - Start with [`RunDesk`]; `order.rs` reads requests, `drive.rs` holds runs and `carry.rs` carries them out, `shown.rs` is what callers see.
//! - **Invariant:** a run of another key is not there.
//! - **Invariant:** an event has one number, and is told under no other.

mod carry;
mod drive;
pub(crate) mod events;
mod notice;
mod order;
pub(crate) mod routes;
mod shown;

pub use drive::{RunDesk, RunOptions};
pub use notice::{RunNews, RunNotice, run_news};
