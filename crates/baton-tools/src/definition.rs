//! A tool as its server defines it.

use aws_lc_rs::digest::{Context, SHA256};
use baton_model::RawJson;
use rmcp::model::Tool;
use serde_json::Value;

use crate::shown;

/// The longest description that is offered, in bytes.
const MAX_DESCRIPTION: usize = 16 << 10;

/// The longest schema that is offered, in bytes.
const MAX_SCHEMA: usize = 256 << 10;

/// The longest name that is offered, in bytes.
const MAX_NAME: usize = 128;

/// What a model may see of a tool, and the hash of all that it was made from.
///
/// A server's `annotations` and `title` are left out: they are claims that nobody checks.
#[derive(Clone, Debug)]
pub(crate) struct Definition {
    pub(crate) name: String,
    /// With hidden characters written out.
    pub(crate) description: Option<String>,
    pub(crate) schema: RawJson,
    /// SHA-256 of name, description and schema as the server sent them.
    pub(crate) hash: String,
    /// Why it is never offered, whoever approves it.
    pub(crate) unfit: Option<&'static str>,
}

impl Definition {
    pub(crate) fn of(tool: &Tool) -> Self {
        let mut schema = Value::Object((*tool.input_schema).clone());
        let hash = hash(&tool.name, tool.description.as_deref(), &schema);
        show_texts(&mut schema);
        let mut description = tool.description.as_deref().map(|text| shown::visible(text).into_owned());
        if let Some(text) = &mut description {
            cut(text, MAX_DESCRIPTION);
        }
        let unfit = unfit(&tool.name, &schema);
        let schema = RawJson::of(&if unfit.is_some() { Value::Null } else { schema });
        let (schema, unfit) = match schema {
            Ok(schema) if schema.get().len() <= MAX_SCHEMA => (Some(schema), unfit),
            Ok(_) | Err(_) => (None, Some("its schema is too long")),
        };
        let schema = schema.unwrap_or_else(empty_schema);
        Self { name: tool.name.to_string(), description, schema, hash, unfit }
    }
}

fn empty_schema() -> RawJson {
    serde_json::value::RawValue::NULL.to_owned().into()
}

fn unfit(name: &str, schema: &Value) -> Option<&'static str> {
    if name.is_empty() || name.len() > MAX_NAME {
        return Some("its name is empty or too long");
    }
    if shown::has_hidden(name) {
        return Some("its name has hidden characters");
    }
    any_text(schema, &mut shown::has_hidden).then_some("its schema has hidden characters")
}

/// Writes hidden characters out in the texts of a schema that only explain. Elsewhere they make the
/// tool unfit: a changed name or constant would be another one.
fn show_texts(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            for (key, value) in members.iter_mut() {
                match value {
                    Value::String(text)
                        if matches!(key.as_str(), "description" | "title" | "$comment")
                            && shown::has_hidden(text) =>
                    {
                        *text = shown::visible(text).into_owned();
                    }
                    other => show_texts(other),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(show_texts),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn any_text(value: &Value, test: &mut impl FnMut(&str) -> bool) -> bool {
    match value {
        Value::Object(members) => members.iter().any(|(key, value)| test(key) || any_text(value, test)),
        Value::Array(items) => items.iter().any(|item| any_text(item, test)),
        Value::String(text) => test(text),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Cuts a text at a character's border, with a sign of it.
pub(crate) fn cut(text: &mut String, limit: usize) {
    if text.len() > limit {
        text.truncate(text.floor_char_boundary(limit));
        text.push('…');
    }
}

/// The hash of a definition. The order of a map's keys makes no difference, all else does.
fn hash(name: &str, description: Option<&str>, schema: &Value) -> String {
    let mut context = Context::new(&SHA256);
    feed(&mut context, &Value::from(name));
    feed(&mut context, &description.map_or(Value::Null, Value::from));
    feed(&mut context, schema);
    context.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Each value is preceded by its kind and length, so that no two values feed the same bytes.
fn feed(context: &mut Context, value: &Value) {
    let mut scalar = |kind: &str, text: &str| {
        context.update(format!("{kind}{}:", text.len()).as_bytes());
        context.update(text.as_bytes());
    };
    match value {
        Value::Null => scalar("n", ""),
        Value::Bool(truth) => scalar("b", if *truth { "1" } else { "0" }),
        Value::Number(number) => scalar("d", &number.to_string()),
        Value::String(text) => scalar("s", text),
        Value::Array(items) => {
            scalar("a", &items.len().to_string());
            items.iter().for_each(|item| feed(context, item));
        }
        Value::Object(members) => {
            scalar("o", &members.len().to_string());
            let mut keys: Vec<&String> = members.keys().collect();
            keys.sort_unstable();
            for key in keys {
                context.update(format!("k{}:{key}", key.len()).as_bytes());
                if let Some(value) = members.get(key) {
                    feed(context, value);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
