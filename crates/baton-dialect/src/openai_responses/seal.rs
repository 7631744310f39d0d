//! Carries other vendors' proofs of thinking through clients of this dialect.
//!
//! A client sends `encrypted_content` back as it got it, and only its vendor can read it. So the signatures and
//! seals of other vendors travel there too, with the name of their dialect in front, and find their way home.
//!
//! - Start with [`Seal`].
//! - **Invariant:** what this dialect's own vendor made is never taken for somebody else's.

use baton_model::{Dialect, Part, PartKind};

/// In front of a signature that stands beside its text.
const SIGNATURE: &str = "anthropic_messages:signature:";
/// In front of thinking that is sealed as a whole.
const SEALED: &str = "anthropic_messages:sealed:";

/// How the ids of thinking begin that did not come from this dialect's vendor.
pub(super) const FOREIGN_ID: &str = "rs_baton_";

/// What an `encrypted_content` is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seal<'a> {
    /// The signature of the text beside it.
    Signature(&'a str),
    /// Thinking that is sealed as a whole.
    Sealed(&'a str),
    /// This dialect's own.
    Own(&'a str),
}

impl<'a> Seal<'a> {
    pub(super) fn of(encrypted: &'a str) -> Self {
        if let Some(signature) = encrypted.strip_prefix(SIGNATURE) {
            return Self::Signature(signature);
        }
        encrypted.strip_prefix(SEALED).map_or(Self::Own(encrypted), Self::Sealed)
    }

    /// The part of another vendor's that stands behind it, with the text beside it; `None` for one of our own.
    pub(super) fn foreign(self, text: &str) -> Option<Part> {
        let kind = match self {
            Self::Signature(signature) => {
                PartKind::Reasoning { text: text.to_owned(), signature: Some(signature.to_owned()) }
            }
            Self::Sealed(data) => PartKind::RedactedReasoning { data: data.to_owned() },
            Self::Own(_) => return None,
        };
        Some(Part::new(kind, Dialect::AnthropicMessages))
    }
}

/// The signature of thinking, to be kept by a client.
pub(super) fn signature(signature: &str) -> String {
    format!("{SIGNATURE}{signature}")
}

/// Sealed thinking, to be kept by a client.
pub(super) fn sealed(data: &str) -> String {
    format!("{SEALED}{data}")
}
