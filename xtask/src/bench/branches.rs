//! Measures how long a workflow takes whose branches are answered side by side: three of 500 ms each.
//!
//! - The time is the caller's: from the request until the whole run is read. The first run is not counted.
//! - Each branch is written down before it is asked, as in production; the store is SQLite.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use super::runs::ask;
use crate::child::Child;
use crate::gateway::{Auth, Setup};
use crate::place::{Place, Profile, run};

/// How long the upstream takes for each branch.
const BRANCH_MS: &str = "500";
/// The most that three of them may take together, where it is checked.
const BAR: Duration = Duration::from_millis(700);

/// Carries so many workflows out, one after the other, and prints how long each took.
pub(crate) fn branches(place: &Place, rounds: u32, profile: Profile, check: bool) -> anyhow::Result<()> {
    let mut build = vec!["build", "--workspace", "--bins", "--locked"];
    build.extend((profile == Profile::Release).then_some("--release"));
    run(&mut place.cargo(&build))?;
    let folder = place.scratch("bench-branches")?;
    let mut upstream = std::process::Command::new(place.binary(profile, "fake-upstream"));
    let (_upstream, fake) =
        Child::start_listening("fake-upstream", upstream.args(["--latency-ms", BRANCH_MS]))?;
    let setup = Setup { place, profile, folder, fake, database: None, wrapper: &[], auth: Auth::Open };
    let gateway = setup.start()?;
    carry_out(gateway.address)?;
    let mut times =
        (0..rounds.max(1)).map(|_round| carry_out(gateway.address)).collect::<Result<Vec<_>, _>>()?;
    times.sort();
    let (Some(least), Some(most)) = (times.first().copied(), times.last().copied()) else {
        return Ok(());
    };
    let median = times.get(times.len() / 2).copied().unwrap_or(most);
    println!("{:<28} {:>8} {:>8} {:>8}", "three branches of 500 ms", "least", "median", "most");
    println!("{:<28} {:>8} {:>8} {:>8}", "ms", least.as_millis(), median.as_millis(), most.as_millis());
    ensure!(!check || median < BAR, "three branches of {BRANCH_MS} ms take {median:?}, and may take {BAR:?}");
    Ok(())
}

/// One workflow, and how long its caller waited.
fn carry_out(gateway: SocketAddr) -> anyhow::Result<Duration> {
    let branch = |name: &str| json!({ "name": name, "model": "oai/fake" });
    let branches: Vec<Value> = ["one", "two", "three"].into_iter().map(branch).collect();
    let body = json!({ "input": "hi", "workflow": { "parallel": { "branches": branches } } });
    let began = Instant::now();
    let run = ask(gateway, "POST", "/v1/runs", Some(&body))?;
    let took = began.elapsed();
    let status = run.get("status").and_then(Value::as_str).context("a run without a status")?;
    ensure!(status == "completed", "a run should be completed, and is: {run}");
    Ok(took)
}
