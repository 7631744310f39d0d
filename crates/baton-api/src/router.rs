//! Every route in one list, and what wraps all of them: ids, panics, CORS, counting.

use std::any::Any;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, Method, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use baton_audit::IdSource;
use baton_engine::Engine;
use baton_model::{Dialect, RequestId};
use baton_telemetry::RequestEnded;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer, ExposeHeaders};
use utoipa_swagger_ui::{Config, SwaggerUi};

use crate::error::{ApiError, request_headers};
use crate::gate::Gate;
use crate::surface::by_headers;
use crate::{ApiState, chat, decisions, docs, messages, models, pass, status};

/// The whole HTTP surface.
pub fn router(state: ApiState) -> Router {
    let answers = Router::new()
        .route("/chat/completions", post(chat::create).fallback(only_post))
        .route("/messages", post(messages::create).fallback(only_post))
        .route("/messages/count_tokens", post(messages::count_tokens).fallback(only_post))
        .route("/models", get(models::list).fallback(only_get))
        .route("/models/{*id}", get(models::retrieve).fallback(only_get));
    let own = Router::new()
        .route("/v1/decisions", get(decisions::list).fallback(only_get))
        .route("/v1/decisions/{id}", get(decisions::retrieve).fallback(only_get))
        .route("/healthz", get(status::healthz).fallback(only_get))
        .route("/readyz", get(status::readyz).fallback(only_get))
        .route("/metrics", get(status::metrics).fallback(only_get))
        .route("/", get(status::root).fallback(only_get))
        .merge(SwaggerUi::new("/docs").url("/openapi.json", docs::openapi()).config(page()));
    Router::new()
        .merge(answers.clone())
        .nest("/v1", answers)
        .merge(own)
        .route("/v1/{*rest}", any(pass::forward))
        .fallback(nothing_here)
        .layer(cors(Arc::clone(&state.gate)))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn_with_state(Arc::clone(&state.engine), identify))
        .with_state(state)
}

/// How the page of documents behaves: no badge, which would tell a foreign server where this one is.
fn page() -> Config<'static> {
    Config::default().use_base_layout().default_models_expand_depth(0).validator_url("none")
}

/// Gives the request its id, and every response the same.
async fn identify(State(engine): State<Arc<Engine>>, mut request: Request, next: Next) -> Response {
    let ids: &IdSource = engine.ids();
    let id = ids.request();
    let surface = surface_of(request.uri().path());
    request.extensions_mut().insert(id);
    // HTTP/2 names the host in the request line; everything behind looks at the header.
    if !request.headers().contains_key(header::HOST)
        && let Some(host) =
            request.uri().authority().and_then(|host| HeaderValue::from_str(host.as_str()).ok())
    {
        request.headers_mut().insert(header::HOST, host);
    }
    let mut response = next.run(request).await;
    request_headers(id, response.headers_mut());
    RequestEnded { surface, status: response.status().as_u16() }.emit();
    response
}

/// The request's id. The layer above sets it; a request without one has never left the test that made it.
pub(crate) fn request_id(request: &Request) -> RequestId {
    request.extensions().get().copied().unwrap_or_else(|| RequestId::from_parts(0, [0; 10]))
}

/// A path as a label with few values.
fn surface_of(path: &str) -> &'static str {
    let below = path.strip_prefix("/v1").unwrap_or(path);
    match below {
        "/chat/completions" => "/v1/chat/completions",
        "/messages" => "/v1/messages",
        "/messages/count_tokens" => "/v1/messages/count_tokens",
        "/healthz" | "/readyz" | "/metrics" => "status",
        _ if below.starts_with("/models") => "/v1/models",
        _ if below.starts_with("/decisions") => "/v1/decisions",
        _ if path.starts_with("/v1/") => "/v1/*",
        _ => "other",
    }
}

fn cors(gate: Arc<Gate>) -> CorsLayer {
    let exposed = [
        "x-request-id",
        "request-id",
        "retry-after",
        "x-should-retry",
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

#[expect(clippy::needless_pass_by_value, reason = "the signature that the layer calls")]
fn panicked(panic: Box<dyn Any + Send + 'static>) -> Response<Body> {
    let message = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no message");
    tracing::error!(panic = message, "a handler panicked");
    ApiError::internal().into_response_as(Dialect::OpenaiChat, RequestId::from_parts(0, [0; 10]))
}

async fn only_post(request: Request) -> Response {
    refuse(ApiError::method_not_allowed("POST"), &request)
}

async fn only_get(request: Request) -> Response {
    refuse(ApiError::method_not_allowed("GET"), &request)
}

async fn nothing_here(request: Request) -> Response {
    refuse(ApiError::not_found("there is nothing at this path; `/docs` shows what there is"), &request)
}

fn refuse(error: ApiError, request: &Request) -> Response {
    error.into_response_as(by_headers(request.headers()), request_id(request)).into_response()
}
