//! Loads a server and writes down what became of each request.
//!
//! Every request carries a marker, in the place where its dialect names the end user: so the
//! client's log, the upstream's log and the store can be joined afterwards.
//!
//! - Start with [`Load::start`]; [`send`] makes a single request.
//! - **Invariant:** a request that was sent is in the log exactly once.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// What became of a request, as its client knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A whole answer with a status of success.
    Ok,
    /// A whole answer with another status, or an error within a stream.
    Failed,
    /// The connection broke or the time ran out: it may have been done or not.
    Unknown,
}

/// One request and what its client knows of it.
#[derive(Clone, Debug)]
pub struct Entry {
    /// What the request was marked with.
    pub marker: String,
    /// What became of it.
    pub verdict: Verdict,
    /// Whether content of a successful answer arrived: from then on its decision must not be lost.
    pub acknowledged: bool,
    /// The status, once a head arrived.
    pub status: Option<u16>,
    /// `x-request-id`, or `request-id`.
    pub request_id: Option<String>,
    /// `x-baton-decision-id`.
    pub decision_id: Option<String>,
    /// `retry-after`, in seconds.
    pub retry_after: Option<u64>,
    /// The answer's body as far as it came.
    pub body: Bytes,
    /// When it was due, since the load began. A load that falls behind its pace sends later.
    pub due: Duration,
    /// How long it took from then to its end.
    pub took: Duration,
}

impl Entry {
    /// A request of which nothing is known yet.
    const fn open(marker: String) -> Self {
        Self {
            marker,
            verdict: Verdict::Unknown,
            acknowledged: false,
            status: None,
            request_id: None,
            decision_id: None,
            retry_after: None,
            body: Bytes::new(),
            due: Duration::ZERO,
            took: Duration::ZERO,
        }
    }
}

/// The surface that a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Surface {
    /// `POST /v1/chat/completions`.
    Chat,
    /// `POST /v1/messages`.
    Messages,
}

/// One kind of request in a load.
#[derive(Clone, Debug)]
pub struct Kind {
    /// Where it goes.
    pub surface: Surface,
    /// The model.
    pub model: String,
    /// Whether its answer is streamed.
    pub stream: bool,
}

/// How requests follow one another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Loop {
    /// Each connection sends the next when the last is answered.
    Closed,
    /// So many a second are sent, whatever is answered.
    Open {
        /// Requests a second.
        per_second: f64,
    },
}

/// A load: requests of these kinds in turn, bounded in number and in time.
#[derive(Clone, Debug)]
pub struct Load {
    /// The server.
    pub server: SocketAddr,
    /// What to authenticate with.
    pub key: Option<String>,
    /// The kinds, in turn.
    pub kinds: Vec<Kind>,
    /// How requests follow one another.
    pub pace: Loop,
    /// At most so many at a time.
    pub at_once: usize,
    /// At most so many in all.
    pub most: u64,
    /// At most so long for one of them.
    pub timeout: Duration,
    /// What the markers begin with.
    pub label: String,
}

/// A load under way.
#[derive(Debug)]
pub struct Running {
    shared: Arc<Shared>,
    workers: JoinSet<()>,
}

#[derive(Debug)]
struct Shared {
    load: Load,
    client: Client,
    next: AtomicU64,
    stopped: AtomicBool,
    log: Mutex<Vec<Entry>>,
    grown: tokio::sync::Notify,
    began: Instant,
}

impl Load {
    /// Starts sending.
    #[must_use]
    pub fn start(self) -> Running {
        let workers = self.at_once;
        let shared = Arc::new(Shared {
            client: Client::new(),
            next: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
            log: Mutex::default(),
            grown: tokio::sync::Notify::new(),
            began: Instant::now(),
            load: self,
        });
        let mut tasks = JoinSet::new();
        for _ in 0..workers {
            tasks.spawn(work(Arc::clone(&shared)));
        }
        Running { shared, workers: tasks }
    }
}

impl Running {
    /// Waits until so many requests have an entry; false when the time runs out first.
    pub async fn logged(&self, count: usize, within: Duration) -> bool {
        let enough = async {
            loop {
                let grown = self.shared.grown.notified();
                tokio::pin!(grown);
                grown.as_mut().enable();
                if self.shared.log().len() >= count {
                    return;
                }
                grown.await;
            }
        };
        tokio::time::timeout(within, enough).await.is_ok()
    }

    /// How long it has been running: what [`Entry::due`] is to be compared with.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.shared.began.elapsed()
    }

    /// Goes on until the server takes no more requests, and gives the log.
    pub async fn stop_when_gone(self) -> Vec<Entry> {
        let gone = async {
            loop {
                let grown = self.shared.grown.notified();
                tokio::pin!(grown);
                grown.as_mut().enable();
                if self.shared.log().iter().rev().any(|entry| entry.status.is_none()) {
                    return;
                }
                grown.await;
            }
        };
        gone.await;
        self.stop().await
    }

    /// Sends no more, waits for what is under way, and gives the log.
    pub async fn stop(mut self) -> Vec<Entry> {
        self.shared.stopped.store(true, Ordering::Release);
        while self.workers.join_next().await.is_some() {}
        std::mem::take(&mut *self.shared.log())
    }
}

impl Shared {
    fn log(&self) -> std::sync::MutexGuard<'_, Vec<Entry>> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn work(shared: Arc<Shared>) {
    let load = &shared.load;
    while !shared.stopped.load(Ordering::Acquire) {
        let number = shared.next.fetch_add(1, Ordering::Relaxed);
        let at = usize::try_from(number).unwrap_or(0) % load.kinds.len().max(1);
        let Some(kind) = load.kinds.get(at).filter(|_| number < load.most) else { return };
        let due = match load.pace {
            Loop::Closed => shared.began.elapsed(),
            Loop::Open { per_second } => {
                Duration::from_secs_f64(f64::from(u32::try_from(number).unwrap_or(u32::MAX)) / per_second)
            }
        };
        tokio::time::sleep_until(shared.began + due).await;
        let marker = format!("{}-{number}", load.label);
        let mut entry = exchange(load, &shared.client, kind, marker).await;
        entry.due = due;
        entry.took = shared.began.elapsed().saturating_sub(due);
        // A server that is away must not turn the load into a tight loop of refused connections.
        if entry.status.is_none() {
            tokio::task::yield_now().await;
        }
        shared.log().push(entry);
        shared.grown.notify_waiters();
    }
}

async fn exchange(load: &Load, client: &Client, kind: &Kind, marker: String) -> Entry {
    let (path, body) = kind.request(&marker);
    let mut headers = HeaderMap::new();
    if let Some(Ok(key)) = load.key.as_ref().map(|key| format!("Bearer {key}").parse()) {
        headers.insert("authorization", key);
    }
    if kind.surface == Surface::Messages {
        headers.insert("anthropic-version", http::HeaderValue::from_static("2023-06-01"));
    }
    let url = format!("http://{}{path}", load.server);
    let mut entry = Entry::open(marker);
    let exchange = client.post(&url, headers, body.to_string().into(), &mut entry);
    let ended = tokio::time::timeout(load.timeout, exchange).await;
    if matches!(ended, Ok(Ok(()))) {
        let success = entry.status.is_some_and(|status| (200..300).contains(&status));
        let whole = !kind.stream || kind.surface.ends(&entry.body);
        entry.verdict = if success && whole { Verdict::Ok } else { Verdict::Failed };
    }
    entry
}

impl Kind {
    fn request(&self, marker: &str) -> (&'static str, Value) {
        let messages = json!([{"role": "user", "content": "Say hello."}]);
        match self.surface {
            Surface::Chat => (
                "/v1/chat/completions",
                json!({"model": self.model, "messages": messages, "stream": self.stream, "user": marker}),
            ),
            Surface::Messages => (
                "/v1/messages",
                json!({"model": self.model, "messages": messages, "stream": self.stream, "max_tokens": 256,
                       "metadata": {"user_id": marker}}),
            ),
        }
    }
}

impl Surface {
    /// Whether a stream came to its end.
    fn ends(self, body: &Bytes) -> bool {
        let mark: &[u8] = match self {
            Self::Chat => b"data: [DONE]",
            Self::Messages => b"event: message_stop",
        };
        body.windows(mark.len()).any(|window| window == mark)
    }
}

/// An HTTP client for tests, with connections of its own.
#[derive(Clone, Debug)]
pub struct Client(HyperClient<HttpConnector, Full<Bytes>>);

impl Default for Client {
    fn default() -> Self {
        Self::new()
    }
}

impl Client {
    /// A client without open connections.
    #[must_use]
    pub fn new() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Self(HyperClient::builder(TokioExecutor::new()).build(connector))
    }

    /// Fills `entry` as the answer comes in, so that it says what was known when it broke off.
    async fn post(
        &self,
        url: &str,
        headers: HeaderMap,
        body: Bytes,
        entry: &mut Entry,
    ) -> anyhow::Result<()> {
        let mut request =
            Request::post(url).header("content-type", "application/json").body(Full::new(body))?;
        request.headers_mut().extend(headers);
        let answer = self.0.request(request).await?;
        let header = |name: &str| answer.headers().get(name)?.to_str().ok().map(str::to_owned);
        entry.status = Some(answer.status().as_u16());
        entry.request_id = header("x-request-id").or_else(|| header("request-id"));
        entry.decision_id = header("x-baton-decision-id");
        entry.retry_after = header("retry-after").and_then(|seconds| seconds.parse().ok());
        let success = answer.status().is_success();
        let mut parts = VecDeque::new();
        let mut body = answer.into_body();
        let ended = loop {
            match body.frame().await {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        entry.acknowledged |= success && !data.is_empty();
                        parts.push_back(data);
                    }
                }
                Some(Err(error)) => break Err(error.into()),
                None => break Ok(()),
            }
        };
        entry.body = parts.into_iter().flatten().collect();
        ended
    }
}

/// Makes one request, with these headers, and gives what came back; `Unknown` when it broke off.
///
/// # Errors
/// When a header is none.
pub async fn send(url: &str, headers: &[(&str, &str)], body: &Value) -> anyhow::Result<Entry> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.insert(http::HeaderName::try_from(*name)?, value.parse().context("a header's value")?);
    }
    let mut entry = Entry::open(String::new());
    let ended = Client::new().post(url, map, body.to_string().into(), &mut entry).await;
    entry.verdict = match (ended, entry.status) {
        (Ok(()), Some(200..300)) => Verdict::Ok,
        (Ok(()), _) => Verdict::Failed,
        (Err(_), _) => Verdict::Unknown,
    };
    Ok(entry)
}

#[cfg(test)]
mod tests;
