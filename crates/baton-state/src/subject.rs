//! Says whose content something is, so that it can be found and erased.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest::{SHA256, digest};

/// Whose content it is: of the end user that the caller named, else of the caller itself.
///
/// What a caller calls its users may be an address or a name, and of any length. It is known here by its
/// digest only.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Subject(Box<str>);

/// A text that no [`Subject`] is shown as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is no subject")]
pub struct NoSubject;

impl Subject {
    const END_USER: &str = "user_";

    /// The subject of a request: its `safety_identifier`, else its `user`, else who sent it.
    #[must_use]
    pub fn of(principal: &str, safety_identifier: Option<&str>, user: Option<&str>) -> Self {
        let named = [safety_identifier, user].into_iter().flatten().find(|name| !name.is_empty());
        named.map_or_else(|| Self::principal(principal), Self::end_user)
    }

    /// The end user of this name, whichever key it came with.
    #[must_use]
    pub fn end_user(name: &str) -> Self {
        Self(format!("{}{}", Self::END_USER, half_digest(name.as_bytes())).into())
    }

    /// A caller, for what it sent without naming a user.
    #[must_use]
    pub fn principal(principal: &str) -> Self {
        Self(principal.into())
    }

    /// As it is stored.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Subject {
    type Err = NoSubject;

    fn from_str(text: &str) -> Result<Self, NoSubject> {
        if text.is_empty() { Err(NoSubject) } else { Ok(Self(text.into())) }
    }
}

/// The first 128 bits of the SHA-256 of these bytes, as 32 digits.
pub(crate) fn half_digest(bytes: &[u8]) -> String {
    let hash = digest(&SHA256, bytes);
    let half = hash.as_ref().first_chunk().copied().unwrap_or_default();
    format!("{:032x}", u128::from_be_bytes(half))
}

#[cfg(test)]
mod tests;
