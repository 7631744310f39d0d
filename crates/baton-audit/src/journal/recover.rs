//! Reads what an earlier process left, keeps what is whole, and puts the rest aside.
//!
//! - **Invariant:** an entry is kept only when its checksum, its number and its hash fit, and so
//!   do those of every entry of its chain before it.
//! - **Never:** a panic on any bytes, and never an entry that was not there.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use baton_model::{BootId, DecisionId, RunId};
use serde::Deserialize;

use super::index::{Index, Kind, Place};
use super::segment::{
    EntryReader, Header, ReadError, SEGMENT_HEADER, Segment, Spare, last_written, segment_number,
};
use crate::ChainHead;
use crate::chain::Hash;
use crate::frame;

/// What was found when the journal was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Segments that an earlier process left.
    pub segments: u64,
    /// Whole entries in them.
    pub entries: u64,
    /// Whole bytes in them.
    pub bytes: u64,
    /// Attempts without an outcome: they were under way when the process died.
    pub open_attempts: u64,
    /// The chains in them, oldest first, with their last whole entry.
    pub chains: Vec<ChainHead>,
    /// Whether the last chain ended in order. True for a new journal.
    pub clean: bool,
    /// What was put aside.
    pub quarantined: Vec<Quarantined>,
}

/// Bytes that are no valid continuation of their chain, kept in a file of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quarantined {
    /// Where they are now.
    pub file: PathBuf,
    /// How many bytes.
    pub bytes: u64,
    /// The last whole entry before them, and its chain, where there is one.
    pub after: Option<ChainHead>,
    /// What was wrong with them.
    pub reason: String,
}

pub(super) struct Recovery {
    pub(super) found: Recovered,
    pub(super) segments: Vec<Segment>,
    pub(super) next_number: u64,
}

pub(super) fn recover(dir: &Path, index: &mut Index) -> io::Result<Recovery> {
    let mut scan = Scan {
        dir,
        index,
        found: Recovered { clean: true, ..Recovered::default() },
        open: std::collections::HashSet::new(),
        head: None,
        broken: None,
        nameless: false,
    };
    let mut segments = Vec::new();
    let mut next_number = 1;
    for (number, path) in list(dir)? {
        next_number = number + 1;
        segments.extend(scan.segment(number, &path)?);
    }
    scan.end_chain();
    let mut found = scan.found;
    found.segments = segments.len() as u64;
    found.open_attempts = scan.open.len() as u64;
    Ok(Recovery { found, segments, next_number })
}

/// The segments in order; left-over spare files are deleted.
fn list(dir: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut numbered = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if Spare::is_spare(&name) {
            fs::remove_file(entry.path())?;
        } else if let Some(number) = segment_number(&name) {
            numbered.push((number, entry.path()));
        }
    }
    numbered.sort_unstable();
    Ok(numbered)
}

struct Scan<'a> {
    dir: &'a Path,
    index: &'a mut Index,
    found: Recovered,
    open: std::collections::HashSet<DecisionId>,
    /// The chain being read.
    head: Option<Head>,
    /// A chain that was broken: nothing more of it is kept.
    broken: Option<BootId>,
    /// Whether a segment was put aside whose chain is not known: the next one may be its continuation.
    nameless: bool,
}

#[derive(Clone, Copy)]
struct Head {
    boot: BootId,
    seq: u64,
    hash: Hash,
}

impl Head {
    fn named(self) -> ChainHead {
        ChainHead { boot: self.boot, seq: self.seq, hash: self.hash.to_string() }
    }
}

impl Scan<'_> {
    fn segment(&mut self, number: u64, path: &Path) -> io::Result<Option<Segment>> {
        let Some((mut segment, header)) = Segment::open(path, number)? else {
            self.nameless = true;
            self.put_aside_whole(path, "the segment has no valid header")?;
            return Ok(None);
        };
        if self.broken == Some(header.boot) {
            self.put_aside_whole(path, "an earlier segment of this chain is damaged")?;
            return Ok(None);
        }
        if let Err(reason) = self.begin(header) {
            self.broken = Some(header.boot);
            self.put_aside_whole(path, reason)?;
            return Ok(None);
        }
        let (end, reason) = self.entries(&segment)?;
        let written = last_written(&segment.file, end)?;
        if written > end {
            let reason = reason.unwrap_or_else(|| "bytes after the last entry".to_owned());
            self.broken = Some(header.boot);
            self.put_aside_tail(&segment, end, written, reason)?;
        }
        segment.file.set_len(end)?;
        segment.file.sync_all()?;
        segment.end = end;
        segment.capacity = end;
        self.found.bytes += end - SEGMENT_HEADER;
        Ok(Some(segment))
    }

    /// Takes up the chain of a segment, or says why it does not continue it.
    fn begin(&mut self, header: Header) -> Result<(), &'static str> {
        match self.head {
            Some(head) if head.boot == header.boot => {
                if head.seq + 1 == header.first_seq && head.hash == header.previous {
                    Ok(())
                } else {
                    Err("the segment does not continue its chain")
                }
            }
            _ if self.nameless && header.first_seq > 1 => Err("an earlier segment of this chain is damaged"),
            _ => {
                self.nameless = false;
                self.end_chain();
                let seq = header.first_seq.checked_sub(1).ok_or("the segment begins before its chain")?;
                self.head = Some(Head { boot: header.boot, seq, hash: header.previous });
                self.found.clean = false;
                Ok(())
            }
        }
    }

    fn end_chain(&mut self) {
        if let Some(head) = self.head.take().filter(|head| head.seq > 0) {
            self.found.chains.push(head.named());
        }
    }

    /// Reads the entries of a segment; where they end, and why if not for lack of more.
    fn entries(&mut self, segment: &Segment) -> io::Result<(u64, Option<String>)> {
        let mut reader = EntryReader::new(&segment.file, SEGMENT_HEADER, segment.capacity);
        loop {
            let place = Place { segment: segment.number, offset: reader.offset() };
            let bytes = match reader.next_entry() {
                Ok(Some(bytes)) => bytes,
                Ok(None) => return Ok((place.offset, None)),
                Err(ReadError::Io(error)) => return Err(error),
                Err(ReadError::Frame(error)) => return Ok((place.offset, Some(error.to_string()))),
            };
            let frame = match frame::read(bytes) {
                Ok(Some(frame)) => frame,
                Ok(None) => return Ok((place.offset, None)),
                Err(error) => return Ok((place.offset, Some(error.to_string()))),
            };
            let Some(head) = self.head.as_mut() else { return Ok((place.offset, None)) };
            if !frame.follows(head.hash, head.seq + 1) {
                return Ok((place.offset, Some("the entry does not continue its chain".to_owned())));
            }
            *head = Head { boot: head.boot, seq: frame.seq, hash: frame.hash };
            self.entry(place, frame.payload);
        }
    }

    fn entry(&mut self, place: Place, payload: &[u8]) {
        self.found.entries += 1;
        // The chain vouches for the payload; one that a newer version wrote is kept unread.
        let peek: Peek = serde_json::from_slice(payload).unwrap_or_default();
        self.found.clean = match peek.record.as_str() {
            "clean_stop" => true,
            // The checkpoint behind the end belongs to it.
            "checkpoint" => self.found.clean,
            _ => false,
        };
        let kind = peek.kind();
        match kind {
            Kind::Decision { id, attempt: true, .. } => {
                self.open.insert(id);
            }
            Kind::Outcome { decision } => {
                self.open.remove(&decision);
            }
            Kind::Decision { .. } | Kind::Other => {}
        }
        self.index.note(place, peek.at_ms, kind);
    }

    fn put_aside_tail(&mut self, segment: &Segment, from: u64, to: u64, reason: String) -> io::Result<()> {
        let file = self.quarantine()?.join(format!("{:016x}-{from}.bin", segment.number));
        let copy = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&file)?;
        let mut at = from;
        let mut piece = vec![0; 64 * 1024];
        while at < to {
            piece.truncate(usize::try_from(to - at).unwrap_or(usize::MAX).min(piece.len()));
            segment.file.read_exact_at(&mut piece, at)?;
            copy.write_all_at(&piece, at - from)?;
            at += piece.len() as u64;
        }
        copy.sync_all()?;
        self.note_quarantined(file, to - from, reason)
    }

    fn put_aside_whole(&mut self, path: &Path, reason: &str) -> io::Result<()> {
        let bytes = last_written(&File::open(path)?, 0)?;
        if bytes == 0 {
            return fs::remove_file(path);
        }
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let file = self.quarantine()?.join(format!("{name}.bin"));
        fs::rename(path, &file)?;
        self.note_quarantined(file, bytes, reason.to_owned())
    }

    fn note_quarantined(&mut self, file: PathBuf, bytes: u64, reason: String) -> io::Result<()> {
        let after = self.head.filter(|head| head.seq > 0).map(Head::named);
        self.found.quarantined.push(Quarantined { file, bytes, after, reason });
        self.found.clean = false;
        File::open(self.dir.join(QUARANTINE))?.sync_all()
    }

    fn quarantine(&self) -> io::Result<PathBuf> {
        let dir = self.dir.join(QUARANTINE);
        fs::create_dir_all(&dir)?;
        Ok(dir)
    }
}

const QUARANTINE: &str = "quarantine";

/// As much of a record as the index needs.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Peek {
    record: String,
    id: Option<DecisionId>,
    run: Option<RunId>,
    decision: Option<DecisionId>,
    attempt: bool,
    at_ms: u64,
}

impl Peek {
    fn kind(&self) -> Kind {
        match (self.record.as_str(), self.id, self.run, self.decision) {
            ("decision", Some(id), Some(run), _) => Kind::Decision { id, run, attempt: self.attempt },
            ("outcome", _, _, Some(decision)) => Kind::Outcome { decision },
            _ => Kind::Other,
        }
    }
}
