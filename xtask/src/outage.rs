//! Takes the store and the disk away under load, and lets the test beside it count what was lost.
//!
//! The test (`tests/outage.rs`) needs a Postgres that it may stop, freeze and starve: it is started
//! here, for it alone.

use std::process::{Command, Stdio};

use anyhow::{Context, bail};

use crate::place::{Place, is_ci, run};
use crate::postgres::Postgres;
use crate::steps::Went;

/// What lets a process mount file systems of its own.
const APART: &str = "unshare";

/// Runs every outage, each as long as this.
pub(crate) fn outage(place: &Place, secs: u32) -> anyhow::Result<()> {
    let stores = stores(place, secs);
    let disks = disks(place, secs)?;
    stores?;
    match disks {
        Went::Through => Ok(()),
        Went::Skipped(why) if is_ci() => bail!("nothing may be skipped here: {why}"),
        Went::Skipped(why) => {
            println!("SKIPPED the full disk: {why}");
            Ok(())
        }
    }
}

/// The store is taken away.
pub(crate) fn stores(place: &Place, secs: u32) -> anyhow::Result<()> {
    let postgres = Postgres::start_own(place, "outages")?;
    let description = postgres.description().context("a server of our own")?;
    let mut command = place.cargo(&["test", "--workspace", "--test", "outage", "--", "store::"]);
    command.env("BATON_OUTAGE_SERVER", description.to_string()).env("TEST_DATABASE_URL", &postgres.url);
    run(measured(&mut command, secs))
}

/// The disk is full.
pub(crate) fn disks(place: &Place, secs: u32) -> anyhow::Result<Went> {
    let probe = Command::new(APART).args(["-rm", "true"]).stderr(Stdio::null()).status();
    if !probe.is_ok_and(|status| status.success()) {
        return Ok(Went::Skipped("`unshare -rm` is not allowed here".to_owned()));
    }
    // Built outside: what runs apart may not be able to.
    run(&mut place.cargo(&["test", "--workspace", "--test", "outage", "--no-run"]))?;
    let test = place.cargo(&["test", "--workspace", "--test", "outage", "--", "disk::"]);
    let mut command = Command::new(APART);
    command.arg("-rm").arg(test.get_program()).args(test.get_args()).current_dir(&place.root);
    run(measured(command.env("BATON_OUTAGE_MOUNTS", "1"), secs))?;
    Ok(Went::Through)
}

fn measured(command: &mut Command, secs: u32) -> &mut Command {
    command.args(["--nocapture", "--test-threads=1"]).env("BATON_OUTAGE_SECS", secs.to_string())
}
