//! Summaries of conversations that clients keep for themselves, sealed.
//!
//! A client sends one back instead of what was said. It is opened for whom it was made, and for nobody else; nothing
//! of it is stored here.
//!
//! - Start with [`Compactions::seal`].
//! - **Never here:** how a summary is made, and what a model is told of it.

use std::fmt;
use std::sync::Arc;

use crate::error::{StateError, StateErrorKind};
use crate::subject::Subject;
use crate::vault::{Place, Seal, Vault};

/// Seals summaries, and opens them.
pub struct Compactions {
    vault: Vault,
}

impl Compactions {
    /// Summaries that are sealed by this.
    #[must_use]
    pub fn new(seal: Arc<dyn Seal>) -> Self {
        Self { vault: Vault::new(seal) }
    }

    /// Seals a summary for this principal.
    ///
    /// # Errors
    /// When it is too large, or the system gives no random bytes.
    pub fn seal(&self, principal: &str, summary: &str) -> Result<Vec<u8>, StateError> {
        let subject = Subject::principal(principal);
        self.vault.close(&place(&subject), summary.as_bytes())
    }

    /// Opens what was sealed for this principal.
    ///
    /// # Errors
    /// When it was sealed for another one, or under another key, or was changed.
    pub fn open(&self, principal: &str, sealed: &[u8]) -> Result<String, StateError> {
        let subject = Subject::principal(principal);
        let summary = self.vault.open(&place(&subject), sealed)?;
        String::from_utf8(summary).map_err(|error| {
            let what = "a sealed summary is no text";
            StateError::new(StateErrorKind::Corrupt, what).with_source(error.utf8_error())
        })
    }
}

impl fmt::Debug for Compactions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Compactions")
    }
}

const fn place(subject: &Subject) -> Place<'_> {
    Place { subject, column: "response.compaction", row: "", part: "" }
}

#[cfg(test)]
mod tests;
