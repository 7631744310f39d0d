//! `POST /v1/messages` over an upstream of either dialect, streamed and not.

use serde_json::{Value, json};

use super::answers::{Said, WAYS, greeting, message, text};
use crate::blackbox::support::{Fixture, events, messages_text, run, sent, unique};

const BOTH: [&str; 2] = ["oai", "ant"];

#[test]
fn a_text_is_answered_alike_over_both_dialects() {
    check(&json!({"system": "Be brief.", "messages": [{"role": "user", "content": "hi"}]}), |said, _| {
        assert_eq!((said.text.as_str(), said.finish.as_str()), (greeting("hi").as_str(), "end_turn"));
    });
}

#[test]
fn usage_is_counted_alike_streamed_or_not() {
    let body = json!({"messages": [{"role": "user", "content": "word ".repeat(40)}]});
    check(&body, |said, run| {
        let (input, cached, output) = said.tokens.expect("usage");
        assert_eq!((input, cached), (50, 12));
        let usage = &run["decisions"][0]["outcome"]["usage"];
        assert_eq!((&usage["input_tokens"], &usage["output_tokens"]), (&json!(input), &json!(output)));
    });
}

#[test]
fn a_stop_sequence_ends_the_text() {
    check(
        &json!({"messages": [{"role": "user", "content": "hi"}], "stop_sequences": ["café"]}),
        |said, _| {
            assert_eq!(said.text, "Hello from the fake model, ");
        },
    );
}

#[test]
fn a_token_limit_ends_the_text() {
    check(&json!({"messages": [{"role": "user", "content": "hi"}], "max_tokens": 2}), |said, _| {
        assert_eq!((said.text.trim_end(), said.finish.as_str()), ("Hello from", "max_tokens"));
    });
}

#[test]
fn a_schema_is_satisfied() {
    let schema = json!({
        "type": "object",
        "properties": {"city": {"type": "string", "enum": ["Paris"]}},
        "required": ["city"],
        "additionalProperties": false,
    });
    let format = json!({"format": {"type": "json_schema", "schema": schema}});
    check(
        &json!({"messages": [{"role": "user", "content": "a city"}], "output_config": format}),
        |said, _| {
            assert_eq!(serde_json::from_str::<Value>(&said.text).expect("JSON"), json!({"city": "Paris"}));
        },
    );
}

#[test]
fn a_tool_is_called_and_its_result_is_heard() {
    run(async {
        let fixture = Fixture::shared().await;
        let schema = json!({"type": "object", "properties": {"city": {"type": "string", "enum": ["Tokyo"]}}, "required": ["city"]});
        let tools = json!([{"name": "weather", "input_schema": schema}]);
        for (provider, stream) in both() {
            let model = format!("{provider}/fake");
            let mut messages = vec![json!({"role": "user", "content": "weather?"})];
            let body =
                json!({"model": model, "messages": messages, "tools": tools, "tool_choice": {"type": "any"}});
            let (_, said) = message(&fixture.baton, body, stream).await;
            assert_eq!(said.calls, [("weather".to_owned(), json!({"city": "Tokyo"}))], "{provider} {stream}");
            assert_eq!(said.finish, "tool_use");
            let id = &said.call_ids[0];
            messages.push(json!({"role": "assistant", "content": [{"type": "tool_use", "id": id, "name": "weather", "input": {"city": "Tokyo"}}]}));
            messages.push(json!({"role": "user", "content": [{"type": "tool_result", "tool_use_id": id, "content": "mild"}]}));
            let body = json!({"model": model, "messages": messages, "tools": tools});
            let (_, said) = message(&fixture.baton, body, stream).await;
            assert!(said.text.starts_with("The tool says"), "{provider} {stream}: {}", said.text);
        }
    });
}

#[test]
fn an_image_reaches_the_upstream_in_its_own_form() {
    run(async {
        let fixture = Fixture::shared().await;
        let test = unique();
        let source = json!({"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="});
        for provider in BOTH {
            let blocks =
                json!([{"type": "text", "text": "what is it?"}, {"type": "image", "source": source}]);
            let body = json!({"model": format!("{provider}/{test}/fake"), "messages": [{"role": "user", "content": blocks}]});
            let (_, said) = message(&fixture.baton, body, false).await;
            assert_eq!(said.text.trim_end(), greeting("what is it?"));
        }
        let model = format!("{test}/fake");
        let part = &fixture.openai_saw(&model)[0].json()["messages"][0]["content"][1];
        assert_eq!(part["image_url"]["url"], "data:image/png;base64,iVBORw0KGgo=");
        assert_eq!(fixture.anthropic_saw(&model)[0].json()["messages"][0]["content"][1]["source"], source);
    });
}

#[test]
fn a_beta_is_carried_to_an_upstream_of_the_same_dialect() {
    run(async {
        let fixture = Fixture::shared().await;
        let test = unique();
        let body = json!({"model": format!("ant/{test}/fake"), "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]});
        let request = fixture.baton.posting("/v1/messages?beta=true", &body);
        let request =
            request.header("anthropic-version", "2023-06-01").header("anthropic-beta", "some-beta-1");
        sent(request).await.expect(200);
        let seen = &fixture.anthropic_saw(&format!("{test}/fake"))[0];
        assert_eq!(seen.path, "/v1/messages?beta=true");
        assert_eq!(seen.header("anthropic-version"), Some("2023-06-01"));
        assert_eq!(seen.header("anthropic-beta"), Some("some-beta-1"));
    });
}

#[test]
fn both_ways_to_send_a_key_reach_an_anthropic_client() {
    run(async {
        let fixture = Fixture::shared().await;
        let body =
            json!({"model": "ant/fake", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]});
        sent(fixture.baton.posting("/v1/messages", &body).header("x-api-key", "whatever")).await.expect(200);
        sent(fixture.baton.posting("/v1/messages", &body).bearer_auth("whatever")).await.expect(200);
    });
}

#[test]
fn errors_are_in_the_dialect_whatever_the_upstream_speaks() {
    run(async {
        let fixture = Fixture::shared().await;
        for (fault, status, kind) in [
            ("fault-400", 400, "invalid_request_error"),
            ("fault-404", 404, "not_found_error"),
            ("fault-429", 429, "rate_limit_error"),
            ("fault-413", 413, "request_too_large"),
            ("fault-500", 500, "api_error"),
            ("fault-529", 529, "overloaded_error"),
        ] {
            for (provider, stream) in both() {
                let test = unique();
                let body = json!({
                    "model": format!("{provider}/{test}/{fault}"),
                    "max_tokens": 9,
                    "messages": [{"role": "user", "content": "hi"}],
                    "stream": stream,
                });
                let answer = fixture.baton.messages(&body).await;
                assert_eq!(answer.status, status, "{provider} {fault} {stream}: {answer:?}");
                let body = answer.json();
                assert_eq!(
                    (&body["type"], &body["error"]["type"]),
                    (&json!("error"), &json!(kind)),
                    "{body}"
                );
            }
        }
    });
}

#[test]
fn a_failure_after_content_is_an_error_event_and_no_second_call() {
    run(async {
        let fixture = Fixture::shared().await;
        for provider in BOTH {
            let test = unique();
            let body = json!({
                "model": [format!("{provider}/{test}/fault-after-content"), format!("{provider}/{test}/fake")],
                "max_tokens": 99,
                "messages": [{"role": "user", "content": "hi"}],
                "stream": true,
            });
            let answer = fixture.baton.messages(&body).await.expect(200);
            let last = events(answer.text()).pop().expect("an event");
            assert_eq!(
                (last.name.as_str(), &last.json()["type"]),
                ("error", &json!("error")),
                "{provider}: {answer:?}"
            );
            let came = messages_text(answer.text());
            assert!(!came.is_empty() && greeting("hi").starts_with(&came), "{provider}: {came}");
            let model = format!("{test}/fake");
            assert!(fixture.openai_saw(&model).is_empty() && fixture.anthropic_saw(&model).is_empty());
        }
    });
}

#[test]
fn what_a_messages_request_lacks_is_said_in_its_dialect() {
    run(async {
        let fixture = Fixture::shared().await;
        for (body, mentions) in [
            (json!({"max_tokens": 9, "messages": []}), "model"),
            (json!({"model": "oai/fake", "max_tokens": 9}), "messages"),
            (
                json!({"model": "oai/fake", "max_tokens": 9, "messages": [{"role": "owl", "content": "x"}]}),
                "messages",
            ),
            (json!({"model": [], "max_tokens": 9, "messages": []}), "list of models is empty"),
        ] {
            let error = fixture.baton.messages(&body).await.anthropic_error(400);
            assert_eq!(error["type"], "invalid_request_error");
            assert!(text(&error["message"]).contains(mentions), "{body}: {error}");
        }
        let unknown = json!({"model": "ant2/fake", "max_tokens": 9, "messages": []});
        assert_eq!(fixture.baton.messages(&unknown).await.anthropic_error(404)["type"], "not_found_error");
    });
}

fn both() -> impl Iterator<Item = (&'static str, bool)> {
    BOTH.into_iter().flat_map(|provider| WAYS.map(|stream| (provider, stream)))
}

/// Asks for a message over both dialects, streamed and not, and looks at each answer.
fn check(body: &Value, look: impl Fn(&Said, &Value)) {
    run(async {
        let fixture = Fixture::shared().await;
        for (provider, stream) in both() {
            let mut body = body.clone();
            body["model"] = json!(format!("{provider}/fake"));
            let (answer, said) = message(&fixture.baton, body, stream).await;
            let run = fixture.baton.run_of(&answer).await;
            assert_eq!(run["decisions"][0]["outcome"]["status"], "ok", "{provider} {stream}: {run}");
            look(&said, &run);
        }
    });
}
