//! Reads the file of models.
//!
//! - Start with [`Catalog::parse`].
//! - **Invariant:** decimals are read digit by digit; no float comes near money.

use std::collections::{BTreeMap, HashMap};

use baton_model::{ModelName, NameError, NanoUsd, Price, Target};
use baton_policy::{Capabilities, Facts, TaskKind};
use serde::Deserialize;
use serde_json::Number;

use super::{Catalog, Known, PriceSource, Source};
use crate::preset::preset;

/// What is wrong with a file of models.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// Not JSON, or not of the form.
    #[error("the file is not of the form")]
    Form(#[from] serde_json::Error),
    /// A name that breaks the naming rule.
    #[error("`{name}` is no name")]
    Name {
        /// The name.
        name: String,
        /// What it breaks.
        source: NameError,
    },
    /// A provider that is no preset.
    #[error("`{0}` is no known provider")]
    Provider(String),
    /// A name that stands for two models.
    #[error("`{0}` is there twice")]
    Repeated(ModelName),
    /// A strength or an attribute that is not among the words.
    #[error("`{0}` is not among the words")]
    Word(String),
    /// Not a decimal, or out of range.
    #[error("`{0}` is no such number")]
    Number(String),
    /// A kind of task without strengths.
    #[error("no strengths for `{0}`")]
    Task(TaskKind),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCatalog {
    version: String,
    date: String,
    #[serde(rename = "comment")]
    _comment: Vec<String>,
    strengths: BTreeMap<String, String>,
    attributes: BTreeMap<String, String>,
    task_strengths: BTreeMap<TaskKind, Vec<String>>,
    models: Vec<RawKnown>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawKnown {
    provider: String,
    name: String,
    #[serde(default)]
    also: Vec<String>,
    #[serde(default)]
    aliases: Vec<String>,
    family: String,
    capabilities: Capabilities,
    price: Option<RawPrice>,
    strengths: BTreeMap<String, Number>,
    attributes: BTreeMap<String, Number>,
    scored_as: Option<String>,
}

/// US dollars per million tokens, as decimals.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPrice {
    input: String,
    output: String,
    cached_input: Option<String>,
    cache_write: Option<String>,
    cache_write_1h: Option<String>,
    up_to_input_tokens: Option<u64>,
    note: Option<String>,
    source: RawSource,
    #[serde(default)]
    confirmed_by: Vec<RawSource>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSource {
    url: String,
    date: String,
}

impl Catalog {
    /// Reads the file and indexes it.
    pub(super) fn parse(text: &str) -> Result<Self, CatalogError> {
        let raw: RawCatalog = serde_json::from_str(text)?;
        for kind in TaskKind::ALL {
            let words = raw.task_strengths.get(&kind).filter(|words| !words.is_empty());
            for word in words.ok_or(CatalogError::Task(kind))? {
                among(&raw.strengths, word)?;
            }
        }
        let mut catalog = Self {
            version: raw.version,
            date: raw.date,
            strengths: raw.strengths,
            attributes: raw.attributes,
            task_strengths: raw.task_strengths,
            models: Vec::with_capacity(raw.models.len()),
            targets: HashMap::new(),
            names: HashMap::new(),
        };
        for raw in raw.models {
            let known = known(raw, &catalog)?;
            catalog.add(known)?;
        }
        Ok(catalog)
    }
}

fn known(raw: RawKnown, catalog: &Catalog) -> Result<Known, CatalogError> {
    if preset(&raw.provider).is_none_or(|preset| preset.name != raw.provider) {
        return Err(CatalogError::Provider(raw.provider));
    }
    let (price, price_source) = match raw.price {
        None => (None, None),
        Some(raw) => (Some(price(&raw)?), Some(price_source(raw))),
    };
    Ok(Known {
        target: Target { provider: name(&raw.provider)?, model: name(&raw.name)? },
        also: names(&raw.also)?,
        facts: Facts {
            aliases: names(&raw.aliases)?,
            capabilities: raw.capabilities,
            price,
            strengths: shares(raw.strengths, &catalog.strengths)?,
            attributes: shares(raw.attributes, &catalog.attributes)?,
            scored_as: raw.scored_as,
            family: Some(raw.family),
        },
        price_source,
    })
}

fn name<N: std::str::FromStr<Err = NameError>>(text: &str) -> Result<N, CatalogError> {
    text.parse().map_err(|source| CatalogError::Name { name: text.to_owned(), source })
}

fn names(texts: &[String]) -> Result<Vec<ModelName>, CatalogError> {
    texts.iter().map(|text| name(text)).collect()
}

fn price(raw: &RawPrice) -> Result<Price, CatalogError> {
    Ok(Price {
        input: dollars(&raw.input)?,
        output: dollars(&raw.output)?,
        cached_input: raw.cached_input.as_deref().map(dollars).transpose()?,
        cache_write: raw.cache_write.as_deref().map(dollars).transpose()?,
        cache_write_1h: raw.cache_write_1h.as_deref().map(dollars).transpose()?,
    })
}

fn price_source(raw: RawPrice) -> PriceSource {
    PriceSource {
        source: source(raw.source),
        confirmed_by: raw.confirmed_by.into_iter().map(source).collect(),
        up_to_input_tokens: raw.up_to_input_tokens,
        note: raw.note,
    }
}

fn source(raw: RawSource) -> Source {
    Source { url: raw.url, date: raw.date }
}

fn shares(
    raw: BTreeMap<String, Number>,
    words: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, u32>, CatalogError> {
    raw.into_iter()
        .map(|(word, number)| {
            among(words, &word)?;
            let text = number.to_string();
            let share = decimal(&text, 6).and_then(|share| u32::try_from(share).ok());
            let share = share.filter(|share| *share <= 1_000_000).ok_or(CatalogError::Number(text))?;
            Ok((word, share))
        })
        .collect()
}

fn among(words: &BTreeMap<String, String>, word: &str) -> Result<(), CatalogError> {
    if words.contains_key(word) { Ok(()) } else { Err(CatalogError::Word(word.to_owned())) }
}

fn dollars(text: &str) -> Result<NanoUsd, CatalogError> {
    decimal(text, 9).map(NanoUsd).ok_or_else(|| CatalogError::Number(text.to_owned()))
}

/// A decimal without sign or exponent, as a whole number of its last decimal place.
fn decimal(text: &str, places: usize) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let fits = digits(whole) && digits(fraction) && fraction.len() <= places;
    fits.then(|| format!("{whole}{fraction:0<places$}").parse().ok()).flatten()
}
