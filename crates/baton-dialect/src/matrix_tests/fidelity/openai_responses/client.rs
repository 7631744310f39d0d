//! What a client sends and how it reads the answer.

use baton_model::Dialect;
use serde_json::{Map, Value, json};

use super::super::conversation::{Ask, Choice, Format, Offer, Outcome, Said, Turn, call_value};
use super::super::facet::Facet;
use super::super::speaker::{list, text};
use super::{MEMBERS, OWN};
use crate::Feature as F;

pub(super) fn ask(ask: &Ask) -> Value {
    let mut body = json!({"model": "route", "input": input(ask)});
    let members = body.as_object_mut().unwrap();
    if let [Said::Text(text)] = ask.system.as_slice() {
        members.insert("instructions".to_owned(), json!(text));
    }
    let tools: Vec<Value> = ask.tools.iter().filter_map(offer).collect();
    if !tools.is_empty() {
        members.insert("tools".to_owned(), tools.into());
    }
    settings(ask, members);
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
            Choice::Tool(name) => json!({"type": "function", "name": name}),
        }),
    );
    set("parallel_tool_calls", ask.parallel.map(Value::from));
    set("max_output_tokens", ask.limit.map(Value::from));
    set("temperature", ask.temperature.map(Value::from));
    set("top_p", ask.top_p.map(Value::from));
    set("reasoning", ask.effort.as_ref().map(|effort| json!({"effort": effort})));
    set("safety_identifier", ask.user.clone().map(Value::from));
    set("top_logprobs", ask.logprobs.map(Value::from));
    let mut include = ask.members.get("include").map(list).unwrap_or_default().to_vec();
    if ask.logprobs.is_some() {
        include.push(json!("message.output_text.logprobs"));
    }
    set("include", (!include.is_empty()).then(|| include.into()));
    let mut config = json!({});
    match &ask.format {
        None => {}
        Some(Format::Object) => config["format"] = json!({"type": "json_object"}),
        Some(Format::Schema { name, schema }) => {
            config["format"] = json!({"type": "json_schema", "name": name, "schema": schema, "strict": true});
        }
    }
    for (name, value) in ask.members.iter().filter(|(name, _)| MEMBERS.contains(&name.as_str())) {
        match name.as_str() {
            "include" => {}
            "verbosity" => config["verbosity"] = value.clone(),
            name => set(name, Some(value.clone())),
        }
    }
    set("text", Some(config).filter(|config| *config != json!({})));
}

fn input(ask: &Ask) -> Vec<Value> {
    let mut out = Vec::new();
    if !matches!(ask.system.as_slice(), [Said::Text(_)]) {
        for said in &ask.system {
            out.push(json!({"role": "system", "content": content(std::slice::from_ref(said))}));
        }
    }
    for turn in &ask.turns {
        match turn {
            Turn::System(text) => out.push(json!({"role": "system", "content": text})),
            Turn::User(said) => out.push(json!({"role": "user", "content": content(said)})),
            Turn::Assistant(said) => assistant(said, &mut out),
            Turn::Results(outcomes) => out.extend(outcomes.iter().map(result)),
        }
    }
    out
}

fn content(said: &[Said]) -> Value {
    if let [Said::Text(text)] = said {
        return json!(text);
    }
    let parts = said.iter().filter_map(|said| match said {
        Said::Text(text) | Said::OddlyMarked(text) | Said::Cited { text, .. } => {
            Some(json!({"type": "input_text", "text": text}))
        }
        Said::Marked(text) => Some(json!({
            "type": "input_text", "text": text, "prompt_cache_breakpoint": {"mode": "explicit"},
        })),
        Said::Image(picture) => Some(json!({
            "type": "input_image", "image_url": picture.address(),
            "detail": picture.detail.as_deref().unwrap_or("auto"),
        })),
        Said::Document(paper) => {
            let mut part = json!({"type": "input_file"});
            let key = if paper.url.is_some() { "file_url" } else { "file_data" };
            part[key] = json!(paper.address());
            if let Some(name) = &paper.name {
                part["filename"] = json!(name);
            }
            Some(part)
        }
        _ => None,
    });
    Value::Array(parts.collect())
}

/// An answer, as it came: its items, one after the other.
fn assistant(said: &[Said], out: &mut Vec<Value>) {
    for said in said {
        out.extend(match said {
            Said::Text(text) | Said::Cited { text, .. } => Some(json!({
                "type": "message", "role": "assistant", "id": format!("msg_{}", out.len()), "status": "completed",
                "content": [{"type": "output_text", "text": text, "annotations": []}],
            })),
            Said::Refusal(text) => Some(json!({
                "type": "message", "role": "assistant", "id": format!("msg_{}", out.len()), "status": "completed",
                "content": [{"type": "refusal", "refusal": text}],
            })),
            Said::Thinking { maker: Dialect::OpenaiResponses, text, proof } => Some(json!({
                "type": "reasoning", "id": format!("rs_{}", out.len()), "encrypted_content": proof,
                "summary": [{"type": "summary_text", "text": text}],
            })),
            Said::Thinking { maker: Dialect::AnthropicMessages, text, proof } => Some(json!({
                "type": "reasoning", "id": "rs_baton_1", "summary": [{"type": "summary_text", "text": text}],
                "encrypted_content": format!("anthropic_messages:signature:{}", proof.as_deref().unwrap()),
            })),
            Said::Sealed { maker: Dialect::AnthropicMessages, data } => Some(json!({
                "type": "reasoning", "id": "rs_baton_2", "summary": [],
                "encrypted_content": format!("anthropic_messages:sealed:{data}"),
            })),
            Said::Call(call) => Some(json!({
                "type": "function_call", "id": format!("fc_{}", out.len()), "call_id": call.id,
                "name": call.name, "arguments": call.arguments, "status": "completed",
            })),
            Said::Vendor { maker: Dialect::OpenaiResponses, item } => Some(item.clone()),
            _ => None,
        });
    }
}

fn result(outcome: &Outcome) -> Value {
    json!({"type": "function_call_output", "call_id": outcome.of, "output": content(&outcome.said)})
}

fn offer(offer: &Offer) -> Option<Value> {
    match offer {
        Offer::Tool { name, description, schema, strict } => {
            let mut tool = json!({"type": "function", "name": name, "strict": strict});
            if let Some(description) = description {
                tool["description"] = json!(description);
            }
            if let Some(schema) = schema {
                tool["parameters"] = schema.clone();
            }
            Some(tool)
        }
        Offer::Vendor { maker, tool } => (maker.as_str() == OWN).then(|| tool.clone()),
    }
}

pub(super) fn understand(answer: &Value) -> (String, Vec<Facet>) {
    assert_eq!(answer["object"], "response");
    let mut out = Vec::new();
    let mut logprobs = Vec::new();
    for item in list(&answer["output"]) {
        match text(item, "type") {
            "message" => {
                for part in list(&item["content"]) {
                    said(part, &mut logprobs, &mut out);
                }
            }
            "function_call" => {
                assert!(!text(item, "call_id").is_empty());
                let value = call_value(text(item, "name"), text(item, "arguments"));
                out.push(Facet::new(F::Call, &value));
            }
            "reasoning" => thought(item, &mut out),
            _ => out.push(Facet::of(F::VendorItem, OWN, &item.to_string())),
        }
    }
    if !logprobs.is_empty() {
        out.push(Facet::new(F::Logprobs, &Value::Array(logprobs).to_string()));
    }
    usage(&answer["usage"], &mut out);
    let has = |feature| out.iter().any(|facet| facet.row.feature == feature);
    let word = match (text(answer, "status"), answer["incomplete_details"]["reason"].as_str()) {
        ("completed", None) if has(F::Call) => "completed, with a call",
        ("completed", None) if has(F::Refusal) => "completed, with a refusal",
        ("completed", None) => "completed",
        ("incomplete", Some(reason)) => reason,
        other => panic!("{other:?}"),
    };
    (word.to_owned(), out)
}

fn said(part: &Value, logprobs: &mut Vec<Value>, out: &mut Vec<Facet>) {
    if part["type"] == "refusal" {
        return out.push(Facet::new(F::Refusal, text(part, "refusal")));
    }
    assert_eq!(part["type"], "output_text");
    if !text(part, "text").is_empty() {
        out.push(Facet::new(F::Text, text(part, "text")));
    }
    for annotation in list(&part["annotations"]) {
        let value = format!("{} {}", text(annotation, "title"), text(annotation, "url"));
        out.push(Facet::new(F::Citation, &value));
    }
    logprobs.extend_from_slice(list(&part["logprobs"]));
}

fn thought(item: &Value, out: &mut Vec<Facet>) {
    let summary: Vec<&str> = list(&item["summary"]).iter().map(|part| text(part, "text")).collect();
    if !summary.concat().is_empty() {
        out.push(Facet::new(F::Thinking, &summary.join("\n\n")));
    }
    let Some(proof) = item["encrypted_content"].as_str() else { return };
    let foreign = proof
        .strip_prefix("anthropic_messages:signature:")
        .or_else(|| proof.strip_prefix("anthropic_messages:sealed:"));
    out.push(match foreign {
        Some(proof) => {
            Facet::of(F::ThinkingProof, "anthropic_messages", proof).said_as("`encrypted_content`")
        }
        None => Facet::of(F::ThinkingProof, OWN, proof),
    });
}

fn usage(usage: &Value, out: &mut Vec<Facet>) {
    let count = |value: &Value| value.as_u64().unwrap_or_default();
    let (input, output) = (count(&usage["input_tokens"]), count(&usage["output_tokens"]));
    assert_eq!(count(&usage["total_tokens"]), input + output);
    out.push(Facet::new(F::Usage, &format!("{input} in, {output} out")));
    let details = &usage["input_tokens_details"];
    let (cached, written) = (count(&details["cached_tokens"]), count(&details["cache_write_tokens"]));
    if cached + written > 0 {
        out.push(Facet::new(F::CachedUsage, &format!("{cached} read, {written} written")));
    }
    let thinking = count(&usage["output_tokens_details"]["reasoning_tokens"]);
    if thinking > 0 {
        out.push(Facet::new(F::ReasoningUsage, &thinking.to_string()));
    }
}
