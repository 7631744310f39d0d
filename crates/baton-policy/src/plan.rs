//! Puts the candidates in order, stage by stage, and says why.

use baton_model::Target;
use serde::{Deserialize, Serialize};

use crate::{
    Candidate, Capabilities, Features, Inputs, Reason, ReasonCode, ReasonSource, Rejection, Row, Stage,
    Verdict,
};

/// The version of the planner, recorded with every decision: a replay needs the same one.
pub const PLANNER_VERSION: u32 = 1;

/// Who is tried, in which order, and what was said about everybody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The candidates to try, by their place in the inputs. Empty when all were rejected.
    pub order: Vec<u32>,
    /// One row for each candidate, in the order of the inputs.
    pub table: Vec<Row>,
    /// Why the first one is first, or why there is none.
    pub reason: Reason,
}

/// Plans a request. Total: whatever the inputs, every candidate gets a verdict.
#[must_use]
pub fn plan(inputs: &Inputs) -> Plan {
    let mut rejections: Vec<Option<Rejection>> =
        (0..inputs.candidates.len()).map(|at| judge(inputs, at)).collect();
    let mut order: Vec<usize> = rejections
        .iter()
        .enumerate()
        .filter(|(_, rejection)| rejection.is_none())
        .map(|(at, _)| at)
        .collect();
    order.sort_by_key(|at| inputs.candidates.get(*at).map(|candidate| preference(inputs, &candidate.target)));
    if inputs.providers.allow_fallbacks == Some(false) {
        for at in order.drain(1.min(order.len())..) {
            if let Some(slot) = rejections.get_mut(at) {
                *slot = Some(rejection(Stage::Allow, ReasonCode::FallbackNotAllowed));
            }
        }
    }
    let table = rejections
        .into_iter()
        .enumerate()
        .map(|(at, rejected)| Row { candidate: small(at), verdict: verdict(rejected, at, &order) })
        .collect::<Vec<_>>();
    let reason = reason(inputs, &order, &table);
    Plan { order: order.into_iter().map(small).collect(), table, reason }
}

fn small(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

fn verdict(rejected: Option<Rejection>, at: usize, order: &[usize]) -> Verdict {
    match (rejected, order.iter().position(|other| *other == at)) {
        (Some(rejection), _) => Verdict::Rejected(rejection),
        (None, Some(0)) => Verdict::Selected,
        (None, rank) => Verdict::Eligible { rank: small(rank.unwrap_or(usize::MAX)) },
    }
}

/// The first stage that rejects a candidate, if one does.
fn judge(inputs: &Inputs, at: usize) -> Option<Rejection> {
    let candidate = inputs.candidates.get(at)?;
    if inputs.candidates.iter().take(at).any(|earlier| earlier.target == candidate.target) {
        return Some(rejection(Stage::Allow, ReasonCode::ListedTwice));
    }
    capability(&candidate.capabilities, &inputs.features)
        .or_else(|| carries(candidate))
        .or_else(|| allow(inputs, candidate))
}

fn carries(candidate: &Candidate) -> Option<Rejection> {
    (!candidate.not_carried.is_empty()).then(|| Rejection {
        observed: Some(candidate.not_carried.join(", ")),
        ..rejection(Stage::Capability, ReasonCode::UnsupportedParameter)
    })
}

fn capability(can: &Capabilities, needs: &Features) -> Option<Rejection> {
    let output = needs.max_output_tokens.unwrap_or(0);
    if let Some(window) = can.context_window
        && needs.input_tokens.saturating_add(output) > window
    {
        let observed = format!("{} tokens", needs.input_tokens.saturating_add(output));
        return Some(measured(ReasonCode::WindowTooSmall, observed, format!("{window} tokens")));
    }
    if let Some(limit) = can.max_output_tokens
        && output > limit
    {
        return Some(measured(
            ReasonCode::OutputLimitTooSmall,
            format!("{output} tokens"),
            format!("{limit} tokens"),
        ));
    }
    [
        (needs.images, can.vision, ReasonCode::NoVision),
        (needs.audio, can.audio, ReasonCode::NoAudio),
        (needs.tools > 0, can.tools, ReasonCode::NoTools),
        (needs.structured_output, can.structured_output, ReasonCode::NoStructuredOutput),
        (needs.logprobs, can.logprobs, ReasonCode::NoLogprobs),
    ]
    .into_iter()
    .find(|(needed, able, _)| *needed && *able == Some(false))
    .map(|(_, _, code)| rejection(Stage::Capability, code))
}

fn allow(inputs: &Inputs, candidate: &Candidate) -> Option<Rejection> {
    if let Some(models) = &inputs.key_models {
        let named = candidate.model.as_str();
        let target = candidate.target.to_string();
        if !models.iter().any(|pattern| covers(pattern, named) || covers(pattern, &target)) {
            return Some(rejection(Stage::Allow, ReasonCode::KeyNotAllowed));
        }
    }
    let provider = &candidate.target.provider;
    if inputs.providers.only.as_ref().is_some_and(|only| !only.contains(provider)) {
        return Some(rejection(Stage::Allow, ReasonCode::ProviderNotInOnly));
    }
    if inputs.providers.ignore.contains(provider) {
        return Some(rejection(Stage::Allow, ReasonCode::ProviderIgnored));
    }
    None
}

/// Whether a pattern of an allow-list covers a name: equal, or equal up to a trailing `*`.
#[must_use]
pub fn covers(pattern: &str, name: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == name, |start| name.starts_with(start))
}

/// The place of a target's provider in the client's wishes; those not named come after.
fn preference(inputs: &Inputs, target: &Target) -> usize {
    let wanted = &inputs.providers.order;
    wanted.iter().position(|provider| *provider == target.provider).unwrap_or(wanted.len())
}

const fn rejection(stage: Stage, code: ReasonCode) -> Rejection {
    Rejection { stage, code, observed: None, limit: None }
}

const fn measured(code: ReasonCode, observed: String, limit: String) -> Rejection {
    Rejection { stage: Stage::Capability, code, observed: Some(observed), limit: Some(limit) }
}

fn reason(inputs: &Inputs, order: &[usize], table: &[Row]) -> Reason {
    let skipped = skipped(inputs, order.first().copied(), table);
    let Some(first) = order.first().and_then(|at| inputs.candidates.get(*at)) else {
        let text = if skipped.is_empty() {
            "no model was named".to_owned()
        } else {
            format!("no model is left: {}", skipped.join(", "))
        };
        return Reason { code: ReasonCode::Exhausted, text, source: ReasonSource::Policy };
    };
    let target = &first.target;
    let (code, source, mut text) = if inputs.candidates.len() == 1 {
        (ReasonCode::OnlyModel, ReasonSource::Client, format!("{target} was the only model named"))
    } else if inputs.providers.order.contains(&target.provider) {
        (
            ReasonCode::ProviderOrder,
            ReasonSource::Client,
            format!("{target} is first in the provider order of the request"),
        )
    } else if order.first() == Some(&0) {
        (ReasonCode::FirstInOrder, ReasonSource::Client, format!("{target} is first in the list"))
    } else {
        (ReasonCode::FirstEligible, ReasonSource::Policy, format!("{target} is the first that fits"))
    };
    if !skipped.is_empty() {
        text.push_str(": ");
        text.push_str(&skipped.join(", "));
    }
    Reason { code, text, source }
}

/// The rejected candidates that stood before the chosen one (or all), each as half a sentence.
fn skipped(inputs: &Inputs, chosen: Option<usize>, table: &[Row]) -> Vec<String> {
    table
        .iter()
        .zip(&inputs.candidates)
        .take(chosen.unwrap_or(usize::MAX))
        .filter_map(|(row, candidate)| match &row.verdict {
            Verdict::Rejected(rejection) => Some(format!("{} {}", candidate.target, rejection.code.clause())),
            Verdict::Selected | Verdict::Eligible { .. } => None,
        })
        .collect()
}

#[cfg(test)]
mod tests;
