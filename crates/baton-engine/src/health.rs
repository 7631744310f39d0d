//! Knows how every target is at the moment: breakers, cooldowns, headroom, latency, retry budgets, and
//! what an operator switched off.
//!
//! The board outlives configurations. A decision gets a copy of what it needs ([`HealthBoard::snapshot`])
//! and never looks back; the end of every attempt is told to the board ([`HealthBoard::ended`]). What a
//! failure counts against is read from the failure table, and the transitions are those of
//! `baton_policy::Breaker`: here are the places where they are kept, the clock and the dice.
//!
//! - Start with [`HealthBoard::snapshot`], [`HealthBoard::pick`] and [`HealthBoard::ended`].
//! - **Invariant:** a request that finds all well takes no lock but those of its own target, for some
//!   tens of nanoseconds.
//! - **Invariant:** a probe that is dropped without a word makes room for another.
//! - **Never here:** who is asked next; that is the policy's.

mod budget;
mod ended;
mod manual;
mod probe;
mod provider;
mod registry;
mod sketch;
mod state;
mod target;

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use baton_model::{ProviderName, Target};
use baton_policy::{Down, DownReason, Health};
use baton_telemetry::HealthMoved;
use baton_upstream::Limits;
use tokio::time::Instant;

pub use ended::{Attempted, Ended, Form};
pub use manual::{Manual, Scope};
pub use probe::{Picked, Probe};
pub use state::{CredentialState, TargetState};

use provider::ProviderHealth;
use registry::Registry;
use target::TargetHealth;

/// Live state of the targets and providers; outlives configurations.
#[derive(Debug)]
pub struct HealthBoard {
    /// Where the milliseconds begin.
    epoch: Instant,
    dice: fn() -> u64,
    targets: Registry<Target, TargetHealth>,
    providers: Registry<ProviderName, ProviderHealth>,
    /// Nearly always empty.
    manual: ArcSwap<BTreeMap<Scope, Manual>>,
}

/// Whose key an attempt would go out with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keys {
    /// One of the provider's own; a provider without any counts as having one.
    Own(usize),
    /// The client's: our cooldowns say nothing of it.
    Client,
}

/// How a target is, for a decision.
#[derive(Debug)]
pub struct Snapshot {
    /// What the policy gets to see.
    pub health: Health,
    /// There if this request is the one that may try the target again. Dropping it gives it back: keep
    /// it only for the target that is attempted.
    pub probe: Option<Probe>,
}

impl Default for HealthBoard {
    fn default() -> Self {
        Self {
            epoch: Instant::now(),
            dice: rand::random,
            targets: Registry::default(),
            providers: Registry::default(),
            manual: ArcSwap::default(),
        }
    }
}

impl HealthBoard {
    /// How a target is. Where its breaker is half open this claims the probe.
    pub fn snapshot(&self, target: &Target, keys: Keys, latency: Option<Form>, now: Instant) -> Snapshot {
        let mut health = self.view(target, keys, latency, now);
        let probe = if health.probe { self.claim(target, now) } else { None };
        if health.probe && probe.is_none() {
            // Another request was quicker by a moment.
            health.probe = false;
            health.down = Some(Down { why: DownReason::ProbeTaken, for_ms: 0 });
        }
        Snapshot { health, probe }
    }

    /// How a target is, without claiming anything: for what calls nobody.
    #[must_use]
    pub fn view(&self, target: &Target, keys: Keys, latency: Option<Form>, now: Instant) -> Health {
        let at_ms = self.at_ms(now);
        let credentials = match keys {
            Keys::Own(count) => {
                let provider = self.providers.get(&target.provider);
                Some(provider.map_or_else(Vec::new, |provider| provider.look(count.max(1), at_ms)))
            }
            Keys::Client => None,
        };
        let count = match keys {
            Keys::Own(count) => count.max(1),
            Keys::Client => 0,
        };
        let mut health = match self.targets.get(target) {
            Some(known) => known.look(count, credentials.as_deref(), latency, at_ms),
            None => target::look_unknown(count, credentials.as_deref()),
        };
        match self.manual_of(target) {
            Manual::On => {}
            by_hand @ (Manual::Drained | Manual::Disabled) => {
                let why =
                    if by_hand == Manual::Disabled { DownReason::Disabled } else { DownReason::Drained };
                health.down = Some(Down { why, for_ms: 0 });
                health.probe = false;
            }
        }
        health
    }

    fn claim(&self, target: &Target, now: Instant) -> Option<Probe> {
        let known = self.targets.get(target)?;
        let id = known.claim(self.at_ms(now))?;
        Some(Probe::of_target(known, id))
    }

    /// The credential that is next in turn, of those that are taken, not cooling, and not among `tried`.
    /// Where its breaker is half open this claims the probe. `None`: none is left.
    pub fn pick(&self, target: &Target, count: usize, tried: &[usize], now: Instant) -> Option<Picked> {
        let at_ms = self.at_ms(now);
        let count = count.max(1);
        let provider = self.of(&target.provider);
        let known = self.targets.get(target);
        let turn = provider.credential(count);
        (0..count)
            .map(|step| (turn + step) % count)
            .filter(|index| !tried.contains(index))
            .filter(|index| known.as_ref().is_none_or(|known| known.takes(*index, at_ms)))
            .find_map(|index| Picked::claim(&provider, index, count, at_ms))
    }

    /// The credential whose turn it is, whatever its state: for an attempt made for want of a better one.
    pub fn last_resort(&self, target: &Target, count: usize) -> Picked {
        Picked::last_resort(self.of(&target.provider).credential(count), count)
    }

    /// Notes what an answer said of the provider's rate limits. Not for answers to a client's own key.
    pub fn note_limits(&self, target: &Target, credential: usize, limits: Limits, now: Instant) {
        self.known(target).note_limits(credential, limits, self.at_ms(now));
    }

    /// Drops what is known of a provider's credentials, because they are others now.
    pub fn forget_credentials(&self, provider: &ProviderName) {
        if let Some(health) = self.providers.get(provider) {
            health.forget_credentials();
        }
        for (target, health) in self.targets.all() {
            if target.provider == *provider {
                health.forget_credentials();
            }
        }
    }

    /// Switches a target or a whole provider by hand, and says how it was. Where both are switched, the
    /// stricter counts.
    pub fn set_manual(&self, scope: &Scope, manual: Manual) -> Manual {
        let before = self.manual.load().get(scope).copied().unwrap_or_default();
        self.manual.rcu(|all| {
            let mut all = BTreeMap::clone(all);
            if manual == Manual::On {
                all.remove(scope);
            } else {
                all.insert(scope.clone(), manual);
            }
            all
        });
        HealthMoved::Switched { scope: &scope.to_string(), to: manual.as_str() }.emit();
        before
    }

    /// What is switched by hand. Whatever is not in it is on.
    #[must_use]
    pub fn manual(&self) -> BTreeMap<Scope, Manual> {
        BTreeMap::clone(&self.manual.load())
    }

    /// Puts back what was switched by hand before a restart.
    pub fn restore(&self, mut manual: BTreeMap<Scope, Manual>) {
        manual.retain(|_, manual| *manual != Manual::On);
        self.manual.store(Arc::new(manual));
    }

    /// How a target is switched, itself or with its provider.
    fn manual_of(&self, target: &Target) -> Manual {
        let all = self.manual.load();
        if all.is_empty() {
            return Manual::On;
        }
        let of = |scope: Scope| all.get(&scope).copied().unwrap_or_default();
        of(Scope::Provider(target.provider.clone())).max(of(Scope::Target(target.clone())))
    }

    /// Every target that was attempted, by name.
    #[must_use]
    pub fn states(&self, now: Instant) -> Vec<TargetState> {
        let at_ms = self.at_ms(now);
        let mut states: Vec<TargetState> = self
            .targets
            .all()
            .into_iter()
            .map(|(target, health)| {
                let provider = self.of(&target.provider);
                TargetState::of(target.clone(), self.manual_of(&target), &health, &provider, at_ms)
            })
            .collect();
        states.sort_by(|one, other| one.target.cmp(&other.target));
        states
    }

    /// Notes that a request goes to a provider, for its retry budget.
    pub fn note_request(&self, provider: &ProviderName) {
        self.of(provider).note_request();
    }

    /// Takes a retry from a provider's budget, if there is one.
    pub fn claim_retry(&self, provider: &ProviderName) -> bool {
        self.of(provider).claim_retry()
    }

    pub(crate) fn of(&self, provider: &ProviderName) -> Arc<ProviderHealth> {
        self.providers.get_or_insert(provider).0
    }

    fn known(&self, target: &Target) -> Arc<TargetHealth> {
        let (health, new) = self.targets.get_or_insert(target);
        if new {
            HealthMoved::Known { target }.emit();
        }
        health
    }

    fn at_ms(&self, now: Instant) -> u64 {
        millis(now.saturating_duration_since(self.epoch))
    }
}

fn millis(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
