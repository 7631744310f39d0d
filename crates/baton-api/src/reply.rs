//! Puts an engine's reply into an HTTP response.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use baton_engine::{AnswerStream, Head, Reply, ReplyBody};
use baton_model::{Dialect, Fault, RequestId};
use bytes::Bytes;
use futures_util::Stream;
use http_body::Frame;

use crate::ahead::ahead;
use crate::error::ApiError;

pub(crate) static DECISION_ID: HeaderName = HeaderName::from_static("x-baton-decision-id");
pub(crate) static RUN_ID: HeaderName = HeaderName::from_static("x-baton-run-id");
static MODEL: HeaderName = HeaderName::from_static("x-baton-model");
static PROVIDER: HeaderName = HeaderName::from_static("x-baton-provider");
static POLICY: HeaderName = HeaderName::from_static("x-baton-policy");
static REASON: HeaderName = HeaderName::from_static("x-baton-reason");
static ATTEMPTS: HeaderName = HeaderName::from_static("x-baton-attempts");
static HANDOFFS: HeaderName = HeaderName::from_static("x-baton-handoffs");

/// Room for the headers of an answer, so that the map is made once.
const HEADERS: usize = 16;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const EVENTS: HeaderValue = HeaderValue::from_static("text/event-stream; charset=utf-8");

/// The response for an answer. The place among the open requests is held until the last byte.
pub(crate) async fn respond<P: Send + Unpin + 'static>(
    dialect: Dialect,
    request: RequestId,
    reply: Reply,
    place: P,
) -> Response {
    let Reply { head, body } = reply;
    match body {
        ReplyBody::Whole(bytes) => headed(&head, JSON, Body::from(bytes)),
        ReplyBody::Stream(stream) => headed(&head, EVENTS, Body::new(Answer { stream, _place: place })),
        ReplyBody::Coming(coming) => {
            let headers = move || std::mem::take(headed(&head, JSON, Body::empty()).headers_mut());
            let answer = async move {
                let response = match coming.await {
                    Ok((head, bytes)) => headed(&head, JSON, Body::from(bytes)),
                    Err(refusal) => ApiError::from(*refusal).into_response_as(dialect, request),
                };
                drop(place);
                response
            };
            ahead(answer, std::future::ready(headers)).await
        }
    }
}

fn headed(head: &Head, content_type: HeaderValue, body: Body) -> Response {
    let mut response = Response::new(body);
    if head.status >= 300 {
        *response.status_mut() = StatusCode::from_u16(head.status).unwrap_or(StatusCode::BAD_GATEWAY);
    }
    let headers = response.headers_mut();
    headers.reserve(HEADERS + head.upstream.len());
    headers.insert(CONTENT_TYPE, content_type);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    head_headers(head, headers);
    for (name, value) in &head.upstream {
        headers.insert(name, value.clone());
    }
    response
}

/// The headers that tell of the decision behind a response.
pub(crate) fn head_headers(head: &Head, headers: &mut HeaderMap) {
    let mut set = |name: &HeaderName, value: String| {
        if !value.is_empty()
            && let Ok(value) = HeaderValue::try_from(value)
        {
            headers.insert(name, value);
        }
    };
    set(&DECISION_ID, head.decision.to_string());
    set(&RUN_ID, head.run.to_string());
    set(&MODEL, head.target.clone());
    set(&PROVIDER, head.provider.clone());
    set(&POLICY, head.policy.clone());
    headers.insert(&REASON, HeaderValue::from_static(head.reason));
    headers.insert(&ATTEMPTS, HeaderValue::from(head.attempts));
    headers.insert(&HANDOFFS, HeaderValue::from(head.handoffs));
}

/// A stream as a body, with the caller's place among the open requests.
struct Answer<P> {
    stream: AnswerStream,
    _place: P,
}

impl<P: Unpin> http_body::Body for Answer<P> {
    type Data = Bytes;
    type Error = Fault;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        Pin::new(&mut self.stream).poll_next(cx).map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }
}

#[cfg(test)]
mod tests;
