//! One test for each sentence of the design about pools.

use serde_json::{Value, json};

use super::{
    POOLS, Surface, WAYS, asked, calls, saw, says, says_and_calls, story, talking, tool, tools_of, transfer,
    user,
};
use crate::blackbox::support::run;

#[test]
fn the_first_model_begins_and_hands_over_and_the_second_answers() {
    run(async {
        for pool in POOLS {
            for way in WAYS {
                let [a, b] = pool;
                let turns =
                    vec![(0, calls(vec![transfer(b, "it writes better")])), (1, says("A fine text."))];
                let fixture = talking(pool, turns, "").await;
                let body = json!({"model": pool, "messages": user("Research, then write")});
                let (answer, said) = asked(&fixture.baton, way, body).await;
                let case = format!("{pool:?} {way:?}");
                assert_eq!((said.text.as_str(), said.model.as_str()), ("A fine text.", b), "{case}");
                assert!(said.calls.is_empty(), "{case}: a hidden call reached the client: {said:?}");
                assert!(["stop", "end_turn"].contains(&said.finish.as_str()), "{case}: {said:?}");
                assert!(!answer.text().contains("transfer_to_"), "{case}: {}", answer.text());
                assert_eq!(
                    story(&fixture, &answer).await,
                    [
                        format!("1.1 select first_in_order -->{a} ok"),
                        format!("2.2 handoff handed_over {a}->{b} ok"),
                    ],
                    "{case}"
                );
                assert_eq!(answer.header("x-baton-handoffs"), "1", "{case}");
                assert_eq!(answer.header("x-baton-model"), b, "{case}");
            }
        }
    });
}

#[test]
fn each_member_is_offered_every_other_one_behind_the_clients_tools() {
    run(async {
        for way in WAYS {
            let pool = ["oai/fake", "ant/fake-b"];
            let turns = vec![(0, calls(vec![transfer(pool[1], "r")])), (1, says("x"))];
            let fixture = talking(pool, turns, "").await;
            let all = ["oai/fake", "ant/fake-b", "oai/fake-c"];
            let body = json!({"model": all, "messages": user("hi"), "tools": [tool(way.0, "weather")]});
            asked(&fixture.baton, way, body).await;
            let first = saw(&fixture, "oai/fake");
            assert_eq!(
                tools_of(&first[0]),
                ["weather", "transfer_to_fake_b", "transfer_to_fake_c"],
                "{way:?}"
            );
            let second = saw(&fixture, "ant/fake-b");
            assert_eq!(
                tools_of(&second[0]),
                ["weather", "transfer_to_fake", "transfer_to_fake_c"],
                "{way:?}"
            );
        }
    });
}

#[test]
fn one_model_alone_is_offered_nobody() {
    run(async {
        for body in [
            json!({"model": ["oai/fake"], "messages": user("hi")}),
            json!({"model": ["oai/fake", "oai/fake"], "messages": user("hi")}),
            json!({"model": "oai/fake", "fallbacks": ["ant/fake"], "messages": user("hi")}),
            json!({"models": ["oai/fake", "ant/fake"], "messages": user("hi")}),
            json!({"model": ["oai/fake", "ant/fake"], "messages": user("hi"), "tool_choice": "none", "tools": [tool(Surface::Chat, "weather")]}),
            json!({"model": ["oai/fake", "ant/fake"], "messages": user("hi"), "n": 2}),
        ] {
            let fixture = talking(["oai/fake", "ant/fake"], Vec::new(), "").await;
            let answer = fixture.baton.chat(&body).await.expect(200);
            let tools = tools_of(&saw(&fixture, "oai/fake")[0]);
            assert!(tools.iter().all(|tool| tool == "weather"), "{body}: {tools:?}");
            let story = story(&fixture, &answer).await;
            assert_eq!(story.len(), 1, "{body}: {story:?}");
            assert!(
                story[0].starts_with("1.1 select ") && story[0].ends_with("->oai/fake ok"),
                "{body}: {story:?}"
            );
        }
    });
}

#[test]
fn the_target_sees_the_whole_conversation_and_the_transfer_as_a_call_with_its_result() {
    run(async {
        for pool in POOLS {
            for way in WAYS {
                let [a, b] = pool;
                let turns = vec![(0, calls(vec![transfer(b, "because")])), (1, says("done"))];
                let fixture = talking(pool, turns, "").await;
                let body = json!({"model": pool, "messages": user("What is new?")});
                asked(&fixture.baton, way, body).await;
                let seen = saw(&fixture, b)[0].json();
                let messages = seen["messages"].as_array().expect("messages").clone();
                let case = format!("{pool:?} {way:?}: {seen}");
                assert_eq!(messages.len(), 3, "{case}");
                assert!(messages[0].to_string().contains("What is new?"), "{case}");
                let (call, result) = (messages[1].to_string(), messages[2].to_string());
                assert_eq!(messages[1]["role"], "assistant", "{case}");
                assert!(call.contains(&transfer(b, "").0) && call.contains("because"), "{case}");
                assert!(result.contains(a), "the result names who handed over: {case}");
                assert!(!result.contains("because"), "the reason stands in the call alone: {case}");
            }
        }
    });
}

#[test]
fn text_before_a_transfer_is_kept_and_followed_by_a_blank_line() {
    run(async {
        for pool in POOLS {
            for way in WAYS {
                let b = pool[1];
                let turns =
                    vec![(0, says_and_calls("First this.", vec![transfer(b, "r")])), (1, says("Then that."))];
                let fixture = talking(pool, turns, "").await;
                let body = json!({"model": pool, "messages": user("go")});
                let (answer, said) = asked(&fixture.baton, way, body).await;
                let expected = match way.0 {
                    Surface::Chat => "First this.\n\nThen that.",
                    // A block for each hop.
                    Surface::Messages => "First this.Then that.",
                    // A message for each hop.
                    Surface::Responses => "First this.Then that.",
                };
                assert_eq!(said.text, expected, "{pool:?} {way:?}: {}", answer.text());
            }
        }
    });
}

#[test]
fn the_first_call_of_a_turn_decides() {
    run(async {
        for pool in POOLS {
            for way in WAYS {
                let b = pool[1];
                let weather = ("weather".to_owned(), json!({"city": "Paris"}));
                // A transfer first: what follows is not executed, and nobody outside hears of it.
                let first = calls(vec![transfer(b, "r"), weather.clone()]);
                let fixture = talking(pool, vec![(0, first), (1, says("done"))], "").await;
                let body = json!({"model": pool, "messages": user("go"), "tools": [tool(way.0, "weather")]});
                let (_, said) = asked(&fixture.baton, way, body.clone()).await;
                let case = format!("{pool:?} {way:?}");
                assert_eq!((said.text.as_str(), said.calls.len()), ("done", 0), "{case}");
                let seen = saw(&fixture, b)[0].json().to_string();
                assert!(seen.contains("not executed: handed over"), "{case}: {seen}");
                // The client's tool first: the turn is the client's, and the transfer comes with its next request.
                let first = calls(vec![weather.clone(), transfer(b, "r"), weather.clone()]);
                let fixture = talking(pool, vec![(0, first), (1, says("done"))], "").await;
                let (answer, said) = asked(&fixture.baton, way, body.clone()).await;
                assert_eq!(said.calls, [weather.clone(), weather.clone()], "{case}");
                let story = story(&fixture, &answer).await;
                assert_eq!(
                    story.last().expect("a decision"),
                    &format!("1.1 handoff calls_go_to_client {}->{b} not_expected", pool[0]),
                    "{case}: {story:?}"
                );
                let next = answered(way.0, &body, &said.call_ids);
                let (_, said) = asked(&fixture.baton, way, next).await;
                assert_eq!((said.text.as_str(), said.model.as_str()), ("done", b), "{case}");
                assert_eq!(saw(&fixture, b).len(), 1, "{case}");
            }
        }
    });
}

/// The request that follows when a client has run its tools.
fn answered(surface: Surface, body: &Value, ids: &[String]) -> Value {
    let mut body = body.clone();
    let (mut calls, mut results) = (Vec::new(), Vec::new());
    for id in ids {
        match surface {
            Surface::Chat => {
                calls.push(json!({"id": id, "type": "function", "function": {"name": "weather", "arguments": "{\"city\":\"Paris\"}"}}));
                results.push(json!({"role": "tool", "tool_call_id": id, "content": "sunny"}));
            }
            Surface::Messages => {
                calls.push(
                    json!({"type": "tool_use", "id": id, "name": "weather", "input": {"city": "Paris"}}),
                );
                results.push(json!({"type": "tool_result", "tool_use_id": id, "content": "sunny"}));
            }
            Surface::Responses => {
                calls.push(json!({"type": "function_call", "call_id": id, "name": "weather", "arguments": "{\"city\":\"Paris\"}"}));
                results.push(json!({"type": "function_call_output", "call_id": id, "output": "sunny"}));
            }
        }
    }
    let messages = body["messages"].as_array_mut().expect("messages");
    match surface {
        Surface::Chat => {
            messages.push(json!({"role": "assistant", "tool_calls": calls}));
            messages.extend(results);
        }
        Surface::Messages => {
            messages.push(json!({"role": "assistant", "content": calls}));
            messages.push(json!({"role": "user", "content": results}));
        }
        Surface::Responses => messages.extend(calls.into_iter().chain(results)),
    }
    body
}

#[test]
fn a_conversation_stays_with_whom_it_was_handed_to() {
    run(async {
        for pool in POOLS {
            for way in WAYS {
                let [a, b] = pool;
                let weather = ("weather".to_owned(), json!({"city": "Paris"}));
                let turns = vec![
                    (0, calls(vec![transfer(b, "r")])),
                    (1, calls(vec![weather.clone()])),
                    (1, says("It is sunny.")),
                    (1, says("You are welcome.")),
                ];
                let fixture = talking(pool, turns, "").await;
                let case = format!("{pool:?} {way:?}");
                let body = json!({"model": pool, "messages": user("go"), "tools": [tool(way.0, "weather")]});
                let (_, said) = asked(&fixture.baton, way, body.clone()).await;
                assert_eq!(said.calls, [weather], "{case}");
                // The list comes again with every request; the conversation does not go back.
                let mut next = answered(way.0, &body, &said.call_ids);
                let (answer, said) = asked(&fixture.baton, way, next.clone()).await;
                assert_eq!((said.text.as_str(), said.model.as_str()), ("It is sunny.", b), "{case}");
                assert_eq!(story(&fixture, &answer).await.len(), 1, "{case}");
                assert!(story(&fixture, &answer).await[0].starts_with("1.1 stay "), "{case}");
                let messages = next["messages"].as_array_mut().expect("messages");
                messages.push(json!({"role": "assistant", "content": "It is sunny."}));
                messages.push(json!({"role": "user", "content": "Thank you"}));
                let (_, said) = asked(&fixture.baton, way, next).await;
                assert_eq!((said.text.as_str(), said.model.as_str()), ("You are welcome.", b), "{case}");
                assert_eq!(saw(&fixture, a).len(), 1, "{case}");
            }
        }
    });
}

#[test]
fn a_bad_target_is_answered_to_the_model_with_the_valid_ones() {
    run(async {
        for pool in POOLS {
            for way in WAYS {
                let [a, b] = pool;
                for wrong in ["transfer_to_gpt_99", "Transfer_To_Fake_B", "transfer_to_fake_b\u{200b}"] {
                    let turns =
                        vec![(0, calls(vec![(wrong.to_owned(), json!({}))])), (0, says("Myself then."))];
                    let fixture = talking(pool, turns, "").await;
                    let body = json!({"model": pool, "messages": user("go")});
                    let (answer, said) = asked(&fixture.baton, way, body).await;
                    let case = format!("{pool:?} {way:?} {wrong}");
                    assert_eq!((said.text.as_str(), said.model.as_str()), ("Myself then.", a), "{case}");
                    assert!(said.calls.is_empty(), "{case}");
                    let told = saw(&fixture, a)[1].json().to_string();
                    assert!(told.contains(&transfer(b, "").0), "{case}: {told}");
                    let story = story(&fixture, &answer).await;
                    assert!(story[1].starts_with("2.1 stay handoff_denied"), "{case}: {story:?}");
                }
            }
        }
    });
}

#[test]
fn guards_end_a_run_with_what_there_is() {
    run(async {
        for pool in POOLS {
            for way in WAYS {
                let [a, b] = pool;
                let turns = (0..12)
                    .map(|turn| {
                        let other = if turn % 2 == 0 { b } else { a };
                        (turn % 2, says_and_calls(&format!("t{turn}."), vec![transfer(other, "r")]))
                    })
                    .collect();
                let fixture = talking(pool, turns, "").await;
                let body = json!({"model": pool, "messages": user("go"), "max_turns": 3});
                let (answer, said) = asked(&fixture.baton, way, body).await;
                let case = format!("{pool:?} {way:?}: {}", answer.text());
                assert!(["length", "max_tokens"].contains(&said.finish.as_str()), "{case}");
                assert!(said.text.contains("t0.") && said.text.contains("t2."), "{case}");
                let story = story(&fixture, &answer).await;
                assert!(story.last().expect("one").contains(" stop max_turns "), "{case} {story:?}");
                assert_eq!(saw(&fixture, a).len() + saw(&fixture, b).len(), 3, "{case}");
            }
        }
    });
}

#[test]
fn a_structured_answer_is_final() {
    run(async {
        for stream in [false, true] {
            let pool = ["oai/fake", "oai/fake-b"];
            let turns = vec![(0, says_and_calls("{\"a\":1}", vec![transfer(pool[1], "r")]))];
            let fixture = talking(pool, turns, "").await;
            let body = json!({
                "model": pool,
                "messages": user("in JSON please"),
                "response_format": {"type": "json_object"},
            });
            let (answer, said) = asked(&fixture.baton, (Surface::Chat, stream), body).await;
            assert_eq!(
                (said.text.as_str(), said.finish.as_str()),
                ("{\"a\":1}", "stop"),
                "{}",
                answer.text()
            );
            assert!(said.calls.is_empty());
            assert_eq!(
                story(&fixture, &answer).await,
                [
                    "1.1 select first_in_order -->oai/fake ok",
                    "1.1 stay text_is_final oai/fake->oai/fake not_expected"
                ]
            );
        }
    });
}

#[test]
fn usage_is_the_sum_and_the_id_is_one() {
    run(async {
        for pool in POOLS {
            for way in WAYS {
                let b = pool[1];
                let turns = vec![(0, says_and_calls("a", vec![transfer(b, "r")])), (1, says("b"))];
                let fixture = talking(pool, turns, "").await;
                let body = json!({"model": pool, "messages": user("go")});
                let (answer, said) = asked(&fixture.baton, way, body).await;
                let run = fixture.baton.run_of(&answer).await;
                let sum = |key: &str| -> u64 {
                    let all = run["decisions"].as_array().expect("decisions").iter();
                    all.filter_map(|one| one["outcome"]["usage"][key].as_u64()).sum()
                };
                let case = format!("{pool:?} {way:?} {}", answer.text());
                let (input, _, output) = said.tokens.expect("usage");
                assert_eq!((input, output), (sum("input_tokens"), sum("output_tokens")), "{case}");
                let ids: std::collections::BTreeSet<String> = answer
                    .text()
                    .split("\"id\":\"")
                    .skip(1)
                    .filter_map(|rest| rest.split('"').next())
                    .filter(|id| match way.0 {
                        // Its items have ids of their own.
                        Surface::Responses => id.starts_with("resp_"),
                        Surface::Chat | Surface::Messages => {
                            id.starts_with("chatcmpl") || id.starts_with("msg_")
                        }
                    })
                    .map(str::to_owned)
                    .collect();
                assert_eq!(ids.len(), 1, "{case}");
                for extra in ["\"handoffs\":[{", "\"agents_used\":[", "\"turns_consumed\":2"] {
                    assert!(answer.text().contains(extra), "{case}");
                }
            }
        }
    });
}

#[test]
fn a_stream_tells_of_the_new_model_on_an_ordinary_chunk() {
    run(async {
        for pool in POOLS {
            let b = pool[1];
            let turns = vec![(0, says_and_calls("a", vec![transfer(b, "r")])), (1, says("b"))];
            let fixture = talking(pool, turns, "").await;
            let body = json!({"model": pool, "messages": user("go")});
            let (answer, _) = asked(&fixture.baton, (Surface::Chat, true), body).await;
            let text = answer.text();
            assert!(text.contains("\"x_dedalus_event\":{"), "{text}");
            assert!(!text.contains("event: "), "no event of a chat stream has a name: {text}");
            assert!(text.trim_end().ends_with("data: [DONE]"), "{text}");
        }
    });
}

#[test]
fn who_is_asked_for_by_name_is_found_by_its_description() {
    run(async {
        for way in WAYS {
            let more = "models: { ant/fake-b: { strengths: { writing: 0.9 } } }";
            let fixture = talking(["oai/fake", "ant/fake-b"], Vec::new(), more).await;
            let body = json!({
                "model": [
                    "oai/fake",
                    {"model": "ant/fake-b"},
                ],
                "handoff_config": {"targets": [{"model": "ant/fake-b", "description": "Claude, a model of Anthropic's."}]},
                "messages": user("Please hand off to Claude for this"),
            });
            let (_, said) = asked(&fixture.baton, way, body).await;
            assert_eq!(said.model, "ant/fake-b", "{way:?}");
        }
    });
}
