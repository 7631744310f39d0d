//! A whole answer of a model, with what it used and why it ended.

use std::ops::AddAssign;

use serde::{Deserialize, Serialize};

use crate::{Part, RawJson};

/// One completed answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The upstream's id, as plain data: never a key of ours.
    pub id: String,
    /// The model as the upstream reports it.
    pub model: String,
    /// When, in seconds since 1970, where the dialect says so.
    pub created: Option<i64>,
    /// What the model said, in order.
    pub parts: Vec<Part>,
    /// Why it ended.
    pub finish: FinishReason,
    /// The stop sequence that ended it, where the dialect says which.
    pub stop_sequence: Option<String>,
    /// What it used; `None` when the upstream did not say.
    pub usage: Option<Usage>,
    /// Log probabilities, raw: only the dialect they came from can carry them.
    pub logprobs: Option<RawJson>,
}

/// Why a model stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FinishReason {
    /// It was done.
    Stop,
    /// A stop sequence was met.
    StopSequence,
    /// The output limit, or the window, was reached.
    Length,
    /// It waits for the results of its tool calls.
    ToolCalls,
    /// The provider filtered the content.
    ContentFilter,
    /// The model refused.
    Refusal,
    /// A long turn was paused and can be continued (Anthropic's `pause_turn`).
    Pause,
}

impl FinishReason {
    /// The word used in records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::StopSequence => "stop_sequence",
            Self::Length => "length",
            Self::ToolCalls => "tool_calls",
            Self::ContentFilter => "content_filter",
            Self::Refusal => "refusal",
            Self::Pause => "pause",
        }
    }
}

/// Tokens used. Input counts all of it: `cached` and `cache_write` are parts of `input`, and
/// `reasoning` is a part of `output`, whatever the dialect's own way of counting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// All input tokens, cached ones included.
    pub input_tokens: u64,
    /// Input tokens read from a prompt cache.
    pub cached_input_tokens: u64,
    /// Input tokens written to a prompt cache.
    pub cache_write_tokens: u64,
    /// Those of them that are to be kept for an hour, where that has a price of its own.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub cache_write_1h_tokens: u64,
    /// All output tokens, reasoning included.
    pub output_tokens: u64,
    /// Output tokens spent on reasoning.
    pub reasoning_tokens: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl AddAssign for Usage {
    /// What another answer used as well.
    fn add_assign(&mut self, other: Self) {
        self.input_tokens += other.input_tokens;
        self.cached_input_tokens += other.cached_input_tokens;
        self.cache_write_tokens += other.cache_write_tokens;
        self.cache_write_1h_tokens += other.cache_write_1h_tokens;
        self.output_tokens += other.output_tokens;
        self.reasoning_tokens += other.reasoning_tokens;
    }
}

impl Usage {
    /// Joins a later report to this one. Reports are running totals, and a dialect may tell input
    /// at the start and output at the end, so each figure is the largest one seen.
    pub fn absorb(&mut self, later: &Self) {
        self.input_tokens = self.input_tokens.max(later.input_tokens);
        self.cached_input_tokens = self.cached_input_tokens.max(later.cached_input_tokens);
        self.cache_write_tokens = self.cache_write_tokens.max(later.cache_write_tokens);
        self.cache_write_1h_tokens = self.cache_write_1h_tokens.max(later.cache_write_1h_tokens);
        self.output_tokens = self.output_tokens.max(later.output_tokens);
        self.reasoning_tokens = self.reasoning_tokens.max(later.reasoning_tokens);
    }

    /// Input and output together.
    #[must_use]
    pub const fn total_tokens(&self) -> u64 {
        self.input_tokens + self.output_tokens
    }
}
