//! Can it do what the request needs?

use super::{measured, rejection};
use crate::{Candidate, Capabilities, Features, ReasonCode, Rejection, Stage};

const STAGE: Stage = Stage::Capability;

/// What is known not to work; what is unknown is tried.
pub(super) fn rejects(can: &Capabilities, needs: &Features) -> Option<Rejection> {
    let asked = needs.max_output_tokens.unwrap_or(0);
    let output = can.max_output_tokens.filter(|_| needs.lowers_output).map_or(asked, |most| asked.min(most));
    if let Some(window) = can.context_window
        && needs.input_tokens.saturating_add(output) > window
    {
        let observed = format!("{} tokens", needs.input_tokens.saturating_add(output));
        return Some(measured(STAGE, ReasonCode::WindowTooSmall, observed, format!("{window} tokens")));
    }
    if let Some(limit) = can.max_output_tokens
        && output > limit
    {
        let observed = format!("{output} tokens");
        return Some(measured(STAGE, ReasonCode::OutputLimitTooSmall, observed, format!("{limit} tokens")));
    }
    // Arguments of a tool follow a schema too.
    let by_tool = needs.schema_by_tool && can.tools != Some(false);
    [
        (needs.images, can.vision, ReasonCode::NoVision),
        (needs.audio, can.audio, ReasonCode::NoAudio),
        (needs.tools > 0, can.tools, ReasonCode::NoTools),
        (needs.structured_output && !by_tool, can.structured_output, ReasonCode::NoStructuredOutput),
        (needs.logprobs, can.logprobs, ReasonCode::NoLogprobs),
        (needs.reasoning, can.reasoning, ReasonCode::NoReasoning),
    ]
    .into_iter()
    .find(|(needed, able, _)| *needed && *able == Some(false))
    .map(|(_, _, code)| rejection(STAGE, code))
}

/// Whether it can carry every parameter of a strict request.
pub(super) fn carries(candidate: &Candidate) -> Option<Rejection> {
    (!candidate.not_carried.is_empty()).then(|| Rejection {
        observed: Some(candidate.not_carried.join(", ")),
        ..rejection(STAGE, ReasonCode::UnsupportedParameter)
    })
}
