//! Reads and writes streamed answers (`chat.completion.chunk`).
//!
//! - Start with [`Decoder`] and [`Encoder`].
//! - **Invariant:** neither holds an answer: what they keep does not grow with its length.

mod decoder;
mod encoder;
mod tool_calls;

pub(crate) use decoder::Decoder;
pub(super) use decoder::Top;
pub(crate) use encoder::Encoder;
