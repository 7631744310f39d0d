use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};

use bytes::Bytes;
use http::StatusCode;
use http_body_util::BodyExt;
use tokio::sync::{mpsc, oneshot};

use super::*;
use crate::test_tls::Authority;

#[tokio::test]
async fn a_body_of_slices_arrives_whole_with_its_length() {
    let (port, server) = serve(|listener| {
        let mut client = Served::accept(listener);
        let request = client.read_head();
        let mut body = vec![0; 13];
        client.stream.read_exact(&mut body).unwrap();
        client.answer("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
        format!("{request}{}", String::from_utf8(body).unwrap())
    });
    let slices = vec![Bytes::from("{\"model\":"), Bytes::from("\"a\"}")];
    let request = Request::post(format!("http://127.0.0.1:{port}/v1/chat?x=1")).body(slices.into()).unwrap();
    assert_eq!(text(client().send(request).await.unwrap()).await, "ok");
    let seen = server.await.unwrap();
    assert!(seen.starts_with("POST /v1/chat?x=1 HTTP/1.1\r\n"), "{seen}");
    assert!(seen.contains("content-length: 13\r\n") && seen.ends_with("\r\n\r\n{\"model\":\"a\"}"), "{seen}");
}

#[tokio::test]
async fn a_connection_is_used_again() {
    let (port, server) = serve(|listener| {
        let mut client = Served::accept(listener);
        for _ in 0..3 {
            client.read_head();
            client.answer("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
        }
    });
    let client = client();
    for _ in 0..3 {
        assert_eq!(text(client.send(get(port, "/")).await.unwrap()).await, "ok");
    }
    server.await.unwrap();
}

#[tokio::test]
async fn a_kept_connection_that_the_server_closed_is_replaced_unseen() {
    let (closed, mut is_closed) = mpsc::unbounded_channel();
    let (port, server) = serve(move |listener| {
        for _ in 0..50 {
            let mut client = Served::accept(listener);
            client.read_head();
            client.answer("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
            // The client has the whole answer and keeps the connection; now it goes away.
            drop(client);
            closed.send(()).unwrap();
        }
    });
    let client = client();
    for _ in 0..50 {
        assert_eq!(text(client.send(get(port, "/")).await.unwrap()).await, "ok");
        // The runtime looks at its sockets before it comes back here, so the close is known.
        is_closed.recv().await.unwrap();
        tokio::task::yield_now().await;
    }
    server.await.unwrap();
}

#[tokio::test]
async fn a_redirect_is_handed_back_and_not_followed() {
    let (port, server) = serve(|listener| {
        let mut client = Served::accept(listener);
        client.read_head();
        client.answer("HTTP/1.1 307 Temporary Redirect\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n");
        client.stream.read(&mut [0; 1]).unwrap()
    });
    let client = client();
    let answer = client.send(get(port, "/")).await.unwrap();
    assert_eq!(
        (answer.status(), &answer.headers()["location"]),
        (StatusCode::TEMPORARY_REDIRECT, &"/elsewhere".parse().unwrap())
    );
    drop((answer, client));
    assert_eq!(server.await.unwrap(), 0);
}

#[tokio::test]
async fn dropping_an_answer_closes_its_connection() {
    let (port, server) = serve(|listener| {
        let mut client = Served::accept(listener);
        client.read_head();
        client.answer("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n");
        // Ends when the client has gone; a client that stays would leave the test hanging.
        matches!(client.stream.read(&mut [0; 1]), Ok(0) | Err(_))
    });
    let client = client();
    let mut answer = client.send(get(port, "/")).await.unwrap();
    assert_eq!(answer.frame().await.unwrap().unwrap().into_data().unwrap(), "a");
    drop(answer);
    assert!(server.await.unwrap());
}

#[tokio::test]
async fn dropping_a_request_closes_its_connection() {
    let (arrived, has_arrived) = oneshot::channel();
    let (port, server) = serve(move |listener| {
        let mut client = Served::accept(listener);
        client.read_head();
        arrived.send(()).unwrap();
        matches!(client.stream.read(&mut [0; 1]), Ok(0) | Err(_))
    });
    let client = client();
    tokio::select! {
        _ = client.send(get(port, "/")) => panic!("the server never answers"),
        arrived = has_arrived => arrived.unwrap(),
    }
    assert!(server.await.unwrap());
}

#[tokio::test]
async fn a_connection_closed_without_an_answer_is_a_reset() {
    assert_eq!(check_answer("").await, SendErrorKind::Reset);
}

#[tokio::test]
async fn a_cut_head_is_a_reset() {
    assert_eq!(check_answer("HTTP/1.1 200 OK\r\ncontent-le").await, SendErrorKind::Reset);
}

#[tokio::test]
async fn garbage_is_a_protocol_error() {
    assert_eq!(check_answer("SSH-2.0-OpenSSH_9.6\r\n\r\n").await, SendErrorKind::Protocol);
}

#[tokio::test]
async fn a_cut_body_is_a_reset_and_no_end() {
    for answer in [
        "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n",
    ] {
        let (port, server) = serve(move |listener| {
            let mut client = Served::accept(listener);
            client.read_head();
            client.answer(answer);
        });
        let answer = client().send(get(port, "/")).await.unwrap();
        let error = SendError::from_body(answer.into_body().collect().await.unwrap_err());
        assert_eq!((error.kind(), error.is_connect()), (SendErrorKind::Reset, false));
        server.await.unwrap();
    }
}

#[tokio::test]
async fn errors_of_the_connector_come_through_with_their_kind() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let error = client().send(get(closed, "/")).await.unwrap_err();
    assert_eq!((error.kind(), error.is_connect()), (SendErrorKind::Refused, true));

    let filtered = HttpClient::new(ClientOptions::new(Trust::Filtered)).unwrap();
    let error = filtered.send(get(closed, "/")).await.unwrap_err();
    assert_eq!((error.kind(), error.is_connect()), (SendErrorKind::Blocked, true));

    let relative = Request::get("/v1/models").body(Chunks::empty()).unwrap();
    assert_eq!(client().send(relative).await.unwrap_err().kind(), SendErrorKind::Target);
    let other = Request::get("ftp://127.0.0.1/").body(Chunks::empty()).unwrap();
    assert_eq!(client().send(other).await.unwrap_err().kind(), SendErrorKind::Target);
}

#[tokio::test]
async fn errors_tell_nothing_of_the_request() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let request = Request::get(format!("http://user:sk-1@127.0.0.1:{closed}/?key=sk-2"))
        .header("authorization", "Bearer sk-3")
        .body(Chunks::from(Bytes::from("sk-4")))
        .unwrap();
    let error = client().send(request).await.unwrap_err();
    let shown = format!("{error} {error:?}");
    assert!(!shown.contains("sk-"), "{shown}");
}

#[tokio::test]
async fn tls_with_a_private_authority_carries_a_request() {
    let authority = Authority::new();
    let mut options = ClientOptions::new(Trust::Operator);
    options.extra_ca_pem = Some(authority.pem());
    let (port, server) = serve(move |listener| {
        let mut stream = authority.accept(listener.accept().unwrap().0, &[b"http/1.1"]);
        let head = read_head(&mut stream);
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok").unwrap();
        head
    });
    let client = HttpClient::new(options).unwrap();
    let request = Request::get(format!("https://localhost:{port}/secure")).body(Chunks::empty()).unwrap();
    assert_eq!(text(client.send(request).await.unwrap()).await, "ok");
    assert!(server.await.unwrap().starts_with("GET /secure HTTP/1.1\r\n"));
}

#[tokio::test]
async fn a_proxy_tunnels_tls() {
    let authority = Authority::new();
    let extra_ca_pem = authority.pem();
    let (port, proxy) = serve(move |listener| {
        let mut client = Served::accept(listener);
        let head = client.read_head();
        client.answer("HTTP/1.1 200 Connection established\r\nvia: test\r\n\r\n");
        let mut stream = authority.accept(client.into_inner(), &[]);
        let inner = read_head(&mut stream);
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok").unwrap();
        (head, inner)
    });
    let mut options = ClientOptions::new(Trust::Operator);
    options.extra_ca_pem = Some(extra_ca_pem);
    options.proxy = Some(ProxyConfig::new(&format!("http://user:pass@127.0.0.1:{port}")).unwrap());
    let client = HttpClient::new(options).unwrap();
    // Only the proxy knows where this name is.
    let request = Request::get("https://secure.example/path").body(Chunks::empty()).unwrap();
    assert_eq!(text(client.send(request).await.unwrap()).await, "ok");
    let (outer, inner) = proxy.await.unwrap();
    assert!(outer.starts_with("CONNECT secure.example:443 HTTP/1.1\r\n"), "{outer}");
    assert!(outer.contains("proxy-authorization: Basic dXNlcjpwYXNz\r\n"), "{outer}");
    assert!(inner.starts_with("GET /path HTTP/1.1\r\n"), "{inner}");
    assert!(!inner.contains("proxy-authorization"), "{inner}");
}

#[tokio::test]
async fn a_proxy_reads_plain_requests_itself() {
    let (port, proxy) = serve(|listener| {
        let mut client = Served::accept(listener);
        let head = client.read_head();
        client.answer("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
        head
    });
    let client = proxied(port);
    let request = Request::get("http://plain.example/path").body(Chunks::empty()).unwrap();
    assert_eq!(text(client.send(request).await.unwrap()).await, "ok");
    let head = proxy.await.unwrap();
    assert!(head.starts_with("GET http://plain.example/path HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("proxy-authorization: Basic dXNlcjpwYXNz\r\n"), "{head}");
}

#[tokio::test]
async fn a_proxy_that_refuses_is_a_proxy_error() {
    for answer in
        ["HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "no HTTP\r\n\r\n", "HTTP/1.1 200 cut"]
    {
        let (port, proxy) = serve(move |listener| {
            let mut client = Served::accept(listener);
            let head = client.read_head();
            client.answer(answer);
            head
        });
        let request = Request::get("https://secure.example/").body(Chunks::empty()).unwrap();
        let error = proxied(port).send(request).await.unwrap_err();
        assert_eq!(error.kind(), SendErrorKind::Proxy, "{answer}");
        let head = proxy.await.unwrap();
        assert!(
            head.starts_with("CONNECT secure.example:443 HTTP/1.1\r\nhost: secure.example:443\r\n"),
            "{head}"
        );
        assert!(head.contains("proxy-authorization: Basic dXNlcjpwYXNz\r\n"), "{head}");
    }
}

/// What the client makes of a server that answers so and closes.
async fn check_answer(answer: &'static str) -> SendErrorKind {
    let (port, server) = serve(move |listener| {
        let mut client = Served::accept(listener);
        client.read_head();
        client.answer(answer);
    });
    let error = client().send(get(port, "/")).await.unwrap_err();
    server.await.unwrap();
    error.kind()
}

fn client() -> HttpClient {
    HttpClient::new(ClientOptions::new(Trust::Operator)).unwrap()
}

fn proxied(port: u16) -> HttpClient {
    let mut options = ClientOptions::new(Trust::Operator);
    options.proxy = Some(ProxyConfig::new(&format!("http://user:pass@127.0.0.1:{port}")).unwrap());
    HttpClient::new(options).unwrap()
}

fn get(port: u16, path: &str) -> Request<Chunks> {
    Request::get(format!("http://127.0.0.1:{port}{path}")).body(Chunks::empty()).unwrap()
}

async fn text(answer: Response<Incoming>) -> String {
    String::from_utf8(answer.collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

/// Runs a server by script on a thread of its own.
fn serve<T: Send + 'static>(
    script: impl FnOnce(&TcpListener) -> T + Send + 'static,
) -> (u16, oneshot::Receiver<T>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (ended, has_ended) = oneshot::channel();
    // A thread of its own: a test that fails must not wait for its server.
    std::thread::spawn(move || ended.send(script(&listener)).ok());
    (port, has_ended)
}

/// A connection as the server's script sees it.
struct Served {
    stream: BufReader<TcpStream>,
}

impl Served {
    fn accept(listener: &TcpListener) -> Self {
        Self { stream: BufReader::new(listener.accept().unwrap().0) }
    }

    fn read_head(&mut self) -> String {
        read_head(&mut self.stream)
    }

    fn answer(&mut self, answer: &str) {
        self.stream.get_mut().write_all(answer.as_bytes()).unwrap();
    }

    fn into_inner(self) -> TcpStream {
        self.stream.into_inner()
    }
}

fn read_head(stream: &mut impl Read) -> String {
    let mut head = Vec::new();
    let mut reader = BufReader::with_capacity(1, stream);
    while !head.ends_with(b"\r\n\r\n") {
        assert_ne!(reader.read_until(b'\n', &mut head).unwrap(), 0, "the client left");
    }
    String::from_utf8(head).unwrap()
}
