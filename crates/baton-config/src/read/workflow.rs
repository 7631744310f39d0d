//! Reads `workflows`.
//!
//! What a workflow may look like is known by `baton-run`, because requests bring the same shape. Here each of its
//! mistakes gets its place in the file, and every model and agent that it asks is looked for.

use baton_policy::OutputRule;
use baton_run::{Around, Asks, Check, OnInvalid, Validation, Workflow};
use serde_json::{Map, Number};

use super::mcp::Nameable;
use crate::reader::{At, Reader, Section};
use crate::tree::{Node, Value};
use crate::value::Wrong;

/// The most workflows of a file.
const MOST: usize = 100;

pub(super) fn workflows(
    reader: &mut Reader<'_>,
    top: &mut Section<'_>,
    known: &Nameable<'_>,
) -> Vec<(String, serde_json::Value)> {
    let Some(at) = reader.take(top, "workflows") else { return Vec::new() };
    let entries = reader.named(&at);
    if entries.len() > MOST {
        reader.wrong_at(at.node.span, &at.path, Wrong::new(format!("expected at most {MOST} workflows")));
    }
    let documents: Vec<(String, serde_json::Value)> = entries
        .iter()
        .filter_map(|entry| Some((entry.name.to_owned(), written(reader, &entry.value)?)))
        .collect();
    for entry in &entries {
        let Some((_, document)) = documents.iter().find(|(name, _)| name == entry.name) else { continue };
        match Workflow::read(entry.name, document, Around { others: &documents, context: None }) {
            Ok(workflow) => check_names(reader, &entry.value, &workflow, known),
            Err(mistakes) => {
                for mistake in mistakes {
                    let wrong = Wrong::new(mistake.message);
                    let wrong = if let Some(hint) = mistake.hint { wrong.hint(hint) } else { wrong };
                    wrong_at(reader, &entry.value, &mistake.path, wrong);
                }
            }
        }
    }
    documents
}

/// Looks for everybody that a workflow asks, and reads its expressions.
fn check_names(reader: &mut Reader<'_>, at: &At<'_>, workflow: &Workflow, known: &Nameable<'_>) {
    for (path, inquiry) in workflow.inquiries() {
        let key = match inquiry.asks {
            Asks::Model(_) | Asks::Pool(_) => "model",
            Asks::Models(_) => "models",
            Asks::Agent(_) => "agent",
        };
        check_all(reader, at, &format!("{path}.{key}"), &inquiry.asks, known);
        let Some(Validation { check, on_failure }) = &inquiry.validation else { continue };
        match check {
            Check::Schema(_) => {}
            Check::Cel(expression) => {
                if let Err(why) = OutputRule::compile(expression) {
                    wrong_at(reader, at, &format!("{path}.validation.cel"), Wrong::new(why));
                }
            }
            Check::Criteria { judge, .. } => {
                let judge = Asks::Model(judge.clone());
                check_all(reader, at, &format!("{path}.validation.judge"), &judge, known);
            }
        }
        if let OnInvalid::Handoff { to } = on_failure {
            check_all(reader, at, &format!("{path}.validation.to"), to, known);
        }
    }
}

fn check_all(reader: &mut Reader<'_>, at: &At<'_>, path: &str, asks: &Asks, known: &Nameable<'_>) {
    for name in asks.names() {
        if let Err(wrong) = known.named(&name) {
            wrong_at(reader, at, path, wrong);
        }
    }
}

/// Notes a mistake at a path within a value, or as near to it as the file goes.
fn wrong_at(reader: &mut Reader<'_>, at: &At<'_>, path: &str, wrong: Wrong) {
    let node = place(at.node, path);
    let path = match path {
        "" => at.path.clone(),
        path => format!("{}.{path}", at.path),
    };
    reader.wrong_at(node.span, &path, wrong);
}

fn place<'t>(node: &'t Node, path: &str) -> &'t Node {
    let parts = path.split(['.', '[', ']']).filter(|part| !part.is_empty());
    let within = |node: &'t Node, part: &str| match &node.value {
        Value::Map(entries) => entries.iter().find(|(key, _)| key.text == part).map(|(_, node)| node),
        Value::List(items) => items.get(part.parse::<usize>().ok()?),
        Value::Null | Value::Text(_) => None,
    };
    let mut found = node;
    for part in parts {
        match within(found, part) {
            Some(inner) => found = inner,
            None => break,
        }
    }
    found
}

/// A value as JSON: text needs no quotes, for most of it is prompts.
fn written(reader: &mut Reader<'_>, at: &At<'_>) -> Option<serde_json::Value> {
    match &at.node.value {
        Value::Null => Some(serde_json::Value::Null),
        Value::Text(_) => {
            let is_plain = at.node.is_plain;
            let plain = |text: &str| match text {
                "true" => serde_json::Value::Bool(true),
                "false" => serde_json::Value::Bool(false),
                _ => serde_json::from_str::<Number>(text)
                    .map_or_else(|_text| serde_json::Value::from(text), serde_json::Value::Number),
            };
            reader.read(at, |text| Ok(if is_plain { plain(text) } else { serde_json::Value::from(text) }))
        }
        Value::List(_) => {
            let items = reader.list(at)?;
            let values: Vec<_> = items.iter().filter_map(|item| written(reader, item)).collect();
            (values.len() == items.len()).then_some(serde_json::Value::Array(values))
        }
        Value::Map(_) => {
            let entries = reader.named(at);
            let values: Map<String, serde_json::Value> = entries
                .iter()
                .filter_map(|entry| Some((entry.name.to_owned(), written(reader, &entry.value)?)))
                .collect();
            (values.len() == entries.len()).then_some(serde_json::Value::Object(values))
        }
    }
}

#[cfg(test)]
mod tests;
