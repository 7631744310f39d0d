//! What a client sends and how it reads the answer.

use serde_json::{Map, Value, json};

use super::super::conversation::{Ask, Choice, Format, Offer, Outcome, Said, Turn, call_value};
use super::super::facet::Facet;
use super::super::speaker::{list, text};
use super::{MEMBERS, OWN};
use crate::Feature as F;

pub(super) fn ask(ask: &Ask) -> Value {
    let limit = ask.limit.unwrap_or(4_096);
    let mut body = json!({"model": "route", "max_tokens": limit, "messages": messages(ask)});
    let members = body.as_object_mut().unwrap();
    match ask.system.as_slice() {
        [] => {}
        [Said::Text(text)] => {
            members.insert("system".to_owned(), json!(text));
        }
        said => {
            members.insert("system".to_owned(), blocks(said));
        }
    }
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
    let mut choice = ask.choice.as_ref().map(|choice| match choice {
        Choice::Auto => json!({"type": "auto"}),
        Choice::None => json!({"type": "none"}),
        Choice::Required => json!({"type": "any"}),
        Choice::Tool(name) => json!({"type": "tool", "name": name}),
    });
    if let Some(parallel) = ask.parallel {
        choice.get_or_insert_with(|| json!({"type": "auto"}))["disable_parallel_tool_use"] = json!(!parallel);
    }
    set("tool_choice", choice);
    set("temperature", ask.temperature.filter(|temperature| *temperature <= 1.0).map(Value::from));
    set("top_p", ask.top_p.map(Value::from));
    set("top_k", ask.top_k.map(Value::from));
    set("stop_sequences", (!ask.stop.is_empty()).then(|| json!(ask.stop)));
    set("metadata", ask.user.as_ref().map(|user| json!({"user_id": user})));
    set("thinking", ask.budget.map(|budget| json!({"type": "enabled", "budget_tokens": budget})));
    let mut config = json!({});
    if let Some(effort) = &ask.effort {
        if effort == "none" {
            set("thinking", Some(json!({"type": "disabled"})));
        } else {
            set("thinking", Some(json!({"type": "adaptive"})));
            config["effort"] = json!(effort);
        }
    }
    if let Some(Format::Schema { schema, .. }) = &ask.format {
        config["format"] = json!({"type": "json_schema", "schema": schema});
    }
    set("output_config", Some(config).filter(|config| *config != json!({})));
}

fn messages(ask: &Ask) -> Vec<Value> {
    let turns = ask.turns.iter().map(|turn| match turn {
        Turn::System(text) => json!({"role": "system", "content": text}),
        Turn::User(said) => match said.as_slice() {
            [Said::Text(text)] => json!({"role": "user", "content": text}),
            said => json!({"role": "user", "content": blocks(said)}),
        },
        Turn::Assistant(said) => json!({"role": "assistant", "content": blocks(said)}),
        Turn::Results(outcomes) => {
            json!({"role": "user", "content": outcomes.iter().map(result).collect::<Vec<_>>()})
        }
    });
    turns.collect()
}

fn blocks(said: &[Said]) -> Value {
    let blocks = said.iter().filter_map(|said| match said {
        Said::Text(text) | Said::OddlyMarked(text) | Said::Cited { text, .. } => {
            Some(json!({"type": "text", "text": text}))
        }
        Said::Marked(text) => {
            Some(json!({"type": "text", "text": text, "cache_control": {"type": "ephemeral"}}))
        }
        Said::Image(picture) => Some(json!({"type": "image", "source": match &picture.url {
            Some(url) => json!({"type": "url", "url": url}),
            None => json!({"type": "base64", "media_type": picture.r#type, "data": picture.data}),
        }})),
        Said::Document(paper)
            if paper.url.is_some() || paper.r#type.as_deref() == Some("application/pdf") =>
        {
            let source = match &paper.url {
                Some(url) => json!({"type": "url", "url": url}),
                None => json!({"type": "base64", "media_type": paper.r#type, "data": paper.data}),
            };
            let mut block = json!({"type": "document", "source": source});
            if let Some(name) = &paper.name {
                block["title"] = json!(name);
            }
            Some(block)
        }
        Said::Thinking { maker, text, proof } if maker.as_str() == OWN => {
            Some(json!({"type": "thinking", "thinking": text, "signature": proof}))
        }
        Said::Sealed { maker, data } if maker.as_str() == OWN => {
            Some(json!({"type": "redacted_thinking", "data": data}))
        }
        Said::Call(call) => Some(json!({
            "type": "tool_use", "id": call.id, "name": call.name,
            "input": serde_json::from_str::<Value>(&call.arguments).unwrap_or_else(|_| json!({})),
        })),
        Said::Vendor { maker, item } if maker.as_str() == OWN => Some(item.clone()),
        _ => None,
    });
    Value::Array(blocks.collect())
}

fn result(outcome: &Outcome) -> Value {
    let content = match outcome.said.as_slice() {
        [Said::Text(text)] => json!(text),
        said => blocks(said),
    };
    let mut block = json!({"type": "tool_result", "tool_use_id": outcome.of, "content": content});
    if outcome.failed {
        block["is_error"] = json!(true);
    }
    block
}

fn offer(offer: &Offer) -> Option<Value> {
    match offer {
        Offer::Tool { name, description, schema, strict } => {
            let schema = schema.clone().unwrap_or_else(|| json!({"type": "object", "properties": {}}));
            let mut tool = json!({"name": name, "input_schema": schema});
            if let Some(description) = description {
                tool["description"] = json!(description);
            }
            if *strict {
                tool["strict"] = json!(true);
            }
            Some(tool)
        }
        Offer::Vendor { maker, tool } => (maker.as_str() == OWN).then(|| tool.clone()),
    }
}

pub(super) fn understand(answer: &Value) -> (String, Vec<Facet>) {
    assert_eq!((&answer["type"], &answer["role"]), (&json!("message"), &json!("assistant")));
    assert!(text(answer, "id").starts_with("msg_"));
    let word = text(answer, "stop_reason").to_owned();
    let explained = answer["stop_details"]["explanation"].as_str();
    let mut out = Vec::new();
    for block in list(&answer["content"]) {
        content_block(block, &mut out);
    }
    out.extend(explained.map(|text| Facet::new(F::Refusal, text)));
    out.extend(answer["stop_sequence"].as_str().map(|stop| Facet::new(F::StopSequence, stop)));
    usage(&answer["usage"], &mut out);
    (word, out)
}

fn content_block(block: &Value, out: &mut Vec<Facet>) {
    match text(block, "type") {
        "text" => {
            let said = text(block, "text");
            if !said.is_empty() {
                out.push(Facet::new(F::Text, said));
            }
            for citation in list(&block["citations"]) {
                let value = format!("{} {}", text(citation, "title"), text(citation, "url"));
                out.push(Facet::new(F::Citation, &value));
            }
        }
        "thinking" => {
            if !text(block, "thinking").is_empty() {
                out.push(Facet::new(F::Thinking, text(block, "thinking")));
            }
            if !text(block, "signature").is_empty() {
                out.push(Facet::of(F::ThinkingProof, OWN, text(block, "signature")));
            }
        }
        "redacted_thinking" => out.push(Facet::of(F::ThinkingProof, OWN, text(block, "data"))),
        "tool_use" => {
            assert!(!text(block, "id").is_empty());
            assert!(block["input"].is_object());
            // Arguments that are no object stand in one.
            let input = match block["input"]["arguments"]
                .as_str()
                .filter(|_| block["input"].as_object().unwrap().len() == 1)
            {
                Some(raw) if serde_json::from_str::<Value>(raw).is_err() => {
                    let value = call_value(text(block, "name"), raw);
                    return out.push(Facet::new(F::Call, &value).said_as("broken JSON under `arguments`"));
                }
                _ => block["input"].to_string(),
            };
            out.push(Facet::new(F::Call, &call_value(text(block, "name"), &input)));
        }
        _ => out.push(Facet::of(F::VendorItem, OWN, &block.to_string())),
    }
}

fn usage(usage: &Value, out: &mut Vec<Facet>) {
    let count = |value: &Value| value.as_u64().unwrap_or_default();
    let (read, written) =
        (count(&usage["cache_read_input_tokens"]), count(&usage["cache_creation_input_tokens"]));
    let input = count(&usage["input_tokens"]) + read + written;
    out.push(Facet::new(F::Usage, &format!("{input} in, {} out", count(&usage["output_tokens"]))));
    if read + written > 0 {
        out.push(Facet::new(F::CachedUsage, &format!("{read} read, {written} written")));
    }
    let thinking = count(&usage["output_tokens_details"]["thinking_tokens"]);
    if thinking > 0 {
        out.push(Facet::new(F::ReasoningUsage, &thinking.to_string()));
    }
}
