//! Measures what background runs cost a gateway while nothing happens in them.
//!
//! - Some run first, so that what grows once has grown.
//! - Then as many are begun as wait for their callers: each called a tool of its caller's.
//! - The memory is `VmRSS` and its private part, of a gateway that has rested; the store is SQLite.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use serde_json::{Value, json};

use crate::child::Child;
use crate::gateway::{Auth, Setup};
use crate::place::{Place, Profile, run};

/// So many end before it is measured.
const WARM: u32 = 200;
/// How long it rests before it is looked at.
const REST: Duration = Duration::from_secs(5);
/// How long all of them may take to come to rest.
const PATIENCE: Duration = Duration::from_secs(300);
/// The most that the runs may cost together, in kB, where it is checked.
const BAR_KB: u64 = 20_000;

/// Begins so many and prints the memory before and with them.
pub(crate) fn runs(place: &Place, count: u32, profile: Profile, check: bool) -> anyhow::Result<()> {
    let build: &[&str] = match profile {
        // As the tests are built: another choice of targets would build the dependencies again.
        Profile::Dev => &["build", "--workspace", "--all-targets", "--locked"],
        Profile::Release => &["build", "--release", "--workspace", "--bins", "--locked"],
    };
    run(&mut place.cargo(build))?;
    let folder = place.scratch("bench-runs")?;
    let mut upstream = std::process::Command::new(place.binary(profile, "fake-upstream"));
    let (_upstream, fake) = Child::start_listening("fake-upstream", &mut upstream)?;
    let setup = Setup { place, profile, folder, fake, database: None, wrapper: &[], auth: Auth::Open };
    let gateway = setup.start()?;
    let (address, pid) = (gateway.address, gateway.child.id());

    let weather = json!({ "name": "weather", "parameters": { "type": "object", "properties": {} } });
    let answered = json!({ "model": "echo/hello", "input": "hi", "background": true });
    let waits = json!({
        "model": "echo/tool", "input": "the weather", "background": true,
        "tools": [{ "type": "function", "function": weather }],
    });
    reach(address, &begin(address, WARM, &answered)?, "completed")?;
    reach(address, &begin(address, WARM, &waits)?, "requires_action")?;
    let before = Memory::of(pid)?;
    let begun = begin(address, count, &waits)?;
    reach(address, &begun, "requires_action")?;
    let with = Memory::of(pid)?;
    println!("{:<40} {:>10} {:>14}", "", "memory kB", "of it private");
    before.print("before");
    with.print(&format!("with {count} runs that wait"));
    let more = with.more_than(&before);
    more.print("the difference");
    ensure!(
        !check || more.rss_kb.max(more.anonymous_kb) < BAR_KB,
        "{count} runs that wait cost more than {BAR_KB} kB"
    );
    Ok(())
}

/// Begins runs of one kind; their ids.
fn begin(address: SocketAddr, count: u32, body: &Value) -> anyhow::Result<Vec<String>> {
    let one = |_number| {
        let run = ask(address, "POST", "/v1/runs", Some(body))?;
        let id = run.get("id").and_then(Value::as_str);
        id.map(str::to_owned).with_context(|| format!("no run was begun: {run}"))
    };
    (0..count).map(one).collect()
}

/// Waits until each of them is so far.
fn reach(address: SocketAddr, ids: &[String], status: &str) -> anyhow::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    for id in ids {
        loop {
            let run = ask(address, "GET", &format!("/v1/runs/{id}"), None)?;
            let is = run.get("status").and_then(Value::as_str).unwrap_or_default();
            if is == status {
                break;
            }
            ensure!(matches!(is, "queued" | "in_progress"), "a run should be {status}, and is: {run}");
            if Instant::now() > deadline {
                bail!("after {PATIENCE:?}, {id} is not {status}");
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
    Ok(())
}

/// One request on a connection of its own.
pub(super) fn ask(
    address: SocketAddr,
    method: &str,
    path: &str,
    body: Option<&Value>,
) -> anyhow::Result<Value> {
    let body = body.map(Value::to_string).unwrap_or_default();
    let mut stream = TcpStream::connect(address).context("connecting to the gateway")?;
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )
    .context("asking the gateway")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).context("reading the gateway's answer")?;
    let (head, body) = answer.split_once("\r\n\r\n").context("an answer without a body")?;
    ensure!(head.starts_with("HTTP/1.1 20"), "{method} {path}: {answer}");
    serde_json::from_str(body).with_context(|| format!("{method} {path}: {answer}"))
}

/// What a process holds.
struct Memory {
    rss_kb: u64,
    anonymous_kb: u64,
}

impl Memory {
    /// After a rest.
    fn of(pid: u32) -> anyhow::Result<Self> {
        thread::sleep(REST);
        let path = format!("/proc/{pid}/status");
        let status = fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
        let kb = |name| crate::idle::field(&status, name).with_context(|| format!("{path} has no `{name}`"));
        Ok(Self { rss_kb: kb("VmRSS:")?, anonymous_kb: kb("RssAnon:")? })
    }

    const fn more_than(&self, before: &Self) -> Self {
        Self {
            rss_kb: self.rss_kb.saturating_sub(before.rss_kb),
            anonymous_kb: self.anonymous_kb.saturating_sub(before.anonymous_kb),
        }
    }

    fn print(&self, name: &str) {
        println!("{name:<40} {:>10} {:>14}", self.rss_kb, self.anonymous_kb);
    }
}
