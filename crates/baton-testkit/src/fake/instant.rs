//! Answers at once with bytes that were rendered before: the upstream of a benchmark.
//!
//! It checks nothing and records nothing, so that what is measured is the gateway.
//!
//! - A model that is to hand over calls its tool, whatever it is asked. How long it took until the next
//!   model was asked is told, and forgotten, at `GET /__waits`: it means something while requests come
//!   one after another.
//! - A model name's `-l50` waits 50 ms, `-n20` streams 20 chunks, `-i50` puts 50 ms between them.
//! - A burst is one frame: the number of writes must not vary from run to run.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::Sleep;

use super::model::{Ask, Reply, answer};
use super::script::{Pace, Said};
use super::{anthropic, openai};

const EVENTS: &str = "text/event-stream; charset=utf-8";

const TEXT: &str = "The quick brown fox jumps over the lazy dog near the quiet river bank, and then it rests for a while in the shade of an old oak tree.";

/// Serves until the task is dropped. Each of `callers` is a model and the tool that it calls.
///
/// # Errors
/// When the address is taken.
pub async fn serve_instant(address: SocketAddr, pace: Pace, callers: &[(String, String)]) -> io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    let rendered = Arc::new(Rendered::new(pace, callers));
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (stream, _) = accepted?;
                stream.set_nodelay(true)?;
                let rendered = Arc::clone(&rendered);
                connections.spawn(async move {
                    let service = service_fn(|request| respond(request, Arc::clone(&rendered)));
                    let connection = hyper::server::conn::http1::Builder::new()
                        .timer(TokioTimer::new())
                        .serve_connection(TokioIo::new(stream), service);
                    // A driver that goes away is the end of a run, not an error.
                    drop(connection.await);
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Every answer of the default pace.
struct Rendered {
    pace: Pace,
    text: Answers,
    callers: Vec<(String, Answers)>,
    heard: Mutex<Heard>,
}

/// One answer in OpenAI's format and in Anthropic's.
struct Answers {
    whole: [Bytes; 2],
    burst: [Bytes; 2],
}

/// What was asked of those that call and of those that come after them.
#[derive(Default)]
struct Heard {
    calls: u64,
    others: u64,
    called_at: Option<Instant>,
    waits_us: Vec<u64>,
}

impl Rendered {
    fn new(pace: Pace, callers: &[(String, String)]) -> Self {
        let call = |tool: &String| {
            let arguments = json!({"reason": "It is the better one for what is left to do."});
            Answers::of(&Said::Calls(vec![(tool.clone(), arguments)]), pace.chunks)
        };
        Self {
            pace,
            text: Answers::of(&text(), pace.chunks),
            callers: callers.iter().map(|(model, tool)| (model.clone(), call(tool))).collect(),
            heard: Mutex::default(),
        }
    }

    fn calls(&self, model: &str) -> Option<&Answers> {
        self.callers.iter().find(|(caller, _)| caller == model).map(|(_, answers)| answers)
    }

    fn heard(&self) -> std::sync::MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was heard since it was last told.
    fn told(&self) -> Bytes {
        let Heard { calls, others, waits_us, .. } = std::mem::take(&mut *self.heard());
        json!({"calls": calls, "others": others, "waits_us": waits_us}).to_string().into()
    }
}

impl Answers {
    fn of(said: &Said, chunks: usize) -> Self {
        let reply = answer(&ask(), Some(said));
        Self {
            whole: [openai::whole(&ask(), &reply, 1), anthropic::whole(&ask(), &reply, 1)]
                .map(|body| body.to_string().into()),
            burst: [false, true].map(|anthropic| burst(anthropic, &reply, chunks)),
        }
    }
}

impl Heard {
    /// Someone who calls was asked, and is answered now.
    fn call(&mut self) {
        self.calls += 1;
        self.called_at = Some(Instant::now());
    }

    /// Someone else was asked.
    fn other(&mut self, at: Instant) {
        self.others += 1;
        let waited = self.called_at.take().map(|called| at.saturating_duration_since(called));
        self.waits_us.extend(waited.and_then(|waited| u64::try_from(waited.as_micros()).ok()));
    }
}

fn ask() -> Ask {
    Ask { model: "fake".to_owned(), include_usage: true, prompt_bytes: 1000, ..Ask::default() }
}

fn text() -> Said {
    Said::Text(TEXT.to_owned())
}

fn frames(anthropic: bool, reply: &Reply, chunks: usize) -> VecDeque<Bytes> {
    let frames = if anthropic {
        anthropic::stream(&ask(), reply, 1, chunks)
    } else {
        openai::stream(&ask(), reply, 1, chunks)
    };
    frames.into_iter().map(|frame| frame.bytes).collect()
}

fn burst(anthropic: bool, reply: &Reply, chunks: usize) -> Bytes {
    let frames = frames(anthropic, reply, chunks);
    frames.iter().flat_map(|frame| frame.iter().copied()).collect::<Vec<_>>().into()
}

async fn respond(
    request: Request<Incoming>,
    rendered: Arc<Rendered>,
) -> Result<Response<Timed>, hyper::Error> {
    let came = Instant::now();
    let anthropic = request.uri().path().ends_with("/messages");
    let side = usize::from(anthropic);
    if request.method() == Method::GET {
        let body = if request.uri().path() == "/__waits" {
            rendered.told()
        } else {
            Bytes::from_static(b"{\"object\":\"list\",\"data\":[]}")
        };
        return Ok(reply_with("application/json", Timed::whole(body)));
    }
    let body = request.into_body().collect().await?.to_bytes();
    let model = model(&body);
    let pace = rendered.pace.of_model(model);
    let calls = rendered.calls(model);
    if calls.is_none() && !rendered.callers.is_empty() {
        rendered.heard().other(came);
    }
    if !pace.latency.is_zero() {
        tokio::time::sleep(pace.latency).await;
    }
    let answers = calls.unwrap_or(&rendered.text);
    let pick = |bodies: &[Bytes; 2]| bodies.get(side).cloned().unwrap_or_default();
    let paced = || answer(&ask(), Some(&text()));
    let (kind, body) = if !wants_stream(&body) {
        ("application/json", Timed::whole(pick(&answers.whole)))
    } else if calls.is_some() || pace.interval.is_zero() && pace.chunks == rendered.pace.chunks {
        (EVENTS, Timed::whole(pick(&answers.burst)))
    } else if pace.interval.is_zero() {
        (EVENTS, Timed::whole(burst(anthropic, &paced(), pace.chunks)))
    } else {
        let queue = frames(anthropic, &paced(), pace.chunks);
        (EVENTS, Timed { queue, interval: pace.interval, timer: None })
    };
    if calls.is_some() {
        rendered.heard().call();
    }
    Ok(reply_with(kind, body))
}

fn reply_with(kind: &'static str, body: Timed) -> Response<Timed> {
    let mut response = Response::new(body);
    response.headers_mut().insert("content-type", http::HeaderValue::from_static(kind));
    response
}

/// What follows `"key":` in the body, found by a scan: a benchmark's upstream parses nothing.
fn after<'a>(body: &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
    let at = body.windows(key.len()).position(|window| window == key)?;
    let rest = body.get(at + key.len()..)?;
    let skip = rest.iter().position(|byte| !b" :\n\t".contains(byte))?;
    rest.get(skip..)
}

fn model(body: &[u8]) -> &str {
    let quoted = after(body, b"\"model\"").and_then(|rest| rest.strip_prefix(b"\""));
    let name = quoted.and_then(|rest| rest.split(|byte| *byte == b'"').next());
    name.and_then(|name| std::str::from_utf8(name).ok()).unwrap_or("")
}

fn wants_stream(body: &[u8]) -> bool {
    after(body, b"\"stream\"").is_some_and(|rest| rest.starts_with(b"true"))
}

/// A body of pieces with a pause between them.
struct Timed {
    queue: VecDeque<Bytes>,
    interval: Duration,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Timed {
    fn whole(body: Bytes) -> Self {
        Self { queue: [body].into(), interval: Duration::ZERO, timer: None }
    }
}

impl Body for Timed {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if let Some(timer) = &mut self.timer {
            ready!(timer.as_mut().poll(cx));
            self.timer = None;
        }
        let piece = self.queue.pop_front();
        if !self.interval.is_zero() && !self.queue.is_empty() {
            self.timer = Some(Box::pin(tokio::time::sleep(self.interval)));
        }
        Poll::Ready(piece.map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.queue.is_empty()
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        match (self.queue.len(), self.queue.front()) {
            (1, Some(only)) if self.interval.is_zero() => {
                hyper::body::SizeHint::with_exact(u64::try_from(only.len()).unwrap_or(0))
            }
            _ => hyper::body::SizeHint::default(),
        }
    }
}
