//! Requests of other dialects, written for an upstream that speaks this one.

use baton_model::{Dialect, Message, Part, PartKind, Role};
use serde_json::{Value, json};

use super::{object, value};
use crate::{EncodeTarget, Encoded, decode_request, encode_request};

const TARGET: EncodeTarget<'_> =
    EncodeTarget { model: "up", stream: false, default_max_tokens: 64, shared_members: false };

fn encoded(from: Dialect, body: &str, added: Vec<Message>) -> (Encoded, Value) {
    let mut request = decode_request(from, &object(body)).unwrap();
    request.messages.extend(added);
    let encoded = encode_request(Dialect::OpenaiResponses, &request, &TARGET);
    let body = value(&encoded.body);
    (encoded, body)
}

fn call(id: &str) -> Part {
    let kind = PartKind::ToolCall { id: id.to_owned(), name: "f".to_owned(), arguments: String::new() };
    Part::new(kind, Dialect::OpenaiChat)
}

fn result(id: &str, text: &str) -> Part {
    let parts = vec![Part::text(text, Dialect::OpenaiChat)];
    Part::new(PartKind::ToolResult { call_id: id.to_owned(), parts, is_error: false }, Dialect::OpenaiChat)
}

const fn said(role: Role, parts: Vec<Part>) -> Message {
    Message { role, name: None, parts }
}

/// The calls and results, a word each.
fn rounds(body: &Value) -> Vec<String> {
    let items = body["input"].as_array().unwrap().iter();
    let word = |item: &Value| match item["type"].as_str() {
        Some("function_call") => Some(format!("call {}", item["call_id"].as_str().unwrap())),
        Some("function_call_output") => {
            Some(format!("{} {}", item["output"].as_str().unwrap(), item["call_id"].as_str().unwrap()))
        }
        _ => None,
    };
    items.filter_map(word).collect()
}

const QUESTION: &str = r#"{"messages":[{"role":"user","content":"Hi"}]}"#;

#[test]
fn a_call_without_a_result_gets_one() {
    let added = vec![
        said(Role::Assistant, vec![call("a"), call("b")]),
        said(Role::Tool, vec![result("b", "of b")]),
        said(Role::User, vec![Part::text("Go on", Dialect::OpenaiChat)]),
    ];
    let (_, body) = encoded(Dialect::OpenaiChat, QUESTION, added);
    assert_eq!(rounds(&body), ["call a", "no result was recorded a", "call b", "of b b"]);
}

#[test]
fn in_a_history_of_its_own_it_does_not() {
    let body = r#"{"input":[{"type":"function_call","call_id":"a","name":"f","arguments":"{}"}]}"#;
    let (_, body) = encoded(Dialect::OpenaiResponses, body, Vec::new());
    assert_eq!(rounds(&body), ["call a"]);
}

#[test]
fn calls_that_are_counted_anew_in_every_turn_stay_apart() {
    let added = vec![
        said(Role::Assistant, vec![call("call_0")]),
        said(Role::Tool, vec![result("call_0", "one")]),
        said(Role::Assistant, vec![call("call_0")]),
        said(Role::Tool, vec![result("call_0", "two")]),
    ];
    let (_, body) = encoded(Dialect::OpenaiChat, QUESTION, added);
    let rounds = rounds(&body);
    let [first, one, second, two] = rounds.as_slice() else { panic!("{rounds:?}") };
    assert_eq!((first.as_str(), one.as_str()), ("call call_0", "one call_0"));
    assert_ne!(second, first);
    assert_eq!(second.strip_prefix("call "), two.strip_prefix("two "));
}

#[test]
fn ids_that_are_too_long_or_odd_are_replaced_on_both_sides() {
    for id in ["x".repeat(65), "functions.f:0".to_owned()] {
        let added = vec![said(Role::Assistant, vec![call(&id)]), said(Role::Tool, vec![result(&id, "r")])];
        let (_, body) = encoded(Dialect::OpenaiChat, QUESTION, added);
        let rounds = rounds(&body);
        assert_eq!(rounds[0].strip_prefix("call "), rounds[1].strip_prefix("r "));
        assert!(rounds[0].len() <= 5 + 64 && !rounds[0].contains('.'), "{rounds:?}");
    }
}

#[test]
fn what_chat_asks_for_is_asked_for_here() {
    let (encoded, body) = encoded(
        Dialect::OpenaiChat,
        r#"{"messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"Hi"}],"max_tokens":5,
            "verbosity":"low","prompt_cache_key":"k","metadata":{"a":"b"},"service_tier":"flex","reasoning_effort":"none",
            "response_format":{"type":"json_schema","json_schema":{"name":"n","schema":{},"strict":true}},
            "tools":[{"type":"function","function":{"name":"f","parameters":{}}}],"tool_choice":"required",
            "user":"u","seed":1,"stop":"x","frequency_penalty":0,"presence_penalty":1,"logit_bias":{"1":2},"n":1}"#,
        Vec::new(),
    );
    assert_eq!(
        body,
        json!({"model": "up", "instructions": "Be brief.",
            "input": [{"type": "message", "role": "user", "content": "Hi"}],
            "tools": [{"type": "function", "name": "f", "parameters": {}, "strict": false}],
            "tool_choice": "required",
            "text": {"format": {"type": "json_schema", "name": "n", "schema": {}, "strict": true}, "verbosity": "low"},
            "reasoning": {"effort": "none"}, "max_output_tokens": 16, "safety_identifier": "u", "store": false,
            "prompt_cache_key": "k", "metadata": {"a": "b"}, "service_tier": "flex"})
    );
    assert_eq!(encoded.dropped, ["max_tokens<16", "presence_penalty", "stop", "seed", "logit_bias"]);
}

#[test]
fn what_messages_asks_for_is_asked_for_here() {
    let (encoded, body) = encoded(
        Dialect::AnthropicMessages,
        r#"{"max_tokens":100,"system":[{"type":"text","text":"Be brief.","cache_control":{"type":"ephemeral"}}],
            "thinking":{"type":"enabled","budget_tokens":4096},"stop_sequences":["x"],"top_k":5,"metadata":{"user_id":"u"},
            "messages":[{"role":"user","content":"Hi"},{"role":"assistant","content":[{"type":"thinking","thinking":"t","signature":"s"},
            {"type":"tool_use","id":"toolu_1","name":"f","input":{}}]},
            {"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_1","is_error":true,"content":"boom"},{"type":"text","text":"Again"}]}]}"#,
        Vec::new(),
    );
    assert_eq!(
        body,
        json!({"model": "up",
            "input": [
                {"type": "message", "role": "system", "content": [{"type": "input_text", "text": "Be brief."}]},
                {"type": "message", "role": "user", "content": "Hi"},
                {"type": "function_call", "call_id": "toolu_1", "name": "f", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "toolu_1", "output": "[tool error] boom"},
                {"type": "message", "role": "user", "content": "Again"}],
            "reasoning": {"effort": "medium"}, "max_output_tokens": 100, "safety_identifier": "u", "store": false})
    );
    assert_eq!(encoded.dropped, ["cache_control", "top_k", "stop_sequences"]);
    assert_eq!(encoded.left_out, 1);
}

#[test]
fn store_is_asked_for_where_a_chat_client_did() {
    let (_, body) = encoded(
        Dialect::OpenaiChat,
        r#"{"messages":[{"role":"user","content":"Hi"}],"store":true}"#,
        Vec::new(),
    );
    assert_eq!(body["store"], true);
}

#[test]
fn own_keys_reach_no_upstream() {
    let keys = crate::OWN_KEYS.iter().map(|key| format!("\"{key}\":1,")).collect::<String>();
    let (_, body) = encoded(
        Dialect::OpenaiResponses,
        &format!("{{{keys}\"model\":[\"a\"],\"input\":\"Hi\"}}"),
        Vec::new(),
    );
    assert_eq!(body, json!({"model": "up", "input": [{"type": "message", "role": "user", "content": "Hi"}]}));
}

#[test]
fn thinking_goes_back_only_where_its_vendor_knows_it() {
    let thought = |members: &str| {
        format!(
            r#"{{"input":[{{"role":"user","content":"Hi"}},{{"type":"reasoning",{members}"summary":[]}},{{"role":"assistant","content":"Ho"}}]}}"#
        )
    };
    for (members, left_out) in
        [(r#""id":"rs_1","#, 0), (r#""encrypted_content":"x","#, 0), (r#""id":"rs_baton_1","#, 1), ("", 1)]
    {
        let (encoded, body) = encoded(Dialect::OpenaiResponses, &thought(members), Vec::new());
        assert_eq!(encoded.left_out, left_out, "{members}");
        assert_eq!(body["input"].as_array().unwrap().len(), 3 - left_out);
    }
}

#[test]
fn a_wrong_member_is_named_with_its_path() {
    for (body, path) in [
        (r#"{}"#, "input"),
        (r#"{"input":7}"#, "input"),
        (r#"{"input":[7]}"#, "input[0]"),
        (r#"{"input":[{"type":"message","content":"x"}]}"#, "input[0].role"),
        (r#"{"input":[{"role":"tool","content":"x"}]}"#, "input[0].role"),
        (r#"{"input":[{"role":"user"}]}"#, "input[0].content"),
        (r#"{"input":[{"role":"user","content":7}]}"#, "input[0].content"),
        (r#"{"input":[{"role":"user","content":[{"text":"x"}]}]}"#, "input[0].content[0].type"),
        (r#"{"input":[{"type":"function_call_output","output":"x"}]}"#, "input[0].call_id"),
        (r#"{"input":[{"type":"function_call_output","call_id":"a"}]}"#, "input[0].output"),
        (r#"{"input":[{"type":"item_reference","id":"x"}]}"#, "input[0].id"),
        (r#"{"input":"x","conversation":"conv_1"}"#, "conversation"),
        (r#"{"input":"x","prompt":{"id":"pmpt_1"}}"#, "prompt"),
        (r#"{"input":"x","instructions":7}"#, "instructions"),
        (r#"{"input":"x","tools":[{"name":"f"}]}"#, "tools[0].type"),
        (r#"{"input":"x","tools":[{"type":"function"}]}"#, "tools[0].name"),
        (r#"{"input":"x","tools":[{"type":"function","name":"f","strict":"yes"}]}"#, "tools[0].strict"),
        (r#"{"input":"x","tool_choice":"maybe"}"#, "tool_choice"),
        (r#"{"input":"x","tool_choice":{"type":"function"}}"#, "tool_choice.name"),
        (r#"{"input":"x","text":{"format":{"type":"json_schema","name":"n"}}}"#, "text.format.schema"),
        (r#"{"input":"x","text":{"format":{}}}"#, "text.format.type"),
        (r#"{"input":"x","reasoning":{"effort":7}}"#, "reasoning.effort"),
        (r#"{"input":"x","max_output_tokens":-1}"#, "max_output_tokens"),
    ] {
        let error = decode_request(Dialect::OpenaiResponses, &object(body)).unwrap_err();
        assert_eq!(error.param.as_deref(), Some(path), "{error}");
        assert!(error.message.starts_with(&format!("`{path}` ")) || path.ends_with(".id"), "{error}");
    }
}
