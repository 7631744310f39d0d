//! What is known of a model before it is asked: what it can do, what it costs, what it is good at.

use std::collections::BTreeMap;

use baton_model::{ModelName, Price};
use serde::{Deserialize, Serialize};

/// What is known of a model. All of it may be unknown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Facts {
    /// Other names for it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<ModelName>,
    /// What it can do.
    #[serde(skip_serializing_if = "Capabilities::is_unknown")]
    pub capabilities: Capabilities,
    /// What it costs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price: Option<Price>,
    /// What it is good at, by the name of the strength, in millionths.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub strengths: BTreeMap<String, u32>,
    /// What it offers, by the name of the attribute, in millionths: the words of `model_attributes`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, u32>,
    /// The model of the scorer's training that speaks for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scored_as: Option<String>,
    /// The vendor and family, as people say it: `Anthropic Claude Sonnet`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub family: Option<String>,
}

/// What a model can do. `None` is unknown, and unknown is tried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Capabilities {
    /// Input and output tokens together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context_window: Option<u64>,
    /// The most output tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_output_tokens: Option<u64>,
    /// Pictures as input.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vision: Option<bool>,
    /// Audio as input.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audio: Option<bool>,
    /// Tool calls.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tools: Option<bool>,
    /// Answers that follow a schema.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub structured_output: Option<bool>,
    /// Log probabilities.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logprobs: Option<bool>,
    /// Thinking before the answer, on request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<bool>,
}

impl Capabilities {
    pub(crate) fn is_unknown(&self) -> bool {
        *self == Self::default()
    }
}
