//! Changes a request as a matching rule says: settings, and a message in front or behind.

use baton_model::{Dialect, JsonError, RawJson, RawObject};
use baton_policy::Actions;
use bytes::Bytes;
use serde_json::{Value, json};

use crate::Ask;
use crate::features::list_name;

/// The request as the rule wants it, with what of the rule the client's dialect has no word for;
/// `None` where the rule changes nothing.
///
/// # Errors
/// When the body, changed, is no request any more.
pub(crate) fn changed(ask: &Ask, actions: &Actions) -> Result<Option<(Ask, Vec<String>)>, JsonError> {
    if actions.set.is_empty() && actions.prepend.is_none() && actions.append.is_none() {
        return Ok(None);
    }
    let mut edits: Vec<(&str, Option<Bytes>)> = Vec::new();
    let mut wordless = Vec::new();
    for (key, value) in &actions.set {
        match word(ask, key) {
            Some("stop_sequences") => edits.push(("stop_sequences", Some(list(value).to_string().into()))),
            Some(word) => edits.push((word, Some(value.to_string().into()))),
            None => wordless.push(format!("rule.set.{key}")),
        }
    }
    let list = list_name(ask.dialect);
    let mut messages = ask.body.get(list).unwrap_or(b"[]").to_vec();
    if messages.first() == Some(&b'"') {
        messages = [b"[{\"role\":\"user\",\"content\":", messages.as_slice(), b"}]"].concat();
    }
    if let Some(text) = &actions.prepend {
        match ask.dialect {
            Dialect::OpenaiChat | Dialect::OpenaiResponses => messages = in_front(&messages, &system(text)),
            Dialect::AnthropicMessages => {
                let now: Option<Value> = ask.body.read("system")?;
                edits.push(("system", Some(instructions(text, now).to_string().into())));
            }
        }
    }
    if let Some(text) = &actions.append {
        messages = match ask.dialect {
            Dialect::OpenaiChat | Dialect::OpenaiResponses => behind(&messages, &system(text)),
            Dialect::AnthropicMessages => said_last(&messages, text),
        };
    }
    if ask.body.get(list) != Some(messages.as_slice()) {
        edits.push((list, Some(messages.into())));
    }
    let body = RawObject::parse(ask.body.rewrite(&edits).concat().into())?;
    Ok(Some((Ask { body, ..ask.clone() }, wordless)))
}

/// A setting's name in the request's dialect.
pub(crate) fn word<'k>(ask: &Ask, key: &'k str) -> Option<&'k str> {
    match (ask.dialect, key) {
        // One limit under two names, of which a request may have one.
        (Dialect::OpenaiChat, "max_tokens") if ask.body.get("max_completion_tokens").is_some() => {
            Some("max_completion_tokens")
        }
        (Dialect::OpenaiChat, "max_completion_tokens") if ask.body.get("max_tokens").is_some() => {
            Some("max_tokens")
        }
        (Dialect::OpenaiChat, key) => Some(key),
        (Dialect::AnthropicMessages, "stop") => Some("stop_sequences"),
        (Dialect::AnthropicMessages, "max_completion_tokens" | "max_tokens") => Some("max_tokens"),
        (Dialect::AnthropicMessages, "temperature" | "top_p" | "top_k" | "service_tier") => Some(key),
        (Dialect::AnthropicMessages, _) => None,
        (Dialect::OpenaiResponses, "max_completion_tokens" | "max_tokens" | "max_output_tokens") => {
            Some("max_output_tokens")
        }
        (
            Dialect::OpenaiResponses,
            "temperature" | "top_p" | "service_tier" | "prompt_cache_key" | "metadata",
        ) => Some(key),
        (Dialect::OpenaiResponses, _) => None,
    }
}

/// One text or several, as the list that Anthropic asks for.
fn list(value: &Value) -> Value {
    if value.is_array() { value.clone() } else { json!([value]) }
}

/// The user says one thing more. Turns alternate, so it goes into the user's last one if that is the last.
fn said_last(messages: &[u8], text: &str) -> Vec<u8> {
    let block = json!({ "type": "text", "text": text });
    let more = || {
        let mut all: Vec<RawJson> = serde_json::from_slice(messages).ok()?;
        let mut last: Value = all.last()?.read().ok()?;
        if last.get("role")? != "user" {
            return None;
        }
        let content = last.get_mut("content")?;
        match content {
            Value::String(said) => *content = json!([{ "type": "text", "text": said }, block]),
            Value::Array(blocks) => blocks.push(block.clone()),
            _ => return None,
        }
        *all.last_mut()? = RawJson::of(&last).ok()?;
        serde_json::to_vec(&all).ok()
    };
    more().unwrap_or_else(|| behind(messages, &json!({ "role": "user", "content": text })))
}

fn system(text: &str) -> Value {
    json!({ "role": "system", "content": text })
}

/// Instructions in front of those that are there, in the form that is there.
fn instructions(text: &str, now: Option<Value>) -> Value {
    match now {
        Some(Value::Array(mut blocks)) => {
            blocks.insert(0, json!({ "type": "text", "text": text }));
            Value::Array(blocks)
        }
        Some(Value::String(now)) => Value::String(format!("{text}\n\n{now}")),
        _ => Value::String(text.to_owned()),
    }
}

fn in_front(list: &[u8], item: &Value) -> Vec<u8> {
    let rest = list.trim_ascii_start().strip_prefix(b"[").unwrap_or(b"]");
    let comma: &[u8] = if rest.trim_ascii_start().starts_with(b"]") { b"" } else { b"," };
    [b"[", item.to_string().as_bytes(), comma, rest].concat()
}

fn behind(list: &[u8], item: &Value) -> Vec<u8> {
    let before = list.trim_ascii_end().strip_suffix(b"]").unwrap_or(b"[");
    let comma: &[u8] = if before.trim_ascii_end().ends_with(b"[") { b"" } else { b"," };
    [before, comma, item.to_string().as_bytes(), b"]"].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_go_in_front_and_behind() {
        let item = json!({ "a": 1 });
        assert_eq!(in_front(b" [ {} ]", &item), b"[{\"a\":1}, {} ]");
        assert_eq!(in_front(b"[ ]", &item), b"[{\"a\":1} ]");
        assert_eq!(behind(b"[ {} ] ", &item), b"[ {} ,{\"a\":1}]");
        assert_eq!(behind(b"[]", &item), b"[{\"a\":1}]");
    }

    #[test]
    fn what_is_said_last_goes_into_the_users_last_turn() {
        let check = |messages: &str, expected: Value| {
            let said: Value = serde_json::from_slice(&said_last(messages.as_bytes(), "b")).unwrap();
            assert_eq!(said, expected, "{messages}");
        };
        let (a, b) = (json!({ "type": "text", "text": "a" }), json!({ "type": "text", "text": "b" }));
        check(r#"[{"role":"user","content":"a"}]"#, json!([{ "role": "user", "content": [a, b] }]));
        check(
            r#"[{"role":"user","content":[{"type":"text","text":"a"}]}]"#,
            json!([{ "role": "user", "content": [a, b] }]),
        );
        check(
            r#"[{"role":"assistant","content":"a"}]"#,
            json!([{ "role": "assistant", "content": "a" }, { "role": "user", "content": "b" }]),
        );
        check("[]", json!([{ "role": "user", "content": "b" }]));
    }

    #[test]
    fn instructions_keep_the_form_that_is_there() {
        assert_eq!(instructions("a", Some(json!("b"))), json!("a\n\nb"));
        assert_eq!(
            instructions("a", Some(json!([{ "type": "text", "text": "b" }]))),
            json!([{ "type": "text", "text": "a" }, { "type": "text", "text": "b" }])
        );
        assert_eq!(instructions("a", None), json!("a"));
    }
}
