//! Says why something is not stored, or not read.

use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

/// A boxed future, so that the ports can be `dyn` traits.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What the caller can do about a [`StateError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StateErrorKind {
    /// The store cannot be reached, or did not answer in time. Trying again can help.
    Unavailable,
    /// The id is already taken.
    Duplicate,
    /// What is stored cannot be read, or not be opened with the keys that are here.
    Corrupt,
    /// What should be stored cannot be: too large, or it does not follow what is stored.
    Rejected,
}

/// A failure to store or to read. Cheap to clone: those who wrote together fail together.
#[derive(Clone)]
pub struct StateError {
    kind: StateErrorKind,
    message: Arc<str>,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

impl StateError {
    /// An error of this kind; the message says what was tried, in lower case and without content.
    pub fn new(kind: StateErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into().into(), source: None }
    }

    /// Adds what caused it.
    #[must_use]
    pub fn with_source(mut self, source: impl Error + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }

    /// What the caller can do about it.
    #[must_use]
    pub const fn kind(&self) -> StateErrorKind {
        self.kind
    }
}

impl fmt::Debug for StateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("StateError");
        shown.field("kind", &self.kind).field("message", &self.message).field("source", &self.source).finish()
    }
}

impl fmt::Display for StateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for StateError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|source| source.as_ref() as _)
    }
}
