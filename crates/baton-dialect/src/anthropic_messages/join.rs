//! Joins the turns of a run whose upstreams all speak this dialect.
//!
//! The first turn's `message_start` begins the message, with the input tokens of that turn. Blocks are numbered
//! on over the turns, those of hidden calls left out. `message_delta` and `message_stop` of every turn are held
//! back: the last ones end the message, with the sum of the usage.
//!
//! - **Invariant:** block numbers rise by one from 0, and every block that began ends.

mod answer;

use baton_model::{Fault, FinishReason, PartStart, RawObject, StreamEvent, Usage};
use bytes::Bytes;

pub(crate) use answer::join_answers;

use super::observe::observe_event;
use super::stream::{Decoder, Encoder, kind_of, write_frame};
use super::types::EventKind;
use super::usage::{encode_stop, encode_usage};
use super::{answer::malformed, stream};
use crate::additions::{Edits, object, push_extras, set};
use crate::convert::to_json;
use crate::{Gate, JoinEnd, Show, StreamDecoder, StreamEncoder, StreamOptions};

/// The state of one joined stream.
#[derive(Clone, Debug)]
pub(crate) struct Joiner {
    options: StreamOptions,
    started: bool,
    next_block: u32,
    /// Whether a call was shown.
    calls: bool,
    turns: u32,
    turn: Turn,
}

/// What is known of the turn that is read.
#[derive(Clone, Debug, Default)]
struct Turn {
    decoder: Decoder,
    open: Vec<OpenBlock>,
    usage: Option<Usage>,
    finish: Option<FinishReason>,
    /// Its `message_delta`.
    last_delta: Option<Bytes>,
    /// Its `message_stop`.
    stop: Option<Bytes>,
    showed: bool,
    over: bool,
}

/// A block that began and has not ended.
#[derive(Clone, Copy, Debug)]
struct OpenBlock {
    /// Its number at the upstream.
    index: u64,
    /// Its number for the client; `None` for a hidden one.
    shown: Option<u32>,
}

impl Joiner {
    pub(crate) fn new(options: StreamOptions) -> Self {
        Self { options, started: false, next_block: 0, calls: false, turns: 0, turn: Turn::default() }
    }

    pub(crate) fn begin(&mut self, model: &str) {
        self.options.model = Some(model.to_owned());
        self.turns += 1;
        self.turn = Turn::default();
    }

    pub(crate) const fn showed_content(&self) -> bool {
        self.turn.showed
    }

    pub(crate) fn pass(
        &mut self,
        event: &str,
        data: &Bytes,
        gate: &mut dyn Gate,
        out: &mut Vec<u8>,
        events: &mut Vec<StreamEvent>,
    ) -> Result<(), Fault> {
        if self.turn.over || data.trim_ascii().is_empty() {
            return Ok(());
        }
        let before = events.len();
        self.turn.decoder.decode(event, data, events)?;
        let news = events.get(before..).unwrap_or_default();
        self.note(news)?;
        let frame = RawObject::parse(data.clone()).map_err(malformed)?;
        self.frame(event, &frame, news, gate, out)
    }

    fn note(&mut self, news: &[StreamEvent]) -> Result<(), Fault> {
        for event in news {
            match event {
                StreamEvent::Error(fault) => return Err(fault.clone()),
                StreamEvent::Usage(usage) => self.turn.usage = Some(*usage),
                StreamEvent::Finish { reason, .. } => self.turn.finish = Some(*reason),
                StreamEvent::End => self.turn.over = true,
                _ => {}
            }
        }
        Ok(())
    }

    fn frame(
        &mut self,
        event: &str,
        frame: &RawObject,
        news: &[StreamEvent],
        gate: &mut dyn Gate,
        out: &mut Vec<u8>,
    ) -> Result<(), Fault> {
        let kind = frame.read("type").ok().flatten().unwrap_or_else(|| kind_of(event));
        match kind {
            EventKind::MessageStart => self.start(frame, out),
            EventKind::ContentBlockStart => {
                self.begin_block(frame, is_shown(news, gate), out);
                Ok(())
            }
            EventKind::ContentBlockDelta | EventKind::ContentBlockStop => {
                let at = self.find(frame);
                let shown = at.and_then(|at| self.turn.open.get(at)).and_then(|block| block.shown);
                if let Some(at) = at.filter(|_| kind == EventKind::ContentBlockStop) {
                    self.turn.open.remove(at);
                }
                if let Some(shown) = shown {
                    self.show(event, frame, Some(shown), out);
                }
                Ok(())
            }
            EventKind::MessageDelta => {
                self.close_blocks(out);
                self.turn.last_delta = Some(frame.body().clone());
                Ok(())
            }
            EventKind::MessageStop => {
                self.close_blocks(out);
                self.turn.stop = Some(frame.body().clone());
                Ok(())
            }
            EventKind::Error | EventKind::Other => {
                match self.find(frame).and_then(|at| self.turn.open.get(at)) {
                    Some(OpenBlock { shown: None, .. }) => {}
                    Some(OpenBlock { shown, .. }) => self.show(event, frame, *shown, out),
                    None => self.show(event, frame, None, out),
                }
                Ok(())
            }
        }
    }

    fn start(&mut self, frame: &RawObject, out: &mut Vec<u8>) -> Result<(), Fault> {
        if self.started {
            return Ok(());
        }
        self.started = true;
        let message = frame.get_bytes("message").unwrap_or_default();
        let message = RawObject::parse(message).map_err(malformed)?;
        let model = Bytes::from(to_json(&self.options.model));
        let message = message.rewritten(&[("model", Some(model))]);
        write_frame("message_start", &frame.rewritten(&[("message", Some(message.into()))]), out);
        Ok(())
    }

    /// A message that begins without its `message_start` gets one.
    fn ensure_start(&mut self, out: &mut Vec<u8>) {
        if !self.started {
            self.started = true;
            let start = StreamEvent::Start { id: String::new(), model: String::new() };
            Encoder::new(self.options.clone()).encode(&start, out);
        }
    }

    fn begin_block(&mut self, frame: &RawObject, shown: Show, out: &mut Vec<u8>) {
        let Some(index) = frame.read("index").ok().flatten() else { return };
        let shown = (shown == Show::Pass).then(|| {
            self.next_block += 1;
            self.next_block - 1
        });
        self.turn.open.push(OpenBlock { index, shown });
        if shown.is_some() {
            self.ensure_start(out);
            self.calls |= is_call(frame);
            self.show("content_block_start", frame, shown, out);
        }
    }

    fn find(&self, frame: &RawObject) -> Option<usize> {
        let index: u64 = frame.read("index").ok().flatten()?;
        self.turn.open.iter().rposition(|block| block.index == index)
    }

    fn show(&mut self, event: &str, frame: &RawObject, number: Option<u32>, out: &mut Vec<u8>) {
        self.turn.showed =
            self.turn.showed || observe_event(event, frame.body()).is_ok_and(|seen| seen.content);
        let name: Option<String> = if event.is_empty() { frame.read("type").ok().flatten() } else { None };
        let number = number.map(|number| Bytes::from(number.to_string()));
        let same = number.as_deref().is_none_or(|number| frame.get("index") == Some(number));
        let name = name.as_deref().unwrap_or(event);
        if same {
            write_frame(name, frame.body(), out);
        } else {
            write_frame(name, &frame.rewritten(&[("index", number)]), out);
        }
    }

    /// Some upstreams leave the last block open, which only the end of a stream would make up for.
    fn close_blocks(&mut self, out: &mut Vec<u8>) {
        for number in self.turn.open.drain(..).filter_map(|block| block.shown) {
            let data = format!(r#"{{"type":"content_block_stop","index":{number}}}"#);
            write_frame("content_block_stop", data.as_bytes(), out);
        }
    }

    pub(crate) fn finish(&mut self, end: &JoinEnd<'_>, out: &mut Vec<u8>) {
        self.ensure_start(out);
        self.close_blocks(out);
        let last_delta = self.turn.last_delta.take().and_then(|frame| RawObject::parse(frame).ok());
        let frame = last_delta.unwrap_or_else(RawObject::empty);
        let delta = object(&frame, "delta").rewritten(&stop_edits(end, self.turn.finish, self.calls));
        let mut edits: Edits<'_> = Vec::new();
        if frame.get("type").is_none() {
            edits.push(("type", Some(Bytes::from_static(b"\"message_delta\""))));
        }
        edits.push(("delta", Some(delta.into())));
        // Figures that say the same stay as they came, with members that nobody here knows.
        let told = self.turns == 1 && end.usage == self.turn.usage && frame.get("usage").is_some();
        if !told {
            let usage = usage_with(&object(&frame, "usage"), &end.usage.unwrap_or_default());
            edits.push(("usage", Some(usage)));
        }
        push_extras(&mut edits, end.extras);
        write_frame("message_delta", &frame.rewritten(&edits), out);
        let stop = self.turn.stop.take();
        write_frame("message_stop", stop.as_deref().unwrap_or(br#"{"type":"message_stop"}"#), out);
    }
}

/// Whether a client sees the block that begins with these events.
fn is_shown(news: &[StreamEvent], gate: &mut dyn Gate) -> Show {
    let call = news.iter().find_map(|event| match event {
        StreamEvent::PartStart { part: PartStart::ToolCall { id, name }, .. } => Some((id, name)),
        _ => None,
    });
    call.map_or(Show::Pass, |(id, name)| gate.call(id, name))
}

fn is_call(frame: &RawObject) -> bool {
    frame.get_bytes("content_block").is_some_and(|block| stream::is_tool_use(&block))
}

/// What must change for the run's reason to end; nothing where the last turn's own says the same.
fn stop_edits(end: &JoinEnd<'_>, told: Option<FinishReason>, calls: bool) -> Edits<'static> {
    let mut edits: Edits<'_> = Vec::new();
    if told != Some(end.finish) {
        edits.push(("stop_reason", Some(to_json(encode_stop(end.finish, calls, false)).into())));
        edits.push(("stop_sequence", Some(Bytes::from_static(b"null"))));
        edits.push(("stop_details", Some(Bytes::from_static(b"null"))));
    }
    if end.stop_sequence.is_some() {
        set(&mut edits, "stop_sequence", Some(to_json(&end.stop_sequence).into()));
    }
    edits
}

/// Usage with these figures. Members that are no sums stay those of the last turn.
fn usage_with(given: &RawObject, usage: &Usage) -> Bytes {
    let sum = encode_usage(Some(usage));
    let figure = |tokens: u64| Some(Bytes::from(tokens.to_string()));
    let mut edits: Edits<'_> = vec![
        ("input_tokens", figure(sum.input_tokens)),
        ("cache_creation_input_tokens", figure(sum.cache_creation_input_tokens)),
        ("cache_read_input_tokens", figure(sum.cache_read_input_tokens)),
        ("output_tokens", figure(sum.output_tokens)),
        // How the writes to the cache divide is known of one turn only. An answer has the member, a stream has not.
        ("cache_creation", given.get("cache_creation").map(|_| Bytes::from_static(b"null"))),
    ];
    if sum.output_tokens_details.is_some() || given.get("output_tokens_details").is_some() {
        edits.push(("output_tokens_details", Some(to_json(&sum.output_tokens_details).into())));
    }
    given.rewritten(&edits).into()
}
