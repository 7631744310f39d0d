//! How a provider reads a request, and what it answers.

use std::collections::BTreeMap;

use baton_model::{Dialect, FaultKind};
use serde_json::{Value, json};

use super::super::conversation::{Finish, ODD, PIECE, Reply, Said, call_value};
use super::super::facet::{Facet, paper};
use super::super::speaker::Speaker as _;
use super::super::speaker::{list, pieces, text};
use super::{Chat, MEMBERS};
use crate::Feature as F;

/// What Baton puts in front of the text of a failed result, for which there is no member.
const FAILED: &str = "[tool error]";
const PICTURES: [&str; 2] = ["Images in the result of tool call ", "Files in the result of tool call "];

pub(super) fn hear(body: &Value) -> Vec<Facet> {
    let mut out = messages(list(&body["messages"]));
    for tool in list(&body["tools"]) {
        if tool["type"] != "function" {
            out.push(Facet::of(F::VendorTool, "openai_chat", &tool.to_string()));
            continue;
        }
        let function = &tool["function"];
        let name = text(function, "name");
        let description = function["description"].as_str().unwrap_or_default();
        out.push(Facet::new(F::Tool, &format!("{name}: {description}")));
        if !function["parameters"].is_null() {
            out.push(Facet::new(F::ToolSchema, &function["parameters"].to_string()));
        }
        if function["strict"] == true {
            out.push(Facet::new(F::StrictTool, name));
        }
        if !tool["cache_control"].is_null() {
            out.push(Facet::new(F::CacheMark, name));
        }
    }
    let known = ["model", "messages", "tools", "stream", "stream_options"];
    for (key, value) in body.as_object().unwrap() {
        if !known.contains(&key.as_str()) {
            setting(key, value, &mut out);
        }
    }
    out
}

fn setting(key: &str, value: &Value, out: &mut Vec<Facet>) {
    let word = || value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let number = || value.as_f64().unwrap().to_string();
    out.push(match key {
        "tool_choice" => {
            let chosen = value["function"]["name"].as_str().map(str::to_owned);
            Facet::new(F::ToolChoice, &chosen.unwrap_or_else(word))
        }
        "parallel_tool_calls" => Facet::new(F::ParallelCalls, &word()),
        "response_format" if value["type"] == "json_object" => Facet::new(F::JsonObject, "some"),
        "response_format" => {
            assert!(!text(&value["json_schema"], "name").is_empty());
            Facet::new(F::JsonSchema, &value["json_schema"]["schema"].to_string())
        }
        "max_tokens" | "max_completion_tokens" => Facet::new(F::OutputLimit, &word()),
        "temperature" => Facet::new(F::Temperature, &number()),
        "top_p" => Facet::new(F::TopP, &number()),
        "top_k" => Facet::new(F::TopK, &word()),
        "stop" => {
            assert!(list(value).len() <= 4, "too many stop sequences");
            return out.extend(list(value).iter().map(|stop| Facet::new(F::Stop, stop.as_str().unwrap())));
        }
        "seed" => Facet::new(F::Seed, &word()),
        "frequency_penalty" => Facet::new(F::Penalties, &format!("frequency {}", number())),
        "presence_penalty" => Facet::new(F::Penalties, &format!("presence {}", number())),
        "reasoning_effort" => Facet::new(F::Effort, &word()),
        "user" | "safety_identifier" => Facet::new(F::EndUser, &word()),
        "logprobs" => return,
        "top_logprobs" => Facet::new(F::AskedLogprobs, &word()),
        name => {
            assert!(MEMBERS.contains(&name), "unknown parameter: {name}");
            Facet::of(F::OtherMember, name, &value.to_string())
        }
    });
}

fn messages(list_of: &[Value]) -> Vec<Facet> {
    let mut out = Vec::new();
    let mut started = false;
    let mut open: BTreeMap<String, String> = BTreeMap::new();
    let mut answered: BTreeMap<String, String> = BTreeMap::new();
    for message in list_of {
        let role = text(message, "role");
        assert!(role == "tool" || open.is_empty(), "a call has no result: {open:?}");
        if let Some(name) = message["name"].as_str() {
            out.push(Facet::new(F::SpeakerName, name));
        }
        started |= !matches!(role, "system" | "developer");
        match role {
            "system" | "developer" => {
                parts(
                    &message["content"],
                    if started { F::LaterInstruction } else { F::SystemText },
                    &mut out,
                );
            }
            "user" => user(&message["content"], &answered, &mut out),
            "assistant" => assistant(message, &mut open, &mut out),
            "tool" => {
                let id = text(message, "tool_call_id");
                assert!(id.len() <= 40, "an id is too long");
                let call = open.remove(id).expect("a result without a call");
                result(&call, &message["content"], &mut out);
                answered.insert(id.to_owned(), call);
            }
            other => panic!("role {other}"),
        }
    }
    assert!(open.is_empty(), "calls without results");
    out
}

fn parts(content: &Value, text_of: F, out: &mut Vec<Facet>) {
    if let Some(said) = content.as_str() {
        if !said.is_empty() {
            out.push(Facet::new(text_of, said));
        }
        return;
    }
    for part in list(content) {
        let facet = match text(part, "type") {
            "text" => Facet::new(text_of, text(part, "text")),
            "image_url" => {
                out.push(Facet::new(F::Image, text(&part["image_url"], "url")));
                match part["image_url"]["detail"].as_str() {
                    Some(detail) if detail != "auto" => Facet::new(F::ImageDetail, detail),
                    _ => continue,
                }
            }
            "file" => paper(F::Document, "", &document(&part["file"])),
            "input_audio" => {
                let audio = &part["input_audio"];
                Facet::new(F::Audio, &format!("{} {}", text(audio, "format"), text(audio, "data")))
            }
            other => panic!("part {other}"),
        };
        out.push(facet);
        let kind = if part["cache_control"]["scope"].is_null() { "" } else { ODD };
        if !part["cache_control"].is_null() {
            out.push(Facet::of(F::CacheMark, kind, text(part, "text")));
        }
    }
}

fn document(file: &Value) -> String {
    format!("{} {}", file["filename"].as_str().unwrap_or("-"), text(file, "file_data"))
}

/// Pictures and documents of results follow the results as the user's.
fn user(content: &Value, answered: &BTreeMap<String, String>, out: &mut Vec<Facet>) {
    let first = content[0]["text"].as_str().unwrap_or_default();
    if !PICTURES.iter().any(|words| first.starts_with(words)) {
        return parts(content, F::UserText, out);
    }
    let mut call = "";
    for part in list(content) {
        let words = part["text"].as_str();
        if let Some(id) = words.and_then(|text| PICTURES.iter().find_map(|words| text.strip_prefix(words))) {
            call = &answered[id.split(' ').next().unwrap()];
            continue;
        }
        let facet = match text(part, "type") {
            "image_url" => {
                Facet::new(F::ImageInResult, &format!("{call} {}", text(&part["image_url"], "url")))
            }
            "file" => paper(F::DocumentInResult, call, &document(&part["file"])),
            other => panic!("{other} of a result"),
        };
        let own = format!("{call} ");
        let behind = out.iter().rposition(|facet| {
            let of_call = facet.value.starts_with(&own) || facet.value == call;
            of_call
                && matches!(
                    facet.row.feature,
                    F::Result | F::FailedResult | F::ImageInResult | F::DocumentInResult
                )
        });
        out.insert(behind.unwrap() + 1, facet.said_as("a message of the user's behind the results"));
    }
}

fn result(call: &str, content: &Value, out: &mut Vec<Facet>) {
    let said = match content.as_str() {
        Some(text) => text.to_owned(),
        None => list(content).iter().map(|part| text(part, "text")).collect::<Vec<_>>().join(PIECE),
    };
    match said.strip_prefix(FAILED) {
        Some(said) => {
            out.push(Facet::result(call, said.strip_prefix(' ').unwrap_or(said)));
            out.push(Facet::new(F::FailedResult, call).said_as("`[tool error]` before the text"));
        }
        None => out.push(Facet::result(call, &said)),
    }
}

fn assistant(message: &Value, open: &mut BTreeMap<String, String>, out: &mut Vec<Facet>) {
    if let Some(thought) = message["reasoning_content"].as_str() {
        out.push(Facet::thought(Dialect::OpenaiChat, thought, None));
    }
    assert!(message["reasoning_details"].is_null(), "a foreign proof is sent");
    parts(&message["content"], F::AssistantText, out);
    if let Some(refusal) = message["refusal"].as_str() {
        out.push(Facet::new(F::PastRefusal, refusal));
    }
    for call in list(&message["tool_calls"]) {
        let id = text(call, "id").to_owned();
        assert!(id.len() <= 40, "an id is too long");
        let value = if call["type"] == "function" {
            let arguments = text(&call["function"], "arguments");
            let value = call_value(text(&call["function"], "name"), arguments);
            out.push(Facet::new(F::PastCall, &value));
            value
        } else {
            out.push(Facet::of(F::PastVendorItem, "openai_chat", &call.to_string()));
            "nothing".to_owned()
        };
        assert!(open.insert(id, value).is_none(), "an id stands twice");
    }
}

/// The parts of a message: content, refusal, thinking, calls, and the rest of its members.
pub(super) fn reply(reply: &Reply) -> Value {
    let mut message = json!({"role": "assistant", "content": null, "refusal": null});
    let mut calls = Vec::new();
    let mut annotations = Vec::new();
    let mut push = |key: &str, more: &str| {
        let so_far = message[key].as_str().unwrap_or_default();
        message[key] = json!(format!("{so_far}{more}"));
    };
    let mut spoken = None;
    let mut details = Vec::new();
    for said in &reply.said {
        match said {
            Said::Text(text) => push("content", text),
            Said::Cited { text, url, title } => {
                push("content", text);
                annotations.push(citation(text, url, title));
            }
            Said::Refusal(text) => push("refusal", text),
            Said::Thinking { text, proof, maker } => {
                push("reasoning_content", text);
                if let (Dialect::AnthropicMessages, Some(_)) = (maker, proof) {
                    details.push(json!({
                        "type": "reasoning.text", "text": text, "signature": proof,
                        "format": "anthropic-claude-v1", "index": 0,
                    }));
                }
            }
            Said::Sealed { maker: Dialect::AnthropicMessages, data } => details.push(json!({
                "type": "reasoning.encrypted", "data": data, "format": "anthropic-claude-v1", "index": 0,
            })),
            Said::Call(call) => calls.push(json!({
                "id": call.id, "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            })),
            Said::Vendor { maker: Dialect::OpenaiChat, item } => calls.push(item.clone()),
            Said::Spoken(audio) => spoken = Some(audio.clone()),
            _ => {}
        }
    }
    for (key, list) in [("tool_calls", calls), ("annotations", annotations), ("reasoning_details", details)] {
        if !list.is_empty() {
            message[key] = list.into();
        }
    }
    message["audio"] = spoken.into();
    let logprobs = (!reply.logprobs.is_empty()).then(|| json!({"content": reply.logprobs, "refusal": null}));
    json!({
        "id": "chatcmpl-9", "object": "chat.completion", "created": 1_700_000_000, "model": "gpt-5",
        "choices": [{"index": 0, "message": message, "logprobs": logprobs, "finish_reason": word(Chat.tells(reply))}],
        "usage": usage(reply), "service_tier": "default", "system_fingerprint": "fp_1",
    })
}

fn citation(text: &str, url: &str, title: &str) -> Value {
    let end = text.chars().count();
    json!({"type": "url_citation", "url_citation": {"start_index": 0, "end_index": end, "url": url, "title": title}})
}

fn word(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop | Finish::StopSequence | Finish::Pause | Finish::Refusal => "stop",
        Finish::Length => "length",
        Finish::ToolCalls => "tool_calls",
        Finish::ContentFilter => "content_filter",
    }
}

fn usage(reply: &Reply) -> Value {
    let used = reply.usage;
    json!({
        "prompt_tokens": used.input, "completion_tokens": used.output, "total_tokens": used.input + used.output,
        "prompt_tokens_details": {"cached_tokens": used.cached, "audio_tokens": 0, "cache_write_tokens": used.written},
        "completion_tokens_details": {"reasoning_tokens": used.thinking, "audio_tokens": 0},
    })
}

pub(super) fn stream(reply: &Reply) -> Vec<String> {
    let whole = self::reply(reply);
    let message = &whole["choices"][0]["message"];
    let mut deltas: Vec<(Value, Value)> = Vec::new();
    let first = if message["content"].is_string() { json!("") } else { Value::Null };
    deltas.push((json!({"role": "assistant", "content": first}), Value::Null));
    let mut tell = |delta: Value| deltas.push((delta, Value::Null));
    for key in ["reasoning_content", "content", "refusal"] {
        if key == "content" && !reply.logprobs.is_empty() {
            continue;
        }
        for piece in pieces(message[key].as_str().unwrap_or_default()) {
            tell(json!({key: piece}));
        }
        if key == "reasoning_content" && message["reasoning_details"].is_array() {
            let mut detail = message["reasoning_details"][0].clone();
            if detail["text"].is_string() {
                detail["text"] = json!("");
            }
            tell(json!({"reasoning_details": [detail]}));
        }
    }
    for (i, call) in list(&message["tool_calls"]).iter().enumerate() {
        let mut opening = call.clone();
        opening["index"] = json!(i);
        if call["type"] != "function" {
            tell(json!({"tool_calls": [opening]}));
            continue;
        }
        opening["function"]["arguments"] = json!("");
        tell(json!({"tool_calls": [opening]}));
        for piece in pieces(text(&call["function"], "arguments")) {
            tell(json!({"tool_calls": [{"index": i, "function": {"arguments": piece}}]}));
        }
    }
    for key in ["annotations", "audio"] {
        if !message[key].is_null() {
            tell(json!({key: message[key]}));
        }
    }
    // A token, a chunk.
    for token in &reply.logprobs {
        deltas.push((json!({"content": token["token"]}), json!({"content": [token], "refusal": null})));
    }
    let chunk = |choices: Value, usage: Value| {
        let chunk = json!({
            "id": "chatcmpl-9", "object": "chat.completion.chunk", "created": 1_700_000_000, "model": "gpt-5",
            "service_tier": "default", "system_fingerprint": "fp_1", "choices": choices, "usage": usage,
        });
        format!("data: {chunk}\n\n")
    };
    let mut frames: Vec<String> = deltas
        .into_iter()
        .map(|(delta, logprobs)| {
            let choice = json!({"index": 0, "delta": delta, "logprobs": logprobs, "finish_reason": null});
            chunk(json!([choice]), Value::Null)
        })
        .collect();
    let end = json!({"index": 0, "delta": {}, "logprobs": null, "finish_reason": word(Chat.tells(reply))});
    frames.push(chunk(json!([end]), Value::Null));
    frames.push(chunk(json!([]), usage(reply)));
    frames.push("data: [DONE]\n\n".to_owned());
    frames
}

/// <https://platform.openai.com/docs/guides/error-codes>
pub(super) fn failure(kind: FaultKind, message: &str) -> (u16, Value) {
    let (status, kind, code) = match kind {
        FaultKind::InvalidRequest => (400, "invalid_request_error", Value::Null),
        FaultKind::ContextTooLong => (400, "invalid_request_error", json!("context_length_exceeded")),
        FaultKind::RateLimited => (429, "requests", json!("rate_limit_exceeded")),
        FaultKind::QuotaExhausted => (429, "insufficient_quota", json!("insufficient_quota")),
        FaultKind::Overloaded => (503, "server_error", json!("server_overloaded")),
        FaultKind::ServerError => (500, "server_error", Value::Null),
        other => panic!("{other}"),
    };
    (status, json!({"error": {"message": message, "type": kind, "param": null, "code": code}}))
}
