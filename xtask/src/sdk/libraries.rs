//! Runs the libraries and the helpers of the SDKs over a scripted upstream, by every way that leads to it.
//!
//! One upstream speaks every dialect. A script asks it without the gateway first, then through a provider of
//! each dialect: what it is told to answer, and what that costs, is what the library must give back each time.
//!
//! What the gateway answers is written down on its way, and compared with the schemas that the vendors publish.
//!
//! - Start with [`run`].

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::child::Child;
use crate::gateway::{Auth, Gateway, Setup};
use crate::place::{Place, Profile};

use super::{Script, common, finish, node, python};

/// The model that the upstream serves.
const MODEL: &str = "fake-small";

/// The providers, their dialects, what their base URL ends with, and where the upstream is asked.
const PROVIDERS: [(&str, &str, &str, &str); 3] = [
    ("oai", "openai_chat", "/v1", "/v1/chat/completions"),
    ("ant", "anthropic_messages", "", "/v1/messages"),
    ("resp", "openai_responses", "/v1", "/v1/responses"),
];

/// Every script, over the upstream itself, and through a gateway if there is to be one.
pub(super) fn run(place: &Place, profile: Profile, with_gateway: bool) -> anyhow::Result<()> {
    play(place, profile, with_gateway, &scripts(place)?)
}

/// These scripts.
pub(super) fn play(
    place: &Place,
    profile: Profile,
    with_gateway: bool,
    scripts: &[Script],
) -> anyhow::Result<()> {
    let (_upstream, upstream) = upstream(place, profile)?;
    let gateway = with_gateway.then(|| gateway(place, profile, upstream)).transpose()?;
    let recorder = gateway.as_ref().map(|gateway| Recorder::before(place, gateway.address)).transpose()?;
    let ways = ways(upstream, recorder.as_ref().map(|recorder| recorder.address));
    let mut failed = 0;
    for script in scripts {
        let mut command = common(script, gateway.as_ref().map_or(upstream, |gateway| gateway.address));
        command.env("UPSTREAM", format!("http://{upstream}")).env("WAYS", ways.to_string());
        // A library that can tell its maker about a run is not to do so.
        command.env("LANGSMITH_TRACING", "false");
        if !command.status()?.success() {
            failed += 1;
        }
    }
    finish(failed, scripts.len())?;
    recorder.map_or(Ok(()), |recorder| recorder.check(place))
}

/// Passes on to the gateway, and writes down what it answers.
struct Recorder {
    child: Child,
    address: SocketAddr,
    records: PathBuf,
}

impl Recorder {
    fn before(place: &Place, gateway: SocketAddr) -> anyhow::Result<Self> {
        let records = place.scratch("sdk-published")?.join("answers.ndjson");
        let mut command = published(place, "listen", &records)?;
        let (child, address) =
            Child::start_listening("published.py", command.arg(format!("http://{gateway}")))?;
        Ok(Self { child, address, records })
    }

    /// Compares what was written down with the schemas.
    fn check(self, place: &Place) -> anyhow::Result<()> {
        drop(self.child);
        let fits = published(place, "check", &self.records)?.status()?.success();
        anyhow::ensure!(fits, "answers do not fit the published schemas");
        Ok(())
    }
}

/// Compares what the black-box tests wrote down in this folder with the schemas.
pub(crate) fn compare(place: &Place, answers: &Path) -> anyhow::Result<()> {
    let fits = published(place, "folder", answers)?.status()?.success();
    anyhow::ensure!(fits, "answers do not fit the published schemas");
    Ok(())
}

fn published(place: &Place, task: &str, records: &Path) -> anyhow::Result<Command> {
    let script = python(place, "b", "published.py")?;
    let mut command = Command::new(script.program);
    command.arg(script.path).arg(task).arg(records).env("PYTHONDONTWRITEBYTECODE", "1");
    Ok(command)
}

fn scripts(place: &Place) -> anyhow::Result<Vec<Script>> {
    Ok(vec![
        python(place, "d", "pydantic_ai_agents.py")?,
        python(place, "d", "instructor_models.py")?,
        python(place, "d", "langchain_models.py")?,
        python(place, "d", "llama_index_like.py")?,
        python(place, "d", "litellm_client.py")?,
        python(place, "a", "openai_helpers.py")?,
        python(place, "b", "openai_helpers.py")?,
        python(place, "b", "anthropic_helpers.py")?,
        node(place, "openai_helpers.mjs")?,
        node(place, "anthropic_helpers.mjs")?,
        node(place, "ai_providers.mjs")?,
    ])
}

/// The ways to the upstream: none between, then each provider.
fn ways(upstream: SocketAddr, gateway: Option<SocketAddr>) -> Value {
    let direct = json!({
        "name": "direct",
        "base_url": format!("http://{upstream}"),
        "model": MODEL,
        "path": null,
    });
    let through = gateway.into_iter().flat_map(|gateway| {
        PROVIDERS.map(|(name, _, _, path)| {
            json!({
                "name": name,
                "base_url": format!("http://{gateway}"),
                "model": format!("{name}/{MODEL}"),
                "path": path,
            })
        })
    });
    std::iter::once(direct).chain(through).collect()
}

/// An upstream that is told what to say. Libraries send what Anthropic takes, and other servers of its format do not.
fn upstream(place: &Place, profile: Profile) -> anyhow::Result<(Child, SocketAddr)> {
    let mut command = Command::new(place.binary(profile, "fake-upstream"));
    command.args(["--listen", "127.0.0.1:0", "--control", "--join-turns"]);
    Child::start_listening("fake-upstream", &mut command)
}

fn gateway(place: &Place, profile: Profile, upstream: SocketAddr) -> anyhow::Result<Gateway> {
    let folder = place.scratch("sdk-libraries")?;
    let setup =
        Setup { place, profile, folder, fake: upstream, database: None, wrapper: &[], auth: Auth::Open };
    let data = setup.folder.join("data");
    setup.start_with(|listen| {
        let mut file = format!(
            "listen: {listen}\ndata_dir: \"{}\"\ndatabase: sqlite\nauth: {{ required: false }}\n\
             policies: {{ default: {{ fallback: {{ retries: 0 }} }} }}\nproviders:\n",
            data.display()
        );
        for (name, dialect, end, _) in PROVIDERS {
            file.push_str(&format!(
                "  {name}: {{ dialect: {dialect}, base_url: \"http://{upstream}{end}\", api_key: fake-key, models: [{MODEL}] }}\n"
            ));
        }
        file
    })
}
