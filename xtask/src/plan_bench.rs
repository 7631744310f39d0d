//! Measures what deciding and translating cost: instructions, which are the same on a busy machine, and CPU time.
//!
//! Each part is run twice under `callgrind`, with few rounds and with more: the difference is the
//! rounds' own. The counts are kept in the crate's `benches`; a change beyond
//! [`NOISE_PERMILLE`] is said, and with `--check` fails when it is for the worse.
//!
//! - The counts belong to one compiler and one kind of processor: keep them anew when either changes.
//! - CPU times are shown beside their bars and never fail a run.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail, ensure};
use serde::{Deserialize, Serialize};

use crate::place::{Place, on_path, run, run_quietly};

/// What may differ for no reason of ours, in thousandths.
const NOISE_PERMILLE: u64 = 30;

/// One thing that is measured.
pub(crate) struct Part {
    pub(crate) mode: &'static str,
    /// Rounds of the second run under the instruction counter; the first has a tenth of it.
    pub(crate) rounds: u64,
    /// The most CPU time that an issue allows for one, in nanoseconds.
    pub(crate) bar_nanos: Option<u64>,
}

/// A program that runs each of its parts as often as it is told.
pub(crate) struct Program {
    pub(crate) package: &'static str,
    pub(crate) example: &'static str,
    /// Where the counts are kept.
    pub(crate) kept: &'static str,
    pub(crate) parts: &'static [Part],
}

const PLAN: Program = Program {
    package: "baton-policy",
    example: "plan_cost",
    kept: "crates/baton-policy/benches/plan.json",
    parts: &[
        Part { mode: "plan-20-10", rounds: 2_000, bar_nanos: Some(20_000) },
        Part { mode: "plan-1000", rounds: 100, bar_nanos: Some(1_000_000) },
        Part { mode: "features-100k", rounds: 500, bar_nanos: Some(40_000) },
        Part { mode: "rules-10", rounds: 2_000, bar_nanos: None },
        Part { mode: "scorer-1k", rounds: 2_000, bar_nanos: None },
    ],
};

/// How a count stands to the one that is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Better,
    Same,
    Worse,
    New,
}

/// What is done with the counts that are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    /// They are shown.
    Shown,
    /// They are a limit.
    Checked,
    /// They are replaced.
    Replaced,
}

impl Kept {
    /// By the switches of a command.
    pub(crate) const fn of(check: bool, keep: bool) -> Self {
        match (check, keep) {
            (_, true) => Self::Replaced,
            (true, false) => Self::Checked,
            (false, false) => Self::Shown,
        }
    }
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Counts {
    /// Instructions of one round, by part.
    instructions: BTreeMap<String, u64>,
}

/// Measures every part of deciding and prints a table.
pub(crate) fn plan(place: &Place, kept: Kept) -> anyhow::Result<()> {
    count(place, &PLAN, kept)
}

/// Measures every part of a program and prints a table.
pub(crate) fn count(place: &Place, of: &Program, kept: Kept) -> anyhow::Result<()> {
    ensure!(on_path("valgrind").is_some(), "valgrind is not installed: it counts the instructions");
    run(&mut place.cargo(&["build", "--release", "-p", of.package, "--example", of.example, "--locked"]))?;
    let program = place.target.join("release/examples").join(of.example);
    let file = place.root.join(of.kept);
    let before = read(&file)?;
    let mut now = Counts::default();
    let mut worse = Vec::new();
    println!("{:<26} {:>13} {:>13} {:>7} {:>9} {:>9}", "", "instructions", "kept", "", "CPU µs", "bar µs");
    for part in of.parts {
        let count = instructions(&program, part)?;
        let nanos = cpu_nanos(&program, part)?;
        let was = before.instructions.get(part.mode).copied();
        let standing = standing(was, count);
        let micros = |nanos: u64| format!("{}.{:01}", nanos / 1_000, nanos % 1_000 / 100);
        println!(
            "{:<26} {count:>13} {:>13} {:>7} {:>9} {:>9}",
            part.mode,
            was.map_or_else(|| "-".to_owned(), |was| was.to_string()),
            word(standing),
            micros(nanos),
            part.bar_nanos.map_or_else(|| "-".to_owned(), micros),
        );
        if standing == Standing::Worse {
            worse.push(part.mode);
        }
        now.instructions.insert(part.mode.to_owned(), count);
    }
    match kept {
        Kept::Shown => Ok(()),
        Kept::Checked if worse.is_empty() => Ok(()),
        Kept::Checked => bail!("{} takes more instructions than before", worse.join(", ")),
        Kept::Replaced => write(&file, &now),
    }
}

/// What one round takes: the difference of two runs, so that what stands around the rounds is left out.
fn instructions(program: &Path, part: &Part) -> anyhow::Result<u64> {
    let few = part.rounds / 10;
    let more = counted(program, part.mode, part.rounds)?;
    let less = counted(program, part.mode, few)?;
    let rounds = part.rounds - few;
    more.checked_sub(less)
        .and_then(|all| all.checked_div(rounds))
        .context("more rounds took fewer instructions")
}

fn counted(program: &Path, mode: &str, rounds: u64) -> anyhow::Result<u64> {
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(program);
    let text = run_quietly(command.args([mode, &rounds.to_string()]))?;
    collected(&text).with_context(|| format!("valgrind gave no count:\n{text}"))
}

/// The number behind `Collected :`.
fn collected(text: &str) -> Option<u64> {
    let (_, rest) = text.split_once("Collected :")?;
    rest.split_ascii_whitespace().next()?.parse().ok()
}

fn cpu_nanos(program: &Path, part: &Part) -> anyhow::Result<u64> {
    let text = run_quietly(Command::new(program).args([part.mode, &part.rounds.to_string(), "time"]))?;
    text.trim().parse().with_context(|| format!("`{}` gave no time: {text}", part.mode))
}

fn standing(was: Option<u64>, is: u64) -> Standing {
    let Some(was) = was else { return Standing::New };
    let scaled = |count: u64, permille: u64| u128::from(count) * u128::from(permille);
    if scaled(is, 1_000) > scaled(was, 1_000 + NOISE_PERMILLE) {
        Standing::Worse
    } else if scaled(is, 1_000) < scaled(was, 1_000 - NOISE_PERMILLE) {
        Standing::Better
    } else {
        Standing::Same
    }
}

const fn word(standing: Standing) -> &'static str {
    match standing {
        Standing::Better => "better",
        Standing::Same => "same",
        Standing::Worse => "worse",
        Standing::New => "new",
    }
}

/// Nothing is kept before the first time.
fn read(file: &Path) -> anyhow::Result<Counts> {
    if !file.exists() {
        return Ok(Counts::default());
    }
    let text = std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
    serde_json::from_str(&text).with_context(|| format!("reading {}", file.display()))
}

fn write(file: &Path, counts: &Counts) -> anyhow::Result<()> {
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    }
    let text = serde_json::to_string_pretty(counts).context("writing the counts")? + "\n";
    std::fs::write(file, text).with_context(|| format!("writing {}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_in_a_hundred_are_noise() {
        assert_eq!(standing(Some(1_000), 1_030), Standing::Same);
        assert_eq!(standing(Some(1_000), 1_031), Standing::Worse);
        assert_eq!(standing(Some(1_000), 970), Standing::Same);
        assert_eq!(standing(Some(1_000), 969), Standing::Better);
        assert_eq!(standing(None, 969), Standing::New);
    }

    #[test]
    fn the_count_of_callgrind_is_read() {
        let text = "sum 3\n==7== \n==7== Events    : Ir\n==7== Collected : 1234567\n==7== \n";
        assert_eq!(collected(text), Some(1_234_567));
        assert_eq!(collected("==7== no such line"), None);
    }
}
