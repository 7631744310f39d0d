//! What a decision says about each candidate, and why, in words that do not change.

use baton_model::{FaultKind, NanoUsd};
use serde::{Deserialize, Serialize};

use crate::plan::dollars;

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
    /// The figure it was ranked by, where the order has one: nano-dollars, milliseconds or millionths.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<u64>,
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
    /// The model that had the conversation.
    Model,
    /// A rule of the policy.
    Rule,
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
    /// No thinking before the answer.
    NoReasoning,
    /// A parameter that it cannot carry, and the request is strict.
    UnsupportedParameter,
    /// It failed too often lately.
    BreakerOpen,
    /// Another request is trying whether it is well again.
    ProbeTaken,
    /// It asked to be left in peace for a while.
    CoolingDown,
    /// Its rate limit is used up.
    NoHeadroom,
    /// None of its credentials is taken.
    NoCredential,
    /// An operator wants no new conversations there.
    Drained,
    /// An operator has switched it off.
    Disabled,
    /// A capability is demanded that it is not known to have.
    CapabilityMissing,
    /// A strength is demanded that it does not have in that measure.
    StrengthTooLow,
    /// A limit on cost holds, and its price is not known.
    PriceUnknown,
    /// The request is expected to cost more than the limit.
    CostTooHigh,
    /// Its price of a million tokens is above the limit.
    PriceTooHigh,
    /// It was slower lately than the limit.
    TooSlow,
    /// A rule names others.
    NotInRule,
    /// Only a rule names it, and that rule did not match.
    NotAskedFor,
    /// A rule refuses the request.
    RefusedByRule,
    /// A rule ends the run.
    StoppedByRule,
    /// Its weight is zero.
    ZeroWeight,
    /// A rule put it first.
    ChosenByRule,
    /// Drawn by lot, with weights.
    DrawnByWeight,
    /// The lowest expected cost.
    Cheapest,
    /// The quickest lately.
    Fastest,
    /// Little is known of how quick it is, so it was tried.
    Exploring,
    /// The best of quality, cost, speed and headroom together.
    BestBalance,
    /// Offers most of what the task wants.
    BestAttributes,
    /// The strongest at this kind of task.
    BestStrengths,
    /// The best expected quality for its cost.
    BestExpected,
    /// The judge is asked which model fits.
    AsksJudge,
    /// The judge named it.
    Judged,
    /// The conversation is with it, and no other is better by enough.
    Stays,
    /// None is well; this one is the first to be well again.
    LastResort,
    /// The same target again after a failure.
    RetryAfterFault,
    /// The same target again, told in what its answer did not follow the schema.
    SchemaRepair,
    /// Another target after a failure.
    FallbackAfterFault,
    /// Nothing is left to try.
    Exhausted,
    /// The failure is the request's own; no other target would take it.
    NotRetryable,
    /// The model that had the conversation handed it over.
    HandedOver,
    /// A rule handed it over.
    HandoffByRule,
    /// The configuration handed it over, after a final answer.
    HandoffForced,
    /// It was asked to take over, and may not.
    HandoffDenied,
    /// It was asked to take over, and cannot now.
    TargetUnavailable,
    /// The conversation is with it already.
    HasConversation,
    /// Another one was asked to take over.
    NotHandedTo,
    /// The run has taken all of its turns.
    MaxTurns,
    /// The run has made all of its hand-overs.
    MaxHandoffs,
    /// The conversation goes to and fro.
    PingPong,
    /// The run has cost what it may.
    BudgetReached,
    /// The client's own loop handed over.
    Observed,
    /// The text before the hand-over is the answer.
    TextIsFinal,
    /// The client's own tools were called first.
    CallsGoToClient,
    /// Its tools are answered, so it goes on.
    ToolsAnswered,
    /// It sums the conversation up for the one that takes over.
    SumsUp,
    /// An agent is given a task.
    Delegated,
    /// An agent has the answer that it waited for.
    Returned,
    /// Too many agents wait for each other.
    MaxDepth,
    /// An agent has ended, and what follows its end was done.
    Ended,
    /// An answer was not what it had to be.
    ValidationFailed,
    /// One of several votes counts.
    VoteCounted,
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
            Self::NoReasoning => "no_reasoning",
            Self::BreakerOpen => "breaker_open",
            Self::ProbeTaken => "probe_taken",
            Self::CoolingDown => "cooling_down",
            Self::NoHeadroom => "no_headroom",
            Self::NoCredential => "no_credential",
            Self::Drained => "drained",
            Self::Disabled => "disabled",
            Self::CapabilityMissing => "capability_missing",
            Self::StrengthTooLow => "strength_too_low",
            Self::PriceUnknown => "price_unknown",
            Self::CostTooHigh => "cost_too_high",
            Self::PriceTooHigh => "price_too_high",
            Self::TooSlow => "too_slow",
            Self::NotInRule => "not_in_rule",
            Self::NotAskedFor => "not_asked_for",
            Self::RefusedByRule => "refused_by_rule",
            Self::StoppedByRule => "stopped_by_rule",
            Self::ZeroWeight => "zero_weight",
            Self::ChosenByRule => "chosen_by_rule",
            Self::DrawnByWeight => "drawn_by_weight",
            Self::Cheapest => "cheapest",
            Self::Fastest => "fastest",
            Self::Exploring => "exploring",
            Self::BestBalance => "best_balance",
            Self::BestAttributes => "best_attributes",
            Self::BestStrengths => "best_strengths",
            Self::BestExpected => "best_expected",
            Self::AsksJudge => "asks_judge",
            Self::Judged => "judged",
            Self::Stays => "stays",
            Self::LastResort => "last_resort",
            Self::RetryAfterFault => "retry_after_fault",
            Self::SchemaRepair => "schema_repair",
            Self::FallbackAfterFault => "fallback_after_fault",
            Self::Exhausted => "exhausted",
            Self::NotRetryable => "not_retryable",
            Self::HandedOver => "handed_over",
            Self::HandoffByRule => "handoff_by_rule",
            Self::HandoffForced => "handoff_forced",
            Self::HandoffDenied => "handoff_denied",
            Self::TargetUnavailable => "target_unavailable",
            Self::HasConversation => "has_conversation",
            Self::NotHandedTo => "not_handed_to",
            Self::MaxTurns => "max_turns",
            Self::MaxHandoffs => "max_handoffs",
            Self::PingPong => "ping_pong",
            Self::BudgetReached => "budget_reached",
            Self::Observed => "observed",
            Self::TextIsFinal => "text_is_final",
            Self::CallsGoToClient => "calls_go_to_client",
            Self::ToolsAnswered => "tools_answered",
            Self::SumsUp => "sums_up",
            Self::Delegated => "delegated",
            Self::Returned => "returned",
            Self::MaxDepth => "max_depth",
            Self::Ended => "ended",
            Self::ValidationFailed => "validation_failed",
            Self::VoteCounted => "vote_counted",
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
            Self::NoReasoning => "does no reasoning",
            Self::BreakerOpen => "failed too often lately",
            Self::ProbeTaken => "is being tried by another request",
            Self::CoolingDown => "asked to be left in peace for a while",
            Self::NoHeadroom => "has used up its rate limit",
            Self::NoCredential => "has no credential that is taken",
            Self::Drained => "takes no new conversations",
            Self::Disabled => "is switched off",
            Self::CapabilityMissing => "is not known to have what is demanded",
            Self::StrengthTooLow => "is not strong enough at what is demanded",
            Self::PriceUnknown => "has no known price, and there is a limit on cost",
            Self::CostTooHigh => "would cost more than the limit",
            Self::PriceTooHigh => "has a price above the limit",
            Self::TooSlow => "was slower lately than the limit",
            Self::NotInRule => "is not among the models of the rule",
            Self::NotAskedFor => "is only for a rule that did not match",
            Self::RefusedByRule => "is refused by a rule",
            Self::StoppedByRule => "is stopped by a rule",
            Self::ZeroWeight => "has a weight of zero",
            Self::HandoffDenied => "may not take over",
            Self::TargetUnavailable => "cannot take over now",
            Self::HasConversation => "has the conversation already",
            Self::NotHandedTo => "was not asked to take over",
            _ => "was not eligible",
        }
    }
}

/// What happens in a run without a plan of its own.
///
/// Names are those of targets or, of a client's own agents, as the client has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RunEvent<'a> {
    /// It has taken all of its turns, so many.
    MaxTurns(u32),
    /// It has made all of its hand-overs, so many.
    MaxHandoffs(u32),
    /// Two hand the conversation to and fro.
    PingPong {
        /// Who has it.
        from: &'a str,
        /// Who would have it again.
        to: &'a str,
    },
    /// The next turn may cost more than is left of this.
    BudgetReached(NanoUsd),
    /// What was asked for names nobody who may take over.
    Denied {
        /// Who has the conversation.
        from: &'a str,
        /// What is wrong, as half a sentence without anything that a model wrote.
        why: &'a str,
    },
    /// Whoever was to take over failed before it said anything.
    Unavailable {
        /// Who had the conversation and gets it back.
        from: &'a str,
        /// Who failed.
        to: &'a str,
    },
    /// The client's own loop handed over.
    Observed {
        /// Whom to, where the call says it.
        to: Option<&'a str>,
    },
    /// The text before a hand-over is the answer, as it has to follow a schema.
    TextIsFinal {
        /// Who keeps the conversation.
        from: &'a str,
    },
    /// The client's own tools were called before the hand-over.
    CallsGoToClient {
        /// Who has the conversation.
        from: &'a str,
        /// Who has it from the next request on.
        to: &'a str,
    },
    /// The tools that the model called are answered.
    ToolsAnswered {
        /// Who has the conversation.
        by: &'a str,
    },
}

impl Reason {
    /// The reason of something that happens in a run without a plan of its own.
    #[must_use]
    pub fn in_run(event: RunEvent<'_>) -> Self {
        let (code, source, text) = match event {
            RunEvent::MaxTurns(most) => (
                ReasonCode::MaxTurns,
                ReasonSource::Policy,
                format!("the run ends because it has taken its {}", counted(most, "turn")),
            ),
            RunEvent::MaxHandoffs(most) => (
                ReasonCode::MaxHandoffs,
                ReasonSource::Policy,
                format!("the run ends because it has made its {}", counted(most, "hand-over")),
            ),
            RunEvent::PingPong { from, to } => (
                ReasonCode::PingPong,
                ReasonSource::Policy,
                format!("the run ends because {from} and {to} hand the conversation to and fro"),
            ),
            RunEvent::BudgetReached(most) => (
                ReasonCode::BudgetReached,
                ReasonSource::Policy,
                format!("the run ends because the next turn may go beyond its budget of {}", dollars(most)),
            ),
            RunEvent::Denied { from, why } => (
                ReasonCode::HandoffDenied,
                ReasonSource::Policy,
                format!("{from} keeps the conversation: {why}"),
            ),
            RunEvent::Unavailable { from, to } => (
                ReasonCode::TargetUnavailable,
                ReasonSource::Fault,
                format!("{from} gets the conversation back because {to} did not answer"),
            ),
            RunEvent::Observed { to: Some(to) } => (
                ReasonCode::Observed,
                ReasonSource::Client,
                format!("the client's own loop handed over to {to}"),
            ),
            RunEvent::Observed { to: None } => {
                (ReasonCode::Observed, ReasonSource::Client, "the client's own loop handed over".to_owned())
            }
            RunEvent::TextIsFinal { from } => (
                ReasonCode::TextIsFinal,
                ReasonSource::Policy,
                format!(
                    "{from} keeps the conversation: its text is the answer, which has to follow a schema"
                ),
            ),
            RunEvent::CallsGoToClient { from, to } => (
                ReasonCode::CallsGoToClient,
                ReasonSource::Model,
                format!(
                    "{to} takes over from {from} with the next request: the client has tools to call first"
                ),
            ),
            RunEvent::ToolsAnswered { by } => (
                ReasonCode::ToolsAnswered,
                ReasonSource::Policy,
                format!("{by} goes on with the results of its tools"),
            ),
        };
        Self { code, text, source }
    }

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

/// `1 turn`, `3 turns`.
fn counted(number: u32, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {what}{plural}")
}

#[cfg(test)]
mod tests;
