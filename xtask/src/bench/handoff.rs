//! Measures a hand-off: one request for a list of two models, the first of which hands it to the second.
//!
//! The bare proxy makes the same two calls upstream and passes the second answer on. A plain chat through the
//! gateway stands beside it, for a hand-off is at least two of those.
//!
//! - How long the second call waits is measured where both calls arrive: from the moment the first answer
//!   is handed to the fake's connection until the head of the next request is read. One request at a time.
//! - **Invariant:** a table is printed only when every request was carried by both models.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use anyhow::{Context, ensure};
use serde::Deserialize;
use serde_json::Value;

use super::{BARE, Child, Load, Place, Subject, build, drive, pinned, print, setup};
use crate::child::free_port;

/// The one that hands over, and the tool by which it does.
const CALLER: &str = "fake-small=transfer_to_fake";

/// Both speak the client's dialect: frames are edited.
const SAME: [&str; 2] = ["oai/fake-small", "oai/fake"];
/// The second speaks another: all goes through the conversation model.
const MIXED: [&str; 2] = ["oai/fake-small", "ant/fake"];

/// As many as the driver of a saturated gateway has.
const CONNECTIONS: &str = "64";

/// What the issue allows for one request.
const BAR_CPU_US: u32 = 140;
/// What it allows between the two calls.
const BAR_WAIT_MS: u32 = 2;

/// What the fake upstream heard.
#[derive(Deserialize)]
struct Heard {
    calls: u64,
    others: u64,
    waits_us: Vec<u64>,
}

/// How long second calls waited.
struct Waits {
    count: usize,
    median_us: u64,
    p99_us: u64,
}

/// Measures whole answers and streams, and prints a table for each.
pub(crate) fn handoff(place: &Place, secs: u32) -> anyhow::Result<()> {
    build(place)?;
    for (name, stream) in [("whole answers", false), ("streams of 20 in a burst", true)] {
        measure(place, name, &Load { connections: CONNECTIONS, secs, stream }).context(name)?;
    }
    Ok(())
}

fn measure(place: &Place, name: &str, load: &Load<'_>) -> anyhow::Result<()> {
    let folder = place.scratch("bench")?;
    let mut command = pinned(place, "0", "fake-upstream");
    command.args(["--instant", "--chunks", "20", "--calls", CALLER, "--listen"]);
    let (_upstream, upstream) =
        Child::start_listening("fake-upstream", command.arg(free_port()?.to_string()))?;

    let mut rows = Vec::new();
    {
        let mut bare = pinned(place, "1", "bare-proxy");
        bare.args(["--first", "fake-small", "--upstream", &upstream.to_string(), "--record"]);
        let (child, address) = Child::start_listening("bare-proxy", bare.arg(folder.join("bare.jsonl")))?;
        let subject = Subject { address, pid: Some(child.id()), models: &["fake"], key: "none" };
        rows.push((BARE, carried(place, load, &subject, upstream)?));
    }
    let setup = setup(place, upstream, None)?;
    let gateway = setup.start()?;
    let key = &setup.make_key()?;
    let subject = |models| Subject { address: gateway.address, pid: Some(gateway.child.id()), models, key };
    rows.push(("baton, one model", drive(place, load, &subject(&["oai/fake"]))?));
    heard(upstream)?;
    rows.push(("baton, same dialect", carried(place, load, &subject(&SAME), upstream)?));
    rows.push(("baton, two dialects", carried(place, load, &subject(&MIXED), upstream)?));
    print(
        &format!("hand-off, {name}, {CONNECTIONS} connections (bar: {BAR_CPU_US} µs of CPU a request)"),
        &rows,
    );

    println!("\nfrom the end of the transfer to the next call upstream (bar: {BAR_WAIT_MS} ms)");
    println!("{:<22} {:>12} {:>10} {:>8}", "", "median ms", "p99 ms", "calls");
    let one = Load { connections: "1", ..*load };
    for (name, models) in [("same dialect", &SAME), ("two dialects", &MIXED)] {
        drive(place, &one, &subject(models))?;
        let waits = Waits::of(heard(upstream)?.waits_us).context("no model was asked after a transfer")?;
        let [median, p99] = [waits.median_us, waits.p99_us].map(milliseconds);
        println!("{name:<22} {median:>12} {p99:>10} {:>8}", waits.count);
    }
    Ok(())
}

/// Drives, and makes sure that each request was carried by both models.
fn carried(
    place: &Place,
    load: &Load<'_>,
    subject: &Subject<'_>,
    upstream: SocketAddr,
) -> anyhow::Result<Value> {
    let measured = drive(place, load, subject)?;
    let Heard { calls, others, .. } = heard(upstream)?;
    // The driver leaves in the middle of the requests that are on their way.
    let on_the_way: u64 = load.connections.parse().context("the number of connections")?;
    ensure!(
        calls > 0 && others <= calls && calls - others <= on_the_way,
        "{calls} transfers were followed by {others} calls of another model"
    );
    Ok(measured)
}

/// What the fake heard since it was last asked.
fn heard(upstream: SocketAddr) -> anyhow::Result<Heard> {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(upstream)?;
        write!(stream, "GET /__waits HTTP/1.1\r\nhost: {upstream}\r\nconnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    let answer = ask().context("asking the fake upstream what it heard")?;
    let (_head, body) = answer.split_once("\r\n\r\n").context("an answer without a body")?;
    serde_json::from_str(body).context("reading what the fake upstream heard")
}

impl Waits {
    fn of(mut waits_us: Vec<u64>) -> Option<Self> {
        waits_us.sort_unstable();
        let count = waits_us.len();
        let at = |percent: usize| waits_us.get((count * percent / 100).min(count.saturating_sub(1))).copied();
        Some(Self { count, median_us: at(50)?, p99_us: at(99)? })
    }
}

fn milliseconds(micros: u64) -> String {
    format!("{}.{:03}", micros / 1_000, micros % 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_told_by_their_median_and_their_tail() {
        let waits = Waits::of((1..=200).rev().collect()).unwrap();
        assert_eq!((waits.count, waits.median_us, waits.p99_us), (200, 101, 199));
        let one = Waits::of(vec![7]).unwrap();
        assert_eq!((one.median_us, one.p99_us), (7, 7));
        assert!(Waits::of(Vec::new()).is_none());
    }

    #[test]
    fn microseconds_are_shown_as_milliseconds() {
        assert_eq!(milliseconds(1_042), "1.042");
        assert_eq!(milliseconds(999), "0.999");
    }
}
