//! Names that a target does not take go there under others, and come back as they were.

use baton_model::{Delta, FinishReason, Part, RawObject};
use serde_json::{Value, json};

use super::*;
use crate::decode_request;

/// A request that offers a tool of this name, has called it before, and demands it.
fn request(dialect: Dialect, name: &str) -> Request {
    let body = match dialect {
        Dialect::OpenaiChat | Dialect::OpenaiResponses => json!({
            "model": "m", "tools": [{"type": "function", "function": {"name": name}}],
            "tool_choice": {"type": "function", "function": {"name": name}},
            "messages": [
                {"role": "user", "content": "hi"},
                {"role": "assistant", "tool_calls": [{"id": "c", "type": "function", "function": {"name": name, "arguments": "{}"}}]},
                {"role": "tool", "tool_call_id": "c", "content": "r"},
            ],
        }),
        Dialect::AnthropicMessages => json!({
            "model": "m", "max_tokens": 9, "tools": [{"name": name, "input_schema": {"type": "object"}}],
            "tool_choice": {"type": "tool", "name": name},
            "messages": [
                {"role": "user", "content": "hi"},
                {"role": "assistant", "content": [{"type": "tool_use", "id": "c", "name": name, "input": {}}]},
                {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c", "content": "r"}]},
            ],
        }),
    };
    decode_request(dialect, &RawObject::parse(body.to_string().into_bytes().into()).unwrap()).unwrap()
}

/// The name that a tool has at the target.
#[track_caller]
fn sent(client: Dialect, target: Dialect, name: &str) -> String {
    let asked = request(client, name);
    let Some((changed, names)) = fitting_names(&asked, target) else { return name.to_owned() };
    let [Tool::Function { name: sent, .. }] = changed.tools.as_slice() else { panic!("no tool") };
    let parts = changed.messages.iter().flat_map(|message| &message.parts);
    let called = parts.filter_map(|part| match &part.kind {
        PartKind::ToolCall { name, .. } => Some(name.clone()),
        _ => None,
    });
    assert_eq!(called.collect::<Vec<_>>(), std::slice::from_ref(sent));
    assert_eq!(changed.tool_choice, Some(ToolChoice::Tool(sent.clone())));
    let changed = Changed { answer_tool: None, names };
    assert!(!changed.is_nothing());
    assert_eq!(whole(&changed, sent), name, "whole");
    assert_eq!(streamed(&changed, sent), name, "streamed");
    assert_eq!(whole(&changed, "another"), "another");
    sent.clone()
}

fn whole(changed: &Changed, called: &str) -> String {
    let kind = PartKind::ToolCall { id: "d".to_owned(), name: called.to_owned(), arguments: "{}".to_owned() };
    let answer = changed.answer(Answer {
        id: String::new(),
        model: String::new(),
        created: None,
        parts: vec![Part::new(kind, Dialect::OpenaiChat)],
        finish: FinishReason::ToolCalls,
        stop_sequence: None,
        usage: None,
        logprobs: None,
    });
    match &answer.unwrap().parts[0].kind {
        PartKind::ToolCall { name, .. } => name.clone(),
        other => panic!("{other:?}"),
    }
}

fn streamed(changed: &Changed, called: &str) -> String {
    let mut stream = changed.stream();
    let mut out = Vec::new();
    let part = PartStart::ToolCall { id: "d".to_owned(), name: called.to_owned() };
    for event in [
        StreamEvent::PartStart { index: 0, part },
        StreamEvent::Delta { index: 0, delta: Delta::Arguments("{}".to_owned()) },
        StreamEvent::PartEnd { index: 0 },
    ] {
        stream.push(event, &mut out);
    }
    assert_eq!(out.len(), 3);
    match &out[0] {
        StreamEvent::PartStart { part: PartStart::ToolCall { name, .. }, .. } => name.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_plain_name_stays() {
    use Dialect::{AnthropicMessages, OpenaiChat};
    assert_eq!(sent(OpenaiChat, AnthropicMessages, "get_weather-2"), "get_weather-2");
    assert!(fitting_names(&request(OpenaiChat, "get_weather-2"), AnthropicMessages).is_none());
    assert_eq!(sent(AnthropicMessages, OpenaiChat, &"n".repeat(64)), "n".repeat(64));
}

#[test]
fn one_that_is_not_taken_gets_another() {
    use Dialect::{AnthropicMessages, OpenaiChat, OpenaiResponses};
    for target in [OpenaiChat, OpenaiResponses] {
        let long = "n".repeat(65);
        let name = sent(AnthropicMessages, target, &long);
        assert!(name.len() == 64 && name.starts_with("nnn"), "{name}");
        // Anthropic takes twice as much.
        assert_eq!(sent(OpenaiChat, AnthropicMessages, &long), long);
    }
    for odd in ["files.read", "über", "a b", "a/b"] {
        let name = sent(OpenaiChat, AnthropicMessages, odd);
        assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'), "{name}");
    }
    assert_ne!(sent(OpenaiChat, AnthropicMessages, "a.b"), sent(OpenaiChat, AnthropicMessages, "a/b"));
}

#[test]
fn a_server_of_the_clients_own_dialect_says_itself_what_it_takes() {
    assert!(fitting_names(&request(Dialect::OpenaiChat, "a.b"), Dialect::OpenaiChat).is_none());
}

#[test]
fn tools_of_one_request_stay_apart() {
    let mut asked = request(Dialect::OpenaiChat, "a.b");
    let other = request(Dialect::OpenaiChat, "a/b");
    asked.tools.extend(other.tools);
    let (changed, names) = fitting_names(&asked, Dialect::AnthropicMessages).unwrap();
    let sent: Vec<Value> = changed
        .tools
        .iter()
        .map(|tool| match tool {
            Tool::Function { name, .. } => json!(name),
            Tool::Vendor { .. } => panic!("{tool:?}"),
        })
        .collect();
    assert_ne!(sent[0], sent[1]);
    let changed = Changed { answer_tool: None, names };
    assert_eq!(whole(&changed, sent[0].as_str().unwrap()), "a.b");
    assert_eq!(whole(&changed, sent[1].as_str().unwrap()), "a/b");
}
