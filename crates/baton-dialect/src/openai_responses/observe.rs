//! Looks at what passes through unchanged: usage, why it ended, errors, the commit point.
//!
//! Every event of every stream comes through here. The common one, a delta, is read without allocating.
//!
//! - Start with [`observe_event`].

use baton_model::Fault;
use memchr::memmem;

use super::answer::{Response, read_response};
use super::stream::{Event, EventKind, read_event};
use super::types::{Tag, Text};
use super::usage::Usage;
use crate::Observation;
use crate::openai::error_in_answer;

/// Looks at a whole answer.
pub(crate) fn observe_answer(body: &[u8]) -> Result<Observation<'_>, Fault> {
    let response = read_response(body)?;
    Ok(Observation { end: true, ..observe(response) })
}

/// Looks at one event of a stream. `event` is its SSE name or empty.
pub(crate) fn observe_event<'a>(event: &str, data: &'a [u8]) -> Result<Observation<'a>, Fault> {
    let Some((kind, read)) = read_event(event, data)? else { return Ok(Observation::default()) };
    let content = |content| Ok(Observation { content, ..Observation::default() });
    match kind {
        EventKind::Delta => content(read.delta.is_some_and(|delta| delta.get() != "\"\"")),
        EventKind::ItemAdded => content(is_content(&read)),
        EventKind::Begun => Ok(read.response.map(observe).unwrap_or_default()),
        EventKind::Over => {
            let Some(response) = read.response else { return Ok(Observation::default()) };
            if response.finish(false).is_none() {
                return Err(response.fault());
            }
            Ok(Observation { end: true, ..observe(response) })
        }
        EventKind::Error => Err(error_in_answer(data)),
        EventKind::PartAdded
        | EventKind::PartDone
        | EventKind::SummaryPartAdded
        | EventKind::TextDone
        | EventKind::ItemDone
        | EventKind::Other => Ok(Observation::default()),
    }
}

/// Whether an item is content as soon as it begins: all are but those whose text is still to come.
fn is_content(event: &Event<'_>) -> bool {
    let tag = event.item.map(|item| serde_json::from_str::<Tag<'_>>(item.get()));
    let kind = tag.and_then(Result::ok).and_then(|tag| tag.kind);
    kind.is_some_and(|kind| !matches!(kind.0.as_ref(), "message" | "reasoning"))
}

fn observe(response: Response<'_>) -> Observation<'_> {
    let output = response.output.map(|output| output.get().as_bytes()).unwrap_or_default();
    let has_calls = memmem::find(output, b"\"function_call\"").is_some() && calls(&response);
    Observation {
        content: !matches!(output, b"" | b"[]" | b"null"),
        usage: response.usage.as_ref().map(Usage::to_model),
        finish: response.finish(has_calls).filter(|_| response.status.is_some()),
        id: response.id.map(|Text(id)| id).filter(|id| !id.is_empty()),
        model: response.model.map(|Text(model)| model).filter(|model| !model.is_empty()),
        ..Observation::default()
    }
}

/// Whether there is a call among the items; the word may stand in a text too.
fn calls(response: &Response<'_>) -> bool {
    let items = response.items().unwrap_or_default();
    items.into_iter().any(|item| {
        let tag: Result<Tag<'_>, _> = serde_json::from_str(item.get());
        tag.is_ok_and(|tag| tag.kind.is_some_and(|kind| kind.0 == "function_call"))
    })
}
