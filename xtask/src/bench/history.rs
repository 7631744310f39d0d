//! Measures questions on a store that is full: Postgres, and SQLite beside it.
//!
//! The rows are made by the test kit's `history`, through a journal and a relay. Postgres is started
//! here and removed afterwards, with all that was written.
//!
//! - **Invariant:** with `check`, a figure beyond its bar fails the command.

use anyhow::Context;

use crate::place::{Place, Profile, run};
use crate::postgres::Postgres;

/// The embedded store is for fewer rows.
const MOST_SQLITE: u64 = 1_000_000;

/// Fills both stores and prints what asking costs.
pub(crate) fn history(place: &Place, rows: u64, check: bool) -> anyhow::Result<()> {
    run(&mut place.cargo(&["build", "--release", "-p", "baton-testkit", "--bin", "history", "--locked"]))?;
    let postgres = Postgres::find_or_start(place)?;
    let binary = place.binary(Profile::Release, "history");
    let measure = |store: &[&str], rows: u64| {
        let mut command = std::process::Command::new(&binary);
        command.args(store).args(["--rows", &rows.to_string()]);
        if check {
            command.arg("--check");
        }
        run(&mut command)
    };
    println!("\nPostgres");
    measure(&["--postgres", &postgres.url], rows)?;
    println!("\nSQLite");
    let folder = place.scratch("history")?;
    let shown = folder.to_str().context("the folder's name is no text")?;
    let measured = measure(&["--sqlite", shown], rows.min(MOST_SQLITE));
    std::fs::remove_dir_all(&folder).with_context(|| format!("removing {}", folder.display()))?;
    measured
}
