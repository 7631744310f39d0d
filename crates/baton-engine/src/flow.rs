//! A stream after its commit point: pieces for the client, and the outcome on paper before the last one.

use std::time::Duration;

use baton_model::{Dialect, Fault, FaultKind, RequestId};
use baton_upstream::UpstreamBody;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http_body_util::BodyExt;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::AnswerStream;
use crate::explain::annotate_frame;
use crate::ledger::{Ended, OpenAttempt};
use crate::pump::Pump;

/// How long a silent stream goes before the client is shown that it lives.
pub(crate) const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// A stream after its commit point.
pub(crate) struct Flow {
    pub(crate) pump: Pump,
    pub(crate) body: UpstreamBody,
    /// Gone once the outcome is written.
    pub(crate) open: Option<OpenAttempt>,
    pub(crate) idle: Duration,
    /// Since when the upstream is waited for; the time in which the client takes what came is its own.
    pub(crate) waiting_since: Option<Instant>,
    pub(crate) request: RequestId,
    pub(crate) dialect: Dialect,
    pub(crate) pending: std::vec::IntoIter<Bytes>,
    /// What the first piece is to say of the decision.
    pub(crate) note: Option<Bytes>,
    pub(crate) stopping: CancellationToken,
    /// What became of the attempt, once it ended well.
    pub(crate) ended: Option<Ended>,
}

impl Flow {
    /// The stream as the client's whole answer.
    pub(crate) fn into_stream(self) -> AnswerStream {
        let pieces = stream::unfold(self, async |mut flow| flow.next().await.map(|piece| (piece, flow)));
        AnswerStream::new(pieces.map(Ok))
    }

    /// The next piece for the client; none at the end of the attempt, be it good or bad.
    pub(crate) async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(piece) = self.pending.next() {
                let noted = self.note.as_deref().and_then(|note| annotate_frame(&piece, note));
                if noted.is_some() {
                    self.note = None;
                }
                return Some(noted.unwrap_or(piece));
            }
            let mut ready = self.pump.take();
            if let Some(open) = &mut self.open {
                let bytes: usize = ready.iter().map(Bytes::len).sum();
                open.seen.bytes += u64::try_from(bytes).unwrap_or(u64::MAX);
            }
            if self.pump.ended() {
                // The outcome is on paper before the last byte leaves.
                if let Some(open) = self.open.take() {
                    self.ended = Some(open.succeed());
                }
                if ready.is_empty() {
                    return None;
                }
            }
            if ready.is_empty() {
                match self.read().await {
                    Read::More => continue,
                    Read::Alive => ready.push(Bytes::from_static(keep_alive(self.dialect))),
                    Read::Failed(fault) => {
                        // What was taken in before the fault is still the answer's.
                        let mut last = self.pump.take();
                        let unfit = self.pump.unfit().is_some();
                        last.push(self.pump.fail(&fault, &self.request.to_string()));
                        if let Some(open) = self.open.take() {
                            if unfit { open.misfit(&fault) } else { open.fail(&fault) }
                        }
                        ready = last;
                    }
                }
            }
            self.pending = ready.into_iter();
        }
    }

    /// Waits for the upstream, for as long as it may be silent.
    async fn read(&mut self) -> Read {
        let Some(open) = &mut self.open else { return Read::More };
        let silent = self.waiting_since.get_or_insert_with(Instant::now).elapsed();
        let Some(left) = self.idle.checked_sub(silent).filter(|left| !left.is_zero()) else {
            return Read::Failed(Fault::new(
                FaultKind::Timeout,
                "the upstream fell silent in the middle of its answer",
            ));
        };
        let frame = tokio::select! {
            frame = timeout(left.min(KEEP_ALIVE), self.body.frame()) => frame,
            () = self.stopping.cancelled() => {
                return Read::Failed(Fault::new(FaultKind::Overloaded, "the gateway is stopping, and the answer was not complete"));
            }
        };
        let frame = match frame {
            Err(_elapsed) if left > KEEP_ALIVE => return Read::Alive,
            Err(_elapsed) => return Read::More,
            Ok(frame) => frame,
        };
        self.waiting_since = None;
        let result = match frame {
            Some(Ok(frame)) => frame.into_data().map_or(Ok(()), |data| self.pump.feed(data, &mut open.seen)),
            Some(Err(fault)) => Err(fault),
            None => self.pump.close(&mut open.seen),
        };
        result.map_or_else(Read::Failed, |()| Read::More)
    }
}

enum Read {
    /// Something came; look at the pump.
    More,
    /// Nothing came, but the client should see that the stream lives.
    Alive,
    /// It is over.
    Failed(Fault),
}

pub(crate) const fn keep_alive(dialect: Dialect) -> &'static [u8] {
    match dialect {
        Dialect::OpenaiChat | Dialect::OpenaiResponses => b": keep-alive\n\n",
        Dialect::AnthropicMessages => b"event: ping\ndata: {\"type\":\"ping\"}\n\n",
    }
}
