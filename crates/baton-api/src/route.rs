//! `POST /v1/route`: what would be decided for a request, without deciding it.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use baton_access::Principal;
use baton_audit::{CandidateBody, FeaturesSchema, ReasonSchema, candidate_rows, verdict_text};
use baton_engine::{Ask, DryRun, Engine};
use baton_model::{Dialect, RawObject, RequestId};
use baton_policy::{Features, Inputs, Planned, Reason, RuleOutcome};
use bytes::Bytes;
use serde::Serialize;
use utoipa::ToSchema;

use crate::ask;
use crate::error::ApiError;
use crate::gate::Gate;
use crate::router::request_id;
use crate::surface::{Surface, by_headers};

/// What would be decided for a request now.
#[derive(Debug, Serialize, ToSchema)]
pub struct RouteBody {
    /// `route`.
    object: &'static str,
    /// The policy as `name@version`.
    policy: String,
    planner: u32,
    /// The target that would be tried first; none where a judge is asked first, or nothing is left.
    selected: Option<String>,
    /// The targets in the order in which they would be tried.
    order: Vec<String>,
    /// Why: a code, a sentence, and who spoke. None where a judge is asked first.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<ReasonSchema>)]
    reason: Option<Reason>,
    /// The model that would be asked to choose.
    #[serde(skip_serializing_if = "Option::is_none")]
    judge: Option<String>,
    /// The rules of the policy in their order; the first that matched counts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    rules: Vec<RuleBody>,
    /// What the request needs.
    #[schema(value_type = FeaturesSchema)]
    features: Features,
    /// What would be said about each candidate.
    candidates: Vec<CandidateBody>,
    /// What of the request is not followed.
    ignored_parameters: Vec<String>,
}

/// What a rule came to.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RuleBody {
    name: String,
    matched: bool,
    /// Why it has no value, which counts as not matched.
    #[serde(skip_serializing_if = "Option::is_none")]
    failed: Option<String>,
}

/// Plans a request without carrying it out.
///
/// Takes the body of any surface of answers. Nothing is called, and nothing is recorded. With `Accept: text/plain` it
/// answers with text for a terminal.
#[utoipa::path(
    post,
    path = "/v1/route",
    operation_id = "route",
    tag = "decisions",
    request_body(content = crate::docs::ChatRequest, content_type = "application/json", example = json!({"models": ["echo/hello", "echo/parrot"], "messages": [{"role": "user", "content": "hi"}]})),
    responses(
        (status = 200, description = "What would be decided", content((RouteBody = "application/json", example = json!({"object": "route", "policy": "default@f0b3d9e5a5350fc7", "planner": 2, "selected": "echo/hello", "order": ["echo/hello", "echo/parrot"], "reason": {"code": "first_in_order", "text": "echo/hello is first in the list", "source": "client"}, "features": {"input_tokens": 9}, "candidates": [{"model": "echo/hello", "target": "echo/hello", "verdict": "selected"}, {"model": "echo/parrot", "target": "echo/parrot", "verdict": "eligible", "rank": 1}], "ignored_parameters": []})), (String = "text/plain", example = "echo/hello is first in the list.\n"))),
    ),
    security(("bearer" = []), ("x-api-key" = []), ()),
)]
pub(crate) async fn route(
    State(engine): State<Arc<Engine>>,
    State(gate): State<Arc<Gate>>,
    request: Request,
) -> Response {
    let id = request_id(&request);
    let dialect = by_headers(request.headers());
    let surface = Surface { path: "/v1/route", dialect };
    let accept = request.headers().get(ACCEPT);
    let as_text = accept.is_some_and(|types| types.as_bytes().starts_with(b"text/plain"));
    match show(surface, id, &engine, &gate, request).await {
        Ok(run) if as_text => {
            ([(CONTENT_TYPE, "text/plain; charset=utf-8")], route_text(&run)).into_response()
        }
        Ok(run) => Json(route_body(run)).into_response(),
        Err(error) => error.into_response_as(dialect, id),
    }
}

async fn show(
    surface: Surface,
    id: RequestId,
    engine: &Engine,
    gate: &Gate,
    request: Request<Body>,
) -> Result<DryRun, ApiError> {
    let (parts, body) = request.into_parts();
    let admitted = gate.admit(&parts.headers)?;
    let body = gate.read(&parts.headers, body).await?;
    let surface = surface_of(surface, &body);
    let ask = ask::read(surface, id, &admitted.principal, &parts.headers, parts.uri.query(), body)?;
    Ok(engine.dry_run(&ask)?)
}

/// The surface that a body is for: `input` without `messages` is a request for a response.
fn surface_of(surface: Surface, body: &Bytes) -> Surface {
    let body = RawObject::parse(body.clone()).ok();
    let is_response = body.is_some_and(|body| body.get("messages").is_none() && body.get("input").is_some());
    if is_response { Surface { dialect: Dialect::OpenaiResponses, ..surface } } else { surface }
}

/// A request for a dry run, from whoever may do everything.
///
/// # Errors
/// What is wrong with the body, as a sentence.
pub fn route_ask(body: Bytes) -> Result<Ask, String> {
    let surface = surface_of(Surface { path: "/v1/route", dialect: Dialect::OpenaiChat }, &body);
    let request = RequestId::from_parts(0, [0; 10]);
    ask::read(surface, request, &Principal::operator(), &HeaderMap::new(), None, body)
        .map_err(|error| error.message().to_owned())
}

/// A dry run as text for a terminal.
#[must_use]
pub fn route_text(run: &DryRun) -> String {
    let policy = &run.inputs.policy;
    let mut text = match &run.planned {
        Planned::Plan(plan) => format!("{}.\n\n", plan.reason.text),
        Planned::Ask(question) => format!("{} would be asked to choose.\n\n", question.judge),
    };
    text += &format!("candidates under policy {}@{}\n", policy.name, policy.version);
    let table = match &run.planned {
        Planned::Plan(plan) => plan.table.as_slice(),
        Planned::Ask(_) => &[],
    };
    let names: Vec<String> = run.inputs.candidates.iter().map(|it| it.target.to_string()).collect();
    let width = names.iter().map(String::len).max().unwrap_or(0);
    for (at, name) in names.iter().enumerate() {
        let said = table.get(at).map_or_else(|| "a candidate".to_owned(), verdict_text);
        text += &format!("  {name:width$}  {said}\n");
    }
    for (name, outcome) in &run.rules {
        let said = match outcome {
            RuleOutcome::Matched => "matched".to_owned(),
            RuleOutcome::NotMatched => "not matched".to_owned(),
            RuleOutcome::Failed(why) => format!("not matched: {why}"),
        };
        text += &format!("rule `{name}`: {said}\n");
    }
    if let Some(task) = &run.inputs.features.task {
        let kind = task.kind.map_or("unknown", baton_policy::TaskKind::as_str);
        let complexity = serde_json::to_value(task.complexity).unwrap_or_default();
        let complexity = complexity.as_str().unwrap_or_default();
        text += &format!(
            "task {kind} (confidence {}/1000), {complexity}: {}\n",
            task.confidence,
            task.evidence.join(", ")
        );
    }
    if !run.ignored.is_empty() {
        text += &format!("not followed: {}\n", run.ignored.join(", "));
    }
    text
}

/// A dry run as it is shown.
#[must_use]
pub fn route_body(run: DryRun) -> RouteBody {
    let Inputs { policy, features, candidates: pool, .. } = *run.inputs;
    let name = |at: &u32| {
        usize::try_from(*at).ok().and_then(|at| pool.get(at)).map(|candidate| candidate.target.to_string())
    };
    let (order, reason, judge, table) = match run.planned {
        Planned::Plan(plan) => {
            (plan.order.iter().filter_map(name).collect(), Some(plan.reason), None, plan.table)
        }
        Planned::Ask(question) => (Vec::new(), None, Some(question.judge.to_string()), Vec::new()),
    };
    let rules = run.rules.into_iter().map(|(name, outcome)| RuleBody {
        name,
        matched: outcome == RuleOutcome::Matched,
        failed: match outcome {
            RuleOutcome::Failed(why) => Some(why),
            RuleOutcome::Matched | RuleOutcome::NotMatched => None,
        },
    });
    RouteBody {
        object: "route",
        policy: format!("{}@{}", policy.name, policy.version),
        planner: run.planner,
        selected: order.first().cloned(),
        order,
        reason,
        judge,
        rules: rules.collect(),
        features,
        candidates: candidate_rows(&pool, table),
        ignored_parameters: run.ignored,
    }
}
