//! Converts OpenAI's chat completions, and what the many compatible servers make of them.
//!
//! Reading is tolerant: whatever known clients and upstreams send has a meaning here. Writing is
//! strict: what leaves satisfies OpenAI's own schema.
//!
//! - Start with [`decode_request`] and [`Decoder`].
//! - **Invariant:** no function tool, no call of one and no result is lost in a conversion.
//! - **Never here:** headers, status codes of our own answers, other dialects' members.

mod answer;
mod decode;
mod encode;
mod extend;
mod join;
mod keywords;
mod observe;
mod reasoning;
mod repair;
mod restore;
mod stream;
mod types;
mod usage;

use baton_model::{Fault, FaultKind, FinishReason};

use serde::Deserialize;

use crate::openai::error;
pub(crate) use crate::openai::{decode_error, encode_error};
pub(crate) use answer::{decode_answer, encode_answer};
pub(crate) use decode::{decode_messages, decode_request};
pub(crate) use encode::encode_request;
pub(crate) use extend::extend_request;
pub(crate) use join::{Joiner, join_answers};
pub(crate) use keywords::{mend_text, mend_tools};
pub(crate) use observe::{observe_answer, observe_event};
pub(crate) use repair::{repair_request, stream_usage};
pub(crate) use restore::restore_calls;
pub(crate) use stream::{Decoder, Encoder};

/// The name under which a result without its call gets one.
const UNKNOWN_TOOL: &str = "unknown_tool";

/// OpenAI refuses longer ids of tool calls.
const MAX_CALL_ID: usize = 40;

fn finish_reason(word: &str) -> FinishReason {
    match word {
        "length" => FinishReason::Length,
        "tool_calls" | "function_call" => FinishReason::ToolCalls,
        "content_filter" => FinishReason::ContentFilter,
        _ => FinishReason::Stop,
    }
}

const fn finish_word(reason: FinishReason) -> &'static str {
    match reason {
        FinishReason::Stop | FinishReason::StopSequence | FinishReason::Pause => "stop",
        FinishReason::Length => "length",
        FinishReason::ToolCalls => "tool_calls",
        FinishReason::ContentFilter | FinishReason::Refusal => "content_filter",
    }
}

fn malformed(message: &str) -> Fault {
    Fault::new(FaultKind::MalformedAnswer, message)
}

/// Reads what an upstream sent. One check of the encoding for the whole is cheaper than the parser's
/// own for each string.
fn parse<'a, T: Deserialize<'a>>(data: &'a [u8], what: &str) -> Result<T, Fault> {
    let text =
        std::str::from_utf8(data).map_err(|_place| malformed(&format!("{what} is not valid UTF-8")))?;
    serde_json::from_str(text).map_err(|error| unreadable(what, &error))
}

/// A fault that says where the parser stopped, but not what it saw there: that may be content.
fn unreadable(what: &str, error: &serde_json::Error) -> Fault {
    malformed(&format!("{what} cannot be read (line {}, column {})", error.line(), error.column()))
}

#[cfg(test)]
mod tests;
