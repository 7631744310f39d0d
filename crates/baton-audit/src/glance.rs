//! Tells what an entry is and when it was made, without reading it whole.
//!
//! A verifier needs no more of most entries than that. Nearly all of them are decisions and
//! outcomes, whose first members are the same in every record the journal writes; so the rest of
//! the text, which is most of it, is not looked at.
//!
//! - **Invariant:** what [`glance`] says of an entry is what reading it whole says, or it says
//!   [`Sort::Other`], and the caller reads it whole.

/// What an entry is, as far as can be told at a glance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sort {
    /// A decision or an outcome, and its time.
    OfRequest {
        /// In milliseconds since 1970.
        at_ms: u64,
    },
    /// Anything else.
    Other,
}

const DECISION: &[u8] = br#"{"record":"decision""#;
const OUTCOME: &[u8] = br#"{"record":"outcome""#;
const AT_MS: &[u8] = b"at_ms";
/// The time stands among so many first members.
const MEMBERS: usize = 6;

/// Looks at the beginning of an entry's text.
pub(crate) fn glance(payload: &[u8]) -> Sort {
    let rest = payload.strip_prefix(DECISION).or_else(|| payload.strip_prefix(OUTCOME));
    rest.and_then(time).map_or(Sort::Other, |at_ms| Sort::OfRequest { at_ms })
}

/// The time, when only plain texts stand before it.
fn time(mut rest: &[u8]) -> Option<u64> {
    for _ in 0..MEMBERS {
        let (key, value) = text(rest.strip_prefix(b",")?)?;
        let value = value.strip_prefix(b":")?;
        if key == AT_MS {
            return number(value);
        }
        (_, rest) = text(value)?;
    }
    None
}

/// The text that begins here, without its quotes, and what follows. None with an escape in it.
fn text(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let bytes = bytes.strip_prefix(b"\"")?;
    let end = bytes.iter().position(|byte| matches!(byte, b'"' | b'\\'))?;
    let (text, rest) = bytes.split_at_checked(end)?;
    Some((text, rest.strip_prefix(b"\"")?))
}

fn number(bytes: &[u8]) -> Option<u64> {
    let digits = bytes.iter().position(|byte| !byte.is_ascii_digit())?;
    let (number, rest) = bytes.split_at_checked(digits)?;
    matches!(rest.first(), Some(b',' | b'}')).then_some(())?;
    str::from_utf8(number).ok()?.parse().ok()
}

#[cfg(test)]
mod tests;
