use std::net::SocketAddr;
use std::time::Duration;

use baton_model::Secret;
use baton_net::client::ClientOptions;
use baton_net::egress::Trust;
use http::HeaderValue;
use http_body_util::BodyExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;
use crate::{AuthScheme, PRESETS, preset};

const KEY: &str = "sk-own-0123456789";
const BYOK: &str = "sk-byok-9876543210";
const EMPTY_ANSWER: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}";

#[test]
fn every_preset_is_called_where_its_reference_says() {
    let expected = [
        ("openai", "https://api.openai.com/v1/chat/completions"),
        ("anthropic", "https://api.anthropic.com/v1/messages"),
        ("gemini", "https://generativelanguage.googleapis.com/v1beta/openai/chat/completions"),
        ("groq", "https://api.groq.com/openai/v1/chat/completions"),
        ("mistral", "https://api.mistral.ai/v1/chat/completions"),
        ("deepseek", "https://api.deepseek.com/chat/completions"),
        ("xai", "https://api.x.ai/v1/chat/completions"),
        ("together", "https://api.together.ai/v1/chat/completions"),
        ("fireworks", "https://api.fireworks.ai/inference/v1/chat/completions"),
        ("openrouter", "https://openrouter.ai/api/v1/chat/completions"),
        ("cerebras", "https://api.cerebras.ai/v1/chat/completions"),
        ("ollama", "http://127.0.0.1:11434/v1/chat/completions"),
        ("vllm", "http://127.0.0.1:8000/v1/chat/completions"),
        ("lmstudio", "http://127.0.0.1:1234/v1/chat/completions"),
    ];
    let made: Vec<(&str, String)> = PRESETS
        .iter()
        .map(|preset| {
            let config = ProviderConfig::from_preset(preset, Vec::new()).unwrap();
            (preset.name, url(config, &Call::answers(Vec::new())).unwrap())
        })
        .collect();
    let made: Vec<(&str, &str)> = made.iter().map(|(name, url)| (*name, url.as_str())).collect();
    assert_eq!(made, expected);
}

#[test]
fn a_messages_base_may_end_in_v1_or_not() {
    let expected = "https://proxy.example/anthropic/v1/messages";
    check_url(
        Dialect::AnthropicMessages,
        "https://proxy.example/anthropic",
        CallPath::Answers,
        None,
        Ok(expected),
    );
    check_url(
        Dialect::AnthropicMessages,
        "https://proxy.example/anthropic/v1/",
        CallPath::Answers,
        None,
        Ok(expected),
    );
}

#[test]
fn the_query_of_a_messages_client_passes() {
    check_url(
        Dialect::AnthropicMessages,
        "https://a.example",
        CallPath::CountTokens,
        Some("beta=true"),
        Ok("https://a.example/v1/messages/count_tokens?beta=true"),
    );
}

#[test]
fn the_query_of_a_chat_client_stays_here() {
    let expected = Ok("https://a.example/v1/chat/completions");
    check_url(Dialect::OpenaiChat, "https://a.example/v1", CallPath::Answers, Some("key=1"), expected);
}

#[test]
fn responses_are_asked_for_below_the_base() {
    let expected = Ok("https://a.example/v1/responses");
    check_url(Dialect::OpenaiResponses, "https://a.example/v1", CallPath::Answers, Some("key=1"), expected);
    check_url(Dialect::OpenaiChat, "https://a.example/v1", CallPath::Responses, Some("key=1"), expected);
    let expected = Err(FaultKind::UnsupportedFeature);
    check_url(Dialect::OpenaiResponses, "https://a.example/v1", CallPath::CountTokens, None, expected);
}

#[test]
fn other_paths_go_below_the_base() {
    check_url(
        Dialect::OpenaiChat,
        "https://a.example/api/v1",
        raw("/files/f-1/content"),
        Some("after=x"),
        Ok("https://a.example/api/v1/files/f-1/content?after=x"),
    );
    check_url(
        Dialect::AnthropicMessages,
        "https://a.example",
        raw("/models"),
        None,
        Ok("https://a.example/v1/models"),
    );
}

#[test]
fn chat_providers_count_no_tokens() {
    let expected = Err(FaultKind::UnsupportedFeature);
    check_url(Dialect::OpenaiChat, "https://a.example/v1", CallPath::CountTokens, None, expected);
}

#[test]
fn a_query_that_would_end_the_url_is_refused() {
    let expected = Err(FaultKind::InvalidRequest);
    check_url(Dialect::AnthropicMessages, "https://a.example", CallPath::Answers, Some("a=1#b"), expected);
    let expected = Err(FaultKind::InvalidRequest);
    check_url(Dialect::AnthropicMessages, "https://a.example", CallPath::Answers, Some("a\r\nb"), expected);
}

#[tokio::test]
async fn a_chat_call_carries_the_key_as_bearer() {
    let call = Call::answers(vec![Bytes::from_static(b"{\"a\":"), Bytes::from_static(b"1}")]);
    let (seen, _) = exchange(chat(), call, EMPTY_ANSWER).await;
    assert_eq!(
        seen.lines(),
        [
            "POST /v1/chat/completions HTTP/1.1",
            "accept-encoding: identity",
            "accept: application/json",
            "authorization: Bearer sk-own-0123456789",
            "content-length: 7",
            "content-type: application/json",
            concat!("user-agent: baton/", env!("CARGO_PKG_VERSION")),
        ]
    );
    assert_eq!(seen.body, "{\"a\":1}");
}

#[tokio::test]
async fn a_messages_call_carries_the_key_and_a_version() {
    let config = provider(Dialect::AnthropicMessages);
    let (seen, _) = exchange(config, Call::answers(Vec::new()), EMPTY_ANSWER).await;
    assert!(seen.has("POST /v1/messages HTTP/1.1"), "{seen:?}");
    assert!(seen.has("x-api-key: sk-own-0123456789"), "{seen:?}");
    assert!(seen.has("anthropic-version: 2023-06-01"), "{seen:?}");
    assert!(!seen.names("authorization"), "{seen:?}");
}

#[tokio::test]
async fn a_messages_client_names_its_own_version_and_betas() {
    let forward = HeaderMap::from_iter([
        (http::HeaderName::from_static("anthropic-version"), HeaderValue::from_static("2026-10-21")),
        (http::HeaderName::from_static("anthropic-beta"), HeaderValue::from_static("a,b")),
    ]);
    let call = Call { forward, ..Call::answers(Vec::new()) };
    let (seen, _) = exchange(provider(Dialect::AnthropicMessages), call, EMPTY_ANSWER).await;
    assert!(seen.has("anthropic-version: 2026-10-21"), "{seen:?}");
    assert!(seen.has("anthropic-beta: a,b"), "{seen:?}");
}

#[tokio::test]
async fn a_stream_is_asked_for_as_one() {
    let call = Call { stream: true, ..Call::answers(Vec::new()) };
    let (seen, _) = exchange(chat(), call, EMPTY_ANSWER).await;
    assert!(seen.has("accept: text/event-stream"), "{seen:?}");
}

#[tokio::test]
async fn what_is_the_clients_own_stays_here() {
    let forward: HeaderMap = [
        ("authorization", "Bearer client"),
        ("x-api-key", "client"),
        ("cookie", "session=1"),
        ("host", "gateway.example"),
        ("connection", "x-hop"),
        ("x-hop", "1"),
        ("te", "trailers"),
        ("proxy-authorization", "Basic client"),
        ("x-forwarded-for", "192.0.2.1"),
        ("accept-encoding", "gzip"),
        ("openai-organization", "org-client"),
        ("anthropic-beta", "not-for-chat"),
    ]
    .into_iter()
    .map(|(name, value)| (http::HeaderName::from_static(name), HeaderValue::from_static(value)))
    .collect();
    let call = Call { forward, ..Call::answers(Vec::new()) };
    let (seen, _) = exchange(chat(), call, EMPTY_ANSWER).await;
    let text = seen.head.to_lowercase();
    for foreign in
        ["client", "session=1", "gateway", "x-hop", "trailers", "192.0.2.1", "gzip", "not-for-chat"]
    {
        assert!(!text.contains(foreign), "{foreign} in {text}");
    }
}

#[tokio::test]
async fn a_clients_key_replaces_ours_and_brings_its_account() {
    let forward = HeaderMap::from_iter([(
        http::HeaderName::from_static("openai-organization"),
        HeaderValue::from_static("org-client"),
    )]);
    let credential = Credential::Byok(Secret::new(BYOK.to_owned()));
    let call = Call { forward, credential, ..Call::answers(Vec::new()) };
    let (seen, _) = exchange(chat(), call, EMPTY_ANSWER).await;
    assert!(seen.has("authorization: Bearer sk-byok-9876543210"), "{seen:?}");
    assert!(seen.has("openai-organization: org-client"), "{seen:?}");
    assert!(!seen.head.contains(KEY), "{seen:?}");
}

#[tokio::test]
async fn the_second_key_can_be_chosen() {
    let mut config = chat();
    config.credentials.push(Secret::new("sk-second".to_owned()));
    let call = Call { credential: Credential::Own(1), ..Call::answers(Vec::new()) };
    let (seen, _) = exchange(config, call, EMPTY_ANSWER).await;
    assert!(seen.has("authorization: Bearer sk-second"), "{seen:?}");
}

#[tokio::test]
async fn a_provider_without_keys_gets_none() {
    let config = ProviderConfig { credentials: Vec::new(), ..chat() };
    let (seen, _) = exchange(config, Call::answers(Vec::new()), EMPTY_ANSWER).await;
    assert!(!seen.names("authorization"), "{seen:?}");
}

#[tokio::test]
async fn a_key_may_have_a_header_of_its_own() {
    let mut config = chat();
    config.auth = AuthScheme::Header(http::HeaderName::from_static("api-key"));
    config.headers.insert("x-team", HeaderValue::from_static("red"));
    let (seen, _) = exchange(config, Call::answers(Vec::new()), EMPTY_ANSWER).await;
    assert!(seen.has("api-key: sk-own-0123456789"), "{seen:?}");
    assert!(seen.has("x-team: red"), "{seen:?}");
    assert!(!seen.names("authorization"), "{seen:?}");
}

#[tokio::test]
async fn a_path_that_is_passed_on_keeps_method_and_type() {
    let path = CallPath::Raw {
        method: Method::PUT,
        path: "/files".parse().unwrap(),
        content_type: Some(HeaderValue::from_static("multipart/form-data; boundary=x")),
    };
    let call = Call { path, ..Call::answers(vec![Bytes::from_static(b"--x--")]) };
    let (seen, _) = exchange(chat(), call, EMPTY_ANSWER).await;
    assert!(seen.has("PUT /v1/files HTTP/1.1"), "{seen:?}");
    assert!(seen.has("content-type: multipart/form-data; boundary=x"), "{seen:?}");
    assert_eq!(seen.body, "--x--");
}

#[tokio::test]
async fn an_error_status_is_an_answer() {
    let answer = "HTTP/1.1 429 Too Many Requests\r\nretry-after: 7\r\nx-request-id: req-1\r\ncontent-length: 4\r\n\r\nslow";
    let (_, answer) = exchange(chat(), Call::answers(Vec::new()), answer).await;
    let answer = answer.unwrap();
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(crate::request_id(&answer.headers), Some("req-1"));
    assert_eq!(answer.body.collect().await.unwrap().to_bytes(), "slow");
}

#[tokio::test]
async fn a_compressed_answer_is_refused() {
    let answer = "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 4\r\n\r\n\x1f\x08\x00\x00";
    let (_, answer) = exchange(chat(), Call::answers(Vec::new()), answer).await;
    let fault = answer.unwrap_err();
    assert_eq!((fault.kind, fault.status), (FaultKind::MalformedAnswer, Some(200)));
    assert_eq!(fault.message, "`local` compressed its answer with `gzip`, unasked");
}

#[tokio::test]
async fn a_compressed_error_keeps_its_kind() {
    let answer =
        "HTTP/1.1 429 Slow\r\ncontent-encoding: br\r\nretry-after: 3\r\ncontent-length: 4\r\n\r\nabcd";
    let (_, answer) = exchange(chat(), Call::answers(Vec::new()), answer).await;
    let fault = answer.unwrap_err();
    assert_eq!((fault.kind, fault.retry_after), (FaultKind::RateLimited, Some(Duration::from_secs(3))));
}

#[tokio::test]
async fn an_answer_that_is_cut_is_truncated() {
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"id\":";
    let (_, answer) = exchange(chat(), Call::answers(Vec::new()), answer).await;
    let fault = answer.unwrap().body.collect().await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Truncated);
    assert!(fault.message.starts_with("the answer of `local` broke off: "), "{fault}");
}

#[tokio::test]
async fn what_is_no_http_is_no_answer() {
    let (_, answer) = exchange(chat(), Call::answers(Vec::new()), "220 mail.example ESMTP\r\n").await;
    let fault = answer.unwrap_err();
    assert_eq!(fault.kind, FaultKind::MalformedAnswer, "{fault}");
}

#[tokio::test]
async fn an_answer_that_never_begins_is_a_connection_fault() {
    let (_, answer) = exchange(chat(), Call::answers(Vec::new()), "").await;
    assert_eq!(answer.unwrap_err().kind, FaultKind::Connect);
}

#[tokio::test]
async fn a_closed_port_is_a_connection_fault_that_names_the_provider() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let fault = upstream(at(chat(), address)).send(Call::answers(Vec::new())).await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Connect);
    assert_eq!(fault.message, "no answer from `local`: the host refused the connection");
}

#[test]
fn calls_and_bodies_can_move_between_threads() {
    fn check<T: Send>(_: &T) {}
    check(&Upstream::echo().send(Call::answers(Vec::new())));
    check(&std::marker::PhantomData::<UpstreamBody>);
}

#[test]
fn nothing_prints_a_key() {
    let mut config = chat();
    config.headers.insert("x-secret", HeaderValue::from_static("sk-in-a-header"));
    let credential = Credential::Byok(Secret::new(BYOK.to_owned()));
    let call = Call { credential, ..Call::answers(vec![Bytes::from_static(b"a prompt")]) };
    let printed = format!("{config:?} {:?} {call:?}", upstream(config.clone()));
    for secret in [KEY, BYOK, "sk-in-a-header", "a prompt"] {
        assert!(!printed.contains(secret), "{secret} in {printed}");
    }
    assert!(printed.contains("x-secret"), "{printed}");
}

#[test]
fn a_key_that_a_provider_repeats_is_hidden() {
    let body = format!("{{\"error\":{{\"message\":\"bad header: Bearer {KEY}\",\"code\":\"{KEY}\"}}}}");
    let fault = upstream(chat()).fault(
        &Credential::Own(0),
        StatusCode::BAD_REQUEST,
        &HeaderMap::new(),
        body.as_bytes(),
    );
    assert!(!format!("{fault:?}").contains(KEY), "{fault:?}");
    let body = body.replace(KEY, BYOK);
    let credential = Credential::Byok(Secret::new(BYOK.to_owned()));
    let fault =
        upstream(chat()).fault(&credential, StatusCode::BAD_REQUEST, &HeaderMap::new(), body.as_bytes());
    assert!(!format!("{fault:?}").contains(BYOK), "{fault:?}");
}

#[test]
fn a_key_that_no_header_can_carry_is_a_config_error() {
    for (bad, number) in [("sk\nnewline", 2), ("", 2)] {
        let mut config = chat();
        config.credentials.push(Secret::new(bad.to_owned()));
        let error = Upstream::new(config, client()).unwrap_err();
        assert_eq!(error, ConfigError::Credential { provider: "local".parse().unwrap(), number });
    }
}

#[tokio::test]
async fn a_clients_key_that_no_header_can_carry_is_its_fault() {
    let credential = Credential::Byok(Secret::new("a\r\nhost: b".to_owned()));
    let call = Call { credential, ..Call::answers(Vec::new()) };
    let fault = upstream(chat()).send(call).await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::InvalidRequest);
    assert!(!fault.message.contains("host: b"), "{fault}");
}

#[test]
fn a_configured_header_cannot_replace_ours() {
    for name in ["authorization", "host", "content-length", "accept-encoding", "transfer-encoding"] {
        let mut config = chat();
        config.headers.insert(http::HeaderName::from_static(name), HeaderValue::from_static("x"));
        let error = Upstream::new(config, client()).unwrap_err();
        assert!(matches!(&error, ConfigError::Header { header, .. } if header == name), "{error:?}");
    }
}

#[tokio::test]
async fn echo_is_an_upstream_like_any_other() {
    let echo = Upstream::echo();
    assert_eq!(
        (echo.name().as_str(), echo.dialect(), echo.credential_count()),
        ("echo", Dialect::OpenaiChat, 0)
    );
    assert!(echo.serves("slow?ttft=1") && !echo.serves("gpt-4o"));
    assert!(matches!(echo.models(), ModelNames::Listed(names) if names.len() == 9));
    let body = vec![
        Bytes::from_static(b"{\"model\":\"parrot\","),
        Bytes::from_static(b"\"messages\":[{\"role\":\"user\",\"content\":\"joined\"}]}"),
    ];
    let answer = echo.send(Call::answers(body)).await.unwrap();
    assert_eq!(answer.status, StatusCode::OK);
    let body = answer.body.collect().await.unwrap().to_bytes();
    assert!(String::from_utf8_lossy(&body).contains("\"content\":\"joined\""));
}

#[tokio::test]
async fn echo_lists_its_models_and_has_no_other_path() {
    let send = async |path| {
        let answer = Upstream::echo().send(Call { path, ..Call::answers(Vec::new()) }).await.unwrap();
        (answer.status, String::from_utf8(answer.body.collect().await.unwrap().to_bytes().into()).unwrap())
    };
    let (status, list) =
        send(CallPath::Raw { method: Method::GET, path: "/models".parse().unwrap(), content_type: None })
            .await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(list.matches("\"object\":\"model\"").count(), 9, "{list}");
    for path in [raw("/embeddings"), CallPath::CountTokens] {
        let (status, error) = send(path).await;
        assert_eq!(status, StatusCode::NOT_FOUND);
        assert!(error.contains("unknown_url"), "{error}");
    }
}

/// What a server saw.
#[derive(Debug)]
struct Seen {
    head: String,
    body: String,
}

impl Seen {
    /// The request line, then the headers but `host`, sorted.
    fn lines(&self) -> Vec<&str> {
        let mut lines: Vec<&str> = self.head.lines().filter(|line| !line.starts_with("host: ")).collect();
        lines[1..].sort_unstable();
        lines
    }

    fn has(&self, line: &str) -> bool {
        self.head.lines().any(|found| found == line)
    }

    fn names(&self, header: &str) -> bool {
        self.head.lines().any(|line| line.starts_with(&format!("{header}: ")))
    }
}

/// Sends one call to a server that answers with these bytes and closes.
async fn exchange(
    config: ProviderConfig,
    call: Call,
    answer: &str,
) -> (Seen, Result<UpstreamResponse, Fault>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = upstream(at(config, listener.local_addr().unwrap()));
    tokio::join!(serve(&listener, answer), upstream.send(call))
}

async fn serve(listener: &TcpListener, answer: &str) -> Seen {
    let (mut socket, _) = listener.accept().await.unwrap();
    let mut bytes = Vec::new();
    let (head, length) = loop {
        assert!(socket.read_buf(&mut bytes).await.unwrap() > 0, "the request ended in its head");
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8(bytes.drain(..end + 4).collect()).unwrap();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            break (head.trim_end().to_owned(), length.map_or(0, |length| length.parse().unwrap()));
        }
    };
    while bytes.len() < length {
        assert!(socket.read_buf(&mut bytes).await.unwrap() > 0, "the request ended in its body");
    }
    socket.write_all(answer.as_bytes()).await.unwrap();
    Seen { head, body: String::from_utf8(bytes).unwrap() }
}

#[track_caller]
fn check_url(
    dialect: Dialect,
    base: &str,
    path: CallPath,
    query: Option<&str>,
    expected: Result<&str, FaultKind>,
) {
    let config = ProviderConfig::new("local".parse().unwrap(), dialect, base.parse().unwrap());
    let call = Call { path, query: query.map(str::to_owned), ..Call::answers(Vec::new()) };
    let made = url(config, &call).map_err(|fault| fault.kind);
    assert_eq!(made.as_deref().map_err(|kind| *kind), expected);
}

fn url(config: ProviderConfig, call: &Call) -> Result<String, Fault> {
    let upstream = upstream(config);
    match &upstream.0.backend {
        Backend::Http(http) => upstream.uri(http, call).map(|uri| uri.to_string()),
        Backend::Echo => panic!("echo has no URL"),
    }
}

fn raw(path: &str) -> CallPath {
    CallPath::Raw { method: Method::POST, path: path.parse().unwrap(), content_type: None }
}

fn chat() -> ProviderConfig {
    provider(Dialect::OpenaiChat)
}

fn provider(dialect: Dialect) -> ProviderConfig {
    let name = match dialect {
        Dialect::OpenaiChat | Dialect::OpenaiResponses => "openai",
        Dialect::AnthropicMessages => "anthropic",
    };
    let key = Secret::new(KEY.to_owned());
    let config = ProviderConfig::from_preset(preset(name).unwrap(), vec![key]).unwrap();
    ProviderConfig { name: "local".parse().unwrap(), ..config }
}

/// The same provider on this machine.
fn at(config: ProviderConfig, address: SocketAddr) -> ProviderConfig {
    ProviderConfig { base_url: format!("http://{address}/v1").parse().unwrap(), ..config }
}

fn upstream(config: ProviderConfig) -> Upstream {
    Upstream::new(config, client()).unwrap()
}

fn client() -> HttpClient {
    HttpClient::new(ClientOptions::new(Trust::Operator)).unwrap()
}
