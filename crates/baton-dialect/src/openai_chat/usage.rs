//! Reads and writes `usage` in the ways that OpenAI and compatible servers count.
//!
//! - Start with [`Usage::to_model`].
//! - **Invariant:** figures that cannot be read are zero; they never spoil an answer.

use std::fmt;

use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

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
        let reasoning =
            self.completion_tokens_details.as_ref().map_or(0, |details| details.reasoning_tokens.0);
        let apart = self.prompt_tokens.0.saturating_add(self.completion_tokens.0).saturating_add(reasoning);
        // xAI counts reasoning beside the completion, and only the total tells.
        let output = if reasoning > 0 && self.total_tokens.0 == apart {
            self.completion_tokens.0.saturating_add(reasoning)
        } else {
            self.completion_tokens.0
        };
        baton_model::Usage {
            input_tokens: self.prompt_tokens.0,
            cached_input_tokens: prompt
                .map_or(0, |details| details.cached_tokens.0)
                .max(self.prompt_cache_hit_tokens.0),
            cache_write_tokens: prompt.map_or(0, |details| details.cache_write_tokens.0),
            output_tokens: output,
            reasoning_tokens: reasoning,
        }
    }
}

/// No honest figure is larger, and sums of a few of these cannot overflow.
const MOST: u64 = 1 << 53;

/// A number of tokens: whole, with a decimal point, or anything else, which counts as none.
#[derive(Debug, Default, Clone, Copy)]
struct Count(u64);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CountVisitor).map(|count| Self(count.min(MOST)))
    }
}

struct CountVisitor;

impl<'de> Visitor<'de> for CountVisitor {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number of tokens")
    }

    fn visit_u64<E>(self, count: u64) -> Result<u64, E> {
        Ok(count)
    }

    fn visit_i64<E>(self, count: i64) -> Result<u64, E> {
        Ok(u64::try_from(count).unwrap_or_default())
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a cast from float saturates, and a negative figure is none"
    )]
    fn visit_f64<E>(self, count: f64) -> Result<u64, E> {
        Ok(count as u64)
    }

    fn visit_unit<E>(self) -> Result<u64, E> {
        Ok(0)
    }

    fn visit_bool<E>(self, _: bool) -> Result<u64, E> {
        Ok(0)
    }

    fn visit_str<E>(self, text: &str) -> Result<u64, E> {
        Ok(text.parse().unwrap_or_default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<u64, A::Error> {
        while list.next_element::<serde::de::IgnoredAny>()?.is_some() {}
        Ok(0)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<u64, A::Error> {
        while map.next_entry::<serde::de::IgnoredAny, serde::de::IgnoredAny>()?.is_some() {}
        Ok(0)
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
