//! What a request gets back.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use baton_model::{DecisionId, Fault, RunId};
use baton_policy::{Candidate, Row};
use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream::BoxStream;
use http::HeaderMap;

/// An answer on its way to the client.
#[derive(Debug)]
pub struct Reply {
    /// What the response headers say.
    pub head: Head,
    /// The body.
    pub body: ReplyBody,
}

/// The decision behind a response, at the moment its headers leave.
#[derive(Clone, Debug)]
pub struct Head {
    /// Everything done for the request.
    pub run: RunId,
    /// The last decision.
    pub decision: DecisionId,
    /// The target that answers, as `provider/model`.
    pub target: String,
    /// Its provider.
    pub provider: String,
    /// `name@version` of the policy.
    pub policy: String,
    /// How many attempts were made.
    pub attempts: u32,
    /// The reason's code.
    pub reason: &'static str,
    /// The upstream's status and the headers that may be shown.
    pub status: u16,
    /// Rate-limit and timing headers of the upstream; a pass-through adds its content type.
    pub upstream: HeaderMap,
    /// The candidates with what was said of each, where none was eligible.
    pub table: Vec<(Candidate, Row)>,
}

/// A whole answer, or one in pieces.
#[derive(Debug)]
pub enum ReplyBody {
    /// All of it.
    Whole(Bytes),
    /// Piece by piece.
    Stream(AnswerStream),
}

/// An answer in pieces. Dropping it closes the upstream and records that the client left.
///
/// A fault in it means that the client's connection must break off too: what came is not all.
pub struct AnswerStream(BoxStream<'static, Result<Bytes, Fault>>);

impl AnswerStream {
    pub(crate) fn new(stream: impl Stream<Item = Result<Bytes, Fault>> + Send + 'static) -> Self {
        Self(Box::pin(stream))
    }
}

impl Stream for AnswerStream {
    type Item = Result<Bytes, Fault>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.as_mut().poll_next(cx)
    }
}

impl fmt::Debug for AnswerStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AnswerStream")
    }
}
