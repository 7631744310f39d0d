//! Keeps the last known state of a store in a local file, so that known keys and policies work while
//! the store is away.
//!
//! The file of keys holds MACs, no secrets. Each file has a MAC over its own text: somebody who can
//! write the file but lacks the master key cannot let himself in, nor send requests elsewhere.
//!
//! - **Invariant:** the file is whole or the one before it, and readable by its owner only.
//! - **Invariant:** an older list never replaces a newer one.

use std::fs::{self, File};
use std::io;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use aws_lc_rs::hmac::{self, HMAC_SHA256};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::master::write_new;
use crate::{DerivedKey, KeyList, PolicyList};

/// Why the file could not be read or written. The ring goes on without it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SnapshotError {
    #[error("cannot {action} `{path}`", path = path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error("`{path}` is not a snapshot of ours", path = path.display())]
    Malformed { path: PathBuf, source: serde_json::Error },
    #[error("`{path}` was changed by somebody else, or made under another master key", path = path.display())]
    Forged { path: PathBuf },
}

/// What a store holds at one moment.
pub(crate) trait Moment: Serialize + DeserializeOwned {
    /// The store's revision at that moment.
    fn revision(&self) -> u64;
}

impl Moment for KeyList {
    fn revision(&self) -> u64 {
        self.revision
    }
}

impl Moment for PolicyList {
    fn revision(&self) -> u64 {
        self.revision
    }
}

/// The file.
#[derive(Debug)]
pub(crate) struct SnapshotFile<T = KeyList> {
    path: PathBuf,
    mac_key: hmac::Key,
    written: Mutex<Option<u64>>,
    holds: PhantomData<fn() -> T>,
}

#[derive(Serialize, Deserialize)]
struct Envelope {
    mac: String,
    /// Called `keys` while keys were all there was.
    #[serde(alias = "keys")]
    list: Box<RawValue>,
}

impl<T: Moment> SnapshotFile<T> {
    pub(crate) fn new(path: PathBuf, mac_key: &DerivedKey) -> Self {
        let mac_key = hmac::Key::new(HMAC_SHA256, mac_key.expose());
        Self { path, mac_key, written: Mutex::new(None), holds: PhantomData }
    }

    /// The last written list; `None` if there is no file yet.
    pub(crate) fn read(&self) -> Result<Option<T>, SnapshotError> {
        let bytes = match fs::read(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            read => read.map_err(|source| self.io_error("read", source))?,
        };
        let envelope: Envelope = serde_json::from_slice(&bytes).map_err(|source| self.malformed(source))?;
        let mac = URL_SAFE_NO_PAD.decode(&envelope.mac).unwrap_or_default();
        hmac::verify(&self.mac_key, envelope.list.get().as_bytes(), &mac)
            .map_err(|_unspecified| SnapshotError::Forged { path: self.path.clone() })?;
        serde_json::from_str(envelope.list.get()).map(Some).map_err(|source| self.malformed(source))
    }

    /// Writes the list, unless a newer one was written by this process.
    pub(crate) fn write(&self, list: &T) -> Result<(), SnapshotError> {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        if written.is_some_and(|revision| revision > list.revision()) {
            return Ok(());
        }
        let revision = list.revision();
        let list = serde_json::value::to_raw_value(list).map_err(|source| self.malformed(source))?;
        let mac = hmac::sign(&self.mac_key, list.get().as_bytes());
        let envelope = Envelope { mac: URL_SAFE_NO_PAD.encode(mac), list };
        let bytes = serde_json::to_vec(&envelope).map_err(|source| self.malformed(source))?;
        replace(&self.path, &bytes).map_err(|source| self.io_error("write", source))?;
        *written = Some(revision);
        Ok(())
    }

    fn io_error(&self, action: &'static str, source: io::Error) -> SnapshotError {
        SnapshotError::Io { action, path: self.path.clone(), source }
    }

    fn malformed(&self, source: serde_json::Error) -> SnapshotError {
        SnapshotError::Malformed { path: self.path.clone(), source }
    }
}

/// Puts a new file in the place of an old one, whole and on the disk.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let draft = path.with_extension("json.new");
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    write_new(&draft, bytes)?;
    fs::rename(&draft, path)?;
    path.parent().map_or(Ok(()), |dir| File::open(dir)?.sync_all())
}

#[cfg(test)]
mod tests;
