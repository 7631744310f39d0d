//! `GET /v1/decisions` and `GET /v1/decisions/{id}`: why an answer came from where it came.
//!
//! A caller with the role `use` sees its own requests only. Another caller's id is answered like one that does not exist.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, Request, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use baton_access::{Principal, Role};
use baton_audit::{
    DecisionBody, DecisionList, DecisionPage, DecisionView, Decisions, DecisionsError, Filters, Lookup,
    PageParams, Params, RunBody, RunView,
};
use baton_engine::Engine;
use baton_model::{DecisionId, RunId};

use crate::error::ApiError;
use crate::feedback::FeedbackDesk;
use crate::gate::Gate;
use crate::router::request_id;
use crate::surface::by_headers;

/// The names and values of a query.
type Pairs = Query<Vec<(String, String)>>;

/// Lists decisions, newest first: the caller's own, and for viewers and administrators everybody's.
#[utoipa::path(
    get,
    path = "/v1/decisions",
    operation_id = "decisions.list",
    tag = "decisions",
    params(Filters, PageParams),
    responses(
        (status = 200, description = "A page", body = DecisionList, example = json!({"object": "list", "data": [{"object": "decision", "id": "dec_019356aa00007000800000000000000a", "run": "run_019356aa00007000800000000000000b", "request": "req_019356aa00007000800000000000000c", "at": "2026-11-21T12:00:00.000Z", "kind": "select", "turn": 1, "hop": 1, "principal": "anonymous", "surface": "/v1/chat/completions", "requested": ["echo/hello"], "to": "echo/hello", "reason": {"code": "only_model", "text": "echo/hello was the only model named", "source": "client"}, "policy": "default@f0b3d9e5a5350fc7", "planner": 1, "config": "17a892e58b6a694b", "candidates": [{"model": "echo/hello", "target": "echo/hello", "verdict": "selected"}], "labels": {"session": "chat-7", "tags": ["demo"]}, "outcome": {"status": "ok", "http_status": 200, "finish_reason": "stop", "usage": {"input_tokens": 5, "cached_input_tokens": 0, "cache_write_tokens": 0, "output_tokens": 24, "reasoning_tokens": 0}, "usage_source": "provider", "cost_usd": "unknown", "first_content_us": 206, "total_us": 1200, "bytes": 632, "content_sent": true, "upstream_done": true, "upstream_id": "chatcmpl-1", "upstream_model": "hello"}}], "has_more": false})),
    ),
    security(("bearer" = []), ("x-api-key" = []), ()),
)]
pub(crate) async fn list(
    State(decisions): State<Arc<Decisions>>,
    State(engine): State<Arc<Engine>>,
    State(gate): State<Arc<Gate>>,
    pairs: Result<Pairs, QueryRejection>,
    request: Request,
) -> Response {
    let id = request_id(&request);
    match page(&decisions, &engine, &gate, request.headers(), pairs).await {
        Ok(list) => Json(list).into_response(),
        Err(error) => error.into_response_as(by_headers(request.headers()), id),
    }
}

/// Shows a decision with its run's whole chain.
#[utoipa::path(
    get,
    path = "/v1/decisions/{id}",
    operation_id = "decisions.retrieve",
    tag = "decisions",
    params(("id" = String, Path, description = "The id of a decision or of a run", example = "dec_019356aa00007000800000000000000a")),
    responses(
        (status = 200, description = "The chain", body = RunBody, example = json!({"object": "run", "id": "run_019356aa00007000800000000000000b", "summary": "Served by echo/hello: echo/hello was the only model named.", "decisions": [{"object": "decision", "id": "dec_019356aa00007000800000000000000a", "run": "run_019356aa00007000800000000000000b", "request": "req_019356aa00007000800000000000000c", "at": "2026-11-21T12:00:00.000Z", "kind": "select", "turn": 1, "hop": 1, "principal": "anonymous", "surface": "/v1/chat/completions", "requested": ["echo/hello"], "to": "echo/hello", "reason": {"code": "only_model", "text": "echo/hello was the only model named", "source": "client"}, "policy": "default@f0b3d9e5a5350fc7", "planner": 1, "config": "17a892e58b6a694b", "candidates": [{"model": "echo/hello", "target": "echo/hello", "verdict": "selected"}], "labels": {"session": "chat-7", "tags": ["demo"]}, "outcome": {"status": "ok", "http_status": 200, "finish_reason": "stop", "usage": {"input_tokens": 5, "cached_input_tokens": 0, "cache_write_tokens": 0, "output_tokens": 24, "reasoning_tokens": 0}, "usage_source": "provider", "cost_usd": "unknown", "first_content_us": 206, "total_us": 1200, "bytes": 632, "content_sent": true, "upstream_done": true, "upstream_id": "chatcmpl-1", "upstream_model": "hello"}}]})),
    ),
    security(("bearer" = []), ("x-api-key" = []), ()),
)]
pub(crate) async fn retrieve(
    State(decisions): State<Arc<Decisions>>,
    State(engine): State<Arc<Engine>>,
    State(gate): State<Arc<Gate>>,
    State(feedback): State<FeedbackDesk>,
    named: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response {
    let id = request_id(&request);
    // A path that is no text names no decision.
    let named = named.map_or_else(|_not_text| String::new(), |Path(named)| named);
    let asked = Asked { decisions: &decisions, engine: &engine, feedback: &feedback };
    match chain(asked, &gate, request.headers(), &named).await {
        Ok(run) => Json(run).into_response(),
        Err(error) => error.into_response_as(by_headers(request.headers()), id),
    }
}

async fn page(
    decisions: &Decisions,
    engine: &Engine,
    gate: &Gate,
    headers: &HeaderMap,
    pairs: Result<Pairs, QueryRejection>,
) -> Result<DecisionList, ApiError> {
    let principal = gate.authenticate(headers)?;
    let Query(pairs) = pairs.map_err(|rejection| ApiError::invalid(rejection.body_text(), None))?;
    let mut params = Params::new(pairs);
    let (filters, place): (Filters, PageParams) = (params.take()?, params.take()?);
    params.finish()?;
    let mut query = filters.query()?;
    place.apply(&mut query)?;
    let shown = |view| opened(view, engine, &principal);
    if principal.role() < Role::Viewer {
        let own = principal.id().to_string();
        if query.principal.as_ref().is_some_and(|asked| *asked != own) {
            return Ok(DecisionList::of(DecisionPage::default(), shown));
        }
        query.principal = Some(own);
    }
    let page = decisions.list(&query).await.map_err(|error| unreadable(&error))?;
    Ok(DecisionList::of(page, shown))
}

/// What a chain is put together from.
#[derive(Clone, Copy)]
struct Asked<'a> {
    decisions: &'a Decisions,
    engine: &'a Engine,
    feedback: &'a FeedbackDesk,
}

async fn chain(asked: Asked<'_>, gate: &Gate, headers: &HeaderMap, named: &str) -> Result<RunBody, ApiError> {
    let principal = gate.authenticate(headers)?;
    let unknown = || ApiError::not_found("there is no such decision");
    let found = match (named.parse::<DecisionId>(), named.parse::<RunId>()) {
        (Ok(id), _) => asked.decisions.chain_of(id).await,
        (_, Ok(run)) => asked.decisions.run(run).await,
        _ => return Err(unknown()),
    };
    match found.map_err(|error| unreadable(&error))? {
        Lookup::Found(run) if visible(&run, &principal) => {
            let said = asked.feedback.of_run(&run).await;
            Ok(RunBody::of(run, |view| {
                let feedback = asked.feedback.shown(&said, view.decision.id, &principal);
                opened(view, asked.engine, &principal).with_feedback(feedback)
            }))
        }
        Lookup::Found(_) | Lookup::NotFound => Err(unknown()),
        Lookup::NotYetVisible => Err(ApiError::not_yet_visible()),
    }
}

/// Viewers and administrators see every run, everybody else their own.
fn visible(run: &RunView, principal: &Principal) -> bool {
    let own = principal.id().to_string();
    principal.role() >= Role::Viewer || run.decisions.iter().all(|view| view.decision.principal == own)
}

pub(crate) fn unreadable(error: &DecisionsError) -> ApiError {
    tracing::error!(error = %error, "decisions cannot be read");
    ApiError::unavailable("decisions cannot be read at the moment", "store_unavailable")
}

/// A decision with what a model said of its hand-over, where it is the caller's own.
fn opened(view: DecisionView, engine: &Engine, principal: &Principal) -> DecisionBody {
    let own = view.decision.principal == principal.id().to_string();
    let said = own.then(|| engine.said(&view.decision)).flatten();
    DecisionBody::from(view).with_said(said)
}
