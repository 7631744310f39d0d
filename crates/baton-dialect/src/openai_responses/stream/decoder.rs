//! Reads the events of a stream.
//!
//! Items may overlap, and so may parts in the model: an event's numbers say what it belongs to. What some servers
//! leave out (that a part begins, that it goes on in pieces) is made up from what ends it.

use baton_model::{Delta, Fault, Part, PartKind, PartStart, RawJson, StreamEvent};
use serde_json::value::RawValue;

use super::super::answer::{Response, item_parts};
use super::super::malformed;
use super::super::seal::FOREIGN_ID;
use super::super::types::{CallItem, MessageItem, ReasoningItem, Tag, Text};
use super::super::usage::Usage;
use super::{Event, EventKind, read_event};
use crate::StreamDecoder;
use crate::openai::error_in_answer;

/// Reads one stream.
#[derive(Clone, Debug, Default)]
pub(crate) struct Decoder {
    phase: Phase,
    items: Vec<OpenItem>,
    next_part: u32,
    calls: bool,
    /// Whether any item was told.
    told: bool,
}

/// Where a stream stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Silent,
    Speaking,
    Over,
}

/// An item that began and has not ended.
#[derive(Clone, Debug)]
struct OpenItem {
    /// Its number on the wire.
    index: u64,
    kind: Kind,
    parts: Vec<OpenPart>,
    /// What stands beside it, until its first piece is told.
    attached: Vec<(String, RawJson)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Message,
    Call,
    Reasoning,
    /// Told when it is whole.
    Other,
}

#[derive(Clone, Copy, Debug)]
struct OpenPart {
    /// Its number in the item.
    content: u64,
    part: u32,
    /// Whether any piece of it was told.
    spoke: bool,
    ended: bool,
    /// For thinking: which of its two forms is told.
    form: Form,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Unknown,
    Summary,
    Content,
}

impl StreamDecoder for Decoder {
    fn decode(&mut self, event: &str, data: &[u8], out: &mut Vec<StreamEvent>) -> Result<(), Fault> {
        if self.phase == Phase::Over {
            return Ok(());
        }
        let Some((kind, read)) = read_event(event, data)? else { return Ok(()) };
        match kind {
            EventKind::Begun => self.start(read.response.as_ref(), out),
            EventKind::ItemAdded => self.add_item(&read, out)?,
            EventKind::PartAdded => self.add_part(&read, out)?,
            EventKind::SummaryPartAdded => self.add_summary(&read, out),
            EventKind::Delta => self.add(&read, out)?,
            EventKind::TextDone => self.end_text(&read, out)?,
            EventKind::PartDone => self.end_part(&read, out)?,
            EventKind::ItemDone => self.end_item(&read, out)?,
            EventKind::Over => self.finish(read.response, out)?,
            EventKind::Error => out.push(StreamEvent::Error(error_in_answer(data.trim_ascii()))),
            EventKind::Other => {}
        }
        Ok(())
    }
}

impl Decoder {
    fn start(&mut self, response: Option<&Response<'_>>, out: &mut Vec<StreamEvent>) {
        if self.phase != Phase::Silent {
            return;
        }
        self.phase = Phase::Speaking;
        let owned =
            |text: Option<&Text<'_>>| text.map(|text| text.0.clone().into_owned()).unwrap_or_default();
        let id = owned(response.and_then(|response| response.id.as_ref()));
        let model = owned(response.and_then(|response| response.model.as_ref()));
        out.push(StreamEvent::Start { id, model });
    }

    fn add_item(&mut self, event: &Event<'_>, out: &mut Vec<StreamEvent>) -> Result<(), Fault> {
        let Some(raw) = event.item else {
            return Err(malformed("an item of the provider's stream is missing"));
        };
        self.start(None, out);
        self.told = true;
        let tag: Tag<'_> = item(raw)?;
        let mut attached = Vec::new();
        let kind = match tag.kind.as_ref().map(|kind| kind.0.as_ref()) {
            Some("message") => {
                let message: MessageItem<'_> = item(raw)?;
                attached.extend(message.phase.map(|phase| ("phase".to_owned(), phase.to_owned().into())));
                Kind::Message
            }
            Some("function_call") => Kind::Call,
            Some("reasoning") => {
                let reasoning: ReasoningItem<'_> = item(raw)?;
                let own = reasoning.id.filter(|id| !id.0.starts_with(FOREIGN_ID));
                attached.extend(own.and_then(|id| RawJson::of(&id).ok()).map(|id| ("id".to_owned(), id)));
                Kind::Reasoning
            }
            _ => Kind::Other,
        };
        self.items.push(OpenItem { index: event.output_index, kind, parts: Vec::new(), attached });
        let at = self.items.len() - 1;
        if kind == Kind::Call {
            let call: CallItem<'_> = item(raw)?;
            self.open_call(at, call, out)?;
        }
        Ok(())
    }

    fn open_call(&mut self, at: usize, call: CallItem<'_>, out: &mut Vec<StreamEvent>) -> Result<(), Fault> {
        self.calls = true;
        let id = call.call_id.or(call.id).map(Text::into_owned).filter(|id| !id.is_empty());
        let name = call.name.map(Text::into_owned).filter(|name| !name.is_empty());
        let missing = || malformed("a function call in the provider's stream has no id or no name");
        let part = PartStart::ToolCall { id: id.ok_or_else(missing)?, name: name.ok_or_else(missing)? };
        let beside = [("namespace", call.namespace), ("caller", call.caller)];
        let members: Vec<(String, RawJson)> = beside
            .into_iter()
            .filter_map(|(key, raw)| Some((key.to_owned(), raw?.to_owned().into())))
            .collect();
        let index = self.open(at, 0, part, out);
        if !members.is_empty() {
            out.push(StreamEvent::Delta { index, delta: Delta::Attached(members) });
        }
        Ok(())
    }

    /// Opens a part of an item, and says its number.
    fn open(&mut self, at: usize, content: u64, start: PartStart, out: &mut Vec<StreamEvent>) -> u32 {
        let index = self.next_part;
        self.next_part += 1;
        out.push(StreamEvent::PartStart { index, part: start });
        let part = OpenPart { content, part: index, spoke: false, ended: false, form: Form::Unknown };
        if let Some(item) = self.items.get_mut(at) {
            item.parts.push(part);
        }
        index
    }

    fn find(&self, event: &Event<'_>) -> Option<usize> {
        self.items.iter().position(|item| item.index == event.output_index)
    }

    fn add_part(&mut self, event: &Event<'_>, out: &mut Vec<StreamEvent>) -> Result<(), Fault> {
        let Some(at) = self.find(event) else { return Ok(()) };
        let is_message = self.items.get(at).is_some_and(|item| item.kind == Kind::Message);
        let Some(raw) = event.part.filter(|_| is_message) else { return Ok(()) };
        let tag: Tag<'_> = item(raw)?;
        let start = match tag.kind.as_ref().map(|kind| kind.0.as_ref()) {
            Some("refusal") => PartStart::Refusal,
            Some("output_text") => PartStart::Text,
            _ => return Ok(()),
        };
        self.open(at, event.content_index, start, out);
        Ok(())
    }

    /// Summaries of more than one part are paragraphs of one text.
    fn add_summary(&mut self, event: &Event<'_>, out: &mut Vec<StreamEvent>) {
        let Some(at) = self.find(event) else { return };
        let part = self.items.get_mut(at).and_then(|item| item.parts.first_mut());
        if let Some(part) = part.filter(|part| part.spoke && event.summary_index > 0) {
            out.push(StreamEvent::Delta { index: part.part, delta: Delta::Text("\n\n".to_owned()) });
        }
    }

    fn add(&mut self, event: &Event<'_>, out: &mut Vec<StreamEvent>) -> Result<(), Fault> {
        let kind = event.kind.as_ref().map(|kind| kind.0.as_ref()).unwrap_or_default();
        self.piece(event, kind, text(event.delta)?, out);
        Ok(())
    }

    /// A piece of something, or the whole of it where no piece came.
    fn piece(&mut self, event: &Event<'_>, kind: &str, piece: String, out: &mut Vec<StreamEvent>) {
        let Some(at) = self.find(event) else { return };
        let Some(found) = self.items.get(at) else { return };
        if piece.is_empty() {
            return;
        }
        let (form, start) = match (found.kind, kind) {
            (Kind::Call, _) => (Form::Unknown, None),
            // Nothing may ever be told of thinking, so its part begins with its first piece.
            (Kind::Reasoning, "response.reasoning_text.delta") => (Form::Content, Some(PartStart::Reasoning)),
            (Kind::Reasoning, _) => (Form::Summary, Some(PartStart::Reasoning)),
            (Kind::Message, kind) if kind.starts_with("response.refusal.") => {
                (Form::Unknown, Some(PartStart::Refusal))
            }
            (Kind::Message, _) => (Form::Unknown, Some(PartStart::Text)),
            (Kind::Other, _) => return,
        };
        let content = if found.kind == Kind::Message { event.content_index } else { 0 };
        let known = found.parts.iter().any(|part| part.content == content);
        if let Some(start) = start.filter(|_| !known) {
            self.open(at, content, start, out);
        }
        let Some(item) = self.items.get_mut(at) else { return };
        let Some(part) = item.parts.iter_mut().find(|part| part.content == content && !part.ended) else {
            return;
        };
        if part.form != Form::Unknown && part.form != form {
            return;
        }
        part.form = form;
        part.spoke = true;
        let index = part.part;
        if !item.attached.is_empty() {
            let delta = Delta::Attached(std::mem::take(&mut item.attached));
            out.push(StreamEvent::Delta { index, delta });
        }
        let delta = if item.kind == Kind::Call { Delta::Arguments(piece) } else { Delta::Text(piece) };
        out.push(StreamEvent::Delta { index, delta });
    }

    fn end_text(&mut self, event: &Event<'_>, out: &mut Vec<StreamEvent>) -> Result<(), Fault> {
        let kind = event.kind.as_ref().map(|kind| kind.0.as_ref()).unwrap_or_default();
        if !self.spoke(event) {
            let whole = text(event.text.or(event.refusal).or(event.arguments))?;
            self.piece(event, kind, whole, out);
        }
        Ok(())
    }

    /// Whether a piece of what the event ends was told.
    fn spoke(&self, event: &Event<'_>) -> bool {
        let Some(item) = self.find(event).and_then(|at| self.items.get(at)) else { return true };
        let content = if item.kind == Kind::Message { event.content_index } else { 0 };
        item.parts.iter().any(|part| part.content == content && part.spoke)
    }

    /// A part of a message ends, with what stands beside its text.
    fn end_part(&mut self, event: &Event<'_>, out: &mut Vec<StreamEvent>) -> Result<(), Fault> {
        let Some(at) = self.find(event) else { return Ok(()) };
        let Some(item) = self.items.get_mut(at).filter(|item| item.kind == Kind::Message) else {
            return Ok(());
        };
        let open = |part: &&mut OpenPart| part.content == event.content_index && !part.ended;
        let Some(part) = item.parts.iter_mut().find(open) else { return Ok(()) };
        part.ended = true;
        let index = part.part;
        if let Some(raw) = event.part {
            let members = beside_text(raw)?;
            if !members.is_empty() {
                out.push(StreamEvent::Delta { index, delta: Delta::Attached(members) });
            }
        }
        out.push(StreamEvent::PartEnd { index });
        Ok(())
    }

    fn end_item(&mut self, event: &Event<'_>, out: &mut Vec<StreamEvent>) -> Result<(), Fault> {
        let Some(raw) = event.item else { return Ok(()) };
        self.start(None, out);
        self.told = true;
        let open = self.find(event).map(|at| self.items.remove(at));
        match open {
            Some(item) if item.kind != Kind::Other && !item.parts.is_empty() => {
                let whole = item_parts(raw, 0)?.into_iter().next();
                complete(&item, whole, out);
                close(&item, out);
                Ok(())
            }
            // Nothing of it was told in pieces.
            _ => self.whole(raw, out),
        }
    }

    /// Tells an item that comes whole.
    fn whole(&mut self, raw: &RawValue, out: &mut Vec<StreamEvent>) -> Result<(), Fault> {
        for part in item_parts(raw, 0)? {
            let index = self.next_part;
            self.next_part += 1;
            let members = part.attached().to_vec();
            let attached = Delta::Attached(members);
            let (start, deltas) = match part.kind {
                PartKind::Text(text) => (PartStart::Text, vec![attached, Delta::Text(text)]),
                PartKind::Refusal(text) => (PartStart::Refusal, vec![attached, Delta::Text(text)]),
                PartKind::Reasoning { text, signature } => {
                    let proof = Delta::Signature(signature.unwrap_or_default());
                    (PartStart::Reasoning, vec![attached, Delta::Text(text), proof])
                }
                PartKind::RedactedReasoning { data } => (PartStart::RedactedReasoning { data }, Vec::new()),
                PartKind::ToolCall { id, name, arguments } => {
                    self.calls = true;
                    (PartStart::ToolCall { id, name }, vec![attached, Delta::Arguments(arguments)])
                }
                PartKind::Other(raw) => (PartStart::Other(raw), Vec::new()),
                PartKind::Image { .. } | PartKind::Document { .. } | PartKind::ToolResult { .. } => continue,
            };
            out.push(StreamEvent::PartStart { index, part: start });
            let deltas = deltas.into_iter().filter(|delta| !delta.is_empty());
            out.extend(deltas.map(|delta| StreamEvent::Delta { index, delta }));
            out.push(StreamEvent::PartEnd { index });
        }
        Ok(())
    }

    fn finish(&mut self, response: Option<Response<'_>>, out: &mut Vec<StreamEvent>) -> Result<(), Fault> {
        let Some(response) = response else {
            return Err(malformed("the provider's stream ends without an answer"));
        };
        self.start(Some(&response), out);
        // Some servers send the answer in one piece.
        if !self.told {
            for raw in response.items()? {
                self.whole(raw, out)?;
            }
        }
        for item in self.items.drain(..) {
            close(&item, out);
        }
        out.extend(response.usage.as_ref().map(|usage| StreamEvent::Usage(Usage::to_model(usage))));
        match response.finish(self.calls) {
            Some(reason) => {
                self.phase = Phase::Over;
                out.push(StreamEvent::Finish { reason, stop_sequence: None });
                out.push(StreamEvent::End);
            }
            None => out.push(StreamEvent::Error(response.fault())),
        }
        Ok(())
    }
}

/// Tells of an item what its pieces did not.
fn complete(item: &OpenItem, whole: Option<Part>, out: &mut Vec<StreamEvent>) {
    let (Some(part), Some(whole)) = (item.parts.first(), whole) else { return };
    let index = part.part;
    let mut tell = |delta| out.push(StreamEvent::Delta { index, delta });
    match whole.kind {
        // The id was told with the first piece.
        PartKind::Reasoning { ref signature, .. } if item.kind == Kind::Reasoning => {
            let unsaid = whole.attached().iter().filter(|(key, _)| key != "id");
            let members: Vec<(String, RawJson)> = unsaid.cloned().collect();
            if !members.is_empty() {
                tell(Delta::Attached(members));
            }
            if let Some(signature) = signature {
                tell(Delta::Signature(signature.clone()));
            }
        }
        PartKind::ToolCall { arguments, .. } if !part.spoke => tell(Delta::Arguments(arguments)),
        PartKind::Text(text) | PartKind::Refusal(text) if !part.spoke && !part.ended => {
            tell(Delta::Text(text));
        }
        _ => {}
    }
}

/// Ends what has not ended of an item.
fn close(item: &OpenItem, out: &mut Vec<StreamEvent>) {
    let open = item.parts.iter().filter(|part| !part.ended);
    out.extend(open.map(|part| StreamEvent::PartEnd { index: part.part }));
}

/// What stands beside a text: where it comes from, and how likely it was.
fn beside_text(raw: &RawValue) -> Result<Vec<(String, RawJson)>, Fault> {
    #[derive(serde::Deserialize)]
    struct Beside<'a> {
        #[serde(borrow)]
        annotations: Option<&'a RawValue>,
        #[serde(borrow)]
        logprobs: Option<&'a RawValue>,
    }
    let Beside { annotations, logprobs } = item(raw)?;
    let said = |(key, raw): (&str, Option<&RawValue>)| {
        raw.filter(|raw| !matches!(raw.get(), "null" | "[]"))
            .map(|raw| (key.to_owned(), raw.to_owned().into()))
    };
    Ok([("annotations", annotations), ("logprobs", logprobs)].into_iter().filter_map(said).collect())
}

fn item<'a, T: serde::Deserialize<'a>>(raw: &'a RawValue) -> Result<T, Fault> {
    super::parse(raw.get().as_bytes(), "an item of the provider's stream")
}

fn text(raw: Option<&RawValue>) -> Result<String, Fault> {
    let Some(raw) = raw else { return Ok(String::new()) };
    serde_json::from_str(raw.get()).ok().ok_or_else(|| malformed("a delta's text is no string"))
}
