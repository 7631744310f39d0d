//! Reads and writes the file that priors and weights are shipped in.
//!
//! Three parts: a line that names the format, one line of JSON that says everything but the weights
//! (`head -n 2` shows both), and the weights, one signed byte for each row and model, row by row.
//!
//! - Start with [`ScorerFile`].
//! - **Invariant:** what [`ScorerFile::parse`] accepts is complete and undamaged, and encodes to the
//!   same bytes again.
//! - **Never here:** paths, I/O, training.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::features::{FEATURES_REVISION, SHAPE_ROWS};
use super::{MAX_MODELS, WHOLE};
use crate::task::TaskKind;

/// The first line. Its number is that of the format, not of the weights.
const FORMAT: &[u8] = b"baton-scorer 1";

/// The buckets that a file may have, as powers of two.
const BITS: std::ops::RangeInclusive<u8> = 8..=14;

/// Why bytes are no file of a scorer.
#[derive(Debug, thiserror::Error)]
pub enum ScorerError {
    /// The first line is another.
    #[error("the file does not start with `baton-scorer 1`")]
    Format,
    /// The second line is not the header.
    #[error("the header cannot be read")]
    Header(#[source] serde_json::Error),
    /// The weights belong to another way of reading features.
    #[error("the weights are for revision {found} of the features, this program has {FEATURES_REVISION}")]
    Features {
        /// What the file says.
        found: u32,
    },
    /// A number of buckets that this program does not read.
    #[error("{bits} bits of hash, expected 8 to 14")]
    Bits {
        /// What the file says.
        bits: u8,
    },
    /// No model, or too many.
    #[error("{found} models, expected 1 to {MAX_MODELS}")]
    Models {
        /// How many the header names.
        found: usize,
    },
    /// One name twice.
    #[error("the model `{0}` stands there twice")]
    Twice(String),
    /// A prior or a share above the whole.
    #[error("a figure of `{place}` is more than the whole")]
    TooMuch {
        /// The model, or the name of the member.
        place: String,
    },
    /// Cut off, or something behind it.
    #[error("{found} bytes of weights, expected {expected}")]
    Length {
        /// How many the header asks for.
        expected: usize,
        /// How many there are.
        found: usize,
    },
    /// The weights are not those that were written.
    #[error("the weights do not match their checksum")]
    Damaged,
}

/// The file, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScorerFile {
    /// The second line.
    pub header: ScorerHeader,
    /// The weights: a row for each bucket, then one for each shape. Lanes without a model are 0.
    pub rows: Vec<[i8; MAX_MODELS]>,
}

/// Everything but the weights.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScorerHeader {
    /// The version of priors and weights.
    pub version: u32,
    /// Words for whoever opens the file.
    pub note: String,
    /// How a text becomes features.
    pub features: FeatureSpec,
    /// How much the text part counts.
    pub text_share: TextShare,
    /// What it was trained on.
    pub trained_on: Vec<ScorerSource>,
    /// The models, in the order of their lanes.
    pub models: Vec<ScorerModel>,
    /// FNV-1a over 64 bits of the weights, in hexadecimal; [`ScorerFile::encode`] sets it.
    pub checksum: String,
}

/// How a text becomes features.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeatureSpec {
    /// The revision of the features; see [`FEATURES_REVISION`].
    pub revision: u32,
    /// The number of buckets, as a power of two.
    pub bits: u8,
}

/// How much of the text part counts, in thousandths.
///
/// Weights that were learned on one kind of task may mislead on another, where the prior alone is the
/// safer answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TextShare {
    /// For the kinds that were trained.
    pub kinds: BTreeMap<TaskKind, u32>,
    /// For every other kind, and where the kind is not known.
    pub otherwise: u32,
}

impl TextShare {
    /// The share for a text of that kind.
    #[must_use]
    pub fn of(&self, kind: Option<TaskKind>) -> u32 {
        kind.and_then(|kind| self.kinds.get(&kind).copied()).unwrap_or(self.otherwise)
    }
}

/// One file that rows were trained on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScorerSource {
    /// Its name, without a folder and without `.gz`.
    pub file: String,
    /// The SHA-256 of its uncompressed content, in hexadecimal.
    pub sha256: String,
    /// How many rows were used.
    pub rows: u32,
    /// The terms of the data.
    pub licence: String,
}

/// What the header says of one model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScorerModel {
    /// As the catalogue points to it.
    pub name: String,
    /// What one unit of its weights is worth, in billionths.
    pub scale: u32,
    /// Its expected quality over all kinds, in millionths.
    pub prior: u32,
    /// The same for each kind.
    pub kinds: BTreeMap<TaskKind, KindPrior>,
}

/// A model's expected quality on one kind of task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KindPrior {
    /// In millionths.
    pub quality: u32,
    /// From how many outcomes; 0 when it was inferred from the model's other kinds.
    pub cases: u32,
}

impl ScorerFile {
    /// Reads the bytes and checks all that can be checked.
    ///
    /// # Errors
    ///
    /// [`ScorerError`] says what is wrong.
    pub fn parse(bytes: &[u8]) -> Result<Self, ScorerError> {
        let (format, rest) = split_line(bytes).ok_or(ScorerError::Format)?;
        if format != FORMAT {
            return Err(ScorerError::Format);
        }
        let (header, weights) = split_line(rest).unwrap_or((rest, &[]));
        let header: ScorerHeader = serde_json::from_slice(header).map_err(ScorerError::Header)?;
        header.check()?;
        let (models, rows) = (header.models.len(), header.rows());
        if weights.len() != rows * models {
            return Err(ScorerError::Length { expected: rows * models, found: weights.len() });
        }
        if header.checksum != checksum(weights) {
            return Err(ScorerError::Damaged);
        }
        let rows = weights.chunks_exact(models).map(widen).collect();
        Ok(Self { header, rows })
    }

    /// The bytes of the file.
    ///
    /// # Errors
    ///
    /// When header and rows do not fit together, so that [`Self::parse`] would refuse the bytes.
    pub fn encode(mut self) -> Result<Vec<u8>, ScorerError> {
        let models = self.header.models.len();
        let lanes = |row: &[i8; MAX_MODELS]| row.map(i8::cast_unsigned);
        let weights: Vec<u8> = self.rows.iter().flat_map(|row| lanes(row).into_iter().take(models)).collect();
        self.header.checksum = checksum(&weights);
        let mut bytes = FORMAT.to_vec();
        bytes.push(b'\n');
        serde_json::to_writer(&mut bytes, &self.header).map_err(ScorerError::Header)?;
        bytes.push(b'\n');
        bytes.extend(weights);
        Self::parse(&bytes)?;
        Ok(bytes)
    }
}

impl ScorerHeader {
    fn check(&self) -> Result<(), ScorerError> {
        let FeatureSpec { revision, bits } = self.features;
        if revision != FEATURES_REVISION {
            return Err(ScorerError::Features { found: revision });
        }
        if !BITS.contains(&bits) {
            return Err(ScorerError::Bits { bits });
        }
        if !(1..=MAX_MODELS).contains(&self.models.len()) {
            return Err(ScorerError::Models { found: self.models.len() });
        }
        let shares = self.text_share.kinds.values().chain([&self.text_share.otherwise]);
        if shares.into_iter().any(|share| *share > 1000) {
            return Err(ScorerError::TooMuch { place: "text_share".to_owned() });
        }
        let mut names = BTreeSet::new();
        for model in &self.models {
            if !names.insert(&model.name) {
                return Err(ScorerError::Twice(model.name.clone()));
            }
            let kinds = model.kinds.values().map(|prior| prior.quality);
            if kinds.chain([model.prior]).any(|prior| prior > WHOLE) || model.scale > 1_000_000_000 {
                return Err(ScorerError::TooMuch { place: model.name.clone() });
            }
        }
        Ok(())
    }

    /// How many rows of weights follow.
    fn rows(&self) -> usize {
        (1 << self.features.bits) + SHAPE_ROWS
    }
}

fn split_line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let (line, rest) = bytes.split_at_checked(end)?;
    Some((line, rest.get(1..)?))
}

fn widen(weights: &[u8]) -> [i8; MAX_MODELS] {
    std::array::from_fn(|lane| weights.get(lane).map_or(0, |weight| weight.cast_signed()))
}

fn checksum(bytes: &[u8]) -> String {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    format!("{:016x}", bytes.iter().fold(0xcbf2_9ce4_8422_2325, step))
}

#[cfg(test)]
pub(super) mod tests;
