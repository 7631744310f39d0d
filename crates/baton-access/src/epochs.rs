//! Keys of a short time, from which every subject has one of its own; destroyed once their time is over.
//!
//! Content is sealed in the log before the store need answer. So the key to it is on this disk first: a random
//! key for an epoch, in a file of its own. A subject's key is derived from it. When the store has the subjects'
//! keys of an epoch that is over, the file is written over and deleted, and from then on the store alone
//! decides what can be opened.
//!
//! - Start with [`Epochs::seal`]; [`Epochs::key_of`] is for whoever gives the store its keys.
//! - **Invariant:** nothing is sealed in an epoch that has ended.
//! - **Never here:** what the content is, a store.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use aws_lc_rs::hmac::{self, HMAC_SHA256};

use crate::master::{DerivedKey, Label, MasterKey, write_new};
use crate::random::{NoRandom, random};
use crate::seal::{OpenError, Sealer};

/// An epoch is no longer than this: so long another replica may still open what was erased here, and what is
/// to go after a time goes so much later.
const LONGEST_MS: u64 = 60 * 60 * 1_000;

/// The epochs of one data directory.
#[derive(Debug)]
pub struct Epochs {
    dir: PathBuf,
    sealer: Sealer,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    present: Option<Epoch>,
    /// No epoch begins before this.
    not_before_ms: u64,
    /// Those that are over, while the log has something of them that the store has not.
    ended: Vec<Epoch>,
}

#[derive(Debug)]
struct Epoch {
    id: String,
    began_ms: u64,
    key: DerivedKey,
    /// The last entry that was sealed in it; none for an epoch of an earlier process.
    last_seq: Option<u64>,
}

/// A subject's key of an epoch, sealed for the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubjectKey {
    /// When the epoch began, in milliseconds since 1970.
    pub began_ms: u64,
    /// The envelope.
    pub sealed: Vec<u8>,
}

/// Why an epoch cannot be begun or ended.
#[derive(Debug, thiserror::Error)]
pub enum EpochError {
    /// A file cannot be read, written, or deleted.
    #[error("cannot {doing} `{path}`", path = path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// Which file or folder.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The system gave no random bytes.
    #[error(transparent)]
    NoRandom(#[from] NoRandom),
}

impl Epochs {
    /// Takes the folder with the keys of epochs; it is made when the first one begins. A file that the master
    /// key does not open is left alone.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn open(dir: PathBuf, master: &MasterKey) -> Result<Self, EpochError> {
        let sealer = Sealer::new(&master.derive(Label::ContentKeys));
        let mut ended = Vec::new();
        match fs::read_dir(&dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(EpochError::Io { doing: "read", path: dir, source }),
            Ok(files) => {
                for file in files.filter_map(Result::ok) {
                    let id = file.file_name().to_string_lossy().into_owned();
                    let sealed = fs::read(file.path());
                    let sealed = sealed.map_err(|source| EpochError::Io {
                        doing: "read",
                        path: file.path(),
                        source,
                    })?;
                    if let Some((began_ms, key)) = opened(&sealer, &id, &sealed) {
                        ended.push(Epoch { id, began_ms, key, last_seq: None });
                    }
                }
            }
        }
        Ok(Self { dir, sealer, state: Mutex::new(State { ended, ..State::default() }) })
    }

    /// Seals under the subject's key of the present epoch, and lets `write` put the envelope where it belongs
    /// before the epoch can end. `write` gets the epoch's name and says which entry it became.
    ///
    /// # Errors
    /// When no epoch can be begun; in the result, when `write` fails.
    pub fn seal<E>(
        &self,
        now_ms: u64,
        subject: &str,
        place: &[u8],
        plain: &[u8],
        write: impl FnOnce(&str, Vec<u8>) -> Result<u64, E>,
    ) -> Result<Result<(), E>, EpochError> {
        let mut state = self.lock();
        if state.present.as_ref().is_some_and(|epoch| epoch.began_ms.saturating_add(LONGEST_MS) <= now_ms) {
            end(&mut state);
        }
        let epoch = match state.present.take() {
            Some(epoch) => epoch,
            None => self.begin(now_ms.max(state.not_before_ms))?,
        };
        let epoch = state.present.insert(epoch);
        let envelope = epoch.sealer_of(subject).seal(place, plain)?;
        Ok(write(&epoch.id, envelope).map(|seq| epoch.last_seq = Some(seq)))
    }

    /// The subject's key of an epoch whose key is still here, sealed for the store.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub fn key_of(&self, subject: &str, epoch: &str) -> Result<Option<SubjectKey>, NoRandom> {
        let state = self.lock();
        let mut all = state.present.iter().chain(&state.ended);
        let Some(found) = all.find(|it| it.id == epoch) else { return Ok(None) };
        let sealed = self.sealer.seal(&key_place(subject, epoch), found.subject(subject).expose())?;
        Ok(Some(SubjectKey { began_ms: found.began_ms, sealed }))
    }

    /// Opens an envelope with the subject's key as the store has it.
    ///
    /// # Errors
    /// When key or envelope were changed, or belong elsewhere.
    pub fn unseal(
        &self,
        (subject, epoch): (&str, &str),
        key: &[u8],
        place: &[u8],
        envelope: &[u8],
    ) -> Result<Vec<u8>, OpenError> {
        let key = self.sealer.open(&key_place(subject, epoch), key)?;
        let key = *key.first_chunk::<32>().ok_or(OpenError::NotAnEnvelope)?;
        Sealer::new(&DerivedKey::of(key)).open(place, envelope)
    }

    /// When the present epoch began, in milliseconds since 1970; none when there is none.
    #[must_use]
    pub fn began_ms(&self) -> Option<u64> {
        self.lock().present.as_ref().map(|epoch| epoch.began_ms)
    }

    /// Ends the present epoch: what is sealed from now on is sealed in one that begins later than `now_ms`.
    pub fn end(&self, now_ms: u64) {
        let mut state = self.lock();
        state.not_before_ms = state.not_before_ms.max(now_ms.saturating_add(1));
        end(&mut state);
    }

    /// Destroys the keys of epochs that are over and whose last entry the store has: of this process's chain
    /// up to this number, and of all chains before it. Returns how many are left that are over.
    ///
    /// # Errors
    /// When a file cannot be written over or deleted. It is tried again the next time.
    pub fn destroy(&self, stored_seq: u64) -> Result<usize, EpochError> {
        let mut state = self.lock();
        let mut failed = None;
        state.ended.retain(|epoch| {
            // One without an entry of this process's is of an earlier one, or has none at all.
            let is_stored = epoch.last_seq.is_none_or(|last| last <= stored_seq);
            if !is_stored {
                return true;
            }
            let path = self.dir.join(&epoch.id);
            destroy(&path)
                .map_err(|source| failed = Some(EpochError::Io { doing: "destroy", path, source }))
                .is_err()
        });
        failed.map_or(Ok(state.ended.len()), Err)
    }

    fn begin(&self, now_ms: u64) -> Result<Epoch, EpochError> {
        let id = format!("{:032x}", u128::from_be_bytes(random()?));
        let key = random::<32>()?;
        let plain = [now_ms.to_le_bytes().as_slice(), &key].concat();
        let sealed = self.sealer.seal(&epoch_place(&id), &plain)?;
        let path = self.dir.join(&id);
        let io = |doing, path: &Path| {
            let path = path.to_owned();
            move |source| EpochError::Io { doing, path, source }
        };
        DirBuilder::new().recursive(true).mode(0o700).create(&self.dir).map_err(io("make", &self.dir))?;
        write_new(&path, &sealed).map_err(io("write", &path))?;
        File::open(&self.dir).and_then(|dir| dir.sync_all()).map_err(io("sync", &self.dir))?;
        Ok(Epoch { id, began_ms: now_ms, key: DerivedKey::of(key), last_seq: None })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Epoch {
    fn subject(&self, subject: &str) -> DerivedKey {
        let picked = hmac::sign(&hmac::Key::new(HMAC_SHA256, self.key.expose()), subject.as_bytes());
        #[expect(clippy::expect_used, reason = "HMAC-SHA-256 gives 32 bytes")]
        DerivedKey::of(*picked.as_ref().first_chunk().expect("32 bytes"))
    }

    fn sealer_of(&self, subject: &str) -> Sealer {
        Sealer::new(&self.subject(subject))
    }
}

fn end(state: &mut State) {
    state.ended.extend(state.present.take());
}

fn opened(sealer: &Sealer, id: &str, sealed: &[u8]) -> Option<(u64, DerivedKey)> {
    let plain = sealer.open(&epoch_place(id), sealed).ok()?;
    let (began_ms, key) = plain.split_first_chunk::<8>()?;
    Some((u64::from_le_bytes(*began_ms), DerivedKey::of(*key.first_chunk()?)))
}

/// Writes over the file before it goes. What a file system or a disk keeps beside, it keeps.
fn destroy(path: &Path) -> io::Result<()> {
    let mut file = match OpenOptions::new().write(true).open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        opened => opened?,
    };
    let length = usize::try_from(file.metadata()?.len()).unwrap_or_default();
    file.write_all(&vec![0; length])?;
    file.sync_all()?;
    fs::remove_file(path)?;
    path.parent().map_or(Ok(()), |dir| File::open(dir)?.sync_all())
}

fn epoch_place(id: &str) -> Vec<u8> {
    format!("content epoch {id}").into_bytes()
}

/// The epoch's name has a fixed length, so the two cannot be confused.
fn key_place(subject: &str, epoch: &str) -> Vec<u8> {
    format!("content key {epoch} {subject}").into_bytes()
}

#[cfg(test)]
mod tests;
