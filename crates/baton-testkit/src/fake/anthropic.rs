//! Speaks Anthropic's messages, token counts and models, as strictly as the vendor.
//!
//! - [`read`] refuses what Anthropic's reference does not allow.
//! - [`whole`] and [`stream`] write the same [`Reply`] in the two forms.
//! - **Never here:** faults; `serve` lays them over what this module writes.

mod read;

use serde_json::{Value, json};

use super::frame::{Frame, FrameKind};
use super::model::{Ask, Finish, Reply, Usage, split};
use super::shape::{Misfit, MisfitKind};

pub(crate) use read::{read, read_count};

/// The body of an error.
pub(crate) fn error(status: u16, message: &str, id: u64) -> Value {
    let kind = match status {
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        408 | 504 => "timeout_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        529 => "overloaded_error",
        500.. => "api_error",
        _ => "invalid_request_error",
    };
    json!({
        "type": "error",
        "error": {"type": kind, "message": message},
        "request_id": format!("req_fake{id:08}"),
    })
}

/// The body that refuses a request.
pub(crate) fn refusal(misfit: &Misfit, id: u64) -> Value {
    let path = &misfit.path;
    let message = match &misfit.kind {
        MisfitKind::Missing => format!("{path}: Field required"),
        MisfitKind::Unknown => format!("{path}: Extra inputs are not permitted"),
        MisfitKind::Type(expected) => format!("{path}: Input should be {expected}"),
        MisfitKind::Rule(rule) => format!("{path}: {rule}"),
    };
    let mut body = error(400, &message, id);
    if path == read::THREAD
        && let Some(error) = body.get_mut("error").and_then(Value::as_object_mut)
    {
        error.insert(
            "details".to_owned(),
            json!({"error_code": "thread_unsupported_request", "unsupported": []}),
        );
    }
    body
}

/// The body of an answer that is not streamed.
pub(crate) fn whole(ask: &Ask, reply: &Reply, id: u64) -> Value {
    let (reason, sequence) = stop(&reply.finish);
    let mut message = envelope(ask, reply, id);
    if let Some(message) = message.as_object_mut() {
        message.insert("content".to_owned(), json!(blocks(reply, id)));
        message.insert("stop_reason".to_owned(), json!(reason));
        message.insert("stop_sequence".to_owned(), json!(sequence));
        message.insert("usage".to_owned(), usage(reply.usage, reply.usage.output));
    }
    message
}

/// The message as `message_start` has it: no content, no stop reason.
fn envelope(ask: &Ask, reply: &Reply, id: u64) -> Value {
    json!({
        "id": format!("msg_fake{id:08}"),
        "type": "message",
        "role": "assistant",
        "model": ask.model,
        "content": [],
        "stop_reason": null,
        "stop_sequence": null,
        "stop_details": null,
        "container": null,
        "usage": usage(reply.usage, 1),
    })
}

/// `citations` is an empty list: the reference requires the member, and one SDK refuses `null` in it.
fn blocks(reply: &Reply, id: u64) -> Vec<Value> {
    let mut blocks = Vec::new();
    if let Some(thinking) = &reply.reasoning {
        blocks.push(json!({"type": "thinking", "thinking": thinking, "signature": signature(id)}));
    }
    if !reply.text.is_empty() {
        blocks.push(json!({"type": "text", "text": reply.text, "citations": []}));
    }
    for (index, call) in reply.calls.iter().enumerate() {
        blocks.push(tool_use(id, index, &call.name, &call.arguments));
    }
    blocks
}

fn tool_use(id: u64, index: usize, name: &str, input: &Value) -> Value {
    json!({
        "type": "tool_use",
        "id": format!("toolu_fake{id:08}{index:03}"),
        "name": name,
        "input": input,
        "caller": {"type": "direct"},
    })
}

fn signature(id: u64) -> String {
    format!("c2lnbmF0dXJl{id:08}")
}

/// The frames of the same answer as a stream.
pub(crate) fn stream(ask: &Ask, reply: &Reply, id: u64, chunks: usize) -> Vec<Frame> {
    let mut writer = Writer { frames: Vec::new(), index: 0 };
    writer.event(
        FrameKind::Opening,
        "message_start",
        &json!({"type": "message_start", "message": envelope(ask, reply, id)}),
    );
    writer.event(FrameKind::Opening, "ping", &json!({"type": "ping"}));
    if let Some(thinking) = &reply.reasoning {
        let mut deltas = split(thinking, chunks)
            .into_iter()
            .map(|part| json!({"type": "thinking_delta", "thinking": part}))
            .collect::<Vec<_>>();
        deltas.push(json!({"type": "signature_delta", "signature": signature(id)}));
        writer.block(
            FrameKind::Opening,
            &json!({"type": "thinking", "thinking": "", "signature": ""}),
            &deltas,
        );
    }
    if !reply.text.is_empty() {
        let deltas = split(&reply.text, chunks).into_iter();
        let deltas = deltas.map(|part| json!({"type": "text_delta", "text": part})).collect::<Vec<_>>();
        writer.block(FrameKind::Opening, &json!({"type": "text", "text": "", "citations": []}), &deltas);
    }
    for (index, call) in reply.calls.iter().enumerate() {
        let mut deltas = vec![json!({"type": "input_json_delta", "partial_json": ""})];
        let parts = split(&call.arguments.to_string(), chunks.min(4)).into_iter();
        deltas.extend(parts.map(|part| json!({"type": "input_json_delta", "partial_json": part})));
        writer.block(FrameKind::Content, &tool_use(id, index, &call.name, &json!({})), &deltas);
    }
    let (reason, sequence) = stop(&reply.finish);
    let delta = json!({
        "type": "message_delta",
        "delta": {"stop_reason": reason, "stop_sequence": sequence, "stop_details": null, "container": null},
        "usage": final_usage(reply.usage),
    });
    writer.event(FrameKind::Finish, "message_delta", &delta);
    writer.event(FrameKind::End, "message_stop", &json!({"type": "message_stop"}));
    writer.frames
}

struct Writer {
    frames: Vec<Frame>,
    index: usize,
}

impl Writer {
    fn event(&mut self, kind: FrameKind, name: &str, body: &Value) {
        self.frames.push(Frame::event(kind, name, body));
    }

    fn block(&mut self, kind: FrameKind, start: &Value, deltas: &[Value]) {
        let index = self.index;
        self.index += 1;
        let start = json!({"type": "content_block_start", "index": index, "content_block": start});
        self.event(kind, "content_block_start", &start);
        for delta in deltas {
            let delta = json!({"type": "content_block_delta", "index": index, "delta": delta});
            self.event(FrameKind::Content, "content_block_delta", &delta);
        }
        let stop = json!({"type": "content_block_stop", "index": index});
        self.event(FrameKind::Finish, "content_block_stop", &stop);
    }
}

/// An error as a frame of a stream that has begun.
pub(crate) fn error_frame(id: u64) -> Frame {
    Frame::event(FrameKind::Finish, "error", &error(529, "Overloaded", id))
}

fn stop(finish: &Finish) -> (&'static str, Option<&str>) {
    match finish {
        Finish::End => ("end_turn", None),
        Finish::Stop(sequence) => ("stop_sequence", Some(sequence)),
        Finish::Length => ("max_tokens", None),
        Finish::Calls => ("tool_use", None),
    }
}

/// Anthropic counts what the cache took and gave apart from `input_tokens`.
fn usage(usage: Usage, output: u64) -> Value {
    json!({
        "input_tokens": usage.input - usage.cached - usage.cache_write,
        "cache_creation_input_tokens": usage.cache_write,
        "cache_read_input_tokens": usage.cached,
        "cache_creation": {"ephemeral_5m_input_tokens": usage.cache_write, "ephemeral_1h_input_tokens": 0},
        "output_tokens": output,
        "output_tokens_details": {"thinking_tokens": usage.reasoning.min(output)},
        "server_tool_use": null,
        "service_tier": "standard",
        "inference_geo": "global",
    })
}

/// The cumulative counts of `message_delta`.
fn final_usage(usage: Usage) -> Value {
    json!({
        "input_tokens": usage.input - usage.cached - usage.cache_write,
        "cache_creation_input_tokens": usage.cache_write,
        "cache_read_input_tokens": usage.cached,
        "output_tokens": usage.output,
        "output_tokens_details": {"thinking_tokens": usage.reasoning},
        "server_tool_use": null,
    })
}

/// The answer to a count of tokens.
pub(crate) fn count(ask: &Ask) -> Value {
    json!({"input_tokens": (ask.prompt_bytes / 4).max(8)})
}

/// One model.
pub(crate) fn model(name: &str) -> Value {
    json!({
        "type": "model",
        "id": name,
        "display_name": name,
        "created_at": "2026-01-02T00:00:00Z",
        "max_input_tokens": 200_000,
        "max_tokens": 64_000,
        "capabilities": null,
    })
}

/// The list of models.
pub(crate) fn models(names: &[String]) -> Value {
    json!({
        "data": names.iter().map(|name| model(name)).collect::<Vec<_>>(),
        "has_more": false,
        "first_id": names.first(),
        "last_id": names.last(),
    })
}

#[cfg(test)]
mod tests;
