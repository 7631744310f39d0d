//! Keeps retries a small share of the requests, so that a failing provider is not asked ever more.

use tokio::time::{Duration, Instant};

/// The share of requests that may be retried.
const BUDGET_SHARE: f64 = 0.2;
/// Retries per second that are always allowed.
const BUDGET_PER_SECOND: f64 = 10.0;
/// One retry, less what adding fifths loses.
const ONE: f64 = 1.0 - 1e-6;
/// How much of the past counts.
const WINDOW: Duration = Duration::from_secs(10);

/// A leaky account: each request puts a fifth of a retry in, time puts ten a second in, and what
/// is older than the window leaks away.
#[derive(Debug, Default)]
pub(super) struct RetryBudget {
    tokens: f64,
    requests: f64,
    at: Option<Instant>,
}

impl RetryBudget {
    fn settle(&mut self, now: Instant) {
        let passed = self.at.map_or(WINDOW, |at| now.saturating_duration_since(at));
        self.at = Some(now);
        let kept = (1.0 - passed.as_secs_f64() / WINDOW.as_secs_f64()).max(0.0);
        self.requests *= kept;
        let most = BUDGET_PER_SECOND + BUDGET_SHARE * self.requests;
        self.tokens = (self.tokens + BUDGET_PER_SECOND * passed.as_secs_f64()).min(most);
    }

    pub(super) fn deposit(&mut self, now: Instant) {
        self.settle(now);
        self.requests += 1.0;
        self.tokens += BUDGET_SHARE;
    }

    pub(super) fn withdraw(&mut self, now: Instant) -> bool {
        self.settle(now);
        let enough = self.tokens >= ONE;
        if enough {
            self.tokens -= 1.0;
        }
        enough
    }
}
