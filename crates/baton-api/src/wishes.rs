//! Reads what a client wishes of the choice: its own limits and order, what the task wants, and the
//! `provider` object of `OpenRouter`.
//!
//! - **Invariant:** a member that nobody follows is named in `ignored`.

use std::collections::BTreeMap;

use axum::http::HeaderMap;
use baton_engine::variables;
use baton_model::{NanoUsd, ProviderName, RawObject};
use baton_policy::{Constraints, DeclaredTask, Need, Order, ProviderPreferences, Variable, Wishes};
use serde::Deserialize;
use serde_json::Value;

use crate::error::ApiError;
use crate::gate::text;

/// The most variables, needs and attributes that a request may bring.
pub(crate) const MOST: usize = 32;
/// The longest name or text among them.
const LONGEST: usize = 256;
/// The most bytes of a context, as JSON.
const MOST_CONTEXT: usize = 16 * 1024;

/// Baton's own object in a body.
#[derive(Debug, Default)]
pub(crate) struct Own {
    pub(crate) policy: Option<String>,
    pub(crate) session: Option<String>,
    pub(crate) tags: Vec<String>,
    pub(crate) strict: bool,
    pub(crate) order: Vec<Order>,
    pub(crate) constraints: Constraints,
    pub(crate) task: Option<DeclaredTask>,
    pub(crate) variables: BTreeMap<String, Variable>,
    pub(crate) context: serde_json::Map<String, Value>,
}

/// Reads `baton`, and the headers that stand for parts of it.
pub(crate) fn own(body: &RawObject, headers: &HeaderMap, ignored: &mut Vec<String>) -> Result<Own, ApiError> {
    let mut own = Own::default();
    for (key, value) in body
        .read::<BTreeMap<String, Value>>("baton")
        .map_err(|_error| wrong("baton", "an object"))?
        .unwrap_or_default()
    {
        match (key.as_str(), value) {
            (_, Value::Null) => {}
            ("policy", Value::String(name)) => own.policy = Some(name),
            ("session", Value::String(name)) => own.session = Some(name),
            ("task", Value::String(word)) => own.task = Some(DeclaredTask::of(&word)),
            ("strict", Value::Bool(strict)) => own.strict = strict,
            ("tags", Value::Array(tags)) => {
                own.tags = tags.iter().filter_map(Value::as_str).map(ToOwned::to_owned).collect();
            }
            ("order", Value::String(word)) => own.order = vec![order(&word)?],
            ("order", Value::Array(words)) => {
                let words = words.iter().map(|word| order(word.as_str().unwrap_or_default()));
                own.order = words.collect::<Result<_, _>>()?;
            }
            ("constraints", Value::Object(limits)) => own.constraints = constraints(limits, ignored)?,
            ("context", Value::Object(members)) => {
                own.variables = context(&members)?;
                own.context = members;
            }
            (known, _) if KNOWN.contains(&known) => return Err(wrong_form(known)),
            (other, _) => ignored.push(format!("baton.{}", short(other))),
        }
    }
    if let Some(name) = text(headers, "x-baton-policy") {
        own.policy = Some(name.to_owned());
    }
    if let Some(word) = text(headers, "x-baton-task") {
        own.task = Some(DeclaredTask::of(word));
    }
    // A policy of this name is what holds where none is named.
    own.policy = own.policy.filter(|name| name != "default");
    Ok(own)
}

const KNOWN: [&str; 8] = ["policy", "session", "task", "strict", "tags", "order", "constraints", "context"];

fn wrong_form(key: &str) -> ApiError {
    let form = match key {
        "strict" => "`true` or `false`",
        "tags" => "a list of texts",
        "order" => "an order or a list of orders",
        "constraints" | "context" => "an object",
        _ => "a text",
    };
    wrong(&format!("baton.{key}"), form)
}

fn order(word: &str) -> Result<Order, ApiError> {
    // A judge costs, and is named by a policy.
    let known = || Order::ALL.into_iter().filter(|order| *order != Order::Judge);
    known().find(|order| order.as_str() == word).ok_or_else(|| {
        let words: Vec<&str> = known().map(Order::as_str).collect();
        wrong("baton.order", &format!("one of `{}`", words.join("`, `")))
    })
}

pub(crate) fn constraints(
    limits: serde_json::Map<String, Value>,
    ignored: &mut Vec<String>,
) -> Result<Constraints, ApiError> {
    let mut constraints = Constraints::default();
    for (key, value) in limits {
        let path = || format!("baton.constraints.{}", short(&key));
        match key.as_str() {
            _ if value.is_null() => {}
            "max_cost_usd" | "max_cost" => {
                constraints.max_cost =
                    Some(dollars(&value).ok_or_else(|| wrong(&path(), "an amount in US dollars"))?);
            }
            "max_latency_ms" | "max_latency" => {
                let limit = value.as_u64().ok_or_else(|| wrong(&path(), "a number of milliseconds"))?;
                constraints.max_latency_ms = Some(limit);
            }
            "capabilities" => {
                constraints.capabilities = needs(&value).ok_or_else(|| {
                    wrong(&path(), "a list of capabilities, strengths, or `{strength: least}`")
                })?;
            }
            _ => ignored.push(path()),
        }
    }
    Ok(constraints)
}

fn needs(value: &Value) -> Option<Vec<Need>> {
    let items = value.as_array().filter(|items| items.len() <= MOST)?;
    let mut needs = Vec::with_capacity(items.len());
    for item in items {
        match item {
            Value::String(name) => needs.push(Need::named(short(name))),
            Value::Object(strengths) => {
                for (strength, least) in strengths {
                    let at_least = u32::try_from(fixed(least, 1_000_000.0, 1.0)?).ok()?;
                    needs.push(Need::GoodAt { strength: short(strength).to_owned(), at_least });
                }
            }
            _ => return None,
        }
    }
    Some(needs)
}

/// The variables of a context: what of it is short and plain. Agents see the rest as well.
fn context(members: &serde_json::Map<String, Value>) -> Result<BTreeMap<String, Variable>, ApiError> {
    let form = || {
        let form = format!("an object of at most {MOST} members, {MOST_CONTEXT} bytes of JSON together");
        wrong("baton.context", &form)
    };
    let size = serde_json::to_vec(members).map_or(usize::MAX, |bytes| bytes.len());
    if members.len() > MOST || size > MOST_CONTEXT || members.keys().any(|name| name.len() > LONGEST) {
        return Err(form());
    }
    Ok(variables(members).collect())
}

/// `provider`, as `OpenRouter` defines it.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Preferences {
    order: Option<Vec<ProviderName>>,
    only: Option<Vec<ProviderName>>,
    ignore: Option<Vec<ProviderName>>,
    allow_fallbacks: Option<bool>,
    require_parameters: Option<bool>,
    sort: Option<Sort>,
    max_price: Option<BTreeMap<String, Value>>,
    #[serde(flatten)]
    others: BTreeMap<String, Value>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Sort {
    By(String),
    Object { by: String },
}

/// Reads `provider` and the two attribute maps into preferences and wishes.
pub(crate) fn wishes(
    body: &RawObject,
    own: &mut Own,
    ignored: &mut Vec<String>,
) -> Result<(ProviderPreferences, Wishes), ApiError> {
    let asked: Preferences = body
        .read("provider")
        .map_err(|_error| wrong("provider", "an object of provider preferences"))?
        .unwrap_or_default();
    ignored.extend(asked.others.keys().map(|key| format!("provider.{}", short(key))));
    let mut constraints = std::mem::take(&mut own.constraints);
    for (key, price) in asked.max_price.unwrap_or_default() {
        let limit =
            dollars(&price).ok_or_else(|| wrong("provider.max_price", "US dollars per million tokens"))?;
        match key.as_str() {
            "prompt" => constraints.max_input_price = Some(limit),
            "completion" => constraints.max_output_price = Some(limit),
            other => ignored.push(format!("provider.max_price.{}", short(other))),
        }
    }
    let mut order = std::mem::take(&mut own.order);
    match asked.sort.map(|sort| match sort {
        Sort::By(by) | Sort::Object { by } => by,
    }) {
        None => {}
        Some(by) => match by.as_str() {
            "price" => order = vec![Order::Cheapest],
            "latency" | "throughput" => order = vec![Order::Fastest],
            _ => ignored.push("provider.sort".to_owned()),
        },
    }
    let preferences = ProviderPreferences {
        order: asked.order.unwrap_or_default(),
        only: asked.only,
        ignore: asked.ignore.unwrap_or_default(),
        allow_fallbacks: asked.allow_fallbacks,
        require_parameters: asked.require_parameters,
    };
    let wishes = Wishes {
        order,
        constraints,
        attributes: attributes(body, "agent_attributes")?,
        model_attributes: body
            .read::<BTreeMap<String, BTreeMap<String, Value>>>("model_attributes")
            .map_err(|_error| wrong("model_attributes", ATTRIBUTES))?
            .unwrap_or_default()
            .into_iter()
            .take(MOST)
            .map(|(model, offers)| Ok((short(&model).to_owned(), shares(offers, "model_attributes")?)))
            .collect::<Result<_, ApiError>>()?,
    };
    Ok((preferences, wishes))
}

const ATTRIBUTES: &str = "numbers from 0 to 1 by name";

fn attributes(body: &RawObject, key: &'static str) -> Result<BTreeMap<String, u32>, ApiError> {
    let given: Option<BTreeMap<String, Value>> = body.read(key).map_err(|_error| wrong(key, ATTRIBUTES))?;
    shares(given.unwrap_or_default(), key)
}

pub(crate) fn shares(given: BTreeMap<String, Value>, key: &str) -> Result<BTreeMap<String, u32>, ApiError> {
    given
        .into_iter()
        .take(MOST)
        .filter(|(_, value)| !value.is_null())
        .map(|(name, value)| {
            let share = fixed(&value, 1_000_000.0, 1.0).and_then(|share| u32::try_from(share).ok());
            share.map(|share| (short(&name).to_owned(), share)).ok_or_else(|| wrong(key, ATTRIBUTES))
        })
        .collect()
}

/// US dollars, as a number or as a text that is one.
pub(crate) fn dollars(value: &Value) -> Option<NanoUsd> {
    let parsed = value.as_str().and_then(|text| text.trim().parse::<f64>().ok()).map(Value::from);
    fixed(parsed.as_ref().unwrap_or(value), 1e9, 1e6).map(NanoUsd)
}

/// A number from 0 to `most`, times `unit`, as a whole number.
fn fixed(value: &Value, unit: f64, most: f64) -> Option<u64> {
    let number = value.as_f64().filter(|number| (0.0..=most).contains(number))?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 0 and `most` times `unit`"
    )]
    Some((number * unit).round() as u64)
}

fn wrong(path: &str, form: &str) -> ApiError {
    ApiError::invalid(format!("`{path}` must be {form}"), Some(path))
}

/// A client's name, short enough for a record.
pub(crate) fn short(text: &str) -> &str {
    text.get(..text.floor_char_boundary(LONGEST)).unwrap_or_default()
}

#[cfg(test)]
mod tests;
