//! Speaks OpenAI's Responses API, as strictly as the vendor.
//!
//! - [`read`] refuses what OpenAI's reference does not allow.
//! - [`whole`] and [`stream`] write the same [`Reply`] in the two forms: the last event of a stream has the whole one.
//! - **Never here:** faults; `serve` lays them over what this module writes.

mod read;

use serde_json::{Map, Value, json};

use super::frame::{Frame, FrameKind};
use super::model::{Finish, Reply, Usage, split};

pub(crate) use read::{Asked, read};

/// The time in every answer; a fake has no clock.
const CREATED: u64 = 1_790_000_000;

/// How the seals of this vendor's thinking begin.
const SEAL: &str = "enc_fake_";

/// The body of an answer that is not streamed.
pub(crate) fn whole(asked: &Asked, reply: &Reply, id: u64) -> Value {
    let status = status(&reply.finish);
    envelope(asked, id, status, &items(asked, reply, id, status), Some(reply.usage))
}

/// The frames of the same answer as a stream.
pub(crate) fn stream(asked: &Asked, reply: &Reply, id: u64, chunks: usize) -> Vec<Frame> {
    let mut events = Events::default();
    for name in ["response.created", "response.in_progress"] {
        let response = envelope(asked, id, "in_progress", &[], None);
        events.add(FrameKind::Opening, name, json!({"response": response}));
    }
    for (place, item) in items(asked, reply, id, status(&reply.finish)).into_iter().enumerate() {
        events.item(place, &item, chunks);
    }
    let response = whole(asked, reply, id);
    let name = format!("response.{}", status(&reply.finish));
    events.add(FrameKind::Finish, &name, json!({"response": response}));
    events.frames
}

/// An error as a frame of a stream that has begun.
pub(crate) fn error_frame() -> Frame {
    let message = "The server had an error while processing your request. Sorry about that!";
    let body = json!({"type": "error", "sequence_number": 99, "code": "server_error", "message": message, "param": null});
    Frame::event(FrameKind::Finish, "error", &body)
}

const fn status(finish: &Finish) -> &'static str {
    match finish {
        Finish::End | Finish::Stop(_) | Finish::Calls => "completed",
        Finish::Length => "incomplete",
    }
}

/// The answer's items, as they stand at its end.
fn items(asked: &Asked, reply: &Reply, id: u64, status: &str) -> Vec<Value> {
    let mut items = Vec::new();
    if let Some(thought) = &reply.reasoning {
        let summary =
            if asked.summary { json!([{"type": "summary_text", "text": thought}]) } else { json!([]) };
        let mut item = json!({"type": "reasoning", "id": format!("rs_fake{id:08}"), "summary": summary});
        if asked.encrypted {
            insert(&mut item, "encrypted_content", json!(format!("{SEAL}{id:08}")));
        }
        items.push(item);
    }
    if !reply.text.is_empty() || reply.calls.is_empty() {
        let logprobs = if asked.logprobs { logprobs(&reply.text) } else { json!([]) };
        items.push(json!({
            "type": "message",
            "id": format!("msg_fake{id:08}"),
            "status": status,
            "role": "assistant",
            "content": [{"type": "output_text", "text": reply.text, "annotations": [], "logprobs": logprobs}],
        }));
    }
    for (index, call) in reply.calls.iter().enumerate() {
        items.push(json!({
            "type": "function_call",
            "id": format!("fc_fake{id:08}{index:03}"),
            "status": "completed",
            "call_id": format!("call_fake{id:08}{index:03}"),
            "name": call.name,
            "arguments": call.arguments.to_string(),
        }));
    }
    items
}

fn logprobs(text: &str) -> Value {
    let token =
        |word: &str| json!({"token": word, "logprob": -0.25, "bytes": word.as_bytes(), "top_logprobs": []});
    json!(text.split_inclusive(' ').map(token).collect::<Vec<_>>())
}

fn insert(object: &mut Value, key: &str, value: Value) {
    if let Some(object) = object.as_object_mut() {
        object.insert(key.to_owned(), value);
    }
}

/// The Response object.
fn envelope(asked: &Asked, id: u64, status: &str, output: &[Value], usage: Option<Usage>) -> Value {
    let mut response = asked.echo.clone();
    let incomplete =
        if status == "incomplete" { json!({"reason": "max_output_tokens"}) } else { Value::Null };
    let own = [
        ("id", json!(format!("resp_fake{id:08}"))),
        ("object", json!("response")),
        ("created_at", json!(CREATED)),
        ("completed_at", if status == "completed" { json!(CREATED + 1) } else { Value::Null }),
        ("status", json!(status)),
        ("error", Value::Null),
        ("incomplete_details", incomplete),
        ("model", json!(asked.ask.model)),
        ("output", json!(output)),
        ("usage", usage.map_or(Value::Null, wire_usage)),
    ];
    response.extend(own.into_iter().map(|(key, value)| (key.to_owned(), value)));
    Value::Object(response)
}

fn wire_usage(usage: Usage) -> Value {
    json!({
        "input_tokens": usage.input,
        "input_tokens_details": {"cached_tokens": usage.cached, "cache_write_tokens": usage.cache_write},
        "output_tokens": usage.output,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.input + usage.output,
    })
}

/// Events with their numbers.
#[derive(Default)]
struct Events {
    frames: Vec<Frame>,
}

impl Events {
    fn add(&mut self, kind: FrameKind, name: &str, members: Value) {
        let mut event = Map::new();
        event.insert("type".to_owned(), json!(name));
        event.insert("sequence_number".to_owned(), json!(self.frames.len()));
        if let Value::Object(members) = members {
            event.extend(members);
        }
        self.frames.push(Frame::event(kind, name, &Value::Object(event)));
    }

    /// An item from its announcement to its end.
    fn item(&mut self, place: usize, item: &Value, chunks: usize) {
        let id = item.get("id").cloned().unwrap_or_default();
        let is_call = item.get("type").is_some_and(|kind| kind == "function_call");
        let mut begun = item.clone();
        for (key, empty) in [
            ("content", json!([])),
            ("summary", json!([])),
            ("arguments", json!("")),
            ("status", json!("in_progress")),
        ] {
            if begun.get(key).is_some() {
                insert(&mut begun, key, empty);
            }
        }
        let kind = if is_call { FrameKind::Content } else { FrameKind::Opening };
        self.add(kind, "response.output_item.added", json!({"output_index": place, "item": begun}));
        let at = |members: Value| {
            let mut all = json!({"item_id": id, "output_index": place});
            if let (Value::Object(all), Value::Object(members)) = (&mut all, members) {
                all.extend(members);
            }
            all
        };
        for (index, part) in item.get("summary").and_then(Value::as_array).into_iter().flatten().enumerate() {
            let text = part.get("text").and_then(Value::as_str).unwrap_or_default();
            let empty = json!({"type": "summary_text", "text": ""});
            let base = "response.reasoning_summary";
            self.add(
                FrameKind::Opening,
                &format!("{base}_part.added"),
                at(json!({"summary_index": index, "part": empty})),
            );
            for piece in split(text, chunks) {
                self.add(
                    FrameKind::Content,
                    &format!("{base}_text.delta"),
                    at(json!({"summary_index": index, "delta": piece})),
                );
            }
            self.add(
                FrameKind::Content,
                &format!("{base}_text.done"),
                at(json!({"summary_index": index, "text": text})),
            );
            self.add(
                FrameKind::Content,
                &format!("{base}_part.done"),
                at(json!({"summary_index": index, "part": part})),
            );
        }
        for (index, part) in item.get("content").and_then(Value::as_array).into_iter().flatten().enumerate() {
            let text = part.get("text").and_then(Value::as_str).unwrap_or_default();
            let logprobs = part.get("logprobs").cloned().unwrap_or_default();
            let empty = json!({"type": "output_text", "text": "", "annotations": [], "logprobs": []});
            self.add(
                FrameKind::Opening,
                "response.content_part.added",
                at(json!({"content_index": index, "part": empty})),
            );
            for piece in split(text, chunks) {
                let delta = json!({"content_index": index, "delta": piece, "logprobs": []});
                self.add(FrameKind::Content, "response.output_text.delta", at(delta));
            }
            let done = json!({"content_index": index, "text": text, "logprobs": logprobs});
            self.add(FrameKind::Content, "response.output_text.done", at(done));
            self.add(
                FrameKind::Content,
                "response.content_part.done",
                at(json!({"content_index": index, "part": part})),
            );
        }
        if is_call {
            let arguments = item.get("arguments").and_then(Value::as_str).unwrap_or_default();
            for piece in split(arguments, chunks.min(4)) {
                self.add(
                    FrameKind::Content,
                    "response.function_call_arguments.delta",
                    at(json!({"delta": piece})),
                );
            }
            let done = json!({"arguments": arguments, "name": item.get("name")});
            self.add(FrameKind::Content, "response.function_call_arguments.done", at(done));
        }
        self.add(
            FrameKind::Content,
            "response.output_item.done",
            json!({"output_index": place, "item": item}),
        );
    }
}

#[cfg(test)]
mod tests;
