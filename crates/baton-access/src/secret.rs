//! Makes API keys and turns presented ones into the MAC they are looked up by.
//!
//! - Start with [`KeySecret::generate`] and [`KeyHasher::mac`].
//! - **Invariant:** a secret has at least 256 random bits.

use aws_lc_rs::hmac::{self, HMAC_SHA256};
use baton_model::Secret;

use crate::random::{NoRandom, random};
use crate::{DerivedKey, KeyMac};

/// What every key starts with, so that people and secret scanners know what they see.
const PREFIX: &str = "bk_";

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// 43 characters out of 62 are 256.03 bits.
const CHARACTERS: usize = 43;

/// An API key in clear. It exists between its making and its being shown, once.
#[derive(Debug, PartialEq, Eq)]
pub struct KeySecret(Secret<String>);

impl KeySecret {
    /// Draws a new key.
    ///
    /// # Errors
    ///
    /// When the system gives no random bytes.
    pub fn generate() -> Result<Self, NoRandom> {
        let mut text = String::with_capacity(PREFIX.len() + CHARACTERS);
        text.push_str(PREFIX);
        while text.len() < PREFIX.len() + CHARACTERS {
            let drawn = random::<64>()?;
            let missing = PREFIX.len() + CHARACTERS - text.len();
            // Bytes from 248 on would make the first eight characters likelier than the others.
            let fair = drawn.iter().filter(|byte| **byte < 248);
            text.extend(
                fair.filter_map(|byte| ALPHABET.get(usize::from(byte % 62)))
                    .map(|c| char::from(*c))
                    .take(missing),
            );
        }
        Ok(Self(Secret::new(text)))
    }

    /// The key itself, to show it.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose()
    }

    /// The last four characters.
    #[must_use]
    pub fn last4(&self) -> String {
        last4(self.expose())
    }
}

/// The last four characters of a key.
pub(crate) fn last4(text: &str) -> String {
    let start = text.char_indices().rev().nth(3).map_or(0, |(at, _)| at);
    text.get(start..).unwrap_or_default().to_owned()
}

/// Computes the MAC by which a key is stored and found.
#[derive(Clone)]
pub struct KeyHasher(hmac::Key);

impl std::fmt::Debug for KeyHasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeyHasher([secret])")
    }
}

impl KeyHasher {
    /// Uses the key derived with [`crate::Label::KeyMac`].
    #[must_use]
    pub fn new(key: &DerivedKey) -> Self {
        Self(hmac::Key::new(HMAC_SHA256, key.expose()))
    }

    /// The MAC of a presented key, whatever it looks like.
    #[must_use]
    pub fn mac(&self, presented: &str) -> KeyMac {
        let mut bytes = [0; 32];
        for (to, from) in bytes.iter_mut().zip(hmac::sign(&self.0, presented.as_bytes()).as_ref()) {
            *to = *from;
        }
        KeyMac::from_bytes(bytes)
    }
}

#[cfg(test)]
mod tests;
