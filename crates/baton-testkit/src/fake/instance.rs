//! Makes a value that satisfies a JSON schema.
//!
//! Enough of JSON Schema for what SDKs send as tool parameters and as structured output:
//! objects, arrays, scalars with bounds, `enum`, `const`, unions and local references.
//!
//! - Start with [`instance`].
//! - **Never here:** validation; the tests of a client do that with their own means.

use serde_json::{Map, Value, json};

/// References may be recursive; deeper than this, the value is `null`.
const DEEPEST: usize = 16;

/// A value that fits `schema`.
pub(crate) fn instance(schema: &Value) -> Value {
    fill(schema, schema, 0)
}

fn fill(schema: &Value, root: &Value, depth: usize) -> Value {
    if depth > DEEPEST {
        return Value::Null;
    }
    if let Some(target) = schema.get("$ref").and_then(Value::as_str) {
        let found = target.strip_prefix('#').and_then(|pointer| root.pointer(pointer));
        return found.map_or(Value::Null, |found| fill(found, root, depth + 1));
    }
    if let Some(value) = schema.get("const") {
        return value.clone();
    }
    if let Some(first) = schema.get("enum").and_then(Value::as_array).and_then(|all| all.first()) {
        return first.clone();
    }
    for union in ["anyOf", "oneOf", "allOf"] {
        if let Some(all) = schema.get(union).and_then(Value::as_array) {
            let chosen = all.iter().find(|one| kind(one) != "null").or_else(|| all.first());
            return chosen.map_or(Value::Null, |one| fill(one, root, depth + 1));
        }
    }
    match kind(schema) {
        "object" => object(schema, root, depth),
        "array" => array(schema, root, depth),
        "string" => string(schema),
        "integer" => schema.get("minimum").cloned().unwrap_or_else(|| json!(3)),
        "number" => schema.get("minimum").cloned().unwrap_or_else(|| json!(1.5)),
        "boolean" => json!(true),
        _ => Value::Null,
    }
}

/// The schema's type; of several the first that is not `null`.
fn kind(schema: &Value) -> &str {
    match schema.get("type") {
        Some(Value::String(one)) => one,
        Some(Value::Array(several)) => {
            several.iter().filter_map(Value::as_str).find(|one| *one != "null").unwrap_or("null")
        }
        _ if schema.get("properties").is_some() => "object",
        _ => "null",
    }
}

fn object(schema: &Value, root: &Value, depth: usize) -> Value {
    let properties = schema.get("properties").and_then(Value::as_object);
    let members = properties.into_iter().flatten();
    members.map(|(name, part)| (name.clone(), fill(part, root, depth + 1))).collect::<Map<_, _>>().into()
}

fn array(schema: &Value, root: &Value, depth: usize) -> Value {
    let least = schema.get("minItems").and_then(Value::as_u64).unwrap_or(1).clamp(1, 8);
    let item = schema.get("items").map_or_else(|| json!("item"), |item| fill(item, root, depth + 1));
    (0..least).map(|_| item.clone()).collect::<Vec<_>>().into()
}

fn string(schema: &Value) -> Value {
    let text = match schema.get("format").and_then(Value::as_str) {
        Some("date-time") => "2026-01-02T03:04:05Z",
        Some("date") => "2026-01-02",
        Some("time") => "03:04:05Z",
        Some("email") => "ada@example.com",
        Some("uri") => "https://example.com/",
        Some("uuid") => "018f6b0e-0000-7000-8000-000000000001",
        _ => "Paris",
    };
    let least = schema.get("minLength").and_then(Value::as_u64).unwrap_or(0);
    let missing = usize::try_from(least).unwrap_or(0).saturating_sub(text.len());
    Value::String(format!("{text}{}", "s".repeat(missing)))
}

#[cfg(test)]
mod tests;
