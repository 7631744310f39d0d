//! What the suite knows of a dialect, from its vendor's documentation and the code of its SDK, never from Baton's.

use baton_model::{Dialect, FaultKind};
use serde_json::Value;

use super::conversation::{Ask, Finish, Reply};
use super::facet::{Facet, Order, Row};
use super::{anthropic_messages, openai_chat, openai_responses};

/// Both ends of a dialect: the client with its SDK, and the provider.
pub(super) trait Speaker: Sync {
    /// Whether a client can say it in a request.
    fn says(&self, row: &Row) -> bool;

    /// Whether a provider takes it in a request.
    fn takes(&self, row: &Row) -> bool;

    /// Whether a provider would refuse the whole request if its own client sent it.
    fn refuses(&self, ask: &Ask) -> bool;

    /// Whether a provider can say it in an answer.
    fn provides(&self, row: &Row) -> bool;

    /// Whether a client finds a place for it in an answer.
    fn shows(&self, row: &Row) -> bool;

    fn order(&self) -> Order;

    /// The body that a client sends.
    fn ask(&self, ask: &Ask) -> Value;

    /// What a provider reads in a body. Panics where the provider would refuse it.
    fn hear(&self, body: &Value) -> Vec<Facet>;

    /// The provider's whole answer.
    fn reply(&self, reply: &Reply) -> Value;

    /// The same as the frames of a stream.
    fn stream(&self, reply: &Reply) -> Vec<String>;

    /// The reason of the end, as far as a provider of this dialect can tell it.
    fn tells(&self, reply: &Reply) -> Finish;

    /// What the SDK makes of a stream's events: the whole answer, or the error that it raises.
    fn accumulate(&self, events: &[(String, Vec<u8>)]) -> Result<Value, Value>;

    /// Why an answer ended, in this dialect's words, and the rest of what it says.
    fn understand(&self, answer: &Value) -> (String, Vec<Facet>);

    /// The word for the reason of an end, and whether it is another dialect's reason that has none here.
    fn word(&self, finish: Finish) -> (&'static str, Known);

    /// How a provider says that it failed: a status with a body.
    fn failure(&self, kind: FaultKind, message: &str) -> (u16, Value);

    /// The same in a stream.
    fn failed_frame(&self, kind: FaultKind, message: &str) -> String;

    /// Type and message of an error, as the SDK shows them.
    fn error(&self, body: &Value) -> (String, String);
}

/// Whether a dialect has a word for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    Exactly,
    /// It says something that includes it.
    Nearly,
}

pub(super) fn speaker(dialect: Dialect) -> &'static dyn Speaker {
    match dialect {
        Dialect::OpenaiChat => &openai_chat::Chat,
        Dialect::AnthropicMessages => &anthropic_messages::Messages,
        Dialect::OpenaiResponses => &openai_responses::Responses,
    }
}

/// A text as it comes on a stream. Pieces end within words, not within characters.
pub(super) fn pieces(text: &str) -> Vec<String> {
    let characters: Vec<char> = text.chars().collect();
    characters.chunks(7).map(|piece| piece.iter().collect()).collect()
}

/// The string at a place.
pub(super) fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or_else(|| panic!("no text `{key}` in {value}"))
}

pub(super) fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}
