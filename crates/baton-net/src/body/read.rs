//! Reads a body whole, up to a limit.

use std::pin::Pin;

use bytes::{BufMut, Bytes, BytesMut};
use http_body::Body;
use http_body_util::BodyExt;

use super::Stalled;
use crate::BoxError;

/// Why a body could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The body is longer than the limit, or says that it will be.
    #[error("the body is longer than {limit} bytes")]
    TooLarge {
        /// The limit that was passed.
        limit: usize,
    },
    /// No byte came for too long.
    #[error("the body stopped coming")]
    Stalled(#[source] Stalled),
    /// The connection broke, or what came was no proper body.
    #[error("the body broke off")]
    Broken(#[source] BoxError),
}

impl ReadError {
    fn broken(source: BoxError) -> Self {
        match source.downcast::<Stalled>() {
            Ok(stalled) => Self::Stalled(*stalled),
            Err(source) => Self::Broken(source),
        }
    }
}

/// Reads a body of at most `limit` bytes. A body in one frame is given out as that frame.
///
/// A body that declares a greater length is refused before any of it is read.
///
/// # Errors
/// See [`ReadError`]. Nothing is read on after an error.
pub async fn read_to_end<B>(body: B, limit: usize) -> Result<Bytes, ReadError>
where
    B: Body<Data = Bytes, Error: Into<BoxError>>,
{
    let mut reader = Reader { body: std::pin::pin!(body), limit, left: limit };
    let hint = reader.body.size_hint();
    reader.spend(hint.lower())?;
    reader.left = limit;
    let Some(first) = reader.next().await? else {
        return Ok(Bytes::new());
    };
    let Some(second) = reader.next().await? else {
        return Ok(first);
    };
    let declared = hint.exact().and_then(|length| usize::try_from(length).ok()).unwrap_or(0);
    let mut whole = BytesMut::with_capacity(declared.max(first.len() + second.len()));
    whole.put_slice(&first);
    whole.put_slice(&second);
    drop((first, second));
    while let Some(data) = reader.next().await? {
        whole.put_slice(&data);
    }
    Ok(whole.freeze())
}

struct Reader<'a, B> {
    body: Pin<&'a mut B>,
    limit: usize,
    left: usize,
}

impl<B: Body<Data = Bytes, Error: Into<BoxError>>> Reader<'_, B> {
    /// The next bytes; trailers and empty frames are passed over.
    async fn next(&mut self) -> Result<Option<Bytes>, ReadError> {
        while let Some(frame) = self.body.frame().await {
            let frame = frame.map_err(|error| ReadError::broken(error.into()))?;
            if let Ok(data) = frame.into_data()
                && !data.is_empty()
            {
                self.spend(data.len() as u64)?;
                return Ok(Some(data));
            }
        }
        Ok(None)
    }

    fn spend(&mut self, length: u64) -> Result<(), ReadError> {
        let left = usize::try_from(length).ok().and_then(|length| self.left.checked_sub(length));
        self.left = left.ok_or(ReadError::TooLarge { limit: self.limit })?;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
