//! Says how well each known model would do on a text: a hashed linear scorer with shipped weights.
//!
//! A model's score is its prior, the mean quality on tasks of that kind, plus a part that is read
//! from the words and the shape of the text. The weights are trained by `cargo xtask routing-train`
//! and shipped as one file, which says what it was trained on. Everything that counts is an
//! integer, so that the same file and the same text give the same score on every machine.
//!
//! - Start with [`Scorer::built_in`] and [`Scorer::score_for`].
//! - **Invariant:** a score lies within 0 and 1,000,000, and is a function of file, text and kind alone.
//! - **Never here:** training, floating point, prices. The scorer knows quality; the order weighs it.

mod features;
mod file;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use crate::task::TaskKind;

pub use features::{FEATURES_REVISION, SHAPE_ROWS, TextFeatures};
pub use file::{
    FeatureSpec, KindPrior, ScorerError, ScorerFile, ScorerHeader, ScorerModel, ScorerSource, TextShare,
};

/// The most models that one file may hold: the width of a row of weights.
pub const MAX_MODELS: usize = 32;

/// The highest score, and the unit of every quality here: millionths.
const WHOLE: u32 = 1_000_000;

/// The text part counts in 1,024ths of a weight, so that dividing by a root loses little.
const FINE: i64 = 1 << 10;

/// A shape feature weighs a quarter of what the words of the text weigh together.
const SHAPE_SHARE: i64 = 4;

static BUILT_IN: LazyLock<Scorer> = LazyLock::new(|| {
    #[expect(clippy::expect_used, reason = "the file is part of the program, and a test parses it")]
    Scorer::parse(include_bytes!("../data/scorer-1.bin")).expect("the shipped scorer file is whole")
});

/// Priors and weights of the models that were trained.
#[derive(Clone, Debug)]
pub struct Scorer {
    version: u32,
    bits: u8,
    models: Vec<Known>,
    trained_on: Vec<ScorerSource>,
    text_share: TextShare,
    /// One row for each bucket, then one for each shape; a lane for each model.
    rows: Vec<[i8; MAX_MODELS]>,
}

/// What is known of one model without its weights.
#[derive(Clone, Debug)]
struct Known {
    name: Box<str>,
    prior: u32,
    kinds: BTreeMap<TaskKind, u32>,
    /// What one unit of a weight is worth, in billionths.
    scale: i64,
}

impl Scorer {
    /// The scorer that is shipped, parsed at its first use.
    #[must_use]
    pub fn built_in() -> &'static Self {
        &BUILT_IN
    }

    /// Reads a file as [`ScorerFile::encode`] writes it.
    ///
    /// # Errors
    ///
    /// When the bytes are no such file, or one of another format, or a damaged one.
    pub fn parse(bytes: &[u8]) -> Result<Self, ScorerError> {
        ScorerFile::parse(bytes).map(Self::from)
    }

    /// The version of priors and weights, as it is recorded with a decision.
    #[must_use]
    pub const fn version(&self) -> u32 {
        self.version
    }

    /// What priors and weights were trained on.
    #[must_use]
    pub fn trained_on(&self) -> &[ScorerSource] {
        &self.trained_on
    }

    /// The names of the trained models, in the order of their numbers.
    pub fn models(&self) -> impl Iterator<Item = &str> {
        self.models.iter().map(|model| &*model.name)
    }

    /// The number of a trained model.
    #[must_use]
    pub fn index(&self, model: &str) -> Option<u16> {
        let at = self.models.iter().position(|known| &*known.name == model)?;
        u16::try_from(at).ok()
    }

    /// The expected quality of a trained model in millionths, without the text: its mean on tasks of
    /// that kind, or over all kinds where the kind is unknown or was not trained.
    #[must_use]
    pub fn prior(&self, model: &str, kind: Option<TaskKind>) -> Option<u32> {
        self.models.iter().find(|known| &*known.name == model).map(|known| known.prior(kind))
    }

    /// The expected quality of each of the models on the text, whatever its kind. See [`Self::score_for`].
    #[must_use]
    pub fn score(&self, text: &str, models: &[u16]) -> Vec<u32> {
        self.score_for(text, None, models)
    }

    /// The expected quality of each of the models on a text of that kind, in millionths.
    ///
    /// The answers stand in the order of the numbers; a number that is no model of this file gets 0.
    /// Where the kind was not trained, the text part counts for less: see [`TextShare`].
    #[must_use]
    pub fn score_for(&self, text: &str, kind: Option<TaskKind>, models: &[u16]) -> Vec<u32> {
        let share = self.text_share.of(kind);
        let sums = match share {
            0 => [0; MAX_MODELS],
            _ => self.sums(&TextFeatures::of(text, self.bits)),
        };
        let score = |number: &u16| {
            let at = usize::from(*number);
            let (known, sum) = (self.models.get(at)?, sums.get(at)?);
            // In this order nothing is lost and nothing overflows: a sum stays below 2^31.
            let text_part = sum * known.scale / FINE * i64::from(share) / 1_000_000;
            let score = (i64::from(known.prior(kind)) + text_part).clamp(0, i64::from(WHOLE));
            u32::try_from(score).ok()
        };
        models.iter().map(|number| score(number).unwrap_or(0)).collect()
    }

    /// For each model the weights of all features of the text, in 1,024ths.
    fn sums(&self, features: &TextFeatures) -> [i64; MAX_MODELS] {
        let buckets = self.add_rows(features.buckets().iter().map(|bucket| usize::from(*bucket)));
        let first_shape = 1 << self.bits;
        let shapes = self.add_rows(features.shapes().iter().map(|row| first_shape + usize::from(*row)));
        // The words of a text weigh the same together, however many they are.
        let count = u64::try_from(features.buckets().len()).unwrap_or(u64::MAX).clamp(1, 1 << 16);
        let root = i64::try_from((count << 20).isqrt()).unwrap_or(FINE);
        std::array::from_fn(|lane| {
            let (words, shape) = (buckets.get(lane).copied(), shapes.get(lane).copied());
            i64::from(words.unwrap_or(0)) * FINE * FINE / root
                + i64::from(shape.unwrap_or(0)) * FINE / SHAPE_SHARE
        })
    }

    fn add_rows(&self, numbers: impl Iterator<Item = usize>) -> [i32; MAX_MODELS] {
        let mut sums = [0_i32; MAX_MODELS];
        for row in numbers.filter_map(|number| self.rows.get(number)) {
            for (sum, weight) in sums.iter_mut().zip(row) {
                *sum += i32::from(*weight);
            }
        }
        sums
    }
}

impl Known {
    fn prior(&self, kind: Option<TaskKind>) -> u32 {
        kind.and_then(|kind| self.kinds.get(&kind).copied()).unwrap_or(self.prior)
    }
}

impl From<ScorerFile> for Scorer {
    fn from(file: ScorerFile) -> Self {
        let ScorerFile { header, rows } = file;
        let known = |model: ScorerModel| Known {
            name: model.name.into(),
            prior: model.prior,
            kinds: model.kinds.into_iter().map(|(kind, prior)| (kind, prior.quality)).collect(),
            scale: i64::from(model.scale),
        };
        Self {
            version: header.version,
            bits: header.features.bits,
            models: header.models.into_iter().map(known).collect(),
            trained_on: header.trained_on,
            text_share: header.text_share,
            rows,
        }
    }
}

#[cfg(test)]
mod tests;
