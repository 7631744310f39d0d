//! What an answer has to be, and what follows where it is not.
//!
//! This is the part that is data: a schema, an expression or criteria, and what is done then. Whether an answer is
//! right is looked at elsewhere, because an expression needs its language and criteria need a model.
//!
//! - Start with [`Validation::read`].

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::Asks;

/// How often an answer may be asked for again.
const MOST_TIMES: u32 = 3;
/// The most criteria.
const MOST_CRITERIA: usize = 20;
/// The longest text of an expression or a criterion.
const LONGEST: usize = 4_096;
/// The longest schema, as text.
const LONGEST_SCHEMA: usize = 64 << 10;

/// What an answer has to be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Validation {
    /// What is looked at.
    pub check: Check,
    /// What is done where it is not right.
    pub on_failure: OnInvalid,
}

/// How an answer is looked at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// It is JSON that follows this schema.
    Schema(Value),
    /// This expression (CEL) over `output` holds.
    Cel(String),
    /// A model says that it meets these.
    Criteria {
        /// What it has to meet.
        criteria: Vec<String>,
        /// Who says so.
        judge: String,
    },
}

impl Check {
    /// The word for it.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Schema(_) => "schema",
            Self::Cel(_) => "cel",
            Self::Criteria { .. } => "criteria",
        }
    }
}

/// What is done where an answer is not right.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnInvalid {
    /// The same one is asked again, told what was wrong; so many times.
    Retry {
        /// How often.
        times: u32,
    },
    /// Another one is asked, told what was wrong.
    Handoff {
        /// Whom.
        to: Asks,
    },
    /// Nothing: it failed.
    Fail,
}

/// What is wrong with a validation, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValidationMistake {
    /// The path within it; empty for all of it.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What would be right.
    pub hint: Option<String>,
}

fn wrong(path: &str, message: impl Into<String>) -> ValidationMistake {
    ValidationMistake { path: path.to_owned(), message: message.into(), hint: None }
}

impl Validation {
    /// Reads a validation as it is written in a file or a request:
    /// `{schema | cel | criteria + judge, on_failure: retry | handoff | fail, times, to}`.
    ///
    /// # Errors
    /// The first mistake in it.
    pub fn read(value: &Value) -> Result<Self, ValidationMistake> {
        const KNOWN: [&str; 7] = ["schema", "cel", "criteria", "judge", "on_failure", "times", "to"];
        let members = value.as_object().ok_or_else(|| wrong("", "expected a map"))?;
        if let Some(key) = members.keys().find(|key| !KNOWN.contains(&key.as_str())) {
            let near = baton_model::nearest(key, KNOWN);
            let hint = near.map_or_else(
                || format!("the keys here are `{}`", KNOWN.join("`, `")),
                |near| format!("did you mean `{near}`?"),
            );
            return Err(ValidationMistake { hint: Some(hint), ..wrong(key, "unknown key") });
        }
        Ok(Self { check: check(members)?, on_failure: on_failure(members)? })
    }
}

fn given<'m>(members: &'m Map<String, Value>, key: &str) -> Option<&'m Value> {
    members.get(key).filter(|value| !value.is_null())
}

fn text(path: &str, value: &Value) -> Result<String, ValidationMistake> {
    let text = value.as_str().filter(|text| !text.trim().is_empty() && text.len() <= LONGEST);
    text.map(ToOwned::to_owned)
        .ok_or_else(|| wrong(path, format!("expected a text of at most {LONGEST} bytes")))
}

fn check(members: &Map<String, Value>) -> Result<Check, ValidationMistake> {
    let (schema, cel, criteria) =
        (given(members, "schema"), given(members, "cel"), given(members, "criteria"));
    if criteria.is_none() && given(members, "judge").is_some() {
        return Err(wrong("judge", "a judge needs `criteria`"));
    }
    match (schema, cel, criteria) {
        (Some(schema), None, None) => {
            if !(schema.is_object() && schema.to_string().len() <= LONGEST_SCHEMA) {
                return Err(wrong(
                    "schema",
                    format!("expected a JSON Schema of at most {LONGEST_SCHEMA} bytes"),
                ));
            }
            Ok(Check::Schema(schema.clone()))
        }
        (None, Some(cel), None) => Ok(Check::Cel(text("cel", cel)?)),
        (None, None, Some(criteria)) => {
            let items = match criteria {
                Value::Array(items) => items.iter().collect(),
                one => vec![one],
            };
            if items.is_empty() || items.len() > MOST_CRITERIA {
                return Err(wrong("criteria", format!("expected 1 to {MOST_CRITERIA} of them")));
            }
            let criteria = items.into_iter().map(|item| text("criteria", item)).collect::<Result<_, _>>()?;
            let judge =
                given(members, "judge").ok_or_else(|| wrong("judge", "criteria need a model that judges"))?;
            Ok(Check::Criteria { criteria, judge: text("judge", judge)? })
        }
        (None, None, None) => Err(wrong("", "expected one of `schema`, `cel` and `criteria`")),
        _ => Err(wrong("", "only one of `schema`, `cel` and `criteria` can be given")),
    }
}

fn on_failure(members: &Map<String, Value>) -> Result<OnInvalid, ValidationMistake> {
    let (times, to) = (given(members, "times"), given(members, "to"));
    let word = match given(members, "on_failure") {
        None => "fail",
        Some(word) => word.as_str().unwrap_or_default(),
    };
    if times.is_some() && word != "retry" {
        return Err(wrong("times", "only `on_failure: retry` is done several times"));
    }
    if to.is_some() && word != "handoff" {
        return Err(wrong("to", "only `on_failure: handoff` goes to somebody"));
    }
    match word {
        "fail" => Ok(OnInvalid::Fail),
        "retry" => {
            let times = match times {
                None => 1,
                Some(number) => number
                    .as_u64()
                    .and_then(|number| u32::try_from(number).ok())
                    .filter(|number| (1..=MOST_TIMES).contains(number))
                    .ok_or_else(|| {
                        wrong("times", format!("expected a whole number from 1 to {MOST_TIMES}"))
                    })?,
            };
            Ok(OnInvalid::Retry { times })
        }
        "handoff" => {
            let to = to.and_then(Value::as_str).filter(|name| !name.trim().is_empty());
            let name =
                to.ok_or_else(|| wrong("to", "expected the model or `agent/<name>` that takes over"))?;
            let to = match name.strip_prefix("agent/") {
                Some(agent) => Asks::Agent(agent.to_owned()),
                None => Asks::Model(name.to_owned()),
            };
            Ok(OnInvalid::Handoff { to })
        }
        _ => Err(wrong("on_failure", "expected `retry`, `handoff` or `fail`")),
    }
}

#[cfg(test)]
mod tests;
