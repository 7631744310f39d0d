use std::collections::BTreeSet;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;
use crate::client::{Entry, Verdict, send};

const WAIT: Duration = Duration::from_secs(10);

#[tokio::test]
async fn each_fault_shows_in_its_own_way_to_openai_clients() {
    assert_eq!(faults("/v1/chat/completions").await, include_str!("tests/openai_faults.txt"));
}

#[tokio::test]
async fn each_fault_shows_in_its_own_way_to_anthropic_clients() {
    assert_eq!(faults("/v1/messages").await, include_str!("tests/anthropic_faults.txt"));
}

/// Two lines for each fault, whole and streamed.
async fn faults(path: &str) -> String {
    let fake = FakeUpstream::start(Script::default()).await.unwrap();
    let mut shown = String::new();
    // These two do not end: the tests below see how they hang.
    let ends = |fault: &Fault| !matches!(fault, Fault::HeaderStall | Fault::StallAfterContent);
    for (fault, model) in Fault::ALL.into_iter().filter(|(fault, _)| ends(fault)) {
        for (form, stream) in [("whole", false), ("streamed", true)] {
            let answer = post(&fake, path, model, stream).await;
            shown.push_str(&format!("{fault:?} {form}: {}\n", describe(&answer)));
        }
    }
    shown
}

#[tokio::test]
async fn a_stalled_stream_shows_its_content_and_then_nothing() {
    let fake = FakeUpstream::start(Script::default()).await.unwrap();
    let mut stream = post_raw(&fake, "fault-stall").await;
    let text = read_until(&mut stream, "Hello").await;
    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
    assert!(fake.until(WAIT, |seen| seen[0].sent > 0).await);
    assert_eq!(fake.seen()[0].ended, None);
}

#[tokio::test]
async fn a_peer_that_leaves_is_noticed() {
    for model in ["fault-stall", "fault-header-stall", "fake-l60000"] {
        let fake = FakeUpstream::start(Script::default()).await.unwrap();
        let stream = post_raw(&fake, model).await;
        assert!(fake.until(WAIT, |seen| seen.len() == 1).await);
        drop(stream);
        assert!(fake.until(WAIT, |seen| seen[0].closed_by_peer()).await, "{model}");
    }
}

#[tokio::test]
async fn steps_are_taken_in_turn_and_then_the_model_decides() {
    let script = Script::default()
        .then(Step::Fault(Fault::ServerError))
        .then(Step::Say(Said::Text("as told".to_owned())))
        .then(Step::Say(Said::Calls(vec![("f".to_owned(), json!({"a": 1}))])));
    let fake = FakeUpstream::start(script).await.unwrap();
    let mut told = Vec::new();
    for _ in 0..4 {
        told.push(describe(&chat(&fake, "fake", false).await));
    }
    assert_eq!(
        told,
        [
            "500 server_error",
            "200 as told",
            "200 f{\"a\":1}",
            "200 Hello from the fake model, café and 🦀 included. You said: Hi."
        ]
    );
}

#[tokio::test]
async fn a_controlled_fake_takes_its_steps_from_outside() {
    let fake = FakeUpstream::start(Script::default().controlled()).await.unwrap();
    assert_eq!(chat(&fake, "fake", false).await.status, Some(200));
    let usage = json!({"input": 50, "cached": 40, "cache_write": 3, "output": 20, "reasoning": 10});
    let steps = json!([{"say": "as told", "usage": usage}, {"fault": "fault-500"}]);
    let url = format!("{}/__script", fake.origin());
    assert_eq!(send(&url, &[], &steps).await.unwrap().status, Some(200));
    let answer = chat(&fake, "fake-b", false).await;
    assert_eq!(describe(&answer), "200 as told");
    let usage = &serde_json::from_slice::<Value>(&answer.body).unwrap()["usage"];
    assert_eq!((&usage["prompt_tokens"], &usage["completion_tokens"]), (&json!(50), &json!(20)));
    let told = get(&fake, "/__seen").await;
    assert_eq!((&told["seen"].as_array().unwrap().len(), &told["left"]), (&1, &json!(1)), "{told}");
    assert_eq!(told["seen"][0]["body"]["model"], "fake-b");
    assert_eq!(send(&url, &[], &json!([{}])).await.unwrap().status, Some(400));
    // Nobody else is told anything.
    let other = FakeUpstream::start(Script::default()).await.unwrap();
    let url = format!("{}/__script", other.origin());
    assert_eq!(send(&url, &[("authorization", "Bearer k")], &steps).await.unwrap().status, Some(404));
}

async fn get(fake: &FakeUpstream, path: &str) -> Value {
    let mut stream = TcpStream::connect(fake.address()).await.unwrap();
    let head = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
}

#[tokio::test]
async fn raw_bytes_are_sent_as_they_are() {
    let raw = Raw {
        status: 207,
        headers: vec![("content-type".to_owned(), "text/plain".to_owned())],
        pieces: vec![b"a".to_vec(), b"\xff".to_vec()],
        then: End::Whole,
    };
    let fake = FakeUpstream::start(Script::default().then(Step::Raw(raw))).await.unwrap();
    let answer = chat(&fake, "fake", false).await;
    assert_eq!((answer.status, answer.body.as_ref()), (Some(207), b"a\xff".as_slice()));
}

#[tokio::test]
async fn no_credential_is_kept() {
    let fake = FakeUpstream::start(Script::default().key("sk-one")).await.unwrap();
    let body = json!({"model": "fake", "messages": [{"role": "user", "content": "Hi."}]});
    let url = format!("{}/chat/completions", fake.base_url());
    let wrong = send(&url, &[("authorization", "Bearer sk-two"), ("x-other", "kept")], &body).await.unwrap();
    let right = send(&url, &[("authorization", "Bearer sk-one")], &body).await.unwrap();
    assert_eq!((wrong.status, right.status), (Some(401), Some(200)));
    let seen = fake.seen();
    assert_eq!(seen[1].credential, Some(Credential::of("sk-one")));
    assert_ne!(seen[0].credential, seen[1].credential);
    assert_eq!(seen[0].header("x-other"), Some("kept"));
    assert!(!format!("{seen:?}").contains("sk-"), "a credential is in the log");
}

#[tokio::test]
async fn what_a_vendor_asks_of_headers_is_asked() {
    let fake = FakeUpstream::start(Script::default()).await.unwrap();
    let message = json!({"model": "fake", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi."}]});
    let url = format!("{}/v1/messages", fake.origin());
    let answer = send(&url, &[("x-api-key", "k")], &message).await.unwrap();
    assert_eq!(describe(&answer), "400 invalid_request_error");
    let answer = send(&url, &[("anthropic-version", "2023-06-01")], &message).await.unwrap();
    assert_eq!(describe(&answer), "401 authentication_error");
    let answer =
        send(&url, &[("x-api-key", "k"), ("anthropic-version", "2023-06-01")], &message).await.unwrap();
    assert_eq!(answer.status, Some(200));
}

#[tokio::test]
async fn a_refused_request_takes_no_step() {
    let fake = FakeUpstream::start(Script::default().then(Step::Fault(Fault::ServerError))).await.unwrap();
    assert_eq!(describe(&chat(&fake, "nobody", false).await), "404 invalid_request_error");
    assert_eq!(describe(&chat(&fake, "fake", false).await), "500 server_error");
}

#[tokio::test]
async fn a_full_queue_takes_no_connection() {
    let hole = unreachable::BlackHole::dig().await.unwrap();
    assert!(hole.depth() > 0);
    let address = hole.url().unwrap().trim_start_matches("http://").trim_end_matches("/v1").to_owned();
    let connecting = TcpStream::connect(address);
    assert!(tokio::time::timeout(Duration::from_millis(300), connecting).await.is_err());
}

async fn chat(fake: &FakeUpstream, model: &str, stream: bool) -> Entry {
    post(fake, "/v1/chat/completions", model, stream).await
}

async fn post(fake: &FakeUpstream, path: &str, model: &str, stream: bool) -> Entry {
    let messages = json!([{"role": "user", "content": "Hi."}]);
    let body = json!({"model": model, "stream": stream, "messages": messages, "max_tokens": 99});
    let headers = [("authorization", "Bearer k"), ("anthropic-version", "2023-06-01")];
    let count = if path == "/v1/messages" { 2 } else { 1 };
    send(&format!("{}{path}", fake.origin()), &headers[..count], &body).await.unwrap()
}

/// Status, then the kind of error, or the text, or the kinds of frames.
fn describe(answer: &Entry) -> String {
    let whole = describe_whole(answer);
    if answer.verdict == Verdict::Unknown { format!("{whole}, broken off") } else { whole }
}

fn describe_whole(answer: &Entry) -> String {
    let Some(status) = answer.status else { return "no answer".to_owned() };
    let Ok(text) = std::str::from_utf8(&answer.body) else {
        return format!("{status} bytes that are not UTF-8");
    };
    if let Ok(body) = serde_json::from_str::<Value>(text) {
        let call = &body["choices"][0]["message"]["tool_calls"][0]["function"];
        let said =
            [&body["error"]["type"], &body["choices"][0]["message"]["content"], &body["content"][0]["text"]];
        return match said.iter().find_map(|value| value.as_str()) {
            Some(said) => format!("{status} {said}"),
            None if call.is_object() => {
                format!("{status} {}{}", call["name"].as_str().unwrap(), call["arguments"].as_str().unwrap())
            }
            None => format!("{status} other JSON"),
        };
    }
    if text.starts_with("event: ") {
        let events = text.split("\n\n").filter(|frame| !frame.is_empty()).map(event_of);
        return format!("{status} {}", events.collect::<Vec<_>>().join(" "));
    }
    if !text.starts_with("data: ") {
        return format!("{status} {}", if text.starts_with('<') { "HTML" } else { "broken JSON" });
    }
    let kinds = text.split("\n\n").filter(|frame| !frame.is_empty()).map(kind_of).collect::<Vec<_>>();
    format!("{status} {}", kinds.join(" "))
}

/// The name of an event, when its data can be read.
fn event_of(frame: &str) -> &str {
    let named = frame.strip_prefix("event: ").and_then(|rest| rest.split_once("\ndata: "));
    match named {
        Some((name, data)) if serde_json::from_str::<Value>(data).is_ok() => name,
        _ => "broken",
    }
}

fn kind_of(frame: &str) -> &'static str {
    let data = frame.strip_prefix("data: ").unwrap();
    let Ok(chunk) = serde_json::from_str::<Value>(data) else {
        return if data == "[DONE]" { "done" } else { "broken" };
    };
    let choice = &chunk["choices"][0];
    match choice["delta"]["content"].as_str() {
        _ if chunk["error"].is_object() => "error",
        _ if choice["finish_reason"].is_string() => "finish",
        Some("") => "role",
        Some(_) => "text",
        None => "other",
    }
}

async fn post_raw(fake: &FakeUpstream, model: &str) -> TcpStream {
    let body =
        json!({"model": model, "stream": true, "messages": [{"role": "user", "content": "Hi."}]}).to_string();
    let mut stream = TcpStream::connect(fake.address()).await.unwrap();
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer k\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
    stream
}

async fn read_until(stream: &mut TcpStream, mark: &str) -> String {
    let mut text = String::new();
    let mut buffer = [0; 1024];
    while !text.contains(mark) {
        let got = stream.read(&mut buffer).await.unwrap();
        assert!(got > 0, "closed before `{mark}` came: {text}");
        text.push_str(&String::from_utf8_lossy(&buffer[..got]));
    }
    text
}

#[test]
fn no_two_faults_have_the_same_name() {
    let names = Fault::ALL.iter().map(|(_, name)| *name).collect::<BTreeSet<_>>();
    assert_eq!(names.len(), Fault::ALL.len());
}
