//! Speaks OpenAI's Responses API, as server and as client.
//!
//! The format differs from the model in a few ways that shape this folder: a conversation is a flat list of items,
//! where messages, calls, results and thinking stand side by side; an answer repeats what was asked for; and a
//! stream ends every text, item and answer with the whole of it, so that its writer has to keep what it wrote.
//!
//! - Start with [`decode_request`] and [`encode_request`].
//! - **Invariant:** every answer has all members that OpenAI's and the Open Responses schema require.
//! - **Invariant:** what a provider keeps under an id (an earlier answer, an item) is never guessed: a request that
//!   needs it is refused with the path.
//! - **Never here:** HTTP statuses of ours, header names, other formats, keeping answers.

mod types;

mod answer;
mod decode;
mod encode;
mod extend;
mod item;
mod observe;
mod repair;
mod response;
mod seal;
mod stream;
mod usage;

use baton_model::{Dialect, Fault, FaultKind};
use serde::Deserialize;

pub(crate) use crate::openai::{decode_error, encode_error};
pub(crate) use answer::{decode_answer, encode_answer, encode_turns};
pub(crate) use decode::{decode_messages, decode_request, refuse_what_is_kept};
pub(crate) use encode::encode_request;
pub(crate) use extend::extend_request;
pub use item::answer_of;
pub(crate) use observe::{observe_answer, observe_event};
pub(crate) use repair::repair_request;
pub(crate) use stream::{Decoder, Encoder, error_behind};

/// The dialect of this folder.
const DIALECT: Dialect = Dialect::OpenaiResponses;

fn malformed(message: &str) -> Fault {
    Fault::new(FaultKind::MalformedAnswer, message)
}

/// Reads what an upstream sent. A fault says where the parser stopped, but not what it saw there: that may be
/// content.
fn parse<'a, T: Deserialize<'a>>(data: &'a [u8], what: &str) -> Result<T, Fault> {
    let text =
        std::str::from_utf8(data).map_err(|_place| malformed(&format!("{what} is not valid UTF-8")))?;
    serde_json::from_str(text).map_err(|error| {
        malformed(&format!("{what} cannot be read (line {}, column {})", error.line(), error.column()))
    })
}

#[cfg(test)]
pub(crate) mod tests;
