//! What an operator switched by hand.

use std::fmt;
use std::str::FromStr;

use baton_model::{NameError, ProviderName, Target};
use serde::{Deserialize, Serialize};

/// What is switched: a provider with all its models, or one target.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Scope {
    /// Every target of a provider.
    Provider(ProviderName),
    /// One target.
    Target(Target),
}

/// How it is switched, the stricter the later.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Manual {
    /// In use.
    #[default]
    On,
    /// No new conversations.
    Drained,
    /// Not at all.
    Disabled,
}

impl Manual {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::On => "on",
            Self::Drained => "drained",
            Self::Disabled => "disabled",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Provider(provider) => provider.fmt(f),
            Self::Target(target) => target.fmt(f),
        }
    }
}

impl FromStr for Scope {
    type Err = NameError;

    /// `provider`, or `provider/model`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.contains('/') { text.parse().map(Self::Target) } else { text.parse().map(Self::Provider) }
    }
}

impl TryFrom<String> for Scope {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Scope> for String {
    fn from(scope: Scope) -> Self {
        scope.to_string()
    }
}
