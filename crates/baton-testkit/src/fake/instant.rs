//! Answers at once with bytes that were rendered before: the upstream of a benchmark.
//!
//! It checks nothing and records nothing, so that what is measured is the gateway.
//!
//! - A model name's `-l50` waits 50 ms, `-n20` streams 20 chunks, `-i50` puts 50 ms between them.
//! - A burst is one frame: the number of writes must not vary from run to run.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::Sleep;

use super::model::{Ask, answer};
use super::script::{Pace, Said};
use super::{anthropic, openai};

const TEXT: &str = "The quick brown fox jumps over the lazy dog near the quiet river bank, and then it rests for a while in the shade of an old oak tree.";

/// Serves until the task is dropped.
///
/// # Errors
/// When the address is taken.
pub async fn serve_instant(address: SocketAddr, pace: Pace) -> io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    let rendered = Arc::new(Rendered::new(pace));
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
    whole: [Bytes; 2],
    burst: [Bytes; 2],
}

impl Rendered {
    fn new(pace: Pace) -> Self {
        Self {
            pace,
            whole: [openai::whole(&ask(), &reply(), 1), anthropic::whole(&ask(), &reply(), 1)]
                .map(|body| body.to_string().into()),
            burst: [false, true].map(|anthropic| burst(anthropic, pace.chunks)),
        }
    }
}

fn ask() -> Ask {
    Ask { model: "fake".to_owned(), include_usage: true, prompt_bytes: 1000, ..Ask::default() }
}

fn reply() -> super::model::Reply {
    answer(&ask(), Some(&Said::Text(TEXT.to_owned())))
}

fn frames(anthropic: bool, chunks: usize) -> VecDeque<Bytes> {
    let frames = if anthropic {
        anthropic::stream(&ask(), &reply(), 1, chunks)
    } else {
        openai::stream(&ask(), &reply(), 1, chunks)
    };
    frames.into_iter().map(|frame| frame.bytes).collect()
}

fn burst(anthropic: bool, chunks: usize) -> Bytes {
    frames(anthropic, chunks).iter().flat_map(|frame| frame.iter().copied()).collect::<Vec<_>>().into()
}

async fn respond(
    request: Request<Incoming>,
    rendered: Arc<Rendered>,
) -> Result<Response<Timed>, hyper::Error> {
    let anthropic = request.uri().path().ends_with("/messages");
    let side = usize::from(anthropic);
    if request.method() == Method::GET {
        return Ok(reply_with(
            "application/json",
            Timed::whole(Bytes::from_static(b"{\"object\":\"list\",\"data\":[]}")),
        ));
    }
    let body = request.into_body().collect().await?.to_bytes();
    let pace = rendered.pace.of_model(model(&body));
    if !pace.latency.is_zero() {
        tokio::time::sleep(pace.latency).await;
    }
    let pick = |bodies: &[Bytes; 2]| bodies.get(side).cloned().unwrap_or_default();
    if !wants_stream(&body) {
        return Ok(reply_with("application/json", Timed::whole(pick(&rendered.whole))));
    }
    let body = if !pace.interval.is_zero() {
        Timed { queue: frames(anthropic, pace.chunks), interval: pace.interval, timer: None }
    } else if pace.chunks == rendered.pace.chunks {
        Timed::whole(pick(&rendered.burst))
    } else {
        Timed::whole(burst(anthropic, pace.chunks))
    };
    Ok(reply_with("text/event-stream; charset=utf-8", body))
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
