//! Traces leave by OTLP with the `GenAI` attributes, and hold nothing that was said.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use baton_testkit::process::Setup;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// What arrived at the collector: path and body of each export.
type Exports = Arc<Mutex<Vec<(String, Vec<u8>)>>>;

#[tokio::test]
async fn an_attempt_is_a_span_with_the_genai_names_and_no_content() {
    let exports = Exports::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let collector = tokio::task::JoinSet::from_iter([collect(listener, Arc::clone(&exports))]);

    let config = format!("telemetry: {{ otlp_endpoint: \"{endpoint}\", log_format: json }}\n");
    let setup = Setup::new(env!("CARGO_BIN_EXE_baton"), &config).unwrap();
    let baton = setup.start().await.unwrap();
    let url = format!("http://{}/v1/chat/completions", baton.address());
    let body = r#"{"model":"echo/parrot","messages":[{"role":"user","content":"canary-prompt"}]}"#;
    let response =
        reqwest::Client::new().post(url).header("content-type", "application/json").body(body).send().await;
    assert_eq!(response.unwrap().status(), 200);
    // The end flushes what the exporter still holds.
    assert!(baton.terminate(Duration::from_secs(30)).await.unwrap().success());

    let seen = exports.lock().unwrap().clone();
    let all: Vec<u8> = seen.iter().flat_map(|(_, body)| body.clone()).collect();
    let holds = |text: &str| memmem(&all, text.as_bytes());
    assert!(seen.iter().all(|(path, _)| path == "/v1/traces"), "{seen:?}");
    for name in [
        "chat parrot",
        "gen_ai.operation.name",
        "gen_ai.provider.name",
        "gen_ai.request.model",
        "gen_ai.response.model",
        "gen_ai.usage.input_tokens",
        "gen_ai.response.finish_reasons",
        "baton.decision.id",
    ] {
        assert!(holds(name), "no `{name}` in {} bytes", all.len());
    }
    assert!(!holds("canary-prompt"), "a prompt left with a trace");
    drop(collector);
}

fn memmem(all: &[u8], wanted: &[u8]) -> bool {
    all.windows(wanted.len()).any(|window| window == wanted)
}

async fn collect(listener: TcpListener, exports: Exports) {
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let exports = Arc::clone(&exports);
        let service = service_fn(move |request: Request<Incoming>| take(request, Arc::clone(&exports)));
        connections.spawn(
            hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
        );
    }
}

async fn take(request: Request<Incoming>, exports: Exports) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path().to_owned();
    let body = request.into_body().collect().await.unwrap().to_bytes();
    exports.lock().unwrap().push((path, body.to_vec()));
    Ok(Response::new(Full::default()))
}
