//! Names a page of buckets, so that it is taken back for the same question only.

use baton_access::sha256_hex;

/// How much of the hash tells one question from another.
const DIGITS: usize = 16;
const PREFIX: &str = "page_";

/// The question that pages belong to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place(String);

/// Why a page is not taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotAPage {
    /// It is no page's name.
    Shape,
    /// It is the page of another question.
    Other,
}

impl Place {
    /// The pages of what this text says, which two questions share only if they are the same.
    pub(super) fn of(question: &str) -> Self {
        Self(sha256_hex(question.as_bytes()).chars().take(DIGITS).collect())
    }

    /// The name of the page that begins there.
    pub(super) fn token(&self, from_ms: u64) -> String {
        format!("{PREFIX}{from_ms:x}_{}", self.0)
    }

    /// Where the page of this name begins.
    pub(super) fn read(&self, token: &str) -> Result<u64, NotAPage> {
        let parts = token.strip_prefix(PREFIX).and_then(|rest| rest.split_once('_'));
        let (from_ms, question) = parts.ok_or(NotAPage::Shape)?;
        let is_hex = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !is_hex(from_ms) || !is_hex(question) {
            return Err(NotAPage::Shape);
        }
        let from_ms = u64::from_str_radix(from_ms, 16).map_err(|_too_large| NotAPage::Shape)?;
        if question == self.0 { Ok(from_ms) } else { Err(NotAPage::Other) }
    }
}
