//! Reads `routes`, and sees to it that each name in the file means one thing.

use std::collections::BTreeMap;

use baton_model::{ModelName, ProviderName, Target};
use baton_upstream::{ModelNames, infer_provider};

use super::provider::{BUILT_IN, unknown_provider};
use super::{model, policy, provider};
use crate::Route;
use crate::config::DEFAULT_POLICY;
use crate::reader::{At, Named, Reader, Section};
use crate::tree::Span;
use crate::value::{Wrong, did_you_mean};

/// What the file says of everything else.
pub(super) struct Known<'k> {
    pub(super) providers: &'k [provider::Entry],
    pub(super) default_provider: Option<&'k ProviderName>,
    pub(super) models: &'k [model::Entry],
    pub(super) policies: &'k [policy::Entry],
}

pub(super) fn routes(reader: &mut Reader<'_>, top: &mut Section<'_>, known: &Known<'_>) -> Vec<Route> {
    let entries = reader.take(top, "routes").map(|at| reader.named(&at)).unwrap_or_default();
    check_names(reader, &entries, known);
    entries.iter().filter_map(|entry| read(reader, entry, known)).collect()
}

fn read(reader: &mut Reader<'_>, entry: &Named<'_>, known: &Known<'_>) -> Option<Route> {
    let name = entry.name.parse::<ModelName>();
    let name =
        name.map_err(|error| reader.wrong_at(entry.key, &entry.value.path, Wrong::new(format!("{error}"))));
    let mut section = reader.section(&entry.value)?;
    let pool_at = reader.take(&mut section, "pool");
    let pool = pool_at.as_ref().and_then(|at| read_pool(reader, at, known));
    if pool_at.is_none() {
        reader.missing(&section, "pool", "the models of the route, in order");
    }
    let policy =
        reader.take(&mut section, "policy").and_then(|at| reader.read(&at, |text| policy_name(text, known)));
    if let Some(at) = reader.take(&mut section, "handoff") {
        reader.read(&at, handoff);
    }
    reader.finish(section);
    Some(Route { name: name.ok()?, pool: pool?, policy: policy.unwrap_or_else(|| DEFAULT_POLICY.to_owned()) })
}

fn policy_name(text: &str, known: &Known<'_>) -> Result<String, Wrong> {
    let names = || known.policies.iter().map(|entry| entry.policy.name.as_str()).chain([DEFAULT_POLICY]);
    if names().any(|name| name == text) {
        return Ok(text.to_owned());
    }
    let wrong = Wrong::new(format!("there is no policy `{text}`"));
    Err(match did_you_mean(text, names()) {
        Some(hint) => wrong.hint(hint),
        None => wrong.hint("add it to `policies`"),
    })
}

fn handoff(text: &str) -> Result<(), Wrong> {
    match text {
        "off" => Ok(()),
        "model" | "rules" | "both" => {
            Err(Wrong::new("not supported by this version yet").hint("leave it out, or write `off`"))
        }
        _ => Err(Wrong::new("expected `off`, `model`, `rules` or `both`")),
    }
}

fn read_pool(reader: &mut Reader<'_>, at: &At<'_>, known: &Known<'_>) -> Option<Vec<ModelName>> {
    let items = reader.list(at)?;
    if items.is_empty() {
        reader.wrong_at(at.node.span, &at.path, Wrong::new("the pool is empty"));
        return None;
    }
    let mut pool: Vec<ModelName> = Vec::with_capacity(items.len());
    for item in &items {
        let name = reader.read(item, |text| {
            let name: ModelName = text.parse().map_err(|error| Wrong::new(format!("{error}")))?;
            if pool.contains(&name) {
                return Err(Wrong::new(format!("`{name}` is in the pool twice")));
            }
            known.check_model(text).map(|()| name)
        });
        pool.extend(name);
    }
    Some(pool)
}

impl Known<'_> {
    /// Whether a name of a pool stands for a model that somebody serves.
    fn check_model(&self, name: &str) -> Result<(), Wrong> {
        let is_configured = self.models.iter().any(|entry| {
            entry.model.target.to_string() == name
                || entry.model.aliases.iter().any(|alias| alias.as_str() == name)
        });
        if is_configured {
            return Ok(());
        }
        if let Ok(target) = name.parse::<Target>()
            && let Some(served) = self.serves(&target)
        {
            return if served { Ok(()) } else { Err(self.unknown_model(name)) };
        }
        let inferred = infer_provider(name).filter(|provider| self.has_provider(provider));
        if inferred.is_some() || self.default_provider.is_some() {
            return Ok(());
        }
        Err(self.unknown_model(name))
    }

    /// Whether the provider of a target lists its model; `None` if there is no such provider.
    fn serves(&self, target: &Target) -> Option<bool> {
        if target.provider.as_str() == BUILT_IN {
            return Some(true);
        }
        let entry = self.providers.iter().find(|entry| entry.name == target.provider)?;
        let models = entry.provider.as_ref().map(|provider| &provider.upstream.models);
        Some(models.is_none_or(|models: &ModelNames| models.contains(target.model.as_str())))
    }

    fn has_provider(&self, name: &str) -> bool {
        self.providers.iter().any(|entry| entry.name.as_str() == name)
    }

    fn unknown_model(&self, name: &str) -> Wrong {
        let targets: Vec<String> = self.models.iter().map(|entry| entry.model.target.to_string()).collect();
        let aliases = self.models.iter().flat_map(|entry| &entry.model.aliases).map(ModelName::as_str);
        let hint = did_you_mean(name, targets.iter().map(String::as_str).chain(aliases));
        let wrong = match name.split_once('/') {
            Some((provider, _)) if provider != BUILT_IN && !self.has_provider(provider) => {
                unknown_provider(provider, self.providers.iter().map(|entry| entry.name.as_str()))
            }
            _ => Wrong::new(format!("no configured provider serves a model `{name}`")),
        };
        match hint {
            Some(hint) => wrong.hint(hint),
            None if wrong.hint.is_none() && !name.contains('/') => wrong.hint("write `<provider>/<name>`"),
            None => wrong,
        }
    }
}

/// Notes each name that is given twice, and each that clients could not reach.
fn check_names(reader: &mut Reader<'_>, routes: &[Named<'_>], known: &Known<'_>) {
    let keys = known
        .models
        .iter()
        .map(|entry| (entry.model.target.to_string(), entry.key, "a model", String::new()));
    let aliases = known.models.iter().flat_map(|entry| {
        let path = format!("models.{}.aliases", entry.model.target);
        entry.aliases.iter().map(move |(name, span)| (name.to_string(), *span, "an alias", path.clone()))
    });
    let routes =
        routes.iter().map(|entry| (entry.name.to_owned(), entry.key, "a route", entry.value.path.clone()));
    let mut taken: BTreeMap<String, (Span, &str)> = BTreeMap::new();
    for (name, span, what, path) in keys.chain(aliases).chain(routes) {
        if what != "a model" && is_reserved(&name) {
            let wrong = Wrong::new(format!("`{name}` means something of its own to clients"));
            reader.wrong_at(span, &path, wrong.hint("choose another name"));
        }
        match taken.get(&name) {
            Some((first, of)) => {
                let wrong =
                    Wrong::new(format!("`{name}` is the name of {of} already, on line {}", first.line));
                reader.wrong_at(span, &path, wrong);
            }
            None => {
                taken.insert(name, (span, what));
            }
        }
    }
}

fn is_reserved(name: &str) -> bool {
    ["baton/", "policy/", "agent/", "echo/"].iter().any(|prefix| name.starts_with(prefix))
}
