//! A conversation that was handed over is found again, by its own caller alone.

use serde_json::{Value, json};

use super::{POOLS, Surface, WAYS, asked, calls, saw, says, says_next, story, talking, tool, transfer, user};
use crate::blackbox::keys::create;
use crate::blackbox::support::{Fixture, run};

/// Hands a conversation over from the first to the second, and gives what was answered.
async fn handed_over(fixture: &Fixture, pool: [&str; 2], way: (Surface, bool), body: &Value) -> String {
    says_next(fixture, pool[0], calls(vec![transfer(pool[1], "r")]));
    says_next(fixture, pool[1], says("First."));
    let (_, said) = asked(&fixture.baton, way, body.clone()).await;
    assert_eq!((said.text.as_str(), said.model.as_str()), ("First.", pool[1]), "{pool:?} {way:?}");
    said.text
}

#[test]
fn a_session_is_followed_by_each_of_its_names() {
    run(async {
        for pool in POOLS {
            let fixture = talking(pool, Vec::new(), "").await;
            for way in WAYS {
                for key in ["correlation_id", "baton", "prompt_cache_key"] {
                    if key == "prompt_cache_key" && way.0 == Surface::Messages {
                        // There is no such member in that dialect.
                        continue;
                    }
                    let name = format!("s-{key}-{way:?}");
                    let value = if key == "baton" { json!({"session": name}) } else { json!(name) };
                    let body = json!({"model": pool, "messages": user("go"), key: value});
                    handed_over(&fixture, pool, way, &body).await;
                    // Nothing else in common with the request before.
                    let mut next = json!({"model": pool, "messages": user("something else"), key: value});
                    says_next(&fixture, pool[1], says("Second."));
                    let (answer, said) = asked(&fixture.baton, way, next.clone()).await;
                    let case = format!("{pool:?} {way:?} {key}");
                    assert_eq!((said.text.as_str(), said.model.as_str()), ("Second.", pool[1]), "{case}");
                    assert!(story(&fixture, &answer).await[0].starts_with("1.1 stay "), "{case}");
                    // Another name is another conversation.
                    next[key] = if key == "baton" { json!({"session": "other"}) } else { json!("other") };
                    says_next(&fixture, pool[0], says("Third."));
                    let (answer, said) = asked(&fixture.baton, way, next).await;
                    assert_eq!((said.text.as_str(), said.model.as_str()), ("Third.", pool[0]), "{case}");
                    assert!(story(&fixture, &answer).await[0].starts_with("1.1 select "), "{case}");
                }
            }
        }
    });
}

#[test]
fn a_conversation_is_followed_by_how_it_begins() {
    run(async {
        for pool in POOLS {
            let fixture = talking(pool, Vec::new(), "").await;
            for way in WAYS {
                let mut body = json!({"model": pool, "messages": user(&format!("go {way:?}"))});
                let text = handed_over(&fixture, pool, way, &body).await;
                let case = format!("{pool:?} {way:?}");
                let messages = body["messages"].as_array_mut().expect("messages");
                messages.push(json!({"role": "assistant", "content": text}));
                messages.push(json!({"role": "user", "content": "And then?"}));
                says_next(&fixture, pool[1], says("Second."));
                let (answer, said) = asked(&fixture.baton, way, body.clone()).await;
                assert_eq!((said.text.as_str(), said.model.as_str()), ("Second.", pool[1]), "{case}");
                assert!(story(&fixture, &answer).await[0].starts_with("1.1 stay "), "{case}");
                // How the JSON is written does not matter, what is said does.
                let blocks = json!([{"type": "text", "text": format!("go {way:?}")}]);
                body["messages"][0]["content"] = blocks;
                says_next(&fixture, pool[1], says("Again."));
                let (_, said) = asked(&fixture.baton, way, body.clone()).await;
                assert_eq!(said.model, pool[1], "{case}");
                body["messages"][0]["content"] = json!("go elsewhere");
                says_next(&fixture, pool[0], says("Third."));
                let (_, said) = asked(&fixture.baton, way, body).await;
                assert_eq!((said.text.as_str(), said.model.as_str()), ("Third.", pool[0]), "{case}");
            }
        }
    });
}

#[test]
fn a_tool_message_without_its_call_is_followed_by_its_id() {
    run(async {
        for pool in POOLS {
            for stream in [false, true] {
                let way = (Surface::Chat, stream);
                let fixture = talking(pool, Vec::new(), "").await;
                let mut body =
                    json!({"model": pool, "messages": user("Weather?"), "tools": [tool(way.0, "weather")]});
                says_next(&fixture, pool[0], calls(vec![transfer(pool[1], "r")]));
                says_next(&fixture, pool[1], calls(vec![("weather".to_owned(), json!({"city": "Paris"}))]));
                let (_, said) = asked(&fixture.baton, way, body.clone()).await;
                // As a runner that streams leaves the assistant's message out.
                let messages = body["messages"].as_array_mut().expect("messages");
                messages.push(
                    json!({"role": "tool", "tool_call_id": said.call_ids[0], "content": "sunny in Paris"}),
                );
                says_next(&fixture, pool[1], says("It is sunny."));
                let (answer, said) = asked(&fixture.baton, way, body).await;
                let case = format!("{pool:?} {way:?}");
                assert_eq!((said.text.as_str(), said.model.as_str()), ("It is sunny.", pool[1]), "{case}");
                assert!(story(&fixture, &answer).await[0].starts_with("1.1 stay "), "{case}");
                let seen = saw(&fixture, pool[1])[1].json();
                let messages = seen["messages"].as_array().expect("messages");
                assert_eq!(messages[messages.len() - 2]["role"], "assistant", "{case}: {seen}");
                assert!(
                    messages[messages.len() - 1].to_string().contains("sunny in Paris"),
                    "{case}: {seen}"
                );
                // The call that was made, as it was made.
                let call = messages[messages.len() - 2].to_string().replace('\\', "");
                assert!(
                    call.contains("\"weather\"") && call.contains("{\"city\":\"Paris\"}"),
                    "{case}: {seen}"
                );
                assert!(!seen.to_string().contains("unknown_tool"), "{case}: {seen}");
            }
        }
    });
}

#[test]
fn what_belongs_to_another_caller_is_not_followed() {
    run(async {
        for pool in POOLS {
            let mut fixture = talking(pool, Vec::new(), "auth: { required: true }").await;
            let [one, other] =
                [create(&fixture.baton, &["one"]).await, create(&fixture.baton, &["other"]).await];
            for way in WAYS {
                fixture.baton.set_key(&one.secret);
                let mut body = json!({
                    "model": pool,
                    "messages": user(&format!("go {way:?}")),
                    "tools": [tool(way.0, "weather")],
                    "correlation_id": format!("same {way:?}"),
                });
                let text = handed_over(&fixture, pool, way, &body).await;
                let messages = body["messages"].as_array_mut().expect("messages");
                messages.push(json!({"role": "assistant", "content": text}));
                messages.push(json!({"role": "user", "content": "And then?"}));
                fixture.baton.set_key(&other.secret);
                says_next(&fixture, pool[0], says("I do not know you."));
                let (answer, said) = asked(&fixture.baton, way, body.clone()).await;
                let case = format!("{pool:?} {way:?}");
                assert_eq!(
                    (said.text.as_str(), said.model.as_str()),
                    ("I do not know you.", pool[0]),
                    "{case}"
                );
                assert!(story(&fixture, &answer).await[0].starts_with("1.1 select "), "{case}");
                // And it did not move the first one's conversation.
                fixture.baton.set_key(&one.secret);
                says_next(&fixture, pool[1], says("Second."));
                let (_, said) = asked(&fixture.baton, way, body).await;
                assert_eq!((said.text.as_str(), said.model.as_str()), ("Second.", pool[1]), "{case}");
            }
        }
    });
}

#[test]
fn a_held_conversation_goes_on_with_another_where_its_model_fails() {
    run(async {
        for pool in POOLS {
            for way in WAYS {
                let fixture = talking(pool, Vec::new(), "").await;
                let body = json!({"model": pool, "messages": user("go"), "correlation_id": "s"});
                handed_over(&fixture, pool, way, &body).await;
                says_next(
                    &fixture,
                    pool[1],
                    baton_testkit::fake::Step::Fault(baton_testkit::fake::Fault::ServerError),
                );
                says_next(&fixture, pool[0], says("I stand in."));
                let (answer, said) = asked(&fixture.baton, way, body).await;
                let case = format!("{pool:?} {way:?}");
                assert_eq!((said.text.as_str(), said.model.as_str()), ("I stand in.", pool[0]), "{case}");
                let story = story(&fixture, &answer).await;
                assert!(
                    story[0].starts_with("1.1 stay ") && story[1].contains("fallback"),
                    "{case} {story:?}"
                );
            }
        }
    });
}
