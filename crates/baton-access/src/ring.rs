//! Lets callers in: one HMAC and one lookup in a snapshot that is swapped as a whole.
//!
//! The snapshot comes from the store, and at start from a local file, so that a store that is away
//! stops no known key. A request never waits for the store.
//!
//! - Start with [`KeyRing::open`], then [`KeyRing::refresh`], then [`KeyRing::authenticate`].
//! - **Invariant:** a key is called unknown only while the store answers; else it may be one that was
//!   made elsewhere, and cannot be checked.
//! - **Never here:** when to refresh; the binary polls and listens for notices.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use baton_model::{KeyId, Secret};
use tokio::time::timeout;

use crate::port::ANSWERS_WITHIN;
use crate::principal::{Caller, Gate};
use crate::secret::last4;
use crate::snapshot::SnapshotFile;
use crate::{
    DerivedKey, Grant, KeyHasher, KeyList, KeyMac, KeyRecord, KeyStore, KeyStoreError, KeyStoreErrorKind,
    Label, MasterKey, Principal, PrincipalId, Role, UNLIMITED,
};

/// The name of the snapshot in the data directory.
const FILE_NAME: &str = "keys.json";

/// An admin key from the environment needs as many characters as this.
const ADMIN_KEY_MIN_LEN: usize = 20;

/// Why nobody was let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// No key was sent.
    #[error("no API key was sent")]
    Missing,
    /// Nobody has this key.
    #[error("the API key is not known")]
    Unknown,
    /// The key's time is over, or that of a secret replaced by rotation.
    #[error("the API key expired")]
    Expired,
    /// The key was withdrawn.
    #[error("the API key was revoked")]
    Revoked,
    /// The key is not among the locally known ones, and the store does not answer.
    #[error("the API key cannot be checked: the key store does not answer")]
    Unavailable,
}

/// The admin key of the environment is too easy to guess.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`BATON_ADMIN_KEY` has {0} characters, it needs at least {ADMIN_KEY_MIN_LEN}; `openssl rand -base64 32` makes one"
)]
pub struct AdminKeyTooShort(pub usize);

/// Everybody who may come in.
#[derive(Debug)]
pub struct KeyRing {
    hasher: KeyHasher,
    store: Arc<dyn KeyStore>,
    file: Arc<SnapshotFile>,
    admin: Option<(KeyMac, Arc<Caller>)>,
    anonymous: Arc<Caller>,
    known: ArcSwap<Known>,
    /// Whether the store did not answer when it was last asked.
    away: AtomicBool,
    gates: Mutex<HashMap<KeyId, Arc<Gate>>>,
}

/// One immutable state of the ring.
#[derive(Debug)]
struct Known {
    source: Source,
    by_mac: HashMap<KeyMac, Entry>,
    list: KeyList,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    File,
    Store,
}

#[derive(Debug)]
struct Entry {
    caller: Arc<Caller>,
    expires_ms: Option<u64>,
    revoked_ms: Option<u64>,
}

impl KeyRing {
    /// Opens the ring with what the local snapshot in `data_dir` knows. Does not ask the store yet.
    ///
    /// A snapshot that cannot be read, or that fails its check, is reported in the log and left out.
    ///
    /// # Errors
    ///
    /// When the admin key is too short.
    pub fn open(
        store: Arc<dyn KeyStore>,
        master: &MasterKey,
        data_dir: &Path,
        admin_key: Option<&Secret<String>>,
    ) -> Result<Self, AdminKeyTooShort> {
        let hasher = KeyHasher::new(&master.derive(Label::KeyMac));
        let admin = admin_key.map(|key| admin(&hasher, key.expose().trim())).transpose()?;
        let file = Self::snapshot_file(data_dir, &master.derive(Label::KeySnapshot));
        let list = file.read().unwrap_or_else(|error| {
            tracing::warn!(error = %error, "the local snapshot of keys is left out");
            None
        });
        let ring = Self {
            hasher,
            store,
            file: Arc::new(file),
            admin,
            anonymous: Arc::new(anonymous()),
            known: ArcSwap::from_pointee(Known::empty()),
            away: AtomicBool::new(false),
            gates: Mutex::default(),
        };
        ring.publish(list.unwrap_or_default(), Source::File);
        Ok(ring)
    }

    fn snapshot_file(data_dir: &Path, mac_key: &DerivedKey) -> SnapshotFile {
        SnapshotFile::new(data_dir.join(FILE_NAME), mac_key)
    }

    /// Lets the holder of a valid key in.
    ///
    /// # Errors
    ///
    /// Why not; see [`AuthError`].
    pub fn authenticate(&self, presented: Option<&str>, now_ms: u64) -> Result<Principal, AuthError> {
        let presented = presented.filter(|key| !key.is_empty()).ok_or(AuthError::Missing)?;
        let mac = self.hasher.mac(presented);
        if let Some((admin, caller)) = &self.admin
            && *admin == mac
        {
            return Ok(Principal::new(Arc::clone(caller)));
        }
        let known = self.known.load();
        match known.by_mac.get(&mac) {
            Some(entry) if entry.revoked_ms.is_some_and(|since| since <= now_ms) => Err(AuthError::Revoked),
            Some(entry) if entry.expires_ms.is_some_and(|end| end <= now_ms) => Err(AuthError::Expired),
            Some(entry) => Ok(Principal::new(Arc::clone(&entry.caller))),
            None if known.source == Source::File || self.away.load(Ordering::Relaxed) => {
                Err(AuthError::Unavailable)
            }
            None => Err(AuthError::Unknown),
        }
    }

    /// Lets everybody in, for a gateway that requires no key: a known key as its holder, no key and
    /// an unknown one as [`Self::anonymous`].
    ///
    /// # Errors
    ///
    /// When a known key expired or was revoked: its holder should learn that, and not be somebody else.
    pub fn identify(&self, presented: Option<&str>, now_ms: u64) -> Result<Principal, AuthError> {
        match self.authenticate(presented, now_ms) {
            Err(AuthError::Missing | AuthError::Unknown | AuthError::Unavailable) => Ok(self.anonymous()),
            decided => decided,
        }
    }

    /// The holder of the key of this id, as the key is now: for work that goes on without its caller.
    ///
    /// # Errors
    ///
    /// When the key expired or was revoked, or is not there any more. A key that the store may know, while the
    /// store is away, is [`AuthError::Unavailable`].
    pub fn recall(&self, id: KeyId, now_ms: u64) -> Result<Principal, AuthError> {
        if id == environment_admin_id() {
            let (_mac, caller) = self.admin.as_ref().ok_or(AuthError::Unknown)?;
            return Ok(Principal::new(Arc::clone(caller)));
        }
        let known = self.known.load();
        let record = known.list.records.iter().find(|record| record.id == id);
        match record.and_then(|record| known.by_mac.get(&record.mac)) {
            Some(entry) if entry.revoked_ms.is_some_and(|since| since <= now_ms) => Err(AuthError::Revoked),
            Some(entry) if entry.expires_ms.is_some_and(|end| end <= now_ms) => Err(AuthError::Expired),
            Some(entry) => Ok(Principal::new(Arc::clone(&entry.caller))),
            None if known.source == Source::File || self.away.load(Ordering::Relaxed) => {
                Err(AuthError::Unavailable)
            }
            None => Err(AuthError::Unknown),
        }
    }

    /// The one principal of all who send no key.
    #[must_use]
    pub fn anonymous(&self) -> Principal {
        Principal::new(Arc::clone(&self.anonymous))
    }

    /// Asks the store for changes and takes them in. `true` when there were some.
    ///
    /// # Errors
    ///
    /// When the store does not answer, or not in time; what is known stays in force.
    pub async fn refresh(&self) -> Result<bool, KeyStoreError> {
        let silent =
            || KeyStoreError::new(KeyStoreErrorKind::Unavailable, "the store did not answer in time");
        let asked = timeout(ANSWERS_WITHIN, self.ask()).await.unwrap_or_else(|_elapsed| Err(silent()));
        self.away.store(asked.is_err(), Ordering::Relaxed);
        let Some(list) = asked? else { return Ok(false) };
        if !self.publish(list.clone(), Source::Store) {
            return Ok(false);
        }
        let file = Arc::clone(&self.file);
        let written = tokio::task::spawn_blocking(move || file.write(&list)).await;
        match written {
            Ok(Err(error)) => tracing::warn!(error = %error, "the local snapshot of keys is not up to date"),
            Err(error) => tracing::warn!(error = %error, "the local snapshot of keys is not up to date"),
            Ok(Ok(())) => {}
        }
        Ok(true)
    }

    /// The list of the store; none when it is the one that is known.
    async fn ask(&self) -> Result<Option<KeyList>, KeyStoreError> {
        let seen = self.known.load_full();
        if seen.source == Source::Store && self.store.revision().await? == seen.list.revision {
            return Ok(None);
        }
        self.store.list().await.map(Some)
    }

    /// Whether the store answered at least once since start.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.known.load().source == Source::Store
    }

    /// Whether anybody has a key: an admin key in the environment, or one in the snapshot.
    #[must_use]
    pub fn has_keys(&self) -> bool {
        self.admin.is_some() || !self.known.load().list.records.is_empty()
    }

    /// Every record of the present snapshot, oldest first.
    #[must_use]
    pub fn records(&self) -> Vec<KeyRecord> {
        self.known.load().list.records.clone()
    }

    pub(crate) fn store(&self) -> &dyn KeyStore {
        self.store.as_ref()
    }

    pub(crate) const fn hasher(&self) -> &KeyHasher {
        &self.hasher
    }

    /// Swaps a list in, unless a newer one of the store is there already.
    fn publish(&self, list: KeyList, source: Source) -> bool {
        let mut gates = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
        let present = self.known.load();
        if present.source == Source::Store && present.list.revision >= list.revision {
            return false;
        }
        let known = Known::new(list, source, &mut gates);
        self.known.store(Arc::new(known));
        true
    }
}

impl Known {
    fn empty() -> Self {
        Self { source: Source::File, by_mac: HashMap::new(), list: KeyList::default() }
    }

    fn new(list: KeyList, source: Source, gates: &mut HashMap<KeyId, Arc<Gate>>) -> Self {
        let mut by_mac = HashMap::with_capacity(list.records.len());
        for record in &list.records {
            let gate = Arc::clone(gates.entry(record.id).or_default());
            let caller = Arc::new(Caller {
                id: PrincipalId::Key(record.id),
                name: record.name.clone(),
                grant: record.grant(),
                gate,
            });
            let entry = |until: Option<u64>| Entry {
                caller: Arc::clone(&caller),
                expires_ms: [record.expires_ms, until].into_iter().flatten().min(),
                revoked_ms: record.revoked_ms,
            };
            by_mac.insert(record.mac, entry(None));
            if let Some(old) = &record.rotated_from {
                by_mac.insert(old.mac, entry(Some(old.until_ms)));
            }
        }
        Self { source, by_mac, list }
    }
}

/// The id under which the admin key of the environment acts: the same on every machine and over
/// restarts, and of a time before every real key.
#[must_use]
pub fn environment_admin_id() -> KeyId {
    KeyId::from_parts(0, *b"env-admin\0")
}

fn admin(hasher: &KeyHasher, key: &str) -> Result<(KeyMac, Arc<Caller>), AdminKeyTooShort> {
    if key.len() < ADMIN_KEY_MIN_LEN {
        return Err(AdminKeyTooShort(key.chars().count()));
    }
    let id = PrincipalId::Key(environment_admin_id());
    let name = format!("BATON_ADMIN_KEY …{}", last4(key));
    Ok((hasher.mac(key), Arc::new(Caller { id, name, grant: UNLIMITED, gate: Arc::default() })))
}

/// A keyless caller may spend the configured provider keys, so it may bring its own as well.
fn anonymous() -> Caller {
    let grant = Grant { role: Role::Use, ..UNLIMITED };
    Caller {
        id: PrincipalId::Anonymous,
        name: PrincipalId::Anonymous.to_string(),
        grant,
        gate: Arc::default(),
    }
}

#[cfg(test)]
mod tests;
