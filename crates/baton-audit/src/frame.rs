//! Lays out one entry of the journal as bytes, and reads it back without trusting it.
//!
//! ```text
//! length u32 | crc32c u32 | seq u64 | hash [32] | payload [length]      little-endian
//! ```
//!
//! The checksum covers the payload first and then the rest of the header, so that its long part
//! is computed before the journal's lock is taken. A length of zero is the unwritten part of a
//! zero-filled segment.

use crate::chain::Hash;

/// Bytes before the payload.
pub(crate) const HEADER: usize = 48;
/// No entry is longer; a longer length is damage.
pub(crate) const MAX_PAYLOAD: usize = 4 << 20;

/// An entry as it stands in the bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame<'a> {
    pub(crate) seq: u64,
    pub(crate) hash: Hash,
    pub(crate) payload: &'a [u8],
}

impl Frame<'_> {
    /// Bytes on disk.
    pub(crate) const fn len(&self) -> usize {
        HEADER + self.payload.len()
    }

    /// Whether this entry follows the one with that hash.
    pub(crate) fn follows(&self, previous: Hash, seq: u64) -> bool {
        self.seq == seq && self.hash == previous.link(seq, Hash::of(self.payload))
    }
}

/// Why bytes are not an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FrameError {
    #[error("the entry is cut short")]
    Short,
    #[error("the length is impossible")]
    Length,
    #[error("the checksum does not match")]
    Checksum,
}

/// The parts of a header that are known before the entry's place in the chain is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Draft {
    len: u32,
    crc: u32,
    digest: Hash,
}

impl Draft {
    /// Measures the payload of a frame whose header is still blank. `None` when it is too long.
    pub(crate) fn of(frame: &[u8]) -> Option<Self> {
        let payload = frame.get(HEADER..)?;
        let len = u32::try_from(payload.len()).ok().filter(|_| payload.len() <= MAX_PAYLOAD)?;
        Some(Self { len, crc: crc32c::crc32c(payload), digest: Hash::of(payload) })
    }

    /// Fills in the header, and gives the entry's hash.
    pub(crate) fn seal(self, frame: &mut [u8], previous: Hash, seq: u64) -> Hash {
        let hash = previous.link(seq, self.digest);
        let crc = checksum(self.crc, self.len, seq, hash);
        let mut rest = frame;
        put(&mut rest, &self.len.to_le_bytes());
        put(&mut rest, &crc.to_le_bytes());
        put(&mut rest, &seq.to_le_bytes());
        put(&mut rest, hash.as_bytes());
        hash
    }
}

/// Reads the entry at the start of the bytes; `None` where nothing was written.
pub(crate) fn read(bytes: &[u8]) -> Result<Option<Frame<'_>>, FrameError> {
    let Some((header, rest)) = bytes.split_first_chunk::<HEADER>() else {
        return if bytes.iter().all(|byte| *byte == 0) { Ok(None) } else { Err(FrameError::Short) };
    };
    let (len, crc, seq, hash) = fields(header);
    if len == 0 {
        return if header.iter().all(|byte| *byte == 0) { Ok(None) } else { Err(FrameError::Length) };
    }
    let length = payload_len(len)?;
    let payload = rest.get(..length).ok_or(FrameError::Short)?;
    if checksum(crc32c::crc32c(payload), len, seq, hash) != crc {
        return Err(FrameError::Checksum);
    }
    Ok(Some(Frame { seq, hash, payload }))
}

/// The hash in an entry's header, unchecked.
pub(crate) fn hash_of(bytes: &[u8]) -> Hash {
    bytes.first_chunk().map_or(Hash::GENESIS, |header| fields(header).3)
}

/// How many bytes the entry has whose header this is; zero where nothing was written.
pub(crate) fn measure(header: &[u8; HEADER]) -> Result<usize, FrameError> {
    let (len, ..) = fields(header);
    if len == 0 {
        return if header.iter().all(|byte| *byte == 0) { Ok(0) } else { Err(FrameError::Length) };
    }
    Ok(HEADER + payload_len(len)?)
}

/// All entries in bytes that hold whole entries and nothing else.
pub(crate) fn read_all(mut bytes: &[u8]) -> impl Iterator<Item = Result<Frame<'_>, FrameError>> {
    std::iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        let frame = read(bytes).and_then(|frame| frame.ok_or(FrameError::Length));
        bytes = frame.as_ref().ok().and_then(|frame| bytes.get(frame.len()..)).unwrap_or_default();
        Some(frame)
    })
}

fn payload_len(len: u32) -> Result<usize, FrameError> {
    usize::try_from(len).ok().filter(|len| *len <= MAX_PAYLOAD).ok_or(FrameError::Length)
}

fn fields(header: &[u8; HEADER]) -> (u32, u32, u64, Hash) {
    let mut rest = header.as_slice();
    let len = u32::from_le_bytes(take(&mut rest));
    let crc = u32::from_le_bytes(take(&mut rest));
    let seq = u64::from_le_bytes(take(&mut rest));
    (len, crc, seq, Hash::from_bytes(take(&mut rest)))
}

/// Writes the next bytes; the callers' slices have room, into a shorter one nothing is written.
fn put(rest: &mut &mut [u8], bytes: &[u8]) {
    if let Some((place, behind)) = std::mem::take(rest).split_at_mut_checked(bytes.len()) {
        place.copy_from_slice(bytes);
        *rest = behind;
    }
}

/// Takes the next bytes; the callers' slices are long enough, a shorter one reads as zeros.
pub(crate) fn take<const N: usize>(bytes: &mut &[u8]) -> [u8; N] {
    match bytes.split_first_chunk::<N>() {
        Some((taken, rest)) => {
            *bytes = rest;
            *taken
        }
        None => [0; N],
    }
}

fn checksum(payload: u32, len: u32, seq: u64, hash: Hash) -> u32 {
    let crc = crc32c::crc32c_append(payload, &len.to_le_bytes());
    let crc = crc32c::crc32c_append(crc, &seq.to_le_bytes());
    crc32c::crc32c_append(crc, hash.as_bytes())
}

/// An entry with any number and hash, and a checksum that fits.
#[cfg(test)]
pub(crate) fn forged(payload: &[u8], seq: u64, hash: Hash) -> Vec<u8> {
    let len = u32::try_from(payload.len()).unwrap();
    let crc = checksum(crc32c::crc32c(payload), len, seq, hash);
    let header = len.to_le_bytes().into_iter().chain(crc.to_le_bytes()).chain(seq.to_le_bytes());
    header.chain(*hash.as_bytes()).chain(payload.iter().copied()).collect()
}
