//! Finds what is kept under a name without a lock; names come rarely and stay.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;

/// As many names are kept. A provider that takes any model name lets callers make up names, and memory
/// must not grow with their fancy.
const MOST: usize = 4_096;

/// What is kept under names.
#[derive(Debug)]
pub(super) struct Registry<K, V> {
    entries: ArcSwap<HashMap<K, Arc<V>>>,
    growing: Mutex<()>,
    most: usize,
}

/// What may be dropped when there is no room.
pub(super) trait Kept: Default {
    /// The least of these goes first.
    fn worth(&self) -> (bool, u64);
}

impl<K, V> Default for Registry<K, V> {
    fn default() -> Self {
        Self { entries: ArcSwap::from_pointee(HashMap::new()), growing: Mutex::default(), most: MOST }
    }
}

impl<K: Clone + Eq + Hash, V: Kept> Registry<K, V> {
    pub(super) fn get(&self, name: &K) -> Option<Arc<V>> {
        self.entries.load().get(name).map(Arc::clone)
    }

    /// What is kept under a name, and whether it is new.
    pub(super) fn get_or_insert(&self, name: &K) -> (Arc<V>, bool) {
        if let Some(known) = self.get(name) {
            return (known, false);
        }
        let _growing = self.growing.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = self.get(name) {
            return (known, false);
        }
        let mut entries = HashMap::clone(&self.entries.load());
        if entries.len() >= self.most {
            let least = entries.iter().min_by_key(|(_, kept)| kept.worth()).map(|(name, _)| name.clone());
            least.and_then(|name| entries.remove(&name));
        }
        let new = Arc::new(V::default());
        entries.insert(name.clone(), Arc::clone(&new));
        self.entries.store(Arc::new(entries));
        (new, true)
    }

    pub(super) fn all(&self) -> Vec<(K, Arc<V>)> {
        self.entries.load().iter().map(|(name, kept)| (name.clone(), Arc::clone(kept))).collect()
    }
}

#[cfg(test)]
mod tests;
