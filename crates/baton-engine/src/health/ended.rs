//! Takes in how attempts ended, and lets it count against what the failure table says.

use std::time::Duration;

use baton_model::{FaultKind, Target};
use baton_policy::{Began, Counts, Moved, reaction};
use baton_telemetry::HealthMoved;
use tokio::time::Instant;

use super::{HealthBoard, Picked, Probe, millis};

/// In which form an answer comes: their times are not alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// In pieces; what counts is the time until the first content.
    Stream,
    /// At once; what counts is the time until the end.
    Whole,
}

/// What an attempt was made with.
#[derive(Debug, Default)]
pub struct Attempted {
    /// One of the provider's credentials; `None`: the client's own.
    pub credential: Option<Picked>,
    /// The right to try the target again, if it took one.
    pub probe: Option<Probe>,
}

/// How an attempt ended, or that its first content came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// What went wrong.
    pub fault: Option<FaultKind>,
    /// How long the provider asked to wait.
    pub retry_after: Option<Duration>,
    /// How long it rests if it did not say.
    pub default_cooldown: Duration,
    /// From sending until the first content.
    pub first_content: Option<Duration>,
    /// From sending until now.
    pub total: Duration,
    /// The form of its answer.
    pub form: Form,
}

impl HealthBoard {
    /// Notes how an attempt ended. A stream is told of twice if it fails after its first content: then
    /// that it began well, and later that it broke off.
    pub fn ended(&self, target: &Target, attempted: &mut Attempted, ended: &Ended, now: Instant) {
        let at_ms = self.at_ms(now);
        let began_ms = at_ms.saturating_sub(millis(ended.total));
        let target_began = Began { at_ms: began_ms, probe: attempted.probe.as_ref().map(Probe::id) };
        match ended.fault.map(|kind| reaction(kind).counts) {
            None => {
                let took = match ended.form {
                    Form::Stream => ended.first_content,
                    Form::Whole => Some(ended.total),
                };
                let took = took.map(|took| (ended.form, took));
                let moved = self.known(target).succeeded(at_ms, target_began, took);
                tell_target(target, moved);
                if let Some(picked) = &attempted.credential {
                    let moved =
                        self.of(&target.provider).succeeded(picked.index, at_ms, picked.began(began_ms));
                    tell_credential(target, picked, moved);
                }
            }
            Some(Counts::Nothing) => {}
            Some(Counts::Target) => {
                let moved = self.known(target).failed(at_ms, target_began, (self.dice)());
                tell_target(target, moved);
            }
            Some(counts) => {
                if let Some(picked) = &attempted.credential {
                    self.key_failed(target, picked, counts, (ended, began_ms), at_ms);
                }
            }
        }
        // Whoever tried has had their say: what is still claimed is free again.
        attempted.probe = None;
        if let Some(picked) = &mut attempted.credential {
            picked.probe = None;
        }
    }

    fn key_failed(
        &self,
        target: &Target,
        picked: &Picked,
        counts: Counts,
        (ended, began_ms): (&Ended, u64),
        at_ms: u64,
    ) {
        let (said, default) = (ended.retry_after, ended.default_cooldown);
        match counts {
            Counts::Credential => {
                let began = picked.began(began_ms);
                let moved = self.of(&target.provider).failed(picked.index, at_ms, began, (self.dice)());
                tell_credential(target, picked, moved);
            }
            Counts::CoolsTarget => {
                let key = (picked.index, picked.count);
                if let Some(for_ms) = self.known(target).cool(key, at_ms, said, default) {
                    HealthMoved::Cooling { target, credential: picked.index + 1, for_ms }.emit();
                }
            }
            Counts::CoolsCredential => {
                let cooled = self.of(&target.provider).cool(picked.index, at_ms, said, default);
                if let Some(for_ms) = cooled {
                    HealthMoved::CredentialCooling {
                        provider: &target.provider,
                        credential: picked.index + 1,
                        for_ms,
                    }
                    .emit();
                }
            }
            Counts::Nothing | Counts::Target => {}
        }
    }
}

impl Picked {
    fn began(&self, at_ms: u64) -> Began {
        Began { at_ms, probe: self.probe.as_ref().map(Probe::id) }
    }
}

fn tell_target(target: &Target, moved: Option<Moved>) {
    match moved {
        None => {}
        Some(Moved::Opened { for_ms } | Moved::Reopened { for_ms }) => {
            HealthMoved::Opened { target, for_ms }.emit();
        }
        Some(Moved::Closed) => HealthMoved::Closed { target }.emit(),
    }
}

fn tell_credential(target: &Target, picked: &Picked, moved: Option<Moved>) {
    let (provider, credential) = (&target.provider, picked.index + 1);
    match moved {
        None => {}
        Some(Moved::Opened { for_ms } | Moved::Reopened { for_ms }) => {
            HealthMoved::CredentialOpened { provider, credential, for_ms }.emit();
        }
        Some(Moved::Closed) => HealthMoved::CredentialClosed { provider, credential }.emit(),
    }
}
