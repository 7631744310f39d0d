//! Measures a gateway at rest: how soon it is ready, and how much memory it holds.
//!
//! - Each start has an empty folder, no file and no keys, as the first one has.
//! - The memory is `VmRSS` of Linux: it counts the pages of the program that are mapped, too.

use std::fs;
use std::net::SocketAddr;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;

use crate::child::{Child, free_port};
use crate::place::{Place, Profile, run};

/// How long it rests before it is looked at.
const REST: Duration = Duration::from_secs(5);

/// What one start shows.
struct Start {
    ready: Duration,
    rss_kb: u64,
    anonymous_kb: u64,
}

/// Starts it some times and prints a line for each, then the medians.
pub(crate) fn idle(place: &Place, starts: u32) -> anyhow::Result<()> {
    run(&mut place.cargo(&["build", "--release", "--package", "baton", "--locked"]))?;
    println!("{:<8} {:>9} {:>10} {:>14}", "", "ready ms", "memory kB", "of it private");
    let seen = (1..=starts).map(|turn| start(place, turn)).collect::<anyhow::Result<Vec<_>>>()?;
    let median = Start {
        ready: median(seen.iter().map(|start| start.ready)).context("nothing was started")?,
        rss_kb: median(seen.iter().map(|start| start.rss_kb)).context("nothing was started")?,
        anonymous_kb: median(seen.iter().map(|start| start.anonymous_kb)).context("nothing was started")?,
    };
    print("median", &median);
    Ok(())
}

fn start(place: &Place, turn: u32) -> anyhow::Result<Start> {
    let folder = place.scratch("idle")?;
    let address: SocketAddr = free_port()?;
    let mut command = std::process::Command::new(place.binary(Profile::Release, "baton"));
    command.args(["serve", "--listen", &address.to_string()]);
    command.env_clear().current_dir(&folder).stdout(Stdio::null()).stderr(Stdio::null());
    let began = Instant::now();
    let mut child = Child::start("baton", &mut command)?;
    child.wait_ready(address, "/readyz", Duration::from_secs(30))?;
    let ready = began.elapsed();
    thread::sleep(REST);
    let path = format!("/proc/{}/status", child.id());
    let status = fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
    let kb = |name: &str| field(&status, name).with_context(|| format!("{path} has no `{name}`"));
    let seen = Start { ready, rss_kb: kb("VmRSS:")?, anonymous_kb: kb("RssAnon:")? };
    print(&turn.to_string(), &seen);
    Ok(seen)
}

/// The number behind a name in `/proc/PID/status`.
pub(crate) fn field(status: &str, name: &str) -> Option<u64> {
    status.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?.parse().ok()
}

fn median<T: Ord>(values: impl Iterator<Item = T>) -> Option<T> {
    let mut values: Vec<T> = values.collect();
    values.sort();
    let middle = values.len() / 2;
    values.into_iter().nth(middle)
}

fn print(name: &str, start: &Start) {
    println!("{name:<8} {:>9} {:>10} {:>14}", start.ready.as_millis(), start.rss_kb, start.anonymous_kb);
}
