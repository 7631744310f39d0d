//! Looks at what passes through unchanged: usage, reason for stopping, errors, the commit point.
//!
//! Every event of every stream comes through here, so the common one, a delta, is read without
//! allocating.

use baton_model::Fault;

use super::answer::read_message;
use super::error::decode_fault;
use super::stream::{is_content_block, read_event};
use super::types::{DeltaIn, EventKind, MessageIn};
use super::usage::decode_stop;
use crate::Observation;

/// Looks at a whole answer.
pub(crate) fn observe_answer(body: &[u8]) -> Result<Observation<'_>, Fault> {
    let message = read_message(body)?;
    let content = message.content.as_ref().is_some_and(|content| !content.is_empty());
    Ok(Observation { content, end: true, ..observe_message(message) })
}

/// Looks at one event of a stream. `event` is its SSE name or empty.
pub(crate) fn observe_event<'a>(event: &str, data: &'a [u8]) -> Result<Observation<'a>, Fault> {
    let (kind, read) = read_event(event, data)?;
    match kind {
        EventKind::ContentBlockDelta => {
            let content = read.delta.as_ref().is_some_and(adds_something);
            Ok(Observation { content, ..Observation::default() })
        }
        EventKind::ContentBlockStart => {
            let content = read.content_block.is_some_and(is_content_block);
            Ok(Observation { content, ..Observation::default() })
        }
        EventKind::MessageStart => Ok(read.message.map(observe_message).unwrap_or_default()),
        EventKind::MessageDelta => Ok(Observation {
            usage: read.usage.map(|usage| usage.decode()),
            finish: read.delta.and_then(|delta| delta.stop_reason).map(|reason| decode_stop(&reason.0)),
            ..Observation::default()
        }),
        EventKind::MessageStop => Ok(Observation { end: true, ..Observation::default() }),
        EventKind::Error => Err(decode_fault(None, data)),
        EventKind::ContentBlockStop | EventKind::Other => Ok(Observation::default()),
    }
}

fn observe_message(message: MessageIn<'_>) -> Observation<'_> {
    Observation {
        usage: message.usage.map(|usage| usage.decode()),
        finish: message.stop_reason.map(|reason| decode_stop(&reason.0)),
        id: message.id.map(|id| id.0),
        model: message.model.map(|model| model.0),
        ..Observation::default()
    }
}

fn adds_something(delta: &DeltaIn<'_>) -> bool {
    [delta.text, delta.partial_json, delta.thinking, delta.signature]
        .into_iter()
        .flatten()
        .any(|added| added.get() != "\"\"")
}
