//! Keeps what changes from request to request: retry budgets, and whose turn it is among credentials.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use baton_model::ProviderName;
use tokio::time::{Duration, Instant};

/// The share of requests that may be retried.
const BUDGET_SHARE: f64 = 0.2;
/// Retries per second that are always allowed.
const BUDGET_PER_SECOND: f64 = 10.0;
/// One retry, less what adding fifths loses.
const ONE: f64 = 1.0 - 1e-6;
/// How much of the past counts.
const WINDOW: Duration = Duration::from_secs(10);

/// Live state of the providers; outlives configurations.
#[derive(Debug, Default)]
pub(crate) struct HealthBoard {
    providers: Mutex<HashMap<ProviderName, Arc<ProviderHealth>>>,
}

#[derive(Debug, Default)]
pub(crate) struct ProviderHealth {
    turn: AtomicUsize,
    budget: Mutex<RetryBudget>,
}

impl HealthBoard {
    pub(crate) fn of(&self, provider: &ProviderName) -> Arc<ProviderHealth> {
        let mut providers = self.providers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(health) = providers.get(provider) {
            return Arc::clone(health);
        }
        let health = Arc::new(ProviderHealth::default());
        providers.insert(provider.clone(), Arc::clone(&health));
        health
    }
}

impl ProviderHealth {
    /// The credential that is next, in turn.
    pub(crate) fn credential(&self, count: usize) -> usize {
        if count < 2 { 0 } else { self.turn.fetch_add(1, Ordering::Relaxed) % count }
    }

    /// Notes that a request came.
    pub(crate) fn note_request(&self) {
        self.budget.lock().unwrap_or_else(PoisonError::into_inner).deposit(Instant::now());
    }

    /// Takes a retry from the budget, if there is one.
    pub(crate) fn claim_retry(&self) -> bool {
        self.budget.lock().unwrap_or_else(PoisonError::into_inner).withdraw(Instant::now())
    }
}

/// A leaky account: each request puts a fifth of a retry in, time puts ten a second in, and what
/// is older than the window leaks away.
#[derive(Debug, Default)]
struct RetryBudget {
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

    fn deposit(&mut self, now: Instant) {
        self.settle(now);
        self.requests += 1.0;
        self.tokens += BUDGET_SHARE;
    }

    fn withdraw(&mut self, now: Instant) -> bool {
        self.settle(now);
        let enough = self.tokens >= ONE;
        if enough {
            self.tokens -= 1.0;
        }
        enough
    }
}

#[cfg(test)]
mod tests;
