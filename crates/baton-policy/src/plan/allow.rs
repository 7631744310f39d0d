//! May the caller use it, and does the caller want it?

use baton_model::Target;

use super::rejection;
use crate::{Candidate, Inputs, ReasonCode, Rejection, Stage};

const STAGE: Stage = Stage::Allow;

pub(super) fn rejects(inputs: &Inputs, candidate: &Candidate) -> Option<Rejection> {
    if let Some(models) = &inputs.key_models
        && !any_covers(models, candidate)
    {
        return Some(rejection(STAGE, ReasonCode::KeyNotAllowed));
    }
    let provider = &candidate.target.provider;
    if inputs.providers.only.as_ref().is_some_and(|only| !only.contains(provider)) {
        return Some(rejection(STAGE, ReasonCode::ProviderNotInOnly));
    }
    if inputs.providers.ignore.contains(provider) {
        return Some(rejection(STAGE, ReasonCode::ProviderIgnored));
    }
    None
}

/// Whether a pattern covers the candidate's name or its target.
pub(super) fn any_covers(patterns: &[String], candidate: &Candidate) -> bool {
    patterns
        .iter()
        .any(|pattern| covers(pattern, candidate.model.as_str()) || covers_target(pattern, &candidate.target))
}

/// Whether a pattern of an allow-list covers a name: equal, or equal up to a trailing `*`.
#[must_use]
pub fn covers(pattern: &str, name: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == name, |start| name.starts_with(start))
}

/// [`covers`] for `provider/model`, without writing it down.
fn covers_target(pattern: &str, target: &Target) -> bool {
    let Some(start) = pattern.strip_suffix('*') else { return is_target(pattern, target) };
    let provider = target.provider.as_str();
    match start.strip_prefix(provider) {
        Some(rest) => {
            rest.strip_prefix('/').map_or(rest.is_empty(), |rest| target.model.as_str().starts_with(rest))
        }
        None => provider.starts_with(start),
    }
}

/// Whether a text is a target's name.
pub(super) fn is_target(text: &str, target: &Target) -> bool {
    text.strip_prefix(target.provider.as_str())
        .and_then(|rest| rest.strip_prefix('/'))
        .is_some_and(|model| model == target.model.as_str())
}
