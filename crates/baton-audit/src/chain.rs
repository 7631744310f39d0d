//! Ties each entry to the one before it, and signs where a chain stands.
//!
//! The hash of an entry covers the hash before it, its number and the digest of its payload. The
//! payload goes in as a digest so that the long part is hashed before the journal's lock is taken.
//!
//! - Start with [`Hash::link`].
//! - **Claim:** whoever changes an entry without the signing key is found by [`crate::verify`].

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::{ChainHead, Checkpoint};

/// A SHA-256 value, shown as 64 hex digits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Hash([u8; 32]);

impl Hash {
    /// What the first entry of a chain has before it.
    pub const GENESIS: Self = Self([0; 32]);

    /// The hash of a text.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self::from_digest(&digest(&SHA256, bytes))
    }

    /// The hash of an entry, from the hash before it, its number and the digest of its payload.
    #[must_use]
    pub fn link(self, seq: u64, payload: Self) -> Self {
        let mut text = [0; 32 + 8 + 32];
        let parts = self.0.into_iter().chain(seq.to_le_bytes()).chain(payload.0);
        text.iter_mut().zip(parts).for_each(|(to, from)| *to = from);
        Self::of(&text)
    }

    /// The hash from its bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    fn from_digest(digest: &aws_lc_rs::digest::Digest) -> Self {
        let mut bytes = [0; 32];
        bytes.iter_mut().zip(digest.as_ref()).for_each(|(to, from)| *to = *from);
        Self(bytes)
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is not a hash.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a hash has 64 hex digits")]
pub struct HashError;

impl FromStr for Hash {
    type Err = HashError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.as_bytes();
        if digits.len() != 64 {
            return Err(HashError);
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            for digit in pair {
                let value = char::from(*digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
                *byte = (*byte << 4) | value.ok_or(HashError)?;
            }
        }
        Ok(Self(bytes))
    }
}

/// Signs checkpoints.
pub struct CheckpointSigner {
    pair: Ed25519KeyPair,
    key: CheckpointKey,
}

/// A seed that makes no key.
#[derive(Debug, thiserror::Error)]
#[error("the seed of the signing key was refused")]
pub struct SeedError;

impl CheckpointSigner {
    /// The signer that this secret seed makes; the same seed makes the same signer.
    ///
    /// # Errors
    /// When the cryptographic library refuses the seed.
    pub fn from_seed(seed: &[u8; 32]) -> Result<Self, SeedError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_rejected| SeedError)?;
        let key = CheckpointKey::from_bytes(pair.public_key().as_ref());
        Ok(Self { pair, key })
    }

    /// The public half, for [`crate::verify`].
    #[must_use]
    pub fn public_key(&self) -> CheckpointKey {
        self.key.clone()
    }

    /// Signs that all entries up to this head were synced at this time.
    #[must_use]
    pub fn sign(&self, at_ms: u64, head: ChainHead) -> Checkpoint {
        let signature = self.pair.sign(canonical_text(at_ms, &head).as_bytes());
        let signature = STANDARD.encode(signature.as_ref());
        Checkpoint { at_ms, head, signature, signer: self.key.fingerprint() }
    }
}

impl fmt::Debug for CheckpointSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CheckpointSigner").field("key", &self.key).finish_non_exhaustive()
    }
}

/// The public half of a signing key.
#[derive(Clone, PartialEq, Eq)]
pub struct CheckpointKey(Vec<u8>);

impl CheckpointKey {
    /// The key from its 32 bytes; any other length verifies nothing.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }

    /// The name of the key in a checkpoint: the hex digits of its hash.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        Hash::of(&self.0).to_string()
    }

    /// Whether this key signed the checkpoint, as it stands.
    #[must_use]
    pub fn has_signed(&self, checkpoint: &Checkpoint) -> bool {
        let Ok(signature) = STANDARD.decode(&checkpoint.signature) else { return false };
        let text = canonical_text(checkpoint.at_ms, &checkpoint.head);
        checkpoint.signer == self.fingerprint()
            && UnparsedPublicKey::new(&ED25519, &self.0).verify(text.as_bytes(), &signature).is_ok()
    }
}

impl fmt::Debug for CheckpointKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CheckpointKey({})", self.fingerprint())
    }
}

/// What is signed: one line per value, so that no two statements share a text.
fn canonical_text(at_ms: u64, head: &ChainHead) -> String {
    format!("baton checkpoint 1\n{at_ms}\n{}\n{}\n{}\n", head.boot, head.seq, head.hash)
}

#[cfg(test)]
mod tests;
