//! Puts another model name into an answer that is passed on as it is.
//!
//! A client that names several models is told which one answered; everything else stays byte for
//! byte.

use baton_model::{Dialect, RawObject};
use bytes::Bytes;

/// A whole answer with this model name. A body without one stays as it is.
#[must_use]
pub fn rename_answer(dialect: Dialect, body: &Bytes, model: &str) -> Option<Bytes> {
    match dialect {
        Dialect::OpenaiChat | Dialect::AnthropicMessages | Dialect::OpenaiResponses => rename(body, model),
    }
}

/// One stream event's data with this model name, or nothing where the event names none.
#[must_use]
pub fn rename_event(dialect: Dialect, data: &Bytes, model: &str) -> Option<Bytes> {
    match dialect {
        Dialect::OpenaiChat => rename(data, model),
        Dialect::AnthropicMessages => rename_inner(data, "message", model),
        Dialect::OpenaiResponses => rename_inner(data, "response", model),
    }
}

fn rename_inner(data: &Bytes, key: &str, model: &str) -> Option<Bytes> {
    let event = RawObject::parse(data.clone()).ok()?;
    let named = rename(&event.get_bytes(key)?, model)?;
    Some(event.rewritten(&[(key, Some(named))]).into())
}

fn rename(body: &Bytes, model: &str) -> Option<Bytes> {
    let object = RawObject::parse(body.clone()).ok()?;
    object.get("model")?;
    let name = serde_json::to_vec(model).ok()?;
    Some(object.rewritten(&[("model", Some(name.into()))]).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_model_changes() {
        let chunk = Bytes::from_static(br#"{"id": "x","model":"gpt","choices":[ ]}"#);
        let renamed = rename_event(Dialect::OpenaiChat, &chunk, "openai/gpt").unwrap();
        assert_eq!(renamed, br#"{"id": "x","model":"openai/gpt","choices":[ ]}"#.as_slice());
    }

    #[test]
    fn a_message_names_its_model_one_level_down() {
        let start = Bytes::from_static(br#"{"type":"message_start","message":{"model":"c","id":"m"}}"#);
        let renamed = rename_event(Dialect::AnthropicMessages, &start, "anthropic/c").unwrap();
        assert_eq!(
            renamed,
            br#"{"type":"message_start","message":{"model":"anthropic/c","id":"m"}}"#.as_slice()
        );
        assert_eq!(
            rename_event(Dialect::AnthropicMessages, &Bytes::from_static(br#"{"type":"ping"}"#), "c"),
            None
        );
        let created = Bytes::from_static(br#"{"type":"response.created","response":{"id":"r","model":"g"}}"#);
        assert_eq!(
            rename_event(Dialect::OpenaiResponses, &created, "openai/g").unwrap(),
            br#"{"type":"response.created","response":{"id":"r","model":"openai/g"}}"#.as_slice()
        );
    }
}
