//! The statuses and error bodies of `/mcp`: JSON-RPC's own codes, MCP's, and one for what is refused before a
//! message is looked at.

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use baton_model::{Dialect, RequestId};
use serde_json::{Value, json};

use super::message::Era;
use crate::error::ApiError;

const NOT_JSON: i32 = -32_700;
const INVALID_REQUEST: i32 = -32_600;
const UNKNOWN_METHOD: i32 = -32_601;
const INVALID_PARAMS: i32 = -32_602;
const HEADER_MISMATCH: i32 = -32_020;
const UNSUPPORTED_VERSION: i32 = -32_022;
/// Ours: the gateway refuses, and `data.code` says why.
const REFUSED: i32 = -32_000;

/// What a client is told instead of an answer.
#[derive(Debug)]
pub(super) struct RpcError {
    status: StatusCode,
    code: i32,
    message: String,
    data: Option<Value>,
    /// What else the response says: when to come back.
    headers: Box<HeaderMap>,
}

impl RpcError {
    fn new(status: StatusCode, code: i32, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), data: None, headers: Box::default() }
    }

    pub(super) fn not_json() -> Self {
        Self::new(StatusCode::BAD_REQUEST, NOT_JSON, "the body is not JSON")
    }

    pub(super) fn invalid_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, INVALID_REQUEST, message)
    }

    /// Where each request stands for itself, a proxy should see by the status what there is.
    pub(super) fn unknown_method(method: &str, era: Era) -> Self {
        let status = if era == Era::EachRequest { StatusCode::NOT_FOUND } else { StatusCode::OK };
        Self::new(status, UNKNOWN_METHOD, format!("there is no method `{}`", shown(method)))
    }

    /// A member of the parameters is not there or not right, at this path.
    pub(super) fn invalid_params(path: &str, message: impl Into<String>) -> Self {
        let mut error = Self::new(StatusCode::OK, INVALID_PARAMS, message);
        error.data = Some(json!({ "path": path }));
        error
    }

    /// The request lacks what its version demands of all.
    pub(super) fn malformed_params(message: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, INVALID_PARAMS, message)
    }

    pub(super) fn header_mismatch(message: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, HEADER_MISMATCH, message)
    }

    pub(super) fn unsupported_version(asked: &str, supported: &[&str]) -> Self {
        let mut error =
            Self::new(StatusCode::BAD_REQUEST, UNSUPPORTED_VERSION, "unsupported protocol version");
        error.data = Some(json!({ "requested": shown(asked), "supported": supported }));
        error
    }

    pub(super) fn foreign_origin(origin: &str) -> Self {
        let message = format!("the origin `{}` is not one of `cors.origins`", shown(origin));
        let mut error = Self::new(StatusCode::FORBIDDEN, REFUSED, message);
        error.data = Some(json!({ "code": "forbidden" }));
        error
    }

    /// What the other surfaces would refuse in the same way.
    pub(super) fn refused(error: ApiError, request: RequestId) -> Self {
        let (message, code) = (error.message().to_owned(), error.code_word().map(ToOwned::to_owned));
        let (mut parts, _) = error.into_response_as(Dialect::OpenaiChat, request).into_parts();
        parts.headers.remove(CONTENT_TYPE);
        parts.headers.remove(CONTENT_LENGTH);
        let data = code.map(|code| json!({ "code": code }));
        Self { status: parts.status, code: REFUSED, message, data, headers: Box::new(parts.headers) }
    }

    /// The message that answers the request of this id.
    pub(super) fn body(&self, id: &Value) -> Value {
        let mut error = json!({ "code": self.code, "message": self.message });
        if let (Some(data), Value::Object(error)) = (&self.data, &mut error) {
            error.insert("data".to_owned(), data.clone());
        }
        json!({ "jsonrpc": "2.0", "id": id, "error": error })
    }

    pub(super) fn into_response(self, id: &Value) -> Response {
        let body = self.body(id);
        body_response(self.status, *self.headers, &body)
    }
}

/// A client's text, short enough for a message.
pub(super) fn shown(text: &str) -> &str {
    text.get(..text.floor_char_boundary(128)).unwrap_or_default()
}

/// A response with a JSON body.
pub(super) fn body_response(status: StatusCode, headers: HeaderMap, body: &Value) -> Response {
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}
