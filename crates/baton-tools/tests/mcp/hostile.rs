//! A server written by hand, that does what no SDK would let it do.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use futures_util::{StreamExt, stream};
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use serde_json::{Value, json};

use super::support::{Serving, serving};

pub(crate) type Body = BoxBody<Bytes, Infallible>;

/// How the server answers to one message.
pub(crate) enum Reply {
    /// This JSON as the body.
    Json(Value),
    /// These bytes as the body, called JSON.
    Raw(Vec<u8>),
    /// A status without a body.
    Status(u16),
    /// Sent elsewhere.
    Redirect(String),
    /// These messages as a stream of events that then ends.
    Events(Vec<Value>),
    /// This chunk of a stream of events without end.
    Endless(Bytes),
    /// This chunk of a JSON body without end.
    EndlessJson(Bytes),
    /// Never.
    Silence,
}

/// What the server saw.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen(Arc<Mutex<Vec<(HeaderMap, Value)>>>);

impl Seen {
    pub(crate) fn methods(&self) -> Vec<String> {
        let seen = self.0.lock().unwrap();
        seen.iter().map(|(_, message)| message["method"].as_str().unwrap_or("-").to_owned()).collect()
    }

    pub(crate) fn count(&self, method: &str) -> usize {
        self.methods().iter().filter(|seen| *seen == method).count()
    }

    /// Everything that came in, as text.
    pub(crate) fn text(&self) -> String {
        format!("{:?}", self.0.lock().unwrap())
    }

    pub(crate) fn messages(&self) -> Vec<Value> {
        self.0.lock().unwrap().iter().map(|(_, message)| message.clone()).collect()
    }
}

pub(crate) struct Hostile {
    pub(crate) serving: Serving,
    pub(crate) seen: Seen,
}

impl Hostile {
    pub(crate) fn url(&self) -> String {
        self.serving.url()
    }
}

/// Answers what is asked for as a modern server does, but for what `behave` takes on itself.
pub(crate) async fn hostile(
    behave: impl Fn(&str, &Value) -> Option<Reply> + Send + Sync + 'static,
) -> Hostile {
    let seen = Seen::default();
    let behave = Arc::new(behave);
    let service = tower::service_fn({
        let seen = seen.clone();
        move |request| answer(request, seen.clone(), Arc::clone(&behave))
    });
    Hostile { serving: serving(service).await, seen }
}

type Answer = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

fn answer(
    request: Request<Incoming>,
    seen: Seen,
    behave: Arc<impl Fn(&str, &Value) -> Option<Reply> + Send + Sync + 'static>,
) -> Answer {
    Box::pin(async move {
        let (head, body) = request.into_parts();
        if head.method != Method::POST {
            return Ok(empty(StatusCode::METHOD_NOT_ALLOWED));
        }
        let body = body.collect().await.unwrap().to_bytes();
        let message: Value = serde_json::from_slice(&body).unwrap();
        seen.0.lock().unwrap().push((head.headers, message.clone()));
        let method = message["method"].as_str().unwrap_or("-");
        let reply = behave(method, &message).unwrap_or_else(|| usual(method, &message));
        Ok(match reply {
            Reply::Json(value) => {
                with_type("application/json", Full::new(Bytes::from(value.to_string())).boxed())
            }
            Reply::Raw(bytes) => with_type("application/json", Full::new(Bytes::from(bytes)).boxed()),
            Reply::Status(status) => empty(StatusCode::from_u16(status).unwrap()),
            Reply::Redirect(to) => {
                let mut response = empty(StatusCode::TEMPORARY_REDIRECT);
                response.headers_mut().insert(header::LOCATION, to.parse().unwrap());
                response
            }
            Reply::Events(events) => {
                let text: String = events.iter().map(|event| format!("data: {event}\n\n")).collect();
                with_type("text/event-stream", Full::new(Bytes::from(text)).boxed())
            }
            Reply::Endless(chunk) => with_type("text/event-stream", endless(chunk)),
            Reply::EndlessJson(chunk) => with_type("application/json", endless(chunk)),
            Reply::Silence => std::future::pending().await,
        })
    })
}

fn usual(method: &str, message: &Value) -> Reply {
    match method {
        "server/discover" => Reply::Json(result(message, discovered())),
        "tools/list" => Reply::Json(result(message, tools(&json!([tool("act", "Acts.")])))),
        "tools/call" => Reply::Json(result(message, text("done"))),
        _ => Reply::Status(202),
    }
}

/// The answer to `server/discover`.
pub(crate) fn discovered() -> Value {
    json!({
        "resultType": "complete",
        "supportedVersions": ["2026-07-28"],
        "capabilities": {"tools": {}},
        "ttlMs": 0,
        "cacheScope": "private",
    })
}

/// The answer to `initialize`.
pub(crate) fn initialized() -> Value {
    json!({
        "protocolVersion": "2025-11-25",
        "capabilities": {"tools": {"listChanged": true}},
        "serverInfo": {"name": "hostile", "version": "1"},
    })
}

pub(crate) fn tools(tools: &Value) -> Value {
    json!({"resultType": "complete", "tools": tools, "ttlMs": 0, "cacheScope": "private"})
}

pub(crate) fn tool(name: &str, description: &str) -> Value {
    json!({"name": name, "description": description, "inputSchema": {"type": "object"}})
}

pub(crate) fn text(text: &str) -> Value {
    json!({"resultType": "complete", "content": [{"type": "text", "text": text}]})
}

/// The message that answers another with this result.
#[expect(clippy::needless_pass_by_value, reason = "it is made for this call")]
pub(crate) fn result(message: &Value, result: Value) -> Value {
    json!({"jsonrpc": "2.0", "id": message["id"], "result": result})
}

fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Full::new(Bytes::new()).boxed());
    *response.status_mut() = status;
    response
}

fn with_type(kind: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
    response
}

fn endless(chunk: Bytes) -> Body {
    BodyExt::boxed(StreamBody::new(stream::repeat(chunk).map(|chunk| Ok(Frame::data(chunk)))))
}
