//! Every route in one list.

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{MethodRouter, any, get};

use crate::control::for_admins;
use crate::error::AdminError;
use crate::gate::guard;
use crate::state::AdminState;
use crate::{content, decisions, export, handoffs, idle, usage};

/// Everything under `/admin`.
///
/// `control` has what stands under `/admin/v1` for administrators alone. Its errors are statuses with a sentence, and
/// it finds who asks as a [`baton_access::Principal`] among a request's extensions.
pub fn router(state: AdminState, control: Router) -> Router {
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
        .with_state(state.clone())
        .nest("/admin/v1", for_admins(control))
        .layer(from_fn_with_state(state, guard))
}

fn reading(handler: MethodRouter<AdminState>) -> MethodRouter<AdminState> {
    handler.fallback(async || AdminError::only_get())
}
