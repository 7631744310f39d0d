//! Finished answers, sealed and bounded; the one that was not asked for longest goes first.
//!
//! The key is made at the start and never leaves the process: nothing here outlives it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use bytes::Bytes;

use super::key::Id;
use super::tape::Head;
use super::{Answer, KEEP_MS};

/// The largest body that is kept.
pub(super) const LARGEST: usize = 1024 * 1024;
/// The most that all together may take.
const MOST: usize = 64 * 1024 * 1024;
/// What an answer takes beside its body and the values of its headers, roughly.
const EXTRA: usize = 1024;

/// Seals answers and opens them, apart from where they are kept: it takes longer than to find them.
pub(super) struct Sealer {
    key: Option<LessSafeKey>,
    /// Counts up: no nonce is used twice under a key that lives as long as this number.
    sealed: AtomicU64,
}

/// The answers of one process.
#[derive(Default)]
pub(super) struct Kept {
    uses: u64,
    bytes: usize,
    answers: HashMap<Id, Place>,
    /// By their last use.
    order: BTreeMap<u64, Id>,
}

struct Place {
    sealed: Arc<Sealed>,
    at: u64,
    last_use: u64,
}

/// An answer that only the sealer of this process can read.
#[derive(Debug)]
pub(super) struct Sealed {
    head: Head,
    nonce: u64,
    body: Vec<u8>,
}

impl Default for Sealer {
    fn default() -> Self {
        let mut key = [0; 32];
        // Without randomness nothing is kept; repeats are refused then, and never carried out again.
        let key = aws_lc_rs::rand::fill(&mut key)
            .and_then(|()| UnboundKey::new(&AES_256_GCM, &key))
            .map(LessSafeKey::new)
            .ok();
        Self { key, sealed: AtomicU64::new(0) }
    }
}

impl Sealer {
    /// Seals an answer for one key of a client, unless it is too large to be kept.
    pub(super) fn seal(&self, id: &Id, answer: &Answer) -> Option<Sealed> {
        let key = self.key.as_ref().filter(|_| answer.body.len() <= LARGEST)?;
        let number = self.sealed.fetch_add(1, Ordering::Relaxed);
        let mut body = answer.body.to_vec();
        key.seal_in_place_append_tag(nonce(number), Aad::from(id.0), &mut body).ok()?;
        Some(Sealed { head: answer.head.clone(), nonce: number, body })
    }

    /// Opens what was sealed for the same key of a client.
    pub(super) fn open(&self, id: &Id, sealed: &Sealed) -> Option<Answer> {
        let mut body = sealed.body.clone();
        let key = self.key.as_ref()?;
        let plain = key.open_in_place(nonce(sealed.nonce), Aad::from(id.0), &mut body).ok()?.len();
        body.truncate(plain);
        Some(Answer { head: sealed.head.clone(), body: Bytes::from(body) })
    }
}

impl Kept {
    /// Keeps an answer.
    pub(super) fn put(&mut self, id: Id, sealed: Sealed, now: u64) {
        self.remove(&id);
        self.drop_old(now);
        self.uses += 1;
        self.bytes += sealed.bytes();
        self.answers.insert(id, Place { sealed: Arc::new(sealed), at: now, last_use: self.uses });
        self.order.insert(self.uses, id);
        while self.bytes > MOST
            && let Some((_, oldest)) = self.order.first_key_value()
        {
            let oldest = *oldest;
            self.remove(&oldest);
        }
    }

    /// An answer, if it is here and not too old.
    pub(super) fn get(&mut self, id: &Id, now: u64) -> Option<Arc<Sealed>> {
        self.drop_old(now);
        let place = self.answers.get_mut(id)?;
        if !place.is_fresh(now) {
            self.remove(id);
            return None;
        }
        self.order.remove(&place.last_use);
        self.uses += 1;
        place.last_use = self.uses;
        self.order.insert(self.uses, *id);
        Some(Arc::clone(&place.sealed))
    }

    /// Lets all go, and says how many there were.
    pub(super) fn clear(&mut self) -> u64 {
        let were = self.answers.len();
        *self = Self { uses: self.uses, ..Self::default() };
        u64::try_from(were).unwrap_or(u64::MAX)
    }

    /// Lets those go that nobody may have any more, as far as they stand first.
    fn drop_old(&mut self, now: u64) {
        while let Some((_, oldest)) = self.order.first_key_value()
            && let oldest = *oldest
            && self.answers.get(&oldest).is_none_or(|place| !place.is_fresh(now))
        {
            self.remove(&oldest);
        }
    }

    fn remove(&mut self, id: &Id) {
        if let Some(place) = self.answers.remove(id) {
            self.bytes -= place.sealed.bytes();
            self.order.remove(&place.last_use);
        }
    }
}

impl Sealed {
    fn bytes(&self) -> usize {
        let headers: usize = self.head.headers.values().map(http::HeaderValue::len).sum();
        self.body.len() + headers + EXTRA
    }
}

impl Place {
    const fn is_fresh(&self, now: u64) -> bool {
        now.saturating_sub(self.at) < KEEP_MS
    }
}

fn nonce(number: u64) -> Nonce {
    let mut nonce = [0; NONCE_LEN];
    for (byte, count) in nonce.iter_mut().zip(number.to_le_bytes()) {
        *byte = count;
    }
    Nonce::assume_unique_for_key(nonce)
}

#[cfg(test)]
mod tests;
