//! Reads and writes streamed answers.
//!
//! On this wire every text, item and answer ends with the whole of it. So the writer keeps what it wrote, and the
//! reader, which needs none of that, keeps nothing.
//!
//! - Start with [`Decoder`] and [`Encoder`].
//! - **Invariant:** the decoder holds no answer: what it keeps does not grow with the answer's length.

mod decoder;
mod encoder;

use std::borrow::Cow;

use baton_model::{Fault, RawObject};
use bytes::Bytes;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

pub(crate) use decoder::Decoder;
pub(crate) use encoder::Encoder;

use super::answer::Response;
use super::parse;
use super::response::reason;
use super::types::Text;
use crate::ErrorBody;
use crate::convert::{ObjectWriter, push_line};

/// One event as upstreams send it.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct Event<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) response: Option<Response<'a>>,
    #[serde(borrow)]
    pub(super) item: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) part: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) delta: Option<&'a RawValue>,
    /// The whole text, in the event that ends it.
    #[serde(borrow)]
    pub(super) text: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) refusal: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) arguments: Option<&'a RawValue>,
    error: Option<IgnoredAny>,
    pub(super) output_index: u64,
    pub(super) content_index: u64,
    pub(super) summary_index: u64,
}

/// What an event is, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EventKind {
    /// The answer, before anything is in it.
    Begun,
    ItemAdded,
    PartAdded,
    SummaryPartAdded,
    /// A piece of a text, a refusal, arguments or thinking.
    Delta,
    /// The whole of one of these.
    TextDone,
    PartDone,
    ItemDone,
    /// The answer, whole, cut short or failed.
    Over,
    Error,
    /// What the vendor's own tools tell, and what is still to be invented.
    Other,
}

impl EventKind {
    fn of(name: &str) -> Self {
        match name {
            "response.created" | "response.in_progress" | "response.queued" => Self::Begun,
            "response.output_item.added" => Self::ItemAdded,
            "response.content_part.added" => Self::PartAdded,
            "response.reasoning_summary_part.added" => Self::SummaryPartAdded,
            "response.output_text.delta"
            | "response.refusal.delta"
            | "response.function_call_arguments.delta"
            | "response.reasoning_summary_text.delta"
            | "response.reasoning_text.delta" => Self::Delta,
            "response.output_text.done"
            | "response.refusal.done"
            | "response.function_call_arguments.done" => Self::TextDone,
            "response.content_part.done" => Self::PartDone,
            "response.output_item.done" => Self::ItemDone,
            "response.completed" | "response.incomplete" | "response.failed" | "response.cancelled" => {
                Self::Over
            }
            "error" => Self::Error,
            _ => Self::Other,
        }
    }
}

/// Reads an event and its kind: by its own `type`, else by its SSE name. `None` for what is none: no data, or the
/// mark with which some servers end a stream.
pub(super) fn read_event<'a>(name: &str, data: &'a [u8]) -> Result<Option<(EventKind, Event<'a>)>, Fault> {
    let data = data.trim_ascii();
    if data.is_empty() || data == b"[DONE]" {
        return Ok(None);
    }
    if name == "error" {
        return Ok(Some((EventKind::Error, Event::default())));
    }
    let mut event: Event<'a> = parse(data, "an event of the provider's stream")?;
    event.kind.get_or_insert_with(|| Text(Cow::Owned(name.to_owned())));
    let kind = match EventKind::of(event.kind.as_ref().map_or(name, |kind| kind.0.as_ref())) {
        // Some servers send the body of an error.
        EventKind::Other if event.error.is_some() => EventKind::Error,
        kind => kind,
    };
    Ok(Some((kind, event)))
}

/// The frames that end a stream of somebody else's with an error: `error`, and the answer of its first event as
/// failed. Their numbers follow that of its last event.
pub(crate) fn error_behind(error: &ErrorBody<'_>, first: &[u8], last: &[u8]) -> Vec<u8> {
    let number: Numbered = serde_json::from_slice(last).unwrap_or_default();
    let number = number.sequence_number.map_or(0, |number| number.saturating_add(1));
    let mut frames = Vec::new();
    write_error(error, number, &mut frames);
    if let Some(response) = failed(error, first) {
        let mut event = ObjectWriter::new();
        event.member("type", "response.failed");
        event.member("sequence_number", &number.saturating_add(1));
        event.raw_member("response", &response);
        frames.extend_from_slice(b"event: response.failed\ndata: ");
        frames.extend_from_slice(&event.finish());
        frames.extend_from_slice(b"\n\n");
    }
    frames
}

#[derive(Default, Deserialize)]
struct Numbered {
    sequence_number: Option<u64>,
}

/// The answer of the event that began a stream, failed; on one line, as it came. `None` where the event has none.
fn failed(error: &ErrorBody<'_>, first: &[u8]) -> Option<Vec<u8>> {
    let event = RawObject::parse(Bytes::copy_from_slice(first)).ok()?;
    let response = RawObject::parse(event.get_bytes("response")?).ok()?;
    let mut told = ObjectWriter::new();
    told.member("code", reason(error.code));
    told.member("message", error.message);
    let edits = [("status", Some(Bytes::from_static(b"\"failed\""))), ("error", Some(told.finish().into()))];
    let mut line = Vec::new();
    push_line(&mut line, &response.rewritten(&edits));
    Some(line)
}

/// `error`, in OpenAI's form, and with the object that Open Responses and the SDKs look for.
fn write_error(error: &ErrorBody<'_>, sequence_number: u64, out: &mut Vec<u8>) {
    let mut inner = ObjectWriter::new();
    inner.member("type", error.kind);
    members(&mut inner, error);
    let mut event = ObjectWriter::new();
    event.member("type", "error");
    event.member("sequence_number", &sequence_number);
    members(&mut event, error);
    event.raw_member("error", &inner.finish());
    out.extend_from_slice(b"event: error\ndata: ");
    out.extend_from_slice(&event.finish());
    out.extend_from_slice(b"\n\n");
}

fn members(object: &mut ObjectWriter, error: &ErrorBody<'_>) {
    object.member("code", &error.code);
    object.member("message", error.message);
    object.member("param", &error.param);
}
