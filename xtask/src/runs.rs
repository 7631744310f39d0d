//! Runs the long forms of the tests of background runs. Their short forms are among the black-box tests.
//!
//! - [`kill`]: two gateways on one Postgres, one of which is killed again and again.
//! - [`budget`]: models that spend as much as they can, and an upstream that counts.

use std::process::Command;

use crate::place::{Place, run};
use crate::postgres::Postgres;

/// Kills so many times, over so many runs, on a Postgres that is started for it.
pub(crate) fn kill(place: &Place, kills: u32, runs: u32) -> anyhow::Result<()> {
    let postgres = Postgres::start_own(place, "runs")?;
    let mut command = test(place, "blackbox::runs::replicas::");
    command.env("BATON_RUN_KILLS", kills.to_string()).env("BATON_RUN_COUNT", runs.to_string());
    run(command.env("TEST_DATABASE_URL", &postgres.url))
}

/// Plays so many scripts.
pub(crate) fn budget(place: &Place, scripts: u32) -> anyhow::Result<()> {
    let mut command = test(place, "blackbox::runs::budgets::");
    run(command.env("BATON_BUDGET_SCRIPTS", scripts.to_string()))
}

/// The black-box tests of this name, which print their figures.
fn test(place: &Place, name: &str) -> Command {
    place.cargo(&["test", "--workspace", "--locked", "--test", "blackbox", "--", "--nocapture", name])
}
