//! Says what a provider of the chat dialect does not take, and the edits that help.
//!
//! Only what has one faithful equivalent is changed. Everything else goes out as the client sent
//! it, and the provider's own error says what it does not know.

use baton_dialect::CallTaste;
use baton_model::{JsonError, RawObject};
use bytes::Bytes;
use serde_json::value::RawValue;

/// What a provider does not take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is about a member of its own")]
pub struct Quirks {
    /// Whether it takes `stream_options`. One that does not tells usage unasked.
    pub stream_options: bool,
    /// Whether it knows messages of the role `developer`.
    pub developer_role: bool,
    /// Whether it knows `max_completion_tokens` beside `max_tokens`.
    pub max_completion_tokens: bool,
    /// Which calls it takes in a history. The edits for one that does not take all are the dialect's.
    pub calls: CallTaste,
    /// Whether it takes the members that OpenAI's two APIs have in common, as OpenAI itself does.
    pub shared_members: bool,
    /// The output limit to send where the dialect demands one and the client gave none.
    pub default_max_tokens: u64,
}

impl Quirks {
    /// Takes everything.
    pub const NONE: Self = Self {
        stream_options: true,
        developer_role: true,
        max_completion_tokens: true,
        calls: CallTaste::AsSent,
        shared_members: false,
        default_max_tokens: 4096,
    };

    /// Whether [`Self::edits`] can ever have something to change.
    #[must_use]
    pub const fn is_none(&self) -> bool {
        self.stream_options && self.developer_role && self.max_completion_tokens
    }

    /// The edits that turn a chat body into one that this provider takes; empty for nearly every
    /// body. They are for [`RawObject::rewrite`].
    ///
    /// # Errors
    /// [`JsonError`] when `messages` is no list of objects.
    pub fn edits(&self, body: &RawObject) -> Result<Vec<(&'static str, Option<Bytes>)>, JsonError> {
        let mut edits = Vec::new();
        if !self.stream_options && body.get("stream_options").is_some() {
            edits.push(("stream_options", None));
        }
        if !self.max_completion_tokens
            && let Some(limit) = body.get_bytes("max_completion_tokens")
        {
            edits.push(("max_completion_tokens", None));
            edits.push(("max_tokens", Some(limit)));
        }
        if !self.developer_role
            && let Some(messages) = without_developer(body)?
        {
            edits.push(("messages", Some(messages)));
        }
        Ok(edits)
    }
}

/// `messages` with every developer turned into a system message; `None` when there is none.
fn without_developer(body: &RawObject) -> Result<Option<Bytes>, JsonError> {
    let mentions =
        |messages: &[u8]| std::str::from_utf8(messages).is_ok_and(|text| text.contains("developer"));
    if !body.get("messages").is_some_and(mentions) {
        return Ok(None);
    }
    let messages: Vec<&RawValue> = body.read("messages")?.unwrap_or_default();
    let mut changed = false;
    let mut out = vec![b'['];
    for (at, raw) in messages.into_iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        let message = RawObject::parse(Bytes::copy_from_slice(raw.get().as_bytes()))?;
        if message.get("role") == Some(b"\"developer\"") {
            changed = true;
            let role = Bytes::from_static(b"\"system\"");
            message.rewrite(&[("role", Some(role))]).iter().for_each(|slice| out.extend_from_slice(slice));
        } else {
            out.extend_from_slice(raw.get().as_bytes());
        }
    }
    out.push(b']');
    Ok(changed.then(|| out.into()))
}

#[cfg(test)]
mod tests;
