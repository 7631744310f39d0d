//! Keeps keys in memory for this crate's tests, and can be away.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use crate::{BoxFuture, KeyList, KeyRecord, KeyStore, KeyStoreError, KeyStoreErrorKind};

#[derive(Debug, Default)]
pub(crate) struct FakeStore {
    keys: Mutex<KeyList>,
    away: AtomicBool,
    silent: AtomicBool,
    conflicts: AtomicU32,
}

impl FakeStore {
    pub(crate) fn set_away(&self, away: bool) {
        self.away.store(away, Ordering::Relaxed);
    }

    /// Lets questions be asked that nobody answers.
    pub(crate) fn set_silent(&self, silent: bool) {
        self.silent.store(silent, Ordering::Relaxed);
    }

    /// Lets somebody else change every record just before each of the next `n` updates.
    pub(crate) fn disturb(&self, n: u32) {
        self.conflicts.store(n, Ordering::Relaxed);
    }

    fn answer(
        &self,
        work: impl FnOnce(&mut KeyList) -> Result<u64, KeyStoreErrorKind>,
    ) -> Result<u64, KeyStoreError> {
        if self.away.load(Ordering::Relaxed) {
            return Err(KeyStoreError::new(KeyStoreErrorKind::Unavailable, "the store is away"));
        }
        work(&mut self.keys.lock().unwrap()).map_err(|kind| KeyStoreError::new(kind, format!("{kind:?}")))
    }
}

impl KeyStore for FakeStore {
    fn revision(&self) -> BoxFuture<'_, Result<u64, KeyStoreError>> {
        Box::pin(async {
            if self.silent.load(Ordering::Relaxed) {
                std::future::pending::<()>().await;
            }
            self.answer(|keys| Ok(keys.revision))
        })
    }

    fn list(&self) -> BoxFuture<'_, Result<KeyList, KeyStoreError>> {
        Box::pin(async {
            self.answer(|_| Ok(0))?;
            Ok(self.keys.lock().unwrap().clone())
        })
    }

    fn insert<'a>(&'a self, record: &'a KeyRecord) -> BoxFuture<'a, Result<u64, KeyStoreError>> {
        Box::pin(async {
            self.answer(|keys| {
                if keys.records.iter().any(|other| other.id == record.id || other.mac == record.mac) {
                    return Err(KeyStoreErrorKind::Duplicate);
                }
                keys.revision += 1;
                keys.records.push(KeyRecord { revision: keys.revision, ..record.clone() });
                Ok(keys.revision)
            })
        })
    }

    fn update<'a>(&'a self, record: &'a KeyRecord) -> BoxFuture<'a, Result<u64, KeyStoreError>> {
        Box::pin(async {
            self.answer(|keys| {
                let less = |left: u32| left.checked_sub(1);
                if self.conflicts.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok() {
                    keys.revision += 1;
                    let revision = keys.revision;
                    keys.records.iter_mut().for_each(|other| other.revision = revision);
                }
                let next = keys.revision + 1;
                let stored = keys.records.iter_mut().find(|other| other.id == record.id);
                let stored = stored.ok_or(KeyStoreErrorKind::NotFound)?;
                if stored.revision != record.revision {
                    return Err(KeyStoreErrorKind::Conflict);
                }
                *stored = KeyRecord { revision: next, ..record.clone() };
                keys.revision = next;
                Ok(next)
            })
        })
    }
}
