//! Writes the events of a stream.
//!
//! A part of the model is opened when its first piece comes, because what stands beside it (an id, a phase) belongs
//! into the event that announces it. An item is closed when the next one opens, or at the end: only then is it known
//! whether it was cut short.

use baton_model::{Delta, FinishReason, PartStart, RawJson, StreamEvent, Usage};
use serde::Serialize;

use super::super::item::{Draft, Kind, Piece, Stage, Thought, Tone, attached, cited, is_item, summary_part};
use super::super::response::{Envelope, Status, is_asked_for, reason, response_id};
use super::write_error;
use crate::convert::{push_json, push_line, push_members, to_json};
use crate::{ErrorBody, JoinEnd, StreamEncoder, StreamOptions, citations, lists};

/// Writes one stream.
#[derive(Clone, Debug)]
pub(crate) struct Encoder {
    options: StreamOptions,
    envelope: Option<Envelope>,
    over: bool,
    sequence: u64,
    /// In the order of their places in the output.
    items: Vec<Slot>,
    parts: Vec<OpenPart>,
    /// Whether the next text belongs to the message that is open.
    goes_on: bool,
    refused: bool,
    usage: Option<Usage>,
    finish: Option<FinishReason>,
}

/// An item of the output.
#[derive(Clone, Debug)]
enum Slot {
    /// Being written; its parts may all have ended.
    Open(Box<Draft>),
    Done(Vec<u8>),
}

/// A part of the model that has not ended.
#[derive(Clone, Debug)]
struct OpenPart {
    index: u32,
    state: State,
}

#[derive(Clone, Debug)]
enum State {
    /// Announced by the model, not yet to the client.
    Waiting(Shape, Vec<(String, RawJson)>),
    /// A text of a message: item and place in it.
    Text(usize, usize),
    Call(usize),
    /// Thinking, and whether its summary was begun.
    Reasoning(usize, Summary),
    Unseen,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Said(Tone),
    Thought,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Summary {
    None,
    Begun,
}

impl StreamEncoder for Encoder {
    fn encode(&mut self, event: &StreamEvent, out: &mut Vec<u8>) {
        if self.over {
            return;
        }
        match event {
            StreamEvent::Start { id, model } => {
                self.options.model.get_or_insert_with(|| model.clone());
                self.start(id, out);
            }
            StreamEvent::PartStart { index, part } => self.start_part(*index, part, out),
            StreamEvent::Delta { index, delta } => self.add(*index, delta, out),
            StreamEvent::PartEnd { index } => self.end_part(*index, out),
            StreamEvent::Usage(usage) => self.usage = Some(*usage),
            StreamEvent::Finish { reason, .. } => self.finish = Some(*reason),
            // The driver ends or fails the stream itself.
            StreamEvent::Error(_) | StreamEvent::End => {}
        }
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        let reason = self.finish.unwrap_or(FinishReason::Stop);
        self.write_end(Status::of(reason, self.refused), &[], out);
    }

    /// The error as an event, and the answer as it stood: clients look for one or the other.
    fn fail(&mut self, error: &ErrorBody<'_>, out: &mut Vec<u8>) {
        if self.over {
            return;
        }
        let began = self.envelope.is_some();
        write_error(error, self.sequence, out);
        self.sequence += 1;
        if began {
            // What was cut off stays as it is; only the answer says how it stands.
            self.parts.clear();
            self.write_answer(Status::Failed(reason(error.code), error.message), &[], out);
        }
        self.over = true;
    }
}

impl Encoder {
    /// An encoder for one stream.
    pub(crate) const fn new(options: StreamOptions) -> Self {
        Self {
            options,
            envelope: None,
            over: false,
            sequence: 0,
            items: Vec::new(),
            parts: Vec::new(),
            goes_on: false,
            refused: false,
            usage: None,
            finish: None,
        }
    }

    /// From here on, events show this model, and what is said stands in messages of its own.
    pub(crate) fn rename(&mut self, model: &str) {
        self.options.model = Some(model.to_owned());
        if let Some(envelope) = &mut self.envelope {
            model.clone_into(&mut envelope.model);
        }
        self.goes_on = false;
    }

    /// Writes the end of a run of several turns.
    pub(crate) fn end_with(&mut self, end: &JoinEnd<'_>, out: &mut Vec<u8>) {
        self.write_end(Status::of(end.finish, self.refused), end.extras, out);
    }

    fn start(&mut self, id: &str, out: &mut Vec<u8>) {
        if self.envelope.is_some() {
            return;
        }
        let StreamOptions { model, id: made, created, request, .. } = &self.options;
        let id = if id.is_empty() || is_asked_for(made) { made.clone() } else { response_id(id) };
        let model = model.as_deref().unwrap_or_default();
        self.envelope = Some(Envelope::new(id, *created, model, request.as_ref()));
        for name in ["response.created", "response.in_progress"] {
            self.event(name, out, |envelope, out| {
                out.extend_from_slice(b",\"response\":");
                envelope.write(Status::InProgress, &[], None, out);
                out.push(b'}');
            });
        }
    }

    /// Writes an event: its head, what `write` adds, and its end.
    fn event(&mut self, name: &str, out: &mut Vec<u8>, write: impl FnOnce(&Envelope, &mut Vec<u8>)) {
        let Some(envelope) = &self.envelope else { return };
        for piece in ["event: ", name, "\ndata: {\"type\":\"", name, "\",\"sequence_number\":"] {
            out.extend_from_slice(piece.as_bytes());
        }
        push_json(out, &self.sequence);
        write(envelope, out);
        out.extend_from_slice(b"}\n\n");
        self.sequence += 1;
    }

    fn start_part(&mut self, index: u32, part: &PartStart, out: &mut Vec<u8>) {
        self.start("", out);
        self.open_waiting(out);
        let state = match part {
            PartStart::Text => State::Waiting(Shape::Said(Tone::Text), Vec::new()),
            PartStart::Refusal => State::Waiting(Shape::Said(Tone::Refusal), Vec::new()),
            PartStart::Reasoning => State::Waiting(Shape::Thought, Vec::new()),
            PartStart::RedactedReasoning { data } => {
                let thought = Thought { sealed: Some(data.clone()), ..Thought::default() };
                let item = self.open_item(Kind::Reasoning(thought), out);
                State::Reasoning(item, Summary::None)
            }
            PartStart::ToolCall { id, name } => {
                let kind = Kind::Call {
                    call_id: id.clone(),
                    name: name.clone(),
                    arguments: String::new(),
                    attached: Vec::new(),
                };
                State::Call(self.open_item(kind, out))
            }
            PartStart::Other(raw) if is_item(raw) => {
                let item = self.open_item(Kind::Raw(raw.clone()), out);
                self.close_item(item, Stage::Completed, out);
                State::Unseen
            }
            PartStart::Other(_) => State::Unseen,
        };
        self.parts.push(OpenPart { index, state });
    }

    /// Parts are shown in the order in which they began.
    fn open_waiting(&mut self, out: &mut Vec<u8>) {
        for at in 0..self.parts.len() {
            self.open(at, out);
        }
    }

    /// Shows a part that waits.
    fn open(&mut self, at: usize, out: &mut Vec<u8>) {
        let Some(part) = self.parts.get_mut(at) else { return };
        let State::Waiting(shape, members) = &mut part.state else { return };
        let (shape, members) = (*shape, std::mem::take(members));
        let state = match shape {
            Shape::Said(tone) => self.open_text(tone, members, out),
            Shape::Thought => {
                let thought = Thought { attached: members, ..Thought::default() };
                State::Reasoning(self.open_item(Kind::Reasoning(thought), out), Summary::None)
            }
        };
        if let Some(part) = self.parts.get_mut(at) {
            part.state = state;
        }
    }

    /// A text stands in the message that is open, if there is one and it has no phase of its own.
    fn open_text(&mut self, tone: Tone, members: Vec<(String, RawJson)>, out: &mut Vec<u8>) -> State {
        self.refused |= tone == Tone::Refusal;
        let phase = members.iter().find(|(key, _)| key == "phase").map(|(_, phase)| phase.clone());
        let item = match self.open_message().filter(|_| phase.is_none()) {
            Some(item) => item,
            None => self.open_item(Kind::Message { content: Vec::new(), phase }, out),
        };
        self.goes_on = true;
        let piece = Piece { attached: members, ..Piece::new(tone) };
        let json = Piece::new(tone).json();
        let Some(Draft { kind: Kind::Message { content, .. }, .. }) = self.draft(item) else {
            return State::Unseen;
        };
        content.push(piece);
        let place = content.len() - 1;
        self.item_event("response.content_part.added", item, out, |out| {
            number(out, "content_index", place);
            out.extend_from_slice(b",\"part\":");
            out.extend_from_slice(&json);
        });
        State::Text(item, place)
    }

    fn open_message(&self) -> Option<usize> {
        let last = self.items.len().checked_sub(1)?;
        match self.items.get(last)? {
            Slot::Open(draft) if self.goes_on && matches!(draft.kind, Kind::Message { .. }) => Some(last),
            _ => None,
        }
    }

    fn draft(&mut self, item: usize) -> Option<&mut Draft> {
        match self.items.get_mut(item)? {
            Slot::Open(draft) => Some(draft),
            Slot::Done(_) => None,
        }
    }

    /// Announces an item. Those before it whose parts have ended are complete.
    fn open_item(&mut self, kind: Kind, out: &mut Vec<u8>) -> usize {
        self.close_ended(out);
        self.goes_on = false;
        let place = self.items.len();
        let id = self.envelope.as_ref().map(|envelope| envelope.id.as_str()).unwrap_or_default();
        let draft = Draft::new(id, place, kind);
        let json = match &draft.kind {
            // What is only known at the end is not announced.
            Kind::Reasoning(_) => {
                let announced = Draft { id: draft.id.clone(), kind: Kind::Reasoning(Thought::default()) };
                announced.json(Stage::Begun)
            }
            _ => draft.json(Stage::Begun),
        };
        self.items.push(Slot::Open(Box::new(draft)));
        self.event("response.output_item.added", out, |_, out| {
            number(out, "output_index", place);
            out.extend_from_slice(b",\"item\":");
            push_line(out, &json);
        });
        place
    }

    /// Writes an event of an item: its numbers and what `write` adds.
    fn item_event(&mut self, name: &str, item: usize, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
        let Some(Slot::Open(draft)) = self.items.get(item) else { return };
        let id = to_json(&draft.id);
        self.event(name, out, |_, out| {
            out.extend_from_slice(b",\"item_id\":");
            out.extend_from_slice(&id);
            number(out, "output_index", item);
            write(out);
        });
    }

    fn add(&mut self, index: u32, delta: &Delta, out: &mut Vec<u8>) {
        let Some(at) = self.parts.iter().position(|part| part.index == index) else { return };
        if delta.is_empty() {
            return;
        }
        if let (Some(OpenPart { state: State::Waiting(_, members), .. }), Delta::Attached(more)) =
            (self.parts.get_mut(at), delta)
        {
            lists::merge(members, more);
            return;
        }
        self.open(at, out);
        let Some(state) = self.parts.get(at).map(|part| part.state.clone()) else { return };
        match (state, delta) {
            (State::Text(item, place), Delta::Text(text)) => self.add_text(item, place, text, out),
            (State::Text(item, place), Delta::Attached(more)) => {
                if let Some(Draft { kind: Kind::Message { content, .. }, .. }) = self.draft(item)
                    && let Some(piece) = content.get_mut(place)
                {
                    lists::merge(&mut piece.attached, more);
                }
            }
            (State::Call(item), Delta::Arguments(piece)) => self.add_arguments(item, piece, out),
            (State::Call(item), Delta::Attached(more)) => {
                if let Some(Draft { kind: Kind::Call { attached, .. }, .. }) = self.draft(item) {
                    attached.extend_from_slice(more);
                }
            }
            (State::Reasoning(item, summary), delta) => {
                if summary == Summary::None && matches!(delta, Delta::Text(_)) {
                    self.begin_summary(at, item, out);
                }
                self.add_thought(item, delta, out);
            }
            _ => {}
        }
    }

    fn add_text(&mut self, item: usize, place: usize, text: &str, out: &mut Vec<u8>) {
        let Some(Draft { kind: Kind::Message { content, .. }, .. }) = self.draft(item) else { return };
        let Some(piece) = content.get_mut(place) else { return };
        piece.text.push_str(text);
        let (name, end): (_, &[u8]) = match piece.tone {
            Tone::Text => ("response.output_text.delta", b",\"logprobs\":[]"),
            Tone::Refusal => ("response.refusal.delta", b""),
        };
        self.item_event(name, item, out, |out| {
            number(out, "content_index", place);
            member(out, "delta", text);
            out.extend_from_slice(end);
        });
    }

    fn add_arguments(&mut self, item: usize, piece: &str, out: &mut Vec<u8>) {
        let Some(Draft { kind: Kind::Call { arguments, .. }, .. }) = self.draft(item) else { return };
        arguments.push_str(piece);
        self.item_event("response.function_call_arguments.delta", item, out, |out| {
            member(out, "delta", piece);
        });
    }

    fn begin_summary(&mut self, at: usize, item: usize, out: &mut Vec<u8>) {
        if let Some(part) = self.parts.get_mut(at) {
            part.state = State::Reasoning(item, Summary::Begun);
        }
        let part = summary_part("");
        self.item_event("response.reasoning_summary_part.added", item, out, |out| {
            number(out, "summary_index", 0);
            out.extend_from_slice(b",\"part\":");
            out.extend_from_slice(&part);
        });
    }

    fn add_thought(&mut self, item: usize, delta: &Delta, out: &mut Vec<u8>) {
        let Some(Draft { kind: Kind::Reasoning(thought), .. }) = self.draft(item) else { return };
        match delta {
            Delta::Text(text) => {
                thought.text.push_str(text);
                self.item_event("response.reasoning_summary_text.delta", item, out, |out| {
                    number(out, "summary_index", 0);
                    member(out, "delta", text);
                });
            }
            Delta::Signature(signature) => thought.signature.push_str(signature),
            Delta::Attached(more) => thought.attached.extend_from_slice(more),
            Delta::Arguments(_) => {}
        }
    }

    fn end_part(&mut self, index: u32, out: &mut Vec<u8>) {
        let Some(at) = self.parts.iter().position(|part| part.index == index) else { return };
        if let Some(OpenPart { state: State::Waiting(shape, members), .. }) = self.parts.get(at) {
            // A text without a word is none; thinking without one may be sealed.
            if *shape == Shape::Thought && !members.is_empty() {
                self.open(at, out);
            }
        }
        let part = self.parts.remove(at);
        self.write_part_end(&part.state, out);
    }

    fn write_part_end(&mut self, state: &State, out: &mut Vec<u8>) {
        match *state {
            State::Text(item, place) => self.end_text(item, place, out),
            State::Call(item) => self.end_arguments(item, out),
            State::Reasoning(item, summary) => {
                if summary == Summary::Begun {
                    self.end_summary(item, out);
                }
                self.close_item(item, Stage::Completed, out);
            }
            State::Waiting(..) | State::Unseen => {}
        }
    }

    fn end_text(&mut self, item: usize, place: usize, out: &mut Vec<u8>) {
        let Some(Draft { kind: Kind::Message { content, .. }, .. }) = self.draft(item) else { return };
        let Some(piece) = content.get_mut(place) else { return };
        if attached(&piece.attached, citations::ANNOTATIONS).is_none() {
            let cited = cited(&piece.attached, &piece.text);
            piece.attached.extend(cited);
        }
        let (tone, text, json) = (piece.tone, to_json(&piece.text), piece.json());
        let annotations = attached(&piece.attached, "annotations").map(str::to_owned);
        let logprobs = attached(&piece.attached, "logprobs").unwrap_or("[]").to_owned();
        let annotations: Vec<RawJson> =
            annotations.and_then(|list| serde_json::from_str(&list).ok()).unwrap_or_default();
        for (i, annotation) in annotations.iter().enumerate() {
            self.item_event("response.output_text.annotation.added", item, out, |out| {
                number(out, "content_index", place);
                number(out, "annotation_index", i);
                out.extend_from_slice(b",\"annotation\":");
                push_line(out, annotation.get().as_bytes());
            });
        }
        let (name, key) = match tone {
            Tone::Text => ("response.output_text.done", "text"),
            Tone::Refusal => ("response.refusal.done", "refusal"),
        };
        self.item_event(name, item, out, |out| {
            number(out, "content_index", place);
            raw_member(out, key, &text);
            if tone == Tone::Text {
                raw_member(out, "logprobs", logprobs.as_bytes());
            }
        });
        self.item_event("response.content_part.done", item, out, |out| {
            number(out, "content_index", place);
            raw_member(out, "part", &json);
        });
    }

    fn end_arguments(&mut self, item: usize, out: &mut Vec<u8>) {
        let Some(Draft { kind: Kind::Call { name, arguments, .. }, .. }) = self.draft(item) else { return };
        // Clients parse the arguments, and nothing is not JSON.
        let missing = arguments.is_empty();
        if missing {
            arguments.push_str("{}");
        }
        let (name, whole) = (to_json(name), to_json(arguments));
        if missing {
            self.item_event("response.function_call_arguments.delta", item, out, |out| {
                member(out, "delta", "{}");
            });
        }
        self.item_event("response.function_call_arguments.done", item, out, |out| {
            raw_member(out, "name", &name);
            raw_member(out, "arguments", &whole);
        });
    }

    fn end_summary(&mut self, item: usize, out: &mut Vec<u8>) {
        let Some(Draft { kind: Kind::Reasoning(thought), .. }) = self.draft(item) else { return };
        let (text, part) = (to_json(&thought.text), summary_part(&thought.text));
        self.item_event("response.reasoning_summary_text.done", item, out, |out| {
            number(out, "summary_index", 0);
            raw_member(out, "text", &text);
        });
        self.item_event("response.reasoning_summary_part.done", item, out, |out| {
            number(out, "summary_index", 0);
            raw_member(out, "part", &part);
        });
    }

    /// Closes the items whose parts have all ended.
    fn close_ended(&mut self, out: &mut Vec<u8>) {
        for item in 0..self.items.len() {
            let runs = |part: &OpenPart| match part.state {
                State::Text(of, _) | State::Call(of) | State::Reasoning(of, _) => of == item,
                State::Waiting(..) | State::Unseen => false,
            };
            if !self.parts.iter().any(runs) {
                self.close_item(item, Stage::Completed, out);
            }
        }
    }

    fn close_item(&mut self, item: usize, stage: Stage, out: &mut Vec<u8>) {
        let Some(Slot::Open(draft)) = self.items.get(item) else { return };
        let mut json = Vec::new();
        push_line(&mut json, &draft.json(stage));
        self.event("response.output_item.done", out, |_, out| {
            number(out, "output_index", item);
            raw_member(out, "item", &json);
        });
        if let Some(slot) = self.items.get_mut(item) {
            *slot = Slot::Done(json);
        }
    }

    fn write_end(&mut self, status: Status<'_>, extras: &[(&str, RawJson)], out: &mut Vec<u8>) {
        if self.over {
            return;
        }
        self.start("", out);
        self.open_waiting_thoughts(out);
        for part in std::mem::take(&mut self.parts) {
            self.write_part_end(&part.state, out);
        }
        if self.items.is_empty() {
            self.write_empty_message(out);
        }
        let last = self.items.len().saturating_sub(1);
        for item in 0..self.items.len() {
            let cut = item == last && matches!(status, Status::Incomplete(_));
            self.close_item(item, if cut { Stage::Incomplete } else { Stage::Completed }, out);
        }
        self.write_answer(status, extras, out);
        self.over = true;
    }

    /// Thinking of which nothing is told but what stands beside it.
    fn open_waiting_thoughts(&mut self, out: &mut Vec<u8>) {
        for at in 0..self.parts.len() {
            let told = self.parts.get(at).is_some_and(
                |part| matches!(&part.state, State::Waiting(Shape::Thought, members) if !members.is_empty()),
            );
            if told {
                self.open(at, out);
            }
        }
    }

    fn write_empty_message(&mut self, out: &mut Vec<u8>) {
        let state = self.open_text(Tone::Text, Vec::new(), out);
        self.write_part_end(&state, out);
    }

    /// The last event: the answer with all that was written.
    fn write_answer(&mut self, status: Status<'_>, extras: &[(&str, RawJson)], out: &mut Vec<u8>) {
        let name = format!("response.{}", status.word());
        let items: Vec<Vec<u8>> = std::mem::take(&mut self.items)
            .into_iter()
            .map(|slot| match slot {
                Slot::Done(json) => json,
                Slot::Open(draft) => draft.json(Stage::Incomplete),
            })
            .collect();
        let items: Vec<&[u8]> = items.iter().map(Vec::as_slice).collect();
        let usage = self.usage;
        self.event(&name, out, |envelope, out| {
            out.extend_from_slice(b",\"response\":");
            envelope.write(status, &items, usage.as_ref(), out);
            push_members(out, extras);
            out.push(b'}');
        });
    }
}

fn number(out: &mut Vec<u8>, key: &str, value: usize) {
    raw_member(out, key, value.to_string().as_bytes());
}

fn member(out: &mut Vec<u8>, key: &str, value: &(impl Serialize + ?Sized)) {
    raw_member(out, key, b"");
    push_json(out, value);
}

fn raw_member(out: &mut Vec<u8>, key: &str, json: &[u8]) {
    for piece in [",\"", key, "\":"] {
        out.extend_from_slice(piece.as_bytes());
    }
    out.extend_from_slice(json);
}
