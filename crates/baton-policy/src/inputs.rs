//! What a decision is made from. All of it is recorded, none of it is content.

use std::time::Duration;

use baton_model::{ModelName, Price, ProviderName, Target};
use serde::{Deserialize, Deserializer, Serialize};

use crate::Capabilities;

/// Everything that [`crate::plan`] looks at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Inputs {
    /// Which policy, in which version.
    pub policy: PolicyRef,
    /// What the request needs.
    pub features: Features,
    /// The pool, in the client's or the route's order.
    pub candidates: Vec<Candidate>,
    /// The models the caller's key may use; `None` for all. A trailing `*` matches any rest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_models: Option<Vec<String>>,
    /// The client's wishes about providers.
    #[serde(default, skip_serializing_if = "ProviderPreferences::is_empty")]
    pub providers: ProviderPreferences,
    /// How often the same target is tried again.
    pub retries: u32,
}

/// A policy's name and the hash of its content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyRef {
    /// The name; `default` where none was asked for.
    pub name: String,
    /// Hex digits of the content's hash.
    pub version: String,
}

/// What a request needs, without what it says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is one independent property of a request")]
pub struct Features {
    /// A cheap estimate from the bytes; exact counting only near a limit.
    pub input_tokens: u64,
    /// The output limit the client set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_output_tokens: Option<u64>,
    /// How many tools are on offer.
    pub tools: u32,
    /// Whether there is a picture in it.
    pub images: bool,
    /// Whether there is audio in it.
    pub audio: bool,
    /// Whether the answer must follow a schema.
    pub structured_output: bool,
    /// Whether log probabilities are asked for.
    pub logprobs: bool,
    /// Whether the answer is streamed.
    pub stream: bool,
}

/// One member of the pool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    /// The model as it was named.
    pub model: ModelName,
    /// What it stands for.
    pub target: Target,
    /// What it can do.
    #[serde(default, skip_serializing_if = "Capabilities::is_unknown")]
    pub capabilities: Capabilities,
    /// What it costs, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Price>,
    /// The parameters of a strict request that it cannot carry. Not looked for where the request
    /// is not strict.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_carried: Vec<String>,
}

/// The client's `provider` object, as `OpenRouter` defines it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProviderPreferences {
    /// These first, in this order.
    #[serde(deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
    pub order: Vec<ProviderName>,
    /// No others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub only: Option<Vec<ProviderName>>,
    /// Not these.
    #[serde(deserialize_with = "null_is_empty", skip_serializing_if = "Vec::is_empty")]
    pub ignore: Vec<ProviderName>,
    /// `false`: only the first candidate may answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_fallbacks: Option<bool>,
    /// `true`: a target that cannot carry every parameter is refused, not trimmed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub require_parameters: Option<bool>,
}

impl ProviderPreferences {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Clients send `null` for a list they do not use.
fn null_is_empty<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<ProviderName>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// The four deadlines of an attempt; each is its own clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Until the connection stands.
    pub connect: Duration,
    /// From sending until the first content.
    pub first_content: Duration,
    /// Between two pieces of a stream.
    pub idle: Duration,
    /// Over all attempts until the first content, and over the whole of an answer that is not streamed.
    pub total: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(2),
            first_content: Duration::from_secs(120),
            idle: Duration::from_secs(60),
            total: Duration::from_secs(600),
        }
    }
}
