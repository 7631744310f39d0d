//! Puts a stream together as the vendors' own libraries do, and checks what they rely on.

use baton_model::Dialect;
use serde_json::{Value, json};

use crate::matrix_tests::Sse;
use crate::openai_responses::tests::accumulate_response;

/// The whole answer that a client makes of a stream.
pub(super) fn accumulate(dialect: Dialect, stream: &str) -> Value {
    let events = Sse::default().push(stream.as_bytes());
    match dialect {
        Dialect::OpenaiChat => chat(&events),
        Dialect::AnthropicMessages => messages(&events),
        Dialect::OpenaiResponses => accumulate_response(&events),
    }
}

fn chat(events: &[(String, Vec<u8>)]) -> Value {
    let mut whole = json!({"message": {}});
    let (done, chunks) = events.split_last().unwrap();
    assert_eq!(done.1, b"[DONE]");
    let mut finished = false;
    for (name, data) in chunks {
        assert_eq!(name, "");
        let chunk: Value = serde_json::from_slice(data).unwrap();
        assert!(whole["id"].is_null() || whole["id"] == chunk["id"], "the id changes");
        assert!(whole["created"].is_null() || whole["created"] == chunk["created"], "the time changes");
        for key in ["id", "created", "model"] {
            whole[key] = chunk[key].clone();
        }
        if !chunk["usage"].is_null() {
            whole["usage"] = chunk["usage"].clone();
        }
        for choice in chunk["choices"].as_array().unwrap() {
            assert!(!finished, "a choice after the finish reason");
            add(&mut whole["message"], &choice["delta"]);
            if !choice["finish_reason"].is_null() {
                finished = true;
                whole["finish_reason"] = choice["finish_reason"].clone();
            }
        }
    }
    assert!(finished, "no finish reason");
    for call in whole["message"]["tool_calls"].as_array_mut().into_iter().flatten() {
        call.as_object_mut().unwrap().remove("index");
    }
    whole
}

/// `accumulate_delta` of `openai-python`.
fn add(whole: &mut Value, delta: &Value) {
    for (key, value) in delta.as_object().into_iter().flatten() {
        match (&mut whole[key.as_str()], value) {
            (_, Value::Null) => {}
            (known, Value::Array(entries)) => add_entries(known, entries),
            (known @ Value::Null, value) => *known = value.clone(),
            (Value::String(known), Value::String(more)) if key != "type" => known.push_str(more),
            (known @ Value::Object(_), Value::Object(_)) => add(known, value),
            _ => {}
        }
    }
}

fn add_entries(known: &mut Value, entries: &[Value]) {
    if known.is_null() {
        *known = json!([]);
    }
    let list = known.as_array_mut().unwrap();
    for entry in entries {
        let Some(index) = entry["index"].as_u64().and_then(|index| usize::try_from(index).ok()) else {
            list.push(entry.clone());
            continue;
        };
        assert!(index <= list.len(), "a gap in the numbers");
        if index == list.len() {
            list.push(json!({}));
        }
        add(&mut list[index], entry);
    }
}

fn messages(events: &[(String, Vec<u8>)]) -> Value {
    let mut message = Value::Null;
    let mut open: Option<usize> = None;
    let mut stopped = false;
    for (name, data) in events {
        assert!(!stopped, "an event after the end");
        let event: Value = serde_json::from_slice(data).unwrap();
        assert_eq!(event["type"], *name);
        let index = event["index"].as_u64().and_then(|index| usize::try_from(index).ok());
        match name.as_str() {
            "message_start" => {
                assert!(message.is_null(), "two starts");
                message = event["message"].clone();
            }
            "content_block_start" => {
                assert_eq!(open, None, "a block in a block");
                let content = message["content"].as_array_mut().unwrap();
                assert_eq!(index, Some(content.len()), "a gap in the numbers");
                content.push(event["content_block"].clone());
                open = index;
                let block = &mut message["content"][index.unwrap()];
                if block["type"] == "tool_use" {
                    block["input"] = json!("");
                }
            }
            "content_block_delta" => {
                assert_eq!(index, open, "a delta outside its block");
                let delta = &event["delta"];
                let (member, from) = match delta["type"].as_str().unwrap() {
                    "text_delta" => ("text", "text"),
                    "thinking_delta" => ("thinking", "thinking"),
                    "signature_delta" => ("signature", "signature"),
                    "input_json_delta" => ("input", "partial_json"),
                    other => panic!("{other}"),
                };
                let block = &mut message["content"][index.unwrap()];
                let more = format!("{}{}", block[member].as_str().unwrap(), delta[from].as_str().unwrap());
                block[member] = json!(more);
            }
            "content_block_stop" => {
                assert_eq!(index, open.take(), "the end of another block");
                let block = &mut message["content"][index.unwrap()];
                if block["type"] == "tool_use" {
                    let input = Some(block["input"].as_str().unwrap()).filter(|text| !text.is_empty());
                    block["input"] = serde_json::from_str(input.unwrap_or("{}")).unwrap();
                }
            }
            "message_delta" => {
                for key in ["stop_reason", "stop_sequence"] {
                    message[key] = event["delta"][key].clone();
                }
                for (key, value) in event["usage"].as_object().unwrap() {
                    message["usage"][key.as_str()] = value.clone();
                }
            }
            "message_stop" => stopped = true,
            "ping" => {}
            other => panic!("{other}"),
        }
    }
    assert!(stopped && open.is_none(), "no end");
    message
}
