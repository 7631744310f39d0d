//! Joins turns of any dialect through the events of the model.

use baton_model::{Answer, Delta, Dialect, Fault, Part, PartKind, PartStart, RawJson, StreamEvent};
use bytes::Bytes;

use super::{Gate, JoinEnd, PARAGRAPH, Show, TurnAnswer, no_turn};
use crate::convert::with_members;
use crate::{
    AnswerContext, ChangedStream, ErrorBody, StreamDecoder, StreamEncoder, StreamOptions, anthropic_messages,
    encode_answer, openai_chat, openai_responses,
};

/// A decoder that can be copied in the middle of a stream.
#[derive(Clone, Debug)]
enum Decoder {
    Chat(openai_chat::Decoder),
    Messages(anthropic_messages::Decoder),
    Responses(openai_responses::Decoder),
}

impl Decoder {
    fn new(dialect: Dialect) -> Self {
        match dialect {
            Dialect::OpenaiChat => Self::Chat(openai_chat::Decoder::default()),
            Dialect::AnthropicMessages => Self::Messages(anthropic_messages::Decoder::default()),
            Dialect::OpenaiResponses => Self::Responses(openai_responses::Decoder::default()),
        }
    }

    fn decode(&mut self, event: &str, data: &[u8], out: &mut Vec<StreamEvent>) -> Result<(), Fault> {
        match self {
            Self::Chat(decoder) => decoder.decode(event, data, out),
            Self::Messages(decoder) => decoder.decode(event, data, out),
            Self::Responses(decoder) => decoder.decode(event, data, out),
        }
    }
}

/// An encoder that can be copied in the middle of a stream.
#[derive(Clone, Debug)]
enum Encoder {
    Chat(openai_chat::Encoder),
    Messages(anthropic_messages::Encoder),
    Responses(openai_responses::Encoder),
}

impl Encoder {
    fn encode(&mut self, event: &StreamEvent, out: &mut Vec<u8>) {
        match self {
            Self::Chat(encoder) => encoder.encode(event, out),
            Self::Messages(encoder) => encoder.encode(event, out),
            Self::Responses(encoder) => encoder.encode(event, out),
        }
    }
}

/// The state of one joined stream in the model lane.
#[derive(Clone, Debug)]
pub(super) struct ModelJoiner {
    encoder: Encoder,
    started: bool,
    /// The next number that no part has.
    next: u32,
    /// Whether an earlier turn showed text.
    spoke: bool,
    turn: Turn,
}

/// What is known of the turn that is read.
#[derive(Clone, Debug)]
struct Turn {
    decoder: Decoder,
    /// Changes its events back, where its request was changed.
    changes: Option<ChangedStream>,
    /// What is added to a part's number: numbers rise over the turns.
    base: u32,
    /// The parts that a client sees and that have not ended, by their number in the turn.
    open: Vec<(u32, Visible)>,
    /// Whether it showed text.
    speaks: bool,
    showed: bool,
    over: bool,
}

impl Turn {
    fn new(upstream: Dialect, base: u32) -> Self {
        let decoder = Decoder::new(upstream);
        Self { decoder, changes: None, base, open: Vec::new(), speaks: false, showed: false, over: false }
    }

    fn decode(&mut self, event: &str, data: &[u8], out: &mut Vec<StreamEvent>) -> Result<(), Fault> {
        let Some(changes) = &mut self.changes else { return self.decoder.decode(event, data, out) };
        let mut events = Vec::new();
        self.decoder.decode(event, data, &mut events)?;
        events.into_iter().for_each(|event| changes.push(event, out));
        Ok(())
    }
}

/// What a client sees of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Visible {
    Text,
    Other,
}

impl ModelJoiner {
    pub(super) fn new(client: Dialect, options: StreamOptions) -> Self {
        let options = StreamOptions { model: None, ..options };
        let encoder = match client {
            Dialect::OpenaiChat => Encoder::Chat(openai_chat::Encoder::new(options)),
            Dialect::AnthropicMessages => Encoder::Messages(anthropic_messages::Encoder::new(options)),
            Dialect::OpenaiResponses => Encoder::Responses(openai_responses::Encoder::new(options)),
        };
        Self { encoder, started: false, next: 0, spoke: false, turn: Turn::new(client, 0) }
    }

    pub(super) fn begin(&mut self, upstream: Dialect, model: &str) {
        match &mut self.encoder {
            Encoder::Chat(encoder) => encoder.rename(model),
            Encoder::Messages(encoder) => encoder.rename(model),
            Encoder::Responses(encoder) => encoder.rename(model),
        }
        self.spoke |= self.turn.speaks;
        self.turn = Turn::new(upstream, self.next);
    }

    pub(super) fn change_back(&mut self, changes: ChangedStream) {
        self.turn.changes = Some(changes);
    }

    pub(super) const fn changes(&self) -> Option<&ChangedStream> {
        self.turn.changes.as_ref()
    }

    pub(super) fn pass(
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
        self.turn.decode(event, data, events)?;
        let news = events.get(before..).unwrap_or_default();
        for event in news {
            match event {
                StreamEvent::Error(fault) => return Err(fault.clone()),
                StreamEvent::End => self.turn.over = true,
                StreamEvent::Start { .. } => self.start(event, news, out),
                event => self.show(event, gate, out),
            }
        }
        Ok(())
    }

    /// The first turn's start begins the answer. A Messages client gets the input tokens there, if they are told.
    fn start(&mut self, start: &StreamEvent, news: &[StreamEvent], out: &mut Vec<u8>) {
        if self.started {
            return;
        }
        self.started = true;
        if let Encoder::Messages(encoder) = &mut self.encoder {
            for usage in news.iter().filter(|event| matches!(event, StreamEvent::Usage(_))) {
                encoder.encode(usage, out);
            }
        }
        self.encoder.encode(start, out);
    }

    fn show(&mut self, event: &StreamEvent, gate: &mut dyn Gate, out: &mut Vec<u8>) {
        match event {
            StreamEvent::PartStart { index, part } => {
                self.next = self.next.max(self.turn.base + index + 1);
                let hidden = match part {
                    PartStart::ToolCall { id, name } => gate.call(id, name) == Show::Hide,
                    _ => false,
                };
                if !hidden {
                    let visible = if *part == PartStart::Text { Visible::Text } else { Visible::Other };
                    self.turn.open.push((*index, visible));
                    self.turn.showed |= event.is_content();
                    let event = StreamEvent::PartStart { index: self.turn.base + index, part: part.clone() };
                    self.encoder.encode(&event, out);
                }
            }
            StreamEvent::Delta { index, delta } => self.add(*index, delta, out),
            StreamEvent::PartEnd { index } => {
                if let Some(at) = self.turn.open.iter().position(|(open, _)| open == index) {
                    self.turn.open.swap_remove(at);
                    self.encoder.encode(&StreamEvent::PartEnd { index: self.turn.base + index }, out);
                }
            }
            // The end is told once, for all turns together.
            StreamEvent::Start { .. }
            | StreamEvent::Usage(_)
            | StreamEvent::Finish { .. }
            | StreamEvent::Error(_)
            | StreamEvent::End => {}
        }
    }

    fn add(&mut self, index: u32, delta: &Delta, out: &mut Vec<u8>) {
        let Some((_, visible)) = self.turn.open.iter().find(|(open, _)| *open == index) else { return };
        let mut delta = delta.clone();
        self.turn.showed |= !delta.is_empty();
        if let (Visible::Text, Delta::Text(text)) = (visible, &mut delta)
            && !text.is_empty()
        {
            let runs_on = matches!(self.encoder, Encoder::Chat(_));
            if runs_on && self.spoke && !self.turn.speaks {
                text.insert_str(0, PARAGRAPH);
            }
            self.turn.speaks = true;
        }
        self.encoder.encode(&StreamEvent::Delta { index: self.turn.base + index, delta }, out);
    }

    pub(super) const fn showed_content(&self) -> bool {
        self.turn.showed
    }

    pub(super) fn announce(&mut self, extras: &[(&str, RawJson)], out: &mut Vec<u8>) -> bool {
        match &mut self.encoder {
            Encoder::Chat(encoder) => {
                encoder.announce(extras, out);
                true
            }
            Encoder::Messages(_) | Encoder::Responses(_) => false,
        }
    }

    pub(super) fn finish(&mut self, end: &JoinEnd<'_>, out: &mut Vec<u8>) {
        if let Some(usage) = end.usage {
            self.encoder.encode(&StreamEvent::Usage(usage), out);
        }
        match &mut self.encoder {
            Encoder::Chat(encoder) => encoder.end_with(end, out),
            Encoder::Messages(encoder) => encoder.end_with(end, out),
            Encoder::Responses(encoder) => encoder.end_with(end, out),
        }
    }

    pub(super) fn fail(&mut self, error: &ErrorBody<'_>, out: &mut Vec<u8>) {
        match &mut self.encoder {
            Encoder::Chat(encoder) => encoder.fail(error, out),
            Encoder::Messages(encoder) => encoder.fail(error, out),
            Encoder::Responses(encoder) => encoder.fail(error, out),
        }
    }
}

/// Joins whole answers of any dialect.
pub(super) fn join_answers(
    client: Dialect,
    turns: &[TurnAnswer<'_>],
    end: &JoinEnd<'_>,
    context: &AnswerContext<'_>,
    id: &str,
) -> Result<Vec<u8>, Fault> {
    let (Some(first), Some(last)) = (turns.first(), turns.last()) else { return Err(no_turn()) };
    let mut parts: Vec<Part> = Vec::new();
    let mut spoke = false;
    let mut starts = Vec::new();
    for turn in turns {
        let from = parts.len();
        starts.push(from);
        parts.extend(turn.answer.parts.iter().filter(|part| !is_hidden(part, turn)).cloned());
        let texts = parts.iter_mut().skip(from).filter_map(|part| match &mut part.kind {
            PartKind::Text(text) if !text.is_empty() => Some(text),
            _ => None,
        });
        let mut texts = texts.peekable();
        let speaks = texts.peek().is_some();
        if let Some(text) = texts.next().filter(|_| spoke && client == Dialect::OpenaiChat) {
            text.insert_str(0, PARAGRAPH);
        }
        spoke |= speaks;
    }
    let joined = Answer {
        id: id.to_owned(),
        model: last.answer.model.clone(),
        created: first.answer.created,
        parts,
        finish: end.finish,
        stop_sequence: end.stop_sequence.map(str::to_owned),
        usage: end.usage,
        logprobs: last.answer.logprobs.clone(),
    };
    let answer = match client {
        Dialect::OpenaiResponses => openai_responses::encode_turns(&joined, &starts, context),
        Dialect::OpenaiChat | Dialect::AnthropicMessages => encode_answer(client, &joined, context),
    };
    Ok(with_members(answer, end.extras))
}

fn is_hidden(part: &Part, turn: &TurnAnswer<'_>) -> bool {
    matches!(&part.kind, PartKind::ToolCall { id, .. } if turn.hides(id))
}
