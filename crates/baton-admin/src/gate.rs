//! Lets operators in: a key of the role `viewer` or `admin`, always.
//!
//! A gateway on loopback may let anybody ask models; nobody sees other people's decisions for that.

use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use baton_access::{Principal, Role};
use baton_telemetry::RequestShed;

use crate::error::AdminError;
use crate::state::AdminState;

/// Stands around all routes, unknown paths included. The handlers find the [`Principal`] among the
/// request's extensions.
pub(crate) async fn guard(State(state): State<AdminState>, mut request: Request, next: Next) -> Response {
    match authenticate(&state, request.headers()) {
        Ok(principal) => {
            request.extensions_mut().insert(principal);
            next.run(request).await
        }
        Err(error) => {
            RequestShed { reason: "unauthorized" }.emit();
            error.into_response()
        }
    }
}

fn authenticate(state: &AdminState, headers: &HeaderMap) -> Result<Principal, AdminError> {
    let principal = state
        .keys
        .authenticate(presented(headers)?, state.ids.now_ms())
        .map_err(AdminError::unauthenticated)?;
    if principal.role() < Role::Viewer {
        return Err(AdminError::forbidden());
    }
    Ok(principal)
}

/// The key as it was sent: `Authorization: Bearer` before `x-api-key`.
fn presented(headers: &HeaderMap) -> Result<Option<&str>, AdminError> {
    if headers.get_all(AUTHORIZATION).iter().count() > 1 {
        return Err(AdminError::invalid("`authorization` stands twice in the request", "authorization"));
    }
    let bearer = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).and_then(|value| {
        let (scheme, key) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
    });
    let other = || headers.get("x-api-key").and_then(|value| value.to_str().ok()).map(str::trim);
    Ok(bearer.filter(|key| !key.is_empty()).or_else(other))
}
