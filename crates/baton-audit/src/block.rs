//! Packs journal entries as they stand into one compressed piece of evidence.

use baton_model::BootId;
use serde::Deserialize;

use crate::chain::Hash;
use crate::frame;
use crate::glance::{Sort, glance};

/// Entries of one chain, verbatim and compressed. Insert-only in every store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The chain.
    pub boot: BootId,
    /// The number of the first entry; with the chain it names the block.
    pub first_seq: u64,
    /// The number of the last entry.
    pub last_seq: u64,
    /// The hash before the first entry.
    pub previous: Hash,
    /// The hash of the last entry.
    pub last: Hash,
    /// The time of the first entry, in milliseconds since 1970.
    pub at_ms: u64,
    /// How many bytes the entries have.
    pub raw_bytes: u64,
    /// The entries, compressed with zstd.
    pub body: Vec<u8>,
}

/// Why bytes are no block.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    /// There is no entry in it.
    #[error("the block is empty")]
    Empty,
    /// The entries cannot be read.
    #[error("the block is damaged: {0}")]
    Damaged(String),
}

/// A block has at most so many entries: to show one record, the block is unpacked in which it stands.
const BLOCK_ENTRIES: usize = 256;
/// No block is longer when it is unpacked; what claims to be is damage.
const MAX_RAW: u64 = 64 << 20;

impl Block {
    /// Packs whole entries of one chain into as few blocks as hold them.
    ///
    /// # Errors
    /// When there is none, or the bytes are not whole entries in order.
    pub fn pack_all(boot: BootId, previous: Hash, frames: &[u8]) -> Result<Vec<Self>, BlockError> {
        let mut blocks: Vec<Self> = Vec::new();
        let mut rest = frames;
        while !rest.is_empty() || blocks.is_empty() {
            let (now, later) = rest.split_at_checked(length_of(rest, BLOCK_ENTRIES)?).unwrap_or((rest, &[]));
            let (previous, follows) = match blocks.last() {
                Some(before) => (before.last, Some(before.last_seq + 1)),
                None => (previous, None),
            };
            let block = Self::pack(boot, previous, now)?;
            if let Some(expected) = follows.filter(|expected| *expected != block.first_seq) {
                let why = format!("entry {} stands in the place of {expected}", block.first_seq);
                return Err(BlockError::Damaged(why));
            }
            blocks.push(block);
            rest = later;
        }
        Ok(blocks)
    }

    /// Packs whole entries of one chain.
    ///
    /// # Errors
    /// When there is none, or the bytes are not whole entries in order.
    pub fn pack(boot: BootId, previous: Hash, frames: &[u8]) -> Result<Self, BlockError> {
        let damaged = |why: &dyn std::fmt::Display| BlockError::Damaged(why.to_string());
        let mut ends: Option<(u64, u64, Hash, u64)> = None;
        for frame in frame::read_all(frames) {
            let frame = frame.map_err(|error| damaged(&error))?;
            ends = match ends {
                None => Some((frame.seq, frame.seq, frame.hash, time_of(frame.payload))),
                Some((first, last, _, at_ms)) if last + 1 == frame.seq => {
                    Some((first, frame.seq, frame.hash, at_ms))
                }
                Some((_, last, ..)) => return Err(damaged(&format!("entry {} follows {last}", frame.seq))),
            };
        }
        let (first_seq, last_seq, last, at_ms) = ends.ok_or(BlockError::Empty)?;
        let body = zstd::bulk::compress(frames, 1).map_err(|error| damaged(&error))?;
        Ok(Self { boot, first_seq, last_seq, previous, last, at_ms, raw_bytes: frames.len() as u64, body })
    }

    /// The entries, as they stood in the journal.
    ///
    /// # Errors
    /// When the body is not what was packed.
    pub fn unpack(&self) -> Result<Vec<u8>, BlockError> {
        let raw = usize::try_from(self.raw_bytes.min(MAX_RAW)).unwrap_or_default();
        let frames = zstd::bulk::decompress(&self.body, raw);
        let frames = frames.map_err(|error| BlockError::Damaged(error.to_string()))?;
        if frames.len() as u64 == self.raw_bytes {
            Ok(frames)
        } else {
            Err(BlockError::Damaged("the length is not what it says".to_owned()))
        }
    }

    /// The texts of entries, by their numbers in ascending order. What is not there is left out.
    pub(crate) fn records(
        &self,
        numbers: impl Iterator<Item = u64>,
    ) -> Result<Vec<(u64, String)>, BlockError> {
        let damaged = |error: &dyn std::fmt::Display| BlockError::Damaged(error.to_string());
        let frames = self.unpack()?;
        let mut rest = frames.as_slice();
        let mut next = self.first_seq;
        let mut found = Vec::new();
        for number in numbers {
            // What lies between is passed over unread.
            while next < number
                && let Some(header) = rest.first_chunk()
            {
                let length = frame::measure(header).map_err(|error| damaged(&error))?;
                rest = rest.get(length.max(1)..).unwrap_or_default();
                next += 1;
            }
            match frame::read(rest).map_err(|error| damaged(&error))? {
                Some(frame) if frame.seq == number => {
                    let text = str::from_utf8(frame.payload).map_err(|error| damaged(&error))?;
                    found.push((number, text.to_owned()));
                }
                Some(_) | None => {}
            }
        }
        Ok(found)
    }
}

/// How many bytes the first so many entries have.
fn length_of(frames: &[u8], entries: usize) -> Result<usize, BlockError> {
    let mut length = 0;
    for _ in 0..entries {
        let Some(header) = frames.get(length..).and_then(<[u8]>::first_chunk) else { break };
        match frame::measure(header).map_err(|error| BlockError::Damaged(error.to_string()))? {
            0 => break,
            measured => length += measured,
        }
    }
    Ok(length)
}

/// The time of an entry, as blocks are filed under it; 0 where it says none.
pub(crate) fn time_of(payload: &[u8]) -> u64 {
    if let Sort::OfRequest { at_ms } = glance(payload) {
        return at_ms.min(i64::MAX.unsigned_abs());
    }
    #[derive(Default, Deserialize)]
    struct Time {
        at_ms: u64,
    }
    serde_json::from_slice::<Time>(payload).unwrap_or_default().at_ms.min(i64::MAX.unsigned_abs())
}
