//! Postgres is taken away in every way; no request may notice.

use std::time::Duration;

use baton_testkit::postgres::{Database, Server};
use baton_testkit::rows::Store;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::bench::{Bench, HEALED_WITHIN, LOOK, due, failures, is_drained, is_shed, length, p99};

/// How soon the gateway must know that it cannot tell an unknown key from a new one.
const NOTICED_WITHIN: Duration = Duration::from_secs(6);

/// How the store is taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outage {
    /// Its process is killed.
    Stopped,
    /// All of its processes stand still: connections are open, and nothing answers.
    Frozen,
    /// Somebody else has all of its connections.
    Exhausted,
    /// It reads and does not write.
    ReadOnly,
    /// It is stopped before the gateway starts.
    DownAtStart,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_store_is_not_noticed() {
    check(Outage::Stopped).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_store_is_not_noticed() {
    check(Outage::Frozen).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_out_of_connections_is_not_noticed() {
    check(Outage::Exhausted).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_does_not_write_is_not_noticed() {
    check(Outage::ReadOnly).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_away_at_the_start_is_not_noticed() {
    check(Outage::DownAtStart).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_journal_at_its_bound_refuses_and_drops_nothing() {
    let Some(server) = server().await else { return };
    let database = Database::create().await.unwrap().expect("TEST_DATABASE_URL");
    let bench = Bench::new(&database.url(), "journal: { max_bytes: 2MiB }").await;
    let process = bench.setup.start().await.unwrap();
    let load = bench.load("bound");
    server.stop().await.unwrap();
    let filled = bench.until("the journal is full", says_full).await;
    let full = load.elapsed();
    sleep(length() / 2).await;
    let away = bench.ready().await;
    let mended = load.elapsed();
    server.start().await.unwrap();
    let client = load.stop().await;
    bench.until("the store has what waited", is_drained).await;
    for _ in 0..20 {
        assert_eq!(bench.known_key().await, 200, "requests are shed when there is room again");
    }
    let findings = bench.finish(process, &client, &Store::Postgres(&database.url())).await;
    database.remove().await.unwrap();

    let shed = failures(&client);
    println!(
        "journal bound of 2 MiB: full after {:.1} s with {} bytes waiting; {} of {} requests shed in {:.1} s; {findings}",
        filled.as_secs_f64(),
        away["journal_backlog_bytes"],
        shed.len(),
        client.len(),
        (mended - full).as_secs_f64(),
    );
    assert!(shed.iter().all(|entry| is_shed(entry)), "{:?}", shed.iter().find(|entry| !is_shed(entry)));
    assert!(!due(&client, full, mended).is_empty() && !shed.is_empty(), "nothing was shed");
    assert!(findings.is_clean(), "{findings:#?}");
}

fn says_full(ready: &Value) -> bool {
    ready["ready"] == false && ready["problems"].to_string().contains("journal is full")
}

/// The Postgres that may be stopped; none when this runs without `cargo xtask outage`.
async fn server() -> Option<Server> {
    let server = Server::from_environment().unwrap();
    match &server {
        Some(server) => server.ensure_well().await.unwrap(),
        None => println!("SKIPPED: `cargo xtask outage` starts the Postgres that this test may stop"),
    }
    server
}

/// What was seen of callers with a key that nobody has.
#[derive(Debug, Default)]
struct Strangers {
    /// When they were first told that keys cannot be checked.
    noticed: Option<Duration>,
    /// Answers after that which are wrong.
    wrong: Vec<(u16, Option<String>)>,
    asked: usize,
}

impl Strangers {
    async fn ask(&mut self, bench: &Bench, since: Duration) {
        let (status, retry_after) = bench.unknown_key().await;
        self.asked += 1;
        match (status, &retry_after) {
            (503, Some(_)) => {
                self.noticed.get_or_insert(since);
            }
            // The list that it looked at was a moment old: that is what 401 says.
            (401, _) if self.noticed.is_none() && since < NOTICED_WITHIN => {}
            _ => self.wrong.push((status, retry_after)),
        }
    }
}

async fn check(outage: Outage) {
    let Some(server) = server().await else { return };
    let database = Database::create().await.unwrap().expect("TEST_DATABASE_URL");
    let bench = Bench::new(&database.url(), "").await;
    if outage == Outage::DownAtStart {
        // A first life, in which the gateway learns of the key.
        let process = bench.setup.start().await.unwrap();
        assert!(process.terminate(HEALED_WITHIN).await.unwrap().success());
        server.stop().await.unwrap();
    }
    let process = bench.setup.start().await.unwrap();
    let id = process.id();
    let load = bench.load("outage");
    let mut held = None;
    if outage != Outage::DownAtStart {
        assert_eq!(bench.unknown_key().await.0, 401, "a store that answers knows that nobody has it");
        sleep((length() / 4).max(Duration::from_secs(2))).await;
    }
    let broken = load.elapsed();
    match outage {
        Outage::Stopped => server.stop().await.unwrap(),
        Outage::Frozen => server.freeze().unwrap(),
        Outage::Exhausted => held = Some(server.exhaust().await.unwrap()),
        Outage::ReadOnly => server.set_read_only(true).await.unwrap(),
        Outage::DownAtStart => {}
    }
    let mut strangers = Strangers::default();
    let began = Instant::now();
    // It lasts until the gateway has noticed, however short it was to be.
    let reads = outage == Outage::ReadOnly;
    while began.elapsed() < length() || (!reads && strangers.noticed.is_none() && strangers.wrong.is_empty())
    {
        if reads {
            assert_eq!(bench.unknown_key().await.0, 401, "a store that reads knows that nobody has it");
        } else {
            strangers.ask(&bench, began.elapsed()).await;
        }
        sleep(LOOK).await;
    }
    let away = bench.ready().await;
    let mended = load.elapsed();
    match outage {
        Outage::Stopped | Outage::DownAtStart => server.start().await.unwrap(),
        Outage::Frozen => server.thaw().unwrap(),
        Outage::Exhausted => drop(held),
        Outage::ReadOnly => server.set_read_only(false).await.unwrap(),
    }
    let back = Instant::now();
    bench.until("the store takes records again", |ready| ready["store"] == "ok").await;
    while bench.unknown_key().await.0 != 401 {
        assert!(back.elapsed() < HEALED_WITHIN, "keys can still not be checked");
        sleep(LOOK).await;
    }
    let healed = back.elapsed();
    assert_eq!(process.id(), id, "the gateway is another one");
    let client = load.stop().await;
    bench.until("the store has what waited", is_drained).await;
    let drained = back.elapsed();
    let findings = bench.finish(process, &client, &Store::Postgres(&database.url())).await;
    database.remove().await.unwrap();

    let during = due(&client, broken, mended);
    let before = due(&client, Duration::ZERO, broken);
    let failed = failures(&client);
    let wrong_401 = client.iter().filter(|entry| entry.status == Some(401)).count();
    println!(
        "{outage:?} for {:.1} s at 200 requests/s: {} requests, of them {} in the outage, {} failed, {wrong_401} wrong 401s; {findings}",
        (mended - broken).as_secs_f64(),
        client.len(),
        during.len(),
        failed.len(),
    );
    println!(
        "  backlog at the end {} bytes, age {} ms; healed {:.1} s after the return, drained after {:.1} s; \
         p99 {:.1} ms before, {:.1} ms in the outage, {:.1} ms after; {} requests with an unknown key, noticed after {:?}, wrong {:?}",
        away["journal_backlog_bytes"],
        away["relay_lag_ms"],
        healed.as_secs_f64(),
        drained.as_secs_f64(),
        p99(&before),
        p99(&during),
        p99(&due(&client, mended, Duration::MAX)),
        strangers.asked,
        strangers.noticed,
        strangers.wrong,
    );
    assert!(failed.is_empty(), "{} requests failed, the first: {:?}", failed.len(), failed.first());
    assert!(findings.is_clean(), "{findings:#?}");
    assert_eq!(findings.unknown, 0);
    assert!(during.len() > 100, "nothing was asked in the outage");
    assert!(strangers.wrong.is_empty(), "{:?}", strangers.wrong);
    assert!(away["store"] == "away" && away["ready"] == true, "{away}");
    assert!(healed <= HEALED_WITHIN, "it took {healed:?} to heal");
}
