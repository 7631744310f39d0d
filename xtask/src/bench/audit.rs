//! Measures what a durable record costs: the gateway beside a build of it that records nothing.
//!
//! - Both run in short rounds by turns, so that other work on the machine meets both; what is told is
//!   the median of the rounds, and of the differences within a round.
//! - Requests are due at fixed times, and count from then to the first byte of a stream's content.
//! - The build without records is a cargo feature (`bench-no-audit`): no key of a configuration has it.

use std::fs;
use std::net::SocketAddr;

use anyhow::Context;
use serde_json::Value;

use super::{Child, Load, Place, Profile, Subject, build, drive_with, number, pinned, setup};
use crate::child::free_port;
use crate::gateway::{Auth, Setup};
use crate::place::run;
use crate::postgres::Postgres;

/// Requests a second while latencies are measured.
const RATE: &str = "500";
const CONNECTIONS: &str = "128";
/// Streams at a time while throughput is.
const SATURATING: &str = "64";
/// What the issue wants, on two processors with Postgres beside it.
const BAR_RPS: f64 = 3000.0;

/// Times to the first content, in milliseconds.
#[derive(Clone, Copy, Debug)]
struct Times {
    p50: f64,
    p99: f64,
}

/// Prints the added time for an upstream of 50 ms and for an instant one, and the throughput.
pub(crate) fn audit(place: &Place, secs: u32, rounds: u32) -> anyhow::Result<()> {
    let without = without_records(place)?;
    build(place)?;
    for latency_ms in ["50", "0"] {
        added(place, &without, latency_ms, secs, rounds)?;
    }
    let postgres = Postgres::find_or_start(place)?;
    let mut rates = Vec::new();
    for database in [None, Some(postgres.url.as_str())] {
        let mut seen = (0..rounds.min(3))
            .map(|_| throughput(place, database, secs))
            .collect::<anyhow::Result<Vec<_>>>()?;
        rates.push(median(&mut seen));
    }
    println!("\naudited requests/s, everything on the same processors (whole answers, instant upstream)");
    println!("{:<28} {:>8.0}", "SQLite", rates.first().copied().unwrap_or_default());
    println!(
        "{:<28} {:>8.0}   wanted: {BAR_RPS:.0}",
        "Postgres beside it",
        rates.last().copied().unwrap_or_default()
    );
    Ok(())
}

/// Builds the gateway that records nothing, and puts it where the next build leaves it alone.
fn without_records(place: &Place) -> anyhow::Result<Place> {
    let arguments = ["build", "--release", "--package", "baton", "--features", "bench-no-audit", "--locked"];
    run(&mut place.cargo(&arguments))?;
    let apart = Place { root: place.root.clone(), target: place.target.join("xtask").join("no-audit") };
    let binary = apart.binary(Profile::Release, "baton");
    fs::create_dir_all(binary.parent().context("a folder for the build")?)?;
    fs::copy(place.binary(Profile::Release, "baton"), &binary)
        .context("keeping the build without records")?;
    Ok(apart)
}

fn added(place: &Place, without: &Place, latency_ms: &str, secs: u32, rounds: u32) -> anyhow::Result<()> {
    let mut command = pinned(place, "0", "fake-upstream");
    command.args(["--instant", "--chunks", "20", "--latency-ms", latency_ms, "--listen"]);
    let (_upstream, upstream) =
        Child::start_listening("fake-upstream", command.arg(free_port()?.to_string()))?;
    let (mut with, mut bare, mut differences) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..rounds {
        // Who is first in a round takes turns as well.
        let (one, other) = if round % 2 == 0 {
            let one = first_content(place, place, upstream, secs)?;
            (one, first_content(place, without, upstream, secs)?)
        } else {
            let other = first_content(place, without, upstream, secs)?;
            (first_content(place, place, upstream, secs)?, other)
        };
        differences.push(Times { p50: one.p50 - other.p50, p99: one.p99 - other.p99 });
        with.push(one);
        bare.push(other);
    }
    println!(
        "\ntime to first content, upstream of {latency_ms} ms, {RATE} streams/s, medians of {rounds} rounds"
    );
    println!("{:<28} {:>8} {:>8}", "", "p50 ms", "p99 ms");
    for (name, times) in [("durable", &with), ("without records", &bare), ("added, by rounds", &differences)]
    {
        let of = |part: fn(&Times) -> f64| median(&mut times.iter().map(part).collect::<Vec<_>>());
        println!("{name:<28} {:>8.2} {:>8.2}", of(|times| times.p50), of(|times| times.p99));
    }
    for (round, times) in differences.iter().enumerate() {
        println!("{:<28} {:>8.2} {:>8.2}", format!("  round {}", round + 1), times.p50, times.p99);
    }
    Ok(())
}

/// One short measurement of one build.
fn first_content(place: &Place, build: &Place, fake: SocketAddr, secs: u32) -> anyhow::Result<Times> {
    let setup = setup(build, fake, None)?;
    let gateway = setup.start()?;
    let key = &setup.make_key()?;
    let subject = Subject { address: gateway.address, pid: None, models: &["oai/fake"], key };
    let load = Load { connections: CONNECTIONS, secs, stream: true };
    let measured = drive_with(place, &load, &subject, &["--rate", RATE])?;
    Ok(Times { p50: number(&measured, "first_byte_p50_ms"), p99: number(&measured, "first_byte_p99_ms") })
}

/// Requests a second, with everybody on all processors.
fn throughput(place: &Place, database: Option<&str>, secs: u32) -> anyhow::Result<f64> {
    let mut command = std::process::Command::new(place.binary(Profile::Release, "fake-upstream"));
    command.args(["--instant", "--listen"]);
    let (_upstream, fake) = Child::start_listening("fake-upstream", command.arg(free_port()?.to_string()))?;
    let folder = place.scratch("bench-gateway")?;
    let profile = Profile::Release;
    let setup = Setup { place, profile, folder, fake, database, wrapper: &[], auth: Auth::Required };
    let gateway = setup.start()?;
    let key = &setup.make_key()?;
    let subject = Subject { address: gateway.address, pid: None, models: &["oai/fake"], key };
    let load = Load { connections: SATURATING, secs, stream: false };
    let measured: Value = drive_with(place, &load, &subject, &[])?;
    Ok(number(&measured, "rps"))
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}
