//! Templates: text with `{{…}}` in it, where a run's input, answers of earlier steps and variables stand.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A text with gaps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Template(pub(super) Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Piece {
    Text(String),
    /// The input of a step that holds others.
    Input(usize),
    /// What a step said.
    Output(usize),
    /// What all branches of a step said, each under its name.
    Branches(usize),
    /// A variable, and the way into it.
    Context(Vec<String>),
}

/// A name between braces, before anybody knows what it stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found<'t> {
    Text(&'t str),
    Name(&'t str),
}

/// Where a template is not one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BadTemplate {
    /// `{{` without `}}`.
    Open,
    /// `{{}}`.
    Empty,
}

/// Cuts a text at its gaps.
pub(super) fn pieces(text: &str) -> Result<Vec<Found<'_>>, BadTemplate> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let (name, behind) = after.split_once("}}").ok_or(BadTemplate::Open)?;
        let name = name.trim();
        if name.is_empty() {
            return Err(BadTemplate::Empty);
        }
        if !before.is_empty() {
            found.push(Found::Text(before));
        }
        found.push(Found::Name(name));
        rest = behind;
    }
    if !rest.is_empty() {
        found.push(Found::Text(rest));
    }
    Ok(found)
}

/// A value of a variable, at the end of a way into it.
pub(super) fn variable<'v>(context: &'v Map<String, Value>, way: &[String]) -> Option<&'v Value> {
    let (first, rest) = way.split_first()?;
    rest.iter().try_fold(context.get(first)?, |value, key| match value {
        Value::Array(items) => items.get(key.parse::<usize>().ok()?),
        other => other.get(key),
    })
}

/// A value as a prompt has it: text as it is, anything else as JSON.
pub(super) fn written(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}
