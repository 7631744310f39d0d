//! What is known of a target: its breaker, what its limits say for each key, and how long it takes.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use baton_policy::{
    Began, Breaker, BreakerState, Cooldown, Down, DownReason, Health, Latency, Moved, ProbeId, Trip,
};
use baton_upstream::Limits;

use super::ended::Form;
use super::millis;
use super::provider::CredentialLook;
use super::registry::Kept;
use super::sketch::Sketch;

/// What a provider said of its limits is true for so long, in milliseconds.
const HEADROOM_MS: u64 = 60_000;
/// No provider's word about an exhausted limit counts for longer.
const LONGEST_SHUT: Duration = Duration::from_secs(600);

/// What is known of a target, behind its own lock, which is never held for long.
#[derive(Debug, Default)]
pub(super) struct TargetHealth(Mutex<Known>);

#[derive(Debug)]
struct Known {
    breaker: Breaker,
    /// By the place of the credential.
    keys: Vec<KeyHealth>,
    stream: Sketch,
    whole: Sketch,
    used_ms: u64,
}

/// How a target takes one key: limits are by model and key.
#[derive(Clone, Copy, Debug, Default)]
struct KeyHealth {
    cooldown: Cooldown,
    /// The key's limit is used up until then.
    shut_until_ms: u64,
    headroom: Option<Headroom>,
}

#[derive(Clone, Copy, Debug)]
struct Headroom {
    thousandths: u32,
    read_ms: u64,
}

/// How a target takes one key, at a moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct KeyLook {
    pub(super) cooling_ms: u64,
    shut_ms: u64,
    pub(super) headroom: Option<u32>,
}

/// A target as a whole, at a moment.
#[derive(Debug)]
pub(super) struct TargetLook {
    pub(super) breaker: BreakerState,
    pub(super) keys: Vec<KeyLook>,
    pub(super) stream: Option<Latency>,
    pub(super) whole: Option<Latency>,
}

impl Default for Known {
    fn default() -> Self {
        Self {
            breaker: Breaker::new(Trip::TARGET),
            keys: Vec::new(),
            stream: Sketch::default(),
            whole: Sketch::default(),
            used_ms: 0,
        }
    }
}

impl KeyHealth {
    fn look(&self, at_ms: u64) -> KeyLook {
        let fresh = |headroom: &Headroom| at_ms.saturating_sub(headroom.read_ms) < HEADROOM_MS;
        KeyLook {
            cooling_ms: self.cooldown.left_ms(at_ms),
            shut_ms: self.shut_until_ms.saturating_sub(at_ms),
            headroom: self.headroom.filter(fresh).map(|headroom| headroom.thousandths),
        }
    }
}

impl KeyLook {
    const fn is_taken(self) -> bool {
        self.cooling_ms == 0 && self.shut_ms == 0
    }
}

impl TargetHealth {
    /// How it is for a request with one of `count` keys; without any, keys do not matter.
    pub(super) fn look(
        &self,
        count: usize,
        credentials: Option<&[CredentialLook]>,
        latency: Option<Form>,
        at_ms: u64,
    ) -> Health {
        let known = self.lock();
        let breaker = known.breaker.state(at_ms);
        let key = |at: usize| known.keys.get(at).map(|key| key.look(at_ms)).unwrap_or_default();
        let keys = keys_together(count, credentials.unwrap_or_default(), key);
        let broken = match breaker {
            BreakerState::Closed | BreakerState::HalfOpen => None,
            BreakerState::Open { for_ms } => Some(Down { why: DownReason::BreakerOpen, for_ms }),
            BreakerState::Probing { for_ms } => Some(Down { why: DownReason::ProbeTaken, for_ms }),
        };
        let down = match keys.down {
            Some(down) if down.why == DownReason::NoCredential => Some(down),
            other => broken.or(other),
        };
        Health {
            down,
            probe: down.is_none() && breaker == BreakerState::HalfOpen,
            headroom: keys.headroom,
            latency: latency.and_then(|form| known.sketch(form).read(at_ms)),
        }
    }

    /// All that is known.
    pub(super) fn look_whole(&self, at_ms: u64) -> TargetLook {
        let known = self.lock();
        TargetLook {
            breaker: known.breaker.state(at_ms),
            keys: known.keys.iter().map(|key| key.look(at_ms)).collect(),
            stream: known.stream.read(at_ms),
            whole: known.whole.read(at_ms),
        }
    }

    /// Whether its limits leave room for a key.
    pub(super) fn takes(&self, key: usize, at_ms: u64) -> bool {
        self.lock().keys.get(key).is_none_or(|key| key.look(at_ms).is_taken())
    }

    pub(super) fn claim(&self, at_ms: u64) -> Option<ProbeId> {
        self.lock().breaker.claim(at_ms)
    }

    pub(super) fn release(&self, probe: ProbeId) {
        self.lock().breaker.release(probe);
    }

    pub(super) fn succeeded(
        &self,
        at_ms: u64,
        began: Began,
        took: Option<(Form, Duration)>,
    ) -> Option<Moved> {
        let mut known = self.lock();
        known.used_ms = at_ms;
        if let Some((form, took)) = took {
            known.sketch_mut(form).note(took, at_ms);
        }
        known.breaker.succeeded(at_ms, began)
    }

    pub(super) fn failed(&self, at_ms: u64, began: Began, random: u64) -> Option<Moved> {
        let mut known = self.lock();
        known.used_ms = at_ms;
        known.breaker.failed(at_ms, began, random)
    }

    /// Rests the target for a key; says for how long if it did not rest before.
    pub(super) fn cool(
        &self,
        (key, count): (usize, usize),
        at_ms: u64,
        said: Option<Duration>,
        default: Duration,
    ) -> Option<u64> {
        let mut known = self.lock();
        known.used_ms = at_ms;
        // All the keys there are, so that one that rests is not taken for the only one.
        let key = known.key_mut(key, count)?;
        let rested = key.cooldown.left_ms(at_ms) > 0;
        key.cooldown.extend(at_ms, said, default);
        (!rested).then(|| key.cooldown.left_ms(at_ms))
    }

    pub(super) fn note_limits(&self, key: usize, limits: Limits, at_ms: u64) {
        let mut known = self.lock();
        let Some(key) = known.key_mut(key, 0) else { return };
        key.headroom = Some(Headroom { thousandths: limits.remaining_thousandths, read_ms: at_ms });
        key.shut_until_ms =
            limits.exhausted_for.map_or(0, |time| at_ms.saturating_add(millis(time.min(LONGEST_SHUT))));
    }

    pub(super) fn forget_credentials(&self) {
        self.lock().keys.clear();
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn sketch(&self, form: Form) -> &Sketch {
        match form {
            Form::Stream => &self.stream,
            Form::Whole => &self.whole,
        }
    }

    fn sketch_mut(&mut self, form: Form) -> &mut Sketch {
        match form {
            Form::Stream => &mut self.stream,
            Form::Whole => &mut self.whole,
        }
    }

    fn key_mut(&mut self, key: usize, count: usize) -> Option<&mut KeyHealth> {
        let least = count.max(key + 1);
        if self.keys.len() < least {
            self.keys.resize_with(least, KeyHealth::default);
        }
        self.keys.get_mut(key)
    }
}

impl Kept for TargetHealth {
    fn worth(&self) -> (bool, u64) {
        let known = self.lock();
        (!known.breaker.is_well(), known.used_ms)
    }
}

/// How a target is that was never attempted.
pub(super) fn look_unknown(count: usize, credentials: Option<&[CredentialLook]>) -> Health {
    let keys = keys_together(count, credentials.unwrap_or_default(), |_| KeyLook::default());
    Health { down: keys.down, ..Health::default() }
}

/// What all keys together allow.
struct Keys {
    down: Option<Down>,
    headroom: Option<u32>,
}

/// One key that is taken is enough, and the one with the most room counts; a key of which nothing is
/// known has all the room. Else the soonest of them says for how long.
fn keys_together(count: usize, credentials: &[CredentialLook], key: impl Fn(usize) -> KeyLook) -> Keys {
    let mut headroom = None;
    let mut soonest: Option<u64> = None;
    let mut soonest_broken = u64::MAX;
    let (mut all_broken, mut any_cooling) = (true, false);
    for at in 0..count {
        let credential = credentials.get(at).copied().unwrap_or(CredentialLook::WELL);
        let key = key(at);
        let broken_ms = credential.broken_ms();
        if broken_ms.is_none() && credential.cooling_ms == 0 && key.is_taken() {
            let room = key.headroom.unwrap_or(u32::MAX);
            headroom = headroom.max(Some(room));
        }
        all_broken &= broken_ms.is_some();
        soonest_broken = soonest_broken.min(broken_ms.unwrap_or(u64::MAX));
        let cooling_ms = credential.cooling_ms.max(key.cooling_ms);
        any_cooling |= cooling_ms > 0;
        let wait_ms = broken_ms.unwrap_or(0).max(cooling_ms).max(key.shut_ms);
        soonest = Some(soonest.map_or(wait_ms, |soonest| soonest.min(wait_ms)));
    }
    let down = match (headroom, soonest) {
        (Some(_), _) | (None, None) => None,
        (None, Some(_)) if all_broken => Some(Down { why: DownReason::NoCredential, for_ms: soonest_broken }),
        (None, Some(for_ms)) if any_cooling => Some(Down { why: DownReason::Cooling, for_ms }),
        (None, Some(for_ms)) => Some(Down { why: DownReason::NoHeadroom, for_ms }),
    };
    Keys { down, headroom: headroom.filter(|room| *room != u32::MAX) }
}
