//! The body of an answer made in process: whole, in chunks with waiting between them, or cut.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use std::{fmt, vec};

use baton_model::Fault;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::Sleep;

use super::stream::{Chunks, Step, cut};

/// A body that waits where the model is slow.
pub(crate) struct EchoBody {
    source: Source,
    /// The step that was taken from the source and is not yet due.
    waiting: Option<Waiting>,
}

struct Waiting {
    sleep: Pin<Box<Sleep>>,
    data: Result<Bytes, Fault>,
}

enum Source {
    Steps(vec::IntoIter<Step>),
    Chunks(Box<Chunks>),
}

impl EchoBody {
    /// All at once.
    pub(super) fn whole(body: Bytes) -> Self {
        Self::steps(vec![Ok(body)])
    }

    /// A part, then the end of the connection.
    pub(super) fn cut(part: Bytes) -> Self {
        Self::steps(vec![Ok(part), Err(cut())])
    }

    /// Chunk by chunk.
    pub(super) fn stream(chunks: Chunks) -> Self {
        Self { source: Source::Chunks(Box::new(chunks)), waiting: None }
    }

    fn steps(items: Vec<Result<Bytes, Fault>>) -> Self {
        let steps: Vec<_> = items.into_iter().map(|data| Step { wait: Duration::ZERO, data }).collect();
        Self { source: Source::Steps(steps.into_iter()), waiting: None }
    }

    fn next_step(&mut self) -> Option<Step> {
        match &mut self.source {
            Source::Steps(steps) => steps.next(),
            Source::Chunks(chunks) => chunks.next(),
        }
    }
}

impl Body for EchoBody {
    type Data = Bytes;
    type Error = Fault;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        if let Some(waiting) = &mut self.waiting {
            ready!(waiting.sleep.as_mut().poll(context));
        }
        let due = match self.waiting.take() {
            Some(waiting) => waiting.data,
            None => match self.next_step() {
                None => return Poll::Ready(None),
                Some(step) if step.wait.is_zero() => step.data,
                Some(step) => {
                    self.waiting =
                        Some(Waiting { sleep: Box::pin(tokio::time::sleep(step.wait)), data: step.data });
                    return self.poll_frame(context);
                }
            },
        };
        Poll::Ready(Some(due.map(Frame::data)))
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Steps(steps) => match steps.as_slice() {
                [Step { data: Ok(only), .. }] => {
                    SizeHint::with_exact(only.len().try_into().unwrap_or(u64::MAX))
                }
                _ => SizeHint::default(),
            },
            Source::Chunks(_) => SizeHint::default(),
        }
    }
}

impl fmt::Debug for EchoBody {
    /// Not what it says: that is content.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EchoBody").finish_non_exhaustive()
    }
}
