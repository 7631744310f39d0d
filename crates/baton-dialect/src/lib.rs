//! Turns wire formats into the conversation model and back; one folder for each format.
//!
//! Formats meet only in `baton-model`: each folder knows its own format and the model, never
//! another folder. Everything here is a plain function or a state machine that is fed: no I/O.
//!
//! - Start with [`decode_request`] and [`stream_decoder`].
//! - **Invariant:** a decoder gives the same events however its bytes were cut.
//! - **Never here:** async, clocks, randomness, HTTP, other crates' configuration.

mod additions;
mod anthropic_messages;
mod changed;
mod citations;
mod convert;
mod join;
mod lists;
mod losses;
mod marks;
mod openai;
mod openai_chat;
mod openai_responses;
mod param;
mod read;
mod rename;
mod restore;
mod shared;
mod structured;
mod wire;
mod word;

use baton_model::{Answer, Dialect, Fault, RawObject, Request, StreamEvent};
use bytes::Bytes;

pub use additions::{Additions, CallTaste, extend_request};
pub use changed::{Changed, ChangedStream, ToolNames, fitting_names};
pub use join::{Gate, JoinEnd, JoinLane, Joiner, Show, TurnAnswer, join_answers};
pub use losses::{Feature, LOSSES, Loss};
pub use marks::{Marks, ObservedTransfer, conversation_marks, observed_transfers};
pub use openai_responses::answer_of as answer_of_item;
pub use param::{param_for_client, schema_path};
pub use rename::{rename_answer, rename_event, response_event_with_id, response_with_id};
pub use restore::{GivenCall, restore_calls};
pub use structured::{AnswerStream, AnswerTool, Misfit, Unfit, by_tool, follows_schema};
pub use wire::{
    AnswerContext, DecodeError, EncodeTarget, Encoded, ErrorBody, Observation, StreamOptions, StreamUsage,
};
pub use word::{end_frame, error_word};

/// The members of a request body that are Baton's own: they are consumed here and no upstream sees
/// them. `model` is not among them, because every upstream gets one.
pub const OWN_KEYS: &[&str] = &[
    "models",
    "fallbacks",
    "provider",
    "route",
    "baton",
    "mcp_servers",
    "credentials",
    "agent_attributes",
    "model_attributes",
    "handoff_config",
    "max_turns",
    "handoff_mode",
    "correlation_id",
    "deferred_calls",
    "automatic_tool_execution",
    "auto_execute_tools",
    "guardrails",
    "deferred",
];

/// Reads a request body.
///
/// # Errors
/// [`DecodeError`] with the path of the member that is wrong, for a 400.
pub fn decode_request(dialect: Dialect, body: &RawObject) -> Result<Request, DecodeError> {
    let request = match dialect {
        Dialect::OpenaiChat => openai_chat::decode_request(body),
        Dialect::AnthropicMessages => anthropic_messages::decode_request(body),
        Dialect::OpenaiResponses => openai_responses::decode_request(body),
    }?;
    if request.messages.is_empty() {
        return Err(DecodeError::at("messages", "`messages` is empty"));
    }
    Ok(request)
}

/// Refuses a request that names what one provider keeps for its client: an earlier answer, a conversation, a thread,
/// an item, a prompt. Only that provider can answer it.
///
/// # Errors
/// [`DecodeError`] with the path of the member that names it.
pub fn refuse_what_is_kept(dialect: Dialect, body: &RawObject) -> Result<(), DecodeError> {
    match dialect {
        Dialect::OpenaiChat => Ok(()),
        Dialect::AnthropicMessages => anthropic_messages::refuse_what_is_kept(body),
        Dialect::OpenaiResponses => openai_responses::refuse_what_is_kept(body),
    }
}

/// What must change in a body that is passed on in its own dialect.
///
/// A strict upstream shall take what our clients are known to send: `null` members and empty tool lists go, `messages` given as
/// text becomes a list, a tool result without its call gets one, and keywords of JSON Schema that a client spelled in snake case are
/// mended in the schemas of tools and of the response's format. Empty for nearly every request.
///
/// # Errors
/// [`DecodeError`] when a member has a type that no upstream would take.
pub fn repair_request(dialect: Dialect, body: &RawObject) -> Result<Vec<(&str, Option<Bytes>)>, DecodeError> {
    match dialect {
        Dialect::OpenaiChat => openai_chat::repair_request(body),
        Dialect::AnthropicMessages => anthropic_messages::repair_request(body),
        Dialect::OpenaiResponses => openai_responses::repair_request(body),
    }
}

/// Whether the client asked for usage on its stream, and the change that asks the upstream for it.
#[must_use]
pub fn stream_usage(dialect: Dialect, body: &RawObject) -> StreamUsage {
    match dialect {
        Dialect::OpenaiChat => openai_chat::stream_usage(body),
        Dialect::AnthropicMessages | Dialect::OpenaiResponses => {
            StreamUsage { client_asked: true, edit: None }
        }
    }
}

/// Writes a request for a target, and says what could not be carried.
#[must_use]
pub fn encode_request(dialect: Dialect, request: &Request, target: &EncodeTarget<'_>) -> Encoded {
    match dialect {
        Dialect::OpenaiChat => openai_chat::encode_request(request, target),
        Dialect::AnthropicMessages => anthropic_messages::encode_request(request, target),
        Dialect::OpenaiResponses => openai_responses::encode_request(request, target),
    }
}

/// Reads a whole answer.
///
/// # Errors
/// A [`Fault`] when the body is no answer: broken JSON, HTML, or an error body under a 200.
pub fn decode_answer(dialect: Dialect, body: &[u8]) -> Result<Answer, Fault> {
    match dialect {
        Dialect::OpenaiChat => openai_chat::decode_answer(body),
        Dialect::AnthropicMessages => anthropic_messages::decode_answer(body),
        Dialect::OpenaiResponses => openai_responses::decode_answer(body),
    }
}

/// The request, where answers of its dialect repeat members of it.
#[must_use]
pub fn repeated(dialect: Dialect, request: &RawObject) -> Option<&RawObject> {
    (dialect == Dialect::OpenaiResponses).then_some(request)
}

/// Writes a whole answer.
#[must_use]
pub fn encode_answer(dialect: Dialect, answer: &Answer, context: &AnswerContext<'_>) -> Vec<u8> {
    match dialect {
        Dialect::OpenaiChat => openai_chat::encode_answer(answer, context),
        Dialect::AnthropicMessages => anthropic_messages::encode_answer(answer, context),
        Dialect::OpenaiResponses => openai_responses::encode_answer(answer, context),
    }
}

/// Reads the body of an error answer and gives it a kind.
#[must_use]
pub fn decode_error(dialect: Dialect, status: u16, body: &[u8]) -> Fault {
    match dialect {
        Dialect::OpenaiChat => openai_chat::decode_error(status, body),
        Dialect::AnthropicMessages => anthropic_messages::decode_error(status, body),
        Dialect::OpenaiResponses => openai_responses::decode_error(status, body),
    }
}

/// Writes an error body in the caller's dialect.
#[must_use]
pub fn encode_error(dialect: Dialect, error: &ErrorBody<'_>) -> Vec<u8> {
    match dialect {
        Dialect::OpenaiChat => openai_chat::encode_error(error),
        Dialect::AnthropicMessages => anthropic_messages::encode_error(error),
        Dialect::OpenaiResponses => openai_responses::encode_error(error),
    }
}

/// Looks at a whole answer that is passed on as it is: usage, finish reason, or an error in it.
///
/// # Errors
/// A [`Fault`] when the body is no answer of this dialect.
pub fn observe_answer(dialect: Dialect, body: &[u8]) -> Result<Observation<'_>, Fault> {
    match dialect {
        Dialect::OpenaiChat => openai_chat::observe_answer(body),
        Dialect::AnthropicMessages => anthropic_messages::observe_answer(body),
        Dialect::OpenaiResponses => openai_responses::observe_answer(body),
    }
}

/// Looks at one stream event that is passed on as it is. `event` is the SSE event name or empty.
///
/// # Errors
/// A [`Fault`] when the event is an error frame or is not of this dialect.
pub fn observe_event<'a>(dialect: Dialect, event: &str, data: &'a [u8]) -> Result<Observation<'a>, Fault> {
    match dialect {
        Dialect::OpenaiChat => openai_chat::observe_event(event, data),
        Dialect::AnthropicMessages => anthropic_messages::observe_event(event, data),
        Dialect::OpenaiResponses => openai_responses::observe_event(event, data),
    }
}

/// Eats the SSE events of an upstream's stream and yields model events.
pub trait StreamDecoder: Send {
    /// One SSE event: its name (empty where there is none) and its data.
    ///
    /// # Errors
    /// A [`Fault`] when the data cannot be read. Error frames are `StreamEvent::Error`, not this.
    fn decode(&mut self, event: &str, data: &[u8], out: &mut Vec<StreamEvent>) -> Result<(), Fault>;
}

/// Eats model events and writes SSE frames for a client.
pub trait StreamEncoder: Send {
    /// Writes what follows from one event.
    fn encode(&mut self, event: &StreamEvent, out: &mut Vec<u8>);

    /// Writes the regular end: finish, usage, the dialect's end mark. Nothing may follow it.
    fn end(&mut self, out: &mut Vec<u8>);

    /// Writes an error as the last thing the client sees, after content has been sent.
    fn fail(&mut self, error: &ErrorBody<'_>, out: &mut Vec<u8>);
}

/// A decoder for one stream.
#[must_use]
pub fn stream_decoder(dialect: Dialect) -> Box<dyn StreamDecoder> {
    match dialect {
        Dialect::OpenaiChat => Box::new(openai_chat::Decoder::default()),
        Dialect::AnthropicMessages => Box::new(anthropic_messages::Decoder::default()),
        Dialect::OpenaiResponses => Box::new(openai_responses::Decoder::default()),
    }
}

/// An encoder for one stream.
#[must_use]
pub fn stream_encoder(dialect: Dialect, options: StreamOptions) -> Box<dyn StreamEncoder> {
    match dialect {
        Dialect::OpenaiChat => Box::new(openai_chat::Encoder::new(options)),
        Dialect::AnthropicMessages => Box::new(anthropic_messages::Encoder::new(options)),
        Dialect::OpenaiResponses => Box::new(openai_responses::Encoder::new(options)),
    }
}

/// The error frame that ends a stream of this dialect that is passed on as it is.
#[must_use]
pub fn error_frame(dialect: Dialect, error: &ErrorBody<'_>) -> Vec<u8> {
    error_behind(dialect, error, b"", b"")
}

/// The same behind a stream whose first and last events had these data: where events are numbered and the last one
/// repeats the first, so do these frames.
#[must_use]
pub fn error_behind(dialect: Dialect, error: &ErrorBody<'_>, first: &[u8], last: &[u8]) -> Vec<u8> {
    if dialect == Dialect::OpenaiResponses {
        return openai_responses::error_behind(error, first, last);
    }
    let mut frame = b"event: error\ndata: ".to_vec();
    frame.extend_from_slice(&encode_error(dialect, error));
    frame.extend_from_slice(b"\n\n");
    frame
}

#[cfg(test)]
mod hand_over_tests;
#[cfg(test)]
mod matrix_tests;
