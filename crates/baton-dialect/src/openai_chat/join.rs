//! Joins the turns of a run whose upstreams all speak this dialect.
//!
//! A chunk passes with all its members; only what belongs to the whole answer is edited: id and time, the model's
//! name, the role, the numbers of calls. The chunk with the finish reason and the usage are held back, and those
//! of the last turn end the answer.
//!
//! - Start with [`Joiner`]; what becomes of one chunk is in `chunk.rs`.
//! - **Invariant:** a fragment is shown only when its call has passed the gate; until then it waits.

mod answer;
mod chunk;

use baton_model::{Delta, Fault, FinishReason, PartStart, RawJson, RawObject, StreamEvent, Usage};
use bytes::Bytes;

pub(crate) use answer::join_answers;

use chunk::Task;

use super::observe::observe_event;
use super::stream::{Decoder, Top};
use super::usage::WireUsage;
use super::{finish_word, malformed};
use crate::additions::{Edits, push_extras, set};
use crate::convert::{ObjectWriter, push_line, to_json, with_members};
use crate::{Gate, JoinEnd, Show, StreamOptions};

/// The state of one joined stream.
#[derive(Clone, Debug)]
pub(crate) struct Joiner {
    options: StreamOptions,
    /// What every chunk shows, once it is known.
    identity: Option<Identity>,
    /// The name of the turn's model, as JSON.
    model: Bytes,
    role_sent: bool,
    next_call: u32,
    next_detail: u32,
    /// Whether an earlier turn showed text.
    spoke: bool,
    turn: Turn,
}

/// The id and the time of the answer, as JSON.
#[derive(Clone, Debug)]
struct Identity {
    id: Bytes,
    created: Bytes,
}

/// What is known of the turn that is read.
#[derive(Clone, Debug, Default)]
struct Turn {
    decoder: Decoder,
    /// The calls that the gate has seen: part, and the number for the client if it is shown.
    calls: Vec<(u32, Option<u32>)>,
    /// Calls of custom tools, which are always the client's: the upstream's index and the number.
    custom: Vec<(Option<u64>, u32)>,
    /// Fragments of calls that have not come to the gate.
    held: Vec<Held>,
    /// What is added to the numbers of `reasoning_details`.
    first_detail: u32,
    text_part: Option<u32>,
    /// Whether it showed text.
    speaks: bool,
    reason: Option<FinishReason>,
    finish: Option<HeldFinish>,
    usage: Option<HeldUsage>,
    showed: bool,
    over: bool,
}

/// What became of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It has not come to the gate.
    Open,
    Hidden,
    /// A client sees it under this number.
    Shown(u32),
}

/// A fragment that waits, with the chunk it came in.
#[derive(Clone, Debug)]
struct Held {
    call: usize,
    chunk: Bytes,
    member: &'static str,
    fragment: Bytes,
}

/// The chunk that says why the turn ended, and its choice without what was said.
#[derive(Clone, Debug)]
struct HeldFinish {
    chunk: Bytes,
    choice: Bytes,
}

/// The turn's usage as it came, and the chunk if it had one of its own.
#[derive(Clone, Debug, Default)]
struct HeldUsage {
    figures: Usage,
    raw: Option<Bytes>,
    chunk: Option<Bytes>,
}

impl Joiner {
    pub(crate) fn new(options: StreamOptions) -> Self {
        Self {
            options,
            identity: None,
            model: Bytes::from_static(b"\"\""),
            role_sent: false,
            next_call: 0,
            next_detail: 0,
            spoke: false,
            turn: Turn::default(),
        }
    }

    pub(crate) fn begin(&mut self, model: &str) {
        self.model = to_json(model).into();
        self.spoke |= self.turn.speaks;
        self.turn = Turn { first_detail: self.next_detail, ..Turn::default() };
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
        if self.turn.over {
            return Ok(());
        }
        let before = events.len();
        let top = self.turn.decoder.read(event, data, events)?;
        let news = events.get(before..).unwrap_or_default();
        let first_text = self.note(news, gate)?;
        self.flush(out);
        let Some(top) = top else { return Ok(()) };
        let task = Task { paragraph: first_text && self.spoke, finishes: finishes(news) };
        let json = data.trim_ascii();
        if self.is_plain(&top, task) {
            self.plain(json, &top, out);
            return Ok(());
        }
        let chunk = RawObject::parse(data.slice_ref(json))
            .map_err(|_place| malformed("a chunk of the provider's stream is not valid"))?;
        self.hold_usage(&chunk, news);
        self.chunk(&chunk, &top, task, out);
        Ok(())
    }

    /// Notes what a chunk said, and asks the gate about the calls that begin. Gives whether the turn's first text
    /// is in it.
    fn note(&mut self, news: &[StreamEvent], gate: &mut dyn Gate) -> Result<bool, Fault> {
        let spoke_before = self.turn.speaks;
        for event in news {
            match event {
                StreamEvent::Error(fault) => return Err(fault.clone()),
                StreamEvent::PartStart { index, part: PartStart::ToolCall { id, name } } => {
                    let shown = gate.call(id, name) == Show::Pass;
                    let number = shown.then(|| self.number());
                    self.turn.calls.push((*index, number));
                }
                StreamEvent::PartStart { index, part: PartStart::Text } => {
                    self.turn.text_part = Some(*index);
                }
                StreamEvent::Delta { index, delta: Delta::Text(text) } => {
                    self.turn.speaks |= Some(*index) == self.turn.text_part && !text.is_empty();
                }
                StreamEvent::Finish { reason, .. } => self.turn.reason = Some(*reason),
                StreamEvent::End => self.turn.over = true,
                _ => {}
            }
        }
        Ok(self.turn.speaks && !spoke_before)
    }

    const fn number(&mut self) -> u32 {
        self.next_call += 1;
        self.next_call - 1
    }

    fn fate(&self, call: usize) -> Fate {
        let part = self.turn.decoder.calls().part(call);
        match self.turn.calls.iter().find(|(known, _)| Some(*known) == part) {
            None => Fate::Open,
            Some((_, None)) => Fate::Hidden,
            Some((_, Some(number))) => Fate::Shown(*number),
        }
    }

    fn hold_usage(&mut self, chunk: &RawObject, news: &[StreamEvent]) {
        let figures = news.iter().rev().find_map(|event| match event {
            StreamEvent::Usage(usage) => Some(*usage),
            _ => None,
        });
        if let Some(figures) = figures {
            let own = has_no_choices(chunk).then(|| chunk.body().clone());
            self.turn.usage = Some(HeldUsage { figures, raw: chunk.get_bytes("usage"), chunk: own });
        }
    }

    /// The values that are the same in all chunks of the answer, each with the one that a chunk has.
    fn same_everywhere<'a>(&'a self, top: &Top<'a>) -> [Option<(&'a str, &'a Bytes)>; 3] {
        let identity = self.identity.as_ref();
        [
            top.id.zip(identity.map(|identity| &identity.id)),
            top.created.zip(identity.map(|identity| &identity.created)),
            top.model.map(|model| (model, &self.model)),
        ]
    }

    /// The edits at the top of a chunk.
    fn top_edits(&self, chunk: &RawObject) -> Edits<'static> {
        let mut edits: Edits<'_> = Vec::new();
        let mut same_everywhere = |key, value: &Bytes| {
            if chunk.get(key).is_some_and(|given| given != value) {
                edits.push((key, Some(value.clone())));
            }
        };
        if let Some(identity) = &self.identity {
            same_everywhere("id", &identity.id);
            same_everywhere("created", &identity.created);
        }
        same_everywhere("model", &self.model);
        if chunk.get("usage").is_some() {
            edits.push(("usage", self.options.include_usage.then(|| Bytes::from_static(b"null"))));
        }
        edits
    }

    /// The first chunk that has an id gives it to the whole answer.
    fn identify(&mut self, chunk: &RawObject) {
        if self.identity.is_some() {
            return;
        }
        let id = chunk.get_bytes("id").filter(|id| id.len() > 2 && id.starts_with(b"\""));
        if id.is_some() || !has_no_choices(chunk) {
            let made = self.made_identity();
            self.identity = Some(Identity {
                id: id.unwrap_or(made.id),
                created: chunk.get_bytes("created").unwrap_or(made.created),
            });
        }
    }

    fn made_identity(&self) -> Identity {
        let StreamOptions { id, created, .. } = &self.options;
        Identity { id: to_json(id).into(), created: to_json(created).into() }
    }

    /// The members that a chunk made here begins with.
    fn head(&mut self) -> ObjectWriter {
        let identity = self.identity.take().unwrap_or_else(|| self.made_identity());
        let mut head = ObjectWriter::new();
        head.raw_member("id", &identity.id);
        head.member("object", "chat.completion.chunk");
        head.raw_member("created", &identity.created);
        head.raw_member("model", &self.model);
        self.identity = Some(identity);
        head
    }

    /// A chunk that says nothing.
    fn made_chunk(&mut self) -> Vec<u8> {
        let include_usage = self.options.include_usage;
        let mut chunk = self.head();
        chunk.raw_member("choices", &[b"[", SILENCE, b"]"].concat());
        if include_usage {
            chunk.raw_member("usage", b"null");
        }
        chunk.finish()
    }

    pub(crate) fn announce(&mut self, extras: &[(&str, RawJson)], out: &mut Vec<u8>) {
        write(&with_members(self.made_chunk(), extras), out);
    }

    pub(crate) fn finish(&mut self, end: &JoinEnd<'_>, out: &mut Vec<u8>) {
        self.write_finish(end, out);
        if let Some(usage) = end.usage.filter(|_| self.options.include_usage) {
            self.write_usage(&usage, out);
        }
        out.extend_from_slice(b"data: [DONE]\n\n");
        self.turn.over = true;
    }

    fn write_finish(&mut self, end: &JoinEnd<'_>, out: &mut Vec<u8>) {
        let held = self.turn.finish.take();
        let HeldFinish { chunk, choice } = held.unwrap_or_else(|| {
            let chunk = self.made_chunk().into();
            HeldFinish { chunk, choice: Bytes::from_static(SILENCE) }
        });
        let (Ok(chunk), Ok(choice)) = (RawObject::parse(chunk), RawObject::parse(choice)) else { return };
        // A word that nobody knows here stays, where it says the same.
        let word = finish_word(end.finish);
        let edit = ("finish_reason", Some(Bytes::from(to_json(word))));
        let told = self.turn.reason.map(finish_word) == Some(word);
        let choice = if told { choice.body().to_vec() } else { choice.rewritten(&[edit]) };
        let mut edits = self.top_edits(&chunk);
        edits.push(("choices", Some([b"[", choice.as_slice(), b"]"].concat().into())));
        if let (Some(usage), Some(groq)) = (&end.usage, groq_with(&chunk, end.usage.as_ref())) {
            let same = self.turn.usage.as_ref().is_some_and(|told| told.figures == *usage);
            if !same {
                edits.push(("x_groq", Some(groq)));
            }
        }
        push_extras(&mut edits, end.extras);
        write(&chunk.rewritten(&edits), out);
    }

    fn write_usage(&mut self, usage: &Usage, out: &mut Vec<u8>) {
        let told = self.turn.usage.take().unwrap_or_default();
        // Figures that say the same stay as they came, with members that nobody here knows.
        let figures = told
            .raw
            .filter(|_| told.figures == *usage)
            .unwrap_or_else(|| to_json(&WireUsage::from(usage)).into());
        if let Some(chunk) = told.chunk.and_then(|chunk| RawObject::parse(chunk).ok()) {
            let mut edits = self.top_edits(&chunk);
            set(&mut edits, "usage", Some(figures));
            return write(&chunk.rewritten(&edits), out);
        }
        let mut chunk = self.head();
        chunk.raw_member("choices", b"[]");
        chunk.raw_member("usage", &figures);
        write(&chunk.finish(), out);
    }

    /// Writes a chunk that a client sees.
    fn show(&mut self, json: &[u8], out: &mut Vec<u8>) {
        self.note_content(json);
        write(json, out);
    }

    fn note_content(&mut self, json: &[u8]) {
        if !self.turn.showed {
            self.turn.showed = observe_event("", json).is_ok_and(|seen| seen.content);
        }
    }
}

/// The choice of a chunk that says nothing.
const SILENCE: &[u8] = br#"{"index":0,"delta":{},"logprobs":null,"finish_reason":null}"#;

fn finishes(news: &[StreamEvent]) -> bool {
    news.iter().any(|event| matches!(event, StreamEvent::Finish { .. }))
}

fn has_no_choices(chunk: &RawObject) -> bool {
    chunk.get("choices").is_none_or(chunk::is_nothing)
}

fn write(json: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"data: ");
    push_line(out, json);
    out.extend_from_slice(b"\n\n");
}

/// Groq's own place for usage, with the sum.
fn groq_with(chunk: &RawObject, usage: Option<&Usage>) -> Option<Bytes> {
    let groq = RawObject::parse(chunk.get_bytes("x_groq")?).ok()?;
    groq.get("usage")?;
    let usage = Bytes::from(to_json(&WireUsage::from(usage?)));
    Some(groq.rewritten(&[("usage", Some(usage))]).into())
}
