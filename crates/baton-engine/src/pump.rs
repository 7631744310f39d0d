//! Turns an upstream's stream into the client's, event by event, and notices what passes.
//!
//! Fed with bytes, it collects what may be sent on. It knows when there is content (the commit
//! point), when the upstream said that it is done, and when what comes is no answer.
//!
//! - **Invariant:** after `ended` nothing more is taken in.
//! - **Never here:** clocks, sockets, the journal.

use baton_dialect::{
    Changed, ChangedStream, ErrorBody, Gate, Joiner, Observation, Show, StreamDecoder, StreamEncoder,
    StreamOptions, Unfit, end_frame, error_behind, error_word, observe_event, rename_event,
    response_event_with_id, stream_decoder, stream_encoder,
};
use baton_model::{Dialect, Fault, FaultKind, StreamEvent};
use baton_net::sse::{DEFAULT_EVENT_LIMIT, Passage, SseDecoder, SseError, SseEvent};
use baton_run::CallGate;
use bytes::Bytes;

use crate::ledger::Seen;
use crate::said::Said;

/// Most bytes that are held back while there is no content yet.
const HOLD_LIMIT: usize = 64 * 1024;

pub(crate) struct Pump {
    client: Dialect,
    sse: SseDecoder,
    lane: StreamLane,
    out: Vec<Bytes>,
    /// Neighbours that go out as one piece, as they came.
    passage: Passage,
    /// Neighbours that go out as one piece and were written here. Only one of the two has something in it.
    made: Vec<u8>,
    out_bytes: usize,
    /// Whether content has come that the client sees.
    committed: bool,
    /// Whether content has come, seen or not.
    began: bool,
    /// Whether the upstream said that it is done.
    ended: bool,
}

enum StreamLane {
    Fast {
        upstream: Dialect,
        /// Drop the chunk that only exists because Baton asked for usage.
        hide_usage: bool,
        /// The model name to show, where the client named more than one.
        rename: Option<String>,
        /// The id to show, where a response is kept here that passes.
        own_id: Option<String>,
        /// The data of the first and of the last event, for a dialect whose end repeats them.
        ends: Option<(Bytes, Bytes)>,
    },
    Slow {
        decoder: Box<dyn StreamDecoder>,
        /// Changes the events back, where the request was changed.
        changes: Option<Box<ChangedStream>>,
        encoder: Box<dyn StreamEncoder>,
        events: Vec<StreamEvent>,
    },
    /// A turn of a longer run.
    Joined { join: Box<Join>, events: Vec<StreamEvent> },
}

/// What joins a turn's stream to the streams of the turns before.
pub(crate) struct Join {
    pub(crate) joiner: Joiner,
    pub(crate) calls: Calls,
    /// Everything that the turn said.
    pub(crate) said: Said,
}

/// Asks the run which calls a client may see, and remembers which it may not.
pub(crate) struct Calls(pub(crate) CallGate);

impl Gate for Calls {
    fn call(&mut self, _id: &str, name: &str) -> Show {
        if self.0.may_see(name) { Show::Pass } else { Show::Hide }
    }
}

impl Pump {
    pub(crate) fn fast(
        dialect: Dialect,
        hide_usage: bool,
        rename: Option<String>,
        own_id: Option<String>,
    ) -> Self {
        Self::new(dialect, StreamLane::Fast { upstream: dialect, hide_usage, rename, own_id, ends: None })
    }

    pub(crate) fn slow(
        client: Dialect,
        upstream: Dialect,
        options: StreamOptions,
        changed: &Changed,
    ) -> Self {
        let lane = StreamLane::Slow {
            decoder: stream_decoder(upstream),
            changes: (!changed.is_nothing()).then(|| Box::new(changed.stream())),
            encoder: stream_encoder(client, options),
            events: Vec::new(),
        };
        Self::new(client, lane)
    }

    /// A turn of a longer run, whose end is not the stream's.
    pub(crate) fn joined(client: Dialect, (join, opening): (Join, Vec<u8>)) -> Self {
        let mut pump = Self::new(client, StreamLane::Joined { join: Box::new(join), events: Vec::new() });
        pump.push(&opening);
        pump
    }

    /// What joins this turn's stream to the next one's.
    pub(crate) fn into_join(self) -> Option<Join> {
        match self.lane {
            StreamLane::Joined { join, .. } => Some(*join),
            StreamLane::Fast { .. } | StreamLane::Slow { .. } => None,
        }
    }

    fn new(client: Dialect, lane: StreamLane) -> Self {
        Self {
            client,
            sse: SseDecoder::new(DEFAULT_EVENT_LIMIT),
            lane,
            out: Vec::new(),
            passage: Passage::default(),
            made: Vec::new(),
            out_bytes: 0,
            committed: false,
            began: false,
            ended: false,
        }
    }

    /// Whether what is collected may be sent: content has come, or too much is held back.
    pub(crate) const fn committed(&self) -> bool {
        self.committed || self.out_bytes > HOLD_LIMIT
    }

    /// Whether there was content, seen by the client or not.
    pub(crate) const fn began(&self) -> bool {
        self.began || self.committed
    }

    /// Whether the upstream said that it is done.
    pub(crate) const fn ended(&self) -> bool {
        self.ended
    }

    /// The answer that did not follow its schema, where the stream failed by that.
    pub(crate) fn unfit(&self) -> Option<&Unfit> {
        match &self.lane {
            StreamLane::Fast { .. } => None,
            StreamLane::Slow { changes, .. } => changes.as_ref().and_then(|changes| changes.unfit()),
            StreamLane::Joined { join, .. } => join.joiner.changes().and_then(ChangedStream::unfit),
        }
    }

    /// What may be sent now.
    pub(crate) fn take(&mut self) -> Vec<Bytes> {
        self.out_bytes = 0;
        self.out.extend(self.passage.take());
        self.end_made();
        std::mem::take(&mut self.out)
    }

    /// Takes in what the upstream sent.
    pub(crate) fn feed(&mut self, chunk: Bytes, seen: &mut Seen) -> Result<(), Fault> {
        self.sse.push(chunk);
        while !self.ended
            && let Some(event) = self.sse.next_event().map_err(|error| unreadable(&error))?
        {
            self.pass(&event, seen)?;
        }
        Ok(())
    }

    /// The upstream closed. An answer whose finish was seen is whole, even without an end mark.
    pub(crate) fn close(&mut self, seen: &mut Seen) -> Result<(), Fault> {
        if let Some(event) = self.sse.finish().map_err(|error| unreadable(&error))?
            && !self.ended
        {
            self.pass(&event, seen)?;
        }
        if self.ended {
            return Ok(());
        }
        if seen.finish.is_none() {
            return Err(Fault::new(FaultKind::Truncated, "the upstream closed its stream before the end"));
        }
        self.ended = true;
        match &mut self.lane {
            StreamLane::Fast { upstream, .. } => {
                let end = end_frame(*upstream);
                self.push(end);
            }
            StreamLane::Slow { encoder, .. } => {
                let before = self.made.len();
                encoder.end(&mut self.made);
                self.out_bytes += self.made.len() - before;
            }
            StreamLane::Joined { .. } => {}
        }
        Ok(())
    }

    /// The last thing a client sees of a stream that failed after its commit point.
    pub(crate) fn fail(&mut self, fault: &Fault, request_id: &str) -> Bytes {
        let error = ErrorBody {
            kind: error_word(self.client, fault.kind),
            message: &fault.message,
            param: fault.param.as_deref(),
            code: Some(fault.kind.as_str()),
            request_id: Some(request_id),
        };
        self.ended = true;
        match &mut self.lane {
            StreamLane::Fast { ends, .. } => {
                let (first, last) = ends.take().unwrap_or_default();
                error_behind(self.client, &error, &first, &last).into()
            }
            StreamLane::Slow { encoder, .. } => {
                let mut bytes = Vec::new();
                encoder.fail(&error, &mut bytes);
                bytes.into()
            }
            StreamLane::Joined { join, .. } => {
                let mut bytes = Vec::new();
                join.joiner.fail(&error, &mut bytes);
                bytes.into()
            }
        }
    }

    fn pass(&mut self, event: &SseEvent, seen: &mut Seen) -> Result<(), Fault> {
        if event.data.is_empty() {
            // Comments and bare names carry nothing for a client of another dialect.
            if matches!(self.lane, StreamLane::Fast { .. }) {
                self.push_raw(event);
            }
            return Ok(());
        }
        let name = std::str::from_utf8(&event.event).unwrap_or_default();
        if let Some(capturing) = &mut seen.capturing {
            capturing.event(name, &event.data);
        }
        match &mut self.lane {
            StreamLane::Fast { upstream, hide_usage, rename, own_id, ends } => {
                let observed = observe_event(*upstream, name, &event.data)?;
                let hidden = observed.usage_only && *hide_usage;
                let renamed = match rename.as_deref() {
                    Some(model) if !hidden => rename_event(*upstream, &event.data, model),
                    _ => None,
                };
                let renamed = match own_id.as_deref() {
                    None => renamed,
                    Some(id) => {
                        let data = renamed.as_ref().unwrap_or(&event.data);
                        response_event_with_id(name, data, id).or(renamed)
                    }
                };
                if *upstream == Dialect::OpenaiResponses {
                    let first = || (renamed.clone().unwrap_or_else(|| event.data.clone()), Bytes::new());
                    ends.get_or_insert_with(first).1 = event.data.clone();
                }
                self.note(&observed, seen);
                match renamed {
                    None if !hidden => self.push_raw(event),
                    renamed => {
                        // A late LF at its head still belongs to the event before.
                        if event.raw.starts_with(b"\n") {
                            self.push(b"\n");
                        }
                        if let Some(data) = renamed {
                            self.push_framed(&event.event, &data);
                        }
                    }
                }
            }
            StreamLane::Slow { decoder, changes, encoder, events } => {
                events.clear();
                match changes {
                    None => decoder.decode(name, &event.data, events)?,
                    Some(changes) => {
                        let mut given = Vec::new();
                        decoder.decode(name, &event.data, &mut given)?;
                        given.into_iter().for_each(|event| changes.push(event, events));
                    }
                }
                let before = self.made.len();
                for event in events.iter() {
                    match event {
                        StreamEvent::Error(fault) => {
                            self.made.truncate(before);
                            return Err(fault.clone());
                        }
                        StreamEvent::End => {
                            self.ended = true;
                            seen.upstream_done = true;
                            encoder.end(&mut self.made);
                        }
                        other => encoder.encode(other, &mut self.made),
                    }
                    self.committed |= event.is_content();
                    note_event(event, seen);
                    if self.ended {
                        break;
                    }
                }
                self.out_bytes += self.made.len() - before;
            }
            StreamLane::Joined { join, events } => {
                events.clear();
                let before = self.made.len();
                let Join { joiner, calls, said } = join.as_mut();
                if let Err(fault) = joiner.pass(name, &event.data, calls, &mut self.made, events) {
                    self.made.truncate(before);
                    return Err(fault);
                }
                self.out_bytes += self.made.len() - before;
                for event in events.drain(..) {
                    match event {
                        StreamEvent::Error(fault) => return Err(fault),
                        StreamEvent::End => {
                            self.ended = true;
                            seen.upstream_done = true;
                        }
                        _ => {}
                    }
                    self.began |= event.is_content();
                    note_event(&event, seen);
                    said.add(event);
                }
                self.committed |= joiner.showed_content();
            }
        }
        Ok(())
    }

    fn note(&mut self, observed: &Observation<'_>, seen: &mut Seen) {
        self.committed |= observed.content;
        self.ended |= observed.end;
        seen.upstream_done |= observed.end;
        if let Some(usage) = &observed.usage {
            seen.absorb_usage(usage);
        }
        seen.finish = observed.finish.or(seen.finish);
        if seen.upstream_id.is_none() {
            seen.note_origin(observed.id.as_deref(), observed.model.as_deref());
        }
    }

    /// Adds an event as it came, as one piece with its neighbours in memory.
    fn push_raw(&mut self, event: &SseEvent) {
        self.end_made();
        self.out_bytes += event.raw.len();
        self.out.extend(self.passage.add(event));
    }

    /// Adds bytes that were made here, as one piece with what was made before.
    fn push(&mut self, bytes: &[u8]) {
        self.out.extend(self.passage.take());
        self.out_bytes += bytes.len();
        self.made.extend_from_slice(bytes);
    }

    /// Adds an event that was made here.
    fn push_framed(&mut self, event: &[u8], data: &[u8]) {
        if !event.is_empty() {
            self.push(b"event: ");
            self.push(event);
            self.push(b"\n");
        }
        self.push(b"data: ");
        self.push(data);
        self.push(b"\n\n");
    }

    /// What was made so far is a piece.
    fn end_made(&mut self) {
        if !self.made.is_empty() {
            self.out.push(std::mem::take(&mut self.made).into());
        }
    }
}

fn note_event(event: &StreamEvent, seen: &mut Seen) {
    match event {
        StreamEvent::Start { id, model } => seen.note_origin(Some(id), Some(model)),
        StreamEvent::Usage(usage) => seen.absorb_usage(usage),
        StreamEvent::Finish { reason, .. } => seen.finish = Some(*reason),
        StreamEvent::PartStart { .. }
        | StreamEvent::Delta { .. }
        | StreamEvent::PartEnd { .. }
        | StreamEvent::Error(_)
        | StreamEvent::End => {}
    }
}

fn unreadable(error: &SseError) -> Fault {
    Fault::new(FaultKind::MalformedAnswer, format!("the upstream's stream cannot be read: {error}"))
}

#[cfg(test)]
mod tests;
