//! Knows which names stand for which targets, and which upstream serves them.
//!
//! - **Invariant:** one [`Settings`] is one configuration version; a request keeps the one it
//!   began with.

use std::collections::HashMap;
use std::sync::Arc;

use baton_model::{ModelName, ProviderName, Target};
use baton_policy::{Candidate, Facts, Knowledge, Order, Policy};
use baton_run::HandoffMode;
use baton_upstream::{ModelNames, Upstream};

use crate::agents::{Crew, PREFIX};
use crate::versions::Drawing;
use crate::{Ask, ModelSpec};

/// The model name that stands for all that is known to cost something, ranked by what is expected of it.
pub(crate) const AUTO: &str = "baton/auto";

/// Everything a request needs of the configuration, under one version.
#[derive(Debug)]
pub struct Settings {
    /// The configuration's hash.
    pub version: String,
    /// Names and upstreams.
    pub catalog: Catalog,
    /// Who does which kind of work.
    pub specialists: crate::Specialists,
    /// The workflows that can be named, as they are written.
    pub workflows: Vec<(String, serde_json::Value)>,
}

/// A model with what is known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelEntry {
    /// Where it is served.
    pub target: Target,
    /// What is known of it.
    pub facts: Arc<Facts>,
}

/// A configured name for a pool and a policy.
#[derive(Clone, Debug)]
pub struct Route {
    /// The models, in order.
    pub pool: Vec<ModelName>,
    /// The policy.
    pub policy: Arc<Policy>,
    /// Who may hand a conversation over.
    pub handoff: HandoffMode,
}

/// Names, targets, upstreams.
#[derive(Debug)]
pub struct Catalog {
    upstreams: HashMap<ProviderName, Arc<Upstream>>,
    knowledge: Arc<Knowledge>,
    knowledge_version: String,
    aliases: HashMap<ModelName, Target>,
    routes: HashMap<ModelName, Route>,
    default_provider: Option<ProviderName>,
    policies: HashMap<String, Arc<Policy>>,
    default_policy: Arc<Policy>,
    auto_policy: Arc<Policy>,
    pass_policy: Arc<Policy>,
    crew: Arc<Crew>,
}

/// What a catalogue is made from.
#[derive(Debug)]
pub struct CatalogBuilder {
    /// The providers.
    pub upstreams: Vec<Arc<Upstream>>,
    /// What is known of models and tasks.
    pub knowledge: Arc<Knowledge>,
    /// Its hash.
    pub knowledge_version: String,
    /// The routes by name.
    pub routes: Vec<(ModelName, Route)>,
    /// Who takes names that nobody else serves.
    pub default_provider: Option<ProviderName>,
    /// The policies that can be named.
    pub policies: Vec<Arc<Policy>>,
    /// The policy of requests that name none.
    pub default_policy: Arc<Policy>,
    /// The agents.
    pub crew: Arc<Crew>,
}

/// The candidates that a request's names stand for.
#[derive(Clone, Debug)]
pub struct Pool {
    /// In the client's or the route's order; behind them, those that only a rule may use.
    pub candidates: Vec<Candidate>,
    /// The policy that applies.
    pub policy: Arc<Policy>,
    /// Whether the client named a list or a route, so that the answer names its target.
    pub named_many: bool,
    /// Who may hand a conversation over, as the route says; `Off` where none was named.
    pub handoff: HandoffMode,
}

/// What a request names and nobody knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unresolved {
    /// A model.
    Model(UnknownName),
    /// A policy.
    Policy(UnknownName),
    /// A policy that names no models of its own, where the request names none either.
    NoPool(String),
}

/// A name that stands for nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownName {
    /// The name.
    pub name: String,
    /// Known names that look like it, best first.
    pub nearest: Vec<String>,
}

impl Pool {
    /// What of a request's wishes the policy does not let it have.
    pub(crate) fn ignored(&self, ask: &Ask) -> impl Iterator<Item = String> {
        let own = self.policy.document.client_order;
        let order = (!own && !ask.wishes.order.is_empty()).then(|| "baton.order".to_owned());
        let attributes = (!own
            && !ask.wishes.attributes.is_empty()
            && !self.policy.document.order.contains(&Order::Attributes))
        .then(|| "agent_attributes".to_owned());
        order.into_iter().chain(attributes)
    }
}

impl CatalogBuilder {
    /// Indexes everything by name.
    #[must_use]
    pub fn build(self) -> Catalog {
        let aliases = self
            .knowledge
            .models
            .iter()
            .flat_map(|(target, facts)| facts.aliases.iter().map(|alias| (alias.clone(), target.clone())))
            .collect();
        let policies: HashMap<String, Arc<Policy>> =
            self.policies.into_iter().map(|policy| (policy.reference.name.clone(), policy)).collect();
        let built_in = |name: &str| Arc::new(Policy::built_in(name).unwrap_or_default());
        let auto_policy = policies.get("auto").cloned().unwrap_or_else(|| built_in("auto"));
        Catalog {
            upstreams: self
                .upstreams
                .into_iter()
                .map(|upstream| (upstream.name().clone(), upstream))
                .collect(),
            knowledge: self.knowledge,
            knowledge_version: self.knowledge_version,
            aliases,
            routes: self.routes.into_iter().collect(),
            default_provider: self.default_provider,
            policies,
            default_policy: self.default_policy,
            auto_policy,
            pass_policy: built_in("pass-through"),
            crew: self.crew,
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

    /// The policy of requests that name none.
    #[must_use]
    pub const fn default_policy(&self) -> &Arc<Policy> {
        &self.default_policy
    }

    /// The policy of what is passed through.
    #[must_use]
    pub const fn pass_policy(&self) -> &Arc<Policy> {
        &self.pass_policy
    }

    /// Every policy that can be named, in no order.
    pub fn policies(&self) -> impl Iterator<Item = &Arc<Policy>> {
        self.policies.values()
    }

    /// What is known of models and tasks.
    #[must_use]
    pub const fn knowledge(&self) -> &Arc<Knowledge> {
        &self.knowledge
    }

    /// The hash of what is known.
    #[must_use]
    pub fn knowledge_version(&self) -> &str {
        &self.knowledge_version
    }

    /// All providers, in no order.
    pub fn providers(&self) -> impl Iterator<Item = &Arc<Upstream>> {
        self.upstreams.values()
    }

    /// All models that can be listed: known ones and what providers are said to serve, sorted.
    #[must_use]
    pub fn models(&self) -> Vec<ModelEntry> {
        // A model that is known under a dated name too is listed once.
        let served = |target: &Target| {
            self.upstreams
                .get(&target.provider)
                .is_some_and(|upstream| upstream.serves(target.model.as_str()))
                && baton_upstream::catalog()
                    .get(target)
                    .is_none_or(|known| known.target.model == target.model)
        };
        let mut all: Vec<ModelEntry> = self
            .knowledge
            .models
            .iter()
            .filter(|(target, _)| served(target))
            .map(|(target, facts)| ModelEntry { target: target.clone(), facts: Arc::clone(facts) })
            .collect();
        for upstream in self.upstreams.values() {
            let ModelNames::Listed(listed) = upstream.models() else { continue };
            for model in listed {
                let target = Target { provider: upstream.name().clone(), model: model.clone() };
                if !self.knowledge.models.contains_key(&target) {
                    all.push(ModelEntry { target, facts: Arc::default() });
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

    /// The agents.
    #[must_use]
    pub const fn crew(&self) -> &Arc<Crew> {
        &self.crew
    }

    /// The agent that a request names, by its place.
    pub(crate) fn entry(&self, ask: &Ask) -> Option<usize> {
        let [name] = ask.models.names.as_slice() else { return None };
        if ask.byok.is_some() {
            return None;
        }
        self.crew.named(name.strip_prefix(PREFIX)?).map(|(place, _)| place)
    }

    /// The models that a policy names and nobody here serves, with the key they stand under.
    #[must_use]
    pub fn unserved(&self, policy: &Policy) -> Vec<(&'static str, UnknownName)> {
        let unserved = |(key, name): (&'static str, &ModelName)| match self.candidate(name.as_str()) {
            Err(Unresolved::Model(unknown)) => Some((key, unknown)),
            Ok(_) | Err(Unresolved::Policy(_) | Unresolved::NoPool(_)) => None,
        };
        policy.named_models().filter_map(unserved).collect()
    }

    /// What a single name stands for, if for one model.
    #[must_use]
    pub fn model(&self, name: &str) -> Option<ModelEntry> {
        let target = self.target(name)?;
        let facts = self.knowledge.models.get(&target).cloned().unwrap_or_default();
        Some(ModelEntry { target, facts })
    }

    /// Turns the names of a request into candidates, and finds the policy that holds.
    ///
    /// # Errors
    /// [`Unresolved`] for the first name that stands for nothing.
    pub fn resolve(&self, spec: &ModelSpec, policy: Option<&str>) -> Result<Pool, Unresolved> {
        self.resolve_among(spec, policy, Drawing::default())
    }

    /// The same, where policies of the store can be named too.
    pub(crate) fn resolve_among(
        &self,
        spec: &ModelSpec,
        policy: Option<&str>,
        stored: Drawing<'_>,
    ) -> Result<Pool, Unresolved> {
        let named = policy.map(|name| self.policy(name, stored)).transpose()?;
        if let [name] = spec.names.as_slice() {
            if let Ok(name) = name.parse::<ModelName>()
                && let Some(route) = self.routes.get(&name)
            {
                let names = route.pool.iter().map(ModelName::as_str);
                let pool = self.pool(names, named.unwrap_or(&route.policy), true)?;
                return Ok(Pool { handoff: route.handoff, ..pool });
            }
            if let Some((_, agent)) = name.strip_prefix(PREFIX).and_then(|name| self.crew.named(name)) {
                let pool = self.pool(agent.names(), named.unwrap_or(&agent.policy), true)?;
                return Ok(Pool { handoff: HandoffMode::Both, ..pool });
            }
            if let Some(name) = name.strip_prefix("policy/") {
                let policy = self.policy(name, stored)?;
                let pool = policy.pool();
                if pool.is_empty() {
                    return Err(Unresolved::NoPool(name.to_owned()));
                }
                return self.pool(pool.iter().map(ModelName::as_str), policy, true);
            }
            if name == AUTO {
                let policy = named.unwrap_or(&self.auto_policy);
                let own = policy.pool();
                if !own.is_empty() {
                    return self.pool(own.iter().map(ModelName::as_str), policy, true);
                }
                let candidates = self.all();
                if candidates.is_empty() {
                    return Err(Unresolved::NoPool(policy.reference.name.clone()));
                }
                let handoff = HandoffMode::Off;
                return Ok(Pool { candidates, policy: Arc::clone(policy), named_many: true, handoff });
            }
        }
        self.pool(spec.names.iter().map(String::as_str), named.unwrap_or(&self.default_policy), spec.list)
    }

    /// The file's policy of that name, else the version of the store's that this request gets.
    fn policy<'a>(&'a self, name: &str, stored: Drawing<'a>) -> Result<&'a Arc<Policy>, Unresolved> {
        self.policies.get(name).or_else(|| stored.policy(name)).ok_or_else(|| {
            let nearest = nearest(name, self.policies.keys().cloned().chain(stored.names()));
            Unresolved::Policy(UnknownName { name: shortened(name), nearest })
        })
    }

    fn pool<'n>(
        &self,
        names: impl IntoIterator<Item = &'n str>,
        policy: &Arc<Policy>,
        named_many: bool,
    ) -> Result<Pool, Unresolved> {
        let mut candidates =
            names.into_iter().map(|name| self.candidate(name)).collect::<Result<Vec<_>, _>>()?;
        for name in policy.rule_models() {
            // A rule may name what this configuration does not have: it is no choice then.
            let Ok(candidate) = self.candidate(name.as_str()) else { continue };
            if candidates.iter().all(|it| it.target != candidate.target) {
                candidates.push(Candidate { by_rule: true, ..candidate });
            }
        }
        Ok(Pool { candidates, policy: Arc::clone(policy), named_many, handoff: HandoffMode::Off })
    }

    /// Every model that can be listed, those of known price only where there are any. Those of `echo` only
    /// where there is no other provider, and then without those that are made to fail.
    fn all(&self) -> Vec<Candidate> {
        let mut models = self.models();
        let only_echo = self.upstreams.keys().all(|provider| provider.as_str() == ECHO);
        models.retain(|entry| {
            entry.target.provider.as_str() != ECHO
                || only_echo && !entry.target.model.as_str().starts_with(MADE_TO_FAIL)
        });
        if models.iter().any(|entry| entry.facts.price.is_some()) {
            models.retain(|entry| entry.facts.price.is_some());
        }
        models
            .into_iter()
            .filter_map(|ModelEntry { target, facts }| {
                let model = target.to_string().parse().ok()?;
                Some(Candidate { facts, ..Candidate::named(model, target) })
            })
            .collect()
    }

    /// What a name stands for.
    pub(crate) fn candidate(&self, name: &str) -> Result<Candidate, Unresolved> {
        let unknown =
            || Unresolved::Model(UnknownName { name: shortened(name), nearest: self.nearest(name) });
        let model: ModelName = name.parse().map_err(|_too_odd| unknown())?;
        let target = self.target(name).ok_or_else(unknown)?;
        let facts = self.knowledge.models.get(&target).cloned().unwrap_or_default();
        Ok(Candidate { facts, ..Candidate::named(model, target) })
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
            let alias = self.aliases.get(&target.model).filter(|known| known.provider == target.provider);
            if let Some(known) = alias {
                return Some(known.clone());
            }
            return (self.knowledge.models.contains_key(&target) || upstream.serves(target.model.as_str()))
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
        let models = self.models().into_iter().map(|entry| entry.target.to_string());
        let others = self.aliases.keys().chain(self.routes.keys()).map(ToString::to_string);
        let agents = self.crew.agents.iter().map(|agent| format!("{PREFIX}{}", agent.name));
        nearest(name, models.chain(others).chain(agents))
    }
}

/// The built-in provider.
const ECHO: &str = "echo";
/// How those of its models are named that show a failure.
const MADE_TO_FAIL: &str = "fail-";

/// A client's name, short enough for an error.
fn shortened(name: &str) -> String {
    name.chars().take(128).collect()
}

/// Known names that look like the given one, best first.
fn nearest(name: &str, known: impl Iterator<Item = String>) -> Vec<String> {
    let short = shortened(name);
    let mut known: Vec<(f64, String)> = known
        .map(|candidate| (strsim::jaro_winkler(&short, &candidate), candidate))
        .filter(|(score, _)| *score > 0.75)
        .collect();
    known.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    known.truncate(3);
    known.into_iter().map(|(_, candidate)| candidate).collect()
}
