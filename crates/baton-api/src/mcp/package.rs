//! What a hand-over should say beside the task itself, by the kind of task and by what is known of the model.

use baton_policy::Facts;
use baton_policy::{Features, Shape, TaskKind, read_task};
use serde_json::{Map, Value, json};

/// A kind of task, as far as whoever carries it out should know of it.
struct Row {
    /// In hundredths: how freely the model should choose its words.
    temperature: u32,
    /// How many tokens an answer has, at most, where nobody says otherwise.
    max_tokens: u64,
    /// The form of the answer.
    format: &'static str,
    /// What to check it for.
    criteria: &'static [&'static str],
}

const fn row(
    temperature: u32,
    max_tokens: u64,
    format: &'static str,
    criteria: &'static [&'static str],
) -> Row {
    Row { temperature, max_tokens, format, criteria }
}

const ANY: Row = row(70, 2_048, "text", &["answers what was asked", "contradicts nothing in the context"]);

const fn row_of(kind: TaskKind) -> Row {
    match kind {
        TaskKind::Chat => ANY,
        TaskKind::Writing => row(
            70,
            4_096,
            "finished prose, in Markdown where it has parts",
            &["has the form that was asked for", "keeps to the facts of the context", "can be sent as it is"],
        ),
        TaskKind::CreativeWriting => row(
            90,
            4_096,
            "finished prose",
            &["follows the brief", "is consistent in voice and plot", "repeats no phrase of the brief"],
        ),
        TaskKind::Code => row(
            20,
            8_192,
            "code blocks with their language, then a short explanation",
            &["compiles or parses", "does what was asked", "handles bad input", "adds no dependency unasked"],
        ),
        TaskKind::CodeReview => row(
            20,
            4_096,
            "a list of findings: place, what is wrong, what to do; the gravest first",
            &["each finding names a place", "no finding contradicts the code", "bugs before style"],
        ),
        TaskKind::MathReasoning => row(
            0,
            4_096,
            "the steps, then the result on a line of its own",
            &["every step follows from those before", "the result is checked", "units are right"],
        ),
        TaskKind::DataAnalysis => row(
            10,
            4_096,
            "findings with their figures, and a table where figures are compared",
            &["every figure is in the data or derived from it", "trends and exceptions are named"],
        ),
        TaskKind::Research => row(
            30,
            8_192,
            "a report in Markdown with its sources",
            &["every claim has a source", "what is not known is said", "sources are recent enough"],
        ),
        TaskKind::FactChecking => row(
            0,
            2_048,
            "a verdict for each claim (true, false, unproven), with its sources",
            &["each claim has a verdict", "each verdict has a source", "no verdict goes beyond its source"],
        ),
        TaskKind::Summarise => row(
            30,
            1_024,
            "a few sentences or a short list",
            &["nothing is added", "the main points are there", "is shorter than the text"],
        ),
        TaskKind::Translate => row(
            20,
            4_096,
            "the translation alone",
            &["nothing is left out or added", "names and figures are unchanged", "reads as if written so"],
        ),
        TaskKind::Extract => row(
            0,
            2_048,
            "JSON with the fields that were asked for",
            &["parses as JSON", "every value is in the text", "what is not in the text is null"],
        ),
        TaskKind::ToolUse => row(
            0,
            2_048,
            "what was done with the tools, and what came of it",
            &["every statement is in a tool's result", "failed calls are told"],
        ),
        TaskKind::QuickAnswer => {
            row(20, 256, "one sentence", &["answers the question", "is right", "says no more than was asked"])
        }
    }
}

/// What a hand-over of this task to this model should say.
pub(super) fn metadata(task: &str, features: &Features, facts: &Facts) -> Value {
    let read = || read_task(task, &Shape::default()).kind;
    let kind = features.task_kind().or_else(read);
    let row = kind.map_or(ANY, row_of);
    let known = &facts.capabilities;
    let mut parameters = Map::new();
    let most = known.max_output_tokens.map_or(row.max_tokens, |most| most.min(row.max_tokens));
    parameters.insert("max_tokens".to_owned(), Value::from(most));
    // Models that think before they answer take no temperature, or only their own.
    if known.reasoning != Some(true) {
        parameters.insert("temperature".to_owned(), Value::from(f64::from(row.temperature) / 100.0));
    }
    json!({
        "suggested_parameters": parameters,
        "expected_output_format": row.format,
        "validation_criteria": row.criteria,
    })
}

#[cfg(test)]
mod tests {
    use baton_policy::{Capabilities, DeclaredTask};

    use super::*;

    fn of(kind: TaskKind, capabilities: Capabilities) -> Value {
        let features = Features { declared_task: Some(DeclaredTask::Kind(kind)), ..Features::default() };
        metadata("", &features, &Facts { capabilities, ..Facts::default() })
    }

    #[test]
    fn no_more_tokens_are_suggested_than_the_model_gives() {
        let small = Capabilities { max_output_tokens: Some(100), ..Capabilities::default() };
        assert_eq!(
            of(TaskKind::Code, small)["suggested_parameters"],
            json!({"max_tokens": 100, "temperature": 0.2})
        );
        let parameters = of(TaskKind::Code, Capabilities::default())["suggested_parameters"].clone();
        assert_eq!(parameters["max_tokens"], 8_192);
    }

    #[test]
    fn a_model_that_thinks_is_told_no_temperature() {
        let thinks = Capabilities { reasoning: Some(true), ..Capabilities::default() };
        assert_eq!(of(TaskKind::Code, thinks)["suggested_parameters"], json!({"max_tokens": 8_192}));
    }

    #[test]
    fn a_task_that_nobody_declared_is_read_from_its_text() {
        let package =
            metadata("Translate this letter into French: Dear Sir", &Features::default(), &Facts::default());
        assert_eq!(package["expected_output_format"], "the translation alone");
    }

    #[test]
    fn every_kind_of_task_has_a_form_and_at_least_two_criteria() {
        for kind in TaskKind::ALL {
            let package = of(kind, Capabilities::default());
            assert!(package["validation_criteria"].as_array().unwrap().len() >= 2, "{kind}");
        }
    }
}
