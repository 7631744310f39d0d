//! `GET /v1/decisions` and `GET /v1/decisions/{id}`: why an answer came from where it came.
//!
//! A caller with the role `use` sees its own requests only. Another caller's id is answered like one that does not exist.
#![expect(unused_qualifications, reason = "`params(ListParams)` becomes a qualified path in the derive")]

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, Request, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use baton_access::{Principal, Role};
use baton_audit::{
    DecisionKind, DecisionView, Decisions, DecisionsError, HandoffNote, ListQuery, Lookup, Outcome,
    OutcomeView, PageStart, RunView,
};
use baton_engine::Engine;
use baton_model::{DecisionId, RunId, Usage};
use baton_policy::{Features, Reason, Row, Verdict};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::error::ApiError;
use crate::explain::{moment, sentence};
use crate::gate::Gate;
use crate::router::request_id;
use crate::surface::by_headers;

/// Which decisions, and which page of them.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListParams {
    /// At most so many, 1 to 100; 20 without.
    #[param(minimum = 1, maximum = 100, example = 20)]
    limit: Option<u32>,
    /// Older than this decision.
    #[param(pattern = "^dec_[0-9a-f]{32}$", example = "dec_019356aa00007000800000000000000a")]
    starting_after: Option<String>,
    /// Newer than this decision. Not together with `starting_after`.
    #[param(pattern = "^dec_[0-9a-f]{32}$")]
    ending_before: Option<String>,
    /// Only this kind: `select`, `retry`, `fallback`, `refuse`, `stop`, ...
    #[param(
        pattern = "^(select|retry|fallback|hedge|handoff|stay|delegate|return|observe|refuse|stop)$",
        example = "fallback"
    )]
    kind: Option<String>,
    /// Only this run.
    #[param(pattern = "^run_[0-9a-f]{32}$")]
    run: Option<String>,
    /// Only where this model or target was chosen.
    #[param(example = "echo/hello")]
    model: Option<String>,
}

/// A page of decisions, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DecisionList {
    /// `list`.
    object: &'static str,
    /// The decisions.
    data: Vec<DecisionBody>,
    /// Whether there are more in the direction of reading.
    has_more: bool,
}

/// Everything that was decided for one request.
#[derive(Debug, Serialize, ToSchema)]
pub struct RunBody {
    /// `run`.
    object: &'static str,
    /// The run's id.
    id: String,
    /// Why the answer came from where it came, in one sentence.
    summary: String,
    /// The decisions, oldest first.
    decisions: Vec<DecisionBody>,
}

/// One decision, with how its attempt ended.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DecisionBody {
    /// `decision`.
    object: &'static str,
    id: String,
    run: String,
    request: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<String>,
    /// When, RFC 3339.
    at: String,
    /// `select`, `retry`, `fallback`, `refuse`, `stop`, ...
    #[schema(value_type = String)]
    kind: DecisionKind,
    turn: u32,
    hop: u32,
    principal: String,
    surface: String,
    /// The models as the client named them.
    requested: Vec<String>,
    /// The target left behind.
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    /// The target chosen.
    to: Option<String>,
    /// Why: a code, a sentence, and who spoke.
    #[schema(value_type = crate::docs::ReasonSchema)]
    reason: Reason,
    /// The policy as `name@version`, on the first decision of a plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<String>,
    planner: u32,
    /// The version of the configuration in force.
    config: String,
    /// What the request needed, on the first decision of a plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<crate::docs::FeaturesSchema>)]
    features: Option<Features>,
    /// What was said about each candidate, on the first decision of a plan.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    candidates: Vec<CandidateBody>,
    /// What is to be said of hand-overs: what the model gave as its reason, how much of the conversation
    /// went along, what was lost; or why none was offered.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<crate::docs::HandoffSchema>)]
    handoff: Option<Box<HandoffNote>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    dropped_parameters: Vec<String>,
    /// What a version on trial would have chosen, where one is planned with beside.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<crate::docs::ShadowSchema>)]
    shadow: Option<Box<baton_audit::Shadow>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ignored_parameters: Vec<String>,
    /// Session, user, tags and metadata of the request.
    #[schema(value_type = crate::docs::LabelsSchema)]
    labels: baton_audit::Labels,
    outcome: OutcomeBody,
}

/// What was said about one candidate.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CandidateBody {
    model: String,
    target: String,
    /// `selected`, `eligible` with its rank, or `rejected` with stage, code, observed value and limit.
    #[serde(flatten)]
    #[schema(value_type = crate::docs::VerdictSchema)]
    verdict: Verdict,
    /// The figure it was ranked by, where the order has one: nano-dollars, milliseconds or millionths.
    #[serde(skip_serializing_if = "Option::is_none")]
    score: Option<u64>,
}

/// How an attempt ended.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OutcomeBody {
    /// `ok`, `failed`, `client_cancelled`, `running`, `crashed` or `not_expected`.
    status: &'static str,
    #[serde(flatten)]
    recorded: Option<RecordedBody>,
}

/// What is known of an attempt that ended.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RecordedBody {
    #[serde(skip_serializing_if = "Option::is_none")]
    fault: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    http_status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    finish_reason: Option<&'static str>,
    /// Tokens; input includes cached ones, output includes reasoning.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<crate::docs::UsageSchema>)]
    usage: Option<Usage>,
    /// `provider` or `estimated`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    usage_source: Option<baton_audit::UsageSource>,
    /// US dollars as a decimal, or `unknown`.
    #[schema(required = false)]
    cost_usd: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_content_us: Option<u64>,
    #[schema(required = false)]
    total_us: u64,
    #[schema(required = false)]
    bytes: u64,
    #[schema(required = false)]
    content_sent: bool,
    #[schema(required = false)]
    upstream_done: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream_model: Option<String>,
}

/// A run as `GET /v1/decisions/{id}` shows it.
#[must_use]
pub fn run_body(run: RunView) -> RunBody {
    RunBody::of(run, DecisionBody::from)
}

/// Lists decisions, newest first: the caller's own, and for viewers and administrators everybody's.
#[utoipa::path(
    get,
    path = "/v1/decisions",
    operation_id = "decisions.list",
    tag = "decisions",
    params(ListParams),
    responses(
        (status = 200, description = "A page", body = DecisionList, example = json!({"object": "list", "data": [{"object": "decision", "id": "dec_019356aa00007000800000000000000a", "run": "run_019356aa00007000800000000000000b", "request": "req_019356aa00007000800000000000000c", "at": "2026-11-21T12:00:00.000Z", "kind": "select", "turn": 1, "hop": 1, "principal": "anonymous", "surface": "/v1/chat/completions", "requested": ["echo/hello"], "to": "echo/hello", "reason": {"code": "only_model", "text": "echo/hello was the only model named", "source": "client"}, "policy": "default@f0b3d9e5a5350fc7", "planner": 1, "config": "17a892e58b6a694b", "candidates": [{"model": "echo/hello", "target": "echo/hello", "verdict": "selected"}], "labels": {"session": "chat-7", "tags": ["demo"]}, "outcome": {"status": "ok", "http_status": 200, "finish_reason": "stop", "usage": {"input_tokens": 5, "cached_input_tokens": 0, "cache_write_tokens": 0, "output_tokens": 24, "reasoning_tokens": 0}, "usage_source": "provider", "cost_usd": "unknown", "first_content_us": 206, "total_us": 1200, "bytes": 632, "content_sent": true, "upstream_done": true, "upstream_id": "chatcmpl-1", "upstream_model": "hello"}}], "has_more": false})),
    ),
    security(("bearer" = []), ("x-api-key" = []), ()),
)]
pub(crate) async fn list(
    State(decisions): State<Arc<Decisions>>,
    State(engine): State<Arc<Engine>>,
    State(gate): State<Arc<Gate>>,
    params: Result<Query<ListParams>, QueryRejection>,
    request: Request,
) -> Response {
    let id = request_id(&request);
    match page(&decisions, &engine, &gate, request.headers(), params).await {
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
    named: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response {
    let id = request_id(&request);
    // A path that is no text names no decision.
    let named = named.map_or_else(|_not_text| String::new(), |Path(named)| named);
    match chain(&decisions, &engine, &gate, request.headers(), &named).await {
        Ok(run) => Json(run).into_response(),
        Err(error) => error.into_response_as(by_headers(request.headers()), id),
    }
}

async fn page(
    decisions: &Decisions,
    engine: &Engine,
    gate: &Gate,
    headers: &HeaderMap,
    params: Result<Query<ListParams>, QueryRejection>,
) -> Result<DecisionList, ApiError> {
    let principal = gate.authenticate(headers)?;
    let Query(params) = params.map_err(|rejection| ApiError::invalid(rejection.body_text(), None))?;
    let query = query(params, &principal)?;
    let page = decisions.list(&query).await.map_err(|error| unreadable(&error))?;
    Ok(DecisionList {
        object: "list",
        data: page.decisions.into_iter().map(|view| opened(view, engine, &principal)).collect(),
        has_more: page.has_more,
    })
}

fn query(params: ListParams, principal: &Principal) -> Result<ListQuery, ApiError> {
    let limit = params.limit.unwrap_or(20);
    if !(1..=100).contains(&limit) {
        return Err(ApiError::invalid(format!("`limit` is {limit}, it must be 1 to 100"), Some("limit")));
    }
    let start = match (params.starting_after, params.ending_before) {
        (Some(_), Some(_)) => {
            return Err(ApiError::invalid(
                "`starting_after` and `ending_before` exclude each other",
                Some("starting_after"),
            ));
        }
        (Some(id), None) => PageStart::After(decision_id(&id, "starting_after")?),
        (None, Some(id)) => PageStart::Before(decision_id(&id, "ending_before")?),
        (None, None) => PageStart::Newest,
    };
    let kind = params
        .kind
        .map(|kind| {
            serde_json::from_value(serde_json::Value::String(kind.clone())).map_err(|_error| {
                ApiError::invalid(
                    format!("`kind` is `{}`, which is no kind of decision", short(&kind)),
                    Some("kind"),
                )
            })
        })
        .transpose()?;
    let run = params
        .run
        .map(|run| {
            run.parse::<RunId>().map_err(|error| ApiError::invalid(format!("`run`: {error}"), Some("run")))
        })
        .transpose()?;
    let own = (principal.role() < Role::Viewer).then(|| principal.id().to_string());
    Ok(ListQuery { principal: own, kind, run, model: params.model, start, limit })
}

fn decision_id(text: &str, param: &'static str) -> Result<DecisionId, ApiError> {
    text.parse().map_err(|error| ApiError::invalid(format!("`{param}`: {error}"), Some(param)))
}

fn short(text: &str) -> String {
    text.chars().take(64).collect()
}

async fn chain(
    decisions: &Decisions,
    engine: &Engine,
    gate: &Gate,
    headers: &HeaderMap,
    named: &str,
) -> Result<RunBody, ApiError> {
    let principal = gate.authenticate(headers)?;
    let unknown = || ApiError::not_found("there is no such decision");
    let found = match (named.parse::<DecisionId>(), named.parse::<RunId>()) {
        (Ok(id), _) => decisions.chain_of(id).await,
        (_, Ok(run)) => decisions.run(run).await,
        _ => return Err(unknown()),
    };
    match found.map_err(|error| unreadable(&error))? {
        Lookup::Found(run) if visible(&run, &principal) => {
            Ok(RunBody::of(run, |view| opened(view, engine, &principal)))
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

fn unreadable(error: &DecisionsError) -> ApiError {
    tracing::error!(error = %error, "decisions cannot be read");
    ApiError::unavailable("decisions cannot be read at the moment", "store_unavailable")
}

/// A decision with what a model said of its hand-over, where it is the caller's own.
fn opened(view: DecisionView, engine: &Engine, principal: &Principal) -> DecisionBody {
    let own = view.decision.principal == principal.id().to_string();
    let said = own.then(|| engine.said(&view.decision)).flatten();
    let mut body = DecisionBody::from(view);
    if let Some(note) = &mut body.handoff {
        note.said = said;
    }
    body
}

impl RunBody {
    fn of(run: RunView, body: impl Fn(DecisionView) -> DecisionBody) -> Self {
        Self {
            object: "run",
            id: run.run.to_string(),
            summary: sentence(&run),
            decisions: run.decisions.into_iter().map(body).collect(),
        }
    }
}

impl From<DecisionView> for DecisionBody {
    fn from(view: DecisionView) -> Self {
        let decision = view.decision;
        let inputs = decision.inputs.as_deref();
        Self {
            object: "decision",
            id: decision.id.to_string(),
            run: decision.run.to_string(),
            request: decision.request.to_string(),
            parent: decision.parent.map(|parent| parent.to_string()),
            at: moment(decision.at_ms),
            kind: decision.kind,
            turn: decision.turn,
            hop: decision.hop,
            policy: inputs.map(|inputs| format!("{}@{}", inputs.policy.name, inputs.policy.version)),
            features: inputs.map(|inputs| inputs.features.clone()),
            candidates: inputs
                .map(|inputs| candidates(&inputs.candidates, decision.table))
                .unwrap_or_default(),
            principal: decision.principal,
            surface: decision.surface,
            requested: decision.requested,
            from: decision.from.map(|target| target.to_string()),
            to: decision.to.map(|target| target.to_string()),
            reason: decision.reason,
            planner: decision.planner,
            config: decision.config,
            // Sealed until somebody opens it.
            handoff: decision.handoff.map(|note| Box::new(HandoffNote { said: None, ..*note })),
            dropped_parameters: decision.dropped_parameters,
            shadow: decision.shadow,
            ignored_parameters: decision.ignored_parameters,
            labels: decision.labels,
            outcome: OutcomeBody::from(view.outcome),
        }
    }
}

pub(crate) fn candidates(candidates: &[baton_policy::Candidate], table: Vec<Row>) -> Vec<CandidateBody> {
    candidates
        .iter()
        .zip(table)
        .map(|(candidate, row)| CandidateBody {
            model: candidate.model.to_string(),
            target: candidate.target.to_string(),
            verdict: row.verdict,
            score: row.score,
        })
        .collect()
}

impl From<OutcomeView> for OutcomeBody {
    fn from(view: OutcomeView) -> Self {
        let status = match &view {
            OutcomeView::NotExpected => "not_expected",
            OutcomeView::Running => "running",
            OutcomeView::Crashed => "crashed",
            OutcomeView::Recorded(outcome) => outcome.status.as_str(),
        };
        let recorded = match view {
            OutcomeView::Recorded(outcome) => Some(RecordedBody::from(*outcome)),
            OutcomeView::NotExpected | OutcomeView::Running | OutcomeView::Crashed => None,
        };
        Self { status, recorded }
    }
}

impl From<Outcome> for RecordedBody {
    fn from(outcome: Outcome) -> Self {
        Self {
            fault: outcome.fault.map(baton_model::FaultKind::as_str),
            http_status: outcome.http_status,
            finish_reason: outcome.finish.map(baton_model::FinishReason::as_str),
            usage: outcome.usage,
            usage_source: outcome.usage_source,
            cost_usd: outcome
                .cost
                .map_or_else(|| "unknown".to_owned(), |cost| cost.to_string().replace('$', "")),
            first_content_us: outcome.first_content_us,
            total_us: outcome.total_us,
            bytes: outcome.bytes,
            content_sent: outcome.content_sent,
            upstream_done: outcome.upstream_done,
            upstream_id: outcome.upstream_id,
            upstream_model: outcome.upstream_model,
        }
    }
}
