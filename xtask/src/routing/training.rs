//! Trains the file that is shipped.
//!
//! Priors are means for each model and family, holes filled, gathered by kind. Weights explain
//! what the prior of the kind leaves open. The shrinkage is the one that errs least in
//! cross-validation. A gateway's prompts are not those of the data, so how much the text counts is
//! found by leaving whole families of tasks out, and for unknown kinds by leaving kinds out.
//!
//! - Start with [`train`].
//! - **Invariant:** rows without a licence never reach a weight or a prior.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::bail;
use baton_policy::{
    FEATURES_REVISION, FeatureSpec, KindPrior, MAX_MODELS, ScorerFile, ScorerHeader, ScorerModel,
    ScorerSource, TaskKind, TextFeatures, TextShare,
};

use super::dice::Dice;
use super::labels::{AUDIT, label};
use super::methods::{Agreement, SHRINKS};
use super::models::{MODELS, Shipped};
use super::prior;
use super::problem::BITS;
use super::ridge::{Design, Matrix, Shrink, Targets, least};
use super::rows::{DataFile, Row};

/// The version of the priors and weights; whoever ships others raises it and renames the file.
const VERSION: u32 = 1;

const NOTE: &str = "Priors and weights of Baton's hashed linear scorer. Written by `cargo xtask routing-train`. \
     Trained on the public outcomes listed in `trained_on` and on nothing else; results without a licence \
     were measured on, never trained on. Inferred priors have 0 cases.";

/// Parts of the cross-validation.
const FOLDS: usize = 4;
const FOLD_SEED: u64 = 7;

/// Trains on every row that may be used.
pub(super) fn train(files: &[DataFile]) -> anyhow::Result<ScorerFile> {
    let shipped = MODELS.iter().filter(|model| model.shipped == Shipped::Yes).map(|model| model.name);
    let mut names: Vec<&str> = shipped.collect();
    // A gateway's own models are those of which its users said something.
    let own = files.iter().flat_map(|file| &file.rows).filter(|row| row.task.starts_with(AUDIT));
    let own: BTreeSet<&str> = own.flat_map(|row| row.outcomes.keys().map(String::as_str)).collect();
    names.extend(own.into_iter().filter(|name| !MODELS.iter().any(|model| model.name == *name)));
    train_models(files, &names)
}

fn train_models(files: &[DataFile], names: &[&str]) -> anyhow::Result<ScorerFile> {
    let (cases, trained_on) = licensed(files, names);
    for source in &trained_on {
        println!("{}: {} rows, {}", source.file, source.rows, source.licence);
    }
    if cases.is_empty() {
        bail!("no row of these files may be trained on");
    }
    let asked = |name: &&&str| cases.iter().any(|case| case.row.outcomes.contains_key(**name));
    let names: Vec<&str> = names.iter().filter(asked).copied().collect();
    if names.len() > MAX_MODELS {
        bail!("{} models have outcomes, and a scorer has room for {MAX_MODELS}", names.len());
    }
    let priors = Priors::of(&cases, &names);
    let shrink = choose_shrink(&cases, &names, &priors);
    println!("shrinkage: {} in what is shared, {} in what is a model's own", shrink.shared, shrink.own);
    // A prompt of a known kind is half like the data, where all of the text part counts, and half not.
    let families = lasting(&cases, &names, &priors, shrink, LeftOut::Family);
    let known = f64::midpoint(1.0, families.iter().sum::<f64>() / families.len().max(1) as f64);
    // Of any other kind nothing is known: the worst that was seen.
    let kinds = lasting(&cases, &names, &priors, shrink, LeftOut::Kind);
    let unknown = kinds.into_iter().reduce(f64::min).unwrap_or(0.0);
    println!("share of the text part: {known:.3} on known kinds, {unknown:.3} on others");
    let weights = learn(&cases, &names, &priors, shrink);
    let (rows, scales) = quantise(&weights);
    let text_share = TextShare {
        kinds: priors.kinds.keys().map(|kind| (*kind, whole(known, 1e3))).collect(),
        otherwise: whole(unknown, 1e3),
    };
    let models = names.iter().zip(&scales).enumerate();
    let models = models.map(|(at, (name, scale))| priors.model(at, name, *scale)).collect();
    let header = ScorerHeader {
        version: VERSION,
        note: NOTE.to_owned(),
        features: FeatureSpec { revision: FEATURES_REVISION, bits: BITS },
        text_share,
        trained_on,
        models,
        checksum: String::new(),
    };
    Ok(ScorerFile { header, rows })
}

/// A row that may be trained on.
struct Usable<'a> {
    row: &'a Row,
    family: &'a str,
    kind: TaskKind,
    text: TextFeatures,
}

fn licensed<'a>(files: &'a [DataFile], names: &[&str]) -> (Vec<Usable<'a>>, Vec<ScorerSource>) {
    let mut cases = Vec::new();
    let mut sources = Vec::new();
    for file in files {
        let mut licences = BTreeSet::new();
        let before = cases.len();
        for row in &file.rows {
            let known = label(&row.task);
            let asked = names.iter().any(|name| row.outcomes.contains_key(*name));
            if let (Some(kind), Some(licence), true) = (known.kind, known.licence, asked) {
                licences.insert(licence);
                let text = TextFeatures::of(&row.prompt, BITS);
                cases.push(Usable { row, family: known.family, kind, text });
            }
        }
        if cases.len() > before {
            sources.push(ScorerSource {
                file: file.name.clone(),
                sha256: file.sha256.clone(),
                rows: u32::try_from(cases.len() - before).unwrap_or(u32::MAX),
                licence: licences.into_iter().collect::<Vec<_>>().join(", "),
            });
        } else {
            println!("{}: nothing that may be trained on", file.name);
        }
    }
    (cases, sources)
}

/// What is expected of each model without a text.
struct Priors {
    /// For each kind the quality of each model and from how many cases.
    kinds: BTreeMap<TaskKind, Vec<(f64, u32)>>,
    overall: Vec<f64>,
}

impl Priors {
    fn of(cases: &[Usable<'_>], names: &[&str]) -> Self {
        let families: BTreeMap<&str, TaskKind> = cases.iter().map(|case| (case.family, case.kind)).collect();
        let mut sums = vec![vec![(0.0, 0_u32); families.len()]; names.len()];
        for case in cases {
            let Some(family) = families.keys().position(|family| *family == case.family) else { continue };
            for (name, line) in names.iter().zip(&mut sums) {
                if let (Some(outcome), Some((sum, count))) =
                    (case.row.outcomes.get(*name), line.get_mut(family))
                {
                    *sum += outcome.score;
                    *count += 1;
                }
            }
        }
        // Half a case each way, so that nobody is certain.
        let mean = |(sum, count): &(f64, u32)| (*count > 0).then(|| (sum + 0.5) / (f64::from(*count) + 1.0));
        let table: Vec<Vec<Option<f64>>> = sums.iter().map(|line| line.iter().map(mean).collect()).collect();
        let filled = prior::fill(&table);
        let mut kinds = BTreeMap::new();
        for kind in families.values().collect::<BTreeSet<_>>() {
            let of_kind = |line: &[f64]| {
                let picked: Vec<f64> = line
                    .iter()
                    .zip(families.values())
                    .filter(|(_, of)| *of == kind)
                    .map(|(cell, _)| *cell)
                    .collect();
                picked.iter().sum::<f64>() / picked.len() as f64
            };
            let counted = |line: &[(f64, u32)]| {
                line.iter()
                    .zip(families.values())
                    .filter(|(_, of)| *of == kind)
                    .map(|((_, count), _)| count)
                    .sum()
            };
            let line = filled.iter().zip(&sums).map(|(line, sums)| (of_kind(line), counted(sums)));
            kinds.insert(*kind, line.collect());
        }
        let overall = mean_over_kinds(&kinds, names.len(), None);
        Self { kinds, overall }
    }

    fn at(&self, kind: TaskKind, model: usize) -> f64 {
        let known = self.kinds.get(&kind).and_then(|line| line.get(model));
        known.map_or_else(|| self.overall.get(model).copied().unwrap_or(0.5), |(quality, _)| *quality)
    }

    fn line(&self, kind: TaskKind) -> Vec<f64> {
        (0..self.overall.len()).map(|model| self.at(kind, model)).collect()
    }

    fn model(&self, at: usize, name: &str, scale: u32) -> ScorerModel {
        let kind_prior = |(kind, line): (&TaskKind, &Vec<(f64, u32)>)| {
            let (quality, cases) = line.get(at).copied()?;
            Some((*kind, KindPrior { quality: whole(quality, 1e6), cases }))
        };
        ScorerModel {
            name: name.to_owned(),
            scale,
            prior: whole(self.overall.get(at).copied().unwrap_or(0.5), 1e6),
            kinds: self.kinds.iter().filter_map(kind_prior).collect(),
        }
    }
}

/// The mean of the kinds' priors, each kind for one, without the one that is left out.
fn mean_over_kinds(
    kinds: &BTreeMap<TaskKind, Vec<(f64, u32)>>,
    models: usize,
    without: Option<TaskKind>,
) -> Vec<f64> {
    let lines: Vec<&Vec<(f64, u32)>> =
        kinds.iter().filter(|(kind, _)| Some(**kind) != without).map(|(_, line)| line).collect();
    let mean = |model: usize| {
        let sum: f64 = lines.iter().filter_map(|line| line.get(model)).map(|(quality, _)| quality).sum();
        sum / lines.len().max(1) as f64
    };
    (0..models).map(mean).collect()
}

/// What the priors leave open, with holes where a model was not asked.
fn targets(cases: &[&Usable<'_>], names: &[&str], priors: &Priors) -> Targets {
    let mut values = Matrix::zero(cases.len(), names.len());
    let mut known = Matrix::zero(cases.len(), names.len());
    for ((case, values), known) in cases.iter().zip(values.lines_mut()).zip(known.lines_mut()) {
        for (model, ((name, value), known)) in names.iter().zip(values).zip(known).enumerate() {
            if let Some(outcome) = case.row.outcomes.get(*name) {
                *value = outcome.score - priors.at(case.kind, model);
                *known = 1.0;
            }
        }
    }
    Targets { values, known }
}

fn design(cases: &[&Usable<'_>]) -> Design {
    Design::of(cases.iter().map(|case| &case.text), BITS)
}

fn learn(cases: &[Usable<'_>], names: &[&str], priors: &Priors, shrink: Shrink) -> Matrix {
    let cases: Vec<&Usable<'_>> = cases.iter().collect();
    design(&cases).learn(&targets(&cases, names, priors), shrink)
}

/// The shrinkage with the least squared error on folds that were not learned from.
fn choose_shrink(cases: &[Usable<'_>], names: &[&str], priors: &Priors) -> Shrink {
    let mut prompts: Vec<&str> = cases.iter().map(|case| case.row.prompt.as_str()).collect();
    prompts.sort_unstable();
    prompts.dedup();
    Dice::new(FOLD_SEED).shuffle(&mut prompts);
    let folds: BTreeMap<&str, usize> =
        prompts.into_iter().enumerate().map(|(at, prompt)| (prompt, at % FOLDS)).collect();
    let mut sums: Vec<(f64, f64)> = vec![(0.0, 0.0); SHRINKS.len()];
    for fold in 0..FOLDS {
        let (held, learned): (Vec<&Usable<'_>>, Vec<&Usable<'_>>) =
            cases.iter().partition(|case| folds.get(case.row.prompt.as_str()) == Some(&fold));
        let (learned_targets, held_targets) =
            (targets(&learned, names, priors), targets(&held, names, priors));
        let errors = design(&learned).errors(&learned_targets, &design(&held), &held_targets, &SHRINKS);
        for (sum, error) in sums.iter_mut().zip(errors) {
            *sum = (sum.0 + error.0, sum.1 + error.1);
        }
    }
    least(&SHRINKS, &sums)
}

/// What is left out to see how much of the text part lasts elsewhere.
#[derive(Clone, Copy)]
enum LeftOut {
    /// Another set of tasks of a kind that is known: what a gateway sees on its good days.
    Family,
    /// A kind that is not known.
    Kind,
}

/// How much of the text part is worth keeping on tasks that it was not learned on: a share for each
/// group that was left out.
fn lasting(cases: &[Usable<'_>], names: &[&str], priors: &Priors, shrink: Shrink, what: LeftOut) -> Vec<f64> {
    let group = |case: &Usable<'_>| match what {
        LeftOut::Family => case.family.to_owned(),
        LeftOut::Kind => case.kind.to_string(),
    };
    let groups: BTreeSet<String> = cases.iter().map(group).collect();
    let mut shares = Vec::new();
    for left_out_group in groups.iter().filter(|_| groups.len() > 1) {
        let mut agreement = Agreement::default();
        let (left_out, others): (Vec<&Usable<'_>>, Vec<&Usable<'_>>) =
            cases.iter().partition(|case| group(case) == *left_out_group);
        let weights = design(&others).learn(&targets(&others, names, priors), shrink);
        let said = design(&left_out).predict(&weights);
        for (case, said) in left_out.iter().zip(said.lines()) {
            let base = match what {
                LeftOut::Family => priors.line(case.kind),
                LeftOut::Kind => mean_over_kinds(&priors.kinds, names.len(), Some(case.kind)),
            };
            let pair = |((name, said), prior): ((&&str, &f64), &f64)| {
                Some((*said, case.row.outcomes.get(*name)?.score - prior))
            };
            agreement.add(names.iter().zip(said).zip(&base).filter_map(pair));
        }
        println!("of the text part lasts on {left_out_group}, left out: {:.3}", agreement.share());
        shares.push(agreement.share());
    }
    shares
}

/// Whole weights of one byte, and what one unit is worth for each model, in billionths.
fn quantise(weights: &Matrix) -> (Vec<[i8; MAX_MODELS]>, Vec<u32>) {
    let mut largest = vec![0.0_f64; weights.width];
    for line in weights.lines() {
        for (largest, weight) in largest.iter_mut().zip(line) {
            *largest = largest.max(weight.abs());
        }
    }
    let scales: Vec<u32> = largest.iter().map(|largest| whole(largest / 127.0, 1e9)).collect();
    let to_row = |line: &[f64]| {
        let mut row = [0_i8; MAX_MODELS];
        for ((cell, weight), scale) in row.iter_mut().zip(line).zip(&scales) {
            if *scale > 0 {
                *cell = to_byte(weight * 1e9 / f64::from(*scale));
            }
        }
        row
    };
    (weights.lines().map(to_row).collect(), scales)
}

#[expect(clippy::cast_possible_truncation, reason = "it is rounded and within the bounds")]
fn to_byte(weight: f64) -> i8 {
    weight.round().clamp(-127.0, 127.0) as i8
}

/// A share as a whole number of the unit.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it is rounded and within the bounds"
)]
fn whole(share: f64, unit: f64) -> u32 {
    (share * unit).round().clamp(0.0, 1e9) as u32
}

#[cfg(test)]
mod tests;
