//! What outlives a request.
//!
//! - Start with [`Idempotency`]: one answer for one `Idempotency-Key`, however often it is asked.
//! - **Invariant:** everything that is kept here is bounded, in memory and on disk.
//! - **Never here:** HTTP servers, engines, what an answer means; callers say which answers are kept.

pub mod idempotency;

pub use idempotency::Idempotency;
