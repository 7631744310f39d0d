//! The one map from what went wrong to a status and an error body. Bodies are in OpenAI's form.
//!
//! - **Never here:** secrets; what another caller wrote.

use std::time::Duration;

use axum::body::Body;
use axum::http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use baton_access::{AuthError, Busy};
use baton_audit::{BadParameter, DecisionsError, StoreError, StoreErrorKind};
use baton_dialect::{ErrorBody, encode_error};
use baton_model::Dialect;

/// No sentence on an error is longer.
const SENTENCE_LIMIT: usize = 16 << 10;

/// What an operator is told instead of an answer.
#[derive(Debug)]
pub(crate) struct AdminError {
    status: StatusCode,
    kind: &'static str,
    code: Option<&'static str>,
    message: String,
    param: Option<String>,
    retry_after: Option<Duration>,
    allow: Option<HeaderValue>,
}

impl AdminError {
    fn new(status: StatusCode, kind: &'static str, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { status, kind, code: None, message, param: None, retry_after: None, allow: None }
    }

    fn with_code(mut self, code: &'static str) -> Self {
        self.code = Some(code);
        self
    }

    fn later(mut self, seconds: u64) -> Self {
        self.retry_after = Some(Duration::from_secs(seconds));
        self
    }

    pub(crate) fn invalid(message: impl Into<String>, param: impl Into<String>) -> Self {
        let mut error = Self::new(StatusCode::BAD_REQUEST, "invalid_request_error", message);
        error.param = Some(param.into());
        error
    }

    /// Word for word the same for what does not exist and what is not a name.
    pub(crate) fn unknown(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "invalid_request_error", format!("there is no such {what}"))
            .with_code("not_found")
    }

    pub(crate) fn nothing_here() -> Self {
        let message = "there is nothing at this path; `/docs` shows what there is";
        Self::new(StatusCode::NOT_FOUND, "invalid_request_error", message).with_code("not_found")
    }

    pub(crate) fn only_get() -> Self {
        let message = "this path takes GET";
        let mut error = Self::new(StatusCode::METHOD_NOT_ALLOWED, "invalid_request_error", message);
        error.allow = Some(HeaderValue::from_static("GET"));
        error
    }

    /// What was refused with a status and a sentence; or with a status alone, where the method is another one.
    pub(crate) async fn of_sentence(response: Response) -> Self {
        let (parts, body) = response.into_parts();
        let text = axum::body::to_bytes(body, SENTENCE_LIMIT).await.unwrap_or_default();
        let message = String::from_utf8_lossy(&text).into_owned();
        match parts.status {
            StatusCode::METHOD_NOT_ALLOWED => {
                let message = "this path does not take this method; `allow` names those that it takes";
                Self::new(parts.status, "invalid_request_error", message)
            }
            StatusCode::NOT_FOUND => {
                Self::new(parts.status, "invalid_request_error", message).with_code("not_found")
            }
            StatusCode::SERVICE_UNAVAILABLE => {
                tracing::error!(error = message, "an act of administration failed");
                Self::new(parts.status, "server_error", message).with_code("store_unavailable").later(5)
            }
            status if status.is_server_error() => {
                tracing::error!(error = message, "an act of administration failed");
                Self::new(status, "server_error", message)
            }
            status => Self::new(status, "invalid_request_error", message),
        }
    }

    pub(crate) fn not_yet_visible() -> Self {
        let message = "a decision as young as this one may not be visible here yet; ask again in a moment";
        Self::new(StatusCode::NOT_FOUND, "invalid_request_error", message)
            .with_code("not_yet_visible")
            .later(1)
    }

    pub(crate) fn unauthenticated(error: AuthError) -> Self {
        let refused = |message: String| Self::new(StatusCode::UNAUTHORIZED, "authentication_error", message);
        match error {
            AuthError::Missing => refused(
                "this path always needs a key of the role `viewer` or `admin`: `baton keys create NAME --role viewer` makes one; send it as `Authorization: Bearer …` or `x-api-key`".to_owned(),
            )
            .with_code("missing_api_key"),
            AuthError::Unavailable => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "server_error",
                "keys cannot be checked at the moment",
            )
            .with_code("keys_unavailable")
            .later(5),
            other => refused(other.to_string()).with_code("invalid_api_key"),
        }
    }

    pub(crate) fn forbidden() -> Self {
        let message = "this key may ask models, not look at everybody's decisions: its role is `use`, and this path needs `viewer` or `admin`";
        Self::new(StatusCode::FORBIDDEN, "permission_error", message).with_code("role_not_allowed")
    }

    pub(crate) fn admins_only() -> Self {
        let message = "what was asked and answered is for keys of the role `admin`";
        Self::new(StatusCode::FORBIDDEN, "permission_error", message).with_code("role_not_allowed")
    }

    pub(crate) fn no_administrator() -> Self {
        let message = "this path is for keys of the role `admin`";
        Self::new(StatusCode::FORBIDDEN, "permission_error", message).with_code("role_not_allowed")
    }

    pub(crate) fn unrecorded() -> Self {
        let message = "reading content is recorded, and the audit log cannot record at the moment";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "server_error", message)
            .with_code("audit_unavailable")
            .later(5)
    }

    pub(crate) fn exports_busy() -> Self {
        let message = "as many exports as may run at once are running";
        Self::new(StatusCode::TOO_MANY_REQUESTS, "rate_limit_exceeded", message)
            .with_code("exports_busy")
            .later(5)
    }
}

impl From<BadParameter> for AdminError {
    fn from(error: BadParameter) -> Self {
        Self::invalid(error.to_string(), error.name())
    }
}

impl From<Busy> for AdminError {
    fn from(busy: Busy) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "rate_limit_exceeded", busy.to_string())
            .with_code("key_concurrency_exceeded")
            .later(1)
    }
}

impl From<StoreError> for AdminError {
    fn from(error: StoreError) -> Self {
        if *error.kind() == StoreErrorKind::TooMany {
            let message = format!("{error}; ask for a shorter time or fewer groups");
            return Self::new(StatusCode::BAD_REQUEST, "invalid_request_error", message)
                .with_code("too_many_groups");
        }
        Self::from(DecisionsError::Store(error))
    }
}

impl From<DecisionsError> for AdminError {
    fn from(error: DecisionsError) -> Self {
        tracing::error!(error = %error, cause = ?std::error::Error::source(&error), "decisions cannot be read");
        let message = "decisions cannot be read at the moment";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "server_error", message)
            .with_code("store_unavailable")
            .later(5)
    }
}

impl IntoResponse for AdminError {
    fn into_response(self) -> Response {
        let body = ErrorBody {
            kind: self.kind,
            message: &self.message,
            param: self.param.as_deref(),
            code: self.code,
            request_id: None,
        };
        let mut response = Response::new(Body::from(encode_error(Dialect::OpenaiChat, &body)));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(methods) = self.allow {
            headers.insert(ALLOW, methods);
        }
        if let Some(pause) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(pause.as_secs()));
        }
        response
    }
}
