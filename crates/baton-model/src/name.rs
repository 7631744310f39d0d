//! Names of providers, models and targets, once they have passed the naming rule.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Why a text is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing there.
    #[error("a name cannot be empty")]
    Empty,
    /// More than 256 bytes.
    #[error("a name has at most 256 bytes, this one has {0}")]
    TooLong(usize),
    /// A character that no name may contain.
    #[error("`{found}` at byte {at} is not allowed in a name")]
    Forbidden {
        /// The character.
        found: char,
        /// Its place.
        at: usize,
    },
}

fn check(name: &str, allowed: fn(char) -> bool) -> Result<(), NameError> {
    if name.is_empty() {
        return Err(NameError::Empty);
    }
    if name.len() > 256 {
        return Err(NameError::TooLong(name.len()));
    }
    match name.char_indices().find(|(_, found)| !allowed(*found)) {
        Some((at, found)) => Err(NameError::Forbidden { found, at }),
        None => Ok(()),
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $allowed:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(name: &str) -> Result<Self, Self::Err> {
                check(name, $allowed)?;
                Ok(Self(name.into()))
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;

            fn try_from(name: String) -> Result<Self, Self::Error> {
                name.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0.as_ref().to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name!(
    /// A model as a client names it, or as an upstream does. No white space, no control characters.
    ModelName,
    |found| !found.is_whitespace() && !found.is_control()
);
name!(
    /// A provider: letters, digits, `-`, `_` and `.`; never a `/`.
    ProviderName,
    |found| found.is_ascii_alphanumeric() || matches!(found, '-' | '_' | '.')
);

/// What an attempt is sent to: a provider and the model's name there. Shown as `provider/model`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Target {
    /// The upstream account.
    pub provider: ProviderName,
    /// The model as the provider names it.
    pub model: ModelName,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Piece by piece: it is written ten times for each request, and a template costs more than its parts.
        f.write_str(self.provider.as_str())?;
        f.write_str("/")?;
        f.write_str(self.model.as_str())
    }
}

impl FromStr for Target {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (provider, model) = text.split_once('/').ok_or(NameError::Empty)?;
        Ok(Self { provider: provider.parse()?, model: model.parse()? })
    }
}

impl Serialize for Target {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Target {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}
