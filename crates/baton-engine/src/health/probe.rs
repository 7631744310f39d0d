//! The right to make one attempt where a breaker is half open, given back when it is dropped.

use std::sync::Arc;

use baton_policy::ProbeId;

use super::provider::{Entry, ProviderHealth};
use super::target::TargetHealth;

/// The right to try a target or a credential again.
#[derive(Debug)]
pub struct Probe {
    of: Tried,
    id: ProbeId,
}

#[derive(Debug)]
enum Tried {
    Target(Arc<TargetHealth>),
    Credential(Arc<ProviderHealth>, usize),
}

/// A credential to send with.
#[derive(Debug)]
pub struct Picked {
    /// Which of the provider's.
    pub index: usize,
    /// How many the provider has.
    pub(super) count: usize,
    pub(super) probe: Option<Probe>,
}

impl Probe {
    pub(super) fn of_target(target: Arc<TargetHealth>, id: ProbeId) -> Self {
        Self { of: Tried::Target(target), id }
    }

    pub(super) const fn id(&self) -> ProbeId {
        self.id
    }
}

impl Drop for Probe {
    /// A probe whose end was told is no longer claimed, and nothing happens.
    fn drop(&mut self) {
        match &self.of {
            Tried::Target(target) => target.release(self.id),
            Tried::Credential(provider, index) => provider.release(*index, self.id),
        }
    }
}

impl Picked {
    /// The credential, unless it is broken or rests.
    pub(super) fn claim(
        provider: &Arc<ProviderHealth>,
        index: usize,
        count: usize,
        at_ms: u64,
    ) -> Option<Self> {
        let probe = match provider.enter(index, at_ms) {
            Entry::Free => None,
            Entry::Probe(id) => Some(Probe { of: Tried::Credential(Arc::clone(provider), index), id }),
            Entry::Barred => return None,
        };
        Some(Self { index, count, probe })
    }

    /// A credential that is used whatever its state, for want of a better one.
    pub(super) const fn last_resort(index: usize, count: usize) -> Self {
        Self { index, count, probe: None }
    }
}
