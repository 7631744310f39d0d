//! Makes, rotates and revokes keys.
//!
//! - Start with [`KeyRing::create`].
//! - **Invariant:** nobody makes or rotates a key that may do more than he may himself.
//! - **Invariant:** an operation that returned `Ok` is in the store and in this ring.

use baton_model::KeyId;

use crate::random::{NoRandom, random};
use crate::{Exceeds, Grant, KeyRecord, KeyRing, KeySecret, KeyStoreError, KeyStoreErrorKind, RotatedSecret};

/// The longest name of a key.
const MAX_NAME: usize = 100;

/// How often a change is tried anew when somebody else changed the same key.
const ATTEMPTS: u32 = 4;

/// What a new key shall be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewKey {
    /// What people will call it.
    pub name: String,
    /// How much it may do.
    pub grant: Grant,
}

/// A record and its secret, which nobody can show again.
#[derive(Debug)]
pub struct IssuedKey {
    /// What the store has.
    pub record: KeyRecord,
    /// What its holder gets.
    pub secret: KeySecret,
}

/// Why a key was not made or changed.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// Nobody could tell it from others.
    #[error("a key needs a name")]
    NoName,
    /// Too long for a table.
    #[error("a key's name has at most {MAX_NAME} characters, this one has {0}")]
    LongName(usize),
    /// An expiry that is over already.
    #[error("the key would be expired from the start")]
    ExpiredFromStart,
    /// A limit that lets nothing through.
    #[error("a concurrency limit of 0 would let nothing through")]
    NoConcurrency,
    /// An empty list of models.
    #[error("an empty list of models would let nothing through; leave it out for all models")]
    NoModels,
    /// More than its maker has.
    #[error(transparent)]
    Exceeds(#[from] Exceeds),
    /// No such key.
    #[error("there is no key `{0}`")]
    NotFound(KeyId),
    /// It is withdrawn, so it gets no new secret.
    #[error("key `{0}` is revoked")]
    Revoked(KeyId),
    /// No random bytes.
    #[error(transparent)]
    NoRandom(#[from] NoRandom),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] KeyStoreError),
}

impl KeyRing {
    /// Makes a key on behalf of somebody who has `maker`; an operator at the machine has
    /// [`crate::UNLIMITED`].
    ///
    /// # Errors
    ///
    /// When it would do nothing, would exceed its maker, or cannot be stored.
    pub async fn create(&self, new: NewKey, maker: &Grant, now_ms: u64) -> Result<IssuedKey, IssueError> {
        maker.covers(&new.grant)?;
        let (mut record, secret) = self.draft(new, now_ms)?;
        record.revision = self.store().insert(&record).await?;
        self.take_in().await;
        Ok(IssuedKey { record, secret })
    }

    /// Gives a key a new secret. The old one works on for `grace_ms`, or stops at once.
    ///
    /// A secret of an earlier rotation stops at once in any case: a key has two secrets at most.
    ///
    /// # Errors
    ///
    /// When there is no such key, it is revoked, it may do more than `maker`, or the store fails.
    pub async fn rotate(
        &self,
        id: KeyId,
        grace_ms: u64,
        maker: &Grant,
        now_ms: u64,
    ) -> Result<IssuedKey, IssueError> {
        let secret = KeySecret::generate()?;
        let mac = self.hasher().mac(secret.expose());
        let record = self
            .change(id, |record| {
                if record.revoked_ms.is_some() {
                    return Err(IssueError::Revoked(id));
                }
                maker.covers(&record.grant())?;
                let until_ms = now_ms.saturating_add(grace_ms);
                let old_mac = std::mem::replace(&mut record.mac, mac);
                let old_last4 = std::mem::replace(&mut record.last4, secret.last4());
                record.rotated_from = Some(RotatedSecret { mac: old_mac, last4: old_last4, until_ms });
                Ok(())
            })
            .await?;
        Ok(IssuedKey { record, secret })
    }

    /// Withdraws a key, with all its secrets, at once. Revoking twice keeps the first time.
    ///
    /// # Errors
    ///
    /// When there is no such key, it may do more than `maker`, or the store fails.
    pub async fn revoke(&self, id: KeyId, maker: &Grant, now_ms: u64) -> Result<KeyRecord, IssueError> {
        self.change(id, |record| {
            maker.covers(&record.grant())?;
            record.revoked_ms = Some(record.revoked_ms.unwrap_or(now_ms));
            Ok(())
        })
        .await
    }

    fn draft(&self, new: NewKey, now_ms: u64) -> Result<(KeyRecord, KeySecret), IssueError> {
        let NewKey { name, grant } = new;
        let name = name.trim();
        match name.chars().count() {
            0 => return Err(IssueError::NoName),
            long if long > MAX_NAME => return Err(IssueError::LongName(long)),
            _ => {}
        }
        if grant.expires_ms.is_some_and(|end| end <= now_ms) {
            return Err(IssueError::ExpiredFromStart);
        }
        if grant.concurrency == Some(0) {
            return Err(IssueError::NoConcurrency);
        }
        if grant.models.as_ref().is_some_and(Vec::is_empty) {
            return Err(IssueError::NoModels);
        }
        let secret = KeySecret::generate()?;
        let record = KeyRecord {
            id: KeyId::from_parts(now_ms, random()?),
            name: name.to_owned(),
            mac: self.hasher().mac(secret.expose()),
            last4: secret.last4(),
            rotated_from: None,
            role: grant.role,
            models: grant.models,
            byok: grant.byok,
            concurrency: grant.concurrency,
            created_ms: now_ms,
            expires_ms: grant.expires_ms,
            revoked_ms: None,
            revision: 0,
        };
        Ok((record, secret))
    }

    /// Reads a record, changes it and writes it back, anew if somebody else came between.
    async fn change(
        &self,
        id: KeyId,
        mut change: impl FnMut(&mut KeyRecord) -> Result<(), IssueError>,
    ) -> Result<KeyRecord, IssueError> {
        let mut attempt = 1;
        loop {
            let list = self.store().list().await?;
            let mut record =
                list.records.into_iter().find(|record| record.id == id).ok_or(IssueError::NotFound(id))?;
            change(&mut record)?;
            match self.store().update(&record).await {
                Ok(revision) => {
                    record.revision = revision;
                    self.take_in().await;
                    return Ok(record);
                }
                Err(error) if error.kind() == KeyStoreErrorKind::Conflict && attempt < ATTEMPTS => {
                    attempt += 1;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The change is stored, so a failure to read it back is no failure of the change: the next
    /// refresh brings it.
    async fn take_in(&self) {
        if let Err(error) = self.refresh().await {
            tracing::warn!(error = %error, "a changed key is not in force yet on this machine");
        }
    }
}

#[cfg(test)]
mod tests;
