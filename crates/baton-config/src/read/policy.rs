//! Reads `policies`: what a policy says becomes its document, and the document a policy that is ready.

use std::collections::BTreeMap;
use std::sync::Arc;

use baton_model::ModelName;
use baton_policy::{Balance, Fallback, Judge, Order, Policy, PolicyDocument, PolicyRef, Timeouts};

use super::names::Names;
use super::route::read_pool;
use crate::config::DEFAULT_POLICY;
use crate::document::policy_version;
use crate::reader::{At, Named, Reader, Section};
use crate::value::{Wrong, duration, millis, thousandths};

mod constraint;
mod rule;
pub(super) mod setting;

/// How long a judge has that no time is given to.
const JUDGE_TIMEOUT_MS: u64 = 5_000;

/// A policy of the file. Its name is known even if the rest of it is wrong, so that one mistake does not
/// make others.
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) policy: Option<Arc<Policy>>,
}

pub(super) fn policies(reader: &mut Reader<'_>, top: &mut Section<'_>, names: &Names<'_>) -> Vec<Entry> {
    let Some(at) = reader.take(top, "policies") else {
        return Vec::new();
    };
    let entries = reader.named(&at);
    entries.iter().map(|entry| read(reader, entry, names)).collect()
}

/// What holds where nothing is said.
pub(super) fn default_policy() -> Arc<Policy> {
    let document = without_words(DEFAULT_POLICY);
    Arc::new(Policy::new(reference(DEFAULT_POLICY, &document), document).unwrap_or_default())
}

/// A policy of which only the name is given.
fn without_words(name: &str) -> PolicyDocument {
    PolicyDocument { client_order: name == DEFAULT_POLICY, ..PolicyDocument::default() }
}

fn reference(name: &str, document: &PolicyDocument) -> PolicyRef {
    PolicyRef { name: name.to_owned(), version: policy_version(document) }
}

fn read(reader: &mut Reader<'_>, entry: &Named<'_>, names: &Names<'_>) -> Entry {
    if !is_policy_name(entry.name) {
        let wrong = Wrong::new("a policy is named with letters, digits, `-`, `_` and `.`");
        reader.wrong_at(entry.key, &entry.value.path, wrong);
    }
    let policy =
        reader.section(&entry.value).and_then(|section| read_section(reader, section, entry.name, names));
    Entry { name: entry.name.to_owned(), policy: policy.map(Arc::new) }
}

fn is_policy_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
}

fn read_section(
    reader: &mut Reader<'_>,
    mut section: Section<'_>,
    name: &str,
    names: &Names<'_>,
) -> Option<Policy> {
    let mut document = without_words(name);
    if let Some(at) = reader.take(&mut section, "pool") {
        document.pool = read_pool(reader, &at, names).unwrap_or_default();
    }
    if let Some(at) = reader.take(&mut section, "order") {
        document.order = read_orders(reader, &at);
    }
    let rules =
        reader.take(&mut section, "rules").map(|at| rule::rules(reader, &at, names)).unwrap_or_default();
    document.rules = rules.rules;
    if let Some(at) = reader.take(&mut section, "constraints") {
        constraint::read(reader, &at, names, &mut document.constraints);
    }
    if let Some(at) = reader.take(&mut section, "weights") {
        document.weights = read_weights(reader, &at, names);
    }
    if let Some(balance) = reader.take(&mut section, "balance").and_then(|at| read_balance(reader, &at)) {
        document.balance = balance;
    }
    if let Some(margin) =
        reader.take(&mut section, "switch_margin").and_then(|at| reader.read(&at, thousandths))
    {
        document.switch_margin = margin;
    }
    if let Some(may) = reader.take(&mut section, "client_order").and_then(|at| reader.boolean(&at)) {
        document.client_order = may;
    }
    document.judge = read_judge(reader, &mut section, &document, names);
    if let Some(at) = reader.take(&mut section, "fallback") {
        read_fallback(reader, &at, &mut document.fallback);
    }
    if let Some(at) = reader.take(&mut section, "timeouts") {
        read_timeouts(reader, &at, &mut document.timeouts);
    }
    reader.finish(section);
    match Policy::new(reference(name, &document), document) {
        Ok(policy) => Some(policy),
        Err(mistakes) => {
            for mistake in mistakes {
                if let Some(when) = rules.whens.get(mistake.rule) {
                    let wrong = Wrong { message: mistake.message, hint: mistake.hint };
                    reader.wrong_inside(when, mistake.line, mistake.column, wrong);
                }
            }
            None
        }
    }
}

/// One word or several, each once.
fn read_orders(reader: &mut Reader<'_>, at: &At<'_>) -> Vec<Order> {
    let words = Order::ALL.map(|order| (order.as_str(), order));
    let mut orders = Vec::new();
    for item in reader.one_or_more(at).unwrap_or_default() {
        let Some(order) = reader.word(&item, &words) else { continue };
        if orders.contains(&order) {
            reader.wrong(&item, Wrong::new(format!("`{}` stands here twice", order.as_str())));
        } else {
            orders.push(order);
        }
    }
    orders
}

fn read_weights(reader: &mut Reader<'_>, at: &At<'_>, names: &Names<'_>) -> BTreeMap<ModelName, u32> {
    let entries = reader.named(at);
    let mut weights = BTreeMap::new();
    for entry in &entries {
        let model =
            names.model(entry.name).map_err(|wrong| reader.wrong_at(entry.key, &entry.value.path, wrong));
        let weight = reader.number(&entry.value, 0..=1_000_000).and_then(|weight| u32::try_from(weight).ok());
        weights.extend(model.ok().zip(weight));
    }
    if weights.len() == entries.len() && weights.values().all(|weight| *weight == 0) {
        let wrong = Wrong::new("the weights sum to zero").hint("give at least one model a weight above 0");
        reader.wrong_at(at.node.span, &at.path, wrong);
    }
    weights
}

/// Shares of which those that are not given count nothing.
fn read_balance(reader: &mut Reader<'_>, at: &At<'_>) -> Option<Balance> {
    let mut section = reader.section(at)?;
    let keys = ["quality", "cost", "speed"];
    let taken = keys.map(|key| reader.take(&mut section, key));
    let [quality, cost, speed] = taken.each_ref().map(|at| match at {
        Some(at) => reader.read(at, thousandths),
        None => Some(0),
    });
    reader.finish(section);
    let balance = Balance { quality: quality?, cost: cost?, speed: speed? };
    if balance.quality + balance.cost + balance.speed == 0 {
        let wrong = Wrong::new("the shares sum to zero").hint("give at least one a share above 0");
        reader.wrong_at(at.node.span, &at.path, wrong);
    }
    Some(balance)
}

/// The judge, who is there if somebody may ask for one.
fn read_judge(
    reader: &mut Reader<'_>,
    policy: &mut Section<'_>,
    document: &PolicyDocument,
    names: &Names<'_>,
) -> Option<Judge> {
    let is_asked = document.order.contains(&Order::Judge);
    let Some(at) = reader.take(policy, "judge") else {
        if is_asked {
            reader.missing(policy, "judge", "`order` names it; write `judge: { model: <provider>/<name> }`");
        }
        return None;
    };
    if !is_asked && !document.client_order {
        let wrong = Wrong::new("nobody asks this judge").hint("add `judge` to `order`");
        reader.wrong_at(at.node.span, &at.path, wrong);
    }
    let mut section = reader.section(&at)?;
    let model_at = reader.take(&mut section, "model");
    if model_at.is_none() {
        reader.missing(&section, "model", "who judges; a small and quick model will do");
    }
    let model = model_at.and_then(|at| reader.read(&at, |text| names.model(text)));
    let timeout = reader.take(&mut section, "timeout").and_then(|at| reader.read(&at, millis_of));
    reader.finish(section);
    Some(Judge { model: model?, timeout_ms: timeout.unwrap_or(JUDGE_TIMEOUT_MS) })
}

fn read_fallback(reader: &mut Reader<'_>, at: &At<'_>, fallback: &mut Fallback) {
    let Some(mut section) = reader.section(at) else { return };
    if let Some(retries) = reader.take(&mut section, "retries").and_then(|at| reader.number(&at, 0..=3)) {
        fallback.retries = u32::try_from(retries).unwrap_or(fallback.retries);
    }
    if let Some(cooldown) = reader.take(&mut section, "cooldown").and_then(|at| reader.read(&at, millis_of)) {
        fallback.cooldown_ms = cooldown;
    }
    reader.finish(section);
}

/// A duration in milliseconds.
fn millis_of(text: &str) -> Result<u64, Wrong> {
    duration(text)?;
    millis(text)
}

fn read_timeouts(reader: &mut Reader<'_>, at: &At<'_>, timeouts: &mut Timeouts) {
    let Some(mut section) = reader.section(at) else { return };
    let rows = [
        ("connect", &mut timeouts.connect),
        ("first_content", &mut timeouts.first_content),
        ("idle", &mut timeouts.idle),
        ("total", &mut timeouts.total),
    ];
    for (key, timeout) in rows {
        if let Some(time) = reader.take(&mut section, key).and_then(|at| reader.read(&at, duration)) {
            *timeout = time;
        }
    }
    reader.finish(section);
}

#[cfg(test)]
mod tests;
