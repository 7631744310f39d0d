//! `POST /v1/responses`.

use axum::http::Request;
use axum::response::Response;
use baton_model::RequestId;
use baton_net::BoxError;
use bytes::Bytes;

use crate::chat::{Desk, answer};
use crate::surface::RESPONSES;

/// Answers with a response.
///
/// Takes OpenAI's request. `model` may also be a list, and `models` or `fallbacks` may name more:
/// they are tried in order until one answers.
///
/// `previous_response_id` names a stored response of the same key, an `item_reference` an item of one, and a
/// `compaction` is opened for the key that it was made for. What Baton wrote is stored unless `store` is `false`.
/// With `background` the answer is the response as it is queued, or with `stream` its events; it is read and followed
/// by its id. What a provider keeps (another `previous_response_id` or `item_reference`, `conversation`, `prompt`,
/// another `compaction`) goes on as it was sent where the only models are ones of a single provider that speaks this
/// dialect, and is refused with its path elsewhere.
#[utoipa::path(
    post,
    path = "/v1/responses",
    operation_id = "responses.create",
    tag = "answers",
    params(
        ("Idempotency-Key" = Option<String>, Header, pattern = "^[ -~]{1,255}$", description = "The same for every repeat of one request. Repeats join the running request, or get its answer again for ten minutes; after that, and after a restart, they are refused for a day (409 `outcome_unknown`). Failures that are worth another try free the key.", example = "order-4711"),
    ),
    request_body(content = crate::docs::ResponsesRequest, content_type = "application/json", example = json!({"model": "echo/hello", "input": "hi"})),
    responses(
        (status = 200, description = "A response, or with `stream` its events, the last one `response.completed`, `response.incomplete` or `response.failed`", content(
            (serde_json::Value = "application/json", example = json!({"id": "resp_1", "object": "response", "created_at": 1_790_000_000, "status": "completed", "completed_at": null, "error": null, "incomplete_details": null, "model": "hello", "output": [{"type": "message", "id": "msg_1", "status": "completed", "role": "assistant", "content": [{"type": "output_text", "text": "Hello!", "annotations": [], "logprobs": []}]}], "usage": {"input_tokens": 1, "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0}, "output_tokens": 2, "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 3}, "background": false, "frequency_penalty": 0.0, "instructions": null, "max_output_tokens": null, "max_tool_calls": null, "metadata": {}, "parallel_tool_calls": true, "presence_penalty": 0.0, "previous_response_id": null, "prompt_cache_key": null, "prompt_cache_retention": null, "safety_identifier": null, "temperature": 1.0, "tool_choice": "auto", "top_logprobs": 0, "top_p": 1.0, "truncation": "disabled", "text": {"format": {"type": "text"}}, "reasoning": {"effort": null, "summary": null}, "tools": [], "service_tier": "default", "store": true})),
            (serde_json::Value = "text/event-stream", example = json!("event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"sequence_number\":4,\"item_id\":\"msg_1\",\"output_index\":0,\"content_index\":0,\"delta\":\"Hello!\",\"logprobs\":[]}\n\n")),
        )),
    ),
    security(("bearer" = []), ("x-api-key" = []), ()),
)]
pub(crate) async fn create<B>(desk: &Desk, id: RequestId, request: Request<B>) -> Response
where
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>>,
{
    answer(RESPONSES, desk, id, request).await
}
