//! Knows which key signs, after keys were replaced.
//!
//! All keys are derived from the master key; which of them signs is only a number. What says that each
//! followed the one before is kept in the data directory, signed by those keys: it is no secret, and
//! is told again at the beginning of every chain.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use baton_access::{DerivedKey, Label, MasterKey};
use baton_audit::{CheckpointKey, CheckpointSigner, Journal, SigningKey};

/// The file's name in the data directory.
const FILE: &str = "signing-keys.json";

/// The signing keys of a data directory.
#[derive(Debug)]
pub(crate) struct Signing {
    seed: DerivedKey,
    file: PathBuf,
}

impl Signing {
    pub(crate) fn of(master: &MasterKey, data_dir: &Path) -> Self {
        Self { seed: master.derive(Label::Signing), file: data_dir.join(FILE) }
    }

    /// What says which key followed which, oldest first.
    pub(crate) fn keys(&self) -> anyhow::Result<Vec<SigningKey>> {
        match fs::read(&self.file) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .with_context(|| format!("cannot read `{}`", self.file.display())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error).with_context(|| format!("cannot read `{}`", self.file.display())),
        }
    }

    /// The signer that follows so many others.
    fn signer(&self, generation: usize) -> anyhow::Result<CheckpointSigner> {
        Ok(CheckpointSigner::successor(self.seed.expose(), u32::try_from(generation)?)?)
    }

    /// The key that signs now, and what says that it may.
    pub(crate) fn current(&self) -> anyhow::Result<(CheckpointSigner, Vec<SigningKey>)> {
        let keys = self.keys()?;
        let signer = self.signer(keys.len())?;
        if let Some(last) = keys.last()
            && last.public != signer.public_key().to_base64()
        {
            bail!(
                "`{}` was written under another master key: signing goes on when that one is given again",
                self.file.display()
            );
        }
        Ok((signer, keys))
    }

    /// The public halves of all keys of this master key that have signed in this directory.
    pub(crate) fn public_keys(&self) -> anyhow::Result<Vec<CheckpointKey>> {
        (0..=self.keys()?.len()).map(|generation| Ok(self.signer(generation)?.public_key())).collect()
    }

    /// Lets the next key sign.
    pub(crate) async fn rotate(&self, journal: &Arc<Journal>) -> anyhow::Result<SigningKey> {
        let mut keys = self.keys()?;
        let next = self.signer(keys.len() + 1)?;
        let keep = |key: &SigningKey| {
            keys.push(key.clone());
            replace(&self.file, &serde_json::to_vec_pretty(&keys)?)
        };
        Ok(journal.rotate_key(next, keep).await?)
    }
}

/// Replaces a file so that a crash leaves the old one or the new one.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = path.with_extension("new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    match path.parent() {
        Some(dir) => File::open(dir)?.sync_all(),
        None => Ok(()),
    }
}
