//! Trains the scorer that `auto` ships with, and measures how well requests are routed.
//!
//! Both read rows of the form described in [`rows`]; where they come from is the caller's matter.
//!
//! - Start with [`train`] and [`eval`].
//! - **Invariant:** the same rows give the same bytes and the same figures. All dice are seeded, and no
//!   result depends on the order in which threads finish.
//! - **Never here:** features and the file format, which belong to the scorer itself.

mod curve;
mod dice;
mod labels;
mod lessons;
mod measure;
mod methods;
mod models;
mod prior;
mod problem;
mod report;
mod ridge;
mod rows;
mod training;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use problem::Problem;
use rows::DataFile;

/// What the rows of an audit log are called.
const LESSONS: &str = "audit";
/// Where the shipped file stands, under the project's folder.
pub(crate) const SHIPPED: &str = "crates/baton-policy/data/scorer-1.bin";

/// What is trained on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sources<'s> {
    /// A folder of outcomes.
    pub(crate) data: Option<&'s Path>,
    /// What was said of a gateway's decisions, as rows.
    pub(crate) lessons: Option<&'s [u8]>,
}

/// Trains on everything that may be used, and writes the scorer.
pub(crate) fn train(from: Sources<'_>, out: &Path) -> anyhow::Result<()> {
    let bytes = trained(from)?;
    fs::write(out, &bytes).with_context(|| format!("writing {}", out.display()))?;
    println!("wrote {} ({} bytes)", out.display(), bytes.len());
    Ok(())
}

/// Trains again and compares with what was written, byte for byte.
pub(crate) fn check(from: Sources<'_>, written: &Path) -> anyhow::Result<()> {
    let bytes = fs::read(written).with_context(|| format!("reading {}", written.display()))?;
    if bytes != trained(from)? {
        bail!("{} differs from what this data gives", written.display());
    }
    println!("{} is what this data gives", written.display());
    Ok(())
}

fn trained(from: Sources<'_>) -> anyhow::Result<Vec<u8>> {
    let mut files = from.data.map(folder).transpose()?.unwrap_or_default();
    if let Some(bytes) = from.lessons {
        let lessons = DataFile::parse(LESSONS, bytes)?;
        println!("{}", lessons::enough(&lessons, files.is_empty())?);
        files.push(lessons);
    }
    Ok(training::train(&files)?.encode()?)
}

/// Every file of a folder.
fn folder(data: &Path) -> anyhow::Result<Vec<DataFile>> {
    let listed = fs::read_dir(data).with_context(|| format!("reading {}", data.display()))?;
    let mut paths: Vec<PathBuf> = Vec::new();
    for entry in listed {
        let path = entry?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if name.ends_with(".jsonl") || name.ends_with(".jsonl.gz") {
            paths.push(path);
        }
    }
    paths.sort();
    if paths.is_empty() {
        bail!("no .jsonl or .jsonl.gz in {}", data.display());
    }
    read_all(&paths)
}

/// Measures all methods on the rows of the files together and prints the figures.
pub(crate) fn eval(data: &[PathBuf], models: &[String]) -> anyhow::Result<()> {
    let files = read_all(data)?;
    let problem = Problem::of(&files, models)?;
    let (inside, outside) = (measure::in_domain(&problem)?, measure::out_of_domain(&problem)?);
    report::print(&problem, &inside, outside.as_ref());
    Ok(())
}

fn read_all(paths: &[PathBuf]) -> anyhow::Result<Vec<DataFile>> {
    paths.iter().map(|path| DataFile::read(path)).collect()
}
