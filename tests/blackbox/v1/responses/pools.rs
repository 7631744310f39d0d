//! Several models behind one response: fallbacks in order, and pools that hand over.

use serde_json::{Value, json};

use super::final_response;
use crate::blackbox::handoff::{WAYS, calls, says, says_and_calls, talking, transfer};
use crate::blackbox::support::{Answer, Fixture, run};

/// Pools of every mix of dialects; `resp` is the fake of `oai` in its other format.
const POOLS: [[&str; 2]; 5] = [
    ["oai/fake", "oai/fake-b"],
    ["oai/fake", "ant/fake-b"],
    ["ant/fake", "oai/fake-b"],
    ["resp/fake", "ant/fake-b"],
    ["ant/fake", "resp/fake-b"],
];

async fn asked(fixture: &Fixture, mut body: Value, stream: bool) -> (Answer, Value) {
    body["stream"] = json!(stream);
    let answer = fixture.baton.responses(&body).await.expect(200);
    let whole = if stream { final_response(answer.text()) } else { answer.json() };
    (answer, whole)
}

#[test]
fn every_hop_has_a_message_of_its_own_and_the_hidden_call_leaves_no_trace() {
    run(async {
        for pool in POOLS {
            let mut before: Option<Value> = None;
            for stream in [false, true] {
                let turns = vec![
                    (0, says_and_calls("First this.", vec![transfer(pool[1], "r")])),
                    (1, says("Then that.")),
                ];
                let fixture = talking(pool, turns, "").await;
                let (answer, whole) = asked(&fixture, json!({"model": pool, "input": "go"}), stream).await;
                let case = format!("{pool:?} {stream}: {}", answer.text());
                assert!(!answer.text().contains("transfer_to_"), "{case}");
                assert_eq!(
                    (&whole["status"], &whole["model"]),
                    (&json!("completed"), &json!(pool[1])),
                    "{case}"
                );
                let said: Vec<(Value, Value)> = whole["output"]
                    .as_array()
                    .expect("items")
                    .iter()
                    .map(|item| (item["type"].clone(), item["content"][0]["text"].clone()))
                    .collect();
                let message = |text: &str| (json!("message"), json!(text));
                assert_eq!(said, [message("First this."), message("Then that.")], "{case}");
                assert_eq!(whole["agents_used"], json!(pool), "{case}");
                assert_eq!(whole["handoffs"].as_array().map(Vec::len), Some(1), "{case}");
                let said = json!([whole["status"], said, whole["usage"]]);
                if let Some(before) = &before {
                    assert_eq!(before, &said, "{case}: streamed and whole differ");
                }
                before = Some(said);
            }
        }
    });
}

#[test]
fn a_guard_makes_the_response_incomplete() {
    run(async {
        for pool in POOLS {
            for stream in [false, true] {
                let turns = vec![
                    (0, says_and_calls("One.", vec![transfer(pool[1], "r")])),
                    (1, says_and_calls("Two.", vec![transfer(pool[0], "r")])),
                ];
                let fixture = talking(pool, turns, "").await;
                let body = json!({"model": pool, "input": "go", "max_turns": 2});
                let (answer, whole) = asked(&fixture, body, stream).await;
                let case = format!("{pool:?} {stream}: {}", answer.text());
                assert_eq!(whole["status"], "incomplete", "{case}");
                assert_eq!(whole["incomplete_details"]["reason"], "max_output_tokens", "{case}");
                assert_eq!(whole["output"].as_array().map(Vec::len), Some(2), "{case}");
            }
        }
    });
}

#[test]
fn a_structured_text_is_final() {
    run(async {
        for pool in POOLS {
            for stream in [false, true] {
                let turns = vec![(0, says_and_calls("{\"city\":\"Paris\"}", vec![transfer(pool[1], "r")]))];
                let fixture = talking(pool, turns, "").await;
                let format =
                    json!({"format": {"type": "json_schema", "name": "city", "schema": {"type": "object"}}});
                let body = json!({"model": pool, "input": "a city", "text": format});
                let (answer, whole) = asked(&fixture, body, stream).await;
                let case = format!("{pool:?} {stream}: {}", answer.text());
                assert_eq!(whole["output"][0]["content"][0]["text"], "{\"city\":\"Paris\"}", "{case}");
                assert_eq!(
                    (&whole["model"], whole["output"].as_array().map(Vec::len)),
                    (&json!(pool[0]), Some(1)),
                    "{case}"
                );
            }
        }
    });
}

#[test]
fn a_call_of_the_clients_comes_out_of_a_hand_over() {
    run(async {
        for pool in POOLS {
            for stream in [false, true] {
                let weather = ("weather".to_owned(), json!({"city": "Paris"}));
                let turns = vec![
                    (0, calls(vec![transfer(pool[1], "r")])),
                    (1, calls(vec![weather])),
                    (1, says("It is sunny.")),
                ];
                let fixture = talking(pool, turns, "").await;
                let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}});
                let tools = json!([{"type": "function", "name": "weather", "parameters": schema}]);
                let (answer, whole) =
                    asked(&fixture, json!({"model": pool, "input": "go", "tools": tools}), stream).await;
                let case = format!("{pool:?} {stream}: {}", answer.text());
                let output = whole["output"].as_array().expect("items");
                assert_eq!((output.len(), &output[0]["name"]), (1, &json!("weather")), "{case}");
                let result = json!({"type": "function_call_output", "call_id": output[0]["call_id"], "output": "sunny"});
                let input = json!([{"role": "user", "content": "go"}, output[0], result]);
                let (_, whole) =
                    asked(&fixture, json!({"model": pool, "input": input, "tools": tools}), stream).await;
                assert_eq!(whole["output"][0]["content"][0]["text"], "It is sunny.", "{case}");
                assert_eq!(whole["model"], pool[1], "{case}: the conversation went back");
            }
        }
    });
}

#[test]
fn what_is_set_for_one_model_of_a_pool_reaches_that_one_alone() {
    run(async {
        assert!(WAYS.len() > 4, "responses are a way of the hand-off tests too");
        let pool = ["oai/fake", "ant/fake-b"];
        let turns = vec![(0, calls(vec![transfer(pool[1], "r")])), (1, says("done"))];
        let fixture = talking(pool, turns, "").await;
        let list = json!([pool[0], {"model": pool[1], "settings": {"max_output_tokens": 77, "input": "no", "temperature": 0.5}}]);
        let (answer, _) = asked(&fixture, json!({"model": list, "input": "go"}), false).await;
        let sent = fixture.anthropic_saw("fake-b")[0].json();
        assert_eq!((&sent["max_tokens"], &sent["temperature"]), (&json!(77), &json!(0.5)), "{sent}");
        assert!(fixture.openai_saw("fake")[0].json().get("temperature").is_none());
        let run = fixture.baton.run_of(&answer).await;
        assert!(run.to_string().contains("model[].settings.input"), "{run}");
    });
}
