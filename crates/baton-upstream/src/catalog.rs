//! Knows the models of the providers that are known by name: what they can do, what they cost and
//! where that was read, what they are good at.
//!
//! The data is one versioned file, compiled in. It is read once, and a mistake in it is found by a
//! test and not by a user.
//!
//! - Start with [`catalog`].
//! - **Invariant:** a name stands for at most one model, and what no source says is unknown.
//! - **Never here:** what the configuration says of a model; that is laid over these facts above.

mod raw;

use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

use baton_model::{ModelName, ProviderName, Target};
use baton_policy::{Facts, TaskKind};

use crate::preset::preset;

pub use raw::CatalogError;

static CATALOG: LazyLock<Catalog> = LazyLock::new(|| {
    #[expect(clippy::expect_used, reason = "the file is compiled in, and a test reads it")]
    Catalog::parse(include_str!("../data/models.json")).expect("the catalogue reads")
});

/// The models that are known without a configuration.
#[must_use]
pub fn catalog() -> &'static Catalog {
    &CATALOG
}

/// Models by name, and the strengths that count for a kind of task.
#[derive(Debug)]
pub struct Catalog {
    version: String,
    date: String,
    strengths: BTreeMap<String, String>,
    attributes: BTreeMap<String, String>,
    task_strengths: BTreeMap<TaskKind, Vec<String>>,
    models: Vec<Known>,
    /// By every name that a provider takes or that we take for it.
    targets: HashMap<Target, usize>,
    /// The same without the provider; `None` where several providers serve that name.
    names: HashMap<ModelName, Option<usize>>,
}

/// A model and what is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Where it is served, and its name there.
    pub target: Target,
    /// Other names that the provider serves it under; they are sent as they are.
    pub also: Vec<ModelName>,
    /// What is known. The aliases among it are our short names: the model's own is sent for them.
    pub facts: Facts,
    /// Where the price was read.
    pub price_source: Option<PriceSource>,
}

/// Where a price was read, and when it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PriceSource {
    /// The place.
    pub source: Source,
    /// Other places that say the same.
    pub confirmed_by: Vec<Source>,
    /// Longer inputs cost more than the price says.
    pub up_to_input_tokens: Option<u64>,
    /// What else to know of it.
    pub note: Option<String>,
}

/// A place to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Where.
    pub url: String,
    /// The day it said so: `2026-07-02`.
    pub date: String,
}

impl Catalog {
    /// The version of the data.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The day of the data: `2026-11-21`.
    #[must_use]
    pub fn date(&self) -> &str {
        &self.date
    }

    /// Every model, in the order of the file: by provider, older ones first.
    #[must_use]
    pub fn models(&self) -> &[Known] {
        &self.models
    }

    /// The words for strengths, each with what it means.
    #[must_use]
    pub const fn strengths(&self) -> &BTreeMap<String, String> {
        &self.strengths
    }

    /// The words for attributes, each with what it means.
    #[must_use]
    pub const fn attributes(&self) -> &BTreeMap<String, String> {
        &self.attributes
    }

    /// The strengths that count for each kind of task, the weightiest first. No kind is missing.
    #[must_use]
    pub const fn task_strengths(&self) -> &BTreeMap<TaskKind, Vec<String>> {
        &self.task_strengths
    }

    /// What is known of a target. The model may be named as its provider names it, or by an alias; the
    /// provider may be named by an alias too.
    #[must_use]
    pub fn get(&self, target: &Target) -> Option<&Known> {
        let found = self.targets.get(target).or_else(|| {
            let provider = preset(target.provider.as_str())?.name.parse().ok()?;
            self.targets.get(&Target { provider, model: target.model.clone() })
        })?;
        self.models.get(*found)
    }

    /// The model that a name stands for: `provider/model`, or a name that one provider alone serves.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Known> {
        if let Some(known) = name.parse().ok().and_then(|target| self.get(&target)) {
            return Some(known);
        }
        let found = (*self.names.get(&name.parse::<ModelName>().ok()?)?)?;
        self.models.get(found)
    }

    /// The provider that alone serves a model of this name, which says no provider itself.
    pub(crate) fn provider_of(&self, name: &str) -> Option<&'static str> {
        let says_provider = name.split_once('/').is_some_and(|(provider, _)| preset(provider).is_some());
        let known = self.find(name).filter(|_| !says_provider)?;
        preset(known.target.provider.as_str()).map(|preset| preset.name)
    }

    /// Puts the model under all of its names.
    fn add(&mut self, known: Known) -> Result<(), CatalogError> {
        let place = self.models.len();
        let own = std::iter::once(&known.target.model);
        for model in own.chain(&known.also).chain(&known.facts.aliases) {
            let target = Target { provider: known.target.provider.clone(), model: model.clone() };
            if let Some(_earlier) = self.targets.insert(target, place) {
                return Err(CatalogError::Repeated(model.clone()));
            }
            let shared = self.names.contains_key(model);
            self.names.insert(model.clone(), (!shared).then_some(place));
        }
        for alias in &known.facts.aliases {
            if self.names.get(alias) != Some(&Some(place)) {
                return Err(CatalogError::Repeated(alias.clone()));
            }
        }
        self.models.push(known);
        Ok(())
    }
}

impl Known {
    /// The provider.
    #[must_use]
    pub const fn provider(&self) -> &ProviderName {
        &self.target.provider
    }
}

#[cfg(test)]
mod tests;
