//! Counts money in whole nano-dollars, so that sums are exact.

use std::fmt;
use std::iter::Sum;
use std::ops::Add;

use serde::{Deserialize, Serialize};

use crate::Usage;

/// An amount in nano-dollars (10⁻⁹ US dollars).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NanoUsd(pub u64);

impl Add for NanoUsd {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sum for NanoUsd {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self(0), Add::add)
    }
}

impl fmt::Display for NanoUsd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "${}.{:09}", self.0 / 1_000_000_000, self.0 % 1_000_000_000)
    }
}

/// What a model costs, in nano-dollars per million tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Price {
    /// Input tokens that no cache served.
    pub input: NanoUsd,
    /// Output tokens, reasoning included.
    pub output: NanoUsd,
    /// Input tokens read from a prompt cache; without a value the input price holds.
    pub cached_input: Option<NanoUsd>,
    /// Input tokens written to a prompt cache; without a value the input price holds.
    pub cache_write: Option<NanoUsd>,
    /// Those of them that are kept for an hour; without a value they cost as the others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_write_1h: Option<NanoUsd>,
}

impl Price {
    /// What the usage costs, rounded up to a whole nano-dollar once at the end.
    #[must_use]
    pub fn cost(&self, usage: &Usage) -> NanoUsd {
        let cached = usage.cached_input_tokens.min(usage.input_tokens);
        let written = usage.cache_write_tokens.min(usage.input_tokens - cached);
        let long = usage.cache_write_1h_tokens.min(written);
        let plain = usage.input_tokens - cached - written;
        let write = self.cache_write.unwrap_or(self.input);
        let rows = [
            (plain, self.input),
            (cached, self.cached_input.unwrap_or(self.input)),
            (written - long, write),
            (long, self.cache_write_1h.unwrap_or(write)),
            (usage.output_tokens, self.output),
        ];
        let costs = rows.iter().map(|(tokens, price)| u128::from(*tokens) * u128::from(price.0));
        let micro = costs.fold(0, u128::saturating_add);
        NanoUsd(u64::try_from(micro.div_ceil(1_000_000)).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cached_tokens_are_part_of_the_input_and_have_their_own_price() {
        let price = Price {
            input: NanoUsd(150_000_000),
            output: NanoUsd(600_000_000),
            cached_input: Some(NanoUsd(75_000_000)),
            cache_write: None,
            cache_write_1h: None,
        };
        let usage =
            Usage { input_tokens: 1_000, cached_input_tokens: 400, output_tokens: 10, ..Usage::default() };
        assert_eq!(price.cost(&usage), NanoUsd(600 * 150 + 400 * 75 + 10 * 600));
        assert_eq!(NanoUsd(126_000).to_string(), "$0.000126000");
    }
}
