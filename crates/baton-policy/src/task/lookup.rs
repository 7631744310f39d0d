//! Finds a value by the hash of a word: an open table, filled once and read many times.
//!
//! The standard map would spend more on its keyed hash than the whole reading may cost. Keys here are
//! hashes already, and the words come from our own files, so nobody can choose them to collide.
//!
//! - Start with [`Lookup::new`].
//! - **Invariant:** at least half of the slots are empty, so that a search ends.

/// Values by word hash.
#[derive(Debug)]
pub(super) struct Lookup<V> {
    slots: Box<[Option<(u32, V)>]>,
    mask: usize,
}

impl<V: Copy> Lookup<V> {
    /// Puts the pairs in; `merge` joins the values of pairs with the same key.
    pub(super) fn new(pairs: &[(u32, V)], merge: impl Fn(V, V) -> V) -> Self {
        let size = (pairs.len() * 2).next_power_of_two().max(2);
        let mut lookup = Self { slots: vec![None; size].into_boxed_slice(), mask: size - 1 };
        for (key, value) in pairs {
            let at = lookup.find(*key);
            if let Some(slot) = lookup.slots.get_mut(at) {
                let joined = match *slot {
                    Some((_, old)) => merge(old, *value),
                    None => *value,
                };
                *slot = Some((*key, joined));
            }
        }
        lookup
    }

    /// The value of a key.
    pub(super) fn get(&self, key: u32) -> Option<V> {
        let slot = self.slots.get(self.find(key))?;
        slot.as_ref().map(|(_, value)| *value)
    }

    /// The slot where the key is, or would be.
    fn find(&self, key: u32) -> usize {
        let mut at = spread(key) & self.mask;
        while let Some(Some((found, _))) = self.slots.get(at) {
            if *found == key {
                break;
            }
            at = (at + 1) & self.mask;
        }
        at
    }
}

/// The low bits of a word hash are its weakest: mixes the high ones in.
fn spread(key: u32) -> usize {
    usize::try_from(key ^ (key >> 15)).unwrap_or(0)
}
