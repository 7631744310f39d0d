//! Puts together what is known of the models that can be reached: the catalogue's rows of the
//! configured providers, and what the file says over them.
//!
//! - Start with [`knowledge`].
//! - **Invariant:** an alias stands for one model, and the file's names win over the catalogue's.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use baton_model::{ModelName, ProviderName, Target};
use baton_policy::{Capabilities, Facts, Knowledge};
use baton_upstream::{Known, ModelNames, catalog, preset};

use crate::Config;

/// What is known of the models that a configuration reaches, and of the kinds of task.
pub(crate) fn knowledge(config: &Config) -> Knowledge {
    let mut taken: HashSet<&ModelName> =
        config.models.iter().flat_map(|model| &model.facts.aliases).collect();
    taken.extend(config.routes.iter().map(|route| &route.name));
    let mut models = BTreeMap::new();
    for provider in &config.providers {
        let upstream = &provider.upstream;
        for known in
            rows(&upstream.name).filter(|known| upstream.models.contains(known.target.model.as_str()))
        {
            let aliases = known.facts.aliases.iter().filter(|alias| taken.insert(alias)).cloned().collect();
            let target = Target { provider: upstream.name.clone(), model: known.target.model.clone() };
            models.insert(target, Arc::new(Facts { aliases, ..known.facts.clone() }));
        }
        for (target, known) in other_names(&upstream.name, &upstream.models) {
            models.insert(target, Arc::new(Facts { aliases: Vec::new(), ..known.facts.clone() }));
        }
    }
    models.extend(config.models.iter().map(|model| (model.target.clone(), Arc::new(model.facts.clone()))));
    Knowledge { task_strengths: catalog().task_strengths().clone(), models }
}

/// The catalogue's rows of a provider. It may be configured under another name that people use for it.
pub(crate) fn rows(provider: &ProviderName) -> impl Iterator<Item = &'static Known> {
    let name = preset(provider.as_str()).map(|preset| preset.name);
    catalog().models().iter().filter(move |known| name == Some(known.target.provider.as_str()))
}

/// The names that a provider serves models under beside their first ones.
fn other_names(
    provider: &ProviderName,
    served: &ModelNames,
) -> impl Iterator<Item = (Target, &'static Known)> {
    rows(provider)
        .flat_map(|known| known.also.iter().map(move |name| (name, known)))
        .filter(|(name, _)| served.contains(name.as_str()))
        .map(|(name, known)| (Target { provider: provider.clone(), model: name.clone() }, known))
}

/// What the catalogue knows of a target: all of it where the target is the row's own, all but the
/// aliases where it is another name for it.
pub(crate) fn facts(target: &Target) -> Facts {
    let Some(known) = catalog().get(target) else { return Facts::default() };
    let is_own = known.target.model == target.model;
    let aliases = if is_own { known.facts.aliases.clone() } else { Vec::new() };
    Facts { aliases, ..known.facts.clone() }
}

/// What the first knows, and of what it does not know, what the second does.
pub(crate) fn over(said: Capabilities, known: Capabilities) -> Capabilities {
    Capabilities {
        context_window: said.context_window.or(known.context_window),
        max_output_tokens: said.max_output_tokens.or(known.max_output_tokens),
        vision: said.vision.or(known.vision),
        audio: said.audio.or(known.audio),
        tools: said.tools.or(known.tools),
        structured_output: said.structured_output.or(known.structured_output),
        logprobs: said.logprobs.or(known.logprobs),
        reasoning: said.reasoning.or(known.reasoning),
    }
}

#[cfg(test)]
mod tests;
