//! Says whether what was said of a gateway's decisions is enough to learn from, and what it can teach.
//!
//! Feedback tells of one model, or two, where the public outcomes tell of all. Where content is captured a row has
//! its text, and the weights learn from it; else only its kind of task is known, and it counts for the means alone.
//!
//! - Start with [`enough`].

use std::collections::{BTreeMap, BTreeSet};

use anyhow::bail;

use super::labels::label;
use super::rows::DataFile;

/// Fewer rows say more about chance than about models.
const ROWS: usize = 200;
/// A model of which less is said is not judged.
const OF_A_MODEL: usize = 30;

/// What the rows can teach, in one sentence; an error when that is too little.
pub(super) fn enough(lessons: &DataFile, is_alone: bool) -> anyhow::Result<String> {
    let usable: Vec<_> = lessons.rows.iter().filter(|row| label(&row.task).kind.is_some()).collect();
    let with_text = usable.iter().filter(|row| !row.prompt.is_empty()).count();
    let mut said: BTreeMap<&str, usize> = BTreeMap::new();
    for name in usable.iter().flat_map(|row| row.outcomes.keys()) {
        *said.entry(name).or_default() += 1;
    }
    if usable.len() < ROWS {
        bail!(
            "too little was said: {} decisions with feedback name a kind of task ({} have their text), and {ROWS} are needed",
            usable.len(),
            with_text
        );
    }
    let well = said.values().filter(|count| **count >= OF_A_MODEL).count();
    if well < 2 {
        bail!(
            "too little was said: feedback tells of {well} models {OF_A_MODEL} times or more, and 2 are needed"
        );
    }
    if is_alone && with_text < ROWS {
        bail!(
            "without the public outcomes (`--data`), {ROWS} rows with their text are needed, and {with_text} have it: \
             switch `audit.capture.content` on"
        );
    }
    let without = usable.len() - with_text;
    let left_out = lessons.rows.len() - usable.len();
    let few: BTreeSet<&str> =
        said.iter().filter(|(_, count)| **count < OF_A_MODEL).map(|(name, _)| *name).collect();
    let few = few.into_iter().collect::<Vec<_>>().join(", ");
    Ok(format!(
        "audit: {with_text} rows teach by their text, {without} by their kind of task alone, {left_out} have neither{}",
        if few.is_empty() { String::new() } else { format!("; hardly anything was said of {few}") }
    ))
}

#[cfg(test)]
mod tests;
