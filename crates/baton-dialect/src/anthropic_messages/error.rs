//! Error bodies, in both directions.
//!
//! The type word says less than it could: a used-up credit and a prompt that is too long are both an
//! `invalid_request_error`. So the error code is read where there is one, and known phrases of the
//! message. <https://platform.claude.com/docs/en/api/errors>

use baton_model::{Fault, FaultKind};
use serde::{Deserialize, Serialize};

use super::THREAD;
use super::types::Text;
use crate::ErrorBody;
use crate::convert::to_json;

/// The most characters of a provider's message that are passed on.
const MAX_MESSAGE: usize = 500;

/// Phrases of messages, in lower case, that say more than the type; the first match counts.
const PHRASES: [(&str, FaultKind); 15] = [
    ("prompt is too long", FaultKind::ContextTooLong),
    ("exceed context limit", FaultKind::ContextTooLong),
    ("exceeds the context window", FaultKind::ContextTooLong),
    ("input is too long", FaultKind::ContextTooLong),
    ("maximum context length", FaultKind::ContextTooLong),
    ("credit balance is too low", FaultKind::QuotaExhausted),
    ("usage limit", FaultKind::QuotaExhausted),
    ("spend limit", FaultKind::QuotaExhausted),
    ("content filtering policy", FaultKind::ContentFiltered),
    ("does not support", FaultKind::UnsupportedFeature),
    ("not supported", FaultKind::UnsupportedFeature),
    ("is not available for this model", FaultKind::UnsupportedFeature),
    // Another vendor may take it.
    ("image exceeds", FaultKind::UnsupportedFeature),
    ("request exceeds the maximum size", FaultKind::TooLarge),
    ("overloaded", FaultKind::Overloaded),
];

#[derive(Deserialize, Default)]
struct BodyIn<'a> {
    #[serde(borrow)]
    error: Option<ErrorIn<'a>>,
}

#[derive(Deserialize, Default)]
struct ErrorIn<'a> {
    #[serde(borrow)]
    r#type: Option<Text<'a>>,
    #[serde(borrow)]
    message: Option<Text<'a>>,
    #[serde(borrow)]
    details: Option<DetailsIn<'a>>,
}

#[derive(Deserialize)]
struct DetailsIn<'a> {
    #[serde(borrow)]
    error_code: Option<Text<'a>>,
}

/// Reads the body of an error answer and gives it a kind.
pub(crate) fn decode_error(status: u16, body: &[u8]) -> Fault {
    decode_fault(Some(status), body)
}

/// Reads an error from an answer's body or a stream's event, where no status goes with it.
pub(super) fn decode_fault(status: Option<u16>, body: &[u8]) -> Fault {
    let error = serde_json::from_slice::<BodyIn<'_>>(body).ok().and_then(|body| body.error);
    let error_type = error.as_ref().and_then(|error| error.r#type.as_ref()).map(|text| text.0.as_ref());
    let details = error.as_ref().and_then(|error| error.details.as_ref());
    let code = details.and_then(|details| details.error_code.as_ref()).map(|text| text.0.as_ref());
    let message = error.as_ref().and_then(|error| error.message.as_ref()).map(|text| text.0.as_ref());
    Fault {
        kind: kind(status, error_type, code, message.unwrap_or_default()),
        status,
        message: match (message, status) {
            (Some(message), _) => message.chars().take(MAX_MESSAGE).collect(),
            (None, Some(status)) => format!("the provider answered with status {status}"),
            (None, None) => "the provider's answer is not a message".to_owned(),
        },
        code: code.or(error_type).map(str::to_owned),
        param: None,
        retry_after: None,
    }
}

fn kind(status: Option<u16>, error_type: Option<&str>, code: Option<&str>, message: &str) -> FaultKind {
    let base = error_type
        .and_then(|error_type| kind_of_type(error_type, message))
        .or(status.map(kind_of_status))
        .unwrap_or(FaultKind::MalformedAnswer);
    // The status says more than a type that all failures of the server share.
    let overloaded =
        base == FaultKind::ServerError && status.map(kind_of_status) == Some(FaultKind::Overloaded);
    let base = if overloaded { FaultKind::Overloaded } else { base };
    if code.is_some_and(|code| code.contains("spend_limit")) {
        return FaultKind::QuotaExhausted;
    }
    // Phrases refine what is about the request or its account, never a refused key or a broken server.
    let open =
        matches!(base, FaultKind::InvalidRequest | FaultKind::RateLimited | FaultKind::MalformedAnswer);
    let message = message.to_ascii_lowercase();
    let phrase = PHRASES.iter().find(|(phrase, _)| open && message.contains(phrase));
    phrase.map_or(base, |(_, kind)| *kind)
}

fn kind_of_type(error_type: &str, message: &str) -> Option<FaultKind> {
    Some(match error_type {
        "invalid_request_error" | "conflict_error" => FaultKind::InvalidRequest,
        "authentication_error" | "permission_error" => FaultKind::Unauthorized,
        "billing_error" => FaultKind::QuotaExhausted,
        // A file or a container may be missing too, and no other target would have it.
        "not_found_error" if message.contains("model") => FaultKind::ModelUnavailable,
        "not_found_error" => FaultKind::InvalidRequest,
        "request_too_large" => FaultKind::TooLarge,
        "rate_limit_error" => FaultKind::RateLimited,
        "overloaded_error" => FaultKind::Overloaded,
        "api_error" | "timeout_error" => FaultKind::ServerError,
        _ => return None,
    })
}

const fn kind_of_status(status: u16) -> FaultKind {
    match status {
        401 | 403 => FaultKind::Unauthorized,
        402 => FaultKind::QuotaExhausted,
        404 => FaultKind::ModelUnavailable,
        413 => FaultKind::TooLarge,
        429 => FaultKind::RateLimited,
        503 | 529 => FaultKind::Overloaded,
        408 | 500..=599 => FaultKind::ServerError,
        400..=499 => FaultKind::InvalidRequest,
        _ => FaultKind::MalformedAnswer,
    }
}

/// Writes an error body. Beside Anthropic's own members stand `message`, `code` and `param` at the
/// top, as our OpenAI bodies have them: the official libraries keep unknown members.
pub(crate) fn encode_error(error: &ErrorBody<'_>) -> Vec<u8> {
    #[derive(Serialize)]
    struct Inner<'r> {
        r#type: &'r str,
        message: &'r str,
        #[serde(skip_serializing_if = "Option::is_none")]
        details: Option<Details>,
    }
    /// What tells a client that it is to go on without a thread, and to send the whole conversation each time.
    #[derive(Serialize)]
    struct Details {
        error_code: &'static str,
        unsupported: [&'static str; 0],
    }
    #[derive(Serialize)]
    struct Outer<'r> {
        r#type: &'static str,
        error: Inner<'r>,
        request_id: Option<&'r str>,
        message: &'r str,
        #[serde(skip_serializing_if = "Option::is_none")]
        code: Option<&'r str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        param: Option<&'r str>,
    }
    to_json(&Outer {
        r#type: "error",
        error: Inner {
            r#type: error.kind,
            message: error.message,
            details: (error.param == Some(THREAD))
                .then_some(Details { error_code: "thread_unsupported_request", unsupported: [] }),
        },
        request_id: error.request_id,
        message: error.message,
        code: error.code,
        param: error.param,
    })
}
