//! A run whose answer is given in pieces, unbroken from its first turn to its last.

use std::collections::VecDeque;

use baton_dialect::{ErrorBody, error_word};
use baton_model::{RawJson, Target};
use futures_util::{StreamExt, stream};

use super::{
    Body, Bytes, Event, Fault, FinishReason, Flow, JoinEnd, Joiner, Opened, Receipt, Refusal, Reply,
    ReplyBody, Stage, TurnEnd, Way, internal, made_by, not_recordable,
};
use crate::flow::keep_alive;
use crate::kept::KeptAlive;
use crate::{AnswerStream, Head};

/// A run on its way to the client.
struct Streaming {
    way: Way,
    flow: Option<Box<Flow>>,
    head: Head,
    target: Target,
    receipt: Receipt,
    /// What the client gets next.
    pieces: VecDeque<Bytes>,
    /// What the present turn wrote that the client has not been given.
    frame: Vec<Bytes>,
    /// The last turn of which the client saw nothing.
    unseen: Option<(Joiner, Vec<Bytes>)>,
    /// Whether the client has been given content.
    begun: bool,
    over: bool,
}

impl Way {
    /// Answers as soon as there is something for the client to see.
    pub(super) async fn streamed(mut self) -> Result<Reply, Refusal> {
        let opened = match self.advance(Event::Begin).await {
            Stage::Turn(opened) => opened,
            Stage::End(_) => return Err(self.without_a_turn()),
            Stage::Failed(refusal) => return Err(*refusal),
        };
        let mut streaming = Streaming::new(self, *opened)?;
        // Up to here all can still fail in HTTP.
        let Some(first) = streaming.next().await? else {
            return Err(Refusal::failed(internal("the run said nothing"), streaming.head));
        };
        let dialect = streaming.way.client.dialect;
        let head = Head { handoffs: streaming.way.run.handoffs.len(), ..streaming.head.clone() };
        let rest = stream::unfold(streaming, async |mut streaming| {
            let piece = streaming.next().await.unwrap_or_default()?;
            Some((piece, streaming))
        });
        let all = stream::once(async { first }).chain(rest);
        let all = KeptAlive::new(all, keep_alive(dialect));
        Ok(Reply { head, body: ReplyBody::Stream(AnswerStream::new(all.map(Ok))) })
    }
}

impl Streaming {
    fn new(way: Way, opened: Opened) -> Result<Self, Refusal> {
        let Opened { head, target, body: Body::Stream(flow), receipt } = opened else {
            let head = way.no_head();
            return Err(Refusal::failed(internal("a whole turn of a stream"), head));
        };
        Ok(Self {
            way,
            flow: Some(flow),
            head,
            target,
            receipt,
            pieces: VecDeque::new(),
            frame: Vec::new(),
            unseen: None,
            begun: false,
            over: false,
        })
    }

    /// The next piece for the client; none at the end.
    ///
    /// # Errors
    /// A refusal while nothing was given yet.
    async fn next(&mut self) -> Result<Option<Bytes>, Refusal> {
        loop {
            if let Some(piece) = self.pieces.pop_front() {
                return Ok(Some(piece));
            }
            if self.over {
                return Ok(None);
            }
            let Some(flow) = &mut self.flow else { return Ok(None) };
            if let Some(piece) = flow.next().await {
                self.begun |= flow.pump.committed();
                if self.begun {
                    return Ok(Some(piece));
                }
                // Of a turn that the client sees nothing of, it gets the frame only if it is the last one.
                self.frame.push(piece);
                continue;
            }
            let Some(flow) = self.flow.take() else { return Ok(None) };
            let Flow { pump, ended: Some(ended), .. } = *flow else {
                // The turn broke off after its content, and the client was told so.
                self.over = true;
                continue;
            };
            let Some(join) = pump.into_join() else { return Ok(None) };
            if self.begun {
                self.way.joiner = Some(join.joiner);
            } else {
                self.unseen = Some((join.joiner, std::mem::take(&mut self.frame)));
            }
            let (dialect, parts, stop_sequence) = join.said.into_parts();
            let parts = made_by(&self.target.provider, parts);
            self.way.report.turn(&self.way.machine, &self.target, &ended, self.receipt);
            self.way.report.heard(&parts);
            self.way.report.said(&self.way.machine, &parts);
            let finish = ended.finish.unwrap_or(FinishReason::Stop);
            let event =
                Event::Ended(TurnEnd { dialect, parts, finish, usage: ended.usage, cost: ended.cost });
            match self.way.advance(event).await {
                Stage::Turn(opened) => {
                    let Opened { head, target, body, receipt } = *opened;
                    self.head = head;
                    self.target = target;
                    self.receipt = receipt;
                    match body {
                        Body::Stream(flow) => self.flow = Some(flow),
                        Body::Whole(_) | Body::Turn(_) => self.fail(&internal("a whole turn of a stream")),
                    }
                }
                Stage::End(finish) => self.end(finish, stop_sequence.as_deref()).await?,
                Stage::Failed(refusal) if !self.begun => return Err(*refusal),
                Stage::Failed(refusal) => self.fail(&refusal.into_fault()),
            }
        }
    }

    async fn end(&mut self, finish: FinishReason, stop_sequence: Option<&str>) -> Result<(), Refusal> {
        let receipt = self.way.report.receipt.unwrap_or(self.receipt);
        if let Err(error) = self.way.engine.journal.synced(&receipt).await {
            let refusal = not_recordable(&error);
            if !self.begun {
                return Err(refusal);
            }
            self.fail(&refusal.into_fault());
            return Ok(());
        }
        self.way.remember();
        let way = &mut self.way;
        let extras = way.report.extras(&way.run, &way.machine, &way.legs, &self.head);
        let extras: Vec<(&str, RawJson)> = extras.iter().map(|(key, value)| (*key, value.clone())).collect();
        let usage = Some(way.report.usage(&way.machine)).filter(|_| way.report.knows_usage());
        let end = JoinEnd { finish, stop_sequence, usage, extras: &extras };
        if let Some((joiner, frame)) = self.unseen.take().filter(|_| !self.begun) {
            way.joiner = Some(joiner);
            self.pieces.extend(frame);
        }
        let mut out = Vec::new();
        if let Some(joiner) = &mut way.joiner {
            joiner.finish(&end, &mut out);
        }
        self.pieces.push_back(out.into());
        self.over = true;
        Ok(())
    }

    /// Ends the client's stream with an error.
    fn fail(&mut self, fault: &Fault) {
        let dialect = self.way.client.dialect;
        let request = self.way.client.request.to_string();
        let error = ErrorBody {
            kind: error_word(dialect, fault.kind),
            message: &fault.message,
            param: fault.param.as_deref(),
            code: Some(fault.kind.as_str()),
            request_id: Some(&request),
        };
        let mut out = Vec::new();
        if let Some(joiner) = &mut self.way.joiner {
            joiner.fail(&error, &mut out);
        }
        self.pieces.push_back(out.into());
        self.over = true;
    }
}
