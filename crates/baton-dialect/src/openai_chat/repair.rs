//! Finds what must change in a request that is passed on as it is.
//!
//! Nearly every request needs nothing, so each check first searches the raw bytes for what could be
//! wrong, and parses only then.
//!
//! - Start with [`repair_request`].
//! - **Invariant:** what needs no change keeps its bytes.

use std::borrow::Cow;
use std::collections::HashSet;

use baton_model::RawObject;
use bytes::Bytes;
use memchr::memmem;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::encode::{USAGE_ONLY, with_usage};
use super::keywords::{mend_format, mend_tools};
use super::types::{ATTACHED, Text};
use super::{MAX_CALL_ID, UNKNOWN_TOOL};
use crate::convert::{ObjectWriter, hashed_id};
use crate::read::read;
use crate::{CallTaste, DecodeError, OWN_KEYS, StreamUsage};

type Edits<'a> = Vec<(&'a str, Option<Bytes>)>;

pub(crate) fn repair_request(body: &RawObject) -> Result<Edits<'_>, DecodeError> {
    repair_for(body, CallTaste::AsSent)
}

/// The same for a target with this taste.
pub(super) fn repair_for(body: &RawObject, calls: CallTaste) -> Result<Edits<'_>, DecodeError> {
    let mut edits: Edits<'_> = Vec::new();
    let no_tools = body.get("tools").is_none_or(is_empty_list);
    for member in body.members() {
        let gone = match member.key {
            "model" => false,
            key if OWN_KEYS.contains(&key) => false,
            _ if member.value == b"null" => true,
            "tools" | "functions" => is_empty_list(member.value),
            // OpenAI refuses these where there are no tools; a demand for a call is left to be refused.
            "tool_choice" => no_tools && matches!(member.value, b"\"auto\"" | b"\"none\""),
            "parallel_tool_calls" => no_tools,
            _ => false,
        };
        let mended = match member.key {
            "tools" | "functions" => mend_tools(member.value),
            "response_format" => mend_format(member.value),
            _ => None,
        };
        if gone {
            edits.push((member.key, None));
        } else if let Some(mended) = mended {
            edits.push((member.key, Some(mended.into())));
        }
    }
    if let Some(messages) = body.get("messages") {
        edits.extend(repair_messages(messages, calls)?.map(|fixed| ("messages", Some(Bytes::from(fixed)))));
    }
    Ok(edits)
}

fn is_empty_list(value: &[u8]) -> bool {
    matches!(value.trim_ascii(), [b'[', middle @ .., b']'] if middle.trim_ascii().is_empty())
}

fn repair_messages(value: &[u8], calls: CallTaste) -> Result<Option<Vec<u8>>, DecodeError> {
    match value.first() {
        Some(b'"') => {
            let mut fixed = br#"[{"role":"user","content":"#.to_vec();
            fixed.extend_from_slice(value);
            fixed.extend_from_slice(b"}]");
            return Ok(Some(fixed));
        }
        Some(b'[') => {}
        _ => return Err(DecodeError::at("messages", "`messages` must be a list of messages or a string")),
    }
    let may_be_wrong = memmem::find(value, b"\"tool_call_id\"").is_some()
        || memmem::find(value, b"null").is_some()
        || memmem::find(value, b"\"tool_calls\"").is_some()
        || calls == CallTaste::Plain && has_attached(value);
    if may_be_wrong { rewrite_messages(value, calls) } else { Ok(None) }
}

/// As much of a message as the repair looks at.
#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    role: Option<Text<'a>>,
    #[serde(borrow)]
    tool_call_id: Option<Text<'a>>,
    #[serde(borrow)]
    tool_calls: Option<Vec<Call<'a>>>,
}

#[derive(Deserialize)]
struct Call<'a> {
    #[serde(borrow)]
    id: Option<Text<'a>>,
}

fn rewrite_messages(value: &[u8], taste: CallTaste) -> Result<Option<Vec<u8>>, DecodeError> {
    let list: Vec<&RawValue> = read(value, format_args!("messages"))?;
    let mut calls: HashSet<Cow<'_, str>> = HashSet::new();
    let mut fixed = Vec::with_capacity(list.len() + 1);
    let mut changed = false;
    for (i, raw) in list.iter().enumerate() {
        let message: Message<'_> = read(raw.get().as_bytes(), format_args!("messages[{i}]"))?;
        let too_long = |id: &Option<Text<'_>>| id.as_ref().is_some_and(|id| id.0.len() > MAX_CALL_ID);
        let is_plain = taste == CallTaste::AsSent
            || !has_attached(raw.get().as_bytes())
                && !too_long(&message.tool_call_id)
                && !message.tool_calls.iter().flatten().any(|call| too_long(&call.id));
        let may_have_nulls = message.tool_calls.as_ref().is_some_and(Vec::is_empty)
            || memmem::find(raw.get().as_bytes(), b"null").is_some();
        let ids = message.tool_calls.into_iter().flatten().filter_map(|call| call.id);
        calls.extend(ids.map(|id| id.0));
        let is_result = message.role.is_some_and(|role| role.0 == "tool");
        if let Some(Text(id)) = message.tool_call_id.filter(|_| is_result)
            && !calls.contains(&id)
        {
            let shown = if taste == CallTaste::Plain { short(&id) } else { Cow::Borrowed(id.as_ref()) };
            fixed.push(Cow::Owned(missing_call(&shown)));
            calls.insert(id);
            changed = true;
        }
        let slim = if may_have_nulls { without_nulls(raw) } else { None };
        let slim = slim.map_or(Cow::Borrowed(raw.get().as_bytes()), Cow::Owned);
        let slim = if is_plain { slim } else { plain(&slim).map_or(slim, Cow::Owned) };
        changed |= matches!(slim, Cow::Owned(_));
        fixed.push(slim);
    }
    Ok(changed.then(|| join(&fixed)))
}

fn join(messages: &[Cow<'_, [u8]>]) -> Vec<u8> {
    let mut out = b"[".to_vec();
    out.extend_from_slice(&messages.join(&b','));
    out.push(b']');
    out
}

fn missing_call(id: &str) -> Vec<u8> {
    let mut function = ObjectWriter::new();
    function.member("name", UNKNOWN_TOOL);
    function.member("arguments", "{}");
    let mut call = ObjectWriter::new();
    call.member("id", id);
    call.member("type", "function");
    call.raw_member("function", &function.finish());
    let mut calls = b"[".to_vec();
    calls.extend_from_slice(&call.finish());
    calls.push(b']');
    let mut message = ObjectWriter::new();
    message.member("role", "assistant");
    message.raw_member("content", b"null");
    message.raw_member("tool_calls", &calls);
    message.finish()
}

/// The message without members that are `null` and without an empty `tool_calls`; content may be
/// `null`. `None` when there are none of these.
fn without_nulls(raw: &RawValue) -> Option<Vec<u8>> {
    let message = RawObject::parse(Bytes::copy_from_slice(raw.get().as_bytes())).ok()?;
    let gone = message.members().filter(|member| match member.key {
        "content" => false,
        "tool_calls" => member.value == b"null" || is_empty_list(member.value),
        _ => member.value == b"null",
    });
    let edits: Edits<'_> = gone.map(|member| (member.key, None)).collect();
    (!edits.is_empty()).then(|| message.rewrite(&edits).concat())
}

/// Whether something may be put beside a call, or beside what was said, that only its maker reads.
fn has_attached(json: &[u8]) -> bool {
    ATTACHED.into_iter().any(|key| memmem::find(json, key.as_bytes()).is_some())
}

/// The id, or one made from it that is short enough: the same for a call and its result.
fn short(id: &str) -> Cow<'_, str> {
    if id.len() <= MAX_CALL_ID { Cow::Borrowed(id) } else { Cow::Owned(hashed_id(id, "call_")) }
}

/// The message as the format has it: without what makers put beside it and its calls, and with short ids.
fn plain(message: &[u8]) -> Option<Vec<u8>> {
    let message = RawObject::parse(Bytes::copy_from_slice(message)).ok()?;
    let mut edits = without_attached(&message);
    edits.extend(short_member(&message, "tool_call_id"));
    if let Ok(Some(calls)) = message.read::<Vec<&RawValue>>("tool_calls") {
        let calls: Vec<Cow<'_, [u8]>> = calls
            .into_iter()
            .map(|raw| {
                let call = RawObject::parse(Bytes::copy_from_slice(raw.get().as_bytes())).ok();
                let plain = call.map(|call| {
                    let mut edits = without_attached(&call);
                    edits.extend(short_member(&call, "id"));
                    call.rewrite(&edits).concat()
                });
                plain.map_or(Cow::Borrowed(raw.get().as_bytes()), Cow::Owned)
            })
            .collect();
        edits.push(("tool_calls", Some(join(&calls).into())));
    }
    Some(message.rewrite(&edits).concat())
}

fn without_attached(of: &RawObject) -> Edits<'static> {
    ATTACHED
        .into_iter()
        .filter(|key| of.members().any(|member| member.key == *key))
        .map(|key| (key, None))
        .collect()
}

fn short_member(of: &RawObject, key: &'static str) -> Option<(&'static str, Option<Bytes>)> {
    let id: String = of.read(key).ok()??;
    (id.len() > MAX_CALL_ID).then(|| (key, Some(crate::convert::to_json(&short(&id)).into())))
}

/// What the client asked for, and the change that makes every streaming upstream tell usage.
pub(crate) fn stream_usage(body: &RawObject) -> StreamUsage {
    #[derive(Deserialize)]
    struct Options {
        include_usage: Option<bool>,
    }
    if body.get("stream") != Some(b"true") {
        return StreamUsage { client_asked: false, edit: None };
    }
    let asked = matches!(body.read("stream_options"), Ok(Some(Options { include_usage: Some(true) })));
    let edit = (!asked).then(|| {
        let options = body.read("stream_options").ok().flatten();
        options.map_or_else(|| Bytes::from_static(USAGE_ONLY), |options| Bytes::from(with_usage(&options)))
    });
    StreamUsage { client_asked: asked, edit: edit.map(|options| ("stream_options", options)) }
}
