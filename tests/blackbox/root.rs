//! What stands beside `/v1`: the greeting, how the process stands, the documentation, CORS.

use http_body_util::BodyExt;
use hyper_util::rt::TokioIo;
use reqwest::Method;
use serde_json::json;

use super::support::{Baton, Fixture, run, sent, spawn};
use super::v1::text;

#[test]
fn the_root_greets() {
    run(async {
        let fixture = Fixture::shared().await;
        let greeting = fixture.baton.get("/").await.expect(200).json();
        assert_eq!((&greeting["name"], &greeting["docs"]), (&json!("baton"), &json!("/docs")));
        let head = sent(fixture.baton.request(Method::HEAD, "/")).await.expect(200);
        assert!(head.body.is_empty());
    });
}

#[test]
fn health_and_readiness_are_told() {
    run(async {
        let fixture = Fixture::shared().await;
        assert_eq!(fixture.baton.get("/healthz").await.expect(200).json(), json!({"status": "ok"}));
        let ready = fixture.baton.get("/readyz").await.expect(200).json();
        assert_eq!(
            (&ready["ready"], &ready["store"], &ready["problems"]),
            (&json!(true), &json!("ok"), &json!([]))
        );
        assert_eq!(text(&ready["config"]).len(), 16);
        let answer = fixture.baton.chat(&json!({"model": "oai/fake", "messages": "hi"})).await;
        assert_eq!(fixture.baton.run_of(&answer).await["decisions"][0]["config"], ready["config"]);
    });
}

#[test]
fn metrics_count_what_happened() {
    run(async {
        let fixture = Fixture::start("").await;
        fixture
            .baton
            .chat(&json!({"model": ["oai/fault-500", "ant/fake"], "messages": "hi"}))
            .await
            .expect(200);
        fixture.baton.chat(&json!({"model": "oai/fake", "messages": "hi", "stream": true})).await.expect(200);
        fixture.baton.get("/nothing").await.expect(404);
        let metrics = fixture.baton.get("/metrics").await.expect(200);
        assert!(metrics.header("content-type").starts_with("text/plain"), "{metrics:?}");
        let text = metrics.text();
        for wanted in [
            r#"provider="oai",model="fault-500",result="server_error""#,
            r#"provider="ant",model="fake",result="ok""#,
            r#"surface="/v1/chat/completions",status="200"} 2"#,
            r#"surface="other",status="404"} 1"#,
        ] {
            assert!(text.contains(wanted), "{wanted} is not in {text}");
        }
        for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
            let (_, value) = line.rsplit_once(' ').expect("a sample");
            assert!(value.parse::<f64>().is_ok(), "{line}");
        }
        assert!(text.lines().any(|line| line.starts_with("# HELP ")), "{text}");
    });
}

#[test]
fn the_document_is_served_as_the_command_prints_it() {
    run(async {
        let fixture = Fixture::shared().await;
        let served = fixture.baton.get("/openapi.json").await.expect(200).json();
        let printed = super::support::baton(&fixture.baton.home, &["openapi"]).await.expect(0).json();
        assert_eq!(served, printed);
        assert!(text(&served["openapi"]).starts_with("3.1"), "{served}");
        for (path, methods) in served["paths"].as_object().expect("paths") {
            for (method, operation) in methods.as_object().expect("methods") {
                assert!(operation["operationId"].is_string(), "{method} {path}");
                for (status, response) in operation["responses"].as_object().expect("responses") {
                    let Some(content) = response["content"].as_object() else {
                        assert_eq!(status, "202", "{method} {path} {status} has no body");
                        continue;
                    };
                    // Of what is passed on as it is, nothing can be foretold.
                    for (_, body) in content.iter().filter(|(kind, _)| *kind != "*/*") {
                        assert!(
                            !body["example"].is_null() || !body["examples"].is_null(),
                            "{method} {path} {status} has no example"
                        );
                    }
                }
            }
        }
    });
}

#[test]
fn the_documentation_works_offline() {
    run(async {
        let fixture = Fixture::shared().await;
        let page = fixture.baton.get("/docs/").await.expect(200);
        assert!(page.header("content-type").starts_with("text/html"), "{page:?}");
        let mut linked = Vec::new();
        for mark in ["src=\"", "href=\""] {
            linked.extend(page.text().split(mark).skip(1).filter_map(|rest| rest.split('"').next()));
        }
        assert!(!linked.is_empty());
        for link in linked {
            assert!(!link.contains("://") && !link.starts_with("//"), "the page needs {link}");
            let link = link.trim_start_matches("./");
            let asset = fixture.baton.get(&format!("/docs/{link}")).await.expect(200);
            assert!(!asset.body.is_empty(), "{link} is empty");
        }
        let set_up = fixture.baton.get("/docs/swagger-initializer.js").await.expect(200);
        assert!(
            set_up.text().contains("/openapi.json") && !set_up.text().contains("https://"),
            "{}",
            set_up.text()
        );
        // Without a slash it is found too.
        assert!(matches!(fixture.baton.get("/docs").await.status, 200 | 303));
    });
}

#[test]
fn what_is_not_there_is_an_error_in_the_callers_dialect() {
    run(async {
        let fixture = Fixture::shared().await;
        for path in ["/nothing", "/v1", "/v2/chat/completions", "/administrator", "/v1/"] {
            let answer = fixture.baton.get(path).await;
            assert_eq!(answer.openai_error(404)["type"], "invalid_request_error", "{path}");
        }
        let request =
            fixture.baton.request(Method::GET, "/nothing").header("anthropic-version", "2023-06-01");
        assert_eq!(sent(request).await.anthropic_error(404)["type"], "not_found_error");
    });
}

#[test]
fn another_method_is_refused_with_the_right_one() {
    run(async {
        let fixture = Fixture::shared().await;
        for path in ["/", "/healthz", "/readyz", "/metrics"] {
            let answer = fixture.baton.post(path, &json!({})).await;
            answer.openai_error(405);
            assert!(answer.header("allow").contains("GET"), "{path}: {answer:?}");
        }
    });
}

#[test]
fn a_configured_origin_may_call_and_read_our_headers() {
    run(async {
        let baton = Baton::start("cors: { origins: [\"https://app.example.com\"] }").await;
        let asked = "authorization,content-type,x-api-key,anthropic-version,anthropic-beta,anthropic-dangerous-direct-browser-access,x-stainless-lang,x-stainless-retry-count,x-baton-tags";
        for path in ["/v1/chat/completions", "/v1/messages", "/v1/models", "/v1/embeddings", "/v1/decisions"]
        {
            let preflight = baton
                .request(Method::OPTIONS, path)
                .header("origin", "https://app.example.com")
                .header("access-control-request-method", "POST")
                .header("access-control-request-headers", asked);
            let answer = sent(preflight).await;
            assert!(matches!(answer.status, 200 | 204), "{answer:?}");
            assert_eq!(answer.header("access-control-allow-origin"), "https://app.example.com", "{path}");
            assert!(answer.header("access-control-allow-methods").contains("POST"), "{answer:?}");
            let allowed = answer.header("access-control-allow-headers").to_ascii_lowercase();
            for name in asked.split(',') {
                assert!(allowed.contains(name), "{name} is not allowed: {allowed}");
            }
        }
        let body = json!({"model": "echo/hello", "messages": "hi"});
        let answer =
            sent(baton.posting("/v1/chat/completions", &body).header("origin", "https://app.example.com"))
                .await
                .expect(200);
        assert_eq!(answer.header("access-control-allow-origin"), "https://app.example.com");
        assert!(answer.header("vary").to_ascii_lowercase().contains("origin"), "{answer:?}");
        let exposed = answer.header("access-control-expose-headers").to_ascii_lowercase();
        for name in ["x-request-id", "x-baton-decision-id", "x-baton-model", "retry-after", "x-should-retry"]
        {
            assert!(exposed.contains(name), "{name} is not exposed: {exposed}");
        }
        // Errors can be read by the page as well.
        let answer = sent(
            baton.posting("/v1/chat/completions", &json!({})).header("origin", "https://app.example.com"),
        )
        .await
        .expect(400);
        assert_eq!(answer.header("access-control-allow-origin"), "https://app.example.com");
    });
}

#[test]
fn every_other_origin_is_given_nothing() {
    run(async {
        let baton = Baton::start("cors: { origins: [\"https://app.example.com\"] }").await;
        for origin in
            ["https://evil.example", "https://app.example.com.evil.example", "http://app.example.com", "null"]
        {
            let preflight = baton
                .request(Method::OPTIONS, "/v1/chat/completions")
                .header("origin", origin)
                .header("access-control-request-method", "POST");
            let answer = sent(preflight).await;
            assert_eq!(answer.header("access-control-allow-origin"), "", "{origin}");
            let answer = sent(baton.request(Method::GET, "/v1/models").header("origin", origin)).await;
            assert_eq!((answer.status, answer.header("access-control-allow-origin")), (403, ""), "{origin}");
        }
        // Nor is the list of models given to a page where no origin is configured.
        let baton = Baton::start("").await;
        let answer =
            sent(baton.request(Method::GET, "/healthz").header("origin", "https://app.example.com")).await;
        assert_eq!(answer.header("access-control-allow-origin"), "");
    });
}

#[test]
fn http_2_without_tls_is_served_too() {
    run(async {
        let fixture = Fixture::shared().await;
        let tcp = tokio::net::TcpStream::connect(fixture.baton.address()).await.expect("a connection");
        let executor = hyper_util::rt::TokioExecutor::new();
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(executor, TokioIo::new(tcp)).await.expect("HTTP/2");
        drop(spawn(connection));
        let body = json!({"model": "oai/fake", "messages": "hi", "stream": true}).to_string();
        let uri = format!("http://{}/v1/chat/completions", fixture.baton.address());
        let request = hyper::Request::post(uri).body(http_body_util::Full::new(bytes::Bytes::from(body)));
        let response = sender.send_request(request.expect("a request")).await.expect("a response");
        assert!(
            response.status().is_success() && response.headers().contains_key("x-request-id"),
            "{response:?}"
        );
        let body = response.into_body().collect().await.expect("a whole body").to_bytes();
        assert!(body.ends_with(b"data: [DONE]\n\n"));
    });
}
