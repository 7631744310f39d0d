//! What the caller of a run may see of it, while it goes and at its end.
//!
//! - **Invariant:** it has a JSON form that an older or a newer process can read: what is added has a default.

use baton_model::{DecisionId, FinishReason, NanoUsd, RawJson, Usage};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{PendingApproval, Spent, StepNote};

/// What a run has come to so far.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// The turns, those of tasks too.
    #[serde(default)]
    pub turns: Vec<TurnTold>,
    /// The hand-overs.
    #[serde(default)]
    pub handoffs: Vec<HandoffTold>,
    /// What was said to the caller, a message for each turn that said something.
    #[serde(default)]
    pub messages: Vec<Value>,
    /// What the gateway's tools were asked, and said.
    #[serde(default)]
    pub tools: Vec<ToolTold>,
    /// The calls that the caller is waited for.
    #[serde(default)]
    pub calls: Vec<PendingCall>,
    /// The calls that the caller is to say a word of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approvals: Vec<PendingApproval>,
    /// What all turns used.
    #[serde(default)]
    pub usage: Usage,
    /// What the turns cost whose price is known.
    #[serde(default)]
    pub cost: NanoUsd,
    /// Whether the price of each turn is known.
    #[serde(default)]
    pub is_priced: bool,
    /// How many upstreams were called.
    #[serde(default)]
    pub attempts: u32,
    /// The last decision of an answered turn.
    #[serde(default)]
    pub decision: Option<DecisionId>,
    /// Who speaks, as the events tell it.
    #[serde(default)]
    pub speaker: Option<String>,
    /// Who has the conversation when its user speaks next.
    #[serde(default)]
    pub held: Option<HeldNote>,
    /// How the segment ended.
    #[serde(default)]
    pub ending: Option<Ending>,
    /// What went wrong on the way, without ending the run.
    #[serde(default)]
    pub errors: Vec<RunFault>,
    /// The variables, where steps may have changed them.
    #[serde(default)]
    pub context: Option<serde_json::Map<String, Value>>,
    /// The conversation with all that was said in the run, for who goes on with it.
    #[serde(default)]
    pub conversation: Option<RawJson>,
}

/// How a run, or a segment of it, ended well.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// With an answer.
    Completed,
    /// Its caller has calls to carry out.
    RequiresAction,
    /// It was handed over to this one, and that is not followed.
    Handoff(String),
    /// Early, with what there was, for this reason.
    Incomplete(String),
}

/// One turn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TurnTold {
    /// Counted from 1 over the whole run, or over its step.
    pub turn: u32,
    /// The step that it was taken in, of a workflow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// The stretch that one model or agent owns, counted from 1.
    pub hop: u32,
    /// The agent that took it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// The target that answered.
    pub model: String,
    /// The decision that it was made under.
    pub decision: DecisionId,
    /// Whether it was part of a task, out of the user's sight.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub task: bool,
    /// Why the model stopped.
    pub finish_reason: FinishReason,
    /// What it used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// What it cost, in US dollars.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_usd: Option<String>,
}

/// One hand-over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HandoffTold {
    /// Who had the conversation.
    pub from: String,
    /// Who has it now.
    pub to: String,
    /// Who handed it over: `model`, `rule`, `forced`, `return`.
    pub by: String,
    /// Why, in the model's words.
    #[serde(default)]
    pub reason: Option<String>,
    /// The turn after which it happened.
    pub turn: u32,
    /// The decision, once it is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<DecisionId>,
    /// The step that it happened in, of a workflow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// Whether the target could not take it, and it went back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub undone: bool,
}

/// A call of a tool that the gateway ran.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToolTold {
    /// The call's id in the conversation.
    pub id: String,
    /// The turn that called it.
    pub turn: u32,
    /// The tool, as it was offered.
    pub name: String,
    /// The server that has it.
    pub server: String,
    /// The tool, as its server names it.
    pub tool: String,
    /// What it was asked.
    pub arguments: Value,
    /// Whether it failed.
    pub is_error: bool,
    /// The step that called it, of a workflow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// Whether nobody knows if it was carried out.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub outcome_unknown: bool,
    /// What it would take to make a call of unknown outcome again: `approval`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeat_needs: Option<String>,
    /// What the caller said of it, where it was asked: `approved` or `rejected`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<String>,
    /// What it said, as the model read it.
    pub result: String,
    /// How long it took.
    pub duration_ms: u64,
}

/// A call that the caller is to carry out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingCall {
    /// Its id.
    pub id: String,
    /// The tool.
    pub name: String,
    /// JSON text.
    pub arguments: String,
}

/// Something that went wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunFault {
    /// A stable word.
    pub code: String,
    /// A sentence.
    pub message: String,
    /// The path of the member that is wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub param: Option<String>,
}

/// Who has a conversation, by names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldNote {
    /// The target that has it.
    pub target: String,
    /// Whether it was handed over to there.
    pub handed: bool,
    /// The agent that the caller named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry: Option<String>,
    /// The agent that has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active: Option<String>,
    /// The agents that wait for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waiting: Vec<String>,
}

impl Progress {
    pub(crate) fn spent(&self) -> Spent {
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        Spent {
            turns: count(self.turns.len()),
            handoffs: count(self.handoffs.iter().filter(|told| told.by != "return").count()),
            moves: self.handoffs.len(),
            tokens: self.usage.input_tokens.saturating_add(self.usage.output_tokens),
            cost: self.cost,
        }
    }

    /// Adds what a step came to.
    pub(super) fn absorb(&mut self, step: Self, note: &StepNote) {
        let name = || Some(note.name.clone());
        if !step.turns.is_empty() {
            self.is_priced = step.is_priced && (self.turns.is_empty() || self.is_priced);
        }
        self.turns.extend(step.turns.into_iter().map(|turn| TurnTold {
            step: name(),
            task: turn.task || note.aside,
            ..turn
        }));
        self.handoffs.extend(step.handoffs.into_iter().map(|told| HandoffTold { step: name(), ..told }));
        self.tools.extend(step.tools.into_iter().map(|told| ToolTold { step: name(), ..told }));
        self.errors.extend(step.errors);
        self.usage += step.usage;
        self.cost = NanoUsd(self.cost.0.saturating_add(step.cost.0));
        self.attempts = self.attempts.saturating_add(step.attempts);
    }

    /// The agents, or models, that took turns, in order; each as often as it began to.
    #[must_use]
    pub fn agents_used(&self) -> Vec<&str> {
        let mut used: Vec<&str> = Vec::new();
        for turn in &self.turns {
            let who = turn.agent.as_deref().unwrap_or(&turn.model);
            if used.last() != Some(&who) {
                used.push(who);
            }
        }
        used
    }

    /// All that was said to the caller.
    #[must_use]
    pub fn text(&self) -> String {
        let texts: Vec<&str> =
            self.messages.iter().filter_map(|message| message.get("content")?.as_str()).collect();
        texts.join("\n\n")
    }
}
