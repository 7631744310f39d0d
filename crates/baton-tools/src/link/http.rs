//! Streamable HTTP over the gateway's one way out.
//!
//! rmcp brings a client of its own; ours is here so that MCP connects where everything connects: names
//! are looked up once, their addresses filtered by where the URL came from, and no redirect is followed.
//!
//! - **Invariant:** a request carries the server's configured headers and MCP's own, nothing of a client's.
//! - **Invariant:** no body is read beyond [`HARD_LIMIT`], no stream of one request beyond [`STREAM_LIMIT`].

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use baton_net::body::Chunks;
use baton_net::client::HttpClient;
use baton_net::sse::{SseDecoder, SseEvent};
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use http::header::{ACCEPT, CONTENT_TYPE};
use http::response::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode};
use http_body_util::BodyExt;
use rmcp::model::{ClientJsonRpcMessage, ClientRequest, ErrorData, RequestId, ServerJsonRpcMessage};
use rmcp::transport::common::client_side_sse::BoxedSseResponse;
use rmcp::transport::common::http_header::{
    EVENT_STREAM_MIME_TYPE, HEADER_LAST_EVENT_ID, HEADER_SESSION_ID, JSON_MIME_TYPE,
};
use rmcp::transport::streamable_http_client::{
    SseError, StreamableHttpClient, StreamableHttpError, StreamableHttpPostResponse,
};
use sse_stream::Sse;
use tokio_util::sync::CancellationToken;

use super::trouble::Trouble;
use super::{HARD_LIMIT, STREAM_LIMIT};
use crate::fault::Fault;

/// The most bytes of an error's body that are read.
const ERROR_LIMIT: usize = 64 << 10;

/// How long the end of a session may take.
const DELETE_TIMEOUT: Duration = Duration::from_secs(2);

type HttpError = StreamableHttpError<Fault>;

/// A body as it comes; a connection that broke is an item.
type Body = BoxStream<'static, Result<Bytes, Fault>>;

/// One server's endpoint.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    pub(crate) client: HttpClient,
    pub(crate) headers: Arc<HeaderMap>,
    pub(crate) trouble: Trouble,
    /// Cancelled when the connection is given up, so that nothing waits on behalf of nobody.
    pub(crate) closed: CancellationToken,
}

/// What goes with a request.
struct Outgoing {
    method: Method,
    uri: Arc<str>,
    session: Option<Arc<str>>,
    headers: HashMap<HeaderName, HeaderValue>,
    body: Bytes,
}

impl StreamableHttpClient for Endpoint {
    type Error = Fault;

    async fn post_message(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session_id: Option<Arc<str>>,
        _auth_header: Option<String>,
        custom_headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<StreamableHttpPostResponse, HttpError> {
        let body = serde_json::to_vec(&message)?.into();
        let has_session = session_id.is_some();
        let outgoing =
            Outgoing { method: Method::POST, uri, session: session_id, headers: custom_headers, body };
        let answer = self.unless_closed(self.post(outgoing, &message, has_session)).await;
        self.note(answer)
    }

    async fn post_message_with_max_sse_event_size(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session_id: Option<Arc<str>>,
        auth_header: Option<String>,
        custom_headers: HashMap<HeaderName, HeaderValue>,
        _max_sse_event_size: usize,
    ) -> Result<StreamableHttpPostResponse, HttpError> {
        self.post_message(uri, message, session_id, auth_header, custom_headers).await
    }

    async fn delete_session(
        &self,
        uri: Arc<str>,
        session_id: Arc<str>,
        _auth_header: Option<String>,
        custom_headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<(), HttpError> {
        let outgoing = Outgoing {
            method: Method::DELETE,
            uri,
            session: Some(session_id),
            headers: custom_headers,
            body: Bytes::new(),
        };
        // The session is gone for us whatever the server says.
        drop(tokio::time::timeout(DELETE_TIMEOUT, self.send(outgoing)).await);
        Ok(())
    }

    async fn get_stream(
        &self,
        uri: Arc<str>,
        session_id: Option<Arc<str>>,
        last_event_id: Option<String>,
        _auth_header: Option<String>,
        mut custom_headers: HashMap<HeaderName, HeaderValue>,
    ) -> Result<BoxedSseResponse, HttpError> {
        if let Some(id) = last_event_id.and_then(|id| HeaderValue::try_from(id).ok()) {
            custom_headers.insert(header(HEADER_LAST_EVENT_ID)?, id);
        }
        let outgoing = Outgoing {
            method: Method::GET,
            uri,
            session: session_id,
            headers: custom_headers,
            body: Bytes::new(),
        };
        let (head, body) = self.unless_closed(self.send(outgoing)).await?;
        let status = head.status;
        if status == StatusCode::METHOD_NOT_ALLOWED || status == StatusCode::NOT_FOUND {
            return Err(StreamableHttpError::ServerDoesNotSupportSse);
        }
        if let Some(fault) = fault_of(status) {
            return Err(StreamableHttpError::Client(fault));
        }
        if !has_type(&head.headers, EVENT_STREAM_MIME_TYPE) {
            return Err(StreamableHttpError::ServerDoesNotSupportSse);
        }
        // This stream lives as long as the session, so only its single events have a limit.
        Ok(self.events(body, usize::MAX))
    }

    async fn get_stream_with_max_sse_event_size(
        &self,
        uri: Arc<str>,
        session_id: Option<Arc<str>>,
        last_event_id: Option<String>,
        auth_header: Option<String>,
        custom_headers: HashMap<HeaderName, HeaderValue>,
        _max_sse_event_size: usize,
    ) -> Result<BoxedSseResponse, HttpError> {
        self.get_stream(uri, session_id, last_event_id, auth_header, custom_headers).await
    }
}

impl Endpoint {
    async fn post(
        &self,
        outgoing: Outgoing,
        message: &ClientJsonRpcMessage,
        has_session: bool,
    ) -> Result<StreamableHttpPostResponse, HttpError> {
        let (head, body) = self.send(outgoing).await?;
        if matches!(head.status, StatusCode::ACCEPTED | StatusCode::NO_CONTENT) {
            return Ok(StreamableHttpPostResponse::Accepted);
        }
        if head.status == StatusCode::NOT_FOUND && has_session {
            return Err(StreamableHttpError::SessionExpired);
        }
        let session = head.headers.get(HEADER_SESSION_ID).and_then(|id| id.to_str().ok()).map(str::to_owned);
        let asked = asked(message);
        if !head.status.is_success() {
            let text = read(body, ERROR_LIMIT).await.unwrap_or_default();
            return rejected(head.status, &text, message, has_session)
                .map(|error| StreamableHttpPostResponse::Json(error, session));
        }
        if has_type(&head.headers, EVENT_STREAM_MIME_TYPE) {
            let events = self.events(body, STREAM_LIMIT);
            return Ok(StreamableHttpPostResponse::Sse(events, session));
        }
        let Some(asked) = asked else {
            // Nothing is expected back from a notification, whatever its body says.
            return Ok(StreamableHttpPostResponse::Accepted);
        };
        if !has_type(&head.headers, JSON_MIME_TYPE) {
            return Err(StreamableHttpError::Client(Fault::Protocol(
                "it is neither JSON nor a stream of events",
            )));
        }
        let bytes = read(body, HARD_LIMIT).await.map_err(StreamableHttpError::Client)?;
        let answer: ServerJsonRpcMessage = serde_json::from_slice(&bytes).map_err(|_not_shown| {
            StreamableHttpError::Client(Fault::Protocol("it is no JSON-RPC message"))
        })?;
        if !answers(&answer, asked) {
            return Err(StreamableHttpError::Client(Fault::Protocol("it answers another request")));
        }
        Ok(StreamableHttpPostResponse::Json(answer, session))
    }

    async fn send(&self, outgoing: Outgoing) -> Result<(Parts, Body), HttpError> {
        let mut headers = (*self.headers).clone();
        for (name, value) in outgoing.headers {
            headers.insert(name, value);
        }
        if let Some(session) = outgoing.session {
            let session = HeaderValue::try_from(&*session).map_err(|_not_shown| {
                StreamableHttpError::Client(Fault::Protocol("its session id is no header"))
            })?;
            headers.insert(header(HEADER_SESSION_ID)?, session);
        }
        headers.insert(ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
        if !outgoing.body.is_empty() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(JSON_MIME_TYPE));
        }
        let mut request = Request::new(Chunks::from(outgoing.body));
        *request.method_mut() = outgoing.method;
        *request.uri_mut() = outgoing
            .uri
            .parse()
            .map_err(|_not_shown| StreamableHttpError::Client(Fault::Unreachable("target")))?;
        *request.headers_mut() = headers;
        let response = self.client.send(request).await;
        let response = response.map_err(|error| StreamableHttpError::Client(Fault::from(error.kind())))?;
        let (head, body) = response.into_parts();
        let body = body.into_data_stream().map(|chunk| chunk.map_err(|_broken| Fault::Closed));
        Ok((head, body.boxed()))
    }

    /// The answer, unless the connection is given up first.
    async fn unless_closed<T>(
        &self,
        answer: impl Future<Output = Result<T, HttpError>>,
    ) -> Result<T, HttpError> {
        self.closed
            .run_until_cancelled(answer)
            .await
            .unwrap_or(Err(StreamableHttpError::Client(Fault::Closed)))
    }

    /// Keeps the fault where the caller finds it even when rmcp reports less.
    fn note<T>(&self, answer: Result<T, HttpError>) -> Result<T, HttpError> {
        if let Err(StreamableHttpError::Client(fault)) = &answer {
            self.trouble.set(fault.clone());
        }
        answer
    }

    fn events(&self, chunks: Body, limit: usize) -> BoxedSseResponse {
        let events = Events {
            chunks,
            decoder: SseDecoder::new(HARD_LIMIT),
            left: limit,
            limit,
            trouble: self.trouble.clone(),
        };
        stream::unfold(Some(events), |events| async move {
            let mut events = events?;
            match events.next().await {
                Ok(Some(event)) => Some((Ok(event), Some(events))),
                Ok(None) => None,
                Err(fault) => {
                    events.trouble.set(fault.clone());
                    Some((Err(SseError::Body(Box::new(fault))), None))
                }
            }
        })
        .take_until(self.closed.clone().cancelled_owned())
        .boxed()
    }
}

/// A stream of events with limits.
struct Events {
    chunks: Body,
    decoder: SseDecoder,
    left: usize,
    limit: usize,
    trouble: Trouble,
}

impl Events {
    async fn next(&mut self) -> Result<Option<Sse>, Fault> {
        loop {
            while let Some(event) =
                self.decoder.next_event().map_err(|_too_long| Fault::TooLarge(HARD_LIMIT))?
            {
                if !event.data.is_empty() {
                    return event_of(&event).map(Some);
                }
            }
            match self.chunks.next().await {
                None => return Ok(None),
                Some(chunk) => {
                    let chunk = chunk?;
                    self.left = self.left.checked_sub(chunk.len()).ok_or(Fault::TooLarge(self.limit))?;
                    self.decoder.push(chunk);
                }
            }
        }
    }
}

fn event_of(event: &SseEvent) -> Result<Sse, Fault> {
    let text = |bytes: &[u8]| {
        std::str::from_utf8(bytes).map(str::to_owned).map_err(|_bytes| Fault::Protocol("it is not UTF-8"))
    };
    let id = event.raw.split(|byte| matches!(byte, b'\n' | b'\r')).find_map(|line| line.strip_prefix(b"id:"));
    Ok(Sse {
        event: (!event.event.is_empty()).then(|| text(&event.event)).transpose()?,
        data: Some(text(&event.data)?),
        id: id.map(|id| text(id.trim_ascii())).transpose()?,
        retry: None,
    })
}

/// Reads a body of at most `limit` bytes.
async fn read(mut body: Body, limit: usize) -> Result<Vec<u8>, Fault> {
    let mut whole = Vec::new();
    while let Some(chunk) = body.next().await {
        let chunk = chunk?;
        if chunk.len() > limit.saturating_sub(whole.len()) {
            return Err(Fault::TooLarge(limit));
        }
        whole.extend_from_slice(&chunk);
    }
    Ok(whole)
}

/// What an answer that is no success means.
///
/// A server of before 2026-07-28 does not know `server/discover` and says so with any 4xx; rmcp then goes
/// on with `initialize`, provided that the error bears the request's id.
fn rejected(
    status: StatusCode,
    body: &[u8],
    message: &ClientJsonRpcMessage,
    has_session: bool,
) -> Result<ServerJsonRpcMessage, HttpError> {
    let fault = fault_of(status).unwrap_or(Fault::Status(status.as_u16()));
    if status.is_redirection() || matches!(fault, Fault::Unauthorized(_)) {
        return Err(StreamableHttpError::Client(fault));
    }
    let said = serde_json::from_slice(body).ok();
    let error = said.and_then(|said| match said {
        ServerJsonRpcMessage::Error(error) => Some(error),
        _ => None,
    });
    let discovers = matches!(
        message,
        ClientJsonRpcMessage::Request(request)
            if matches!(request.request, ClientRequest::DiscoverRequest(_))
    );
    match (error, asked(message)) {
        (error, Some(id)) if discovers && !has_session && status.is_client_error() => {
            let error = error.map(|error| error.error);
            let error = error.unwrap_or_else(|| ErrorData::invalid_request("not known", None));
            Ok(ServerJsonRpcMessage::error(error, Some(id.clone())))
        }
        (Some(error), Some(id)) => Ok(ServerJsonRpcMessage::error(error.error, Some(id.clone()))),
        (_, _) => Err(StreamableHttpError::Client(fault)),
    }
}

fn fault_of(status: StatusCode) -> Option<Fault> {
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Some(Fault::Unauthorized(status.as_u16())),
        status if status.is_redirection() => Some(Fault::Redirected(status.as_u16())),
        status if !status.is_success() => Some(Fault::Status(status.as_u16())),
        _ => None,
    }
}

/// The id of a request; the other messages have none.
fn asked(message: &ClientJsonRpcMessage) -> Option<&RequestId> {
    match message {
        ClientJsonRpcMessage::Request(request) => Some(&request.id),
        _ => None,
    }
}

fn answers(message: &ServerJsonRpcMessage, asked: &RequestId) -> bool {
    match message {
        ServerJsonRpcMessage::Response(response) => same_id(&response.id, asked),
        ServerJsonRpcMessage::Error(error) => error.id.as_ref().is_none_or(|id| same_id(id, asked)),
        _ => false,
    }
}

/// Some servers send a number back as text.
fn same_id(id: &RequestId, asked: &RequestId) -> bool {
    id == asked || id.to_string() == asked.to_string()
}

fn has_type(headers: &HeaderMap, expected: &str) -> bool {
    let found = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    found.split(';').next().is_some_and(|found| found.trim().eq_ignore_ascii_case(expected))
}

fn header(name: &'static str) -> Result<HeaderName, HttpError> {
    HeaderName::try_from(name)
        .map_err(|_not_shown| StreamableHttpError::Client(Fault::Protocol("a header's name is wrong")))
}
