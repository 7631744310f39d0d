//! Streams, in both directions.
//!
//! On this wire blocks follow one another and are numbered from 0 without gaps. In the model parts
//! may overlap. So the decoder is a renaming, and the encoder holds back what has to wait its turn.

mod decoder;
mod encoder;

use baton_model::Fault;
use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::Error as NameError;
use serde_json::value::RawValue;

pub(crate) use decoder::Decoder;
pub(crate) use encoder::Encoder;
pub(super) use encoder::write_frame;

use super::answer::malformed;
use super::types::{BlockIn, EventIn, EventKind};

/// Reads an event and its kind: by its own `type`, else by its SSE name. What is in an event of an
/// unknown kind does not matter.
pub(super) fn read_event<'a>(name: &str, data: &'a [u8]) -> Result<(EventKind, EventIn<'a>), Fault> {
    #[derive(Deserialize)]
    struct Only {
        r#type: Option<EventKind>,
    }
    if let Ok(event) = serde_json::from_slice::<EventIn<'a>>(data) {
        return Ok((event.r#type.unwrap_or_else(|| kind_of(name)), event));
    }
    let kind = match serde_json::from_slice::<Only>(data) {
        Ok(only) => only.r#type.unwrap_or_else(|| kind_of(name)),
        Err(_) if name.is_empty() => return Err(malformed("an event is no JSON")),
        Err(_) => kind_of(name),
    };
    match kind {
        EventKind::Error | EventKind::Other => Ok((kind, EventIn::default())),
        _ => Err(malformed("an event does not have the form of its kind")),
    }
}

pub(super) fn kind_of(name: &str) -> EventKind {
    let name = IntoDeserializer::<NameError>::into_deserializer(name);
    EventKind::deserialize(name).unwrap_or_default()
}

/// Whether a block is a call of a tool that the client has.
pub(super) fn is_tool_use(block: &[u8]) -> bool {
    serde_json::from_slice::<BlockIn<'_>>(block)
        .is_ok_and(|block| block.r#type.is_some_and(|kind| kind.0 == "tool_use"))
}

/// Whether a block is content as soon as it begins: all are but those whose text is still to come.
pub(super) fn is_content_block(block: &RawValue) -> bool {
    let Ok(block) = serde_json::from_str::<BlockIn<'_>>(block.get()) else { return false };
    let text = match block.r#type.as_ref().map(|kind| kind.0.as_ref()) {
        Some("text") => block.text,
        Some("thinking") => block.thinking,
        _ => return true,
    };
    text.is_some_and(|text| text.get() != "\"\"")
}
