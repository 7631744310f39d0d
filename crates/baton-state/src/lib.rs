//! What outlives a request.
//!
//! - Start with [`Idempotency`]: one answer for one `Idempotency-Key`, however often it is asked.
//! - [`Responses`] keeps answers that later requests go on from, [`Runs`] what a process needs to go on
//!   with work that another one began.
//! - **Invariant:** everything that is kept here is bounded, in memory and on disk.
//! - **Never here:** HTTP servers, engines, SQL, what an answer means; callers say which answers are kept.

mod columns;
mod compactions;
mod error;
pub mod idempotency;
pub mod responses;
pub mod runs;
mod subject;
mod vault;

pub use columns::{ResponseColumns, RunColumns, from_column, to_column};
pub use compactions::Compactions;
pub use error::{BoxFuture, StateError, StateErrorKind};
pub use idempotency::Idempotency;
pub use responses::Responses;
pub use runs::Runs;
pub use subject::{NoSubject, Subject};
pub use vault::{Place, Seal, SealError};
