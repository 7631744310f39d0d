//! How a provider reads a request, and what it answers.

use baton_model::{Dialect, FaultKind};
use serde_json::{Value, json};

use super::super::conversation::{Finish, PIECE, Reply, Said, call_value};
use super::super::facet::{Facet, paper};
use super::super::speaker::Speaker as _;
use super::super::speaker::{list, pieces, text};
use super::{MEMBERS, Messages, OWN};
use crate::Feature as F;

/// What Baton puts in front of instructions between turns, for which the API has no role.
const INSTRUCTION: &str = "System instruction: ";
/// The turn that Baton makes up where the dialect demands one.
const FILLER: &str = "Continue.";
const JSON_ONLY: &str =
    "Answer with exactly one JSON object and nothing else: no code fence, no text around it.";
const BY_SCHEMA: &str = " It must follow this JSON schema: ";

pub(super) fn hear(body: &Value) -> Vec<Facet> {
    let mut out = Vec::new();
    let mut form = None;
    for said in texts(&body["system"]) {
        match said["text"].as_str().unwrap().strip_prefix(JSON_ONLY) {
            Some("") => form = Some(Facet::new(F::JsonObject, "some").said_as("words in the instructions")),
            Some(rest) => {
                let schema = rest.strip_prefix(BY_SCHEMA).unwrap();
                let schema: Value = serde_json::from_str(schema).unwrap();
                let said = "words in the instructions, where the schema cannot be enforced";
                form = Some(Facet::new(F::JsonSchema, &schema.to_string()).said_as(said));
            }
            None => {
                out.push(Facet::new(F::SystemText, text(&said, "text")));
                if !said["cache_control"].is_null() {
                    out.push(Facet::new(F::CacheMark, text(&said, "text")));
                }
            }
        }
    }
    messages(list(&body["messages"]), &mut out);
    out.extend(form);
    let declared_only = body["tool_choice"]["type"] == "none" && !body["tools"].is_null();
    for tool in list(&body["tools"]) {
        // Tools of the history alone are declared without a word.
        if !(declared_only
            && tool["description"].is_null()
            && tool["input_schema"]["properties"] == json!({}))
        {
            offer(tool, &mut out);
        }
    }
    let known = ["model", "messages", "system", "tools", "stream", "max_tokens"];
    for (key, value) in body.as_object().unwrap() {
        if !known.contains(&key.as_str()) {
            setting(key, value, &mut out);
        }
    }
    out.push(Facet::new(F::OutputLimit, &body["max_tokens"].as_u64().unwrap().to_string()));
    let chosen = out.iter().any(|facet| matches!(facet.row.feature, F::Tool | F::VendorTool));
    out.retain(|facet| chosen || facet.row.feature != F::ToolChoice);
    out
}

fn texts(system: &Value) -> Vec<Value> {
    match system {
        Value::Null => Vec::new(),
        Value::String(text) => vec![json!({"text": text})],
        blocks => list(blocks).to_vec(),
    }
}

fn offer(tool: &Value, out: &mut Vec<Facet>) {
    if tool["input_schema"].is_null() {
        return out.push(Facet::of(F::VendorTool, OWN, &tool.to_string()));
    }
    let name = text(tool, "name");
    let description = tool["description"].as_str().unwrap_or_default();
    assert_eq!(tool["input_schema"]["type"], "object", "a schema of no object");
    out.push(Facet::new(F::Tool, &format!("{name}: {description}")));
    out.push(Facet::new(F::ToolSchema, &tool["input_schema"].to_string()));
    if tool["strict"] == true {
        out.push(Facet::new(F::StrictTool, name));
    }
}

fn setting(key: &str, value: &Value, out: &mut Vec<Facet>) {
    let number = || value.as_f64().unwrap().to_string();
    match key {
        "tool_choice" => {
            let choice = match text(value, "type") {
                "any" => "required",
                "tool" => text(value, "name"),
                word => word,
            };
            let parallel = value["disable_parallel_tool_use"].as_bool();
            out.push(Facet::new(F::ToolChoice, choice));
            out.push(Facet::new(F::ParallelCalls, &(parallel != Some(true)).to_string()));
        }
        "temperature" => {
            assert!(value.as_f64().unwrap() <= 1.0, "too hot");
            out.push(Facet::new(F::Temperature, &number()));
        }
        "top_p" => out.push(Facet::new(F::TopP, &number())),
        "top_k" => out.push(Facet::new(F::TopK, &value.to_string())),
        "stop_sequences" => {
            for stop in list(value) {
                assert!(!stop.as_str().unwrap().trim().is_empty(), "a blank stop sequence");
                out.push(Facet::new(F::Stop, stop.as_str().unwrap()));
            }
        }
        "metadata" => out.push(Facet::new(F::EndUser, text(value, "user_id"))),
        "thinking" => match text(value, "type") {
            "enabled" => {
                out.push(Facet::new(F::ThinkingBudget, &value["budget_tokens"].to_string()));
            }
            "disabled" => out.push(Facet::new(F::Effort, "none")),
            kind => assert_eq!(kind, "adaptive"),
        },
        "output_config" => {
            out.extend(value["effort"].as_str().map(|effort| Facet::new(F::Effort, effort)));
            if !value["format"].is_null() {
                out.push(Facet::new(F::JsonSchema, &value["format"]["schema"].to_string()));
            }
        }
        name => {
            assert!(MEMBERS.contains(&name), "{name}: Extra inputs are not permitted");
            out.push(Facet::of(F::OtherMember, name, &value.to_string()));
        }
    }
}

fn messages(turns: &[Value], out: &mut Vec<Facet>) {
    let mut open: Vec<(String, String)> = Vec::new();
    let mut last = "";
    for turn in turns {
        let role = text(turn, "role");
        assert!(role != last, "roles must alternate");
        assert!(!last.is_empty() || role == "user", "the first turn is the user's");
        last = role;
        let blocks = texts(&turn["content"]);
        assert!(!blocks.is_empty(), "a turn without content");
        let asked = std::mem::take(&mut open);
        let mut given = 0;
        for block in &blocks {
            if block["type"] == "tool_result" {
                let call = asked.iter().find(|(id, _)| id == text(block, "tool_use_id"));
                result(&call.expect("a result without its call in the turn before").1, block, out);
                given += 1;
                continue;
            }
            said(role, block, &mut open, out);
        }
        assert_eq!(given, asked.len(), "a call has no result in the next turn");
        let results = blocks.iter().take_while(|block| block["type"] == "tool_result").count();
        assert_eq!(results, given, "results stand first");
    }
    assert!(open.is_empty(), "calls without results");
}

fn said(role: &str, block: &Value, open: &mut Vec<(String, String)>, out: &mut Vec<Facet>) {
    let kind = block["type"].as_str().unwrap_or("text");
    match (kind, role) {
        ("text", role) => {
            let said = text(block, "text");
            assert!(!said.trim().is_empty(), "a blank text");
            out.extend(match (said, role) {
                (FILLER, "user") => None,
                (said, "user") => Some(match said.strip_prefix(INSTRUCTION) {
                    Some(said) => Facet::new(F::LaterInstruction, said)
                        .said_as("text of the user's behind `System instruction:`"),
                    None => Facet::new(F::UserText, said),
                }),
                (said, "system") => Some(Facet::new(F::LaterInstruction, said)),
                (said, _) => Some(Facet::new(F::AssistantText, said)),
            });
            if !block["cache_control"].is_null() {
                out.push(Facet::new(F::CacheMark, said));
            }
        }
        ("image", "user") => out.push(Facet::new(F::Image, &image(&block["source"]))),
        ("document", "user") => out.push(paper(F::Document, "", &document(block))),
        ("thinking", "assistant") => {
            let proof = block["signature"].as_str();
            out.push(Facet::thought(Dialect::AnthropicMessages, text(block, "thinking"), proof));
        }
        ("redacted_thinking", "assistant") => {
            out.push(Facet::thought(Dialect::AnthropicMessages, "", block["data"].as_str()));
        }
        ("tool_use", "assistant") => {
            let id = text(block, "id");
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
            assert!(id.bytes().all(plain), "an id with other characters");
            let value = call_value(text(block, "name"), &block["input"].to_string());
            out.push(Facet::new(F::PastCall, &value));
            open.push((id.to_owned(), value));
        }
        _ => out.push(Facet::of(F::PastVendorItem, OWN, &block.to_string())),
    }
}

fn image(source: &Value) -> String {
    match text(source, "type") {
        "url" => text(source, "url").to_owned(),
        _ => format!("data:{};base64,{}", text(source, "media_type"), text(source, "data")),
    }
}

fn document(block: &Value) -> String {
    format!("{} {}", block["title"].as_str().unwrap_or("-"), image(&block["source"]))
}

fn result(call: &str, block: &Value, out: &mut Vec<Facet>) {
    let blocks = texts(&block["content"]);
    let said: Vec<&str> = blocks.iter().filter_map(|block| block["text"].as_str()).collect();
    out.push(Facet::result(call, &said.join(PIECE)));
    if block["is_error"] == true {
        out.push(Facet::new(F::FailedResult, call));
    }
    for block in &blocks {
        match block["type"].as_str() {
            Some("image") => {
                out.push(Facet::new(F::ImageInResult, &format!("{call} {}", image(&block["source"]))));
            }
            Some("document") => {
                out.push(paper(F::DocumentInResult, call, &document(block)));
            }
            _ => {}
        }
    }
}

pub(super) fn reply(reply: &Reply) -> Value {
    let content: Vec<Value> = reply.said.iter().filter_map(block).collect();
    let refusal = reply.said.iter().find_map(|said| match said {
        Said::Refusal(text) => Some(text),
        _ => None,
    });
    let refused = matches!(reply.finish, Finish::Refusal | Finish::ContentFilter);
    let details = refused.then(|| json!({"type": "refusal", "category": "cyber", "explanation": refusal}));
    json!({
        "id": "msg_9", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5", "content": content,
        "stop_reason": word(Messages.tells(reply)), "stop_sequence": reply.stop_sequence, "stop_details": details,
        "usage": usage(reply),
    })
}

fn block(said: &Said) -> Option<Value> {
    Some(match said {
        Said::Text(text) => json!({"type": "text", "text": text, "citations": null}),
        Said::Cited { text, url, title } => json!({
            "type": "text", "text": text, "citations": [citation(text, url, title)],
        }),
        Said::Thinking { maker, text, proof } => {
            let signature = proof.as_deref().filter(|_| maker.as_str() == OWN).unwrap_or_default();
            json!({"type": "thinking", "thinking": text, "signature": signature})
        }
        Said::Sealed { maker: Dialect::AnthropicMessages, data } => {
            json!({"type": "redacted_thinking", "data": data})
        }
        Said::Call(call) => json!({
            "type": "tool_use", "id": call.id, "name": call.name,
            "input": serde_json::from_str::<Value>(&call.arguments).unwrap_or_else(|_| json!({})),
        }),
        Said::Vendor { maker: Dialect::AnthropicMessages, item } => item.clone(),
        _ => return None,
    })
}

fn citation(text: &str, url: &str, title: &str) -> Value {
    json!({
        "type": "web_search_result_location", "url": url, "title": title, "cited_text": text,
        "encrypted_index": "E9",
    })
}

fn word(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop => "end_turn",
        Finish::StopSequence => "stop_sequence",
        Finish::Length => "max_tokens",
        Finish::ToolCalls => "tool_use",
        Finish::ContentFilter | Finish::Refusal => "refusal",
        Finish::Pause => "pause_turn",
    }
}

fn usage(reply: &Reply) -> Value {
    let used = reply.usage;
    json!({
        "input_tokens": used.input - used.cached - used.written, "cache_read_input_tokens": used.cached,
        "cache_creation_input_tokens": used.written, "output_tokens": used.output,
        "output_tokens_details": {"thinking_tokens": used.thinking},
    })
}

pub(super) fn stream(reply: &Reply) -> Vec<String> {
    let whole = self::reply(reply);
    let frame = |event: Value| format!("event: {}\ndata: {event}\n\n", text(&event, "type"));
    let mut start = whole.clone();
    start["content"] = json!([]);
    for key in ["stop_reason", "stop_sequence", "stop_details"] {
        start[key] = Value::Null;
    }
    start["usage"]["output_tokens"] = json!(1);
    start["usage"]["output_tokens_details"] = Value::Null;
    let mut frames = vec![frame(json!({"type": "message_start", "message": start}))];
    frames.push(frame(json!({"type": "ping"})));
    for (index, block) in list(&whole["content"]).iter().enumerate() {
        let mut opening = block.clone();
        let mut deltas = Vec::new();
        match text(block, "type") {
            "text" => {
                opening["text"] = json!("");
                opening["citations"] = Value::Null;
                for citation in list(&block["citations"]) {
                    deltas.push(json!({"type": "citations_delta", "citation": citation}));
                }
                for piece in pieces(text(block, "text")) {
                    deltas.push(json!({"type": "text_delta", "text": piece}));
                }
            }
            "thinking" => {
                opening["thinking"] = json!("");
                opening["signature"] = json!("");
                for piece in pieces(text(block, "thinking")) {
                    deltas.push(json!({"type": "thinking_delta", "thinking": piece}));
                }
                deltas.push(json!({"type": "signature_delta", "signature": block["signature"]}));
            }
            "tool_use" | "server_tool_use" => {
                opening["input"] = json!({});
                for piece in pieces(&block["input"].to_string()) {
                    deltas.push(json!({"type": "input_json_delta", "partial_json": piece}));
                }
            }
            _ => {}
        }
        frames.push(frame(json!({"type": "content_block_start", "index": index, "content_block": opening})));
        for delta in deltas {
            frames.push(frame(json!({"type": "content_block_delta", "index": index, "delta": delta})));
        }
        frames.push(frame(json!({"type": "content_block_stop", "index": index})));
    }
    let mut delta = json!({});
    for key in ["stop_reason", "stop_sequence", "stop_details"] {
        delta[key] = whole[key].clone();
    }
    let usage = json!({
        "output_tokens": whole["usage"]["output_tokens"],
        "output_tokens_details": whole["usage"]["output_tokens_details"],
    });
    frames.push(frame(json!({"type": "message_delta", "delta": delta, "usage": usage})));
    frames.push(frame(json!({"type": "message_stop"})));
    frames
}

/// <https://platform.claude.com/docs/en/api/errors>
pub(super) fn failure(kind: FaultKind, message: &str) -> (u16, Value) {
    let (status, kind) = match kind {
        FaultKind::InvalidRequest | FaultKind::ContextTooLong => (400, "invalid_request_error"),
        FaultKind::RateLimited => (429, "rate_limit_error"),
        FaultKind::QuotaExhausted => (402, "billing_error"),
        FaultKind::Overloaded => (529, "overloaded_error"),
        FaultKind::ServerError => (500, "api_error"),
        other => panic!("{other}"),
    };
    let error = json!({"type": kind, "message": message});
    (status, json!({"type": "error", "error": error, "request_id": "req_9"}))
}
