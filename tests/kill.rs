//! Kills the gateway under load, again and again, and looks for losses.
//!
//! Each round sends streamed and whole requests on both surfaces over providers of both dialects,
//! and ends the process: with `SIGKILL` at a random moment, from within at a place around the commit
//! that its journal or relay comes to, or in order. After the last round the gateway is started once
//! more and asked to end, which drains its journal into the store. Then SQL in the store is held
//! against the client's log and the log of the upstream.
//!
//! `BATON_KILL_ROUNDS`, `BATON_KILL_COMMITS` and `BATON_KILL_STOPS` say how many rounds of these three
//! there are over all four set-ups, `BATON_KILL_ANSWERS` how many answers the longest may wait for;
//! `BATON_KILL_SEED` repeats a run.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![expect(clippy::print_stdout, reason = "the figures are what this test is run for")]

use std::os::unix::process::ExitStatusExt;
use std::time::{Duration, Instant};

use baton_testkit::checker::{Findings, check};
use baton_testkit::client::{Entry, Kind, Load, Loop, Surface, Verdict};
use baton_testkit::fake::{FakeUpstream, Script};
use baton_testkit::postgres::Database;
use baton_testkit::process::Setup;
use baton_testkit::rows::{Store, decisions};

const DEFAULT_ROUNDS: u32 = 20;
const DEFAULT_COMMITS: u32 = 8;
const DEFAULT_STOPS: u32 = 8;
const DEFAULT_ANSWERS: u32 = 400;
/// The places around a commit, and how often they are passed before the process dies there: entries
/// are many, syncs fewer, and the relay moves a batch at a time.
const PLACES: [(&str, u64); 6] = [
    ("before_write", 1_000),
    ("after_write", 1_000),
    ("before_sync", 200),
    ("after_sync", 200),
    ("mid_relay", 6),
    ("after_relay_before_ack", 6),
];
/// With Postgres it must be given. It guards nothing here.
const MASTER_KEY: &str = "a2lsbC10ZXN0LW1hc3Rlci1rZXktMzItYnl0ZXMhISE=";
/// The signal of a process that ends itself.
const ABORTED: i32 = 6;
const WAIT: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn embedded_store_and_instant_upstream_lose_nothing() {
    check_embedded(Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn embedded_store_and_slow_upstream_lose_nothing() {
    check_embedded(Duration::from_millis(50)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_and_instant_upstream_lose_nothing() {
    check_postgres(Duration::ZERO).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_and_slow_upstream_lose_nothing() {
    check_postgres(Duration::from_millis(50)).await;
}

async fn check_embedded(latency: Duration) {
    let run = Run::start(latency, "sqlite").await;
    let data = run.setup.data_dir();
    run.finish("embedded store", &Store::Embedded(&data)).await;
}

async fn check_postgres(latency: Duration) {
    let Some(database) = Database::create().await.unwrap() else {
        println!("SKIPPED: TEST_DATABASE_URL is not set, so the kill test leaves Postgres out");
        return;
    };
    let url = database.url();
    let run = Run::start(latency, &url).await;
    run.finish("Postgres", &Store::Postgres(&url)).await;
    database.remove().await.unwrap();
}

/// How a round ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// By `SIGKILL`, at a random moment.
    Killed,
    /// By itself, around a commit.
    Committing,
    /// In order, by `SIGTERM`.
    Stopped,
}

/// One set-up through all of its rounds.
struct Run {
    setup: Setup,
    fake: FakeUpstream,
    latency: Duration,
    dice: Dice,
}

impl Run {
    async fn start(latency: Duration, database: &str) -> Self {
        let fake = FakeUpstream::start(Script::default().latency(latency)).await.unwrap();
        let config = format!(
            "database: \"{database}\"\nauth: {{ required: false }}\nproviders:\n  \
             oai: {{ dialect: openai_chat, base_url: \"{}\", api_key: k, models: [fake] }}\n  \
             ant: {{ dialect: anthropic_messages, base_url: \"{}\", api_key: k, models: [fake] }}\n",
            fake.base_url(),
            fake.origin(),
        );
        let setup = Setup::new(env!("CARGO_BIN_EXE_baton"), &config).unwrap();
        let setup = setup.with_env("BATON_MASTER_KEY", MASTER_KEY);
        Self { setup, fake, latency, dice: Dice::new() }
    }

    async fn finish(mut self, name: &str, store: &Store<'_>) {
        let rounds = |variable, otherwise| number(variable, otherwise).div_ceil(4);
        let (kills, commits, stops) = (
            rounds("BATON_KILL_ROUNDS", DEFAULT_ROUNDS),
            rounds("BATON_KILL_COMMITS", DEFAULT_COMMITS),
            rounds("BATON_KILL_STOPS", DEFAULT_STOPS),
        );
        println!(
            "{name}, upstream {:?}: {kills} kills at random, {commits} around a commit, {stops} stops in order, \
             BATON_KILL_SEED={}",
            self.latency, self.dice.seed
        );
        let endings = [(Ending::Killed, kills), (Ending::Committing, commits), (Ending::Stopped, stops)];
        let endings = endings.into_iter().flat_map(|(ending, times)| (0..times).map(move |_| ending));
        let mut client = Vec::new();
        let mut slowest_start = Duration::ZERO;
        for (round, ending) in endings.enumerate() {
            let (log, start) = self.round(round, ending).await;
            slowest_start = slowest_start.max(start);
            client.extend(log);
        }
        let process = self.setup.start().await.unwrap();
        let stderr = process.stderr();
        let status = process.terminate(WAIT).await.unwrap();
        assert!(status.success(), "the drain ended with {status}:\n{stderr}");
        let findings = check(&client, &self.fake.seen(), &decisions(store).await.unwrap());
        println!("{name}, upstream {:?}: {findings}; slowest start {slowest_start:?}", self.latency);
        judge(&client, &findings, &stderr);
    }

    /// One life of the gateway: what its clients know, and how long it took to be ready.
    async fn round(&mut self, round: usize, ending: Ending) -> (Vec<Entry>, Duration) {
        let began = Instant::now();
        let place = (ending == Ending::Committing).then(|| self.dice.place());
        let armed = place.as_deref().map(|place| ("BATON_FAILPOINTS", place));
        let process = self.setup.start_with(armed.as_slice()).await.unwrap();
        let start = began.elapsed();
        let running = load(self.setup.address(), round).start();
        if ending == Ending::Committing {
            let status = process.ended(WAIT).await.unwrap();
            assert_eq!(status.signal(), Some(ABORTED), "it did not die at {place:?}: {status}");
            return (running.stop().await, start);
        }
        // The moment is a number of answers and not a time: it does not depend on the machine.
        let most = u64::from(number("BATON_KILL_ANSWERS", DEFAULT_ANSWERS));
        let moment = 20 + self.dice.below(most);
        assert!(running.logged(moment, WAIT).await, "{moment} answers did not come:\n{}", process.stderr());
        if ending == Ending::Killed {
            process.kill().await.unwrap();
            return (running.stop().await, start);
        }
        let (status, log) = tokio::join!(process.terminate(WAIT), running.stop_when_gone());
        assert!(status.unwrap().success(), "it did not end in order");
        // Who was let in is answered to the end.
        let cut = log.iter().find(|entry| entry.status == Some(200) && entry.verdict != Verdict::Ok);
        assert!(cut.is_none(), "a stop cut an answer off: {cut:?}");
        (log, start)
    }
}

/// The run must have been a test at all, and nothing may be missing.
fn judge(client: &[Entry], findings: &Findings, stderr: &str) {
    let failed = client.iter().find(|entry| entry.status.is_some_and(|status| status >= 400));
    if let Some(entry) = failed {
        panic!("a request failed while the gateway was up: {:?} {:?}", entry.status, entry.body);
    }
    assert!(findings.acknowledged > 0 && findings.unknown > 0, "nothing was under way: {findings}");
    assert!(findings.is_clean(), "{findings:#?}\n{stderr}");
}

fn load(server: std::net::SocketAddr, round: usize) -> Load {
    let kind = |surface, model: &str, stream| Kind { surface, model: model.to_owned(), stream };
    Load {
        server,
        key: None,
        kinds: vec![
            kind(Surface::Chat, "oai/fake", false),
            kind(Surface::Chat, "oai/fake", true),
            kind(Surface::Chat, "ant/fake", true),
            kind(Surface::Messages, "ant/fake", false),
            kind(Surface::Messages, "ant/fake", true),
            kind(Surface::Messages, "oai/fake", true),
        ],
        pace: Loop::Closed,
        at_once: 48,
        most: 20_000,
        timeout: WAIT,
        label: format!("round-{round}"),
    }
}

fn number(variable: &str, otherwise: u32) -> u32 {
    std::env::var(variable).map_or(otherwise, |text| text.parse().expect("a number"))
}

/// Numbers that look random and can be had again.
struct Dice {
    seed: u64,
    state: u64,
}

impl Dice {
    fn new() -> Self {
        let seed = std::env::var("BATON_KILL_SEED").ok().map_or_else(
            || u64::from(std::process::id()) ^ u64::from(Instant::now().elapsed().subsec_nanos()),
            |text| text.parse().expect("BATON_KILL_SEED is a number"),
        );
        Self { seed, state: seed }
    }

    /// A place around a commit, and the how-manieth time that it is come to.
    fn place(&mut self) -> String {
        let (place, times) = PLACES.get(self.below(PLACES.len() as u64)).expect("one of them");
        format!("{place}:{}", 2 + self.below(*times))
    }

    /// A number below `end`, by a linear congruence: good enough to choose a moment.
    fn below(&mut self, end: u64) -> usize {
        self.state =
            self.state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from((self.state >> 33) % end).expect("a small number")
    }
}
