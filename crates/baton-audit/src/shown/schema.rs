//! Says what the parts of a decision look like whose types are records and know nothing of `OpenAPI`.
//!
//! The documentation tests hold real answers against them.
#![expect(dead_code, reason = "these types are read by their derives only")]

use utoipa::ToSchema;

/// Why a decision was made.
#[derive(Debug, ToSchema)]
pub struct ReasonSchema {
    /// A stable word, such as `only_model`, `first_in_order` or `fallback_after_fault`.
    code: String,
    /// One sentence.
    text: String,
    /// Who gave it: `client`, `policy`, `fault` or `config`.
    source: String,
}

/// What a request needs, without what it says.
#[derive(Debug, ToSchema)]
pub struct FeaturesSchema {
    /// A cheap estimate from the bytes.
    input_tokens: u64,
    /// The output limit that the client set.
    max_output_tokens: Option<u64>,
    /// How many tools are on offer.
    tools: Option<u32>,
    /// How many messages the conversation has, where the policy looks at the task.
    messages: Option<u32>,
    /// There where true, as are those that follow.
    images: Option<bool>,
    audio: Option<bool>,
    structured_output: Option<bool>,
    /// A model without such answers is asked for one by a tool.
    schema_by_tool: Option<bool>,
    /// A limit of output above a model's own is lowered to that.
    lowers_output: Option<bool>,
    logprobs: Option<bool>,
    reasoning: Option<bool>,
    stream: Option<bool>,
    /// The kind of task that the client declared: `{"kind": "code"}`, or `other` for a word of its own.
    #[schema(value_type = Option<serde_json::Value>)]
    declared_task: Option<()>,
    /// What text and shape say of the task, where the policy looks at it.
    task: Option<TaskSchema>,
}

/// What a request is about, as far as its text and shape tell. Never words of the text.
#[derive(Debug, ToSchema)]
pub(crate) struct TaskSchema {
    /// The kind of task; absent below the confidence that counts.
    kind: Option<String>,
    /// In thousandths.
    confidence: u32,
    /// `simple`, `moderate` or `complex`.
    complexity: String,
    /// What the complexity was read from.
    evidence: Option<Vec<String>>,
    /// ISO 639-1 codes, the likeliest first.
    languages: Option<Vec<String>>,
    /// How much of the text is code, in thousandths.
    code: u32,
    /// How much of the text is formulas, in thousandths.
    math: u32,
    /// The length that the text asks for, in tokens.
    asked_tokens: Option<u32>,
}

/// What was said about one candidate.
#[derive(Debug, ToSchema)]
pub(crate) struct VerdictSchema {
    /// `selected`, `eligible` or `rejected`.
    verdict: String,
    /// The place behind the selected one, if eligible.
    rank: Option<u32>,
    /// Where it fell out, if rejected.
    stage: Option<String>,
    /// Why, if rejected: a stable word.
    code: Option<String>,
    /// What was seen.
    observed: Option<String>,
    /// What would have been accepted.
    limit: Option<String>,
}

/// What a policy that is planned with beside, without effect, came to.
#[derive(Debug, ToSchema)]
pub(crate) struct ShadowSchema {
    /// The policy's name.
    policy: String,
    /// The version on trial.
    version: String,
    /// The target it would have chosen; nothing where it would have refused.
    to: Option<String>,
    /// Whether that is where the request went.
    same: Option<bool>,
    /// Instead of both: what the version looks at and was not gathered for the request.
    undetermined: Option<String>,
}

/// What is to be said of a hand-over. Sizes and hashes; of content only the model's own reason, for the caller
/// whose request it was.
#[derive(Debug, ToSchema)]
pub(crate) struct HandoffSchema {
    /// Why the models of the pool were not offered to each other.
    disabled: Option<String>,
    /// The agent that worked before.
    from_agent: Option<String>,
    /// The agent that works from now on.
    to_agent: Option<String>,
    /// How many conversations are open within each other, where that is more than one.
    depth: Option<u64>,
    /// Why it handed over, in the model's words.
    said: Option<String>,
    /// How much of the conversation the target sees: `full`, `last_4`, `summary`, `none`.
    history: Option<String>,
    /// The messages that the run had added until then.
    messages: Option<u64>,
    /// Their size in bytes, about.
    bytes: Option<u64>,
    /// What came with the hand-over beside a reason: its size and hash.
    #[schema(value_type = Option<Object>)]
    package: Option<String>,
    /// The dialects that the conversation was translated between.
    translated: Option<String>,
    /// The thinking parts that only their origin can read, and that were left out.
    left_out: Option<u64>,
    /// The tokens of the prompt cache that were lost.
    cache_lost_tokens: Option<u64>,
}

/// A step of an agent that was done before a hand-over or at its end. Sizes and hashes, no content.
#[derive(Debug, ToSchema)]
pub(crate) struct StepSchema {
    /// Whose step.
    agent: String,
    /// `before_handoff` or `on_end`.
    point: String,
    /// Which of them, from 0.
    step: u64,
    /// What it does, such as `set` or `webhook`.
    kind: String,
    /// `done`, `skipped`, `vetoed`, or `failed`.
    result: String,
    /// Why it failed: a stable word.
    code: Option<String>,
    /// How long it took, in microseconds.
    took_us: Option<u64>,
    /// The size of what it brought.
    bytes: Option<u64>,
    /// SHA-256 of that, in hex digits.
    hash: Option<String>,
}

/// What the client told about its request. Never a prompt.
#[derive(Debug, ToSchema)]
pub(crate) struct LabelsSchema {
    /// The conversation.
    session: Option<String>,
    /// The end user.
    user: Option<String>,
    tags: Option<Vec<String>>,
    /// Pairs of key and value.
    #[schema(value_type = Option<Vec<Vec<String>>>)]
    metadata: Option<Vec<(String, String)>>,
    /// Which try of the client's SDK it was.
    client_retry: Option<u32>,
}

/// Tokens.
#[derive(Debug, ToSchema)]
#[expect(clippy::struct_field_names, reason = "the wire's names")]
pub(crate) struct UsageSchema {
    /// All input, cached included.
    input_tokens: u64,
    cached_input_tokens: u64,
    cache_write_tokens: u64,
    /// All output, reasoning included.
    output_tokens: u64,
    reasoning_tokens: u64,
}

/// Whether the choice was right: `true`, `false`, or the model or target that would have been right.
#[derive(Debug, ToSchema)]
#[serde(untagged)]
pub enum CorrectTargetSchema {
    /// The chosen one was right, or was not.
    Chosen(bool),
    /// The name of the right one.
    Named(String),
}
