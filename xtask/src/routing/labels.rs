//! Knows the task labels of public data sets: their family, our kind of task, and their terms.
//!
//! - Start with [`label`].
//! - A family is what is left out as a whole when generalising is measured.

use baton_policy::TaskKind;

/// What is known of a task label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Label<'a> {
    pub(super) family: &'a str,
    pub(super) kind: Option<TaskKind>,
    /// None: weights that are shipped may not be trained on it.
    pub(super) licence: Option<&'static str>,
}

const APACHE: Option<&str> = Some("Apache-2.0");
/// What a gateway's own users said.
const OWN: Option<&str> = Some("the operator's own");
/// How the label of such a row begins; the kind of task follows.
pub(super) const AUDIT: &str = "audit:";

/// Subjects of MMLU where something must be worked out; in the others something must be known, and
/// a letter is all that is answered.
const WORKED_OUT: [&str; 7] = [
    "abstract_algebra",
    "college_mathematics",
    "elementary_mathematics",
    "formal_logic",
    "high_school_mathematics",
    "high_school_statistics",
    "econometrics",
];

/// Looks a label up. A label that is not known is its own family, of no kind, and measured only.
pub(super) fn label(task: &str) -> Label<'_> {
    let known = |family, kind, licence| Label { family, kind: Some(kind), licence };
    if let Some(kind) = task.strip_prefix(AUDIT) {
        return Label { family: AUDIT, kind: kind.parse().ok(), licence: OWN };
    }
    match task {
        "gsm" | "routellm_gsm8k_responses" => known("gsm8k", TaskKind::MathReasoning, APACHE),
        "math-l5" => known("math-l5", TaskKind::MathReasoning, APACHE),
        "crux" => known("crux", TaskKind::Code, APACHE),
        // The repository of the results has no licence file.
        _ if task.starts_with("bfcl_") => known("bfcl", TaskKind::ToolUse, None),
        _ => match task.strip_prefix("routellm_mmlu_") {
            Some(subject) if WORKED_OUT.contains(&subject) => {
                known("mmlu-worked-out", TaskKind::MathReasoning, APACHE)
            }
            Some(_) => known("mmlu", TaskKind::QuickAnswer, APACHE),
            None => Label { family: task, kind: None, licence: None },
        },
    }
}

#[cfg(test)]
mod tests;
