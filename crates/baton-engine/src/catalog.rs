//! Knows which names stand for which targets, and which upstream serves them.
//!
//! - **Invariant:** one [`Settings`] is one configuration version; a request keeps the one it
//!   began with.

use std::collections::HashMap;
use std::sync::Arc;

use baton_model::{ModelName, Price, ProviderName, Target};
use baton_policy::{Candidate, Capabilities, PolicyRef, Timeouts};
use baton_upstream::{ModelNames, Upstream};

use crate::ModelSpec;

/// Everything a request needs of the configuration, under one version.
#[derive(Debug)]
pub struct Settings {
    /// The configuration's hash.
    pub version: String,
    /// Names and upstreams.
    pub catalog: Catalog,
}

/// A policy, as far as the order of a list needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Name and version.
    pub reference: PolicyRef,
    /// How often the same target is tried again.
    pub retries: u32,
    /// The deadlines.
    pub timeouts: Timeouts,
}

/// A model with what is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelEntry {
    /// Where it is served.
    pub target: Target,
    /// Other names for it.
    pub aliases: Vec<ModelName>,
    /// What it can do.
    pub capabilities: Capabilities,
    /// What it costs.
    pub price: Option<Price>,
}

/// A configured name for a pool and a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The models, in order.
    pub pool: Vec<ModelName>,
    /// The policy.
    pub policy: Arc<Policy>,
}

/// Names, targets, upstreams.
#[derive(Debug)]
pub struct Catalog {
    upstreams: HashMap<ProviderName, Arc<Upstream>>,
    entries: HashMap<Target, ModelEntry>,
    aliases: HashMap<ModelName, Target>,
    routes: HashMap<ModelName, Route>,
    default_provider: Option<ProviderName>,
    default_policy: Arc<Policy>,
}

/// What a catalogue is made from.
#[derive(Debug)]
pub struct CatalogBuilder {
    /// The providers.
    pub upstreams: Vec<Arc<Upstream>>,
    /// The models that are known by more than their name.
    pub models: Vec<ModelEntry>,
    /// The routes by name.
    pub routes: Vec<(ModelName, Route)>,
    /// Who takes names that nobody else serves.
    pub default_provider: Option<ProviderName>,
    /// The policy of requests that name no route.
    pub default_policy: Arc<Policy>,
}

/// The candidates that a request's names stand for.
#[derive(Clone, Debug)]
pub struct Pool {
    /// In the client's or the route's order.
    pub candidates: Vec<Candidate>,
    /// The policy that applies.
    pub policy: Arc<Policy>,
    /// Whether the client named a list or a route, so that the answer names its target.
    pub named_many: bool,
}

/// A name that stands for nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownModel {
    /// The name.
    pub name: String,
    /// Known names that look like it, best first.
    pub nearest: Vec<String>,
}

impl CatalogBuilder {
    /// Indexes everything by name.
    #[must_use]
    pub fn build(self) -> Catalog {
        let aliases = self
            .models
            .iter()
            .flat_map(|entry| entry.aliases.iter().map(|alias| (alias.clone(), entry.target.clone())))
            .collect();
        Catalog {
            upstreams: self
                .upstreams
                .into_iter()
                .map(|upstream| (upstream.name().clone(), upstream))
                .collect(),
            entries: self.models.into_iter().map(|entry| (entry.target.clone(), entry)).collect(),
            aliases,
            routes: self.routes.into_iter().collect(),
            default_provider: self.default_provider,
            default_policy: self.default_policy,
        }
    }
}

impl Catalog {
    /// The upstream of a provider.
    #[must_use]
    pub fn upstream(&self, provider: &ProviderName) -> Option<&Arc<Upstream>> {
        self.upstreams.get(provider)
    }

    /// The provider that takes what names none.
    #[must_use]
    pub const fn default_provider(&self) -> Option<&ProviderName> {
        self.default_provider.as_ref()
    }

    /// The policy of requests that name no route.
    #[must_use]
    pub const fn default_policy(&self) -> &Arc<Policy> {
        &self.default_policy
    }

    /// All providers, in no order.
    pub fn providers(&self) -> impl Iterator<Item = &Arc<Upstream>> {
        self.upstreams.values()
    }

    /// All models that can be listed: configured ones and what providers are known to serve, sorted.
    #[must_use]
    pub fn models(&self) -> Vec<ModelEntry> {
        let mut all: Vec<ModelEntry> = self.entries.values().cloned().collect();
        for upstream in self.upstreams.values() {
            let ModelNames::Listed(listed) = upstream.models() else { continue };
            for model in listed {
                let target = Target { provider: upstream.name().clone(), model: model.clone() };
                if !self.entries.contains_key(&target) {
                    all.push(bare(target));
                }
            }
        }
        all.sort_by(|a, b| a.target.cmp(&b.target));
        all
    }

    /// The routes by name, sorted.
    #[must_use]
    pub fn routes(&self) -> Vec<(&ModelName, &Route)> {
        let mut all: Vec<_> = self.routes.iter().collect();
        all.sort_by_key(|(name, _)| *name);
        all
    }

    /// What a single name stands for, if for one model.
    #[must_use]
    pub fn model(&self, name: &str) -> Option<ModelEntry> {
        let target = self.target(name)?;
        Some(self.entries.get(&target).cloned().unwrap_or_else(|| bare(target)))
    }

    /// Turns the names of a request into candidates.
    ///
    /// # Errors
    /// [`UnknownModel`] for the first name that stands for nothing.
    pub fn resolve(&self, spec: &ModelSpec) -> Result<Pool, UnknownModel> {
        if let [name] = spec.names.as_slice()
            && let Ok(name) = name.parse::<ModelName>()
            && let Some(route) = self.routes.get(&name)
        {
            let names: Vec<String> = route.pool.iter().map(ToString::to_string).collect();
            return Ok(Pool {
                candidates: self.candidates(&names)?,
                policy: Arc::clone(&route.policy),
                named_many: true,
            });
        }
        Ok(Pool {
            candidates: self.candidates(&spec.names)?,
            policy: Arc::clone(&self.default_policy),
            named_many: spec.list,
        })
    }

    fn candidates(&self, names: &[String]) -> Result<Vec<Candidate>, UnknownModel> {
        names
            .iter()
            .map(|name| {
                let unknown =
                    || UnknownModel { name: name.chars().take(128).collect(), nearest: self.nearest(name) };
                let model: ModelName = name.parse().map_err(|_too_odd| unknown())?;
                let target = self.target(name).ok_or_else(unknown)?;
                let entry = self.entries.get(&target);
                Ok(Candidate {
                    model,
                    capabilities: entry.map(|entry| entry.capabilities).unwrap_or_default(),
                    price: entry.and_then(|entry| entry.price),
                    not_carried: Vec::new(),
                    target,
                })
            })
            .collect()
    }

    /// Configured names first, then `provider/name`, then the provider a bare name is known by,
    /// then the default provider.
    fn target(&self, name: &str) -> Option<Target> {
        let model: ModelName = name.parse().ok()?;
        if let Some(target) = self.aliases.get(&model) {
            return Some(target.clone());
        }
        let split = name.parse::<Target>().ok();
        if let Some(target) = split
            && let Some(upstream) = self.upstreams.get(&target.provider)
        {
            return (self.entries.contains_key(&target) || upstream.serves(target.model.as_str()))
                .then_some(target);
        }
        let inferred = baton_upstream::infer_provider(name)
            .and_then(|provider| provider.parse::<ProviderName>().ok())
            .filter(|provider| self.upstreams.contains_key(provider));
        [inferred.as_ref(), self.default_provider.as_ref()]
            .into_iter()
            .flatten()
            .find(|provider| {
                self.upstreams.get(*provider).is_some_and(|upstream| upstream.serves(model.as_str()))
            })
            .map(|provider| Target { provider: provider.clone(), model: model.clone() })
    }

    fn nearest(&self, name: &str) -> Vec<String> {
        let short: String = name.chars().take(128).collect();
        let mut known: Vec<(f64, String)> = self
            .models()
            .into_iter()
            .map(|entry| entry.target.to_string())
            .chain(self.aliases.keys().chain(self.routes.keys()).map(ToString::to_string))
            .map(|candidate| (strsim::jaro_winkler(&short, &candidate), candidate))
            .filter(|(score, _)| *score > 0.75)
            .collect();
        known.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
        known.truncate(3);
        known.into_iter().map(|(_, candidate)| candidate).collect()
    }
}

const fn bare(target: Target) -> ModelEntry {
    ModelEntry {
        target,
        aliases: Vec::new(),
        capabilities: Capabilities {
            context_window: None,
            max_output_tokens: None,
            vision: None,
            audio: None,
            tools: None,
            structured_output: None,
            logprobs: None,
            reasoning: None,
        },
        price: None,
    }
}
