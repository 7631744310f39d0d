//! Grades how much a request asks, from figures, and says which ones counted.
//!
//! - Start with [`grade`].
//! - **Invariant:** every figure that moved the grade is in the evidence, as a word of ours and a number.

use super::Shape;
use super::scan::Scan;
use crate::{Complexity, TaskKind};

/// Points from which a request is moderate, and complex.
const MODERATE: u32 = 3;
const COMPLEX: u32 = 7;

/// One figure: its name, its value, and the values at which it is worth 1, 2 and 4 points.
struct Figure {
    name: &'static str,
    value: u64,
    steps: [u64; 3],
}

/// The grade and the figures that made it, strongest first; the number of words read where nothing else counts.
pub(super) fn grade(
    scan: &Scan,
    shape: &Shape,
    kind: Option<TaskKind>,
    words: usize,
    asked_tokens: Option<u32>,
) -> (Complexity, Vec<String>) {
    let never = u64::MAX;
    let words = u64::try_from(words).unwrap_or(u64::MAX);
    let asked = asked_tokens.map_or(0, u64::from).max(shape.max_output_tokens.unwrap_or(0) / 4);
    let figures = [
        Figure { name: "input_tokens", value: shape.input_tokens, steps: [800, 3_000, 12_000] },
        Figure { name: "asked_tokens", value: asked, steps: [300, 1_000, 3_000] },
        Figure { name: "code_bytes", value: scan.code_bytes.into(), steps: [1, 600, 3_000] },
        Figure { name: "code_blocks", value: scan.code_blocks.into(), steps: [2, 4, never] },
        Figure { name: "table_rows", value: scan.table_rows.into(), steps: [3, 12, 60] },
        Figure { name: "math_bytes", value: scan.math_bytes.into(), steps: [8, 60, 400] },
        Figure { name: "list_items", value: scan.list_items.into(), steps: [3, 6, 15] },
        Figure { name: "questions", value: scan.questions.into(), steps: [2, 4, never] },
        Figure { name: "paragraphs", value: scan.paragraphs.into(), steps: [4, 10, never] },
        Figure { name: "tools", value: shape.tools.into(), steps: [1, 6, 20] },
        Figure { name: "messages", value: shape.messages.into(), steps: [5, 15, 50] },
        Figure { name: "images", value: shape.images.into(), steps: [1, never, never] },
        Figure { name: "structured_output", value: shape.structured_output.into(), steps: [1, never, never] },
        Figure { name: "words_read", value: words, steps: [40, 150, never] },
    ];
    let mut counted: Vec<(u32, &Figure)> =
        figures.iter().map(|figure| (figure.points(), figure)).filter(|(points, _)| *points > 0).collect();
    let of_kind = kind.map_or(0, points_of_kind);
    let points = of_kind + counted.iter().map(|(points, _)| points).sum::<u32>();
    counted.sort_by_key(|(points, _)| std::cmp::Reverse(*points));
    let mut evidence: Vec<String> = counted.iter().map(|(_, figure)| figure.words()).collect();
    if of_kind > 0 {
        evidence.push(format!("kind {of_kind}"));
    }
    if evidence.is_empty() {
        evidence.push(format!("words_read {words}"));
    }
    (grade_of(points), evidence)
}

impl Figure {
    fn points(&self) -> u32 {
        let [one, two, four] = self.steps;
        match self.value {
            value if value >= four => 4,
            value if value >= two => 2,
            value if value >= one => 1,
            _ => 0,
        }
    }

    fn words(&self) -> String {
        format!("{} {}", self.name, self.value)
    }
}

/// What a kind of task costs beside its material.
fn points_of_kind(kind: TaskKind) -> u32 {
    match kind {
        TaskKind::Research | TaskKind::MathReasoning => 3,
        TaskKind::CodeReview | TaskKind::DataAnalysis | TaskKind::Code => 2,
        TaskKind::Writing | TaskKind::CreativeWriting | TaskKind::FactChecking | TaskKind::ToolUse => 1,
        TaskKind::Chat
        | TaskKind::Summarise
        | TaskKind::Translate
        | TaskKind::Extract
        | TaskKind::QuickAnswer => 0,
    }
}

fn grade_of(points: u32) -> Complexity {
    match points {
        COMPLEX.. => Complexity::Complex,
        MODERATE.. => Complexity::Moderate,
        _ => Complexity::Simple,
    }
}
