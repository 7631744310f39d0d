//! Judges whether a conversation can be gone on with.

use super::ResponseId;
use super::items::NoSuchItem;
use super::port::{Bounds, ResponseRow, ResponseStatus};
use crate::error::StateError;

/// Why there is no conversation to go on with.
#[derive(Debug, thiserror::Error)]
pub enum ChainError {
    /// No response of this principal has this id.
    #[error("there is no response `{0}`")]
    NotFound(ResponseId),
    /// A response further back is not there any more.
    #[error("`{id}` goes on from `{missing}`, which was deleted or has expired")]
    Gone {
        /// What was asked for.
        id: ResponseId,
        /// What is missing.
        missing: ResponseId,
    },
    /// It is still being made.
    #[error("the response `{id}` is `{}` and can be gone on from once it has ended", status.as_str())]
    NotEnded {
        /// Which one.
        id: ResponseId,
        /// How far it is.
        status: ResponseStatus,
    },
    /// More responses than are read.
    #[error("the conversation has more than {0} responses")]
    TooDeep(u32),
    /// More bytes than are read.
    #[error("the conversation has more than {0} bytes")]
    TooLarge(u64),
    /// The page begins nowhere.
    #[error(transparent)]
    NoSuchItem(#[from] NoSuchItem),
    /// The store failed.
    #[error(transparent)]
    State(#[from] StateError),
}

/// The rows of a chain, the newest first, if they are a whole one within the bounds; the oldest first.
pub(super) fn whole(
    id: ResponseId,
    mut rows: Vec<ResponseRow>,
    bounds: Bounds,
) -> Result<Vec<ResponseRow>, ChainError> {
    let Some(oldest) = rows.last() else {
        return Err(ChainError::NotFound(id));
    };
    let bytes = rows.iter().map(|row| row.input_bytes.saturating_add(row.body_bytes));
    if bytes.fold(0, u64::saturating_add) > bounds.bytes {
        return Err(ChainError::TooLarge(bounds.bytes));
    }
    if u32::try_from(rows.len()).unwrap_or(u32::MAX) > bounds.depth {
        return Err(ChainError::TooDeep(bounds.depth));
    }
    if let Some(missing) = oldest.previous {
        return Err(ChainError::Gone { id, missing });
    }
    rows.reverse();
    Ok(rows)
}

/// That nothing is added to the last of these any more.
pub(super) fn ended(rows: &[ResponseRow]) -> Result<(), ChainError> {
    match rows.last() {
        Some(last) if !last.status.is_end() => Err(ChainError::NotEnded { id: last.id, status: last.status }),
        _ => Ok(()),
    }
}
