//! Keeps `openapi/openapi.json` equal to what the code says.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, bail};

use crate::place::{Place, Profile};

/// Writes the document.
pub(crate) fn write(place: &Place) -> anyhow::Result<()> {
    fs::write(file(place), generate(place)?).context("writing openapi/openapi.json")
}

/// Fails when the document is not what the code says.
pub(crate) fn check(place: &Place) -> anyhow::Result<()> {
    let committed = fs::read(file(place)).context("reading openapi/openapi.json")?;
    if committed == generate(place)? {
        println!("openapi/openapi.json is what the code says");
        Ok(())
    } else {
        bail!("openapi/openapi.json is not what the code says; run `cargo xtask openapi`")
    }
}

fn file(place: &Place) -> PathBuf {
    place.root.join("openapi/openapi.json")
}

fn generate(place: &Place) -> anyhow::Result<Vec<u8>> {
    let mut build = place.cargo(&["build", "--quiet", "-p", "baton"]);
    anyhow::ensure!(build.status()?.success(), "the gateway does not build");
    let mut command = std::process::Command::new(place.binary(Profile::Dev, "baton"));
    let output = command.arg("openapi").output().context("running `baton openapi`")?;
    if output.status.success() {
        Ok(output.stdout)
    } else {
        bail!("`baton openapi` failed: {}", String::from_utf8_lossy(&output.stderr))
    }
}
