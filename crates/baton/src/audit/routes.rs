//! What the server answers to `baton audit` on the control socket.

use std::sync::Arc;

use axum::extract::{Path as UrlPath, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use baton_audit::{DecisionView, DecisionsError, Lookup, OutcomeView, StoreError};
use baton_model::{BootId, DecisionId, KeyId, RunId};
use baton_state::Subject;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::SETTLING;
use super::list::{Ask, Page, Row};
use crate::content::Beside;
use crate::control::{Actor, Control, Refused, record};

/// The routes of the control socket alone.
pub(crate) fn router() -> Router<Control> {
    Router::new()
        .route("/audit/list", post(list))
        .route("/audit/records/{id}", get(records))
        .route("/audit/settle", post(settle))
        .route("/audit/chains", get(chains))
        .route("/audit/rotate-key", post(rotate_key))
        .route("/audit/reproject/{boot}", post(reproject))
        .route("/audit/feedback", post(super::lessons::feedback))
        .route("/audit/lessons", post(super::lessons::lessons))
        .route("/audit/recompute", post(super::recompute::recompute))
        .route("/audit/content/{id}", get(content))
        .route("/audit/erase", post(erase))
}

/// The routes that administrators have over the network too.
pub(crate) fn remote_router() -> Router<Control> {
    Router::new().route("/audit/keys", get(keys))
}

async fn list(State(control): State<Control>, Json(ask): Json<Ask>) -> Result<Json<Page>, Refused> {
    let query = ask.query(control.ids.now_ms()).map_err(|why| Refused(StatusCode::BAD_REQUEST, why))?;
    let page = control.decisions.list(&query).await.map_err(unreadable)?;
    Ok(Json(Page { data: page.decisions.into_iter().map(row).collect(), has_more: page.has_more }))
}

/// The decision of an id, or all of a run.
async fn records(
    State(control): State<Control>,
    UrlPath(id): UrlPath<String>,
) -> Result<Json<Vec<Row>>, Refused> {
    let views = match (id.parse::<DecisionId>(), id.parse::<RunId>()) {
        (Ok(decision), _) => match control.decisions.get(decision).await.map_err(unreadable)? {
            Lookup::Found(view) => vec![view],
            Lookup::NotYetVisible | Lookup::NotFound => Vec::new(),
        },
        (_, Ok(run)) => match control.decisions.run(run).await.map_err(unreadable)? {
            Lookup::Found(run) => run.decisions,
            Lookup::NotYetVisible | Lookup::NotFound => Vec::new(),
        },
        _ => {
            let why = format!("`{id}` is neither a decision (`dec_…`) nor a run (`run_…`)");
            return Err(Refused(StatusCode::BAD_REQUEST, why));
        }
    };
    if views.is_empty() {
        return Err(Refused(StatusCode::NOT_FOUND, format!("there is no `{id}`")));
    }
    Ok(Json(views.into_iter().map(row).collect()))
}

fn row(view: DecisionView) -> Row {
    let (status, outcome) = match view.outcome {
        OutcomeView::NotExpected => ("none", None),
        OutcomeView::Running => ("running", None),
        OutcomeView::Crashed => ("crashed", None),
        OutcomeView::Recorded(outcome) => (outcome.status.as_str(), Some(outcome)),
    };
    Row { decision: view.decision, status: status.to_owned(), outcome, corrections: view.corrections }
}

/// Signs where the chain stands, waits until the store has all of it, and says which keys signed.
async fn settle(State(control): State<Control>) -> Result<Json<Value>, Refused> {
    control.journal.checkpoint().await.map_err(|error| failed(error.into()))?;
    let settled = control.relay.drain(SETTLING).await;
    let Json(SigningKeys { data: keys, .. }) = keys(State(control.clone())).await?;
    Ok(Json(json!({
        "settled": settled, "boot": control.journal.boot().to_string(), "keys": keys,
        "now_ms": control.ids.now_ms(),
    })))
}

async fn chains(State(control): State<Control>) -> Result<Json<Value>, Refused> {
    let chains = control.store.chains().await.map_err(away)?;
    let rows: Vec<Value> = chains
        .iter()
        .map(|chain| {
            json!({
                "boot": chain.boot.to_string(), "at_ms": chain.at_ms, "version": chain.version,
                "previous": chain.previous, "stopped_ms": chain.stopped_ms, "head": chain.head,
            })
        })
        .collect();
    Ok(Json(json!({"object": "list", "data": rows, "has_more": false})))
}

/// Public keys.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SigningKeys {
    #[schema(example = "list")]
    object: &'static str,
    data: Vec<String>,
    has_more: bool,
}

/// Lists the public halves of all keys that have signed the audit log here, oldest first.
#[utoipa::path(
    get,
    path = "/admin/v1/audit/keys",
    operation_id = "admin.audit.keys",
    tag = "admin",
    responses((status = 200, description = "Keys as `baton audit verify --key` takes them", body = SigningKeys, example = json!({"object": "list", "data": ["6VnpGgXg1qXhGDlQ3X4eZ5oNn3pY0W3L5oVtqk1n0Yc="], "has_more": false}))),
    security(("bearer" = []), ("x-api-key" = [])),
)]
pub(crate) async fn keys(State(control): State<Control>) -> Result<Json<SigningKeys>, Refused> {
    let keys = control.signing.public_keys().map_err(failed)?;
    let data = keys.iter().map(baton_audit::CheckpointKey::to_base64).collect();
    Ok(Json(SigningKeys { object: "list", data, has_more: false }))
}

async fn rotate_key(State(control): State<Control>, actor: Actor) -> Result<Json<Value>, Refused> {
    record(&control, &actor, "audit.rotate_key", "signing", Value::Null).await?;
    let key = control.signing.rotate(&control.journal).await.map_err(failed)?;
    Ok(Json(json!({"public": key.public, "previous": key.previous, "at_ms": key.at_ms})))
}

async fn reproject(
    State(control): State<Control>,
    actor: Actor,
    UrlPath(boot): UrlPath<String>,
) -> Result<Json<Value>, Refused> {
    let boot: BootId = boot.parse().map_err(|error: baton_model::IdError| {
        Refused(StatusCode::BAD_REQUEST, format!("`{boot}` is no chain: {error}"))
    })?;
    record(&control, &actor, "audit.reproject", &boot.to_string(), Value::Null).await?;
    let rows = control.upkeep.reproject(boot).await.map_err(away)?;
    Ok(Json(json!({"chain": boot.to_string(), "rows": rows})))
}

/// What was captured of a decision. That it was read is recorded.
async fn content(
    State(control): State<Control>,
    actor: Actor,
    UrlPath(id): UrlPath<String>,
) -> Result<Json<Value>, Refused> {
    let id: DecisionId = id.parse().map_err(|_error| {
        Refused(StatusCode::BAD_REQUEST, format!("`{id}` is not a decision's id (`dec_…`)"))
    })?;
    record(&control, &actor, "content.read", &id.to_string(), Value::Null).await?;
    let data = control.contents.of(id).await.map_err(away)?;
    Ok(Json(json!({"object": "list", "data": data, "has_more": false})))
}

/// Whose content to erase.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Erase {
    subject: String,
}

async fn erase(
    State(control): State<Control>,
    actor: Actor,
    Json(erase): Json<Erase>,
) -> Result<Json<Value>, Refused> {
    let subject = subject_of(&erase.subject)
        .ok_or_else(|| Refused(StatusCode::BAD_REQUEST, "the subject has no name".to_owned()))?;
    let beside = Beside {
        relay: Arc::clone(&control.relay),
        responses: Arc::clone(&control.responses),
        runs: Arc::clone(&control.erasable_runs),
        answers: control.answers.clone(),
    };
    let erased = control.contents.erase(&subject, actor.as_str(), beside).await;
    let erased = erased.map_err(|error| Refused(StatusCode::SERVICE_UNAVAILABLE, format!("{error:#}")))?;
    Ok(Json(json!(erased)))
}

/// A subject by its id, or the end user of this name.
fn subject_of(text: &str) -> Option<Subject> {
    let is_user = text.strip_prefix("user_").is_some_and(|rest| {
        rest.len() == 32 && rest.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'a'..=b'f'))
    });
    let is_id = is_user || text == "anonymous" || text.parse::<KeyId>().is_ok();
    match text {
        "" => None,
        text if is_id => Some(Subject::principal(text)),
        text => Some(Subject::end_user(text)),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "so that it can be given to `map_err`")]
pub(super) fn failed(error: anyhow::Error) -> Refused {
    Refused(StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}"))
}

#[expect(clippy::needless_pass_by_value, reason = "so that it can be given to `map_err`")]
pub(super) fn unreadable(error: DecisionsError) -> Refused {
    Refused(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
}

#[expect(clippy::needless_pass_by_value, reason = "so that it can be given to `map_err`")]
pub(super) fn away(error: StoreError) -> Refused {
    Refused(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
}
