//! Writes the published matrix of translations from a run of the suite that makes it, and guards its share.
//!
//! The suite is a test of `baton-dialect` (`matrix_tests/fidelity`): it says what it found, this says whether that may
//! be published.
//!
//! - Start with [`write()`].
//! - **Invariant:** the share of lossless cells never falls.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};

use crate::place::{Place, run};

/// Where the matrix is published.
const PUBLISHED: &str = "docs/fidelity.md";
/// The tests that make it.
const SUITE: &str = "matrix_tests::fidelity";
/// How the line with the share begins.
const SHARE: &str = "Lossless: ";

/// Writes `docs/fidelity.md`.
pub(crate) fn write(place: &Place) -> anyhow::Result<()> {
    let found = found(place, &["-p", "baton-dialect"])?;
    let kept = fs::read_to_string(place.root.join(PUBLISHED)).ok();
    guard(kept.as_deref(), &found)?;
    fs::write(place.root.join(PUBLISHED), &found)?;
    println!("wrote {PUBLISHED}");
    Ok(())
}

/// Compares it with what the suite finds.
pub(crate) fn check(place: &Place) -> anyhow::Result<()> {
    // Another choice of packages would build the dependencies again with other features.
    let found = found(place, &["--workspace"])?;
    let kept = fs::read_to_string(place.root.join(PUBLISHED)).context(PUBLISHED)?;
    guard(Some(&kept), &found)?;
    ensure!(kept == found, "{PUBLISHED} is out of date: run `cargo xtask matrix`");
    Ok(())
}

/// What the suite finds, all of whose tests must pass.
fn found(place: &Place, packages: &[&str]) -> anyhow::Result<String> {
    let out: PathBuf = place.target.join("fidelity.md");
    let arguments = [&["test", "--locked", "--lib", "--quiet"], packages, &["--", SUITE]].concat();
    run(place.cargo(&arguments).env("BATON_MATRIX_OUT", &out))?;
    read(&out)
}

fn read(path: &Path) -> anyhow::Result<String> {
    fs::read_to_string(path).with_context(|| path.display().to_string())
}

/// Says the share, and fails when it is lower than the one that is kept.
fn guard(kept: Option<&str>, found: &str) -> anyhow::Result<()> {
    let new = Share::of(found)?;
    println!("{SHARE}{}", new.line);
    let Some(old) = kept.map(Share::of).transpose()? else { return Ok(()) };
    if new.cells.saturating_mul(old.of) < old.cells.saturating_mul(new.of) {
        bail!("the lossless share fell from {} to {}", old.line, new.line);
    }
    Ok(())
}

/// So many cells of so many.
struct Share<'a> {
    cells: u64,
    of: u64,
    line: &'a str,
}

impl<'a> Share<'a> {
    fn of(page: &'a str) -> anyhow::Result<Self> {
        let line = page.lines().find_map(|line| line.strip_prefix(SHARE));
        let line = line.with_context(|| format!("no line begins with `{SHARE}`"))?;
        let (_, counts) = line.split_once('(').context("the share has no counts")?;
        let mut counts = counts.split_whitespace().filter_map(|word| word.parse().ok());
        match (counts.next(), counts.next()) {
            (Some(cells), Some(of)) => Ok(Self { cells, of, line }),
            _ => bail!("the share has no counts: {line}"),
        }
    }
}

#[cfg(test)]
mod tests;
