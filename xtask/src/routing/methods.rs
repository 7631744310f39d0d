//! The ways to guess what each model would make of a prompt and what it would cost.
//!
//! - Start with [`Fit::on`], then [`Fit::guess`].
//! - **Invariant:** a fit sees only the cases it was given.

use std::collections::{BTreeMap, BTreeSet};

use baton_policy::TaskKind;

use super::problem::{BITS, Case, Problem};
use super::ridge::{Design, Matrix, Shrink, Targets, least};

/// What a guess is made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Method {
    /// The mean on the true task label, which no gateway knows.
    Label,
    /// The mean on the kind of task: the prior alone.
    Kind,
    /// The overall mean and the text.
    Text,
    /// The mean on the kind of task and the text.
    KindText,
    /// The shipped scorer, kind unknown.
    Shipped,
    /// The shipped scorer with the kind.
    ShippedKind,
}

impl Method {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Label => "task-label mean (true label)",
            Self::Kind => "prior by kind",
            Self::Text => "scorer",
            Self::KindText => "prior by kind + scorer",
            Self::Shipped => "shipped, kind unknown",
            Self::ShippedKind => "shipped, kind known",
        }
    }

    /// Whether weights are learned, so that a shrinkage must be chosen.
    pub(super) const fn learns(self) -> bool {
        matches!(self, Self::Text | Self::KindText)
    }
}

/// The shrinkages to choose from.
pub(super) const SHRINKS: [f64; 7] = [1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0];

/// A mean pulled towards the coarser one with the weight of this many cases.
const PULL: f64 = 5.0;

/// What one method learned.
#[derive(Debug)]
pub(super) struct Fit {
    method: Method,
    quality: Means,
    output_cost: Means,
    weights: Option<Matrix>,
    /// How much the text counts for a kind that was not among the cases.
    elsewhere: f64,
}

/// What a method expects: a line for each case, a column for each model.
#[derive(Debug)]
pub(super) struct Guess {
    pub(super) quality: Matrix,
    pub(super) cost: Matrix,
}

impl Fit {
    pub(super) fn on(problem: &Problem, cases: &[usize], method: Method, shrink: Shrink) -> Self {
        let cases: Vec<&Case> = cases.iter().filter_map(|case| problem.cases.get(*case)).collect();
        let quality = Means::of(&cases, |case| &case.quality);
        let output_cost = Means::of(&cases, |case| &case.output_cost);
        let (weights, elsewhere) = if method.learns() {
            let weights = learn(&cases, &quality, method, shrink);
            let elsewhere = if method == Method::KindText { elsewhere(&cases, shrink) } else { 1.0 };
            (Some(weights), elsewhere)
        } else {
            (None, 0.0)
        };
        Self { method, quality, output_cost, weights, elsewhere }
    }

    pub(super) fn guess(&self, problem: &Problem, cases: &[usize]) -> Guess {
        let cases: Vec<&Case> = cases.iter().filter_map(|case| problem.cases.get(*case)).collect();
        let width = problem.models.len();
        let design = self.weights.as_ref().map(|weights| (design(&cases), weights));
        let text = design.map(|(design, weights)| design.predict(weights));
        let mut guess =
            Guess { quality: Matrix::zero(cases.len(), width), cost: Matrix::zero(cases.len(), width) };
        for (at, case) in cases.iter().enumerate() {
            let base = match self.method {
                Method::Shipped => &case.shipped[0],
                Method::ShippedKind => &case.shipped[1],
                _ => self.quality.at(case, self.method),
            };
            guess.quality.line_mut(at).copy_from_slice(base);
            if let Some(text) = &text {
                let share = match self.method {
                    Method::KindText if !self.quality.knows(case.kind) => self.elsewhere,
                    _ => 1.0,
                };
                for (cell, part) in guess.quality.line_mut(at).iter_mut().zip(text.line(at)) {
                    *cell += share * part;
                }
            }
            let output = self.output_cost.at(case, self.method);
            let costs = case.input_cost.iter().zip(output).map(|(input, output)| input + output);
            for (cell, cost) in guess.cost.line_mut(at).iter_mut().zip(costs) {
                *cell = cost;
            }
        }
        guess
    }
}

fn design(cases: &[&Case]) -> Design {
    Design::of(cases.iter().map(|case| &case.text), BITS)
}

/// Chooses the shrinkage on cases that were not learned from.
pub(super) fn choose_shrink(problem: &Problem, learn: &[usize], held: &[usize], method: Method) -> Shrink {
    if !method.learns() {
        return Shrink::NONE;
    }
    let pick = |cases: &[usize]| cases.iter().filter_map(|case| problem.cases.get(*case)).collect::<Vec<_>>();
    let (learn, held) = (pick(learn), pick(held));
    let means = Means::of(&learn, |case| &case.quality);
    let (learn_targets, held_targets) = (targets(&learn, &means, method), targets(&held, &means, method));
    let errors = design(&learn).errors(&learn_targets, &design(&held), &held_targets, &SHRINKS);
    least(&SHRINKS, &errors)
}

/// What the means leave open.
fn targets(cases: &[&Case], means: &Means, method: Method) -> Targets {
    let width = means.overall.len();
    let mut values = Matrix::zero(cases.len(), width);
    for (line, case) in values.lines_mut().zip(cases) {
        for ((cell, quality), mean) in line.iter_mut().zip(&case.quality).zip(means.at(case, method)) {
            *cell = quality - mean;
        }
    }
    let known = Matrix { width, cells: vec![1.0; values.cells.len()] };
    Targets { values, known }
}

fn learn(cases: &[&Case], means: &Means, method: Method, shrink: Shrink) -> Matrix {
    design(cases).learn(&targets(cases, means, method), shrink)
}

/// How much of a text part is worth keeping on a kind that it was not learned on: each kind is left
/// out in turn, and the text part is held against what the other kinds' mean leaves open there.
///
/// Only the differences between models count, because only they change a choice.
fn elsewhere(cases: &[&Case], shrink: Shrink) -> f64 {
    let kinds: BTreeSet<Option<TaskKind>> = cases.iter().map(|case| case.kind).collect();
    if kinds.len() < 2 {
        return 0.0;
    }
    let mut agreement = Agreement::default();
    for kind in kinds {
        let (left_out, others): (Vec<&Case>, Vec<&Case>) = cases.iter().partition(|case| case.kind == kind);
        let means = Means::of(&others, |case| &case.quality);
        let weights = learn(&others, &means, Method::KindText, shrink);
        let text = design(&left_out).predict(&weights);
        for (case, text) in left_out.iter().zip(text.lines()) {
            let open = case.quality.iter().zip(&means.overall).map(|(quality, mean)| quality - mean);
            agreement.add(text.iter().copied().zip(open));
        }
    }
    agreement.share()
}

/// How well one guess of differences agrees with the truth.
#[derive(Debug, Default)]
pub(super) struct Agreement {
    together: f64,
    own: f64,
}

impl Agreement {
    /// Adds one case: for each model what was guessed and what was open.
    pub(super) fn add(&mut self, pairs: impl Iterator<Item = (f64, f64)>) {
        let pairs: Vec<(f64, f64)> = pairs.collect();
        let count = pairs.len().max(1) as f64;
        let mean_guess = pairs.iter().map(|(guess, _)| guess).sum::<f64>() / count;
        let mean_open = pairs.iter().map(|(_, open)| open).sum::<f64>() / count;
        for (guess, open) in pairs {
            self.together += (guess - mean_guess) * (open - mean_open);
            self.own += (guess - mean_guess) * (guess - mean_guess);
        }
    }

    /// The factor from 0 to 1 that makes the guess err least.
    pub(super) fn share(&self) -> f64 {
        if self.own > 0.0 { (self.together / self.own).clamp(0.0, 1.0) } else { 0.0 }
    }
}

/// Means for each model: over all cases, and for each kind and label.
#[derive(Debug)]
struct Means {
    overall: Vec<f64>,
    kinds: BTreeMap<TaskKind, Vec<f64>>,
    labels: BTreeMap<String, Vec<f64>>,
}

impl Means {
    fn of(cases: &[&Case], figures: fn(&Case) -> &Vec<f64>) -> Self {
        let mut all = Sums::default();
        let mut kinds: BTreeMap<TaskKind, Sums> = BTreeMap::new();
        let mut labels: BTreeMap<&str, (Option<TaskKind>, Sums)> = BTreeMap::new();
        for case in cases {
            all.add(figures(case));
            if let Some(kind) = case.kind {
                kinds.entry(kind).or_default().add(figures(case));
            }
            labels.entry(&case.label).or_insert_with(|| (case.kind, Sums::default())).1.add(figures(case));
        }
        let overall = all.mean(None);
        let kinds: BTreeMap<TaskKind, Vec<f64>> =
            kinds.into_iter().map(|(kind, sums)| (kind, sums.mean(Some(&overall)))).collect();
        let labels = labels
            .into_iter()
            .map(|(label, (kind, sums))| {
                let coarser = kind.and_then(|kind| kinds.get(&kind)).unwrap_or(&overall);
                (label.to_owned(), sums.mean(Some(coarser)))
            })
            .collect();
        Self { overall, kinds, labels }
    }

    fn knows(&self, kind: Option<TaskKind>) -> bool {
        kind.is_some_and(|kind| self.kinds.contains_key(&kind))
    }

    /// The finest mean that the method may know.
    fn at(&self, case: &Case, method: Method) -> &Vec<f64> {
        let of_kind = || case.kind.and_then(|kind| self.kinds.get(&kind)).unwrap_or(&self.overall);
        match method {
            Method::Label => self.labels.get(&case.label).unwrap_or_else(of_kind),
            Method::Kind | Method::KindText | Method::ShippedKind => of_kind(),
            Method::Text | Method::Shipped => &self.overall,
        }
    }
}

#[derive(Debug, Default)]
struct Sums {
    count: f64,
    sums: Vec<f64>,
}

impl Sums {
    fn add(&mut self, figures: &[f64]) {
        self.sums.resize(figures.len(), 0.0);
        self.count += 1.0;
        for (sum, figure) in self.sums.iter_mut().zip(figures) {
            *sum += figure;
        }
    }

    fn mean(&self, coarser: Option<&Vec<f64>>) -> Vec<f64> {
        match coarser {
            None => self.sums.iter().map(|sum| sum / self.count.max(1.0)).collect(),
            Some(coarser) => {
                let pulled = self.sums.iter().zip(coarser);
                pulled.map(|(sum, mean)| (sum + PULL * mean) / (self.count + PULL)).collect()
            }
        }
    }
}
