//! `/v1/runs` and below: create, list, read, delete, cancel, answer, follow.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::body::Body;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use baton_engine::{Checkpoint, PendingApproval, PendingCall, Word};
use baton_model::{Dialect, RawJson, RawObject, RequestId, RunId};
use baton_state::StateError;
use baton_state::runs::{RunKind, RunPageStart, RunStatus, StoredRun, Woken};
use futures_util::StreamExt;
use serde_json::{Value, json};

use super::events::{Leaving, Reading, frames};
use super::order::{Arrival, Before, Order, Reader, no_previous};
use super::{RunDesk, shown};
use crate::error::ApiError;
use crate::gate::Gate;
use crate::reply::RUN_ID;
use crate::router::request_id;
use crate::state::ApiState;
use crate::surface::by_headers;

/// The names and values of a query.
type Pairs = Result<Query<Vec<(String, String)>>, QueryRejection>;
type Named = Result<Path<String>, PathRejection>;

/// As long as a page may be.
const MOST: u32 = 100;
const USUAL: u32 = 20;
/// The longest reason why a call is not approved.
const LONGEST_REASON: usize = 2_000;
const EVENTS: HeaderValue = HeaderValue::from_static("text/event-stream; charset=utf-8");

/// The routes.
pub(crate) fn routes() -> Router<ApiState> {
    Router::new()
        .route(
            "/v1/runs",
            get(list).post(create).fallback(async |request: Request| other("GET, POST", &request)),
        )
        .route(
            "/v1/runs/{id}",
            get(retrieve).delete(delete).fallback(async |request: Request| other("GET, DELETE", &request)),
        )
        .route(
            "/v1/runs/{id}/cancel",
            post(cancel).fallback(async |request: Request| other("POST", &request)),
        )
        .route(
            "/v1/runs/{id}/tool_outputs",
            post(tool_outputs).fallback(async |request: Request| other("POST", &request)),
        )
        .route("/v1/runs/{id}/events", get(events).fallback(async |request: Request| other("GET", &request)))
}

/// Begins a run.
///
/// Without more, the answer is the run when it has ended, or when it waits for its caller. With `stream`, it is
/// the run's events as they are written; with `background`, the run as it is queued. A run goes on in another
/// process where the one that has it dies. One that is not in the background ends when its caller leaves.
#[utoipa::path(
    post,
    path = "/v1/runs",
    operation_id = "runs.create",
    tag = "runs",
    request_body(content = crate::docs::RunRequest, content_type = "application/json", example = json!({"model": "echo/hello", "input": "hi"})),
    responses(
        (status = 200, description = "The run, or with `stream` its events", content(
            (crate::docs::RunObject = "application/json", example = json!({"id": "run_019356aa00007000800000000000000b", "object": "run", "status": "completed", "created_at": 1_790_000_000, "ended_at": 1_790_000_001, "output": {"text": "Hello!", "messages": [{"role": "assistant", "content": "Hello!", "model": "echo/hello", "turn": 1}]}, "ended_by": {"agent": null, "model": "echo/hello"}, "agents_used": ["echo/hello"], "handoffs": [], "turns_consumed": 1, "cost_usd": null})),
            (crate::docs::RunEvents = "text/event-stream", example = json!("id: 0\nevent: run_start\ndata: {\"type\":\"run_start\",\"run\":\"run_019356aa00007000800000000000000b\",\"at\":\"echo/hello\"}\n\n")),
        )),
        (status = 202, description = "The run, queued: `background` was asked for", body = crate::docs::RunObject, content_type = "application/json", example = json!({"id": "run_019356aa00007000800000000000000b", "object": "run", "status": "queued", "created_at": 1_790_000_000, "ended_at": null})),
    ),
    security(("bearer" = []), ("x-api-key" = []), ()),
)]
pub(crate) async fn create(
    State(desk): State<RunDesk>,
    State(gate): State<Arc<Gate>>,
    request: Request,
) -> Response {
    finish(whose(&request), begin(&desk, &gate, request)).await
}

async fn begin(desk: &RunDesk, gate: &Gate, request: Request) -> Result<Response, ApiError> {
    let id = request_id(&request);
    let (parts, body) = request.into_parts();
    let admitted = gate.admit(&parts.headers)?;
    let engine = desk.engine();
    engine.admit()?;
    let body = gate.read(&parts.headers, body).await?;
    let mut reader = Reader::of(&RawObject::parse(body)?)?;
    let principal = admitted.principal.id().to_string();
    let before = match reader.previous()? {
        Some(previous) => Some(before(desk, &principal, previous).await?),
        None => None,
    };
    let wanted = reader.wanted()?;
    let run = engine.ids().run();
    let arrival = Arrival {
        request: id,
        run,
        now_ms: engine.ids().now_ms(),
        wanted,
        principal: &admitted.principal,
        headers: &parts.headers,
        workflows: &engine.settings().workflows,
    };
    let order = Order::read(reader, before.as_ref(), &arrival)?;
    // What can be known to be wrong is told before anything is stored.
    order.check(engine)?;
    if wanted.background {
        desk.queue(run, &order).await.map_err(|error| unavailable(&error))?;
    } else {
        desk.begin(run, order).await.map_err(|error| unavailable(&error))?;
    }
    let leaving = (!wanted.background).then(|| Leaving::new(desk.clone(), principal.clone(), run));
    if wanted.stream {
        let reading = Reading { desk: desk.clone(), principal, run, from: 0, ends_at_rest: true };
        return Ok(stream(reading, leaving, admitted.permit));
    }
    if wanted.background {
        return Ok(with_run(StatusCode::ACCEPTED, &read(desk, &principal, run).await?));
    }
    let settled = desk.settled(&principal, run).await.map_err(|error| unavailable(&error))?;
    if let Some(mut leaving) = leaving {
        leaving.disarm();
    }
    Ok(with_run(StatusCode::OK, &settled.ok_or_else(|| not_there(&run.to_string()))?))
}

/// The run that another one goes on from.
async fn before(desk: &RunDesk, principal: &str, previous: RunId) -> Result<Before, ApiError> {
    let stored = desk.stored(principal, previous).await.map_err(|error| unavailable(&error))?;
    let stored = stored.ok_or_else(|| no_previous(&previous.to_string()))?;
    let not_usable = |why: &str| {
        ApiError::invalid(format!("the run `{previous}` {why}"), Some("previous_run"))
            .with_code("previous_run_not_usable")
    };
    match stored.run.status {
        RunStatus::Completed | RunStatus::Handoff | RunStatus::Incomplete => {}
        RunStatus::Failed | RunStatus::Cancelled => return Err(not_usable("has not ended well")),
        RunStatus::Queued | RunStatus::InProgress | RunStatus::RequiresAction => {
            return Err(not_usable("has not ended"));
        }
    }
    let order = stored.request.read().map_err(|_no_order| not_usable("cannot be read"))?;
    let checkpoint = stored.checkpoint.as_ref().and_then(|checkpoint| checkpoint.read().ok());
    let checkpoint = checkpoint.ok_or_else(|| not_usable("cannot be read"))?;
    Ok(Before { id: previous, order, checkpoint })
}

/// Lists the caller's runs, the newest first.
#[utoipa::path(
    get,
    path = "/v1/runs",
    operation_id = "runs.list",
    tag = "runs",
    params(
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 100, description = "How many at most; 20 unless told", example = 20),
        ("starting_after" = Option<String>, Query, pattern = "^run_[0-9a-f]{32}$", description = "The run that the page begins behind", example = "run_019356aa00007000800000000000000b"),
        ("ending_before" = Option<String>, Query, pattern = "^run_[0-9a-f]{32}$", description = "The run that the page ends before", example = "run_019356aa00007000800000000000000b"),
    ),
    responses(
        (status = 200, description = "A page", body = crate::docs::RunList, content_type = "application/json", example = json!({"object": "list", "data": [{"id": "run_019356aa00007000800000000000000b", "object": "run", "status": "completed", "created_at": 1_790_000_000, "ended_at": 1_790_000_001}], "has_more": false})),
    ),
    security(("bearer" = []), ("x-api-key" = []), ()),
)]
pub(crate) async fn list(
    State(desk): State<RunDesk>,
    State(gate): State<Arc<Gate>>,
    pairs: Pairs,
    request: Request,
) -> Response {
    let (whose, headers) = (whose(&request), request.into_parts().0.headers);
    finish(whose, async {
        let principal = gate.authenticate(&headers)?.id().to_string();
        let Query(pairs) = pairs.map_err(|rejection| ApiError::invalid(rejection.body_text(), None))?;
        let (start, limit) = page(&pairs)?;
        let page = desk.runs().list(&principal, RunKind::Run, start, limit).await;
        let (rows, has_more) = page.map_err(|error| unavailable(&error))?;
        let data: Vec<Value> = rows.iter().map(|row| Value::Object(shown::head(row))).collect();
        Ok(Json(json!({ "object": "list", "data": data, "has_more": has_more })).into_response())
    })
    .await
}

/// Reads a run.
#[utoipa::path(
    get,
    path = "/v1/runs/{id}",
    operation_id = "runs.retrieve",
    tag = "runs",
    params(("id" = String, Path, description = "The run's id", example = "run_019356aa00007000800000000000000b")),
    responses(
        (status = 200, description = "The run, as it is", body = crate::docs::RunObject, content_type = "application/json", example = json!({"id": "run_019356aa00007000800000000000000b", "object": "run", "status": "in_progress", "created_at": 1_790_000_000, "ended_at": null})),
    ),
    security(("bearer" = []), ("x-api-key" = []), ()),
)]
pub(crate) async fn retrieve(
    State(desk): State<RunDesk>,
    State(gate): State<Arc<Gate>>,
    named: Named,
    request: Request,
) -> Response {
    let (whose, headers) = (whose(&request), request.into_parts().0.headers);
    finish(whose, async {
        let principal = gate.authenticate(&headers)?.id().to_string();
        Ok(with_run(StatusCode::OK, &read(&desk, &principal, id_of(named)?).await?))
    })
    .await
}

/// Deletes a run that has ended, with its events and all that was said in it.
///
/// The decisions that were made for it stay in the audit log. One that has not ended is to be cancelled first, so
/// that nothing is done any more that nobody could look at.
#[utoipa::path(
    delete,
    path = "/v1/runs/{id}",
    operation_id = "runs.delete",
    tag = "runs",
    params(("id" = String, Path, description = "The run's id", example = "run_019356aa00007000800000000000000b")),
    responses(
        (status = 200, description = "It is gone", body = serde_json::Value, content_type = "application/json", example = json!({"id": "run_019356aa00007000800000000000000b", "object": "run", "deleted": true})),
    ),
    security(("bearer" = []), ("x-api-key" = []), ()),
)]
pub(crate) async fn delete(
    State(desk): State<RunDesk>,
    State(gate): State<Arc<Gate>>,
    named: Named,
    request: Request,
) -> Response {
    let (whose, headers) = (whose(&request), request.into_parts().0.headers);
    finish(whose, async {
        let principal = gate.authenticate(&headers)?.id().to_string();
        let id = id_of(named)?;
        let status = read(&desk, &principal, id).await?.run.status;
        if !status.is_end() {
            let message = format!("the run has not ended: it is `{}`; cancel it first", status.as_str());
            return Err(ApiError::conflict(message, "run_not_ended"));
        }
        if !desk.runs().delete(&principal, id).await.map_err(|error| unavailable(&error))? {
            return Err(not_there(&id.to_string()));
        }
        Ok(Json(json!({ "id": id.to_string(), "object": "run", "deleted": true })).into_response())
    })
    .await
}

/// Asks a run to stop. One that has ended stays as it is.
#[utoipa::path(
    post,
    path = "/v1/runs/{id}/cancel",
    operation_id = "runs.cancel",
    tag = "runs",
    params(("id" = String, Path, description = "The run's id", example = "run_019356aa00007000800000000000000b")),
    responses(
        (status = 200, description = "The run, as it is then. Where another process has it, it may go on for some seconds", body = crate::docs::RunObject, content_type = "application/json", example = json!({"id": "run_019356aa00007000800000000000000b", "object": "run", "status": "cancelled", "created_at": 1_790_000_000, "ended_at": 1_790_000_001})),
    ),
    security(("bearer" = []), ("x-api-key" = []), ()),
)]
pub(crate) async fn cancel(
    State(desk): State<RunDesk>,
    State(gate): State<Arc<Gate>>,
    named: Named,
    request: Request,
) -> Response {
    let (whose, headers) = (whose(&request), request.into_parts().0.headers);
    finish(whose, async {
        let principal = gate.authenticate(&headers)?.id().to_string();
        let id = id_of(named)?;
        // A response that is made in the background has the same kind of id.
        let _there = read(&desk, &principal, id).await?;
        desk.cancel(&principal, id).await.map_err(|error| unavailable(&error))?;
        Ok(with_run(StatusCode::OK, &read(&desk, &principal, id).await?))
    })
    .await
}

/// Gives a run the results of the calls that it waits for, or a word of each call that needs one.
///
/// There must be one for each call. A word is bound to its call by `hash`: `approved`, or not and a `reason`. The answer is as that of the request that began the run: the run when it has
/// ended or waits again, with `stream` its further events, and at once for one in the background.
#[utoipa::path(
    post,
    path = "/v1/runs/{id}/tool_outputs",
    operation_id = "runs.tool_outputs",
    tag = "runs",
    params(("id" = String, Path, description = "The run's id", example = "run_019356aa00007000800000000000000b")),
    request_body(content = crate::docs::RunOutputs, content_type = "application/json", example = json!({"tool_outputs": [{"tool_call_id": "call_1", "output": "12 degrees"}]})),
    responses(
        (status = 200, description = "The run, or with `stream` its events from here on", content(
            (crate::docs::RunObject = "application/json", example = json!({"id": "run_019356aa00007000800000000000000b", "object": "run", "status": "completed", "created_at": 1_790_000_000, "ended_at": 1_790_000_001})),
            (crate::docs::RunEvents = "text/event-stream", example = json!("id: 9\nevent: turn_start\ndata: {\"type\":\"turn_start\",\"turn\":2}\n\n")),
        )),
        (status = 202, description = "The run goes on in the background", body = crate::docs::RunObject, content_type = "application/json", example = json!({"id": "run_019356aa00007000800000000000000b", "object": "run", "status": "in_progress", "created_at": 1_790_000_000, "ended_at": null})),
    ),
    security(("bearer" = []), ("x-api-key" = []), ()),
)]
pub(crate) async fn tool_outputs(
    State(desk): State<RunDesk>,
    State(gate): State<Arc<Gate>>,
    named: Named,
    request: Request,
) -> Response {
    finish(whose(&request), answer(&desk, &gate, named, request)).await
}

async fn answer(desk: &RunDesk, gate: &Gate, named: Named, request: Request) -> Result<Response, ApiError> {
    let (parts, body) = request.into_parts();
    let admitted = gate.admit(&parts.headers)?;
    let principal = admitted.principal.id().to_string();
    let id = id_of(named)?;
    let body = RawObject::parse(gate.read(&parts.headers, body).await?)?;
    let stored = read(desk, &principal, id).await?;
    if stored.run.status != RunStatus::RequiresAction {
        return Err(not_waiting(stored.run.status));
    }
    let checkpoint: Checkpoint = stored
        .checkpoint
        .as_ref()
        .and_then(|checkpoint| checkpoint.read().ok())
        .ok_or_else(ApiError::internal)?;
    let wants_stream = body.read::<bool>("stream")?.unwrap_or(false);
    if let Some(other) = body.members().find(|member| !matches!(member.key, "tool_outputs" | "stream")) {
        let message = format!("`{}` is not a member of tool outputs", other.key);
        return Err(ApiError::invalid(message, Some(other.key)).with_code("unknown_parameter"));
    }
    let given = given(&body, &checkpoint)?;
    let background = stored.request.read::<Order>().is_ok_and(|order| order.shown.background);
    let from = stored.run.events;
    match desk.answer(&stored, &given).await.map_err(|error| unavailable(&error))? {
        Some(Woken::Woken(_)) => {}
        Some(Woken::NotWaiting(row)) => return Err(not_waiting(row.status)),
        None => return Err(not_there(&id.to_string())),
    }
    let leaving = (!background).then(|| Leaving::new(desk.clone(), principal.clone(), id));
    if wants_stream {
        let reading = Reading { desk: desk.clone(), principal, run: id, from, ends_at_rest: true };
        return Ok(stream(reading, leaving, admitted.permit));
    }
    if background {
        return Ok(with_run(StatusCode::ACCEPTED, &read(desk, &principal, id).await?));
    }
    let settled = desk.settled(&principal, id).await.map_err(|error| unavailable(&error))?;
    if let Some(mut leaving) = leaving {
        leaving.disarm();
    }
    Ok(with_run(StatusCode::OK, &settled.ok_or_else(|| not_there(&id.to_string()))?))
}

/// What a run is given that waits: results of its caller's tools, or a word of each call that needs one.
fn given(body: &RawObject, checkpoint: &Checkpoint) -> Result<RawJson, ApiError> {
    let pending: Vec<&PendingApproval> = checkpoint.approvals().collect();
    let given = if pending.is_empty() {
        RawJson::of(&outputs(body, &checkpoint.progress.calls)?)
    } else {
        RawJson::of(&words(body, &pending)?)
    };
    given.map_err(ApiError::from)
}

/// A word of each call that waits for one, by what it is bound to.
fn words(body: &RawObject, pending: &[&PendingApproval]) -> Result<BTreeMap<String, Word>, ApiError> {
    let form = || {
        let message = "the run waits for approvals: `tool_outputs` must be a list of objects with `hash` and `approved`";
        ApiError::invalid(message, Some("tool_outputs"))
    };
    let given: Vec<Value> = body.read("tool_outputs").map_err(|_no_list| form())?.ok_or_else(form)?;
    let mut words = BTreeMap::new();
    for (at, given) in given.iter().enumerate() {
        let wrong = |member: &str, message: &str| {
            ApiError::invalid(message, Some(&format!("tool_outputs[{at}]{member}")))
        };
        let members = given.as_object().ok_or_else(|| wrong("", "each of them must be an object"))?;
        let known = ["approved", "hash", "reason", "tool_call_id"];
        if let Some(other) = members.keys().find(|key| !known.contains(&key.as_str())) {
            let message = format!("`{other}` is not a member of an approval");
            return Err(wrong(&format!(".{other}"), &message).with_code("unknown_parameter"));
        }
        let hash = members.get("hash").and_then(Value::as_str).unwrap_or_default();
        let call = pending.iter().find(|pending| pending.hash == hash);
        let call =
            call.ok_or_else(|| wrong(".hash", "the run does not wait for an approval of this call"))?;
        let named = members.get("tool_call_id").filter(|id| !id.is_null());
        if named.is_some_and(|id| id.as_str() != Some(call.tool_call_id.as_str())) {
            return Err(wrong(".tool_call_id", "the hash is another call's"));
        }
        let approved = members.get("approved").and_then(Value::as_bool);
        let approved =
            approved.ok_or_else(|| wrong(".approved", "an approval needs `approved`: true or false"))?;
        let reason = match members.get("reason") {
            None | Some(Value::Null) => None,
            Some(Value::String(reason)) if reason.len() <= LONGEST_REASON => Some(reason.clone()),
            Some(_) => {
                let message = format!("a reason is a text of at most {LONGEST_REASON} bytes");
                return Err(wrong(".reason", &message));
            }
        };
        if words.insert(hash.to_owned(), Word { approved, reason }).is_some() {
            return Err(wrong(".hash", "of this call there is a word already"));
        }
    }
    match pending.iter().find(|pending| !words.contains_key(&pending.hash)) {
        None => Ok(words),
        Some(left) => {
            let message = format!("the call `{}` of `{}` has no word", left.tool_call_id, left.name);
            Err(ApiError::invalid(message, Some("tool_outputs")))
        }
    }
}

/// The results as messages of chat, in the order of the calls.
fn outputs(body: &RawObject, calls: &[PendingCall]) -> Result<Vec<Value>, ApiError> {
    let form = || {
        let message = "`tool_outputs` must be a list of objects with `tool_call_id` and `output`";
        ApiError::invalid(message, Some("tool_outputs"))
    };
    let given: Vec<Value> = body.read("tool_outputs").map_err(|_no_list| form())?.ok_or_else(form)?;
    let mut found: Vec<Option<Value>> = vec![None; calls.len()];
    for (at, output) in given.iter().enumerate() {
        let wrong = |member: &str, message: String| {
            ApiError::invalid(message, Some(&format!("tool_outputs[{at}]{member}")))
        };
        let members =
            output.as_object().ok_or_else(|| wrong("", "each output must be an object".to_owned()))?;
        let id = members.get("tool_call_id").and_then(Value::as_str).unwrap_or_default();
        let place = calls.iter().position(|call| call.id == id);
        let place = place.and_then(|place| found.get_mut(place)).ok_or_else(|| {
            let waits: Vec<&str> = calls.iter().map(|call| call.id.as_str()).collect();
            let message =
                format!("the run does not wait for this call; it waits for `{}`", waits.join("`, `"));
            wrong(".tool_call_id", message)
        })?;
        if place.is_some() {
            return Err(wrong(".tool_call_id", "this call has an output already".to_owned()));
        }
        let text = match members.get("output") {
            Some(Value::String(text)) => text.clone(),
            None | Some(Value::Null) => return Err(wrong(".output", "a call needs its `output`".to_owned())),
            Some(other) => other.to_string(),
        };
        *place = Some(json!({ "role": "tool", "tool_call_id": id, "content": text }));
    }
    calls
        .iter()
        .zip(found)
        .map(|(call, found)| {
            found.ok_or_else(|| {
                ApiError::invalid(format!("the call `{}` has no output", call.id), Some("tool_outputs"))
            })
        })
        .collect()
}

/// Follows a run: its events, each as it is written, until it has ended.
///
/// Every event has a number, which stands in its `id`. With `Last-Event-ID` the stream goes on behind that one,
/// without a gap and without a repeat.
#[utoipa::path(
    get,
    path = "/v1/runs/{id}/events",
    operation_id = "runs.events",
    tag = "runs",
    params(
        ("id" = String, Path, description = "The run's id", example = "run_019356aa00007000800000000000000b"),
        ("Last-Event-ID" = Option<u64>, Header, description = "The number of the last event that the caller has", example = 4),
    ),
    responses(
        (status = 200, description = "The events", body = crate::docs::RunEvents, content_type = "text/event-stream", example = json!("id: 5\nevent: text_delta\ndata: {\"type\":\"text_delta\",\"turn\":1,\"text\":\"Hello!\"}\n\n")),
    ),
    security(("bearer" = []), ("x-api-key" = []), ()),
)]
pub(crate) async fn events(
    State(desk): State<RunDesk>,
    State(gate): State<Arc<Gate>>,
    named: Named,
    request: Request,
) -> Response {
    let (whose, headers) = (whose(&request), request.into_parts().0.headers);
    finish(whose, async {
        let principal = gate.authenticate(&headers)?.id().to_string();
        let run = id_of(named)?;
        let from = last_event(&headers)?;
        let _there = read(&desk, &principal, run).await?;
        let reading = Reading { desk: desk.clone(), principal, run, from, ends_at_rest: false };
        Ok(stream(reading, None, ()))
    })
    .await
}

/// The number of the first event that the caller does not have.
fn last_event(headers: &HeaderMap) -> Result<u64, ApiError> {
    let Some(last) = headers.get("last-event-id") else { return Ok(0) };
    let last = last.to_str().ok().map(str::trim);
    match last {
        Some("") => Ok(0),
        Some(last) => last.parse::<u64>().ok().and_then(|last| last.checked_add(1)).ok_or_else(|| {
            ApiError::invalid("`Last-Event-ID` must be the number of an event", Some("last-event-id"))
        }),
        None => {
            Err(ApiError::invalid("`Last-Event-ID` must be the number of an event", Some("last-event-id")))
        }
    }
}

fn stream<P: Send + 'static>(reading: Reading, leaving: Option<Leaving>, place: P) -> Response {
    let run = reading.run;
    let frames = frames(reading, leaving, place).map(Ok::<_, std::convert::Infallible>);
    let mut response = Response::new(Body::from_stream(frames));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, EVENTS);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    name(run, headers);
    response
}

fn with_run(status: StatusCode, stored: &StoredRun) -> Response {
    let mut response = (status, Json(shown::run(stored))).into_response();
    name(stored.run.id, response.headers_mut());
    response
}

fn name(run: RunId, headers: &mut HeaderMap) {
    if let Ok(value) = HeaderValue::try_from(run.to_string()) {
        headers.insert(RUN_ID.clone(), value);
    }
}

async fn read(desk: &RunDesk, principal: &str, id: RunId) -> Result<StoredRun, ApiError> {
    let stored = desk.stored(principal, id).await.map_err(|error| unavailable(&error))?;
    stored.ok_or_else(|| not_there(&id.to_string()))
}

fn page(pairs: &[(String, String)]) -> Result<(RunPageStart, u32), ApiError> {
    let (mut start, mut limit) = (None, USUAL);
    for (name, value) in pairs {
        let wrong = |what: &str| ApiError::invalid(format!("`{name}` {what}"), Some(name));
        let id = || value.parse::<RunId>().map_err(|_no_id| wrong("must be the id of a run"));
        let begins = match name.as_str() {
            "limit" => {
                let given = value.parse().ok().filter(|limit| (1..=MOST).contains(limit));
                limit = given.ok_or_else(|| wrong("must be 1 to 100"))?;
                continue;
            }
            "starting_after" => RunPageStart::After(id()?),
            "ending_before" => RunPageStart::Before(id()?),
            _ => return Err(wrong("is not a parameter of this list")),
        };
        if start.replace(begins).is_some() {
            return Err(wrong("cannot stand beside another place to begin at"));
        }
    }
    Ok((start.unwrap_or(RunPageStart::Newest), limit))
}

fn id_of(named: Named) -> Result<RunId, ApiError> {
    let Path(named) = named.map_err(|_not_text| not_there("?"))?;
    named.parse().map_err(|_no_id| not_there(&named))
}

fn not_there(id: &str) -> ApiError {
    let id: String = id.chars().take(64).collect();
    ApiError::not_found(format!("there is no run `{id}`"))
}

fn not_waiting(status: RunStatus) -> ApiError {
    let message = format!("the run does not wait for tool outputs: it is `{}`", status.as_str());
    ApiError::conflict(message, "run_not_waiting")
}

fn unavailable(error: &StateError) -> ApiError {
    let cause = std::error::Error::source(error).map(ToString::to_string);
    tracing::error!(error = %error, cause, "runs cannot be read or changed");
    ApiError::unavailable("runs cannot be had at the moment", "store_unavailable")
}

/// Which request it is, and in whose words an error is told.
fn whose(request: &Request) -> (RequestId, Dialect) {
    (request_id(request), by_headers(request.headers()))
}

async fn finish(
    (request, dialect): (RequestId, Dialect),
    answer: impl Future<Output = Result<Response, ApiError>>,
) -> Response {
    answer.await.unwrap_or_else(|error| error.into_response_as(dialect, request))
}

/// Another method than those of a route.
fn other(allow: &'static str, request: &Request) -> Response {
    let (id, dialect) = whose(request);
    ApiError::method_not_allowed(allow).into_response_as(dialect, id)
}
