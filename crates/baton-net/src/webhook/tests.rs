use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};

use tokio::sync::oneshot;

use super::*;
use crate::client::ClientOptions;
use crate::egress::{SendErrorKind, Trust};

/// Key, id, time and signature of the example in the Standard Webhooks specification.
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

#[test]
fn the_signature_is_that_of_the_specifications_example() {
    let signed = webhook(1).sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
    assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
}

#[tokio::test]
async fn a_message_arrives_signed_with_its_kind_in_the_body() {
    let (port, receiver) = receive("HTTP/1.1 204 No Content\r\n\r\n");
    let webhook = webhook(port);
    webhook.send("audit.relay_lag", br#"{"lag_ms":61000}"#).await.unwrap();
    let seen = receiver.await.unwrap();
    assert!(seen.head.starts_with("POST /hook?a=1 HTTP/1.1\r\n"), "{}", seen.head);
    assert_eq!(seen.body, r#"{"type":"audit.relay_lag","data":{"lag_ms":61000}}"#);
    assert_eq!(seen.header("content-type"), "application/json");
    // Checked as a receiver would: from what arrived and the shared secret.
    let (id, at) = (seen.header("webhook-id"), seen.header("webhook-timestamp"));
    let signed = format!("{id}.{at}.{}", seen.body);
    let key = hmac::Key::new(HMAC_SHA256, &STANDARD.decode(SECRET.strip_prefix("whsec_").unwrap()).unwrap());
    let signature = STANDARD.decode(seen.header("webhook-signature").strip_prefix("v1,").unwrap()).unwrap();
    hmac::verify(&key, signed.as_bytes(), &signature).unwrap();
}

#[test]
fn a_repeat_has_the_same_id_and_another_message_another_one() {
    let webhook = webhook(1);
    let id = |kind: &str, data: &[u8], at| {
        let request = webhook.request(kind, data, at).unwrap();
        request.headers()["webhook-id"].to_str().unwrap().to_owned()
    };
    let first = id("a", b"{}", 1);
    assert_eq!(first, id("a", b"{}", 900));
    assert_ne!(first, id("b", b"{}", 1));
    assert_ne!(first, id("a", b"1", 1));
    assert_eq!(first.len(), "msg_".len() + 32);
}

#[tokio::test]
async fn a_receiver_that_is_busy_may_be_asked_again() {
    assert_eq!(refused("HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n").await, (503, true));
    assert_eq!(refused("HTTP/1.1 429 Too Many\r\ncontent-length: 0\r\n\r\n").await, (429, true));
}

#[tokio::test]
async fn a_receiver_that_refuses_or_redirects_is_not_asked_again() {
    let redirect = "HTTP/1.1 307 Elsewhere\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0\r\n\r\n";
    assert_eq!(refused(redirect).await, (307, false));
    assert_eq!(refused("HTTP/1.1 410 Gone\r\ncontent-length: 0\r\n\r\n").await, (410, false));
}

#[tokio::test]
async fn an_answer_without_end_does_not_undo_that_the_message_was_taken() {
    let (port, receiver) =
        receive("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffffff\r\naaaaaaaaaa");
    webhook(port).send("a", b"{}").await.unwrap();
    receiver.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_is_silent_is_given_up() {
    // It accepts in the kernel, and never answers.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let webhook = webhook(listener.local_addr().unwrap().port());
    let error = webhook.send("a", b"{}").await.unwrap_err();
    // With a paused clock the connection may count as late before the answer does.
    let late = matches!(&error, WebhookError::Late(_))
        || matches!(&error, WebhookError::Send(error) if error.kind() == SendErrorKind::ConnectTimeout);
    assert!(late && error.is_temporary(), "{error:?}");
}

#[tokio::test]
async fn a_receiver_that_is_away_is_a_temporary_failure() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let error = webhook(closed).send("a", b"{}").await.unwrap_err();
    assert!(
        matches!(&error, WebhookError::Send(error) if error.kind() == SendErrorKind::Refused),
        "{error:?}"
    );
    assert!(error.is_temporary());
}

#[tokio::test]
async fn addresses_are_those_that_the_client_may_reach() {
    let client = HttpClient::new(ClientOptions::new(Trust::Operator)).unwrap();
    let metadata = Webhook::new("http://169.254.169.254/latest", SECRET, client).unwrap();
    let error = metadata.send("a", b"{}").await.unwrap_err();
    assert!(
        matches!(&error, WebhookError::Send(error) if error.kind() == SendErrorKind::Blocked),
        "{error:?}"
    );
}

#[test]
fn a_kind_that_would_change_the_body_is_refused() {
    for kind in ["", "a\"", "A", "a b", "ü"] {
        assert!(matches!(webhook(1).request(kind, b"{}", 1), Err(WebhookError::Kind(_))), "{kind}");
    }
}

#[test]
fn urls_and_secrets_are_checked_when_they_are_read() {
    let client = || HttpClient::new(ClientOptions::new(Trust::Operator)).unwrap();
    let new = |url: &str, secret: &str| Webhook::new(url, secret, client()).map(|_webhook| ());
    for url in ["", "/hook", "ftp://example.com/", "example.com", "http://"] {
        assert_eq!(new(url, SECRET), Err(WebhookSetupError::Url), "{url}");
    }
    let short = format!("whsec_{}", STANDARD.encode([1; 23]));
    let long = format!("whsec_{}", STANDARD.encode([1; 65]));
    for secret in ["", "whsec_", "whsec_%", SECRET.strip_prefix("whsec_").unwrap(), &short, &long] {
        assert_eq!(new("https://example.com/", secret), Err(WebhookSetupError::Secret), "{secret}");
    }
    new("https://example.com/hook", SECRET).unwrap();
}

#[test]
fn neither_the_secret_nor_the_path_is_shown() {
    let shown = format!("{:?}", webhook(1));
    assert_eq!(shown, "Webhook(127.0.0.1)");
}

fn webhook(port: u16) -> Webhook {
    let client = HttpClient::new(ClientOptions::new(Trust::Operator)).unwrap();
    Webhook::new(&format!("http://127.0.0.1:{port}/hook?a=1"), SECRET, client).unwrap()
}

/// The status of a refusal, and whether it may be tried again.
async fn refused(answer: &'static str) -> (u16, bool) {
    let (port, receiver) = receive(answer);
    let error = webhook(port).send("a", b"{}").await.unwrap_err();
    receiver.await.unwrap();
    let WebhookError::Refused(status) = &error else { panic!("{error:?}") };
    (status.as_u16(), error.is_temporary())
}

/// A request as it arrived.
struct Received {
    head: String,
    body: String,
}

impl Received {
    fn header(&self, name: &str) -> &str {
        let line = self.head.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
        line.unwrap_or_else(|| panic!("no `{name}` in {}", self.head))
    }
}

/// A receiver that takes one message and answers so.
fn receive(answer: &'static str) -> (u16, oneshot::Receiver<Received>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (ended, has_ended) = oneshot::channel();
    // A thread of its own: a test that fails must not wait for its receiver.
    std::thread::spawn(move || ended.send(take(&listener, answer)).ok());
    (port, has_ended)
}

fn take(listener: &TcpListener, answer: &str) -> Received {
    let mut stream: BufReader<TcpStream> = BufReader::new(listener.accept().unwrap().0);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert_ne!(stream.read_line(&mut head).unwrap(), 0, "the sender left");
    }
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    let mut body = vec![0; length.parse().unwrap()];
    stream.read_exact(&mut body).unwrap();
    stream.get_mut().write_all(answer.as_bytes()).unwrap();
    Received { head, body: String::from_utf8(body).unwrap() }
}

#[tokio::test]
async fn what_is_asked_of_a_receiver_comes_back() {
    let (port, receiver) = receive("HTTP/1.1 200 OK\r\ncontent-length: 13\r\n\r\n{\"veto\":true}");
    let answer = webhook(port).ask("agent.on_end", b"{}", Duration::from_secs(5)).await.unwrap();
    assert_eq!(answer, br#"{"veto":true}"#.as_slice());
    assert_eq!(receiver.await.unwrap().body, r#"{"type":"agent.on_end","data":{}}"#);
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_none() {
    let (port, _receiver) = receive("HTTP/1.1 200 OK\r\ncontent-length: 13\r\n\r\n{\"ve");
    let error = webhook(port).ask("a", b"{}", Duration::from_secs(5)).await.unwrap_err();
    assert!(matches!(error, WebhookError::Answer(_)), "{error}");
}
