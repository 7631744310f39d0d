//! Counts the requests of one connection, so that its deadlines know when it is idle.
//!
//! On HTTP/2 a client can refuse one answer and go on with the others: the socket never stalls.
//! There each answer notes when its last piece was handed over, and the connection's timer looks
//! for the one that waits longest. HTTP/1 pays nothing for that.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response, Version};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use pin_project_lite::pin_project;
use tokio::time::Instant;
use tower::util::Oneshot;
use tower::{Service, ServiceExt};

use super::PeerAddr;

/// The requests of one connection. Shared by its I/O and its service.
#[derive(Debug)]
pub(super) struct Load {
    start: Instant,
    live: AtomicU32,
    begun: AtomicU32,
    /// When the last request ended, in milliseconds since the start.
    idle_since_ms: AtomicU64,
    /// The answers on HTTP/2 that are being sent.
    streams: Mutex<Vec<Weak<Stream>>>,
}

impl Load {
    pub(super) fn new() -> Self {
        Self {
            start: Instant::now(),
            live: AtomicU32::new(0),
            begun: AtomicU32::new(0),
            idle_since_ms: AtomicU64::new(0),
            streams: Mutex::default(),
        }
    }

    pub(super) fn start(&self) -> Instant {
        self.start
    }

    /// How many requests have begun, wrapping.
    pub(super) fn begun(&self) -> u32 {
        self.begun.load(Ordering::Relaxed)
    }

    pub(super) fn is_idle(&self) -> bool {
        self.live.load(Ordering::Acquire) == 0
    }

    pub(super) fn idle_since(&self) -> Instant {
        self.start + Duration::from_millis(self.idle_since_ms.load(Ordering::Acquire))
    }

    /// Since when the most patient answer waits for its client to take what it has.
    pub(super) fn untaken_since(&self) -> Option<Instant> {
        let streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        let given = streams.iter().filter_map(Weak::upgrade).filter_map(|stream| stream.given());
        given.min().map(|ms| self.start + Duration::from_millis(ms))
    }

    fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn add_stream(&self) -> Arc<Stream> {
        let stream = Arc::new(Stream { given_ms: AtomicU64::new(self.elapsed_ms()) });
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        streams.retain(|other| other.strong_count() > 0);
        streams.push(Arc::downgrade(&stream));
        stream
    }
}

/// One answer on HTTP/2: when it last handed something over that was not asked for more since.
#[derive(Debug)]
struct Stream {
    given_ms: AtomicU64,
}

impl Stream {
    /// The value while the answer waits for us, not for the client.
    const OWED: u64 = u64::MAX;

    fn given(&self) -> Option<u64> {
        Some(self.given_ms.load(Ordering::Relaxed)).filter(|ms| *ms != Self::OWED)
    }
}

/// Something that is in work; it lives until an answer is sent or dropped.
#[derive(Debug)]
pub(super) struct Live(Arc<Load>);

impl Live {
    pub(super) fn begin(load: &Arc<Load>) -> Self {
        load.live.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(load))
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.0.idle_since_ms.store(self.0.elapsed_ms(), Ordering::Release);
        self.0.live.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Calls the service for each request of one connection, and tells it the peer.
#[derive(Debug)]
pub(super) struct Tagged<S> {
    service: S,
    peer: PeerAddr,
    load: Arc<Load>,
}

impl<S> Tagged<S> {
    pub(super) fn new(service: S, peer: PeerAddr, load: Arc<Load>) -> Self {
        Self { service, peer, load }
    }
}

impl<S, B> hyper::service::Service<Request<Incoming>> for Tagged<S>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone,
{
    type Response = Response<Counted<B>>;
    type Error = Infallible;
    type Future = Answering<S>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        request.extensions_mut().insert(self.peer);
        self.load.begun.fetch_add(1, Ordering::Relaxed);
        Answering {
            live: Some(Live::begin(&self.load)),
            multiplexed: request.version() == Version::HTTP_2,
            call: self.service.clone().oneshot(request),
        }
    }
}

pin_project! {
    /// The call for one request.
    pub(super) struct Answering<S>
    where
        S: Service<Request<Incoming>>,
    {
        live: Option<Live>,
        multiplexed: bool,
        #[pin]
        call: Oneshot<S, Request<Incoming>>,
    }
}

impl<S, B> Future for Answering<S>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
{
    type Output = Result<Response<Counted<B>>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let answer = std::task::ready!(this.call.poll(cx))?;
        let live = this.live.take();
        let stream = live.as_ref().filter(|_| *this.multiplexed).map(|live| live.0.add_stream());
        Poll::Ready(Ok(answer.map(|body| Counted { body, live, stream })))
    }
}

pin_project! {
    /// The body of an answer; while it lives, so does its request.
    pub(super) struct Counted<B> {
        #[pin]
        body: B,
        live: Option<Live>,
        stream: Option<Arc<Stream>>,
    }
}

impl<B: Body> Body for Counted<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let this = self.project();
        let frame = this.body.poll_frame(cx);
        if let (Some(stream), Some(live)) = (this.stream, this.live) {
            let given_ms = if frame.is_ready() { live.0.elapsed_ms() } else { Stream::OWED };
            stream.given_ms.store(given_ms, Ordering::Relaxed);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
