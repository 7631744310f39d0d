//! Measures the kinds of task on the labelled sets: per kind precision, recall and F1, and their mean.
//!
//! The weights are trained from `open.jsonl` alone. Another half was written and put away before the
//! classifier was; it is measured here when it lies beside the first.

#![expect(clippy::disallowed_methods, reason = "the labelled sets are read from their files")]
#![expect(clippy::expect_used, reason = "a set that cannot be read is a failed test")]

use std::path::Path;

use baton_policy::{Shape, TaskExample, TaskKind, read_task, train_task_kinds};

/// The least mean F1, in thousandths.
const BAR: usize = 800;

#[test]
fn every_labelled_set_is_read_well_enough() {
    let mut sets: Vec<_> = std::fs::read_dir(data())
        .expect("the folder of the labelled sets")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "jsonl"))
        .collect();
    sets.sort();
    assert!(!sets.is_empty(), "no labelled set in {}", data().display());
    for set in sets {
        let (mean, figures) = measure(&read_set(&set));
        let name = set.file_name().unwrap_or_default().to_string_lossy().into_owned();
        println!("{name}\n{figures}");
        assert!(mean >= BAR, "{name}: macro-F1 {mean} is below {BAR}\n{figures}");
    }
}

#[test]
fn the_shipped_weights_are_what_training_gives() {
    let shipped = std::fs::read_to_string(data().join("kinds.weights")).expect("the weights");
    let trained = train_task_kinds(&read_set(&data().join("open.jsonl")));
    let differing = shipped.lines().zip(trained.lines()).filter(|(one, other)| one != other).count();
    assert_eq!(
        (shipped.len(), differing),
        (trained.len(), 0),
        "train again: see examples/train_task_kinds.rs"
    );
}

fn data() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/data/tasks"))
}

fn read_set(path: &Path) -> Vec<TaskExample> {
    let text = std::fs::read_to_string(path).expect("a readable set");
    text.lines().map(|line| serde_json::from_str(line).expect("a labelled text")).collect()
}

/// The mean F1 in thousandths, and a line per kind.
fn measure(examples: &[TaskExample]) -> (usize, String) {
    let answers: Vec<Option<TaskKind>> = examples
        .iter()
        .map(|example| {
            read_task(&example.text, &Shape { tools: example.tools, messages: 1, ..Shape::default() }).kind
        })
        .collect();
    let count = |hit: &dyn Fn(TaskKind, Option<TaskKind>) -> bool| {
        examples.iter().zip(&answers).filter(|(example, answer)| hit(example.kind, **answer)).count()
    };
    let mut figures = String::new();
    let mut sum = 0;
    for kind in TaskKind::ALL {
        let right = count(&|label, answer| label == kind && answer == Some(kind));
        let named = count(&|_, answer| answer == Some(kind));
        let there = count(&|label, _| label == kind);
        let f1 = 2_000 * right / (named + there).max(1);
        sum += f1;
        let (precision, recall) = (1_000 * right / named.max(1), 1_000 * right / there.max(1));
        figures
            .push_str(&format!("{kind:17} precision {precision:4} recall {recall:4} f1 {f1:4} of {there}\n"));
    }
    let unknown = count(&|_, answer| answer.is_none());
    let mean = sum / TaskKind::ALL.len();
    figures.push_str(&format!("macro-F1 {mean}, {unknown} unknown of {}", examples.len()));
    (mean, figures)
}
