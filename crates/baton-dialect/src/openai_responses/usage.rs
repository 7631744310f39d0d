//! Reads and writes `usage`.
//!
//! - **Invariant:** figures that cannot be read are zero; they never spoil an answer.

use serde::{Deserialize, Serialize};

use crate::openai::Count;

/// `usage` as upstreams send it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Usage {
    input_tokens: Count,
    input_tokens_details: Option<InputDetails>,
    output_tokens: Count,
    output_tokens_details: Option<OutputDetails>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct InputDetails {
    cached_tokens: Count,
    cache_write_tokens: Count,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct OutputDetails {
    reasoning_tokens: Count,
}

impl Usage {
    pub(super) fn to_model(&self) -> baton_model::Usage {
        let input = self.input_tokens_details.as_ref();
        baton_model::Usage {
            input_tokens: self.input_tokens.tokens(),
            cached_input_tokens: input.map_or(0, |details| details.cached_tokens.tokens()),
            cache_write_tokens: input.map_or(0, |details| details.cache_write_tokens.tokens()),
            output_tokens: self.output_tokens.tokens(),
            cache_write_1h_tokens: 0,
            reasoning_tokens: self
                .output_tokens_details
                .as_ref()
                .map_or(0, |details| details.reasoning_tokens.tokens()),
        }
    }
}

/// `usage` as OpenAI's schema has it.
#[derive(Debug, Serialize)]
pub(super) struct WireUsage {
    input_tokens: u64,
    input_tokens_details: WireInputDetails,
    output_tokens: u64,
    output_tokens_details: WireOutputDetails,
    total_tokens: u64,
}

#[derive(Debug, Serialize)]
struct WireInputDetails {
    cached_tokens: u64,
    cache_write_tokens: u64,
}

#[derive(Debug, Serialize)]
struct WireOutputDetails {
    reasoning_tokens: u64,
}

impl From<&baton_model::Usage> for WireUsage {
    fn from(usage: &baton_model::Usage) -> Self {
        Self {
            input_tokens: usage.input_tokens,
            input_tokens_details: WireInputDetails {
                cached_tokens: usage.cached_input_tokens,
                cache_write_tokens: usage.cache_write_tokens,
            },
            output_tokens: usage.output_tokens,
            output_tokens_details: WireOutputDetails { reasoning_tokens: usage.reasoning_tokens },
            total_tokens: usage.total_tokens(),
        }
    }
}
