//! Shows how targets are, and switches them.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use baton_engine::{Manual, Scope, TargetState};
use baton_policy::{BreakerState, Latency};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::Instant;
use utoipa::ToSchema;

use super::{Actor, Control, Refused, record};
use crate::plans::keep_switches;

/// The routes.
pub(super) fn router() -> axum::Router<Control> {
    axum::Router::new().route("/targets", get(list).post(switch))
}

/// How a target is on the replica that answers.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TargetBody {
    /// `provider/model`; or what is switched and was not asked yet, which may be a whole provider.
    target: String,
    /// `on`, `drained` or `disabled`.
    #[schema(value_type = String, example = "on")]
    state: &'static str,
    /// How it stands; none where it was not asked yet.
    #[serde(flatten)]
    health: Option<HealthBody>,
}

/// What was learnt of a target from its answers.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HealthBody {
    /// `closed`, `open`, `half_open` or `probing`.
    breaker: &'static str,
    /// For how long the breaker stays so.
    breaker_for_ms: u64,
    /// The median time of an answer, for people.
    p50: Option<String>,
    /// Times until the first content of a streamed answer.
    stream: Option<LatencyBody>,
    /// Times of whole answers.
    whole: Option<LatencyBody>,
    credentials: Vec<CredentialBody>,
}

/// How long a target takes.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LatencyBody {
    p50_ms: u64,
    p95_ms: u64,
    samples: u32,
}

/// How one of a target's keys is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CredentialBody {
    breaker: &'static str,
    breaker_for_ms: u64,
    cooling_ms: u64,
    headroom_thousandths: Option<u32>,
}

/// All targets.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TargetList {
    #[schema(example = "list")]
    object: &'static str,
    data: Vec<TargetBody>,
    has_more: bool,
}

/// Shows how every target is, as the replica that answers has seen it.
#[utoipa::path(
    get,
    path = "/admin/v1/targets",
    operation_id = "admin.targets.list",
    tag = "admin",
    responses((status = 200, description = "The targets that were asked, and those that are switched", body = TargetList, example = json!({"object": "list", "data": [{"target": "echo/hello", "state": "on", "breaker": "closed", "breaker_for_ms": 0, "p50": "2 ms", "stream": null, "whole": {"p50_ms": 2, "p95_ms": 3, "samples": 17}, "credentials": []}], "has_more": false}))),
    security(("bearer" = []), ("x-api-key" = [])),
)]
pub(super) async fn list(State(control): State<Control>) -> Json<TargetList> {
    let health = control.engine.health();
    let mut data: Vec<TargetBody> = health.states(Instant::now()).iter().map(TargetBody::of).collect();
    for (scope, manual) in health.manual() {
        let target = scope.to_string();
        if !data.iter().any(|row| row.target == target) {
            data.push(TargetBody { target, state: manual.as_str(), health: None });
        }
    }
    Json(TargetList { object: "list", data, has_more: false })
}

impl TargetBody {
    fn of(state: &TargetState) -> Self {
        let (breaker, breaker_for_ms) = breaker(state.breaker);
        let credentials = state.credentials.iter().map(|credential| {
            let (breaker, breaker_for_ms) = self::breaker(credential.breaker);
            CredentialBody {
                breaker,
                breaker_for_ms,
                cooling_ms: credential.cooling_ms,
                headroom_thousandths: credential.headroom,
            }
        });
        let health = HealthBody {
            breaker,
            breaker_for_ms,
            p50: state.whole.or(state.stream).map(|latency| format!("{} ms", latency.p50_ms)),
            stream: state.stream.map(LatencyBody::of),
            whole: state.whole.map(LatencyBody::of),
            credentials: credentials.collect(),
        };
        Self { target: state.target.to_string(), state: state.manual.as_str(), health: Some(health) }
    }
}

impl LatencyBody {
    const fn of(Latency { p50_ms, p95_ms, samples }: Latency) -> Self {
        Self { p50_ms, p95_ms, samples }
    }
}

const fn breaker(state: BreakerState) -> (&'static str, u64) {
    match state {
        BreakerState::Closed => ("closed", 0),
        BreakerState::Open { for_ms } => ("open", for_ms),
        BreakerState::HalfOpen => ("half_open", 0),
        BreakerState::Probing { for_ms } => ("probing", for_ms),
    }
}

/// How a target should be switched.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Switch {
    /// `provider` or `provider/model`.
    #[schema(value_type = String, example = "openai")]
    scope: Scope,
    /// `on`; `drained`: no new conversations; `disabled`: nothing at all.
    #[schema(value_type = String, example = "drained")]
    state: Manual,
}

/// What became of a switch.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Switched {
    #[schema(value_type = String)]
    scope: Scope,
    before: &'static str,
    state: &'static str,
}

/// Drains, disables or enables a target or a provider, on the replica that answers.
#[utoipa::path(
    post,
    path = "/admin/v1/targets",
    operation_id = "admin.targets.switch",
    tag = "admin",
    request_body(content = Switch, example = json!({"scope": "openai", "state": "drained"})),
    responses((status = 200, description = "What it was and what it is", body = Switched, example = json!({"scope": "openai", "before": "on", "state": "drained"}))),
    security(("bearer" = []), ("x-api-key" = [])),
)]
pub(super) async fn switch(
    State(control): State<Control>,
    actor: Actor,
    Json(Switch { scope, state }): Json<Switch>,
) -> Result<Json<Switched>, Refused> {
    let action = format!("target.{}", state.as_str());
    record(&control, &actor, &action, &scope.to_string(), Value::Null).await?;
    let health = control.engine.health();
    let before = health.set_manual(&scope, state);
    // A blocking write of a few hundred bytes, by an operator's hand.
    keep_switches(&control.data_dir, &health.manual())
        .map_err(|error| Refused(StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}")))?;
    Ok(Json(Switched { scope, before: before.as_str(), state: state.as_str() }))
}
