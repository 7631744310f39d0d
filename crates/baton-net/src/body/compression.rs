//! Decompresses gzip and zstd, with a limit on what comes out.
//!
//! A few kilobytes can unpack to gigabytes, so the output is counted while it is made: it may
//! pass neither the limit nor a hundred times the input.
//!
//! - Start with [`decompress`] for a whole body, [`Decompressor`] for a stream.
//! - **Invariant:** never more than the limit is held, however much the input would unpack to.
//! - **Never here:** compressing; encodings inside encodings, which only an attack sends.

use std::io::{self, Write};

use bytes::Bytes;
use flate2::write::MultiGzDecoder;

/// How much longer than the input the output may be.
pub const RATIO_LIMIT: usize = 100;

/// Up to this length the output may have any ratio: small bodies of blanks are no attack.
pub const RATIO_FLOOR: usize = 64 << 10;

/// The largest window a zstd frame may ask for, as a power of two: 8 MiB, as RFC 8878 recommends.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

/// A content encoding that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// No encoding.
    Identity,
    /// RFC 1952, one or more members.
    Gzip,
    /// RFC 8878, one or more frames.
    Zstd,
}

impl Encoding {
    /// Reads the value of a `content-encoding` header.
    ///
    /// # Errors
    /// [`DecompressError::Unsupported`] for another encoding, or for more than one.
    pub fn parse(value: &str) -> Result<Self, DecompressError> {
        let value = value.trim();
        match value.to_ascii_lowercase().as_str() {
            "" | "identity" => Ok(Self::Identity),
            "gzip" | "x-gzip" => Ok(Self::Gzip),
            "zstd" => Ok(Self::Zstd),
            _ => Err(DecompressError::Unsupported { encoding: value.chars().take(40).collect() }),
        }
    }
}

/// Why a body could not be decompressed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecompressError {
    /// The encoding is not one that can be read.
    #[error("content encoding `{encoding}` is not supported; send `gzip`, `zstd` or none")]
    Unsupported {
        /// What the header said, cut at 40 characters.
        encoding: String,
    },
    /// The body unpacks to more than the limit.
    #[error("the body unpacks to more than {limit} bytes")]
    TooLarge {
        /// The limit that was passed.
        limit: usize,
    },
    /// The body unpacks to more than [`RATIO_LIMIT`] times its length.
    #[error("the body unpacks to more than {ratio} times its length")]
    Ratio {
        /// The ratio that was passed.
        ratio: usize,
    },
    /// The body is not what its encoding says, or it is cut.
    #[error("the compressed body is damaged or cut")]
    Corrupt(#[source] io::Error),
}

/// Decompresses a whole body to at most `limit` bytes. Without an encoding it is given back as it is.
///
/// # Errors
/// See [`DecompressError`].
pub fn decompress(encoding: Encoding, body: Bytes, limit: usize) -> Result<Bytes, DecompressError> {
    if encoding == Encoding::Identity {
        return if body.len() > limit { Err(DecompressError::TooLarge { limit }) } else { Ok(body) };
    }
    let mut decompressor = Decompressor::new(encoding, limit)?;
    decompressor.write(&body)?;
    decompressor.finish()
}

/// Decompresses a stream chunk by chunk; what a chunk unpacks to comes out at once.
pub struct Decompressor {
    codec: Codec,
    limit: usize,
    taken: usize,
    given: usize,
}

enum Codec {
    Identity(Sink),
    Gzip(Box<MultiGzDecoder<Sink>>),
    Zstd(Box<zstd::stream::write::Decoder<'static, Sink>>),
}

/// Takes what the codec makes, up to a length.
#[derive(Default)]
struct Sink {
    made: Vec<u8>,
    room: usize,
    full: bool,
}

impl Decompressor {
    /// Makes a decompressor for a stream of at most `limit` bytes when unpacked.
    ///
    /// # Errors
    /// [`DecompressError::Corrupt`] when the codec cannot be set up.
    pub fn new(encoding: Encoding, limit: usize) -> Result<Self, DecompressError> {
        let sink = Sink::default();
        let codec = match encoding {
            Encoding::Identity => Codec::Identity(sink),
            Encoding::Gzip => Codec::Gzip(Box::new(MultiGzDecoder::new(sink))),
            Encoding::Zstd => {
                let mut decoder =
                    zstd::stream::write::Decoder::new(sink).map_err(DecompressError::Corrupt)?;
                decoder.window_log_max(ZSTD_WINDOW_LOG_MAX).map_err(DecompressError::Corrupt)?;
                Codec::Zstd(Box::new(decoder))
            }
        };
        Ok(Self { codec, limit, taken: 0, given: 0 })
    }

    /// Takes a chunk and gives out all that can be unpacked so far.
    ///
    /// # Errors
    /// See [`DecompressError`]. After an error the decompressor is of no more use.
    pub fn push(&mut self, chunk: &[u8]) -> Result<Bytes, DecompressError> {
        self.write(chunk)?;
        let flushed = self.codec.writer().flush();
        self.checked(flushed)?;
        Ok(self.take())
    }

    /// Gives out the rest at the end of the stream.
    ///
    /// # Errors
    /// [`DecompressError::Corrupt`] when the stream ends in the middle, and as for `push`.
    pub fn finish(mut self) -> Result<Bytes, DecompressError> {
        let finished = match &mut self.codec {
            Codec::Identity(_) => Ok(()),
            Codec::Gzip(decoder) => decoder.try_finish(),
            Codec::Zstd(decoder) => decoder.flush().and_then(|()| decoder.do_finish()),
        };
        self.checked(finished)?;
        Ok(self.take())
    }

    fn write(&mut self, chunk: &[u8]) -> Result<(), DecompressError> {
        self.taken = self.taken.saturating_add(chunk.len());
        let held = self.codec.sink().made.len();
        self.codec.sink().room = self.allowed().saturating_sub(self.given + held);
        let written = self.codec.writer().write_all(chunk);
        self.checked(written)
    }

    /// How much may have come out by now.
    fn allowed(&self) -> usize {
        self.limit.min(self.taken.saturating_mul(RATIO_LIMIT).max(RATIO_FLOOR))
    }

    fn checked(&mut self, result: io::Result<()>) -> Result<(), DecompressError> {
        if self.codec.sink().full {
            return Err(if self.allowed() == self.limit {
                DecompressError::TooLarge { limit: self.limit }
            } else {
                DecompressError::Ratio { ratio: RATIO_LIMIT }
            });
        }
        result.map_err(DecompressError::Corrupt)
    }

    fn take(&mut self) -> Bytes {
        let made = std::mem::take(&mut self.codec.sink().made);
        self.given += made.len();
        made.into()
    }
}

impl std::fmt::Debug for Decompressor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decompressor").field("taken", &self.taken).field("given", &self.given).finish()
    }
}

impl Codec {
    fn writer(&mut self) -> &mut dyn Write {
        match self {
            Self::Identity(sink) => sink,
            Self::Gzip(decoder) => decoder,
            Self::Zstd(decoder) => decoder,
        }
    }

    fn sink(&mut self) -> &mut Sink {
        match self {
            Self::Identity(sink) => sink,
            Self::Gzip(decoder) => decoder.get_mut(),
            Self::Zstd(decoder) => decoder.get_mut(),
        }
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(room) = self.room.checked_sub(bytes.len()) else {
            self.full = true;
            return Err(io::Error::other("more than may come out"));
        };
        self.room = room;
        self.made.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
