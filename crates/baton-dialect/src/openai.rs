//! What OpenAI's formats share: bodies of errors, numbers of tokens, and the spelling of schemas.
//!
//! - **Never here:** members of a request or an answer that only one of them has.

mod count;
pub(crate) mod error;

pub(crate) use crate::openai_chat::{mend_text, mend_tools};
pub(crate) use count::Count;
pub(crate) use error::{decode_error, encode_error, error_in_answer};
