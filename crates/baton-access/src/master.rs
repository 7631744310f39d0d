//! Holds the one master key and derives every other key from it, one per purpose.
//!
//! An operator has a single secret to keep. Two purposes never share a key, because each has its
//! own label in HKDF-SHA-256.
//!
//! - Start with [`MasterKeySource::choose`] and [`MasterKey::load`].
//! - **Invariant:** the file Baton makes is readable by its owner only, and whole or absent.
//! - **Never here:** a default key; a key too short to be one.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use aws_lc_rs::hkdf::{HKDF_SHA256, Prk, Salt};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use baton_model::Secret;

use crate::random::{NoRandom, random};

/// The name of the file in the data directory.
const FILE_NAME: &str = "master.key";

/// A shorter text is refused: 32 hex digits are 128 bits.
const MIN_LEN: usize = 32;

/// A longer file is not a key.
const MAX_LEN: usize = 4096;

/// What a derived key is for. One variant per purpose; a label is never used twice or changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Label {
    /// MACs of API keys in the store.
    KeyMac,
    /// The MAC over the local snapshot of keys.
    KeySnapshot,
    /// The MAC over the local snapshot of policies.
    PolicySnapshot,
    /// Sealing of content and of upstream credentials.
    Sealing,
    /// Sessions of the admin pages.
    Sessions,
    /// Cursors of paged lists.
    Cursors,
    /// The Ed25519 seed that signs checkpoints of the audit log.
    Signing,
    /// The key under which sticky bindings are looked up.
    Sticky,
    /// The key under which idempotency keys are looked up.
    Idempotency,
    /// Sealing of the keys to captured content.
    ContentKeys,
}

impl Label {
    const fn as_bytes(self) -> &'static [u8] {
        match self {
            Self::KeyMac => b"baton/v1/key-mac",
            Self::KeySnapshot => b"baton/v1/key-snapshot",
            Self::PolicySnapshot => b"baton/v1/policy-snapshot",
            Self::Sealing => b"baton/v1/sealing",
            Self::Sessions => b"baton/v1/sessions",
            Self::Cursors => b"baton/v1/cursors",
            Self::Signing => b"baton/v1/signing",
            Self::Sticky => b"baton/v1/sticky",
            Self::Idempotency => b"baton/v1/idempotency",
            Self::ContentKeys => b"baton/v1/content-keys",
        }
    }
}

/// 32 secret bytes for one purpose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DerivedKey(Secret<[u8; 32]>);

impl DerivedKey {
    pub(crate) const fn of(bytes: [u8; 32]) -> Self {
        Self(Secret::new(bytes))
    }

    /// The bytes, for the code that serves the purpose.
    #[must_use]
    pub const fn expose(&self) -> &[u8; 32] {
        self.0.expose()
    }
}

/// Where the master key comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MasterKeySource {
    /// Given as text, as `BATON_MASTER_KEY` does.
    Value(Secret<String>),
    /// Read from a file that somebody else provides, as `BATON_MASTER_KEY_FILE` does. Its mode is
    /// the provider's business: mounted secrets are often readable by all inside their container.
    File(PathBuf),
    /// Kept in this data directory, and made there at the first start.
    DataDir(PathBuf),
}

impl MasterKeySource {
    /// Decides by what was given: the text, the file, else the data directory.
    ///
    /// # Errors
    ///
    /// When both a text and a file are given, since one of them would be ignored.
    pub fn choose(
        value: Option<String>,
        file: Option<PathBuf>,
        data_dir: &Path,
    ) -> Result<Self, MasterKeyError> {
        match (value, file) {
            (Some(_), Some(_)) => Err(MasterKeyError::GivenTwice),
            (Some(value), None) => Ok(Self::Value(Secret::new(value))),
            (None, Some(file)) => Ok(Self::File(file)),
            (None, None) => Ok(Self::DataDir(data_dir.to_owned())),
        }
    }

    /// Whether an operator gave the key. Replicas of one store need that: a key made on one of them
    /// is unknown to the others.
    #[must_use]
    pub const fn is_given(&self) -> bool {
        match self {
            Self::Value(_) | Self::File(_) => true,
            Self::DataDir(_) => false,
        }
    }
}

/// Why there is no master key.
#[derive(Debug, thiserror::Error)]
pub enum MasterKeyError {
    /// A text and a file at once.
    #[error("both `BATON_MASTER_KEY` and `BATON_MASTER_KEY_FILE` are set; keep one")]
    GivenTwice,
    /// Too few characters to be hard to guess.
    #[error(
        "the master key has {0} characters, it needs at least {MIN_LEN}; `openssl rand -base64 32` makes one"
    )]
    TooShort(usize),
    /// Long, but hardly any different characters.
    #[error("the master key repeats the same few characters; `openssl rand -base64 32` makes a good one")]
    TooSimple,
    /// A file that is too long to hold a key.
    #[error("`{path}` has more than {MAX_LEN} bytes, so it is not a master key", path = path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
    },
    /// Not text.
    #[error("`{path}` is not UTF-8 text", path = path.display())]
    NotText {
        /// The file.
        path: PathBuf,
    },
    /// Others can read the file.
    #[error("`{path}` has mode {mode:04o}, others may have read it; `chmod 600` it, or better make a new key",
        path = path.display())]
    ModeTooWide {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The system refused.
    #[error("cannot {action} `{path}`", path = path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// No random bytes for a new key.
    #[error(transparent)]
    NoRandom(#[from] NoRandom),
}

/// The key that all others come from.
pub struct MasterKey {
    prk: Prk,
}

impl std::fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MasterKey([secret])")
    }
}

impl MasterKey {
    /// Gets the key from its source; makes one in a data directory that has none.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or made, is readable by others, or the text is no good key.
    pub fn load(source: &MasterKeySource) -> Result<Self, MasterKeyError> {
        match source {
            MasterKeySource::Value(text) => Self::from_text(text.expose()),
            MasterKeySource::File(path) => {
                let file = File::open(path).map_err(io_error("open", path))?;
                Self::from_text(&read(file, path)?)
            }
            MasterKeySource::DataDir(dir) => Self::open_or_create(dir),
        }
    }

    /// Takes any text that is long enough. White space around it does not count.
    ///
    /// # Errors
    ///
    /// When it is too short or too simple to be a key.
    pub fn from_text(text: &str) -> Result<Self, MasterKeyError> {
        let text = text.trim();
        if text.len() < MIN_LEN {
            return Err(MasterKeyError::TooShort(text.chars().count()));
        }
        let mut seen = [false; 256];
        for byte in text.bytes() {
            if let Some(slot) = seen.get_mut(usize::from(byte)) {
                *slot = true;
            }
        }
        if seen.iter().filter(|was| **was).count() < 8 {
            return Err(MasterKeyError::TooSimple);
        }
        Ok(Self { prk: Salt::new(HKDF_SHA256, b"baton").extract(text.as_bytes()) })
    }

    /// The key for one purpose.
    #[must_use]
    pub fn derive(&self, label: Label) -> DerivedKey {
        let mut key = [0; 32];
        let info = [label.as_bytes()];
        let derived = self.prk.expand(&info, HKDF_SHA256).and_then(|okm| okm.fill(&mut key));
        #[expect(
            clippy::expect_used,
            reason = "HKDF refuses only outputs longer than 255 hashes; this is one"
        )]
        derived.expect("one hash of output");
        DerivedKey(Secret::new(key))
    }

    fn open_or_create(dir: &Path) -> Result<Self, MasterKeyError> {
        let path = dir.join(FILE_NAME);
        match File::open(&path) {
            Ok(file) => Self::from_own_file(file, &path),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                create(dir, &path)?;
                let file = File::open(&path).map_err(io_error("open", &path))?;
                Self::from_own_file(file, &path)
            }
            Err(error) => Err(io_error("open", &path)(error)),
        }
    }

    fn from_own_file(file: File, path: &Path) -> Result<Self, MasterKeyError> {
        let mode = file.metadata().map_err(io_error("inspect", path))?.permissions().mode() & 0o7777;
        if mode & 0o077 != 0 {
            return Err(MasterKeyError::ModeTooWide { path: path.to_owned(), mode });
        }
        Self::from_text(&read(file, path)?)
    }
}

/// Makes a key file that is whole from the moment it has its name. If another process was quicker,
/// its file stays.
fn create(dir: &Path, path: &Path) -> Result<(), MasterKeyError> {
    let key = URL_SAFE_NO_PAD.encode(random::<32>()?);
    let unique = URL_SAFE_NO_PAD.encode(random::<9>()?);
    let draft = dir.join(format!(".{FILE_NAME}.{unique}"));
    let made = write_new(&draft, format!("{key}\n").as_bytes()).and_then(|()| fs::hard_link(&draft, path));
    let removed = fs::remove_file(&draft);
    match made {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made.and(removed).and_then(|()| File::open(dir)?.sync_all()),
    }
    .map_err(io_error("make", path))
}

/// Writes a file that only its owner can read, down to the disk.
pub(crate) fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn read(file: File, path: &Path) -> Result<String, MasterKeyError> {
    let mut bytes = Vec::new();
    let limit = u64::try_from(MAX_LEN + 1).unwrap_or(u64::MAX);
    file.take(limit).read_to_end(&mut bytes).map_err(io_error("read", path))?;
    if bytes.len() > MAX_LEN {
        return Err(MasterKeyError::TooLong { path: path.to_owned() });
    }
    String::from_utf8(bytes).map_err(|_not_shown| MasterKeyError::NotText { path: path.to_owned() })
}

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> MasterKeyError {
    let path = path.to_owned();
    move |source| MasterKeyError::Io { action, path, source }
}

#[cfg(test)]
mod tests;
