//! `POST /v1/messages` and `POST /v1/messages/count_tokens`.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use baton_engine::Engine;
use baton_model::RequestId;
use baton_net::BoxError;
use bytes::Bytes;
use serde::Serialize;
use utoipa::ToSchema;

use crate::ask;
use crate::chat::{Desk, answer};
use crate::error::ApiError;
use crate::gate::Gate;
use crate::reply::respond;
use crate::router::request_id;
use crate::surface::{COUNT_TOKENS, MESSAGES};

/// Answers a message.
///
/// Takes Anthropic's request. `model` may also be a list, and `models` or `fallbacks` may name
/// more: they are tried in order until one answers.
#[utoipa::path(
    post,
    path = "/v1/messages",
    operation_id = "messages.create",
    tag = "answers",
    params(
        ("Idempotency-Key" = Option<String>, Header, pattern = "^[ -~]{1,255}$", description = "The same for every repeat of one request. Repeats join the running request, or get its answer again for ten minutes; after that, and after a restart, they are refused for a day (409 `outcome_unknown`). Failures that are worth another try free the key.", example = "order-4711"),
    ),
    request_body(content = crate::docs::MessagesRequest, content_type = "application/json", example = json!({"model": "echo/hello", "max_tokens": 64, "messages": [{"role": "user", "content": "hi"}]})),
    responses(
        (status = 200, description = "A message, or with `stream` its events, the last one `message_stop`", content(
            (serde_json::Value = "application/json", example = json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "hello", "content": [{"type": "text", "text": "Hello!"}], "stop_reason": "end_turn", "stop_sequence": null, "usage": {"input_tokens": 1, "output_tokens": 2}})),
            (serde_json::Value = "text/event-stream", example = json!("event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"Hello!\"}}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n")),
        )),
    ),
    security(("bearer" = []), ("x-api-key" = []), ()),
)]
pub(crate) async fn create<B>(desk: &Desk, id: RequestId, request: Request<B>) -> Response
where
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>>,
{
    answer(MESSAGES, desk, id, request).await
}

/// How many tokens a message would use.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TokenCount {
    /// The input tokens: the provider's count for an Anthropic upstream, else an estimate.
    input_tokens: u64,
}

/// Counts the tokens of a message without answering it.
#[utoipa::path(
    post,
    path = "/v1/messages/count_tokens",
    operation_id = "messages.count_tokens",
    tag = "answers",
    request_body(content = crate::docs::CountRequest, content_type = "application/json", example = json!({"model": "echo/hello", "messages": [{"role": "user", "content": "hi"}]})),
    responses(
        (status = 200, description = "The count", body = TokenCount, example = json!({"input_tokens": 12})),
    ),
    security(("bearer" = []), ("x-api-key" = []), ()),
)]
pub(crate) async fn count_tokens(
    State(engine): State<Arc<Engine>>,
    State(gate): State<Arc<Gate>>,
    request: Request,
) -> Response {
    let id = request_id(&request);
    match count(id, &engine, &gate, request).await {
        Ok(response) => response,
        Err(error) => error.into_response_as(COUNT_TOKENS.dialect, id),
    }
}

async fn count(id: RequestId, engine: &Engine, gate: &Gate, request: Request) -> Result<Response, ApiError> {
    let (parts, body) = request.into_parts();
    let admitted = gate.admit(&parts.headers)?;
    let body = gate.read(&parts.headers, body).await?;
    let ask = ask::read(COUNT_TOKENS, id, &admitted.principal, &parts.headers, parts.uri.query(), body)?;
    // A count has no `max_tokens`; decoding is not needed, only the size of what would be sent.
    if !ask.body.get("messages").is_some_and(|messages| messages.starts_with(b"[")) {
        return Err(ApiError::invalid("`messages` must be a list of messages", Some("messages")));
    }
    match engine.count_tokens(&ask).await? {
        baton_engine::TokenCount::Provider(reply) => {
            Ok(respond(COUNT_TOKENS.dialect, id, *reply, admitted.permit).await)
        }
        baton_engine::TokenCount::Estimated(input_tokens) => {
            Ok(Json(TokenCount { input_tokens }).into_response())
        }
    }
}
