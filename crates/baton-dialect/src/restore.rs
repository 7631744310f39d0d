//! Puts calls back whose results a client sends without them.

use baton_model::{Dialect, RawJson, RawObject};

use crate::{DecodeError, openai_chat};

/// A call as a client was given it, without its id.
#[derive(Clone, Debug, PartialEq)]
pub struct GivenCall {
    /// The tool.
    pub name: String,
    /// JSON text.
    pub arguments: String,
    /// What its maker put beside it.
    pub attached: Vec<(String, RawJson)>,
}

/// The body with the calls that its results answer and that it leaves out, where any of them is known. Results
/// that stand together get their calls in one message.
///
/// Only `openai_chat` has results that can stand without a turn of the assistant's.
///
/// # Errors
/// [`DecodeError`] when the messages cannot be read.
pub fn restore_calls(
    dialect: Dialect,
    body: &RawObject,
    known: &dyn Fn(&str) -> Option<GivenCall>,
) -> Result<Option<RawObject>, DecodeError> {
    if dialect == Dialect::OpenaiChat { openai_chat::restore_calls(body, known) } else { Ok(None) }
}
