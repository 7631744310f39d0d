//! Responses in the background: queued at once, read, followed, stopped, and gone on with by another process.

use baton_testkit::fake::{FakeUpstream, Fault, Script, Step};
use reqwest::Method;
use rustix::process::Signal;
use serde_json::{Value, json};

use super::has_all_members;
use crate::blackbox::handoff::says;
use crate::blackbox::keys::create;
use crate::blackbox::mcp::server::Mcp;
use crate::blackbox::support::{Baton, Event, Fixture, Home, events, run, sent, until};
use crate::blackbox::v1::answers::{greeting, text};

/// A model that never answers.
const SILENT: &str = "oai/fault-header-stall";
/// Leases are short where a process is killed: nobody waits long for what it held.
const SHORT_LEASE: [(&str, &str); 1] = [("BATON_RUN_LEASE_MS", "1000")];

/// Asks for a response in the background; the response as it is queued.
async fn queued(baton: &Baton, mut body: Value) -> Value {
    body["background"] = json!(true);
    let answer = baton.responses(&body).await.expect(200);
    assert!(answer.header("x-baton-run-id").starts_with("run_"), "{answer:?}");
    let response = answer.json();
    has_all_members(&response);
    assert_eq!(
        (&response["status"], &response["output"], &response["usage"]),
        (&json!("queued"), &json!([]), &Value::Null),
        "{response}"
    );
    assert_eq!((&response["background"], &response["store"]), (&json!(true), &json!(true)));
    response
}

/// Asks for a response in the background; its id, its run, and the answer that may not have ended.
async fn begun(baton: &Baton, mut body: Value) -> (Value, String, reqwest::Response) {
    body["background"] = json!(true);
    let asking = baton.posting("/v1/responses", &body).send().await.expect("a response");
    let header = |name: &str| asking.headers()[name].to_str().expect("text").to_owned();
    let response = json!({"id": header("x-request-id").replace("req_", "resp_")});
    let run = header("x-baton-run-id");
    (response, run, asking)
}

fn path(response: &Value) -> String {
    format!("/v1/responses/{}", text(&response["id"]))
}

async fn read(baton: &Baton, response: &Value) -> Value {
    baton.get(&path(response)).await.expect(200).json()
}

/// The response, once it has this status.
async fn reaches(baton: &Baton, response: &Value, status: &str) -> Value {
    until(&format!("{} is {status}", response["id"]), async || {
        let now = read(baton, response).await;
        (now["status"] == status).then_some(now)
    })
    .await
}

/// The events from this number on, until the response has ended.
async fn followed(baton: &Baton, response: &Value, after: Option<usize>) -> Vec<Event> {
    let after = after.map_or_else(String::new, |after| format!("&starting_after={after}"));
    let answer = baton.get(&format!("{}?stream=true{after}", path(response))).await.expect(200);
    assert!(answer.header("content-type").starts_with("text/event-stream"), "{answer:?}");
    events(answer.text())
}

/// Each event has the number after the one before, and the last one has the response as it ended.
#[track_caller]
fn are_whole(events: &[Event]) -> Value {
    for (at, event) in events.iter().enumerate() {
        let body = event.json();
        assert_eq!((&body["type"], &body["sequence_number"]), (&json!(event.name), &json!(at)), "{body}");
    }
    let names: Vec<&str> = events.iter().take(3).map(|event| event.name.as_str()).collect();
    assert_eq!(names, ["response.created", "response.queued", "response.in_progress"]);
    assert_eq!(events[0].json()["response"]["status"], "queued");
    assert_eq!(events[2].json()["response"]["status"], "in_progress");
    let end = events.last().expect("an end").json();
    assert!(!matches!(end["response"]["status"].as_str(), None | Some("queued" | "in_progress")), "{end}");
    end["response"].clone()
}

fn names(events: &[Event]) -> Vec<&str> {
    events.iter().map(|event| event.name.as_str()).collect()
}

fn said(response: &Value) -> String {
    text(&response["output"][0]["content"][0]["text"]).trim_end().to_owned()
}

#[test]
fn it_is_answered_at_once_and_ends_by_itself() {
    run(async {
        let fixture = Fixture::shared().await;
        for model in [json!("oai/fake"), json!("ant/fake"), json!(["resp/fake", "oai/fake"])] {
            let first = queued(&fixture.baton, json!({"model": model, "input": "hi"})).await;
            let ended = reaches(&fixture.baton, &first, "completed").await;
            has_all_members(&ended);
            assert_eq!(said(&ended), greeting("hi"), "{ended}");
            for same in ["id", "created_at", "background", "store", "previous_response_id"] {
                assert_eq!(ended[same], first[same], "{same} of {ended}");
            }
            assert!(ended["completed_at"].as_u64() >= ended["created_at"].as_u64(), "{ended}");
            assert!(ended["usage"]["total_tokens"].as_u64() > Some(0), "{ended}");
            // It is a response like every other: a conversation goes on from it.
            let body =
                json!({"model": "oai/fake", "input": "and then?", "previous_response_id": first["id"]});
            let second = queued(&fixture.baton, body).await;
            assert_eq!(second["previous_response_id"], first["id"]);
            let ended = reaches(&fixture.baton, &second, "completed").await;
            assert_eq!((said(&ended), &ended["previous_response_id"]), (greeting("and then?"), &first["id"]));
            let items = fixture.baton.get(&format!("{}/input_items", path(&second))).await.expect(200).json();
            assert_eq!(items["data"].as_array().map(Vec::len), Some(3), "{items}");
        }
    });
}

#[test]
fn its_events_are_told_as_they_come_and_any_part_of_them_again() {
    run(async {
        let fixture = Fixture::shared().await;
        for model in ["oai/fake", "ant/fake", "echo/hello"] {
            let body = json!({"model": model, "input": "hi", "background": true, "stream": true});
            let answer = fixture.baton.responses(&body).await.expect(200);
            let all = events(answer.text());
            let ended = are_whole(&all);
            assert_eq!(read(&fixture.baton, &ended).await, ended, "{model}");
            let deltas = all.iter().filter(|event| event.name == "response.output_text.delta");
            let pieces: String = deltas.map(|event| text(&event.json()["delta"])).collect();
            assert_eq!(pieces, text(&ended["output"][0]["content"][0]["text"]), "{model}");
            assert_eq!(followed(&fixture.baton, &ended, None).await, all, "{model}");
            for after in 0..all.len() {
                let rest = followed(&fixture.baton, &ended, Some(after)).await;
                assert_eq!(rest, all[after + 1..], "{model} behind {after}");
            }
        }
    });
}

#[test]
fn one_that_is_cancelled_ends_and_its_upstream_is_let_go() {
    run(async {
        let fixture = Fixture::start("").await;
        for stream in [false, true] {
            let before = fixture.openai_saw("fault-header-stall").len();
            let body = json!({"model": SILENT, "input": "x", "stream": stream});
            let (response, run, _asking) = begun(&fixture.baton, body).await;
            until("the upstream is asked", async || {
                (fixture.openai_saw("fault-header-stall").len() > before).then_some(())
            })
            .await;
            assert_eq!(read(&fixture.baton, &response).await["status"], "in_progress");
            let cancel = format!("{}/cancel", path(&response));
            let cancelled = fixture.baton.post(&cancel, &json!({})).await.expect(200).json();
            assert_eq!((&cancelled["status"], &cancelled["id"]), (&json!("cancelled"), &response["id"]));
            let outcome = fixture.baton.settled(&run).await["decisions"][0]["outcome"]["status"].clone();
            assert_eq!(outcome, "client_cancelled");
            // It stays so.
            assert_eq!(fixture.baton.post(&cancel, &json!({})).await.expect(200).json(), cancelled);
            assert_eq!(read(&fixture.baton, &response).await, cancelled);
            if stream {
                let told = followed(&fixture.baton, &response, None).await;
                assert_eq!(are_whole(&told), cancelled);
            }
        }
    });
}

#[test]
fn one_that_fails_says_why() {
    run(async {
        let fixture = Fixture::shared().await;
        let failing = queued(&fixture.baton, json!({"model": "oai/fault-500", "input": "x"})).await;
        let failed = reaches(&fixture.baton, &failing, "failed").await;
        has_all_members(&failed);
        assert_eq!(failed["error"]["code"], "server_error", "{failed}");
        assert!(failed["error"]["message"].as_str().is_some_and(|message| !message.is_empty()), "{failed}");
        let body = json!({"model": "oai/fault-500", "input": "x", "background": true, "stream": true});
        let told = events(fixture.baton.responses(&body).await.expect(200).text());
        assert_eq!(are_whole(&told)["status"], "failed");
        assert_eq!(names(&told)[3..], ["error", "response.failed"]);
    });
}

#[test]
fn what_is_wrong_is_told_before_anything_is_stored() {
    run(async {
        let fixture = Fixture::shared().await;
        for (members, path) in [
            (json!({"store": false}), "store"),
            (json!({"model": "nobody/has-this"}), "model"),
            (json!({"input": [{"role": "tool", "content": "x"}]}), "input[0].role"),
            (json!({"previous_response_id": "resp_1"}), "previous_response_id"),
        ] {
            let mut body = json!({"model": "oai/fake", "input": "x", "background": true});
            body.as_object_mut().expect("an object").extend(members.as_object().cloned().expect("an object"));
            let answer = fixture.baton.responses(&body).await;
            let error = answer.openai_error(if path == "model" { 404 } else { 400 });
            assert_eq!(error["param"], path, "{body}");
        }
        let body = json!({"model": "oai/fake", "input": "x", "background": true});
        let asking = fixture.baton.posting("/v1/responses", &body).header("x-provider-key", "sk-x");
        assert_eq!(sent(asking).await.openai_error(400)["param"], "x-provider-key");

        let whole = queued(&fixture.baton, json!({"model": "oai/fake", "input": "x"})).await;
        for (query, param) in [
            ("stream=true", "stream"),
            ("starting_after=1", "starting_after"),
            ("stream=true&starting_after=x", "starting_after"),
        ] {
            let error = fixture.baton.get(&format!("{}?{query}", path(&whole))).await.openai_error(400);
            assert_eq!(error["param"], param, "{query}");
        }
        // Where nothing is stored, nothing is made in the background.
        let never = Baton::start("responses: { store: never }").await;
        let body = json!({"model": "echo/hello", "input": "x", "background": true});
        assert_eq!(never.responses(&body).await.openai_error(400)["param"], "background");
    });
}

#[test]
fn it_is_its_keys_own_and_goes_when_it_is_deleted() {
    run(async {
        let mut fixture = Fixture::start("auth: { required: true }").await;
        let mine = create(&fixture.baton, &["mine"]).await;
        let other = create(&fixture.baton, &["other"]).await;
        fixture.baton.set_key(&mine.secret);
        let (response, run, _asking) = begun(&fixture.baton, json!({"model": SILENT, "input": "x"})).await;
        until("the upstream is asked", async || {
            (!fixture.openai_saw("fault-header-stall").is_empty()).then_some(())
        })
        .await;
        fixture.baton.set_key(&other.secret);
        for query in ["", "?stream=true"] {
            fixture.baton.get(&format!("{}{query}", path(&response))).await.openai_error(404);
        }
        fixture.baton.post(&format!("{}/cancel", path(&response)), &json!({})).await.openai_error(404);
        fixture.baton.set_key(&mine.secret);
        assert_eq!(read(&fixture.baton, &response).await["status"], "in_progress");
        sent(fixture.baton.request(Method::DELETE, &path(&response))).await.expect(200);
        let run = fixture.baton.settled(&run).await;
        assert_eq!(run["decisions"][0]["outcome"]["status"], "client_cancelled", "its upstream is let go");
        fixture.baton.get(&path(&response)).await.openai_error(404);
        fixture.baton.post(&format!("{}/cancel", path(&response)), &json!({})).await.openai_error(404);
    });
}

/// Fakes that outlive the gateways that ask them.
struct World {
    openai: FakeUpstream,
    home: Home,
    _anthropic: FakeUpstream,
}

impl World {
    async fn new(steps: Vec<Step>, more: &str) -> Self {
        let script = steps.into_iter().fold(Script::default(), Script::then);
        let openai = FakeUpstream::start(script).await.expect("a fake upstream");
        let anthropic = FakeUpstream::start(Script::default()).await.expect("a fake upstream");
        let home = Home::new(&Fixture::config(&openai, &anthropic, more));
        Self { openai, home, _anthropic: anthropic }
    }

    async fn gateway(&self) -> Baton {
        Baton::start_in(self.home.clone(), &SHORT_LEASE).await
    }

    async fn is_asked(&self, times: usize) {
        until("the upstream is asked", async || (self.openai.seen().len() == times).then_some(())).await;
    }
}

async fn killed(mut baton: Baton) {
    baton.signal(Signal::KILL);
    baton.ended().await;
}

#[test]
fn one_that_nobody_heard_the_answer_of_is_asked_for_again() {
    run(async {
        for stream in [false, true] {
            let world = World::new(vec![Step::Fault(Fault::HeaderStall), says("There it is.")], "").await;
            let first = world.gateway().await;
            let body = json!({"model": "oai/fake", "input": "x", "stream": stream});
            let (response, run, _asking) = begun(&first, body).await;
            world.is_asked(1).await;
            killed(first).await;
            let second = world.gateway().await;
            let ended = reaches(&second, &response, "completed").await;
            assert_eq!((said(&ended).as_str(), world.openai.seen().len()), ("There it is.", 2));
            if stream {
                assert_eq!(are_whole(&followed(&second, &response, None).await), ended);
            }
            let decisions = second.settled(&run).await["decisions"].as_array().expect("decisions").clone();
            assert_eq!(decisions.len(), 2, "a decision for each time that it was asked: {decisions:?}");
            assert_eq!(decisions[1]["outcome"]["status"], "ok", "{decisions:?}");
        }
    });
}

#[test]
fn what_was_told_is_not_taken_back() {
    run(async {
        let world = World::new(vec![Step::Fault(Fault::StallAfterContent), says("Other words.")], "").await;
        let first = world.gateway().await;
        let body = json!({"model": "oai/fake", "input": "x", "stream": true});
        let (response, _run, mut asking) = begun(&first, body).await;
        let mut heard = String::new();
        while !heard.contains("response.output_text.delta") {
            let piece = asking.chunk().await.expect("a piece").expect("more");
            heard.push_str(std::str::from_utf8(&piece).expect("text"));
        }
        killed(first).await;
        let second = world.gateway().await;
        let ended = reaches(&second, &response, "failed").await;
        assert_eq!(world.openai.seen().len(), 1, "it is not asked again");
        let told = followed(&second, &response, None).await;
        assert_eq!(are_whole(&told), ended);
        assert!(names(&told).contains(&"response.output_text.delta"), "{told:?}");
        let error = &told[told.len() - 2];
        assert_eq!((error.name.as_str(), &error.json()["code"]), ("error", &json!("interrupted")));
    });
}

#[test]
fn tools_that_may_have_run_are_not_run_again() {
    run(async {
        let mcp = Mcp::start().await;
        let servers = format!("mcp_servers: {{ acme: {{ url: \"{}\" }} }}", mcp.url());
        let query = vec![("acme__query".to_owned(), json!({"q": "pay the bill"}))];
        let world = World::new(vec![crate::blackbox::handoff::calls(query), says("Paid.")], &servers).await;
        let first = world.gateway().await;
        mcp.hold_calls();
        let response =
            queued(&first, json!({"model": "oai/fake", "input": "x", "mcp_servers": ["acme"]})).await;
        until("the tool is called", async || (mcp.held() == 1).then_some(())).await;
        killed(first).await;
        let second = world.gateway().await;
        let ended = reaches(&second, &response, "failed").await;
        assert!(text(&ended["error"]["message"]).contains("may have run tools"), "{ended}");
        assert_eq!((mcp.calls().len(), world.openai.seen().len()), (1, 1), "nothing is done twice");
    });
}

#[test]
fn a_process_that_stops_lets_it_go() {
    run(async {
        let world = World::new(vec![Step::Fault(Fault::HeaderStall), says("There it is.")], "").await;
        let mut first = world.gateway().await;
        let response = queued(&first, json!({"model": "oai/fake", "input": "x"})).await;
        world.is_asked(1).await;
        first.signal(Signal::TERM);
        assert_eq!(first.ended().await, Some(0));
        let second = world.gateway().await;
        let ended = reaches(&second, &response, "completed").await;
        assert_eq!((said(&ended).as_str(), world.openai.seen().len()), ("There it is.", 2));
    });
}
