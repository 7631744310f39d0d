//! Reads a policy's `constraints`: what every candidate must keep.

use std::collections::BTreeSet;

use baton_model::NanoUsd;
use baton_policy::{Capability, Constraints, Need};

use crate::read::names::Names;
use crate::reader::{At, Named, Reader, Section};
use crate::value::{Wrong, did_you_mean, dollars, millis, money, share};

pub(super) fn read(reader: &mut Reader<'_>, at: &At<'_>, names: &Names<'_>, constraints: &mut Constraints) {
    let Some(mut section) = reader.section(at) else { return };
    let cost = either(reader, &mut section, "max_cost_usd", "max_cost");
    constraints.max_cost = cost.and_then(|at| reader.read(&at, money)).map(NanoUsd);
    constraints.max_latency_ms = read_latency(reader, &mut section);
    if let Some(at) = reader.take(&mut section, "max_price") {
        read_prices(reader, &at, constraints);
    }
    if let Some(items) = reader.take(&mut section, "capabilities").and_then(|at| reader.list(&at)) {
        constraints.capabilities = read_needs(reader, &items, &names.strengths());
    }
    reader.finish(section);
}

/// The value of the one of two keys that is there. Both mean the same.
fn either<'t>(
    reader: &mut Reader<'_>,
    section: &mut Section<'t>,
    key: &'static str,
    other: &'static str,
) -> Option<At<'t>> {
    let taken = reader.take(section, key);
    let second = reader.take(section, other);
    if let (Some(_), Some(second)) = (&taken, &second) {
        reader.wrong(second, Wrong::new(format!("`{key}` says the same already")).hint("keep one of them"));
    }
    taken.or(second)
}

/// The one key takes a number of milliseconds, the other one a duration too.
fn read_latency(reader: &mut Reader<'_>, section: &mut Section<'_>) -> Option<u64> {
    let at = either(reader, section, "max_latency_ms", "max_latency")?;
    if at.path.ends_with("_ms") { reader.number(&at, 1..=86_400_000) } else { reader.read(&at, millis) }
}

fn read_prices(reader: &mut Reader<'_>, at: &At<'_>, constraints: &mut Constraints) {
    let Some(mut section) = reader.section(at) else { return };
    let mut price =
        |key| reader.take(&mut section, key).and_then(|at| reader.read(&at, dollars)).map(NanoUsd);
    constraints.max_input_price = price("input");
    constraints.max_output_price = price("output");
    reader.finish(section);
}

/// Names of capabilities and strengths, and maps of strengths and what is asked of them.
fn read_needs(reader: &mut Reader<'_>, items: &[At<'_>], strengths: &BTreeSet<&str>) -> Vec<Need> {
    let mut needs = Vec::new();
    let mut seen = BTreeSet::new();
    for item in items {
        if item.is_map() {
            for entry in reader.named(item) {
                let need = read_threshold(reader, &entry, strengths);
                if need.is_some() && !seen.insert(entry.name.to_owned()) {
                    reader.wrong_at(entry.key, &entry.value.path, twice(entry.name));
                }
                needs.extend(need);
            }
        } else if let Some(need) = reader.read(item, |text| bare(text, strengths)) {
            let name = match &need {
                Need::Can(capability) => capability.as_str(),
                Need::GoodAt { strength, .. } => strength,
            };
            if !seen.insert(name.to_owned()) {
                reader.wrong(item, twice(name));
            }
            needs.push(need);
        }
    }
    needs
}

fn read_threshold(reader: &mut Reader<'_>, entry: &Named<'_>, strengths: &BTreeSet<&str>) -> Option<Need> {
    if !strengths.contains(entry.name) {
        let wrong = match Need::named(entry.name) {
            Need::Can(capability) => {
                let name = capability.as_str();
                Wrong::new(format!("a model has `{name}` or not; it takes no threshold"))
                    .hint(format!("write `{name}` alone"))
            }
            Need::GoodAt { .. } => unknown(entry.name, strengths.iter().copied()),
        };
        reader.wrong_at(entry.key, &entry.value.path, wrong);
        return None;
    }
    let at_least = reader.read(&entry.value, share)?;
    Some(Need::GoodAt { strength: entry.name.to_owned(), at_least })
}

fn bare(text: &str, strengths: &BTreeSet<&str>) -> Result<Need, Wrong> {
    match Need::named(text) {
        Need::GoodAt { .. } if !strengths.contains(text) => {
            let capabilities = Capability::ALL.map(Capability::as_str);
            Err(unknown(text, capabilities.into_iter().chain(strengths.iter().copied())))
        }
        need => Ok(need),
    }
}

fn unknown<'n>(name: &str, known: impl Iterator<Item = &'n str>) -> Wrong {
    let wrong = Wrong::new(format!("no model is known to have `{name}`"));
    match did_you_mean(name, known) {
        Some(hint) => wrong.hint(hint),
        None => wrong.hint("give it to a model, under `strengths`"),
    }
}

fn twice(name: &str) -> Wrong {
    Wrong::new(format!("`{name}` stands here twice"))
}
