//! Remembers which target a conversation is with, so that its prompt cache is not lost without a gain.
//!
//! A conversation is what a caller names by one session id. What is remembered is bounded, and
//! forgetting it costs a fresh choice, nothing else.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use baton_model::Target;
use baton_policy::Current;

/// How many conversations are remembered, in each of two generations.
const KEPT: usize = 32_768;

/// The targets of conversations.
#[derive(Debug, Default)]
pub(crate) struct Sticky {
    generations: Mutex<Generations>,
}

/// The young fill up, become the old, and the old are forgotten: what is asked for stays young.
#[derive(Debug, Default)]
struct Generations {
    young: HashMap<(String, String), Current>,
    old: HashMap<(String, String), Current>,
}

impl Sticky {
    /// The target that a conversation is with.
    pub(crate) fn get(&self, principal: &str, session: &str) -> Option<Current> {
        let key = (principal.to_owned(), session.to_owned());
        let mut kept = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(current) = kept.young.get(&key) {
            return Some(current.clone());
        }
        let current = kept.old.remove(&key)?;
        kept.put(key, current.clone());
        Some(current)
    }

    /// Notes a target that answered, and how much its prompt cache is expected to hold from now on.
    pub(crate) fn put(&self, principal: &str, session: &str, target: &Target, cached_tokens: u64) {
        let current = Current { target: target.clone(), cached_tokens };
        let mut kept = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        kept.put((principal.to_owned(), session.to_owned()), current);
    }
}

impl Generations {
    fn put(&mut self, key: (String, String), current: Current) {
        if self.young.len() >= KEPT && !self.young.contains_key(&key) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, current);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conversation_is_its_callers_own() {
        let sticky = Sticky::default();
        sticky.put("key_a", "s", &"x/m".parse().unwrap(), 7);
        assert_eq!(sticky.get("key_b", "s"), None);
        assert_eq!(
            sticky.get("key_a", "s"),
            Some(Current { target: "x/m".parse().unwrap(), cached_tokens: 7 })
        );
    }

    #[test]
    fn what_is_asked_for_outlives_what_is_not() {
        let sticky = Sticky::default();
        let target: Target = "x/m".parse().unwrap();
        sticky.put("k", "asked", &target, 0);
        sticky.put("k", "not", &target, 0);
        for round in 0..2 {
            for n in 0..KEPT {
                sticky.put("k", &format!("{round}-{n}"), &target, 0);
            }
            let asked = sticky.get("k", "asked");
            assert!(round > 0 || asked.is_some());
        }
        assert!(sticky.get("k", "asked").is_some());
        assert_eq!(sticky.get("k", "not"), None);
    }
}
