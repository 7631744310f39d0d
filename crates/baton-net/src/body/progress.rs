//! Ends a body that stands still.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep};

use crate::BoxError;

/// No byte came for this long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no byte came for {} ms", after.as_millis())]
pub struct Stalled {
    /// How long the body was waited for.
    pub after: Duration,
}

pin_project! {
    /// A body that fails with [`Stalled`] when it is waited for and no byte comes for too long.
    ///
    /// Only waiting counts: while nobody asks for the next frame, no time passes. The timer is
    /// made when the body first keeps the reader waiting, so a body that is there costs nothing.
    #[derive(Debug)]
    pub struct ProgressTimeout<B> {
        #[pin]
        body: B,
        timeout: Duration,
        waiting: bool,
        timer: Option<Pin<Box<Sleep>>>,
    }
}

impl<B> ProgressTimeout<B> {
    /// Wraps a body; `timeout` is the longest wait for a byte.
    pub fn new(body: B, timeout: Duration) -> Self {
        Self { body, timeout, waiting: false, timer: None }
    }

    /// Sets another limit, from the next wait on.
    pub fn set_timeout(&mut self, timeout: Duration) {
        self.timeout = timeout;
    }
}

impl<B> Body for ProgressTimeout<B>
where
    B: Body<Data = Bytes, Error: Into<BoxError>>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.project();
        if let Poll::Ready(frame) = this.body.poll_frame(cx) {
            // A frame without bytes is no progress, or empty frames could hold a request open.
            let empty = matches!(&frame, Some(Ok(frame)) if frame.data_ref().is_some_and(Bytes::is_empty));
            *this.waiting &= empty;
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let deadline = Instant::now() + *this.timeout;
        let timer = this.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if !std::mem::replace(this.waiting, true) {
            timer.as_mut().reset(deadline);
        }
        timer.as_mut().poll(cx).map(|()| Some(Err(Stalled { after: *this.timeout }.into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests;
