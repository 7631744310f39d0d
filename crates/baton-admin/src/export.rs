//! `GET /admin/v1/decisions/export`: all decisions that match, as one file.
//!
//! A page is read when the one before it has gone out, so a slow reader slows the reading of the store, and one that
//! stops ends it. What is made while it runs is not in it.
#![expect(unused_qualifications, reason = "`params(Filters)` becomes a qualified path in the derive")]

mod pages;

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::Response;
use baton_access::Principal;
use baton_audit::{Filters, PageParams};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::error::AdminError;
use crate::range::{Pairs, params};
use crate::state::AdminState;

use pages::{Pages, stream};

/// How an export is written.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ExportParams {
    /// `ndjson` (a decision on each line), `json` (a list as the other routes give it) or `csv`; `ndjson` without.
    #[param(pattern = "^(ndjson|json|csv)$", example = "ndjson")]
    format: Option<String>,
    /// Older than this decision: where an export that was cut off goes on.
    #[param(pattern = "^dec_[0-9a-f]{32}$")]
    starting_after: Option<String>,
}

/// How decisions are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Format {
    Ndjson,
    Json,
    Csv,
}

impl Format {
    const fn content_type(self) -> &'static str {
        match self {
            Self::Ndjson => "application/x-ndjson",
            Self::Json => "application/json",
            Self::Csv => "text/csv; charset=utf-8; header=present",
        }
    }

    const fn disposition(self) -> &'static str {
        match self {
            Self::Ndjson => "attachment; filename=\"decisions.ndjson\"",
            Self::Json => "attachment; filename=\"decisions.json\"",
            Self::Csv => "attachment; filename=\"decisions.csv\"",
        }
    }
}

/// Gives out all decisions that match, newest first, as a file.
///
/// It ends without an end mark of its transfer when the store fails meanwhile, so that a part is never taken for the whole.
/// In CSV, a cell that a spreadsheet would take for a formula begins with an apostrophe.
#[utoipa::path(
    get,
    path = "/admin/v1/decisions/export",
    operation_id = "admin.decisions.export",
    tag = "admin",
    params(Filters, ExportParams),
    responses(
        (status = 200, description = "The file", content(
            (String = "application/x-ndjson", example = "{\"object\":\"decision\",\"id\":\"dec_019356aa00007000800000000000000a\"}\n"),
            (baton_audit::DecisionList = "application/json", example = json!({"object": "list", "data": [], "has_more": false})),
            (String = "text/csv", example = "id,time,run\r\n"),
        )),
    ),
    security(("bearer" = []), ("x-api-key" = [])),
)]
pub(crate) async fn export(
    State(state): State<AdminState>,
    Extension(principal): Extension<Principal>,
    pairs: Pairs,
) -> Result<Response, AdminError> {
    let mut params = params(pairs)?;
    let (filters, how): (Filters, ExportParams) = (params.take()?, params.take()?);
    params.finish()?;
    let mut query = filters.query()?;
    PageParams { starting_after: how.starting_after, ..PageParams::default() }.apply(&mut query)?;
    let format =
        how.format.as_deref().map_or(Ok(Format::Ndjson), |format| baton_audit::word("format", format))?;
    let permit = principal.admit()?;
    let place = Arc::clone(&state.exports).try_acquire_owned();
    let place = place.map_err(|_all_taken| AdminError::exports_busy())?;
    let pages = Pages::new(state.decisions, query);
    // The first page is read at once, so that a store that is away is an error and not an empty file.
    let body = stream(pages.begin().await?, format, (permit, place));
    let mut response = Response::new(Body::from_stream(body));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(format.content_type()));
    headers.insert(CONTENT_DISPOSITION, HeaderValue::from_static(format.disposition()));
    Ok(response)
}
