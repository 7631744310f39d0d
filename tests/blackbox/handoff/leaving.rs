//! A client that leaves in the middle of a run: its upstream is closed, and the record says so.

use std::time::Duration;

use baton_testkit::fake::{Fault, Pace, Seen, Step};
use serde_json::{Value, json};

use super::{POOLS, Surface, says, says_and_calls, talking, transfer, user};
use crate::blackbox::support::{Fixture, PATIENCE, Raw, run, until};

/// An answer that nobody waits for.
const SILENT: Pace = Pace { latency: Duration::from_secs(600), chunks: 1, interval: Duration::ZERO };

/// A request by hand.
pub(in crate::blackbox) fn request(surface: Surface, body: &Value) -> Vec<u8> {
    let path = surface.path();
    let body = surface.body(body.clone()).to_string();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    [head.into_bytes(), body.into_bytes()].concat()
}

/// The only run of a server, once its last attempt has ended.
async fn only_run(fixture: &Fixture) -> Vec<Value> {
    until("the run has ended", async || {
        let all = fixture.baton.get("/v1/decisions").await.expect(200).json();
        let mut all = all["data"].as_array().cloned()?;
        all.reverse();
        let open = all.iter().any(|one| one["outcome"]["status"] == "running");
        (!open && all.len() > 1).then_some(all)
    })
    .await
}

#[test]
fn leaving_during_the_second_hop_closes_its_upstream() {
    run(async {
        for pool in POOLS {
            for surface in [Surface::Chat, Surface::Messages, Surface::Responses] {
                // Before its first byte, streamed and not; after its content.
                for (stream, heard, step) in [
                    (false, "", Step::Answer(SILENT)),
                    (true, "W", Step::Answer(SILENT)),
                    (true, "T", Step::Fault(Fault::StallAfterContent)),
                ] {
                    let [a, b] = pool;
                    let turns = vec![(0, says_and_calls("Wait.", vec![transfer(b, "r")])), (1, step)];
                    let fixture = talking(pool, turns, "").await;
                    let second = if b.starts_with("oai/") { &fixture.openai } else { &fixture.anthropic };
                    let wanted = |seen: &[Seen]| {
                        seen.iter().any(|one| one.json()["model"] == b.split_once('/').expect("a name").1)
                    };
                    let mut client = Raw::open(fixture.baton.address()).await;
                    let body =
                        json!({"model": pool, "messages": user("go"), "max_tokens": 200, "stream": stream});
                    client.say(&request(surface, &body)).await.expect("a request");
                    let case = format!("{pool:?} {surface:?} {stream} {heard}");
                    assert!(second.until(PATIENCE, wanted).await, "{case}: the second was not asked");
                    if !heard.is_empty() {
                        // Text comes in pieces; the first letter is enough to know whose it is, at the
                        // beginning of a piece or behind a blank line.
                        let begins = [format!("\"{heard}"), format!("\\n{heard}")];
                        let came =
                            client.read_until(|text| begins.iter().any(|begin| text.contains(begin))).await;
                        assert!(came.starts_with("HTTP/1.1 200"), "{case}: {came}");
                    }
                    drop(client);
                    assert!(
                        second.until(PATIENCE, |seen| seen.iter().all(|one| one.ended.is_some())).await,
                        "{case}: still open"
                    );
                    let all = only_run(&fixture).await;
                    assert_eq!(all.len(), 2, "{case}: {all:?}");
                    assert_eq!(all[0]["outcome"]["status"], "ok", "{case}: {all:?}");
                    assert_eq!(all[1]["kind"], "handoff", "{case}");
                    assert_eq!(all[1]["outcome"]["status"], "client_cancelled", "{case}: {all:?}");
                    assert_eq!((&all[1]["from"], &all[1]["to"]), (&json!(a), &json!(b)), "{case}");
                    let asked = fixture.openai.seen().len() + fixture.anthropic.seen().len();
                    assert_eq!(asked, 2, "{case}: another attempt was made for nobody");
                }
            }
        }
    });
}

#[test]
fn leaving_between_the_hops_while_the_conversation_is_summed_up_asks_nobody_else() {
    run(async {
        for pool in POOLS {
            for (surface, stream) in super::WAYS {
                let [a, b] = pool;
                let turns =
                    vec![(0, says_and_calls("Wait.", vec![transfer(b, "r")])), (0, Step::Answer(SILENT))];
                let fixture = talking(pool, turns, "").await;
                let first = if a.starts_with("oai/") { &fixture.openai } else { &fixture.anthropic };
                let mut client = Raw::open(fixture.baton.address()).await;
                let body = json!({
                    "model": pool, "messages": user("go"), "max_tokens": 200, "stream": stream,
                    "handoff_config": {"history": "summary"},
                });
                client.say(&request(surface, &body)).await.expect("a request");
                let case = format!("{pool:?} {surface:?} {stream}");
                assert!(
                    first.until(PATIENCE, |seen| seen.len() == 2).await,
                    "{case}: no summary was asked for"
                );
                drop(client);
                assert!(
                    first.until(PATIENCE, |seen| seen.iter().all(|one| one.ended.is_some())).await,
                    "{case}: still open"
                );
                let all = only_run(&fixture).await;
                assert_eq!(all.len(), 2, "{case}: {all:?}");
                assert_eq!(
                    (&all[0]["outcome"]["status"], &all[1]["kind"]),
                    (&json!("ok"), &json!("delegate")),
                    "{case}"
                );
                assert_eq!(all[1]["outcome"]["status"], "client_cancelled", "{case}: {all:?}");
                let asked = fixture.openai.seen().len() + fixture.anthropic.seen().len();
                assert_eq!(asked, 2, "{case}: another attempt was made for nobody");
            }
        }
    });
}

#[test]
fn leaving_during_the_first_hop_starts_no_second_one() {
    run(async {
        for pool in POOLS {
            for stream in [false, true] {
                let turns = vec![(0, Step::Answer(SILENT)), (1, says("nobody hears this"))];
                let fixture = talking(pool, turns, "").await;
                let first = if pool[0].starts_with("oai/") { &fixture.openai } else { &fixture.anthropic };
                let mut client = Raw::open(fixture.baton.address()).await;
                let body = json!({"model": pool, "messages": user("go"), "stream": stream});
                client.say(&request(Surface::Chat, &body)).await.expect("a request");
                assert!(first.until(PATIENCE, |seen| !seen.is_empty()).await, "{pool:?}");
                drop(client);
                assert!(
                    first.until(PATIENCE, |seen| seen.iter().all(Seen::closed_by_peer)).await,
                    "{pool:?}"
                );
                let all = until("the outcome is there", async || {
                    let all = fixture.baton.get("/v1/decisions").await.expect(200).json();
                    (all["data"][0]["outcome"]["status"] == "client_cancelled").then_some(all)
                })
                .await;
                assert_eq!(all["data"].as_array().map(Vec::len), Some(1), "{all}");
            }
        }
    });
}
