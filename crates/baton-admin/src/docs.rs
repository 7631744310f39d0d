//! The part of the `OpenAPI` document that tells of these routes. What all routes share, such as errors and
//! headers, is added where the document is put together.

use utoipa::OpenApi;

use crate::{content, decisions, export, handoffs, idle, usage};

#[derive(OpenApi)]
#[openapi(
    paths(
        decisions::list,
        decisions::retrieve,
        decisions::run,
        content::retrieve,
        export::export,
        handoffs::list,
        usage::page,
        idle::models,
        idle::rules,
    ),
    tags((name = "admin", description = "Everybody's decisions, for keys of the role `viewer` or `admin`; and what changes keys, policies and targets, for the role `admin`")),
)]
struct Document;

/// These routes' part of the document.
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    Document::openapi()
}

#[cfg(test)]
mod tests;
