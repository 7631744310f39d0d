//! How a provider reads a request, and what it answers.

use std::collections::BTreeMap;

use baton_model::{Dialect, FaultKind};
use serde_json::{Value, json};

use super::super::conversation::{Finish, PIECE, Reply, Said, call_value};
use super::super::facet::{Facet, paper};
use super::super::speaker::{list, pieces, text};
use super::{MEMBERS, OWN};
use crate::Feature as F;

/// What Baton puts in front of the text of a failed result, for which there is no member.
const FAILED: &str = "[tool error]";

pub(super) fn hear(body: &Value) -> Vec<Facet> {
    let mut out = Vec::new();
    out.extend(body["instructions"].as_str().map(|said| Facet::new(F::SystemText, said)));
    items(list(&body["input"]), &mut out);
    for tool in list(&body["tools"]) {
        offer(tool, &mut out);
    }
    let known = ["model", "input", "instructions", "tools", "stream"];
    for (key, value) in body.as_object().unwrap() {
        if !known.contains(&key.as_str()) {
            setting(key, value, body, &mut out);
        }
    }
    out
}

fn offer(tool: &Value, out: &mut Vec<Facet>) {
    if tool["type"] != "function" {
        return out.push(Facet::of(F::VendorTool, OWN, &tool.to_string()));
    }
    let name = text(tool, "name");
    let description = tool["description"].as_str().unwrap_or_default();
    out.push(Facet::new(F::Tool, &format!("{name}: {description}")));
    if !tool["parameters"].is_null() {
        out.push(Facet::new(F::ToolSchema, &tool["parameters"].to_string()));
    }
    // Here a tool is strict unless it says that it is not.
    if tool["strict"] != false {
        out.push(Facet::new(F::StrictTool, name));
    }
}

fn setting(key: &str, value: &Value, body: &Value, out: &mut Vec<Facet>) {
    let word = || value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let number = || value.as_f64().unwrap().to_string();
    match key {
        "tool_choice" => {
            let chosen = value["name"].as_str().map(str::to_owned);
            out.push(Facet::new(F::ToolChoice, &chosen.unwrap_or_else(word)));
        }
        "parallel_tool_calls" => out.push(Facet::new(F::ParallelCalls, &word())),
        "max_output_tokens" => {
            assert!(value.as_u64().unwrap() >= 16, "max_output_tokens below the minimum");
            out.push(Facet::new(F::OutputLimit, &word()));
        }
        "temperature" => out.push(Facet::new(F::Temperature, &number())),
        "top_p" => out.push(Facet::new(F::TopP, &number())),
        "reasoning" => out.push(Facet::new(F::Effort, text(value, "effort"))),
        "safety_identifier" | "user" => out.push(Facet::new(F::EndUser, &word())),
        "text" => {
            match value["format"]["type"].as_str() {
                None => {}
                Some("json_object") => out.push(Facet::new(F::JsonObject, "some")),
                Some(kind) => {
                    assert_eq!(kind, "json_schema");
                    assert!(!text(&value["format"], "name").is_empty());
                    out.push(Facet::new(F::JsonSchema, &value["format"]["schema"].to_string()));
                }
            }
            let verbosity = value.get("verbosity").map(Value::to_string);
            out.extend(verbosity.map(|word| Facet::of(F::OtherMember, "verbosity", &word)));
        }
        "include" => {
            let wanted = json!("message.output_text.logprobs");
            let (logprobs, others): (Vec<&Value>, Vec<&Value>) =
                list(value).iter().partition(|member| **member == wanted);
            if !logprobs.is_empty() {
                out.push(Facet::new(F::AskedLogprobs, &body["top_logprobs"].to_string()));
            }
            if !others.is_empty() {
                out.push(Facet::of(F::OtherMember, "include", &json!(others).to_string()));
            }
        }
        "top_logprobs" => {}
        name => {
            assert!(MEMBERS.contains(&name), "unknown parameter: {name}");
            out.push(Facet::of(F::OtherMember, name, &value.to_string()));
        }
    }
}

fn items(list_of: &[Value], out: &mut Vec<Facet>) {
    let mut started = false;
    let mut calls: BTreeMap<&str, (String, bool)> = BTreeMap::new();
    for item in list_of {
        let kind = item["type"].as_str().unwrap_or("message");
        let role = item["role"].as_str().unwrap_or_default();
        started |= kind != "message" || !matches!(role, "system" | "developer");
        match kind {
            "message" => {
                let feature = match role {
                    "system" | "developer" if started => F::LaterInstruction,
                    "system" | "developer" => F::SystemText,
                    "user" => F::UserText,
                    role => {
                        assert_eq!(role, "assistant");
                        F::AssistantText
                    }
                };
                said(&item["content"], feature, out);
            }
            "function_call" => {
                let id = text(item, "call_id");
                assert!(id.len() <= 64, "an id is too long");
                let value = call_value(text(item, "name"), text(item, "arguments"));
                out.push(Facet::new(F::PastCall, &value));
                assert!(calls.insert(id, (value, false)).is_none(), "an id stands twice");
            }
            "function_call_output" => {
                let (call, answered) = calls.get_mut(text(item, "call_id")).expect("a result without a call");
                assert!(!std::mem::replace(answered, true), "two results of a call");
                result(call, &item["output"], out);
            }
            "reasoning" => {
                assert!(!text(item, "id").starts_with("rs_baton_"), "a foreign proof is sent");
                let summary: String = list(&item["summary"]).iter().map(|part| text(part, "text")).collect();
                let proof = item["encrypted_content"].as_str();
                out.push(Facet::thought(Dialect::OpenaiResponses, &summary, proof));
            }
            _ => out.push(Facet::of(F::PastVendorItem, OWN, &item.to_string())),
        }
    }
    assert!(calls.values().all(|(_, answered)| *answered), "No tool output found for function call");
}

fn said(content: &Value, text_of: F, out: &mut Vec<Facet>) {
    if let Some(said) = content.as_str() {
        if !said.is_empty() {
            out.push(Facet::new(text_of, said));
        }
        return;
    }
    let by_model = text_of == F::AssistantText;
    for part in list(content) {
        match (text(part, "type"), by_model) {
            ("input_text", false) | ("output_text", true) => {
                out.push(Facet::new(text_of, text(part, "text")));
                if !part["prompt_cache_breakpoint"].is_null() {
                    out.push(Facet::new(F::CacheMark, text(part, "text")));
                }
            }
            ("refusal", true) => out.push(Facet::new(F::PastRefusal, text(part, "refusal"))),
            ("input_image", false) => {
                out.push(Facet::new(F::Image, text(part, "image_url")));
                let detail = part["detail"].as_str().filter(|detail| *detail != "auto");
                out.extend(detail.map(|detail| Facet::new(F::ImageDetail, detail)));
            }
            ("input_file", false) => out.push(paper(F::Document, "", &document(part))),
            other => panic!("{other:?}"),
        }
    }
}

fn document(part: &Value) -> String {
    let address = part["file_url"].as_str().or(part["file_data"].as_str()).unwrap();
    format!("{} {address}", part["filename"].as_str().unwrap_or("-"))
}

fn result(call: &str, output: &Value, out: &mut Vec<Facet>) {
    let parts = list(output);
    let texts: Vec<&str> = match output.as_str() {
        Some(said) => vec![said],
        None => parts.iter().filter_map(|part| part["text"].as_str()).collect(),
    };
    let failed = texts.first().is_some_and(|said| said.starts_with(FAILED));
    let said = texts.join(PIECE);
    let said = said.strip_prefix(FAILED).unwrap_or(&said);
    let said = if failed { said.strip_prefix([' ', '\u{1}']).unwrap_or(said) } else { said };
    out.push(Facet::result(call, said));
    if failed {
        out.push(Facet::new(F::FailedResult, call).said_as("`[tool error]` before the text"));
    }
    for part in parts {
        match text(part, "type") {
            "input_image" => {
                out.push(Facet::new(F::ImageInResult, &format!("{call} {}", text(part, "image_url"))));
            }
            "input_file" => out.push(paper(F::DocumentInResult, call, &document(part))),
            kind => assert_eq!(kind, "input_text"),
        }
    }
}

pub(super) fn reply(reply: &Reply) -> Value {
    let (status, reason) = match reply.finish {
        Finish::Length => ("incomplete", Some("max_output_tokens")),
        Finish::ContentFilter => ("incomplete", Some("content_filter")),
        _ => ("completed", None),
    };
    let used = reply.usage;
    json!({
        "id": "resp_9", "object": "response", "created_at": 1_700_000_000, "status": status, "error": null,
        "incomplete_details": reason.map(|reason| json!({"reason": reason})), "model": "gpt-5",
        "output": output(reply),
        "usage": {
            "input_tokens": used.input, "output_tokens": used.output, "total_tokens": used.input + used.output,
            "input_tokens_details": {"cached_tokens": used.cached, "cache_write_tokens": used.written},
            "output_tokens_details": {"reasoning_tokens": used.thinking},
        },
    })
}

/// The items: what is said stands in one message, as long as nothing else comes between.
fn output(reply: &Reply) -> Vec<Value> {
    let mut items: Vec<Value> = Vec::new();
    let mut logprobs = Some(&reply.logprobs);
    for said in &reply.said {
        let place = items.len();
        let (part, item) = match said {
            Said::Text(text) => {
                let logprobs = logprobs.take().cloned().unwrap_or_default();
                let part =
                    json!({"type": "output_text", "text": text, "annotations": [], "logprobs": logprobs});
                (Some(part), None)
            }
            Said::Cited { text, url, title } => {
                let end = text.chars().count();
                let source = json!({
                    "type": "url_citation", "start_index": 0, "end_index": end, "url": url, "title": title,
                });
                let part =
                    json!({"type": "output_text", "text": text, "annotations": [source], "logprobs": []});
                (Some(part), None)
            }
            Said::Refusal(text) => (Some(json!({"type": "refusal", "refusal": text})), None),
            Said::Thinking { text, proof, maker } => {
                let summary =
                    if text.is_empty() { json!([]) } else { json!([{"type": "summary_text", "text": text}]) };
                let mut item = json!({"type": "reasoning", "id": format!("rs_{place}"), "summary": summary});
                if maker.as_str() == OWN {
                    item["encrypted_content"] = json!(proof);
                }
                (None, Some(item))
            }
            Said::Call(call) => {
                let item = json!({
                    "type": "function_call", "id": format!("fc_{place}"), "call_id": call.id, "name": call.name,
                    "arguments": call.arguments, "status": "completed",
                });
                (None, Some(item))
            }
            Said::Vendor { maker: Dialect::OpenaiResponses, item } => (None, Some(item.clone())),
            _ => (None, None),
        };
        items.extend(item);
        if let Some(part) = part {
            if items.last().is_none_or(|item| item["type"] != "message") {
                items.push(json!({
                    "type": "message", "id": format!("msg_{place}"), "status": "completed", "role": "assistant",
                    "content": [],
                }));
            }
            let message = items.last_mut().unwrap();
            message["content"].as_array_mut().unwrap().push(part);
        }
    }
    items
}

pub(super) fn stream(reply: &Reply) -> Vec<String> {
    let whole = self::reply(reply);
    let mut events: Vec<Value> = Vec::new();
    let mut begun = whole.clone();
    begun["status"] = json!("in_progress");
    begun["output"] = json!([]);
    for key in ["usage", "incomplete_details"] {
        begun[key] = Value::Null;
    }
    for name in ["response.created", "response.in_progress"] {
        events.push(json!({"type": name, "response": begun}));
    }
    for (place, item) in list(&whole["output"]).iter().enumerate() {
        let mut opening = item.clone();
        let before = events.len();
        match text(item, "type") {
            "message" => opening["content"] = json!([]),
            "function_call" => opening["arguments"] = json!(""),
            "reasoning" => {
                opening["summary"] = json!([]);
                opening.as_object_mut().unwrap().remove("encrypted_content");
            }
            _ => {}
        }
        if opening.get("status").is_some() {
            opening["status"] = json!("in_progress");
        }
        events.push(json!({"type": "response.output_item.added", "item": opening}));
        of_item(item, &mut events);
        events.push(json!({"type": "response.output_item.done", "item": item}));
        for event in &mut events[before..] {
            event["output_index"] = json!(place);
            if event.get("item").is_none() {
                event["item_id"] = item["id"].clone();
            }
        }
    }
    let name = format!("response.{}", text(&whole, "status"));
    events.push(json!({"type": name, "response": whole}));
    let frames = events.into_iter().enumerate().map(|(number, mut event)| {
        event["sequence_number"] = json!(number);
        format!("event: {}\ndata: {event}\n\n", text(&event, "type"))
    });
    frames.collect()
}

/// What is told between the beginning and the end of an item.
fn of_item(item: &Value, events: &mut Vec<Value>) {
    match text(item, "type") {
        "message" => {
            for (place, part) in list(&item["content"]).iter().enumerate() {
                of_part(place, part, events);
            }
        }
        "function_call" => {
            for piece in pieces(text(item, "arguments")) {
                events.push(json!({"type": "response.function_call_arguments.delta", "delta": piece}));
            }
            events.push(json!({
                "type": "response.function_call_arguments.done", "name": item["name"],
                "arguments": item["arguments"],
            }));
        }
        "reasoning" => {
            for (place, part) in list(&item["summary"]).iter().enumerate() {
                let at = events.len();
                let empty = json!({"type": "summary_text", "text": ""});
                events.push(json!({"type": "response.reasoning_summary_part.added", "part": empty}));
                for piece in pieces(text(part, "text")) {
                    events.push(json!({"type": "response.reasoning_summary_text.delta", "delta": piece}));
                }
                let done = "response.reasoning_summary_text.done";
                events.push(json!({"type": done, "text": part["text"]}));
                events.push(json!({"type": "response.reasoning_summary_part.done", "part": part}));
                for event in &mut events[at..] {
                    event["summary_index"] = json!(place);
                }
            }
        }
        _ => {}
    }
}

fn of_part(place: usize, part: &Value, events: &mut Vec<Value>) {
    let at = events.len();
    let (key, word) =
        if part["type"] == "refusal" { ("refusal", "refusal") } else { ("text", "output_text") };
    let mut opening = part.clone();
    opening[key] = json!("");
    for list in ["annotations", "logprobs"] {
        if opening.get(list).is_some() {
            opening[list] = json!([]);
        }
    }
    events.push(json!({"type": "response.content_part.added", "part": opening}));
    let logprobs = list(&part["logprobs"]);
    if logprobs.is_empty() {
        for piece in pieces(text(part, key)) {
            events.push(json!({"type": format!("response.{word}.delta"), "delta": piece, "logprobs": []}));
        }
    }
    for token in logprobs {
        events.push(json!({
            "type": format!("response.{word}.delta"), "delta": token["token"], "logprobs": [token],
        }));
    }
    for (number, annotation) in list(&part["annotations"]).iter().enumerate() {
        events.push(json!({
            "type": "response.output_text.annotation.added", "annotation_index": number, "annotation": annotation,
        }));
    }
    let mut done = json!({"type": format!("response.{word}.done")});
    done[key] = part[key].clone();
    if key == "text" {
        done["logprobs"] = part["logprobs"].clone();
    }
    events.push(done);
    events.push(json!({"type": "response.content_part.done", "part": part}));
    for event in &mut events[at..] {
        event["content_index"] = json!(place);
    }
}

/// <https://platform.openai.com/docs/guides/error-codes>
pub(super) fn failure(kind: FaultKind, message: &str) -> (u16, Value) {
    let (status, kind, code) = match kind {
        FaultKind::InvalidRequest => (400, "invalid_request_error", Value::Null),
        FaultKind::ContextTooLong => (400, "invalid_request_error", json!("context_length_exceeded")),
        FaultKind::RateLimited => (429, "requests", json!("rate_limit_exceeded")),
        FaultKind::QuotaExhausted => (429, "insufficient_quota", json!("insufficient_quota")),
        FaultKind::Overloaded => (503, "server_error", json!("server_overloaded")),
        FaultKind::ServerError => (500, "server_error", json!("server_error")),
        other => panic!("{other}"),
    };
    (status, json!({"error": {"message": message, "type": kind, "param": null, "code": code}}))
}
