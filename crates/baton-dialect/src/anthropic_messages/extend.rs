//! Adds tools and messages to a request that is passed on as it is.
//!
//! Roles alternate here, so the first added turn may have to join the client's last one: then that message is
//! taken apart into its members, and its blocks stay as they are.

use baton_model::{Message, PartKind, RawObject};
use bytes::Bytes;
use memchr::memmem;
use serde_json::value::RawValue;

use super::decode::decode_messages;
use super::reasoning::thinks_by_budget;
use super::repair::repair_request;
use super::tools::{PastTools, added_tools, past_tools};
use super::turns::{Conversation, Turn};
use super::types::TurnIn;
use crate::additions::{Edits, edited, entries, longer_list, set};
use crate::read::read;
use crate::{Additions, DecodeError};

pub(crate) fn extend_request<'b>(
    body: &'b RawObject,
    additions: &Additions<'b>,
) -> Result<Edits<'b>, DecodeError> {
    let mut edits = repair_request(body)?;
    if !additions.tools.is_empty() {
        let none = edited(&edits, body, "tools").is_none();
        let tools = edited(&edits, body, "tools");
        set(&mut edits, "tools", Some(longer_list(tools.as_deref(), &added_tools(additions.tools))));
        if none {
            // This is repaired away where there are no tools; now there are some.
            edits.retain(|(key, _)| *key != "tool_choice" || body.get(key).is_none());
        }
    }
    if !additions.messages.is_empty() {
        go_on(&mut edits, body, additions.messages)?;
    }
    if edited(&edits, body, "tools").is_none() {
        declare_past_tools(&mut edits, body, additions.messages)?;
    }
    Ok(edits)
}

fn go_on<'b>(edits: &mut Edits<'b>, body: &'b RawObject, messages: &'b [Message]) -> Result<(), DecodeError> {
    let given = edited(edits, body, "messages");
    let Conversation { system, turns, open_round } =
        Conversation::going_on(messages, given.as_deref().unwrap_or_default());
    if !system.is_empty() {
        let own = edited(edits, body, "system").map(|own| blocks(&own));
        set(edits, "system", Some(longer_list(own.as_deref(), &entries(&system))));
    }
    let Some((first, rest)) = turns.split_first() else { return Ok(()) };
    let list: Vec<&RawValue> = match &given {
        Some(given) => read(given, format_args!("messages"))?,
        None => Vec::new(),
    };
    let longer = match list.split_last().and_then(|(last, earlier)| Some((earlier, join(last, first)?))) {
        Some((earlier, joined)) => {
            let mut json = entries(&earlier);
            if !json.is_empty() {
                json.push(b',');
            }
            json.extend_from_slice(&joined);
            longer_list(Some(&longer_list(None, &json)), &entries(&rest))
        }
        None => longer_list(given.as_deref(), &entries(&turns)),
    };
    set(edits, "messages", Some(longer));
    if open_round && thinks_by_budget(body) {
        set(edits, "thinking", None);
    }
    Ok(())
}

/// The client's last message with the blocks of a turn behind its own, if both are of one speaker.
fn join(last: &RawValue, first: &Turn<'_>) -> Option<Vec<u8>> {
    let message: TurnIn<'_> = serde_json::from_str(last.get()).ok()?;
    if message.role?.0 != first.role() {
        return None;
    }
    let given = message.content.map(|content| blocks(content.get().as_bytes()));
    let content = longer_list(given.as_deref(), &entries(&first.content));
    let message = RawObject::parse(Bytes::copy_from_slice(last.get().as_bytes())).ok()?;
    Some(message.rewrite(&[("content", Some(content))]).concat())
}

/// Content as a list of blocks: text alone becomes one. The API refuses blank ones.
fn blocks(content: &[u8]) -> Bytes {
    let content = content.trim_ascii();
    if !content.starts_with(b"\"") {
        return Bytes::copy_from_slice(content);
    }
    let blank = serde_json::from_slice::<String>(content).is_ok_and(|text| text.trim().is_empty());
    if blank {
        return Bytes::from_static(b"[]");
    }
    Bytes::from([br#"[{"type":"text","text":"#, content, b"}]"].concat())
}

/// Where there are no tools but calls of some, the API wants the tools declared.
fn declare_past_tools(edits: &mut Edits<'_>, body: &RawObject, added: &[Message]) -> Result<(), DecodeError> {
    let is_call = |kind: &PartKind| matches!(kind, PartKind::ToolCall { .. });
    let adds_calls = added.iter().flat_map(|message| &message.parts).any(|part| is_call(&part.kind));
    let may_have_calls =
        body.get("messages").is_some_and(|messages| memmem::find(messages, b"\"tool_use\"").is_some());
    if !adds_calls && !may_have_calls {
        return Ok(());
    }
    let mut messages = decode_messages(body)?;
    messages.extend_from_slice(added);
    if let Some(PastTools { tools, choice }) = past_tools(&messages) {
        set(edits, "tools", Some(tools.into()));
        set(edits, "tool_choice", Some(choice.into()));
    }
    Ok(())
}
