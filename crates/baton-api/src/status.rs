//! How the process stands: `/healthz`, `/readyz`, `/metrics`, and the greeting at `/`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::state::{Readiness, StatusSource};

/// That the process lives.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Health {
    /// `ok`.
    status: &'static str,
}

/// Says that the process lives. Asks nothing else.
#[utoipa::path(
    get, path = "/healthz", operation_id = "status.health", tag = "status",
    responses((status = 200, description = "It lives", body = Health, example = json!({"status": "ok"}))),
)]
pub(crate) async fn healthz() -> Json<Health> {
    Json(Health { status: "ok" })
}

/// Says whether new requests should come here.
#[utoipa::path(
    get, path = "/readyz", operation_id = "status.ready", tag = "status",
    responses(
        (status = 200, description = "Ready", body = Readiness, example = json!({"ready": true, "config": "4f2a", "journal_backlog_bytes": 0, "relay_lag_ms": 0, "store": "ok", "problems": []})),
        (status = 503, description = "Not ready: the problems say why", body = Readiness, example = json!({"ready": false, "config": "4f2a", "journal_backlog_bytes": 0, "relay_lag_ms": 0, "store": "ok", "problems": ["draining"]})),
    ),
)]
pub(crate) async fn readyz(State(status): State<Arc<dyn StatusSource>>) -> Response {
    let readiness = status.readiness();
    let code = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, Json(readiness)).into_response()
}

/// All metrics, for Prometheus.
#[utoipa::path(
    get, path = "/metrics", operation_id = "status.metrics", tag = "status",
    responses((status = 200, description = "Prometheus' text form", content_type = "text/plain", body = String, example = json!("baton_requests_total 1"))),
)]
pub(crate) async fn metrics(State(status): State<Arc<dyn StatusSource>>) -> Response {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], status.metrics()).into_response()
}

/// What stands at the root.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Greeting {
    /// `baton`.
    name: &'static str,
    /// The version.
    version: &'static str,
    /// Where the documentation is.
    docs: &'static str,
}

/// Says what this is. Clients ask before they begin.
#[utoipa::path(
    get, path = "/", operation_id = "status.root", tag = "status",
    responses((status = 200, description = "What this is", body = Greeting, example = json!({"name": "baton", "version": "0.1.0", "docs": "/docs"}))),
)]
pub(crate) async fn root() -> Json<Greeting> {
    Json(Greeting { name: "baton", version: env!("CARGO_PKG_VERSION"), docs: "/docs" })
}
