//! Keeps how long answers took, roughly and lately: a histogram whose counts fade.
//!
//! Four buckets for each doubling from one millisecond to 17 minutes, so a quantile is at most a fifth
//! too high; half of a count's weight is gone after a minute.

use std::time::Duration;

use baton_policy::Latency;

/// The number of buckets.
const BUCKETS: usize = 80;
/// The upper ends of the first four, in microseconds: powers of the fourth root of two.
const FIRST_US: [u64; 4] = [1_000, 1_189, 1_414, 1_682];
/// The upper end of each bucket.
const ENDS_US: [u64; BUCKETS] = ends();
/// After this time a count weighs half.
const HALF_LIFE_MS: f64 = 60_000.0;
/// Counts are faded at most so often: fading touches all buckets.
const FADE_MS: u64 = 1_000;

/// How long answers took lately.
#[derive(Clone, Debug)]
pub(super) struct Sketch {
    weights: [f32; BUCKETS],
    faded_ms: u64,
}

impl Default for Sketch {
    fn default() -> Self {
        Self { weights: [0.0; BUCKETS], faded_ms: 0 }
    }
}

impl Sketch {
    pub(super) fn note(&mut self, took: Duration, at_ms: u64) {
        if at_ms.saturating_sub(self.faded_ms) >= FADE_MS {
            let kept = fade(self.faded_ms, at_ms);
            self.weights.iter_mut().for_each(|weight| *weight *= kept);
            self.faded_ms = at_ms;
        }
        let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let at = ENDS_US.partition_point(|end| *end < took_us).min(BUCKETS - 1);
        if let Some(weight) = self.weights.get_mut(at) {
            *weight += 1.0;
        }
    }

    /// The quantiles; `None` once less than one sample is left.
    pub(super) fn read(&self, at_ms: u64) -> Option<Latency> {
        let sum: f32 = self.weights.iter().sum();
        let samples = sum * fade(self.faded_ms, at_ms);
        // A hair less than one, for the one sample that has just faded by some milliseconds.
        (samples > 0.5).then(|| Latency {
            p50_ms: self.quantile(0.50 * sum),
            p95_ms: self.quantile(0.95 * sum),
            samples: count(samples),
        })
    }

    /// The upper end of the bucket in which so much weight is reached.
    fn quantile(&self, reached: f32) -> u64 {
        let mut sum = 0.0;
        let found = self.weights.iter().zip(ENDS_US).find(|(weight, _)| {
            sum += **weight;
            sum >= reached && **weight > 0.0
        });
        let last = || self.weights.iter().zip(ENDS_US).rev().find(|(weight, _)| **weight > 0.0);
        found.or_else(last).map_or(0, |(_, end_us)| end_us.div_ceil(1_000))
    }
}

/// What is left of a weight.
#[expect(clippy::cast_possible_truncation, reason = "a number between 0 and 1")]
fn fade(from_ms: u64, to_ms: u64) -> f32 {
    let passed = Duration::from_millis(to_ms.saturating_sub(from_ms)).as_secs_f64() * 1_000.0;
    (-passed / HALF_LIFE_MS).exp2() as f32
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a sum of weights is not negative, and the cast saturates"
)]
fn count(samples: f32) -> u32 {
    samples.round() as u32
}

#[expect(clippy::indexing_slicing, reason = "the loop stays within both lists, checked when compiled")]
const fn ends() -> [u64; BUCKETS] {
    let mut ends = [0; BUCKETS];
    let mut at = 0;
    while at < BUCKETS {
        ends[at] = FIRST_US[at % 4] << (at / 4);
        at += 1;
    }
    ends
}

#[cfg(test)]
mod tests;
