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

/// A whole response with this id.
#[must_use]
pub fn response_with_id(body: &Bytes, id: &str) -> Option<Bytes> {
    with_text(body, "id", id)
}

/// The data of one event of a stream of a response with this id, or nothing where the event does not have it.
#[must_use]
pub fn response_event_with_id(event: &str, data: &Bytes, id: &str) -> Option<Bytes> {
    // `response.created` has the response in it, `response.output_text.delta` only its items.
    if event.strip_prefix("response.")?.contains('.') {
        return None;
    }
    let outer = RawObject::parse(data.clone()).ok()?;
    let named = with_text(&outer.get_bytes("response")?, "id", id)?;
    Some(outer.rewritten(&[("response", Some(named))]).into())
}

fn rename_inner(data: &Bytes, key: &str, model: &str) -> Option<Bytes> {
    let event = RawObject::parse(data.clone()).ok()?;
    let named = rename(&event.get_bytes(key)?, model)?;
    Some(event.rewritten(&[(key, Some(named))]).into())
}

fn rename(body: &Bytes, model: &str) -> Option<Bytes> {
    with_text(body, "model", model)
}

/// An object with another text in a member that it has.
fn with_text(body: &Bytes, key: &str, text: &str) -> Option<Bytes> {
    let object = RawObject::parse(body.clone()).ok()?;
    object.get(key)?;
    let text = serde_json::to_vec(text).ok()?;
    Some(object.rewritten(&[(key, Some(text.into()))]).into())
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
    fn a_response_has_its_id_where_it_stands_whole() {
        let created = Bytes::from_static(br#"{"type":"response.created","response":{"model":"g","id":"r"}}"#);
        let with_id = response_event_with_id("response.created", &created, "resp_1").unwrap();
        assert_eq!(
            with_id,
            br#"{"type":"response.created","response":{"model":"g","id":"resp_1"}}"#.as_slice()
        );
        let delta = Bytes::from_static(br#"{"type":"response.output_text.delta","item_id":"r"}"#);
        assert_eq!(response_event_with_id("response.output_text.delta", &delta, "resp_1"), None);
        assert_eq!(response_event_with_id("error", &created, "resp_1"), None);
        let whole = Bytes::from_static(br#"{"id": "r","x": 1.0}"#);
        assert_eq!(response_with_id(&whole, "resp_1").unwrap(), br#"{"id": "resp_1","x": 1.0}"#.as_slice());
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
