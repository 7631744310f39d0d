use std::sync::atomic::{AtomicU64, Ordering};

use tempfile::TempDir;

use super::*;

#[tokio::test]
async fn repeats_join_the_running_request() {
    let bench = Bench::new();
    let (recording, mut first) = bench.new_request("k", "body");
    let mut second = bench.joined("k", "body");
    recording.head(head(200));
    recording.push(Bytes::from_static(b"a")).await;
    let mut third = bench.joined("k", "body");
    recording.push(Bytes::from_static(b"b")).await;
    recording.end(Verdict::Keep);
    for listener in [&mut first, &mut second, &mut third] {
        assert_eq!(listener.head().await.unwrap(), head(200));
        assert_eq!(listener.rest().unwrap(), "ab");
    }
}

#[test]
fn a_finished_answer_is_given_again_for_ten_minutes_and_refused_then_for_a_day() {
    let bench = Bench::new();
    bench.new_request("k", "body").0.whole(answer(200), Verdict::Keep);
    assert_eq!(bench.begin("k", "body"), "answered 200");
    bench.pass(KEEP_MS - 1);
    assert_eq!(bench.begin("k", "body"), "answered 200");
    bench.pass(1);
    assert_eq!(bench.begin("k", "body"), "unknown");
    bench.pass(KNOW_MS - KEEP_MS - 1);
    assert_eq!(bench.begin("k", "body"), "unknown");
    bench.pass(1);
    assert_eq!(bench.begin("k", "body"), "new");
}

#[test]
fn another_body_is_another_request_at_every_stage() {
    let bench = Bench::new();
    let (recording, _listener) = bench.new_request("k", "body");
    assert_eq!(bench.begin("k", "other"), "other request");
    recording.whole(answer(200), Verdict::Keep);
    assert_eq!(bench.begin("k", "other"), "other request");
    bench.pass(KEEP_MS);
    assert_eq!(bench.begin("k", "other"), "other request");
    let bench = bench.restarted();
    assert_eq!(bench.begin("k", "other"), "other request");
}

#[test]
fn a_key_is_free_again_when_its_answer_is_to_be_forgotten() {
    let bench = Bench::new();
    bench.new_request("k", "body").0.whole(answer(500), Verdict::Forget);
    let bench = bench.restarted();
    assert_eq!(bench.begin("k", "body"), "new");
}

#[test]
fn after_a_crash_the_outcome_is_not_known() {
    let bench = Bench::new();
    let (recording, listener) = bench.new_request("k", "body");
    let crashed = bench.again();
    assert_eq!(crashed.begin("k", "body"), "unknown");
    drop((recording, listener));
}

#[test]
fn after_a_restart_an_answer_is_not_known_either() {
    let bench = Bench::new();
    bench.new_request("k", "body").0.whole(answer(200), Verdict::Keep);
    assert_eq!(bench.restarted().begin("k", "body"), "unknown");
}

#[tokio::test]
async fn a_request_that_ended_without_an_answer_frees_its_key() {
    let bench = Bench::new();
    let (recording, mut listener) = bench.new_request("k", "body");
    drop(recording);
    assert_eq!(listener.head().await, Err(Broken::CutOff));
    assert_eq!(bench.restarted().begin("k", "body"), "new");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_everybody_left_is_begun_anew_by_whoever_comes_then() {
    let bench = Bench::new();
    let (given_up, listener) = bench.new_request("k", "body");
    drop(listener);
    given_up.left().await;
    let (recording, _listener) = bench.new_request("k", "body");
    // The end of the one that was given up must not be taken for the end of the new one.
    drop(given_up);
    assert_eq!(bench.begin("k", "body"), "running");
    recording.whole(answer(200), Verdict::Keep);
    assert_eq!(bench.begin("k", "body"), "answered 200");
}

#[tokio::test]
async fn an_answer_whose_beginning_is_gone_is_not_given_again() {
    let bench = Bench::new();
    let (recording, mut listener) = bench.new_request("k", "body");
    recording.head(head(200));
    for _ in 0..100 {
        recording.push(Bytes::from(vec![b'x'; 100 * 1024])).await;
        assert!(listener.next().await.unwrap().is_some());
    }
    assert_eq!(bench.begin("k", "body"), "unknown");
    recording.end(Verdict::Keep);
    assert_eq!(listener.next().await, Ok(None));
    assert_eq!(bench.begin("k", "body"), "unknown");
}

#[test]
fn two_callers_may_have_the_same_key() {
    let bench = Bench::new();
    let (recording, _listener) = bench.new_request("k", "body");
    let key = "k".parse().unwrap();
    let other = Asked { principal: "key_b", ..asked(&key, "other body") };
    assert_eq!(shown(bench.keys.begin(&other)), "new");
    recording.whole(answer(200), Verdict::Keep);
}

#[test]
fn under_another_secret_the_keys_are_not_known() {
    let bench = Bench::new();
    bench.new_request("k", "body").0.whole(answer(200), Verdict::Keep);
    let keys = Idempotency::open(bench.dir.path(), &[8; 32], Box::new(|| 0)).unwrap();
    assert_eq!(shown(keys.begin(&asked(&"k".parse().unwrap(), "body"))), "new");
}

struct Bench {
    dir: Arc<TempDir>,
    now: Arc<AtomicU64>,
    keys: Arc<Idempotency>,
}

impl Bench {
    fn new() -> Self {
        Self::open(Arc::new(TempDir::new().unwrap()), Arc::default())
    }

    fn open(dir: Arc<TempDir>, now: Arc<AtomicU64>) -> Self {
        let time = Arc::clone(&now);
        let clock = Box::new(move || time.load(Ordering::Relaxed));
        let keys = Idempotency::open(dir.path(), &[7; 32], clock).unwrap();
        Self { dir, now, keys }
    }

    /// Another process on what this one has written so far.
    fn again(&self) -> Self {
        Self::open(Arc::clone(&self.dir), Arc::clone(&self.now))
    }

    fn restarted(self) -> Self {
        self.again()
    }

    fn pass(&self, ms: u64) {
        self.now.fetch_add(ms, Ordering::Relaxed);
    }

    #[track_caller]
    fn new_request(&self, key: &str, body: &str) -> (Recording, Listener) {
        match self.keys.begin(&asked(&key.parse().unwrap(), body)) {
            Ok(Begun::New(recording, listener)) => (recording, listener),
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    fn joined(&self, key: &str, body: &str) -> Listener {
        match self.keys.begin(&asked(&key.parse().unwrap(), body)) {
            Ok(Begun::Running(listener)) => listener,
            other => panic!("{other:?}"),
        }
    }

    fn begin(&self, key: &str, body: &str) -> String {
        shown(self.keys.begin(&asked(&key.parse().unwrap(), body)))
    }
}

fn asked<'a>(key: &'a IdempotencyKey, body: &'a str) -> Asked<'a> {
    Asked { principal: "key_a", surface: "/v1/messages", key, body: body.as_bytes() }
}

fn shown(begun: Result<Begun, NotRecorded>) -> String {
    match begun {
        Ok(Begun::New(..)) => "new".to_owned(),
        Ok(Begun::Running(_)) => "running".to_owned(),
        Ok(Begun::Answered(answer)) => format!("answered {}", answer.head.status.as_u16()),
        Ok(Begun::OtherRequest) => "other request".to_owned(),
        Ok(Begun::Unknown) => "unknown".to_owned(),
        Err(error) => error.to_string(),
    }
}

fn head(status: u16) -> Head {
    Head { status: StatusCode::from_u16(status).unwrap(), headers: HeaderMap::new() }
}

fn answer(status: u16) -> Answer {
    Answer { head: head(status), body: Bytes::from_static(b"whole") }
}
