//! What follows a failed attempt, read from one table.

use std::time::Duration;

use baton_model::FaultKind;

/// What the table says about a kind of failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// The same target again, with a jittered pause; then the next one.
    RetrySame,
    /// The next target at once; the same one only if there is no other.
    NextElseSame,
    /// The next target, never the same one.
    Next,
    /// Returned to the client as it is.
    Return,
}

/// What became of the attempts so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct History {
    /// How many attempts the current target has had.
    pub attempts_on_target: u32,
    /// How often the policy lets the same target be tried again (at most 3 count).
    pub retries: u32,
    /// Whether another target is left in the plan.
    pub others_left: bool,
    /// Whether the provider's retry budget has a token; claimed by the caller.
    pub budget: bool,
    /// A random number, for the jitter.
    pub random: u64,
    /// What is left until the total deadline.
    pub time_left: Duration,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// The same target after a pause.
    Retry {
        /// How long to wait.
        after: Duration,
    },
    /// The next target of the plan, at once.
    Fallback,
    /// Nothing: the client is told.
    Stop,
}

/// The failure table.
#[must_use]
pub const fn reaction(kind: FaultKind) -> Action {
    match kind {
        FaultKind::ServerError | FaultKind::Overloaded | FaultKind::Connect | FaultKind::Timeout => {
            Action::RetrySame
        }
        FaultKind::MalformedAnswer | FaultKind::Truncated => Action::RetrySame,
        FaultKind::RateLimited => Action::NextElseSame,
        FaultKind::Unauthorized
        | FaultKind::QuotaExhausted
        | FaultKind::ContextTooLong
        | FaultKind::UnsupportedFeature
        | FaultKind::ModelUnavailable => Action::Next,
        // `InvalidRequest`, `TooLarge`, `ContentFiltered`, the client's own, and our own faults.
        _ => Action::Return,
    }
}

/// What follows a failure before any content reached the client.
#[must_use]
pub fn next(kind: FaultKind, retry_after: Option<Duration>, history: &History) -> Next {
    let may_retry = history.budget && history.attempts_on_target <= history.retries.min(3);
    let pause = retry_after.unwrap_or_else(|| backoff(history.attempts_on_target, history.random));
    let retry_fits = may_retry && pause < history.time_left;
    let fallback = if history.others_left { Next::Fallback } else { Next::Stop };
    match reaction(kind) {
        Action::Return => Next::Stop,
        Action::Next => fallback,
        // A provider that names a pause longer than a moment is left in peace where there is another.
        Action::RetrySame if retry_fits && !(history.others_left && pause > MAX_PAUSE) => {
            Next::Retry { after: pause }
        }
        Action::NextElseSame if retry_fits && !history.others_left => Next::Retry { after: pause },
        Action::RetrySame | Action::NextElseSame => fallback,
    }
}

/// The longest pause that is preferred to another target.
const MAX_PAUSE: Duration = Duration::from_secs(2);

/// A pause drawn evenly from the upper half of 100 ms, 200 ms, 400 ms, ... up to 2 s.
fn backoff(attempt: u32, random: u64) -> Duration {
    let ceiling = 100_u64.checked_shl(attempt.saturating_sub(1)).unwrap_or(u64::MAX).min(2_000);
    let half = ceiling / 2;
    Duration::from_millis(half + random % (half + 1))
}

#[cfg(test)]
mod tests;
