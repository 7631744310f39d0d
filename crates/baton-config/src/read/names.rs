//! Knows which names of models and strengths stand for something, and the nearest one for those that
//! do not.

use std::collections::BTreeSet;

use baton_model::{ModelName, ProviderName, Target};
use baton_upstream::{ModelNames, catalog, infer_provider};

use super::provider::{BUILT_IN, unknown_provider};
use super::{model, provider};
use crate::knowledge;
use crate::reader::{At, Reader};
use crate::value::{Wrong, did_you_mean};

/// What the file and the catalogue have names for.
pub(super) struct Names<'k> {
    pub(super) providers: &'k [provider::Entry],
    pub(super) default_provider: Option<&'k ProviderName>,
    pub(super) models: &'k [model::Entry],
    /// What `mcp_servers` has entries for.
    pub(super) servers: &'k [&'k str],
}

impl Names<'_> {
    /// A name that stands for a model that somebody serves.
    pub(super) fn model(&self, text: &str) -> Result<ModelName, Wrong> {
        if text.contains('*') {
            return Err(Wrong::new("a pattern is not taken here").hint("list the models"));
        }
        let name = text.parse().map_err(|error| Wrong::new(format!("{error}")))?;
        self.check_model(text).map(|()| name)
    }

    /// A name of a model, or the beginning of one and a `*`.
    pub(super) fn pattern(&self, text: &str) -> Result<String, Wrong> {
        let Some(start) = text.strip_suffix('*') else {
            return match text.contains('*') {
                true => Err(Wrong::new("a `*` is only taken at the end")),
                false => self.model(text).map(|name| name.to_string()),
            };
        };
        if start.contains('*') {
            return Err(Wrong::new("a `*` is only taken at the end"));
        }
        match start.split_once('/') {
            Some((provider, _))
                if self.default_provider.is_none()
                    && provider != BUILT_IN
                    && !self.has_provider(provider)
                    && !self.model_names().iter().any(|name| name.starts_with(start)) =>
            {
                Err(unknown_provider(provider, self.providers.iter().map(|entry| entry.name.as_str())))
            }
            _ => Ok(text.to_owned()),
        }
    }

    /// A list of models, each once; `what` is what it is called.
    pub(super) fn models(&self, reader: &mut Reader<'_>, items: &[At<'_>], what: &str) -> Vec<ModelName> {
        let mut models: Vec<ModelName> = Vec::with_capacity(items.len());
        for item in items {
            let name = reader.read(item, |text| {
                if models.iter().any(|name| name.as_str() == text) {
                    return Err(Wrong::new(format!("`{text}` is in the {what} twice")));
                }
                self.model(text)
            });
            models.extend(name);
        }
        models
    }

    /// A name that `mcp_servers` has.
    pub(super) fn server(&self, text: &str) -> Result<String, Wrong> {
        if self.servers.contains(&text) {
            return Ok(text.to_owned());
        }
        let wrong = Wrong::new(format!("there is no server `{text}`"));
        Err(match did_you_mean(text, self.servers.iter().copied()) {
            Some(hint) => wrong.hint(hint),
            None => wrong.hint("add it to `mcp_servers`"),
        })
    }

    /// The strengths that a model can be known to have.
    pub(super) fn strengths(&self) -> BTreeSet<&str> {
        let vocabulary = catalog().strengths().keys();
        let own = self.models.iter().flat_map(|entry| entry.model.facts.strengths.keys());
        vocabulary.chain(own).map(String::as_str).collect()
    }

    /// Whether a name of a pool stands for a model that somebody serves.
    fn check_model(&self, name: &str) -> Result<(), Wrong> {
        let is_configured = self.models.iter().any(|entry| {
            entry.model.target.to_string() == name
                || entry.model.facts.aliases.iter().any(|alias| alias.as_str() == name)
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
        Some(entry.serves(&target.model))
    }

    fn has_provider(&self, name: &str) -> bool {
        self.providers.iter().any(|entry| entry.name.as_str() == name)
    }

    fn unknown_model(&self, name: &str) -> Wrong {
        let wrong = match name.split_once('/') {
            Some((provider, _)) if provider != BUILT_IN && !self.has_provider(provider) => {
                unknown_provider(provider, self.providers.iter().map(|entry| entry.name.as_str()))
            }
            _ => Wrong::new(format!("no configured provider serves a model `{name}`")),
        };
        if wrong.hint.is_some() {
            return wrong;
        }
        let known = self.model_names();
        match did_you_mean(name, known.iter().map(String::as_str)) {
            Some(hint) => wrong.hint(hint),
            None if !name.contains('/') => wrong.hint("write `<provider>/<name>`"),
            None => wrong,
        }
    }

    /// Every name that is known to stand for a model: those of the file, and those of the catalogue that a
    /// configured provider serves.
    fn model_names(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for entry in self.models {
            names.push(entry.model.target.to_string());
            names.extend(entry.model.facts.aliases.iter().map(ToString::to_string));
        }
        for entry in self.providers {
            for known in knowledge::rows(&entry.name) {
                let bare = std::iter::once(&known.target.model).chain(&known.also);
                for name in bare.filter(|name| entry.serves(name)) {
                    names.push(format!("{}/{name}", entry.name));
                    if infer_provider(name.as_str()) == Some(entry.name.as_str()) {
                        names.push(name.to_string());
                    }
                }
                names.extend(known.facts.aliases.iter().map(ToString::to_string));
            }
        }
        names
    }
}

impl provider::Entry {
    /// Whether it takes a model's name. Of one that could not be read, nobody knows.
    fn serves(&self, model: &ModelName) -> bool {
        let models = self.provider.as_ref().map(|provider| &provider.upstream.models);
        models.is_none_or(|models: &ModelNames| models.contains(model.as_str()))
    }
}
