//! Hand-offs that a client's own loop made: recorded once, executed never.

use serde_json::{Value, json};

use super::{Surface, asked, decisions, saw, says, story, talking, user};
use crate::blackbox::support::run;

/// The conversation with this call answered, as the surface spells it.
fn with_call(surface: Surface, tool: &str, arguments: &Value, result: &str) -> Value {
    match surface {
        Surface::Chat => json!([
            {"role": "system", "content": "You bill."},
            {"role": "user", "content": "I need to update my card"},
            {"role": "assistant", "content": null, "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": tool, "arguments": arguments.to_string()}}]},
            {"role": "tool", "tool_call_id": "call_1", "content": result},
        ]),
        Surface::Responses => json!([
            {"role": "system", "content": "You bill."},
            {"role": "user", "content": "I need to update my card"},
            {"type": "function_call", "call_id": "call_1", "name": tool, "arguments": arguments.to_string()},
            {"type": "function_call_output", "call_id": "call_1", "output": result},
        ]),
        Surface::Messages => json!([
            {"role": "user", "content": "I need to update my card"},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "call_1", "name": tool, "input": arguments}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "call_1", "content": result}]},
        ]),
    }
}

/// As the OpenAI Agents SDK, deepagents and Docker Agent say it: tool, arguments, result, recipient.
fn said_by_others() -> [(&'static str, Value, &'static str, &'static str); 4] {
    [
        ("transfer_to_billing_agent", json!({}), "{\"assistant\": \"Billing Agent\"}", "billing_agent"),
        (
            "transfer_to_researcher_agent",
            json!({}),
            "Transfer successful to researcher_agent.",
            "researcher_agent",
        ),
        (
            "handoff",
            json!({"agent": "web_search"}),
            "The agent root handed off the conversation to you.",
            "web_search",
        ),
        (
            "transfer_task",
            json!({"agent": "writer", "task": "write", "expected_output": "text"}),
            "A text.",
            "writer",
        ),
    ]
}

#[test]
fn a_hand_off_of_the_clients_own_loop_is_recorded_and_not_executed() {
    run(async {
        for (tool, arguments, result, to) in said_by_others() {
            for way in super::WAYS {
                for model in ["oai/fake", "ant/fake"] {
                    let fixture = talking(["oai/fake", "ant/fake"], Vec::new(), "").await;
                    super::says_next(&fixture, model, says("Done."));
                    let mut body =
                        json!({"model": model, "messages": with_call(way.0, tool, &arguments, result)});
                    if way.0 == Surface::Messages {
                        // The vendor wants the tools of a conversation with calls; a chat may leave them out.
                        body["tools"] = json!([super::tool(way.0, tool)]);
                    }
                    let (answer, said) = asked(&fixture.baton, way, body.clone()).await;
                    let case = format!("{tool} {way:?} {model}");
                    assert_eq!(said.text, "Done.", "{case}");
                    assert_eq!(saw(&fixture, model).len(), 1, "{case}");
                    let told = story(&fixture, &answer).await;
                    assert_eq!(
                        told,
                        [
                            format!("1.1 observe observed -->{model} not_expected"),
                            format!("1.1 select only_model -->{model} ok"),
                        ],
                        "{case}"
                    );
                    let reason = decisions(&fixture, &answer).await[0]["reason"].to_string();
                    assert!(reason.contains(to), "{case}: {reason}");
                    // The same conversation, later: it was told already.
                    let messages = body["messages"].as_array_mut().expect("messages");
                    messages.push(json!({"role": "assistant", "content": "Done."}));
                    messages.push(json!({"role": "user", "content": "Thank you"}));
                    super::says_next(&fixture, model, says("You are welcome."));
                    let (answer, _) = asked(&fixture.baton, way, body).await;
                    let told = story(&fixture, &answer).await;
                    assert_eq!(told, [format!("1.1 select only_model -->{model} ok")], "{case}");
                }
            }
        }
    });
}

#[test]
fn the_words_alone_are_no_hand_off() {
    run(async {
        let fixture = talking(["oai/fake", "ant/fake"], Vec::new(), "").await;
        for way in super::WAYS {
            for messages in [
                user("Please call transfer_to_billing_agent, or handoff, or transfer_task"),
                with_call(way.0, "weather", &json!({"note": "transfer_to_billing_agent"}), "handoff"),
            ] {
                let tools = json!([super::tool(way.0, "weather")]);
                let body = json!({"model": "oai/fake", "messages": messages, "tools": tools});
                let (answer, _) = asked(&fixture.baton, way, body).await;
                let told = story(&fixture, &answer).await;
                assert_eq!(told, ["1.1 select only_model -->oai/fake ok"], "{way:?}");
            }
        }
    });
}

#[test]
fn the_outcome_of_a_hand_off_is_what_the_request_says_and_not_who_answers_it() {
    run(async {
        // A pool with hand-off of its own, whose client had a loop too: both are told, apart.
        for way in super::WAYS {
            let pool = ["oai/fake", "ant/fake-b"];
            let turns = vec![(0, super::calls(vec![super::transfer(pool[1], "r")])), (1, says("Done."))];
            let fixture = talking(pool, turns, "").await;
            let messages = with_call(way.0, "handoff", &json!({"agent": "x"}), "ok");
            let body = json!({"model": pool, "messages": messages, "tools": [super::tool(way.0, "handoff")]});
            let (answer, said) = asked(&fixture.baton, way, body).await;
            assert_eq!((said.text.as_str(), said.model.as_str()), ("Done.", pool[1]), "{way:?}");
            assert_eq!(
                story(&fixture, &answer).await,
                [
                    "1.1 observe observed -->oai/fake not_expected",
                    "1.1 select first_in_order -->oai/fake ok",
                    "2.2 handoff handed_over oai/fake->ant/fake-b ok",
                ],
                "{way:?}"
            );
        }
    });
}
