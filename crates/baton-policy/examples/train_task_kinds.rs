//! Trains the weights that tell kinds of task apart.
//!
//! `train_task_kinds LABELLED.jsonl WEIGHTS` writes the weights. Without the second argument nothing is
//! written: the set is cut in ten parts, each is judged by weights trained on the others, and the
//! figures and mistakes are printed. `train_task_kinds LABELLED.jsonl --shipped` prints them for the
//! shipped weights: the honest figure for a set that was never trained on.

#![expect(clippy::print_stdout, reason = "the figures are what this program is for")]
#![expect(clippy::disallowed_methods, reason = "the crate reads no files; a program that feeds it does")]

use std::error::Error;

use baton_policy::{Shape, TaskExample, TaskKind, cross_validate, read_task, train_task_kinds};

const PARTS: usize = 10;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let labelled = arguments.next().ok_or("usage: train_task_kinds LABELLED.jsonl [WEIGHTS | --shipped]")?;
    let examples = std::fs::read_to_string(labelled)?
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<Vec<TaskExample>, _>>()?;
    match arguments.next().as_deref() {
        Some("--shipped") => print_figures(&examples, &shipped(&examples)),
        Some(weights) => std::fs::write(weights, train_task_kinds(&examples))?,
        None => {
            let answers = cross_validate(&examples, PARTS).into_iter().map(|(kind, _)| kind);
            print_figures(&examples, &answers.collect::<Vec<_>>());
        }
    }
    Ok(())
}

/// What the shipped weights say of each example.
fn shipped(examples: &[TaskExample]) -> Vec<Option<TaskKind>> {
    let shape = |tools| Shape { tools, messages: 1, ..Shape::default() };
    examples.iter().map(|example| read_task(&example.text, &shape(example.tools)).kind).collect()
}

fn print_figures(examples: &[TaskExample], answers: &[Option<TaskKind>]) {
    let pairs = || examples.iter().zip(answers);
    let mut sum = 0;
    for kind in TaskKind::ALL {
        let right =
            pairs().filter(|(example, answer)| example.kind == kind && **answer == Some(kind)).count();
        let named = pairs().filter(|(_, answer)| **answer == Some(kind)).count();
        let there = pairs().filter(|(example, _)| example.kind == kind).count();
        let f1 = 2_000 * right / (named + there).max(1);
        sum += f1;
        println!("{kind:17} right {right:3} named {named:3} of {there:3} f1 {f1:4}");
    }
    let right = pairs().filter(|(example, answer)| **answer == Some(example.kind)).count();
    println!("{right} of {} right, macro-F1 {}", examples.len(), sum / TaskKind::ALL.len());
    for (example, answer) in pairs().filter(|(example, answer)| **answer != Some(example.kind)) {
        let start: String = example.text.chars().take(80).collect();
        let answer = answer.map_or("unknown", TaskKind::as_str);
        println!("{} taken for {answer}: {start:?}", example.kind);
    }
}
