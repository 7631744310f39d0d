//! Stands in front of all routes: ids, panics, CORS, counting, and the short way to an answer.
//!
//! One service with one boxed future does what a stack of layers did, because a request for an
//! answer pays for each of them. For the same reason the three paths that answer are known here and
//! never reach the router.
//!
//! - **Invariant:** every response carries `x-request-id`, that of a panic included.
//! - **Invariant:** what CORS asks for is looked at only where an `Origin` came.

use std::any::Any;
use std::convert::Infallible;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, Method, Request, header};
use axum::response::Response;
use baton_model::{Dialect, RequestId};
use baton_net::BoxError;
use baton_telemetry::RequestEnded;
use bytes::Bytes;
use futures_util::FutureExt;
use tower::{Layer, Service, ServiceExt};
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer, ExposeHeaders};

use crate::chat::Desk;
use crate::error::{ApiError, request_headers};
use crate::gate::Gate;
use crate::surface::by_headers;
use crate::{chat, messages, responses};

/// The whole HTTP surface as one service.
#[derive(Clone)]
pub struct Front(Arc<Parts>);

struct Parts {
    desk: Desk,
    routes: Router,
    cors: CorsLayer,
}

type Answering = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

impl Front {
    /// The front of these routes.
    pub(crate) fn new(desk: Desk, routes: Router) -> Self {
        let cors = cors(Arc::clone(&desk.gate));
        Self(Arc::new(Parts { desk, routes, cors }))
    }
}

impl<B> Service<Request<B>> for Front
where
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Answering;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Answering {
        let parts = Arc::clone(&self.0);
        Box::pin(async move { Ok(parts.answer(request).await) })
    }
}

impl fmt::Debug for Front {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Front").finish_non_exhaustive()
    }
}

impl Parts {
    /// Gives the request its id, and the response the same.
    async fn answer<B>(self: Arc<Self>, mut request: Request<B>) -> Response
    where
        B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        let id = self.desk.engine.ids().request();
        let surface = surface_of(request.uri().path());
        let dialect = by_headers(request.headers());
        // HTTP/2 names the host in the request line; everything behind looks at the header.
        if !request.headers().contains_key(header::HOST)
            && let Some(host) =
                request.uri().authority().and_then(|host| HeaderValue::from_str(host.as_str()).ok())
        {
            request.headers_mut().insert(header::HOST, host);
        }
        let has_origin = request.headers().contains_key(header::ORIGIN);
        // Pinned here, so that the largest future of all is not moved once more to be guarded.
        let routed = std::pin::pin!(async {
            if has_origin {
                let routes = Routes { parts: Arc::clone(&self), id };
                match self.cors.layer(routes).oneshot(request).await {
                    Ok(response) => response,
                    Err(never) => match never {},
                }
            } else {
                self.route(id, request).await
            }
        });
        let mut response = guarded(dialect, id, routed).await;
        let headers = response.headers_mut();
        request_headers(id, headers);
        if !has_origin && self.desk.gate.has_origins() {
            // A page's request for the same would be answered with other headers.
            headers.append(header::VARY, HeaderValue::from_static("origin"));
        }
        RequestEnded { surface, status: response.status().as_u16() }.emit();
        response
    }

    async fn route<B>(&self, id: RequestId, request: Request<B>) -> Response
    where
        B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        match (request.method(), below_v1(request.uri().path())) {
            (&Method::POST, "/chat/completions") => chat::create(&self.desk, id, request).await,
            (&Method::POST, "/messages") => messages::create(&self.desk, id, request).await,
            (&Method::POST, "/responses") => responses::create(&self.desk, id, request).await,
            _ => {
                let mut request = request.map(Body::new);
                request.extensions_mut().insert(id);
                match self.routes.clone().oneshot(request).await {
                    Ok(response) => response,
                    Err(never) => match never {},
                }
            }
        }
    }
}

/// What CORS wraps: the routes, for one request.
#[derive(Clone)]
struct Routes {
    parts: Arc<Parts>,
    id: RequestId,
}

impl<B> Service<Request<B>> for Routes
where
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Answering;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Answering {
        let Self { parts, id } = self.clone();
        Box::pin(async move { Ok(parts.route(id, request).await) })
    }
}

fn below_v1(path: &str) -> &str {
    path.strip_prefix("/v1").unwrap_or(path)
}

/// A path as a label with few values.
fn surface_of(path: &str) -> &'static str {
    let below = below_v1(path);
    match below {
        "/chat/completions" => "/v1/chat/completions",
        "/messages" => "/v1/messages",
        "/messages/count_tokens" => "/v1/messages/count_tokens",
        "/responses" => "/v1/responses",
        "/healthz" | "/readyz" | "/metrics" => "status",
        "/mcp" => "/mcp",
        _ if below == "/runs" || below.starts_with("/runs/") => "/v1/runs",
        _ if below.starts_with("/responses/") => "/v1/responses",
        _ if below.starts_with("/models") => "/v1/models",
        _ if below.starts_with("/decisions") => "/v1/decisions",
        _ if path.starts_with("/v1/") => "/v1/*",
        _ if path.starts_with("/admin/") => "/admin",
        _ => "other",
    }
}

fn cors(gate: Arc<Gate>) -> CorsLayer {
    let exposed = [
        "x-request-id",
        "request-id",
        "retry-after",
        "x-should-retry",
        "idempotent-replayed",
        "x-baton-decision-id",
        "x-baton-run-id",
        "x-baton-model",
        "x-baton-provider",
        "x-baton-policy",
        "x-baton-attempts",
        "x-baton-handoffs",
        "x-baton-reason",
    ]
    .map(HeaderName::from_static);
    CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(move |origin: &HeaderValue, _parts| {
            origin.to_str().is_ok_and(|origin| gate.allows_origin(origin))
        }))
        .allow_methods([Method::GET, Method::POST, Method::DELETE, Method::OPTIONS])
        // SDKs send families of headers (`x-stainless-*`, `anthropic-*`): what an allowed origin asks for, it gets.
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers(ExposeHeaders::list(exposed))
        .max_age(std::time::Duration::from_secs(600))
}

/// Answers with 500 where a handler panicked.
async fn guarded(dialect: Dialect, id: RequestId, answer: impl Future<Output = Response>) -> Response {
    let answered = AssertUnwindSafe(answer).catch_unwind().await;
    answered.unwrap_or_else(|panic| panicked(&*panic, dialect, id))
}

fn panicked(panic: &(dyn Any + Send), dialect: Dialect, id: RequestId) -> Response {
    let message = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no message");
    tracing::error!(panic = message, request_id = %id, "a handler panicked");
    ApiError::internal().into_response_as(dialect, id)
}

#[cfg(test)]
mod tests;
