//! Tools in a run: the gateway's are run and told of, the caller's are waited for.

use serde_json::{Value, json};

use super::{are_whole, events_of, frames, id_of, names, param, queued, reaches, started};
use crate::blackbox::handoff::{calls, saw, says, says_and_calls, says_next, scripted};
use crate::blackbox::mcp::server::Mcp;
use crate::blackbox::support::{Fixture, run};

fn weather() -> Value {
    let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}});
    json!({"type": "function", "function": {"name": "weather", "parameters": schema}})
}

fn asks(city: &str) -> (String, Value) {
    ("weather".to_owned(), json!({"city": city}))
}

async fn waiting(fixture: &Fixture, more: Value) -> Value {
    says_next(fixture, "oai/fake", says_and_calls("One moment.", vec![asks("Bonn"), asks("Trier")]));
    let mut body = json!({"model": "oai/fake", "input": "Where is it warmer?", "tools": [weather()]});
    body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    started(&fixture.baton, body).await
}

/// The ids of the calls that a run waits for.
fn awaited(run: &Value) -> Vec<String> {
    let calls =
        run["required_action"]["tool_calls"].as_array().unwrap_or_else(|| panic!("no calls in {run}"));
    calls.iter().map(|call| call["id"].as_str().expect("an id").to_owned()).collect()
}

#[test]
fn a_call_of_the_callers_tool_is_waited_for_and_the_run_goes_on_with_its_output() {
    run(async {
        let fixture = scripted(Vec::new(), Vec::new(), "").await;
        let waits = waiting(&fixture, json!({})).await;
        assert_eq!(waits["status"], "requires_action", "{waits}");
        assert_eq!(waits["output"]["text"], "One moment.");
        let first = &waits["required_action"]["tool_calls"][0];
        assert_eq!((&first["type"], &first["function"]["name"]), (&json!("function"), &json!("weather")));
        let path = format!("/v1/runs/{}/tool_outputs", id_of(&waits));
        let calls = awaited(&waits);
        // What does not answer the calls is refused, and the run waits on.
        let one = |id: &str| json!({"tool_call_id": id, "output": "12"});
        for (wrong, path_of) in [
            (json!({}), "tool_outputs"),
            (json!({"tool_outputs": [one(&calls[0])]}), "tool_outputs"),
            (
                json!({"tool_outputs": [one(&calls[0]), one("call_of_nobody")]}),
                "tool_outputs[1].tool_call_id",
            ),
            (json!({"tool_outputs": [one(&calls[0]), one(&calls[0])]}), "tool_outputs[1].tool_call_id"),
            (json!({"tool_outputs": [{"tool_call_id": calls[0]}]}), "tool_outputs[0].output"),
            (json!({"tool_outputs": [], "outputs": []}), "outputs"),
        ] {
            assert_eq!(param(&fixture.baton.post(&path, &wrong).await, 400), path_of, "{wrong}");
        }
        says_next(&fixture, "oai/fake", says("In Trier."));
        let outputs = json!({"tool_outputs": [
            {"tool_call_id": calls[1], "output": {"degrees": 14}}, {"tool_call_id": calls[0], "output": "12 degrees"},
        ]});
        let done = fixture.baton.post(&path, &outputs).await.expect(200).json();
        assert_eq!(
            (&done["status"], &done["output"]["text"]),
            (&json!("completed"), &json!("One moment.\n\nIn Trier."))
        );
        assert_eq!((&done["required_action"], &done["turns_consumed"]), (&Value::Null, &json!(2)));
        let seen = saw(&fixture, "oai/fake").pop().expect("a second turn").json();
        let messages = seen["messages"].as_array().expect("messages").clone();
        let roles: Vec<&str> = messages.iter().map(|one| one["role"].as_str().expect("a role")).collect();
        assert_eq!(roles, ["user", "assistant", "tool", "tool"], "{seen}");
        assert_eq!(
            (&messages[2]["tool_call_id"], &messages[2]["content"]),
            (&json!(calls[0]), &json!("12 degrees"))
        );
        assert_eq!(messages[3]["content"], r#"{"degrees":14}"#);
        // It waits no more.
        assert_eq!(fixture.baton.post(&path, &outputs).await.openai_error(409)["code"], "run_not_waiting");
        let told = events_of(&fixture.baton, &id_of(&done), None).await;
        are_whole(&told);
        let of_calls: Vec<&str> = names(&told)
            .into_iter()
            .filter(|name| name.starts_with("tool_call_done") || *name == "requires_action")
            .collect();
        assert_eq!(of_calls, ["tool_call_done", "tool_call_done", "requires_action"]);
    });
}

#[test]
fn a_stream_ends_where_the_run_waits_and_another_goes_on_from_there() {
    run(async {
        let fixture = scripted(vec![calls(vec![asks("Bonn")]), says("Twelve.")], Vec::new(), "").await;
        let body = json!({"model": "oai/fake", "input": "x", "tools": [weather()], "stream": true});
        let first = fixture.baton.post("/v1/runs", &body).await.expect(200);
        let told = frames(first.text());
        let last = told.last().expect("an event");
        assert_eq!(last.name, "requires_action");
        let call = last.data["tool_calls"][0]["id"].as_str().expect("an id").to_owned();
        let path = format!("/v1/runs/{}/tool_outputs", first.header("x-baton-run-id"));
        let outputs = json!({"tool_outputs": [{"tool_call_id": call, "output": "12"}], "stream": true});
        let second = fixture.baton.post(&path, &outputs).await.expect(200);
        let all: Vec<_> = told.into_iter().chain(frames(second.text())).collect();
        are_whole(&all);
        assert_eq!(all, events_of(&fixture.baton, first.header("x-baton-run-id"), None).await);
    });
}

#[test]
fn a_run_in_the_background_waits_without_anybody() {
    run(async {
        let fixture = scripted(vec![calls(vec![asks("Bonn")]), says("Twelve.")], Vec::new(), "").await;
        let id =
            queued(&fixture.baton, json!({"model": "oai/fake", "input": "x", "tools": [weather()]})).await;
        let waits = reaches(&fixture.baton, &id, "requires_action").await;
        let outputs = json!({"tool_outputs": [{"tool_call_id": awaited(&waits)[0], "output": "12"}]});
        fixture.baton.post(&format!("/v1/runs/{id}/tool_outputs"), &outputs).await.expect(202);
        assert_eq!(reaches(&fixture.baton, &id, "completed").await["output"]["text"], "Twelve.");
        // One that waits can be cancelled, too.
        says_next(&fixture, "oai/fake", calls(vec![asks("Bonn")]));
        let id =
            queued(&fixture.baton, json!({"model": "oai/fake", "input": "x", "tools": [weather()]})).await;
        reaches(&fixture.baton, &id, "requires_action").await;
        fixture.baton.post(&format!("/v1/runs/{id}/cancel"), &json!({})).await.expect(200);
        reaches(&fixture.baton, &id, "cancelled").await;
    });
}

#[test]
fn the_gateways_tools_are_run_and_told_of() {
    run(async {
        let mcp = Mcp::start().await;
        let servers = format!("mcp_servers: {{ acme: {{ url: \"{}\" }} }}", mcp.url());
        let query = |word: &str| ("acme__query".to_owned(), json!({"q": word}));
        let turns = vec![calls(vec![query("cats"), query("fail")]), says("Cats were found.")];
        let fixture = scripted(turns, Vec::new(), &servers).await;
        let body = json!({"model": "oai/fake", "input": "Look for cats", "mcp_servers": ["acme"]});
        let done = started(&fixture.baton, body).await;
        assert_eq!(
            (&done["status"], &done["output"]["text"]),
            (&json!("completed"), &json!("Cats were found.")),
            "{done}"
        );
        let results = done["tool_results"].as_array().expect("results");
        let lines: Vec<String> = results
            .iter()
            .map(|one| format!("{} {} {} {}", one["server"], one["tool"], one["is_error"], one["result"]))
            .collect();
        assert_eq!(
            lines,
            [r#""acme" "query" false "found: cats""#, r#""acme" "query" true "the index is broken""#]
        );
        assert_eq!(mcp.calls().len(), 2);
        let told = events_of(&fixture.baton, &id_of(&done), None).await;
        are_whole(&told);
        let of_tools: Vec<&str> = names(&told).into_iter().filter(|name| name.starts_with("tool")).collect();
        let one_call = ["tool_call_start", "tool_call_done"];
        assert_eq!(of_tools, [&one_call[..], &one_call[..], &["tool_result", "tool_result"]].concat());
    });
}
