//! Seals content so that only this installation can open it, and only where it belongs.
//!
//! AES-256-GCM breaks when a nonce repeats under one key, and 96 random bits are too few for a busy
//! gateway. So each envelope has 192 random bits: the first half picks a key of its own, the second
//! half is the nonce under it.
//!
//! ```text
//! version (1) | key id (4) | key salt (12) | nonce (12) | ciphertext | tag (16)
//! ```
//!
//! - Start with [`Sealer::seal`].
//! - **Invariant:** an envelope opens only with the context it was sealed for, so that two rows
//!   cannot be swapped. The header is authenticated too.
//! - **Never here:** what the context means; the caller passes the row's id.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac::{self, HMAC_SHA256};

use crate::DerivedKey;
use crate::random::{NoRandom, random};

const VERSION: u8 = 1;
const HEADER: usize = 1 + 4 + 12 + 12;
const TAG: usize = 16;

/// Why an envelope does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Too short, or of a version that this build does not know.
    #[error("this is not a sealed envelope")]
    NotAnEnvelope,
    /// Sealed under a key that is not here.
    #[error("the envelope was sealed under another master key")]
    UnknownKey,
    /// Changed, or sealed for another place.
    #[error("the envelope was changed, or belongs elsewhere")]
    Refused,
}

/// Seals under one key, and opens what that key or an older one sealed.
#[derive(Clone)]
pub struct Sealer {
    present: SealingKey,
    older: Vec<SealingKey>,
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sealer").field("key_id", &self.present.id).finish_non_exhaustive()
    }
}

#[derive(Clone)]
struct SealingKey {
    id: [u8; 4],
    key: hmac::Key,
}

impl Sealer {
    /// Seals under the key derived with [`crate::Label::Sealing`].
    #[must_use]
    pub fn new(key: &DerivedKey) -> Self {
        Self { present: SealingKey::new(key), older: Vec::new() }
    }

    /// Also opens what this key sealed, after a change of the master key.
    #[must_use]
    pub fn with_older(mut self, key: &DerivedKey) -> Self {
        self.older.push(SealingKey::new(key));
        self
    }

    /// Seals bytes for one place, such as the id of their row.
    ///
    /// # Errors
    ///
    /// When the system gives no random bytes.
    pub fn seal(&self, context: &[u8], plain: &[u8]) -> Result<Vec<u8>, NoRandom> {
        let salt = random::<12>()?;
        let nonce = random::<12>()?;
        let mut envelope = Vec::with_capacity(HEADER + plain.len() + TAG);
        envelope.push(VERSION);
        envelope.extend_from_slice(&self.present.id);
        envelope.extend_from_slice(&salt);
        envelope.extend_from_slice(&nonce);
        let aad = authenticated(&envelope, context);
        let mut sealed = plain.to_vec();
        let done = self.present.cipher(&salt).seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(aad),
            &mut sealed,
        );
        #[expect(clippy::expect_used, reason = "AES-GCM refuses only texts over 64 GiB")]
        done.expect("the text fits in memory");
        envelope.append(&mut sealed);
        Ok(envelope)
    }

    /// Opens an envelope that was sealed for this context.
    ///
    /// # Errors
    ///
    /// When it is none, its key is unknown, it was changed, or it was sealed for another context.
    pub fn open(&self, context: &[u8], envelope: &[u8]) -> Result<Vec<u8>, OpenError> {
        let (header, sealed) = envelope.split_first_chunk::<HEADER>().ok_or(OpenError::NotAnEnvelope)?;
        let [VERSION, rest @ ..] = header else {
            return Err(OpenError::NotAnEnvelope);
        };
        let (id, rest) = rest.split_first_chunk::<4>().ok_or(OpenError::NotAnEnvelope)?;
        let (salt, nonce) = rest.split_first_chunk::<12>().ok_or(OpenError::NotAnEnvelope)?;
        let nonce =
            Nonce::try_assume_unique_for_key(nonce).map_err(|_unspecified| OpenError::NotAnEnvelope)?;
        let key = self.keys().find(|key| key.id == *id).ok_or(OpenError::UnknownKey)?;
        let mut plain = sealed.to_vec();
        let len = key
            .cipher(salt)
            .open_in_place(nonce, Aad::from(authenticated(header, context)), &mut plain)
            .map_err(|_unspecified| OpenError::Refused)?
            .len();
        plain.truncate(len);
        Ok(plain)
    }

    fn keys(&self) -> impl Iterator<Item = &SealingKey> {
        std::iter::once(&self.present).chain(&self.older)
    }
}

impl SealingKey {
    fn new(key: &DerivedKey) -> Self {
        let hash = digest(&SHA256, key.expose());
        let id = hash.as_ref().first_chunk::<4>().copied().unwrap_or_default();
        Self { id, key: hmac::Key::new(HMAC_SHA256, key.expose()) }
    }

    /// The cipher under the key that this salt picks.
    fn cipher(&self, salt: &[u8; 12]) -> LessSafeKey {
        let picked = hmac::sign(&self.key, salt);
        let unbound = UnboundKey::new(&AES_256_GCM, picked.as_ref());
        #[expect(clippy::expect_used, reason = "HMAC-SHA-256 gives 32 bytes, and AES-256 takes 32")]
        LessSafeKey::new(unbound.expect("32 bytes"))
    }
}

/// The header has a fixed length, so header and context cannot be confused.
fn authenticated(header: &[u8], context: &[u8]) -> Vec<u8> {
    [header, context].concat()
}

#[cfg(test)]
mod tests;
