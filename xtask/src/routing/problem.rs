//! Makes a whole table of rows: every case has a quality and a cost for every model of the choice.
//!
//! - Start with [`Problem::of`].
//! - **Invariant:** what had to be assumed or left out is in the notes, which are printed.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::bail;
use baton_policy::{Scorer, TaskKind, TextFeatures};

use super::labels::label;
use super::models::{self, Price};
use super::rows::{DataFile, Outcome, Row};

/// The buckets of the scorers that are trained while measuring, as a power of two.
pub(super) const BITS: u8 = 12;

/// What an answer is taken to be long where the data does not say, in tokens.
const ASSUMED_OUTPUT: f64 = 100.0;

/// A model must have been asked for at least this share of the rows to take part.
const ASKED: f64 = 0.99;

/// A choice between models, for many prompts.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) models: Vec<String>,
    pub(super) cases: Vec<Case>,
    pub(super) families: Vec<String>,
    /// The numbers of the models in the shipped scorer, when it has them all.
    pub(super) shipped: Option<Vec<u16>>,
    pub(super) notes: Vec<String>,
}

/// One prompt. The lists have an item for each model.
#[derive(Debug)]
pub(super) struct Case {
    /// Cases with the same prompt have the same number.
    pub(super) prompt: usize,
    pub(super) label: String,
    pub(super) family: usize,
    pub(super) kind: Option<TaskKind>,
    pub(super) text: TextFeatures,
    /// What the shipped scorer says: without and with the kind.
    pub(super) shipped: [Vec<f64>; 2],
    pub(super) quality: Vec<f64>,
    /// In nano-dollars.
    pub(super) cost: Vec<f64>,
    pub(super) input_cost: Vec<f64>,
    pub(super) output_cost: Vec<f64>,
}

impl Problem {
    pub(super) fn of(files: &[DataFile], chosen: &[String]) -> anyhow::Result<Self> {
        let rows: Vec<&Row> = files.iter().flat_map(|file| &file.rows).collect();
        let mut notes = Vec::new();
        let models = choose(&rows, chosen, &mut notes)?;
        let prices = prices(&models, &mut notes);
        let shipped: Option<Vec<u16>> = models.iter().map(|model| Scorer::built_in().index(model)).collect();
        note_shipped(files, shipped.is_some(), &mut notes);
        let mut problem = Self { models, cases: Vec::new(), families: Vec::new(), shipped, notes };
        let mut prompts = BTreeMap::new();
        let mut assumed = 0;
        for row in &rows {
            let outcomes: Option<Vec<Outcome>> =
                problem.models.iter().map(|model| row.outcomes.get(model).copied()).collect();
            if let Some(outcomes) = outcomes {
                let next = prompts.len();
                let prompt = *prompts.entry(row.prompt.as_str()).or_insert(next);
                assumed += usize::from(outcomes.iter().any(|outcome| outcome.output_tokens.is_none()));
                problem.add(row, prompt, &outcomes, &prices);
            }
        }
        let (used, all) = (problem.cases.len(), rows.len());
        if used < 100 {
            bail!("{used} rows have an outcome of every model, too few to measure: choose with --models");
        }
        if used < all {
            problem.notes.push(format!("{} of {all} rows lack an outcome and are left out", all - used));
        }
        if assumed > 0 {
            problem.notes.push(format!(
                "ASSUMED: {assumed} rows do not say how long an answer was; there it counts as \
                 {ASSUMED_OUTPUT} tokens for every such model"
            ));
        }
        Ok(problem)
    }

    fn add(&mut self, row: &Row, prompt: usize, outcomes: &[Outcome], prices: &[Price]) {
        let known = label(&row.task);
        let family = self.families.iter().position(|family| family == known.family).unwrap_or_else(|| {
            self.families.push(known.family.to_owned());
            self.families.len() - 1
        });
        let shipped = match &self.shipped {
            Some(numbers) => [None, known.kind].map(|kind| {
                let scores = Scorer::built_in().score_for(&row.prompt, kind, numbers);
                scores.into_iter().map(|score| f64::from(score) / 1e6).collect()
            }),
            None => [Vec::new(), Vec::new()],
        };
        let priced = || outcomes.iter().zip(prices);
        let input_cost: Vec<f64> = priced()
            .map(|(outcome, price)| outcome.input_tokens.unwrap_or(row.input_tokens) * price.input)
            .collect();
        let output_cost: Vec<f64> = priced()
            .map(|(outcome, price)| outcome.output_tokens.unwrap_or(ASSUMED_OUTPUT) * price.output)
            .collect();
        self.cases.push(Case {
            prompt,
            label: row.task.clone(),
            family,
            kind: known.kind,
            text: TextFeatures::of(&row.prompt, BITS),
            shipped,
            quality: outcomes.iter().map(|outcome| outcome.score).collect(),
            cost: input_cost.iter().zip(&output_cost).map(|(input, output)| input + output).collect(),
            input_cost,
            output_cost,
        });
    }
}

/// The models that are named, else all that have a price and were asked for nearly all rows.
fn choose(rows: &[&Row], chosen: &[String], notes: &mut Vec<String>) -> anyhow::Result<Vec<String>> {
    let mut asked: BTreeMap<&str, usize> = BTreeMap::new();
    for row in rows {
        for model in row.outcomes.keys() {
            *asked.entry(model).or_default() += 1;
        }
    }
    if !chosen.is_empty() {
        let names: BTreeSet<String> = chosen.iter().map(|name| models::named(name).0).collect();
        if let Some(unknown) = names.iter().find(|name| !asked.contains_key(name.as_str())) {
            bail!("no row has an outcome of `{unknown}`");
        }
        return Ok(names.into_iter().collect());
    }
    let all = rows.len() as f64;
    let whole: Vec<&str> =
        asked.iter().filter(|(_, count)| **count as f64 >= ASKED * all).map(|(name, _)| *name).collect();
    let priced = |name: &&&str| models::model(name).is_some_and(|model| model.price.is_some());
    let with_price: Vec<&str> = whole.iter().filter(priced).copied().collect();
    notes.push(format!(
        "{} models occur, {} of them in nearly all rows, {} of those with a known price",
        asked.len(),
        whole.len(),
        with_price.len()
    ));
    let taken = if with_price.len() >= 2 { with_price } else { whole };
    if taken.len() < 2 {
        bail!("fewer than two models were asked for nearly all rows: choose with --models");
    }
    Ok(taken.into_iter().map(str::to_owned).collect())
}

/// The price of each model; the same for all when one has none.
fn prices(names: &[String], notes: &mut Vec<String>) -> Vec<Price> {
    let known: Option<Vec<Price>> =
        names.iter().map(|name| models::model(name).and_then(|model| model.price)).collect();
    known.unwrap_or_else(|| {
        notes.push(
            "NO PRICES: at least one of the models has none, so every model costs the same and only \
             quality means something"
                .to_owned(),
        );
        names.iter().map(|_| Price::SAME).collect()
    })
}

fn note_shipped(files: &[DataFile], whole: bool, notes: &mut Vec<String>) {
    let scorer = Scorer::built_in();
    if !whole {
        notes.push(format!("the shipped scorer {} lacks some of these models", scorer.version()));
        return;
    }
    for file in files {
        if scorer.trained_on().iter().any(|source| source.sha256 == file.sha256) {
            notes.push(format!(
                "IN SAMPLE: the shipped scorer {} was trained on {}, its lines flatter it",
                scorer.version(),
                file.name
            ));
        }
    }
}
