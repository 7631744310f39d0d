//! A body made of slices.
//!
//! The gateway changes a few bytes of a request and forwards the rest as it came. The pieces
//! stay where they are and leave with one vectored write.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

/// A body whose bytes are all there, in one or more slices. A clone shares the bytes.
#[derive(Clone, Debug, Default)]
pub struct Chunks {
    slices: VecDeque<Bytes>,
    left: u64,
}

impl Chunks {
    /// The body without bytes.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// Adds a slice at the end.
    pub fn push(&mut self, slice: Bytes) {
        if !slice.is_empty() {
            self.left += slice.len() as u64;
            self.slices.push_back(slice);
        }
    }

    /// How many bytes are left to send.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.left
    }

    /// Whether no bytes are left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.left == 0
    }
}

impl FromIterator<Bytes> for Chunks {
    fn from_iter<I: IntoIterator<Item = Bytes>>(slices: I) -> Self {
        let mut chunks = Self::default();
        slices.into_iter().for_each(|slice| chunks.push(slice));
        chunks
    }
}

impl From<Vec<Bytes>> for Chunks {
    fn from(mut slices: Vec<Bytes>) -> Self {
        slices.retain(|slice| !slice.is_empty());
        let left = slices.iter().map(|slice| slice.len() as u64).sum();
        Self { slices: slices.into(), left }
    }
}

impl From<Bytes> for Chunks {
    fn from(slice: Bytes) -> Self {
        std::iter::once(slice).collect()
    }
}

impl Body for Chunks {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let slice = self.slices.pop_front();
        self.left -= slice.as_ref().map_or(0, |slice| slice.len() as u64);
        Poll::Ready(slice.map(|slice| Ok(Frame::data(slice))))
    }

    fn is_end_stream(&self) -> bool {
        self.slices.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

#[cfg(test)]
mod tests;
