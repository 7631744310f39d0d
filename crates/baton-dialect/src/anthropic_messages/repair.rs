//! Says what must change in a body that is passed on, so that a strict Messages server takes it.
//!
//! Most bodies need nothing: the search for what might is over bytes, and only a find is parsed.

use baton_model::RawObject;
use bytes::Bytes;
use memchr::memmem;
use serde_json::value::RawValue;

use super::types::{BlockIn, TurnIn};
use crate::DecodeError;
use crate::convert::to_json;

/// Removes `null` members, empty tool lists, and thinking without a signature: another vendor's
/// thinking, which this client got in an earlier turn and Anthropic refuses.
pub(crate) fn repair_request(body: &RawObject) -> Result<Vec<(&str, Option<Bytes>)>, DecodeError> {
    for key in ["messages", "tools"] {
        if body.get(key).is_some_and(|value| !value.starts_with(b"[")) {
            return Err(DecodeError::at(key, format!("`{key}` must be a list")));
        }
    }
    let no_tools = body.get("tools").is_some_and(is_empty_list);
    let mut edits: Vec<(&str, Option<Bytes>)> = body
        .members()
        .filter(|member| {
            // A choice among no tools is refused as well.
            member.value == b"null" || (no_tools && matches!(member.key, "tools" | "tool_choice"))
        })
        .map(|member| (member.key, None))
        .collect();
    let messages = body.get("messages").filter(|messages| has_empty_signature(messages));
    edits.extend(messages.and_then(without_unsigned_thinking).map(|messages| ("messages", Some(messages))));
    Ok(edits)
}

fn is_empty_list(value: &[u8]) -> bool {
    let inner = value.strip_prefix(b"[").and_then(|rest| rest.strip_suffix(b"]"));
    inner.is_some_and(|inner| inner.trim_ascii().is_empty())
}

/// Whether an empty signature stands somewhere, in one of the two ways in which JSON is written. In a
/// text its quotes would be escaped.
fn has_empty_signature(json: &[u8]) -> bool {
    let marks: [&[u8]; 2] = [b"\"signature\":\"\"", b"\"signature\": \"\""];
    marks.iter().any(|mark| memmem::find(json, mark).is_some())
}

/// The messages without such blocks, and without messages that had nothing else. `None` when they
/// cannot be read: then the server says what is wrong with them.
fn without_unsigned_thinking(messages: &[u8]) -> Option<Bytes> {
    let messages: Vec<&RawValue> = serde_json::from_slice(messages).ok()?;
    let mut kept = Vec::with_capacity(messages.len());
    for message in messages {
        let turn: TurnIn<'_> = serde_json::from_str(message.get()).ok()?;
        let Some(content) = turn.content.filter(|content| has_empty_signature(content.get().as_bytes()))
        else {
            kept.push(message.get().to_owned());
            continue;
        };
        let mut blocks: Vec<&RawValue> = serde_json::from_str(content.get()).ok()?;
        blocks.retain(|block| !is_unsigned_thinking(block));
        if !blocks.is_empty() {
            let object = RawObject::parse(Bytes::from(message.get().to_owned())).ok()?;
            let rewritten = object.rewrite(&[("content", Some(to_json(&blocks).into()))]).concat();
            kept.push(String::from_utf8(rewritten).ok()?);
        }
    }
    Some(format!("[{}]", kept.join(",")).into())
}

fn is_unsigned_thinking(block: &RawValue) -> bool {
    let Ok(block) = serde_json::from_str::<BlockIn<'_>>(block.get()) else { return false };
    block.r#type.is_some_and(|kind| kind.0 == "thinking")
        && block.signature.is_some_and(|value| value.get() == "\"\"")
}
