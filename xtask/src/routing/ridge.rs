//! Solves ridge regression over sparse features, for all models at once.
//!
//! The normal equations are solved by conjugate gradients, which needs the features only as they
//! are. A model that was not asked for a row leaves a hole there, and learns nothing from it.
//!
//! What all models share, that a prompt is hard, and what is a model's own are learned apart, each with
//! its own shrinkage: the first is plain to see and changes no choice, the second is faint and is
//! all that a choice is made of.
//!
//! - Start with [`Design::learn`].
//! - **Invariant:** one thread, a fixed order of sums, no function but the four operations and the
//!   root: the same input gives the same bits everywhere.

use baton_policy::{SHAPE_ROWS, TextFeatures};

/// How a shape weighs against all words together, as the scorer weighs it.
const SHAPE: f64 = 0.25;

/// Enough for a gradient that has shrunk by [`CLOSE`] in all cases seen.
const STEPS: usize = 60;

/// The square of the factor by which the gradient must have shrunk.
const CLOSE: f64 = 1e-10;

/// Numbers in lines of one width.
#[derive(Clone, Debug)]
pub(super) struct Matrix {
    pub(super) width: usize,
    pub(super) cells: Vec<f64>,
}

impl Matrix {
    pub(super) fn zero(height: usize, width: usize) -> Self {
        Self { width, cells: vec![0.0; height * width] }
    }

    pub(super) fn line(&self, at: usize) -> &[f64] {
        self.cells.get(at * self.width..(at + 1) * self.width).unwrap_or(&[])
    }

    pub(super) fn line_mut(&mut self, at: usize) -> &mut [f64] {
        self.cells.get_mut(at * self.width..(at + 1) * self.width).unwrap_or(&mut [])
    }

    pub(super) fn lines(&self) -> impl Iterator<Item = &[f64]> {
        self.cells.chunks_exact(self.width)
    }

    pub(super) fn lines_mut(&mut self) -> impl Iterator<Item = &mut [f64]> {
        self.cells.chunks_exact_mut(self.width)
    }
}

/// The features of many texts.
#[derive(Debug)]
pub(super) struct Design {
    bits: u8,
    rows: Vec<Sparse>,
}

#[derive(Debug)]
struct Sparse {
    columns: Vec<usize>,
    words: usize,
    word: f64,
}

impl Sparse {
    fn entries(&self) -> impl Iterator<Item = (usize, f64)> {
        let value = |at| if at < self.words { self.word } else { SHAPE };
        self.columns.iter().enumerate().map(move |(at, column)| (*column, value(at)))
    }
}

/// What is to be explained: a line for each row, a column for each model, holes where not asked.
#[derive(Debug)]
pub(super) struct Targets {
    pub(super) values: Matrix,
    /// 1 where it is known, 0 where not.
    pub(super) known: Matrix,
}

/// The price of a squared weight.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Shrink {
    /// In what all models share.
    pub(super) shared: f64,
    /// In what is a model's own.
    pub(super) own: f64,
}

impl Shrink {
    pub(super) const NONE: Self = Self { shared: 0.0, own: 0.0 };
}

impl Targets {
    /// The mean of each line in the first column, then what each model is off it.
    fn parted(&self) -> Self {
        let wide = self.values.width + 1;
        let height = self.values.lines().count();
        let (mut values, mut known) = (Matrix::zero(height, wide), Matrix::zero(height, wide));
        let lines = self.values.lines().zip(self.known.lines());
        for ((line, asked), (to, to_known)) in lines.zip(values.lines_mut().zip(known.lines_mut())) {
            let count: f64 = asked.iter().sum();
            let sum: f64 = line.iter().zip(asked).map(|(value, asked)| value * asked).sum();
            let mean = if count > 0.0 { sum / count } else { 0.0 };
            // A line with one model says nothing about differences.
            let differs = if count > 1.0 { 1.0 } else { 0.0 };
            if let (Some((first, own)), Some((first_known, own_known))) =
                (to.split_first_mut(), to_known.split_first_mut())
            {
                (*first, *first_known) = (mean, count.min(1.0));
                for (((cell, known), value), asked) in own.iter_mut().zip(own_known).zip(line).zip(asked) {
                    (*cell, *known) = (value - mean, asked * differs);
                }
            }
        }
        Self { values, known }
    }
}

/// The summed squared errors of each shrinkage, in what is shared and in what is a model's own.
pub(super) type Errors = Vec<(f64, f64)>;

impl Design {
    pub(super) fn of<'a>(texts: impl IntoIterator<Item = &'a TextFeatures>, bits: u8) -> Self {
        let row = |text: &TextFeatures| {
            let shapes = text.shapes().iter().map(|row| (1 << bits) + usize::from(*row));
            let columns: Vec<usize> =
                text.buckets().iter().map(|bucket| usize::from(*bucket)).chain(shapes).collect();
            let words = text.buckets().len();
            Sparse { columns, words, word: 1.0 / (words.max(1) as f64).sqrt() }
        };
        Self { bits, rows: texts.into_iter().map(row).collect() }
    }

    /// How many weights a model has.
    pub(super) fn columns(&self) -> usize {
        (1 << self.bits) + SHAPE_ROWS
    }

    /// What the weights say of each row.
    pub(super) fn predict(&self, weights: &Matrix) -> Matrix {
        let mut said = Matrix::zero(self.rows.len(), weights.width);
        for (row, sums) in self.rows.iter().zip(said.lines_mut()) {
            for (column, value) in row.entries() {
                add(sums, value, weights.line(column));
            }
        }
        said
    }

    /// The transposed features times one line for each row.
    fn collect(&self, lines: &Matrix) -> Matrix {
        let mut sums = Matrix::zero(self.columns(), lines.width);
        for (row, line) in self.rows.iter().zip(lines.lines()) {
            for (column, value) in row.entries() {
                add(sums.line_mut(column), value, line);
            }
        }
        sums
    }

    /// The weights of each model: what is shared and what is its own together.
    pub(super) fn learn(&self, targets: &Targets, shrink: Shrink) -> Matrix {
        let parted = targets.parted();
        let mut shrinks = vec![shrink.own; parted.values.width];
        if let Some(first) = shrinks.first_mut() {
            *first = shrink.shared;
        }
        let parts = self.solve(&parted, &shrinks);
        let mut weights = Matrix::zero(self.columns(), targets.values.width);
        for (line, parts) in weights.lines_mut().zip(parts.lines()) {
            if let Some((shared, own)) = parts.split_first() {
                for (cell, own) in line.iter_mut().zip(own) {
                    *cell = shared + own;
                }
            }
        }
        weights
    }

    /// How far off each shrinkage is on rows that were not learned from.
    ///
    /// Each model's own error is a mean, so that one with many rows does not decide alone.
    pub(super) fn errors(&self, targets: &Targets, held: &Self, truth: &Targets, shrinks: &[f64]) -> Errors {
        let (parted, truth) = (targets.parted(), truth.parted());
        let of_shrink = |shrink: &f64| {
            let weights = self.solve(&parted, &vec![*shrink; parted.values.width]);
            let errors = mean_errors(&held.predict(&weights), &truth);
            let shared = errors.first().copied().unwrap_or(0.0);
            (shared, errors.iter().skip(1).sum())
        };
        shrinks.iter().map(of_shrink).collect()
    }

    /// The weights that explain the targets best, at that price for their squares in each column.
    fn solve(&self, targets: &Targets, shrinks: &[f64]) -> Matrix {
        let width = targets.values.width;
        let mut weights = Matrix::zero(self.columns(), width);
        let mut rest = self.collect(&masked(&targets.values, &targets.known));
        let mut direction = rest.clone();
        let start = squares(&rest);
        let mut left = start.clone();
        for _ in 0..STEPS {
            if left.iter().zip(&start).all(|(left, start)| *left <= start * CLOSE) {
                break;
            }
            let mut image = self.collect(&masked(&self.predict(&direction), &targets.known));
            advance(&mut image, shrinks, &direction, 1.0);
            let curve = products(&direction, &image);
            let stride: Vec<f64> =
                left.iter().zip(&curve).map(|(left, curve)| ratio(*left, *curve)).collect();
            advance(&mut weights, &stride, &direction, 1.0);
            advance(&mut rest, &stride, &image, -1.0);
            let now = squares(&rest);
            let keep: Vec<f64> = now.iter().zip(&left).map(|(now, left)| ratio(*now, *left)).collect();
            for (line, rest) in direction.lines_mut().zip(rest.lines()) {
                for ((cell, keep), rest) in line.iter_mut().zip(&keep).zip(rest) {
                    *cell = rest + keep * *cell;
                }
            }
            left = now;
        }
        weights
    }
}

fn add(sums: &mut [f64], factor: f64, line: &[f64]) {
    for (sum, cell) in sums.iter_mut().zip(line) {
        *sum += factor * cell;
    }
}

fn masked(values: &Matrix, known: &Matrix) -> Matrix {
    let cells = values.cells.iter().zip(&known.cells).map(|(value, known)| value * known).collect();
    Matrix { width: values.width, cells }
}

fn advance(place: &mut Matrix, stride: &[f64], direction: &Matrix, sign: f64) {
    for (line, along) in place.lines_mut().zip(direction.lines()) {
        for ((cell, stride), along) in line.iter_mut().zip(stride).zip(along) {
            *cell += sign * stride * along;
        }
    }
}

/// For each column the mean of the squares of what is said less what is so.
fn mean_errors(said: &Matrix, truth: &Targets) -> Vec<f64> {
    let mut sums = vec![(0.0, 0.0); said.width];
    let lines = said.lines().zip(truth.values.lines()).zip(truth.known.lines());
    for ((said, values), known) in lines {
        for (((said, value), known), (sum, count)) in said.iter().zip(values).zip(known).zip(&mut sums) {
            *sum += known * (said - value) * (said - value);
            *count += known;
        }
    }
    sums.into_iter().map(|(sum, count)| ratio(sum, count)).collect()
}

/// The shrinkage with the least error for each part.
pub(super) fn least(shrinks: &[f64], errors: &Errors) -> Shrink {
    let least = |part: fn(&(f64, f64)) -> f64| {
        let pairs = shrinks.iter().zip(errors);
        let chosen = pairs.min_by(|left, right| part(left.1).total_cmp(&part(right.1)));
        chosen.map_or(0.0, |(shrink, _)| *shrink)
    };
    Shrink { shared: least(|errors| errors.0), own: least(|errors| errors.1) }
}

fn squares(matrix: &Matrix) -> Vec<f64> {
    products(matrix, matrix)
}

fn products(left: &Matrix, right: &Matrix) -> Vec<f64> {
    let mut sums = vec![0.0; left.width];
    for (left, right) in left.lines().zip(right.lines()) {
        for ((sum, left), right) in sums.iter_mut().zip(left).zip(right) {
            *sum += left * right;
        }
    }
    sums
}

/// A model whose gradient is nothing stays where it is.
fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

#[cfg(test)]
mod tests;
