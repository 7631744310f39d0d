//! Describes an API key as it is stored: its MAC, what it may do, and until when.
//!
//! The id is the identity: rotation gives a key a new secret, and its decisions, its limits and its
//! name stay with it.
//!
//! - Start with [`KeyRecord`].
//! - **Invariant:** a record holds nothing from which its secret can be found.
//! - **Never here:** the secret itself.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use baton_model::KeyId;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::Grant;

/// A stored key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyRecord {
    /// Its identity, kept over rotations.
    pub id: KeyId,
    /// What people call it. Need not be unique.
    pub name: String,
    /// HMAC-SHA-256 of the present secret.
    pub mac: KeyMac,
    /// The last four characters of the present secret, to tell keys apart on sight.
    pub last4: String,
    /// The secret before the last rotation, while it may still be used.
    pub rotated_from: Option<RotatedSecret>,
    /// What it may do.
    pub role: Role,
    /// The models it may use; `None` for all. A trailing `*` matches any rest.
    pub models: Option<Vec<String>>,
    /// Whether its requests may bring provider keys of their own.
    pub byok: bool,
    /// How many requests it may have open at once; `None` for no limit.
    pub concurrency: Option<u32>,
    /// When it was made.
    pub created_ms: u64,
    /// From when on it is refused; `None` for never.
    pub expires_ms: Option<u64>,
    /// Since when it is withdrawn.
    pub revoked_ms: Option<u64>,
    /// The store's revision that wrote this record; 0 before the first write.
    pub revision: u64,
}

impl KeyRecord {
    /// How much it may do.
    #[must_use]
    pub fn grant(&self) -> Grant {
        Grant {
            role: self.role,
            models: self.models.clone(),
            byok: self.byok,
            concurrency: self.concurrency,
            expires_ms: self.expires_ms,
        }
    }
}

/// A secret that a rotation replaced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RotatedSecret {
    /// HMAC-SHA-256 of the old secret.
    pub mac: KeyMac,
    /// Its last four characters.
    pub last4: String,
    /// From when on it is refused.
    pub until_ms: u64,
}

/// HMAC-SHA-256 of a secret under the master key. Shown and stored as 43 characters of base64url.
///
/// Comparing two of them need not be constant-time: without the master key nobody can choose one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyMac([u8; 32]);

impl KeyMac {
    /// Takes a MAC back from storage.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for KeyMac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for KeyMac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for KeyMac {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for KeyMac {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(de::Error::custom)?;
        bytes.try_into().map(Self).map_err(|_bytes| de::Error::custom("a MAC has 32 bytes"))
    }
}

/// What a key may do. A key may make others of its own role or of one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Send requests, read its own decisions.
    Use,
    /// Read everybody's decisions and the configuration; send no requests.
    Viewer,
    /// Change keys and policies.
    Admin,
}

impl Role {
    /// Every role, the weakest first.
    pub const ALL: [Self; 3] = [Self::Use, Self::Viewer, Self::Admin];

    /// The name used in commands, records and columns.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Use => "use",
            Self::Viewer => "viewer",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A role name that Baton does not know.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown role `{0}`, expected one of `use`, `viewer`, `admin`")]
pub struct UnknownRole(pub String);

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|role| role.as_str() == name).ok_or_else(|| UnknownRole(name.to_owned()))
    }
}
