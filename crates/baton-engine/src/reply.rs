//! What a request gets back.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use baton_model::{DecisionId, Fault, RunId};
use baton_policy::{Candidate, Row};
use bytes::Bytes;
use futures_util::Stream;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use http::HeaderMap;

use crate::Refusal;

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
    /// How often the conversation was handed over.
    pub handoffs: usize,
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
    /// All of it, later: it is certain that there will be an answer, and that it takes long.
    Coming(ComingAnswer),
}

/// A whole answer that is still being made. Dropping it closes the upstream and records that the
/// client left.
pub struct ComingAnswer(BoxFuture<'static, Result<(Head, Bytes), Box<Refusal>>>);

impl ComingAnswer {
    /// The answer that this comes to.
    pub fn new(answer: impl Future<Output = Result<(Head, Bytes), Box<Refusal>>> + Send + 'static) -> Self {
        Self(Box::pin(answer))
    }
}

impl Future for ComingAnswer {
    type Output = Result<(Head, Bytes), Box<Refusal>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx)
    }
}

impl fmt::Debug for ComingAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ComingAnswer")
    }
}

/// An answer in pieces. Dropping it closes the upstream and records that the client left.
///
/// A fault in it means that the client's connection must break off too: what came is not all.
pub struct AnswerStream(BoxStream<'static, Result<Bytes, Fault>>);

impl AnswerStream {
    /// The answer that comes in these pieces.
    pub fn new(stream: impl Stream<Item = Result<Bytes, Fault>> + Send + 'static) -> Self {
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
