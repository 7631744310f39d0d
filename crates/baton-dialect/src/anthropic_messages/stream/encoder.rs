//! Writes the events of a Messages stream.

use std::collections::VecDeque;

use baton_model::{Delta, FinishReason, PartStart, RawJson, StreamEvent, Usage};
use serde::{Deserialize, Serialize};

use super::super::error::encode_error;
use super::super::types::{
    AnswerBlock, Caller, Citations, Input, MessageOut, STOP_DETAILS, StopDetails, StopOut, UsageOut,
};
use super::super::usage::{answer_call_id, encode_stop, encode_usage, message_id};
use crate::citations;
use crate::convert::{push_line, to_json, with_members};
use crate::{ErrorBody, JoinEnd, StreamEncoder, StreamOptions};

/// The state of one stream.
///
/// One part is open and its deltas are written at once. Parts that begin meanwhile wait, with what is
/// added to them, until it ends.
#[derive(Clone, Debug)]
pub(crate) struct Encoder {
    options: StreamOptions,
    phase: Phase,
    /// The number of the next block on the wire.
    next_block: u32,
    open: Option<OpenPart>,
    waiting: VecDeque<WaitingPart>,
    usage: Option<Usage>,
    finish: Option<(FinishReason, Option<String>)>,
    calls: bool,
    refused: bool,
    refusals: Vec<Refusing>,
    /// All that this dialect's own vendor says of the refusal.
    details: Option<RawJson>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Before,
    Running,
    Over,
}

#[derive(Clone, Debug)]
struct OpenPart {
    part: u32,
    block: u32,
    kind: Kind,
    /// Clients keep only the last signature they get, so it is written once, at the end.
    signature: String,
    /// Of another vendor's text: what it says, and where it has it from.
    text: String,
    cited: Vec<(String, RawJson)>,
}

/// A refusal that has not ended. Our own vendor's stand beside the reason of the end, others are text.
#[derive(Clone, Copy, Debug)]
struct Refusing {
    part: u32,
    is_text: bool,
}

#[derive(Clone, Debug)]
struct WaitingPart {
    part: u32,
    start: PartStart,
    added: String,
    signature: String,
    beside: Vec<(String, RawJson)>,
    ended: bool,
}

/// What may be added to an open block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Thinking,
    Arguments,
    Nothing,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum EventOut<'e> {
    MessageStart { message: MessageOut<'e> },
    ContentBlockStart { index: u32, content_block: AnswerBlock<'e> },
    ContentBlockDelta { index: u32, delta: DeltaOut<'e> },
    ContentBlockStop { index: u32 },
    MessageDelta { delta: StopOut<'e>, usage: UsageOut },
    MessageStop {},
}

#[derive(Serialize)]
#[serde(tag = "type")]
enum DeltaOut<'e> {
    #[serde(rename = "text_delta")]
    Text { text: &'e str },
    #[serde(rename = "thinking_delta")]
    Thinking { thinking: &'e str },
    #[serde(rename = "signature_delta")]
    Signature { signature: &'e str },
    #[serde(rename = "input_json_delta")]
    InputJson { partial_json: &'e str },
    #[serde(rename = "citations_delta")]
    Citation { citation: &'e RawJson },
}

impl EventOut<'_> {
    const fn name(&self) -> &'static str {
        match self {
            Self::MessageStart { .. } => "message_start",
            Self::ContentBlockStart { .. } => "content_block_start",
            Self::ContentBlockDelta { .. } => "content_block_delta",
            Self::ContentBlockStop { .. } => "content_block_stop",
            Self::MessageDelta { .. } => "message_delta",
            Self::MessageStop {} => "message_stop",
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        self.write_with(&[], out);
    }

    fn write_with(&self, extras: &[(&str, RawJson)], out: &mut Vec<u8>) {
        write_frame(self.name(), &with_members(to_json(self), extras), out);
    }
}

/// Writes one SSE frame. Line ends in the data are white space of a raw block, since in strings they
/// are escaped; left in, they would end the frame's line.
pub(in super::super) fn write_frame(name: &str, data: &[u8], out: &mut Vec<u8>) {
    for piece in [b"event: ", name.as_bytes(), b"\ndata: "] {
        out.extend_from_slice(piece);
    }
    push_line(out, data);
    out.extend_from_slice(b"\n\n");
}

impl StreamEncoder for Encoder {
    fn encode(&mut self, event: &StreamEvent, out: &mut Vec<u8>) {
        if self.phase == Phase::Over {
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
            StreamEvent::Finish { reason, stop_sequence } => {
                self.finish = Some((*reason, stop_sequence.clone()));
            }
            // The driver ends or fails the stream itself.
            StreamEvent::Error(_) | StreamEvent::End => {}
        }
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        self.write_end(&[], out);
    }

    fn fail(&mut self, error: &ErrorBody<'_>, out: &mut Vec<u8>) {
        self.phase = Phase::Over;
        write_frame("error", &encode_error(error), out);
    }
}

impl Encoder {
    /// An encoder for one stream.
    pub(crate) const fn new(options: StreamOptions) -> Self {
        Self {
            options,
            phase: Phase::Before,
            next_block: 0,
            open: None,
            waiting: VecDeque::new(),
            usage: None,
            finish: None,
            calls: false,
            refused: false,
            refusals: Vec::new(),
            details: None,
        }
    }

    /// The model that the message shows, if it has not begun.
    pub(crate) fn rename(&mut self, model: &str) {
        self.options.model = Some(model.to_owned());
    }

    /// Writes the end of a run of several turns.
    pub(crate) fn end_with(&mut self, end: &JoinEnd<'_>, out: &mut Vec<u8>) {
        self.finish = Some((end.finish, end.stop_sequence.map(str::to_owned)));
        self.write_end(end.extras, out);
    }

    fn write_end(&mut self, extras: &[(&str, RawJson)], out: &mut Vec<u8>) {
        if self.phase == Phase::Over {
            return;
        }
        self.start("", out);
        self.phase = Phase::Over;
        while let Some(open) = self.open.take() {
            close(&open, out);
            self.open_next(out);
        }
        let (reason, stop_sequence) = match &self.finish {
            Some((reason, stop_sequence)) => (*reason, stop_sequence.as_deref()),
            None => (FinishReason::Stop, None),
        };
        let stop_reason = encode_stop(reason, self.calls, self.refused);
        let delta = StopOut {
            stop_reason: Some(stop_reason),
            stop_sequence,
            stop_details: (stop_reason == "refusal").then_some(match &self.details {
                Some(details) => StopDetails::Own(details),
                None => StopDetails::Refusal { category: (), explanation: () },
            }),
            container: (),
        };
        EventOut::MessageDelta { delta, usage: encode_usage(self.usage.as_ref()) }.write_with(extras, out);
        EventOut::MessageStop {}.write(out);
    }

    fn start(&mut self, id: &str, out: &mut Vec<u8>) {
        if self.phase != Phase::Before {
            return;
        }
        self.phase = Phase::Running;
        let id = if id.is_empty() { &self.options.id } else { id };
        let message = MessageOut {
            id: &message_id(id),
            r#type: "message",
            role: "assistant",
            model: self.options.model.as_deref().unwrap_or_default(),
            content: Vec::new(),
            stop: StopOut::default(),
            usage: encode_usage(self.usage.as_ref()),
        };
        EventOut::MessageStart { message }.write(out);
    }

    fn start_part(&mut self, part: u32, start: &PartStart, out: &mut Vec<u8>) {
        self.start("", out);
        if matches!(start, PartStart::Other(raw) if !is_own_block(raw)) {
            return;
        }
        if *start == PartStart::Refusal {
            self.refused = true;
            return self.refusals.push(Refusing { part, is_text: false });
        }
        self.start_block(part, start, out);
    }

    fn start_block(&mut self, part: u32, start: &PartStart, out: &mut Vec<u8>) {
        if self.open.is_none() {
            return self.open_block(part, start, out);
        }
        let start = start.clone();
        self.waiting.push_back(WaitingPart {
            part,
            start,
            added: String::new(),
            signature: String::new(),
            beside: Vec::new(),
            ended: false,
        });
    }

    fn open_block(&mut self, part: u32, start: &PartStart, out: &mut Vec<u8>) {
        let index = self.next_block;
        self.next_block += 1;
        let call_id = match start {
            PartStart::ToolCall { id, .. } => answer_call_id(id, index as usize),
            _ => String::new(),
        };
        let (kind, content_block) = match start {
            PartStart::Text | PartStart::Refusal => {
                (Kind::Text, AnswerBlock::Text { citations: Citations::NONE, text: "" })
            }
            PartStart::Reasoning => (Kind::Thinking, AnswerBlock::Thinking { signature: "", thinking: "" }),
            PartStart::RedactedReasoning { data } => (Kind::Nothing, AnswerBlock::RedactedThinking { data }),
            PartStart::ToolCall { name, .. } => {
                let (caller, input) = (Caller::Direct {}, Input::of("{}"));
                (Kind::Arguments, AnswerBlock::ToolUse { caller, id: &call_id, input, name })
            }
            PartStart::Other(raw) => (Kind::Nothing, AnswerBlock::Other(raw)),
        };
        self.calls |= kind == Kind::Arguments;
        EventOut::ContentBlockStart { index, content_block }.write(out);
        let (signature, text, cited) = (String::new(), String::new(), Vec::new());
        self.open = Some(OpenPart { part, block: index, kind, signature, text, cited });
    }

    fn add(&mut self, part: u32, delta: &Delta, out: &mut Vec<u8>) {
        if let Some(refusal) = self.refusals.iter_mut().find(|refusal| refusal.part == part) {
            match delta {
                Delta::Attached(members) => {
                    let own = members.iter().find(|(key, _)| key == STOP_DETAILS);
                    self.details = own.map(|(_, details)| details.clone()).or(self.details.take());
                    return;
                }
                Delta::Text(_) | Delta::Arguments(_) | Delta::Signature(_) => {}
            }
            if self.details.is_some() {
                return;
            }
            if !std::mem::replace(&mut refusal.is_text, true) {
                self.start_block(part, &PartStart::Text, out);
            }
        }
        if let Some(open) = self.open.as_mut().filter(|open| open.part == part) {
            match delta {
                Delta::Signature(more) => open.signature.push_str(more),
                Delta::Text(more) | Delta::Arguments(more) => write_delta(open, more, out),
                Delta::Attached(members) => write_beside(open, members, out),
            }
        } else if let Some(waiting) = self.waiting.iter_mut().find(|waiting| waiting.part == part) {
            match delta {
                Delta::Signature(more) => waiting.signature.push_str(more),
                Delta::Text(more) | Delta::Arguments(more) => waiting.added.push_str(more),
                Delta::Attached(members) => waiting.beside.extend_from_slice(members),
            }
        }
    }

    fn end_part(&mut self, part: u32, out: &mut Vec<u8>) {
        if let Some(open) = self.open.take_if(|open| open.part == part) {
            close(&open, out);
            self.open_next(out);
        } else if let Some(waiting) = self.waiting.iter_mut().find(|waiting| waiting.part == part) {
            waiting.ended = true;
        }
    }

    /// Writes parts that waited, up to one that has not ended.
    fn open_next(&mut self, out: &mut Vec<u8>) {
        while self.open.is_none()
            && let Some(next) = self.waiting.pop_front()
        {
            self.open_block(next.part, &next.start, out);
            if let Some(open) = &mut self.open {
                open.signature = next.signature;
                write_beside(open, &next.beside, out);
                write_delta(open, &next.added, out);
            }
            if let Some(open) = self.open.take_if(|_| next.ended) {
                close(&open, out);
            }
        }
    }
}

/// Our own sources are told as they come. Others quote the text, so they wait for it.
fn write_beside(open: &mut OpenPart, members: &[(String, RawJson)], out: &mut Vec<u8>) {
    if open.kind != Kind::Text {
        return;
    }
    for (key, list) in members {
        match key.as_str() {
            citations::CITATIONS => write_citations(open.block, list, out),
            citations::ANNOTATIONS => open.cited.push((key.clone(), list.clone())),
            _ => {}
        }
    }
}

fn write_citations(block: u32, list: &RawJson, out: &mut Vec<u8>) {
    for citation in list.read::<Vec<RawJson>>().unwrap_or_default() {
        let delta = DeltaOut::Citation { citation: &citation };
        EventOut::ContentBlockDelta { index: block, delta }.write(out);
    }
}

fn write_delta(open: &mut OpenPart, added: &str, out: &mut Vec<u8>) {
    if added.is_empty() {
        return;
    }
    if open.kind == Kind::Text {
        open.text.push_str(added);
    }
    let delta = match open.kind {
        Kind::Text => DeltaOut::Text { text: added },
        Kind::Thinking => DeltaOut::Thinking { thinking: added },
        Kind::Arguments => DeltaOut::InputJson { partial_json: added },
        Kind::Nothing => return,
    };
    EventOut::ContentBlockDelta { index: open.block, delta }.write(out);
}

fn close(open: &OpenPart, out: &mut Vec<u8>) {
    if let Ok(list) = RawJson::of(&citations::quoted(&open.cited, &open.text)) {
        write_citations(open.block, &list, out);
    }
    if open.kind == Kind::Thinking && !open.signature.is_empty() {
        let delta = DeltaOut::Signature { signature: &open.signature };
        EventOut::ContentBlockDelta { index: open.block, delta }.write(out);
    }
    EventOut::ContentBlockStop { index: open.block }.write(out);
}

/// Whether a raw block is one of this dialect: its origin is not told on a stream.
fn is_own_block(raw: &RawJson) -> bool {
    #[derive(Deserialize)]
    struct Kind {
        r#type: String,
    }
    raw.read::<Kind>().is_ok_and(|Kind { r#type: kind }| {
        kind.ends_with("_tool_result")
            || ["server_tool_use", "mcp_tool_use", "container_upload"].contains(&kind.as_str())
    })
}
