//! Ties each entry to the one before it, and signs where a chain stands.
//!
//! The hash of an entry covers the hash before it, its number and the digest of its payload. The
//! payload goes in as a digest so that the long part is hashed before the journal's lock is taken.
//!
//! - Start with [`Hash::link`].
//! - **Claim:** whoever changes an entry without the signing key is found by [`crate::verify`].

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac;
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::{ChainHead, Checkpoint, Dropped, SigningKey};

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

/// Signs checkpoints. Clones share the key.
#[derive(Clone)]
pub struct CheckpointSigner {
    pair: Arc<Ed25519KeyPair>,
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
        Ok(Self { pair: Arc::new(pair), key })
    }

    /// The signer that follows so many others of this secret seed; the first of them is
    /// [`Self::from_seed`]'s. Replicas with the same seed have the same signers.
    ///
    /// # Errors
    /// When the cryptographic library refuses the seed.
    pub fn successor(seed: &[u8; 32], generation: u32) -> Result<Self, SeedError> {
        if generation == 0 {
            return Self::from_seed(seed);
        }
        let key = hmac::Key::new(hmac::HMAC_SHA256, seed);
        let text = format!("baton signing seed 1\n{generation}\n");
        let tag = hmac::sign(&key, text.as_bytes());
        let next = tag.as_ref().first_chunk().ok_or(SeedError)?;
        Self::from_seed(next)
    }

    /// The public half, for [`crate::verify`].
    #[must_use]
    pub fn public_key(&self) -> CheckpointKey {
        self.key.clone()
    }

    /// Signs that all entries up to this head were synced at this time.
    #[must_use]
    pub fn sign(&self, at_ms: u64, head: ChainHead) -> Checkpoint {
        let signature = self.signature(&text_of_checkpoint(at_ms, &head));
        Checkpoint { at_ms, head, signature, signer: self.key.fingerprint() }
    }

    /// Signs that retention drops these chains up to these heads, and rows older than `before_ms`.
    #[must_use]
    pub fn sign_drop(&self, at_ms: u64, before_ms: u64, heads: Vec<ChainHead>, decisions: u64) -> Dropped {
        let mut dropped = Dropped {
            at_ms,
            before_ms,
            heads,
            decisions,
            signature: String::new(),
            signer: self.key.fingerprint(),
        };
        dropped.signature = self.signature(&text_of_drop(&dropped));
        dropped
    }

    /// Signs that another key takes over from this one.
    #[must_use]
    pub fn sign_key(&self, at_ms: u64, successor: &CheckpointKey) -> SigningKey {
        let (public, previous) = (successor.to_base64(), self.key.fingerprint());
        let signature = self.signature(&text_of_key(at_ms, &public, &previous));
        SigningKey { at_ms, public, previous, signature }
    }

    fn signature(&self, text: &str) -> String {
        STANDARD.encode(self.pair.sign(text.as_bytes()).as_ref())
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

    /// The 32 bytes in base64, as they are handed to whoever verifies.
    #[must_use]
    pub fn to_base64(&self) -> String {
        STANDARD.encode(&self.0)
    }

    /// Whether this key signed the checkpoint, as it stands.
    #[must_use]
    pub fn has_signed(&self, checkpoint: &Checkpoint) -> bool {
        let text = text_of_checkpoint(checkpoint.at_ms, &checkpoint.head);
        checkpoint.signer == self.fingerprint() && self.verifies(&text, &checkpoint.signature)
    }

    /// Whether this key signed what is dropped, as it stands.
    #[must_use]
    pub fn has_signed_drop(&self, dropped: &Dropped) -> bool {
        dropped.signer == self.fingerprint() && self.verifies(&text_of_drop(dropped), &dropped.signature)
    }

    /// The key that this one vouches for; `None` when this key did not sign that.
    #[must_use]
    pub fn successor(&self, key: &SigningKey) -> Option<Self> {
        let text = text_of_key(key.at_ms, &key.public, &key.previous);
        let vouched = key.previous == self.fingerprint() && self.verifies(&text, &key.signature);
        vouched.then(|| key.public.parse().ok()).flatten()
    }

    fn verifies(&self, text: &str, signature: &str) -> bool {
        let Ok(signature) = STANDARD.decode(signature) else { return false };
        UnparsedPublicKey::new(&ED25519, &self.0).verify(text.as_bytes(), &signature).is_ok()
    }
}

/// A text that is not a public key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a public key is 32 bytes in base64")]
pub struct KeyError;

impl FromStr for CheckpointKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes = STANDARD.decode(text.trim()).map_err(|_not_base64| KeyError)?;
        if bytes.len() == 32 { Ok(Self(bytes)) } else { Err(KeyError) }
    }
}

impl fmt::Debug for CheckpointKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CheckpointKey({})", self.fingerprint())
    }
}

// What is signed: one line per value, so that no two statements share a text.

fn text_of_checkpoint(at_ms: u64, head: &ChainHead) -> String {
    format!("baton checkpoint 1\n{at_ms}\n{}\n{}\n{}\n", head.boot, head.seq, head.hash)
}

fn text_of_drop(dropped: &Dropped) -> String {
    let Dropped { at_ms, before_ms, heads, decisions, .. } = dropped;
    let mut text = format!("baton dropped 1\n{at_ms}\n{before_ms}\n{decisions}\n{}\n", heads.len());
    for head in heads {
        text.extend([head.boot.to_string().as_str(), "\n", &head.seq.to_string(), "\n", &head.hash, "\n"]);
    }
    text
}

fn text_of_key(at_ms: u64, public: &str, previous: &str) -> String {
    format!("baton signing key 1\n{at_ms}\n{public}\n{previous}\n")
}

#[cfg(test)]
mod tests;
