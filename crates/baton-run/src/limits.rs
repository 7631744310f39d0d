//! What bounds a run, and what of a conversation a target sees.

use baton_model::NanoUsd;
use serde::{Deserialize, Serialize};

/// Who may hand a conversation over within a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HandoffMode {
    /// Nobody.
    #[default]
    Off,
    /// The model that has the conversation.
    Model,
    /// The policy's rules.
    Rules,
    /// Both.
    Both,
}

impl HandoffMode {
    /// Whether the model that has the conversation may hand it over.
    #[must_use]
    pub const fn by_model(self) -> bool {
        matches!(self, Self::Model | Self::Both)
    }

    /// What both allow.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        match (self.by_model() && other.by_model(), self.by_rules() && other.by_rules()) {
            (true, true) => Self::Both,
            (true, false) => Self::Model,
            (false, true) => Self::Rules,
            (false, false) => Self::Off,
        }
    }

    /// Whether rules may.
    #[must_use]
    pub const fn by_rules(self) -> bool {
        matches!(self, Self::Rules | Self::Both)
    }
}

/// How much of the conversation a target of a hand-off sees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum History {
    /// All of it.
    #[default]
    Full,
    /// The instructions and so many of the last messages; a round of tool calls is never cut.
    LastN(u32),
    /// The instructions, a summary of the rest, and the last user message.
    Summary,
    /// The instructions and the last user message.
    None,
}

/// What bounds a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// The most answers of models.
    pub max_turns: u32,
    /// The most hand-offs.
    pub max_handoffs: u32,
    /// How often the conversation may go the same way within one run.
    pub max_same_way: u32,
    /// The most that all turns together may cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<NanoUsd>,
    /// The most tokens, in and out, that all turns together may use; none is asked for once they are used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u64>,
    /// The most levels of tasks and of hand-overs that return, the conversation itself being the first.
    #[serde(default = "usual_depth")]
    pub max_depth: u32,
    /// Whether the conversation may not come back to who had it before.
    #[serde(default)]
    pub no_return: bool,
    /// Whether a transfer without a reason is sent back.
    #[serde(default)]
    pub require_reason: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_turns: 10,
            max_handoffs: 8,
            max_same_way: 2,
            budget: None,
            max_tokens: None,
            max_depth: usual_depth(),
            no_return: false,
            require_reason: false,
        }
    }
}

const fn usual_depth() -> u32 {
    4
}
