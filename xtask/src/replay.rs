//! Derives every decision of the black-box tests again, from what their servers left on disk.
//!
//! The tests keep the folders of their servers where a variable says. `baton policy replay` then goes
//! through each of them in a process of its own, so that nothing is known but the records.
//!
//! - Start with [`Homes::make`], and [`Homes::replay`] after the tests.
//! - **Invariant:** a run that replayed next to nothing fails, like one in which a decision came out
//!   otherwise.

use std::collections::VecDeque;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use anyhow::{Context, bail};
use serde::Deserialize;

use crate::place::{Place, Profile};

/// The variable of the tests, as `baton_testkit::process::KEEP` has it.
const KEEP: &str = "BATON_KEEP_HOMES";

/// Fewer decisions than this are no proof: the tests make several times as many.
const FEWEST: u64 = 1_000;

/// The folders that tests leave behind. They go with this value.
#[derive(Debug)]
pub(crate) struct Homes {
    folder: PathBuf,
}

/// What became of decisions.
#[derive(Debug, Default, Deserialize)]
struct Said {
    replayed: u64,
    same: u64,
    /// They follow from a failure of another one, and have nothing to be derived from.
    without_plan: u64,
    differs: Vec<serde_json::Value>,
    not_replayable: Vec<serde_json::Value>,
}

impl Homes {
    /// An empty folder for them.
    pub(crate) fn make(place: &Place) -> anyhow::Result<Self> {
        place.scratch("homes").map(|folder| Self { folder })
    }

    /// Tells the tests of a command to keep what they make.
    pub(crate) fn keep<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        command.env(KEEP, &self.folder)
    }

    /// Replays what is there, with the binary that the tests used.
    pub(crate) fn replay(&self, place: &Place) -> anyhow::Result<()> {
        let began = Instant::now();
        let binary = place.binary(Profile::Dev, "baton");
        let mut queue = VecDeque::new();
        let (mut elsewhere, mut empty) = (0_u32, 0_u32);
        for home in self.found()? {
            match home {
                Home::Whole(data) => queue.push_back(data),
                Home::Elsewhere => elsewhere += 1,
                Home::Empty => empty += 1,
            }
        }
        let homes = queue.len();
        let queue = Mutex::new(queue);
        let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        let sum = Mutex::new((Said::default(), Vec::new()));
        let work = || {
            while let Some(data) = next() {
                let said = replayed(&binary, &self.folder, &data);
                let mut sum = sum.lock().unwrap_or_else(PoisonError::into_inner);
                match said {
                    Ok(said) => sum.0.add(said),
                    Err(error) => sum.1.push(format!("{}: {error:#}", data.display())),
                }
            }
        };
        thread::scope(|scope| {
            for _ in 0..thread::available_parallelism().map_or(1, NonZero::get) {
                scope.spawn(work);
            }
        });
        let (sum, failures) = sum.into_inner().unwrap_or_else(PoisonError::into_inner);
        for wrong in sum.differs.iter().chain(&sum.not_replayable) {
            println!("{wrong}");
        }
        println!(
            "{} decisions of {homes} data directories replayed in {:.1} s: {} identical, {} differ, {} not replayable; \
             {} more follow from a failure and have no plan of their own; skipped: {elsewhere} directories \
             whose store is elsewhere, {empty} folders without a server",
            sum.replayed,
            began.elapsed().as_secs_f64(),
            sum.same,
            sum.differs.len(),
            sum.not_replayable.len(),
            sum.without_plan,
        );
        if !failures.is_empty() {
            bail!("{} data directories could not be read:\n{}", failures.len(), failures.join("\n"));
        }
        if !sum.differs.is_empty() || !sum.not_replayable.is_empty() || sum.same != sum.replayed {
            bail!("not every decision is derived again as it was recorded");
        }
        if sum.replayed < FEWEST {
            bail!("only {} decisions were replayed, expected at least {FEWEST}", sum.replayed);
        }
        Ok(())
    }

    /// Every folder of a test, in the order of their names.
    fn found(&self) -> anyhow::Result<Vec<Home>> {
        let entries = std::fs::read_dir(&self.folder).context("looking for what the tests left")?;
        let mut homes = entries.map(|entry| Ok(entry?.path())).collect::<anyhow::Result<Vec<_>>>()?;
        homes.sort();
        homes.iter().map(|home| Home::at(home)).collect()
    }
}

impl Drop for Homes {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.folder) {
            println!("warning: {} could not be removed: {error}", self.folder.display());
        }
    }
}

/// What the folder of one test has.
#[derive(Clone, Debug)]
enum Home {
    /// A data directory with everything.
    Whole(PathBuf),
    /// A journal, and the store in a database that went with the test.
    Elsewhere,
    /// Nothing: no server ever ran, as in most tests of the command line.
    Empty,
}

impl Home {
    fn at(home: &Path) -> anyhow::Result<Self> {
        for entry in std::fs::read_dir(home)? {
            let folder = entry?.path();
            if folder.join("journal").is_dir() {
                let whole = folder.join("baton.db").is_file();
                return Ok(if whole { Self::Whole(folder) } else { Self::Elsewhere });
            }
        }
        Ok(Self::Empty)
    }
}

impl Said {
    fn add(&mut self, more: Self) {
        self.replayed += more.replayed;
        self.same += more.same;
        self.without_plan += more.without_plan;
        self.differs.extend(more.differs);
        self.not_replayable.extend(more.not_replayable);
    }
}

/// Replays one data directory. There is no configuration: the records must do.
fn replayed(binary: &Path, folder: &Path, data: &Path) -> anyhow::Result<Said> {
    let mut command = Command::new(binary);
    command.args(["policy", "replay", "--json", "--last"]).arg(u32::MAX.to_string());
    command.arg("--data-dir").arg(data).env_clear().current_dir(folder);
    let output = command.output().with_context(|| format!("starting {}", binary.display()))?;
    serde_json::from_slice(&output.stdout).with_context(|| {
        format!("it ended with {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim())
    })
}
