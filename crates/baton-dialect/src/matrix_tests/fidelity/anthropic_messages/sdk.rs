//! Puts events together as `anthropic-sdk-python` does (`accumulate_event`).

use std::collections::BTreeMap;

use serde_json::{Value, json};

pub(super) fn accumulate(events: &[(String, Vec<u8>)]) -> Result<Value, Value> {
    let mut snapshot = Value::Null;
    let mut inputs: BTreeMap<usize, String> = BTreeMap::new();
    for (name, data) in events {
        let event: Value = serde_json::from_slice(data).unwrap();
        assert_eq!(event["type"], *name);
        match name.as_str() {
            "error" => return Err(event),
            "message_start" => snapshot = event["message"].clone(),
            "message_stop" => return Ok(snapshot),
            "ping" => {}
            _ => {
                assert!(!snapshot.is_null(), "{name} before `message_start`");
                add(&mut snapshot, &mut inputs, name, &event);
            }
        }
    }
    panic!("a stream without its end")
}

fn add(snapshot: &mut Value, inputs: &mut BTreeMap<usize, String>, name: &str, event: &Value) {
    let at = event["index"].as_u64().map(|index| usize::try_from(index).unwrap());
    match name {
        "content_block_start" => {
            let content = snapshot["content"].as_array_mut().unwrap();
            content.push(event["content_block"].clone());
            assert_eq!(at, Some(content.len() - 1));
        }
        "content_block_delta" => {
            let at = at.unwrap();
            let delta = &event["delta"];
            add_delta(&mut snapshot["content"][at], inputs.entry(at).or_default(), delta);
        }
        "content_block_stop" => {}
        "message_delta" => {
            for key in ["stop_reason", "stop_sequence", "stop_details"] {
                snapshot[key] = event["delta"][key].clone();
            }
            if !event["delta"]["container"].is_null() {
                snapshot["container"] = event["delta"]["container"].clone();
            }
            snapshot["usage"]["output_tokens"] = event["usage"]["output_tokens"].clone();
            let totals = [
                "input_tokens",
                "cache_creation_input_tokens",
                "cache_read_input_tokens",
                "server_tool_use",
                "output_tokens_details",
            ];
            for key in totals {
                if !event["usage"][key].is_null() {
                    snapshot["usage"][key] = event["usage"][key].clone();
                }
            }
        }
        other => panic!("{other}"),
    }
}

fn add_delta(block: &mut Value, input: &mut String, delta: &Value) {
    let more = |key: &str| delta[key].as_str().unwrap();
    match (delta["type"].as_str().unwrap(), block["type"].as_str().unwrap()) {
        ("text_delta", "text") => append(&mut block["text"], more("text")),
        ("thinking_delta", "thinking") => append(&mut block["thinking"], more("thinking")),
        // The last one counts.
        ("signature_delta", "thinking") => block["signature"] = delta["signature"].clone(),
        ("citations_delta", "text") => {
            let mut citations = block["citations"].as_array().cloned().unwrap_or_default();
            citations.push(delta["citation"].clone());
            block["citations"] = citations.into();
        }
        ("input_json_delta", "tool_use" | "server_tool_use" | "mcp_tool_use") => {
            input.push_str(more("partial_json"));
            // Parts of JSON are read too there; only the whole can be compared.
            block["input"] = serde_json::from_str(input).unwrap_or_else(|_| json!({}));
        }
        other => panic!("{other:?}"),
    }
}

fn append(text: &mut Value, more: &str) {
    *text = json!(format!("{}{more}", text.as_str().unwrap()));
}
