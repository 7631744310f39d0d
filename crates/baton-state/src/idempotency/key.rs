//! The key of a client, and what it is known by inside.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac;

/// The longest key.
const MAX_LEN: usize = 255;

/// An `Idempotency-Key`: 1 to 255 printable ASCII characters.
#[derive(Clone, PartialEq, Eq)]
pub struct IdempotencyKey(Box<str>);

/// Why a text is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Nothing in it.
    #[error("it is empty")]
    Empty,
    /// Too long.
    #[error("it has {0} characters, and may have {MAX_LEN}")]
    TooLong(usize),
    /// Something that is not printable ASCII.
    #[error("it may have printable ASCII characters only")]
    NotPrintable,
}

impl FromStr for IdempotencyKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        match text.len() {
            0 => Err(KeyError::Empty),
            _ if text.bytes().any(|byte| !(b' '..=b'~').contains(&byte)) => Err(KeyError::NotPrintable),
            1..=MAX_LEN => Ok(Self(text.into())),
            length => Err(KeyError::TooLong(length)),
        }
    }
}

impl fmt::Debug for IdempotencyKey {
    /// Clients put names and numbers into their keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IdempotencyKey")
    }
}

/// A request as far as it matters to its key.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Whose key it is: two callers may choose the same text.
    pub principal: &'a str,
    /// The path as matched.
    pub surface: &'a str,
    /// The key.
    pub key: &'a IdempotencyKey,
    /// What is asked.
    pub body: &'a [u8],
}

/// What a key of one caller on one surface is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Id(pub(super) [u8; 16]);

/// What tells two bodies apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fingerprint(pub(super) [u8; 16]);

impl Asked<'_> {
    pub(super) fn id(&self, mac: &hmac::Key) -> Id {
        let mut context = hmac::Context::with_key(mac);
        for part in [self.principal, self.surface, &*self.key.0] {
            // With their lengths, so that no two lists of parts read alike.
            context.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_le_bytes());
            context.update(part.as_bytes());
        }
        Id(half(context.sign().as_ref()))
    }

    pub(super) fn fingerprint(&self) -> Fingerprint {
        Fingerprint(half(digest(&SHA256, self.body).as_ref()))
    }
}

/// The first 128 of 256 bits: enough against chance, and a key's owner gains nothing by a collision.
fn half(digest: &[u8]) -> [u8; 16] {
    digest.first_chunk().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests;
