//! What has gone wrong between real clients and servers of pools, one test for each trap that no other
//! test is about.

use baton_testkit::fake::{Fault, Step};
use serde_json::{Value, json};

use super::{
    POOLS, Surface, WAYS, asked, calls, saw, says, says_and_calls, story, talking, tool, transfer, user,
};
use crate::blackbox::support::{events, run, sent};

const PATHS: [(Surface, &str); 3] = [
    (Surface::Chat, "/v1/chat/completions"),
    (Surface::Messages, "/v1/messages"),
    (Surface::Responses, "/v1/responses"),
];

#[test]
fn a_run_that_is_sent_again_with_its_key_is_not_carried_out_again() {
    run(async {
        for pool in POOLS {
            for (surface, path) in PATHS {
                for stream in [false, true] {
                    let [a, b] = pool;
                    let turns = vec![(0, says_and_calls("One.", vec![transfer(b, "r")])), (1, says("Two."))];
                    let fixture = talking(pool, turns, "").await;
                    let body =
                        json!({"model": pool, "messages": user("go"), "max_tokens": 99, "stream": stream});
                    let ask = |body: &Value| {
                        let body = &surface.body(body.clone());
                        sent(fixture.baton.posting(path, body).header("idempotency-key", "one-key"))
                    };
                    let first = ask(&body).await.expect(200);
                    let again = ask(&body).await.expect(200);
                    let case = format!("{pool:?} {surface:?} {stream}");
                    assert_eq!(again.body, first.body, "{case}");
                    assert_eq!(again.header("x-baton-run-id"), first.header("x-baton-run-id"), "{case}");
                    let asked = (saw(&fixture, a).len(), saw(&fixture, b).len());
                    assert_eq!(asked, (1, 1), "{case}");
                    let mut other = body.clone();
                    other["messages"] = user("go elsewhere");
                    let refused = ask(&other).await;
                    assert!(matches!(refused.status, 409 | 422), "{case}: {refused:?}");
                }
            }
        }
    });
}

#[test]
fn a_result_whose_call_was_left_out_reaches_a_pool_and_its_second_model() {
    run(async {
        for pool in POOLS {
            for stream in [false, true] {
                let [a, b] = pool;
                let turns = vec![(0, calls(vec![transfer(b, "r")])), (1, says("It is sunny."))];
                let fixture = talking(pool, turns, "").await;
                let body = json!({
                    "model": pool,
                    "tools": [tool(Surface::Chat, "weather")],
                    "messages": [
                        {"role": "user", "content": "Weather?"},
                        {"role": "tool", "tool_call_id": "call_1", "content": "sunny in Tokyo"},
                    ],
                });
                let (_, said) = asked(&fixture.baton, (Surface::Chat, stream), body).await;
                let case = format!("{pool:?} {stream}");
                assert_eq!((said.text.as_str(), said.model.as_str()), ("It is sunny.", b), "{case}");
                for model in [a, b] {
                    let seen = saw(&fixture, model)[0].json().to_string();
                    assert!(seen.contains("sunny in Tokyo") && seen.contains("call_1"), "{case}: {seen}");
                }
            }
        }
    });
}

#[test]
fn a_run_that_breaks_ends_with_an_error_that_every_client_raises_on() {
    run(async {
        for pool in POOLS {
            for (surface, path) in PATHS {
                let b = pool[1];
                let turns = vec![
                    (0, says_and_calls("One.", vec![transfer(b, "r")])),
                    (1, Step::Fault(Fault::ErrorAfterContent)),
                ];
                let fixture = talking(pool, turns, "").await;
                let body = json!({"model": pool, "messages": user("go"), "max_tokens": 99, "stream": true});
                let answer = fixture.baton.post(path, &surface.body(body)).await.expect(200);
                let case = format!("{pool:?} {surface:?}: {}", answer.text());
                let all = events(answer.text());
                let named = all.iter().filter(|event| event.name == "error").count();
                assert_eq!(named, 1, "{case}");
                assert!(all.iter().all(|event| event.data != "[DONE]"), "{case}");
                let error = all.iter().find(|event| event.name == "error").expect("an error").json();
                assert!(error["error"]["message"].as_str().is_some_and(|text| !text.is_empty()), "{case}");
                let said: String = all.iter().map(|event| spoken(&event.data)).collect();
                assert!(said.starts_with("One.") && said.matches("One.").count() == 1, "{case}");
                let story = story(&fixture, &answer).await;
                assert_eq!(story.len(), 2, "nothing is started again: {story:?}");
            }
        }
    });
}

/// The text that an event brings, in any dialect.
fn spoken(data: &str) -> String {
    let event: Value = serde_json::from_str(data).unwrap_or_default();
    let text = event["choices"][0]["delta"]["content"].as_str().or(event["delta"]["text"].as_str());
    let text = text.or(event["delta"].as_str());
    text.unwrap_or_default().to_owned()
}

#[test]
fn an_error_of_a_pool_has_the_form_that_each_client_reads() {
    run(async {
        let fixture = talking(POOLS[0], Vec::new(), "").await;
        let body =
            json!({"model": ["oai/nobody", "nowhere-at-all/x"], "messages": user("go"), "max_tokens": 9});
        let error = fixture.baton.chat(&body).await.openai_error(404);
        assert_eq!(error["code"], "model_not_found", "{error}");
        let error = fixture.baton.messages(&body).await.anthropic_error(404);
        assert_eq!(error["type"], "not_found_error", "{error}");
    });
}

#[test]
fn odd_histories_are_handed_over_like_any_other() {
    let call = json!({"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}});
    let used = json!({"type": "tool_use", "id": "call_1", "name": "f", "input": {}});
    let result = json!({"type": "tool_result", "tool_use_id": "call_1", "content": "mild"});
    let cases = [
        (
            Surface::Chat,
            "no user at all",
            json!([
                {"role": "system", "content": "You bill."},
                {"role": "assistant", "content": "For context, here is the conversation so far"},
            ]),
        ),
        (
            Surface::Chat,
            "several system messages, one of them late",
            json!([
                {"role": "system", "content": "a"},
                {"role": "developer", "content": "b"},
                {"role": "user", "content": "hi"},
                {"role": "assistant", "content": "yes?"},
                {"role": "system", "content": "c"},
                {"role": "user", "content": "ho"},
            ]),
        ),
        (
            Surface::Chat,
            "calls without tools, an assistant without content",
            json!([
                {"role": "user", "content": "hi"},
                {"role": "assistant", "tool_calls": [call]},
                {"role": "tool", "tool_call_id": "call_1", "content": "mild"},
            ]),
        ),
        (
            Surface::Messages,
            "calls without tools",
            json!([
                {"role": "user", "content": "hi"},
                {"role": "assistant", "content": [used]},
                {"role": "user", "content": [result]},
            ]),
        ),
        (
            Surface::Responses,
            "calls without tools, instructions late, no message of the user",
            json!([
                {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "call_1", "output": "mild"},
                {"role": "developer", "content": "c"},
            ]),
        ),
    ];
    run(async {
        for (surface, what, messages) in cases {
            for pool in POOLS {
                for stream in [false, true] {
                    let b = pool[1];
                    let turns = vec![(0, calls(vec![transfer(b, "r")])), (1, says("done"))];
                    let fixture = talking(pool, turns, "").await;
                    let body = json!({"model": pool, "messages": messages});
                    let (_, said) = asked(&fixture.baton, (surface, stream), body).await;
                    let case = format!("{what} {pool:?} {stream}");
                    assert_eq!((said.text.as_str(), said.model.as_str()), ("done", b), "{case}");
                }
            }
        }
    });
}

#[test]
fn what_one_vendor_signed_and_named_does_not_break_the_other() {
    // An id of another vendor's form, and a signed thought of Anthropic's.
    let odd = "fc|68/a.b:c d";
    let chat = json!([
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": null, "tool_calls": [
            {"id": odd, "type": "function", "function": {"name": "weather", "arguments": "{}"}},
        ]},
        {"role": "tool", "tool_call_id": odd, "content": "mild"},
    ]);
    let messages = json!([
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": [
            {"type": "thinking", "thinking": "hm", "signature": "sig"},
            {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {}},
        ]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "mild"}]},
    ]);
    let items = json!([
        {"role": "user", "content": "hi"},
        {"type": "function_call", "call_id": odd, "name": "weather", "arguments": "{}"},
        {"type": "function_call_output", "call_id": odd, "output": "mild"},
    ]);
    run(async {
        for pool in [["oai/fake", "ant/fake-b"], ["ant/fake", "oai/fake-b"]] {
            for way in WAYS {
                let b = pool[1];
                let turns = vec![(0, calls(vec![transfer(b, "r")])), (1, says("done"))];
                let fixture = talking(pool, turns, "").await;
                let history = match way.0 {
                    Surface::Chat => &chat,
                    Surface::Messages => &messages,
                    Surface::Responses => &items,
                };
                let body = json!({"model": pool, "messages": history, "tools": [tool(way.0, "weather")]});
                let (_, said) = asked(&fixture.baton, way, body).await;
                let case = format!("{pool:?} {way:?}");
                assert_eq!((said.text.as_str(), said.model.as_str()), ("done", b), "{case}");
                for model in pool {
                    let seen = saw(&fixture, model)[0].json();
                    let calls = ids(&seen);
                    assert!(!calls.is_empty(), "{case}: {seen}");
                    assert!(seen.to_string().contains("mild"), "{case}: {seen}");
                    if model.starts_with("ant/") {
                        assert!(calls.iter().all(|id| plain(id)), "{case}: {calls:?}");
                    } else {
                        assert!(!seen.to_string().contains("\"signature\""), "{case}: {seen}");
                    }
                }
            }
        }
    });
}

/// The ids of the calls in an upstream's request.
fn ids(body: &Value) -> Vec<String> {
    let mut found = Vec::new();
    for message in body["messages"].as_array().expect("messages") {
        for call in message["tool_calls"].as_array().into_iter().flatten() {
            found.push(call["id"].as_str().expect("an id").to_owned());
        }
        for block in message["content"].as_array().into_iter().flatten() {
            if block["type"] == "tool_use" {
                found.push(block["id"].as_str().expect("an id").to_owned());
            }
        }
    }
    found
}

/// Whether Anthropic takes an id.
fn plain(id: &str) -> bool {
    (1..=64).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
}

/// A tool as the npm client of Dedalus sends it, and the schema that was meant.
fn mangled() -> (Value, Value) {
    let schema = json!({
        "type": "object",
        "properties": {"min_items": {"any_of": [{"max_length": 3}, {"type": "null"}]}},
        "additional_properties": false,
        "default": {"one_of": 1},
    });
    let meant = json!({
        "type": "object",
        "properties": {"min_items": {"anyOf": [{"maxLength": 3}, {"type": "null"}]}},
        "additionalProperties": false,
        "default": {"one_of": 1},
    });
    (json!({"type": "function", "function": {"name": "weather", "parameters": schema}}), meant)
}

/// The schema of the client's tool in an upstream's request.
fn schema_of(body: &Value) -> Value {
    let tool = &body["tools"][0];
    tool["function"].get("parameters").or(tool.get("input_schema")).cloned().unwrap_or_default()
}

#[test]
fn mangled_keywords_of_schemas_reach_every_upstream_as_they_are_spelled() {
    let (tool, meant) = mangled();
    run(async {
        for stream in [false, true] {
            let way = (Surface::Chat, stream);
            for model in ["oai/fake", "ant/fake"] {
                let fixture = talking(POOLS[2], vec![(0, says("x")), (1, says("x"))], "").await;
                let format =
                    json!({"type": "json_schema", "json_schema": {"name": "any_of", "schema": meant}});
                let mut wrong = format.clone();
                wrong["json_schema"]["schema"] = tool["function"]["parameters"].clone();
                let body = json!({"model": model, "messages": user("hi"), "tools": [tool], "response_format": wrong});
                asked(&fixture.baton, way, body).await;
                let seen = saw(&fixture, model)[0].json();
                assert_eq!(schema_of(&seen), meant, "{model} {stream}: {seen}");
                if model.starts_with("oai/") {
                    assert_eq!(seen["response_format"], format, "{stream}");
                }
            }
            for pool in POOLS {
                let [a, b] = pool;
                let turns = vec![(0, calls(vec![transfer(b, "r")])), (1, says("done"))];
                let fixture = talking(pool, turns, "").await;
                let body = json!({"model": pool, "messages": user("hi"), "tools": [tool]});
                asked(&fixture.baton, way, body).await;
                for model in [a, b] {
                    let seen = saw(&fixture, model)[0].json();
                    assert_eq!(schema_of(&seen), meant, "{pool:?} {model} {stream}: {seen}");
                }
            }
        }
    });
}

#[test]
fn of_several_transfers_in_one_turn_the_first_is_made_and_the_others_are_answered() {
    run(async {
        for [a, b] in POOLS {
            for way in WAYS {
                let third = if b.starts_with("oai/") { "oai/fake-c" } else { "ant/fake-c" };
                let both = vec![transfer(b, "first"), transfer(third, "second"), transfer(b, "third")];
                let turns = vec![(0, calls(both)), (1, says("done"))];
                let fixture = talking([a, b], turns, "").await;
                let body = json!({"model": [a, b, third], "messages": user("go")});
                let (answer, said) = asked(&fixture.baton, way, body).await;
                let case = format!("{a} {b} {way:?}");
                assert_eq!((said.text.as_str(), said.model.as_str()), ("done", b), "{case}");
                assert!(said.calls.is_empty(), "{case}: {said:?}");
                assert_eq!(saw(&fixture, third).len(), 0, "{case}");
                let seen = saw(&fixture, b)[0].json();
                let explained = seen.to_string().matches("not executed: handed over").count();
                assert_eq!((ids(&seen).len(), explained), (3, 2), "{case}: {seen}");
                assert_eq!(story(&fixture, &answer).await.len(), 2, "{case}");
            }
        }
    });
}

#[test]
fn a_model_that_keeps_asking_for_who_is_not_there_comes_to_an_end() {
    run(async {
        for pool in POOLS {
            for way in WAYS {
                let wrong = || (0, says_and_calls("Hm.", vec![("transfer_to_gpt_99".to_owned(), json!({}))]));
                let fixture = talking(pool, (0..20).map(|_| wrong()).collect(), "").await;
                let body = json!({"model": pool, "messages": user("go")});
                let (answer, said) = asked(&fixture.baton, way, body).await;
                let case = format!("{pool:?} {way:?}");
                assert!(["length", "max_tokens"].contains(&said.finish.as_str()), "{case}: {said:?}");
                assert!(said.calls.is_empty() && said.text.starts_with("Hm."), "{case}: {said:?}");
                assert_eq!(saw(&fixture, pool[0]).len(), 10, "{case}");
                let story = story(&fixture, &answer).await;
                assert!(story.last().expect("one").contains(" stop max_turns "), "{case}: {story:?}");
            }
        }
    });
}

#[test]
fn to_and_fro_without_a_word_of_the_user_comes_to_an_end_with_the_text_there_is() {
    run(async {
        for pool in POOLS {
            for way in WAYS {
                let [a, b] = pool;
                let turn = |turn: usize| {
                    let other = if turn.is_multiple_of(2) { b } else { a };
                    (turn % 2, says_and_calls(&format!("t{turn}."), vec![transfer(other, "r")]))
                };
                let fixture = talking(pool, (0..30).map(turn).collect(), "").await;
                let body = json!({"model": pool, "messages": user("go")});
                let (answer, said) = asked(&fixture.baton, way, body).await;
                let case = format!("{pool:?} {way:?}");
                assert!(said.text.starts_with("t0."), "{case}: {said:?}");
                assert!(said.calls.is_empty() && !answer.text().contains("transfer_to_"), "{case}");
                let made = saw(&fixture, a).len() + saw(&fixture, b).len();
                assert!(made <= 10, "{case}: {made} requests");
                let run = fixture.baton.run_of(&answer).await;
                let decisions = run["decisions"].as_array().expect("decisions");
                let handed = decisions.iter().filter(|one| one["kind"] == "handoff").count();
                assert!(handed <= 8, "{case}: {handed} hand-overs");
                let last = decisions.last().expect("one");
                assert_eq!(last["kind"], "stop", "{case}: {last}");
                assert!(last["reason"]["text"].as_str().is_some_and(|text| !text.is_empty()), "{case}");
            }
        }
    });
}
