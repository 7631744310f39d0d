//! What OpenAI's formats share: bodies of errors, numbers of tokens, arguments of calls, and the spelling of schemas.
//!
//! - **Never here:** members of a request or an answer that only one of them has.

mod count;
pub(crate) mod error;

pub(crate) use crate::openai_chat::{mend_text, mend_tools};
pub(crate) use count::Count;
pub(crate) use error::{decode_error, encode_error, error_in_answer};

/// The arguments of a call as JSON text; `None` where there are none. They are JSON in a string, and from some
/// servers the JSON itself.
pub(crate) fn arguments_text(arguments: &serde_json::value::RawValue) -> Option<String> {
    let raw = arguments.get();
    let text =
        if raw.starts_with('"') { serde_json::from_str(raw).unwrap_or_default() } else { raw.to_owned() };
    Some(text).filter(|text: &String| !text.is_empty())
}
