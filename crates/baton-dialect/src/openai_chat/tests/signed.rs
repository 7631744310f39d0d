//! What a maker puts beside its calls: kept for it, and taken from where nobody else would take it.

use baton_model::{Delta, Message, Part, PartKind, Role, StreamEvent};
use serde_json::{Value, json};

use super::super::{decode_answer, encode_answer, extend_request};
use super::*;
use crate::{Additions, CallTaste};

/// A call with both signatures that are known, and one member that is nobody's.
const SIGNED: &str = r#"{"id":"c1","type":"function","function":{"name":"f","arguments":"{}"},"extra_content":{"google":{"thought_signature":"s=="}},"thought_signature":"t==","x":1}"#;

fn attached() -> Value {
    json!({"extra_content": {"google": {"thought_signature": "s=="}}, "thought_signature": "t=="})
}

/// What is beside a call, beside what the format names.
fn beside(call: &Value) -> Value {
    let mut call = call.clone();
    let members = call.as_object_mut().unwrap();
    for key in ["id", "type", "function", "index"] {
        members.remove(key);
    }
    call
}

fn history(call: &str) -> String {
    format!(
        r#"{{"messages":[{{"role":"user","content":"x"}},{{"role":"assistant","tool_calls":[{call}]}},{{"role":"tool","tool_call_id":"c1","content":"r"}}]}}"#
    )
}

#[test]
fn a_signed_call_of_a_history_keeps_its_signature_in_this_dialect() {
    let body: Value = serde_json::from_str(&encoded(&history(SIGNED), "up")).unwrap();
    assert_eq!(beside(&body["messages"][1]["tool_calls"][0]), attached());
}

#[test]
fn a_signed_call_of_an_answer_keeps_its_signature_in_this_dialect() {
    let answer = format!(
        r#"{{"id":"a","choices":[{{"message":{{"tool_calls":[{SIGNED}]}},"finish_reason":"tool_calls"}}]}}"#
    );
    let answer = decode_answer(answer.as_bytes()).unwrap();
    let context = AnswerContext { model: "m", created: 1, request: None };
    let written: Value = serde_json::from_slice(&encode_answer(&answer, &context)).unwrap();
    assert_eq!(beside(&written["choices"][0]["message"]["tool_calls"][0]), attached());
}

#[test]
fn another_dialect_gets_no_signature_and_counts_it() {
    let request = decoded(&history(SIGNED));
    let target = EncodeTarget { model: "up", stream: false, default_max_tokens: 1, shared_members: false };
    let encoded = crate::encode_request(Dialect::AnthropicMessages, &request, &target);
    let body = String::from_utf8(encoded.body).unwrap();
    assert!(!body.contains("signature") && !body.contains("extra_content"), "{body}");
    assert_eq!(encoded.left_out, 1);
}

#[test]
fn signatures_on_a_stream_come_with_their_calls() {
    let fragment = |rest: &str| format!(r#"{{"index":0,{rest}}}"#);
    let whole = fragment(SIGNED.trim_start_matches('{').strip_suffix('}').unwrap());
    let opening = fragment(r#""id":"c1","function":{"name":"f"},"thought_signature":"t==""#);
    let arguments = fragment(r#""function":{"arguments":"{}"}"#);
    let late = fragment(r#""extra_content":{"google":{"thought_signature":"s=="}},"id":"c1","function":{}"#);
    for fragments in [vec![whole], vec![opening, arguments, late]] {
        let mut decoder = Decoder::default();
        let mut encoder = Encoder::new(options());
        let (mut events, mut out) = (Vec::new(), Vec::new());
        for fragment in &fragments {
            let chunk = format!(r#"{{"id":"a","choices":[{{"delta":{{"tool_calls":[{fragment}]}}}}]}}"#);
            decoder.decode("", chunk.as_bytes(), &mut events).unwrap();
        }
        decoder.decode("", b"[DONE]", &mut events).unwrap();
        events.iter().for_each(|event| encoder.encode(event, &mut out));
        let mut members = serde_json::Map::new();
        for event in &events {
            if let StreamEvent::Delta { delta: Delta::Attached(more), .. } = event {
                members.extend(more.iter().map(|(key, value)| (key.clone(), value.read().unwrap())));
            }
        }
        assert_eq!(Value::Object(members), attached(), "{fragments:?}");
        let written = String::from_utf8(out).unwrap();
        let mut told = serde_json::Map::new();
        for data in written.lines().filter_map(|line| line.strip_prefix("data: ")) {
            let chunk: Value = serde_json::from_str(data).unwrap();
            if let Some(call) = chunk["choices"][0]["delta"]["tool_calls"].get(0) {
                assert_eq!(call["index"], 0);
                told.extend(beside(call).as_object().unwrap().clone());
            }
        }
        assert_eq!(Value::Object(told), attached(), "{written}");
    }
}

/// The body for a target that takes plain calls only.
#[track_caller]
fn plain(body: &str) -> Value {
    let body = object(body);
    let additions = Additions { calls: CallTaste::Plain, ..Additions::default() };
    let edits = extend_request(&body, &additions).unwrap();
    serde_json::from_slice(&body.rewrite(&edits).concat()).unwrap()
}

#[test]
fn a_target_of_plain_calls_gets_no_signatures_and_short_ids() {
    let id = "chatcmpl-tool-0123456789abcdef0123456789abcdef";
    let custom =
        format!(r#"{{"id":"{id}2","type":"custom","custom":{{"name":"g","input":"thought_signature"}}}}"#);
    let body = format!(
        r#"{{"messages":[{{"role":"assistant","content":"y","extra_content":{{}},"tool_calls":[{},{custom}]}},{{"role":"tool","tool_call_id":"{id}","content":"r"}},{{"role":"tool","tool_call_id":"{id}2","content":"r"}},{{"role":"tool","tool_call_id":"{id}3","content":"r"}}]}}"#,
        SIGNED.replace("c1", id)
    );
    let body = plain(&body);
    let messages = body["messages"].as_array().unwrap();
    let first = &messages[0]["tool_calls"][0];
    assert_eq!(beside(first), json!({"x": 1}), "only what is known to be a maker's goes");
    assert_eq!(messages[0]["tool_calls"][1]["custom"]["input"], "thought_signature");
    assert!(messages[0].get("extra_content").is_none());
    let ids: Vec<&str> = messages[0]["tool_calls"]
        .as_array()
        .unwrap()
        .iter()
        .map(|call| call["id"].as_str().unwrap())
        .collect();
    assert!(ids.iter().all(|id| id.len() <= MAX_CALL_ID), "{ids:?}");
    assert_eq!([&messages[1]["tool_call_id"], &messages[2]["tool_call_id"]], [ids[0], ids[1]]);
    // The third result has no call: it gets one, under the same short id.
    assert_eq!(messages[3]["tool_calls"][0]["id"], messages[4]["tool_call_id"]);
    assert!(messages[4]["tool_call_id"].as_str().unwrap().len() <= MAX_CALL_ID);
}

#[test]
fn what_is_plain_keeps_its_bytes() {
    let additions = Additions { calls: CallTaste::Plain, ..Additions::default() };
    for body in [
        r#"{"messages":[ {"role":"user","content":"thought_signature, extra_content"} ]}"#.to_owned(),
        history(r#"{"id":"c1", "type":"function","function":{"name":"f","arguments":"{}"}}"#),
    ] {
        let body = object(&body);
        let edits = extend_request(&body, &additions).unwrap();
        let made = body.rewrite(&edits).concat();
        let (made, sent): (Value, Value) =
            (serde_json::from_slice(&made).unwrap(), serde_json::from_slice(body.body()).unwrap());
        assert_eq!(made, sent);
    }
    assert_eq!(extend_request(&object(&history(SIGNED)), &Additions::default()).unwrap(), []);
}

#[test]
fn an_added_call_keeps_what_it_came_with() {
    let request = decoded(&history(SIGNED));
    let call = request.messages[1].parts[0].clone();
    assert!(matches!(call.kind, PartKind::ToolCall { .. }));
    let unsigned = Part { attached: None, ..call.clone() };
    for (part, expected) in [(call, attached()), (unsigned, json!({}))] {
        let messages = [Message { role: Role::Assistant, name: None, parts: vec![part] }];
        let body = object(r#"{"messages":[{"role":"user","content":"x"}]}"#);
        let additions = Additions { messages: &messages, ..Additions::default() };
        let edits = extend_request(&body, &additions).unwrap();
        let made: Value = serde_json::from_slice(&body.rewrite(&edits).concat()).unwrap();
        assert_eq!(beside(&made["messages"][1]["tool_calls"][0]), expected);
    }
}
