//! Says what must change in a body that is passed on, so that OpenAI takes it.
//!
//! Nearly every request needs nothing: the search for what might is over bytes, and only a find is parsed.
//!
//! - Start with [`repair_request`].
//! - **Invariant:** what needs no change keeps its bytes.

use baton_model::RawObject;
use bytes::Bytes;
use memchr::memmem;
use serde_json::value::RawValue;

use super::seal::{FOREIGN_ID, Seal};
use super::types::{ReasoningItem, Tag};
use crate::additions::{Edits, edited, set};
use crate::convert::to_json;
use crate::openai::{mend_text, mend_tools};
use crate::read::read;
use crate::{DecodeError, OWN_KEYS};

/// Removes `null` members, choices among no tools, and other vendors' thinking, which this client got in an earlier
/// turn and OpenAI does not know. Mends keywords of schemas.
pub(crate) fn repair_request(body: &RawObject) -> Result<Edits<'_>, DecodeError> {
    let input = body.get("input").unwrap_or(b"[]");
    if !input.starts_with(b"[") && !input.starts_with(b"\"") {
        return Err(DecodeError::at("input", "`input` must be a string or a list of items"));
    }
    let mut edits: Edits<'_> = Vec::new();
    let no_tools = body.get("tools").is_none_or(is_empty_list);
    for member in body.members() {
        let gone = match member.key {
            "model" => false,
            key if OWN_KEYS.contains(&key) => false,
            _ if member.value == b"null" => true,
            // A demand for a call is left to be refused.
            "tool_choice" => no_tools && matches!(member.value, b"\"auto\"" | b"\"none\""),
            _ => false,
        };
        let mended = match member.key {
            "tools" => mend_tools(member.value),
            "text" => mend_text(member.value),
            _ => None,
        };
        if gone {
            edits.push((member.key, None));
        } else if let Some(mended) = mended {
            edits.push((member.key, Some(mended.into())));
        }
    }
    if memmem::find(input, FOREIGN_ID.as_bytes()).is_some() {
        edits.extend(without_foreign_thinking(input)?.map(|input| ("input", Some(input))));
    }
    Ok(edits)
}

/// The list of items, to which more may be added: a text alone becomes one.
pub(super) fn item_list(edits: &mut Edits<'_>, body: &RawObject) -> Bytes {
    let input = edited(edits, body, "input").unwrap_or_else(|| Bytes::from_static(b"[]"));
    if !input.starts_with(b"\"") {
        return input;
    }
    let list = [br#"[{"role":"user","content":"#.as_slice(), &input, b"}]"].concat();
    set(edits, "input", Some(Bytes::from(list.clone())));
    list.into()
}

fn is_empty_list(value: &[u8]) -> bool {
    let inner = value.strip_prefix(b"[").and_then(|rest| rest.strip_suffix(b"]"));
    inner.is_some_and(|inner| inner.trim_ascii().is_empty())
}

fn without_foreign_thinking(input: &[u8]) -> Result<Option<Bytes>, DecodeError> {
    if !input.starts_with(b"[") {
        return Ok(None);
    }
    let mut items: Vec<&RawValue> = read(input, format_args!("input"))?;
    let all = items.len();
    items.retain(|item| !is_foreign_thinking(item));
    Ok((items.len() < all).then(|| to_json(&items).into()))
}

fn is_foreign_thinking(item: &RawValue) -> bool {
    let tag: Result<Tag<'_>, _> = serde_json::from_str(item.get());
    if !tag.is_ok_and(|tag| tag.kind.is_some_and(|kind| kind.0 == "reasoning")) {
        return false;
    }
    let Ok(item) = serde_json::from_str::<ReasoningItem<'_>>(item.get()) else { return false };
    let sealed = item.encrypted_content.as_ref().map(|encrypted| Seal::of(&encrypted.0));
    item.id.is_some_and(|id| id.0.starts_with(FOREIGN_ID))
        || sealed.is_some_and(|seal| !matches!(seal, Seal::Own(_)))
}
