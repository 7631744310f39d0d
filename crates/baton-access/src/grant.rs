//! Says how much a key may do, and that no key can make one that may do more.
//!
//! - Start with [`Grant::covers`].
//! - **Invariant:** what is made by a key is within what that key has, in every respect.

use crate::Role;

/// How much a caller may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Which commands.
    pub role: Role,
    /// Which models; `None` for all. A trailing `*` matches any rest.
    pub models: Option<Vec<String>>,
    /// Whether requests may bring provider keys of their own.
    pub byok: bool,
    /// How many requests at once; `None` for no limit.
    pub concurrency: Option<u32>,
    /// Until when; `None` for ever.
    pub expires_ms: Option<u64>,
}

/// What the operator at the machine has.
pub const UNLIMITED: Grant =
    Grant { role: Role::Admin, models: None, byok: true, concurrency: None, expires_ms: None };

/// In which respect a wanted key would exceed its maker.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Exceeds {
    /// A stronger role.
    #[error("role `{wanted}` exceeds the maker's role `{has}`")]
    Role {
        /// The role asked for.
        wanted: Role,
        /// The maker's.
        has: Role,
    },
    /// All models, where the maker has a list.
    #[error("the maker may use a list of models only, so the new key needs a list too")]
    AllModels,
    /// A model that the maker may not use.
    #[error("model `{0}` is not among the maker's models")]
    Model(String),
    /// Own provider keys.
    #[error("the maker may not bring provider keys of its own")]
    Byok,
    /// More requests at once.
    #[error("the maker may have {0} requests open at once, the new key cannot have more")]
    Concurrency(u32),
    /// A longer life.
    #[error("the new key cannot outlive its maker")]
    Expiry,
}

impl Grant {
    /// Whether everything that `wanted` allows is allowed here too.
    ///
    /// # Errors
    ///
    /// The first respect in which it is not.
    pub fn covers(&self, wanted: &Self) -> Result<(), Exceeds> {
        if wanted.role > self.role {
            return Err(Exceeds::Role { wanted: wanted.role, has: self.role });
        }
        if let Some(has) = &self.models {
            let models = wanted.models.as_ref().ok_or(Exceeds::AllModels)?;
            if let Some(beyond) = models.iter().find(|model| !has.iter().any(|own| is_within(model, own))) {
                return Err(Exceeds::Model(beyond.clone()));
            }
        }
        if wanted.byok && !self.byok {
            return Err(Exceeds::Byok);
        }
        if let Some(has) = self.concurrency
            && wanted.concurrency.is_none_or(|limit| limit > has)
        {
            return Err(Exceeds::Concurrency(has));
        }
        match self.expires_ms {
            Some(end) if wanted.expires_ms.is_none_or(|until| until > end) => Err(Exceeds::Expiry),
            _ => Ok(()),
        }
    }
}

/// Whether every name that `pattern` matches is matched by `own`.
fn is_within(pattern: &str, own: &str) -> bool {
    match own.strip_suffix('*') {
        Some(start) => pattern.strip_suffix('*').unwrap_or(pattern).starts_with(start),
        None => pattern == own,
    }
}

#[cfg(test)]
mod tests;
