//! `/v1/responses/{id}` and below: reads, deletes, lists. Ids that are not ours go on to a provider.

use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::body::Body;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use baton_engine::Engine;
use baton_model::{Dialect, RequestId};
use baton_state::Responses;
use baton_state::responses::items::{ItemPage, Order};
use baton_state::responses::{ChainError, ResponseId, StoredResponse};
use serde_json::json;

use super::{Shelf, background, compact, failed, refused};
use crate::error::ApiError;
use crate::gate::Gate;
use crate::pass;
use crate::router::request_id;
use crate::state::ApiState;

/// The names and values of a query.
type Pairs = Result<Query<Vec<(String, String)>>, QueryRejection>;

/// As long as a page of items may be.
const MAX_ITEMS: usize = 100;

/// The routes, with `/v1` in front and without.
pub(crate) fn routes() -> Router<ApiState> {
    ["", "/v1"].into_iter().fold(Router::new(), |routes, front| {
        let one = format!("{front}/responses/{{id}}");
        routes
            .route(&format!("{front}/responses/compact"), post(compact::create).fallback(only_post))
            .route(
                &format!("{one}/input_items"),
                get(input_items)
                    .fallback(|engine, gate, named, request| other("GET", engine, gate, named, request)),
            )
            .route(
                &format!("{one}/cancel"),
                post(cancel)
                    .fallback(|engine, gate, named, request| other("POST", engine, gate, named, request)),
            )
            .route(
                &one,
                get(retrieve).delete(delete).fallback(|engine, gate, named, request| {
                    other("GET, DELETE", engine, gate, named, request)
                }),
            )
    })
}

/// Reads a stored response.
///
/// A key reads what it asked for itself, for 30 days. An id that Baton did not give goes on to the provider
/// that `x-baton-provider` names.
///
/// With `stream`, a response that is made in the background and was created with `stream` is given as its events, those
/// that have been and those to come. With `starting_after` they begin behind the one of this number.
#[utoipa::path(
    get,
    path = "/v1/responses/{id}",
    operation_id = "responses.retrieve",
    tag = "answers",
    params(
        ("id" = String, Path, description = "The response's id", example = "resp_019356aa00007000800000000000000a"),
        ("stream" = Option<bool>, Query, description = "Whether its events are wanted", example = false),
        ("starting_after" = Option<u64>, Query, description = "The number of the last event that the caller has; only with `stream`"),
    ),
    responses(
        (status = 200, description = "The response as it is now, or with `stream` its events", body = serde_json::Value, content_type = "application/json", example = json!({"id": "resp_019356aa00007000800000000000000a", "object": "response", "status": "completed", "model": "hello", "output": [], "previous_response_id": null, "store": true})),
    ),
    security(("bearer" = []), ("x-api-key" = []), ()),
)]
pub(crate) async fn retrieve(
    State(shelf): State<Shelf>,
    State(engine): State<Arc<Engine>>,
    State(gate): State<Arc<Gate>>,
    named: Result<Path<String>, PathRejection>,
    pairs: Pairs,
    request: Request,
) -> Response {
    let Some(id) = ours(named) else { return elsewhere(engine, gate, request).await };
    let (request, headers) = (request_id(&request), request.into_parts().0.headers);
    finish(request, async {
        let (responses, principal) = shelf.open(&gate, &headers, id)?;
        let Query(pairs) = pairs.map_err(|rejection| ApiError::invalid(rejection.body_text(), None))?;
        let wanted = wanted(&pairs)?;
        let found = responses.get(&principal, id).await.map_err(|error| failed(&error))?;
        let found = found.ok_or_else(|| not_there(id))?;
        let Some(from) = wanted else { return Ok(as_it_is(&found)) };
        let not_streamed = || {
            let message = "only a response that was created with `background` and `stream` can be streamed";
            ApiError::invalid(message, Some("stream"))
        };
        let run = found.run.ok_or_else(not_streamed)?;
        let is_streamed = background::is_streamed(&shelf.desk, &principal, run).await;
        match is_streamed.map_err(|error| failed(&error))? {
            Some(true) => Ok(background::follow(&shelf.desk, principal, run, from, ())),
            Some(false) => Err(not_streamed()),
            None => Err(not_there(id)),
        }
    })
    .await
}

/// Deletes a stored response.
///
/// No request can go on from it then, nor from one that went on from it.
#[utoipa::path(
    delete,
    path = "/v1/responses/{id}",
    operation_id = "responses.delete",
    tag = "answers",
    params(("id" = String, Path, description = "The response's id", example = "resp_019356aa00007000800000000000000a")),
    responses(
        (status = 200, description = "It is gone", body = serde_json::Value, content_type = "application/json", example = json!({"id": "resp_019356aa00007000800000000000000a", "object": "response", "deleted": true})),
    ),
    security(("bearer" = []), ("x-api-key" = []), ()),
)]
pub(crate) async fn delete(
    State(shelf): State<Shelf>,
    State(engine): State<Arc<Engine>>,
    State(gate): State<Arc<Gate>>,
    named: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response {
    let Some(id) = ours(named) else { return elsewhere(engine, gate, request).await };
    let (request, headers) = (request_id(&request), request.into_parts().0.headers);
    finish(request, async {
        let (responses, principal) = shelf.open(&gate, &headers, id)?;
        let run = responses.get(&principal, id).await.map_err(|error| failed(&error))?;
        let run = run.and_then(|found| found.run);
        if !responses.delete(&principal, id).await.map_err(|error| failed(&error))? {
            return Err(not_there(id));
        }
        if let Some(run) = run {
            // Nobody makes it any more, and its events go with it.
            let stopped = shelf.desk.cancel(&principal, run).await;
            stopped.map_err(|error| failed(&error))?;
            shelf.desk.runs().delete(&principal, run).await.map_err(|error| failed(&error))?;
        }
        Ok(Json(json!({"id": id.to_string(), "object": "response", "deleted": true})).into_response())
    })
    .await
}

/// Lists what the model was given for a stored response.
///
/// The conversation before it, and the request's own input; the newest first, unless `order` says `asc`.
#[utoipa::path(
    get,
    path = "/v1/responses/{id}/input_items",
    operation_id = "responses.input_items",
    tag = "answers",
    params(
        ("id" = String, Path, description = "The response's id", example = "resp_019356aa00007000800000000000000a"),
        ("limit" = Option<usize>, Query, minimum = 1, maximum = 100, description = "How many at most; 20 unless told", example = 20),
        ("after" = Option<String>, Query, description = "The id of the item that the page begins behind", example = "msg_1"),
        ("order" = Option<String>, Query, pattern = "^(asc|desc)$", description = "From which end; `desc` unless told", example = "asc"),
    ),
    responses(
        (status = 200, description = "A page", body = serde_json::Value, content_type = "application/json", example = json!({"object": "list", "data": [{"id": "msg_1", "type": "message", "role": "user", "status": "completed", "content": [{"type": "input_text", "text": "hi"}]}], "first_id": "msg_1", "last_id": "msg_1", "has_more": false})),
    ),
    security(("bearer" = []), ("x-api-key" = []), ()),
)]
pub(crate) async fn input_items(
    State(shelf): State<Shelf>,
    State(engine): State<Arc<Engine>>,
    State(gate): State<Arc<Gate>>,
    named: Result<Path<String>, PathRejection>,
    pairs: Pairs,
    request: Request,
) -> Response {
    let Some(id) = ours(named) else { return elsewhere(engine, gate, request).await };
    let (request, headers) = (request_id(&request), request.into_parts().0.headers);
    finish(request, async {
        let (responses, principal) = shelf.open(&gate, &headers, id)?;
        let Query(pairs) = pairs.map_err(|rejection| ApiError::invalid(rejection.body_text(), None))?;
        let list =
            responses.input_items(&principal, id, &page(pairs)?).await.map_err(|error| match error {
                ChainError::NotFound(id) => not_there(id),
                error => refused(error),
            })?;
        Ok(Json(list).into_response())
    })
    .await
}

/// Cancels a response that is made in the background.
///
/// One that has ended stays as it is, and is given as it is.
#[utoipa::path(
    post,
    path = "/v1/responses/{id}/cancel",
    operation_id = "responses.cancel",
    tag = "answers",
    params(("id" = String, Path, description = "The response's id", example = "resp_019356aa00007000800000000000000a")),
    responses(
        (status = 200, description = "The response, as it is then", body = serde_json::Value, content_type = "application/json", example = json!({"id": "resp_1", "object": "response", "status": "cancelled"})),
    ),
    security(("bearer" = []), ("x-api-key" = []), ()),
)]
pub(crate) async fn cancel(
    State(shelf): State<Shelf>,
    State(engine): State<Arc<Engine>>,
    State(gate): State<Arc<Gate>>,
    named: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response {
    let Some(id) = ours(named) else { return elsewhere(engine, gate, request).await };
    let (request, headers) = (request_id(&request), request.into_parts().0.headers);
    finish(request, async {
        let (responses, principal) = shelf.open(&gate, &headers, id)?;
        let found = responses.get(&principal, id).await.map_err(|error| failed(&error))?;
        let found = found.ok_or_else(|| not_there(id))?;
        let run = found.run.ok_or_else(|| {
            ApiError::invalid("only a response that is made in the background can be cancelled", None)
        })?;
        let cancelled = background::cancel(&shelf.desk, responses, &principal, found, run).await;
        let cancelled = cancelled.map_err(|error| failed(&error))?;
        Ok(as_it_is(&cancelled.ok_or_else(|| not_there(id))?))
    })
    .await
}

impl Shelf {
    /// The stored responses, and who asks for one of them.
    fn open(
        &self,
        gate: &Gate,
        headers: &HeaderMap,
        id: ResponseId,
    ) -> Result<(&Responses, String), ApiError> {
        let principal = gate.authenticate(headers)?.id().to_string();
        // Where none are stored, none is there.
        let responses = self.responses.as_deref().ok_or_else(|| not_there(id))?;
        Ok((responses, principal))
    }
}

/// The number of the first event that is wanted; nothing where the response itself is.
fn wanted(pairs: &[(String, String)]) -> Result<Option<u64>, ApiError> {
    let (mut is_streamed, mut after) = (false, None);
    for (name, value) in pairs {
        match (name.as_str(), value.as_str()) {
            ("stream", "true") => is_streamed = true,
            // Nothing is padded here, so there is nothing to leave out.
            ("stream" | "include_obfuscation", "false") => {}
            ("stream", _) => return Err(ApiError::invalid("`stream` must be `true` or `false`", Some(name))),
            ("starting_after", value) => {
                let number = value.parse::<u64>().ok().and_then(|number| number.checked_add(1));
                let wrong =
                    || ApiError::invalid("`starting_after` must be the number of an event", Some(name));
                after = Some(number.ok_or_else(wrong)?);
            }
            _ => {
                let message =
                    format!("`{name}` cannot be asked for of a stored response: it is given as it is");
                return Err(ApiError::invalid(message, Some(name)));
            }
        }
    }
    match (is_streamed, after) {
        (true, after) => Ok(Some(after.unwrap_or(0))),
        (false, None) => Ok(None),
        (false, Some(_)) => {
            Err(ApiError::invalid("`starting_after` goes with `stream=true`", Some("starting_after")))
        }
    }
}

fn as_it_is(stored: &StoredResponse) -> Response {
    let mut response = Response::new(Body::from(stored.body.get().to_owned()));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn page(pairs: Vec<(String, String)>) -> Result<ItemPage, ApiError> {
    let mut page = ItemPage { limit: ItemPage::USUAL, after: None, order: Order::Desc };
    for (name, value) in pairs {
        let wrong = |what: &str| ApiError::invalid(format!("`{name}` {what}"), Some(&name));
        match name.as_str() {
            "limit" => {
                let limit = value.parse().ok().filter(|limit| (1..=MAX_ITEMS).contains(limit));
                page.limit = limit.ok_or_else(|| wrong("must be 1 to 100"))?;
            }
            "after" => page.after = Some(value),
            "order" => {
                page.order = match value.as_str() {
                    "asc" => Order::Asc,
                    "desc" => Order::Desc,
                    _ => return Err(wrong("must be `asc` or `desc`")),
                };
            }
            _ => return Err(wrong("is not a parameter of this list")),
        }
    }
    Ok(page)
}

fn ours(named: Result<Path<String>, PathRejection>) -> Option<ResponseId> {
    named.ok().and_then(|Path(named)| named.parse().ok())
}

/// What Baton has no surface for: the provider that is named may have given the id.
async fn elsewhere(engine: Arc<Engine>, gate: Arc<Gate>, request: Request) -> Response {
    if request.uri().path().starts_with("/v1/") {
        return pass::forward(State(engine), State(gate), request).await;
    }
    let nothing = ApiError::not_found("there is nothing at this path; `/docs` shows what there is");
    nothing.into_response_as(Dialect::OpenaiResponses, request_id(&request))
}

fn not_there(id: ResponseId) -> ApiError {
    ApiError::not_found(format!("there is no response `{id}`"))
}

async fn finish(request: RequestId, answer: impl Future<Output = Result<Response, ApiError>>) -> Response {
    answer.await.unwrap_or_else(|error| error.into_response_as(Dialect::OpenaiResponses, request))
}

/// Another method than `POST`, where no id stands.
async fn only_post(request: Request) -> Response {
    ApiError::method_not_allowed("POST").into_response_as(Dialect::OpenaiResponses, request_id(&request))
}

/// Another method than those of a route.
async fn other(
    allow: &'static str,
    State(engine): State<Arc<Engine>>,
    State(gate): State<Arc<Gate>>,
    named: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response {
    if ours(named).is_none() {
        return elsewhere(engine, gate, request).await;
    }
    ApiError::method_not_allowed(allow).into_response_as(Dialect::OpenaiResponses, request_id(&request))
}
