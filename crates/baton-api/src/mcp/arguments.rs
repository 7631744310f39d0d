//! Reads the arguments of a tool call. Every mistake has its path.

use serde_json::{Map, Value};

use super::error::{RpcError, shown};

/// The most capabilities that a call may ask for.
const MOST: usize = 16;
/// The longest name among them.
const LONGEST: usize = 64;

/// The arguments of one call.
#[derive(Debug)]
pub(super) struct Arguments<'a>(pub(super) &'a Map<String, Value>);

/// What a model has to keep to.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Limits {
    /// In US dollars.
    pub(super) max_cost: Option<f64>,
    /// In milliseconds.
    pub(super) max_latency: Option<u64>,
    pub(super) capabilities: Vec<String>,
}

impl Arguments<'_> {
    pub(super) fn text(&self, name: &str) -> Result<&str, RpcError> {
        match self.0.get(name) {
            Some(Value::String(text)) => Ok(text),
            found => Err(wrong(name, found, "a text")),
        }
    }

    pub(super) fn object(&self, name: &str) -> Result<Map<String, Value>, RpcError> {
        match self.0.get(name) {
            Some(Value::Object(members)) => Ok(members.clone()),
            found => Err(wrong(name, found, "an object")),
        }
    }

    pub(super) fn limits(&self) -> Result<Limits, RpcError> {
        let mut limits = Limits::default();
        let given = match self.0.get("constraints") {
            None | Some(Value::Null) => return Ok(limits),
            Some(Value::Object(given)) => given,
            found => return Err(wrong("constraints", found, "an object")),
        };
        for (key, value) in given.iter().filter(|(_, value)| !value.is_null()) {
            let path = format!("constraints.{}", shown(key));
            match key.as_str() {
                "max_cost" => {
                    let cost = value.as_f64().filter(|cost| (0.0..=1e6).contains(cost));
                    limits.max_cost =
                        Some(cost.ok_or_else(|| wrong(&path, Some(value), "an amount in US dollars"))?);
                }
                "max_latency" => {
                    let limit = milliseconds(value);
                    limits.max_latency =
                        Some(limit.ok_or_else(|| wrong(&path, Some(value), "a number of milliseconds"))?);
                }
                "capabilities" => limits.capabilities = capabilities(&path, value)?,
                _ => {
                    let message = format!(
                        "`{path}` is unknown; there are `max_cost`, `max_latency` and `capabilities`"
                    );
                    return Err(RpcError::invalid_params(&format!("arguments.{path}"), message));
                }
            }
        }
        Ok(limits)
    }
}

fn milliseconds(value: &Value) -> Option<u64> {
    let limit = value.as_f64().filter(|limit| (0.0..=1e9).contains(limit))?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and a billion")]
    Some(limit.round() as u64)
}

fn capabilities(path: &str, value: &Value) -> Result<Vec<String>, RpcError> {
    let form = || wrong(path, Some(value), &format!("a list of at most {MOST} names"));
    let items = value.as_array().filter(|items| items.len() <= MOST).ok_or_else(form)?;
    let name = |item: &Value| {
        let is_name = |name: &&str| !name.is_empty() && name.len() <= LONGEST;
        item.as_str().filter(is_name).map(ToOwned::to_owned)
    };
    items.iter().map(name).collect::<Option<_>>().ok_or_else(form)
}

fn wrong(path: &str, found: Option<&Value>, form: &str) -> RpcError {
    let message = match found {
        None => format!("`{path}` is missing; it must be {form}"),
        Some(_) => format!("`{path}` must be {form}"),
    };
    RpcError::invalid_params(&format!("arguments.{path}"), message)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// What is read of constraints, or the error's path.
    #[track_caller]
    fn check(constraints: &Value, expected: Result<Limits, &str>) {
        let arguments = json!({ "constraints": constraints });
        let read = Arguments(arguments.as_object().unwrap()).limits();
        let path =
            |error: RpcError| error.body(&Value::Null)["error"]["data"]["path"].as_str().unwrap().to_owned();
        assert_eq!(read.map_err(path), expected.map_err(ToOwned::to_owned));
    }

    #[test]
    fn limits_are_read_and_null_is_none() {
        let capabilities = vec!["code".to_owned()];
        let limits = Limits { max_cost: Some(0.5), max_latency: Some(750), capabilities };
        check(&json!({"max_cost": 0.5, "max_latency": 749.6, "capabilities": ["code"]}), Ok(limits));
        check(&json!({"max_cost": null}), Ok(Limits::default()));
        check(&Value::Null, Ok(Limits::default()));
    }

    #[test]
    fn a_wrong_limit_has_its_path() {
        check(&json!(3), Err("arguments.constraints"));
        check(&json!({"max_cost": "cheap"}), Err("arguments.constraints.max_cost"));
        check(&json!({"max_cost": -1}), Err("arguments.constraints.max_cost"));
        check(&json!({"max_latency": 1e12}), Err("arguments.constraints.max_latency"));
        check(&json!({"capabilities": ["code", 3]}), Err("arguments.constraints.capabilities"));
        check(&json!({"capabilities": vec!["code"; 17]}), Err("arguments.constraints.capabilities"));
        check(&json!({"budget": 3}), Err("arguments.constraints.budget"));
    }
}
