//! A client that leaves: its upstream is closed, and the record says so.

use std::time::Duration;

use baton_testkit::fake::{End, FakeUpstream, Pace, Script, Seen, Step};
use serde_json::{Value, json};

use super::BOTH;
use crate::blackbox::keys::create;
use crate::blackbox::support::{Baton, Fixture, PATIENCE, Raw, run, until};

/// An answer that nobody waits for.
const SILENT: Pace = Pace { latency: Duration::from_secs(600), chunks: 1, interval: Duration::ZERO };

#[test]
fn leaving_in_the_middle_of_a_stream_closes_the_upstream() {
    check("fault-stall", true, "\"content\":\"H");
}

#[test]
fn leaving_before_the_first_byte_of_a_stream_closes_the_upstream() {
    check("fake", true, "");
}

#[test]
fn leaving_before_a_whole_answer_closes_the_upstream() {
    check("fake", false, "");
}

#[test]
fn leaving_during_a_pause_before_a_retry_starts_no_other_attempt() {
    run(async {
        let openai = FakeUpstream::start(Script::default()).await.expect("a fake upstream");
        let other = FakeUpstream::start(Script::default()).await.expect("a fake upstream");
        // The provider asks for a pause of half a minute; nobody else is there.
        openai.then(Step::Raw(baton_testkit::fake::Raw {
            status: 429,
            headers: vec![
                ("content-type".to_owned(), "application/json".to_owned()),
                ("retry-after".to_owned(), "30".to_owned()),
            ],
            pieces: vec![
                br#"{"error":{"message":"slow down","type":"rate_limit_exceeded","param":null,"code":null}}"#
                    .to_vec(),
            ],
            then: End::Whole,
        }));
        let config = "auth: { required: true }\npolicies: { default: { fallback: { retries: 3 } } }";
        let mut baton = Baton::start(&Fixture::config(&openai, &other, config)).await;
        let key = create(&baton, &["k", "--concurrency", "1"]).await;
        baton.set_key(&key.secret);
        let mut client = Raw::open(baton.address()).await;
        let head = format!("authorization: Bearer {}\r\nhost: localhost", key.secret);
        let asked =
            String::from_utf8(request(&json!({"model": "oai/fake", "messages": "hi"}))).expect("text");
        client.say(asked.replace("host: localhost", &head).as_bytes()).await.expect("a request");
        assert_eq!(decided(&baton).await["outcome"]["fault"], "rate_limited");
        assert_eq!(
            baton.chat(&json!({"model": "echo/hello", "messages": "hi"})).await.status,
            429,
            "the request is still open"
        );
        drop(client);
        // Its place is free only when nothing of it is left, so that nothing can follow.
        until("the place is free", async || {
            (baton.chat(&json!({"model": "echo/hello", "messages": "hi"})).await.status == 200).then_some(())
        })
        .await;
        assert_eq!(openai.seen().len(), 1);
    });
}

/// Asks, leaves once `heard` has come (or once the upstream has the request), and looks at both ends.
fn check(model: &str, stream: bool, heard: &str) {
    run(async {
        for provider in BOTH {
            let script = || if heard.is_empty() { Script::default().pace(SILENT) } else { Script::default() };
            let openai = FakeUpstream::start(script()).await.expect("a fake upstream");
            let anthropic = FakeUpstream::start(script()).await.expect("a fake upstream");
            let baton = Baton::start(&Fixture::config(&openai, &anthropic, "")).await;
            let upstream = if provider == "oai" { &openai } else { &anthropic };
            let mut client = Raw::open(baton.address()).await;
            let body = json!({"model": [format!("{provider}/{model}"), "oai/fake", "ant/fake"], "messages": "hi", "stream": stream});
            client.say(&request(&body)).await.expect("a request");
            assert!(upstream.until(PATIENCE, |seen| !seen.is_empty()).await, "{provider}: no request came");
            if !heard.is_empty() {
                let came = client.read_until(|text| text.contains(heard)).await;
                assert!(came.starts_with("HTTP/1.1 200"), "{came}");
            }
            drop(client);
            assert!(
                upstream.until(PATIENCE, |seen| seen.iter().all(Seen::closed_by_peer)).await,
                "{provider}: still open"
            );
            let decision = decided(&baton).await;
            assert_eq!(decision["outcome"]["status"], "client_cancelled", "{decision}");
            assert_eq!(decision["outcome"]["fault"], "client_cancelled", "{decision}");
            assert_eq!(decision["outcome"]["content_sent"], !heard.is_empty(), "{decision}");
            assert_eq!(
                openai.seen().len() + anthropic.seen().len(),
                1,
                "another attempt was made for nobody"
            );
            if !heard.is_empty() {
                assert!(decision["outcome"]["usage_source"].is_string(), "{decision}");
            }
        }
    });
}

/// The only decision of a server, once it has its outcome.
async fn decided(baton: &Baton) -> Value {
    until("the outcome is recorded", async || {
        let list = baton.get("/v1/decisions").await.json();
        let newest = list["data"].as_array()?.last()?.clone();
        (newest["outcome"]["status"] != "running").then_some(newest)
    })
    .await
}

fn request(body: &Value) -> Vec<u8> {
    let body = body.to_string();
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len(),
    )
    .into_bytes()
}
