//! Lets the head of a whole answer go ahead of it when the answer takes long.
//!
//! Client libraries give up after a minute without a word, and ask again: a run of many turns would
//! be carried out three times. So once it is certain that there will be an answer, and it still is
//! not there after [`PATIENCE`], status and headers are sent, and then a blank every
//! [`PATIENCE`]: JSON may begin with blanks.
//!
//! What fails after that can only say so in the body: it is the error object of the dialect
//! (`{"error": …}`, or `{"type": "error", …}` for messages) under the status 200 that is gone already.
//!
//! - Start with [`ahead`].
//! - **Invariant:** an answer that is there in time is sent as if this were not here.
//! - **Never here:** when an answer is certain; the caller has a future for that.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::http::HeaderMap;
use axum::response::Response;
use bytes::Bytes;
use http_body::Frame;
use tokio::time::{Instant, Sleep, sleep};

/// How long an answer may take, once it is certain, before the head goes ahead; and the time
/// between two blanks.
const PATIENCE: Duration = Duration::from_secs(10);

/// In a response whose head went ahead: whether what came then was an error.
#[derive(Clone, Debug, Default)]
pub(crate) struct FailedLate(Arc<AtomicBool>);

impl FailedLate {
    /// To be asked when the body has ended.
    pub(crate) fn has_failed(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// The response that `answer` comes to. `certain` comes to what makes the headers that hold once it is
/// certain that the status will be 200; it may never come to anything.
pub(crate) async fn ahead<A, C, H>(answer: A, certain: C) -> Response
where
    A: Future<Output = Response> + Send + 'static,
    C: Future<Output = H>,
    H: FnOnce() -> HeaderMap,
{
    let mut answer: Pin<Box<dyn Future<Output = Response> + Send>> = Box::pin(answer);
    let too_long = async {
        let headers = certain.await;
        sleep(PATIENCE).await;
        headers()
    };
    let headers = tokio::select! {
        biased;
        response = &mut answer => return response,
        headers = too_long => headers,
    };
    let failed = FailedLate::default();
    // The first blank goes with the head.
    let next = Box::pin(sleep(Duration::ZERO));
    let mut response =
        Response::new(Body::new(Coming { state: State::Waiting { answer, next }, failed: failed.clone() }));
    *response.headers_mut() = headers;
    response.extensions_mut().insert(failed);
    response
}

/// Blanks until the answer is there, then the answer.
struct Coming {
    state: State,
    failed: FailedLate,
}

enum State {
    Waiting { answer: Pin<Box<dyn Future<Output = Response> + Send>>, next: Pin<Box<Sleep>> },
    Here(Body),
}

impl http_body::Body for Coming {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        loop {
            let this = &mut *self;
            match &mut this.state {
                State::Here(body) => return Pin::new(body).poll_frame(cx),
                State::Waiting { answer, next } => match answer.as_mut().poll(cx) {
                    Poll::Ready(response) => {
                        this.failed.0.store(!response.status().is_success(), Ordering::Release);
                        this.state = State::Here(response.into_body());
                    }
                    Poll::Pending => {
                        std::task::ready!(next.as_mut().poll(cx));
                        next.as_mut().reset(Instant::now() + PATIENCE);
                        return Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b" ")))));
                    }
                },
            }
        }
    }
}

#[cfg(test)]
mod tests;
