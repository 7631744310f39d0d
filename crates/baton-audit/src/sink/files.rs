//! The files of an export and the cursor beside them.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use baton_model::BootId;
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use super::ExportOptions;
use crate::ChainHead;

const CURSOR: &str = "cursor.json";
const DRAFT: &str = "cursor.json.new";
const LOCK: &str = "lock";

/// A place in a chain: everything up to this number is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Place {
    pub(super) boot: BootId,
    pub(super) seq: u64,
}

/// What is on the disk.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Cursor {
    /// The chains that are not at their end, oldest first.
    chains: Vec<Place>,
    /// The file that is being written.
    file: Option<Open>,
    /// The number of the next file.
    next: u64,
}

/// A file that is being written, up to where its lines are on the disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Open {
    name: String,
    bytes: u64,
    began_ms: u64,
}

/// The folder of an export.
#[derive(Debug)]
pub(super) struct Files {
    options: ExportOptions,
    boot: BootId,
    cursor: Cursor,
    /// The file that the cursor names.
    file: Option<File>,
    /// Held while the folder is.
    _lock: File,
}

impl Files {
    /// Takes the folder, and cuts off what is behind the cursor.
    pub(super) fn open(options: ExportOptions, boot: BootId) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(&options.dir)?;
        let lock = lock(&options.dir)?;
        let mut cursor = read(&options.dir)?;
        if !cursor.chains.iter().any(|place| place.boot == boot) {
            cursor.chains.push(Place { boot, seq: 0 });
        }
        let mut files = Self { options, boot, cursor, file: None, _lock: lock };
        if let Some(open) = files.cursor.file.clone() {
            files.file = files.reopen(&open)?;
            if files.file.is_none() {
                files.cursor.file = None;
            }
        }
        files.save()?;
        Ok(files)
    }

    /// The chains that may have more, oldest first.
    pub(super) fn chains(&self) -> Vec<Place> {
        self.cursor.chains.clone()
    }

    /// The chain before this one is at its end.
    pub(super) fn forget(&mut self, end: &ChainHead) {
        self.cursor.chains.retain(|place| place.boot != end.boot || place.seq < end.seq);
    }

    /// Appends lines, and only then moves the cursor.
    pub(super) fn append(&mut self, lines: &[u8], to: Place) -> io::Result<()> {
        if !lines.is_empty() {
            let (file, open) = self.current()?;
            file.write_all_at(lines, open.bytes)?;
            file.sync_data()?;
            open.bytes += lines.len() as u64;
        }
        if let Some(place) = self.cursor.chains.iter_mut().find(|place| place.boot == to.boot) {
            place.seq = to.seq;
        }
        self.save()?;
        let full = self.cursor.file.as_ref().is_some_and(|open| open.bytes >= self.options.file_bytes);
        if full { self.finish() } else { Ok(()) }
    }

    /// Finishes a file that is old enough.
    pub(super) fn finish_old(&mut self) -> io::Result<()> {
        let most = u64::try_from(self.options.file_age.as_millis()).unwrap_or(u64::MAX);
        let old = |open: &Open| now_ms().saturating_sub(open.began_ms) >= most;
        if self.cursor.file.as_ref().is_some_and(old) { self.finish() } else { Ok(()) }
    }

    /// Gives the file its final name.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        let Some(open) = self.cursor.file.take() else { return Ok(()) };
        self.file = None;
        fs::rename(self.part(&open.name), self.options.dir.join(&open.name))?;
        self.save()
    }

    /// The file to write to; begins one where there is none.
    fn current(&mut self) -> io::Result<(&File, &mut Open)> {
        if self.file.is_none() || self.cursor.file.is_none() {
            let name = format!("{}-{:08}.ndjson", self.boot, self.cursor.next);
            let part = self.part(&name);
            self.file =
                Some(OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(part)?);
            self.cursor.next += 1;
            self.cursor.file = Some(Open { name, bytes: 0, began_ms: now_ms() });
        }
        let missing = || io::Error::other("no file is open");
        Ok((self.file.as_ref().ok_or_else(missing)?, self.cursor.file.as_mut().ok_or_else(missing)?))
    }

    /// The file that the cursor names, cut to where it says; none when it was finished in between.
    fn reopen(&self, open: &Open) -> io::Result<Option<File>> {
        let file = match OpenOptions::new().write(true).open(self.part(&open.name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        if file.metadata()?.len() < open.bytes {
            return Err(io::Error::other(format!("`{}` is shorter than it was written", open.name)));
        }
        file.set_len(open.bytes)?;
        Ok(Some(file))
    }

    fn part(&self, name: &str) -> PathBuf {
        self.options.dir.join(format!("{name}.part"))
    }

    fn save(&self) -> io::Result<()> {
        let draft = self.options.dir.join(DRAFT);
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
        serde_json::to_writer(&file, &self.cursor)?;
        file.sync_data()?;
        fs::rename(draft, self.options.dir.join(CURSOR))?;
        File::open(&self.options.dir)?.sync_all()
    }
}

fn read(dir: &Path) -> io::Result<Cursor> {
    match fs::read(dir.join(CURSOR)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Cursor::default()),
        read => Ok(serde_json::from_slice(&read?)?),
    }
}

/// Takes the folder for this process.
fn lock(dir: &Path) -> io::Result<File> {
    let file =
        OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(dir.join(LOCK))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => {
            Err(io::Error::other(format!("another gateway exports to `{}`", dir.display())))
        }
        Err(error) => Err(error.into()),
    }
}

fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}
