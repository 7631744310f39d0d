//! Runs the SDKs that hand over from model to model, with a scripted upstream of each dialect
//! behind the gateway.
//!
//! Each check says what the upstreams answer, asks through its SDK, and compares what came
//! back, what reached the upstreams, and what the gateway wrote down.
//!
//! - Start with [`run`].

use std::net::SocketAddr;
use std::process::{Command, Stdio};

use crate::child::Child;
use crate::gateway::{Auth, Gateway, Setup};
use crate::place::{Place, Profile};
use crate::tools;

use super::{Script, common, finish, node, python};

/// The models of the upstreams, named as their vendors name them.
const OPENAI: [&str; 5] = ["gpt-4o-mini", "gpt-4o", "gpt-4", "gpt-4.1", "Llama-3"];
const RESPONSES: [&str; 2] = ["gpt-4.1-mini", "gpt-4.1-nano"];
const ANTHROPIC: [&str; 4] =
    ["claude-sonnet-4-20250514", "claude-sonnet-4-5", "claude-3-5-sonnet-20241022", "claude-3-opus-20240229"];

/// The upstreams, a server of tools, and the gateway before them; all end when this is dropped.
struct Stage {
    gateway: Gateway,
    openai: (Child, SocketAddr),
    responses: (Child, SocketAddr),
    anthropic: (Child, SocketAddr),
    _server: Child,
}

/// Every script of the ordinary run.
pub(super) fn run(place: &Place, profile: Profile) -> anyhow::Result<()> {
    play(place, profile, &scripts(place)?)
}

/// The agents of `@deepagents/agent`: half a gigabyte of packages, so by command only.
pub(super) fn deepagents(place: &Place, profile: Profile) -> anyhow::Result<()> {
    let path = tools::deepagents(place)?.join("agents.mjs");
    play(place, profile, &[Script { program: "node".into(), path }])
}

fn play(place: &Place, profile: Profile, scripts: &[Script]) -> anyhow::Result<()> {
    let stage = Stage::set(place, profile)?;
    let mut failed = 0;
    for script in scripts {
        let mut command = common(script, stage.gateway.address);
        command
            .env("OPENAI", format!("http://{}", stage.openai.1))
            .env("RESPONSES", format!("http://{}", stage.responses.1))
            .env("ANTHROPIC", format!("http://{}", stage.anthropic.1));
        if !command.status()?.success() {
            failed += 1;
        }
    }
    finish(failed, scripts.len())
}

fn scripts(place: &Place) -> anyhow::Result<Vec<Script>> {
    Ok(vec![
        python(place, "c", "dedalus_runner.py")?,
        python(place, "c", "agents_sdk.py")?,
        python(place, "b", "openai_pools.py")?,
        python(place, "b", "anthropic_pools.py")?,
        node(place, "dedalus_runner.mjs")?,
        node(place, "ai_agents.mjs")?,
    ])
}

impl Stage {
    fn set(place: &Place, profile: Profile) -> anyhow::Result<Self> {
        let (openai, anthropic) = (upstream(place, profile, &OPENAI)?, upstream(place, profile, &ANTHROPIC)?);
        let responses = upstream(place, profile, &RESPONSES)?;
        let server = server(place)?;
        let folder = place.scratch("sdk-pools")?;
        let setup =
            Setup { place, profile, folder, fake: openai.1, database: None, wrapper: &[], auth: Auth::Open };
        let data = setup.folder.join("data");
        let gateway = setup.start_with(|listen| {
            format!(
                r#"listen: {listen}
data_dir: "{data}"
database: sqlite
auth: {{ required: false }}
providers:
  openai:
    dialect: openai_chat
    base_url: "http://{openai}/v1"
    api_key: fake-key
    models: [{openai_models}]
  responses:
    dialect: openai_responses
    base_url: "http://{responses}/v1"
    api_key: fake-key
    models: [{responses_models}]
  anthropic:
    dialect: anthropic_messages
    base_url: "http://{anthropic}"
    api_key: fake-key
    models: [{anthropic_models}]
models:
  responses/gpt-4.1-mini: {{ aliases: [gpt-4.1-mini] }}
policies:
  default: {{ fallback: {{ retries: 0 }} }}
routes:
  writers:
    pool: [openai/gpt-4o-mini, anthropic/claude-sonnet-4-20250514]
    handoff: model
mcp_servers:
  simon-liang/brave-search-mcp: {{ url: "http://{server}/mcp" }}
"#,
                server = server.1,
                data = data.display(),
                openai = openai.1,
                openai_models = OPENAI.join(", "),
                responses = responses.1,
                responses_models = RESPONSES.join(", "),
                anthropic = anthropic.1,
                anthropic_models = ANTHROPIC.join(", "),
            )
        })?;
        Ok(Self { gateway, openai, responses, anthropic, _server: server.0 })
    }
}

/// An upstream that is told what to say.
fn upstream(place: &Place, profile: Profile, models: &[&str]) -> anyhow::Result<(Child, SocketAddr)> {
    let mut command = Command::new(place.binary(profile, "fake-upstream"));
    command.args(["--listen", "127.0.0.1:0", "--control"]);
    for model in models {
        command.args(["--model", model]);
    }
    Child::start_listening("fake-upstream", &mut command)
}

/// A server of tools, made with the official SDK.
fn server(place: &Place) -> anyhow::Result<(Child, SocketAddr)> {
    let mut command = Command::new(tools::python(place, "c")?.join("python"));
    command.arg(place.root.join("tests/sdk/mcp/server.py")).arg("http").stderr(Stdio::null());
    Child::start_listening("server.py", &mut command)
}
