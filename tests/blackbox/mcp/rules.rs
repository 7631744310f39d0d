//! What rules do between two turns, when tools have been answered.

use serde_json::{Value, json};

use super::server::Mcp;
use super::{query, with_server};
use crate::blackbox::handoff::{
    POOLS, WAYS, asked, calls, decisions, extra, replays, saw, says, says_and_calls, says_next, story,
    tools_of, transfer, user,
};
use crate::blackbox::support::run;

/// A route over a pool, with these rules.
fn route(pool: [&str; 2], mode: &str, rules: &str) -> String {
    format!(
        "
routes:
  desk: {{ pool: [{}, {}], policy: desk, handoff: {mode} }}
policies:
  desk:
    fallback: {{ retries: 0 }}
    rules:
{rules}
",
        pool[0], pool[1]
    )
}

fn ask() -> Value {
    json!({"model": "desk", "messages": user("go"), "mcp_servers": "acme/search", "max_tokens": 200})
}

#[test]
fn a_rule_hands_over_once_the_tools_are_done_and_no_model_is_asked() {
    run(async {
        for pool in POOLS {
            for mode in ["rules", "both"] {
                let [a, b] = pool;
                let mcp = Mcp::start().await;
                let rules = format!("      - {{ name: write up, when: 'run.tools_done', handoff_to: {b} }}");
                let fixture = with_server(&mcp, &route(pool, mode, &rules)).await;
                for way in WAYS {
                    says_next(&fixture, a, says_and_calls("Let me see.", vec![query("cats")]));
                    says_next(&fixture, b, says("Cats, in verse."));
                    let (answer, said) = asked(&fixture.baton, way, ask()).await;
                    let case = format!("{pool:?} {mode} {way:?} {}", answer.text());
                    assert_eq!(said.text.replace("\n\n", ""), "Let me see.Cats, in verse.", "{case}");
                    assert_eq!(
                        story(&fixture, &answer).await,
                        [
                            format!("1.1 select first_in_order -->{a} ok"),
                            format!("2.2 handoff handoff_by_rule {a}->{b} ok"),
                        ],
                        "{case}"
                    );
                    let all = decisions(&fixture, &answer).await;
                    assert_eq!(all[1]["reason"]["source"], "rule", "{case}");
                    assert!(all[1]["reason"]["text"].to_string().contains("`write up`"), "{case}");
                    // The tool's call and result, and behind them the transfer's.
                    let seen = saw(&fixture, b).pop().expect("a request").json();
                    let text = seen["messages"].to_string();
                    let found = text.find("found: cats").expect("the result");
                    let moved = text.find(&transfer(b, "").0).expect("the transfer");
                    assert!(found < moved, "{case}: {text}");
                    assert!(text.contains("You have the conversation now"), "{case}: {text}");
                }
            }
        }
    });
}

#[test]
fn a_rule_ends_a_run_between_two_turns() {
    run(async {
        for pool in POOLS {
            let mcp = Mcp::start().await;
            let rules = "      - { name: enough, when: 'run.tools_done', stop: true }";
            let fixture = with_server(&mcp, &route(pool, "both", rules)).await;
            for way in WAYS {
                says_next(&fixture, pool[0], says_and_calls("Let me see.", vec![query("cats")]));
                let (answer, said) = asked(&fixture.baton, way, ask()).await;
                let case = format!("{pool:?} {way:?} {}", answer.text());
                assert_eq!(said.text, "Let me see.", "{case}");
                assert!(["length", "max_tokens"].contains(&said.finish.as_str()), "{case}");
                assert!(said.calls.is_empty(), "{case}");
                let all = decisions(&fixture, &answer).await;
                assert_eq!(
                    (&all[1]["kind"], &all[1]["reason"]["code"]),
                    (&json!("stop"), &json!("stopped_by_rule")),
                    "{case} {}",
                    all[1]
                );
                assert!(all[1]["reason"]["text"].to_string().contains("`enough`"), "{case} {}", all[1]);
            }
        }
    });
}

#[test]
fn a_rule_changes_settings_and_instructions_from_a_turn_on() {
    run(async {
        for pool in POOLS {
            let mcp = Mcp::start().await;
            let rules = "      - { name: precise, when: 'run.tools_done', set: { temperature: 0.125 }, prepend: Be brief now. }";
            let fixture = with_server(&mcp, &route(pool, "both", rules)).await;
            for way in WAYS {
                says_next(&fixture, pool[0], calls(vec![query("cats")]));
                says_next(&fixture, pool[0], says("Cats."));
                let (answer, said) = asked(&fixture.baton, way, ask()).await;
                let case = format!("{pool:?} {way:?} {}", answer.text());
                assert_eq!((said.text.as_str(), said.model.as_str()), ("Cats.", pool[0]), "{case}");
                let seen = saw(&fixture, pool[0]);
                let [first, second] = &seen[seen.len() - 2..] else { panic!("{case}") };
                assert!(first.json().get("temperature").is_none_or(Value::is_null), "{case}");
                assert_eq!(second.json()["temperature"], 0.125, "{case}");
                assert!(!first.json().to_string().contains("Be brief now."), "{case}");
                assert!(second.json().to_string().contains("Be brief now."), "{case}");
                assert!(second.json()["messages"].to_string().contains("found: cats"), "{case}");
            }
        }
    });
}

#[test]
fn a_rule_that_always_holds_says_its_instructions_once() {
    run(async {
        for pool in POOLS {
            let mcp = Mcp::start().await;
            let rules = "      - { name: always, prepend: Be brief now. }";
            let fixture = with_server(&mcp, &route(pool, "both", rules)).await;
            for way in WAYS {
                says_next(&fixture, pool[0], calls(vec![query("cats")]));
                says_next(&fixture, pool[0], says("Cats."));
                asked(&fixture.baton, way, ask()).await;
                let seen = saw(&fixture, pool[0]);
                for seen in &seen[seen.len() - 2..] {
                    let text = seen.json().to_string();
                    assert_eq!(text.matches("Be brief now.").count(), 1, "{pool:?} {way:?} {text}");
                }
            }
        }
    });
}

#[test]
fn a_rule_limits_turns_and_brings_servers() {
    run(async {
        for pool in POOLS {
            let mcp = Mcp::start().await;
            let rules = "      - { name: tools, mcp_servers: [acme/search], max_turns: 2 }";
            let fixture = with_server(&mcp, &route(pool, "both", rules)).await;
            for way in WAYS {
                let mut body = ask();
                body.as_object_mut().expect("an object").remove("mcp_servers");
                for _ in 0..2 {
                    says_next(&fixture, pool[0], says_and_calls("x", vec![query("cats")]));
                }
                let (answer, said) = asked(&fixture.baton, way, body).await;
                let case = format!("{pool:?} {way:?} {}", answer.text());
                assert!(["length", "max_tokens"].contains(&said.finish.as_str()), "{case}");
                let story = story(&fixture, &answer).await;
                assert!(story.last().expect("one").contains("stop max_turns"), "{case}: {story:?}");
                assert_eq!(story.len(), 3, "{case}: {story:?}");
            }
        }
    });
}

#[test]
fn the_tools_that_a_rule_brings_count_in_its_plan() {
    run(async {
        for (mute, able) in [("oai/fake", "ant/fake-b"), ("ant/fake", "oai/fake-b")] {
            let mcp = Mcp::start().await;
            let rules =
                "      - { name: tools, when: 'context.go == \"tools\"', mcp_servers: [acme/search] }";
            let config = format!(
                "{}models:\n  {mute}: {{ capabilities: {{ tools: false }} }}\n",
                route([mute, able], "both", rules)
            );
            let fixture = with_server(&mcp, &config).await;
            for (number, way) in WAYS.into_iter().enumerate() {
                let body = |go: &str| json!({"model": "desk", "messages": user(go), "max_tokens": 200, "baton": {"context": {"go": go}}});
                says_next(&fixture, mute, says("Alone."));
                let (_, said) = asked(&fixture.baton, way, body("nothing")).await;
                let case = format!("{mute} {way:?}");
                assert_eq!((said.text.as_str(), said.model.as_str()), ("Alone.", mute), "{case}");
                // A model that calls no tools is of no use with them.
                says_next(&fixture, able, calls(vec![query("cats")]));
                says_next(&fixture, able, says("Cats."));
                let (answer, said) = asked(&fixture.baton, way, body("tools")).await;
                assert_eq!((said.text.as_str(), said.model.as_str()), ("Cats.", able), "{case}");
                assert_eq!(mcp.calls().len(), number + 1, "{case}");
                let run = fixture.baton.run_of(&answer).await.to_string();
                assert!(run.contains("no_tools"), "{case} {run}");
            }
            replays(&fixture, 2 * WAYS.len()).await;
        }
    });
}

#[test]
fn a_server_that_request_and_rule_both_name_is_opened_once() {
    run(async {
        for pool in POOLS {
            let mcp = Mcp::start().await;
            let rules = "      - { name: tools, mcp_servers: [acme/search, gone] }";
            let gone = baton_testkit::fake::unreachable::refused().expect("a port");
            let config = format!("  gone: {{ url: \"{gone}\" }}\n{}", route(pool, "both", rules));
            let fixture = with_server(&mcp, &config).await;
            for way in WAYS {
                says_next(&fixture, pool[0], says("Hello."));
                let mut body = ask();
                body["mcp_servers"] = json!(["gone", "acme/search"]);
                let (answer, _) = asked(&fixture.baton, way, body).await;
                let case = format!("{pool:?} {way:?} {}", answer.text());
                let seen = saw(&fixture, pool[0]).pop().expect("a request");
                let tools = tools_of(&seen);
                let ours = tools.iter().filter(|name| name.starts_with("acme")).count();
                assert_eq!(ours, 1, "{case} {tools:?}");
                let errors = extra(&answer, way.1, "mcp_server_errors");
                assert_eq!(errors.as_object().map(serde_json::Map::len), Some(1), "{case}");
            }
        }
    });
}
