//! Reads what a rule may `set`: settings of generation, each with values of its own.
//!
//! - **Invariant:** nothing can be set here that decides who is asked, what is said or what it costs to
//!   ask again: only how an answer is made.

use std::collections::BTreeMap;

use serde_json::{Map, Number, Value};

use crate::reader::{At, Reader};
use crate::tree;
use crate::value::{Wrong, did_you_mean};

/// What a setting takes.
#[derive(Clone, Copy)]
enum Takes {
    /// A number in a range.
    Number(f64, f64),
    /// A whole number in a range.
    Whole(i64, i64),
    /// `true` or `false`.
    Switch,
    /// A word that the provider understands.
    Word,
    /// A text, or a list of some.
    Texts,
    /// A map, passed on as it is.
    Map,
}

/// The settings that a rule may give another value.
const SETTINGS: [(&str, Takes); 16] = [
    ("temperature", Takes::Number(0.0, 2.0)),
    ("top_p", Takes::Number(0.0, 1.0)),
    ("top_k", Takes::Whole(0, 1_000_000)),
    ("max_tokens", Takes::Whole(1, 10_000_000)),
    ("max_completion_tokens", Takes::Whole(1, 10_000_000)),
    ("stop", Takes::Texts),
    ("seed", Takes::Whole(i64::MIN, i64::MAX)),
    ("presence_penalty", Takes::Number(-2.0, 2.0)),
    ("frequency_penalty", Takes::Number(-2.0, 2.0)),
    ("reasoning_effort", Takes::Word),
    ("verbosity", Takes::Word),
    ("parallel_tool_calls", Takes::Switch),
    ("response_format", Takes::Map),
    ("service_tier", Takes::Word),
    ("logprobs", Takes::Switch),
    ("top_logprobs", Takes::Whole(0, 20)),
];

pub(super) fn settings(reader: &mut Reader<'_>, at: &At<'_>) -> BTreeMap<String, Value> {
    let mut settings = BTreeMap::new();
    for entry in reader.named(at) {
        match SETTINGS.iter().find(|(name, _)| *name == entry.name) {
            Some((_, takes)) => {
                let value = read(reader, &entry.value, *takes);
                settings.extend(value.map(|value| (entry.name.to_owned(), value)));
            }
            None => {
                let wrong = Wrong::new(format!("a rule cannot set `{}`", entry.name));
                let hint = did_you_mean(entry.name, SETTINGS.map(|(name, _)| name));
                let hint = hint
                    .unwrap_or_else(|| "it can set how an answer is made, such as `temperature`".to_owned());
                reader.wrong_at(entry.key, &entry.value.path, wrong.hint(hint));
            }
        }
    }
    settings
}

/// One setting by its name.
pub(in crate::read) fn setting(reader: &mut Reader<'_>, at: &At<'_>, key: &str) -> Option<Value> {
    let (_, takes) = SETTINGS.iter().find(|(name, _)| *name == key)?;
    read(reader, at, *takes)
}

fn read(reader: &mut Reader<'_>, at: &At<'_>, takes: Takes) -> Option<Value> {
    match takes {
        Takes::Number(least, most) => reader.read(at, |text| {
            let wrong = || Wrong::new(format!("expected a number from {least} to {most}"));
            let number = number(text)
                .filter(|number| number.as_f64().is_some_and(|number| (least..=most).contains(&number)));
            number.map(Value::Number).ok_or_else(wrong)
        }),
        Takes::Whole(least, most) => reader.read(at, |text| {
            let wrong = || match (least, most) {
                (i64::MIN, _) => Wrong::new("expected a whole number"),
                _ => Wrong::new(format!("expected a whole number from {least} to {most}")),
            };
            let number = text.parse().ok().filter(|number: &i64| (least..=most).contains(number));
            number.map(Value::from).ok_or_else(wrong)
        }),
        Takes::Switch => reader.boolean(at).map(Value::Bool),
        Takes::Word => reader.read(at, word).map(Value::String),
        Takes::Texts if at.is_list() => {
            let items = reader.one_or_more(at)?;
            let texts: Vec<Value> = items.iter().filter_map(|item| read_text(reader, item)).collect();
            (texts.len() == items.len()).then_some(Value::Array(texts))
        }
        Takes::Texts => read_text(reader, at),
        Takes::Map => {
            reader.section(at)?;
            json(reader, at)
        }
    }
}

fn read_text(reader: &mut Reader<'_>, at: &At<'_>) -> Option<Value> {
    reader.read(at, |text| Ok(Value::from(text)))
}

fn word(text: &str) -> Result<String, Wrong> {
    let is_word =
        text.len() <= 64 && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
    if is_word { Ok(text.to_owned()) } else { Err(Wrong::new("expected one word")) }
}

/// A value as JSON: what is written without quotes as a number or a truth value is one.
pub(in crate::read) fn json(reader: &mut Reader<'_>, at: &At<'_>) -> Option<Value> {
    match &at.node.value {
        tree::Value::Null => Some(Value::Null),
        tree::Value::Text(_) if !at.node.is_plain => read_text(reader, at),
        tree::Value::Text(_) => reader.read(at, |text| match text {
            "true" => Ok(Value::Bool(true)),
            "false" => Ok(Value::Bool(false)),
            _ => {
                let wrong =
                    || Wrong::new("expected a number").hint("if it is meant as text, put it in quotes");
                number(text).map(Value::Number).ok_or_else(wrong)
            }
        }),
        tree::Value::List(_) => {
            let items = reader.list(at)?;
            let values: Vec<Value> = items.iter().filter_map(|item| json(reader, item)).collect();
            (values.len() == items.len()).then_some(Value::Array(values))
        }
        tree::Value::Map(_) => {
            let entries = reader.named(at);
            let values: Map<String, Value> = entries
                .iter()
                .filter_map(|entry| Some((entry.name.to_owned(), json(reader, &entry.value)?)))
                .collect();
            (values.len() == entries.len()).then_some(Value::Object(values))
        }
    }
}

/// A number as JSON writes it.
fn number(text: &str) -> Option<Number> {
    serde_json::from_str(text).ok()
}
