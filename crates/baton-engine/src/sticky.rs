//! Remembers which target a conversation is with, so that its prompt cache is not lost without a gain.
//!
//! A conversation is known by what its caller calls it, by the tool calls that it was given, or by how
//! it begins. What is remembered is bounded, and forgetting it costs a fresh choice, nothing else.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use baton_policy::Current;

/// How many conversations are remembered, in each of two generations.
const KEPT: usize = 32_768;

/// By what a conversation is known to its caller.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Key {
    /// The session's id.
    Session(String),
    /// `prompt_cache_key`.
    Cache(String),
    /// The id of a tool call that the client was given.
    Call(String),
    /// The hash of all messages before an assistant's turn.
    Prefix(u128),
}

/// A conversation, as an answer to it is noted.
#[derive(Debug)]
pub(crate) struct Conversation {
    pub(crate) principal: String,
    pub(crate) keys: Vec<Key>,
    /// Whether it was handed over to where it is.
    pub(crate) handed: bool,
}

/// Where a conversation is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) current: Current,
    /// Whether it was handed over to there. Then no order takes it away again: somebody meant it so.
    pub(crate) handed: bool,
    /// Which agent it is with, where agents have it.
    pub(crate) agent: Option<Box<WithAgent>>,
}

/// The agent that a conversation is with, by names: places change with the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WithAgent {
    /// The one that the client names.
    pub(crate) entry: String,
    /// The one that has it.
    pub(crate) active: String,
    /// Those who get it back, the first one last.
    pub(crate) waiting: Vec<String>,
}

/// The targets of conversations.
#[derive(Debug, Default)]
pub(crate) struct Sticky {
    generations: Mutex<Generations>,
}

/// The young fill up, become the old, and the old are forgotten: what is asked for stays young.
#[derive(Debug, Default)]
struct Generations {
    young: HashMap<(String, Key), Held>,
    old: HashMap<(String, Key), Held>,
}

impl Sticky {
    /// The target that a conversation is with, by the first of the keys that is known.
    pub(crate) fn find(&self, principal: &str, keys: impl IntoIterator<Item = Key>) -> Option<Held> {
        let mut kept = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        keys.into_iter().find_map(|key| kept.get((principal.to_owned(), key)))
    }

    /// Notes a target that answered, and how much its prompt cache is expected to hold from now on.
    pub(crate) fn put(&self, principal: &str, keys: impl IntoIterator<Item = Key>, held: &Held) {
        let mut kept = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        for key in keys {
            kept.put((principal.to_owned(), key), held.clone());
        }
    }
}

impl Generations {
    fn get(&mut self, key: (String, Key)) -> Option<Held> {
        if let Some(held) = self.young.get(&key) {
            return Some(held.clone());
        }
        let held = self.old.remove(&key)?;
        self.put(key, held.clone());
        Some(held)
    }

    fn put(&mut self, key: (String, Key), held: Held) {
        if self.young.len() >= KEPT && !self.young.contains_key(&key) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, held);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(name: &str) -> [Key; 1] {
        [Key::Session(name.to_owned())]
    }

    fn held(target: &str) -> Held {
        let current = Current { target: target.parse().unwrap(), cached_tokens: 7 };
        Held { current, handed: false, agent: None }
    }

    #[test]
    fn a_conversation_is_its_callers_own() {
        let sticky = Sticky::default();
        sticky.put("key_a", session("s"), &held("x/m"));
        assert_eq!(sticky.find("key_b", session("s")), None);
        assert_eq!(sticky.find("key_a", session("s")), Some(held("x/m")));
    }

    #[test]
    fn the_first_key_that_is_known_counts() {
        let sticky = Sticky::default();
        sticky.put("k", [Key::Call("c".to_owned())], &held("x/called"));
        sticky.put("k", [Key::Prefix(7)], &held("x/prefix"));
        let found = |keys: Vec<Key>| sticky.find("k", keys);
        let call = |id: &str| Key::Call(id.to_owned());
        assert_eq!(found(vec![call("other"), call("c"), Key::Prefix(7)]), Some(held("x/called")));
        assert_eq!(found(vec![call("other"), Key::Prefix(7)]), Some(held("x/prefix")));
        assert_eq!(found(vec![Key::Session("c".to_owned())]), None, "kinds of keys are told apart");
    }

    #[test]
    fn what_is_asked_for_outlives_what_is_not() {
        let sticky = Sticky::default();
        sticky.put("k", session("asked"), &held("x/m"));
        sticky.put("k", session("not"), &held("x/m"));
        for round in 0..2 {
            for n in 0..KEPT {
                sticky.put("k", session(&format!("{round}-{n}")), &held("x/m"));
            }
            let asked = sticky.find("k", session("asked"));
            assert!(round > 0 || asked.is_some());
        }
        assert!(sticky.find("k", session("asked")).is_some());
        assert_eq!(sticky.find("k", session("not")), None);
    }
}
