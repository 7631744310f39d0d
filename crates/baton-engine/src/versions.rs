//! Gives each request the version of a stored policy that plans it, and compares with the one on trial.
//!
//! - Start with [`StoredPolicies`].
//! - **Invariant:** who draws a canary's version is settled by the caller and the conversation, so that a
//!   conversation does not go back and forth; a larger share keeps everybody who had it.
//! - **Never here:** where versions come from and who may change them.

use std::collections::HashMap;
use std::sync::Arc;

use baton_audit::{Shadow, ShadowResult, choose};
use baton_policy::{Candidate, Inputs, Knowledge, Policy};
use baton_telemetry::ShadowCompared;

use crate::Ask;
use crate::catalog::AUTO;

/// The policies of the store that are in force, by name.
#[derive(Debug, Default)]
pub struct StoredPolicies(HashMap<String, StoredPolicy>);

/// What is in force of one policy.
#[derive(Debug)]
pub struct StoredPolicy {
    /// The version that plans.
    pub active: Arc<Policy>,
    /// The version that plans so many of a hundred requests instead.
    pub canary: Option<(Arc<Policy>, u8)>,
    /// The version that is planned with beside.
    pub shadow: Option<Arc<Policy>>,
}

impl FromIterator<StoredPolicy> for StoredPolicies {
    fn from_iter<T: IntoIterator<Item = StoredPolicy>>(policies: T) -> Self {
        Self(policies.into_iter().map(|it| (it.active.reference.name.clone(), it)).collect())
    }
}

impl StoredPolicies {
    /// The versions that plan requests, in no order.
    pub(crate) fn planning(&self) -> impl Iterator<Item = &Arc<Policy>> {
        self.0
            .values()
            .flat_map(|it| [Some(&it.active), it.canary.as_ref().map(|(canary, _)| canary)])
            .flatten()
    }

    /// The version on trial beside this one.
    pub(crate) fn shadow(&self, policy: &Policy) -> Option<&Arc<Policy>> {
        let stored = self.0.get(&policy.reference.name)?;
        // A policy of the file may have come to have that name since: it is another one then.
        let planned = [Some(&stored.active), stored.canary.as_ref().map(|(canary, _)| canary)];
        let is_stored = planned.into_iter().flatten().any(|it| it.reference == policy.reference);
        stored.shadow.as_ref().filter(|_| is_stored)
    }

    /// The version that a request of this caller in this conversation gets.
    fn draw(&self, name: &str, principal: &str, conversation: &str) -> Option<&Arc<Policy>> {
        let StoredPolicy { active, canary, .. } = self.0.get(name)?;
        match canary {
            Some((canary, percent)) if lot(&[name, principal, conversation]) < *percent => Some(canary),
            _ => Some(active),
        }
    }
}

/// The stored policies as one request sees them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Drawing<'a>(Option<(&'a StoredPolicies, &'a Ask)>);

impl<'a> Drawing<'a> {
    pub(crate) const fn new(stored: &'a StoredPolicies, ask: &'a Ask) -> Self {
        Self(Some((stored, ask)))
    }

    /// The version that the request gets.
    pub(crate) fn policy(self, name: &str) -> Option<&'a Arc<Policy>> {
        let (stored, ask) = self.0?;
        match &ask.labels.session {
            Some(session) => stored.draw(name, &ask.caller.principal, session),
            None => stored.draw(name, &ask.caller.principal, &ask.request.to_string()),
        }
    }

    /// Every name that can be named.
    pub(crate) fn names(self) -> impl Iterator<Item = String> {
        self.0.into_iter().flat_map(|(stored, _)| stored.0.keys().cloned())
    }
}

/// Plans with the version on trial, from what was gathered for the one that counts, and compares.
pub(crate) fn beside(
    trial: &Policy,
    counts: &Policy,
    knowledge: &Knowledge,
    ask: &Ask,
    inputs: &Inputs,
    chosen: Option<&Candidate>,
) -> Shadow {
    let chosen = chosen.map(|candidate| &candidate.target);
    let compared = if leaves_the_pool_to_the_policy(ask) && trial.pool() != counts.pool() {
        Err("the models of its own pool were not looked at")
    } else {
        choose(trial, knowledge, inputs.clone()).map(|to| (to.as_ref() == chosen, to))
    };
    let same = compared.as_ref().ok().map(|(same, _)| *same);
    ShadowCompared { policy: &trial.reference.name, same }.emit();
    Shadow {
        policy: trial.reference.name.clone(),
        version: trial.reference.version.clone(),
        result: match compared {
            Ok((same, to)) => ShadowResult::Planned { to, same },
            Err(missing) => ShadowResult::Undetermined { undetermined: missing.to_owned() },
        },
    }
}

/// Whether the request names no models of its own.
fn leaves_the_pool_to_the_policy(ask: &Ask) -> bool {
    matches!(ask.models.names.as_slice(), [name] if name == AUTO || name.starts_with("policy/"))
}

/// A number from 0 to 99 that is always the same for the same texts: FNV-1a with the finish of
/// `SplitMix64`, so that texts that differ in one digit are far apart.
fn lot(texts: &[&str]) -> u8 {
    let bytes = texts.iter().flat_map(|text| text.bytes().chain([0xff]));
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    u8::try_from((hash ^ (hash >> 31)) % 100).unwrap_or_default()
}

#[cfg(test)]
mod tests;
