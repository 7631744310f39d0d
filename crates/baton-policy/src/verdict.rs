//! What a decision says about each candidate, and why, in words that do not change.

use baton_model::FaultKind;
use serde::{Deserialize, Serialize};

/// The stages of a plan, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Can it do what the request needs?
    Capability,
    /// May the caller use it, and does the caller want it?
    Allow,
    /// Is it well?
    Health,
    /// Does it keep the limits on cost and time?
    Constraints,
    /// What do the rules say?
    Rules,
    /// Where does it stand among the others?
    Order,
}

/// What became of one candidate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    /// It is tried first.
    Selected,
    /// It would be tried next, in this rank (1 is the first fallback).
    Eligible {
        /// Its place behind the selected one.
        rank: u32,
    },
    /// It is not tried.
    Rejected(Rejection),
}

/// Why a candidate is not tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejection {
    /// Where it fell out.
    pub stage: Stage,
    /// A stable word.
    pub code: ReasonCode,
    /// What was seen, as text with its unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed: Option<String>,
    /// What would have been accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<String>,
}

/// A candidate's row of the table; rows stand in the order of the candidates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// Which candidate, by its place in the inputs.
    pub candidate: u32,
    /// What became of it.
    #[serde(flatten)]
    pub verdict: Verdict,
}

/// Why a decision was made: a code to count by, a sentence to read, and who spoke.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// A stable word.
    pub code: ReasonCode,
    /// One sentence, made from the table.
    pub text: String,
    /// Who gave the reason.
    pub source: ReasonSource,
}

/// Who gave a reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReasonSource {
    /// The client named the model.
    Client,
    /// The policy.
    Policy,
    /// A failure made it necessary.
    Fault,
    /// The operator's configuration.
    Config,
}

/// Stable words for why. New ones may be added, none changes its meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ReasonCode {
    /// The client named just this model.
    OnlyModel,
    /// First of an ordered list.
    FirstInOrder,
    /// The client's `provider.order` put it first.
    ProviderOrder,
    /// The path named the provider (pass-through).
    NamedProvider,
    /// An earlier candidate fell out, so this one is first.
    FirstEligible,
    /// Listed before.
    ListedTwice,
    /// The key may not use it.
    KeyNotAllowed,
    /// Not in the client's `provider.only`.
    ProviderNotInOnly,
    /// In the client's `provider.ignore`.
    ProviderIgnored,
    /// The client allows no fallback.
    FallbackNotAllowed,
    /// The input does not fit the window.
    WindowTooSmall,
    /// More output is asked for than it gives.
    OutputLimitTooSmall,
    /// No pictures.
    NoVision,
    /// No audio.
    NoAudio,
    /// No tool calls.
    NoTools,
    /// No structured output.
    NoStructuredOutput,
    /// No log probabilities.
    NoLogprobs,
    /// A parameter that it cannot carry, and the request is strict.
    UnsupportedParameter,
    /// The same target again after a failure.
    RetryAfterFault,
    /// Another target after a failure.
    FallbackAfterFault,
    /// Nothing is left to try.
    Exhausted,
    /// The failure is the request's own; no other target would take it.
    NotRetryable,
}

impl ReasonCode {
    /// The word as it is recorded.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OnlyModel => "only_model",
            Self::FirstInOrder => "first_in_order",
            Self::ProviderOrder => "provider_order",
            Self::NamedProvider => "named_provider",
            Self::FirstEligible => "first_eligible",
            Self::ListedTwice => "listed_twice",
            Self::KeyNotAllowed => "key_not_allowed",
            Self::ProviderNotInOnly => "provider_not_in_only",
            Self::ProviderIgnored => "provider_ignored",
            Self::FallbackNotAllowed => "fallback_not_allowed",
            Self::WindowTooSmall => "window_too_small",
            Self::OutputLimitTooSmall => "output_limit_too_small",
            Self::NoVision => "no_vision",
            Self::NoAudio => "no_audio",
            Self::NoTools => "no_tools",
            Self::NoStructuredOutput => "no_structured_output",
            Self::NoLogprobs => "no_logprobs",
            Self::UnsupportedParameter => "unsupported_parameter",
            Self::RetryAfterFault => "retry_after_fault",
            Self::FallbackAfterFault => "fallback_after_fault",
            Self::Exhausted => "exhausted",
            Self::NotRetryable => "not_retryable",
        }
    }

    /// Why a target is not tried, as the end of a sentence that begins with its name.
    #[must_use]
    pub const fn clause(self) -> &'static str {
        match self {
            Self::ListedTwice => "was listed before",
            Self::KeyNotAllowed => "is not allowed for this key",
            Self::ProviderNotInOnly => "is not among the providers asked for",
            Self::ProviderIgnored => "was excluded by the request",
            Self::FallbackNotAllowed => "is a fallback, and the request allows none",
            Self::WindowTooSmall => "has too small a context window",
            Self::OutputLimitTooSmall => "gives less output than asked for",
            Self::NoVision => "takes no images",
            Self::NoAudio => "takes no audio",
            Self::NoTools => "calls no tools",
            Self::NoStructuredOutput => "has no structured output",
            Self::NoLogprobs => "gives no log probabilities",
            Self::UnsupportedParameter => "cannot carry every parameter, and the request is strict",
            _ => "was not eligible",
        }
    }
}

impl Reason {
    /// The reason of a choice that a failure made necessary.
    #[must_use]
    pub fn after_fault(code: ReasonCode, from: &str, to: &str, kind: FaultKind) -> Self {
        let text = if code == ReasonCode::RetryAfterFault {
            format!("{to} is tried again because the attempt before failed with {kind}")
        } else {
            format!("{to} takes over because {from} failed with {kind}")
        };
        Self { code, text, source: ReasonSource::Fault }
    }
}
