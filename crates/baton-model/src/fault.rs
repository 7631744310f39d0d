//! One vocabulary for what can go wrong, whichever dialect or layer it came from.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What went wrong, as a kind to act on. The failure table of the policy has a row for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FaultKind {
    /// The request itself is wrong; no other target would take it.
    InvalidRequest,
    /// More input than the model's window takes.
    ContextTooLong,
    /// This target cannot do what was asked (no tools, no images, ...).
    UnsupportedFeature,
    /// The target does not have that model, or not now.
    ModelUnavailable,
    /// The credential was refused (401, 403).
    Unauthorized,
    /// Out of credit or quota (402, `insufficient_quota`).
    QuotaExhausted,
    /// Too many requests (429).
    RateLimited,
    /// The provider says it is overloaded (529, 503).
    Overloaded,
    /// The provider failed (other 5xx, 408).
    ServerError,
    /// No connection: DNS, refused, TLS, reset before an answer.
    Connect,
    /// A deadline passed: see the message for which.
    Timeout,
    /// What came back was not an answer: HTML, broken JSON, an error frame without a class.
    MalformedAnswer,
    /// The answer ended in the middle.
    Truncated,
    /// The provider refused on grounds of content.
    ContentFiltered,
    /// The request body is too large for the provider (413).
    TooLarge,
    /// The client went away.
    ClientCancelled,
    /// The client stopped reading.
    ClientStalled,
    /// A fault of Baton itself.
    Internal,
}

impl FaultKind {
    /// The word used in records, metrics and error bodies.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::ContextTooLong => "context_too_long",
            Self::UnsupportedFeature => "unsupported_feature",
            Self::ModelUnavailable => "model_unavailable",
            Self::Unauthorized => "unauthorized",
            Self::QuotaExhausted => "quota_exhausted",
            Self::RateLimited => "rate_limited",
            Self::Overloaded => "overloaded",
            Self::ServerError => "server_error",
            Self::Connect => "connect",
            Self::Timeout => "timeout",
            Self::MalformedAnswer => "malformed_answer",
            Self::Truncated => "truncated",
            Self::ContentFiltered => "content_filtered",
            Self::TooLarge => "too_large",
            Self::ClientCancelled => "client_cancelled",
            Self::ClientStalled => "client_stalled",
            Self::Internal => "internal",
        }
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A failed attempt, as far as it matters to what happens next and to what the client is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What to act on.
    pub kind: FaultKind,
    /// The provider's status, where there was an HTTP answer.
    pub status: Option<u16>,
    /// A sentence for the client. Never a prompt, never a secret.
    pub message: String,
    /// The provider's own code, as data.
    pub code: Option<String>,
    /// The request field the provider complained about.
    pub param: Option<String>,
    /// How long the provider asked to wait.
    pub retry_after: Option<Duration>,
}

impl Fault {
    /// A fault with nothing but its kind and a sentence.
    pub fn new(kind: FaultKind, message: impl Into<String>) -> Self {
        Self { kind, status: None, message: message.into(), code: None, param: None, retry_after: None }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Fault {}
