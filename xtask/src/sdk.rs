//! Runs the unmodified SDKs: against the fake upstream itself, and against the gateway.
//!
//! The first proves the fake and the scripts; only then does the second say something about
//! the gateway. Each script runs over a provider of either older dialect, those of the Responses API over
//! a provider of it and on a built-in model too. Those of [`libraries`] are told what they must be given.
//! Those of [`pools`] come last: what they ask for, only the gateway gives.
//!
//! - Start with [`run`].

mod libraries;
mod pools;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use crate::child::Child;
use crate::gateway::{Auth, Setup};
use crate::place::{Place, Profile, run as run_command};
use crate::steps::Steps;
use crate::tools;

pub(crate) use libraries::compare;

/// A script with the program that runs it.
struct Script {
    program: PathBuf,
    path: PathBuf,
}

/// What a script talks to.
struct Server<'a> {
    address: SocketAddr,
    model: &'a str,
    nested: &'a str,
    embedding: &'a str,
}

/// Which scripts are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    /// Those that need no gateway.
    Direct,
    /// Those of `cargo xtask test`.
    Ordinary,
    /// Those that are too large for it as well.
    All,
}

/// Builds what is needed and runs the scripts.
pub(crate) fn run(place: &Place, which: Which) -> anyhow::Result<()> {
    let with_gateway = which != Which::Direct;
    let mut steps = Steps::default();
    let packages: &[&str] =
        if with_gateway { &["-p", "baton", "-p", "baton-testkit"] } else { &["-p", "baton-testkit"] };
    let build = [&["build", "--bins"], packages].concat();
    if steps.step("build", || run_command(&mut place.cargo(&build))) {
        all(place, &mut steps, Profile::Dev, with_gateway);
        if which == Which::All {
            steps.step("deepagents, against the gateway", || pools::deepagents(place, Profile::Dev));
        }
    }
    steps.close()
}

/// Every script directly, then every script through the gateway.
pub(crate) fn all(place: &Place, steps: &mut Steps, profile: Profile, with_gateway: bool) {
    steps.step("SDKs against the fake upstream", || {
        let (_fake, address) = fake(place, profile)?;
        run_scripts(
            &scripts(place)?,
            &Server { address, model: "fake-small", nested: "vendor/fake-nested", embedding: "fake-small" },
        )
    });
    if with_gateway {
        // What a chat or a message asks for that the Responses API has no member for, a provider of it cannot give.
        let all: fn(&Place) -> anyhow::Result<Vec<Script>> = scripts;
        let models = [
            ("oai/fake-small", all),
            ("ant/fake-small", all),
            ("resp/fake-small", of_responses),
            ("echo/tool", of_responses),
        ];
        for (model, scripts) in models {
            steps.step(&format!("SDKs against the gateway, {model}"), || {
                let (_fake, fake) = fake(place, profile)?;
                let folder = place.scratch("sdk")?;
                let setup =
                    Setup { place, profile, folder, fake, database: None, wrapper: &[], auth: Auth::Open };
                let gateway = setup.start()?;
                run_scripts(
                    &scripts(place)?,
                    &Server { address: gateway.address, model, nested: model, embedding: "oai/fake-small" },
                )
            });
        }
    }
    steps.step("libraries over a scripted upstream", || libraries::run(place, profile, with_gateway));
    if with_gateway {
        steps.step("SDKs that hand over, against the gateway", || pools::run(place, profile));
    }
}

/// Starts the fake upstream.
pub(crate) fn fake(place: &Place, profile: Profile) -> anyhow::Result<(Child, SocketAddr)> {
    let mut command = Command::new(place.binary(profile, "fake-upstream"));
    Child::start_listening("fake-upstream", command.args(["--listen", "127.0.0.1:0"]))
}

fn scripts(place: &Place) -> anyhow::Result<Vec<Script>> {
    let mut scripts = vec![
        python(place, "a", "openai_chat.py")?,
        python(place, "b", "openai_chat.py")?,
        python(place, "b", "anthropic_messages.py")?,
        node(place, "openai_chat.mjs")?,
        node(place, "anthropic_messages.mjs")?,
        node(place, "ai_sdk.mjs")?,
    ];
    scripts.extend(of_responses(place)?);
    Ok(scripts)
}

/// Those that ask for responses.
fn of_responses(place: &Place) -> anyhow::Result<Vec<Script>> {
    Ok(vec![
        python(place, "a", "openai_responses.py")?,
        python(place, "b", "openai_responses.py")?,
        node(place, "openai_responses.mjs")?,
    ])
}

fn python(place: &Place, set: &str, file: &str) -> anyhow::Result<Script> {
    let program = tools::python(place, set)?.join("python");
    Ok(Script { program, path: place.root.join("tests/sdk/python").join(file) })
}

fn node(place: &Place, file: &str) -> anyhow::Result<Script> {
    Ok(Script { program: "node".into(), path: tools::node(place)?.join(file) })
}

/// Runs all of them, also after one has failed.
fn run_scripts(scripts: &[Script], server: &Server<'_>) -> anyhow::Result<()> {
    let mut failed = 0;
    for script in scripts {
        let mut command = common(script, server.address);
        command.env("MODEL", server.model).env("NESTED", server.nested).env("EMBEDDING", server.embedding);
        if !command.status()?.success() {
            failed += 1;
        }
    }
    finish(failed, scripts.len())
}

/// The script with what every script is given: where the server is, and no key of the user's.
fn common(script: &Script, address: SocketAddr) -> Command {
    let mut command = Command::new(&script.program);
    command
        .arg(&script.path)
        .env("BASE_URL", format!("http://{address}"))
        .env("API_KEY", "sk-sdk-check")
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env_remove("OPENAI_API_KEY")
        .env_remove("ANTHROPIC_API_KEY")
        .env_remove("DEDALUS_API_KEY");
    command
}

fn finish(failed: usize, all: usize) -> anyhow::Result<()> {
    anyhow::ensure!(failed == 0, "{failed} of {all} scripts failed");
    Ok(())
}
