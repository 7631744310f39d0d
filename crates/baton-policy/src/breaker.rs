//! Tells when a target or a credential is left alone because it fails, and when it is tried again.
//!
//! A [`Breaker`] opens after failures in a row or after a bad share of the last seconds. When its time is
//! up it lets one attempt through, the probe: a success closes it, a failure opens it for longer. A
//! [`Cooldown`] is the other thing: the provider itself said "not now". Time comes in as milliseconds of
//! a clock that never goes back, and dice as a number, so every transition is a plain function.
//!
//! - Start with [`Breaker::succeeded`], [`Breaker::failed`] and [`Cooldown::extend`].
//! - **Invariant:** at most one probe at a time, and an open breaker always lets one through again.
//! - **Invariant:** the end of a cooldown never moves earlier.
//! - **Never here:** clocks, randomness, locks, names of targets.

use std::time::Duration;

mod window;

use window::Window;

/// How long a breaker stays open at first, in milliseconds; twice as long after each failed probe.
const FIRST_OPEN_MS: u64 = 1_000;
/// How long it stays open at most, in milliseconds.
const LONGEST_OPEN_MS: u64 = 30_000;
/// A probe that has said nothing for so long, in milliseconds, no longer keeps others from trying.
const PROBE_MS: u64 = 30_000;
/// The shortest and the longest time that a provider's word is good for.
const COOLDOWN: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(600);

/// When a breaker opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trip {
    /// After so many failures in a row.
    pub in_a_row: u32,
    /// After so many attempts in ten seconds of which half failed; `None`: never for that.
    pub half_of: Option<u32>,
}

impl Trip {
    /// For a target.
    pub const TARGET: Self = Self { in_a_row: 5, half_of: Some(10) };
    /// For a credential. A share says nothing here: a key that is refused for one model and taken for
    /// all others is a good key.
    pub const CREDENTIAL: Self = Self { in_a_row: 3, half_of: None };
}

/// Guards one target or one credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breaker {
    trip: Trip,
    phase: Phase,
    /// Since when it is in this phase. What began before says nothing about it.
    since_ms: u64,
    /// Failures since the last success.
    streak: u32,
    window: Window,
    /// How many probes there were, to tell them apart.
    probes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Closed,
    Broken {
        /// When a probe is let through.
        until_ms: u64,
        /// How many probes failed since it opened.
        failed_probes: u32,
        claim: Option<Claim>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Claim {
    probe: ProbeId,
    until_ms: u64,
}

/// Which probe of a breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProbeId(u64);

/// Where a breaker is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    /// All is well.
    Closed,
    /// It lets nothing through.
    Open {
        /// For so long yet.
        for_ms: u64,
    },
    /// It lets one attempt through, and nobody has taken it yet.
    HalfOpen,
    /// That attempt is under way.
    Probing {
        /// For so long at most until another may try.
        for_ms: u64,
    },
}

/// What a report changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moved {
    /// It was closed and is open now.
    Opened {
        /// For so long.
        for_ms: u64,
    },
    /// Its probe failed.
    Reopened {
        /// For so long.
        for_ms: u64,
    },
    /// It is closed again.
    Closed,
}

/// When an attempt began, and whether it was a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Began {
    /// When.
    pub at_ms: u64,
    /// Which probe, if it was one.
    pub probe: Option<ProbeId>,
}

impl Breaker {
    /// A closed breaker.
    #[must_use]
    pub fn new(trip: Trip) -> Self {
        Self { trip, phase: Phase::Closed, since_ms: 0, streak: 0, window: Window::default(), probes: 0 }
    }

    /// Where it is.
    #[must_use]
    pub fn state(&self, at_ms: u64) -> BreakerState {
        match self.phase {
            Phase::Closed => BreakerState::Closed,
            Phase::Broken { until_ms, .. } if at_ms < until_ms => {
                BreakerState::Open { for_ms: until_ms - at_ms }
            }
            Phase::Broken { claim: Some(claim), .. } if at_ms < claim.until_ms => {
                BreakerState::Probing { for_ms: claim.until_ms - at_ms }
            }
            Phase::Broken { .. } => BreakerState::HalfOpen,
        }
    }

    /// Whether it is closed and its last attempt was a success, if there was one.
    #[must_use]
    pub const fn is_well(&self) -> bool {
        matches!(self.phase, Phase::Closed) && self.streak == 0
    }

    /// Takes the probe, if it is to be had.
    pub fn claim(&mut self, at_ms: u64) -> Option<ProbeId> {
        if self.state(at_ms) != BreakerState::HalfOpen {
            return None;
        }
        let Phase::Broken { claim, .. } = &mut self.phase else { return None };
        self.probes += 1;
        let probe = ProbeId(self.probes);
        *claim = Some(Claim { probe, until_ms: at_ms.saturating_add(PROBE_MS) });
        Some(probe)
    }

    /// Gives a probe back that said nothing either way.
    pub fn release(&mut self, probe: ProbeId) {
        if let Phase::Broken { claim, .. } = &mut self.phase
            && claim.is_some_and(|claim| claim.probe == probe)
        {
            *claim = None;
        }
    }

    /// Notes a success. Where the breaker is open, any attempt that began since then closes it: the
    /// probe, or one that was made for want of anything better.
    pub fn succeeded(&mut self, at_ms: u64, began: Began) -> Option<Moved> {
        if began.at_ms < self.since_ms {
            return None;
        }
        match self.phase {
            Phase::Closed => {
                self.streak = 0;
                self.window.note(at_ms, window::Sample::Good);
                None
            }
            Phase::Broken { .. } => {
                self.enter(at_ms, Phase::Closed);
                Some(Moved::Closed)
            }
        }
    }

    /// Notes a failure. Where the breaker is open only its probe counts: what else comes in late would
    /// only say again what is known.
    pub fn failed(&mut self, at_ms: u64, began: Began, random: u64) -> Option<Moved> {
        if began.at_ms < self.since_ms {
            return None;
        }
        match self.phase {
            Phase::Closed => {
                self.streak = self.streak.saturating_add(1);
                self.window.note(at_ms, window::Sample::Bad);
                self.trips(at_ms).then(|| Moved::Opened { for_ms: self.open(at_ms, 0, random) })
            }
            Phase::Broken { claim: Some(claim), failed_probes, .. } if began.probe == Some(claim.probe) => {
                let for_ms = self.open(at_ms, failed_probes.saturating_add(1), random);
                Some(Moved::Reopened { for_ms })
            }
            Phase::Broken { .. } => None,
        }
    }

    fn trips(&self, at_ms: u64) -> bool {
        let (good, bad) = self.window.sum(at_ms);
        let attempts = good.saturating_add(bad);
        self.streak >= self.trip.in_a_row
            || self.trip.half_of.is_some_and(|least| attempts >= least && bad >= good)
    }

    /// Opens for a time drawn evenly from the last quarter up to the full length.
    fn open(&mut self, at_ms: u64, failed_probes: u32, random: u64) -> u64 {
        let longest = (FIRST_OPEN_MS << failed_probes.min(10)).min(LONGEST_OPEN_MS);
        let for_ms = longest - random % (longest / 4 + 1);
        let until_ms = at_ms.saturating_add(for_ms);
        self.enter(at_ms, Phase::Broken { until_ms, failed_probes, claim: None });
        for_ms
    }

    fn enter(&mut self, at_ms: u64, phase: Phase) {
        self.phase = phase;
        self.since_ms = at_ms;
        self.streak = 0;
        self.window = Window::default();
    }
}

/// Until when a provider does not want to be asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cooldown {
    until_ms: u64,
}

impl Cooldown {
    /// Rests for as long as the provider said, else for as long as the policy says; between one second
    /// and ten minutes. A rest that ends later stays.
    pub fn extend(&mut self, at_ms: u64, said: Option<Duration>, default: Duration) {
        let rest = said.unwrap_or(default).clamp(*COOLDOWN.start(), *COOLDOWN.end());
        let rest_ms = u64::try_from(rest.as_millis()).unwrap_or(u64::MAX);
        self.until_ms = self.until_ms.max(at_ms.saturating_add(rest_ms));
    }

    /// How long it rests yet, in milliseconds; 0 when it does not.
    #[must_use]
    pub const fn left_ms(&self, at_ms: u64) -> u64 {
        self.until_ms.saturating_sub(at_ms)
    }
}

#[cfg(test)]
mod tests;
