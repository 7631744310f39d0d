//! Keeps the last known keys in a local file, so that known keys work while the store is away.
//!
//! The file holds MACs, no secrets, and a MAC over its own text: somebody who can write the file but
//! lacks the master key cannot let himself in.
//!
//! - **Invariant:** the file is whole or the one before it, and readable by its owner only.
//! - **Invariant:** an older list never replaces a newer one.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use aws_lc_rs::hmac::{self, HMAC_SHA256};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::master::write_new;
use crate::{DerivedKey, KeyList, KeyRecord};

/// Why the file could not be read or written. The ring goes on without it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SnapshotError {
    #[error("cannot {action} `{path}`", path = path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error("`{path}` is not a snapshot of keys", path = path.display())]
    Malformed { path: PathBuf, source: serde_json::Error },
    #[error("`{path}` was changed by somebody else, or made under another master key", path = path.display())]
    Forged { path: PathBuf },
}

/// The file.
#[derive(Debug)]
pub(crate) struct SnapshotFile {
    path: PathBuf,
    mac_key: hmac::Key,
    written: Mutex<Option<u64>>,
}

#[derive(Serialize, Deserialize)]
struct Envelope {
    mac: String,
    keys: Box<RawValue>,
}

#[derive(Deserialize)]
struct Keys {
    revision: u64,
    records: Vec<KeyRecord>,
}

#[derive(Serialize)]
struct KeysRef<'a> {
    revision: u64,
    records: &'a [KeyRecord],
}

impl SnapshotFile {
    pub(crate) fn new(path: PathBuf, mac_key: &DerivedKey) -> Self {
        Self { path, mac_key: hmac::Key::new(HMAC_SHA256, mac_key.expose()), written: Mutex::new(None) }
    }

    /// The last written list; `None` if there is no file yet.
    pub(crate) fn read(&self) -> Result<Option<KeyList>, SnapshotError> {
        let bytes = match fs::read(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            read => read.map_err(|source| self.io_error("read", source))?,
        };
        let envelope: Envelope = serde_json::from_slice(&bytes).map_err(|source| self.malformed(source))?;
        let mac = URL_SAFE_NO_PAD.decode(&envelope.mac).unwrap_or_default();
        hmac::verify(&self.mac_key, envelope.keys.get().as_bytes(), &mac)
            .map_err(|_unspecified| SnapshotError::Forged { path: self.path.clone() })?;
        let keys: Keys =
            serde_json::from_str(envelope.keys.get()).map_err(|source| self.malformed(source))?;
        Ok(Some(KeyList { revision: keys.revision, records: keys.records }))
    }

    /// Writes the list, unless a newer one was written by this process.
    pub(crate) fn write(&self, list: &KeyList) -> Result<(), SnapshotError> {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        if written.is_some_and(|revision| revision > list.revision) {
            return Ok(());
        }
        let keys = KeysRef { revision: list.revision, records: &list.records };
        let keys = serde_json::value::to_raw_value(&keys).map_err(|source| self.malformed(source))?;
        let mac = hmac::sign(&self.mac_key, keys.get().as_bytes());
        let envelope = Envelope { mac: URL_SAFE_NO_PAD.encode(mac), keys };
        let bytes = serde_json::to_vec(&envelope).map_err(|source| self.malformed(source))?;
        replace(&self.path, &bytes).map_err(|source| self.io_error("write", source))?;
        *written = Some(list.revision);
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
