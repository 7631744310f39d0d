//! Plays every method against the outcomes: on random splits, and on tasks that were left out.
//!
//! The protocol: five splits with fixed seeds, 60 % to learn from and 40 % to measure on, a prompt never on both
//! sides. Shrinkage and price weight are chosen on a quarter of the training part. Every curve starts at
//! the cheapest model. Intervals come from drawing the measured prompts again, with replacement.
//!
//! - Start with [`in_domain`] and [`out_of_domain`].
//! - **Invariant:** nothing that is chosen has seen a case that is measured on.

use std::thread;

use anyhow::bail;

use super::curve::{Point, area};
use super::dice::Dice;
use super::methods::{Fit, Guess, Method, choose_shrink};
use super::problem::{Case, Problem};
use super::ridge::Shrink;

/// The seeds of the random splits.
const SEEDS: [u64; 5] = [1, 2, 3, 4, 5];

/// How often the prompts are drawn again.
const DRAWS: u16 = 200;

/// The qualities to reach, as shares of the best single model's.
pub(super) const TARGETS: [f64; 2] = [0.98, 1.0];

/// The price weights: quality given up for the mean cost of the dearest model, as powers of ten in
/// eighths, and none at all.
const PRICE_STEPS: std::ops::RangeInclusive<i32> = -24..=24;

/// A left-out family with fewer cases says nothing.
const FEWEST: usize = 50;

/// The figures of one method.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) name: &'static str,
    pub(super) figures: Figures,
    pub(super) low: Figures,
    pub(super) high: Figures,
}

/// All figures of a method on one split, or their mean over splits.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Figures {
    /// The area below the curve.
    pub(super) area: f64,
    /// The same, less that of the single models.
    pub(super) gain: f64,
    /// At each target: cost and quality, relative to the best single model.
    pub(super) targets: [(f64, f64); 2],
    /// How much of the way from the best single model to the oracle is made when price does not count.
    pub(super) gap: f64,
    /// Between two models: quality recovered over the share of calls to the better one; .5 is a coin.
    pub(super) recovered: f64,
}

/// What was measured on one set of splits.
#[derive(Debug)]
pub(super) struct Measured {
    /// One for each split: its name, how many cases were measured, best single model and oracle.
    pub(super) splits: Vec<Split>,
    pub(super) lines: Vec<Line>,
    /// For each split the area of each line.
    pub(super) areas: Vec<Vec<f64>>,
}

#[derive(Debug)]
pub(super) struct Split {
    pub(super) name: String,
    pub(super) cases: usize,
    pub(super) best: String,
    pub(super) best_quality: f64,
    pub(super) oracle: f64,
    /// What was chosen for the methods that learn.
    pub(super) shrinks: Vec<Shrink>,
}

/// Five random splits.
pub(super) fn in_domain(problem: &Problem) -> anyhow::Result<Measured> {
    let all: Vec<usize> = (0..problem.cases.len()).collect();
    let splits = SEEDS.map(|seed| {
        let (learn, measure) = divide(problem, &all, 0.6, seed);
        (format!("split {seed}"), learn, measure)
    });
    measure(problem, &splits)
}

/// Each family of tasks left out in turn; nothing when there is only one.
pub(super) fn out_of_domain(problem: &Problem) -> anyhow::Result<Option<Measured>> {
    let mut splits = Vec::new();
    for (family, name) in problem.families.iter().enumerate() {
        let all = problem.cases.iter().enumerate();
        let (left_out, others): (Vec<_>, Vec<_>) = all.partition(|(_, case)| case.family == family);
        if left_out.len() >= FEWEST && others.len() >= FEWEST {
            let numbers = |cases: Vec<(usize, &Case)>| cases.into_iter().map(|(at, _)| at).collect();
            splits.push((name.clone(), numbers(others), numbers(left_out)));
        }
    }
    if splits.is_empty() { Ok(None) } else { measure(problem, &splits).map(Some) }
}

type Parts = (String, Vec<usize>, Vec<usize>);

fn measure(problem: &Problem, splits: &[Parts]) -> anyhow::Result<Measured> {
    let played: Vec<Played> = thread::scope(|scope| {
        let running: Vec<_> = splits
            .iter()
            .map(|(name, learn, measure)| scope.spawn(move || Played::of(problem, name, learn, measure)))
            .collect();
        running.into_iter().map(|run| run.join().ok()).collect::<Option<Vec<_>>>()
    })
    .unwrap_or_default();
    let Some(first) = played.first() else { bail!("a split could not be played") };
    let names: Vec<&'static str> = first.methods.iter().map(|sweep| sweep.name).collect();
    let plain: Vec<Vec<Figures>> =
        played.iter().map(|split| split.figures(&vec![1.0; split.cases])).collect();
    let drawn: Vec<Vec<Vec<Figures>>> = thread::scope(|scope| {
        let draw_split = |(at, split): (usize, &Played)| draw(split, at as u64);
        let running: Vec<_> =
            played.iter().enumerate().map(|split| scope.spawn(move || draw_split(split))).collect();
        running.into_iter().filter_map(|run| run.join().ok()).collect()
    });
    let lines = names.iter().enumerate().map(|(method, name)| {
        let of_method =
            |figures: &[Vec<Figures>]| Figures::mean(figures.iter().filter_map(|split| split.get(method)));
        let again: Vec<Figures> = (0..usize::from(DRAWS))
            .map(|draw| Figures::mean(drawn.iter().filter_map(|split| split.get(draw)?.get(method))))
            .collect();
        let (low, high) = Figures::between(&again);
        Line { name, figures: of_method(&plain), low, high }
    });
    let lines = lines.collect();
    let areas = plain.iter().map(|split| split.iter().map(|figures| figures.area).collect()).collect();
    Ok(Measured { lines, areas, splits: played.into_iter().map(|split| split.about).collect() })
}

fn draw(split: &Played, at: u64) -> Vec<Vec<Figures>> {
    let draw_once = |seed: u16| {
        let mut dice = Dice::new(1000 * (at + 1) + u64::from(seed));
        let mut counts = vec![0.0; split.cases];
        for _ in 0..split.cases {
            if let Some(count) = counts.get_mut(dice.below(split.cases)) {
                *count += 1.0;
            }
        }
        split.figures(&counts)
    };
    (0..DRAWS).map(draw_once).collect()
}

/// Parts cases in two; cases with the same prompt stay together.
pub(super) fn divide(problem: &Problem, cases: &[usize], share: f64, seed: u64) -> (Vec<usize>, Vec<usize>) {
    let prompt = |case: &usize| problem.cases.get(*case).map_or(0, |case| case.prompt);
    let mut prompts: Vec<usize> = cases.iter().map(prompt).collect();
    prompts.sort_unstable();
    prompts.dedup();
    Dice::new(seed).shuffle(&mut prompts);
    let first = (prompts.len() as f64 * share).round();
    let mut firsts: Vec<usize> = prompts
        .iter()
        .enumerate()
        .filter(|(at, _)| (*at as f64) < first)
        .map(|(_, prompt)| *prompt)
        .collect();
    firsts.sort_unstable();
    cases.iter().partition(|case| firsts.binary_search(&prompt(case)).is_ok())
}

/// One split, with all that every policy got and paid.
#[derive(Debug)]
struct Played {
    about: Split,
    cases: usize,
    singles: Vec<Play>,
    best: usize,
    oracle: Vec<f64>,
    methods: Vec<Sweep>,
}

/// What one policy got and paid, case by case.
#[derive(Clone, Debug)]
struct Play {
    cost: Vec<f64>,
    quality: Vec<f64>,
}

/// One method at all price weights.
#[derive(Debug)]
struct Sweep {
    name: &'static str,
    plays: Vec<Play>,
    /// Which of the plays was chosen for each target.
    targets: [usize; 2],
    /// The play without price.
    free: usize,
    /// Which case would be sent to the better of two models first.
    order: Vec<usize>,
}

impl Played {
    fn of(problem: &Problem, name: &str, learn: &[usize], measure: &[usize]) -> Self {
        let (fit_on, validate_on) = divide(problem, learn, 0.75, 99);
        let at: Vec<&Case> = measure.iter().filter_map(|case| problem.cases.get(*case)).collect();
        let singles = single_plays(problem, &at);
        let best = best(&singles);
        let oracle: Vec<f64> =
            at.iter().map(|case| case.quality.iter().copied().fold(0.0, f64::max)).collect();
        let validated: Vec<&Case> = validate_on.iter().filter_map(|case| problem.cases.get(*case)).collect();
        let mut methods = vec![singles_sweep(problem, &singles, &single_plays(problem, &validated))];
        let mut shrinks = Vec::new();
        let weights = price_weights(problem, learn);
        let mut list = vec![Method::Label, Method::Kind, Method::Text, Method::KindText];
        if problem.shipped.is_some() {
            list.extend([Method::Shipped, Method::ShippedKind]);
        }
        for method in list {
            let shrink = choose_shrink(problem, &fit_on, &validate_on, method);
            let guess = Fit::on(problem, &fit_on, method, shrink).guess(problem, &validate_on);
            if method.learns() {
                shrinks.push(shrink);
            }
            let reference = best_quality(&single_plays(problem, &validated));
            let rehearsed = plays(&validated, &guess, &weights);
            let targets = TARGETS.map(|target| cheapest_reaching(&rehearsed, target * reference));
            let guess = Fit::on(problem, learn, method, shrink).guess(problem, measure);
            let order = if problem.models.len() == 2 { by_gain(&guess, &singles) } else { Vec::new() };
            let plays = plays(&at, &guess, &weights);
            methods.push(Sweep { name: method.name(), plays, targets, free: 0, order });
        }
        let even = vec![1.0; at.len()];
        let about = Split {
            name: name.to_owned(),
            cases: at.len(),
            best: problem.models.get(best).cloned().unwrap_or_default(),
            best_quality: best_quality(&singles),
            oracle: mean(&oracle, &even),
            shrinks,
        };
        Self { about, cases: at.len(), singles, best, oracle, methods }
    }

    /// The figures of every method when each case counts that often.
    fn figures(&self, counts: &[f64]) -> Vec<Figures> {
        let singles: Vec<Point> = self.singles.iter().map(|play| play.point(counts)).collect();
        let by_cost = |left: &&Point, right: &&Point| left.cost.total_cmp(&right.cost);
        let nothing = Point { cost: 0.0, quality: 0.0 };
        let cheapest = singles.iter().min_by(by_cost).copied().unwrap_or(nothing);
        let dearest = singles.iter().max_by(by_cost).map_or(0.0, |point| point.cost);
        let best = singles.get(self.best).copied().unwrap_or(nothing);
        let oracle = mean(&self.oracle, counts);
        let hull = area(&singles, cheapest, dearest).unwrap_or(f64::NAN);
        let figures = |sweep: &Sweep| {
            let points: Vec<Point> = sweep.plays.iter().map(|play| play.point(counts)).collect();
            let area = area(&points, cheapest, dearest).unwrap_or(f64::NAN);
            let at = |number: usize| points.get(number).copied().unwrap_or(nothing);
            let relative = |point: Point| (point.cost / best.cost, point.quality / best.quality);
            Figures {
                area,
                gain: area - hull,
                targets: sweep.targets.map(|target| relative(at(target))),
                gap: (at(sweep.free).quality - best.quality) / (oracle - best.quality),
                recovered: self.recovered(&sweep.order, counts),
            }
        };
        self.methods.iter().map(figures).collect()
    }

    /// The mean quality recovered over all shares of calls to the better of two models.
    fn recovered(&self, order: &[usize], counts: &[f64]) -> f64 {
        let [first, second] = self.singles.as_slice() else { return f64::NAN };
        let (strong, weak) = if self.best == 0 { (first, second) } else { (second, first) };
        let all: f64 = counts.iter().sum();
        let gain = |case: &usize| {
            let (count, strong, weak) =
                (counts.get(*case)?, strong.quality.get(*case)?, weak.quality.get(*case)?);
            Some((*count, count * (strong - weak)))
        };
        let (mut sent, mut so_far, mut area) = (0.0, 0.0, 0.0);
        for (count, gain) in order.iter().filter_map(gain) {
            area += count * (so_far + gain / 2.0);
            sent += count;
            so_far += gain;
        }
        if sent > 0.0 && so_far > 0.0 { area / all / so_far } else { f64::NAN }
    }
}

impl Play {
    fn point(&self, counts: &[f64]) -> Point {
        Point { cost: mean(&self.cost, counts), quality: mean(&self.quality, counts) }
    }

    fn even(&self) -> Point {
        self.point(&vec![1.0; self.cost.len()])
    }
}

fn mean(figures: &[f64], counts: &[f64]) -> f64 {
    let (mut sum, mut all) = (0.0, 0.0);
    for (figure, count) in figures.iter().zip(counts) {
        sum += figure * count;
        all += count;
    }
    sum / all
}

/// Every model for itself, for every case.
fn single_plays(problem: &Problem, cases: &[&Case]) -> Vec<Play> {
    let take = |model: usize, figures: fn(&Case) -> &Vec<f64>| {
        cases.iter().filter_map(|case| figures(case).get(model).copied()).collect()
    };
    let play =
        |model| Play { cost: take(model, |case| &case.cost), quality: take(model, |case| &case.quality) };
    (0..problem.models.len()).map(play).collect()
}

fn best(singles: &[Play]) -> usize {
    let qualities = singles.iter().map(|play| play.even().quality).enumerate();
    qualities.max_by(|left, right| left.1.total_cmp(&right.1)).map_or(0, |(model, _)| model)
}

fn best_quality(singles: &[Play]) -> f64 {
    singles.get(best(singles)).map_or(0.0, |play| play.even().quality)
}

/// The single models as if they were one method; its price weights are the models.
fn singles_sweep(problem: &Problem, singles: &[Play], validated: &[Play]) -> Sweep {
    let reference = best_quality(validated);
    let targets = TARGETS.map(|target| cheapest_reaching(validated, target * reference));
    let order = if problem.models.len() == 2 {
        (0..singles.first().map_or(0, |play| play.cost.len())).collect()
    } else {
        Vec::new()
    };
    Sweep { name: "hull of single models", plays: singles.to_vec(), targets, free: best(validated), order }
}

/// The cheapest play of at least that quality, else the best one.
fn cheapest_reaching(plays: &[Play], quality: f64) -> usize {
    let points: Vec<Point> = plays.iter().map(Play::even).collect();
    let numbered = || points.iter().enumerate();
    let enough = numbered().filter(|(_, point)| point.quality >= quality);
    let cheapest = enough.min_by(|left, right| left.1.cost.total_cmp(&right.1.cost));
    let highest = || numbered().max_by(|left, right| left.1.quality.total_cmp(&right.1.quality));
    cheapest.or_else(highest).map_or(0, |(number, _)| number)
}

/// How much quality a nano-dollar must bring: nothing first, then more and more.
fn price_weights(problem: &Problem, learn: &[usize]) -> Vec<f64> {
    let cases: Vec<&Case> = learn.iter().filter_map(|case| problem.cases.get(*case)).collect();
    let singles = single_plays(problem, &cases);
    let dearest = singles.iter().map(|play| play.even().cost).fold(f64::MIN_POSITIVE, f64::max);
    let steps = PRICE_STEPS.map(|step| 10.0_f64.powf(f64::from(step) / 8.0) / dearest);
    [0.0].into_iter().chain(steps).collect()
}

/// What is got and paid at each price weight: each case goes where quality less price is highest.
fn plays(cases: &[&Case], guess: &Guess, weights: &[f64]) -> Vec<Play> {
    let play = |weight: &f64| {
        let lines = cases.iter().zip(guess.quality.lines()).zip(guess.cost.lines());
        let (cost, quality) = lines
            .map(|((case, quality), cost)| {
                let worth = quality.iter().zip(cost).map(|(quality, cost)| quality - weight * cost);
                let chosen = worth.enumerate().max_by(|left, right| left.1.total_cmp(&right.1));
                let model = chosen.map_or(0, |(model, _)| model);
                let at = |figures: &[f64]| figures.get(model).copied().unwrap_or(0.0);
                (at(&case.cost), at(&case.quality))
            })
            .unzip();
        Play { cost, quality }
    };
    weights.iter().map(play).collect()
}

/// The cases of a choice between two, by how much more is expected of the better model.
fn by_gain(guess: &Guess, singles: &[Play]) -> Vec<usize> {
    let sign = if best(singles) == 0 { -1.0 } else { 1.0 };
    let mut gains: Vec<(usize, f64)> = guess
        .quality
        .lines()
        .map(|line| match line {
            [first, second] => sign * (second - first),
            _ => 0.0,
        })
        .enumerate()
        .collect();
    gains.sort_by(|left, right| right.1.total_cmp(&left.1));
    gains.into_iter().map(|(case, _)| case).collect()
}

impl Figures {
    const COUNT: usize = 8;

    fn to_list(self) -> [f64; Self::COUNT] {
        let [(cost_98, quality_98), (cost, quality)] = self.targets;
        [self.area, self.gain, cost_98, quality_98, cost, quality, self.gap, self.recovered]
    }

    fn from_list(list: [f64; Self::COUNT]) -> Self {
        let [area, gain, cost_98, quality_98, cost, quality, gap, recovered] = list;
        Self { area, gain, targets: [(cost_98, quality_98), (cost, quality)], gap, recovered }
    }

    fn mean<'a>(all: impl Iterator<Item = &'a Self>) -> Self {
        let mut sums = [0.0; Self::COUNT];
        let mut count = 0.0;
        for figures in all {
            count += 1.0;
            for (sum, figure) in sums.iter_mut().zip(figures.to_list()) {
                *sum += figure;
            }
        }
        Self::from_list(sums.map(|sum| sum / count))
    }

    /// The bounds that 95 of 100 lie within, for each figure.
    fn between(all: &[Self]) -> (Self, Self) {
        let bound = |share: f64| {
            Self::from_list(std::array::from_fn(|figure| {
                let mut sorted: Vec<f64> =
                    all.iter().filter_map(|figures| figures.to_list().get(figure).copied()).collect();
                sorted.sort_by(f64::total_cmp);
                let reached = |(at, _): &(usize, &f64)| *at as f64 >= share * (all.len() as f64 - 1.0);
                sorted.iter().enumerate().find(reached).map_or(f64::NAN, |(_, figure)| *figure)
            }))
        };
        (bound(0.025), bound(0.975))
    }
}

#[cfg(test)]
mod tests;
