//! `POST /v1/chat/completions` over an upstream of either dialect, streamed and not.

mod cancel;
mod fallback;
mod faults;
mod fidelity;
mod records;
mod streams;
mod tolerance;

use serde_json::{Value, json};

use super::answers::{Said, WAYS, chat, greeting};
use crate::blackbox::support::{Answer, Fixture, chunks, run, unique};

/// The providers that answer, one for each dialect.
const BOTH: [&str; 2] = ["oai", "ant"];

#[test]
fn a_text_is_answered_alike_over_both_dialects() {
    check(
        &json!({"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}]}),
        |said, _| {
            assert_eq!(said.text, greeting("hi"));
            assert_eq!((said.finish.as_str(), said.calls.len()), ("stop", 0));
        },
    );
}

#[test]
fn usage_is_counted_alike_streamed_or_not() {
    let long = "word ".repeat(40);
    check(&json!({"messages": [{"role": "user", "content": long}]}), |said, run| {
        let (input, cached, output) = said.tokens.expect("usage");
        assert_eq!((input, cached), (50, 12));
        let usage = &run["decisions"][0]["outcome"]["usage"];
        assert_eq!(usage["input_tokens"], input, "{usage}");
        assert_eq!(usage["cached_input_tokens"], cached, "{usage}");
        assert_eq!(usage["output_tokens"], output, "{usage}");
        assert_eq!(run["decisions"][0]["outcome"]["usage_source"], "provider");
    });
}

#[test]
fn a_stop_sequence_ends_the_text() {
    check(&json!({"messages": "hi", "stop": ["café", "never"]}), |said, _| {
        assert_eq!((said.text.as_str(), said.finish.as_str()), ("Hello from the fake model, ", "stop"));
    });
}

#[test]
fn a_token_limit_ends_the_text() {
    for limit in ["max_tokens", "max_completion_tokens"] {
        check(&json!({"messages": "hi", limit: 2}), |said, _| {
            assert_eq!((said.text.trim_end(), said.finish.as_str()), ("Hello from", "length"));
        });
    }
}

#[test]
fn a_schema_is_satisfied() {
    let schema = json!({
        "type": "object",
        "properties": {"city": {"type": "string", "enum": ["Paris"]}, "days": {"type": "integer"}},
        "required": ["city", "days"],
        "additionalProperties": false,
    });
    let format =
        json!({"type": "json_schema", "json_schema": {"name": "trip", "strict": true, "schema": schema}});
    check(&json!({"messages": "a trip", "response_format": format}), |said, _| {
        let answer: Value = serde_json::from_str(&said.text).expect("JSON");
        assert_eq!(answer["city"], "Paris");
        assert!(answer["days"].is_u64(), "{answer}");
    });
}

#[test]
fn a_tool_is_called_and_its_result_is_heard() {
    run(async {
        let fixture = Fixture::shared().await;
        let tools = json!([{"type": "function", "function": {"name": "weather", "description": "The weather", "parameters": {
            "type": "object", "properties": {"city": {"type": "string", "enum": ["Tokyo"]}}, "required": ["city"],
        }}}]);
        for (provider, stream) in both() {
            let model = format!("{provider}/fake-tools");
            let mut messages = vec![json!({"role": "user", "content": "weather?"})];
            let body =
                json!({"model": model, "messages": messages, "tools": tools, "tool_choice": "required"});
            let (_, said) = chat(&fixture.baton, body, stream).await;
            assert_eq!(said.calls, [("weather".to_owned(), json!({"city": "Tokyo"}))], "{provider} {stream}");
            assert_eq!(said.finish, "tool_calls");
            let call = json!({"id": said.call_ids[0], "type": "function", "function": {"name": "weather", "arguments": "{\"city\":\"Tokyo\"}"}});
            messages.push(json!({"role": "assistant", "content": null, "tool_calls": [call]}));
            messages.push(json!({"role": "tool", "tool_call_id": said.call_ids[0], "content": "mild"}));
            let (_, said) =
                chat(&fixture.baton, json!({"model": model, "messages": messages, "tools": tools}), stream)
                    .await;
            assert!(said.text.starts_with("The tool says"), "{provider} {stream}: {}", said.text);
        }
    });
}

#[test]
fn parallel_calls_keep_their_order_and_arguments() {
    run(async {
        let fixture = Fixture::shared().await;
        let tool = |name: &str, word: &str| {
            json!({"type": "function", "function": {"name": name, "parameters": {
                "type": "object", "properties": {"word": {"type": "string", "enum": [word]}}, "required": ["word"],
            }}})
        };
        for (provider, stream) in both() {
            let body = json!({
                "model": format!("{provider}/fake"),
                "messages": [{"role": "user", "content": "both in parallel"}],
                "tools": [tool("first", "a\"b\\c"), tool("second", "ü🦀")],
            });
            let (_, said) = chat(&fixture.baton, body, stream).await;
            let wanted = [("first", json!({"word": "a\"b\\c"})), ("second", json!({"word": "ü🦀"}))];
            assert_eq!(
                said.calls,
                wanted.map(|(name, input)| (name.to_owned(), input)),
                "{provider} {stream}"
            );
            assert_ne!(said.call_ids[0], said.call_ids[1]);
        }
    });
}

#[test]
fn an_image_reaches_the_upstream_in_its_own_form() {
    run(async {
        let fixture = Fixture::shared().await;
        let test = unique();
        let image = "data:image/png;base64,iVBORw0KGgo=";
        for provider in BOTH {
            let parts = json!([{"type": "text", "text": "what is it?"}, {"type": "image_url", "image_url": {"url": image}}]);
            let body = json!({"model": format!("{provider}/{test}/fake"), "messages": [{"role": "user", "content": parts}]});
            let (_, said) = chat(&fixture.baton, body, false).await;
            assert_eq!(said.text.trim_end(), greeting("what is it?"));
        }
        let model = format!("{test}/fake");
        assert_eq!(
            fixture.openai_saw(&model)[0].json()["messages"][0]["content"][1]["image_url"]["url"],
            image
        );
        let source = &fixture.anthropic_saw(&model)[0].json()["messages"][0]["content"][1]["source"];
        assert_eq!(*source, json!({"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}));
    });
}

#[test]
fn without_being_asked_a_stream_carries_no_usage_chunk() {
    run(async {
        let fixture = Fixture::shared().await;
        for provider in BOTH {
            let body = json!({"model": format!("{provider}/fake"), "messages": "hi", "stream": true});
            let answer = fixture.baton.chat(&body).await.expect(200);
            for chunk in chunks(answer.text()) {
                assert_eq!(chunk["choices"].as_array().map(Vec::len), Some(1), "{provider}: {chunk}");
                assert!(chunk.get("usage").is_none_or(Value::is_null), "{provider}: {chunk}");
            }
            // Asked or not, the record has it.
            let run = fixture.baton.run_of(&answer).await;
            assert_eq!(run["decisions"][0]["outcome"]["usage_source"], "provider", "{provider}: {run}");
        }
    });
}

#[test]
fn every_answer_names_its_decision_in_headers() {
    run(async {
        let fixture = Fixture::shared().await;
        for (provider, stream) in both() {
            let (answer, _) =
                chat(&fixture.baton, json!({"model": format!("{provider}/fake"), "messages": "hi"}), stream)
                    .await;
            for (name, value) in [
                ("x-baton-model", format!("{provider}/fake").as_str()),
                ("x-baton-provider", provider),
                ("x-baton-attempts", "1"),
                ("x-baton-handoffs", "0"),
                ("x-baton-reason", "only_model"),
                ("cache-control", "no-cache"),
            ] {
                assert_eq!(answer.header(name), value, "{name}");
            }
            assert!(answer.header("x-baton-policy").starts_with("default@"), "{answer:?}");
            let run = fixture.baton.run_of(&answer).await;
            let decision = &run["decisions"][0];
            assert_eq!(run["id"], answer.header("x-baton-run-id"));
            assert_eq!(decision["id"], answer.header("x-baton-decision-id"));
            assert_eq!(decision["request"], answer.header("x-request-id"));
            assert_eq!(decision["policy"], answer.header("x-baton-policy"));
        }
    });
}

#[test]
fn the_base_url_may_lack_its_v1() {
    run(async {
        let fixture = Fixture::shared().await;
        let body =
            json!({"model": "oai/fake", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 50});
        for path in ["/chat/completions", "/v1/chat/completions", "/messages", "/v1/messages"] {
            fixture.baton.post(path, &body).await.expect(200);
        }
    });
}

#[test]
fn a_doubled_v1_is_explained() {
    run(async {
        let fixture = Fixture::shared().await;
        let answer = fixture
            .baton
            .post("/v1/v1/chat/completions", &json!({"model": "oai/fake", "messages": "hi"}))
            .await;
        let error = answer.openai_error(404);
        assert!(error["message"].as_str().is_some_and(|text| text.contains("`/v1` twice")), "{error}");
    });
}

#[test]
fn another_method_is_refused_with_the_right_one() {
    run(async {
        let fixture = Fixture::shared().await;
        let answer = fixture.baton.get("/v1/chat/completions").await;
        answer.openai_error(405);
        assert_eq!(answer.header("allow"), "POST");
    });
}

#[test]
fn a_single_model_is_named_as_the_upstream_names_it_and_one_of_many_in_full() {
    run(async {
        let fixture = Fixture::shared().await;
        for (provider, stream) in both() {
            let (_, said) = chat(
                &fixture.baton,
                json!({"model": [format!("{provider}/fake")], "messages": "hi"}),
                stream,
            )
            .await;
            assert_eq!(said.model, format!("{provider}/fake"), "{provider} {stream}");
        }
        for stream in WAYS {
            let (_, said) =
                chat(&fixture.baton, json!({"model": "oai/fake", "messages": "hi"}), stream).await;
            assert_eq!(said.model, "fake");
        }
    });
}

fn both() -> impl Iterator<Item = (&'static str, bool)> {
    BOTH.into_iter().flat_map(|provider| WAYS.map(|stream| (provider, stream)))
}

/// Asks for a completion over both dialects, streamed and not, and looks at each answer.
fn check(body: &Value, look: impl Fn(&Said, &Value)) {
    run(async {
        let fixture = Fixture::shared().await;
        for (provider, stream) in both() {
            let mut body = body.clone();
            body["model"] = json!(format!("{provider}/fake"));
            let (answer, said) = chat(&fixture.baton, body, stream).await;
            let run = fixture.baton.run_of(&answer).await;
            assert_eq!(run["decisions"][0]["outcome"]["status"], "ok", "{provider} {stream}: {run}");
            look(&said, &run);
        }
    });
}

/// The decisions of a run as `kind reason from->to outcome`.
pub(crate) fn story(run: &Value) -> Vec<String> {
    let decisions = run["decisions"].as_array().expect("decisions");
    let word = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let line = |one: &Value| {
        let outcome = &one["outcome"];
        format!(
            "{} {} {}->{} {} {}",
            word(&one["kind"]),
            word(&one["reason"]["code"]),
            word(&one["from"]),
            word(&one["to"]),
            word(&outcome["status"]),
            word(&outcome["fault"]),
        )
    };
    decisions.iter().map(line).collect()
}

async fn story_of(fixture: &Fixture, answer: &Answer) -> Vec<String> {
    story(&fixture.baton.run_of(answer).await)
}
