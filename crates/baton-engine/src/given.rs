//! Remembers the tool calls that clients were given.
//!
//! Some clients answer a call without sending the call itself back: the Python client of Dedalus does so where it
//! streams. No upstream takes that, and a call that is made up says nothing to a model; the one that was made does.
//!
//! - **Invariant:** what is kept is bounded in bytes, and only its own caller finds it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use baton_dialect::{DecodeError, GivenCall, restore_calls};
use baton_model::{Part, PartKind, RawJson};

use crate::Ask;

/// How much is kept, in each of two generations.
const KEPT_BYTES: usize = 8 * 1024 * 1024;
/// The largest call that is kept.
const LARGEST: usize = 64 * 1024;
/// What an entry takes beside its texts, about.
const ENTRY: usize = 256;

/// A call that a client was given.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Given {
    pub(crate) id: String,
    pub(crate) name: String,
    /// JSON text.
    pub(crate) arguments: String,
    /// What its maker put beside it.
    attached: Vec<(String, RawJson)>,
}

impl Given {
    /// The call that a part is, if it is one.
    pub(crate) fn of(part: &Part) -> Option<Self> {
        let PartKind::ToolCall { id, name, arguments } = &part.kind else { return None };
        let (id, name, arguments) = (id.clone(), name.clone(), arguments.clone());
        Some(Self { id, name, arguments, attached: part.attached().to_vec() })
    }

    fn size(&self) -> usize {
        let attached: usize = self.attached.iter().map(|(key, value)| key.len() + value.get().len()).sum();
        ENTRY + self.id.len() + self.name.len() + self.arguments.len() + attached
    }
}

/// The calls of all callers. The young fill up, become the old, and the old are forgotten.
#[derive(Debug, Default)]
pub(crate) struct GivenCalls {
    generations: Mutex<Generations>,
}

#[derive(Debug, Default)]
struct Generations {
    young: HashMap<(String, String), Arc<Given>>,
    old: HashMap<(String, String), Arc<Given>>,
    young_bytes: usize,
}

impl GivenCalls {
    /// Notes what a caller was given.
    pub(crate) fn put(&self, principal: &str, calls: &[Given]) {
        let mut kept = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        for call in calls.iter().filter(|call| call.size() <= LARGEST) {
            if kept.young_bytes + call.size() > KEPT_BYTES {
                kept.old = std::mem::take(&mut kept.young);
                kept.young_bytes = 0;
            }
            kept.young_bytes += call.size();
            let key = (principal.to_owned(), call.id.clone());
            if let Some(before) = kept.young.insert(key, Arc::new(call.clone())) {
                kept.young_bytes -= before.size();
            }
        }
    }

    fn find(&self, principal: &str, id: &str) -> Option<Arc<Given>> {
        let kept = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (principal.to_owned(), id.to_owned());
        kept.young.get(&key).or_else(|| kept.old.get(&key)).cloned()
    }

    /// The request with the calls that its results answer and that it leaves out, as far as they are known.
    ///
    /// # Errors
    /// When the messages cannot be read.
    pub(crate) fn restored(&self, ask: Arc<Ask>) -> Result<Arc<Ask>, DecodeError> {
        let principal = &ask.caller.principal;
        let find = |id: &str| {
            let given = self.find(principal, id)?;
            let Given { name, arguments, attached, .. } = given.as_ref();
            let (name, arguments, attached) = (name.clone(), arguments.clone(), attached.clone());
            Some(GivenCall { name, arguments, attached })
        };
        match restore_calls(ask.dialect, &ask.body, &find)? {
            Some(body) => Ok(Arc::new(Ask { body, ..ask.as_ref().clone() })),
            None => Ok(ask),
        }
    }
}

#[cfg(test)]
mod tests {
    use baton_model::Dialect;

    use super::*;

    fn given(id: &str, bytes: usize) -> Given {
        let kind =
            PartKind::ToolCall { id: id.to_owned(), name: "f".to_owned(), arguments: "x".repeat(bytes) };
        Given::of(&Part::new(kind, Dialect::OpenaiChat)).unwrap()
    }

    #[test]
    fn a_call_is_its_callers_own() {
        let calls = GivenCalls::default();
        calls.put("a", &[given("c", 1)]);
        assert!(calls.find("a", "c").is_some());
        assert_eq!(calls.find("b", "c"), None);
    }

    #[test]
    fn what_is_too_large_is_not_kept_and_the_oldest_are_forgotten() {
        let calls = GivenCalls::default();
        calls.put("a", &[given("large", LARGEST)]);
        assert_eq!(calls.find("a", "large"), None);
        let size = LARGEST / 2;
        let all = 2 * KEPT_BYTES / size + 2;
        for n in 0..all {
            calls.put("a", &[given(&n.to_string(), size)]);
        }
        assert_eq!(calls.find("a", "0"), None);
        assert!(calls.find("a", &(all - 1).to_string()).is_some());
        let kept = calls.generations.lock().unwrap();
        assert!(kept.young_bytes <= KEPT_BYTES);
        assert_eq!(kept.young_bytes, kept.young.values().map(|call| call.size()).sum::<usize>());
    }

    #[test]
    fn one_that_is_given_again_counts_once() {
        let calls = GivenCalls::default();
        calls.put("a", &[given("c", 1), given("c", 10)]);
        assert_eq!(calls.generations.lock().unwrap().young_bytes, given("c", 10).size());
    }
}
