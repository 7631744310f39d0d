//! Reads `messages`, with what known clients get wrong put right.
//!
//! - Start with [`decode`].
//! - **Invariant:** every tool result has its call before it; a result that came without gets one.

use std::collections::HashSet;

use baton_model::{CacheControl, Dialect, DocumentSource, ImageSource, Message, Part, PartKind, Role};
use serde_json::value::RawValue;

use super::super::types::{Content, FilePart, ImagePart, ImageUrl, Tag, TextPart, ToolCall};
use super::super::{UNKNOWN_TOOL, reasoning, types};
use super::{keep, missing};
use crate::DecodeError;
use crate::convert::{hashed_id, split_data_url};
use crate::read::read;

const HERE: Dialect = Dialect::OpenaiChat;

pub(super) fn decode(value: &[u8]) -> Result<Vec<Message>, DecodeError> {
    if value.starts_with(b"\"") {
        let text: String = read(value, format_args!("messages"))?;
        return Ok(vec![message(Role::User, None, vec![Part::text(text, HERE)])]);
    }
    let list: Vec<types::Message<'_>> = read(value, format_args!("messages"))?;
    let mut history = History::default();
    for (i, wire) in list.into_iter().enumerate() {
        history.add(i, wire)?;
    }
    Ok(history.messages)
}

fn message(role: Role, name: Option<String>, parts: Vec<Part>) -> Message {
    Message { role, name, parts }
}

#[derive(Default)]
struct History {
    messages: Vec<Message>,
    /// The ids of all calls so far.
    calls: HashSet<String>,
    /// The old form has no ids: the last call by name, until its result comes.
    open_function: Option<(String, String)>,
}

impl History {
    fn add(&mut self, i: usize, wire: types::Message<'_>) -> Result<(), DecodeError> {
        let role = wire.role.as_deref().ok_or_else(|| missing(format!("messages[{i}].role")))?;
        match role {
            "system" => self.add_plain(i, Role::System, wire),
            "developer" => self.add_plain(i, Role::Developer, wire),
            "user" => self.add_plain(i, Role::User, wire),
            "assistant" => self.add_assistant(i, wire),
            "tool" => {
                let id = wire
                    .tool_call_id
                    .clone()
                    .ok_or_else(|| missing(format!("messages[{i}].tool_call_id")))?;
                self.add_result(i, id, UNKNOWN_TOOL, wire)
            }
            "function" => {
                let name = wire.name.clone().ok_or_else(|| missing(format!("messages[{i}].name")))?;
                let open = self.open_function.take().filter(|(open, _)| *open == name);
                let id = open.map_or_else(|| function_id(i, &name), |(_, id)| id);
                self.add_result(i, id, &name, wire)
            }
            _ => Err(DecodeError::at(
                format!("messages[{i}].role"),
                format!("`messages[{i}].role` must be `system`, `developer`, `user`, `assistant` or `tool`"),
            )),
        }
    }

    fn add_plain(&mut self, i: usize, role: Role, wire: types::Message<'_>) -> Result<(), DecodeError> {
        let parts = decode_content(i, wire.content)?;
        self.messages.push(message(role, wire.name, parts));
        Ok(())
    }

    fn add_assistant(&mut self, i: usize, wire: types::Message<'_>) -> Result<(), DecodeError> {
        let details = wire.reasoning_details.unwrap_or_default();
        let mut parts = reasoning::decode(&details, wire.reasoning_content.or(wire.reasoning));
        parts.extend(decode_content(i, wire.content)?);
        parts.extend(wire.refusal.map(|refusal| Part::new(PartKind::Refusal(refusal), HERE)));
        for (j, raw) in wire.tool_calls.iter().flatten().enumerate() {
            let (id, call) = decode_call(i, j, raw)?;
            self.calls.extend(id);
            parts.push(call);
        }
        if let Some(function) = wire.function_call {
            let arguments = function.arguments_text().unwrap_or_else(|| "{}".to_owned());
            let name = function.name.ok_or_else(|| missing(format!("messages[{i}].function_call.name")))?;
            let id = function_id(i, &name);
            self.calls.insert(id.clone());
            self.open_function = Some((name.clone(), id.clone()));
            parts.push(Part::new(PartKind::ToolCall { id, name, arguments }, HERE));
        }
        self.messages.push(message(Role::Assistant, wire.name, parts));
        Ok(())
    }

    fn add_result(
        &mut self,
        i: usize,
        call_id: String,
        tool: &str,
        wire: types::Message<'_>,
    ) -> Result<(), DecodeError> {
        let is_orphan = self.calls.insert(call_id.clone());
        if is_orphan {
            let kind =
                PartKind::ToolCall { id: call_id.clone(), name: tool.to_owned(), arguments: "{}".to_owned() };
            self.add_missing_call(Part::new(kind, HERE));
        }
        let parts = decode_content(i, wire.content)?;
        let result = Part::new(PartKind::ToolResult { call_id, parts, is_error: false }, HERE);
        self.messages.push(message(Role::Tool, None, vec![result]));
        Ok(())
    }

    /// Puts the call before the results that end the history so far.
    fn add_missing_call(&mut self, call: Part) {
        let results = self.messages.iter().rev().take_while(|message| message.role == Role::Tool).count();
        let place = self.messages.len() - results;
        match place.checked_sub(1).and_then(|at| self.messages.get_mut(at)) {
            Some(asking) if asking.role == Role::Assistant => asking.parts.push(call),
            _ => self.messages.insert(place, message(Role::Assistant, None, vec![call])),
        }
    }
}

fn function_id(i: usize, name: &str) -> String {
    hashed_id(&format!("{i}:{name}"), "call_")
}

/// A call, and its id apart.
fn decode_call(i: usize, j: usize, raw: &RawValue) -> Result<(Option<String>, Part), DecodeError> {
    let at = format!("messages[{i}].tool_calls[{j}]");
    let call: ToolCall<'_> = read(raw.get().as_bytes(), format_args!("{at}"))?;
    if call.kind.as_ref().is_some_and(|kind| kind.0 != "function") {
        return Ok((call.id, Part::new(PartKind::Other(keep(raw)), HERE)));
    }
    let attached = call.attached();
    let id = call.id.ok_or_else(|| missing(format!("{at}.id")))?;
    let function = call.function.ok_or_else(|| missing(format!("{at}.function")))?;
    let arguments = function.arguments_text().unwrap_or_else(|| "{}".to_owned());
    let name = function.name.ok_or_else(|| missing(format!("{at}.function.name")))?;
    let kind = PartKind::ToolCall { id: id.clone(), name, arguments };
    Ok((Some(id), Part::new(kind, HERE).with(attached)))
}

/// Empty texts say nothing, and some dialects refuse them: they are left out.
fn decode_content(i: usize, content: Option<Content<'_>>) -> Result<Vec<Part>, DecodeError> {
    match content {
        None => Ok(Vec::new()),
        Some(Content::Text(text)) if text.is_empty() => Ok(Vec::new()),
        Some(Content::Text(text)) => Ok(vec![Part::text(text, HERE)]),
        Some(Content::Parts(list)) => {
            let parts = list.iter().enumerate().map(|(j, raw)| decode_part(i, j, raw));
            parts.filter_map(Result::transpose).collect()
        }
    }
}

fn decode_part(i: usize, j: usize, raw: &RawValue) -> Result<Option<Part>, DecodeError> {
    let bytes = raw.get().as_bytes();
    if bytes.starts_with(b"\"") {
        let text: String = read(bytes, format_args!("messages[{i}].content[{j}]"))?;
        return Ok((!text.is_empty()).then(|| Part::text(text, HERE)));
    }
    let tag: Tag<'_> = read(bytes, format_args!("messages[{i}].content[{j}]"))?;
    match tag.kind.as_ref().map_or("text", |kind| kind.0.as_ref()) {
        "text" | "input_text" | "output_text" => decode_text(i, j, bytes),
        "refusal" => {
            let part: TextPart<'_> = read(bytes, format_args!("messages[{i}].content[{j}]"))?;
            let refusal =
                part.refusal.ok_or_else(|| missing(format!("messages[{i}].content[{j}].refusal")))?;
            Ok(Some(Part::new(PartKind::Refusal(refusal), HERE)))
        }
        "image_url" => decode_image(i, j, bytes).map(Some),
        "file" => Ok(Some(decode_file(raw))),
        _ => Ok(Some(Part::new(PartKind::Other(keep(raw)), HERE))),
    }
}

fn decode_text(i: usize, j: usize, bytes: &[u8]) -> Result<Option<Part>, DecodeError> {
    let part: TextPart<'_> = read(bytes, format_args!("messages[{i}].content[{j}]"))?;
    let text = part.text.ok_or_else(|| missing(format!("messages[{i}].content[{j}].text")))?;
    Ok((!text.is_empty()).then(|| marked(PartKind::Text(text), part.cache_control)))
}

fn decode_image(i: usize, j: usize, bytes: &[u8]) -> Result<Part, DecodeError> {
    let part: ImagePart<'_> = read(bytes, format_args!("messages[{i}].content[{j}]"))?;
    let ImageUrl { url, detail } =
        part.image_url.ok_or_else(|| missing(format!("messages[{i}].content[{j}].image_url")))?;
    let path = || format!("messages[{i}].content[{j}].image_url.url");
    let url = url.ok_or_else(|| missing(path()))?.0;
    let source = match split_data_url(&url) {
        Some((media_type, data)) => {
            ImageSource::Base64 { media_type: media_type.to_owned(), data: data.to_owned() }
        }
        None if url.starts_with("data:") => {
            return Err(DecodeError::at(
                path(),
                format!("`{}` must be base64 when it is a data URL", path()),
            ));
        }
        None => ImageSource::Url(url.into_owned()),
    };
    Ok(marked(PartKind::Image { source, detail }, part.cache_control))
}

/// A file whose bytes are in the message. One that the vendor keeps stays as it is: only the vendor has it.
fn decode_file(raw: &RawValue) -> Part {
    let whole = Part::new(PartKind::Other(keep(raw)), HERE);
    let Ok(FilePart { file, cache_control, .. }) = serde_json::from_str::<FilePart<'_>>(raw.get()) else {
        return whole;
    };
    let Some((media_type, data)) = file.file_data.as_deref().and_then(split_data_url) else { return whole };
    let source = DocumentSource::Base64 { media_type: media_type.to_owned(), data: data.to_owned() };
    marked(PartKind::Document { source, name: file.filename }, cache_control)
}

fn marked(kind: PartKind, mark: Option<&RawValue>) -> Part {
    let mut part = Part::new(kind, HERE);
    part.cache = mark.map(|mark| CacheControl(keep(mark)));
    part
}
