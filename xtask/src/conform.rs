//! Runs the public conformance suite `llm-comply` against the gateway.
//!
//! - Its formats of the three surfaces, on the built-in models and over providers of every dialect.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use crate::gateway::{Auth, Setup};
use crate::place::{Place, Profile, run as run_command};
use crate::sdk;
use crate::steps::Steps;
use crate::tools;

/// Models by what stands behind them. The last makes the suite test thinking.
const MODELS: [&str; 5] =
    ["echo/tool", "oai/fake-small", "ant/fake-small", "resp/fake-small", "ant/fake-claude-sonnet-4"];

/// Builds what is needed and runs the suite.
pub(crate) fn run(place: &Place) -> anyhow::Result<()> {
    let mut steps = Steps::default();
    let build = ["build", "--bins", "-p", "baton", "-p", "baton-testkit"];
    if steps.step("build", || run_command(&mut place.cargo(&build))) {
        all(place, &mut steps, Profile::Dev);
    }
    steps.close()
}

/// The suite against the fake, to know that it can be passed, and against the gateway.
pub(crate) fn all(place: &Place, steps: &mut Steps, profile: Profile) {
    steps.step("llm-comply against the fake upstream", || {
        let (_fake, address) = sdk::fake(place, profile)?;
        suite(place, address, &["fake-claude-sonnet-4"])
    });
    steps.step("llm-comply against the gateway", || {
        let (_fake, fake) = sdk::fake(place, profile)?;
        let folder = place.scratch("conform")?;
        let setup = Setup { place, profile, folder, fake, database: None, wrapper: &[], auth: Auth::Open };
        let gateway = setup.start()?;
        suite(place, gateway.address, &MODELS)
    });
}

fn suite(place: &Place, address: SocketAddr, models: &[&str]) -> anyhow::Result<()> {
    let program = tools::python(place, "b")?.join("llm-comply");
    let mut failed = Vec::new();
    for model in models {
        for format in ["openai-chat", "open-responses", "anthropic"] {
            println!("llm-comply --format {format}, model {model}");
            if !format_passes(&program, address, model, format)? {
                failed.push(format!("{format} on {model}"));
            }
        }
    }
    anyhow::ensure!(failed.is_empty(), "failed: {}", failed.join(", "));
    Ok(())
}

fn format_passes(program: &Path, address: SocketAddr, model: &str, format: &str) -> anyhow::Result<bool> {
    let mut command = Command::new(program);
    command.args([
        "--format",
        format,
        "-u",
        &format!("http://{address}/v1"),
        "-k",
        "sk-conform",
        "-m",
        model,
    ]);
    if format == "anthropic" {
        command.args(["--auth-header", "x-api-key", "--no-bearer", "-H", "anthropic-version:2023-06-01"]);
    }
    Ok(command.status()?.success())
}
