//! `Idempotency-Key` on both surfaces of answers, streamed and not: a request that comes again is
//! carried out once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use baton_testkit::fake::{Credential, FakeUpstream, Pace, Said, Script, Seen, Step};
use reqwest::{Method, RequestBuilder, Response};
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::blackbox::keys::create;
use crate::blackbox::support::{
    Answer, Baton, Fixture, PATIENCE, chat_text, messages_text, run, sent, spawn, unique, until,
};

const CHAT: &str = "/v1/chat/completions";
const MESSAGES: &str = "/v1/messages";
/// Surface, and whether streamed.
const WAYS: [(&str, bool); 4] = [(CHAT, false), (CHAT, true), (MESSAGES, false), (MESSAGES, true)];
const KEYS: &str = "auth: { required: true }";

/// An answer that nobody waits for.
const SILENT: Pace = Pace { latency: Duration::from_secs(600), chunks: 1, interval: Duration::ZERO };

#[test]
fn three_that_come_at_once_get_one_answer_of_one_call() {
    run(async {
        for (surface, stream) in WAYS {
            let held = Held::start().await;
            let mut baton = Baton::start(&held.config(KEYS)).await;
            let key = create(&baton, &["k", "--concurrency", "3"]).await;
            baton.set_key(&key.secret);
            let asking = [(); 3].map(|()| spawn(sent(asked(&baton, surface, "k", &body("held/m", stream)))));
            held.asked().await;
            until("all three are in: there is no place for a fourth", async || is_full(&baton).await).await;
            held.release();
            let mut answers = Vec::new();
            for answer in asking {
                answers.push(answer.await.expect("an answer").expect(200));
            }
            assert_eq!(held.calls(), 1, "{surface} {stream}");
            let first = &answers[0];
            assert_eq!(said(surface, stream, first), "one two");
            for answer in &answers {
                assert_eq!(answer.body, first.body, "{surface} {stream}");
                for name in ["content-type", "x-baton-decision-id", "x-baton-run-id", "x-baton-model"] {
                    assert_eq!(answer.header(name), first.header(name), "{surface} {stream} {name}");
                }
            }
            let replayed = answers.iter().filter(|answer| answer.header("idempotent-replayed") == "true");
            assert_eq!(replayed.count(), 2, "{surface} {stream}");
            let mut ids: Vec<&str> = answers.iter().map(|answer| answer.header("x-request-id")).collect();
            ids.sort_unstable();
            ids.dedup();
            assert_eq!(ids.len(), 3, "every request has an id of its own");
        }
    });
}

#[test]
fn a_repeat_hears_a_stream_from_its_beginning_and_keeps_it_going_alone() {
    run(async {
        for surface in [CHAT, MESSAGES] {
            let held = Held::start().await;
            let mut baton = Baton::start(&held.config(KEYS)).await;
            let key = create(&baton, &["k", "--concurrency", "2"]).await;
            baton.set_key(&key.secret);
            let body = body("held/m", true);
            let (first, begun) = heard_one(asked(&baton, surface, "k", &body)).await;
            assert_eq!(first.headers().get("idempotent-replayed"), None);
            let (mut second, again) = heard_one(asked(&baton, surface, "k", &body)).await;
            assert!(second.headers().contains_key("idempotent-replayed"));
            assert!(again.starts_with(&begun) || begun.starts_with(&again), "{begun} {again}");
            drop(first);
            until("the first one's place is free", async || is_full(&baton).await.is_none().then_some(()))
                .await;
            held.release();
            let mut whole = again.into_bytes();
            while let Some(piece) = second.chunk().await.expect("a piece") {
                whole.extend_from_slice(&piece);
            }
            drop(second);
            let replayed = sent(asked(&baton, surface, "k", &body)).await.expect(200);
            assert_eq!(replayed.text(), String::from_utf8(whole).expect("text"));
            assert_eq!(said(surface, true, &replayed), "one two");
            assert_eq!(held.calls(), 1);
            let run = baton.run_of(&replayed).await;
            assert_eq!(run["decisions"][0]["outcome"]["status"], "ok", "{run}");
        }
    });
}

#[test]
fn when_all_have_gone_it_is_cancelled_and_its_key_is_free() {
    run(async {
        for (surface, stream) in WAYS {
            let silent = FakeUpstream::start(Script::default().pace(SILENT)).await.expect("a fake upstream");
            let other = FakeUpstream::start(Script::default()).await.expect("a fake upstream");
            let baton = Baton::start(&Fixture::config(&silent, &other, "")).await;
            let asking =
                [(); 2].map(|()| spawn(asked(&baton, surface, "k", &body("oai/fake", stream)).send()));
            assert!(silent.until(PATIENCE, |seen| !seen.is_empty()).await, "no request came");
            for one in asking {
                one.abort();
            }
            assert!(
                silent.until(PATIENCE, |seen| seen.iter().all(Seen::closed_by_peer)).await,
                "{surface} {stream}: still open"
            );
            let outcome = until("the outcome is recorded", async || {
                let list = baton.get("/v1/decisions").await.json();
                let newest = list["data"].as_array()?.last()?.clone();
                (newest["outcome"]["status"] != "running").then(|| newest["outcome"]["status"].clone())
            })
            .await;
            assert_eq!(outcome, "client_cancelled", "{surface} {stream}");
            let again = sent(asked(&baton, surface, "k", &body("ant/fake", stream))).await.expect(200);
            assert_eq!(again.header("idempotent-replayed"), "");
        }
    });
}

#[test]
fn a_finished_answer_is_given_again() {
    run(async {
        let fixture = Fixture::shared().await;
        for (surface, stream) in WAYS {
            for provider in ["oai", "ant"] {
                let (key, test) = (unique(), unique());
                let body = body(&format!("{provider}/{test}/fake"), stream);
                let first = sent(asked(&fixture.baton, surface, &key, &body)).await.expect(200);
                assert_eq!(first.header("idempotent-replayed"), "");
                assert_eq!(first.header("content-length").is_empty(), stream, "{first:?}");
                let again = sent(asked(&fixture.baton, surface, &key, &body)).await.expect(200);
                assert_eq!(again.header("idempotent-replayed"), "true");
                assert_eq!(again.body, first.body, "{surface} {stream}");
                assert_ne!(again.header("x-request-id"), first.header("x-request-id"));
                for name in first.headers.keys().filter(|name| name.as_str().starts_with("x-baton-")) {
                    assert_eq!(again.headers.get(name), first.headers.get(name), "{name}");
                }
                assert_eq!(calls(&fixture, &test), 1, "{surface} {stream} {provider}");
            }
        }
    });
}

#[test]
fn an_error_is_given_again_where_asking_again_would_change_nothing() {
    run(async {
        let fixture = Fixture::shared().await;
        for (fault, kept) in [
            ("fault-400", true),
            ("fault-context", true),
            ("fault-404", true),
            ("fault-413", true),
            ("fault-408", false),
            ("fault-429", false),
            ("fault-500", false),
            ("fault-503", false),
            ("fault-529", false),
            ("fault-close", false),
            ("fault-truncated", false),
        ] {
            for (surface, stream) in WAYS {
                let (key, test) = (unique(), unique());
                let body = body(&format!("oai/{test}/{fault}"), stream);
                let first = sent(asked(&fixture.baton, surface, &key, &body)).await;
                let again = sent(asked(&fixture.baton, surface, &key, &body)).await;
                let expected = if kept { (1, "true") } else { (2, "") };
                let found = (calls(&fixture, &test), again.header("idempotent-replayed"));
                assert_eq!(found, expected, "{fault} {surface} {stream}");
                if kept {
                    assert_eq!((again.status, &again.body), (first.status, &first.body), "{fault}");
                }
            }
        }
    });
}

#[test]
fn a_stream_that_broke_off_is_tried_again() {
    run(async {
        let fixture = Fixture::shared().await;
        for surface in [CHAT, MESSAGES] {
            for fault in ["fault-after-content", "fault-reset", "fault-no-finish"] {
                let (key, test) = (unique(), unique());
                let body = body(&format!("oai/{test}/{fault}"), true);
                for _ in 0..2 {
                    let answer = sent(asked(&fixture.baton, surface, &key, &body)).await.expect(200);
                    assert!(answer.text().contains("event: error"), "{fault}: {answer:?}");
                    assert_eq!(answer.header("idempotent-replayed"), "");
                }
                assert_eq!(calls(&fixture, &test), 2, "{surface} {fault}");
            }
        }
    });
}

#[test]
fn another_body_under_the_same_key_is_refused() {
    run(async {
        let fixture = Fixture::shared().await;
        for (surface, stream) in WAYS {
            let key = unique();
            let [one, other] = ["one", "other"].map(|text| {
                let mut body = body("oai/fake", stream);
                body["messages"] = json!([{"role": "user", "content": text}]);
                body
            });
            sent(asked(&fixture.baton, surface, &key, &one)).await.expect(200);
            let refused = sent(asked(&fixture.baton, surface, &key, &other)).await;
            refuses(surface, &refused, 422, "idempotency_key_reused");
            sent(asked(&fixture.baton, surface, &key, &one)).await.expect(200);
        }
    });
}

#[test]
fn the_surfaces_have_keys_of_their_own() {
    run(async {
        let fixture = Fixture::shared().await;
        let key = unique();
        for surface in [CHAT, MESSAGES] {
            let answer =
                sent(asked(&fixture.baton, surface, &key, &body("oai/fake", false))).await.expect(200);
            assert_eq!(answer.header("idempotent-replayed"), "", "{surface}");
        }
    });
}

#[test]
fn after_a_crash_the_outcome_is_unknown_and_nothing_is_carried_out_twice() {
    run(async {
        let held = Held::start().await;
        let mut baton = Baton::start(&held.config("")).await;
        let asking = WAYS.map(|(surface, stream)| {
            spawn(asked(&baton, surface, &format!("k {stream}"), &body("held/m", stream)).send())
        });
        until("all are at the upstream", async || (held.calls() == 4).then_some(())).await;
        baton.signal(Signal::KILL);
        baton.ended().await;
        for one in asking {
            // A stream had its head; a whole answer had nothing.
            drop(one.await);
        }
        let baton = Baton::start_in(baton.home.clone(), &[]).await;
        held.release();
        for (surface, stream) in WAYS {
            let key = format!("k {stream}");
            let refused = sent(asked(&baton, surface, &key, &body("held/m", stream))).await;
            refuses(surface, &refused, 409, "outcome_unknown");
            let refused = sent(asked(&baton, surface, &key, &body("held/other", stream))).await;
            refuses(surface, &refused, 422, "idempotency_key_reused");
            sent(asked(&baton, surface, &format!("other {stream}"), &body("held/m", stream)))
                .await
                .expect(200);
        }
        assert_eq!(held.calls(), 8);
    });
}

#[test]
fn answers_end_with_the_process_and_freed_keys_stay_free() {
    run(async {
        let fixture = Fixture::start("").await;
        let done = body("oai/fake", false);
        let failed = body("oai/fault-500", false);
        sent(asked(&fixture.baton, CHAT, "done", &done)).await.expect(200);
        sent(asked(&fixture.baton, CHAT, "failed", &failed)).await.expect(500);
        let Fixture { mut baton, openai, anthropic: _anthropic } = fixture;
        baton.signal(Signal::TERM);
        assert_eq!(baton.ended().await, Some(0));
        let baton = Baton::start_in(baton.home.clone(), &[]).await;
        refuses(CHAT, &sent(asked(&baton, CHAT, "done", &done)).await, 409, "outcome_unknown");
        sent(asked(&baton, CHAT, "failed", &failed)).await.expect(500);
        assert_eq!(openai.seen().len(), 3);
    });
}

#[test]
fn another_caller_with_the_same_key_is_another_request() {
    run(async {
        let fixture = Fixture::start(KEYS).await;
        let one = create(&fixture.baton, &["one"]).await;
        let other = create(&fixture.baton, &["other"]).await;
        for (surface, stream) in WAYS {
            for (caller, expected) in [(&one, ""), (&other, ""), (&one, "true"), (&other, "true")] {
                let body = body("oai/fake", stream);
                let request = fixture.baton.keyless(Method::POST, surface).bearer_auth(&caller.secret);
                let answer =
                    sent(request.header("idempotency-key", stream.to_string()).json(&body)).await.expect(200);
                assert_eq!(answer.header("idempotent-replayed"), expected, "{surface} {stream}");
            }
        }
        let key = Credential::of("sk-fake-openai");
        assert_eq!(fixture.openai.seen().iter().filter(|seen| seen.credential == Some(key)).count(), 8);
    });
}

#[test]
fn what_is_refused_before_a_decision_leaves_the_key_free() {
    run(async {
        let config = format!("{KEYS}\nlimits: {{ max_body_bytes: 4096 }}");
        let mut fixture = Fixture::start(&config).await;
        let key = create(&fixture.baton, &["k"]).await;
        fixture.baton.set_key(&key.secret);
        for (surface, stream) in WAYS {
            let test = unique();
            let good = body(&format!("oai/{test}/fake"), stream);
            let mut no_model = good.clone();
            no_model["model"] = Value::Null;
            let unknown = body("nobody/fake", stream);
            let mut long = good.clone();
            long["metadata"] = json!({"x": "x".repeat(5000)});
            let keyless = fixture.baton.keyless(Method::POST, surface).header("idempotency-key", &test);
            sent(keyless.json(&good)).await.expect(401);
            for (bad, status) in [(&no_model, 400), (&unknown, 404), (&long, 413)] {
                sent(asked(&fixture.baton, surface, &test, bad)).await.expect(status);
            }
            let answer = sent(asked(&fixture.baton, surface, &test, &good)).await.expect(200);
            assert_eq!(answer.header("idempotent-replayed"), "");
            assert_eq!(calls(&fixture, &test), 1);
        }
    });
}

#[test]
fn a_key_that_is_none_is_refused() {
    run(async {
        let fixture = Fixture::shared().await;
        for surface in [CHAT, MESSAGES] {
            for key in [String::new(), "x".repeat(256)] {
                let answer = sent(asked(&fixture.baton, surface, &key, &body("oai/fake", false))).await;
                let error =
                    if surface == CHAT { answer.openai_error(400) } else { answer.anthropic_error(400) };
                assert!(
                    error["message"].as_str().is_some_and(|text| text.contains("Idempotency-Key")),
                    "{error}"
                );
            }
            let twice = asked(&fixture.baton, surface, "a", &body("oai/fake", false));
            sent(twice.header("idempotency-key", "b")).await.expect(400);
        }
    });
}

#[test]
fn a_very_long_answer_is_not_kept_and_not_made_twice() {
    run(async {
        let fixture = Fixture::start("").await;
        let key = unique();
        let body = body("oai/fake", false);
        fixture.openai.then(Step::Say(Said::Text("x".repeat(2 << 20))));
        let first = sent(asked(&fixture.baton, CHAT, &key, &body)).await.expect(200);
        assert!(first.body.len() > 2 << 20);
        refuses(CHAT, &sent(asked(&fixture.baton, CHAT, &key, &body)).await, 409, "outcome_unknown");
    });
}

#[test]
fn neither_keys_nor_answers_stand_readable_on_disk() {
    run(async {
        let fixture = Fixture::start("").await;
        let key = "order-of-mister-miller";
        let mut body = body("echo/parrot", false);
        body["messages"] = json!([{"role": "user", "content": "a-rather-secret-word"}]);
        sent(asked(&fixture.baton, CHAT, key, &body)).await.expect(200);
        let files = fixture.baton.home.files();
        assert!(files.iter().any(|(path, bytes)| path.ends_with("idempotency") && !bytes.is_empty()));
        for (path, bytes) in files {
            for secret in [key, "a-rather-secret-word"] {
                let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
                assert!(!found, "`{secret}` stands in {}", path.display());
            }
        }
    });
}

/// A request under a key.
fn asked(baton: &Baton, surface: &str, key: &str, body: &Value) -> RequestBuilder {
    baton.posting(surface, body).header("idempotency-key", key)
}

fn body(model: &str, stream: bool) -> Value {
    json!({"model": model, "max_tokens": 100, "messages": [{"role": "user", "content": "hi"}], "stream": stream})
}

/// Sends a request and waits for the first piece of its answer.
async fn heard_one(request: RequestBuilder) -> (Response, String) {
    let mut response = request.send().await.expect("a response");
    let mut heard = Vec::new();
    while !String::from_utf8_lossy(&heard).contains("one") {
        let piece = tokio::time::timeout(PATIENCE, response.chunk()).await.expect("a piece in time");
        heard.extend_from_slice(&piece.expect("a piece").expect("more"));
    }
    (response, String::from_utf8(heard).expect("text"))
}

/// The text of an answer.
fn said(surface: &str, stream: bool, answer: &Answer) -> String {
    match (surface, stream) {
        (CHAT, true) => chat_text(answer.text()),
        (_, true) => messages_text(answer.text()),
        (CHAT, false) => super::text(&answer.json()["choices"][0]["message"]["content"]),
        (_, false) => super::text(&answer.json()["content"][0]["text"]),
    }
}

#[track_caller]
fn refuses(surface: &str, answer: &Answer, status: u16, code: &str) {
    assert_eq!(answer.header("x-should-retry"), "false", "{answer:?}");
    if surface == CHAT {
        assert_eq!(answer.openai_error(status)["code"], code);
    } else {
        answer.anthropic_error(status);
    }
}

/// How many requests for a test's models came to the upstreams.
fn calls(fixture: &Fixture, test: &str) -> usize {
    let mine = |seen: &&Seen| super::text(&seen.json()["model"]).starts_with(&format!("{test}/"));
    let seen = [fixture.openai.seen(), fixture.anthropic.seen()].concat();
    seen.iter().filter(mine).count()
}

/// Whether the caller has no place for another request.
pub(crate) async fn is_full(baton: &Baton) -> Option<()> {
    let probe = baton.chat(&json!({"model": "echo/hello", "messages": "hi"})).await;
    (probe.status == 429).then_some(())
}

/// An upstream of OpenAI's dialect that waits in the middle of every answer until it is told to go on.
#[derive(Debug)]
pub(crate) struct Held {
    address: std::net::SocketAddr,
    calls: Arc<AtomicUsize>,
    go_on: watch::Sender<bool>,
}

impl Held {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (go_on, released) = watch::channel(false);
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&calls);
        drop(spawn(async move {
            // Ends with the test that holds the sender.
            while let Ok((connection, _)) = listener.accept().await
                && released.has_changed().is_ok()
            {
                drop(spawn(Self::answer(connection, Arc::clone(&counted), released.clone())));
            }
        }));
        Self { address, calls, go_on }
    }

    /// Its line among the providers.
    pub(crate) fn provider(&self) -> String {
        format!("  held: {{ dialect: openai_chat, base_url: \"http://{}/v1\", api_key: k }}\n", self.address)
    }

    fn config(&self, more: &str) -> String {
        format!("providers:\n{}{more}\n", self.provider())
    }

    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    pub(crate) async fn asked(&self) {
        until("a request is at the upstream", async || (self.calls() > 0).then_some(())).await;
    }

    pub(crate) fn release(&self) {
        self.go_on.send_replace(true);
    }

    async fn answer(connection: TcpStream, calls: Arc<AtomicUsize>, mut released: watch::Receiver<bool>) {
        let mut connection = BufReader::new(connection);
        let mut length = 0;
        loop {
            let mut line = String::new();
            connection.read_line(&mut line).await.expect("a line");
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().expect("a length");
            }
            if line.trim().is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        connection.read_exact(&mut body).await.expect("a body");
        let body: Value = serde_json::from_slice(&body).expect("JSON");
        calls.fetch_add(1, Ordering::SeqCst);
        let chunk = |delta: Value, finish: Value| {
            let chunk = json!({"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m",
                "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]});
            format!("data: {chunk}\n\n")
        };
        let (kind, first, second) = if body["stream"] == true {
            let first = chunk(json!({"role": "assistant", "content": "one "}), Value::Null);
            let second = chunk(json!({"content": "two"}), Value::Null);
            let last = chunk(json!({}), json!("stop"));
            ("text/event-stream", first, format!("{second}{last}data: [DONE]\n\n"))
        } else {
            let whole = json!({"id": "c1", "object": "chat.completion", "created": 1, "model": "m",
                "choices": [{"index": 0, "finish_reason": "stop", "logprobs": null,
                    "message": {"role": "assistant", "content": "one two", "refusal": null}}],
                "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}});
            ("application/json", String::new(), whole.to_string())
        };
        let head = format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\nconnection: close\r\n\r\n");
        // Whoever killed the gateway does not hear the rest.
        drop(connection.write_all(format!("{head}{first}").as_bytes()).await);
        drop(connection.flush().await);
        if released.wait_for(|go_on| *go_on).await.is_ok() {
            drop(connection.write_all(second.as_bytes()).await);
            drop(connection.flush().await);
        }
    }
}
