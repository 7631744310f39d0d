//! Reads and writes `usage` in the ways that OpenAI and compatible servers count.
//!
//! - Start with [`Usage::to_model`].
//! - **Invariant:** figures that cannot be read are zero; they never spoil an answer.

use serde::{Deserialize, Serialize};

use crate::openai::Count;

/// `usage` as sent by any of them.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Usage {
    prompt_tokens: Count,
    completion_tokens: Count,
    total_tokens: Count,
    prompt_tokens_details: Option<PromptDetails>,
    completion_tokens_details: Option<CompletionDetails>,
    /// DeepSeek's name for cached tokens.
    prompt_cache_hit_tokens: Count,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct PromptDetails {
    cached_tokens: Count,
    /// OpenRouter's.
    cache_write_tokens: Count,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct CompletionDetails {
    reasoning_tokens: Count,
}

impl Usage {
    pub(super) fn to_model(&self) -> baton_model::Usage {
        let prompt = self.prompt_tokens_details.as_ref();
        let cached = prompt
            .map_or(0, |details| details.cached_tokens.tokens())
            .max(self.prompt_cache_hit_tokens.tokens());
        let written = prompt.map_or(0, |details| details.cache_write_tokens.tokens());
        let input = self.prompt_tokens.tokens();
        let told = self.completion_tokens.tokens();
        let reasoning =
            self.completion_tokens_details.as_ref().map_or(0, |details| details.reasoning_tokens.tokens());
        // xAI counts reasoning beside the completion, and Google's thoughts are in the total alone.
        let more = self.total_tokens.tokens().saturating_sub(input.saturating_add(told));
        let thought =
            if more == reasoning || (reasoning == 0 && cached == 0 && written == 0) { more } else { 0 };
        baton_model::Usage {
            input_tokens: input,
            cached_input_tokens: cached,
            cache_write_tokens: written,
            output_tokens: told.saturating_add(thought),
            reasoning_tokens: reasoning.max(thought),
            ..baton_model::Usage::default()
        }
    }
}

/// `usage` as OpenAI's schema has it.
#[derive(Debug, Serialize)]
pub(super) struct WireUsage {
    prompt_tokens: u64,
    completion_tokens: u64,
    total_tokens: u64,
    prompt_tokens_details: WirePromptDetails,
    completion_tokens_details: WireCompletionDetails,
}

#[derive(Debug, Serialize)]
struct WirePromptDetails {
    cached_tokens: u64,
    audio_tokens: u64,
    #[serde(skip_serializing_if = "is_zero")]
    cache_write_tokens: u64,
}

#[derive(Debug, Serialize)]
struct WireCompletionDetails {
    reasoning_tokens: u64,
    audio_tokens: u64,
    accepted_prediction_tokens: u64,
    rejected_prediction_tokens: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl From<&baton_model::Usage> for WireUsage {
    fn from(usage: &baton_model::Usage) -> Self {
        Self {
            prompt_tokens: usage.input_tokens,
            completion_tokens: usage.output_tokens,
            total_tokens: usage.total_tokens(),
            prompt_tokens_details: WirePromptDetails {
                cached_tokens: usage.cached_input_tokens,
                audio_tokens: 0,
                cache_write_tokens: usage.cache_write_tokens,
            },
            completion_tokens_details: WireCompletionDetails {
                reasoning_tokens: usage.reasoning_tokens,
                audio_tokens: 0,
                accepted_prediction_tokens: 0,
                rejected_prediction_tokens: 0,
            },
        }
    }
}
