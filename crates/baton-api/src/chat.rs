//! `POST /v1/chat/completions`, and what every surface of answers shares with it.

use std::sync::Arc;

use axum::http::Request;
use axum::response::Response;
use baton_engine::Engine;
use baton_model::{Dialect, RequestId};
use baton_net::BoxError;
use bytes::Bytes;

use crate::ask;
use crate::error::ApiError;
use crate::gate::Gate;
use crate::repeat::{self, Repeats};
use crate::reply::respond;
use crate::stored::Shelf;
use crate::surface::{CHAT, Surface};

/// What requests for an answer are taken in with.
pub(crate) struct Desk {
    pub(crate) engine: Arc<Engine>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) repeats: Repeats,
    pub(crate) shelf: Shelf,
}

/// Answers a chat completion.
///
/// Takes OpenAI's request. `model` may also be a list, and `models` or `fallbacks` may name more:
/// they are tried in order until one answers.
#[utoipa::path(
    post,
    path = "/v1/chat/completions",
    operation_id = "chat.completions.create",
    tag = "answers",
    params(
        ("Idempotency-Key" = Option<String>, Header, pattern = "^[ -~]{1,255}$", description = "The same for every repeat of one request. Repeats join the running request, or get its answer again for ten minutes; after that, and after a restart, they are refused for a day (409 `outcome_unknown`). Failures that are worth another try free the key.", example = "order-4711"),
    ),
    request_body(content = crate::docs::ChatRequest, content_type = "application/json", example = json!({"model": "echo/hello", "messages": [{"role": "user", "content": "hi"}]})),
    responses(
        (status = 200, description = "A completion, or with `stream` its chunks as server-sent events, the last one `[DONE]`", content(
            (serde_json::Value = "application/json", example = json!({"id": "chatcmpl-1", "object": "chat.completion", "created": 1_790_000_000, "model": "hello", "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello!", "refusal": null}, "logprobs": null, "finish_reason": "stop"}], "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}})),
            (serde_json::Value = "text/event-stream", example = json!("data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1790000000,\"model\":\"hello\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"Hello!\"},\"finish_reason\":null}]}\n\ndata: [DONE]\n\n")),
        )),
    ),
    security(("bearer" = []), ("x-api-key" = []), ()),
)]
pub(crate) async fn create<B>(desk: &Desk, id: RequestId, request: Request<B>) -> Response
where
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>>,
{
    answer(CHAT, desk, id, request).await
}

/// Answers on any surface whose body is a conversation.
pub(crate) async fn answer<B>(surface: Surface, desk: &Desk, id: RequestId, request: Request<B>) -> Response
where
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>>,
{
    match carry(surface, desk, id, request).await {
        Ok(response) => response,
        Err(error) => error.into_response_as(surface.dialect, id),
    }
}

async fn carry<B>(
    surface: Surface,
    desk: &Desk,
    id: RequestId,
    request: Request<B>,
) -> Result<Response, ApiError>
where
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>>,
{
    let Desk { engine, gate, repeats, shelf } = desk;
    let (parts, body) = request.into_parts();
    let admitted = gate.admit(&parts.headers)?;
    engine.admit()?;
    let body = gate.read(&parts.headers, body).await?;
    let ask = ask::read(surface, id, &admitted.principal, &parts.headers, parts.uri.query(), body)?;
    if let Some(key) = repeat::key(&parts.headers)? {
        // Apart, so that a request without a key is not larger for it.
        return Box::pin(repeats.answer(engine, surface, &key, ask, admitted)).await;
    }
    if surface.dialect == Dialect::OpenaiResponses {
        return Box::pin(shelf.answer(engine, ask, admitted.permit)).await;
    }
    let reply = engine.answer(ask).await?;
    Ok(respond(surface.dialect, id, reply, admitted.permit).await)
}
