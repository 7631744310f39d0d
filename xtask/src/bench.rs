//! Measures what the gateway adds: fake upstream, bare proxy and gateway in one run.
//!
//! What is measured has one CPU to itself; upstream and driver share the other. Read the CPU time
//! for each request first: it hardly moves when the machine is busy with other work, requests a
//! second and latencies do. Compare within one run only.
//!
//! - The gateway runs as in production: key on, journal and store on, metrics on. The store is
//!   SQLite, and with `--postgres` Postgres as well, whose own time is not counted.
//! - `instant` is an upstream that answers at once, `10 ms` one behind which a sync can hide.

mod audit;
mod branches;
mod claude;
mod handoff;
mod history;
mod runs;

use std::net::SocketAddr;
use std::process::Command;

use anyhow::Context;
use serde_json::Value;

use crate::child::Child;
use crate::gateway::{Auth, Setup};
use crate::place::{Place, Profile, on_path, run};
use crate::postgres::Postgres;

pub(crate) use audit::audit;
pub(crate) use branches::branches;
pub(crate) use claude::claude;
pub(crate) use handoff::handoff;
pub(crate) use history::history;
pub(crate) use runs::runs;

/// One column of measurements.
struct Scenario {
    name: &'static str,
    latency_ms: &'static str,
    connections: &'static str,
    stream: bool,
}

const SCENARIOS: [Scenario; 3] = [
    Scenario { name: "chat, instant upstream", latency_ms: "0", connections: "64", stream: false },
    Scenario { name: "chat, upstream of 10 ms", latency_ms: "10", connections: "512", stream: false },
    Scenario { name: "stream of 20 in a burst", latency_ms: "0", connections: "64", stream: true },
];

impl Scenario {
    const fn load(&self, secs: u32) -> Load<'static> {
        Load { connections: self.connections, secs, stream: self.stream }
    }
}

/// The row that all others are compared with.
const BARE: &str = "bare proxy";

/// What the driver is pointed at.
struct Subject<'a> {
    address: SocketAddr,
    pid: Option<u32>,
    /// The model; several are sent as a list.
    models: &'a [&'a str],
    key: &'a str,
}

/// What the driver does.
struct Load<'a> {
    connections: &'a str,
    secs: u32,
    stream: bool,
}

fn build(place: &Place) -> anyhow::Result<()> {
    run(&mut place.cargo(&["build", "--release", "--workspace", "--bins", "--locked"]))
}

/// Runs every scenario and prints a table for each.
pub(crate) fn chat(place: &Place, secs: u32, postgres: bool) -> anyhow::Result<()> {
    build(place)?;
    let postgres = postgres.then(|| Postgres::find_or_start(place)).transpose()?;
    let url = postgres.as_ref().map(|postgres| postgres.url.as_str());
    for scenario in &SCENARIOS {
        let rows = measure(place, scenario, secs, url).with_context(|| scenario.name.to_owned())?;
        print(&format!("{}, {} connections", scenario.name, scenario.connections), &rows);
    }
    Ok(())
}

fn measure(
    place: &Place,
    scenario: &Scenario,
    secs: u32,
    postgres: Option<&str>,
) -> anyhow::Result<Vec<(&'static str, Value)>> {
    let folder = place.scratch("bench")?;
    let upstream = crate::child::free_port()?;
    let mut command = pinned(place, "0", "fake-upstream");
    command.args(["--instant", "--chunks", "20", "--latency-ms", scenario.latency_ms, "--listen"]);
    let (_upstream, upstream) = Child::start_listening("fake-upstream", command.arg(upstream.to_string()))?;
    let mut bare = pinned(place, "1", "bare-proxy");
    bare.args(["--upstream", &upstream.to_string(), "--record"]).arg(folder.join("bare.jsonl"));

    let load = scenario.load(secs);
    let subject = |address, pid| Subject { address, pid, models: &["fake"], key: "none" };
    let mut rows = vec![("direct", drive(place, &load, &subject(upstream, None))?)];
    {
        let (child, address) = Child::start_listening("bare-proxy", &mut bare)?;
        rows.push((BARE, drive(place, &load, &subject(address, Some(child.id())))?));
    }
    rows.push(("baton", gateway(place, &load, upstream, None)?));
    if postgres.is_some() {
        rows.push(("on Postgres", gateway(place, &load, upstream, postgres)?));
    }
    Ok(rows)
}

/// The gateway, on SQLite unless a database is named.
fn gateway(
    place: &Place,
    load: &Load<'_>,
    fake: SocketAddr,
    database: Option<&str>,
) -> anyhow::Result<Value> {
    let setup = setup(place, fake, database)?;
    let gateway = setup.start()?;
    let key = &setup.make_key()?;
    let pid = Some(gateway.child.id());
    drive(place, load, &Subject { address: gateway.address, pid, models: &["oai/fake"], key })
}

/// The gateway as in production, on a CPU of its own.
fn setup<'a>(place: &'a Place, fake: SocketAddr, database: Option<&'a str>) -> anyhow::Result<Setup<'a>> {
    let wrapper: &[&str] = if on_path("taskset").is_some() { &["taskset", "-c", "1"] } else { &[] };
    let folder = place.scratch("bench-gateway")?;
    let profile = Profile::Release;
    Ok(Setup { place, profile, folder, fake, database, wrapper, auth: Auth::Required })
}

/// A release binary on one CPU, where that can be had.
fn pinned(place: &Place, cpu: &str, name: &str) -> Command {
    let binary = place.binary(Profile::Release, name);
    if on_path("taskset").is_none() {
        return Command::new(binary);
    }
    let mut command = Command::new("taskset");
    command.args(["-c", cpu]).arg(binary);
    command
}

fn drive(place: &Place, load: &Load<'_>, subject: &Subject<'_>) -> anyhow::Result<Value> {
    drive_with(place, load, subject, &[])
}

fn drive_with(place: &Place, load: &Load<'_>, subject: &Subject<'_>, more: &[&str]) -> anyhow::Result<Value> {
    let mut command = pinned(place, "0", "drive");
    command
        .args(["--address", &subject.address.to_string()])
        .args(["--connections", load.connections, "--secs", &load.secs.to_string()])
        .args(["-H", &format!("authorization: Bearer {}", subject.key)]);
    command.args(subject.models.iter().flat_map(|model| ["--model", *model]));
    command.args(more);
    if let Some(pid) = subject.pid {
        command.args(["--pid", &pid.to_string()]);
    }
    if load.stream {
        command.arg("--stream");
    }
    let output = command.output().context("running the driver")?;
    let measured: Value = serde_json::from_slice(&output.stdout)
        .with_context(|| format!("the driver said: {}", String::from_utf8_lossy(&output.stderr)))?;
    let failed = number(&measured, "refused") + number(&measured, "errors");
    anyhow::ensure!(failed == 0.0, "requests failed: {measured}");
    anyhow::ensure!(number(&measured, "ok") > 0.0, "no request was answered: {measured}");
    Ok(measured)
}

fn number(measured: &Value, name: &str) -> f64 {
    measured.get(name).and_then(Value::as_f64).unwrap_or(0.0)
}

fn print(title: &str, rows: &[(&str, Value)]) {
    println!("\n{title}");
    println!(
        "{:<22} {:>12} {:>7} {:>9} {:>8} {:>8} {:>8}",
        "", "CPU µs/req", "× bare", "req/s", "p50 ms", "p99 ms", "peak MB"
    );
    let bare =
        rows.iter().find(|(name, _)| *name == BARE).map_or(0.0, |(_, row)| number(row, "cpu_us_per_request"));
    for (name, row) in rows {
        let cpu = number(row, "cpu_us_per_request");
        let times = if bare > 0.0 && cpu > 0.0 { format!("{:.2}", cpu / bare) } else { "-".to_owned() };
        println!(
            "{name:<22} {cpu:>12.1} {times:>7} {:>9.0} {:>8.2} {:>8.2} {:>8.1}",
            number(row, "rps"),
            number(row, "p50_ms"),
            number(row, "p99_ms"),
            number(row, "rss_peak_mb")
        );
    }
}
