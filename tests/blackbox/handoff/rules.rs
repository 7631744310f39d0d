//! Hand-overs by rule: no model is asked.

use serde_json::{Value, json};

use super::{
    POOLS, WAYS, asked, calls, decisions, replays, saw, says, says_and_calls, says_next, story, talking,
    tools_of, transfer, user,
};
use crate::blackbox::support::run;

/// A route of this mode whose rules move the conversation on a word of the client's.
fn desk(pool: [&str; 2], mode: &str) -> String {
    format!(
        "
routes:
  desk: {{ pool: [{}, {}], policy: desk, handoff: {mode} }}
policies:
  desk:
    fallback: {{ retries: 0 }}
    rules:
      - {{ name: over, when: 'context.go == \"over\"', handoff_to: {} }}
      - {{ name: few, when: 'context.go == \"few\"', max_turns: 1 }}
",
        pool[0], pool[1], pool[1]
    )
}

fn go(word: &str, session: &str) -> Value {
    json!({"model": "desk", "messages": user("hi"), "correlation_id": session, "baton": {"context": {"go": word}}})
}

#[test]
fn a_rule_moves_a_conversation_at_the_start_of_a_request() {
    run(async {
        for pool in POOLS {
            for mode in ["both", "rules"] {
                let fixture = talking(pool, Vec::new(), &desk(pool, mode)).await;
                for way in WAYS {
                    let [a, b] = pool;
                    let session = format!("{way:?}");
                    let case = format!("{pool:?} {mode} {way:?}");
                    says_next(&fixture, a, says("One."));
                    let (_, said) = asked(&fixture.baton, way, go("stay", &session)).await;
                    assert_eq!((said.text.as_str(), said.model.as_str()), ("One.", a), "{case}");
                    says_next(&fixture, b, says("Two."));
                    let (answer, said) = asked(&fixture.baton, way, go("over", &session)).await;
                    assert_eq!((said.text.as_str(), said.model.as_str()), ("Two.", b), "{case}");
                    let all = decisions(&fixture, &answer).await;
                    assert_eq!(all.len(), 1, "{case}: {all:?}");
                    assert_eq!(all[0]["kind"], "handoff", "{case}: {}", all[0]);
                    assert_eq!((&all[0]["from"], &all[0]["to"]), (&json!(a), &json!(b)), "{case}");
                    assert_eq!(all[0]["reason"]["code"], "handoff_by_rule", "{case}");
                    assert_eq!(all[0]["reason"]["source"], "rule", "{case}");
                    assert!(
                        all[0]["reason"]["text"].as_str().is_some_and(|text| text.contains("`over`")),
                        "{case}"
                    );
                    // One synthetic transfer call and its result tell the target.
                    let seen = saw(&fixture, b).pop().expect("a request").json();
                    let messages = seen["messages"].as_array().expect("messages");
                    assert_eq!(messages.len(), 3, "{case}: {seen}");
                    assert!(messages[1].to_string().contains(&transfer(b, "").0), "{case}: {seen}");
                    assert!(
                        messages[2].to_string().contains("You have the conversation now"),
                        "{case}: {seen}"
                    );
                    // It stays there, without the rule too.
                    says_next(&fixture, b, says("Three."));
                    let (answer, said) = asked(&fixture.baton, way, go("stay", &session)).await;
                    assert_eq!((said.text.as_str(), said.model.as_str()), ("Three.", b), "{case}");
                    let story = story(&fixture, &answer).await;
                    assert!(story[0].starts_with("1.1 stay "), "{case}: {story:?}");
                }
            }
        }
    });
}

#[test]
fn a_rule_hands_nothing_over_where_only_models_may_or_nobody() {
    run(async {
        for pool in POOLS {
            for mode in ["off", "model"] {
                let fixture = talking(pool, Vec::new(), &desk(pool, mode)).await;
                for way in WAYS {
                    let session = format!("{way:?}");
                    says_next(&fixture, pool[0], says("One."));
                    asked(&fixture.baton, way, go("stay", &session)).await;
                    // The rule still chooses, as rules do.
                    says_next(&fixture, pool[1], says("Two."));
                    let (answer, _) = asked(&fixture.baton, way, go("over", &session)).await;
                    for one in decisions(&fixture, &answer).await {
                        assert_ne!(one["kind"], "handoff", "{pool:?} {mode} {way:?}: {one}");
                    }
                }
            }
        }
    });
}

#[test]
fn a_rule_whose_model_nobody_had_before_is_a_choice() {
    run(async {
        for pool in POOLS {
            let fixture = talking(pool, Vec::new(), &desk(pool, "both")).await;
            for way in WAYS {
                says_next(&fixture, pool[1], says("Two."));
                let (answer, said) = asked(&fixture.baton, way, go("over", &format!("fresh {way:?}"))).await;
                assert_eq!(said.model, pool[1], "{pool:?} {way:?}");
                let all = decisions(&fixture, &answer).await;
                assert_eq!(
                    (&all[0]["kind"], &all[0]["reason"]["code"]),
                    (&json!("select"), &json!("chosen_by_rule")),
                    "{}",
                    all[0]
                );
            }
        }
    });
}

#[test]
fn with_rules_alone_no_model_is_offered_anything() {
    run(async {
        for pool in POOLS {
            let fixture = talking(pool, Vec::new(), &desk(pool, "rules")).await;
            for way in WAYS {
                says_next(&fixture, pool[0], says("One."));
                asked(&fixture.baton, way, go("stay", "s")).await;
                let tools = tools_of(&saw(&fixture, pool[0]).pop().expect("a request"));
                assert!(tools.is_empty(), "{pool:?} {way:?}: {tools:?}");
            }
        }
    });
}

#[test]
fn a_rule_limits_the_turns_of_a_run() {
    run(async {
        for pool in POOLS {
            for way in WAYS {
                let fixture = talking(pool, Vec::new(), &desk(pool, "both")).await;
                says_next(&fixture, pool[0], says_and_calls("Wait.", vec![transfer(pool[1], "r")]));
                let (answer, said) = asked(&fixture.baton, way, {
                    let mut body = go("few", "s");
                    body["max_turns"] = json!(5);
                    body
                })
                .await;
                let case = format!("{pool:?} {way:?}");
                assert!(
                    ["length", "max_tokens"].contains(&said.finish.as_str()),
                    "{case}: {}",
                    answer.text()
                );
                assert_eq!(saw(&fixture, pool[1]).len(), 0, "{case}");
                let story = story(&fixture, &answer).await;
                assert!(story.last().expect("one").contains("stop max_turns"), "{case}: {story:?}");
            }
        }
    });
}

/// A route whose rules have a say when a model hands over.
fn judged(pool: [&str; 2]) -> String {
    format!(
        "
routes:
  desk: {{ pool: [{0}, {1}], policy: desk, handoff: model }}
policies:
  desk:
    fallback: {{ retries: 0 }}
    rules:
      - {{ name: enough, when: 'context.go == \"stop\" && run.turn > 1', stop: true }}
      - {{ name: ours, when: 'context.go == \"allow\" && run.turn > 1', allow_models: [{0}] }}
      - {{ name: closed, when: 'context.go == \"refuse\" && run.turn > 1', refuse: Not today. }}
",
        pool[0], pool[1]
    )
}

#[test]
fn a_rule_that_stops_ends_the_run_where_a_model_hands_over() {
    run(async {
        for pool in POOLS {
            let fixture = talking(pool, Vec::new(), &judged(pool)).await;
            for (number, way) in WAYS.into_iter().enumerate() {
                let [a, b] = pool;
                says_next(&fixture, a, says_and_calls("So far.", vec![transfer(b, "r")]));
                let (answer, said) = asked(&fixture.baton, way, go("stop", &format!("{way:?}"))).await;
                let case = format!("{pool:?} {way:?} {}", answer.text());
                assert_eq!(said.text, "So far.", "{case}");
                assert!(["length", "max_tokens"].contains(&said.finish.as_str()), "{case}");
                assert!(said.calls.is_empty(), "{case}");
                assert_eq!((saw(&fixture, a).len(), saw(&fixture, b).len()), (number + 1, 0), "{case}");
                assert_eq!(
                    story(&fixture, &answer).await,
                    [
                        format!("1.1 select first_in_order -->{a} ok"),
                        format!("1.1 stop stopped_by_rule {a}->- not_expected"),
                    ],
                    "{case}"
                );
                let last = decisions(&fixture, &answer).await.pop().expect("one");
                assert!(last["reason"]["text"].to_string().contains("`enough`"), "{case} {last}");
            }
            replays(&fixture, 2 * WAYS.len()).await;
        }
    });
}

#[test]
fn a_hand_over_that_the_policy_denies_is_told_to_the_model_with_the_plans_own_reason() {
    run(async {
        for pool in POOLS {
            let fixture = talking(pool, Vec::new(), &judged(pool)).await;
            for way in WAYS {
                for (word, code) in [("allow", "handoff_denied"), ("refuse", "refused_by_rule")] {
                    let [a, b] = pool;
                    says_next(&fixture, a, calls(vec![transfer(b, "r")]));
                    says_next(&fixture, a, says("Myself then."));
                    let (answer, said) =
                        asked(&fixture.baton, way, go(word, &format!("{way:?} {word}"))).await;
                    let case = format!("{pool:?} {way:?} {word} {}", answer.text());
                    assert_eq!((said.text.as_str(), said.model.as_str()), ("Myself then.", a), "{case}");
                    assert_eq!(saw(&fixture, b).len(), 0, "{case}");
                    let told = saw(&fixture, a).pop().expect("a request").json().to_string();
                    assert!(told.contains("not handed over: ") && told.contains(b), "{case} {told}");
                    assert_eq!(
                        story(&fixture, &answer).await,
                        [
                            format!("1.1 select first_in_order -->{a} ok"),
                            format!("2.1 stay {code} -->{a} ok"),
                        ],
                        "{case}"
                    );
                    let one = decisions(&fixture, &answer).await.pop().expect("one");
                    let text = one["reason"]["text"].as_str().unwrap_or_default();
                    let names = if word == "allow" { "rule" } else { "`closed`" };
                    assert!(text.contains(names), "{case} {one}");
                    assert_eq!(answer.header("x-baton-handoffs"), "0", "{case}");
                }
            }
            replays(&fixture, 4 * WAYS.len()).await;
        }
    });
}
