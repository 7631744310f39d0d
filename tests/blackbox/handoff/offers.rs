//! What the models of a pool are offered: when, under which names, and always in the same bytes.

use std::collections::BTreeSet;

use baton_testkit::fake::{FakeUpstream, Script};
use serde_json::{Value, json};

use super::{
    POOLS, Surface, WAYS, asked, calls, decisions, saw, says, says_and_calls, story, talking, tool,
    tool_bytes, tools_of, transfer, user,
};
use crate::blackbox::support::{Baton, Fixture, run};

/// `tool_choice` as the surface spells it.
fn choice(surface: Surface, word: &str) -> Value {
    match (surface, word) {
        (Surface::Chat, "none" | "auto" | "required") => json!(word),
        (Surface::Chat, name) => json!({"type": "function", "function": {"name": name}}),
        (Surface::Messages, "required") => json!({"type": "any"}),
        (Surface::Messages, "none" | "auto") => json!({"type": word}),
        (Surface::Messages, name) => json!({"type": "tool", "name": name}),
        (Surface::Responses, "none" | "auto" | "required") => json!(word),
        (Surface::Responses, name) => json!({"type": "function", "name": name}),
    }
}

#[test]
fn a_tool_choice_of_none_or_of_a_named_tool_offers_no_transfer_and_the_record_says_why() {
    run(async {
        for pool in POOLS {
            for way in WAYS {
                for (word, why) in [("none", "allows no tool"), ("weather", "names the tool to call")] {
                    let fixture = talking(pool, Vec::new(), "").await;
                    let body = json!({
                        "model": pool,
                        "messages": user("hi"),
                        "tools": [tool(way.0, "weather")],
                        "tool_choice": choice(way.0, word),
                    });
                    let (answer, said) = asked(&fixture.baton, way, body).await;
                    let case = format!("{pool:?} {way:?} {word}");
                    let seen = saw(&fixture, pool[0]);
                    assert_eq!(seen.len(), 1, "{case}");
                    assert!(
                        tools_of(&seen[0]).iter().all(|name| !name.starts_with("transfer_to_")),
                        "{case}: {:?}",
                        tools_of(&seen[0])
                    );
                    assert_eq!(said.calls.len(), usize::from(word == "weather"), "{case}: {said:?}");
                    let all = decisions(&fixture, &answer).await;
                    let told = all[0]["handoff"]["disabled"].as_str().unwrap_or_default();
                    assert!(told.contains(why) && told.contains("tool_choice"), "{case}: {}", all[0]);
                }
            }
        }
    });
}

#[test]
fn a_transfer_satisfies_a_tool_choice_of_required_and_its_target_inherits_it() {
    run(async {
        for pool in POOLS {
            for way in WAYS {
                let [a, b] = pool;
                let weather = ("weather".to_owned(), json!({"city": "Paris"}));
                let turns = vec![(0, calls(vec![transfer(b, "r")])), (1, calls(vec![weather.clone()]))];
                let fixture = talking(pool, turns, "").await;
                let body = json!({
                    "model": pool,
                    "messages": user("hi"),
                    "tools": [tool(way.0, "weather")],
                    "tool_choice": choice(way.0, "required"),
                });
                let (_, said) = asked(&fixture.baton, way, body).await;
                let case = format!("{pool:?} {way:?}");
                assert_eq!(said.calls, [weather], "{case}");
                for model in [a, b] {
                    let seen = saw(&fixture, model)[0].json();
                    let spoken = &seen["tool_choice"];
                    assert!(
                        *spoken == "required" || spoken["type"] == "any",
                        "{case}: {model} was told {spoken}"
                    );
                    assert!(seen["tools"].to_string().contains("transfer_to_"), "{case}: {seen}");
                }
            }
        }
    });
}

#[test]
fn a_clients_own_tool_that_is_named_like_a_transfer_stays_the_clients() {
    run(async {
        for pool in POOLS {
            for way in WAYS {
                let [a, b] = pool;
                let (name, _) = transfer(b, "");
                // The model calls both: first the client's, then, in the next request, the gateway's.
                let turns = vec![
                    (0, calls(vec![(name.clone(), json!({"city": "Paris"}))])),
                    (0, calls(vec![(format!("{name}_2"), json!({"reason": "r"}))])),
                    (1, says("done")),
                ];
                let fixture = talking(pool, turns, "").await;
                let body = json!({"model": pool, "messages": user("go"), "tools": [tool(way.0, &name)]});
                let (_, said) = asked(&fixture.baton, way, body.clone()).await;
                let case = format!("{pool:?} {way:?}");
                assert_eq!(said.calls, [(name.clone(), json!({"city": "Paris"}))], "{case}");
                assert_eq!(
                    tools_of(&saw(&fixture, a)[0]),
                    [name.clone(), format!("{name}_2")],
                    "{case}: two tools of one name"
                );
                let (answer, said) = asked(&fixture.baton, way, body).await;
                assert_eq!((said.text.as_str(), said.model.as_str()), ("done", b), "{case}");
                assert!(said.calls.is_empty(), "{case}");
                assert!(story(&fixture, &answer).await[1].contains("handed_over"), "{case}");
            }
        }
    });
}

#[test]
fn the_tools_are_the_same_bytes_over_a_whole_conversation() {
    run(async {
        for pool in POOLS {
            for way in WAYS {
                let [a, b] = pool;
                let to = |model: &str| says_and_calls("x", vec![transfer(model, "r")]);
                let turns = vec![
                    (0, to(b)),
                    (1, to(a)),
                    // No more than two hand-offs: this one is sent back, and the offer stands.
                    (0, to(b)),
                    (0, says("Myself then.")),
                    (0, says("You are welcome.")),
                    (0, says("Bye.")),
                ];
                let fixture = talking(pool, turns, "").await;
                let mut body = json!({
                    "model": pool,
                    "messages": user("go"),
                    "tools": [tool(way.0, "weather"), tool(way.0, "clock")],
                    "handoff_config": {"max_handoffs": 2},
                });
                let case = format!("{pool:?} {way:?}");
                for word in ["Thank you", "Good bye"] {
                    let (_, said) = asked(&fixture.baton, way, body.clone()).await;
                    assert_eq!(said.model, a, "{case}: {said:?}");
                    let messages = body["messages"].as_array_mut().expect("messages");
                    messages.push(json!({"role": "assistant", "content": said.text}));
                    messages.push(json!({"role": "user", "content": word}));
                }
                asked(&fixture.baton, way, body).await;
                let seen = saw(&fixture, a);
                assert_eq!(seen.len(), 5, "{case}");
                let bytes: BTreeSet<String> = seen.iter().map(tool_bytes).collect();
                assert_eq!(bytes.len(), 1, "{case}: {bytes:#?}");
                assert!(bytes.iter().all(|bytes| bytes.contains(&transfer(b, "").0)), "{case}: {bytes:?}");
                // What the client sent stands in front, as it was sent.
                if way.0 != Surface::Responses && (way.0 == Surface::Chat) == a.starts_with("oai/") {
                    let own = format!("{},{}", tool(way.0, "weather"), tool(way.0, "clock"));
                    assert!(
                        bytes.iter().all(|bytes| bytes.starts_with(&format!("[{own}"))),
                        "{case}: {bytes:?}"
                    );
                }
            }
        }
    });
}

#[test]
fn descriptions_name_vendor_family_and_strengths() {
    run(async {
        let openai = FakeUpstream::start(Script::default()).await.expect("a fake upstream");
        let anthropic =
            FakeUpstream::start(Script::default().model("claude-sonnet-4-5")).await.expect("a fake upstream");
        let config = format!(
            "providers:\n  oai: {{ dialect: openai_chat, base_url: \"{}\", api_key: sk-fake-openai }}\n  \
             anthropic: {{ base_url: \"{}\", api_key: sk-fake-anthropic }}\n",
            openai.base_url(),
            anthropic.origin(),
        );
        let baton = Baton::start(&config).await;
        let fixture = Fixture { baton, openai, anthropic };
        let claude = "anthropic/claude-sonnet-4-5";
        for way in WAYS {
            // The fake hands over to whom a description names as the prompt does.
            let body = json!({"model": ["oai/fake", claude], "messages": user("Please hand off to Claude for this")});
            let (answer, said) = asked(&fixture.baton, way, body).await;
            assert_eq!(said.model, claude, "{way:?}");
            let story = story(&fixture, &answer).await;
            assert!(story[1].starts_with("2.2 handoff handed_over "), "{way:?}: {story:?}");
            let tools = fixture.openai_saw("fake").pop().map(|seen| tool_bytes(&seen)).unwrap_or_default();
            assert!(tools.contains("Claude") && tools.contains("Anthropic"), "{way:?}: {tools}");
            assert!(tools.contains("Best at: "), "{way:?}: {tools}");
        }
    });
}

#[test]
fn a_strategy_can_ask_for_less_than_hand_offs_by_models() {
    run(async {
        for way in WAYS {
            for (strategy, offered) in
                [("first", false), ("rules", false), ("llm", true), ("hybrid", true), ("auto", true)]
            {
                let fixture = talking(["oai/fake", "ant/fake-b"], vec![(0, says("x"))], "").await;
                let body = json!({
                    "model": ["oai/fake", "ant/fake-b"],
                    "messages": user("hi"),
                    "handoff_config": {"strategy": strategy},
                });
                asked(&fixture.baton, way, body).await;
                let tools = tools_of(&saw(&fixture, "oai/fake")[0]);
                assert_eq!(!tools.is_empty(), offered, "{way:?} {strategy}: {tools:?}");
            }
        }
    });
}

#[test]
fn a_route_says_who_may_hand_over() {
    run(async {
        let routes: String = ["off", "model", "rules", "both"]
            .map(|mode| format!("  r-{mode}: {{ pool: [oai/fake, ant/fake-b], handoff: {mode} }}\n"))
            .concat();
        let more = format!("routes:\n{routes}  plain: {{ pool: [oai/fake, ant/fake-b] }}\n");
        for way in WAYS {
            for (route, offered) in
                [("r-off", false), ("r-model", true), ("r-rules", false), ("r-both", true), ("plain", false)]
            {
                let turns = if offered {
                    vec![(0, calls(vec![transfer("ant/fake-b", "r")])), (1, says("b"))]
                } else {
                    vec![(0, says("a"))]
                };
                let fixture = talking(["oai/fake", "ant/fake-b"], turns, &more).await;
                let body = json!({"model": route, "messages": user("hi")});
                let (_, said) = asked(&fixture.baton, way, body).await;
                assert_eq!(said.text, if offered { "b" } else { "a" }, "{way:?} {route}");
                assert_eq!(!tools_of(&saw(&fixture, "oai/fake")[0]).is_empty(), offered, "{way:?} {route}");
            }
        }
    });
}
