//! Reads, writes and guards message bodies without copying them.
//!
//! A request body spliced from slices leaves as [`Chunks`]; a body that is read whole is read by
//! [`read_to_end`], which stops at its limit; one that is compressed goes through [`decompress`],
//! which stops at the limit of what comes out. [`ProgressTimeout`] ends a body that stands still.
//!
//! - **Invariant:** every read has a limit, and no limit is passed by more than one frame.
//! - **Never here:** JSON, SSE, status codes.

mod chunks;
mod compression;
mod progress;
mod read;

pub use chunks::Chunks;
pub use compression::{DecompressError, Decompressor, Encoding, RATIO_FLOOR, RATIO_LIMIT, decompress};
pub use progress::{ProgressTimeout, Stalled};
pub use read::{ReadError, read_to_end};
