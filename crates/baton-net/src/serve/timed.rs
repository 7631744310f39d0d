//! I/O with deadlines: for a request's head, for silence between requests, for a client that
//! takes nothing.
//!
//! The timers are looked at only when the socket keeps us waiting, and moved only when they fire:
//! a busy connection costs two clock reads per request and no timer traffic.
//!
//! - **Invariant:** a connection without a request in work always has a running timer.
//! - **Never here:** bodies of requests; those have [`ProgressTimeout`](crate::body::ProgressTimeout).

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use super::load::{Live, Load};
use super::refused::{Malformed, Refused};

/// How an HTTP/2 connection begins.
const H2_BEGIN: &[u8] = b"PRI";

/// The deadlines of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timeouts {
    pub(super) header: Duration,
    pub(super) idle: Duration,
    pub(super) write_stall: Duration,
}

/// A connection that fails with `TimedOut` when a deadline passes.
#[derive(Debug)]
pub(super) struct Timed<I> {
    io: I,
    reads: ReadWatch,
    writes: WriteWatch,
    refused: Refused,
}

impl<I> Timed<I> {
    pub(super) fn new(io: I, load: Arc<Load>, timeouts: Timeouts, malformed: Option<Malformed>) -> Self {
        Self {
            io,
            refused: Refused::new(malformed),
            reads: ReadWatch::new(Arc::clone(&load), timeouts),
            writes: WriteWatch { load, limit: timeouts.write_stall, stalled: None, timer: None },
        }
    }
}

/// Watches how long the next request takes to come.
#[derive(Debug)]
struct ReadWatch {
    load: Arc<Load>,
    timeouts: Timeouts,
    protocol: Protocol,
    /// When the head that is being read began, and how many requests had begun by then.
    head: Head,
    timer: Pin<Box<Sleep>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    Unknown,
    Http1,
    /// Pings come without requests, so bytes do not begin a head here.
    Http2,
}

#[derive(Clone, Copy, Debug)]
struct Head {
    since: Instant,
    after: u32,
}

impl ReadWatch {
    fn new(load: Arc<Load>, timeouts: Timeouts) -> Self {
        let head = Head { since: load.start(), after: 0 };
        let timer = Box::pin(tokio::time::sleep_until(head.since + timeouts.header));
        Self { load, timeouts, protocol: Protocol::Unknown, head, timer }
    }

    /// Whether these are the first bytes of a head.
    fn note(&mut self, bytes: &[u8]) -> bool {
        let is_first = self.protocol == Protocol::Unknown;
        if self.protocol == Protocol::Unknown {
            self.protocol = if bytes.starts_with(H2_BEGIN) { Protocol::Http2 } else { Protocol::Http1 };
        }
        let begun = self.load.begun();
        if self.protocol == Protocol::Http1 && self.head.after != begun && self.load.is_idle() {
            self.head = Head { since: Instant::now(), after: begun };
            return true;
        }
        is_first
    }

    /// Whether the head that is being read has not become a request.
    fn head_is_open(&self) -> bool {
        self.protocol == Protocol::Http1 && self.load.is_idle() && self.head.after == self.load.begun()
    }

    /// When the connection must close if nothing comes; none while a request is in work.
    fn deadline(&self) -> Option<Instant> {
        if !self.load.is_idle() {
            None
        } else if self.head.after == self.load.begun() {
            Some(self.head.since + self.timeouts.header)
        } else {
            Some(self.load.idle_since() + self.timeouts.idle)
        }
    }

    /// When the connection must close because its client does not take an answer. It is asked for
    /// only when the timer fires, which it does at least once per idle time.
    fn stall_deadline(&self) -> Option<Instant> {
        Some(self.load.untaken_since()? + self.timeouts.write_stall)
    }

    /// Ready when the deadline has passed.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(deadline) = self.deadline().filter(|deadline| *deadline < self.timer.deadline()) {
            self.timer.as_mut().reset(deadline);
        }
        loop {
            ready!(self.timer.as_mut().poll(cx));
            let now = Instant::now();
            // The timer may have been set for a request that is long done: ask again.
            let next = self.deadline().or_else(|| self.stall_deadline());
            let next = next.unwrap_or(now + self.timeouts.idle);
            if next <= now {
                return Poll::Ready(());
            }
            self.timer.as_mut().reset(next);
        }
    }
}

/// Watches how long the client takes no byte.
#[derive(Debug)]
struct WriteWatch {
    load: Arc<Load>,
    limit: Duration,
    /// Kept while a write waits. The answer may be done with and only its bytes be left: so the
    /// connection is not idle.
    stalled: Option<Live>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl WriteWatch {
    fn poll(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let deadline = Instant::now() + self.limit;
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if self.stalled.is_none() {
            self.stalled = Some(Live::begin(&self.load));
            timer.as_mut().reset(deadline);
        }
        timer.as_mut().poll(cx).map(|()| Err(timed_out("the client takes nothing")))
    }
}

fn timed_out(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, why)
}

impl<I: AsyncRead + Unpin> AsyncRead for Timed<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        if let Poll::Ready(result) = Pin::new(&mut self.io).poll_read(cx, buf) {
            if let Some(bytes) = buf.filled().get(before..).filter(|bytes| !bytes.is_empty()) {
                let first = self.reads.note(bytes);
                if first || self.reads.head_is_open() {
                    self.refused.note(bytes, first);
                }
            }
            return Poll::Ready(result);
        }
        self.reads.poll(cx).map(|()| Err(timed_out("no request came in time")))
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Timed<I> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let written = if this.refused.takes(this.reads.head_is_open(), buf) {
            this.refused.poll_send(&mut this.io, cx).map_ok(|()| buf.len())
        } else {
            Pin::new(&mut this.io).poll_write(cx, buf)
        };
        this.writes.poll(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let first = bufs.first().map_or(&[][..], |first| first);
        let written = if this.refused.takes(this.reads.head_is_open(), first) {
            let len = bufs.iter().map(|buf| buf.len()).sum();
            this.refused.poll_send(&mut this.io, cx).map_ok(|()| len)
        } else {
            Pin::new(&mut this.io).poll_write_vectored(cx, bufs)
        };
        this.writes.poll(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
