//! Every route in one list.

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodRouter, any, get};

use crate::error::AdminError;
use crate::gate::guard;
use crate::state::AdminState;
use crate::{content, decisions, export, handoffs, idle, usage};

/// Everything under `/admin`.
pub fn router(state: AdminState) -> Router {
    let nothing = || any(async || AdminError::nothing_here());
    Router::new()
        .route("/admin/v1/decisions", reading(get(decisions::list)))
        .route("/admin/v1/decisions/export", reading(get(export::export)))
        .route("/admin/v1/decisions/{id}", reading(get(decisions::retrieve)))
        .route("/admin/v1/decisions/{id}/content", reading(get(content::retrieve)))
        .route("/admin/v1/runs/{id}", reading(get(decisions::run)))
        .route("/admin/v1/handoffs", reading(get(handoffs::list)))
        .route("/admin/v1/usage", reading(get(usage::page)))
        .route("/admin/v1/models/unchosen", reading(get(idle::models)))
        .route("/admin/v1/rules/unfired", reading(get(idle::rules)))
        .route("/admin", nothing())
        .route("/admin/", nothing())
        .route("/admin/{*rest}", nothing())
        .layer(from_fn_with_state(state.clone(), guard))
        .with_state(state)
}

fn reading(handler: MethodRouter<AdminState>) -> MethodRouter<AdminState> {
    handler.fallback(async || AdminError::only_get())
}
