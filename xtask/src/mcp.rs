//! MCP in both directions: Baton's client talks to servers made with the official SDKs, over both transports, and
//! their clients call the tools of Baton's own endpoint.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::bail;

use crate::gateway::{Auth, Setup};
use crate::place::{Place, Profile, run};
use crate::steps::Steps;
use crate::tools;

/// Builds the example and the gateway, and runs them.
pub(crate) fn check(place: &Place) -> anyhow::Result<()> {
    let mut steps = Steps::default();
    if steps.step("build", || run(&mut place.cargo(&["build", "-p", "baton", "--bins"]))) {
        all(place, &mut steps);
    }
    steps.close()
}

/// Every check against every server, and every client against the gateway.
pub(crate) fn all(place: &Place, steps: &mut Steps) {
    steps.step("MCP servers of the official SDKs", || {
        let servers = tools::mcp_servers(place)?;
        // The example prints how many of its checks passed.
        let arguments =
            ["run", "--quiet", "--locked", "-p", "baton-tools", "--example", "official_servers", "--"];
        run(place.cargo(&arguments).args(servers))
    });
    steps.step("MCP clients of the official SDKs against the gateway", || clients(place));
}

/// Lets each SDK call all tools of `/mcp`.
fn clients(place: &Place) -> anyhow::Result<()> {
    let [python_one, python_two, node] = tools::mcp_servers(place)?;
    let setup = Setup {
        place,
        profile: Profile::Dev,
        folder: place.scratch("mcp")?,
        // The tools ask nobody: the built-in models are enough.
        fake: SocketAddr::from(([127, 0, 0, 1], 9)),
        database: None,
        wrapper: &[],
        auth: Auth::Open,
    };
    let data = setup.folder.join("data");
    let gateway = setup.start_with(|listen| {
        format!("listen: {listen}\ndata_dir: \"{}\"\nproviders: {{}}\n", data.display())
    })?;
    let url = format!("http://{}/mcp", gateway.address);
    let script = place.root.join("tests/sdk/mcp/client.py");
    let with_node = |major: &'static str| -> (&'static str, PathBuf, Vec<PathBuf>) {
        let name = if major == "one" { "sdk 1 (TypeScript)" } else { "client 2 (TypeScript)" };
        (name, "node".into(), vec![node.join("client.mjs"), major.into()])
    };
    let runs = [
        ("mcp 1 (Python)", python_one, vec![script.clone()]),
        ("mcp 2 (Python)", python_two, vec![script]),
        with_node("one"),
        with_node("two"),
    ];
    let failed: Vec<&str> = runs
        .iter()
        .filter(|(_, program, arguments)| !speaks(program, arguments, &url))
        .map(|(name, ..)| *name)
        .collect();
    if failed.is_empty() {
        println!("{} of {} clients called all tools", runs.len(), runs.len());
        return Ok(());
    }
    bail!("{} could not call the tools of the gateway", failed.join(", "))
}

/// Whether a client's script comes to its end; it says itself what fails.
fn speaks(program: &Path, arguments: &[PathBuf], url: &str) -> bool {
    let status = Command::new(program).args(arguments).arg(url).status();
    status.is_ok_and(|status| status.success())
}
