//! What every dialect's functions take and give, beside the model itself.

use std::borrow::Cow;

use baton_model::{FinishReason, JsonError, RawObject, Usage};
use bytes::Bytes;

use crate::Loss;

/// A request body that does not follow its dialect.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct DecodeError {
    /// The path of the member, as in `messages[2].content[0].image_url`.
    pub param: Option<String>,
    /// A sentence for the caller.
    pub message: String,
}

impl DecodeError {
    /// An error at a path.
    pub fn at(param: impl Into<String>, message: impl Into<String>) -> Self {
        Self { param: Some(param.into()), message: message.into() }
    }
}

impl From<JsonError> for DecodeError {
    fn from(error: JsonError) -> Self {
        let param = match &error {
            JsonError::Member { key, .. } => Some(key.clone()),
            JsonError::Duplicate(key) => Some(key.clone()),
            JsonError::Syntax(_)
            | JsonError::NotAnObject
            | JsonError::TooManyKeys
            | JsonError::TooDeep
            | JsonError::LoneSurrogate(_) => None,
        };
        Self { param, message: error.to_string() }
    }
}

/// Where an encoded request goes.
#[derive(Clone, Copy, Debug)]
pub struct EncodeTarget<'a> {
    /// The model as the provider names it.
    pub model: &'a str,
    /// Whether to ask for a stream: may differ from what the client asked for.
    pub stream: bool,
    /// The output limit to send where the dialect demands one and the client gave none.
    pub default_max_tokens: u64,
    /// Whether it takes, in `openai_chat`, the members that OpenAI's two APIs have in common. Other servers of
    /// that format may refuse what they do not know.
    pub shared_members: bool,
}

/// An encoded request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// The body.
    pub body: Vec<u8>,
    /// The client's parameters that this dialect cannot carry, by their names at the client.
    pub dropped: Vec<String>,
    /// What was left out, as the table of losses has it.
    pub lost: Vec<&'static Loss>,
    /// How many parts of thinking were left out, because this dialect cannot check who made them.
    pub left_out: usize,
}

/// What an encoded whole answer says beside the answer.
#[derive(Clone, Copy, Debug)]
pub struct AnswerContext<'a> {
    /// The model name to show.
    pub model: &'a str,
    /// Seconds since 1970, for dialects that say when.
    pub created: i64,
    /// The client's request, for dialects whose answers repeat members of it.
    pub request: Option<&'a RawObject>,
}

/// What a stream encoder must know before the first event.
#[derive(Clone, Debug)]
pub struct StreamOptions {
    /// The model name to show; `None` for the one that the upstream reports.
    pub model: Option<String>,
    /// The answer's id, in a form that the dialect accepts, when the upstream's cannot be shown.
    pub id: String,
    /// Seconds since 1970.
    pub created: i64,
    /// Whether the client asked for the usage chunk (`stream_options.include_usage`).
    pub include_usage: bool,
    /// The client's request, for dialects whose answers repeat members of it.
    pub request: Option<RawObject>,
}

/// An error for a client. Which status goes with it is the surface's business.
#[derive(Clone, Copy, Debug)]
pub struct ErrorBody<'a> {
    /// The dialect's type word; the surface chooses it (`invalid_request_error`, ...).
    pub kind: &'a str,
    /// A sentence.
    pub message: &'a str,
    /// The path of the member that is wrong.
    pub param: Option<&'a str>,
    /// A stable code.
    pub code: Option<&'a str>,
    /// The request's id, where the dialect's body has a place for it.
    pub request_id: Option<&'a str>,
}

/// How usage is asked for on a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamUsage {
    /// Whether the client wants to see it.
    pub client_asked: bool,
    /// The member to set so that the upstream tells it.
    pub edit: Option<(&'static str, Bytes)>,
}

/// What a look at a passing answer or event found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observation<'a> {
    /// Whether there is content: the commit point.
    pub content: bool,
    /// Usage as far as it is told here: join it to what was told before with [`Usage::absorb`].
    pub usage: Option<Usage>,
    /// Why the model stopped, if told here.
    pub finish: Option<FinishReason>,
    /// The upstream's id, if told here.
    pub id: Option<Cow<'a, str>>,
    /// The model as the upstream reports it, if told here.
    pub model: Option<Cow<'a, str>>,
    /// The dialect's own end mark.
    pub end: bool,
    /// A chunk that carries nothing but usage and exists only because usage was asked for.
    pub usage_only: bool,
}
