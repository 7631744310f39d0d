//! Model events become chunks for a client.
//!
//! What SDKs are known to trip over is kept: the first delta has the role, each tool fragment has its
//! `index`, id and name stand in the first fragment only, one chunk has a finish reason, and usage has
//! a chunk of its own only if the client asked. The first delta says `content` only where text follows, as
//! OpenAI's does, so that what an SDK puts together is what a whole answer says.

use std::collections::BTreeMap;

use baton_model::{Delta, Dialect, FinishReason, PartStart, RawJson, StreamEvent, Usage};
use serde::Serialize;
use serde_json::value::RawValue;

use super::super::answer::spoken;
use super::super::encode::{WireAttached, custom_call_id};
use super::super::reasoning::Detail;
use super::super::usage::WireUsage;
use super::super::{encode_error, finish_word};
use crate::convert::{ObjectWriter, push_json, push_line, push_members};
use crate::{ErrorBody, JoinEnd, StreamEncoder, StreamOptions};
use crate::{citations, lists};

/// Writes one stream.
#[derive(Clone, Debug)]
pub(crate) struct Encoder {
    options: StreamOptions,
    /// All of a chunk before its delta: it is the same in each, as long as the model is.
    head: Vec<u8>,
    /// Whether a chunk has shown the id.
    named: bool,
    role_sent: bool,
    /// Whether anything was said that may stand for content.
    said: bool,
    open: Vec<Open>,
    tool_calls: u32,
    details: u32,
    /// Log probabilities of the text that comes next.
    logprobs: Option<RawJson>,
    /// How many characters of text were written: citations count them.
    characters: usize,
    phase: Phase,
    usage: Option<Usage>,
}

/// Where a stream stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Running,
    Finished,
    Over,
}

/// A part that is not closed yet.
#[derive(Clone, Debug)]
struct Open {
    index: u32,
    kind: Kind,
    /// Thinking is told once more beside its proof.
    thought: String,
    /// Sources of a text, and with which character it begins.
    cited: Vec<(String, RawJson)>,
    began: usize,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Text,
    Refusal,
    Reasoning,
    ToolCall { number: u32, has_arguments: bool },
    Unseen,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum WireDelta<'a> {
    Content(&'a str),
    Refusal(&'a str),
    ReasoningContent(&'a str),
    ReasoningDetails([Detail<'a>; 1]),
    ToolCalls([Fragment<'a>; 1]),
    /// A call of a tool that takes free text.
    #[serde(rename = "tool_calls")]
    Custom([CustomFragment<'a>; 1]),
    Annotations(&'a [citations::Nested]),
    Audio(&'a RawJson),
}

/// The delta of the first chunk.
#[derive(Serialize)]
struct Opening {
    role: &'static str,
    content: Option<&'static str>,
}

/// The delta of the chunk with the finish reason.
#[derive(Serialize)]
struct Nothing {}

#[derive(Serialize)]
struct Fragment<'a> {
    index: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    function: FragmentFunction<'a>,
    #[serde(flatten)]
    attached: WireAttached<'a>,
}

#[derive(Serialize)]
struct CustomFragment<'a> {
    index: u32,
    #[serde(flatten)]
    call: BTreeMap<String, &'a RawValue>,
}

#[derive(Serialize)]
struct FragmentFunction<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    arguments: &'a str,
}

impl StreamEncoder for Encoder {
    fn encode(&mut self, event: &StreamEvent, out: &mut Vec<u8>) {
        if self.phase == Phase::Over {
            return;
        }
        match event {
            StreamEvent::Start { id, model } => {
                self.options.model.get_or_insert_with(|| model.clone());
                if !id.is_empty() && !self.named {
                    id.clone_into(&mut self.options.id);
                }
            }
            StreamEvent::PartStart { index, part } => self.part_start(*index, part, out),
            StreamEvent::Delta { index, delta } => self.delta(*index, delta, out),
            StreamEvent::PartEnd { index } => self.part_end(*index, out),
            StreamEvent::Usage(usage) => self.usage.get_or_insert_default().absorb(usage),
            StreamEvent::Finish { reason, .. } => self.finish(*reason, &[], out),
            // The caller turns an error into a fallback or into `fail`, and the end into `end`.
            StreamEvent::Error(_) | StreamEvent::End => {}
        }
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        self.end_chunks(FinishReason::Stop, &[], out);
    }

    fn fail(&mut self, error: &ErrorBody<'_>, out: &mut Vec<u8>) {
        if self.phase == Phase::Over {
            return;
        }
        out.extend_from_slice(b"event: error\ndata: ");
        out.extend_from_slice(&encode_error(error));
        out.extend_from_slice(b"\n\n");
        self.phase = Phase::Over;
    }
}

impl Encoder {
    pub(crate) const fn new(options: StreamOptions) -> Self {
        Self {
            options,
            head: Vec::new(),
            named: false,
            role_sent: false,
            said: false,
            open: Vec::new(),
            tool_calls: 0,
            details: 0,
            logprobs: None,
            characters: 0,
            phase: Phase::Running,
            usage: None,
        }
    }

    /// From here on, chunks show this model.
    pub(crate) fn rename(&mut self, model: &str) {
        self.options.model = Some(model.to_owned());
        self.head.clear();
    }

    /// Writes a chunk that says nothing, with extra members.
    pub(crate) fn announce(&mut self, extras: &[(&str, RawJson)], out: &mut Vec<u8>) {
        if self.phase != Phase::Over {
            self.chunk(&Nothing {}, None, extras, out);
        }
    }

    /// Writes the end of a run of several turns.
    pub(crate) fn end_with(&mut self, end: &JoinEnd<'_>, out: &mut Vec<u8>) {
        self.end_chunks(end.finish, end.extras, out);
    }

    fn end_chunks(&mut self, reason: FinishReason, extras: &[(&str, RawJson)], out: &mut Vec<u8>) {
        if self.phase == Phase::Over {
            return;
        }
        self.finish(reason, extras, out);
        if let Some(usage) = self.usage.filter(|_| self.options.include_usage) {
            self.start_chunk(out);
            out.extend_from_slice(b"],\"usage\":");
            push_json(out, &WireUsage::from(&usage));
            out.extend_from_slice(b"}\n\n");
        }
        out.extend_from_slice(b"data: [DONE]\n\n");
        self.phase = Phase::Over;
    }

    fn part_start(&mut self, index: u32, part: &PartStart, out: &mut Vec<u8>) {
        let kind = match part {
            PartStart::Text => Kind::Text,
            PartStart::Refusal => Kind::Refusal,
            PartStart::Reasoning => Kind::Reasoning,
            PartStart::RedactedReasoning { data } => {
                let detail = Detail::sealed(data, Dialect::AnthropicMessages, self.details);
                self.details += 1;
                self.write(&WireDelta::ReasoningDetails([detail]), out);
                Kind::Unseen
            }
            PartStart::ToolCall { id, name } => {
                let number = self.tool_calls;
                self.tool_calls += 1;
                let function = FragmentFunction { name: Some(name), arguments: "" };
                let fragment = Fragment {
                    index: number,
                    id: Some(id),
                    kind: Some("function"),
                    function,
                    attached: WireAttached(&[]),
                };
                self.write(&WireDelta::ToolCalls([fragment]), out);
                Kind::ToolCall { number, has_arguments: false }
            }
            PartStart::Other(raw) => {
                self.other(raw, out);
                Kind::Unseen
            }
        };
        self.open.push(Open {
            index,
            kind,
            thought: String::new(),
            cited: Vec::new(),
            began: self.characters,
        });
    }

    fn delta(&mut self, index: u32, delta: &Delta, out: &mut Vec<u8>) {
        let Some(open) = self.open.iter_mut().find(|open| open.index == index) else { return };
        if delta.is_empty() {
            return;
        }
        let wire = match (&mut open.kind, delta) {
            (Kind::Text, Delta::Text(text)) => {
                self.characters += text.chars().count();
                WireDelta::Content(text)
            }
            (Kind::Text, Delta::Attached(members)) => {
                for (key, value) in members {
                    match key.as_str() {
                        "logprobs" => self.logprobs = lists::joined(self.logprobs.take(), value),
                        "annotations" | "citations" => open.cited.push((key.clone(), value.clone())),
                        _ => {}
                    }
                }
                return;
            }
            (Kind::Refusal, Delta::Text(text)) => WireDelta::Refusal(text),
            (Kind::Reasoning, Delta::Text(text)) => {
                open.thought.push_str(text);
                WireDelta::ReasoningContent(text)
            }
            (Kind::Reasoning, Delta::Signature(signature)) => {
                let thought = std::mem::take(&mut open.thought);
                let detail =
                    Detail::text(&thought, Some(signature), Dialect::AnthropicMessages, self.details);
                self.details += 1;
                return self.write(&WireDelta::ReasoningDetails([detail]), out);
            }
            (Kind::ToolCall { number, has_arguments }, Delta::Arguments(arguments)) => {
                *has_arguments = true;
                arguments_of(*number, arguments)
            }
            (Kind::ToolCall { number, .. }, Delta::Attached(members)) => {
                fragment(*number, "", WireAttached(members))
            }
            _ => return,
        };
        self.write(&wire, out);
    }

    fn part_end(&mut self, index: u32, out: &mut Vec<u8>) {
        let Some(at) = self.open.iter().position(|open| open.index == index) else { return };
        let part = self.open.swap_remove(at);
        match part.kind {
            // Clients parse the arguments, and nothing is not JSON.
            Kind::ToolCall { number, has_arguments: false } => self.write(&arguments_of(number, "{}"), out),
            Kind::Text => {
                self.flush_logprobs(out);
                let sources = citations::sources(&part.cited, part.began, self.characters);
                if !sources.is_empty() {
                    self.write(&WireDelta::Annotations(&citations::nested(sources)), out);
                }
            }
            _ => {}
        }
    }

    /// What only this dialect has: a call with free text, or sound.
    fn other(&mut self, raw: &RawJson, out: &mut Vec<u8>) {
        if let Some(audio) = spoken(raw) {
            return self.write(&WireDelta::Audio(&audio), out);
        }
        if custom_call_id(raw).is_some()
            && let Ok(call) = raw.read::<BTreeMap<String, &RawValue>>()
        {
            let index = self.tool_calls;
            self.tool_calls += 1;
            self.write(&WireDelta::Custom([CustomFragment { index, call }]), out);
        }
    }

    fn finish(&mut self, reason: FinishReason, extras: &[(&str, RawJson)], out: &mut Vec<u8>) {
        if self.phase == Phase::Running {
            self.phase = Phase::Finished;
            self.flush_logprobs(out);
            // Clients that expect text get some, unless something else stands for it.
            match (self.said, self.role_sent) {
                (true, _) => {}
                (false, true) => self.write(&WireDelta::Content(""), out),
                (false, false) => self.role(Some(""), out),
            }
            self.chunk(&Nothing {}, Some(finish_word(reason)), extras, out);
        }
    }

    fn write(&mut self, delta: &WireDelta<'_>, out: &mut Vec<u8>) {
        let is_text = matches!(delta, WireDelta::Content(_));
        self.said |= match delta {
            WireDelta::Content(_)
            | WireDelta::Refusal(_)
            | WireDelta::ToolCalls(_)
            | WireDelta::Custom(_) => true,
            WireDelta::ReasoningContent(_)
            | WireDelta::ReasoningDetails(_)
            | WireDelta::Annotations(_)
            | WireDelta::Audio(_) => false,
        };
        self.role(is_text.then_some(""), out);
        self.chunk(delta, None, &[], out);
    }

    fn role(&mut self, content: Option<&'static str>, out: &mut Vec<u8>) {
        if !self.role_sent {
            self.role_sent = true;
            let logprobs = self.logprobs.take();
            self.chunk(&Opening { role: "assistant", content }, None, &[], out);
            self.logprobs = logprobs;
        }
    }

    /// Tokens that no text followed get a chunk of their own.
    fn flush_logprobs(&mut self, out: &mut Vec<u8>) {
        if self.logprobs.is_some() {
            self.chunk(&Nothing {}, None, &[], out);
        }
    }

    fn chunk(
        &mut self,
        delta: &impl Serialize,
        finish: Option<&str>,
        extras: &[(&str, RawJson)],
        out: &mut Vec<u8>,
    ) {
        self.start_chunk(out);
        out.extend_from_slice(b"{\"index\":0,\"delta\":");
        push_json(out, delta);
        out.extend_from_slice(b",\"logprobs\":");
        match self.logprobs.take() {
            Some(tokens) => {
                out.extend_from_slice(b"{\"content\":");
                push_line(out, tokens.get().as_bytes());
                out.extend_from_slice(b",\"refusal\":null}");
            }
            None => out.extend_from_slice(b"null"),
        }
        out.extend_from_slice(b",\"finish_reason\":");
        push_json(out, &finish);
        out.extend_from_slice(if self.options.include_usage { b"}],\"usage\":null" } else { b"}]" });
        push_members(out, extras);
        out.extend_from_slice(b"}\n\n");
    }

    fn start_chunk(&mut self, out: &mut Vec<u8>) {
        self.named = true;
        if self.head.is_empty() {
            let StreamOptions { model, id, created, .. } = &self.options;
            let mut head = ObjectWriter::new();
            head.member("id", id);
            head.member("object", "chat.completion.chunk");
            head.member("created", created);
            head.member("model", model.as_deref().unwrap_or_default());
            self.head = head.unfinished();
            self.head.extend_from_slice(b",\"choices\":[");
        }
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(&self.head);
    }
}

const fn arguments_of(number: u32, arguments: &str) -> WireDelta<'_> {
    fragment(number, arguments, WireAttached(&[]))
}

const fn fragment<'a>(number: u32, arguments: &'a str, attached: WireAttached<'a>) -> WireDelta<'a> {
    let function = FragmentFunction { name: None, arguments };
    WireDelta::ToolCalls([Fragment { index: number, id: None, kind: None, function, attached }])
}
