//! The fast lane: what a client says to an upstream of its own dialect arrives byte for byte.

use serde_json::json;

use crate::blackbox::support::{Answer, Fixture, run, sent, unique};
use crate::blackbox::v1::answers::text;

/// Members nobody knows, numbers that no machine type holds, odd spacing, every kind of escape.
const ODD: &str = r#""messages" : [ {"role":"user","content":"a\u00e9\u0022\/\n\ud83e\udd80 ü","x_inner":1.0e-3} ],
  "x_unknown": {"b": 1, "a": [1.10, 1e400, 12345678901234567890123, -0.0, 1E5], "dup": 1, "dup": 2},
  "seed":7, "x_empty" :{ }, "x_null_inside": [null], "temperature":0.70"#;

#[test]
fn everything_but_the_model_survives_byte_for_byte() {
    run(async {
        let fixture = Fixture::shared().await;
        let test = unique();
        let saw =
            passed(&fixture, "chat/completions", &format!(r#"{{"model":"oai/{test}/fake",{ODD}}}"#), &test)
                .await;
        assert_eq!(saw, format!(r#"{{"model":"{test}/fake",{ODD}}}"#));
    });
}

#[test]
fn a_message_of_anthropics_survives_too() {
    run(async {
        let fixture = Fixture::shared().await;
        let test = unique();
        let rest = r#""max_tokens" : 9, "top_p": 9.0e-1, "messages": [{"role":"user","content":"\u00e9"}], "x_thing": {"z":1,"a":2}"#;
        let body = format!(r#"{{"model":"ant/{test}/fake",{rest}}}"#);
        let saw = passed(&fixture, "messages", &body, &test).await;
        assert_eq!(saw, format!(r#"{{"model":"{test}/fake",{rest}}}"#));
    });
}

#[test]
fn the_order_of_members_is_the_clients() {
    run(async {
        let fixture = Fixture::shared().await;
        let test = unique();
        let body = format!(
            r#"{{"x_z":1,"messages":[{{"role":"user","content":"hi"}}],"model":"oai/{test}/fake","x_a":2}}"#
        );
        let saw = passed(&fixture, "chat/completions", &body, &test).await;
        assert_eq!(saw, body.replace("oai/", ""));
    });
}

#[test]
fn the_gateways_own_keys_do_not_leave_it() {
    run(async {
        let fixture = Fixture::shared().await;
        let test = unique();
        // The attributes are followed, so the model that is looked at offers what is wanted.
        let own = r#""models":["ant/fake"],"fallbacks":["ant/fake"],"provider":{"only":["oai","ant"]},"route":"fallback",
            "baton":{"tags":["x"],"session":"s"},"mcp_servers":["a/b"],"credentials":[{"connection_name":"x"}],
            "agent_attributes":{"speed":1},"model_attributes":{"oai/TEST/fake":{"speed":1}},"handoff_config":{"a":1},"max_turns":3,
            "handoff_mode":true,"correlation_id":"c","deferred_calls":[],"automatic_tool_execution":false,
            "auto_execute_tools":false,"guardrails":[{"type":"pii"}],"deferred":false"#;
        let own = own.replace("TEST", &test);
        let body =
            format!(r#"{{"model":"oai/{test}/fake",{own},"messages":[{{"role":"user","content":"hi"}}]}}"#);
        let saw = passed(&fixture, "chat/completions", &body, &test).await;
        assert_eq!(
            saw,
            format!(r#"{{"model":"{test}/fake","messages":[{{"role":"user","content":"hi"}}]}}"#)
        );
    });
}

#[test]
fn usage_is_asked_for_on_a_stream_and_nothing_else_changes() {
    run(async {
        let fixture = Fixture::shared().await;
        for (asked, arrives) in [
            ("", r#""stream_options":{"include_usage":true}"#),
            (r#","stream_options":null"#, r#""stream_options":{"include_usage":true}"#),
            (r#","stream_options":{"include_usage":false}"#, r#""stream_options":{"include_usage":true}"#),
            (r#","stream_options":{"include_usage":true}"#, r#""stream_options":{"include_usage":true}"#),
        ] {
            let test = unique();
            let rest = r#""messages":[{"role":"user","content":"hi"}],"stream":true"#;
            let body = format!(r#"{{"model":"oai/{test}/fake",{rest}{asked}}}"#);
            let saw = passed(&fixture, "chat/completions", &body, &test).await;
            assert_eq!(saw, format!(r#"{{"model":"{test}/fake",{rest},{arrives}}}"#), "{asked}");
        }
    });
}

#[test]
fn a_key_that_stands_twice_is_refused() {
    run(async {
        let fixture = Fixture::shared().await;
        let test = unique();
        let allowed = format!("oai/{test}/fake");
        for twice in [
            format!(r#"{{"model":"{allowed}","messages":"hi","model":"ant/fake"}}"#),
            format!(r#"{{"model":"{allowed}","messages":"hi","mod\u0065l":"ant/fake"}}"#),
            format!(r#"{{"model":"{allowed}","messages":"hi","stream":false,"stream":true}}"#),
            format!(r#"{{"model":"{allowed}","messages":"hi","x_unknown":1,"x_unknown":1}}"#),
        ] {
            let answer = post(&fixture, "chat/completions", &twice).await;
            let error = answer.openai_error(400);
            assert!(text(&error["message"]).contains("twice"), "{twice}: {error}");
        }
        assert!(fixture.openai_saw(&format!("{test}/fake")).is_empty(), "a refused request left the gateway");
    });
}

#[test]
fn the_upstream_gets_what_the_policy_saw() {
    run(async {
        let fixture = Fixture::shared().await;
        for (spelling, model) in [
            (r#""mod\u0065l":"oai/{}/fake""#, "fake"),
            (r#""model":"oai\/{}\/fake""#, "fake"),
            (r#""model":"\u006fai/{}/fak\u0065""#, "fake"),
            (r#""model" : "oai/{}/fake", "Model":"ant/fake""#, "fake"),
        ] {
            let test = unique();
            let body = format!(
                r#"{{{},"messages":[{{"role":"user","content":"hi"}}]}}"#,
                spelling.replace("{}", &test)
            );
            let answer = post(&fixture, "chat/completions", &body).await;
            let wanted = format!("{test}/{model}");
            let saw: Vec<_> = fixture.openai_saw(&wanted);
            assert_eq!(saw.len(), 1, "{body}: {answer:?}");
            assert_eq!(answer.header("x-baton-model"), format!("oai/{wanted}"), "{body}");
        }
    });
}

#[test]
fn an_answer_passes_byte_for_byte() {
    use baton_testkit::fake::{End, FakeUpstream, Raw, Script, Step};
    run(async {
        let odd = r#"{ "id":"x", "object":"chat.completion","created":1,"model":"m", "x_new":[1.50,1e999,{"b":1,"a":2}],"choices":[{"index":0,"message":{"role":"assistant","content":"\u00e9\/","refusal":null},"logprobs":null,"finish_reason":"stop"}] }"#;
        let raw = Raw {
            status: 200,
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            pieces: vec![odd.into()],
            then: End::Whole,
        };
        let fake =
            FakeUpstream::start(Script::default().then(Step::Raw(raw))).await.expect("a fake upstream");
        let other = FakeUpstream::start(Script::default()).await.expect("a fake upstream");
        let baton = crate::blackbox::support::Baton::start(&Fixture::config(&fake, &other, "")).await;
        let answer = baton.chat(&json!({"model": "oai/fake", "messages": "hi"})).await.expect(200);
        assert_eq!(answer.text(), odd);
    });
}

async fn post(fixture: &Fixture, path: &str, body: &str) -> Answer {
    let request = fixture.baton.request(reqwest::Method::POST, &format!("/v1/{path}"));
    sent(request.header("content-type", "application/json").body(body.to_owned())).await
}

/// What reached the upstream of this body; the fake may well refuse it, being strict.
async fn passed(fixture: &Fixture, path: &str, body: &str, test: &str) -> String {
    post(fixture, path, body).await;
    let all = fixture.openai.seen().into_iter().chain(fixture.anthropic.seen());
    let mine = all.filter(|seen| String::from_utf8_lossy(&seen.body).contains(&format!("{test}/fake")));
    let bodies: Vec<String> = mine.map(|seen| String::from_utf8(seen.body.to_vec()).expect("text")).collect();
    assert_eq!(bodies.len(), 1, "{body}");
    bodies.into_iter().next().unwrap_or_default()
}
