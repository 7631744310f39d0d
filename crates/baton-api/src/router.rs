//! Every route in one list. Three are taken before it comes to the list: see `front.rs`.

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::response::Response;
use axum::routing::{any, get, post};
use baton_model::RequestId;
use utoipa_swagger_ui::{Config, SwaggerUi};

use crate::chat::Desk;
use crate::error::ApiError;
use crate::front::Front;
use crate::repeat::Repeats;
use crate::stored::Shelf;
use crate::surface::by_headers;
use crate::{ApiState, decisions, docs, feedback, mcp, messages, models, pass, route, runs, status, stored};

/// What another crate has beside these routes.
#[derive(Clone, Debug)]
pub struct Beside {
    /// Its routes.
    pub routes: Router,
    /// Its part of the `OpenAPI` document.
    pub openapi: fn() -> utoipa::openapi::OpenApi,
}

/// The whole HTTP surface.
pub fn router(state: ApiState, beside: Beside) -> Front {
    let document = docs::Served::new(beside.openapi);
    let answers = Router::new()
        // `POST` of these three is taken in front.
        .route("/chat/completions", any(only_post))
        .route("/messages", any(only_post))
        .route("/responses", any(only_post))
        .route("/messages/count_tokens", post(messages::count_tokens).fallback(only_post))
        .route("/models", get(models::list).fallback(only_get))
        .route("/models/{*id}", get(models::retrieve).fallback(only_get));
    let own = Router::new()
        .route("/v1/decisions", get(decisions::list).fallback(only_get))
        .route("/v1/decisions/{id}", get(decisions::retrieve).fallback(only_get))
        .route("/v1/decisions/{id}/feedback", post(feedback::create).fallback(only_post))
        .route("/v1/route", post(route::route).fallback(only_post))
        .route("/mcp", post(mcp::endpoint).fallback(only_post))
        .route("/healthz", get(status::healthz).fallback(only_get))
        .route("/readyz", get(status::readyz).fallback(only_get))
        .route("/metrics", get(status::metrics).fallback(only_get))
        .route("/", get(status::root).fallback(only_get))
        .route("/openapi.json", get(async move || document.answer()))
        .merge(SwaggerUi::new("/docs").config(page()));
    let shelf = Shelf::new(state.responses.clone(), Arc::clone(&state.compactions), state.runs.clone());
    let repeats = Repeats::new(Arc::clone(&state.idempotency), state.tasks.clone(), shelf.clone());
    let desk = Desk { engine: Arc::clone(&state.engine), gate: Arc::clone(&state.gate), repeats, shelf };
    let routes = Router::new()
        .merge(answers.clone())
        .nest("/v1", answers)
        .merge(own)
        .merge(stored::routes::routes())
        .merge(runs::routes::routes())
        .route("/v1/{*rest}", any(pass::forward))
        .fallback(nothing_here)
        .with_state(state)
        .merge(beside.routes);
    Front::new(desk, routes)
}

/// How the page of documents behaves: no badge, which would tell a foreign server where this one is.
fn page() -> Config<'static> {
    Config::new(["/openapi.json"]).use_base_layout().default_models_expand_depth(0).validator_url("none")
}

/// The request's id. The front sets it; a request without one has never left the test that made it.
pub(crate) fn request_id(request: &Request) -> RequestId {
    request.extensions().get().copied().unwrap_or_else(|| RequestId::from_parts(0, [0; 10]))
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
    error.into_response_as(by_headers(request.headers()), request_id(request))
}
