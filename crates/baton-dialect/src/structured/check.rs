//! Looks whether JSON follows a schema, as far as schemas of answers go.
//!
//! The keywords that vendors enforce are checked; one that is not known here refuses nothing, so that no good answer
//! is asked for again.

use std::fmt;

use serde_json::Value;

/// How deep references are followed.
const MAX_DEPTH: usize = 64;

/// Where an answer does not fit, and why. No value of the answer is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misfit {
    /// The path in the answer, empty for all of it.
    pub path: String,
    /// What was wanted.
    pub wanted: String,
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path.as_str() {
            "" => write!(f, "it must be {}", self.wanted),
            path => write!(f, "`{path}` must be {}", self.wanted),
        }
    }
}

pub(super) fn check(schema: &Value, text: &str) -> Result<(), Misfit> {
    let value: Value = serde_json::from_str(text).map_err(|_json| misfit("", "JSON and nothing else"))?;
    Checker { root: schema }.check(schema, &value, "", 0)
}

fn misfit(path: &str, wanted: impl Into<String>) -> Misfit {
    Misfit { path: path.to_owned(), wanted: wanted.into() }
}

struct Checker<'s> {
    root: &'s Value,
}

impl Checker<'_> {
    fn check(&self, schema: &Value, value: &Value, path: &str, depth: usize) -> Result<(), Misfit> {
        let Some(schema) = schema.as_object().filter(|_| depth < MAX_DEPTH) else { return Ok(()) };
        if let Some(target) = schema.get("$ref").and_then(Value::as_str) {
            let found = target.strip_prefix('#').and_then(|pointer| self.root.pointer(pointer));
            if let Some(found) = found {
                self.check(found, value, path, depth + 1)?;
            }
        }
        if let Some(kinds) = schema.get("type") {
            let named: Vec<&str> = kinds
                .as_str()
                .into_iter()
                .chain(kinds.as_array().into_iter().flatten().filter_map(Value::as_str))
                .collect();
            if !named.iter().any(|kind| is_of(value, kind)) {
                return Err(misfit(path, format!("of type {}", named.join(" or "))));
            }
        }
        if schema.get("enum").and_then(Value::as_array).is_some_and(|list| !list.contains(value)) {
            return Err(misfit(path, "one of the listed values"));
        }
        if schema.get("const").is_some_and(|wanted| wanted != value) {
            return Err(misfit(path, "the value that the schema names"));
        }
        self.check_object(schema, value, path, depth)?;
        self.check_list(schema, value, path, depth)?;
        check_bounds(schema, value, path)?;
        for key in ["anyOf", "oneOf"] {
            let options = schema.get(key).and_then(Value::as_array);
            let fits = |options: &Vec<Value>| {
                options.iter().any(|option| self.check(option, value, path, depth + 1).is_ok())
            };
            if options.is_some_and(|options| !fits(options)) {
                return Err(misfit(path, "of one of the forms that the schema allows"));
            }
        }
        for part in schema.get("allOf").and_then(Value::as_array).into_iter().flatten() {
            self.check(part, value, path, depth + 1)?;
        }
        Ok(())
    }

    fn check_object(
        &self,
        schema: &serde_json::Map<String, Value>,
        value: &Value,
        path: &str,
        depth: usize,
    ) -> Result<(), Misfit> {
        let Some(object) = value.as_object() else { return Ok(()) };
        let below = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
        for key in
            schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
        {
            if !object.contains_key(key) {
                return Err(misfit(&below(key), "there"));
            }
        }
        let properties = schema.get("properties").and_then(Value::as_object);
        let others = schema.get("additionalProperties");
        for (key, value) in object {
            match (properties.and_then(|properties| properties.get(key)), others) {
                (Some(schema), _) => self.check(schema, value, &below(key), depth + 1)?,
                // The name is the model's: it is not repeated.
                (None, Some(Value::Bool(false))) => {
                    return Err(misfit(path, "without members that the schema does not name"));
                }
                (None, Some(schema)) => self.check(schema, value, &below("*"), depth + 1)?,
                (None, None) => {}
            }
        }
        Ok(())
    }

    fn check_list(
        &self,
        schema: &serde_json::Map<String, Value>,
        value: &Value,
        path: &str,
        depth: usize,
    ) -> Result<(), Misfit> {
        let (Some(list), Some(items)) = (value.as_array(), schema.get("items")) else { return Ok(()) };
        for (at, item) in list.iter().enumerate() {
            self.check(items, item, &format!("{path}[{at}]"), depth + 1)?;
        }
        Ok(())
    }
}

fn is_of(value: &Value, kind: &str) -> bool {
    match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "number" => value.is_number(),
        "integer" => {
            value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|number| number.fract() == 0.0)
        }
        _ => true,
    }
}

fn check_bounds(schema: &serde_json::Map<String, Value>, value: &Value, path: &str) -> Result<(), Misfit> {
    let bound = |key: &str| schema.get(key).and_then(Value::as_f64);
    #[expect(clippy::cast_precision_loss, reason = "no answer is that long")]
    let (size, least, most) = match value {
        Value::String(text) => (Some(text.chars().count() as f64), "minLength", "maxLength"),
        Value::Array(list) => (Some(list.len() as f64), "minItems", "maxItems"),
        Value::Object(members) => (Some(members.len() as f64), "minProperties", "maxProperties"),
        value => (value.as_f64(), "minimum", "maximum"),
    };
    let Some(size) = size else { return Ok(()) };
    for (key, breaks) in [
        (least, bound(least).is_some_and(|least| size < least)),
        (most, bound(most).is_some_and(|most| size > most)),
    ] {
        if breaks {
            return Err(misfit(path, format!("within its `{key}`")));
        }
    }
    Ok(())
}
