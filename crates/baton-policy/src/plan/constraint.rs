//! Does it keep the limits on cost, time and ability?

use super::{Case, fixed, measured, rejection};
use crate::{Candidate, Capabilities, Capability, Need, ReasonCode, Rejection, Stage};

const STAGE: Stage = Stage::Constraints;

pub(super) fn rejects(case: &Case<'_>, candidate: &Candidate) -> Option<Rejection> {
    let limits = case.constraints.as_ref();
    if limits.is_empty() {
        return None;
    }
    cost(case, candidate)
        .or_else(|| latency(case, candidate))
        .or_else(|| limits.capabilities.iter().find_map(|need| lacks(need, candidate)))
}

fn cost(case: &Case<'_>, candidate: &Candidate) -> Option<Rejection> {
    let limits = case.constraints.as_ref();
    if limits.max_cost.is_none() && limits.max_input_price.is_none() && limits.max_output_price.is_none() {
        return None;
    }
    let Some(price) = candidate.facts.price else {
        return Some(rejection(STAGE, ReasonCode::PriceUnknown));
    };
    if let Some(limit) = limits.max_cost
        && let Some(cost) = case.cost(candidate)
        && cost > limit
    {
        return Some(measured(STAGE, ReasonCode::CostTooHigh, fixed::dollars(cost), fixed::dollars(limit)));
    }
    [(price.input, limits.max_input_price), (price.output, limits.max_output_price)].into_iter().find_map(
        |(price, limit)| {
            let limit = limit.filter(|limit| price > *limit)?;
            let per_million = |amount| format!("{} a million tokens", fixed::dollars(amount));
            Some(measured(STAGE, ReasonCode::PriceTooHigh, per_million(price), per_million(limit)))
        },
    )
}

/// What was never measured is tried: there is no other way to measure it.
fn latency(case: &Case<'_>, candidate: &Candidate) -> Option<Rejection> {
    let limit = case.constraints.max_latency_ms?;
    let latency = candidate.health.latency.filter(|latency| latency.samples > 0)?;
    (latency.p95_ms > limit).then(|| {
        let observed = format!("{} ms (p95)", latency.p95_ms);
        measured(STAGE, ReasonCode::TooSlow, observed, format!("{limit} ms"))
    })
}

fn lacks(need: &Need, candidate: &Candidate) -> Option<Rejection> {
    match need {
        Need::Can(capability) => {
            (known(&candidate.facts.capabilities, *capability) != Some(true)).then(|| {
                let limit = Some(capability.as_str().to_owned());
                Rejection { limit, ..rejection(STAGE, ReasonCode::CapabilityMissing) }
            })
        }
        Need::GoodAt { strength, at_least } => {
            let has = candidate.facts.strengths.get(strength).copied();
            (has.unwrap_or(0) < *at_least).then(|| {
                let observed = has.map_or_else(
                    || format!("{strength} unknown"),
                    |has| format!("{strength} {}", fixed::share(u64::from(has))),
                );
                measured(STAGE, ReasonCode::StrengthTooLow, observed, fixed::share(u64::from(*at_least)))
            })
        }
    }
}

const fn known(can: &Capabilities, capability: Capability) -> Option<bool> {
    match capability {
        Capability::Vision => can.vision,
        Capability::Audio => can.audio,
        Capability::Tools => can.tools,
        Capability::StructuredOutput => can.structured_output,
        Capability::Logprobs => can.logprobs,
        Capability::Reasoning => can.reasoning,
    }
}
