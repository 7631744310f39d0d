//! What a client sends and how it reads the answer.

use baton_model::Dialect;
use serde_json::{Map, Value, json};

use super::super::conversation::{Ask, Choice, Format, Offer, Said, Turn, call_value};
use super::super::facet::Facet;
use super::super::speaker::{list, text};
use super::MEMBERS;
use crate::Feature as F;

pub(super) fn ask(ask: &Ask) -> Value {
    let mut body = json!({"model": "route", "messages": messages(ask)});
    let members = body.as_object_mut().unwrap();
    let tools: Vec<Value> = ask.tools.iter().filter_map(offer).collect();
    if !tools.is_empty() {
        members.insert("tools".to_owned(), tools.into());
    }
    settings(ask, members);
    for (name, value) in ask.members.iter().filter(|(name, _)| MEMBERS.contains(&name.as_str())) {
        members.insert(name.clone(), value.clone());
    }
    body
}

fn settings(ask: &Ask, members: &mut Map<String, Value>) {
    let mut set = |name: &str, value: Option<Value>| {
        members.extend(value.map(|value| (name.to_owned(), value)));
    };
    set(
        "tool_choice",
        ask.choice.as_ref().map(|choice| match choice {
            Choice::Auto => json!("auto"),
            Choice::None => json!("none"),
            Choice::Required => json!("required"),
            Choice::Tool(name) => json!({"type": "function", "function": {"name": name}}),
        }),
    );
    set("parallel_tool_calls", ask.parallel.map(Value::from));
    set("response_format", ask.format.as_ref().map(|format| match format {
        Format::Object => json!({"type": "json_object"}),
        Format::Schema { name, schema } => {
            json!({"type": "json_schema", "json_schema": {"name": name, "schema": schema, "strict": true}})
        }
    }));
    set("max_completion_tokens", ask.limit.map(Value::from));
    set("temperature", ask.temperature.map(Value::from));
    set("top_p", ask.top_p.map(Value::from));
    set("top_k", ask.top_k.map(Value::from));
    set("stop", (!ask.stop.is_empty()).then(|| json!(ask.stop)));
    set("seed", ask.seed.map(Value::from));
    set("frequency_penalty", ask.frequency_penalty.map(Value::from));
    set("presence_penalty", ask.presence_penalty.map(Value::from));
    set("reasoning_effort", ask.effort.clone().map(Value::from));
    set("user", ask.user.clone().map(Value::from));
    set("logprobs", ask.logprobs.map(|_| true.into()));
    set("top_logprobs", ask.logprobs.map(Value::from));
}

fn messages(ask: &Ask) -> Vec<Value> {
    let mut out = Vec::new();
    for said in &ask.system {
        out.push(json!({"role": "system", "content": content(std::slice::from_ref(said))}));
    }
    for turn in &ask.turns {
        match turn {
            Turn::System(text) => out.push(json!({"role": "system", "content": text})),
            Turn::User(said) => {
                let mut message = json!({"role": "user", "content": content(said)});
                if let Some(Said::By(name)) = said.first() {
                    message["name"] = json!(name);
                }
                out.push(message);
            }
            Turn::Assistant(said) => out.push(assistant(said)),
            Turn::Results(outcomes) => out.extend(outcomes.iter().map(|outcome| {
                let texts: Vec<Said> =
                    outcome.said.iter().filter(|said| matches!(said, Said::Text(_))).cloned().collect();
                json!({"role": "tool", "tool_call_id": outcome.of, "content": content(&texts)})
            })),
        }
    }
    out
}

/// A lone text is sent as such, as most clients do.
fn content(said: &[Said]) -> Value {
    if let [Said::Text(text)] | [Said::By(_), Said::Text(text)] = said {
        return json!(text);
    }
    let parts = said.iter().filter_map(|said| match said {
        Said::Text(text) | Said::Cited { text, .. } => Some(json!({"type": "text", "text": text})),
        Said::OddlyMarked(text) => {
            let mark = json!({"type": "ephemeral", "scope": "everywhere"});
            Some(json!({"type": "text", "text": text, "cache_control": mark}))
        }
        Said::Marked(text) => {
            Some(json!({"type": "text", "text": text, "cache_control": {"type": "ephemeral"}}))
        }
        Said::Image(picture) => {
            let mut url = json!({"url": picture.address()});
            if let Some(detail) = &picture.detail {
                url["detail"] = json!(detail);
            }
            Some(json!({"type": "image_url", "image_url": url}))
        }
        Said::Document(paper) if paper.url.is_none() => {
            let mut file = json!({"file_data": paper.address()});
            if let Some(name) = &paper.name {
                file["filename"] = json!(name);
            }
            Some(json!({"type": "file", "file": file}))
        }
        Said::Audio { format, data } => {
            Some(json!({"type": "input_audio", "input_audio": {"data": data, "format": format}}))
        }
        _ => None,
    });
    Value::Array(parts.collect())
}

fn assistant(said: &[Said]) -> Value {
    let mut message = json!({"role": "assistant", "content": null});
    let mut calls = Vec::new();
    let mut details = Vec::new();
    for said in said {
        match said {
            Said::Text(text) | Said::Cited { text, .. } => {
                let so_far = message["content"].as_str().unwrap_or_default();
                message["content"] = json!(format!("{so_far}{text}"));
            }
            Said::Refusal(text) => message["refusal"] = json!(text),
            Said::Thinking { maker: Dialect::OpenaiChat, text, .. } => {
                message["reasoning_content"] = json!(text);
            }
            Said::Thinking { maker: Dialect::AnthropicMessages, text, proof } => details.push(json!({
                "type": "reasoning.text", "text": text, "signature": proof, "format": "anthropic-claude-v1",
                "index": details.len(),
            })),
            Said::Sealed { maker: Dialect::AnthropicMessages, data } => details.push(json!({
                "type": "reasoning.encrypted", "data": data, "format": "anthropic-claude-v1",
                "index": details.len(),
            })),
            Said::Call(call) => calls.push(json!({
                "id": call.id, "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            })),
            Said::Vendor { maker: Dialect::OpenaiChat, item } => calls.push(item.clone()),
            _ => {}
        }
    }
    if !calls.is_empty() {
        message["tool_calls"] = calls.into();
    }
    if !details.is_empty() {
        message["reasoning_details"] = details.into();
    }
    message
}

fn offer(offer: &Offer) -> Option<Value> {
    match offer {
        Offer::Tool { name, description, schema, strict } => {
            let mut function = json!({"name": name});
            if let Some(description) = description {
                function["description"] = json!(description);
            }
            if let Some(schema) = schema {
                function["parameters"] = schema.clone();
            }
            if *strict {
                function["strict"] = json!(true);
            }
            Some(json!({"type": "function", "function": function}))
        }
        Offer::Vendor { maker: Dialect::OpenaiChat, tool } => Some(tool.clone()),
        Offer::Vendor { .. } => None,
    }
}

pub(super) fn understand(answer: &Value) -> (String, Vec<Facet>) {
    assert_eq!(answer["object"], "chat.completion");
    let choice = &answer["choices"][0];
    let message = &choice["message"];
    assert_eq!(message["role"], "assistant");
    let mut out = Vec::new();
    let details = list(&message["reasoning_details"]);
    let plain = message["reasoning_content"].as_str().unwrap_or_default();
    if !plain.is_empty() {
        out.push(Facet::new(F::Thinking, plain).said_as("`reasoning_content`"));
    }
    for detail in details {
        assert_eq!(detail["format"], "anthropic-claude-v1", "the maker of a proof is not told");
        let proof = detail["signature"].as_str().or(detail["data"].as_str()).unwrap();
        out.push(Facet::of(F::ThinkingProof, "anthropic_messages", proof).said_as("`reasoning_details`"));
    }
    for (key, feature) in [("content", F::Text), ("refusal", F::Refusal)] {
        let said = message[key].as_str().unwrap_or_default();
        if !said.is_empty() {
            out.push(Facet::new(feature, said));
        }
    }
    for call in list(&message["tool_calls"]) {
        assert!(!text(call, "id").is_empty());
        out.push(if call["type"] == "function" {
            let arguments = text(&call["function"], "arguments");
            Facet::new(F::Call, &call_value(text(&call["function"], "name"), arguments))
        } else {
            let mut call = call.clone();
            call.as_object_mut().unwrap().remove("index");
            Facet::of(F::VendorItem, "openai_chat", &call.to_string())
        });
    }
    for annotation in list(&message["annotations"]) {
        let source = &annotation["url_citation"];
        let value = format!("{} {}", text(source, "title"), text(source, "url"));
        out.push(Facet::new(F::Citation, &value).said_as("`annotations`"));
    }
    if !message["audio"].is_null() {
        out.push(Facet::new(F::SpokenAudio, &message["audio"].to_string()));
    }
    let logprobs = list(&choice["logprobs"]["content"]);
    if !logprobs.is_empty() {
        out.push(Facet::new(F::Logprobs, &Value::from(logprobs).to_string()));
    }
    usage(&answer["usage"], &mut out);
    let word = text(choice, "finish_reason");
    let refused = message["refusal"].is_string() && matches!(word, "stop" | "content_filter");
    (if refused { "refusal" } else { word }.to_owned(), out)
}

fn usage(usage: &Value, out: &mut Vec<Facet>) {
    let count = |value: &Value| value.as_u64().unwrap_or_default();
    let (input, output) = (count(&usage["prompt_tokens"]), count(&usage["completion_tokens"]));
    assert_eq!(count(&usage["total_tokens"]), input + output);
    out.push(Facet::new(F::Usage, &format!("{input} in, {output} out")));
    let details = &usage["prompt_tokens_details"];
    let (cached, written) = (count(&details["cached_tokens"]), count(&details["cache_write_tokens"]));
    if cached + written > 0 {
        out.push(Facet::new(F::CachedUsage, &format!("{cached} read, {written} written")));
    }
    let thinking = count(&usage["completion_tokens_details"]["reasoning_tokens"]);
    if thinking > 0 {
        out.push(Facet::new(F::ReasoningUsage, &thinking.to_string()));
    }
}
