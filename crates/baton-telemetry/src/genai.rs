//! Attribute names of the OpenTelemetry `GenAI` conventions, and the span of one attempt.
//!
//! The constants of the `opentelemetry-semantic-conventions` crate are deprecated in favour of the
//! separate `GenAI` repository (`open-telemetry/semantic-conventions-genai`, status: development),
//! so the names stand here.

use baton_model::Target;
use tracing::Span;

/// The target of all spans that are exported; the exporter's filter names it.
pub const SPAN_TARGET: &str = "baton::trace";

/// Opens the span of one attempt; nearly free when no exporter listens.
#[must_use]
pub fn attempt_span(
    target: &Target,
    provider_name: &str,
    stream: bool,
    decision: &dyn std::fmt::Display,
) -> Span {
    tracing::info_span!(
        target: SPAN_TARGET,
        "chat",
        otel.name = %format_args!("chat {}", target.model),
        otel.kind = "client",
        "gen_ai.operation.name" = "chat",
        "gen_ai.provider.name" = provider_name,
        "gen_ai.request.model" = target.model.as_str(),
        "gen_ai.request.stream" = stream,
        "gen_ai.response.model" = tracing::field::Empty,
        "gen_ai.response.id" = tracing::field::Empty,
        "gen_ai.response.finish_reasons" = tracing::field::Empty,
        "gen_ai.usage.input_tokens" = tracing::field::Empty,
        "gen_ai.usage.output_tokens" = tracing::field::Empty,
        "gen_ai.usage.cache_read.input_tokens" = tracing::field::Empty,
        "gen_ai.usage.reasoning.output_tokens" = tracing::field::Empty,
        "gen_ai.response.time_to_first_chunk" = tracing::field::Empty,
        "error.type" = tracing::field::Empty,
        "baton.decision.id" = %decision,
    )
}
