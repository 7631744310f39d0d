//! Which keys were begun: in memory, and in two files that survive a crash.
//!
//! A file holds records of one size, each with its own CRC:
//!
//! ```text
//! crc (4) | version (1) | kind (1) | 0 (2) | milliseconds since 1970 (8) | id (16) | fingerprint (16)
//! ```
//!
//! When the present file is full, or a day old, it takes the place of the former one, which is gone
//! then. So nothing is ever rewritten, and both files and what of them is in memory are bounded.
//!
//! - Start with [`Marks::begin`].
//! - **Invariant:** a record is written, though not synced, before `begin` returns.
//! - **Invariant:** what is torn or damaged is passed over; it never becomes another key.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::KNOW_MS;
use super::key::{Fingerprint, Id};

const PRESENT: &str = "idempotency";
const FORMER: &str = "idempotency.former";
const RECORD: usize = 48;
const VERSION: u8 = 1;
/// The most records of a file: 6 MiB, and about twice that in memory.
const FULL: u64 = 128 * 1024;

/// The keys that were begun.
#[derive(Debug)]
pub(super) struct Marks {
    dir: PathBuf,
    file: File,
    /// Places for records that are taken in the present file, good or torn.
    taken: u64,
    full: u64,
    /// When the present file's oldest key was begun.
    since: Option<u64>,
    present: HashMap<Id, Mark>,
    former: HashMap<Id, Mark>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mark {
    fingerprint: Fingerprint,
    at: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Begun,
    Forgotten,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Record {
    kind: Kind,
    id: Id,
    mark: Mark,
}

impl Marks {
    /// Reads both files; those that are not there are empty.
    pub(super) fn open(dir: &Path, now: u64) -> io::Result<Self> {
        Self::open_sized(dir, now, FULL)
    }

    fn open_sized(dir: &Path, now: u64, full: u64) -> io::Result<Self> {
        let mut file = private().read(true).open(dir.join(PRESENT))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let former = match std::fs::read(dir.join(FORMER)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            former => former?,
        };
        let mut marks = Self {
            dir: dir.to_owned(),
            file,
            // A record that was torn in the middle is written over.
            taken: count(bytes.len() / RECORD),
            full,
            since: records(&bytes).map(|record| record.mark.at).min(),
            present: HashMap::new(),
            former: HashMap::new(),
        };
        for record in records(&former) {
            marks.former.put(record, now);
        }
        for record in records(&bytes) {
            marks.former.remove(&record.id);
            marks.present.put(record, now);
        }
        Ok(marks)
    }

    /// The fingerprint of the request that a key was begun for.
    pub(super) fn get(&self, id: &Id, now: u64) -> Option<Fingerprint> {
        let mark = self.present.get(id).or_else(|| self.former.get(id))?;
        is_known(mark.at, now).then_some(mark.fingerprint)
    }

    /// Writes down that a key is begun.
    pub(super) fn begin(&mut self, id: Id, fingerprint: Fingerprint, now: u64) -> io::Result<()> {
        self.write(Record { kind: Kind::Begun, id, mark: Mark { fingerprint, at: now } })
    }

    /// Writes down that a key is free again. In memory it is, even where it cannot be written.
    pub(super) fn forget(&mut self, id: Id, now: u64) -> io::Result<()> {
        self.present.remove(&id);
        self.former.remove(&id);
        let mark = Mark { fingerprint: Fingerprint([0; 16]), at: now };
        self.write(Record { kind: Kind::Forgotten, id, mark })
    }

    fn write(&mut self, record: Record) -> io::Result<()> {
        let now = record.mark.at;
        if self.taken >= self.full || self.since.is_some_and(|since| !is_known(since, now)) {
            self.turn()?;
        }
        // At its place and not at the end: what a full disk cut off is written over by the next.
        let place = self.taken * count(RECORD);
        self.file.write_all_at(&record.encode(), place)?;
        self.taken += 1;
        self.since.get_or_insert(now);
        self.former.remove(&record.id);
        self.present.put(record, now);
        Ok(())
    }

    /// Begins a file. Killed in between, the next start finds the present one missing, which is fine.
    fn turn(&mut self) -> io::Result<()> {
        let present = self.dir.join(PRESENT);
        match std::fs::rename(&present, self.dir.join(FORMER)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            // Somebody took it away, or a turn failed here.
            _ => {}
        }
        self.file = private().open(present)?;
        self.taken = 0;
        self.since = None;
        self.former = std::mem::take(&mut self.present);
        Ok(())
    }
}

/// What a record does to the keys of its file.
trait Put {
    fn put(&mut self, record: Record, now: u64);
}

impl Put for HashMap<Id, Mark> {
    fn put(&mut self, Record { kind, id, mark }: Record, now: u64) {
        match kind {
            Kind::Begun if is_known(mark.at, now) => {
                self.insert(id, mark);
            }
            Kind::Begun | Kind::Forgotten => {
                self.remove(&id);
            }
        }
    }
}

impl Record {
    fn encode(&self) -> [u8; RECORD] {
        let mut bytes = [0; RECORD];
        let kind = match self.kind {
            Kind::Begun => 1,
            Kind::Forgotten => 2,
        };
        let fields = [VERSION, kind, 0, 0]
            .into_iter()
            .chain(self.mark.at.to_le_bytes())
            .chain(self.id.0)
            .chain(self.mark.fingerprint.0);
        for (byte, field) in bytes.iter_mut().skip(4).zip(fields) {
            *byte = field;
        }
        let crc = bytes.split_at(4).1;
        let crc = crc32c::crc32c(crc).to_le_bytes();
        if let Some(place) = bytes.first_chunk_mut() {
            *place = crc;
        }
        bytes
    }

    fn decode(bytes: &[u8; RECORD]) -> Option<Self> {
        let (crc, rest) = bytes.split_first_chunk()?;
        if crc32c::crc32c(rest) != u32::from_le_bytes(*crc) {
            return None;
        }
        let ([version, kind, 0, 0], rest) = rest.split_first_chunk()? else { return None };
        let kind = match (*version, *kind) {
            (VERSION, 1) => Kind::Begun,
            (VERSION, 2) => Kind::Forgotten,
            _ => return None,
        };
        let (at, rest) = rest.split_first_chunk()?;
        let (id, rest) = rest.split_first_chunk()?;
        let fingerprint = Fingerprint(*rest.first_chunk()?);
        Some(Self { kind, id: Id(*id), mark: Mark { fingerprint, at: u64::from_le_bytes(*at) } })
    }
}

/// The good records among these bytes, in order.
fn records(bytes: &[u8]) -> impl Iterator<Item = Record> {
    bytes.as_chunks().0.iter().filter_map(Record::decode)
}

/// A clock that was set back makes a key young, never old.
const fn is_known(at: u64, now: u64) -> bool {
    now.saturating_sub(at) < KNOW_MS
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

/// A file that only its owner may read, made where it is not there.
fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(0o600);
    options
}

#[cfg(test)]
mod tests;
