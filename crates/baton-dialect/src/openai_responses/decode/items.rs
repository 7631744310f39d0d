//! Reads the items of `input`, and those of an upstream's `output`.
//!
//! Here items stand side by side; in the model what one speaker says before the other one speaks is a message.
//! Every message item of the assistant begins a message, so that it can be told which texts stood in one item.
//!
//! - Start with [`decode`] for a list, [`decode_item`] for one.
//! - **Invariant:** an item that nobody here knows is kept raw.

use std::fmt;

use baton_model::{CacheControl, DocumentSource, ImageSource, Message, Part, PartKind, RawJson, Role};
use serde_json::value::RawValue;

use super::super::DIALECT;
use super::super::seal::{FOREIGN_ID, Seal};
use super::super::types::{
    CallItem, ContentPart, FilePart, MessageItem, ReasoningItem, ResultItem, Tag, Text,
};
use super::{keep, missing};
use crate::DecodeError;
use crate::convert::split_data_url;
use crate::read::read;

/// What becomes of items that are only named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum References {
    Refused,
    LeftOut,
}

/// One item, read.
#[derive(Debug)]
pub(in super::super) enum Item {
    /// What somebody says.
    Message(Role, Vec<Part>),
    /// What the model does beside that, or what nobody here knows.
    Part(Part),
    /// The result of a call.
    Result(Part),
    /// An item that is only named.
    Reference,
}

pub(super) fn decode(
    value: &[u8],
    references: References,
    extra: &mut Vec<(String, RawJson)>,
) -> Result<Vec<Message>, DecodeError> {
    if value.starts_with(b"\"") {
        let text: String = read(value, format_args!("input"))?;
        let parts = Some(text).filter(|text| !text.is_empty()).map(|text| Part::text(text, DIALECT));
        return Ok(vec![Message { role: Role::User, name: None, parts: parts.into_iter().collect() }]);
    }
    let list: Vec<&RawValue> = read(value, format_args!("input"))?;
    let mut messages: Vec<Message> = Vec::new();
    for (i, raw) in list.into_iter().enumerate() {
        match decode_item(raw, format_args!("input[{i}]"))? {
            Item::Message(role, parts) => {
                note_attached(i, parts.first(), extra);
                add_message(&mut messages, role, parts);
            }
            Item::Part(part) => {
                note_attached(i, Some(&part), extra);
                add_part(&mut messages, part);
            }
            Item::Result(part) => {
                note_attached(i, Some(&part), extra);
                messages.push(Message { role: Role::Tool, name: None, parts: vec![part] });
            }
            Item::Reference if references == References::LeftOut => {}
            Item::Reference => return Err(reference(i)),
        }
    }
    Ok(messages)
}

/// Refuses a list that names an item instead of having it.
pub(super) fn refuse_references(value: &[u8]) -> Result<(), DecodeError> {
    let list: Vec<&RawValue> = read(value, format_args!("input"))?;
    let is_reference = |raw: &&RawValue| {
        let tag: Result<Tag<'_>, _> = serde_json::from_str(raw.get());
        tag.is_ok_and(|tag| tag.kind.is_some_and(|kind| kind.0 == "item_reference"))
    };
    list.iter().position(is_reference).map_or(Ok(()), |i| Err(reference(i)))
}

fn reference(i: usize) -> DecodeError {
    let message = format!(
        "`input[{i}]` names an item that is kept by one provider: send the item itself, or name a model of that provider \
         alone"
    );
    DecodeError::at(format!("input[{i}].id"), message)
}

/// Members that other dialects have no place for, and whose loss changes what is said.
fn note_attached(i: usize, part: Option<&Part>, extra: &mut Vec<(String, RawJson)>) {
    for (key, value) in part.map(Part::attached).unwrap_or_default() {
        if matches!(key.as_str(), "phase" | "namespace" | "caller") {
            extra.push((format!("input[{i}].{key}"), value.clone()));
        }
    }
}

fn add_message(messages: &mut Vec<Message>, role: Role, parts: Vec<Part>) {
    match messages.last_mut() {
        // Thinking belongs to what follows it.
        Some(last) if role == Role::Assistant && is_thinking(last) => last.parts.extend(parts),
        _ => messages.push(Message { role, name: None, parts }),
    }
}

fn is_thinking(message: &Message) -> bool {
    let thinks =
        |part: &Part| matches!(part.kind, PartKind::Reasoning { .. } | PartKind::RedactedReasoning { .. });
    message.role == Role::Assistant && message.parts.iter().all(thinks)
}

fn add_part(messages: &mut Vec<Message>, part: Part) {
    match messages.last_mut() {
        Some(last) if last.role == Role::Assistant => last.parts.push(part),
        _ => messages.push(Message { role: Role::Assistant, name: None, parts: vec![part] }),
    }
}

/// Reads one item that stands at `at`.
pub(in super::super) fn decode_item(raw: &RawValue, at: fmt::Arguments<'_>) -> Result<Item, DecodeError> {
    let bytes = raw.get().as_bytes();
    let tag: Tag<'_> = read(bytes, at)?;
    let kind = tag.kind.as_ref().map(|kind| kind.0.as_ref());
    match (kind, tag.role) {
        (Some("message"), None) => Err(missing(format!("{at}.role"))),
        (None | Some("message"), Some(role)) => decode_message(bytes, &role.0, at),
        (Some("function_call"), _) => decode_call(bytes, at).map(Item::Part),
        (Some("function_call_output"), _) => decode_result(bytes, at).map(Item::Result),
        (Some("reasoning"), _) => decode_reasoning(bytes, at).map(Item::Part),
        (Some("item_reference"), _) => Ok(Item::Reference),
        (Some(_), _) => Ok(Item::Part(Part::new(PartKind::Other(keep(raw)), DIALECT))),
        (None, None) => Err(missing(format!("{at}.type"))),
    }
}

fn decode_message(bytes: &[u8], role: &str, at: fmt::Arguments<'_>) -> Result<Item, DecodeError> {
    let role = match role {
        "user" => Role::User,
        "assistant" => Role::Assistant,
        "system" => Role::System,
        "developer" => Role::Developer,
        _ => {
            let message = format!("`{at}.role` must be `user`, `assistant`, `system` or `developer`");
            return Err(DecodeError::at(format!("{at}.role"), message));
        }
    };
    let item: MessageItem<'_> = read(bytes, at)?;
    let content = item.content.ok_or_else(|| missing(format!("{at}.content")))?;
    let mut parts = decode_parts(content, format_args!("{at}.content"))?;
    if let (Some(phase), Some(first)) = (item.phase, parts.first_mut()) {
        let mut members = first.attached().to_vec();
        members.push(("phase".to_owned(), keep(phase)));
        *first = first.clone().with(members);
    }
    Ok(Item::Message(role, parts))
}

fn decode_call(bytes: &[u8], at: fmt::Arguments<'_>) -> Result<Part, DecodeError> {
    let call: CallItem<'_> = read(bytes, at)?;
    let arguments = call.arguments_text().unwrap_or_else(|| "{}".to_owned());
    let attached = members([("namespace", call.namespace), ("caller", call.caller)]);
    // Some servers know one id only.
    let id = call.call_id.or(call.id).map(Text::into_owned).filter(|id| !id.is_empty());
    let name = call.name.map(Text::into_owned).filter(|name| !name.is_empty());
    let kind = PartKind::ToolCall {
        id: id.ok_or_else(|| missing(format!("{at}.call_id")))?,
        name: name.ok_or_else(|| missing(format!("{at}.name")))?,
        arguments,
    };
    Ok(Part::new(kind, DIALECT).with(attached))
}

fn decode_result(bytes: &[u8], at: fmt::Arguments<'_>) -> Result<Part, DecodeError> {
    let item: ResultItem<'_> = read(bytes, at)?;
    let output = item.output.ok_or_else(|| missing(format!("{at}.output")))?;
    let kind = PartKind::ToolResult {
        call_id: item.call_id.map(Text::into_owned).ok_or_else(|| missing(format!("{at}.call_id")))?,
        parts: decode_parts(output, format_args!("{at}.output"))?,
        is_error: false,
    };
    Ok(Part::new(kind, DIALECT).with(members([("namespace", item.namespace), ("caller", item.caller)])))
}

/// The summary is the text; where there is none, the thinking itself is.
fn decode_reasoning(bytes: &[u8], at: fmt::Arguments<'_>) -> Result<Part, DecodeError> {
    let item: ReasoningItem<'_> = read(bytes, at)?;
    let summary = texts(item.summary, format_args!("{at}.summary"))?;
    let content = texts(item.content, format_args!("{at}.content"))?;
    let text = if summary.is_empty() { content.concat() } else { summary.join("\n\n") };
    let encrypted = item.encrypted_content.map(Text::into_owned).filter(|encrypted| !encrypted.is_empty());
    if let Some(part) = encrypted.as_deref().and_then(|encrypted| Seal::of(encrypted).foreign(&text)) {
        return Ok(part);
    }
    let mut attached = Vec::new();
    let own_id = item.id.map(Text::into_owned).filter(|id| !id.is_empty() && !id.starts_with(FOREIGN_ID));
    for (key, text) in [("id", own_id), ("encrypted_content", encrypted)] {
        if let Some(text) = text {
            attached.push((key.to_owned(), RawJson::of(&text)?));
        }
    }
    if summary.len() != 1 {
        let given = item.summary.map(keep);
        attached.push(("summary".to_owned(), given.map_or_else(|| RawJson::parse("[]"), Ok)?));
    }
    attached.extend(members([("content", item.content)]));
    Ok(Part::new(PartKind::Reasoning { text, signature: None }, DIALECT).with(attached))
}

fn texts(list: Option<&RawValue>, at: fmt::Arguments<'_>) -> Result<Vec<String>, DecodeError> {
    let Some(list) = list else { return Ok(Vec::new()) };
    let parts: Vec<ContentPart<'_>> = read(list.get().as_bytes(), at)?;
    Ok(parts.into_iter().filter_map(|part| part.text).map(Text::into_owned).collect())
}

/// The members that are there, as they stand. An empty list says nothing.
fn members<const N: usize>(members: [(&str, Option<&RawValue>); N]) -> Vec<(String, RawJson)> {
    let there = |(key, raw): (&str, Option<&RawValue>)| {
        raw.filter(|raw| !matches!(raw.get(), "null" | "[]")).map(|raw| (key.to_owned(), keep(raw)))
    };
    members.into_iter().filter_map(there).collect()
}

/// Reads a text or a list of parts that stands at `at`. Empty texts say nothing, and some dialects refuse them: they
/// are left out.
fn decode_parts(raw: &RawValue, at: fmt::Arguments<'_>) -> Result<Vec<Part>, DecodeError> {
    let bytes = raw.get().as_bytes();
    match bytes.first() {
        Some(b'"') => {
            let text: String = read(bytes, at)?;
            Ok(Some(text)
                .filter(|text| !text.is_empty())
                .map(|text| Part::text(text, DIALECT))
                .into_iter()
                .collect())
        }
        Some(b'[') => {
            let list: Vec<&RawValue> = read(bytes, at)?;
            let parts =
                list.into_iter().enumerate().map(|(i, part)| decode_part(part, format_args!("{at}[{i}]")));
            parts.filter_map(Result::transpose).collect()
        }
        _ => Err(DecodeError::at(at.to_string(), format!("`{at}` must be a string or a list of parts"))),
    }
}

fn decode_part(raw: &RawValue, at: fmt::Arguments<'_>) -> Result<Option<Part>, DecodeError> {
    let bytes = raw.get().as_bytes();
    let tag: Tag<'_> = read(bytes, at)?;
    let kind = tag.kind.ok_or_else(|| missing(format!("{at}.type")))?;
    let known = [
        "input_text",
        "output_text",
        "text",
        "summary_text",
        "reasoning_text",
        "refusal",
        "input_image",
        "input_file",
    ];
    if !known.contains(&kind.0.as_ref()) {
        return Ok(Some(Part::new(PartKind::Other(keep(raw)), DIALECT)));
    }
    let part: ContentPart<'_> = read(bytes, at)?;
    let cache = part.prompt_cache_breakpoint.map(|mark| CacheControl(keep(mark)));
    let attached = members([("annotations", part.annotations), ("logprobs", part.logprobs)]);
    let kind = match kind.0.as_ref() {
        "refusal" => {
            let refusal = part.refusal.ok_or_else(|| missing(format!("{at}.refusal")))?;
            PartKind::Refusal(refusal.into_owned())
        }
        "input_file" => decode_file(raw),
        "input_image" => match part.image_url {
            Some(url) => decode_image(&url.0, part.detail, at)?,
            // A file at the vendor: only the vendor has it.
            None => PartKind::Other(keep(raw)),
        },
        _ => {
            let text = part.text.ok_or_else(|| missing(format!("{at}.text")))?.into_owned();
            if text.is_empty() {
                return Ok(None);
            }
            PartKind::Text(text)
        }
    };
    Ok(Some(Part { cache, ..Part::new(kind, DIALECT).with(attached) }))
}

/// A file whose bytes or address are in the message, and nothing else that only this vendor knows.
fn decode_file(raw: &RawValue) -> PartKind {
    let whole = || PartKind::Other(keep(raw));
    let Ok(FilePart { file_data, file_url, filename, .. }) = serde_json::from_str(raw.get()) else {
        return whole();
    };
    let source = match (file_url, file_data.as_deref().and_then(split_data_url)) {
        (Some(url), None) => DocumentSource::Url(url),
        (None, Some((media_type, data))) => {
            DocumentSource::Base64 { media_type: media_type.to_owned(), data: data.to_owned() }
        }
        _ => return whole(),
    };
    PartKind::Document { source, name: filename }
}

fn decode_image(url: &str, detail: Option<String>, at: fmt::Arguments<'_>) -> Result<PartKind, DecodeError> {
    let source = match split_data_url(url) {
        Some((media_type, data)) => {
            ImageSource::Base64 { media_type: media_type.to_owned(), data: data.to_owned() }
        }
        None if url.starts_with("data:") => {
            return Err(DecodeError::at(
                format!("{at}.image_url"),
                format!("`{at}.image_url` must be base64 when it is a data URL"),
            ));
        }
        None => ImageSource::Url(url.to_owned()),
    };
    Ok(PartKind::Image { source, detail })
}
