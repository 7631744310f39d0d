//! Reads the error bodies of OpenAI and of what is compatible with it, and writes our own.
//!
//! Nobody agrees on codes, so a fault gets its kind from the code, else from phrases that known
//! servers use, else from the status.
//!
//! - Start with [`decode_error`].
//! - **Invariant:** a message is at most 500 characters and holds nothing that looks like a key.

mod classify;

use baton_model::{Fault, FaultKind};
use serde_json::Value;

use crate::ErrorBody;
use crate::convert::{ObjectWriter, to_json};
use classify::{Clues, classify};

/// Longer messages are cut.
const MAX_MESSAGE: usize = 500;

pub(crate) fn decode_error(status: u16, body: &[u8]) -> Fault {
    fault(Some(status), body)
}

/// The fault behind an error frame, or behind an error body that came with a 200.
pub(crate) fn error_in_answer(body: &[u8]) -> Fault {
    fault(None, body)
}

/// Whether this is vLLM's form of an error, which has no `error` member.
pub(crate) fn is_bare_error(body: &[u8]) -> bool {
    serde_json::from_slice::<Value>(body)
        .is_ok_and(|value| value.get("object").and_then(Value::as_str) == Some("error"))
}

fn fault(status: Option<u16>, body: &[u8]) -> Fault {
    let found = Found::read(body, status);
    let clues = Clues {
        // OpenRouter says the status in the code, also where the body came with a 200.
        status: status.or_else(|| found.code.as_deref()?.parse().ok()),
        code: found.code.as_deref().unwrap_or_default(),
        kind: found.kind.as_deref().unwrap_or_default(),
        message: &found.message,
    };
    let kind = classify(&clues);
    let message = if kind == FaultKind::Unauthorized { hide_keys(&found.message) } else { found.message };
    Fault {
        kind,
        status,
        message: message.chars().take(MAX_MESSAGE).collect(),
        code: found.code.or(found.kind),
        param: found.param,
        retry_after: None,
    }
}

/// What an error body says.
#[derive(Default)]
struct Found {
    message: String,
    kind: Option<String>,
    code: Option<String>,
    param: Option<String>,
}

impl Found {
    fn read(body: &[u8], status: Option<u16>) -> Self {
        let body = body.trim_ascii();
        let from = status.map_or_else(
            || "the provider sent".to_owned(),
            |status| format!("the provider answered {status} with"),
        );
        let bare = |message: String| Self { message, ..Self::default() };
        if body.is_empty() {
            return bare(format!("{from} an empty body"));
        }
        if body.starts_with(b"<") {
            return bare(format!("{from} an HTML page"));
        }
        let Ok(value) = serde_json::from_slice::<Value>(body) else {
            return bare(String::from_utf8_lossy(body).into_owned());
        };
        // Gemini's compatible endpoint wraps its error in a list.
        let value = match value {
            Value::Array(mut list) if !list.is_empty() => list.swap_remove(0),
            value => value,
        };
        let mut found = Self::of(&value);
        if found.message.is_empty() {
            found.message = format!("{from} an error without a message");
        }
        found
    }

    fn of(value: &Value) -> Self {
        let error = match value.get("error") {
            // Ollama: `{"error": "model 'x' not found"}`.
            Some(Value::String(message)) => return Self { message: message.clone(), ..Self::default() },
            Some(error @ Value::Object(_)) => error,
            _ => value,
        };
        let message = ["message", "detail", "msg"].iter().find_map(|key| error.get(key).and_then(text));
        let raw = error.pointer("/metadata/raw").and_then(text);
        let message = match (message, raw) {
            // OpenRouter's own message says no more than that the provider failed.
            (Some(message), Some(raw)) if message == "Provider returned error" => format!("{message}: {raw}"),
            (message, _) => message.unwrap_or_default(),
        };
        Self {
            message,
            kind: error.get("type").and_then(text),
            code: error.get("code").and_then(text),
            param: error.get("param").and_then(text),
        }
    }
}

/// A member as text: numbers are codes too, and the `detail` of `FastAPI` is a list.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()).filter(|text| !text.is_empty()),
        value => Some(value.to_string()),
    }
}

/// OpenAI quotes the key that it refuses, most of it masked. None of it is for our logs.
fn hide_keys(message: &str) -> String {
    let hidden = |word: &str| {
        let plain = word.trim_matches(|found: char| !found.is_ascii_alphanumeric());
        let key_like = plain.len() >= 16 && !plain.contains("://") && !plain.contains(['/', '.']);
        if key_like && plain.chars().any(|found| found.is_ascii_digit() || found == '*') {
            word.replace(plain, "[key]")
        } else {
            word.to_owned()
        }
    };
    message.split(' ').map(hidden).collect::<Vec<_>>().join(" ")
}

/// The error object, and its members again at the top: some SDKs look there only.
pub(crate) fn encode_error(error: &ErrorBody<'_>) -> Vec<u8> {
    let mut inner = ObjectWriter::new();
    members(&mut inner, error);
    let mut body = ObjectWriter::new();
    body.raw_member("error", &inner.finish());
    members(&mut body, error);
    body.finish()
}

fn members(object: &mut ObjectWriter, error: &ErrorBody<'_>) {
    object.member("message", error.message);
    object.member("type", error.kind);
    object.raw_member("param", &to_json(&error.param));
    object.raw_member("code", &to_json(&error.code));
}
