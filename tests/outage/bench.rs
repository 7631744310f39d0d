//! What the outages share: a gateway under a steady load, its state, and the end of it.

use std::path::Path;
use std::time::Duration;

use baton_testkit::checker::{Findings, check};
use baton_testkit::client::{Entry, Kind, Load, Loop, Running, Surface, Verdict};
use baton_testkit::fake::{FakeUpstream, Script};
use baton_testkit::process::{Process, Setup};
use baton_testkit::rows::{Store, decisions};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

/// With Postgres it must be given. It guards nothing here.
const MASTER_KEY: &str = "b3V0YWdlLXRlc3QtbWFzdGVyLWtleS0zMi1ieXRlcyE=";
/// Requests a second.
pub(crate) const RATE: f64 = 200.0;
/// How long anything may take that is not what is tested.
pub(crate) const WAIT: Duration = Duration::from_secs(120);
/// How long the store may be back before everything is as ever.
pub(crate) const HEALED_WITHIN: Duration = Duration::from_secs(10);
/// How often a wait looks again.
pub(crate) const LOOK: Duration = Duration::from_millis(50);

/// How long each outage lasts.
pub(crate) fn length() -> Duration {
    let secs = std::env::var("BATON_OUTAGE_SECS").map_or(4, |text| text.parse().expect("seconds"));
    Duration::from_secs(secs)
}

/// A gateway with its upstream and a key.
pub(crate) struct Bench {
    pub(crate) setup: Setup,
    pub(crate) fake: FakeUpstream,
    pub(crate) key: String,
    pub(crate) http: reqwest::Client,
}

impl Bench {
    /// Sets it up and makes a key.
    pub(crate) async fn new(database: &str, more: &str) -> Self {
        Self::on(database, more, |_data| ()).await
    }

    /// The same, on a data directory that something is done with first.
    pub(crate) async fn on(database: &str, more: &str, prepare: impl FnOnce(&Path)) -> Self {
        let fake = FakeUpstream::start(Script::default().latency(Duration::from_millis(20))).await.unwrap();
        let config = format!(
            "database: \"{database}\"\nauth: {{ required: true }}\n{more}\nproviders:\n  \
             oai: {{ dialect: openai_chat, base_url: \"{}\", api_key: k, models: [fake] }}\n  \
             ant: {{ dialect: anthropic_messages, base_url: \"{}\", api_key: k, models: [fake] }}\n",
            fake.base_url(),
            fake.origin(),
        );
        let setup = Setup::new(env!("CARGO_BIN_EXE_baton"), &config).unwrap();
        let setup = setup.with_env("BATON_MASTER_KEY", MASTER_KEY);
        prepare(&setup.data_dir());
        let made = setup.command(&["keys", "create", "outage", "--json"]).output().await.unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let made: Value = serde_json::from_slice(&made.stdout).unwrap();
        let key = made["secret"].as_str().expect("a key").to_owned();
        Self { setup, fake, key, http: reqwest::Client::builder().no_proxy().build().unwrap() }
    }

    /// Requests at [`RATE`] until it is stopped.
    pub(crate) fn load(&self, label: &str) -> Running {
        let kind = |surface, model: &str, stream| Kind { surface, model: model.to_owned(), stream };
        Load {
            server: self.setup.address(),
            key: Some(self.key.clone()),
            kinds: vec![
                kind(Surface::Chat, "oai/fake", false),
                kind(Surface::Chat, "oai/fake", true),
                kind(Surface::Messages, "ant/fake", true),
                kind(Surface::Chat, "ant/fake", true),
            ],
            pace: Loop::Open { per_second: RATE },
            at_once: 400,
            most: u64::MAX,
            timeout: WAIT,
            label: label.to_owned(),
        }
        .start()
    }

    /// A question with a key that nobody has: its status and `retry-after`.
    pub(crate) async fn unknown_key(&self) -> (u16, Option<String>) {
        let url = format!("http://{}/v1/chat/completions", self.setup.address());
        let body = json!({"model": "oai/fake", "messages": [{"role": "user", "content": "hi"}]});
        let answer = self.http.post(url).bearer_auth("bk_nobody_has_this_key").json(&body).send().await;
        let answer = answer.expect("an answer");
        let after = answer.headers().get("retry-after").map(|value| value.to_str().unwrap().to_owned());
        (answer.status().as_u16(), after)
    }

    /// The status of a question with the key.
    pub(crate) async fn known_key(&self) -> u16 {
        let url = format!("http://{}/v1/chat/completions", self.setup.address());
        let body =
            json!({"model": "oai/fake", "messages": [{"role": "user", "content": "hi"}], "user": "probe"});
        let answer = self.http.post(url).bearer_auth(&self.key).json(&body).send().await.expect("an answer");
        let status = answer.status().as_u16();
        drop(answer.bytes().await);
        status
    }

    /// What `/readyz` says.
    pub(crate) async fn ready(&self) -> Value {
        let url = format!("http://{}/readyz", self.setup.address());
        let answer = self.http.get(url).send().await.expect("an answer");
        answer.json().await.expect("JSON")
    }

    /// Waits until `/readyz` satisfies the condition; how long that took.
    pub(crate) async fn until(&self, what: &str, condition: impl Fn(&Value) -> bool) -> Duration {
        let began = Instant::now();
        loop {
            let ready = self.ready().await;
            if condition(&ready) {
                return began.elapsed();
            }
            assert!(began.elapsed() < WAIT, "{what}: {ready}");
            sleep(LOOK).await;
        }
    }

    /// Ends the gateway in order, which drains it, and joins what the three logs say.
    pub(crate) async fn finish(&self, process: Process, client: &[Entry], store: &Store<'_>) -> Findings {
        let log = process.log();
        let status = process.terminate(WAIT).await.unwrap();
        let said = std::fs::read_to_string(log).unwrap();
        assert!(status.success(), "the drain ended with {status}:\n{said}");
        assert!(!said.contains("the store does not have everything yet"), "it was not drained:\n{said}");
        check(client, &self.fake.seen(), &decisions(store).await.unwrap())
    }
}

/// Whether the store has nearly everything.
pub(crate) fn is_drained(ready: &Value) -> bool {
    ready["store"] == "ok" && ready["relay_lag_ms"].as_u64().is_some_and(|lag| lag < 2_000)
}

/// The requests that were due in this stretch of the load.
pub(crate) fn due(log: &[Entry], from: Duration, to: Duration) -> Vec<&Entry> {
    log.iter().filter(|entry| (from..to).contains(&entry.due)).collect()
}

/// The 99th percentile of how long they took, in milliseconds.
pub(crate) fn p99(entries: &[&Entry]) -> f64 {
    let mut took: Vec<Duration> = entries.iter().map(|entry| entry.took).collect();
    took.sort();
    let at = (took.len() * 99).div_ceil(100).saturating_sub(1);
    took.get(at).map_or(0.0, |took| took.as_secs_f64() * 1000.0)
}

/// Those that were not answered whole and well.
pub(crate) fn failures<'e>(entries: impl IntoIterator<Item = &'e Entry>) -> Vec<&'e Entry> {
    entries.into_iter().filter(|entry| entry.verdict != Verdict::Ok).collect()
}

/// Whether a request was refused as a full journal is to refuse: in a way that says when to come back.
pub(crate) fn is_shed(entry: &Entry) -> bool {
    entry.status == Some(503) && entry.retry_after.is_some() && !entry.acknowledged
}
