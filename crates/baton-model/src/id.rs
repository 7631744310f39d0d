//! Gives every kind of thing its own id type, shown with a prefix.
//!
//! An id is a `UUIDv7`: sorting ids sorts by time of making. The caller brings the time and the
//! dice, so that this crate has neither.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

/// A text that is not an id of the wanted kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{value}` is not an id of the form `{prefix}…`")]
pub struct IdError {
    prefix: &'static str,
    value: String,
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Uuid);

        impl $name {
            /// What stands before the digits when the id is shown.
            pub const PREFIX: &'static str = $prefix;

            /// Makes an id from a time and ten random bytes.
            #[must_use]
            pub fn from_parts(unix_ms: u64, random: [u8; 10]) -> Self {
                Self(uuid::Builder::from_unix_timestamp_millis(unix_ms, &random).into_uuid())
            }

            /// The id without its prefix.
            #[must_use]
            pub const fn uuid(self) -> Uuid {
                self.0
            }

            /// Takes an id back from storage.
            #[must_use]
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// When the id was made, in milliseconds since 1970.
            #[must_use]
            pub const fn unix_ms(self) -> u64 {
                let (ms, _) = self.0.as_u64_pair();
                ms >> 16
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                // Written in one piece: an id is written ten times for each request.
                let mut text = [0; $prefix.len() + 32];
                let (prefix, digits) = text.split_at_mut($prefix.len());
                prefix.copy_from_slice($prefix.as_bytes());
                self.0.as_simple().encode_lower(digits);
                f.write_str(std::str::from_utf8(&text).unwrap_or_default())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.strip_prefix($prefix)
                    .filter(|digits| digits.len() == 32)
                    .and_then(|digits| Uuid::try_parse(digits).ok())
                    .map(Self)
                    .ok_or_else(|| IdError { prefix: $prefix, value: text.chars().take(64).collect() })
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

id!(
    /// One recorded decision.
    DecisionId,
    "dec_"
);
id!(
    /// Everything done for one client request.
    RunId,
    "run_"
);
id!(
    /// A key that a caller authenticates with.
    KeyId,
    "key_"
);
id!(
    /// One HTTP request as its caller sees it (`x-request-id`).
    RequestId,
    "req_"
);
id!(
    /// One life of a process, and with it one chain of the audit log.
    BootId,
    "boot_"
);
