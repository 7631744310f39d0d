//! Packs and seals what clients and models said, before any store sees it.
//!
//! The cipher and its keys belong to another crate; whoever puts the process together gives a [`Seal`].
//!
//! - Start with [`Seal`] and [`Place`].
//! - **Invariant:** what was sealed for one place opens nowhere else: two rows cannot be swapped, and a
//!   row cannot be given to another subject.
//! - **Never here:** ciphers, keys.

use std::fmt;
use std::sync::Arc;

use baton_model::RawJson;

use crate::error::{StateError, StateErrorKind};
use crate::subject::Subject;

/// A text of this many bytes is not made smaller before it is sealed.
const SMALL: usize = 512;
/// As large as anything ever is before it is packed. What claims to be larger is not opened.
pub(crate) const LARGEST: usize = 64 * 1024 * 1024;
const LEVEL: i32 = 1;
const AS_IT_IS: u8 = 0;
const PACKED: u8 = 1;

/// Seals bytes and opens them, under keys that the caller of the ports never sees.
pub trait Seal: fmt::Debug + Send + Sync + 'static {
    /// Seals bytes for one place.
    ///
    /// # Errors
    /// When the system gives no random bytes, or the subject's key cannot be had.
    fn seal(&self, place: &Place<'_>, plain: &[u8]) -> Result<Vec<u8>, SealError>;

    /// Opens what was sealed for this place.
    ///
    /// # Errors
    /// When it is for another place, was changed, or its key is gone.
    fn open(&self, place: &Place<'_>, sealed: &[u8]) -> Result<Vec<u8>, SealError>;
}

/// Why something is not sealed or not opened.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct SealError(String);

impl SealError {
    /// An error with this message.
    pub fn new(message: impl fmt::Display) -> Self {
        Self(message.to_string())
    }
}

/// Where sealed bytes stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place<'a> {
    /// Whose they are. Keys may be chosen by it.
    pub subject: &'a Subject,
    /// The table and the column.
    pub column: &'static str,
    /// The row.
    pub row: &'a str,
    /// What tells rows of one id apart, empty where nothing has to.
    pub part: &'a str,
}

impl Place<'_> {
    /// The place as bytes. No two places have the same.
    #[must_use]
    pub fn context(&self) -> Vec<u8> {
        let mut context = Vec::new();
        for part in [self.column, self.row, self.part, self.subject.as_str()] {
            context.extend_from_slice(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_le_bytes());
            context.extend_from_slice(part.as_bytes());
        }
        context
    }
}

/// Packs and seals, opens and unpacks.
#[derive(Clone, Debug)]
pub(crate) struct Vault(Arc<dyn Seal>);

impl Vault {
    pub(crate) fn new(seal: Arc<dyn Seal>) -> Self {
        Self(seal)
    }

    pub(crate) fn close(&self, place: &Place<'_>, plain: &[u8]) -> Result<Vec<u8>, StateError> {
        if plain.len() > LARGEST {
            return Err(StateError::new(StateErrorKind::Rejected, "it is too large to be stored"));
        }
        let packed = pack(plain).map_err(|error| unavailable("pack", place).with_source(error))?;
        self.0.seal(place, &packed).map_err(|error| unavailable("seal", place).with_source(error))
    }

    pub(crate) fn open(&self, place: &Place<'_>, sealed: &[u8]) -> Result<Vec<u8>, StateError> {
        let packed = self.0.open(place, sealed).map_err(|error| corrupt("open", place).with_source(error))?;
        unpack(&packed).ok_or_else(|| corrupt("unpack", place))
    }

    pub(crate) fn open_json(&self, place: &Place<'_>, sealed: &[u8]) -> Result<RawJson, StateError> {
        let text = String::from_utf8(self.open(place, sealed)?);
        let text = text.map_err(|error| corrupt("read", place).with_source(error.utf8_error()))?;
        RawJson::parse(text).map_err(|error| corrupt("read", place).with_source(error))
    }
}

fn pack(plain: &[u8]) -> std::io::Result<Vec<u8>> {
    if plain.len() > SMALL {
        let length = u32::try_from(plain.len()).unwrap_or(u32::MAX).to_le_bytes();
        let packed = [[PACKED].as_slice(), &length, &zstd::bulk::compress(plain, LEVEL)?].concat();
        if packed.len() < plain.len() {
            return Ok(packed);
        }
    }
    Ok([[AS_IT_IS].as_slice(), plain].concat())
}

fn unpack(packed: &[u8]) -> Option<Vec<u8>> {
    match packed.split_first()? {
        (&AS_IT_IS, plain) => Some(plain.to_vec()),
        (&PACKED, packed) => {
            let (length, packed) = packed.split_first_chunk()?;
            let length =
                usize::try_from(u32::from_le_bytes(*length)).ok().filter(|length| *length <= LARGEST)?;
            zstd::bulk::decompress(packed, length).ok().filter(|plain| plain.len() == length)
        }
        _ => None,
    }
}

fn unavailable(doing: &str, place: &Place<'_>) -> StateError {
    StateError::new(StateErrorKind::Unavailable, format!("cannot {doing} `{}`", place.column))
}

fn corrupt(doing: &str, place: &Place<'_>) -> StateError {
    StateError::new(StateErrorKind::Corrupt, format!("cannot {doing} `{}` of `{}`", place.column, place.row))
}

#[cfg(test)]
mod tests;
