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
use baton_state::responses::{ChainError, ResponseId};
use serde_json::json;

use super::{Shelf, failed, refused};
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
#[utoipa::path(
    get,
    path = "/v1/responses/{id}",
    operation_id = "responses.retrieve",
    tag = "answers",
    params(("id" = String, Path, description = "The response's id", example = "resp_019356aa00007000800000000000000a")),
    responses(
        (status = 200, description = "The response, as its request was answered", body = serde_json::Value, content_type = "application/json", example = json!({"id": "resp_019356aa00007000800000000000000a", "object": "response", "status": "completed", "model": "hello", "output": [], "previous_response_id": null, "store": true})),
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
        if let Some((name, _)) = pairs.iter().find(|(name, value)| name != "stream" || value != "false") {
            let message = format!("`{name}` cannot be asked for of a stored response: it is given as it is");
            return Err(ApiError::invalid(message, Some(name)));
        }
        let found = responses.get(&principal, id).await.map_err(|error| failed(&error))?;
        let found = found.ok_or_else(|| not_there(id))?;
        let mut response = Response::new(Body::from(found.body.get().to_owned()));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(response)
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
        if !responses.delete(&principal, id).await.map_err(|error| failed(&error))? {
            return Err(not_there(id));
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

/// Cancels a response that is made in the background. Baton makes none, so what is stored has ended.
#[utoipa::path(
    post,
    path = "/v1/responses/{id}/cancel",
    operation_id = "responses.cancel",
    tag = "answers",
    params(("id" = String, Path, description = "The response's id", example = "resp_019356aa00007000800000000000000a")),
    responses(
        (status = 200, description = "The response, for an id that a provider gave", body = serde_json::Value, content_type = "application/json", example = json!({"id": "resp_1", "object": "response", "status": "cancelled"})),
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
        let _there = found.ok_or_else(|| not_there(id))?;
        Err(ApiError::invalid("only a response that is made in the background can be cancelled", None))
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
        let responses = self.0.as_deref().ok_or_else(|| not_there(id))?;
        Ok((responses, principal))
    }
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
