//! Speaks OpenAI's chat completions, embeddings and models, as strictly as the vendor.
//!
//! - [`read`] refuses what OpenAI's reference does not allow.
//! - [`whole`] and [`stream`] write the same [`Reply`] in the two forms.
//! - **Never here:** faults; `serve` lays them over what this module writes.

mod read;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::frame::{Frame, FrameKind};
use super::model::{Ask, Finish, Reply, Usage, split};
use super::shape::{Misfit, MisfitKind};

pub(crate) use read::{Embed, effort, metadata, read, read_embed, strict_schema};

/// The time in every answer; a fake has no clock.
const CREATED: u64 = 1_790_000_000;

/// The body of an error.
pub(crate) fn error(
    status: u16,
    kind: &str,
    code: Option<&str>,
    param: Option<&str>,
    message: &str,
) -> Value {
    let kind = match (kind, status) {
        ("", 401) => "authentication_error",
        ("", 403) => "permission_error",
        ("", 429) => "rate_limit_exceeded",
        ("", 500..) => "server_error",
        ("", _) => "invalid_request_error",
        (kind, _) => kind,
    };
    json!({"error": {"message": message, "type": kind, "param": param, "code": code}})
}

/// The body that refuses a request.
pub(crate) fn refusal(misfit: &Misfit) -> Value {
    let path = dots_to_brackets(&misfit.path);
    let (code, message) = match &misfit.kind {
        MisfitKind::Missing => {
            ("missing_required_parameter", format!("Missing required parameter: '{path}'."))
        }
        MisfitKind::Unknown => ("unknown_parameter", format!("Unknown parameter: '{path}'.")),
        MisfitKind::Type(expected) => {
            ("invalid_type", format!("Invalid type for '{path}': expected {expected}."))
        }
        MisfitKind::Rule(rule) => ("invalid_value", format!("Invalid '{path}': {rule}.")),
    };
    error(400, "", Some(code), Some(&path), &message)
}

/// `messages.0.role` as OpenAI writes it: `messages[0].role`.
fn dots_to_brackets(path: &str) -> String {
    let mut out = String::new();
    for part in path.split('.') {
        if !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()) {
            out.push_str(&format!("[{part}]"));
        } else {
            if !out.is_empty() {
                out.push('.');
            }
            out.push_str(part);
        }
    }
    out
}

/// The body of an answer that is not streamed.
pub(crate) fn whole(ask: &Ask, reply: &Reply, id: u64) -> Value {
    let calls = tool_calls(reply, id);
    let choice = |index: u64| {
        let mut message = json!({
            "role": "assistant",
            "content": if calls.is_empty() || !reply.text.is_empty() { json!(reply.text) } else { Value::Null },
            "refusal": null,
            "annotations": [],
        });
        if let (Some(message), false) = (message.as_object_mut(), calls.is_empty()) {
            message.insert("tool_calls".to_owned(), json!(calls));
        }
        json!({
            "index": index,
            "message": message,
            "logprobs": if ask.logprobs { logprobs(&reply.text) } else { Value::Null },
            "finish_reason": finish_reason(&reply.finish),
        })
    };
    json!({
        "id": format!("chatcmpl-fake{id:08}"),
        "object": "chat.completion",
        "created": CREATED,
        "model": ask.model,
        "choices": (0..ask.choices.max(1)).map(choice).collect::<Vec<_>>(),
        "usage": usage(reply.usage),
        "service_tier": "default",
        "system_fingerprint": "fp_fake",
    })
}

/// The frames of the same answer as a stream.
pub(crate) fn stream(ask: &Ask, reply: &Reply, id: u64, chunks: usize) -> Vec<Frame> {
    let chunk = |kind: FrameKind, choices: Value, usage: Option<Value>| {
        let mut body = json!({
            "id": format!("chatcmpl-fake{id:08}"),
            "object": "chat.completion.chunk",
            "created": CREATED,
            "model": ask.model,
            "choices": choices,
            "service_tier": "default",
            "system_fingerprint": "fp_fake",
        });
        if let (Some(body), true) = (body.as_object_mut(), ask.include_usage) {
            body.insert("usage".to_owned(), usage.unwrap_or(Value::Null));
        }
        Frame::data(kind, &body)
    };
    let delta = |kind, index: u64, delta: Value, text: &str, finish: Value| {
        let logprobs = if ask.logprobs && !text.is_empty() { logprobs(text) } else { Value::Null };
        let choice = json!({"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish});
        chunk(kind, json!([choice]), None)
    };
    let mut frames = Vec::new();
    for index in 0..ask.choices.max(1) {
        let opening = json!({"role": "assistant", "content": "", "refusal": null});
        frames.push(delta(FrameKind::Opening, index, opening, "", Value::Null));
        for part in split(&reply.text, chunks) {
            frames.push(delta(FrameKind::Content, index, json!({"content": part}), &part, Value::Null));
        }
        for call in call_deltas(reply, id, chunks) {
            frames.push(delta(FrameKind::Content, index, json!({"tool_calls": [call]}), "", Value::Null));
        }
        let finish = json!(finish_reason(&reply.finish));
        frames.push(delta(FrameKind::Finish, index, json!({}), "", finish));
    }
    if ask.include_usage {
        frames.push(chunk(FrameKind::Finish, json!([]), Some(usage(reply.usage))));
    }
    frames.push(Frame::text(FrameKind::End, "data: [DONE]\n\n"));
    frames
}

/// An error as a frame of a stream that has begun.
pub(crate) fn error_frame() -> Frame {
    let body = error(
        500,
        "",
        None,
        None,
        "The server had an error while processing your request. Sorry about that!",
    );
    Frame::data(FrameKind::Finish, &body)
}

/// Name and id in the first fragment of a call, the arguments in the ones after it.
fn call_deltas(reply: &Reply, id: u64, chunks: usize) -> Vec<Value> {
    let mut deltas = Vec::new();
    for (index, call) in reply.calls.iter().enumerate() {
        deltas.push(json!({
            "index": index,
            "id": call_id(id, index),
            "type": "function",
            "function": {"name": call.name, "arguments": ""},
        }));
        for part in split(&call.arguments.to_string(), chunks.min(4)) {
            deltas.push(json!({"index": index, "function": {"arguments": part}}));
        }
    }
    deltas
}

fn tool_calls(reply: &Reply, id: u64) -> Vec<Value> {
    let calls = reply.calls.iter().enumerate();
    calls
        .map(|(index, call)| {
            let function = json!({"name": call.name, "arguments": call.arguments.to_string()});
            json!({"id": call_id(id, index), "type": "function", "function": function})
        })
        .collect()
}

fn call_id(id: u64, index: usize) -> String {
    format!("call_fake{id:08}{index:03}")
}

const fn finish_reason(finish: &Finish) -> &'static str {
    match finish {
        Finish::End | Finish::Stop(_) => "stop",
        Finish::Length => "length",
        Finish::Calls => "tool_calls",
    }
}

fn logprobs(text: &str) -> Value {
    let tokens = text
        .split_inclusive(' ')
        .map(|word| json!({"token": word, "logprob": -0.25, "bytes": word.as_bytes(), "top_logprobs": []}));
    json!({"content": tokens.collect::<Vec<_>>(), "refusal": null})
}

fn usage(usage: Usage) -> Value {
    json!({
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "total_tokens": usage.input + usage.output,
        "prompt_tokens_details": {"cached_tokens": usage.cached, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    })
}

/// The answer of the embeddings endpoint: vectors that depend on the input alone.
pub(crate) fn embeddings(embed: &Embed) -> Value {
    let vector = |seed: usize| (0..embed.dimensions).map(move |at| component(seed, at)).collect::<Vec<f32>>();
    let encode = |vector: Vec<f32>| {
        if embed.base64 {
            json!(STANDARD.encode(vector.iter().flat_map(|number| number.to_le_bytes()).collect::<Vec<_>>()))
        } else {
            json!(vector)
        }
    };
    let data = embed.inputs.iter().enumerate().map(
        |(index, length)| json!({"object": "embedding", "index": index, "embedding": encode(vector(*length))}),
    );
    let tokens = embed.inputs.iter().sum::<usize>();
    json!({
        "object": "list",
        "data": data.collect::<Vec<_>>(),
        "model": embed.model,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    })
}

/// Eighths, so that both encodings give the same number.
fn component(seed: usize, at: usize) -> f32 {
    f32::from(u8::try_from((seed + at) % 8).unwrap_or(0)) / 8.0
}

/// One model.
pub(crate) fn model(name: &str) -> Value {
    json!({"id": name, "object": "model", "created": CREATED, "owned_by": "fake"})
}

/// The list of models.
pub(crate) fn models(names: &[String]) -> Value {
    json!({"object": "list", "data": names.iter().map(|name| model(name)).collect::<Vec<_>>()})
}

#[cfg(test)]
mod tests;
