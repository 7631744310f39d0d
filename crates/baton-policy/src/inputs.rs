//! What a decision is made from. All of it is recorded, none of it is content.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use baton_model::{ModelName, ProviderName, Target};
use serde::{Deserialize, Deserializer, Serialize};

use crate::{Constraints, Facts, Order, TaskKind, TaskReading};

/// Everything that [`crate::plan`] looks at beside the policy and the knowledge that it names.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Inputs {
    /// Which policy, in which version.
    pub policy: PolicyRef,
    /// The version of what is known of the models.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub knowledge: String,
    /// What the request needs.
    pub features: Features,
    /// The pool, in the client's or the route's order, and behind it the models that only a rule may use.
    pub candidates: Vec<Candidate>,
    /// The models the caller's key may use; `None` for all. A trailing `*` matches any rest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_models: Option<Vec<String>>,
    /// The client's wishes about providers.
    #[serde(default, skip_serializing_if = "ProviderPreferences::is_empty")]
    pub providers: ProviderPreferences,
    /// What else the client wishes.
    #[serde(default, skip_serializing_if = "Wishes::is_empty")]
    pub wishes: Wishes,
    /// What rules look at; there when the policy has rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<Box<Context>>,
    /// The target that the conversation is with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<Current>,
    /// Where the run is, between its turns. Not there when a request begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<Box<RunInputs>>,
    /// Why one of these is needed, where an agent begins to work. Not there when a request begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<Box<AgentMove>>,
    /// What the judge said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judged: Option<Judged>,
    /// The path of a request that is passed through to the provider it names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passes: Option<String>,
    /// A random number, where the order throws dice.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub random: u64,
}

impl Inputs {
    /// Who has the conversation, if anybody has.
    #[must_use]
    pub fn holder(&self) -> Option<&Target> {
        let asked = self.run.as_ref().and_then(|run| run.asked.as_ref());
        asked
            .and_then(|asked| self.candidates.get(usize::try_from(asked.from).ok()?))
            .map(|candidate| &candidate.target)
            .or_else(|| self.current.as_ref().map(|current| &current.target))
    }
}

/// What is known of the models and tasks: one version for each configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Knowledge {
    /// The strengths that count for each kind of task, the weightiest first.
    pub task_strengths: BTreeMap<TaskKind, Vec<String>>,
    /// The models by target.
    pub models: BTreeMap<Target, Arc<Facts>>,
}

/// A policy's name and the hash of its content.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PolicyRef {
    /// The name; `default` where none was asked for.
    pub name: String,
    /// Hex digits of the content's hash.
    pub version: String,
}

/// What a request needs, without what it says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "each is one independent property of a request")]
#[serde(default)]
pub struct Features {
    /// A cheap estimate from the bytes; exact counting only near a limit.
    pub input_tokens: u64,
    /// The output limit the client set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_output_tokens: Option<u64>,
    /// Whether a limit above a model's own is lowered to that, and not refused.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub lowers_output: bool,
    /// How many tools are on offer.
    #[serde(skip_serializing_if = "is_zero_u32")]
    pub tools: u32,
    /// How many messages the conversation has.
    #[serde(skip_serializing_if = "is_zero_u32")]
    pub messages: u32,
    /// Whether there is a picture in it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub images: bool,
    /// Whether there is audio in it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub audio: bool,
    /// Whether the answer must follow a schema.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub structured_output: bool,
    /// Whether a model without such answers can be asked for one by a tool.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub schema_by_tool: bool,
    /// Whether log probabilities are asked for.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub logprobs: bool,
    /// Whether thinking before the answer is asked for.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub reasoning: bool,
    /// Whether the answer is streamed.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub stream: bool,
    /// The kind of task that the client declared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub declared_task: Option<DeclaredTask>,
    /// What text and shape say of the task, where the policy looks at it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<Box<TaskReading>>,
}

impl Features {
    /// The kind of task: as declared, else as read.
    #[must_use]
    pub fn task_kind(&self) -> Option<TaskKind> {
        match self.declared_task {
            Some(DeclaredTask::Kind(kind)) => Some(kind),
            Some(DeclaredTask::Other) => None,
            None => self.task.as_ref().and_then(|task| task.kind),
        }
    }

    /// How many tokens the answer is expected to have: what the text asks for, within the limit, and where
    /// it says nothing a middling answer.
    #[must_use]
    pub fn expected_output_tokens(&self) -> u64 {
        let asked = self.task.as_ref().and_then(|task| task.asked_tokens).map_or(MIDDLING_ANSWER, u64::from);
        self.max_output_tokens.map_or(asked, |most| asked.min(most))
    }
}

/// What a client declared its task to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeclaredTask {
    /// One of the kinds.
    Kind(TaskKind),
    /// A word of the client's own: none of the kinds, whatever the text looks like.
    Other,
}

impl DeclaredTask {
    /// Reads a client's word.
    #[must_use]
    pub fn of(word: &str) -> Self {
        word.trim().to_ascii_lowercase().parse().map_or(Self::Other, Self::Kind)
    }
}

/// Tokens of an answer that nobody said anything about.
const MIDDLING_ANSWER: u64 = 400;

/// One member of the pool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    /// The model as it was named.
    pub model: ModelName,
    /// What it stands for.
    pub target: Target,
    /// What is known of it; recorded with the knowledge, not with each decision.
    #[serde(skip)]
    pub facts: Arc<Facts>,
    /// How it is at the moment.
    #[serde(default, skip_serializing_if = "Health::is_plain")]
    pub health: Health,
    /// What the scorer expects of it on this text, in millionths.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quality: Option<u32>,
    /// Whether it is there only because a rule names it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_rule: bool,
    /// The parameters of a strict request that it cannot carry. Not looked for where the request
    /// is not strict.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_carried: Vec<String>,
}

impl Candidate {
    /// A candidate of which only the name is known.
    #[must_use]
    pub fn named(model: ModelName, target: Target) -> Self {
        Self {
            model,
            target,
            facts: Arc::default(),
            health: Health::default(),
            quality: None,
            by_rule: false,
            not_carried: Vec::new(),
        }
    }
}

/// How a target is at the moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Health {
    /// Why it should not be asked now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub down: Option<Down>,
    /// Whether this request is the one that may try it again.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub probe: bool,
    /// What is left of the provider's rate limit, in thousandths; unknown counts as all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub headroom: Option<u32>,
    /// What was measured lately, where the policy looks at it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency: Option<Latency>,
}

impl Health {
    fn is_plain(&self) -> bool {
        *self == Self::default()
    }
}

/// Why a target should not be asked now, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Down {
    /// Why.
    pub why: DownReason,
    /// For how long yet, in milliseconds; nobody knows where it is 0.
    pub for_ms: u64,
}

/// Why a target should not be asked now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DownReason {
    /// It failed too often.
    BreakerOpen,
    /// Another request is trying whether it is well again.
    ProbeTaken,
    /// It said that it has had too much.
    Cooling,
    /// Its rate limit is used up.
    NoHeadroom,
    /// None of its credentials is taken.
    NoCredential,
    /// An operator wants no new conversations there.
    Drained,
    /// An operator has switched it off.
    Disabled,
}

/// What was measured lately: until the first content for streams, until the end for whole answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Latency {
    /// Half were quicker, in milliseconds.
    pub p50_ms: u64,
    /// 95 of 100 were quicker, in milliseconds.
    pub p95_ms: u64,
    /// How many count, old ones less.
    pub samples: u32,
}

/// What the client wishes of the choice, within what the policy allows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Wishes {
    /// An order of its own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub order: Vec<Order>,
    /// Limits of its own, beside the policy's.
    #[serde(skip_serializing_if = "Constraints::is_empty")]
    pub constraints: Constraints,
    /// What the task wants, in millionths (`agent_attributes`).
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, u32>,
    /// What each model offers, in millionths, by the name the client gave it (`model_attributes`).
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub model_attributes: BTreeMap<String, BTreeMap<String, u32>>,
}

impl Wishes {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What rules look at, beside features and candidates.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Context {
    /// The path that was called.
    pub surface: String,
    /// Whose request.
    pub key: String,
    /// The tags of the request.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// The variables that the client sent (`baton.context`) and the request's `metadata`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub variables: BTreeMap<String, Variable>,
    /// Which turn of the run, from 1.
    pub turn: u32,
    /// When, in seconds since 1970.
    pub unix_seconds: u64,
}

/// A variable that a client sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Variable {
    /// Yes or no.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Another number.
    Float(f64),
    /// A short text.
    Text(String),
}

/// Where the conversation is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Current {
    /// The target.
    pub target: Target,
    /// The tokens that its prompt cache is expected to hold.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub cached_tokens: u64,
}

/// Where a run is, at the boundary between two of its turns.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunInputs {
    /// Which turn comes next, from 1.
    pub turn: u32,
    /// Which hop the run is in.
    pub hop: u32,
    /// How often the conversation was handed over.
    #[serde(skip_serializing_if = "is_zero_u32")]
    pub handoffs: u32,
    /// Whether tools have just been answered.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub tools_done: bool,
    /// The hand-over that is to be decided, if one is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asked: Option<Asked>,
}

/// A hand-over that somebody asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// The candidate that the conversation shall go to, by its place.
    pub to: u32,
    /// The candidate that has it now.
    pub from: u32,
    /// Who asks.
    pub by: HandoffBy,
}

/// Who asks for a hand-over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HandoffBy {
    /// The model that has the conversation.
    Model,
    /// A rule of the policy.
    Rule,
    /// The configuration, after a final answer, whatever the model says.
    Forced,
}

/// An agent begins to work in the place of another, or for it. The candidates are its models.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentMove {
    /// Who worked before.
    pub from: String,
    /// Who begins.
    pub to: String,
    /// How it came to that.
    pub by: AgentMoveBy,
}

/// How an agent comes to work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AgentMoveBy {
    /// The model of the one before handed the conversation over.
    Handoff,
    /// The configuration hands over after a final answer.
    Forced,
    /// The model of the one before gave it a task.
    Task,
    /// The one before has answered, and it waited for that since an earlier request.
    Return,
}

/// What the judge said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Judged {
    /// This candidate, by its place.
    Chose(u32),
    /// Nothing of use, and why.
    Failed(JudgeFailure),
}

/// Why a judge's word does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JudgeFailure {
    /// It did not answer in time.
    Timeout,
    /// Its model failed.
    Fault,
    /// It named none of the candidates.
    NoCandidate,
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Timeouts {
    /// Until the connection stands.
    #[serde(with = "millis")]
    pub connect: Duration,
    /// From sending until the first content.
    #[serde(with = "millis")]
    pub first_content: Duration,
    /// Between two pieces of a stream.
    #[serde(with = "millis")]
    pub idle: Duration,
    /// Over all attempts until the first content, and over the whole of an answer that is not streamed.
    #[serde(with = "millis")]
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

/// Durations as milliseconds.
mod millis {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_millis)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
const fn is_zero_u32(number: &u32) -> bool {
    *number == 0
}
