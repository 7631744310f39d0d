//! Takes out of a text what has no place in a log: addresses, numbers of cards and phones, keys.
//!
//! What is found is known by its form: a mark says what stood there, and nothing of it is kept. A name
//! or a street has no form; a text is still sealed before it is written.
//!
//! - Start with [`redact`], or a [`Redactor`] for what an operator chose.
//! - **Invariant:** redacting twice changes nothing more.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::{Captures, Regex, RegexBuilder};
use serde_json::Value;

/// One group for each kind; where several begin at the same place, the first is taken.
static SECRETS: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(PATTERN).ok());

/// Forms of keys: those that vendors document, and what stands behind the word that says so.
const PATTERN: &str = r"(?x)
    (?<key>
        -----BEGIN\ [A-Z\ ]{0,40}PRIVATE\ KEY-----(?s:.*?)(?:-----END\ [A-Z\ ]{0,40}PRIVATE\ KEY-----|\z)
      | (?-u:\b)(?:
            (?:sk|pk|rk)[-_][0-9A-Za-z_-]{16,}
          | bk_[0-9A-Za-z]{16,} | whsec_[0-9A-Za-z+/=]{16,}
          | (?:AKIA|ASIA|AGPA|AROA|AIDA)[0-9A-Z]{16}
          | AIza[0-9A-Za-z_-]{35} | ya29\.[0-9A-Za-z_-]{20,}
          | gh[pousr]_[0-9A-Za-z]{30,} | github_pat_[0-9A-Za-z_]{40,} | glpat-[0-9A-Za-z_-]{20,}
          | xox[abeoprs]-[0-9A-Za-z-]{10,} | hf_[0-9A-Za-z]{30,} | npm_[0-9A-Za-z]{30,}
          | gsk_[0-9A-Za-z]{30,} | xai-[0-9A-Za-z]{30,} | r8_[0-9A-Za-z]{30,}
          | eyJ[0-9A-Za-z_-]{8,}\.eyJ[0-9A-Za-z_-]{8,}\.[0-9A-Za-z_-]{8,}
        )
      | (?i-u:\b(?:bearer|basic)\ +)[0-9A-Za-z._~+/=-]{16,}
    )
  | (?<email> [0-9A-Za-z._%+'-]{1,64} @ (?:[0-9A-Za-z-]{1,63}\.){1,8} [A-Za-z]{2,24} )
  | (?<card>  (?-u:\b) (?:
        [0-9]{13,19}
      | [0-9]{4} [\ -] [0-9]{4} [\ -] [0-9]{4} [\ -] [0-9]{4} (?:[\ -][0-9]{1,3})?
      | [0-9]{4} [\ -] [0-9]{6} [\ -] [0-9]{4,5}
    ) (?-u:\b) )
  | (?<phone>
        \+ [1-9] (?:[\ .()/-]{0,2}[0-9]){7,14} (?-u:\b)
      | (?-u:\b) 00[1-9] (?:[\ .()/-]{0,2}[0-9]){7,14} (?-u:\b)
      | \( [2-9][0-9]{2} \) [\ .-]? [2-9][0-9]{2} [\ .-] [0-9]{4} (?-u:\b)
      | (?-u:\b) [2-9][0-9]{2} [.-] [2-9][0-9]{2} [.-] [0-9]{4} (?-u:\b)
    )
";

/// The text with a mark in the place of each secret.
#[must_use]
pub fn redact(text: &str) -> Cow<'_, str> {
    all_but(text, |_kind| true)
}

fn all_but(text: &str, wanted: impl Fn(SecretKind) -> bool) -> Cow<'_, str> {
    // The pattern is a constant, and a test makes it.
    SECRETS.as_ref().map_or(Cow::Borrowed("[text]"), |secrets| {
        secrets.replace_all(text, |found: &Captures<'_>| mark(found, &wanted))
    })
}

fn mark(found: &Captures<'_>, wanted: impl Fn(SecretKind) -> bool) -> String {
    let all = found.get(0).map_or("", |all| all.as_str());
    let kind = SecretKind::ALL.into_iter().find(|kind| found.name(kind.group()).is_some());
    match kind.filter(|kind| wanted(*kind) && (*kind != SecretKind::Card || is_card(all))) {
        Some(kind) => format!("[{}]", kind.group()),
        None => all.to_owned(),
    }
}

/// What is known by its form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SecretKind {
    /// Keys and tokens, private keys, what stands behind `Bearer`.
    Keys,
    /// Addresses of mail.
    Email,
    /// Numbers of payment cards with a right check digit.
    Card,
    /// Numbers of phones, in the forms that people write.
    Phone,
}

impl SecretKind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Keys, Self::Email, Self::Card, Self::Phone];

    /// Its word in a configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Keys => "keys",
            Self::Email => "email",
            Self::Card => "card",
            Self::Phone => "phone",
        }
    }

    const fn group(self) -> &'static str {
        match self {
            Self::Keys => "key",
            Self::Email => "email",
            Self::Card => "card",
            Self::Phone => "phone",
        }
    }
}

/// Why a pattern of an operator's is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPattern {
    /// It cannot be read, or is too large.
    #[error("`{pattern}` is no pattern: {why}")]
    Unreadable {
        /// The pattern.
        pattern: String,
        /// Why not.
        why: String,
    },
    /// It would mark every place of every text.
    #[error("`{0}` matches the empty text")]
    MatchesNothing(String),
}

/// A pattern of an operator's is no larger than this when it is compiled.
const PATTERN_LIMIT: usize = 1 << 20;
/// A text without spaces of so many characters of base64 is data, and no words.
const DATA: usize = 512;
/// As deep as a text of JSON in a text of JSON is looked into.
const NESTED: u32 = 4;

/// Redacts what an operator chose, in texts and in JSON.
#[derive(Clone, Debug)]
pub struct Redactor {
    kinds: Vec<SecretKind>,
    own: Vec<Regex>,
}

impl Redactor {
    /// Redacts these kinds, and what these patterns match.
    ///
    /// # Errors
    /// When a pattern cannot be read, or matches the empty text.
    pub fn new(kinds: &[SecretKind], patterns: &[String]) -> Result<Self, BadPattern> {
        let compiled = |pattern: &String| {
            let built = RegexBuilder::new(pattern).size_limit(PATTERN_LIMIT).build();
            let built = built.map_err(|error| BadPattern::Unreadable {
                pattern: pattern.clone(),
                why: error.to_string().lines().last().unwrap_or_default().to_owned(),
            })?;
            // A mark is text too, and is found again by what matches anything.
            if built.is_match("") { Err(BadPattern::MatchesNothing(pattern.clone())) } else { Ok(built) }
        };
        let own = patterns.iter().map(compiled).collect::<Result<_, _>>()?;
        Ok(Self { kinds: kinds.to_vec(), own })
    }

    /// The text with a mark in the place of each secret.
    #[must_use]
    pub fn text(&self, text: &str) -> String {
        let mut text = all_but(text, |kind| self.kinds.contains(&kind)).into_owned();
        for own in &self.own {
            if let Cow::Owned(marked) = own.replace_all(&text, "[own]") {
                text = marked;
            }
        }
        text
    }

    /// Redacts every text in it, names of members and numbers included: a card may be written as a number,
    /// and arguments of calls are JSON in a text. Data that is no words (images, files) is only counted.
    pub fn json(&self, value: &mut Value) {
        self.nested(value, 0);
    }

    fn nested(&self, value: &mut Value, depth: u32) {
        match value {
            Value::String(text) => *text = self.string(text, depth),
            Value::Number(number) => {
                let written = number.to_string();
                let redacted = self.text(&written);
                if redacted != written {
                    *value = Value::String(redacted);
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.nested(item, depth)),
            Value::Object(members) => {
                let taken = std::mem::take(members);
                members.extend(taken.into_iter().map(|(name, mut value)| {
                    self.nested(&mut value, depth);
                    (self.text(&name), value)
                }));
            }
            Value::Null | Value::Bool(_) => {}
        }
    }

    fn string(&self, text: &str, depth: u32) -> String {
        if is_data(text) {
            return format!("[{} bytes of data]", text.len());
        }
        if depth < NESTED
            && text.trim_start().starts_with(['{', '['])
            && let Ok(mut inner) = serde_json::from_str::<Value>(text)
        {
            let before = inner.clone();
            self.nested(&mut inner, depth + 1);
            // Where nothing was found, the text stays as it was written.
            return if inner == before { self.text(text) } else { inner.to_string() };
        }
        self.text(text)
    }
}

/// Whether a text is data in base64, with or without what a URL says before it.
fn is_data(text: &str) -> bool {
    let body = match text.strip_prefix("data:").and_then(|rest| rest.split_once(";base64,")) {
        Some((_, body)) => return !body.is_empty(),
        None => text,
    };
    body.len() >= DATA
        && body
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=' | b'-' | b'_'))
}

/// Whether the digits are those of a payment card: the check digit of ISO/IEC 7812, and a first digit that
/// issuers of cards have.
fn is_card(text: &str) -> bool {
    let digits = || text.bytes().filter(u8::is_ascii_digit).map(|digit| u32::from(digit - b'0'));
    let sum: u32 = digits()
        .rev()
        .enumerate()
        .map(|(place, digit)| if place % 2 == 1 { digit * 2 / 10 + digit * 2 % 10 } else { digit })
        .sum();
    sum.is_multiple_of(10) && digits().next().is_some_and(|first| (2..=6).contains(&first))
}

#[cfg(test)]
mod tests;
