//! Streams of turns, as upstreams send them.

use baton_model::Dialect::{AnthropicMessages, OpenaiChat, OpenaiResponses};
use serde_json::{Value, json};

use super::Turn;

/// A chat turn: a chunk for each delta. A last delta in a list stands in one chunk with the reason to end.
pub(super) fn chat(model: &str, deltas: &[Value], reason: &str, usage: Option<&Value>) -> Turn {
    let mut sse = String::new();
    let mut chunk = |choices: Value, usage: Option<&Value>| {
        let chunk = json!({"id": format!("chatcmpl-{model}"), "object": "chat.completion.chunk",
            "created": 17, "model": "up", "system_fingerprint": format!("fp_{model}"),
            "choices": choices, "usage": usage});
        sse.push_str(&format!("data: {chunk}\n\n"));
    };
    let choice = |delta: &Value, reason: Option<&str>| json!([{"index": 0, "delta": delta, "logprobs": null, "finish_reason": reason}]);
    let ends = deltas.last().is_some_and(Value::is_array);
    for delta in deltas {
        match delta.as_array() {
            Some(last) => chunk(choice(&last[0], Some(reason)), None),
            None => chunk(choice(delta, None), None),
        }
    }
    if !ends {
        chunk(choice(&json!({}), Some(reason)), None);
    }
    if usage.is_some() {
        chunk(json!([]), usage);
    }
    sse.push_str("data: [DONE]\n\n");
    Turn { upstream: OpenaiChat, model: format!("shown/{model}"), sse }
}

pub(super) fn role() -> Value {
    json!({"role": "assistant", "content": ""})
}

pub(super) fn text(text: &str) -> Value {
    json!({"content": text})
}

pub(super) fn call(index: u32, id: &str, name: &str) -> Value {
    json!({"tool_calls": [{"index": index, "id": id, "type": "function",
        "function": {"name": name, "arguments": ""}}]})
}

pub(super) fn arguments(index: u32, piece: &str) -> Value {
    json!({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})
}

/// A Messages turn: blocks, each a start and its deltas, and the tokens that went in and came out.
pub(super) fn messages(
    model: &str,
    blocks: &[(Value, Vec<Value>)],
    reason: &str,
    tokens: (u64, u64),
) -> Turn {
    let mut sse = String::new();
    let mut event = |data: Value| {
        sse.push_str(&format!("event: {}\ndata: {data}\n\n", data["type"].as_str().unwrap()));
    };
    event(json!({"type": "message_start", "message": {"id": format!("msg_{model}"), "type": "message",
        "role": "assistant", "model": "up", "content": [], "stop_reason": null, "stop_sequence": null,
        "usage": {"input_tokens": tokens.0, "cache_read_input_tokens": 3, "output_tokens": 1,
            "service_tier": "standard"}}}));
    event(json!({"type": "ping"}));
    for (index, (block, deltas)) in blocks.iter().enumerate() {
        event(json!({"type": "content_block_start", "index": index, "content_block": block}));
        for delta in deltas {
            event(json!({"type": "content_block_delta", "index": index, "delta": delta}));
        }
        event(json!({"type": "content_block_stop", "index": index}));
    }
    event(json!({"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": null},
        "usage": {"output_tokens": tokens.1}}));
    event(json!({"type": "message_stop"}));
    Turn { upstream: AnthropicMessages, model: format!("shown/{model}"), sse }
}

/// A Responses turn that says one text or calls one function.
pub(super) fn responses(model: &str, item: &Value, tokens: (u64, u64)) -> Turn {
    let mut sse = String::new();
    let mut event = |data: Value| {
        sse.push_str(&format!("event: {}\ndata: {data}\n\n", data["type"].as_str().unwrap()));
    };
    let response = |status: &str, output: Value, usage: Value| {
        json!({"id": format!("resp_{model}"), "object": "response", "created_at": 17, "model": "up",
            "status": status, "output": output, "usage": usage})
    };
    event(json!({"type": "response.created", "response": response("in_progress", json!([]), json!(null))}));
    event(json!({"type": "response.output_item.done", "output_index": 0, "item": item}));
    let usage = json!({"input_tokens": tokens.0, "output_tokens": tokens.1});
    event(json!({"type": "response.completed", "response": response("completed", json!([item]), usage)}));
    Turn { upstream: OpenaiResponses, model: format!("shown/{model}"), sse }
}

pub(super) fn text_block(pieces: &[&str]) -> (Value, Vec<Value>) {
    let deltas = pieces.iter().map(|text| json!({"type": "text_delta", "text": text})).collect();
    (json!({"type": "text", "text": ""}), deltas)
}

pub(super) fn call_block(id: &str, name: &str, pieces: &[&str]) -> (Value, Vec<Value>) {
    let deltas = pieces.iter().map(|json| json!({"type": "input_json_delta", "partial_json": json}));
    (json!({"type": "tool_use", "id": id, "name": name, "input": {}}), deltas.collect())
}

pub(super) fn thinking_block(text: &str, signature: &str) -> (Value, Vec<Value>) {
    let deltas = vec![
        json!({"type": "thinking_delta", "thinking": text}),
        json!({"type": "signature_delta", "signature": signature}),
    ];
    (json!({"type": "thinking", "thinking": "", "signature": ""}), deltas)
}
