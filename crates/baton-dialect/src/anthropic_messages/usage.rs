//! Converts what both whole answers and streams tell: tokens, the reason for stopping, ids.

use std::borrow::Cow;

use baton_model::{FinishReason, Usage};

use super::types::{OutputDetails, UsageIn, UsageOut};
use crate::convert::remap_id;

impl UsageIn {
    /// The model's way of counting: input includes what was read from and written to the cache.
    pub(super) fn decode(&self) -> Usage {
        let cached_input_tokens = self.cache_read_input_tokens.unwrap_or(0);
        let cache_write_tokens = self.cache_creation_input_tokens.unwrap_or(0);
        Usage {
            input_tokens: (self.input_tokens.unwrap_or(0))
                .saturating_add(cached_input_tokens)
                .saturating_add(cache_write_tokens),
            cached_input_tokens,
            cache_write_tokens,
            cache_write_1h_tokens: self
                .cache_creation
                .and_then(|written| written.ephemeral_1h_input_tokens)
                .unwrap_or(0),
            output_tokens: self.output_tokens.unwrap_or(0),
            reasoning_tokens: self
                .output_tokens_details
                .and_then(|details| details.thinking_tokens)
                .unwrap_or(0),
        }
    }

    /// Joins a later report: each figure is a running total, and one that is not told stays.
    pub(super) fn absorb(&mut self, later: &Self) {
        self.input_tokens = later.input_tokens.or(self.input_tokens);
        self.cache_creation_input_tokens =
            later.cache_creation_input_tokens.or(self.cache_creation_input_tokens);
        self.cache_creation = later.cache_creation.or(self.cache_creation);
        self.cache_read_input_tokens = later.cache_read_input_tokens.or(self.cache_read_input_tokens);
        self.output_tokens = later.output_tokens.or(self.output_tokens);
        self.output_tokens_details = later.output_tokens_details.or(self.output_tokens_details);
    }
}

/// This dialect's way of counting.
pub(super) fn encode_usage(usage: Option<&Usage>) -> UsageOut {
    let Some(usage) = usage else { return UsageOut::default() };
    let cached = usage.cached_input_tokens.saturating_add(usage.cache_write_tokens);
    UsageOut {
        input_tokens: usage.input_tokens.saturating_sub(cached),
        cache_creation_input_tokens: usage.cache_write_tokens,
        cache_read_input_tokens: usage.cached_input_tokens,
        output_tokens: usage.output_tokens,
        output_tokens_details: (usage.reasoning_tokens > 0)
            .then_some(OutputDetails { thinking_tokens: Some(usage.reasoning_tokens) }),
        ..UsageOut::default()
    }
}

/// Reads `stop_reason`.
pub(super) fn decode_stop(reason: &str) -> FinishReason {
    match reason {
        "stop_sequence" => FinishReason::StopSequence,
        "max_tokens" | "model_context_window_exceeded" => FinishReason::Length,
        "tool_use" => FinishReason::ToolCalls,
        "refusal" => FinishReason::Refusal,
        "pause_turn" => FinishReason::Pause,
        _ => FinishReason::Stop,
    }
}

/// Writes `stop_reason`. Some providers say `stop` although tools are called or the model refused;
/// clients of this dialect act on the reason alone.
pub(super) const fn encode_stop(reason: FinishReason, calls: bool, refused: bool) -> &'static str {
    match reason {
        FinishReason::Stop if calls => "tool_use",
        FinishReason::Stop if refused => "refusal",
        FinishReason::Stop => "end_turn",
        FinishReason::StopSequence => "stop_sequence",
        FinishReason::Length => "max_tokens",
        FinishReason::ToolCalls => "tool_use",
        FinishReason::ContentFilter | FinishReason::Refusal => "refusal",
        FinishReason::Pause => "pause_turn",
    }
}

/// An answer's id in the form of this dialect.
pub(super) fn message_id(id: &str) -> String {
    if id.starts_with("msg_") {
        return id.to_owned();
    }
    format!("msg_{}", remap_id(id, "", usize::MAX))
}

/// A call's id in the form of this dialect, from the id elsewhere.
pub(super) fn call_id(id: &str) -> Cow<'_, str> {
    remap_id(id, "toolu_", usize::MAX)
}

/// The id of a call in an answer. A provider that gives none gets one from the call's place.
pub(super) fn answer_call_id(id: &str, place: usize) -> String {
    if id.is_empty() { format!("toolu_{place}") } else { call_id(id).into_owned() }
}
