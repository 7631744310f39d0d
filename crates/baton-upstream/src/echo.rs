//! Serves the provider `echo` in process: models that answer, call tools, wait and fail, without a key.
//!
//! It speaks `openai_chat` byte for byte, status codes and faults included, so that everything
//! above treats it like any other provider, and the first request of a new installation takes the
//! same way as the millionth.
//!
//! - Start with [`send`].
//! - **Invariant:** the same request gets the same answer, but for ids and times.
//! - **Never here:** sockets, other providers, anything that leaves the process.

mod answer;
mod body;
mod model;
mod request;
mod schema;
mod stream;
mod wire;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};

use self::answer::{Answer, answer};
use self::model::EchoModel;
use self::request::{Refusal, Request};
use self::stream::{Chunks, Pace, StreamPlan};
use self::wire::{Choice, Completion, ErrorBody, ErrorDetail, Message, ModelEntry, Models, Usage, to_json};

pub(crate) use self::body::EchoBody;
pub(crate) use self::model::{NAMES, is_known};

/// What stands in `system_fingerprint`.
const FINGERPRINT: &str = "fp_echo";

/// Answers a chat request. Waits as long as the model is slow; `fail-timeout` never returns.
pub(crate) async fn send(body: Bytes) -> Response<EchoBody> {
    let request = match Request::parse(body) {
        Ok(request) => request,
        Err(refusal) => return refused(&refusal),
    };
    let model: EchoModel = match request.model.parse() {
        Ok(model) => model,
        Err(error) => {
            let detail = ErrorDetail {
                message: &error.to_string(),
                kind: "invalid_request_error",
                param: Some("model"),
                code: Some("model_not_found"),
            };
            return error_response(StatusCode::NOT_FOUND, detail, HeaderMap::new());
        }
    };
    match model {
        EchoModel::FailTimeout => std::future::pending().await,
        EchoModel::Fail429 { retry_after_secs } => rate_limited(retry_after_secs),
        EchoModel::Fail500 => {
            let message = "The model failed, as its name says it would.";
            let detail = ErrorDetail { message, kind: "server_error", param: None, code: None };
            error_response(StatusCode::INTERNAL_SERVER_ERROR, detail, HeaderMap::new())
        }
        EchoModel::Hello
        | EchoModel::Parrot
        | EchoModel::Tool
        | EchoModel::Json
        | EchoModel::Slow { .. }
        | EchoModel::FailMidstream { .. } => served(&request, &model).await,
    }
}

/// Answers `GET /models`.
pub(crate) fn models() -> Response<EchoBody> {
    let data = NAMES
        .into_iter()
        .map(|id| ModelEntry { id, object: "model", created: 0, owned_by: "baton" })
        .collect();
    json_response(StatusCode::OK, HeaderMap::new(), to_json(&Models { object: "list", data }).into())
}

/// Answers any other path.
pub(crate) fn no_such_path() -> Response<EchoBody> {
    let detail = ErrorDetail {
        message: "The provider `echo` has chat completions and a model list, and nothing else.",
        kind: "invalid_request_error",
        param: None,
        code: Some("unknown_url"),
    };
    error_response(StatusCode::NOT_FOUND, detail, HeaderMap::new())
}

async fn served(request: &Request, model: &EchoModel) -> Response<EchoBody> {
    let answer = answer(request, model);
    let usage =
        Usage::new(request.input_tokens, answer.content.tokens().saturating_mul(u64::from(request.choices)));
    let pace = match model {
        EchoModel::Slow { ttft, tokens_per_second } => {
            Pace { ttft: *ttft, tokens_per_second: Some(*tokens_per_second) }
        }
        _ => Pace::AT_ONCE,
    };
    let breakage = match model {
        EchoModel::FailMidstream { how } => Some(*how),
        _ => None,
    };
    let (unique, created) = stamp();
    let (id, call_id) = (format!("chatcmpl-{unique}"), format!("call_{unique}"));
    if request.stream {
        let plan = StreamPlan {
            id,
            call_id,
            created,
            model: request.model.clone(),
            answer,
            choices: request.choices,
            usage,
            include_usage: request.include_usage,
            pace,
            breakage,
        };
        let headers = content_type("text/event-stream; charset=utf-8");
        return respond(StatusCode::OK, headers, EchoBody::stream(Chunks::new(plan)));
    }
    let whole = Bytes::from(whole(request, &answer, usage, &id, &call_id, created));
    let wait = pace.ttft + pace.of(answer.content.tokens());
    if wait > Duration::ZERO {
        tokio::time::sleep(wait).await;
    }
    if breakage.is_some() {
        let half = whole.slice(..whole.len() / 2);
        return respond(StatusCode::OK, content_type("application/json"), EchoBody::cut(half));
    }
    json_response(StatusCode::OK, HeaderMap::new(), whole)
}

fn whole(request: &Request, answer: &Answer, usage: Usage, id: &str, call_id: &str, created: u64) -> Vec<u8> {
    let choices = (0..request.choices)
        .map(|index| Choice {
            index,
            message: Message::new(&answer.content, call_id),
            logprobs: None,
            finish_reason: answer.finish,
        })
        .collect();
    to_json(&Completion {
        id,
        object: "chat.completion",
        created,
        model: &request.model,
        choices,
        usage,
        system_fingerprint: FINGERPRINT,
    })
}

fn refused(refusal: &Refusal) -> Response<EchoBody> {
    let detail = ErrorDetail {
        message: &refusal.message,
        kind: "invalid_request_error",
        param: refusal.param.as_deref(),
        code: refusal.code,
    };
    error_response(StatusCode::BAD_REQUEST, detail, HeaderMap::new())
}

fn rate_limited(retry_after_secs: u32) -> Response<EchoBody> {
    let headers = HeaderMap::from_iter([
        (header::RETRY_AFTER, HeaderValue::from(retry_after_secs)),
        (HeaderName::from_static("x-ratelimit-limit-requests"), HeaderValue::from_static("1")),
        (HeaderName::from_static("x-ratelimit-remaining-requests"), HeaderValue::from_static("0")),
    ]);
    let message = format!("Rate limit reached. Try again in {retry_after_secs} s.");
    let detail =
        ErrorDetail { message: &message, kind: "requests", param: None, code: Some("rate_limit_exceeded") };
    error_response(StatusCode::TOO_MANY_REQUESTS, detail, headers)
}

fn error_response(status: StatusCode, error: ErrorDetail<'_>, headers: HeaderMap) -> Response<EchoBody> {
    json_response(status, headers, to_json(&ErrorBody { error }).into())
}

fn json_response(status: StatusCode, mut headers: HeaderMap, body: Bytes) -> Response<EchoBody> {
    headers.extend(content_type("application/json"));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    respond(status, headers, EchoBody::whole(body))
}

fn content_type(value: &'static str) -> HeaderMap {
    HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static(value))])
}

fn respond(status: StatusCode, headers: HeaderMap, body: EchoBody) -> Response<EchoBody> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    let (unique, _) = stamp();
    if let Ok(id) = HeaderValue::try_from(format!("req_{unique}")) {
        response.headers_mut().insert("x-request-id", id);
    }
    response
}

/// Something unique in this process and unlikely elsewhere, and the time in seconds.
fn stamp() -> (String, u64) {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    (format!("{:016x}{number:08x}", now.as_micros()), now.as_secs())
}

#[cfg(test)]
mod tests;
