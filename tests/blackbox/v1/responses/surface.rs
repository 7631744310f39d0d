//! The path itself: methods, headers, repeats, what is consumed and what goes through untouched.

use baton_testkit::fake::{FakeUpstream, Script};
use reqwest::Method;
use serde_json::{Value, json};

use super::{ALL, final_response, has_all_members};
use crate::blackbox::support::{Baton, Fixture, events, run, sent, unique};
use crate::blackbox::v1::answers::{greeting, response};

#[test]
fn the_path_is_there_with_and_without_its_version() {
    run(async {
        let fixture = Fixture::shared().await;
        let body = json!({"model": "echo/hello", "input": "hi"});
        for path in ["/v1/responses", "/responses"] {
            has_all_members(&fixture.baton.post(path, &body).await.expect(200).json());
            let answer = fixture.baton.get(path).await;
            answer.openai_error(405);
            assert_eq!(answer.header("allow"), "POST");
        }
    });
}

#[test]
fn every_parameter_reaches_an_upstream_of_the_same_dialect_as_it_was_sent() {
    run(async {
        let fixture = Fixture::shared().await;
        let test = unique();
        let given = r#"{"input": [ {"role":"user","content":"hi"} ],
            "instructions": "Be\u0020brief.", "max_output_tokens":200, "max_tool_calls": 3, "temperature": 0.50, "top_p": 1.0,
            "top_logprobs": 2, "metadata": {"a" :"b"}, "user": "u", "safety_identifier": "s", "prompt_cache_key": "k",
            "prompt_cache_retention": "24h", "store": true, "service_tier": "flex", "truncation": "auto",
            "include": ["reasoning.encrypted_content", "message.output_text.logprobs"], "parallel_tool_calls": true,
            "reasoning": {"effort": "low", "summary": "auto"}, "text": {"format": {"type": "text"}, "verbosity": "low"},
            "tools": [ {"type":"web_search","search_context_size":"low"} , {"type":"function","name":"f","parameters":{"type":"object"},"strict":false}],
            "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{"type":"function","name":"f"}]},
            "context_management": [{"type": "compaction", "compact_threshold": 1000}]"#;
        let own = r#", "baton": {"tags": ["t"]}, "provider": {"only": ["resp"]}, "handoff_config": {}, "correlation_id": "c", "route": "fallback""#;
        let name = format!("{test}/fake");
        let body = format!(r#"{given}{own}, "model": "resp/{name}"}}"#);
        let request = fixture.baton.request(Method::POST, "/v1/responses");
        let answer = sent(request.header("content-type", "application/json").body(body)).await.expect(200);
        has_all_members(&answer.json());
        let seen = String::from_utf8(fixture.openai_saw(&name)[0].body.to_vec()).expect("text");
        let rest = seen.strip_prefix(given).unwrap_or_else(|| panic!("{seen}"));
        let rest: String = rest.chars().filter(|c| !c.is_whitespace()).collect();
        assert_eq!(rest, format!(r#","model":"{name}"}}"#));
        // And the answer comes as the upstream gave it.
        assert!(answer.text().contains("resp_fake"), "{}", answer.text());
    });
}

#[test]
fn what_a_target_cannot_carry_is_dropped_and_recorded_or_refused() {
    run(async {
        let fixture = Fixture::shared().await;
        let lost = json!({
            "input": "hi",
            "prompt_cache_key": "k",
            "truncation": "auto",
            "tools": [{"type": "web_search"}],
        });
        for provider in ["oai", "ant"] {
            let mut body = lost.clone();
            body["model"] = json!(format!("{provider}/fake"));
            let (answer, _) = response(&fixture.baton, body.clone(), false).await;
            let run = fixture.baton.run_of(&answer).await;
            let dropped = run["decisions"][0]["dropped_parameters"].to_string();
            for name in ["truncation", "tools[0] (web_search)"] {
                assert!(dropped.contains(name), "{provider}: {dropped}");
            }
            let request = fixture.baton.posting("/v1/responses", &body).header("x-baton-strict", "true");
            let error = sent(request).await.openai_error(400);
            assert!(error["message"].to_string().contains("truncation"), "{error}");
        }
    });
}

#[test]
fn what_openais_two_apis_share_reaches_the_preset_of_openai_and_no_other_provider() {
    run(async {
        let fake = FakeUpstream::start(Script::default()).await.expect("a fake upstream");
        let url = fake.base_url();
        let baton = Baton::start(&format!(
            "providers:\n  openai: {{ base_url: \"{url}\", api_key: k }}\n  \
             other: {{ dialect: openai_chat, base_url: \"{url}\", api_key: k }}\n"
        ))
        .await;
        for (provider, carried) in [("openai", true), ("other", false)] {
            let body = json!({
                "model": format!("{provider}/fake"),
                "input": "hi",
                "metadata": {"a": "b"},
                "prompt_cache_key": "k",
                "service_tier": "flex",
                "text": {"verbosity": "low"},
            });
            let answer = baton.responses(&body).await.expect(200);
            let sent = fake.seen().last().expect("a request").json();
            let there = [
                &sent["metadata"]["a"],
                &sent["prompt_cache_key"],
                &sent["service_tier"],
                &sent["verbosity"],
            ];
            let expected =
                ["b", "k", "flex", "low"].map(|value| if carried { json!(value) } else { Value::Null });
            assert_eq!(there.map(Clone::clone), expected, "{provider}: {sent}");
            let dropped = baton.run_of(&answer).await["decisions"][0]["dropped_parameters"].clone();
            assert_eq!(
                dropped.as_array().is_some_and(|list| list.len() == 4),
                !carried,
                "{provider}: {dropped}"
            );
        }
    });
}

#[test]
fn the_decision_stands_in_the_headers_and_where_it_is_asked_for_in_the_body() {
    run(async {
        let fixture = Fixture::shared().await;
        for provider in ALL {
            for stream in [false, true] {
                let body = json!({"model": format!("{provider}/fake"), "input": "hi", "stream": stream});
                let request =
                    fixture.baton.posting("/v1/responses", &body).header("x-baton-explain", "summary");
                let answer = sent(request).await.expect(200);
                for name in ["decision-id", "run-id", "model", "provider", "policy", "attempts", "reason"] {
                    assert!(!answer.header(&format!("x-baton-{name}")).is_empty(), "{name}: {answer:?}");
                }
                let explained = if stream {
                    events(answer.text()).iter().find_map(|event| event.json().get("baton").cloned())
                } else {
                    answer.json().get("baton").cloned()
                };
                let explained = explained.unwrap_or_default();
                assert_eq!(
                    explained["decision"],
                    answer.header("x-baton-decision-id"),
                    "{provider} {stream}"
                );
                if stream {
                    final_response(answer.text());
                }
            }
        }
    });
}

#[test]
fn a_list_is_answered_with_the_full_name_of_its_target() {
    run(async {
        let fixture = Fixture::shared().await;
        for provider in ALL {
            for stream in [false, true] {
                let model = format!("{provider}/fake");
                let (_, said) =
                    response(&fixture.baton, json!({"model": model, "input": "hi"}), stream).await;
                assert_eq!(said.model, "fake", "{provider} {stream}");
                let (_, said) =
                    response(&fixture.baton, json!({"models": [model], "input": "hi"}), stream).await;
                assert_eq!(said.model, model, "{provider} {stream}");
            }
        }
    });
}

#[test]
fn a_request_that_comes_again_with_its_key_is_carried_out_once() {
    run(async {
        let fixture = Fixture::shared().await;
        for provider in ALL {
            for stream in [false, true] {
                // More than fits into the end of a stream: its last event has the whole answer.
                let test = unique();
                let body = json!({"model": format!("{provider}/{test}/fake"), "input": "hi ".repeat(700), "stream": stream});
                let ask = || fixture.baton.posting("/v1/responses", &body).header("idempotency-key", &test);
                let first = sent(ask()).await.expect(200);
                let again = sent(ask()).await.expect(200);
                let case = format!("{provider} {stream}");
                assert_eq!(first.body, again.body, "{case}");
                assert_eq!(again.header("idempotent-replayed"), "true", "{case}");
                let name = format!("{test}/fake");
                let calls = fixture.openai_saw(&name).len() + fixture.anthropic_saw(&name).len();
                assert_eq!(calls, 1, "{case}");
            }
        }
    });
}

#[test]
fn what_is_null_is_absent() {
    run(async {
        let fixture = Fixture::shared().await;
        let mut body = json!({"input": "hi"});
        for key in [
            "instructions",
            "tools",
            "tool_choice",
            "text",
            "reasoning",
            "include",
            "metadata",
            "temperature",
            "top_p",
            "max_output_tokens",
            "previous_response_id",
            "conversation",
            "prompt",
            "background",
            "store",
            "truncation",
            "user",
            "stream",
            "mcp_servers",
            "handoff_config",
            "parallel_tool_calls",
        ] {
            body[key] = Value::Null;
        }
        for provider in ALL {
            body["model"] = json!(format!("{provider}/fake"));
            let answer = fixture.baton.responses(&body).await.expect(200).json();
            assert_eq!(
                answer["output"][0]["content"][0]["text"].as_str().map(str::trim_end),
                Some(greeting("hi").as_str())
            );
            has_all_members(&answer);
        }
    });
}

#[test]
fn a_page_of_an_allowed_origin_may_ask() {
    run(async {
        let baton =
            Baton::start("cors: { origins: [\"https://app.example\"] }\nauth: { required: true }\n").await;
        let asking = baton
            .keyless(Method::OPTIONS, "/v1/responses")
            .header("origin", "https://app.example")
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "authorization,x-stainless-lang");
        let answer = sent(asking).await;
        assert_eq!(answer.header("access-control-allow-origin"), "https://app.example", "{answer:?}");
        assert!(answer.header("access-control-allow-headers").contains("x-stainless-lang"), "{answer:?}");
    });
}

#[test]
fn a_dry_run_takes_the_body_of_a_response() {
    run(async {
        let fixture = Fixture::shared().await;
        let body = json!({
            "models": ["oai/fake", "ant/fake"],
            "input": [{"role": "user", "content": [{"type": "input_image", "image_url": "https://e.example/i.png"}]}],
            "max_output_tokens": 99,
            "reasoning": {"effort": "low"},
        });
        let plan = fixture.baton.post("/v1/route", &body).await.expect(200).json();
        let features = &plan["features"];
        assert_eq!(
            (&features["images"], &features["max_output_tokens"]),
            (&json!(true), &json!(99)),
            "{plan}"
        );
        assert_eq!(features["reasoning"], true, "{plan}");
    });
}
