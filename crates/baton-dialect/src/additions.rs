//! Adds tools, messages and settings to a request that is passed on in its own dialect.
//!
//! What the client sent keeps its bytes and its place: a prompt cache lives by its first byte. Additions stand
//! behind it, written by the same code that writes whole requests.

use baton_model::{Dialect, Message, RawJson, RawObject, Tool};
use bytes::Bytes;

use crate::{DecodeError, anthropic_messages, openai_chat, openai_responses};

/// What is added to a request.
#[derive(Clone, Copy, Debug, Default)]
pub struct Additions<'a> {
    /// Tools, to stand behind the client's own.
    pub tools: &'a [Tool],
    /// Messages, to stand behind the client's. In `anthropic_messages`, instructions among them stand behind the
    /// system prompt, and a first turn of the speaker who spoke last joins that message.
    pub messages: &'a [Message],
    /// Members that get another value, by their names in the client's dialect; `null` removes one.
    pub settings: &'a [(String, RawJson)],
    /// Which calls the target takes in a history.
    pub calls: CallTaste,
}

/// What a target of `openai_chat` makes of the calls in a history.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CallTaste {
    /// It takes them as they were sent.
    #[default]
    AsSent,
    /// It takes only what the format names, and ids of at most 40 bytes: what other makers put beside calls is left
    /// out, and longer ids are replaced.
    Plain,
}

/// The edits of a body.
pub(crate) type Edits<'a> = Vec<(&'a str, Option<Bytes>)>;

/// The edits that [`repair_request`](crate::repair_request) and these additions make to a body in its own dialect.
///
/// What the additions make impossible is mended as in [`encode_request`](crate::encode_request): calls without any
/// tools on offer get their tools declared, and Anthropic's thinking by budget ends where the last calls were made
/// without thinking.
///
/// # Errors
/// [`DecodeError`] when a member has a type that no upstream would take.
pub fn extend_request<'b>(
    dialect: Dialect,
    body: &'b RawObject,
    additions: &Additions<'b>,
) -> Result<Vec<(&'b str, Option<Bytes>)>, DecodeError> {
    let mut edits = match dialect {
        Dialect::OpenaiChat => openai_chat::extend_request(body, additions),
        Dialect::AnthropicMessages => anthropic_messages::extend_request(body, additions),
        Dialect::OpenaiResponses => openai_responses::extend_request(body, additions),
    }?;
    for (key, value) in additions.settings {
        let value = Some(value.get()).filter(|value| *value != "null");
        set(&mut edits, key, value.map(|value| Bytes::copy_from_slice(value.as_bytes())));
    }
    Ok(edits)
}

/// Puts an edit in the place of an earlier one of the same member.
pub(crate) fn set<'a>(edits: &mut Edits<'a>, key: &'a str, value: Option<Bytes>) {
    match edits.iter_mut().find(|(known, _)| *known == key) {
        Some(edit) => edit.1 = value,
        None => edits.push((key, value)),
    }
}

/// What a member will be when the edits are made.
pub(crate) fn edited(edits: &Edits<'_>, body: &RawObject, key: &str) -> Option<Bytes> {
    match edits.iter().find(|(known, _)| *known == key) {
        Some((_, value)) => value.clone(),
        None => body.get_bytes(key),
    }
}

/// Sets members that Baton adds to an answer.
pub(crate) fn push_extras<'a>(edits: &mut Edits<'a>, extras: &[(&'a str, RawJson)]) {
    for (key, value) in extras {
        set(edits, key, Some(Bytes::copy_from_slice(value.get().as_bytes())));
    }
}

/// A member that is an object, or an empty one.
pub(crate) fn object(of: &RawObject, key: &str) -> RawObject {
    let member = of.get_bytes(key).and_then(|member| RawObject::parse(member).ok());
    member.unwrap_or_else(RawObject::empty)
}

/// A JSON list with more entries, which are JSON already, behind its own. What is no list counts as empty.
pub(crate) fn longer_list(list: Option<&[u8]>, more: &[u8]) -> Bytes {
    let inner = list.and_then(|list| list.trim_ascii().strip_prefix(b"[")?.strip_suffix(b"]"));
    let inner = inner.map(<[u8]>::trim_ascii).unwrap_or_default();
    let mut longer = Vec::with_capacity(inner.len() + more.len() + 3);
    longer.push(b'[');
    longer.extend_from_slice(inner);
    if !inner.is_empty() && !more.is_empty() {
        longer.push(b',');
    }
    longer.extend_from_slice(more);
    longer.push(b']');
    longer.into()
}

/// A list's entries without its brackets, as JSON text.
pub(crate) fn entries(list: &impl serde::Serialize) -> Vec<u8> {
    let mut json = crate::convert::to_json(list);
    json.pop();
    if !json.is_empty() {
        json.remove(0);
    }
    json
}

#[cfg(test)]
mod tests;
