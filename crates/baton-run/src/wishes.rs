//! What a client wishes of the hand-offs of its request.

use std::collections::BTreeMap;

use baton_model::{NanoUsd, RawJson};

use crate::{HandoffMode, History};

/// `handoff_config`, `max_turns` and the settings of the models in a list.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HandoffWishes {
    /// The most answers of models.
    pub max_turns: Option<u32>,
    /// The most hand-offs.
    pub max_handoffs: Option<u32>,
    /// The most that the run may cost.
    pub budget: Option<NanoUsd>,
    /// Who may hand over.
    pub mode: Option<HandoffMode>,
    /// How much of the conversation a target sees.
    pub history: Option<History>,
    /// Whether the conversation may come back to a model that had it before.
    pub no_return: bool,
    /// Whether a transfer without a reason is sent back.
    pub require_reason: bool,
    /// How calls that go to the client are told.
    pub calls: CallsTold,
    /// Whether transfers carry a package: task, context, instructions, expected output, criteria.
    pub package: bool,
    /// What is said of single targets, by the model's name in the request.
    pub targets: BTreeMap<String, TargetWishes>,
}

/// How a client is told of calls that it has to carry out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CallsTold {
    /// In the answer, as its dialect has them.
    #[default]
    InTheAnswer,
    /// In a form of their own as well.
    Apart,
}

/// What a client says of one target.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TargetWishes {
    /// What it is good at, for the model that may hand over to it.
    pub description: Option<String>,
    /// What it is told when it is handed the conversation.
    pub additional_instructions: Option<String>,
    /// Members of the request that get another value while it has the conversation.
    pub settings: Vec<(String, RawJson)>,
}
