//! An answer in pieces: what every stream decoder yields and every stream encoder eats.
//!
//! The grammar is `Start (PartStart Delta* PartEnd)* Usage* Finish? End`, where parts may overlap
//! (parallel tool calls interleave) and `Usage` may come at any time, the last one counting.

use crate::{Fault, FinishReason, RawJson, Usage};

/// One event of a streamed answer.
#[derive(Clone, Debug, PartialEq)]
pub enum StreamEvent {
    /// The answer begins. No content yet.
    Start {
        /// The upstream's id.
        id: String,
        /// The model as the upstream reports it.
        model: String,
    },
    /// A part begins.
    PartStart {
        /// Its number, unique in the answer, rising.
        index: u32,
        /// What it is.
        part: PartStart,
    },
    /// A part goes on.
    Delta {
        /// Which part.
        index: u32,
        /// What is added.
        delta: Delta,
    },
    /// A part is complete.
    PartEnd {
        /// Which part.
        index: u32,
    },
    /// Usage so far: a later one replaces it.
    Usage(Usage),
    /// Why the model stopped.
    Finish {
        /// The reason.
        reason: FinishReason,
        /// The stop sequence met, where the dialect says which.
        stop_sequence: Option<String>,
    },
    /// The upstream reported an error in the stream.
    Error(Fault),
    /// The upstream's own end mark (`[DONE]`, `message_stop`) was seen.
    End,
}

impl StreamEvent {
    /// Whether this is content: the first one is the commit point of a turn.
    #[must_use]
    pub const fn is_content(&self) -> bool {
        match self {
            Self::Delta { delta, .. } => !delta.is_empty(),
            Self::PartStart { part, .. } => match part {
                PartStart::ToolCall { .. } | PartStart::RedactedReasoning { .. } | PartStart::Other(_) => {
                    true
                }
                PartStart::Text | PartStart::Refusal | PartStart::Reasoning => false,
            },
            Self::Start { .. }
            | Self::PartEnd { .. }
            | Self::Usage(_)
            | Self::Finish { .. }
            | Self::Error(_)
            | Self::End => false,
        }
    }
}

/// What kind of part begins.
#[derive(Clone, Debug, PartialEq)]
pub enum PartStart {
    /// Text.
    Text,
    /// A refusal.
    Refusal,
    /// Readable thinking.
    Reasoning,
    /// Thinking only its vendor can read; complete at once.
    RedactedReasoning {
        /// The sealed bytes.
        data: String,
    },
    /// A tool call; its arguments follow.
    ToolCall {
        /// The call's id.
        id: String,
        /// The tool.
        name: String,
    },
    /// Something only its origin can carry, raw.
    Other(RawJson),
}

/// What is added to a part.
#[derive(Clone, Debug, PartialEq)]
pub enum Delta {
    /// Text, refusal or reasoning text.
    Text(String),
    /// A fragment of a tool call's arguments.
    Arguments(String),
    /// The signature of a reasoning part.
    Signature(String),
    /// Members that the call's maker put beside it, raw: only its maker can read them.
    Attached(Vec<(String, RawJson)>),
}

impl Delta {
    /// Whether nothing is added.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        match self {
            Self::Text(text) | Self::Arguments(text) | Self::Signature(text) => text.is_empty(),
            Self::Attached(members) => members.is_empty(),
        }
    }
}
