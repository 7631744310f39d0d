//! The part of the `OpenAPI` document that tells of what administrators may ask over the network.

use utoipa::OpenApi;

use super::{keys, records, targets};
use crate::{audit, mcp, versions};

#[derive(OpenApi)]
#[openapi(paths(
    keys::list,
    keys::create,
    keys::rotate,
    keys::revoke,
    targets::list,
    targets::switch,
    versions::list_policies,
    versions::put_policy,
    versions::show_policy,
    versions::act,
    records::list,
    records::one,
    mcp::list,
    audit::routes::keys,
))]
struct Document;

/// What stands under `/admin/v1`.
pub(crate) fn openapi() -> utoipa::openapi::OpenApi {
    let mut document = baton_admin::openapi();
    document.merge(Document::openapi());
    document
}

#[cfg(test)]
mod tests;
