//! Reads what a model name of the provider `echo` asks for, parameters included.
//!
//! Parameters stand in the name, as in `slow?ttft=500&tps=20`, because the name is the one thing
//! that every client can set.

use std::str::FromStr;
use std::time::Duration;

/// The models, as they are listed.
pub(crate) const NAMES: [&str; 9] =
    ["hello", "parrot", "tool", "json", "slow", "fail-429", "fail-500", "fail-timeout", "fail-midstream"];

/// How a model of ours behaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum EchoModel {
    /// Always says the same.
    Hello,
    /// Repeats the last user message.
    Parrot,
    /// Calls a fitting tool of its own accord.
    Tool,
    /// Answers in JSON, asked or not.
    Json,
    /// Takes its time.
    Slow {
        /// Until the first token.
        ttft: Duration,
        /// Tokens in a second after that.
        tokens_per_second: u32,
    },
    /// Too many requests.
    Fail429 {
        /// What `retry-after` says.
        retry_after_secs: u32,
    },
    /// A server error.
    Fail500,
    /// Never answers.
    FailTimeout,
    /// Answers half, then breaks.
    FailMidstream {
        /// In which way.
        how: Breakage,
    },
}

/// How an answer breaks in the middle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Breakage {
    /// The connection ends.
    Cut,
    /// An error frame comes, then the stream ends. A whole answer is cut all the same.
    ErrorFrame,
}

/// A name that is none of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum ModelError {
    /// No such model.
    #[error("The model `{name}` does not exist. Here are: {}.", NAMES.join(", "))]
    Unknown {
        /// What was asked for, shortened.
        name: String,
    },
    /// A parameter that the model does not have, or a value out of its range.
    #[error("The model `{model}` takes no parameter `{parameter}`. {help}")]
    Parameter {
        /// The model.
        model: &'static str,
        /// The parameter as given, shortened.
        parameter: String,
        /// What it does take.
        help: &'static str,
    },
}

/// Whether the name, parameters aside, is one of ours.
pub(crate) fn is_known(name: &str) -> bool {
    let (base, _) = split(name);
    NAMES.contains(&base)
}

impl FromStr for EchoModel {
    type Err = ModelError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let (base, parameters) = split(name);
        let Some(model) = NAMES.into_iter().find(|known| *known == base) else {
            return Err(ModelError::Unknown { name: shorten(base) });
        };
        let mut made = Self::plain(model);
        for parameter in parameters.split('&').filter(|parameter| !parameter.is_empty()) {
            made.set(parameter).ok_or_else(|| ModelError::Parameter {
                model,
                parameter: shorten(parameter),
                help: made.help(),
            })?;
        }
        Ok(made)
    }
}

impl EchoModel {
    /// A model of the list with nothing set.
    fn plain(name: &str) -> Self {
        match name {
            "parrot" => Self::Parrot,
            "tool" => Self::Tool,
            "json" => Self::Json,
            "slow" => Self::Slow { ttft: Duration::from_millis(500), tokens_per_second: 20 },
            "fail-429" => Self::Fail429 { retry_after_secs: 1 },
            "fail-500" => Self::Fail500,
            "fail-timeout" => Self::FailTimeout,
            "fail-midstream" => Self::FailMidstream { how: Breakage::Cut },
            _ => Self::Hello,
        }
    }

    /// Sets one `key=value`; `None` when the model has no such key or the value is out of range.
    fn set(&mut self, parameter: &str) -> Option<()> {
        let (key, value) = parameter.split_once('=')?;
        match (self, key) {
            (Self::Slow { ttft, .. }, "ttft") => {
                *ttft = Duration::from_millis(number(value, 0, 600_000)?.into());
            }
            (Self::Slow { tokens_per_second, .. }, "tps") => {
                *tokens_per_second = number(value, 1, 100_000)?;
            }
            (Self::Fail429 { retry_after_secs }, "retry_after") => {
                *retry_after_secs = number(value, 0, 86_400)?;
            }
            (Self::FailMidstream { how }, "how") => {
                *how = match value {
                    "cut" => Breakage::Cut,
                    "error" => Breakage::ErrorFrame,
                    _ => return None,
                }
            }
            _ => return None,
        }
        Some(())
    }

    /// Which parameters there are.
    const fn help(&self) -> &'static str {
        match self {
            Self::Slow { .. } => {
                "It takes `ttft` (ms, up to 600000) and `tps` (tokens per second, up to 100000)."
            }
            Self::Fail429 { .. } => "It takes `retry_after` (seconds, up to 86400).",
            Self::FailMidstream { .. } => "It takes `how` (`cut` or `error`).",
            Self::Hello | Self::Parrot | Self::Tool | Self::Json | Self::Fail500 | Self::FailTimeout => {
                "It takes none."
            }
        }
    }
}

fn split(name: &str) -> (&str, &str) {
    name.split_once('?').unwrap_or((name, ""))
}

fn number(text: &str, least: u32, most: u32) -> Option<u32> {
    text.parse().ok().filter(|number| (least..=most).contains(number))
}

/// Enough of a client's text to recognise it.
fn shorten(text: &str) -> String {
    text.chars().take(64).collect()
}

#[cfg(test)]
mod tests;
