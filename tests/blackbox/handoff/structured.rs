//! `handoff_mode`: the calls that a client is to carry out, told in a form of their own.

use serde_json::{Value, json};

use super::{
    POOLS, WAYS, asked, calls, decisions, extra, saw, says, says_next, talking, tool, transfer, user,
};
use crate::blackbox::support::run;

fn weather() -> (String, Value) {
    ("weather".to_owned(), json!({"city": "Paris"}))
}

#[test]
fn pending_calls_are_told_with_a_name_for_the_conversation() {
    run(async {
        for pool in POOLS {
            let fixture = talking(pool, Vec::new(), "").await;
            for way in WAYS {
                let [a, b] = pool;
                let body = |more: &str, mode: Value| json!({"model": pool, "messages": user(&format!("{way:?} {more}")), "handoff_mode": mode, "tools": [tool(way.0, "weather")]});
                says_next(&fixture, a, calls(vec![transfer(b, "r")]));
                says_next(&fixture, b, calls(vec![weather()]));
                let (answer, said) = asked(&fixture.baton, way, body("go", json!(true))).await;
                let case = format!("{pool:?} {way:?} {}", answer.text());
                assert_eq!(said.calls, [weather()], "{case}");
                let pending = json!([{"id": said.call_ids[0], "name": "weather", "arguments": {"city": "Paris"}, "dependencies": []}]);
                assert_eq!(extra(&answer, way.1, "pending_tools"), pending, "{case}");
                let name = extra(&answer, way.1, "correlation_id");
                assert_eq!(name, answer.header("x-baton-run-id"), "{case}");
                assert!(decisions(&fixture, &answer).await[0]["ignored_parameters"].is_null(), "{case}");
                // By that name alone, the conversation is found again.
                let mut next = body("something else", json!(true));
                next["correlation_id"] = name.clone();
                says_next(&fixture, b, says("It is sunny."));
                let (answer, said) = asked(&fixture.baton, way, next).await;
                let case = format!("{pool:?} {way:?} {}", answer.text());
                assert_eq!((said.text.as_str(), said.model.as_str()), ("It is sunny.", b), "{case}");
                assert_eq!(extra(&answer, way.1, "pending_tools"), json!([]), "{case}");
                assert_eq!(extra(&answer, way.1, "correlation_id"), name, "{case}");
            }
        }
    });
}

#[test]
fn without_it_nothing_of_the_kind_is_told() {
    run(async {
        for pool in POOLS {
            let fixture = talking(pool, Vec::new(), "").await;
            for way in WAYS {
                for mode in [json!(false), Value::Null] {
                    says_next(&fixture, pool[0], calls(vec![weather()]));
                    let body = json!({"model": pool, "messages": user("go"), "handoff_mode": mode, "tools": [tool(way.0, "weather")]});
                    let (answer, said) = asked(&fixture.baton, way, body).await;
                    let case = format!("{pool:?} {way:?} {mode} {}", answer.text());
                    assert_eq!(said.calls, [weather()], "{case}");
                    for member in ["pending_tools", "correlation_id"] {
                        assert!(!answer.text().contains(member), "{case}");
                    }
                    assert!(decisions(&fixture, &answer).await[0]["ignored_parameters"].is_null(), "{case}");
                }
            }
        }
    });
}

#[test]
fn where_one_model_answers_alone_it_is_named_as_not_followed() {
    run(async {
        let fixture = talking(POOLS[2], Vec::new(), "").await;
        for way in WAYS {
            for model in ["oai/fake", "ant/fake"] {
                says_next(&fixture, model, says("x"));
                let body = json!({"model": model, "messages": user("go"), "handoff_mode": true, "deferred_calls": [{"id": "c"}], "guardrails": [{}]});
                let (answer, _) = asked(&fixture.baton, way, body).await;
                let ignored = decisions(&fixture, &answer).await[0]["ignored_parameters"].clone();
                let mut ignored: Vec<&str> =
                    ignored.as_array().expect("a list").iter().filter_map(Value::as_str).collect();
                ignored.sort_unstable();
                assert_eq!(ignored, ["deferred_calls", "guardrails", "handoff_mode"], "{way:?} {model}");
                let sent = saw(&fixture, model).pop().expect("a request").json();
                assert!(sent.get("handoff_mode").is_none(), "{sent}");
            }
        }
    });
}
