//! What is known of a provider: its retry budget, and how its credentials are.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use baton_policy::{Began, Breaker, BreakerState, Cooldown, Moved, ProbeId, Trip};
use tokio::time::Instant;

use super::budget::RetryBudget;
use super::registry::Kept;

/// What is known of a provider.
#[derive(Debug, Default)]
pub(crate) struct ProviderHealth {
    turn: AtomicUsize,
    budget: Mutex<RetryBudget>,
    /// Whether any credential may be other than well: mostly none is, and nobody takes the lock.
    uneasy: AtomicBool,
    /// By place; what is not there is well.
    credentials: Mutex<Vec<CredentialHealth>>,
}

#[derive(Debug)]
struct CredentialHealth {
    breaker: Breaker,
    cooldown: Cooldown,
}

/// How a credential is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CredentialLook {
    pub(super) breaker: BreakerState,
    /// How long it rests yet.
    pub(super) cooling_ms: u64,
}

/// Whether a credential may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// As it likes.
    Free,
    /// By this request, as the probe.
    Probe(ProbeId),
    /// Not now.
    Barred,
}

impl CredentialLook {
    pub(super) const WELL: Self = Self { breaker: BreakerState::Closed, cooling_ms: 0 };

    /// How long its breaker keeps it out yet.
    pub(super) const fn broken_ms(self) -> Option<u64> {
        match self.breaker {
            BreakerState::Closed | BreakerState::HalfOpen => None,
            BreakerState::Open { for_ms } | BreakerState::Probing { for_ms } => Some(for_ms),
        }
    }
}

impl Default for CredentialHealth {
    fn default() -> Self {
        Self { breaker: Breaker::new(Trip::CREDENTIAL), cooldown: Cooldown::default() }
    }
}

impl CredentialHealth {
    fn look(&self, at_ms: u64) -> CredentialLook {
        CredentialLook { breaker: self.breaker.state(at_ms), cooling_ms: self.cooldown.left_ms(at_ms) }
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

    /// How each credential is; nothing where all are well.
    pub(super) fn look(&self, count: usize, at_ms: u64) -> Vec<CredentialLook> {
        if !self.uneasy.load(Ordering::Acquire) {
            return Vec::new();
        }
        self.credentials().iter().take(count).map(|credential| credential.look(at_ms)).collect()
    }

    /// Whether a credential may be used.
    pub(super) fn enter(&self, index: usize, at_ms: u64) -> Entry {
        if !self.uneasy.load(Ordering::Acquire) {
            return Entry::Free;
        }
        let mut credentials = self.credentials();
        let Some(credential) = credentials.get_mut(index) else { return Entry::Free };
        if credential.cooldown.left_ms(at_ms) > 0 {
            return Entry::Barred;
        }
        match credential.breaker.state(at_ms) {
            BreakerState::Closed => Entry::Free,
            BreakerState::HalfOpen => credential.breaker.claim(at_ms).map_or(Entry::Barred, Entry::Probe),
            BreakerState::Open { .. } | BreakerState::Probing { .. } => Entry::Barred,
        }
    }

    pub(super) fn release(&self, index: usize, probe: ProbeId) {
        if let Some(credential) = self.credentials().get_mut(index) {
            credential.breaker.release(probe);
        }
    }

    pub(super) fn succeeded(&self, index: usize, at_ms: u64, began: Began) -> Option<Moved> {
        if !self.uneasy.load(Ordering::Acquire) {
            return None;
        }
        let mut credentials = self.credentials();
        let moved = credentials.get_mut(index)?.breaker.succeeded(at_ms, began);
        let well = credentials
            .iter()
            .all(|credential| credential.breaker.is_well() && credential.cooldown.left_ms(at_ms) == 0);
        self.uneasy.store(!well, Ordering::Release);
        moved
    }

    pub(super) fn failed(&self, index: usize, at_ms: u64, began: Began, random: u64) -> Option<Moved> {
        self.with(index, |credential| credential.breaker.failed(at_ms, began, random))
    }

    /// Rests a credential; says for how long if it did not rest before.
    pub(super) fn cool(
        &self,
        index: usize,
        at_ms: u64,
        said: Option<Duration>,
        default: Duration,
    ) -> Option<u64> {
        self.with(index, |credential| {
            let rested = credential.cooldown.left_ms(at_ms) > 0;
            credential.cooldown.extend(at_ms, said, default);
            (!rested).then(|| credential.cooldown.left_ms(at_ms))
        })
    }

    pub(super) fn forget_credentials(&self) {
        let mut credentials = self.credentials();
        credentials.clear();
        self.uneasy.store(false, Ordering::Release);
    }

    fn with<T>(&self, index: usize, change: impl FnOnce(&mut CredentialHealth) -> T) -> T
    where
        T: Default,
    {
        let mut credentials = self.credentials();
        self.uneasy.store(true, Ordering::Release);
        if credentials.len() <= index {
            credentials.resize_with(index + 1, CredentialHealth::default);
        }
        credentials.get_mut(index).map(change).unwrap_or_default()
    }

    fn credentials(&self) -> MutexGuard<'_, Vec<CredentialHealth>> {
        self.credentials.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept for ProviderHealth {
    fn worth(&self) -> (bool, u64) {
        (self.uneasy.load(Ordering::Relaxed), 0)
    }
}
