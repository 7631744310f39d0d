//! Reads models as Docker Agent has them: a short name for a provider's model, with settings.
//!
//! Baton's own entries of `models` are named `<provider>/<name>`, and none of their keys is `provider`, `model` or
//! `first_available`: that is how the two are told apart.

use baton_model::{ModelName, NanoUsd, Price, ProviderName, Target};
use baton_policy::Capabilities;
use serde_json::Value;

use super::keys;
use super::note::Notes;
use crate::knowledge;
use crate::read::names::Names;
use crate::read::policy::setting;
use crate::read::{model, provider};
use crate::reader::{At, Named, Reader, Section};
use crate::tree;
use crate::value::{Wrong, dollars};
use crate::{Model, Provider};

/// A name for a provider's model.
pub(in crate::read) struct Alias {
    pub(super) name: ModelName,
    /// Settings of generation, for agents that name the model so.
    pub(super) settings: Vec<(String, Value)>,
}

/// How much thinking there is words for.
const EFFORTS: [&str; 6] = ["none", "minimal", "low", "medium", "high", "xhigh"];

/// Whether an entry of `models` has the shape of Docker Agent.
pub(in crate::read) fn is_alias(entry: &Named<'_>) -> bool {
    let tree::Value::Map(members) = &entry.value.node.value else { return false };
    members.iter().any(|(key, _)| matches!(key.text.as_str(), "provider" | "model" | "first_available"))
}

/// Reads an alias, and puts its name beside the model that it stands for.
pub(in crate::read) fn read(
    reader: &mut Reader<'_>,
    entry: &Named<'_>,
    providers: &[provider::Entry],
    models: &mut Vec<model::Entry>,
    notes: &mut Notes,
) -> Option<Alias> {
    let name = entry.name.parse::<ModelName>();
    let name =
        name.map_err(|error| reader.wrong_at(entry.key, &entry.value.path, Wrong::new(format!("{error}"))));
    let mut section = reader.section(&entry.value)?;
    let target = read_target(reader, &mut section, providers, notes);
    let settings = read_settings(reader, &mut section, notes);
    let price = notes.take(reader, &mut section, "cost").and_then(|at| read_price(reader, &at));
    let vision = notes.take(reader, &mut section, "capabilities").and_then(|at| {
        let mut section = reader.section(&at)?;
        let image = notes.take(reader, &mut section, "image").and_then(|at| reader.boolean(&at));
        if let Some((span, path)) = section.place_of("pdf") {
            notes.unsupported(span, &path, "documents are passed on and not planned with");
        }
        reader.finish(section);
        image
    });
    keys::note(reader, &mut section, &keys::MODEL, notes);
    reader.finish(section);
    let (name, target) = (name.ok()?, target?);
    let known = models.iter().position(|entry| entry.model.target == target);
    let at = known.unwrap_or_else(|| {
        let facts = knowledge::facts(&target);
        let model = Model { target, facts };
        models.push(model::Entry { model, key: entry.key, aliases: Vec::new() });
        models.len() - 1
    });
    let of = models.get_mut(at)?;
    let facts = &mut of.model.facts;
    if !facts.aliases.contains(&name) {
        facts.aliases.push(name.clone());
    }
    facts.price = price.or(facts.price);
    let said = Capabilities { vision, ..Capabilities::default() };
    facts.capabilities = knowledge::over(said, facts.capabilities);
    of.aliases.push((name.clone(), entry.key));
    Some(Alias { name, settings })
}

/// `provider` and `model`, or the first of some that can be had.
fn read_target(
    reader: &mut Reader<'_>,
    section: &mut Section<'_>,
    providers: &[provider::Entry],
    notes: &mut Notes,
) -> Option<Target> {
    if let Some(at) = notes.take(reader, section, "first_available") {
        let items = reader.list(&at)?;
        let targets: Vec<Target> = items.iter().filter_map(|at| reader.parse(at)).collect();
        let found = targets.iter().find(|target| can_be_had(providers, target)).cloned();
        if found.is_none() && targets.len() == items.len() {
            let wrong = Wrong::new("none of these models can be had");
            reader.wrong_at(at.node.span, &at.path, wrong.hint("configure one of their providers"));
        }
        return found;
    }
    let provider_at = notes.take(reader, section, "provider");
    let model_at = notes.take(reader, section, "model");
    for (key, at) in [("provider", &provider_at), ("model", &model_at)] {
        if at.is_none() {
            reader.missing(section, key, "an alias names both, as in `provider: openai`, `model: gpt-4o`");
        }
    }
    let names = || providers.iter().map(|entry| entry.name.as_str()).chain([provider::BUILT_IN]);
    let provider = provider_at.and_then(|at| {
        reader.read(&at, |text| {
            let known = names().find(|name| *name == text).and_then(|name| name.parse::<ProviderName>().ok());
            known.ok_or_else(|| provider::unknown_provider(text, names()))
        })
    });
    let model = model_at.and_then(|at| reader.parse::<ModelName>(&at));
    Some(Target { provider: provider?, model: model? })
}

/// Whether a model's provider is configured, with a key where it needs one.
fn can_be_had(providers: &[provider::Entry], target: &Target) -> bool {
    let provider = providers.iter().find(|entry| entry.name == target.provider);
    target.provider.as_str() == provider::BUILT_IN
        || provider.is_some_and(|entry| has_key(entry.provider.as_ref()))
}

fn has_key(provider: Option<&Provider>) -> bool {
    // Of one that could not be read, nobody knows.
    provider.is_none_or(|provider| {
        let preset = baton_upstream::preset(provider.upstream.name.as_str());
        !provider.upstream.credentials.is_empty() || !preset.is_some_and(|preset| preset.needs_key)
    })
}

/// The first of these names that can be had.
pub(super) fn first_available(
    reader: &mut Reader<'_>,
    items: &[At<'_>],
    names: &Names<'_>,
) -> Option<ModelName> {
    let mut first = None;
    for item in items {
        let found = reader.read(item, |text| {
            let is_missing = text.parse::<Target>().is_ok_and(|target| !can_be_had(names.providers, &target));
            if is_missing { Ok(None) } else { names.model(text).map(Some) }
        });
        if first.is_none() {
            first = found.flatten();
        }
    }
    if let (None, Some(item)) = (&first, items.first()) {
        let wrong = Wrong::new("none of these models can be had").hint("configure one of their providers");
        reader.wrong_at(item.node.span, &item.path, wrong);
    }
    first
}

fn read_settings(
    reader: &mut Reader<'_>,
    section: &mut Section<'_>,
    notes: &mut Notes,
) -> Vec<(String, Value)> {
    let mut settings = Vec::new();
    for key in
        ["temperature", "max_tokens", "top_p", "frequency_penalty", "presence_penalty", "parallel_tool_calls"]
    {
        if let Some(at) = notes.take(reader, section, key)
            && let Some(value) = setting::setting(reader, &at, key)
        {
            settings.push((key.to_owned(), value));
        }
    }
    if let Some((span, path)) = section.place_of("thinking_budget")
        && let Some(at) = reader.take(section, "thinking_budget")
    {
        let word = reader.read(&at, |text| Ok(EFFORTS.contains(&text).then(|| text.to_owned())));
        match word.flatten() {
            Some(word) => {
                notes.honoured(span, &path);
                settings.push(("reasoning_effort".to_owned(), Value::from(word)));
            }
            None => notes.unsupported(span, &path, "a number of tokens is not carried; write an effort"),
        }
    }
    settings
}

/// US dollars per million tokens.
fn read_price(reader: &mut Reader<'_>, at: &At<'_>) -> Option<Price> {
    let mut section = reader.section(at)?;
    let taken = ["input", "output", "cache_read", "cache_write"].map(|key| reader.take(&mut section, key));
    let [input, output, cached_input, cache_write] =
        taken.each_ref().map(|at| at.as_ref().and_then(|at| reader.read(at, dollars)).map(NanoUsd));
    for (key, at) in ["input", "output"].into_iter().zip(&taken) {
        if at.is_none() {
            reader.missing(&section, key, "in US dollars per million tokens; `0` is free");
        }
    }
    reader.finish(section);
    Some(Price { input: input?, output: output?, cached_input, cache_write, cache_write_1h: None })
}
