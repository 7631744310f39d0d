//! Shows what is known of models, and from where.
//!
//! - Start with [`list`] and [`show`].
//! - **Invariant:** a price that is not the configuration's is shown with the place and the day it was
//!   read; what is unknown is said to be.

use std::collections::BTreeMap;
use std::process::ExitCode;

use baton_config::Config;
use baton_engine::Settings;
use baton_model::{ModelName, NanoUsd, Price, Target, nearest};
use baton_policy::{Capabilities, Facts};
use baton_upstream::{Known, ModelNames, Source, catalog};
use serde_json::{Value, json};

use crate::control::remote::{Gateway, Remote, encoded};
use crate::output::{json as print_json, line, problem, table};

/// Which models to list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    /// Those that can be named here.
    Configured,
    /// Those of the catalogue too, whether or not their provider is configured.
    All,
}

/// A model to be shown.
struct Shown<'a> {
    target: Target,
    facts: &'a Facts,
    known: Option<&'static Known>,
    in_file: bool,
}

/// Lists models, one in a line.
pub(crate) fn list(config: &Config, which: Which, json: bool) -> anyhow::Result<ExitCode> {
    let settings = crate::settings::settings(config)?;
    let entries = settings.catalog.models();
    let mut models: Vec<Shown<'_>> =
        entries.iter().map(|entry| Shown::new(config, entry.target.clone(), &entry.facts)).collect();
    if which == Which::All {
        for known in catalog().models() {
            let is_listed =
                |model: &Shown<'_>| model.known == Some(known) && model.target.model == known.target.model;
            if !models.iter().any(is_listed) {
                models.push(Shown::new(config, known.target.clone(), &known.facts));
            }
        }
    }
    let routes = settings.catalog.routes();
    if json {
        let pool = |pool: &[ModelName]| pool.iter().map(ToString::to_string).collect::<Vec<_>>();
        let rows = models.iter().map(Shown::to_json).chain(
            routes.iter().map(|(name, route)| json!({"id": name.as_str(), "pool": pool(&route.pool)})),
        );
        print_json(&Value::Array(rows.collect()));
        return Ok(ExitCode::SUCCESS);
    }
    let mut rows = vec![["model", "context", "$ in", "$ out", "can", "facts from"].map(str::to_owned)];
    rows.extend(models.iter().map(Shown::row));
    table(&rows);
    for (name, route) in routes {
        let pool: Vec<&str> = route.pool.iter().map(ModelName::as_str).collect();
        line(&format!("{name}  → {}", pool.join(", ")));
    }
    for provider in &config.providers {
        if provider.upstream.models == ModelNames::Any {
            line(&format!("{}/*", provider.upstream.name));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Shows one model with everything that is known of it.
pub(crate) fn show(config: &Config, name: &str, json: bool) -> anyhow::Result<ExitCode> {
    let settings = crate::settings::settings(config)?;
    let entry = settings.catalog.model(name);
    let model = match (&entry, catalog().find(name)) {
        (Some(entry), _) => Shown::new(config, entry.target.clone(), &entry.facts),
        (None, Some(known)) => Shown::new(config, known.target.clone(), &known.facts),
        (None, None) => {
            let known = catalog().models().iter().map(|known| known.target.to_string());
            let known: Vec<String> = known.chain(entries(&settings)).collect();
            let short = known.iter().filter_map(|name| Some(name.split_once('/')?.1));
            let hint = match nearest(name, known.iter().map(String::as_str).chain(short)) {
                Some(nearest) => format!("did you mean `{nearest}`?"),
                None => "`baton models list --all` lists what is known".to_owned(),
            };
            problem(&format!("`{name}` stands for no model; {hint}"));
            return Ok(ExitCode::FAILURE);
        }
    };
    if json {
        print_json(&model.to_json());
    } else {
        model.lines().iter().for_each(|text| line(text));
        if entry.is_none() {
            line(&format!("  {:14}no provider that serves it is configured", "note"));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The models that are configured, as they can be named.
fn entries(settings: &Settings) -> impl Iterator<Item = String> {
    settings.catalog.models().into_iter().flat_map(|entry| {
        let aliases: Vec<String> = entry.facts.aliases.iter().map(ToString::to_string).collect();
        std::iter::once(entry.target.to_string()).chain(aliases)
    })
}

/// Lists the models of a gateway elsewhere that its administrators may name, or shows one of them.
pub(crate) async fn elsewhere(gateway: &Gateway, name: Option<&str>, json: bool) -> anyhow::Result<()> {
    let remote = Remote::new(gateway)?;
    if let Some(name) = name {
        print_json(&remote.get(&format!("/v1/models/{}", encoded(name))).await?);
        return Ok(());
    }
    let answer = remote.get("/v1/models").await?;
    let models = answer.get("data").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    if json {
        print_json(&Value::from(models));
        return Ok(());
    }
    let mut rows = vec![["model", "context", "$ in", "$ out", "can"].map(str::to_owned)];
    rows.extend(models.iter().map(listed));
    table(&rows);
    Ok(())
}

/// A model of `GET /v1/models` as a row.
fn listed(model: &Value) -> [String; 5] {
    let id = model.get("id").and_then(Value::as_str).unwrap_or_default();
    let aliases = model.get("aliases").and_then(Value::as_array).into_iter().flatten();
    let aliases: Vec<&str> = aliases.filter_map(Value::as_str).collect();
    let aliases = if aliases.is_empty() { String::new() } else { format!("  ({})", aliases.join(", ")) };
    let window = model.pointer("/capabilities/input_token_limit").and_then(Value::as_u64);
    let price = |pointer: &str| model.pointer(pointer).map_or_else(unknown, Value::to_string);
    let can = model.get("capabilities").and_then(Value::as_object).into_iter().flatten();
    let words: Vec<&str> = can
        .filter(|(name, has)| **has == Value::Bool(true) && !ALL_CAN.contains(&name.as_str()))
        .map(|(name, _)| name.as_str())
        .collect();
    [
        format!("{id}{aliases}"),
        window.map_or_else(unknown, short),
        price("/pricing/input_per_million"),
        price("/pricing/output_per_million"),
        if words.is_empty() { unknown() } else { words.join(" ") },
    ]
}

/// What the API says of every model, and `reasoning` under another client's name for it.
const ALL_CAN: [&str; 3] = ["text", "streaming", "thinking"];

impl<'a> Shown<'a> {
    fn new(config: &Config, target: Target, facts: &'a Facts) -> Self {
        let in_file = config.models.iter().any(|model| model.target == target);
        Self { known: catalog().get(&target), in_file, target, facts }
    }

    const fn origin(&self) -> &'static str {
        match (self.known.is_some(), self.in_file) {
            (true, true) => "catalogue, file",
            (true, false) => "catalogue",
            (false, true) => "file",
            (false, false) => "-",
        }
    }

    /// What the catalogue says of the price, if the price is the catalogue's.
    fn price_source(&self) -> Option<&'static baton_upstream::PriceSource> {
        self.known.filter(|known| known.facts.price == self.facts.price)?.price_source.as_ref()
    }

    /// The names that the provider takes for it too.
    fn also(&self) -> Vec<&'static str> {
        let named = |name: &&ModelName| **name != self.target.model;
        self.known
            .map(|known| known.also.iter().filter(named).map(ModelName::as_str).collect())
            .unwrap_or_default()
    }

    fn row(&self) -> [String; 6] {
        let can = self.facts.capabilities;
        let aliases: Vec<&str> = self.facts.aliases.iter().map(ModelName::as_str).collect();
        let aliases = if aliases.is_empty() { String::new() } else { format!("  ({})", aliases.join(", ")) };
        let price = |of: fn(&Price) -> NanoUsd| {
            self.facts.price.as_ref().map_or_else(unknown, |price| usd(of(price)))
        };
        let words = words(&can, Some(true)).join(" ");
        [
            format!("{}{aliases}", self.target),
            can.context_window.map_or_else(unknown, short),
            price(|price| price.input),
            price(|price| price.output),
            if words.is_empty() { unknown() } else { words },
            self.origin().to_owned(),
        ]
    }

    fn lines(&self) -> Vec<String> {
        let can = &self.facts.capabilities;
        let mut lines = vec![self.target.to_string()];
        let mut say = |name: &str, text: String| {
            if !text.is_empty() {
                lines.push(format!("  {name:14}{text}"));
            }
        };
        let aliases: Vec<&str> = self.facts.aliases.iter().map(ModelName::as_str).collect();
        say("aliases", aliases.join(", "));
        say("served as", self.also().join(", "));
        say("family", self.facts.family.clone().unwrap_or_default());
        let tokens =
            |tokens: Option<u64>| tokens.map_or_else(|| "unknown".to_owned(), |n| format!("{n} tokens"));
        say("context", tokens(can.context_window));
        say("output", tokens(can.max_output_tokens));
        say("can", words(can, Some(true)).join(", "));
        say("cannot", words(can, Some(false)).join(", "));
        say("unknown", words(can, None).join(", "));
        say("price", self.facts.price.as_ref().map_or_else(|| "unknown".to_owned(), price_text));
        if let Some(price) = self.price_source() {
            let limit = price.up_to_input_tokens;
            say(
                "holds up to",
                limit.map(|limit| format!("{limit} input tokens; more cost more")).unwrap_or_default(),
            );
            say("note", price.note.clone().unwrap_or_default());
            say("read from", source_text(&price.source));
            price.confirmed_by.iter().for_each(|source| say("confirmed by", source_text(source)));
        } else if self.facts.price.is_some() {
            say("read from", "the configuration".to_owned());
        }
        say("strengths", shares(&self.facts.strengths));
        say("attributes", shares(&self.facts.attributes));
        say("scored as", self.facts.scored_as.clone().unwrap_or_default());
        let version =
            if self.known.is_some() { format!(" ({})", catalog().version()) } else { String::new() };
        say("facts from", format!("{}{version}", self.origin()));
        lines
    }

    fn to_json(&self) -> Value {
        let source = |source: &Source| json!({"url": source.url, "date": source.date});
        let price = self.facts.price.map(|price| {
            let known = self.price_source();
            json!({
                "input": usd(price.input),
                "output": usd(price.output),
                "cached_input": price.cached_input.map(usd),
                "cache_write": price.cache_write.map(usd),
                "up_to_input_tokens": known.and_then(|known| known.up_to_input_tokens),
                "note": known.and_then(|known| known.note.as_deref()),
                "source": known.map(|known| source(&known.source)),
                "confirmed_by": known.map(|known| known.confirmed_by.iter().map(source).collect::<Vec<_>>()),
            })
        });
        let millionths = |shares: &BTreeMap<String, u32>| -> Value {
            shares.iter().map(|(name, share)| (name.clone(), json!(f64::from(*share) / 1e6))).collect()
        };
        json!({
            "id": self.target.to_string(),
            "aliases": self.facts.aliases.iter().map(ModelName::as_str).collect::<Vec<_>>(),
            "served_as": self.also(),
            "family": self.facts.family,
            "capabilities": self.facts.capabilities,
            "price": price,
            "strengths": millionths(&self.facts.strengths),
            "attributes": millionths(&self.facts.attributes),
            "scored_as": self.facts.scored_as,
            "in_catalogue": self.known.map(|_| catalog().version()),
            "in_file": self.in_file,
        })
    }
}

fn unknown() -> String {
    "-".to_owned()
}

/// The capabilities that are known to be there, known not to be, or not known.
fn words(can: &Capabilities, wanted: Option<bool>) -> Vec<&'static str> {
    [
        ("vision", can.vision),
        ("audio", can.audio),
        ("tools", can.tools),
        ("structured_output", can.structured_output),
        ("logprobs", can.logprobs),
        ("reasoning", can.reasoning),
    ]
    .into_iter()
    .filter_map(|(word, known)| (known == wanted).then_some(word))
    .collect()
}

/// `128k` for 128,000 and `1M` for a million, rounded down.
fn short(tokens: u64) -> String {
    match tokens {
        1_000_000.. if tokens % 1_000_000 < 100_000 => format!("{}M", tokens / 1_000_000),
        1_000_000.. => format!("{}.{}M", tokens / 1_000_000, tokens % 1_000_000 / 100_000),
        1_000.. => format!("{}k", tokens / 1_000),
        _ => tokens.to_string(),
    }
}

/// Dollars with at least two decimals and no more than there are.
fn usd(amount: NanoUsd) -> String {
    let fraction = format!("{:09}", amount.0 % 1_000_000_000);
    let digits = fraction.trim_end_matches('0');
    format!("{}.{digits:0<2}", amount.0 / 1_000_000_000)
}

fn price_text(price: &Price) -> String {
    let mut text = format!("${} in, ${} out", usd(price.input), usd(price.output));
    for (name, amount) in [("cached in", price.cached_input), ("cache write", price.cache_write)] {
        if let Some(amount) = amount {
            text.push_str(&format!(", ${} {name}", usd(amount)));
        }
    }
    text + ", per million tokens"
}

fn source_text(source: &Source) -> String {
    format!("{} on {}", source.url, source.date)
}

/// `code 0.83, math 0.69`, the most first.
fn shares(shares: &BTreeMap<String, u32>) -> String {
    let mut shares: Vec<(&str, u32)> = shares.iter().map(|(name, share)| (name.as_str(), *share)).collect();
    shares.sort_by_key(|(name, share)| (std::cmp::Reverse(*share), *name));
    let text: Vec<String> = shares
        .iter()
        .map(|(name, share)| format!("{name} {}.{:02}", share / 1_000_000, share % 1_000_000 / 10_000))
        .collect();
    text.join(", ")
}

#[cfg(test)]
mod tests;
