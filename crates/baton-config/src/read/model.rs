//! Reads `models`, and lays what the file says over what the catalogue knows.

use std::collections::{BTreeMap, HashSet};

use baton_model::{ModelName, NanoUsd, Price, Target};
use baton_policy::{Capabilities, Scorer};

use super::agent::alias::{self, Alias};
use super::agent::note::Notes;
use super::provider::{self, BUILT_IN, unknown_provider};
use crate::knowledge;
use crate::reader::{At, Named, Reader, Section};
use crate::tree::Span;
use crate::value::{Wrong, did_you_mean, dollars, share};
use crate::{Model, Route};

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
    notes: &mut Notes,
) -> (Vec<Entry>, Vec<Alias>) {
    let Some(at) = reader.take(top, "models") else {
        return (Vec::new(), Vec::new());
    };
    let entries = reader.named(&at);
    let (short, own): (Vec<_>, Vec<_>) = entries.iter().partition(|entry| alias::is_alias(entry));
    let mut models = own.into_iter().filter_map(|entry| read(reader, entry, providers)).collect();
    let aliases =
        short.into_iter().filter_map(|entry| alias::read(reader, entry, providers, &mut models, notes));
    let aliases = aliases.collect();
    (models, aliases)
}

fn read(reader: &mut Reader<'_>, entry: &Named<'_>, providers: &[provider::Entry]) -> Option<Entry> {
    let target = read_target(entry.name, providers);
    let target = target.map_err(|wrong| reader.wrong_at(entry.key, &entry.value.path, wrong)).ok();
    let mut section = reader.section(&entry.value)?;
    let items = reader.take(&mut section, "aliases").and_then(|at| reader.list(&at)).unwrap_or_default();
    let aliases: Vec<(ModelName, Span)> = items.iter().filter_map(|at| read_alias(reader, at)).collect();
    let strengths = read_shares(reader, &mut section, "strengths");
    let attributes = read_shares(reader, &mut section, "attributes");
    let price = reader.take(&mut section, "price").and_then(|at| read_price(reader, &at));
    let scored_as = reader.take(&mut section, "scored_as").and_then(|at| reader.read(&at, trained_model));
    let capabilities = read_capabilities(reader, &mut section);
    reader.finish(section);

    let target = target?;
    let mut facts = knowledge::facts(&target);
    for (alias, _) in &aliases {
        if !facts.aliases.contains(alias) {
            facts.aliases.push(alias.clone());
        }
    }
    facts.strengths.extend(strengths);
    facts.attributes.extend(attributes);
    facts.price = price.or(facts.price);
    facts.scored_as = scored_as.or(facts.scored_as);
    facts.capabilities = knowledge::over(capabilities, facts.capabilities);
    Some(Entry { model: Model { target, facts }, key: entry.key, aliases })
}

/// Takes the catalogue's aliases away that the file uses for something else.
pub(super) fn settle_aliases(models: &mut [Entry], routes: &[Route]) {
    let mut taken: HashSet<ModelName> = routes.iter().map(|route| route.name.clone()).collect();
    taken.extend(models.iter().flat_map(|entry| &entry.aliases).map(|(name, _)| name.clone()));
    for Entry { model, aliases, .. } in models {
        let is_own = |alias: &ModelName| aliases.iter().any(|(own, _)| own == alias);
        model.facts.aliases.retain(|alias| is_own(alias) || taken.insert(alias.clone()));
    }
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

fn read_shares(
    reader: &mut Reader<'_>,
    section: &mut Section<'_>,
    key: &'static str,
) -> BTreeMap<String, u32> {
    let entries = reader.take(section, key).map(|at| reader.named(&at)).unwrap_or_default();
    let mut shares = BTreeMap::new();
    for entry in entries {
        if entry.name.is_empty()
            || !entry.name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        {
            let wrong = Wrong::new("this is named with small letters, digits and `_`");
            reader.wrong_at(entry.key, &entry.value.path, wrong);
        } else if let Some(share) = reader.read(&entry.value, share) {
            shares.insert(entry.name.to_owned(), share);
        }
    }
    shares
}

/// The name of a model that the scorer was trained on.
fn trained_model(text: &str) -> Result<String, Wrong> {
    let scorer = Scorer::built_in();
    if scorer.index(text).is_some() {
        return Ok(text.to_owned());
    }
    let wrong = Wrong::new(format!("the scorer was not trained on `{text}`"));
    Err(match did_you_mean(text, scorer.models()) {
        Some(hint) => wrong.hint(hint),
        None => wrong.hint("leave it out"),
    })
}

fn read_price(reader: &mut Reader<'_>, at: &At<'_>) -> Option<Price> {
    let mut section = reader.section(at)?;
    let taken = ["input", "output", "cached_input", "cache_write", "cache_write_1h"]
        .map(|key| reader.take(&mut section, key));
    let [input, output, cached_input, cache_write, cache_write_1h] =
        taken.each_ref().map(|at| at.as_ref().and_then(|at| reader.read(at, dollars)).map(NanoUsd));
    for (key, at) in ["input", "output"].into_iter().zip(&taken) {
        if at.is_none() {
            reader.missing(&section, key, "in US dollars per million tokens; `0` is free");
        }
    }
    reader.finish(section);
    Some(Price { input: input?, output: output?, cached_input, cache_write, cache_write_1h })
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
