//! Reads the events of a Messages stream.

use baton_model::{Delta, Fault, PartKind, PartStart, RawJson, RawObject, StreamEvent};
use bytes::Bytes;
use serde_json::value::RawValue;

use super::super::answer::malformed;
use super::super::content::decode_block;
use super::super::error::decode_fault;
use super::super::types::{DeltaIn, EventIn, EventKind, MessageIn, Text, UsageIn};
use super::super::usage::decode_stop;
use super::read_event;
use crate::StreamDecoder;
use crate::citations;

/// The state of one stream.
#[derive(Clone, Debug, Default)]
pub(crate) struct Decoder {
    usage: UsageIn,
    open: Vec<OpenBlock>,
    next_part: u32,
}

/// A block that began and has not ended.
#[derive(Clone, Debug)]
struct OpenBlock {
    /// Its number on the wire.
    index: u64,
    part: u32,
    /// A block of a kind the model has no word for is given on whole when it ends, since its
    /// arguments may follow in deltas.
    held: Option<Held>,
}

#[derive(Clone, Debug)]
struct Held {
    block: RawJson,
    input: String,
}

impl StreamDecoder for Decoder {
    fn decode(&mut self, event: &str, data: &[u8], out: &mut Vec<StreamEvent>) -> Result<(), Fault> {
        let (kind, read) = read_event(event, data)?;
        match kind {
            EventKind::MessageStart => self.start(read.message, out),
            EventKind::ContentBlockStart => self.start_block(&read, out)?,
            EventKind::ContentBlockDelta => self.add(&read, out)?,
            EventKind::ContentBlockStop => self.end_block(read.index, out)?,
            EventKind::MessageDelta => self.finish(read, out)?,
            EventKind::MessageStop => {
                self.end_all(out)?;
                out.push(StreamEvent::End);
            }
            EventKind::Error => out.push(StreamEvent::Error(decode_fault(None, data))),
            EventKind::Other => {}
        }
        Ok(())
    }
}

impl Decoder {
    fn start(&mut self, message: Option<MessageIn<'_>>, out: &mut Vec<StreamEvent>) {
        let Some(message) = message else { return };
        out.push(StreamEvent::Start { id: owned(message.id), model: owned(message.model) });
        self.report(message.usage, out);
    }

    fn report(&mut self, usage: Option<UsageIn>, out: &mut Vec<StreamEvent>) {
        if let Some(usage) = usage {
            self.usage.absorb(&usage);
            out.push(StreamEvent::Usage(self.usage.decode()));
        }
    }

    fn start_block(&mut self, event: &EventIn<'_>, out: &mut Vec<StreamEvent>) -> Result<(), Fault> {
        let (Some(index), Some(block)) = (event.index, event.content_block) else {
            return Err(malformed("`content_block_start` has no `index` or no `content_block`"));
        };
        let decoded =
            decode_block(block, format_args!("content_block")).map_err(|error| malformed(error.message))?;
        let part = self.next_part;
        self.next_part += 1;
        let mut first = vec![Delta::Attached(decoded.attached().to_vec())];
        let start = match decoded.kind {
            PartKind::Text(text) => {
                first.push(Delta::Text(text));
                PartStart::Text
            }
            PartKind::Reasoning { text, signature } => {
                first.push(Delta::Text(text));
                first.extend(signature.map(Delta::Signature));
                PartStart::Reasoning
            }
            PartKind::RedactedReasoning { data } => PartStart::RedactedReasoning { data },
            PartKind::ToolCall { id, name, arguments } => {
                // The empty object stands for arguments that are still to come.
                first.push(Delta::Arguments(if is_empty_object(&arguments) {
                    String::new()
                } else {
                    arguments
                }));
                PartStart::ToolCall { id, name }
            }
            PartKind::Image { .. }
            | PartKind::Document { .. }
            | PartKind::ToolResult { .. }
            | PartKind::Refusal(_)
            | PartKind::Other(_) => {
                let held = Some(Held { block: RawJson::from(block.to_owned()), input: String::new() });
                self.open.push(OpenBlock { index, part, held });
                return Ok(());
            }
        };
        self.open.push(OpenBlock { index, part, held: None });
        out.push(StreamEvent::PartStart { index: part, part: start });
        let first = first.into_iter().filter(|delta| !delta.is_empty());
        out.extend(first.map(|delta| StreamEvent::Delta { index: part, delta }));
        Ok(())
    }

    fn add(&mut self, event: &EventIn<'_>, out: &mut Vec<StreamEvent>) -> Result<(), Fault> {
        let block = self.open.iter_mut().rfind(|block| Some(block.index) == event.index);
        let (Some(block), Some(delta)) = (block, event.delta.as_ref()) else {
            return Err(malformed("`content_block_delta` is of no block that began"));
        };
        let Some(delta) = decode_delta(delta)? else { return Ok(()) };
        match (&mut block.held, delta) {
            (Some(held), Delta::Arguments(more)) => held.input.push_str(&more),
            (Some(_), Delta::Text(_) | Delta::Signature(_) | Delta::Attached(_)) => {}
            (None, delta) if delta.is_empty() => {}
            (None, delta) => out.push(StreamEvent::Delta { index: block.part, delta }),
        }
        Ok(())
    }

    fn end_block(&mut self, index: Option<u64>, out: &mut Vec<StreamEvent>) -> Result<(), Fault> {
        let Some(at) = self.open.iter().rposition(|block| Some(block.index) == index) else { return Ok(()) };
        let block = self.open.remove(at);
        if let Some(held) = block.held {
            out.push(StreamEvent::PartStart { index: block.part, part: PartStart::Other(held.complete()?) });
        }
        out.push(StreamEvent::PartEnd { index: block.part });
        Ok(())
    }

    fn end_all(&mut self, out: &mut Vec<StreamEvent>) -> Result<(), Fault> {
        while let Some(index) = self.open.first().map(|block| block.index) {
            self.end_block(Some(index), out)?;
        }
        Ok(())
    }

    fn finish(&mut self, event: EventIn<'_>, out: &mut Vec<StreamEvent>) -> Result<(), Fault> {
        let delta = event.delta;
        if delta.as_ref().is_some_and(|delta| delta.stop_reason.is_some()) {
            self.end_all(out)?;
        }
        if let Some((text, whole)) = delta.as_ref().and_then(|delta| delta.stop_details.as_ref()?.refusal()) {
            let index = self.next_part;
            self.next_part += 1;
            out.push(StreamEvent::PartStart { index, part: PartStart::Refusal });
            out.push(StreamEvent::Delta { index, delta: Delta::Attached(vec![whole]) });
            out.push(StreamEvent::Delta { index, delta: Delta::Text(text) });
            out.push(StreamEvent::PartEnd { index });
        }
        self.report(event.usage, out);
        if let Some(delta) = delta
            && let Some(reason) = delta.stop_reason
        {
            let stop_sequence = delta.stop_sequence.map(|stop| stop.0.into_owned());
            out.push(StreamEvent::Finish { reason: decode_stop(&reason.0), stop_sequence });
        }
        Ok(())
    }
}

impl Held {
    /// The block with the arguments that came in deltas.
    fn complete(self) -> Result<RawJson, Fault> {
        if self.input.is_empty() {
            return Ok(self.block);
        }
        let block = RawObject::parse(Bytes::from(self.block.get().to_owned())).map_err(malformed)?;
        let whole = block.rewrite(&[("input", Some(Bytes::from(self.input)))]).concat();
        let whole = String::from_utf8(whole).map_err(malformed)?;
        RawJson::parse(whole).map_err(malformed)
    }
}

fn decode_delta(delta: &DeltaIn<'_>) -> Result<Option<Delta>, Fault> {
    Ok(match delta.r#type.as_ref().map(|kind| kind.0.as_ref()) {
        Some("text_delta") => Some(Delta::Text(text(delta.text)?)),
        Some("thinking_delta") => Some(Delta::Text(text(delta.thinking)?)),
        Some("input_json_delta") => Some(Delta::Arguments(text(delta.partial_json)?)),
        Some("signature_delta") => Some(Delta::Signature(text(delta.signature)?)),
        Some("citations_delta") => delta.citation.map(|citation| {
            let list = RawJson::of(&[citation]).ok();
            Delta::Attached(list.map(|list| (citations::CITATIONS.to_owned(), list)).into_iter().collect())
        }),
        // What is still to be invented.
        _ => None,
    })
}

fn text(raw: Option<&RawValue>) -> Result<String, Fault> {
    let Some(raw) = raw else { return Ok(String::new()) };
    serde_json::from_str(raw.get()).ok().ok_or_else(|| malformed("a delta's text is no string"))
}

fn owned(text: Option<Text<'_>>) -> String {
    text.map(|text| text.0.into_owned()).unwrap_or_default()
}

fn is_empty_object(json: &str) -> bool {
    json.strip_prefix('{')
        .and_then(|rest| rest.strip_suffix('}'))
        .is_some_and(|inner| inner.trim().is_empty())
}
