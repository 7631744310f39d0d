//! `GET /admin/v1/decisions`, `/admin/v1/decisions/{id}` and `/admin/v1/runs/{id}`.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use baton_audit::{
    DecisionBody, DecisionList, Decisions, FeedbackBody, FeedbackByDecision, Filters, Lookup, PageParams,
    RunBody, RunView,
};
use baton_model::{DecisionId, RunId};

use crate::error::AdminError;
use crate::range::{Pairs, params};
use crate::state::AdminState;

/// Lists everybody's decisions, newest first.
///
/// What has reached the store is shown, normally within a second. Attempts that are still under way are listed
/// apart with `status=running`.
#[utoipa::path(
    get,
    path = "/admin/v1/decisions",
    operation_id = "admin.decisions.list",
    tag = "admin",
    params(Filters, PageParams),
    responses(
        (status = 200, description = "A page", body = DecisionList, example = json!({"object": "list", "data": [{"object": "decision", "id": "dec_019356aa00007000800000000000000a", "run": "run_019356aa00007000800000000000000b", "request": "req_019356aa00007000800000000000000c", "at": "2026-11-21T12:00:00.000Z", "kind": "select", "turn": 1, "hop": 1, "principal": "anonymous", "surface": "/v1/chat/completions", "requested": ["echo/hello"], "to": "echo/hello", "reason": {"code": "only_model", "text": "echo/hello was the only model named", "source": "client"}, "policy": "default@f0b3d9e5a5350fc7", "planner": 1, "config": "17a892e58b6a694b", "labels": {}, "outcome": {"status": "running"}}], "has_more": false})),
    ),
    security(("bearer" = []), ("x-api-key" = [])),
)]
pub(crate) async fn list(
    State(decisions): State<Arc<Decisions>>,
    pairs: Pairs,
) -> Result<Json<DecisionList>, AdminError> {
    let mut params = params(pairs)?;
    let (filters, place): (Filters, PageParams) = (params.take()?, params.take()?);
    params.finish()?;
    let mut query = filters.query()?;
    place.apply(&mut query)?;
    let page = decisions.list(&query).await?;
    Ok(Json(DecisionList::of(page, DecisionBody::from)))
}

/// Shows a decision with its run's whole chain; with `Accept: text/plain` as text for a terminal.
#[utoipa::path(
    get,
    path = "/admin/v1/decisions/{id}",
    operation_id = "admin.decisions.retrieve",
    tag = "admin",
    params(("id" = String, Path, description = "The id of a decision", example = "dec_019356aa00007000800000000000000a")),
    responses(
        (status = 200, description = "The chain", content(
            (RunBody = "application/json", example = json!({"object": "run", "id": "run_019356aa00007000800000000000000b", "summary": "Refused: no model is left.", "decisions": []})),
            (String = "text/plain", example = "Served by echo/hello: echo/hello was the only model named.\n"),
        )),
    ),
    security(("bearer" = []), ("x-api-key" = [])),
)]
pub(crate) async fn retrieve(
    State(state): State<AdminState>,
    headers: HeaderMap,
    named: Result<Path<String>, PathRejection>,
) -> Result<Response, AdminError> {
    let id: DecisionId = id(named).ok_or_else(|| AdminError::unknown("decision"))?;
    let found = state.decisions.chain_of(id).await?;
    shown(&state, &headers, found, "decision").await
}

/// Shows everything that was decided in a run; with `Accept: text/plain` as text for a terminal.
#[utoipa::path(
    get,
    path = "/admin/v1/runs/{id}",
    operation_id = "admin.runs.retrieve",
    tag = "admin",
    params(("id" = String, Path, description = "The id of a run", example = "run_019356aa00007000800000000000000b")),
    responses(
        (status = 200, description = "The chain", content(
            (RunBody = "application/json", example = json!({"object": "run", "id": "run_019356aa00007000800000000000000b", "summary": "Refused: no model is left.", "decisions": []})),
            (String = "text/plain", example = "Served by echo/hello: echo/hello was the only model named.\n"),
        )),
    ),
    security(("bearer" = []), ("x-api-key" = [])),
)]
pub(crate) async fn run(
    State(state): State<AdminState>,
    headers: HeaderMap,
    named: Result<Path<String>, PathRejection>,
) -> Result<Response, AdminError> {
    let id: RunId = id(named).ok_or_else(|| AdminError::unknown("run"))?;
    let found = state.decisions.run(id).await?;
    shown(&state, &headers, found, "run").await
}

fn id<T: std::str::FromStr>(named: Result<Path<String>, PathRejection>) -> Option<T> {
    named.ok()?.0.parse().ok()
}

async fn shown(
    state: &AdminState,
    headers: &HeaderMap,
    found: Lookup<RunView>,
    what: &str,
) -> Result<Response, AdminError> {
    let run = match found {
        Lookup::Found(run) => run,
        Lookup::NotYetVisible => return Err(AdminError::not_yet_visible()),
        Lookup::NotFound => return Err(AdminError::unknown(what)),
    };
    if headers.get(ACCEPT).is_some_and(|types| types.as_bytes().starts_with(b"text/plain")) {
        let text = format!("{}\n\n{}", baton_audit::sentence(&run), baton_audit::table(&run));
        return Ok(([(CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response());
    }
    let said = state.feedback.of_run(&run).await.unwrap_or_else(|error| {
        tracing::debug!(error = %error, "a run is shown without its feedback");
        FeedbackByDecision::new()
    });
    let body = RunBody::of(run, |view| {
        let feedback = said.get(&view.decision.id).into_iter().flatten().map(FeedbackBody::from).collect();
        DecisionBody::from(view).with_feedback(feedback)
    });
    Ok(Json(body).into_response())
}
