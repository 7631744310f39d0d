use bytes::Bytes;
use futures_util::stream;
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper_util::rt::TokioExecutor;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tower::service_fn;

use self::Step::{Get, Send, Wait};
use super::*;

#[tokio::test(start_paused = true)]
async fn a_client_that_sends_nothing_is_closed_after_ten_seconds() {
    assert_eq!(check(&[]).await, "closed after 10s");
}

#[tokio::test(start_paused = true)]
async fn half_a_head_is_closed_after_ten_seconds() {
    assert_eq!(check(&[Send("GET / HTTP/1.1\r\nhos")]).await, "closed after 10s");
}

#[tokio::test(start_paused = true)]
async fn a_single_byte_is_closed_after_ten_seconds() {
    // `P` could begin the preface of HTTP/2 as well as a `POST`.
    assert_eq!(check(&[Send("P")]).await, "closed after 10s");
    assert_eq!(check(&[Send("PRI * HT")]).await, "closed after 10s");
}

#[tokio::test(start_paused = true)]
async fn a_head_in_drops_has_no_more_time() {
    assert_eq!(
        check(&[Send("G"), Wait(3), Send("ET / HT"), Wait(3), Send("TP/1.1\r\n"), Wait(3), Send("x: y")])
            .await,
        "closed after 10s"
    );
}

#[tokio::test(start_paused = true)]
async fn http2_without_a_request_is_closed_after_ten_seconds() {
    let preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u{4}\0\0\0\0\0";
    let end = check(&[Send(preface)]).await;
    assert!(end.ends_with("closed after 10s"), "{end}");
}

#[tokio::test(start_paused = true)]
async fn a_kept_connection_may_be_idle_for_75_seconds() {
    assert_eq!(
        check(&[Get("/now"), Wait(74), Get("/now"), Wait(74), Get("/now")]).await,
        "200 200 200 closed after 223s"
    );
}

#[tokio::test(start_paused = true)]
async fn half_a_head_on_a_kept_connection_is_closed_after_ten_seconds() {
    assert_eq!(check(&[Get("/now"), Wait(30), Send("POST")]).await, "200 closed after 40s");
}

#[tokio::test(start_paused = true)]
async fn a_long_answer_outlives_every_deadline() {
    assert_eq!(check(&[Get("/after-600s"), Wait(660), Get("/now")]).await, "200 200 closed after 735s");
}

#[tokio::test(start_paused = true)]
async fn idle_time_counts_from_the_end_of_the_answer() {
    assert_eq!(check(&[Get("/after-50s")]).await, "200 closed after 125s");
}

#[tokio::test(start_paused = true)]
async fn idle_time_counts_on_http2_too() {
    let mut server = Server::start(ServeOptions::default());
    let start = Instant::now();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(server.connect()))
            .await
            .unwrap();
    let connection = server.tasks.spawn(connection);
    for _ in 0..2 {
        let request = Request::get("http://a/after-20s").body(Full::<Bytes>::default()).unwrap();
        let answer = sender.send_request(request).await.unwrap();
        assert_eq!(answer.collect().await.unwrap().to_bytes(), "done");
    }
    // The pings go on in the meantime and do not count as work.
    drop(connection.await.unwrap());
    assert_eq!(start.elapsed().as_secs(), 40 + 75);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_never_reads_is_closed_after_120_seconds() {
    let mut server = Server::start(ServeOptions::default());
    let mut client = server.connect();
    client.write_all(get("/endless").as_bytes()).await.unwrap();
    let start = Instant::now();
    server.body_dropped.notified().await;
    assert_eq!(start.elapsed().as_secs(), 120);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_slowly_is_kept() {
    let mut server = Server::start(ServeOptions::default());
    let mut client = server.connect();
    client.write_all(get("/endless").as_bytes()).await.unwrap();
    let start = Instant::now();
    let mut piece = vec![0; 2048];
    for _ in 0..10 {
        client.read_exact(&mut piece).await.unwrap();
        tokio::time::sleep(Duration::from_secs(100)).await;
    }
    server.body_dropped.notified().await;
    // The last read freed some room, which was filled at once; then nothing for 120 s.
    assert_eq!(start.elapsed().as_secs(), 900 + 120);
}

#[tokio::test(start_paused = true)]
async fn a_slow_client_gets_all_of_an_answer_that_was_written_long_ago() {
    let mut server = Server::start(ServeOptions::default());
    let mut client = server.connect();
    client.write_all(get("/20k").as_bytes()).await.unwrap();
    let start = Instant::now();
    let mut answer = Vec::new();
    while client.read_buf(&mut answer).await.unwrap() > 0 {
        tokio::time::sleep(Duration::from_secs(100)).await;
    }
    assert!(answer.ends_with(&[b'x'; 20 << 10]), "{} bytes", answer.len());
    assert!(start.elapsed().as_secs() > 1000);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_not_taken_on_http2_closes_the_connection() {
    let mut server = Server::start(ServeOptions::default());
    let (mut sender, connection) = hyper::client::conn::http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(1024)
        .handshake(TokioIo::new(server.connect()))
        .await
        .unwrap();
    drop(server.tasks.spawn(connection));
    let request =
        |path: &str| Request::get(format!("http://a{path}")).body(Full::<Bytes>::default()).unwrap();
    let _untaken = sender.send_request(request("/endless")).await.unwrap();
    let start = Instant::now();
    // The connection is not idle: other answers come and are taken all the while.
    let mut taken = 0;
    while let Ok(answer) = sender.send_request(request("/after-7s")).await {
        assert_eq!(answer.collect().await.unwrap().to_bytes(), "done");
        taken += 1;
    }
    server.body_dropped.notified().await;
    assert_eq!((taken, start.elapsed().as_secs()), (17, 120));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_drops_its_request() {
    let mut server = Server::start(ServeOptions::default());
    let mut client = server.connect();
    client.write_all(get("/endless").as_bytes()).await.unwrap();
    client.read_exact(&mut [0; 15]).await.unwrap();
    drop(client);
    server.body_dropped.notified().await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_closes_its_sending_half_counts_as_gone() {
    let mut server = Server::start(ServeOptions::default());
    let mut client = server.connect();
    client.write_all(get("/after-50s").as_bytes()).await.unwrap();
    client.shutdown().await.unwrap();
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer, b"");
}

#[tokio::test(start_paused = true)]
async fn a_full_server_takes_the_next_client_when_one_leaves() {
    let mut server = Server::start(ServeOptions { max_connections: 2, ..ServeOptions::default() });
    let mut clients = [server.connect(), server.connect(), server.connect()];
    for client in &mut clients {
        client.write_all(get("/now").as_bytes()).await.unwrap();
    }
    let [first, _second, third] = &mut clients;
    assert_eq!(head(first).await, "HTTP/1.1 200 OK");
    let waited = tokio::time::timeout(Duration::from_secs(5), third.read_u8()).await;
    assert!(waited.is_err(), "the third client was served");
    first.shutdown().await.unwrap();
    assert_eq!(head(third).await, "HTTP/1.1 200 OK");
}

#[tokio::test(start_paused = true)]
async fn errors_while_accepting_do_not_end_the_loop() {
    let mut server = Server::start(ServeOptions::default());
    let start = Instant::now();
    // ECONNABORTED is one client's matter; EMFILE (24) is ours, and takes a pause.
    server.fail_accept(io::ErrorKind::ConnectionAborted.into());
    let mut client = server.connect();
    client.write_all(get("/now").as_bytes()).await.unwrap();
    assert_eq!(head(&mut client).await, "HTTP/1.1 200 OK");
    assert_eq!(start.elapsed(), Duration::ZERO);
    server.fail_accept(io::Error::from_raw_os_error(24));
    let mut client = server.connect();
    client.write_all(get("/now").as_bytes()).await.unwrap();
    assert_eq!(head(&mut client).await, "HTTP/1.1 200 OK");
    assert!(start.elapsed() >= ACCEPT_PAUSE);
}

#[tokio::test(start_paused = true)]
async fn a_drain_lets_requests_finish_and_closes_idle_connections() {
    let mut server = Server::start(ServeOptions::default());
    let (mut silent, mut idle, mut busy) = (server.connect(), server.connect(), server.connect());
    idle.write_all(get("/now").as_bytes()).await.unwrap();
    assert_eq!(head(&mut idle).await, "HTTP/1.1 200 OK");
    server.arrived.notified().await;
    busy.write_all(get("/after-20s").as_bytes()).await.unwrap();
    server.arrived.notified().await;
    let start = Instant::now();
    server.drain.begin.cancel();
    for client in [&mut silent, &mut idle] {
        client.read_to_end(&mut Vec::new()).await.unwrap();
        assert_eq!(start.elapsed(), Duration::ZERO);
    }
    let drained = server.drain().await;
    assert_eq!((drained.cut, start.elapsed().as_secs()), (0, 20));
    let mut answer = String::new();
    busy.read_to_string(&mut answer).await.unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 200 OK\r\nconnection: close\r\n") && answer.ends_with("done"),
        "{answer}"
    );
    assert!(server.tasks.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_drain_lets_requests_on_http2_finish_and_takes_no_more_of_them() {
    let mut server = Server::start(ServeOptions::default());
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(server.connect()))
            .await
            .unwrap();
    let connection = server.tasks.spawn(connection);
    let request = || Request::get("http://a/after-20s").body(Full::<Bytes>::default()).unwrap();
    let busy = server.tasks.spawn(sender.send_request(request()));
    server.arrived.notified().await;
    let start = Instant::now();
    assert_eq!((server.drain().await.cut, start.elapsed().as_secs()), (0, 20));
    assert_eq!(busy.await.unwrap().unwrap().collect().await.unwrap().to_bytes(), "done");
    assert!(sender.send_request(request()).await.is_err());
    drop(connection.await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_drain_takes_no_new_clients() {
    let mut server = Server::start(ServeOptions::default());
    let mut busy = server.connect();
    busy.write_all(get("/after-20s").as_bytes()).await.unwrap();
    server.arrived.notified().await;
    server.drain.begin.cancel();
    let mut late = server.connect();
    late.write_all(get("/now").as_bytes()).await.unwrap();
    assert_eq!(server.drain().await.cut, 0);
    assert_eq!(late.read(&mut [0; 1]).await.unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_drain_closes_what_is_left_after_the_deadline() {
    let mut server = Server::start(ServeOptions::default());
    let mut clients = [server.connect(), server.connect()];
    for client in &mut clients {
        client.write_all(get("/after-3600s").as_bytes()).await.unwrap();
        server.arrived.notified().await;
    }
    let start = Instant::now();
    assert_eq!((server.drain().await.cut, start.elapsed().as_secs()), (2, 31));
    assert!(server.tasks.is_empty());
    assert_eq!(clients[0].read(&mut [0; 1]).await.unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_stream_may_say_its_last_words_at_the_deadline() {
    let mut server = Server::start(ServeOptions::default());
    let mut client = server.connect();
    client.write_all(get("/last-words").as_bytes()).await.unwrap();
    server.arrived.notified().await;
    let start = Instant::now();
    assert_eq!((server.drain().await.cut, start.elapsed().as_secs()), (0, 30));
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    assert!(answer.contains("goodbye") && answer.ends_with("0\r\n\r\n"), "{answer}");
}

#[tokio::test(start_paused = true)]
async fn too_many_or_too_long_headers_are_refused() {
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(101));
    let long = format!("GET / HTTP/1.1\r\na: {}\r\n\r\n", "b".repeat(1 << 20));
    for request in [many, long] {
        let mut server = Server::start(ServeOptions::default());
        let (mut read, mut write) = tokio::io::split(server.connect());
        let sending = server.tasks.spawn(async move { write.write_all(request.as_bytes()).await });
        let mut answer = [0; 12];
        read.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 431");
        drop(read);
        drop(sending.await.unwrap());
    }
}

#[tokio::test]
async fn a_service_knows_its_peer() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("control.sock");
    let unix = UnixListener::bind(&path).unwrap();
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = tcp.local_addr().unwrap().port();
    let tasks = Tasks::new();
    let drain = Drain::new(tasks.stop_token().clone(), Duration::from_secs(5));
    let peer = service_fn(|request: Request<Incoming>| async move {
        let peer = match request.extensions().get::<PeerAddr>() {
            Some(PeerAddr::Tcp(address)) => address.ip().to_string(),
            Some(PeerAddr::Unix) => "unix".to_owned(),
            None => "nobody".to_owned(),
        };
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(peer))))
    });
    let options = ServeOptions::default();
    drop(tasks.spawn(serve(unix, peer, options.clone(), drain.clone(), tasks.clone())));
    drop(tasks.spawn(serve(tcp, peer, options, drain, tasks.clone())));
    let mut by_path = tokio::net::UnixStream::connect(&path).await.unwrap();
    by_path.write_all(b"GET / HTTP/1.0\r\n\r\n").await.unwrap();
    let mut by_port = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    by_port.write_all(b"GET / HTTP/1.0\r\n\r\n").await.unwrap();
    let (mut unix, mut tcp) = (String::new(), String::new());
    by_path.read_to_string(&mut unix).await.unwrap();
    by_port.read_to_string(&mut tcp).await.unwrap();
    assert!(unix.ends_with("\r\n\r\nunix"), "{unix}");
    assert!(tcp.ends_with("\r\n\r\n127.0.0.1"), "{tcp}");
    assert!(tasks.shut_down(Duration::from_secs(5)).await);
}

/// What a client does.
enum Step {
    Send(&'static str),
    Get(&'static str),
    Wait(u64),
}

/// Takes the steps one by one; says what came back and when the server closed the connection.
async fn check(steps: &[Step]) -> String {
    let mut server = Server::start(ServeOptions::default());
    let start = Instant::now();
    let (mut read, mut write) = tokio::io::split(server.connect());
    let writing = async {
        for step in steps {
            match step {
                Send(text) => write.write_all(text.as_bytes()).await.unwrap(),
                Get(path) => write.write_all(get(path).as_bytes()).await.unwrap(),
                Wait(seconds) => tokio::time::sleep(Duration::from_secs(*seconds)).await,
            }
        }
        // The sending half stays open, or the server would take the client for gone.
        std::future::pending::<()>().await;
    };
    let mut answers = Vec::new();
    tokio::select! {
        () = writing => {}
        _ = read.read_to_end(&mut answers) => {}
    }
    let answers = String::from_utf8_lossy(&answers);
    let mut said: Vec<&str> =
        answers.split("HTTP/1.1 ").skip(1).filter_map(|answer| answer.get(..3)).collect();
    let closed = format!("closed after {}s", start.elapsed().as_secs());
    said.push(&closed);
    said.join(" ")
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n")
}

/// The status line of the next answer.
async fn head(client: &mut DuplexStream) -> String {
    let mut line = Vec::new();
    while !line.ends_with(b"\r\n") {
        line.push(client.read_u8().await.unwrap());
    }
    String::from_utf8(line).unwrap().trim_end().to_owned()
}

/// A server over connections in memory, so that its time can stand still.
struct Server {
    clients: mpsc::UnboundedSender<io::Result<DuplexStream>>,
    drain: Drain,
    tasks: Tasks,
    serving: Option<JoinHandle<Drained>>,
    arrived: Arc<Notify>,
    body_dropped: Arc<Notify>,
}

impl Server {
    fn start(options: ServeOptions) -> Self {
        let (clients, accepted) = mpsc::unbounded_channel();
        let tasks = Tasks::new();
        let drain = Drain::new(CancellationToken::new(), Duration::from_secs(30));
        let (arrived, body_dropped) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let answer = {
            let (arrived, body_dropped) = (Arc::clone(&arrived), Arc::clone(&body_dropped));
            let last_words = drain.last_words.clone();
            move |request: Request<Incoming>| {
                let path = request.uri().path().to_owned();
                arrived.notify_one();
                answer(path, Arc::clone(&body_dropped), last_words.clone())
            }
        };
        let serving = serve(InMemory(accepted), service_fn(answer), options, drain.clone(), tasks.clone());
        let serving = Some(Tasks::new().spawn(serving));
        Self { clients, drain, tasks, serving, arrived, body_dropped }
    }

    fn connect(&mut self) -> DuplexStream {
        let (client, server) = tokio::io::duplex(1024);
        // Nobody takes it once the drain has begun; the client then sees a closed connection.
        drop(self.clients.send(Ok(server)));
        client
    }

    fn fail_accept(&mut self, error: io::Error) {
        self.clients.send(Err(error)).unwrap();
    }

    async fn drain(&mut self) -> Drained {
        self.drain.begin.cancel();
        self.serving.take().unwrap().await.unwrap()
    }
}

struct InMemory(mpsc::UnboundedReceiver<io::Result<DuplexStream>>);

impl Listener for InMemory {
    type Io = DuplexStream;

    async fn accept(&mut self) -> io::Result<(DuplexStream, PeerAddr)> {
        match self.0.recv().await {
            Some(client) => client.map(|client| (client, PeerAddr::Unix)),
            None => std::future::pending().await,
        }
    }
}

type AnswerBody = UnsyncBoxBody<Bytes, Infallible>;

/// `/now`, `/20k`, `/after-<n>s`, `/endless`, `/last-words`.
async fn answer(
    path: String,
    body_dropped: Arc<Notify>,
    last_words: CancellationToken,
) -> Result<Response<AnswerBody>, Infallible> {
    let full = |text: &'static str| Full::new(Bytes::from_static(text.as_bytes())).boxed_unsync();
    if let Some(seconds) = path.strip_prefix("/after-").and_then(|rest| rest.strip_suffix('s')) {
        tokio::time::sleep(Duration::from_secs(seconds.parse().unwrap())).await;
        return Ok(Response::new(full("done")));
    }
    Ok(Response::new(match path.as_str() {
        "/endless" => {
            let frames = stream::unfold(NotifyOnDrop(body_dropped), |guard| async {
                Some((Ok(Frame::data(Bytes::from_static(&[b'x'; 1024]))), guard))
            });
            StreamBody::new(frames).boxed_unsync()
        }
        "/last-words" => {
            let words = async move {
                last_words.cancelled().await;
                Ok(Frame::data(Bytes::from_static(b"goodbye")))
            };
            StreamBody::new(stream::once(words)).boxed_unsync()
        }
        "/20k" => Full::from(vec![b'x'; 20 << 10]).boxed_unsync(),
        _ => full("now"),
    }))
}

struct NotifyOnDrop(Arc<Notify>);

impl Drop for NotifyOnDrop {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}
