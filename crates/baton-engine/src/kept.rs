//! Shows a client that its stream lives while nothing comes for it.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::Stream;
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep};

use crate::flow::KEEP_ALIVE;

pin_project! {
    /// A stream that says something at least every so often, while there is more to come.
    pub(crate) struct KeptAlive<S> {
        #[pin]
        stream: S,
        #[pin]
        silence: Sleep,
        sign: &'static [u8],
    }
}

impl<S> KeptAlive<S> {
    /// A stream with this sign of life.
    pub(crate) fn new(stream: S, sign: &'static [u8]) -> Self {
        Self { stream, silence: sleep(KEEP_ALIVE), sign }
    }
}

impl<S: Stream<Item = Bytes>> Stream for KeptAlive<S> {
    type Item = Bytes;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let mut this = self.project();
        let polled = this.stream.poll_next(cx);
        if polled.is_pending() && this.silence.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        this.silence.reset(Instant::now() + KEEP_ALIVE);
        match polled {
            Poll::Pending => Poll::Ready(Some(Bytes::from_static(this.sign))),
            ready @ Poll::Ready(_) => ready,
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{StreamExt, stream};
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_long_silence_is_broken_and_nothing_is_lost() {
        let (tell, told) = oneshot::channel::<Bytes>();
        let slow = stream::once(async move { told.await.unwrap() });
        let mut kept = Box::pin(KeptAlive::new(slow, b": keep-alive\n\n"));
        for _ in 0..3 {
            assert_eq!(kept.next().await.unwrap(), ": keep-alive\n\n");
        }
        tell.send(Bytes::from_static(b"x")).unwrap();
        assert_eq!(kept.next().await.unwrap(), "x");
        assert_eq!(kept.next().await, None);
    }
}
