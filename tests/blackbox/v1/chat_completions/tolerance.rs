//! What clients send that the reference does not allow, and that must work all the same.

use std::io::Write;

use serde_json::{Value, json};

use super::BOTH;
use crate::blackbox::support::{Answer, Baton, Fixture, Home, chat_text, run, sent, unique};
use crate::blackbox::v1::answers::{chat, greeting};

#[test]
fn null_is_the_same_as_absent_for_every_optional_key() {
    const OPTIONAL: [&str; 49] = [
        "audio",
        "frequency_penalty",
        "function_call",
        "functions",
        "logit_bias",
        "logprobs",
        "max_completion_tokens",
        "max_tokens",
        "metadata",
        "modalities",
        "n",
        "parallel_tool_calls",
        "prediction",
        "presence_penalty",
        "prompt_cache_key",
        "reasoning_effort",
        "response_format",
        "safety_identifier",
        "seed",
        "service_tier",
        "stop",
        "store",
        "stream",
        "stream_options",
        "temperature",
        "tool_choice",
        "tools",
        "top_logprobs",
        "top_p",
        "user",
        "verbosity",
        "web_search_options",
        "models",
        "fallbacks",
        "provider",
        "route",
        "baton",
        "mcp_servers",
        "credentials",
        "agent_attributes",
        "model_attributes",
        "handoff_config",
        "max_turns",
        "handoff_mode",
        "correlation_id",
        "deferred_calls",
        "automatic_tool_execution",
        "guardrails",
        "deferred",
    ];
    run(async {
        let fixture = Fixture::shared().await;
        for provider in BOTH {
            let mut body =
                json!({"model": format!("{provider}/fake"), "messages": [{"role": "user", "content": "hi"}]});
            for key in OPTIONAL {
                body[key] = Value::Null;
            }
            let answer = fixture.baton.chat(&body).await.expect(200);
            assert_eq!(answer.json()["choices"][0]["message"]["content"], greeting("hi"));
            let run = fixture.baton.run_of(&answer).await;
            let ignored = &run["decisions"][0]["ignored_parameters"];
            assert!(ignored.is_null(), "nothing was asked for, so nothing is ignored: {ignored}");
        }
    });
}

#[test]
fn the_conversations_of_real_clients_are_understood() {
    let call = json!({"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}});
    let tools = json!([{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}]);
    let after_tool = "The tool says: it is mild in Paris, 18 °C, with a light wind from the west.";
    for (what, body, wanted) in [
        ("a text for messages", json!({"messages": "hi"}), greeting("hi")),
        (
            "an assistant without content",
            json!({"tools": tools, "messages": [
                {"role": "user", "content": "hi"},
                {"role": "assistant", "tool_calls": [call]},
                {"role": "tool", "tool_call_id": "call_1", "content": "mild"},
            ]}),
            after_tool.to_owned(),
        ),
        (
            "an assistant with null for content and for its calls",
            json!({"messages": [
                {"role": "user", "content": "hi"},
                {"role": "assistant", "content": "yes?", "tool_calls": null, "refusal": null, "audio": null},
                {"role": "user", "content": "hi again", "name": null},
            ]}),
            greeting("hi again"),
        ),
        (
            "an assistant with an empty list of calls",
            json!({"messages": [
                {"role": "user", "content": "hi"},
                {"role": "assistant", "content": "yes?", "tool_calls": []},
                {"role": "user", "content": "hi again"},
            ]}),
            greeting("hi again"),
        ),
        (
            "a tool's result whose call is missing",
            json!({"tools": tools, "messages": [
                {"role": "user", "content": "hi"},
                {"role": "tool", "tool_call_id": "call_1", "content": "mild"},
            ]}),
            after_tool.to_owned(),
        ),
        (
            "a tool's result whose call and tools are missing",
            json!({"messages": [
                {"role": "user", "content": "hi"},
                {"role": "tool", "tool_call_id": "call_1", "content": "mild"},
            ]}),
            after_tool.to_owned(),
        ),
        (
            "a history of tools without tools",
            json!({"messages": [
                {"role": "user", "content": "hi"},
                {"role": "assistant", "tool_calls": [call]},
                {"role": "tool", "tool_call_id": "call_1", "content": "mild"},
                {"role": "assistant", "content": "It is mild."},
                {"role": "user", "content": "and?"},
            ]}),
            greeting("and?"),
        ),
        (
            "empty lists",
            json!({"messages": "hi", "tools": [], "mcp_servers": [], "models": [], "fallbacks": []}),
            greeting("hi"),
        ),
        (
            "a choice among no tools",
            json!({"messages": "hi", "tools": [], "tool_choice": "auto", "parallel_tool_calls": true}),
            greeting("hi"),
        ),
        (
            "several system messages, one of them late",
            json!({"messages": [
                {"role": "system", "content": "a"},
                {"role": "developer", "content": "b"},
                {"role": "user", "content": "hi"},
                {"role": "assistant", "content": "yes?"},
                {"role": "system", "content": "c"},
                {"role": "user", "content": "ho"},
            ]}),
            greeting("ho"),
        ),
        (
            "two users in a row",
            json!({"messages": [
                {"role": "user", "content": "hi"},
                {"role": "user", "content": "ho"},
            ]}),
            greeting("ho"),
        ),
    ] {
        run(async {
            let fixture = Fixture::shared().await;
            for provider in BOTH {
                for stream in [false, true] {
                    let mut body = body.clone();
                    body["model"] = json!(format!("{provider}/fake"));
                    body["stream"] = json!(stream);
                    let answer = fixture.baton.chat(&body).await;
                    assert_eq!(answer.status, 200, "{what} over {provider}: {answer:?}");
                    let text = text_of(&answer);
                    assert_eq!(text, wanted, "{what} over {provider}, streamed: {stream}");
                }
            }
        });
    }
}

#[test]
fn a_conversation_without_a_user_is_answered() {
    run(async {
        let fixture = Fixture::shared().await;
        for provider in BOTH {
            let body = json!({"model": format!("{provider}/fake"), "messages": [{"role": "system", "content": "Say hello."}]});
            fixture.baton.chat(&body).await.expect(200);
        }
    });
}

#[test]
fn a_stream_is_a_stream_whatever_accept_says() {
    run(async {
        let fixture = Fixture::shared().await;
        for accept in ["application/json", "*/*", "text/event-stream"] {
            let body = json!({"model": "oai/fake", "messages": "hi", "stream": true});
            let answer = sent(fixture.baton.posting("/v1/chat/completions", &body).header("accept", accept))
                .await
                .expect(200);
            assert!(answer.header("content-type").starts_with("text/event-stream"), "{accept}: {answer:?}");
            assert_eq!(chat_text(answer.text()), greeting("hi"));
        }
    });
}

#[test]
fn a_model_may_come_in_each_of_its_forms() {
    run(async {
        let fixture = Fixture::shared().await;
        for (model, requested) in [
            (json!("oai/fake"), json!(["oai/fake"])),
            (json!(["oai/fake"]), json!(["oai/fake"])),
            (json!({"model": "oai/fake"}), json!(["oai/fake"])),
            (json!({"model": "oai/fake", "settings": {"temperature": 0.5}}), json!(["oai/fake"])),
            (json!([{"model": "oai/fake"}, "ant/fake"]), json!(["oai/fake", "ant/fake"])),
            (json!(["oai/fake", "oai/fake"]), json!(["oai/fake", "oai/fake"])),
        ] {
            let (answer, said) = chat(&fixture.baton, json!({"model": model, "messages": "hi"}), false).await;
            assert_eq!(said.text, greeting("hi"), "{model}");
            let run = fixture.baton.run_of(&answer).await;
            assert_eq!(run["decisions"][0]["requested"], requested, "{model}");
            // One model in a list offers nothing to hand over to.
            assert!(said.calls.is_empty());
        }
    });
}

#[test]
fn no_content_type_is_as_good_as_json() {
    run(async {
        let fixture = Fixture::shared().await;
        let body = r#"{"model":"oai/fake","messages":"hi"}"#;
        for kind in [
            None,
            Some("text/plain"),
            Some("application/x-www-form-urlencoded"),
            Some("application/json; charset=utf-8"),
        ] {
            let mut request = fixture.baton.request(reqwest::Method::POST, "/v1/chat/completions").body(body);
            if let Some(kind) = kind {
                request = request.header("content-type", kind);
            }
            assert_eq!(text_of(&sent(request).await.expect(200)), greeting("hi"), "{kind:?}");
        }
    });
}

#[test]
fn a_compressed_body_is_read() {
    run(async {
        let fixture = Fixture::shared().await;
        let plain = br#"{"model":"oai/fake","messages":"hi"}"#;
        for (encoding, body) in [("gzip", gzip(plain)), ("zstd", zstd(plain)), ("identity", plain.to_vec())] {
            let answer = sent(compressed(&fixture.baton, encoding, body)).await.expect(200);
            assert_eq!(text_of(&answer), greeting("hi"), "{encoding}");
        }
    });
}

#[test]
fn a_bomb_is_refused_at_the_limit() {
    run(async {
        let baton = Baton::start("limits: { max_body_bytes: 1MiB }").await;
        let large: Vec<u8> = (0..400_000_u32).flat_map(|number| format!("{number} ").into_bytes()).collect();
        for (encoding, body) in [("gzip", gzip(&large)), ("zstd", zstd(&large))] {
            assert!(body.len() < 1 << 20, "the body is small before it is unpacked: {}", body.len());
            let error = sent(compressed(&baton, encoding, body)).await.openai_error(413);
            assert_eq!(error["code"], "request_too_large", "{encoding}");
        }
        let zeros = vec![b' '; 64 << 20];
        // Below the limit, what grows beyond reason is refused all the same.
        let fixture = Fixture::shared().await;
        for (encoding, body) in [("gzip", gzip(&zeros)), ("zstd", zstd(&zeros))] {
            let error = sent(compressed(&fixture.baton, encoding, body)).await.openai_error(400);
            assert!(
                error["message"].as_str().is_some_and(|text| text.contains("100 times")),
                "{encoding}: {error}"
            );
        }
    });
}

#[test]
fn an_encoding_that_cannot_be_read_is_refused() {
    run(async {
        let fixture = Fixture::shared().await;
        let plain = br#"{"model":"oai/fake","messages":"hi"}"#;
        for (encoding, body, status) in [
            ("br", plain.to_vec(), 415),
            ("gzip, gzip", gzip(&gzip(plain)), 415),
            ("gzip", plain.to_vec(), 400),
            ("zstd", gzip(plain), 400),
            ("gzip", gzip(plain)[..20].to_vec(), 400),
        ] {
            sent(compressed(&fixture.baton, encoding, body)).await.openai_error(status);
        }
    });
}

#[test]
fn an_answer_is_plain_even_to_a_client_that_takes_compressed_ones() {
    run(async {
        let fixture = Fixture::shared().await;
        let test = unique();
        let body = json!({"model": format!("oai/{test}/fake"), "messages": "hi"});
        let request = fixture
            .baton
            .posting("/v1/chat/completions", &body)
            .header("accept-encoding", "gzip, deflate, br, zstd");
        let answer = sent(request).await.expect(200);
        assert_eq!((answer.header("content-encoding"), text_of(&answer)), ("", greeting("hi")));
        let seen = &fixture.openai_saw(&format!("{test}/fake"))[0];
        assert!(matches!(seen.header("accept-encoding"), None | Some("identity")), "{seen:?}");
    });
}

#[test]
fn an_alias_and_a_default_provider_take_plain_names() {
    run(async {
        let upstream = baton_testkit::fake::FakeUpstream::start(
            baton_testkit::fake::Script::default().model("local-7b"),
        );
        let upstream = upstream.await.expect("a fake upstream");
        let config = format!(
            "providers:\n  oai: {{ dialect: openai_chat, base_url: \"{}\", api_key: k }}\n\
             models:\n  oai/fake-large: {{ aliases: [large, team/large] }}\n\
             default_provider: oai\n",
            upstream.base_url(),
        );
        let baton = Baton::start_in(Home::new(&config), &[]).await;
        for (name, target, sent_as) in [
            ("large", "oai/fake-large", "fake-large"),
            ("team/large", "oai/fake-large", "fake-large"),
            ("local-7b", "oai/local-7b", "local-7b"),
            ("oai/local-7b", "oai/local-7b", "local-7b"),
        ] {
            let answer = baton.chat(&json!({"model": name, "messages": "hi"})).await.expect(200);
            assert_eq!(answer.header("x-baton-model"), target, "{name}");
            assert_eq!(upstream.seen().last().expect("a request").json()["model"], sent_as, "{name}");
        }
    });
}

fn compressed(baton: &Baton, encoding: &str, body: Vec<u8>) -> reqwest::RequestBuilder {
    let request = baton.request(reqwest::Method::POST, "/v1/chat/completions");
    request.header("content-encoding", encoding).header("content-type", "application/json").body(body)
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(plain).expect("memory");
    encoder.finish().expect("memory")
}

fn zstd(plain: &[u8]) -> Vec<u8> {
    zstd::bulk::compress(plain, 3).expect("memory")
}

/// The text of an answer in either form.
fn text_of(answer: &Answer) -> String {
    if answer.header("content-type").starts_with("text/event-stream") {
        return chat_text(answer.text());
    }
    answer.json()["choices"][0]["message"]["content"].as_str().unwrap_or_default().to_owned()
}
