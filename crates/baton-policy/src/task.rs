//! Tells what kind of task a request is, and how hard, from its text and shape.

mod classify;
mod complexity;
mod language;
mod length;
mod lexicon;
mod lookup;
mod scan;
mod tokens;
mod train;
mod words;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use self::classify::{Evidence, model};
pub use self::tokens::estimate_tokens;
pub use self::train::{TaskExample, cross_validate, train_task_kinds};

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
        f.pad(self.as_str())
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

/// The shape of a request beside its text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    /// How many tools are on offer.
    pub tools: u32,
    /// Whether the answer must follow a schema.
    pub structured_output: bool,
    /// Whether there is a picture in it.
    pub images: bool,
    /// How many messages the conversation has.
    pub messages: u32,
    /// How many tokens all of it is, estimated.
    pub input_tokens: u64,
    /// The output limit the client set.
    pub max_output_tokens: Option<u64>,
}

/// How much of a text is looked at, in bytes.
const LOOKED_AT: usize = 8 * 1024;

/// Reads the last message of the user, its first 8 KB, together with the shape of the request.
#[must_use]
pub fn read_task(text: &str, shape: &Shape) -> TaskReading {
    let text = cut(text);
    let scan = scan::scan(text);
    let evidence = Evidence::collect(text, &scan, shape);
    let (kind, confidence) = model().decide(&evidence);
    let asked_tokens = length::asked_tokens(&evidence.words);
    let (complexity, figures) = complexity::grade(&scan, shape, kind, evidence.words.len(), asked_tokens);
    let share =
        |bytes: u32| u32::try_from(u64::from(bytes) * 1_000 / u64::from(scan.solid.max(1))).unwrap_or(0);
    TaskReading {
        kind,
        confidence,
        complexity,
        evidence: figures,
        languages: evidence.languages.iter().map(|code| (*code).to_owned()).collect(),
        code: share(scan.code_bytes),
        math: share(scan.math_bytes),
        asked_tokens,
    }
}

/// The part of a text that is looked at, cut where a character begins.
fn cut(text: &str) -> &str {
    text.get(..text.floor_char_boundary(LOOKED_AT)).unwrap_or(text)
}

#[cfg(test)]
mod tests;
