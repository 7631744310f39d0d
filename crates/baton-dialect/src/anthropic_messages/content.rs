//! Reads content: a text or a list of blocks, in requests, tool results and answers alike.

use std::fmt;

use baton_model::{CacheControl, DocumentSource, ImageSource, Part, PartKind, RawJson};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::DIALECT;
use super::types::{BlockIn, DocumentIn, DocumentSourceIn, SourceIn};
use crate::DecodeError;
use crate::citations;
use crate::read::read;

/// Reads a text or a list of blocks that stands at `at`.
pub(super) fn decode_content(raw: &RawValue, at: fmt::Arguments<'_>) -> Result<Vec<Part>, DecodeError> {
    decode_parts(raw, at, Within::Message)
}

/// Where a block stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Within {
    Message,
    /// A result has no results in it. Reading on in one would let a server nest without end.
    Result,
}

fn decode_parts(raw: &RawValue, at: fmt::Arguments<'_>, within: Within) -> Result<Vec<Part>, DecodeError> {
    match raw.get().as_bytes().first() {
        Some(b'"') => Ok(vec![Part::text(value::<String>(raw, at)?, DIALECT)]),
        Some(b'[') => value::<Vec<&RawValue>>(raw, at)?
            .into_iter()
            .enumerate()
            .map(|(index, block)| decode_part(block, format_args!("{at}[{index}]"), within))
            .collect(),
        _ => Err(DecodeError::at(
            at.to_string(),
            format!("`{at}` must be a string or a list of content blocks"),
        )),
    }
}

/// Reads one block. A kind that the model has no word for stays as it is.
pub(super) fn decode_block(raw: &RawValue, at: fmt::Arguments<'_>) -> Result<Part, DecodeError> {
    decode_part(raw, at, Within::Message)
}

fn decode_part(raw: &RawValue, at: fmt::Arguments<'_>, within: Within) -> Result<Part, DecodeError> {
    let block: BlockIn<'_> = value(raw, at)?;
    let kind = match block.r#type.as_ref().map(|kind| kind.0.as_ref()) {
        Some("text") => PartKind::Text(member(block.text, at, "text")?),
        Some("image") => decode_image(raw, block.source, at)?,
        Some("document") => decode_document(raw),
        Some("tool_use") => PartKind::ToolCall {
            id: member(block.id, at, "id")?,
            name: member(block.name, at, "name")?,
            arguments: decode_input(block.input, at)?,
        },
        Some("tool_result") if within == Within::Message => decode_result(&block, at)?,
        Some("thinking") => PartKind::Reasoning {
            text: member(block.thinking, at, "thinking")?,
            signature: optional(block.signature, at, "signature")?,
        },
        Some("redacted_thinking") => PartKind::RedactedReasoning { data: member(block.data, at, "data")? },
        Some(_) => PartKind::Other(RawJson::from(raw.to_owned())),
        None => return Err(missing(at, "type")),
    };
    let cache = block.cache_control.map(CacheControl);
    let cited = block.citations.filter(|list| !matches!(list.get(), "null" | "[]"));
    let beside = cited.map(|list| (citations::CITATIONS.to_owned(), RawJson::from(list.to_owned())));
    Ok(Part { cache, ..Part::new(kind, DIALECT).with(beside.into_iter().collect()) })
}

fn decode_image(
    block: &RawValue,
    source: Option<&RawValue>,
    at: fmt::Arguments<'_>,
) -> Result<PartKind, DecodeError> {
    let raw = source.ok_or_else(|| missing(at, "source"))?;
    let source: SourceIn<'_> = value(raw, format_args!("{at}.source"))?;
    let at = format_args!("{at}.source");
    let source = match source.r#type.as_ref().map(|kind| kind.0.as_ref()) {
        Some("base64") => ImageSource::Base64 {
            media_type: source.media_type.ok_or_else(|| missing(at, "media_type"))?,
            data: source.data.ok_or_else(|| missing(at, "data"))?,
        },
        Some("url") => ImageSource::Url(source.url.ok_or_else(|| missing(at, "url"))?),
        // A file at the vendor: only the vendor has it.
        Some(_) => return Ok(PartKind::Other(RawJson::from(block.to_owned()))),
        None => return Err(missing(at, "type")),
    };
    Ok(PartKind::Image { source, detail: None })
}

/// A document whose bytes or address are in the message, and nothing else that only this vendor knows.
fn decode_document(block: &RawValue) -> PartKind {
    let whole = || PartKind::Other(RawJson::from(block.to_owned()));
    let Ok(document) = serde_json::from_str::<DocumentIn>(block.get()) else { return whole() };
    let source = match document.source {
        DocumentSourceIn::Base64 { media_type, data } => DocumentSource::Base64 { media_type, data },
        DocumentSourceIn::Url { url } => DocumentSource::Url(url),
        DocumentSourceIn::Text { data, .. } => DocumentSource::Text(data),
    };
    PartKind::Document { source, name: document.title }
}

fn decode_input(input: Option<&RawValue>, at: fmt::Arguments<'_>) -> Result<String, DecodeError> {
    let Some(input) = input else { return Ok("{}".to_owned()) };
    if input.get().starts_with('{') {
        return Ok(input.get().to_owned());
    }
    Err(DecodeError::at(format!("{at}.input"), format!("`{at}.input` must be an object")))
}

fn decode_result(block: &BlockIn<'_>, at: fmt::Arguments<'_>) -> Result<PartKind, DecodeError> {
    let parts = match block.content {
        Some(content) => decode_parts(content, format_args!("{at}.content"), Within::Result)?,
        None => Vec::new(),
    };
    Ok(PartKind::ToolResult {
        call_id: member(block.tool_use_id, at, "tool_use_id")?,
        parts,
        is_error: optional(block.is_error, at, "is_error")?.unwrap_or(false),
    })
}

/// Reads a raw value as a type.
pub(super) fn value<'a, T: Deserialize<'a>>(
    raw: &'a RawValue,
    at: fmt::Arguments<'_>,
) -> Result<T, DecodeError> {
    read(raw.get().as_bytes(), at)
}

/// Says that a member is not there.
pub(super) fn missing(at: fmt::Arguments<'_>, name: &str) -> DecodeError {
    DecodeError::at(format!("{at}.{name}"), format!("`{at}.{name}` is required"))
}

fn member(raw: Option<&RawValue>, at: fmt::Arguments<'_>, name: &str) -> Result<String, DecodeError> {
    optional(raw, at, name)?.ok_or_else(|| missing(at, name))
}

fn optional<'a, T: Deserialize<'a>>(
    raw: Option<&'a RawValue>,
    at: fmt::Arguments<'_>,
    name: &str,
) -> Result<Option<T>, DecodeError> {
    raw.map(|raw| value(raw, format_args!("{at}.{name}"))).transpose()
}
