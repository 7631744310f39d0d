//! Reads files of outcomes: one JSON object a line, plain or compressed with gzip.
//!
//! A row is `id`, `task`, `prompt`, perhaps `tools` and `in_tok`, and `m` with one list for each model.
//! The first item of a list is the score, from 0 to 1, or null where it was not recorded. What
//! follows depends on the length:
//!
//! | items | meaning |
//! |---|---|
//! | 1 | score |
//! | 3 | score, output tokens, final answer |
//! | 5 | score, input tokens, output tokens, latency, estimate of the output tokens |
//!
//! - Start with [`DataFile::read`].
//! - **Invariant:** a row that cannot be read stops the run, with file and line.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, bail};
use aws_lc_rs::digest;
use flate2::read::MultiGzDecoder;
use serde::Deserialize;
use serde_json::Value;

use super::models;

const GZIP: [u8; 2] = [0x1f, 0x8b];

/// One file of outcomes.
#[derive(Debug)]
pub(super) struct DataFile {
    /// Without folder and `.gz`.
    pub(super) name: String,
    /// Of the uncompressed content.
    pub(super) sha256: String,
    pub(super) rows: Vec<Row>,
}

/// What every model made of one prompt.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) task: String,
    pub(super) prompt: String,
    /// An estimate where the row does not say.
    pub(super) input_tokens: f64,
    /// By the model's name in [`models`].
    pub(super) outcomes: BTreeMap<String, Outcome>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Outcome {
    pub(super) score: f64,
    pub(super) input_tokens: Option<f64>,
    pub(super) output_tokens: Option<f64>,
}

#[derive(Deserialize)]
struct RawRow {
    task: String,
    prompt: String,
    #[serde(default)]
    tools: Option<Value>,
    in_tok: Option<f64>,
    m: BTreeMap<String, Vec<Value>>,
}

impl DataFile {
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        let shown = path.display();
        let mut bytes = fs::read(path).with_context(|| format!("reading {shown}"))?;
        if bytes.starts_with(&GZIP) {
            let mut plain = Vec::new();
            MultiGzDecoder::new(&*bytes)
                .read_to_end(&mut plain)
                .with_context(|| format!("uncompressing {shown}"))?;
            bytes = plain;
        }
        let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
        let name = name.strip_suffix(".gz").unwrap_or(&name);
        Self::parse(name, &bytes)
    }

    pub(super) fn parse(name: &str, bytes: &[u8]) -> anyhow::Result<Self> {
        let mut rows = Vec::new();
        for (at, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
            if line.trim_ascii().is_empty() {
                continue;
            }
            let raw: RawRow =
                serde_json::from_slice(line).with_context(|| format!("{name}, line {}", at + 1))?;
            rows.push(Row::of(raw).with_context(|| format!("{name}, line {}", at + 1))?);
        }
        Ok(Self { name: name.to_owned(), sha256: sha256(bytes), rows })
    }
}

impl Row {
    fn of(raw: RawRow) -> anyhow::Result<Self> {
        let mut outcomes = BTreeMap::new();
        let mut ranks = BTreeMap::new();
        for (name, values) in &raw.m {
            let Some(outcome) = Outcome::of(values).with_context(|| format!("model `{name}`"))? else {
                continue;
            };
            // A file may have a model twice, under two names or asked in two ways: the first choice counts.
            let (name, rank) = models::named(name);
            if ranks.get(&name).is_none_or(|best| rank < *best) {
                ranks.insert(name.clone(), rank);
                outcomes.insert(name, outcome);
            }
        }
        let tools = match &raw.tools {
            Some(Value::String(text)) => text.len(),
            Some(other) => other.to_string().len(),
            None => 0,
        };
        let bytes = raw.prompt.len() + tools;
        let input_tokens = raw.in_tok.unwrap_or(bytes as f64 / 4.0);
        Ok(Self { task: raw.task, prompt: raw.prompt, input_tokens, outcomes })
    }
}

impl Outcome {
    /// Nothing where the score was not recorded.
    fn of(values: &[Value]) -> anyhow::Result<Option<Self>> {
        let number = |value: Option<&Value>| value.and_then(Value::as_f64);
        let (score, input_tokens, output_tokens) = match values {
            [score] => (score, None, None),
            [score, output, _answer] => (score, None, number(Some(output))),
            [score, input, output, _latency, estimate] => {
                (score, number(Some(input)), number(Some(output)).or_else(|| number(Some(estimate))))
            }
            _ => bail!("{} items, expected 1, 3 or 5", values.len()),
        };
        if score.is_null() {
            return Ok(None);
        }
        match score.as_f64() {
            Some(score) if (0.0..=1.0).contains(&score) => {
                Ok(Some(Self { score, input_tokens, output_tokens }))
            }
            _ => bail!("the score is {score}, expected a number from 0 to 1"),
        }
    }
}

fn sha256(bytes: &[u8]) -> String {
    digest::digest(&digest::SHA256, bytes).as_ref().iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests;
