//! Runs the steps of a task, measures them, and closes with one line for each.
//!
//! - **Invariant:** a failed step does not hide the ones after it; the whole fails in the end.

use std::time::{Duration, Instant};

use anyhow::bail;

use crate::place::is_ci;

/// What became of a step.
#[derive(Debug)]
enum Ending {
    Passed,
    Failed(String),
    Skipped(String),
}

/// How a step that ran went.
#[derive(Debug)]
pub(crate) enum Went {
    Through,
    /// It could not run here, because of this.
    Skipped(String),
}

/// The steps so far.
#[derive(Debug, Default)]
pub(crate) struct Steps {
    done: Vec<(String, Ending, Duration)>,
}

impl Steps {
    /// Runs a step.
    pub(crate) fn step(&mut self, name: &str, run: impl FnOnce() -> anyhow::Result<()>) -> bool {
        self.step_or_skip(name, || run().map(|()| Went::Through))
    }

    /// Runs a step that may not be possible here; under CI that is a failure.
    pub(crate) fn step_or_skip(&mut self, name: &str, run: impl FnOnce() -> anyhow::Result<Went>) -> bool {
        println!("\n== {name}");
        let began = Instant::now();
        let ending = match run() {
            Ok(Went::Through) => Ending::Passed,
            Ok(Went::Skipped(why)) if is_ci() => {
                Ending::Failed(format!("nothing may be skipped here: {why}"))
            }
            Ok(Went::Skipped(why)) => Ending::Skipped(why),
            Err(error) => Ending::Failed(format!("{error:#}")),
        };
        match &ending {
            Ending::Passed => {}
            Ending::Failed(why) => println!("FAILED {name}: {why}"),
            Ending::Skipped(why) => println!("SKIPPED {name}: {why}"),
        }
        let passed = !matches!(ending, Ending::Failed(_));
        self.done.push((name.to_owned(), ending, began.elapsed()));
        passed
    }

    /// Prints the closing lines, and fails when a step failed.
    pub(crate) fn close(self) -> anyhow::Result<()> {
        println!("\n== summary");
        let mut failed = Vec::new();
        for (name, ending, took) in &self.done {
            let (word, why) = match ending {
                Ending::Passed => ("passed", ""),
                Ending::Failed(why) => ("FAILED", first_line(why)),
                Ending::Skipped(why) => ("SKIPPED", first_line(why)),
            };
            println!("{word:8} {:>7.1} s  {name}  {why}", took.as_secs_f64());
            if matches!(ending, Ending::Failed(_)) {
                failed.push(name.as_str());
            }
        }
        if failed.is_empty() { Ok(()) } else { bail!("{} failed: {}", failed.len(), failed.join(", ")) }
    }
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or("")
}
