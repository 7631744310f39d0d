//! Rules: an expression over the inputs of a decision, and what is done when it holds.
//!
//! Expressions are CEL, and come from operators only. They are checked and compiled when a policy is
//! loaded: every name, function and word is known, every list and pattern is bounded, and a rule that
//! could never be the first to match is refused.
//!
//! - Start with [`RuleSet`].
//! - **Invariant:** the same inputs match the same rule; an expression that has no value for a request
//!   does not match it.
//! - **Never here:** expressions from a request.

mod check;
mod compile;
mod domain;
mod evaluate;
mod reach;
mod vocabulary;

use std::collections::BTreeMap;

use baton_model::ModelName;
use serde::{Deserialize, Serialize};

use self::compile::Compiled;
pub(crate) use self::compile::{MAX_RECURSION, too_deep};
use self::evaluate::Scope;
use crate::Inputs;

/// An expression, and what is done when it holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// What it is called in records.
    pub name: String,
    /// The expression (CEL); an empty one always holds.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub when: String,
    /// What is done.
    pub then: Actions,
}

/// What a rule does.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Actions {
    /// Only these, in this order; they need not be in the pool.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub use_models: Vec<ModelName>,
    /// These first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub prefer: Vec<ModelName>,
    /// These last.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub avoid: Vec<ModelName>,
    /// The conversation goes to it, from whoever has it; it need not be in the pool.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handoff_to: Option<ModelName>,
    /// No others; patterns as in a key's allow-list.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allow_models: Vec<String>,
    /// The request is refused with this sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refuse: Option<String>,
    /// The run ends with what there is.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub stop: bool,
    /// The most turns that the run may take.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_turns: Option<u32>,
    /// Configured tool servers that the run gets, beside those of the request.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mcp_servers: Vec<String>,
    /// Members of the request that get another value.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub set: BTreeMap<String, serde_json::Value>,
    /// Instructions in front of the conversation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prepend: Option<String>,
    /// A message at the end of the conversation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub append: Option<String>,
}

impl Actions {
    /// The models that it names, with the key they stand under.
    pub fn models(&self) -> impl Iterator<Item = (&'static str, &ModelName)> {
        self.use_models
            .iter()
            .map(|name| ("use", name))
            .chain(self.prefer.iter().map(|name| ("prefer", name)))
            .chain(self.avoid.iter().map(|name| ("avoid", name)))
            .chain(self.handoff_to.iter().map(|name| ("handoff_to", name)))
    }
}

/// A mistake in a rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct RuleMistake {
    /// Which rule, counted from 0.
    pub rule: usize,
    /// Where in the expression, as a line from 1.
    pub line: u32,
    /// Where in the line, from 1.
    pub column: u32,
    /// What is wrong.
    pub message: String,
    /// What would be right.
    pub hint: Option<String>,
}

/// What an expression came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Traced {
    /// Which rule, counted from 0.
    pub rule: usize,
    /// What it came to.
    pub outcome: RuleOutcome,
}

/// What an expression came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RuleOutcome {
    /// It holds.
    Matched,
    /// It does not.
    NotMatched,
    /// It has no value for these inputs, for this reason, and so does not match. The reason holds
    /// nothing that a client sent.
    Failed(String),
}

/// Rules whose expressions are compiled.
#[derive(Debug, Default)]
pub struct RuleSet {
    compiled: Compiled,
}

impl RuleSet {
    /// Compiles the expressions.
    ///
    /// # Errors
    /// Every mistake in them.
    pub fn compile(rules: &[Rule]) -> Result<Self, Vec<RuleMistake>> {
        compile::compile(rules).map(|compiled| Self { compiled })
    }

    /// Whether an expression looks at the kind of task.
    #[must_use]
    pub const fn reads_task(&self) -> bool {
        self.compiled.reads_task
    }

    /// Whether an expression looks at who has the conversation.
    #[must_use]
    pub const fn reads_conversation(&self) -> bool {
        self.compiled.reads_conversation
    }

    /// The first rule whose expression holds.
    #[must_use]
    pub fn first_match(&self, inputs: &Inputs) -> Option<usize> {
        let Compiled { expressions, patterns, .. } = &self.compiled;
        if expressions.is_empty() {
            return None;
        }
        Scope::new(inputs, patterns).evaluate(expressions).position(|outcome| outcome == Ok(true))
    }

    /// What every expression comes to, in order; [`Self::first_match`] is the first that matched.
    #[must_use]
    pub fn trace(&self, inputs: &Inputs) -> Vec<Traced> {
        let Compiled { expressions, patterns, .. } = &self.compiled;
        let scope = Scope::new(inputs, patterns);
        let outcomes = scope.evaluate(expressions).map(|outcome| match outcome {
            Ok(true) => RuleOutcome::Matched,
            Ok(false) => RuleOutcome::NotMatched,
            Err(reason) => RuleOutcome::Failed(reason),
        });
        outcomes.enumerate().map(|(rule, outcome)| Traced { rule, outcome }).collect()
    }
}

#[cfg(test)]
mod tests;
