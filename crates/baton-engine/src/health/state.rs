//! What the board shows to people and metrics.

use baton_model::Target;
use baton_policy::{BreakerState, Latency};

use super::Manual;
use super::provider::{CredentialLook, ProviderHealth};
use super::target::TargetHealth;

/// How a target is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetState {
    /// Which.
    pub target: Target,
    /// How it is switched by hand, itself or with its provider.
    pub manual: Manual,
    /// Where its breaker is.
    pub breaker: BreakerState,
    /// How its provider's credentials are there, by place: those that anything is known of.
    pub credentials: Vec<CredentialState>,
    /// Until the first content of streams.
    pub stream: Option<Latency>,
    /// Until the end of whole answers.
    pub whole: Option<Latency>,
}

/// How a credential is at a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CredentialState {
    /// Where its breaker is.
    pub breaker: BreakerState,
    /// How long it rests yet, in milliseconds; 0 when it does not.
    pub cooling_ms: u64,
    /// What was left of its limit lately, in thousandths.
    pub headroom: Option<u32>,
}

impl TargetState {
    pub(super) fn of(
        target: Target,
        manual: Manual,
        health: &TargetHealth,
        provider: &ProviderHealth,
        at_ms: u64,
    ) -> Self {
        let look = health.look_whole(at_ms);
        let credentials = provider.look(usize::MAX, at_ms);
        let known = look.keys.len().max(credentials.len());
        let credentials = (0..known).map(|at| {
            let key = look.keys.get(at).copied().unwrap_or_default();
            let credential = credentials.get(at).copied().unwrap_or(CredentialLook::WELL);
            CredentialState {
                breaker: credential.breaker,
                cooling_ms: credential.cooling_ms.max(key.cooling_ms),
                headroom: key.headroom,
            }
        });
        let credentials = credentials.collect();
        Self { target, manual, breaker: look.breaker, credentials, stream: look.stream, whole: look.whole }
    }
}
