//! What happens in a run, and what is to be done about it.

use baton_model::{Dialect, FinishReason, NanoUsd, Part, Usage};
use serde::{Deserialize, Serialize};

use crate::Task;

/// What a call came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CallResult {
    /// For the model.
    pub parts: Vec<Part>,
    /// Whether the call failed.
    pub is_error: bool,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// The request was planned; the member given to [`Machine::new`] has the conversation.
    Begin,
    /// What the next turn may cost at worst; none where no price is known.
    Priced(Option<NanoUsd>),
    /// A model's turn ended.
    Ended(TurnEnd),
    /// Every target that the turn could be sent to failed before it gave any content.
    Failed,
    /// A transfer or a task was allowed.
    Granted,
    /// The same, and the target is told this.
    Briefed(String),
    /// Others that share the run's limits have used up what the turn was to be taken of.
    Spent(Guard),
    /// A transfer was not allowed, for this reason.
    Denied(String),
    /// What was to be noted is.
    Noted,
    /// The tools are done; results by the call's id.
    ToolsDone(Vec<(String, CallResult)>),
    /// What the rules say, when they were asked, or when a rule ends the run at a transfer.
    Ruled(Ruling),
}

impl Event {
    /// What the target of a hand-over is told, beside what is configured.
    pub(crate) fn briefing(self) -> Option<String> {
        if let Self::Briefed(text) = self { Some(text) } else { None }
    }
}

/// What rules say between two turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ruling {
    /// The conversation stays where it is.
    Stay,
    /// It goes to this member.
    Go(usize),
    /// The run ends with what there is.
    Stop,
}

/// How a turn ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TurnEnd {
    /// The dialect it was read from.
    pub dialect: Dialect,
    /// Everything that the model said, hidden calls too.
    pub parts: Vec<Part>,
    /// Why it stopped.
    pub finish: FinishReason,
    /// What it used.
    pub usage: Option<Usage>,
    /// What it cost, where the price is known.
    pub cost: Option<NanoUsd>,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Find out what a turn of the active member may cost at worst.
    Price,
    /// Ask the active member for a turn.
    Turn,
    /// Decide whether the conversation may go to this member, as the model asks.
    Decide {
        /// The member.
        to: usize,
    },
    /// Decide whether the conversation may go to this member, as is configured to follow a final answer.
    Force {
        /// The member.
        to: usize,
    },
    /// Decide whether this member may be given a task, as the model asks.
    Delegate {
        /// The member.
        to: usize,
        /// The task.
        task: Task,
    },
    /// Note that the task of this member is done; another one follows before its result is read.
    Returned {
        /// The member.
        from: usize,
    },
    /// Do what the configuration wants done at the end of this member, which has given its last answer.
    Ended {
        /// The member.
        member: usize,
        /// The text of its answer.
        text: String,
    },
    /// Run these tools.
    Tools(Vec<ToolCall>),
    /// Ask the rules.
    Rules,
    /// The turn is the run's answer.
    Finish(Finish),
    /// The run ends here, with what there is.
    Stop(Guard),
    /// The fault that ended the turn goes to the client.
    Fail,
}

/// The end of a run whose last turn is the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finish {
    /// What the client is told.
    pub finish: FinishReason,
    /// A transfer that the client does not see.
    pub aside: Option<Aside>,
}

/// A transfer that did not happen in this run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Aside {
    /// It takes effect with the next request, for the client's tools come first.
    Later {
        /// The member.
        to: usize,
        /// Why, in the model's words.
        reason: Option<String>,
    },
    /// The text that was given is the answer.
    TextIsFinal {
        /// The member.
        to: usize,
    },
}

/// A tool that the gateway shall run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolCall {
    /// The call's id in the conversation.
    pub id: String,
    /// The tool's name, as it was offered.
    pub name: String,
    /// JSON text as the model wrote it.
    pub arguments: String,
}

/// What ends a run or sends a transfer back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Guard {
    /// Enough turns.
    MaxTurns,
    /// Enough hand-offs.
    MaxHandoffs,
    /// The same way too often, with no new word of the user's.
    PingPong,
    /// The next turn may cost more than is left.
    Budget,
    /// The tokens are used up.
    Tokens,
    /// Too many wait for each other.
    Depth,
    /// A rule ends the run.
    Rule,
}

/// Why a turn is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// It is the first.
    Begins,
    /// The conversation was handed over.
    HandedOver,
    /// A rule moved the conversation.
    Ruled,
    /// The results of tools are there.
    Tools,
    /// The model asked for a target that does not exist.
    NoSuchTarget,
    /// The model called a tool that nobody offered.
    NoSuchTool,
    /// A guard sent a transfer back.
    Guarded(Guard),
    /// The conversation may not go back, or the transfer had no reason.
    NotAccepted,
    /// The policy does not allow the transfer.
    Denied,
    /// The target was not to be had.
    Unavailable,
    /// An agent is given a task.
    Delegated,
    /// The answer of a task, or of a hand-over that returns, is there.
    Returned,
    /// Whoever had a task, or a hand-over that returns, could not finish.
    GaveUp,
}

/// Who handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The model, by its call.
    Model,
    /// A rule.
    Rule,
    /// The configuration, after a final answer.
    Forced,
    /// A hand-over that returns came back.
    Return,
}

/// One hand-over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Move {
    /// Who had the conversation.
    pub from: usize,
    /// Who has it now.
    pub to: usize,
    /// Who handed it over.
    pub by: By,
    /// Why, in the model's words.
    pub reason: Option<String>,
    /// All that came with the call, where that is more than a reason.
    pub package: Option<String>,
    /// The turn after which it happened.
    pub turn: u32,
    /// Whether the target could not take it, and it went back.
    pub undone: bool,
}

/// The most characters of a reason that are kept.
const LONGEST_REASON: usize = 500;

/// A reason as it is kept and shown. What has no place in a log is taken out before.
#[must_use]
pub fn shortened(reason: &str) -> &str {
    let end = reason.char_indices().nth(LONGEST_REASON).map_or(reason.len(), |(at, _)| at);
    reason.get(..end).unwrap_or(reason)
}

impl Guard {
    /// The word as it is recorded.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MaxTurns => "max_turns",
            Self::MaxHandoffs => "max_handoffs",
            Self::PingPong => "ping_pong",
            Self::Budget | Self::Tokens => "budget_reached",
            Self::Depth => "max_depth",
            Self::Rule => "stopped_by_rule",
        }
    }
}
