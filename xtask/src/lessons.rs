//! Asks a gateway's audit log for what was said of its decisions, as rows that the scorer is trained on.

use std::path::Path;
use std::process::Command;

use anyhow::Context;

use crate::place::{Place, Profile, run};

/// The lessons of the log that this configuration names. That content was read for it is recorded there.
pub(crate) fn told(place: &Place, config: &Path) -> anyhow::Result<Vec<u8>> {
    run(&mut place.cargo(&["build", "--release", "--package", "baton", "--locked"]))?;
    let mut command = Command::new(place.binary(Profile::Release, "baton"));
    let output = command
        .arg("--config")
        .arg(config)
        .args(["audit", "lessons"])
        .output()
        .context("running `baton audit lessons`")?;
    anyhow::ensure!(
        output.status.success(),
        "`baton audit lessons` failed: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    print!("{}", String::from_utf8_lossy(&output.stderr));
    Ok(output.stdout)
}
