//! Writes an answer piece by piece, at its pace, and ends it as the script says.
//!
//! - **Invariant:** what was written before a cut is flushed before it.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame};
use tokio::time::Sleep;

use super::{Exchange, HangUp};
use crate::fake::script::End;
use crate::fake::seen::Ending;
use crate::fake::wire::ResetSwitch;

/// The body of an answer.
pub(crate) struct Pieces {
    queue: VecDeque<Bytes>,
    interval: Duration,
    timer: Option<Pin<Box<Sleep>>>,
    end: End,
    flushed: bool,
    exchange: Exchange,
    switch: ResetSwitch,
}

impl Pieces {
    pub(super) fn new(
        queue: VecDeque<Bytes>,
        interval: Duration,
        end: End,
        mut exchange: Exchange,
        switch: ResetSwitch,
    ) -> Self {
        if queue.is_empty() && end == End::Whole {
            exchange.ending = Ending::Whole;
        }
        Self { queue, interval, timer: None, end, flushed: false, exchange, switch }
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = HangUp;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HangUp>>> {
        let me = &mut *self;
        if let Some(timer) = &mut me.timer {
            ready!(timer.as_mut().poll(cx));
            me.timer = None;
        }
        if let Some(piece) = me.queue.pop_front() {
            me.exchange.sent(piece.len());
            if me.queue.is_empty() && me.end == End::Whole {
                me.exchange.ending = Ending::Whole;
            }
            if !me.interval.is_zero() && !me.queue.is_empty() {
                me.timer = Some(Box::pin(tokio::time::sleep(me.interval)));
            }
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        match me.end {
            End::Whole => Poll::Ready(None),
            End::Stall => Poll::Pending,
            End::Cut | End::Reset if !me.flushed => {
                // The connection flushes while its body has nothing ready.
                me.flushed = true;
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            End::Cut | End::Reset => {
                me.exchange.ending = Ending::CutByScript;
                if me.end == End::Reset {
                    me.switch.turn_on();
                }
                Poll::Ready(Some(Err(HangUp)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.queue.is_empty() && self.end == End::Whole
    }
}
