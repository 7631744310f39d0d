//! Puts an engine's reply into an HTTP response.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use baton_access::Permit;
use baton_engine::{AnswerStream, Head, Reply, ReplyBody};
use baton_model::Fault;
use bytes::Bytes;
use futures_util::Stream;
use http_body::Frame;

/// The response for an answer. The permit is held until the last byte.
pub(crate) fn respond(reply: Reply, permit: Permit) -> Response {
    let Reply { head, body } = reply;
    let (body, content_type) = match body {
        ReplyBody::Whole(bytes) => {
            drop(permit);
            (Body::from(bytes), "application/json")
        }
        ReplyBody::Stream(stream) => {
            (Body::new(Answer { stream, _permit: permit }), "text/event-stream; charset=utf-8")
        }
    };
    let mut response = Response::new(body);
    if head.status >= 300 {
        *response.status_mut() = StatusCode::from_u16(head.status).unwrap_or(StatusCode::BAD_GATEWAY);
    }
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    head_headers(&head, headers);
    for (name, value) in &head.upstream {
        headers.insert(name.clone(), value.clone());
    }
    response
}

/// The headers that tell of the decision behind a response.
pub(crate) fn head_headers(head: &Head, headers: &mut HeaderMap) {
    let mut set = |name: &'static str, value: &str| {
        if !value.is_empty()
            && let Ok(value) = HeaderValue::from_str(value)
        {
            headers.insert(HeaderName::from_static(name), value);
        }
    };
    set("x-baton-decision-id", &head.decision.to_string());
    set("x-baton-run-id", &head.run.to_string());
    set("x-baton-model", &head.target);
    set("x-baton-provider", &head.provider);
    set("x-baton-policy", &head.policy);
    set("x-baton-reason", head.reason);
    headers.insert("x-baton-attempts", HeaderValue::from(head.attempts));
    headers.insert("x-baton-handoffs", HeaderValue::from(0_u32));
}

/// A stream as a body, with the caller's place among the open requests.
struct Answer {
    stream: AnswerStream,
    _permit: Permit,
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = Fault;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        Pin::new(&mut self.stream).poll_next(cx).map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }
}
