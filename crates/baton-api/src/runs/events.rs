//! The events of a run as a stream: each as it is written, from whichever number on.

use std::time::Duration;

use baton_model::{RawJson, RunId};
use baton_state::runs::RunStatus;
use bytes::Bytes;
use futures_util::{Stream, stream};
use serde::Deserialize;
use tokio::time::Instant;

use super::RunDesk;

/// How much is read at once.
const PAGE_BYTES: u64 = 256 * 1024;
/// After so long without an event, the reader is shown that the stream lives.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Whose events, and from where on.
pub(crate) struct Reading {
    pub(crate) desk: RunDesk,
    pub(crate) principal: String,
    pub(crate) run: RunId,
    /// The number of the next event.
    pub(crate) from: u64,
    /// Whether it ends where the run waits for its caller.
    pub(crate) ends_at_rest: bool,
}

/// What is done for a reader that leaves before the end.
pub(crate) struct Leaving {
    desk: RunDesk,
    principal: String,
    run: RunId,
    is_armed: bool,
}

impl Leaving {
    /// Cancels the run when this is dropped, unless it is disarmed.
    pub(crate) const fn new(desk: RunDesk, principal: String, run: RunId) -> Self {
        Self { desk, principal, run, is_armed: true }
    }

    pub(crate) const fn disarm(&mut self) {
        self.is_armed = false;
    }
}

impl Drop for Leaving {
    fn drop(&mut self) {
        if self.is_armed {
            self.desk.leave(std::mem::take(&mut self.principal), self.run);
        }
    }
}

/// What is read of an event to name it.
#[derive(Deserialize)]
struct Typed<'a> {
    #[serde(rename = "type", borrow)]
    kind: std::borrow::Cow<'a, str>,
}

struct Flow<P> {
    reading: Reading,
    leaving: Option<Leaving>,
    form: Form,
    _place: P,
    is_over: bool,
    told_at: Instant,
}

/// Writes an event, under its number, as it stands on the stream.
pub(crate) type Form = fn(u64, &RawJson, &mut Vec<u8>);

/// The events as frames, each once it is written. `place` is held, and `leaving` kept, until the last one.
pub(crate) fn frames<P: Send + 'static>(
    reading: Reading,
    leaving: Option<Leaving>,
    place: P,
) -> impl Stream<Item = Bytes> + Send + 'static {
    frames_as(frame, reading, leaving, place)
}

/// The same in this form.
pub(crate) fn frames_as<P: Send + 'static>(
    form: Form,
    reading: Reading,
    leaving: Option<Leaving>,
    place: P,
) -> impl Stream<Item = Bytes> + Send + 'static {
    let flow = Flow { reading, leaving, form, _place: place, is_over: false, told_at: Instant::now() };
    stream::unfold(flow, async |mut flow| {
        let frames = flow.next().await?;
        flow.told_at = Instant::now();
        Some((frames, flow))
    })
}

impl<P> Flow<P> {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if self.is_over {
                if let Some(leaving) = &mut self.leaving {
                    leaving.disarm();
                }
                return None;
            }
            let Reading { desk, principal, run, from, ends_at_rest } = &self.reading;
            let mut told = desk.watch(*run);
            let (from, ends_at_rest) = (*from, *ends_at_rest);
            let events = match desk.runs().events(principal, *run, from, PAGE_BYTES).await {
                Ok(Some(events)) => events,
                Ok(None) => {
                    self.is_over = true;
                    continue;
                }
                Err(error) => {
                    tracing::warn!(error = %error, run = %run, "the events of a run cannot be read; it is tried again");
                    self.pause(None).await;
                    continue;
                }
            };
            let (next, has_ended) = events.next(from);
            let rests =
                ends_at_rest && events.run.status == RunStatus::RequiresAction && next >= events.run.events;
            self.reading.from = next;
            self.is_over = has_ended || rests;
            if !events.events.is_empty() {
                let mut out = Vec::new();
                for (number, event) in &events.events {
                    (self.form)(*number, event, &mut out);
                }
                return Some(out.into());
            }
            if self.is_over {
                continue;
            }
            // What was written since is known already.
            let is_news = told.as_mut().is_some_and(|told| *told.borrow_and_update() > next);
            if !is_news && self.pause(told).await {
                return Some(Bytes::from_static(b": keep-alive\n\n"));
            }
        }
    }

    /// Waits until there may be more; whether the reader should be shown that the stream lives.
    async fn pause(&mut self, told: Option<tokio::sync::watch::Receiver<u64>>) -> bool {
        let desk = &self.reading.desk;
        let more = async {
            match told {
                Some(mut told) => drop(told.changed().await),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = more => {}
            () = tokio::time::sleep(desk.look_every()) => {}
            // Who only follows comes back with the number of the last event; who waits for the end may have it yet.
            () = desk.stopping().cancelled(), if self.leaving.is_none() => self.is_over = true,
        }
        !self.is_over && self.told_at.elapsed() >= KEEP_ALIVE
    }
}

/// An event as it stands on the stream, under its number.
fn frame(number: u64, event: &RawJson, out: &mut Vec<u8>) {
    let typed = event.read::<Typed<'_>>();
    let kind = typed.as_ref().map_or("event", |typed| typed.kind.as_ref());
    out.extend_from_slice(format!("id: {number}\nevent: {kind}\ndata: ").as_bytes());
    out.extend_from_slice(event.get().as_bytes());
    out.extend_from_slice(b"\n\n");
}
