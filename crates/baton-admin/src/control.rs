//! Lets administrators in to the routes that change things, which the composition root brings.
//!
//! Those routes answer on the control socket too, where errors are plain sentences. Here they become error bodies as
//! all of `/admin` has them.
//!
//! - **Invariant:** none of these routes runs for another role than `admin`.

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use baton_access::{Principal, Role};

use crate::error::AdminError;

/// The routes as they stand under `/admin/v1`.
pub(crate) fn for_admins(routes: Router) -> Router {
    routes.layer(from_fn(admit))
}

async fn admit(request: Request, next: Next) -> Response {
    let principal = request.extensions().get::<Principal>();
    if principal.is_none_or(|principal| principal.role() < Role::Admin) {
        return AdminError::no_administrator().into_response();
    }
    let response = next.run(request).await;
    if response.status().is_success() {
        return response;
    }
    AdminError::of_sentence(response).await.into_response()
}
