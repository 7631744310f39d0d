//! Gives a provider's error its kind: three tables, asked in turn.

use baton_model::FaultKind;

/// What there is to go by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clues<'a> {
    pub(super) status: Option<u16>,
    pub(super) code: &'a str,
    pub(super) kind: &'a str,
    pub(super) message: &'a str,
}

/// Codes and types, as `error.code` or `error.type` has them.
const CODES: &[(&str, FaultKind)] = &[
    ("context_length_exceeded", FaultKind::ContextTooLong),
    ("string_above_max_length", FaultKind::ContextTooLong),
    ("exceed_context_size_error", FaultKind::ContextTooLong),
    ("model_not_found", FaultKind::ModelUnavailable),
    ("model_not_available", FaultKind::ModelUnavailable),
    ("model_decommissioned", FaultKind::ModelUnavailable),
    ("model_not_supported", FaultKind::ModelUnavailable),
    ("model_terms_required", FaultKind::ModelUnavailable),
    ("DeploymentNotFound", FaultKind::ModelUnavailable),
    ("insufficient_quota", FaultKind::QuotaExhausted),
    ("insufficient_balance", FaultKind::QuotaExhausted),
    ("billing_not_active", FaultKind::QuotaExhausted),
    ("billing_hard_limit_reached", FaultKind::QuotaExhausted),
    ("content_policy_violation", FaultKind::ContentFiltered),
    ("content_filter", FaultKind::ContentFiltered),
    ("content_filtered", FaultKind::ContentFiltered),
    ("invalid_api_key", FaultKind::Unauthorized),
    ("authentication_error", FaultKind::Unauthorized),
    ("permission_error", FaultKind::Unauthorized),
    ("rate_limit_exceeded", FaultKind::RateLimited),
    ("rate_limit_error", FaultKind::RateLimited),
    ("rate_limit_reached", FaultKind::RateLimited),
    ("overloaded_error", FaultKind::Overloaded),
    ("engine_overloaded", FaultKind::Overloaded),
    ("server_overloaded", FaultKind::Overloaded),
    ("capacity_exceeded", FaultKind::Overloaded),
    ("server_error", FaultKind::ServerError),
    ("internal_server_error", FaultKind::ServerError),
    ("unsupported_parameter", FaultKind::UnsupportedFeature),
    ("unsupported_value", FaultKind::UnsupportedFeature),
    ("image_too_large", FaultKind::UnsupportedFeature),
    ("image_file_too_large", FaultKind::UnsupportedFeature),
    ("unsupported_image_media_type", FaultKind::UnsupportedFeature),
    // Groq: the model itself wrote a call or JSON that does not fit. Another may do better.
    ("tool_use_failed", FaultKind::MalformedAnswer),
    ("json_validate_failed", FaultKind::MalformedAnswer),
];

/// Phrases of messages, in lower case. All words of a row must be there; the first row that fits counts.
const PHRASES: &[(&[&str], FaultKind)] = &[
    (&["maximum context length"], FaultKind::ContextTooLong),
    (&["context length exceeded"], FaultKind::ContextTooLong),
    (&["exceeds", "context"], FaultKind::ContextTooLong),
    (&["context window"], FaultKind::ContextTooLong),
    (&["prompt is too long"], FaultKind::ContextTooLong),
    (&["reduce the length"], FaultKind::ContextTooLong),
    (&["longer than the maximum model length"], FaultKind::ContextTooLong),
    // A limit per minute that one request cannot meet will not be met by waiting.
    (&["request too large", "requested"], FaultKind::ContextTooLong),
    (&["insufficient balance"], FaultKind::QuotaExhausted),
    (&["insufficient credits"], FaultKind::QuotaExhausted),
    (&["credit balance"], FaultKind::QuotaExhausted),
    (&["key limit exceeded"], FaultKind::QuotaExhausted),
    (&["does not support"], FaultKind::UnsupportedFeature),
    (&["no endpoints found that support"], FaultKind::UnsupportedFeature),
    (&["not supported", "model"], FaultKind::UnsupportedFeature),
    (&["not a multimodal model"], FaultKind::UnsupportedFeature),
    (&["requires --enable-auto-tool-choice"], FaultKind::UnsupportedFeature),
    (&["no endpoints found"], FaultKind::ModelUnavailable),
    (&["not a valid model id"], FaultKind::ModelUnavailable),
    (&["model", "not found"], FaultKind::ModelUnavailable),
    (&["model", "does not exist"], FaultKind::ModelUnavailable),
    (&["invalid model"], FaultKind::ModelUnavailable),
    (&["content management policy"], FaultKind::ContentFiltered),
    (&["content policy"], FaultKind::ContentFiltered),
    (&["usage policies"], FaultKind::ContentFiltered),
    (&["flagged"], FaultKind::ContentFiltered),
    (&["overloaded"], FaultKind::Overloaded),
    (&["at capacity"], FaultKind::Overloaded),
    (&["rate limit"], FaultKind::RateLimited),
    (&["too many requests"], FaultKind::RateLimited),
    (&["invalid api key"], FaultKind::Unauthorized),
];

pub(super) fn classify(clues: &Clues<'_>) -> FaultKind {
    let of_phrase = by_phrase(clues.message);
    let of_code = by_code(clues.code).or_else(|| by_code(clues.kind));
    match (of_code, of_phrase) {
        // OpenAI and Groq call it a rate limit when one request alone is above it, llama.cpp a server
        // error when a prompt does not fit.
        (Some(FaultKind::RateLimited | FaultKind::ServerError), Some(FaultKind::ContextTooLong)) => {
            FaultKind::ContextTooLong
        }
        // The status says more than a type that all failures of the server share.
        (Some(FaultKind::ServerError), _)
            if matches!(clues.status.map(by_status), Some(FaultKind::Overloaded)) =>
        {
            FaultKind::Overloaded
        }
        (Some(kind), _) => kind,
        // A phrase in the message of a refused key or a failing server may be a coincidence.
        (None, Some(kind)) if trusts_phrases(clues.status, kind) => kind,
        (None, _) => match clues.status {
            Some(status) => by_status(status),
            None if clues.kind == "invalid_request_error" => FaultKind::InvalidRequest,
            None => FaultKind::MalformedAnswer,
        },
    }
}

fn by_code(code: &str) -> Option<FaultKind> {
    CODES.iter().find(|(known, _)| *known == code).map(|(_, kind)| *kind)
}

fn by_phrase(message: &str) -> Option<FaultKind> {
    let message = message.to_ascii_lowercase();
    PHRASES.iter().find(|(words, _)| words.iter().all(|word| message.contains(word))).map(|(_, kind)| *kind)
}

const fn trusts_phrases(status: Option<u16>, kind: FaultKind) -> bool {
    match status {
        None | Some(400 | 404 | 413 | 422 | 429) => true,
        Some(403) => matches!(
            kind,
            FaultKind::ContentFiltered | FaultKind::QuotaExhausted | FaultKind::ModelUnavailable
        ),
        // llama.cpp and some gateways answer 500 to a prompt that does not fit.
        Some(500..=599) => {
            matches!(kind, FaultKind::ContextTooLong | FaultKind::Overloaded | FaultKind::RateLimited)
        }
        Some(_) => false,
    }
}

const fn by_status(status: u16) -> FaultKind {
    match status {
        401 | 403 => FaultKind::Unauthorized,
        402 => FaultKind::QuotaExhausted,
        404 => FaultKind::ModelUnavailable,
        413 => FaultKind::TooLarge,
        429 => FaultKind::RateLimited,
        // 498 is Groq's for its flex tier.
        498 | 503 | 529 => FaultKind::Overloaded,
        408 | 500..=599 => FaultKind::ServerError,
        400..=499 => FaultKind::InvalidRequest,
        _ => FaultKind::MalformedAnswer,
    }
}
