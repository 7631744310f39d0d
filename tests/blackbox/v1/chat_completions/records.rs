//! What the record says of a request: who was considered, what was lost on the way, whose it was, what it cost.

use serde_json::json;

use super::BOTH;
use crate::blackbox::support::{Fixture, run, sent};
use crate::blackbox::v1::answers::{nano_usd, text};

const MODELS: &str = "
models:
  oai/fake-small: { context_window: 1000 }
  oai/fake-mute: { capabilities: { tools: false, structured_output: false, vision: false, audio: false, logprobs: false }, max_output_tokens: 100 }
  oai/fake-priced: { price: { input: 0.15, output: 0.60, cached_input: 0.075 } }
  ant/fake-priced: { price: { input: 3, output: 15, cached_input: 0.3, cache_write: 3.75 } }
";

#[test]
fn a_model_that_cannot_is_passed_over_and_the_table_says_why() {
    let tools = json!([{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]);
    let format = json!({"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}});
    let image = json!([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}]}]);
    let audio = json!([{"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}}]}]);
    run(async {
        let fixture = Fixture::start(MODELS).await;
        for (first, more, code, measured, param) in [
            ("oai/fake-mute", json!({"tools": tools}), "no_tools", false, "tools"),
            (
                "oai/fake-mute",
                json!({"response_format": format}),
                "no_structured_output",
                false,
                "response_format",
            ),
            ("oai/fake-mute", json!({"messages": image}), "no_vision", false, "messages"),
            ("oai/fake-mute", json!({"messages": audio}), "no_audio", false, "messages"),
            ("oai/fake-mute", json!({"logprobs": true}), "no_logprobs", false, "logprobs"),
            (
                "oai/fake-mute",
                json!({"max_tokens": 101, "baton": {"strict": true}}),
                "output_limit_too_small",
                true,
                "max_tokens",
            ),
            (
                "oai/fake-small",
                json!({"messages": "word ".repeat(2_000)}),
                "window_too_small",
                true,
                "messages",
            ),
        ] {
            let mut body = json!({"model": [first, "oai/fake"], "messages": "hi"});
            for (key, value) in more.as_object().expect("members") {
                body[key] = value.clone();
            }
            let answer = fixture.baton.chat(&body).await;
            assert_eq!(answer.header("x-baton-model"), "oai/fake", "{code}: {answer:?}");
            assert_eq!(answer.header("x-baton-reason"), "first_eligible", "{code}");
            let run = fixture.baton.run_of(&answer).await;
            let candidates = &run["decisions"][0]["candidates"];
            assert_eq!(
                (&candidates[0]["verdict"], &candidates[0]["stage"]),
                (&json!("rejected"), &json!("capability"))
            );
            assert_eq!(candidates[0]["code"], code);
            assert_eq!(
                candidates[0]["observed"].is_string() && candidates[0]["limit"].is_string(),
                measured,
                "{candidates}"
            );
            assert_eq!(candidates[1]["verdict"], "selected");
            // Alone, it is refused with the member that is too much.
            body["model"] = json!(first);
            let answer = fixture.baton.chat(&body).await;
            let error = answer.openai_error(400);
            assert_eq!((&error["code"], &error["param"]), (&json!(code), &json!(param)), "{error}");
            let run = fixture.baton.run_of(&answer).await;
            assert_eq!(run["decisions"][0]["kind"], "refuse", "{run}");
            assert!(text(&run["summary"]).starts_with("Refused: no model is left"), "{run}");
        }
    });
}

#[test]
fn labels_of_the_request_are_recorded() {
    run(async {
        let fixture = Fixture::shared().await;
        let body = json!({
            "model": "oai/fake",
            "messages": "hi",
            "user": "user-1",
            "metadata": {"ticket": "42", "team": "blue"},
            "baton": {"tags": ["beta", "eu"], "session": "ignored: the header speaks"},
        });
        let request = fixture.baton.posting("/v1/chat/completions", &body);
        let request = request
            .header("x-baton-session", "sess-1")
            .header("x-baton-tags", "canary, night")
            .header("x-stainless-retry-count", "2");
        let answer = sent(request).await.expect(200);
        let run = fixture.baton.run_of(&answer).await;
        assert_eq!(
            run["decisions"][0]["labels"],
            json!({
                "session": "sess-1",
                "user": "user-1",
                "tags": ["beta", "eu", "canary", "night"],
                "metadata": [["team", "blue"], ["ticket", "42"]],
                "client_retry": 2,
            })
        );
    });
}

#[test]
fn a_safety_identifier_goes_before_a_user_and_anthropics_user_id_counts() {
    run(async {
        let fixture = Fixture::shared().await;
        let body = json!({"model": "oai/fake", "messages": "hi", "user": "u", "safety_identifier": "s"});
        let answer = fixture.baton.chat(&body).await.expect(200);
        assert_eq!(fixture.baton.run_of(&answer).await["decisions"][0]["labels"]["user"], "s");
        let body = json!({"model": "ant/fake", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}], "metadata": {"user_id": "m"}});
        let answer = fixture.baton.messages(&body).await.expect(200);
        assert_eq!(fixture.baton.run_of(&answer).await["decisions"][0]["labels"]["user"], "m");
    });
}

#[test]
fn labels_of_any_length_are_cut_and_do_no_harm() {
    run(async {
        let fixture = Fixture::shared().await;
        let long = "é".repeat(100_000);
        let many: Vec<String> = (0..1_000).map(|at| format!("tag-{at}")).collect();
        let body = json!({"model": "oai/fake", "messages": "hi", "user": long, "baton": {"tags": many, "session": long}});
        let answer = fixture.baton.chat(&body).await.expect(200);
        let labels = fixture.baton.run_of(&answer).await["decisions"][0]["labels"].clone();
        assert_eq!(labels["user"].as_str().map(str::len), Some(256), "{labels}");
        assert_eq!(labels["tags"].as_array().map(Vec::len), Some(16), "{labels}");
    });
}

#[test]
fn what_a_target_cannot_carry_is_recorded_or_refused_when_strict() {
    run(async {
        let fixture = Fixture::shared().await;
        let mut body = json!({"model": "ant/fake", "messages": "hi", "seed": 7, "frequency_penalty": 0.5, "logit_bias": {"1": 1}});
        let answer = fixture.baton.chat(&body).await.expect(200);
        let run = fixture.baton.run_of(&answer).await;
        let dropped = run["decisions"][0]["dropped_parameters"].as_array().cloned().unwrap_or_default();
        for name in ["seed", "frequency_penalty", "logit_bias"] {
            assert!(dropped.contains(&json!(name)), "{name} is not in {dropped:?}");
        }
        for strict in [json!({"baton": {"strict": true}}), json!({"provider": {"require_parameters": true}})]
        {
            let mut strictly = body.clone();
            strictly.as_object_mut().expect("members").extend(strict.as_object().cloned().expect("members"));
            let error = fixture.baton.chat(&strictly).await.openai_error(400);
            assert_eq!(error["code"], "unsupported_parameter", "{error}");
            assert!(dropped.contains(&error["param"]), "{error}");
            assert!(dropped.iter().all(|name| text(&error["message"]).contains(&text(name))), "{error}");
        }
        let strictly = fixture.baton.posting("/v1/chat/completions", &body).header("x-baton-strict", "true");
        sent(strictly).await.openai_error(400);
        // An upstream that takes everything has nothing to drop.
        body["model"] = json!("oai/fake");
        body["baton"] = json!({"strict": true});
        let answer = fixture.baton.chat(&body).await.expect(200);
        assert!(fixture.baton.run_of(&answer).await["decisions"][0]["dropped_parameters"].is_null());
    });
}

#[test]
fn strictness_goes_on_to_a_target_that_can() {
    run(async {
        let fixture = Fixture::shared().await;
        let body = json!({"model": ["ant/fake", "oai/fake"], "messages": "hi", "seed": 7, "provider": {"require_parameters": true}});
        let answer = fixture.baton.chat(&body).await.expect(200);
        assert_eq!(answer.header("x-baton-model"), "oai/fake");
        let run = fixture.baton.run_of(&answer).await;
        let passed_over = &run["decisions"][0]["candidates"][0];
        assert_eq!(
            (&passed_over["code"], &passed_over["observed"]),
            (&json!("unsupported_parameter"), &json!("seed"))
        );
    });
}

#[test]
fn keys_that_are_not_followed_are_named() {
    run(async {
        let fixture = Fixture::shared().await;
        let body = json!({
            "model": [{"model": "oai/fake", "settings": {"temperature": 1, "timeout": 3}}],
            "messages": "hi",
            "handoff_config": {"strategy": "auto", "colour": "red"},
            "guardrails": [{"type": "pii"}],
            "agent_attributes": {},
            "baton": {"colour": "red"},
        });
        let answer = fixture.baton.chat(&body).await.expect(200);
        let run = fixture.baton.run_of(&answer).await;
        let mut ignored: Vec<String> =
            run["decisions"][0]["ignored_parameters"].as_array().into_iter().flatten().map(text).collect();
        ignored.sort();
        assert_eq!(
            ignored,
            ["baton.colour", "guardrails", "handoff_config.colour", "model[].settings.timeout"]
        );
    });
}

#[test]
fn the_cost_is_exact_where_prices_are_known_and_unknown_elsewhere() {
    run(async {
        let fixture = Fixture::start(MODELS).await;
        // 50 tokens in, of which 12 are cached and 6 written to the cache (which OpenAI does not tell).
        let long = "word ".repeat(40);
        for provider in BOTH {
            for stream in [false, true] {
                let body =
                    json!({"model": format!("{provider}/fake-priced"), "messages": long, "stream": stream});
                let answer = fixture.baton.chat(&body).await.expect(200);
                let run = fixture.baton.run_of(&answer).await;
                let outcome = &run["decisions"][0]["outcome"];
                let output = outcome["usage"]["output_tokens"].as_u64().expect("tokens");
                // Nano-dollars per token are thousandths of the price per million tokens.
                let nano = if provider == "oai" {
                    38 * 150 + 12 * 75 + output * 600
                } else {
                    32 * 3_000 + 12 * 300 + 6 * 3_750 + output * 15_000
                };
                assert_eq!(nano_usd(&outcome["cost_usd"]), nano, "{provider} {stream}: {outcome}");
            }
        }
        let answer = fixture.baton.chat(&json!({"model": "oai/fake", "messages": "hi"})).await.expect(200);
        let run = fixture.baton.run_of(&answer).await;
        assert_eq!(run["decisions"][0]["outcome"]["cost_usd"], "unknown");
    });
}

#[test]
fn times_and_sizes_fit_together() {
    run(async {
        let fixture = Fixture::shared().await;
        let answer = fixture
            .baton
            .chat(&json!({"model": "oai/fake", "messages": "hi", "stream": true}))
            .await
            .expect(200);
        let run = fixture.baton.run_of(&answer).await;
        let outcome = &run["decisions"][0]["outcome"];
        assert_eq!(outcome["bytes"].as_u64(), u64::try_from(answer.body.len()).ok(), "{outcome}");
        assert!(outcome["first_content_us"].as_u64() <= outcome["total_us"].as_u64(), "{outcome}");
        assert_eq!(
            (&outcome["http_status"], &outcome["finish_reason"]),
            (&json!(200), &json!("stop")),
            "{outcome}"
        );
        assert!(text(&outcome["upstream_id"]).starts_with("chatcmpl-fake"), "{outcome}");
        assert_eq!(outcome["upstream_model"], "fake", "{outcome}");
    });
}

#[test]
fn the_decision_comes_with_the_answer_where_it_is_asked_for() {
    run(async {
        let fixture = Fixture::shared().await;
        for stream in [false, true] {
            for (asked, named) in [(None, false), (Some("summary"), true), (Some("full"), true)] {
                let body = json!({"model": "oai/fake", "messages": "hi", "stream": stream});
                let mut request = fixture.baton.posting("/v1/chat/completions", &body);
                if let Some(asked) = asked {
                    request = request.header("x-baton-explain", asked);
                }
                let answer = sent(request).await.expect(200);
                let decision = answer.header("x-baton-decision-id").to_owned();
                assert_eq!(answer.text().contains(&decision), named, "{asked:?} {stream}: {}", answer.text());
            }
        }
    });
}
