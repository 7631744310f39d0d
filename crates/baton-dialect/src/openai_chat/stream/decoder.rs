//! Chunks of an upstream become model events.
//!
//! Text, refusal and reasoning stand one after the other: a new kind closes the one before. Tool calls
//! stay open until the end, because their fragments may interleave.

use baton_model::{Delta, Dialect, Fault, PartKind, PartStart, RawJson, StreamEvent};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::super::answer::{Said, decode_part, finish, sound};
use super::super::types::{Content, ReasoningDetail};
use super::super::usage::Usage;
use super::super::{error, parse, reasoning, unreadable};
use super::tool_calls::ToolCalls;
use crate::StreamDecoder;
use crate::citations;
use crate::convert::{HASH_OF_NOTHING, hash_on};

#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(borrow)]
    id: Option<Word<'a>>,
    #[serde(borrow)]
    created: Option<&'a RawValue>,
    #[serde(borrow)]
    model: Option<Word<'a>>,
    #[serde(borrow)]
    choices: Option<Vec<Choice<'a>>>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    x_groq: Option<Groq>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

/// A text that is read only where it is needed.
struct Word<'a>(&'a RawValue);

impl<'de: 'a, 'a> Deserialize<'de> for Word<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?;
        if raw.get().starts_with('"') { Ok(Self(raw)) } else { Err(D::Error::custom("not a text")) }
    }
}

impl Word<'_> {
    fn read(&self) -> Result<String, Fault> {
        serde_json::from_str(self.0.get())
            .map_err(|error| unreadable("a name in the provider's stream", &error))
    }
}

/// The members at the top of a chunk that belong to the whole answer, as they stand in the chunk, and what
/// kinds of thing the chunk says. So who passes a chunk on need not parse it again.
pub(in super::super) struct Top<'a> {
    pub(in super::super) id: Option<&'a str>,
    pub(in super::super) created: Option<&'a str>,
    pub(in super::super) model: Option<&'a str>,
    pub(in super::super) has_usage: bool,
    /// Whether it says who speaks.
    pub(in super::super) has_role: bool,
    /// Whether it has anything with numbers that count over the whole answer: calls, details of reasoning.
    pub(in super::super) has_numbers: bool,
}

impl<'a> Top<'a> {
    fn of(chunk: &Chunk<'a>) -> Self {
        let choices = || chunk.choices.iter().flatten();
        let said = || choices().flat_map(|choice| [&choice.delta, &choice.message]).flatten();
        Self {
            id: chunk.id.as_ref().map(|id| id.0.get()),
            created: chunk.created.map(RawValue::get),
            model: chunk.model.as_ref().map(|model| model.0.get()),
            has_usage: chunk.usage.is_some() || chunk.x_groq.is_some(),
            has_role: said().any(|said| said.role.is_some()),
            has_numbers: said().any(Said::has_numbers),
        }
    }
}

#[derive(Deserialize)]
struct Choice<'a> {
    index: Option<u64>,
    #[serde(borrow)]
    delta: Option<Said<'a>>,
    /// Some servers send a whole answer in one chunk.
    #[serde(borrow)]
    message: Option<Said<'a>>,
    finish_reason: Option<String>,
    #[serde(borrow)]
    logprobs: Option<Logprobs<'a>>,
}

#[derive(Deserialize)]
struct Logprobs<'a> {
    #[serde(borrow)]
    content: Option<&'a RawValue>,
}

/// Groq's place for usage when nobody asked for it in the usual one.
#[derive(Deserialize)]
struct Groq {
    usage: Option<Usage>,
}

/// The kinds of part that stand one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Prose {
    Text,
    Refusal,
    Reasoning,
}

/// Where a stream stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Silent,
    Speaking,
    Finished,
    Over,
}

/// Reads one stream.
#[derive(Clone, Debug, Default)]
pub(crate) struct Decoder {
    phase: Phase,
    open: Option<(Prose, u32)>,
    calls: ToolCalls,
    next_part: u32,
    thought: Thought,
}

/// What was thought so far, as much of it as is needed to know it again.
#[derive(Clone, Debug)]
struct Thought {
    length: usize,
    hash: u128,
}

impl Default for Thought {
    fn default() -> Self {
        Self { length: 0, hash: HASH_OF_NOTHING }
    }
}

impl Thought {
    fn add(&mut self, more: &str) {
        self.length += more.len();
        self.hash = hash_on(self.hash, more);
    }

    fn is(&self, text: &str) -> bool {
        self.length == text.len() && self.hash == hash_on(HASH_OF_NOTHING, text)
    }
}

impl StreamDecoder for Decoder {
    fn decode(&mut self, event: &str, data: &[u8], out: &mut Vec<StreamEvent>) -> Result<(), Fault> {
        self.read(event, data, out).map(drop)
    }
}

impl Decoder {
    /// Decodes an event, and tells what stands at the top of its chunk, if it is one.
    pub(in super::super) fn read<'a>(
        &mut self,
        event: &str,
        data: &'a [u8],
        out: &mut Vec<StreamEvent>,
    ) -> Result<Option<Top<'a>>, Fault> {
        self.calls.begin_chunk();
        let data = data.trim_ascii();
        if self.phase == Phase::Over || data.is_empty() {
            return Ok(None);
        }
        if data == b"[DONE]" {
            self.close_all(out)?;
            self.phase = Phase::Over;
            out.push(StreamEvent::End);
            return Ok(None);
        }
        if event == "error" {
            out.push(StreamEvent::Error(error::error_in_answer(data)));
            return Ok(None);
        }
        let chunk: Chunk<'a> = parse(data, "a chunk of the provider's stream")?;
        if chunk.error.is_some() || (chunk.choices.is_none() && error::is_bare_error(data)) {
            out.push(StreamEvent::Error(error::error_in_answer(data)));
            return Ok(None);
        }
        let top = Top::of(&chunk);
        self.chunk(chunk, out)?;
        Ok(Some(top))
    }

    /// The calls, as far as they are known.
    pub(in super::super) const fn calls(&self) -> &ToolCalls {
        &self.calls
    }

    fn chunk(&mut self, chunk: Chunk<'_>, out: &mut Vec<StreamEvent>) -> Result<(), Fault> {
        // Azure opens with a chunk that has no choices and no id.
        let choice = chunk.choices.into_iter().flatten().find(|choice| choice.index.unwrap_or(0) == 0);
        if self.phase == Phase::Silent && choice.is_some() {
            self.phase = Phase::Speaking;
            let read = |word: Option<Word<'_>>| word.map(|word| word.read()).transpose();
            let id = read(chunk.id)?.unwrap_or_default();
            self.calls.name_answer(&id);
            out.push(StreamEvent::Start { id, model: read(chunk.model)?.unwrap_or_default() });
        }
        if let Some(Choice { delta, message, finish_reason: word, logprobs, .. }) = choice
            && self.phase == Phase::Speaking
        {
            if let Some(tokens) = logprobs.and_then(|logprobs| logprobs.content) {
                self.beside_text("logprobs", tokens.to_owned().into(), out);
            }
            if let Some(said) = delta.or(message) {
                self.said(said, out)?;
            }
            // Some servers send an empty word until they are done.
            if let Some(word) = word.filter(|word| !word.is_empty()) {
                self.close_all(out)?;
                self.phase = Phase::Finished;
                let reason = finish(Some(&word), !self.calls.is_empty());
                out.push(StreamEvent::Finish { reason, stop_sequence: None });
            }
        }
        let usage = match chunk.usage {
            Some(raw) => Some(
                serde_json::from_str(raw.get())
                    .map_err(|error| unreadable("the usage in the provider's stream", &error))?,
            ),
            None => chunk.x_groq.and_then(|groq| groq.usage),
        };
        out.extend(usage.map(|usage: Usage| StreamEvent::Usage(usage.to_model())));
        Ok(())
    }

    fn said(&mut self, said: Said<'_>, out: &mut Vec<StreamEvent>) -> Result<(), Fault> {
        let details = said.reasoning_details.unwrap_or_default();
        if details.is_empty() {
            let text = said.reasoning_content.or(said.reasoning);
            self.prose(Prose::Reasoning, text.unwrap_or_default(), out);
        }
        for raw in details {
            self.detail(raw, out);
        }
        match said.content {
            Some(Content::Text(text)) => self.prose(Prose::Text, text, out),
            Some(Content::Parts(list)) => self.parts(&list, out),
            None => {}
        }
        self.prose(Prose::Refusal, said.refusal.unwrap_or_default(), out);
        if let Some(sources) = said.annotations.and_then(|list| citations::flat(&list.to_owned().into())) {
            self.beside_text(citations::ANNOTATIONS, sources, out);
        }
        if let Some(raw) = said.audio.and_then(sound) {
            self.whole(PartStart::Other(raw), out);
        }
        for raw in said.tool_calls.into_iter().flatten() {
            let call = serde_json::from_str(raw.get())
                .map_err(|error| unreadable("a tool call in the provider's stream", &error))?;
            self.close_prose(out);
            self.calls.fragment(call, &mut self.next_part, out);
        }
        if let Some(function) = said.function_call {
            self.close_prose(out);
            self.calls.function(&function, &mut self.next_part, out);
        }
        Ok(())
    }

    /// What stands beside the text: how likely it was, and where it comes from.
    fn beside_text(&mut self, name: &str, list: RawJson, out: &mut Vec<StreamEvent>) {
        if !matches!(list.get(), "null" | "[]") {
            let index = self.open(Prose::Text, out);
            let delta = Delta::Attached(vec![(name.to_owned(), list)]);
            out.push(StreamEvent::Delta { index, delta });
        }
    }

    fn parts(&mut self, list: &[&RawValue], out: &mut Vec<StreamEvent>) {
        for part in list.iter().filter_map(|raw| decode_part(raw)) {
            match part.kind {
                PartKind::Text(text) => self.prose(Prose::Text, text, out),
                PartKind::Refusal(text) => self.prose(Prose::Refusal, text, out),
                PartKind::Reasoning { text, .. } => self.prose(Prose::Reasoning, text, out),
                PartKind::Other(raw) => self.whole(PartStart::Other(raw), out),
                _ => {}
            }
        }
    }

    /// An entry of `reasoning_details`. Signatures and seals pass when their maker has a dialect of
    /// its own here; nobody could check the others.
    fn detail(&mut self, raw: &RawValue, out: &mut Vec<StreamEvent>) {
        let Ok(detail) = serde_json::from_str::<ReasoningDetail>(raw.get()) else { return };
        let known_maker = reasoning::dialect_of(detail.format.as_deref()) != Dialect::OpenaiChat;
        let text = detail.text.or(detail.summary).unwrap_or_default();
        // With its proof the whole of a text may be said once more.
        if detail.signature.is_none() || !self.thought.is(&text) {
            self.prose(Prose::Reasoning, text, out);
        }
        if !known_maker {
            return;
        }
        if let Some(signature) = detail.signature {
            let index = self.open(Prose::Reasoning, out);
            out.push(StreamEvent::Delta { index, delta: Delta::Signature(signature) });
            // What follows a signature is not covered by it.
            self.close_prose(out);
        }
        if let Some(data) = detail.data {
            self.whole(PartStart::RedactedReasoning { data }, out);
        }
    }

    fn prose(&mut self, kind: Prose, text: String, out: &mut Vec<StreamEvent>) {
        if !text.is_empty() {
            let index = self.open(kind, out);
            if kind == Prose::Reasoning {
                self.thought.add(&text);
            }
            out.push(StreamEvent::Delta { index, delta: Delta::Text(text) });
        }
    }

    fn open(&mut self, kind: Prose, out: &mut Vec<StreamEvent>) -> u32 {
        if let Some((open, index)) = self.open
            && open == kind
        {
            return index;
        }
        self.close_prose(out);
        self.thought = Thought::default();
        let index = next(&mut self.next_part);
        let part = match kind {
            Prose::Text => PartStart::Text,
            Prose::Refusal => PartStart::Refusal,
            Prose::Reasoning => PartStart::Reasoning,
        };
        out.push(StreamEvent::PartStart { index, part });
        self.open = Some((kind, index));
        index
    }

    fn whole(&mut self, part: PartStart, out: &mut Vec<StreamEvent>) {
        self.close_prose(out);
        let index = next(&mut self.next_part);
        out.push(StreamEvent::PartStart { index, part });
        out.push(StreamEvent::PartEnd { index });
    }

    fn close_prose(&mut self, out: &mut Vec<StreamEvent>) {
        out.extend(self.open.take().map(|(_, index)| StreamEvent::PartEnd { index }));
    }

    fn close_all(&mut self, out: &mut Vec<StreamEvent>) -> Result<(), Fault> {
        self.close_prose(out);
        self.calls.close(&mut self.next_part, out)
    }
}

/// The number of the next part.
pub(super) const fn next(counter: &mut u32) -> u32 {
    let index = *counter;
    *counter += 1;
    index
}
