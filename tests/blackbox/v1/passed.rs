//! Every other `/v1/*`: passed on to the one provider it names, and audited.

use baton_testkit::fake::{Credential, FakeUpstream, Script};
use reqwest::Method;
use serde_json::json;

use super::answers::text;
use crate::blackbox::support::{Baton, Fixture, run, sent, unique};

#[test]
fn embeddings_go_to_the_provider_of_the_header_or_of_the_model() {
    run(async {
        let fixture = Fixture::shared().await;
        for by_header in [true, false] {
            let test = unique();
            let name = format!("{test}/fake");
            let model = if by_header { name.clone() } else { format!("oai/{name}") };
            let mut request = fixture
                .baton
                .posting("/v1/embeddings?a=b%20c", &json!({"input": "hi", "model": model, "dimensions": 4}));
            if by_header {
                request = request.header("x-baton-provider", "oai");
            }
            let answer = sent(request).await.expect(200);
            let body = answer.json();
            assert_eq!((&body["object"], &body["model"]), (&json!("list"), &json!(name)), "{body}");
            assert_eq!(body["data"][0]["embedding"].as_array().map(Vec::len), Some(4));
            assert_eq!(
                (answer.header("x-baton-provider"), answer.header("x-baton-reason")),
                ("oai", "named_provider")
            );
            let seen = &fixture.openai_saw(&name)[0];
            assert_eq!(
                (seen.path.as_str(), seen.credential),
                ("/v1/embeddings?a=b%20c", Some(Credential::of("sk-fake-openai")))
            );
            let run = fixture.baton.run_of(&answer).await;
            let decision = &run["decisions"][0];
            assert_eq!(
                (&decision["surface"], &decision["to"]),
                (&json!("/v1/*"), &json!(format!("oai/{name}")))
            );
            assert_eq!(
                (&decision["outcome"]["status"], &decision["outcome"]["http_status"]),
                (&json!("ok"), &json!(200))
            );
            assert!(text(&decision["reason"]["text"]).contains("/embeddings"), "{decision}");
        }
    });
}

#[test]
fn a_plain_name_goes_to_the_default_provider_and_without_one_nowhere() {
    run(async {
        let fixture = Fixture::shared().await;
        let body = json!({"input": "hi", "model": "fake"});
        let error = fixture.baton.post("/v1/embeddings", &body).await.openai_error(404);
        for way in ["x-baton-provider", "provider/model", "default_provider"] {
            assert!(text(&error["message"]).contains(way), "{error}");
        }
        let fixture = Fixture::start("default_provider: oai").await;
        fixture.baton.post("/v1/embeddings", &body).await.expect(200);
        assert_eq!(fixture.openai_saw("fake").len(), 1);
    });
}

#[test]
fn an_unknown_provider_is_named_in_the_error() {
    run(async {
        let fixture = Fixture::shared().await;
        let request = |provider: &str| {
            fixture
                .baton
                .posting("/v1/embeddings", &json!({"input": "hi"}))
                .header("x-baton-provider", provider)
        };
        let error = sent(request("nobody")).await.openai_error(404);
        assert!(text(&error["message"]).contains("`nobody`"), "{error}");
        sent(request("no body")).await.openai_error(400);
    });
}

#[test]
fn an_error_of_the_provider_is_passed_on_as_it_is() {
    run(async {
        let fixture = Fixture::shared().await;
        let request = fixture.baton.posting("/v1/embeddings", &json!({"model": "oai/fake"}));
        let answer = sent(request).await.expect(400);
        assert_eq!(answer.json()["error"]["code"], "missing_required_parameter");
        let run = fixture.baton.run_of(&answer).await;
        assert_eq!(run["decisions"][0]["outcome"]["status"], "failed", "{run}");
    });
}

#[test]
fn other_methods_and_other_bodies_are_passed_on_too() {
    run(async {
        let fixture = Fixture::shared().await;
        let test = unique();
        for method in [Method::GET, Method::DELETE, Method::PUT] {
            let request = fixture
                .baton
                .request(method.clone(), &format!("/v1/files/{test}?limit=3"))
                .header("x-baton-provider", "oai");
            // The fake has no such path, so what comes back is its own 404.
            let answer = sent(request).await.expect(404);
            assert_eq!(answer.json()["error"]["code"], "unknown_url", "{answer:?}");
            let seen = fixture.openai.seen();
            let last = seen.iter().rev().find(|seen| seen.path.contains(&test)).expect("a request");
            assert_eq!(
                (last.method.as_str(), last.path.as_str()),
                (method.as_str(), format!("/v1/files/{test}?limit=3").as_str())
            );
        }
        let form = "--x\r\ncontent-disposition: form-data; name=\"model\"\r\n\r\nwhisper\r\n--x--\r\n";
        let request = fixture.baton.request(Method::POST, &format!("/v1/audio/transcriptions?{test}"));
        let request = request
            .header("x-baton-provider", "oai")
            .header("content-type", "multipart/form-data; boundary=x")
            .body(form);
        sent(request).await;
        let seen = fixture.openai.seen();
        let last = seen
            .iter()
            .rev()
            .find(|seen| seen.path.contains(&test) && seen.path.contains("audio"))
            .expect("a request");
        assert_eq!(
            (&last.body[..], last.header("content-type")),
            (form.as_bytes(), Some("multipart/form-data; boundary=x"))
        );
    });
}

#[test]
fn a_path_cannot_climb_out_of_v1() {
    run(async {
        let fixture = Fixture::shared().await;
        let before = fixture.openai.seen().len();
        for path in [
            "/v1/../admin",
            "/v1/%2e%2e/admin",
            "/v1/x/..%2f..%2fadmin",
            "/v1/%2e%2e%2fadmin",
            "/v1/x/%2e%2e/%2e%2e/admin",
            "/v1/..;/admin",
        ] {
            let head = format!(
                "POST {path} HTTP/1.1\r\nhost: localhost\r\nx-baton-provider: oai\r\ncontent-length: 0\r\n\r\n"
            );
            let head = crate::blackbox::support::exchange(fixture.baton.address(), head.as_bytes()).await;
            assert_eq!(crate::blackbox::support::status_of(&head), 404, "{path}: {head}");
        }
        let escaped = fixture.openai.seen().split_off(before);
        let escaped: Vec<_> = escaped.iter().filter(|seen| seen.path.contains("admin")).collect();
        assert!(escaped.is_empty(), "{escaped:?}");
    });
}

#[test]
fn the_callers_own_credentials_do_not_go_on() {
    run(async {
        let fake = FakeUpstream::start(Script::default()).await.expect("a fake upstream");
        let other = FakeUpstream::start(Script::default()).await.expect("a fake upstream");
        let baton = Baton::start(&Fixture::config(&fake, &other, "")).await;
        let request = baton.posting("/v1/embeddings", &json!({"model": "oai/fake", "input": "hi"}));
        let request = request
            .bearer_auth("bat_callers-own")
            .header("cookie", "session=1")
            .header("x-forwarded-for", "10.0.0.1")
            .header("x-baton-tags", "t");
        sent(request).await.expect(200);
        let seen = &fake.seen()[0];
        assert_eq!(seen.credential, Some(Credential::of("sk-fake-openai")));
        for name in ["cookie", "x-forwarded-for", "x-baton-tags"] {
            assert_eq!(seen.header(name), None, "{name} was passed on");
        }
    });
}

#[test]
fn a_passed_answer_that_breaks_off_breaks_off_for_the_client_too() {
    use crate::blackbox::support;
    use baton_testkit::fake::{End, Raw, Step};
    run(async {
        // Embeddings are answered by no script, so the broken answer is one to a chat that is passed on.
        let raw = Raw {
            status: 200,
            headers: vec![("content-type".to_owned(), "application/octet-stream".to_owned())],
            pieces: vec![b"half of".to_vec()],
            then: End::Cut,
        };
        let fake =
            FakeUpstream::start(Script::default().then(Step::Raw(raw))).await.expect("a fake upstream");
        let proxy = chat_under_completions(&fake);
        let baton = Baton::start(&proxy).await;
        let body = json!({"model": "fake", "messages": [{"role": "user", "content": "hi"}]}).to_string();
        let head = format!(
            "POST /v1/completions HTTP/1.1\r\nhost: localhost\r\nx-baton-provider: odd\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len(),
        );
        let mut client = support::Raw::open(baton.address()).await;
        client.say(head.as_bytes()).await.expect("a request");
        let came = client.read_until(|text| text.ends_with("0\r\n\r\n")).await;
        assert!(came.contains("half of"), "{came}");
        assert!(!came.ends_with("0\r\n\r\n"), "a broken answer was ended in order: {came}");
    });
}

/// A provider whose `/completions` is the fake's `/v1/chat/completions`.
fn chat_under_completions(fake: &FakeUpstream) -> String {
    format!(
        "providers:\n  odd: {{ dialect: openai_chat, base_url: \"{}/chat\", api_key: k }}\n",
        fake.base_url()
    )
}

#[test]
fn a_credential_of_ours_that_is_refused_is_not_the_callers() {
    run(async {
        let fake = FakeUpstream::start(Script::default().key("sk-good")).await.expect("a fake upstream");
        let other = FakeUpstream::start(Script::default()).await.expect("a fake upstream");
        let baton = Baton::start(&Fixture::config(&fake, &other, "")).await;
        let answer = baton.post("/v1/embeddings", &json!({"model": "oai/fake", "input": "hi"})).await;
        assert_eq!(answer.openai_error(502)["code"], "upstream_auth");
        let run = baton.run_of(&answer).await;
        assert_eq!(run["decisions"][0]["outcome"]["fault"], "unauthorized", "{run}");
    });
}
