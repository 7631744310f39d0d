//! How the server ends, in order and not, and what is left when it comes back.

use std::time::Duration;

use baton_testkit::fake::{FakeUpstream, Pace, Script};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::blackbox::support::{Baton, Fixture, PATIENCE, Raw, run, until};

/// Slow enough that a signal comes in the middle, and soon over.
const SLOW: Pace = Pace { latency: Duration::ZERO, chunks: 20, interval: Duration::from_millis(60) };

/// What is streamed when the signal comes: slowly to its end, or not to its end at all.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stream {
    Slow,
    Endless,
}

#[test]
fn open_streams_are_finished_before_the_end() {
    run(async {
        let (mut fixture, mut client) = streaming(Stream::Slow, "").await;
        fixture.baton.signal(Signal::TERM);
        until("new connections are refused", async || {
            tokio::net::TcpStream::connect(fixture.baton.address()).await.is_err().then_some(())
        })
        .await;
        let rest = client.read_until(|text| text.ends_with("0\r\n\r\n")).await;
        assert!(rest.contains("[DONE]") && !rest.contains("event: error"), "{rest}");
        assert_eq!(fixture.baton.ended().await, Some(0));
        // What was answered is in the record, also for the next process.
        let home = fixture.baton.home.clone();
        let next = Baton::start_in(home, &[]).await;
        let list = next.get("/v1/decisions").await.json();
        assert_eq!(list["data"][0]["outcome"]["status"], "ok", "{list}");
    });
}

#[test]
fn a_stream_that_outlives_the_drain_is_told_so() {
    run(async {
        let (mut fixture, mut client) = streaming(Stream::Endless, "limits: { drain_timeout: 300ms }").await;
        fixture.baton.signal(Signal::TERM);
        let rest = client.read_until(|text| text.ends_with("0\r\n\r\n")).await;
        assert!(rest.contains("event: error"), "a bare cut: {rest:?}");
        assert_eq!(fixture.baton.ended().await, Some(0));
        let next = Baton::start_in(fixture.baton.home.clone(), &[]).await;
        let list = next.get("/v1/decisions").await.json();
        assert_ne!(list["data"][0]["outcome"]["status"], "crashed", "{list}");
        assert_ne!(list["data"][0]["outcome"]["status"], "running", "{list}");
    });
}

#[test]
fn a_second_signal_ends_at_once() {
    run(async {
        let (mut fixture, _client) = streaming(Stream::Endless, "").await;
        fixture.baton.signal(Signal::TERM);
        until("the drain has begun", async || fixture.baton.log().contains("stopping").then_some(())).await;
        fixture.baton.signal(Signal::TERM);
        assert_eq!(fixture.baton.ended().await, Some(1));
    });
}

#[test]
fn after_a_kill_the_next_server_starts_and_knows_what_was_decided() {
    run(async {
        let (mut fixture, client) = streaming(Stream::Endless, "").await;
        let whole = fixture.baton.chat(&json!({"model": "ant/fake", "messages": "hi"})).await.expect(200);
        let before = fixture.baton.run_of(&whole).await;
        fixture.baton.signal(Signal::KILL);
        fixture.baton.ended().await;
        drop(client);
        let home = fixture.baton.home.clone();
        assert!(home.data().join("control.sock").exists(), "a killed server leaves its socket");
        let next = Baton::start_in(home.clone(), &[]).await;
        assert_eq!(next.run_of(&whole).await, before);
        let list = until("both runs are listed", async || {
            let list = next.get("/v1/decisions").await.json();
            (list["data"].as_array()?.len() == 2).then_some(list)
        })
        .await;
        let cut: Vec<&Value> = list["data"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|one| one["to"] == "oai/fault-stall")
            .collect();
        assert_eq!(cut[0]["outcome"]["status"], "crashed", "{list}");
        // The commands find the new server behind the old socket's name.
        crate::blackbox::support::baton(&home, &["keys", "list"]).await.expect(0);
        next.chat(&json!({"model": "ant/fake", "messages": "hi"})).await.expect(200);
    });
}

#[test]
fn a_request_that_had_begun_is_answered_while_the_server_stops() {
    run(async {
        let (fixture, _stream) = streaming(Stream::Endless, "").await;
        let mut client = Raw::open(fixture.baton.address()).await;
        let head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: 47\r\n\
            expect: 100-continue\r\n\r\n";
        client.say(head).await.expect("a head");
        // Only this tells that the server has taken the request: a connection that is merely open,
        // or a head that still lies in a buffer, is closed when the server stops.
        let asked = client.head().await;
        assert!(asked.starts_with("HTTP/1.1 100"), "the server wants the body: {asked}");
        fixture.baton.signal(Signal::TERM);
        until("the drain has begun", async || fixture.baton.log().contains("stopping").then_some(())).await;
        client.say(br#"{"model":"ant/fake","messages":"hi","seed":123}"#).await.expect("a body");
        let head = client.head().await;
        assert!(head.starts_with("HTTP/1.1 200"), "a request that had begun is answered: {head}");
        fixture.baton.signal(Signal::KILL);
    });
}

/// A server with a stream in the middle of its answer.
async fn streaming(stream: Stream, more: &str) -> (Fixture, Raw) {
    let script = if stream == Stream::Slow { Script::default().pace(SLOW) } else { Script::default() };
    let model = if stream == Stream::Slow { "oai/fake" } else { "oai/fault-stall" };
    let openai = FakeUpstream::start(script).await.expect("a fake upstream");
    let anthropic = FakeUpstream::start(Script::default()).await.expect("a fake upstream");
    let baton = Baton::start(&Fixture::config(&openai, &anthropic, more)).await;
    let body = json!({"model": model, "messages": "hi", "stream": true}).to_string();
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut client = Raw::open(baton.address()).await;
    client.say(head.as_bytes()).await.expect("a request");
    let came = client.read_until(|text| text.contains("\"content\":\"H")).await;
    assert!(came.starts_with("HTTP/1.1 200"), "{came}");
    assert!(openai.until(PATIENCE, |seen| seen.len() == 1).await);
    (Fixture { baton, openai, anthropic }, client)
}
