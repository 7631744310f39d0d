//! Trains the weights of `classify` from a labelled set.
//!
//! A linear model with one row of weights per sign, by descent on the whole set at once. Every weight
//! is held near where it starts: the votes of the lexicon for cues, nothing for stems. So a small set
//! moves what it has evidence for and leaves the rest. Only additions, products and quotients are
//! used, so the same set gives the same file on every machine.
//!
//! - Start with [`train_task_kinds`].
//! - **Never here:** anything a request needs; a gateway never trains.

use std::collections::{BTreeMap, BTreeSet};

use super::classify::{Evidence, LANES, Model, SIGNS, UNIT, stem_share};
use super::lexicon::lexicon;
use super::scan::scan;
use super::{Shape, cut};
use crate::TaskKind;

/// One labelled text.
#[derive(Clone, Debug, serde::Deserialize)]
pub struct TaskExample {
    /// What it is.
    pub kind: TaskKind,
    /// How many tools stand beside it.
    #[serde(default)]
    pub tools: u32,
    /// The text.
    pub text: String,
}

/// How hard each sort of weight is held where it starts.
#[derive(Clone, Copy, Debug)]
struct Hold {
    signs: f64,
    cues: f64,
    stems: f64,
}

const HOLD: Hold = Hold { signs: 1.0, cues: 3.0, stems: 2.0 };

/// How often the whole set is gone through.
const ROUNDS: usize = 150;

/// A stem that fewer texts have is not learnt.
const LEAST_TEXTS: usize = 2;

/// Of a cue's votes, the parts that count anywhere, where the wish is said, and as the first cue.
const PARTS: [f64; 3] = [0.35, 0.25, 0.3];

/// Where the weights of signs start, in natural-log odds.
const SIGN_VOTES: [(&str, TaskKind, f64); 18] = [
    ("tools", TaskKind::ToolUse, 1.5),
    ("tools_and_action", TaskKind::ToolUse, 1.5),
    ("action_no_tools", TaskKind::ToolUse, -2.0),
    ("structured_output", TaskKind::Extract, 1.5),
    ("code_and_review", TaskKind::CodeReview, 2.0),
    ("code_no_review", TaskKind::Code, 2.0),
    ("review_no_code", TaskKind::CodeReview, -1.5),
    ("patch", TaskKind::CodeReview, 2.0),
    ("table", TaskKind::DataAnalysis, 1.5),
    ("many_numbers", TaskKind::DataAnalysis, 0.8),
    ("much_math", TaskKind::MathReasoning, 1.0),
    ("short_question", TaskKind::QuickAnswer, 1.0),
    ("two_languages", TaskKind::Translate, 1.5),
    ("other_language", TaskKind::Translate, 2.0),
    ("language_and_quotes", TaskKind::Translate, 1.5),
    ("short_and_language", TaskKind::Translate, 1.0),
    ("no_cue", TaskKind::Chat, 0.5),
    ("exclamation", TaskKind::Chat, 0.4),
];

/// A text as weighted places in one long row.
struct Sample {
    kind: usize,
    places: Vec<(usize, f64)>,
}

/// The weights for a labelled set, in the form that ships.
#[must_use]
pub fn train_task_kinds(examples: &[TaskExample]) -> String {
    let evidence: Vec<Evidence> = examples.iter().map(read).collect();
    let stems = stems(&evidence);
    let samples: Vec<Sample> = examples
        .iter()
        .zip(&evidence)
        .map(|(example, evidence)| sample(example.kind, evidence, &stems))
        .collect();
    let weights = descend(&samples, &starts(stems.len()));
    print(&weights, &stems)
}

/// What a model trained on the others says of each example: `folds` parts, each left out in turn.
#[must_use]
pub fn cross_validate(examples: &[TaskExample], folds: usize) -> Vec<(Option<TaskKind>, u32)> {
    let folds = folds.max(2);
    let mut answers = vec![(None, 0); examples.len()];
    for fold in 0..folds {
        let others: Vec<TaskExample> = examples
            .iter()
            .enumerate()
            .filter(|(at, _)| at % folds != fold)
            .map(|(_, example)| example.clone())
            .collect();
        let model = Model::read(&train_task_kinds(&others));
        for (answer, example) in answers.iter_mut().zip(examples).skip(fold).step_by(folds) {
            *answer = model.decide(&read(example));
        }
    }
    answers
}

fn read(example: &TaskExample) -> Evidence {
    let text = cut(&example.text);
    Evidence::collect(text, &scan(text), &Shape { tools: example.tools, messages: 1, ..Shape::default() })
}

/// The stems worth learning, with their place.
fn stems(evidence: &[Evidence]) -> BTreeMap<u32, usize> {
    let mut texts: BTreeMap<u32, usize> = BTreeMap::new();
    for stem in evidence.iter().flat_map(each_once) {
        *texts.entry(stem).or_default() += 1;
    }
    let known = texts.into_iter().filter(|(_, count)| *count >= LEAST_TEXTS);
    known.enumerate().map(|(at, (stem, _))| (stem, at)).collect()
}

/// The stems of a text, each once.
fn each_once(evidence: &Evidence) -> BTreeSet<u32> {
    evidence.stems.iter().copied().collect()
}

/// Signs come first, then cues, then cues in the lead, then first cues, then stems.
fn sample(kind: TaskKind, evidence: &Evidence, stems: &BTreeMap<u32, usize>) -> Sample {
    let cues = lexicon().cues.len();
    let mut places = Vec::new();
    let mut add = |bits: u64, from: usize| {
        places.extend((0..64).filter(|bit| bits >> bit & 1 == 1).map(|bit| (from + bit, 1.0)));
    };
    add(evidence.signs, 0);
    add(evidence.cues, SIGNS.len());
    add(evidence.lead, SIGNS.len() + cues);
    add(evidence.first, SIGNS.len() + 2 * cues);
    let (over, under) = stem_share(evidence.stems.len());
    let share = f64::from(i32::try_from(over).unwrap_or(1)) / f64::from(i32::try_from(under).unwrap_or(1));
    let first = SIGNS.len() + 3 * cues;
    places
        .extend(each_once(evidence).into_iter().filter_map(|stem| Some((first + stems.get(&stem)?, share))));
    Sample { kind: place(kind), places }
}

fn place(kind: TaskKind) -> usize {
    TaskKind::ALL.iter().position(|other| *other == kind).unwrap_or(0)
}

/// Where a weight starts, and how hard it is held there.
struct Start {
    weights: [f64; LANES],
    hold: f64,
}

fn starts(stems: usize) -> Vec<Start> {
    let none = [0.0; LANES];
    let mut starts = Vec::new();
    for sign in SIGNS {
        let mut weights = none;
        for (_, kind, vote) in SIGN_VOTES.iter().filter(|(name, ..)| *name == sign) {
            set(&mut weights, *kind, *vote);
        }
        starts.push(Start { weights, hold: HOLD.signs });
    }
    for part in PARTS {
        for cue in &lexicon().cues {
            let mut weights = none;
            for (kind, votes) in &cue.votes {
                set(&mut weights, *kind, part * f64::from(*votes) / 10.0);
            }
            starts.push(Start { weights, hold: HOLD.cues });
        }
    }
    starts.extend((0..stems).map(|_| Start { weights: none, hold: HOLD.stems }));
    starts
}

fn set(weights: &mut [f64; LANES], kind: TaskKind, vote: f64) {
    if let Some(weight) = weights.get_mut(place(kind)) {
        *weight = vote;
    }
}

/// Descends with momentum. Each weight's step is bounded by how often its sign occurs together with
/// others, which keeps the descent from ever overshooting.
fn descend(samples: &[Sample], starts: &[Start]) -> Vec<[f64; LANES]> {
    let mut steps: Vec<f64> = starts.iter().map(|start| start.hold).collect();
    for sample in samples {
        let size: f64 = sample.places.iter().map(|(_, value)| value).sum();
        for (at, value) in &sample.places {
            if let Some(step) = steps.get_mut(*at) {
                *step += 0.25 * value * size;
            }
        }
    }
    let mut weights: Vec<[f64; LANES]> = starts.iter().map(|start| start.weights).collect();
    let mut ahead = weights.clone();
    let mut speed = 0.0;
    for _ in 0..ROUNDS {
        let slopes = slopes(samples, starts, &ahead);
        let next_speed = (speed + 1.0) / (speed + 4.0);
        speed += 1.0;
        for ((weights, ahead), (slope, step)) in
            weights.iter_mut().zip(&mut ahead).zip(slopes.iter().zip(&steps))
        {
            for ((weight, ahead), slope) in weights.iter_mut().zip(ahead).zip(slope) {
                let moved = *ahead - slope / step;
                *ahead = moved + next_speed * (moved - *weight);
                *weight = moved;
            }
        }
    }
    weights
}

/// How the loss changes with each weight.
fn slopes(samples: &[Sample], starts: &[Start], weights: &[[f64; LANES]]) -> Vec<[f64; LANES]> {
    let mut slopes: Vec<[f64; LANES]> = weights
        .iter()
        .zip(starts)
        .map(|(row, start)| {
            let mut slope = [0.0; LANES];
            for (slope, (weight, from)) in slope.iter_mut().zip(row.iter().zip(start.weights)) {
                *slope = start.hold * (weight - from);
            }
            slope
        })
        .collect();
    for sample in samples {
        let mut scores = [0.0; LANES];
        for (at, value) in &sample.places {
            for (score, weight) in scores.iter_mut().zip(weights.get(*at).into_iter().flatten()) {
                *score += value * weight;
            }
        }
        let wrong = errors(&scores, sample.kind);
        for (at, value) in &sample.places {
            for (slope, wrong) in slopes.get_mut(*at).into_iter().flatten().zip(wrong) {
                *slope += value * wrong;
            }
        }
    }
    slopes
}

/// The chance given to each kind, less one for the right one.
fn errors(scores: &[f64; LANES], right: usize) -> [f64; LANES] {
    let kinds = TaskKind::ALL.len();
    let best = scores.iter().take(kinds).fold(f64::MIN, |best, score| best.max(*score));
    let mut chances = [0.0; LANES];
    for (chance, score) in chances.iter_mut().zip(scores).take(kinds) {
        *chance = exp(score - best);
    }
    let sum: f64 = chances.iter().sum();
    for (at, chance) in chances.iter_mut().enumerate() {
        *chance = *chance / sum - f64::from(u8::from(at == right));
    }
    chances
}

/// `e` to a power of at most zero. Not the library's, which differs between machines in the last bit.
fn exp(power: f64) -> f64 {
    let small = power.max(-40.0) / 1_024.0;
    let near = 1.0 + small * (1.0 + small / 2.0 * (1.0 + small / 3.0 * (1.0 + small / 4.0)));
    (0..10).fold(near, |value, _| value * value)
}

/// One line a row; rows that round to nothing are left out.
fn print(weights: &[[f64; LANES]], stems: &BTreeMap<u32, usize>) -> String {
    let cues = lexicon().cues.iter().map(|cue| cue.name.to_owned());
    let names = SIGNS.iter().map(|name| ("sign", (*name).to_owned()));
    let names = ["cue", "lead", "first"]
        .iter()
        .fold(names.collect::<Vec<_>>(), |mut names, sort| {
            names.extend(cues.clone().map(|name| (*sort, name)));
            names
        })
        .into_iter();
    let names = names.chain(stems.keys().map(|stem| ("stem", format!("{stem:08x}"))));
    let mut file = String::from("version 1\n");
    for ((sort, name), row) in names.zip(weights) {
        let row: Vec<i32> = row.iter().take(TaskKind::ALL.len()).map(|weight| round(*weight)).collect();
        if row.iter().all(|weight| *weight == 0) {
            continue;
        }
        file.push_str(sort);
        file.push(' ');
        file.push_str(&name);
        for weight in row {
            file.push(' ');
            file.push_str(&weight.to_string());
        }
        file.push('\n');
    }
    file
}

/// A weight in whole units.
#[expect(clippy::cast_possible_truncation, reason = "weights are a few odds; the cast saturates")]
fn round(weight: f64) -> i32 {
    (weight * f64::from(UNIT)).round() as i32
}
