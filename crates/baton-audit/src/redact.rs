//! Takes out of a text what has no place in a log: addresses, numbers of cards and phones, keys.
//!
//! What is found is known by its form: a mark says what stood there, and nothing of it is kept. A name
//! or a street has no form; a text is still sealed before it is written.
//!
//! - Start with [`redact`].
//! - **Invariant:** redacting twice changes nothing more.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::{Captures, Regex};

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
    // The pattern is a constant, and a test makes it.
    SECRETS.as_ref().map_or(Cow::Borrowed("[text]"), |secrets| secrets.replace_all(text, mark))
}

fn mark(found: &Captures<'_>) -> String {
    let all = found.get(0).map_or("", |all| all.as_str());
    let kinds = [("key", "[key]"), ("email", "[email]"), ("phone", "[phone]")];
    if let Some((_, mark)) = kinds.into_iter().find(|(kind, _)| found.name(kind).is_some()) {
        return mark.to_owned();
    }
    if is_card(all) { "[card]".to_owned() } else { all.to_owned() }
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
