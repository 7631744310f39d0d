//! Keeps entries in files of bounded size, whose space is written with zeros before it is used.
//!
//! Writing zeros first makes the space real: an entry cannot find the disk full, and a sync has
//! no file size and no block map to write. A file that is done with is filled with zeros again: that is
//! cheaper than another one.
//!
//! - **Invariant:** a segment holds entries of one chain, and its header says from which on.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use baton_model::BootId;

use super::index::Place;
use crate::chain::Hash;
use crate::frame::{self, FrameError};

/// Bytes before the first entry.
pub(crate) const SEGMENT_HEADER: u64 = 72;
const MAGIC: &[u8; 8] = b"BATONJ01";
const ZEROS: &[u8] = &[0; 256 * 1024];
const SYNC_EVERY: u64 = 4 << 20;

/// A file of zeros that becomes a segment when it is needed.
#[derive(Debug)]
pub(crate) struct Spare {
    file: Arc<File>,
    path: PathBuf,
    pub(crate) capacity: u64,
}

impl Spare {
    pub(crate) fn is_spare(name: &str) -> bool {
        name.starts_with("spare-")
    }

    /// Makes a file of zeros. With `synced` they are on the disk when this returns.
    pub(crate) fn create(dir: &Path, number: u64, capacity: u64, synced: bool) -> io::Result<Self> {
        let path = dir.join(format!("spare-{number}"));
        let made = Self::fill(&path, capacity, synced);
        if made.is_err() {
            // Half a file of zeros would hold the space that others need now.
            drop(std::fs::remove_file(&path));
        }
        made
    }

    fn fill(path: &Path, capacity: u64, synced: bool) -> io::Result<Self> {
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(true).mode(0o600).open(path)?;
        write_zeros(&file, capacity, synced)?;
        if synced {
            file.sync_all()?;
        }
        Ok(Self { file: Arc::new(file), path: path.to_owned(), capacity })
    }

    /// Makes a spare of a worn segment. The zeros are on the disk when this returns.
    pub(crate) fn renew(dir: &Path, number: u64, worn: Segment) -> io::Result<Self> {
        let path = dir.join(format!("spare-{number}"));
        let renewed = std::fs::rename(&worn.path, &path)
            .and_then(|()| write_zeros(&worn.file, worn.end, true))
            .and_then(|()| worn.file.sync_all());
        if let Err(error) = renewed {
            drop(std::fs::remove_file(&path));
            return Err(error);
        }
        Ok(Self { file: worn.file, path, capacity: worn.capacity })
    }

    /// Gives the file its header and its name.
    pub(crate) fn activate(&self, dir: &Path, header: Header) -> io::Result<Segment> {
        self.file.write_all_at(&header.encode(), 0)?;
        let path = segment_path(dir, header.number);
        std::fs::rename(&self.path, &path)?;
        Ok(Segment {
            number: header.number,
            boot: header.boot,
            previous: header.previous,
            file: Arc::clone(&self.file),
            path,
            end: SEGMENT_HEADER,
            capacity: self.capacity,
        })
    }
}

/// Writes zeros over the first bytes of a file. With `synced` few of them wait for the disk at a time.
fn write_zeros(file: &File, until: u64, synced: bool) -> io::Result<()> {
    let mut at = 0;
    while at < until {
        let rest = usize::try_from(until - at).unwrap_or(usize::MAX);
        let piece = ZEROS.get(..rest.min(ZEROS.len())).unwrap_or(ZEROS);
        file.write_all_at(piece, at)?;
        at += piece.len() as u64;
        if synced && at % SYNC_EVERY == 0 {
            file.sync_data()?;
        }
    }
    Ok(())
}

/// What a segment says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) number: u64,
    pub(crate) boot: BootId,
    /// The number of its first entry.
    pub(crate) first_seq: u64,
    /// The hash before its first entry.
    pub(crate) previous: Hash,
}

impl Header {
    fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::from(*MAGIC);
        bytes.extend_from_slice(self.boot.uuid().as_bytes());
        bytes.extend_from_slice(&self.first_seq.to_le_bytes());
        bytes.extend_from_slice(self.previous.as_bytes());
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
        bytes
    }

    fn decode(number: u64, bytes: &[u8]) -> Option<Self> {
        let crc = crc32c::crc32c(bytes.get(..68)?);
        let mut rest = bytes;
        let magic: [u8; 8] = frame::take(&mut rest);
        let boot: [u8; 16] = frame::take(&mut rest);
        let boot = BootId::from_uuid(boot.to_vec().try_into().ok()?);
        let first_seq = u64::from_le_bytes(frame::take(&mut rest));
        let previous = Hash::from_bytes(frame::take(&mut rest));
        let _padding: [u8; 4] = frame::take(&mut rest);
        let found = u32::from_le_bytes(frame::take(&mut rest));
        (magic == *MAGIC && found == crc).then_some(Self { number, boot, first_seq, previous })
    }
}

/// A file with entries.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    pub(crate) number: u64,
    pub(crate) boot: BootId,
    /// The hash before its first entry.
    pub(crate) previous: Hash,
    pub(crate) file: Arc<File>,
    pub(crate) path: PathBuf,
    /// Where the next entry goes, or where the last one ended.
    pub(crate) end: u64,
    pub(crate) capacity: u64,
}

impl Segment {
    /// Takes its name away, so that nobody reads it as a part of its chain. Its new one is its own: another
    /// may be put aside before a spare is made of this one.
    pub(crate) fn wear(self, dir: &Path) -> io::Result<Self> {
        let path = dir.join(format!("spare-worn-{}", self.number));
        std::fs::rename(&self.path, &path)?;
        Ok(Self { path, ..self })
    }

    /// Opens a segment that an earlier process left. No header: `None`.
    pub(crate) fn open(path: &Path, number: u64) -> io::Result<Option<(Self, Header)>> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        let capacity = file.metadata()?.len();
        let mut bytes = [0; 72];
        if capacity < SEGMENT_HEADER {
            return Ok(None);
        }
        file.read_exact_at(&mut bytes, 0)?;
        Ok(Header::decode(number, &bytes).map(|header| {
            let (file, path) = (Arc::new(file), path.to_owned());
            let Header { boot, previous, .. } = header;
            (Self { number, boot, previous, file, path, end: capacity, capacity }, header)
        }))
    }

    pub(crate) const fn remaining(&self) -> u64 {
        self.capacity.saturating_sub(self.end)
    }

    pub(crate) const fn end_place(&self) -> Place {
        Place { segment: self.number, offset: self.end }
    }
}

/// The number in a segment's file name.
pub(crate) fn segment_number(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".seg").filter(|digits| digits.len() == 16)?;
    u64::from_str_radix(digits, 16).ok()
}

fn segment_path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:016x}.seg"))
}

/// Reads entries one after the other, through one buffer.
#[derive(Debug)]
pub(crate) struct EntryReader<'a> {
    file: &'a File,
    at: u64,
    end: u64,
    buffer: Vec<u8>,
    /// Where in the file the buffer begins.
    base: u64,
}

const READ_AHEAD: usize = 256 * 1024;

/// Why reading stopped before the end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    #[error("the segment cannot be read")]
    Io(#[from] io::Error),
    #[error("the segment is damaged")]
    Frame(#[from] FrameError),
}

impl<'a> EntryReader<'a> {
    pub(crate) const fn new(file: &'a File, from: u64, end: u64) -> Self {
        Self { file, at: from, end, buffer: Vec::new(), base: from }
    }

    /// Where the next entry begins.
    pub(crate) const fn offset(&self) -> u64 {
        self.at
    }

    /// The bytes of the next entry; `None` at the end of what was written.
    pub(crate) fn next_entry(&mut self) -> Result<Option<&[u8]>, ReadError> {
        let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX);
        if left == 0 {
            return Ok(None);
        }
        if left < frame::HEADER {
            let rest = self.load(left)?;
            return if rest.iter().all(|byte| *byte == 0) {
                Ok(None)
            } else {
                Err(ReadError::Frame(FrameError::Short))
            };
        }
        let header = self.load(frame::HEADER)?.first_chunk().copied().unwrap_or([0; frame::HEADER]);
        let length = frame::measure(&header)?;
        if length == 0 {
            return Ok(None);
        }
        if length > left {
            return Err(ReadError::Frame(FrameError::Short));
        }
        self.load(length)?;
        let start = usize::try_from(self.at - self.base).unwrap_or(usize::MAX);
        self.at += length as u64;
        Ok(self.buffer.get(start..start.saturating_add(length)))
    }

    /// Makes sure that the next bytes are in the buffer.
    fn load(&mut self, length: usize) -> io::Result<&[u8]> {
        let start = usize::try_from(self.at - self.base).unwrap_or(usize::MAX);
        if start.saturating_add(length) > self.buffer.len() {
            let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX);
            self.buffer.resize(length.max(READ_AHEAD).min(left), 0);
            self.file.read_exact_at(&mut self.buffer, self.at)?;
            self.base = self.at;
        }
        let start = usize::try_from(self.at - self.base).unwrap_or(usize::MAX);
        Ok(self.buffer.get(start..start.saturating_add(length)).unwrap_or_default())
    }
}

/// Where the last byte that is not zero ends, at or after `from`.
pub(crate) fn last_written(file: &File, from: u64) -> io::Result<u64> {
    let end = file.metadata()?.len();
    let mut last = from;
    let mut at = from;
    let mut piece = vec![0; ZEROS.len()];
    while at < end {
        let length = piece.len().min(usize::try_from(end - at).unwrap_or(usize::MAX));
        piece.truncate(length);
        file.read_exact_at(&mut piece, at)?;
        if let Some(found) = piece.iter().rposition(|byte| *byte != 0) {
            last = at + found as u64 + 1;
        }
        at += length as u64;
    }
    Ok(last)
}
