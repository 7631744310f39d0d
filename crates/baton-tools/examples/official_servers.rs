//! Checks the registry against servers made with the official SDKs; see `tests/sdk/mcp`.
//!
//! `official_servers PYTHON_ONE PYTHON_TWO NODE_FOLDER`

#![expect(clippy::print_stdout, reason = "it tells its figure")]

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::time::Duration;

use baton_net::tasks::Tasks;
use baton_tools::{Registry, Server, ServerLimits, ServerRef, ToolSet, ToolSettings, Transport};
use futures_util::future::join_all;
use http::HeaderMap;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

const PATIENCE: Duration = Duration::from_secs(60);

type Outcome<T> = Result<T, Box<dyn Error>>;

/// A way to start one of the servers, but for the transport.
struct Sdk {
    name: &'static str,
    command: Vec<String>,
}

/// How many checks passed, of how many.
#[derive(Default)]
struct Tally {
    passed: u32,
    made: u32,
}

impl Tally {
    fn check(&mut self, what: &str, passes: bool) {
        self.made += 1;
        self.passed += u32::from(passes);
        if !passes {
            println!("failed: {what}");
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome<ExitCode> {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [python_one, python_two, node] = arguments.as_slice() else {
        return Err("expected PYTHON_ONE PYTHON_TWO NODE_FOLDER".into());
    };
    let mut tally = Tally::default();
    for sdk in sdks(python_one, python_two, node)? {
        check(&mut tally, &format!("{} over stdio", sdk.name), over_stdio(&sdk)).await?;
        let (server, _running) = over_http(&sdk).await?;
        check(&mut tally, &format!("{} over HTTP", sdk.name), server).await?;
    }
    println!("{} of {} checks passed", tally.passed, tally.made);
    Ok(if tally.passed == tally.made { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn sdks(python_one: &Path, python_two: &Path, node: &Path) -> Outcome<Vec<Sdk>> {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/sdk/mcp");
    let text = |path: &Path| path.to_str().map(str::to_owned).ok_or("a path is not UTF-8");
    let (python, node) = (text(&scripts.join("server.py"))?, text(&node.join("server.mjs"))?);
    Ok(vec![
        Sdk { name: "mcp 1 (Python)", command: vec![text(python_one)?, python.clone()] },
        Sdk { name: "mcp 2 (Python)", command: vec![text(python_two)?, python] },
        Sdk { name: "sdk 1 (TypeScript)", command: vec!["node".into(), node.clone(), "one".into()] },
        Sdk { name: "server 2 (TypeScript)", command: vec!["node".into(), node, "two".into()] },
    ])
}

fn over_stdio(sdk: &Sdk) -> Transport {
    let mut command = sdk.command.clone();
    command.push("stdio".to_owned());
    Transport::Stdio { command, env: Vec::new() }
}

/// Starts the server and waits for the port that it writes.
async fn over_http(sdk: &Sdk) -> Outcome<(Transport, Child)> {
    let (program, arguments) = sdk.command.split_first().ok_or("no program")?;
    let mut child = Command::new(program)
        .args(arguments)
        .arg("http")
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let output = child.stdout.take().ok_or("no output")?;
    let port = BufReader::new(output).lines().next_line().await?.ok_or("no port")?;
    let url = format!("http://127.0.0.1:{}/mcp", port.trim()).parse()?;
    Ok((Transport::Http { url, headers: HeaderMap::new() }, child))
}

async fn check(tally: &mut Tally, name: &str, transport: Transport) -> Outcome<()> {
    let limits = ServerLimits { connect_timeout: PATIENCE, ..ServerLimits::default() };
    let server = Server { name: "checks".to_owned(), transport, tools: None, limits };
    let settings = ToolSettings { servers: vec![server], allow_urls: Vec::new() };
    let folder = tempfile::tempdir()?;
    let tasks = Tasks::new();
    let registry = Registry::new(settings, folder.path().join("mcp-pins.json"), tasks.clone())?;

    let set = registry.open(&[ServerRef::slug("checks")], PATIENCE).await;
    for error in set.errors() {
        println!("{name}: {}: {}", error.code.as_str(), error.message);
    }
    let names: Vec<&str> = set.tools().iter().map(|tool| tool.name.as_str()).collect();
    tally.check(&format!("{name}: tools"), names == ["checks__echo", "checks__add", "checks__fail"]);
    tally.check(&format!("{name}: echo"), said(&set, "hello").await == "hello");
    let sum = set.call("checks__add", r#"{"a": 1.5, "b": 2}"#, PATIENCE).await;
    tally.check(&format!("{name}: structured content"), sum.result == json!({"sum": 3.5}) && !sum.is_error);
    let failed = set.call("checks__fail", "{}", PATIENCE).await;
    tally.check(
        &format!("{name}: a tool's error"),
        failed.is_error && failed.code.is_none() && failed.text.contains("no such file"),
    );
    let wrong = set.call("checks__echo", r#"{"text": 3}"#, PATIENCE).await;
    tally.check(&format!("{name}: wrong arguments"), wrong.is_error);
    let texts: Vec<String> = (0..50).map(|at| at.to_string()).collect();
    let many = join_all(texts.iter().map(|text| said(&set, text))).await;
    tally.check(&format!("{name}: fifty at once"), many == texts);
    let again = registry.open(&[ServerRef::slug("checks")], PATIENCE).await;
    tally.check(&format!("{name}: the same tools again"), again.tools() == set.tools());

    registry.close();
    tasks.shut_down(PATIENCE).await;
    Ok(())
}

async fn said(set: &ToolSet, text: &str) -> String {
    set.call("checks__echo", &json!({ "text": text }).to_string(), PATIENCE).await.text
}
