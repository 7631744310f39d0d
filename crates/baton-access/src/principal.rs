//! Says who a request belongs to, and holds that caller to the number of requests it may have open.
//!
//! - Start with [`Principal::admit`].
//! - **Invariant:** the count of open requests belongs to the key's id, so a reload, a rotation or a
//!   changed limit never loses or doubles it.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use baton_model::{IdError, KeyId};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{Grant, Role};

/// Whose request it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PrincipalId {
    /// The holder of a key.
    Key(KeyId),
    /// Everybody who sends no key, where none is required. Shown as `anonymous`.
    Anonymous,
}

impl PrincipalId {
    const ANONYMOUS: &str = "anonymous";
}

impl fmt::Display for PrincipalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(id) => fmt::Display::fmt(id, f),
            Self::Anonymous => f.write_str(Self::ANONYMOUS),
        }
    }
}

impl FromStr for PrincipalId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == Self::ANONYMOUS { Ok(Self::Anonymous) } else { text.parse().map(Self::Key) }
    }
}

impl Serialize for PrincipalId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PrincipalId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// Somebody who was let in. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Principal(Arc<Caller>);

#[derive(Debug)]
pub(crate) struct Caller {
    pub(crate) id: PrincipalId,
    pub(crate) name: String,
    pub(crate) grant: Grant,
    pub(crate) gate: Arc<Gate>,
}

impl Principal {
    pub(crate) const fn new(caller: Arc<Caller>) -> Self {
        Self(caller)
    }

    /// Whoever holds the data directory: nothing is denied, and nothing is done in a key's name.
    #[must_use]
    pub fn operator() -> Self {
        Self(Arc::new(Caller {
            id: PrincipalId::Anonymous,
            name: "operator".to_owned(),
            grant: crate::UNLIMITED.clone(),
            gate: Arc::default(),
        }))
    }

    /// Whose request it is.
    #[must_use]
    pub fn id(&self) -> PrincipalId {
        self.0.id
    }

    /// What people call the key, or `anonymous`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// What it may do.
    #[must_use]
    pub fn role(&self) -> Role {
        self.0.grant.role
    }

    /// The models it may use; `None` for all.
    #[must_use]
    pub fn models(&self) -> Option<&[String]> {
        self.0.grant.models.as_deref()
    }

    /// Whether its requests may bring provider keys of their own.
    #[must_use]
    pub fn byok(&self) -> bool {
        self.0.grant.byok
    }

    /// All that it may do, as the limit of what it may give to others.
    #[must_use]
    pub fn grant(&self) -> &Grant {
        &self.0.grant
    }

    /// Takes a place among its open requests; the place is free again when the permit is dropped.
    ///
    /// # Errors
    ///
    /// When all places are taken.
    pub fn admit(&self) -> Result<Permit, Busy> {
        let limit = self.0.grant.concurrency;
        self.0
            .gate
            .enter(limit.unwrap_or(u32::MAX))
            .map_err(|()| Busy { limit: limit.unwrap_or(u32::MAX) })?;
        Ok(Permit { gate: Arc::clone(&self.0.gate) })
    }

    /// How many of its requests are open.
    #[must_use]
    pub fn open_requests(&self) -> u32 {
        self.0.gate.open.load(Ordering::Relaxed)
    }
}

/// Counts the open requests of one key.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    open: AtomicU32,
}

impl Gate {
    fn enter(&self, limit: u32) -> Result<(), ()> {
        let more = |open: u32| (open < limit).then(|| open + 1);
        self.open.fetch_update(Ordering::AcqRel, Ordering::Relaxed, more).map(drop).map_err(drop)
    }
}

/// One open request. Keep it until the answer's last byte.
#[derive(Debug)]
#[must_use = "a dropped permit gives its place to the next request"]
pub struct Permit {
    gate: Arc<Gate>,
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.gate.open.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The key has as many open requests as it may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this key may have {limit} requests open at once")]
pub struct Busy {
    /// How many that are.
    pub limit: u32,
}

#[cfg(test)]
mod tests;
