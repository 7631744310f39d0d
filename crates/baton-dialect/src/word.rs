//! The words and marks of a dialect that do not depend on what is said.

use baton_model::{Dialect, FaultKind};

/// The dialect's `type` word for a kind of fault, for error bodies and error frames.
#[must_use]
pub const fn error_word(dialect: Dialect, kind: FaultKind) -> &'static str {
    match dialect {
        Dialect::OpenaiChat | Dialect::OpenaiResponses => match kind {
            FaultKind::InvalidRequest
            | FaultKind::ContextTooLong
            | FaultKind::UnsupportedFeature
            | FaultKind::ContentFiltered
            | FaultKind::ModelUnavailable
            | FaultKind::TooLarge => "invalid_request_error",
            FaultKind::RateLimited => "rate_limit_exceeded",
            FaultKind::QuotaExhausted => "insufficient_quota",
            _ => "server_error",
        },
        Dialect::AnthropicMessages => match kind {
            FaultKind::InvalidRequest
            | FaultKind::ContextTooLong
            | FaultKind::UnsupportedFeature
            | FaultKind::ContentFiltered => "invalid_request_error",
            FaultKind::ModelUnavailable => "not_found_error",
            FaultKind::TooLarge => "request_too_large",
            FaultKind::RateLimited => "rate_limit_error",
            FaultKind::QuotaExhausted => "billing_error",
            FaultKind::Overloaded => "overloaded_error",
            FaultKind::Timeout => "timeout_error",
            _ => "api_error",
        },
    }
}

/// The frame that ends a stream, for an upstream that closed without one.
#[must_use]
pub const fn end_frame(dialect: Dialect) -> &'static [u8] {
    match dialect {
        Dialect::OpenaiChat => b"data: [DONE]\n\n",
        Dialect::AnthropicMessages => b"event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
        // The last event has the whole answer in it: nobody else can write it.
        Dialect::OpenaiResponses => b"",
    }
}
