//! Turns what a provider or the network said into a fault to act on.

use std::time::{Duration, SystemTime};

use baton_dialect::decode_error;
use baton_model::{Dialect, Fault, FaultKind, ProviderName};
use baton_net::egress::{SendError, SendErrorKind};
use http::header::{DATE, RETRY_AFTER};
use http::{HeaderMap, StatusCode};

pub(crate) mod http_date;

/// No provider may make us wait longer than this.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// The fault in an answer with an error status: the body gives the kind, the headers the time to wait.
#[must_use]
pub fn fault_of(dialect: Dialect, status: StatusCode, headers: &HeaderMap, body_excerpt: &[u8]) -> Fault {
    let mut fault = decode_error(dialect, status.as_u16(), body_excerpt);
    fault.retry_after = retry_after(headers, SystemTime::now()).or(fault.retry_after);
    fault
}

/// How long the provider asks to wait: `retry-after-ms`, else `retry-after` in seconds or as a date.
/// At most an hour; nothing for what is negative or cannot be read.
#[must_use]
pub fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    let millis = text("retry-after-ms").and_then(|text| seconds(text, 1_000.0));
    let wait = millis.or_else(|| {
        let text = text(RETRY_AFTER.as_str())?;
        seconds(text, 1.0).or_else(|| {
            let until = http_date::parse(text)?;
            // The provider's own clock is the one that its date was made with.
            let now = headers.get(DATE).and_then(|date| http_date::parse(date.to_str().ok()?)).unwrap_or(now);
            until.duration_since(now).ok()
        })
    })?;
    Some(wait.min(LONGEST_WAIT))
}

/// A number of `1 / parts` seconds, fractions allowed.
fn seconds(text: &str, parts: f64) -> Option<Duration> {
    let number: f64 = text.parse().ok()?;
    // `inf` and `nan` are numbers to the parser, and no header has ever meant them.
    if !number.is_finite() || number < 0.0 {
        return None;
    }
    Duration::try_from_secs_f64((number / parts).min(LONGEST_WAIT.as_secs_f64())).ok()
}

/// The provider's own id of the request, for support and for the record.
#[must_use]
pub fn request_id(headers: &HeaderMap) -> Option<&str> {
    const NAMES: [&str; 4] = ["x-request-id", "request-id", "x-generation-id", "cf-ray"];
    NAMES
        .iter()
        .find_map(|name| headers.get(*name)?.to_str().ok())
        .filter(|id| !id.is_empty() && id.len() <= 256)
}

/// The fault of a call that got no answer.
pub(crate) fn of_send(provider: &ProviderName, error: &SendError) -> Fault {
    tracing::debug!(%provider, kind = error.kind().as_str(), "no answer from the provider");
    let kind = match error.kind() {
        SendErrorKind::ConnectTimeout => FaultKind::Timeout,
        SendErrorKind::Protocol => FaultKind::MalformedAnswer,
        _ => FaultKind::Connect,
    };
    Fault::new(kind, format!("no answer from `{provider}`: {error}"))
}

/// The fault of an answer that broke off.
pub(crate) fn of_body(provider: &ProviderName, error: &SendError) -> Fault {
    let kind = match error.kind() {
        SendErrorKind::Protocol => FaultKind::MalformedAnswer,
        _ => FaultKind::Truncated,
    };
    Fault::new(kind, format!("the answer of `{provider}` broke off: {error}"))
}

#[cfg(test)]
mod tests;
