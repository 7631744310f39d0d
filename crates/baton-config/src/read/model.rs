//! Reads `models`.

use std::collections::BTreeMap;

use baton_model::{ModelName, NanoUsd, Price, Target};
use baton_policy::Capabilities;

use super::provider::{self, BUILT_IN, unknown_provider};
use crate::Model;
use crate::reader::{At, Named, Reader, Section};
use crate::tree::Span;
use crate::value::{Wrong, dollars, share};

/// A model of the file, with the places of its names.
pub(super) struct Entry {
    pub(super) model: Model,
    pub(super) key: Span,
    pub(super) aliases: Vec<(ModelName, Span)>,
}

pub(super) fn models(
    reader: &mut Reader<'_>,
    top: &mut Section<'_>,
    providers: &[provider::Entry],
) -> Vec<Entry> {
    let Some(at) = reader.take(top, "models") else {
        return Vec::new();
    };
    let entries = reader.named(&at);
    entries.iter().filter_map(|entry| read(reader, entry, providers)).collect()
}

fn read(reader: &mut Reader<'_>, entry: &Named<'_>, providers: &[provider::Entry]) -> Option<Entry> {
    let target = read_target(entry.name, providers);
    let target = target.map_err(|wrong| reader.wrong_at(entry.key, &entry.value.path, wrong)).ok();
    let mut section = reader.section(&entry.value)?;
    let items = reader.take(&mut section, "aliases").and_then(|at| reader.list(&at)).unwrap_or_default();
    let aliases: Vec<(ModelName, Span)> = items.iter().filter_map(|at| read_alias(reader, at)).collect();
    let strengths =
        reader.take(&mut section, "strengths").map(|at| read_strengths(reader, &at)).unwrap_or_default();
    let price = reader.take(&mut section, "price").and_then(|at| read_price(reader, &at));
    let capabilities = read_capabilities(reader, &mut section);
    reader.finish(section);
    let names = aliases.iter().map(|(name, _)| name.clone()).collect();
    let model = Model { target: target?, aliases: names, strengths, price, capabilities };
    Some(Entry { model, key: entry.key, aliases })
}

fn read_target(name: &str, providers: &[provider::Entry]) -> Result<Target, Wrong> {
    let target: Target = match name.split_once('/') {
        None => return Err(Wrong::new("a model's key is `<provider>/<name>`")),
        Some(_) => name.parse().map_err(|error| Wrong::new(format!("{error}")))?,
    };
    let names = || providers.iter().map(|entry| entry.name.as_str()).chain([BUILT_IN]);
    if names().any(|name| name == target.provider.as_str()) {
        return Ok(target);
    }
    Err(unknown_provider(target.provider.as_str(), names()))
}

fn read_alias(reader: &mut Reader<'_>, at: &At<'_>) -> Option<(ModelName, Span)> {
    Some((reader.parse(at)?, at.node.span))
}

fn read_strengths(reader: &mut Reader<'_>, at: &At<'_>) -> BTreeMap<String, u32> {
    let mut strengths = BTreeMap::new();
    for entry in reader.named(at) {
        if entry.name.is_empty()
            || !entry.name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        {
            let wrong = Wrong::new("a strength is named with small letters, digits and `_`");
            reader.wrong_at(entry.key, &entry.value.path, wrong);
        } else if let Some(share) = reader.read(&entry.value, share) {
            strengths.insert(entry.name.to_owned(), share);
        }
    }
    strengths
}

fn read_price(reader: &mut Reader<'_>, at: &At<'_>) -> Option<Price> {
    let mut section = reader.section(at)?;
    let taken = ["input", "output", "cached_input", "cache_write"].map(|key| reader.take(&mut section, key));
    let [input, output, cached_input, cache_write] =
        taken.each_ref().map(|at| at.as_ref().and_then(|at| reader.read(at, dollars)).map(NanoUsd));
    for (key, at) in ["input", "output"].into_iter().zip(&taken) {
        if at.is_none() {
            reader.missing(&section, key, "in US dollars per million tokens; `0` is free");
        }
    }
    reader.finish(section);
    Some(Price { input: input?, output: output?, cached_input, cache_write })
}

fn read_capabilities(reader: &mut Reader<'_>, model: &mut Section<'_>) -> Capabilities {
    let mut tokens = |key| reader.take(model, key).and_then(|at| reader.number(&at, 1..=1_000_000_000));
    let sizes = Capabilities {
        context_window: tokens("context_window"),
        max_output_tokens: tokens("max_output_tokens"),
        ..Capabilities::default()
    };
    let Some(mut section) = reader.take(model, "capabilities").and_then(|at| reader.section(&at)) else {
        return sizes;
    };
    let mut can = |key| reader.take(&mut section, key).and_then(|at| reader.boolean(&at));
    let capabilities = Capabilities {
        vision: can("vision"),
        audio: can("audio"),
        tools: can("tools"),
        structured_output: can("structured_output"),
        logprobs: can("logprobs"),
        reasoning: can("reasoning"),
        ..sizes
    };
    reader.finish(section);
    capabilities
}
