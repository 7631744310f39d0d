//! Tells what kind of task a request is, and how hard, from its text and shape.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What kind of task a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskKind {
    /// Talk without a product.
    Chat,
    /// Prose for use: mails, posts, reports.
    Writing,
    /// Stories, poems, scenes.
    CreativeWriting,
    /// Code to be written, changed or explained.
    Code,
    /// Code to be judged.
    CodeReview,
    /// Sums, proofs, puzzles.
    MathReasoning,
    /// Figures and tables to be read.
    DataAnalysis,
    /// A topic to be looked into.
    Research,
    /// A claim to be checked.
    FactChecking,
    /// A text to be made shorter.
    Summarise,
    /// A text to be put into another language.
    Translate,
    /// Fields to be taken out of a text.
    Extract,
    /// Something to be done with the tools on offer.
    ToolUse,
    /// A question with a short answer.
    QuickAnswer,
}

impl TaskKind {
    /// Every kind, in the order of their names in the reference.
    pub const ALL: [Self; 14] = [
        Self::Chat,
        Self::Writing,
        Self::CreativeWriting,
        Self::Code,
        Self::CodeReview,
        Self::MathReasoning,
        Self::DataAnalysis,
        Self::Research,
        Self::FactChecking,
        Self::Summarise,
        Self::Translate,
        Self::Extract,
        Self::ToolUse,
        Self::QuickAnswer,
    ];

    /// The word as it is recorded.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Writing => "writing",
            Self::CreativeWriting => "creative_writing",
            Self::Code => "code",
            Self::CodeReview => "code_review",
            Self::MathReasoning => "math_reasoning",
            Self::DataAnalysis => "data_analysis",
            Self::Research => "research",
            Self::FactChecking => "fact_checking",
            Self::Summarise => "summarise",
            Self::Translate => "translate",
            Self::Extract => "extract",
            Self::ToolUse => "tool_use",
            Self::QuickAnswer => "quick_answer",
        }
    }
}

impl fmt::Display for TaskKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that names no kind of task.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown kind of task")]
pub struct UnknownTask;

impl FromStr for TaskKind {
    type Err = UnknownTask;

    /// Reads the word, or one of the other names that clients use for it.
    fn from_str(text: &str) -> Result<Self, UnknownTask> {
        if let Some(kind) = Self::ALL.into_iter().find(|kind| kind.as_str() == text) {
            return Ok(kind);
        }
        Ok(match text {
            "code_generation" | "coding" => Self::Code,
            "quick_answers" => Self::QuickAnswer,
            "summarization" | "summarize" | "summary" => Self::Summarise,
            "creative_expansion" | "creative" => Self::CreativeWriting,
            "math" | "reasoning" => Self::MathReasoning,
            "analysis" => Self::DataAnalysis,
            "translation" => Self::Translate,
            "extraction" => Self::Extract,
            _ => return Err(UnknownTask),
        })
    }
}

/// How much a request asks of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Complexity {
    /// A small model will do.
    Simple,
    /// Neither.
    Moderate,
    /// Many steps, much material, or both.
    Complex,
}

/// What a request is about, as far as its text and shape tell. Holds figures and words of ours, never
/// words of the text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskReading {
    /// What the text looks like; none below the confidence that counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<TaskKind>,
    /// How sure that is, in thousandths.
    pub confidence: u32,
    /// How much is asked.
    pub complexity: Complexity,
    /// What the complexity was read from, as words with figures: `code_blocks 2`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<String>,
    /// The languages of the text, as ISO 639-1 codes, the likeliest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub languages: Vec<String>,
    /// How much of the text is code, in thousandths.
    #[serde(default)]
    pub code: u32,
    /// How much of the text is formulas, in thousandths.
    #[serde(default)]
    pub math: u32,
    /// The length of the answer that is asked for, in tokens, where the text says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_tokens: Option<u32>,
}
