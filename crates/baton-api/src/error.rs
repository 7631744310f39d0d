//! The one map from what went wrong to a status and an error body, in each dialect.
//!
//! - Start with [`ApiError::into_response_as`].
//! - **Invariant:** an upstream's refusal of our credential is never shown as the client's own 401.
//! - **Never here:** prompts, secrets, upstream addresses.

use std::time::Duration;

use axum::body::Body;
use axum::http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use baton_access::AuthError;
use baton_audit::{BadParameter, IdSource, candidate_rows};
use baton_dialect::{DecodeError, ErrorBody, encode_error};
use baton_engine::{Head, Refusal, RefusalKind, RunFault};
use baton_model::{Dialect, FaultKind, JsonError, RawObject, RequestId};
use baton_policy::{Candidate, Row};
use bytes::Bytes;

use crate::reply::head_headers;

/// What a client is told instead of an answer.
#[derive(Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    message: String,
    param: Option<String>,
    code: Option<String>,
    retry_after: Option<Duration>,
    /// `Some(false)`: the client's SDK should not try again by itself.
    should_retry: Option<bool>,
    head: Option<Box<Head>>,
    upstream_body: Option<Bytes>,
    allow: Option<&'static str>,
}

impl ApiError {
    fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
            param: None,
            code: None,
            retry_after: None,
            should_retry: None,
            head: None,
            upstream_body: None,
            allow: None,
        }
    }

    fn code(mut self, code: impl Into<String>) -> Self {
        self.code = Some(code.into());
        self
    }

    pub(crate) fn invalid(message: impl Into<String>, param: Option<&str>) -> Self {
        let mut error = Self::new(StatusCode::BAD_REQUEST, message);
        error.param = param.map(ToOwned::to_owned);
        error
    }

    pub(crate) fn unauthenticated(error: AuthError) -> Self {
        match error {
            AuthError::Missing => Self::new(
                StatusCode::UNAUTHORIZED,
                "no key was sent: use `Authorization: Bearer …` or `x-api-key`",
            )
            .code("missing_api_key"),
            AuthError::Unavailable => {
                let mut refused =
                    Self::new(StatusCode::SERVICE_UNAVAILABLE, "keys cannot be checked at the moment")
                        .code("keys_unavailable");
                refused.retry_after = Some(Duration::from_secs(5));
                refused
            }
            other => Self::new(StatusCode::UNAUTHORIZED, other.to_string()).code("invalid_api_key"),
        }
    }

    pub(crate) fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, message).code("forbidden")
    }

    pub(crate) fn busy(message: impl Into<String>) -> Self {
        let mut error = Self::new(StatusCode::TOO_MANY_REQUESTS, message).code("key_concurrency_exceeded");
        error.retry_after = Some(Duration::from_secs(1));
        error
    }

    pub(crate) fn too_large(limit: usize) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, format!("the request body is larger than {limit} bytes"))
            .code("request_too_large")
    }

    pub(crate) fn unsupported_encoding(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, message).code("unsupported_encoding")
    }

    pub(crate) fn stalled() -> Self {
        Self::new(StatusCode::REQUEST_TIMEOUT, "the request body stopped coming").code("request_timeout")
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message).code("not_found")
    }

    pub(crate) fn model_not_found(message: impl Into<String>) -> Self {
        let mut error = Self::new(StatusCode::NOT_FOUND, message).code("model_not_found");
        error.param = Some("model".to_owned());
        error
    }

    pub(crate) fn conflict(message: impl Into<String>, code: &str) -> Self {
        Self::new(StatusCode::CONFLICT, message).code(code)
    }

    pub(crate) fn with_param(mut self, param: impl Into<String>) -> Self {
        self.param = Some(param.into());
        self
    }

    /// The same with a name in its message as the caller knows it.
    pub(crate) fn renamed(mut self, from: &str, to: &str) -> Self {
        self.message = self.message.replace(from, to);
        self
    }

    /// The same in other words.
    pub(crate) fn with_message(mut self, message: impl Into<String>) -> Self {
        self.message = message.into();
        self
    }

    pub(crate) fn with_code(self, code: &str) -> Self {
        self.code(code)
    }

    pub(crate) fn param(&self) -> Option<&str> {
        self.param.as_deref()
    }

    pub(crate) fn not_yet_visible() -> Self {
        let mut error = Self::new(
            StatusCode::NOT_FOUND,
            "a decision as young as this one may not be visible here yet; ask again in a moment",
        )
        .code("not_yet_visible");
        error.retry_after = Some(Duration::from_secs(1));
        error
    }

    pub(crate) fn method_not_allowed(allow: &'static str) -> Self {
        let mut error = Self::new(StatusCode::METHOD_NOT_ALLOWED, format!("this path takes {allow}"));
        error.allow = Some(allow);
        error
    }

    pub(crate) fn unavailable(message: impl Into<String>, code: &str) -> Self {
        let mut error = Self::new(StatusCode::SERVICE_UNAVAILABLE, message).code(code);
        error.retry_after = Some(Duration::from_secs(5));
        error
    }

    pub(crate) fn no_previous(message: impl Into<String>) -> Self {
        Self::invalid(message, Some("previous_response_id")).code("previous_response_not_found")
    }

    /// The item at this place is only named, and not kept.
    pub(crate) fn no_item(i: usize) -> Self {
        let message = format!(
            "`input[{i}]` names an item that is not kept: send the item itself, or go on from a response that is stored"
        );
        Self::invalid(message, Some(&format!("input[{i}].id"))).code("item_not_found")
    }

    /// What is summed up at this place cannot be opened, here or by whoever may answer.
    pub(crate) fn no_compaction(i: usize) -> Self {
        let message = format!(
            "`input[{i}].encrypted_content` cannot be opened: it was made for another caller, or by a provider that is not the only one asked here"
        );
        Self::invalid(message, Some(&format!("input[{i}].encrypted_content"))).code("compaction_not_usable")
    }

    /// The same for a client who did not send the first so many items of the input.
    pub(crate) fn behind(mut self, before: usize) -> Self {
        let place = self.param.as_deref().filter(|_| before > 0).and_then(|param| {
            let (number, rest) = param.strip_prefix("input[")?.split_once(']')?;
            Some((param.to_owned(), number.parse::<usize>().ok()?, rest.to_owned()))
        });
        if let Some((sent, number, rest)) = place {
            let own = match number.checked_sub(before) {
                Some(own) => format!("input[{own}]{rest}"),
                None => "previous_response_id".to_owned(),
            };
            self.message = self.message.replace(&sent, &own);
            self.param = Some(own);
        }
        self
    }

    pub(crate) fn key_reused() -> Self {
        let mut error = Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "this `Idempotency-Key` was sent with another body before; another request needs another key",
        )
        .code("idempotency_key_reused");
        error.param = Some("idempotency-key".to_owned());
        error.should_retry = Some(false);
        error
    }

    pub(crate) fn outcome_unknown() -> Self {
        let mut error = Self::new(
            StatusCode::CONFLICT,
            "a request with this `Idempotency-Key` was begun before, and its answer is not here any more; to carry it out again, send another key",
        )
        .code("outcome_unknown");
        error.param = Some("idempotency-key".to_owned());
        error.should_retry = Some(false);
        error
    }

    pub(crate) fn key_not_recorded() -> Self {
        Self::unavailable(
            "the `Idempotency-Key` cannot be written down, so the request was not carried out",
            "idempotency_unavailable",
        )
    }

    pub(crate) fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "Baton failed; the log has the reason under this request's id",
        )
        .code("internal")
    }

    /// The same for a run that is stored.
    pub(crate) fn into_fault(self) -> RunFault {
        let word = || type_word(Dialect::OpenaiChat, self.status, None).to_owned();
        RunFault { code: self.code.clone().unwrap_or_else(word), message: self.message, param: self.param }
    }

    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// The stable word for what went wrong, where there is one.
    pub(crate) fn code_word(&self) -> Option<&str> {
        self.code.as_deref()
    }

    /// The response, in a dialect.
    pub(crate) fn into_response_as(self, dialect: Dialect, request: RequestId) -> Response {
        let body = self.upstream_body.clone().unwrap_or_else(|| {
            let id = request.to_string();
            let body = encode_error(
                dialect,
                &ErrorBody {
                    kind: type_word(dialect, self.status, self.code.as_deref()),
                    message: &self.message,
                    param: self.param.as_deref(),
                    code: self.code.as_deref(),
                    request_id: Some(&id),
                },
            );
            with_candidates(body.into(), self.head.as_deref())
        });
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(head) = &self.head {
            head_headers(head, headers);
        }
        if let Some(after) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(after.as_secs().max(1)));
        }
        if let Some(retry) = self.should_retry {
            headers.insert("x-should-retry", HeaderValue::from_static(if retry { "true" } else { "false" }));
        }
        if let Some(allow) = self.allow {
            headers.insert(ALLOW, HeaderValue::from_static(allow));
        }
        response
    }
}

impl From<BadParameter> for ApiError {
    fn from(error: BadParameter) -> Self {
        Self::invalid(error.to_string(), Some(error.name()))
    }
}

impl From<JsonError> for ApiError {
    fn from(error: JsonError) -> Self {
        Self::from(DecodeError::from(error))
    }
}

impl From<DecodeError> for ApiError {
    fn from(error: DecodeError) -> Self {
        let mut refused = Self::new(StatusCode::BAD_REQUEST, error.message);
        refused.param = error.param;
        refused
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        let upstream = refusal.head.as_ref().map(|head| head.status);
        let (status, code) = match refusal.kind {
            RefusalKind::Invalid | RefusalKind::NotEligible => (StatusCode::BAD_REQUEST, None),
            RefusalKind::Unmet => (StatusCode::UNPROCESSABLE_ENTITY, None),
            RefusalKind::Forbidden => (StatusCode::FORBIDDEN, None),
            RefusalKind::Unwell => (StatusCode::SERVICE_UNAVAILABLE, None),
            RefusalKind::UnknownModel | RefusalKind::NoProvider => (StatusCode::NOT_FOUND, None),
            RefusalKind::NotAllowed => (StatusCode::FORBIDDEN, None),
            RefusalKind::NotRecordable => (StatusCode::SERVICE_UNAVAILABLE, None),
            RefusalKind::Failed(kind) => fault_status(kind, upstream),
        };
        let failed = matches!(refusal.kind, RefusalKind::Failed(_));
        Self {
            status,
            message: refusal.message,
            param: refusal.param,
            // Baton's own word where it has one: an upstream's codes differ by vendor.
            code: code.map(ToOwned::to_owned).or(refusal.code),
            retry_after: refusal.retry_after,
            should_retry: failed.then_some(false),
            head: refusal.head,
            upstream_body: refusal.upstream_body,
            allow: None,
        }
    }
}

/// An error body with the table in it, as the error's own member in either dialect.
fn with_candidates(body: Bytes, head: Option<&Head>) -> Bytes {
    let Some(head) = head.filter(|head| !head.table.is_empty()) else { return body };
    let (pool, table): (Vec<Candidate>, Vec<Row>) = head.table.iter().cloned().unzip();
    let candidates = candidate_rows(&pool, table);
    let added = || {
        let outer = RawObject::parse(body.clone()).ok()?;
        let inner = RawObject::parse(Bytes::copy_from_slice(outer.get("error")?)).ok()?;
        let table = serde_json::to_vec(&candidates).ok()?;
        let inner = inner.rewrite(&[("candidates", Some(table.into()))]).concat();
        Some(Bytes::from(outer.rewrite(&[("error", Some(inner.into()))]).concat()))
    };
    added().unwrap_or(body)
}

/// The status for a fault, and the code where ours says more than the upstream's.
fn fault_status(kind: FaultKind, upstream: Option<u16>) -> (StatusCode, Option<&'static str>) {
    let upstream = upstream.and_then(|status| StatusCode::from_u16(status).ok());
    let client_error = upstream.filter(StatusCode::is_client_error).unwrap_or(StatusCode::BAD_REQUEST);
    let server_error = upstream.filter(StatusCode::is_server_error);
    match kind {
        FaultKind::InvalidRequest => (client_error, None),
        FaultKind::ContextTooLong => (StatusCode::BAD_REQUEST, Some("context_length_exceeded")),
        FaultKind::UnsupportedFeature => (StatusCode::BAD_REQUEST, None),
        FaultKind::ContentFiltered => (StatusCode::BAD_REQUEST, Some("content_filter")),
        FaultKind::ModelUnavailable => (StatusCode::NOT_FOUND, Some("model_not_found")),
        FaultKind::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, Some("request_too_large")),
        FaultKind::Unauthorized => (StatusCode::BAD_GATEWAY, Some("upstream_auth")),
        FaultKind::QuotaExhausted => (StatusCode::TOO_MANY_REQUESTS, Some("insufficient_quota")),
        FaultKind::RateLimited => (StatusCode::TOO_MANY_REQUESTS, Some("rate_limit_exceeded")),
        FaultKind::Overloaded => {
            (server_error.unwrap_or(StatusCode::SERVICE_UNAVAILABLE), Some("upstream_overloaded"))
        }
        FaultKind::ServerError => (server_error.unwrap_or(StatusCode::BAD_GATEWAY), Some("upstream_error")),
        FaultKind::Connect => (StatusCode::BAD_GATEWAY, Some("upstream_unreachable")),
        FaultKind::Timeout => (StatusCode::GATEWAY_TIMEOUT, Some("upstream_timeout")),
        FaultKind::MalformedAnswer => (StatusCode::BAD_GATEWAY, Some("upstream_malformed")),
        FaultKind::Truncated => (StatusCode::BAD_GATEWAY, Some("upstream_truncated")),
        _ => (StatusCode::INTERNAL_SERVER_ERROR, Some("internal")),
    }
}

/// The dialect's `type` word that goes with a status.
pub(crate) fn type_word(dialect: Dialect, status: StatusCode, code: Option<&str>) -> &'static str {
    let status = status.as_u16();
    match dialect {
        Dialect::OpenaiChat | Dialect::OpenaiResponses => match (status, code) {
            (429, Some("insufficient_quota")) => "insufficient_quota",
            (401, _) => "authentication_error",
            (403, _) => "permission_error",
            (429, _) => "rate_limit_exceeded",
            (500.., _) => "server_error",
            _ => "invalid_request_error",
        },
        Dialect::AnthropicMessages => match status {
            401 => "authentication_error",
            402 => "billing_error",
            403 => "permission_error",
            404 => "not_found_error",
            413 => "request_too_large",
            429 => "rate_limit_error",
            504 => "timeout_error",
            503 | 529 => "overloaded_error",
            500.. => "api_error",
            _ => "invalid_request_error",
        },
    }
}

/// A whole HTTP/1.1 answer to a head that is no request, for a listener to send.
#[must_use]
pub fn malformed(status: u16, began: &[u8]) -> Vec<u8> {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
    let message = match status {
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => "the request has too many headers, or too long ones",
        StatusCode::URI_TOO_LONG => "the path of the request is too long",
        _ => "this is not a request of HTTP/1.1",
    };
    let path = began.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
    let messages = path.strip_prefix(b"/v1").unwrap_or(path).starts_with(b"/messages");
    let dialect = if messages { Dialect::AnthropicMessages } else { Dialect::OpenaiChat };
    let request = IdSource::default().request().to_string();
    let body = encode_error(
        dialect,
        &ErrorBody {
            kind: type_word(dialect, StatusCode::BAD_REQUEST, None),
            message,
            param: None,
            code: Some("malformed_request"),
            request_id: Some(&request),
        },
    );
    let reason = status.canonical_reason().unwrap_or_default();
    let mut answer = format!(
        "HTTP/1.1 {} {reason}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nx-request-id: {request}\r\nrequest-id: {request}\r\nconnection: close\r\n\r\n",
        status.as_u16(),
        body.len()
    )
    .into_bytes();
    answer.extend_from_slice(body.as_ref());
    answer
}

/// The headers that name a request, on every response.
pub(crate) fn request_headers(request: RequestId, headers: &mut HeaderMap) {
    static NAMES: [HeaderName; 2] =
        [HeaderName::from_static("request-id"), HeaderName::from_static("x-request-id")];
    if let Ok(value) = HeaderValue::try_from(request.to_string()) {
        for name in &NAMES {
            headers.insert(name, value.clone());
        }
    }
}
