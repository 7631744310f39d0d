//! What is written down: decisions, their outcomes, and what frames them.
//!
//! A record is insert-only and holds no content: no prompt, no answer, no tool argument. A
//! decision is written before it takes effect; its outcome is a record of its own.

use baton_model::{
    BootId, DecisionId, FaultKind, FinishReason, ModelName, NanoUsd, RequestId, RunId, Target, Usage,
};
use baton_policy::{Inputs, Reason, Row};
use serde::{Deserialize, Serialize};

/// One entry of the journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "snake_case")]
pub enum Record {
    /// A process began a chain.
    Boot(Boot),
    /// A process ended its chain in order.
    CleanStop {
        /// When, in milliseconds since 1970.
        at_ms: u64,
    },
    /// A policy or configuration, content-addressed, before its first use.
    Document(Document),
    /// A choice.
    Decision(Box<Decision>),
    /// How the attempt of a choice ended.
    Outcome(Box<Outcome>),
    /// An administrator's act.
    Change(Change),
    /// A signed statement of where the chain stands.
    Checkpoint(Checkpoint),
    /// What somebody said afterwards of a decision.
    Feedback(Feedback),
    /// A signed statement of what retention is about to drop.
    Dropped(Dropped),
    /// Another key signs from now on.
    SigningKey(SigningKey),
    /// What was asked or answered, sealed for whom it concerns.
    Content(Box<Content>),
    /// What was kept of somebody is erased.
    Erased(Erased),
    /// Costs are counted anew with other prices.
    Correction(Box<Correction>),
}

impl Record {
    /// When it was made, in milliseconds since 1970.
    #[must_use]
    pub const fn at_ms(&self) -> u64 {
        match self {
            Self::Boot(boot) => boot.at_ms,
            Self::CleanStop { at_ms } => *at_ms,
            Self::Document(document) => document.at_ms,
            Self::Decision(decision) => decision.at_ms,
            Self::Outcome(outcome) => outcome.at_ms,
            Self::Change(change) => change.at_ms,
            Self::Checkpoint(checkpoint) => checkpoint.at_ms,
            Self::Feedback(feedback) => feedback.at_ms,
            Self::Dropped(dropped) => dropped.at_ms,
            Self::SigningKey(key) => key.at_ms,
            Self::Content(content) => content.at_ms,
            Self::Erased(erased) => erased.at_ms,
            Self::Correction(correction) => correction.at_ms,
        }
    }

    /// Reads an entry's text. The two frequent kinds are told by how they begin: an enum with its
    /// tag inside would be copied whole before it is looked at.
    pub(crate) fn read(text: &[u8]) -> serde_json::Result<Self> {
        if text.starts_with(br#"{"record":"decision","#) {
            serde_json::from_slice(text).map(Self::Decision)
        } else if text.starts_with(br#"{"record":"outcome","#) {
            serde_json::from_slice(text).map(Self::Outcome)
        } else {
            serde_json::from_slice(text)
        }
    }
}

/// The beginning of a chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Boot {
    /// This life of the process, and the name of its chain.
    pub boot: BootId,
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// Baton's version.
    pub version: String,
    /// The chain before this one in the same journal, with its last synced head.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<ChainHead>,
}

/// Where a chain stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainHead {
    /// The chain.
    pub boot: BootId,
    /// The number of its last entry.
    pub seq: u64,
    /// The hash of its last entry, in hex digits.
    pub hash: String,
}

/// Something a decision refers to by its hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document {
    /// Hex digits of its hash: its name from now on.
    pub hash: String,
    /// `config`, `policy`, `prices`.
    pub kind: String,
    /// When it was first used, in milliseconds since 1970.
    pub at_ms: u64,
    /// The document itself, without secrets.
    pub body: serde_json::Value,
}

/// What kind of choice a decision is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DecisionKind {
    /// The first choice of a run.
    Select,
    /// The same target again.
    Retry,
    /// Another target after a failure.
    Fallback,
    /// A second attempt beside the first.
    Hedge,
    /// The conversation goes to another model.
    Handoff,
    /// The conversation stays where it is.
    Stay,
    /// A task goes to another agent.
    Delegate,
    /// A delegated task comes back.
    Return,
    /// A hand-off that the client made.
    Observe,
    /// No target was eligible; nothing was sent.
    Refuse,
    /// The run ended at a limit, or nothing was left to try.
    Stop,
}

impl DecisionKind {
    /// The word as it is recorded.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Select => "select",
            Self::Retry => "retry",
            Self::Fallback => "fallback",
            Self::Hedge => "hedge",
            Self::Handoff => "handoff",
            Self::Stay => "stay",
            Self::Delegate => "delegate",
            Self::Return => "return",
            Self::Observe => "observe",
            Self::Refuse => "refuse",
            Self::Stop => "stop",
        }
    }
}

/// A choice, written before it takes effect.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// Its id.
    pub id: DecisionId,
    /// The client request it belongs to, with everything done for it.
    pub run: RunId,
    /// The HTTP request.
    pub request: RequestId,
    /// The decision before it in the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<DecisionId>,
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// Which turn of the run, from 1.
    pub turn: u32,
    /// Which hop of the run, from 1.
    pub hop: u32,
    /// What kind of choice.
    pub kind: DecisionKind,
    /// Whose request: `key_…` or `anonymous`.
    pub principal: String,
    /// The path that was called, as matched.
    pub surface: String,
    /// The models as the client named them.
    pub requested: Vec<String>,
    /// The target left behind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Target>,
    /// The target chosen; none for `refuse` and `stop`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Target>,
    /// The chosen model as it was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_model: Option<ModelName>,
    /// Whether an upstream call follows, and so an outcome.
    pub attempt: bool,
    /// Why.
    pub reason: Reason,
    /// The planner's version.
    pub planner: u32,
    /// The hash of the configuration in force.
    pub config: String,
    /// What the plan was made from; on the first decision of a plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inputs: Option<Box<Inputs>>,
    /// What was said about each candidate; on the first decision of a plan.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub table: Vec<Row>,
    /// What a policy on trial would have chosen; on the first decision of a plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shadow: Option<Box<Shadow>>,
    /// What is to be said of hand-overs, where there may be any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handoff: Option<Box<HandoffNote>>,
    /// The tools that the gateway ran for the turn before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<ToolNote>,
    /// The steps of agents that were done since the decision before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<StepNote>,
    /// Parameters that the target cannot carry.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dropped_parameters: Vec<String>,
    /// Parameters that Baton was sent and did not follow.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ignored_parameters: Vec<String>,
    /// What the client said of where the request belongs.
    #[serde(default, skip_serializing_if = "Labels::is_empty")]
    pub labels: Labels,
}

/// What a decision says of a hand-over, beside who hands over to whom. Sizes and hashes, no content.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HandoffNote {
    /// Why the models of the pool are not offered to each other.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disabled: Option<String>,
    /// The agent that worked before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from_agent: Option<String>,
    /// The agent that works from now on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to_agent: Option<String>,
    /// How many conversations are open within each other then, where that is more than one.
    #[serde(skip_serializing_if = "is_zero")]
    pub depth: u64,
    /// Why, in the model's own words: sealed for whom it concerns, base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub said: Option<String>,
    /// How much of the conversation the target sees: `full`, `last_4`, `summary`, `none`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub history: Option<String>,
    /// The messages that the run had added until then.
    #[serde(skip_serializing_if = "is_zero")]
    pub messages: u64,
    /// Their size in bytes, about.
    #[serde(skip_serializing_if = "is_zero")]
    pub bytes: u64,
    /// The hash of what came with the call, and its size, where it is more than a reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub package: Option<PackageNote>,
    /// What the conversation was translated from and to, where the dialects differ.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub translated: Option<String>,
    /// The thinking parts that only their origin can read.
    #[serde(skip_serializing_if = "is_zero")]
    pub left_out: u64,
    /// The tokens of the prompt cache that the hand-over loses, as far as they were told.
    #[serde(skip_serializing_if = "is_zero")]
    pub cache_lost_tokens: u64,
}

/// A tool that the gateway ran, without what it was told and what it said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ToolNote {
    /// The server, as the request or the configuration names it.
    pub server: String,
    /// The tool, as its server names it.
    pub tool: String,
    /// Whether it failed.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_error: bool,
    /// How long it took, in microseconds.
    pub took_us: u64,
    /// The size of its result.
    pub bytes: u64,
    /// SHA-256 of what the model was told, in hex digits.
    pub hash: String,
}

/// A step of an agent that was done before a hand-over or at its end, without what it was told and what it said.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StepNote {
    /// Whose step.
    pub agent: String,
    /// `before_handoff` or `on_end`.
    pub point: String,
    /// Which of them, from 0.
    pub step: u64,
    /// What it does: `set`, `push`, `prepend`, `append`, `instructions`, `veto_if`, `tool`, `webhook`.
    pub kind: String,
    /// `done`, `skipped`, `vetoed`, or `failed`.
    pub result: String,
    /// Why it failed: a stable word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// How long it took, in microseconds.
    #[serde(skip_serializing_if = "is_zero")]
    pub took_us: u64,
    /// The size of what it brought.
    #[serde(skip_serializing_if = "is_zero")]
    pub bytes: u64,
    /// SHA-256 of that, in hex digits.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub hash: String,
}

/// What came with a hand-over, without its content.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackageNote {
    /// Bytes.
    pub bytes: u64,
    /// SHA-256, in hex digits.
    pub hash: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands in a reference")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// What a policy that is planned with beside, without effect, came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shadow {
    /// The policy's name.
    pub policy: String,
    /// The version that was planned with beside.
    pub version: String,
    /// What it came to.
    #[serde(flatten)]
    pub result: ShadowResult,
}

/// What came of planning beside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ShadowResult {
    /// It looks at something that was not gathered for the request, and this is what.
    Undetermined {
        /// What is missing.
        undetermined: String,
    },
    /// It chose.
    Planned {
        /// The target; none where it would have refused.
        to: Option<Target>,
        /// Whether that is where the request went.
        same: bool,
    },
}

/// Ids and tags of the client's, as data.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Labels {
    /// The conversation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// The end user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Tags.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// `metadata` of the request: short texts only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub metadata: Vec<(String, String)>,
    /// Which try of the client's SDK this is (`x-stainless-retry-count`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_retry: Option<u32>,
}

impl Labels {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutcomeStatus {
    /// A whole answer was given.
    Ok,
    /// It failed.
    Failed,
    /// The client left before the end.
    ClientCancelled,
}

impl OutcomeStatus {
    /// The word as it is recorded.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failed => "failed",
            Self::ClientCancelled => "client_cancelled",
        }
    }
}

/// Who counted the tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UsageSource {
    /// The provider.
    Provider,
    /// Baton, from the bytes.
    Estimated,
}

/// How the attempt of a decision ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Whose outcome.
    pub decision: DecisionId,
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// How it ended.
    pub status: OutcomeStatus,
    /// What went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<FaultKind>,
    /// The provider's HTTP status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_status: Option<u16>,
    /// Why the model stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finish: Option<FinishReason>,
    /// What was used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// Who counted it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage_source: Option<UsageSource>,
    /// What it cost; none when no price is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<NanoUsd>,
    /// From sending to the first content, in microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_content_us: Option<u64>,
    /// From sending to the end, in microseconds.
    pub total_us: u64,
    /// Bytes of the answer that the client was given.
    pub bytes: u64,
    /// Whether the client was given any content of this attempt.
    pub content_sent: bool,
    /// Whether the upstream said itself that it was done (`[DONE]`, `message_stop`, a whole body).
    pub upstream_done: bool,
    /// The upstream's id of the answer, as plain data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream_id: Option<String>,
    /// The model as the upstream reported it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream_model: Option<String>,
}

/// An administrator's act.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// Who: `key_…`, `cli`, `config`.
    pub actor: String,
    /// What was done, as in `key.create`, `config.reload`.
    pub action: String,
    /// To what.
    pub subject: String,
    /// More about it, without secrets.
    #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
    pub detail: serde_json::Value,
}

/// A signed statement of where a chain stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// The head it speaks of: all entries up to it were synced.
    pub head: ChainHead,
    /// Ed25519 over the canonical text of `at_ms` and `head`, base64.
    pub signature: String,
    /// Which key signed, as the hex digits of its public half's hash.
    pub signer: String,
}

/// What somebody said afterwards of a decision. It adds to it and changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Feedback {
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// Of which decision.
    pub decision: DecisionId,
    /// Who says it: `key_…` or `anonymous`.
    pub principal: String,
    /// Whether the choice was right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correct_target: Option<CorrectTarget>,
    /// How good the answer was, in millionths: 1 000 000 is 1.0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<i64>,
    /// A word of the caller's own, at most 64 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// What was said in words, at most 500 characters: sealed for whom it concerns, base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}

/// Whether the choice was right, as somebody says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum CorrectTarget {
    /// The chosen one was right, or was not.
    Chosen(bool),
    /// This model or target would have been right; it may be the chosen one.
    Named(String),
}

/// What retention is about to drop, signed and stored before anything goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dropped {
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// Rows of decisions whose ids are older go too, in milliseconds since 1970.
    pub before_ms: u64,
    /// Of each of these chains, the entries up to this head and with it go.
    pub heads: Vec<ChainHead>,
    /// How many decisions go, as far as the store counted them.
    pub decisions: u64,
    /// Ed25519 over the canonical text of the fields before it, base64.
    pub signature: String,
    /// Which key signed, as the hex digits of its public half's hash.
    pub signer: String,
}

/// A new signing key, vouched for by the one before it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SigningKey {
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// The new key's public half, base64.
    pub public: String,
    /// The key before it, as the hex digits of its public half's hash.
    pub previous: String,
    /// Ed25519 by the key before, over the canonical text of the fields before it, base64.
    pub signature: String,
}

/// What was asked or answered, without secrets that are known by their form, sealed.
///
/// The chain covers the sealed bytes. They are opened by a key of the subject and the epoch, which the store
/// alone has: without it they say nothing but their length.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// Of which decision.
    pub decision: DecisionId,
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// Which side of it.
    pub part: ContentPart,
    /// Whose it is, as erasing names it.
    pub subject: String,
    /// Under whose key of the subject it is sealed.
    pub epoch: String,
    /// The envelope, base64.
    pub sealed: String,
}

/// A side of an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ContentPart {
    /// What the client asked.
    Request,
    /// What the attempt answered, as far as it came.
    Answer,
}

impl ContentPart {
    /// The word as it is recorded.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Answer => "answer",
        }
    }
}

/// What was kept of a subject is erased: counts, and who did it. Nothing of what it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Erased {
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// Who: `key_…` or `cli`.
    pub actor: String,
    /// Whose content.
    pub subject: String,
    /// Captured requests and answers. Their sealed bytes stay in the log; the keys to them are gone.
    pub contents: u64,
    /// Keys of the subject that were destroyed.
    pub keys: u64,
    /// Stored responses.
    pub responses: u64,
    /// Runs.
    pub runs: u64,
    /// Answers that were kept for repeats with an idempotency key.
    pub answers: u64,
}

/// Costs that are counted anew, because the prices they were counted with were wrong. The outcomes stay as
/// they are; of several corrections of one attempt the latest counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Correction {
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// Who: `key_…` or `cli`.
    pub actor: String,
    /// The catalogue whose prices count from now on, by its hash.
    pub prices: String,
    /// The catalogue that the attempts were counted with first, where their plans name one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_prices: Option<String>,
    /// The attempts.
    pub costs: Vec<CorrectedCost>,
}

/// What an attempt cost, counted anew from the tokens that its outcome tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CorrectedCost {
    /// The decision whose attempt it is.
    pub decision: DecisionId,
    /// What counted until then; none where no price was known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub was: Option<NanoUsd>,
    /// What counts from now on.
    pub cost: NanoUsd,
}
