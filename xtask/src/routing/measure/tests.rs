use std::sync::LazyLock;

use super::*;
use crate::routing::rows::DataFile;

static MEASURED: LazyLock<Measured> = LazyLock::new(|| in_domain(&problem()).unwrap());

#[test]
fn a_prompt_is_never_on_both_sides() {
    let problem = problem();
    let all: Vec<usize> = (0..problem.cases.len()).collect();
    let (learn, measure) = divide(&problem, &all, 0.6, 1);
    assert_eq!((learn.len(), measure.len()), (240, 160));
    let prompts = |cases: &[usize]| cases.iter().map(|case| problem.cases[*case].prompt).collect::<Vec<_>>();
    let learned = prompts(&learn);
    assert!(prompts(&measure).iter().all(|prompt| !learned.contains(prompt)));
}

#[test]
fn the_same_seed_gives_the_same_figures() {
    let again = in_domain(&problem()).unwrap();
    assert_eq!(format!("{:?}", again.lines), format!("{:?}", MEASURED.lines));
}

/// A word says which of two models is right, so the scorer must reach the oracle where no mean can.
#[test]
fn a_scorer_that_can_know_everything_closes_the_gap() {
    let gap = |name: &str| MEASURED.lines.iter().find(|line| line.name == name).unwrap().figures.gap;
    assert!(gap("scorer") > 0.95, "{}", gap("scorer"));
    assert!(gap("task-label mean (true label)") < 0.2);
}

#[test]
fn at_the_full_target_the_scorer_is_as_good_for_less() {
    let line = MEASURED.lines.iter().find(|line| line.name == "scorer").unwrap();
    let (cost, quality) = line.figures.targets[1];
    assert!(cost < 1.0 && quality >= 0.98, "{cost} {quality}");
}

/// Each prompt twice; the dear model is right on bananas, the cheap one on most apples.
fn problem() -> Problem {
    let line = |number: usize| {
        let (fruit, cheap, dear) = match number / 2 % 5 {
            0 | 1 => ("apple", 1, 0),
            _ => ("banana", 0, 1),
        };
        format!(
            r#"{{"id":"{number}","task":"gsm","prompt":"compute {fruit} {}","m":{{"gpt-3.5-turbo-0125":[{cheap},50,""],"gpt-4o-2024-05-13":[{dear},50,""]}}}}"#,
            "x".repeat(number / 2)
        )
    };
    let lines: Vec<String> = (0..400).map(line).collect();
    Problem::of(&[DataFile::parse("fruit.jsonl", lines.join("\n").as_bytes()).unwrap()], &[]).unwrap()
}
