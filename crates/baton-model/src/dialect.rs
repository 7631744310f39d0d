//! Names the wire formats that Baton speaks.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A wire format, on either side of the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dialect {
    /// `POST /chat/completions` as OpenAI defines it.
    #[serde(rename = "openai_chat")]
    OpenaiChat,
    /// `POST /v1/messages` as Anthropic defines it.
    AnthropicMessages,
    /// `POST /responses` as OpenAI defines it.
    #[serde(rename = "openai_responses")]
    OpenaiResponses,
}

impl Dialect {
    /// Every dialect, in the order in which they are shown.
    pub const ALL: [Self; 3] = [Self::OpenaiChat, Self::AnthropicMessages, Self::OpenaiResponses];

    /// The name used in configuration, records and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OpenaiChat => "openai_chat",
            Self::AnthropicMessages => "anthropic_messages",
            Self::OpenaiResponses => "openai_responses",
        }
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A dialect name that Baton does not know.
#[derive(Debug, thiserror::Error)]
#[error("unknown dialect `{0}`, expected one of `openai_chat`, `anthropic_messages`, `openai_responses`")]
pub struct UnknownDialect(pub String);

impl FromStr for Dialect {
    type Err = UnknownDialect;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|dialect| dialect.as_str() == name)
            .ok_or_else(|| UnknownDialect(name.to_owned()))
    }
}
