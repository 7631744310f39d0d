//! Speaks Anthropic's Messages API, as server and as client.
//!
//! The format differs from the model in a few ways that shape this folder: the system prompt
//! stands apart, tool results live in user messages directly after the calls, roles alternate,
//! cached tokens are not part of `input_tokens`, and blocks of a stream never overlap.
//!
//! - Start with [`decode_request`] and [`encode_request`].
//! - **Invariant:** what is encoded from any valid [`baton_model::Request`] is accepted by a strict
//!   Messages server: it starts with a user turn, roles alternate, every call has its result.
//! - **Never here:** HTTP statuses of ours, header names, other formats.

mod types;

mod answer;
mod block;
mod content;
mod decode;
mod encode;
mod error;
mod extend;
mod join;
mod observe;
mod reasoning;
mod repair;
mod schema;
mod stream;
mod tools;
mod turns;
mod usage;

use baton_model::Dialect;

pub(crate) use answer::{decode_answer, encode_answer};
pub(crate) use decode::{decode_messages, decode_request, refuse_what_is_kept};
pub(crate) use encode::encode_request;
pub(crate) use error::{decode_error, encode_error};
pub(crate) use extend::extend_request;
pub(crate) use join::{Joiner, join_answers};
pub(crate) use observe::{observe_answer, observe_event};
pub(crate) use repair::repair_request;
pub(crate) use stream::{Decoder, Encoder};

/// The dialect of this folder.
const DIALECT: Dialect = Dialect::AnthropicMessages;

/// The member that names a thread.
const THREAD: &str = "thread";

#[cfg(test)]
mod tests;
