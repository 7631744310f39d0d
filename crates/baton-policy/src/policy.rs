//! A policy: what an operator wants, as data, and the same made ready to plan with.
//!
//! - **Invariant:** a [`PolicyDocument`] is all there is to a policy. Its text is what is hashed, stored
//!   and replayed; nothing in a [`Policy`] comes from elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use baton_model::{ModelName, NanoUsd};
use serde::{Deserialize, Serialize};

use crate::rule::{Rule, RuleMistake, RuleOutcome, RuleSet};
use crate::{PolicyRef, Timeouts, Wishes};

/// The content of a policy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PolicyDocument {
    /// The models of a request that names the policy as its model; without it, those that the rules and
    /// weights name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pool: Vec<ModelName>,
    /// How candidates are ranked. The first one that can rank them does; without any, `ordered`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub order: Vec<Order>,
    /// What is done when; the first one that matches counts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<Rule>,
    /// What every candidate must keep.
    #[serde(skip_serializing_if = "Constraints::is_empty")]
    pub constraints: Constraints,
    /// For `weighted`: the share of each model. Without any, all are equal.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub weights: BTreeMap<ModelName, u32>,
    /// For `balanced` and `auto`: what counts how much.
    pub balance: Balance,
    /// For `judge`: who judges.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub judge: Option<Judge>,
    /// How much better another model must be before a conversation leaves the one it is with, in
    /// thousandths.
    pub switch_margin: u32,
    /// Whether a request may bring an order of its own.
    pub client_order: bool,
    /// What follows a failure.
    pub fallback: Fallback,
    /// The deadlines.
    pub timeouts: Timeouts,
}

impl Default for PolicyDocument {
    fn default() -> Self {
        Self {
            pool: Vec::new(),
            order: Vec::new(),
            rules: Vec::new(),
            constraints: Constraints::default(),
            weights: BTreeMap::new(),
            balance: Balance::default(),
            judge: None,
            switch_margin: 100,
            client_order: false,
            fallback: Fallback::default(),
            timeouts: Timeouts::default(),
        }
    }
}

/// How candidates are ranked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// As they are named.
    Ordered,
    /// By lot, with weights.
    Weighted,
    /// By the expected cost.
    Cheapest,
    /// By what was measured lately.
    Fastest,
    /// By quality, cost, speed and headroom together.
    Balanced,
    /// By what the task wants and each model offers.
    Attributes,
    /// By what the kind of task needs and each model is good at.
    Strengths,
    /// By the expected quality for the text, less what it costs.
    Auto,
    /// As a small model says.
    Judge,
}

impl Order {
    /// Every order.
    pub const ALL: [Self; 9] = [
        Self::Ordered,
        Self::Weighted,
        Self::Cheapest,
        Self::Fastest,
        Self::Balanced,
        Self::Attributes,
        Self::Strengths,
        Self::Auto,
        Self::Judge,
    ];

    /// The word in files and records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ordered => "ordered",
            Self::Weighted => "weighted",
            Self::Cheapest => "cheapest",
            Self::Fastest => "fastest",
            Self::Balanced => "balanced",
            Self::Attributes => "attributes",
            Self::Strengths => "strengths",
            Self::Auto => "auto",
            Self::Judge => "judge",
        }
    }
}

/// What a candidate must keep.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Constraints {
    /// The most a request may be expected to cost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_cost: Option<NanoUsd>,
    /// The longest that 95 of 100 answers took lately, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_latency_ms: Option<u64>,
    /// The highest price of a million input tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_input_price: Option<NanoUsd>,
    /// The highest price of a million output tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_output_price: Option<NanoUsd>,
    /// What it must be able to do, or be good at.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<Need>,
}

impl Constraints {
    /// Whether nothing is demanded.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Both together: the tighter of each limit, and all needs.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        fn least<T: Ord + Copy>(a: Option<T>, b: Option<T>) -> Option<T> {
            a.into_iter().chain(b).min()
        }
        let mut capabilities = self.capabilities.clone();
        capabilities
            .extend(other.capabilities.iter().filter(|need| !self.capabilities.contains(need)).cloned());
        Self {
            max_cost: least(self.max_cost, other.max_cost),
            max_latency_ms: least(self.max_latency_ms, other.max_latency_ms),
            max_input_price: least(self.max_input_price, other.max_input_price),
            max_output_price: least(self.max_output_price, other.max_output_price),
            capabilities,
        }
    }
}

/// Something that a model must be able to do, or be good at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Need {
    /// It must be known to have it.
    Can(Capability),
    /// It must be known to be at least that good at it.
    GoodAt {
        /// The strength.
        strength: String,
        /// In millionths.
        at_least: u32,
    },
}

/// What is asked of a strength that is named without a threshold, in millionths.
pub const DEFAULT_THRESHOLD: u32 = 500_000;

impl Need {
    /// A name alone: a capability, or a strength with the usual threshold.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Capability::ALL.into_iter().find(|capability| capability.as_str() == name).map_or_else(
            || Self::GoodAt { strength: name.to_owned(), at_least: DEFAULT_THRESHOLD },
            Self::Can,
        )
    }
}

/// Something that a model can or cannot do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Capability {
    /// Pictures as input.
    Vision,
    /// Audio as input.
    Audio,
    /// Tool calls.
    Tools,
    /// Answers that follow a schema.
    StructuredOutput,
    /// Log probabilities.
    Logprobs,
    /// Thinking before the answer.
    Reasoning,
}

impl Capability {
    /// Every capability.
    pub const ALL: [Self; 6] =
        [Self::Vision, Self::Audio, Self::Tools, Self::StructuredOutput, Self::Logprobs, Self::Reasoning];

    /// The word in files and requests.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Vision => "vision",
            Self::Audio => "audio",
            Self::Tools => "tools",
            Self::StructuredOutput => "structured_output",
            Self::Logprobs => "logprobs",
            Self::Reasoning => "reasoning",
        }
    }
}

/// What counts how much, in thousandths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Balance {
    /// What the model is expected to do well.
    pub quality: u32,
    /// What it costs.
    pub cost: u32,
    /// How quick it was lately.
    pub speed: u32,
}

impl Default for Balance {
    fn default() -> Self {
        Self { quality: 500, cost: 300, speed: 200 }
    }
}

/// Who judges, and for how long.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Judge {
    /// The model that is asked.
    pub model: ModelName,
    /// How long it may take, in milliseconds.
    pub timeout_ms: u64,
}

/// What follows a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Fallback {
    /// How often the same target is tried again; at most 3 count.
    pub retries: u32,
    /// How long a target rests that said it has had too much and not for how long, in milliseconds.
    pub cooldown_ms: u64,
}

impl Default for Fallback {
    fn default() -> Self {
        Self { retries: 2, cooldown_ms: 60_000 }
    }
}

/// A policy that is ready to plan with.
#[derive(Debug)]
pub struct Policy {
    /// Its name, and the hash of its document.
    pub reference: PolicyRef,
    /// Its content.
    pub document: PolicyDocument,
    pub(crate) rules: RuleSet,
}

/// The version of a policy that stands in the code, not in a file.
const BUILT_IN: &str = "built-in";

/// What a policy looks at, so that nothing else has to be found out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is looked at alone")]
pub struct Needs {
    /// The kind of task.
    pub task: bool,
    /// What was measured lately.
    pub latency: bool,
    /// What the scorer says of the text.
    pub scores: bool,
    /// Who asks, when, and in which turn.
    pub context: bool,
    /// A random number.
    pub dice: bool,
    /// The target that the conversation is with.
    pub conversation: bool,
}

impl Policy {
    /// Compiles the rules.
    ///
    /// # Errors
    /// Every mistake in them.
    pub fn new(reference: PolicyRef, document: PolicyDocument) -> Result<Self, Vec<RuleMistake>> {
        let rules = RuleSet::compile(&document.rules)?;
        Ok(Self { reference, document, rules })
    }

    /// A policy that stands in the code: `auto` for `baton/auto`, and `pass-through` for what is passed
    /// to a provider as it is.
    #[must_use]
    pub fn built_in(name: &str) -> Option<Self> {
        let order = match name {
            "auto" => vec![Order::Auto],
            "pass-through" => Vec::new(),
            _ => return None,
        };
        let reference = PolicyRef { name: name.to_owned(), version: BUILT_IN.to_owned() };
        Self::new(reference, PolicyDocument { order, ..PolicyDocument::default() }).ok()
    }

    /// The orders to try: the client's where the policy leaves that to it, else its own.
    #[must_use]
    pub fn orders<'a>(&'a self, wishes: &'a Wishes) -> &'a [Order] {
        if self.document.client_order {
            if !wishes.order.is_empty() {
                return &wishes.order;
            }
            if !wishes.attributes.is_empty() {
                return &[Order::Attributes];
            }
        }
        &self.document.order
    }

    /// What has to be found out before a plan of a request with these wishes.
    #[must_use]
    pub fn needs(&self, wishes: &Wishes) -> Needs {
        let orders = self.orders(wishes);
        let ranks = |of: &[Order]| orders.iter().any(|order| of.contains(order));
        let limits = [&self.document.constraints, &wishes.constraints];
        Needs {
            task: self.rules.reads_task()
                || ranks(&[Order::Strengths, Order::Balanced, Order::Auto, Order::Judge]),
            latency: ranks(&[Order::Fastest, Order::Balanced])
                || limits.iter().any(|limits| limits.max_latency_ms.is_some()),
            scores: ranks(&[Order::Auto]),
            context: !self.document.rules.is_empty(),
            dice: ranks(&[Order::Weighted, Order::Fastest]),
            conversation: orders.iter().any(|order| !matches!(order, Order::Ordered | Order::Attributes))
                || self.rules.reads_conversation()
                || self.document.rules.iter().any(|rule| rule.then.handoff_to.is_some()),
        }
    }

    /// What every rule comes to, by name, in their order; the first that matched is the one that counts.
    #[must_use]
    pub fn trace(&self, inputs: &crate::Inputs) -> Vec<(String, RuleOutcome)> {
        let traced = self.rules.trace(inputs);
        self.document
            .rules
            .iter()
            .zip(traced)
            .map(|(rule, traced)| (rule.name.clone(), traced.outcome))
            .collect()
    }

    /// The models of a request that names this policy as its model.
    #[must_use]
    pub fn pool(&self) -> Vec<ModelName> {
        if !self.document.pool.is_empty() {
            return self.document.pool.clone();
        }
        let mut seen = BTreeSet::new();
        self.rule_models()
            .chain(self.document.weights.keys())
            .filter(|name| seen.insert((*name).clone()))
            .cloned()
            .collect()
    }

    /// The models that rules send requests to.
    pub fn rule_models(&self) -> impl Iterator<Item = &ModelName> {
        self.document.rules.iter().flat_map(|rule| rule.then.use_models.iter().chain(&rule.then.handoff_to))
    }

    /// Every model that is named anywhere in it, with the key it stands under.
    pub fn named_models(&self) -> impl Iterator<Item = (&'static str, &ModelName)> {
        let document = &self.document;
        document
            .pool
            .iter()
            .map(|name| ("pool", name))
            .chain(document.weights.keys().map(|name| ("weights", name)))
            .chain(document.judge.iter().map(|judge| ("judge.model", &judge.model)))
            .chain(document.rules.iter().flat_map(|rule| rule.then.models()))
    }

    /// The deadlines.
    #[must_use]
    pub const fn timeouts(&self) -> &Timeouts {
        &self.document.timeouts
    }

    /// How long a target rests that did not say for how long.
    #[must_use]
    pub const fn cooldown(&self) -> Duration {
        Duration::from_millis(self.document.fallback.cooldown_ms)
    }
}

impl Default for Policy {
    /// The policy of those who name none: as the request names its models.
    fn default() -> Self {
        Self {
            reference: PolicyRef { name: "default".to_owned(), version: String::new() },
            document: PolicyDocument { client_order: true, ..PolicyDocument::default() },
            rules: RuleSet::default(),
        }
    }
}
