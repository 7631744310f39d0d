//! Calls that need a word of the caller's: not made before, made once after it, and for no other call.

use baton_testkit::fake::{FakeUpstream, Script, Step};
use rustix::process::Signal;
use serde_json::{Value, json};

use super::{SHORT_LEASE, are_whole, events_of, frames, id_of, names, param, queued, reaches, started};
use crate::blackbox::handoff::{calls, saw, says, scripted};
use crate::blackbox::mcp::server::Mcp;
use crate::blackbox::support::{Baton, Fixture, Home, run, until};

fn query(word: &str) -> (String, Value) {
    ("acme__query".to_owned(), json!({"q": word}))
}

struct Scene {
    mcp: Mcp,
    fixture: Fixture,
}

impl Scene {
    async fn new(turns: Vec<Step>) -> Self {
        let mcp = Mcp::start().await;
        let servers = format!("mcp_servers: {{ acme: {{ url: \"{}\" }} }}", mcp.url());
        let fixture = scripted(turns, Vec::new(), &servers).await;
        Self { mcp, fixture }
    }

    async fn begun(&self, approvals: Value) -> Value {
        let body =
            json!({"model": "oai/fake", "input": "x", "mcp_servers": ["acme"], "approvals": approvals});
        started(&self.fixture.baton, body).await
    }
}

fn awaited(run: &Value) -> Vec<Value> {
    assert_eq!(
        (&run["status"], &run["required_action"]["type"]),
        (&json!("requires_action"), &json!("approval")),
        "{run}"
    );
    run["required_action"]["approvals"].as_array().expect("approvals").clone()
}

fn path(run: &Value) -> String {
    format!("/v1/runs/{}/tool_outputs", id_of(run))
}

fn approved(call: &Value) -> Value {
    json!({"tool_call_id": call["tool_call_id"], "hash": call["hash"], "approved": true})
}

#[test]
fn a_call_is_not_made_before_it_is_approved_and_then_once() {
    run(async {
        let scene = Scene::new(vec![calls(vec![query("cats"), query("dogs")]), says("Found.")]).await;
        let waits = scene.begun(json!({"tools": ["acme__*"]})).await;
        let asked = awaited(&waits);
        assert!(scene.mcp.calls().is_empty(), "no tool is called without a word");
        let shown = |call: &Value| (call["name"].clone(), call["arguments"].clone(), call["why"].clone());
        assert_eq!(shown(&asked[0]), (json!("acme__query"), json!(r#"{"q":"cats"}"#), json!("required")));
        assert_ne!(asked[0]["hash"], asked[1]["hash"], "each call has a word of its own");
        let baton = &scene.fixture.baton;
        for (wrong, path_of) in [
            (json!([approved(&asked[0])]), "tool_outputs"),
            (json!([approved(&asked[0]), approved(&asked[0])]), "tool_outputs[1].hash"),
            (json!([{"hash": "0".repeat(64), "approved": true}]), "tool_outputs[0].hash"),
            (
                json!([{"tool_call_id": asked[0]["tool_call_id"], "output": "found"}]),
                "tool_outputs[0].output",
            ),
            (json!([{"hash": asked[0]["hash"]}]), "tool_outputs[0].approved"),
            (
                json!([{"tool_call_id": asked[1]["tool_call_id"], "hash": asked[0]["hash"], "approved": true}]),
                "tool_outputs[0].tool_call_id",
            ),
        ] {
            let refused = baton.post(&path(&waits), &json!({"tool_outputs": wrong})).await;
            assert_eq!(param(&refused, 400), path_of, "{wrong}");
        }
        assert!(scene.mcp.calls().is_empty());
        let words = json!({"tool_outputs": [approved(&asked[1]), approved(&asked[0])]});
        let done = baton.post(&path(&waits), &words).await.expect(200).json();
        assert_eq!(
            (&done["status"], &done["output"]["text"]),
            (&json!("completed"), &json!("Found.")),
            "{done}"
        );
        assert_eq!(scene.mcp.calls().len(), 2);
        let results = done["tool_results"].as_array().unwrap();
        assert!(results.iter().all(|one| one["approval"] == "approved"), "{done}");
        let told = events_of(baton, &id_of(&done), None).await;
        are_whole(&told);
        let of_tools: Vec<&str> = names(&told)
            .into_iter()
            .filter(|name| matches!(*name, "tool_approval_required" | "requires_action" | "tool_result"))
            .collect();
        let expected = ["tool_approval_required", "tool_approval_required", "requires_action"];
        assert_eq!(of_tools, [&expected[..], &["tool_result", "tool_result"]].concat());
        assert_eq!(saw(&scene.fixture, "oai/fake").len(), 2, "no turn is asked for twice");
    });
}

#[test]
fn a_call_that_is_rejected_is_not_made_and_the_model_is_told_why() {
    run(async {
        let scene = Scene::new(vec![calls(vec![query("cats"), query("dogs")]), says("Only dogs.")]).await;
        let waits = scene.begun(json!({"tools": "all"})).await;
        let asked = awaited(&waits);
        let no = json!({"hash": asked[0]["hash"], "approved": false, "reason": "no cats here"});
        let words = json!({"tool_outputs": [no, approved(&asked[1])], "stream": true});
        let answer = scene.fixture.baton.post(&path(&waits), &words).await.expect(200);
        assert_eq!(frames(answer.text()).last().map(|event| event.name.clone()).as_deref(), Some("run_end"));
        assert_eq!(scene.mcp.calls(), [json!({"q": "dogs"})]);
        let seen = saw(&scene.fixture, "oai/fake")[1].json()["messages"].to_string();
        assert!(seen.contains("was not approved") && seen.contains("no cats here"), "{seen}");
        let done = super::read(&scene.fixture.baton, &id_of(&waits)).await;
        let results = &done["tool_results"];
        assert_eq!(
            (&results[0]["approval"], &results[0]["is_error"]),
            (&json!("rejected"), &json!(true)),
            "{done}"
        );
    });
}

#[test]
fn a_word_holds_for_its_call_alone() {
    run(async {
        // The same call in the next turn needs a word of its own, and a tool that nobody listed needs none.
        let turns = vec![
            calls(vec![query("cats")]),
            calls(vec![query("cats")]),
            says("Found."),
            calls(vec![query("x")]),
            says("y"),
        ];
        let scene = Scene::new(turns).await;
        let first = scene.begun(json!({"tools": ["acme__query"]})).await;
        let asked = awaited(&first);
        let words = json!({"tool_outputs": [approved(&asked[0])]});
        let second = scene.fixture.baton.post(&path(&first), &words).await.expect(200).json();
        let again = awaited(&second);
        assert_ne!(asked[0]["hash"], again[0]["hash"]);
        assert_eq!(scene.mcp.calls().len(), 1);
        let refused = scene.fixture.baton.post(&path(&first), &words).await;
        assert_eq!(param(&refused, 400), "tool_outputs[0].hash", "a word is used up");
        let words = json!({"tool_outputs": [approved(&again[0])]});
        let done = scene.fixture.baton.post(&path(&first), &words).await.expect(200).json();
        assert_eq!((&done["status"], scene.mcp.calls().len()), (&json!("completed"), 2), "{done}");
        let free = scene.begun(json!({"tools": ["other__*"]})).await;
        assert_eq!((&free["status"], scene.mcp.calls().len()), (&json!("completed"), 3), "{free}");
        for (wrong, path_of) in [
            (json!(true), "approvals"),
            (json!({}), "approvals.tools"),
            (json!({"tools": "some"}), "approvals.tools"),
            (json!({"tools": "all", "idempotent": [7]}), "approvals.idempotent"),
            (json!({"tools": "all", "tool": 1}), "approvals.tool"),
        ] {
            let body = json!({"model": "oai/fake", "input": "x", "approvals": wrong});
            assert_eq!(param(&scene.fixture.baton.post("/v1/runs", &body).await, 400), path_of);
        }
    });
}

#[test]
fn steps_of_a_workflow_wait_for_their_words_side_by_side() {
    run(async {
        let turns = vec![calls(vec![query("cats")]), calls(vec![query("dogs")]), says("One."), says("Two.")];
        let scene = Scene::new(turns).await;
        let branch = |name: &str| json!({"name": name, "model": "oai/fake", "mcp_servers": ["acme"]});
        let body = json!({
            "input": "x", "approvals": {"tools": "all"},
            "workflow": {"parallel": {"branches": [branch("a"), branch("b"), {"name": "c", "model": "echo/parrot"}]}},
        });
        let waits = started(&scene.fixture.baton, body).await;
        let asked = awaited(&waits);
        let mut steps: Vec<&str> = asked.iter().map(|call| call["step"].as_str().unwrap()).collect();
        steps.sort_unstable();
        assert_eq!((steps, scene.mcp.calls().len()), (vec!["a", "b"], 0));
        assert_eq!(waits["steps"][2]["status"], "completed", "nobody else is held up: {waits}");
        let words: Vec<Value> = asked.iter().map(approved).collect();
        let words = json!({"tool_outputs": words});
        let done = scene.fixture.baton.post(&path(&waits), &words).await.expect(200).json();
        assert_eq!((&done["status"], scene.mcp.calls().len()), (&json!("completed"), 2), "{done}");
        let told = events_of(&scene.fixture.baton, &id_of(&done), None).await;
        are_whole(&told);
        assert_eq!(names(&told).iter().filter(|name| **name == "step_start").count(), 3, "each begins once");
    });
}

#[test]
fn a_call_of_unknown_outcome_is_repeated_only_by_a_word_or_where_that_does_no_harm() {
    run(async {
        for is_idempotent in [false, true] {
            let mcp = Mcp::start().await;
            let servers = format!("mcp_servers: {{ acme: {{ url: \"{}\" }} }}", mcp.url());
            let script = Script::default().then(calls(vec![query("pay the bill")])).then(says("It is paid."));
            let openai = FakeUpstream::start(script).await.expect("a fake upstream");
            let anthropic = FakeUpstream::start(Script::default()).await.expect("a fake upstream");
            let home = Home::new(&Fixture::config(&openai, &anthropic, &servers));
            let mut first = Baton::start_in(home.clone(), &SHORT_LEASE).await;
            mcp.hold_calls();
            let idempotent = if is_idempotent { json!(["acme__*"]) } else { json!([]) };
            let approvals = json!({"tools": [], "idempotent": idempotent});
            let body =
                json!({"model": "oai/fake", "input": "x", "mcp_servers": ["acme"], "approvals": approvals});
            let id = queued(&first, body).await;
            until("the tool is called", async || (mcp.held() == 1).then_some(())).await;
            first.signal(Signal::KILL);
            first.ended().await;
            until("the call is cut off", async || (mcp.held() == 0).then_some(())).await;
            mcp.answer_calls();
            let second = Baton::start_in(home, &SHORT_LEASE).await;
            if !is_idempotent {
                let waits = reaches(&second, &id, "requires_action").await;
                let asked = awaited(&waits);
                assert_eq!(asked[0]["why"], "outcome_unknown", "{waits}");
                assert_eq!(mcp.calls().len(), 1, "it is not repeated without a word");
                let words = json!({"tool_outputs": [approved(&asked[0])]});
                second.post(&path(&waits), &words).await.expect(202);
            }
            let done = reaches(&second, &id, "completed").await;
            assert_eq!((&done["output"]["text"], mcp.calls().len()), (&json!("It is paid."), 2), "{done}");
            assert_eq!(done["tool_results"][0]["result"], "found: pay the bill", "{done}");
            are_whole(&events_of(&second, &id, None).await);
        }
    });
}
