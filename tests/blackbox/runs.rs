//! `/v1/runs`: asked for and waited for, followed, left alone, stopped, answered, and gone on with by another
//! process.

mod approved;
mod background;
mod bad_input;
mod budgets;
mod deleted;
mod followed;
mod handed;
mod notices;
mod outlived;
mod puppet;
mod replicas;
mod tools;
mod validated;
mod whole;
mod workflows;

use reqwest::Method;
use serde_json::{Value, json};

use super::support::{Answer, Baton, sent, until};

/// Leases are short where a process is killed: nobody waits long for what it held.
const SHORT_LEASE: [(&str, &str); 1] = [("BATON_RUN_LEASE_MS", "1000")];

/// Begins a run, and waits as its caller would.
pub(super) async fn started(baton: &Baton, body: Value) -> Value {
    baton.post("/v1/runs", &body).await.expect(200).json()
}

/// Begins a run in the background; its id.
pub(super) async fn queued(baton: &Baton, mut body: Value) -> String {
    body["background"] = json!(true);
    let answer = baton.post("/v1/runs", &body).await.expect(202);
    let run = answer.json();
    assert_eq!(answer.header("x-baton-run-id"), run["id"].as_str().expect("an id"));
    id_of(&run)
}

pub(super) fn id_of(run: &Value) -> String {
    let id = run["id"].as_str().expect("an id").to_owned();
    assert!(id.starts_with("run_"), "{run}");
    id
}

async fn read(baton: &Baton, id: &str) -> Value {
    baton.get(&format!("/v1/runs/{id}")).await.expect(200).json()
}

/// The run, once it has this status.
pub(super) async fn reaches(baton: &Baton, id: &str, status: &str) -> Value {
    until(&format!("{id} is {status}"), async || {
        let run = read(baton, id).await;
        (run["status"] == status).then_some(run)
    })
    .await
}

/// An event of a run as a client reads it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Event {
    pub(super) number: u64,
    pub(super) name: String,
    pub(super) data: Value,
}

/// The frames of a stream, strictly: number, name, data.
pub(super) fn frames(stream: &str) -> Vec<Event> {
    assert!(stream.is_empty() || stream.ends_with("\n\n"), "the stream ends within a frame: {stream:?}");
    let frame = |frame: &str| {
        let (mut number, mut name, mut data) = (None, None, None);
        for line in frame.lines() {
            match line.split_once(": ") {
                Some(("id", id)) => number = Some(id.parse().expect("a number")),
                Some(("event", event)) => name = Some(event.to_owned()),
                Some(("data", json)) => data = Some(serde_json::from_str(json).expect("JSON")),
                _ => panic!("no line of an event: {line:?}"),
            }
        }
        Event { number: number.expect("an id"), name: name.expect("a name"), data: data.expect("data") }
    };
    stream.split("\n\n").filter(|it| !it.is_empty() && !it.starts_with(':')).map(frame).collect()
}

/// All events of a run behind this one, until it has ended.
pub(super) async fn events_of(baton: &Baton, id: &str, last: Option<u64>) -> Vec<Event> {
    let mut request = baton.request(Method::GET, &format!("/v1/runs/{id}/events"));
    if let Some(last) = last {
        request = request.header("last-event-id", last);
    }
    let answer = sent(request).await.expect(200);
    assert!(answer.header("content-type").starts_with("text/event-stream"), "{answer:?}");
    frames(answer.text())
}

/// Each event has the number after the one before, its type is its name, and the last one is the end.
pub(super) fn are_whole(events: &[Event]) {
    for (at, event) in events.iter().enumerate() {
        assert_eq!(event.number, u64::try_from(at).expect("a number"), "{events:?}");
        assert_eq!(event.data["type"], event.name, "{event:?}");
    }
    assert_eq!(events.last().map(|event| event.name.as_str()), Some("run_end"), "{events:?}");
    assert_eq!(events.iter().filter(|event| event.name == "run_end").count(), 1);
}

fn names(events: &[Event]) -> Vec<&str> {
    events.iter().map(|event| event.name.as_str()).collect()
}

/// The text that was told, piece by piece.
fn text_of(events: &[Event]) -> String {
    let deltas = events.iter().filter(|event| event.name == "text_delta");
    deltas.map(|event| event.data["text"].as_str().expect("a text")).collect()
}

/// The decisions of a run, a line for each.
async fn decided(baton: &Baton, id: &str) -> Vec<String> {
    let run = baton.settled(id).await;
    let word = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let all = run["decisions"].as_array().expect("decisions");
    all.iter().map(|one| format!("{} {}", word(&one["kind"]), word(&one["to"]))).collect()
}

/// The path that an error names.
fn param(answer: &Answer, status: u16) -> String {
    let error = answer.openai_error(status);
    error["param"].as_str().unwrap_or_default().to_owned()
}
