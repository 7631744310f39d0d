//! Writes a request for an upstream that speaks this dialect, from a request of any origin.
//!
//! - Start with [`encode_request`].
//! - **Invariant:** what is left out is named in `dropped`, by the name it has at the client.

mod messages;
mod rounds;
mod wire;

use baton_model::{
    Dialect, Message, OutputFormat, Part, PartKind, RawJson, RawObject, Reasoning, Request, Sampling, Tool,
    ToolChoice,
};
use bytes::Bytes;
use serde_json::json;

pub(super) use wire::{WireAttached, WireCall, custom_call_id};

use wire::{WireChoice, WireFunction, WireParameters, WireTool};

use crate::additions::entries;
use crate::convert::{ObjectWriter, effort_of_budget};
use crate::losses::{self, Dropped};
use crate::{EncodeTarget, Encoded, Loss};

/// Members that mean the same in OpenAI's Responses API.
const OF_RESPONSES: [&str; 6] = [
    "metadata",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "service_tier",
    "store",
];

/// What that API calls log probabilities.
const INCLUDED_LOGPROBS: &str = "message.output_text.logprobs";

/// OpenAI takes no more stop sequences than these.
const MAX_STOPS: usize = 4;

pub(crate) fn encode_request(request: &Request, target: &EncodeTarget<'_>) -> Encoded {
    let mut out = Writer {
        body: ObjectWriter::new(),
        dropped: Dropped::default(),
        origin: request.origin,
        shared: false,
    };
    out.shared = target.shared_members && request.origin == Dialect::OpenaiResponses;
    out.body.member("model", target.model);
    out.body.member("messages", &messages::encode(&request.messages, &mut out.dropped));
    out.tools(request);
    out.output(&request.output);
    out.sampling(&request.sampling, target.model);
    out.reasoning(request.reasoning.as_ref());
    out.body.optional(if out.shared { "safety_identifier" } else { "user" }, request.user.as_ref());
    out.stream(request, target);
    out.extra(&request.extra);
    let left_out = left_out(&request.messages);
    out.dropped.leave_out(left_out, &losses::CHAT_PAST_THINKING);
    let (dropped, lost) = out.dropped.into_parts();
    Encoded { body: out.body.finish(), dropped, lost, left_out }
}

/// How many parts of thinking are left out: a vendor takes back its own text only, and no seals.
fn left_out(messages: &[Message]) -> usize {
    let parts = messages.iter().flat_map(|message| &message.parts);
    let gone = parts.filter(|part| match part.kind {
        PartKind::Reasoning { .. } => part.origin.dialect != Dialect::OpenaiChat,
        PartKind::RedactedReasoning { .. } => true,
        _ => false,
    });
    gone.count()
}

/// The entries of `tools` for these, as JSON text.
pub(super) fn encode_tools(tools: &[Tool]) -> Vec<u8> {
    let mut out = Writer {
        body: ObjectWriter::new(),
        dropped: Dropped::default(),
        origin: Dialect::OpenaiChat,
        shared: false,
    };
    let tools: Vec<WireTool<'_>> =
        tools.iter().enumerate().filter_map(|(i, tool)| out.tool(i, tool)).collect();
    entries(&tools)
}

/// The entries of `messages` for these, as JSON text.
pub(super) fn encode_messages(messages: &[Message]) -> Vec<u8> {
    entries(&messages::encode(messages, &mut Dropped::default()))
}

/// What a call's maker put beside it, where that was somebody of this dialect.
pub(super) fn ours(part: &Part) -> &[(String, RawJson)] {
    if part.origin.dialect == Dialect::OpenaiChat { part.attached() } else { &[] }
}

/// A mark that only the vendor it was set for understands.
const CACHE_MARK: &str = "cache_control";

struct Writer {
    body: ObjectWriter,
    dropped: Dropped,
    origin: Dialect,
    /// Whether the request is of OpenAI's other API and goes to OpenAI.
    shared: bool,
}

impl Writer {
    fn is_ours(&self) -> bool {
        self.origin == Dialect::OpenaiChat
    }

    fn lose(&mut self, loss: &'static Loss, name: &str) {
        self.dropped.lose(loss, name);
    }

    fn tools(&mut self, request: &Request) {
        let mut tools = Vec::with_capacity(request.tools.len());
        for (i, tool) in request.tools.iter().enumerate() {
            tools.extend(self.tool(i, tool));
        }
        if !tools.is_empty() {
            self.body.member("tools", &tools);
        }
        // OpenAI refuses both without tools, where they mean nothing anyway.
        let choice = request.tool_choice.as_ref();
        match choice {
            Some(choice) if !tools.is_empty() => self.body.member("tool_choice", &WireChoice::from(choice)),
            Some(ToolChoice::Auto | ToolChoice::None) | None => {}
            Some(ToolChoice::Required | ToolChoice::Tool(_)) => {
                self.lose(&losses::CHAT_CHOICE, "tool_choice");
            }
        }
        match request.parallel_tool_calls {
            Some(parallel) if !tools.is_empty() => self.body.member("parallel_tool_calls", &parallel),
            _ => {}
        }
    }

    fn tool<'a>(&mut self, i: usize, tool: &'a Tool) -> Option<WireTool<'a>> {
        match tool {
            Tool::Function { name, description, parameters, strict, cache } => {
                if cache.is_some() && !self.is_ours() {
                    self.lose(&losses::CHAT_CACHE, CACHE_MARK);
                }
                let parameters = WireParameters::new(parameters.as_ref());
                let function =
                    WireFunction { name, description: description.as_deref(), parameters, strict: *strict };
                let cache_control = cache.as_ref().map(|mark| &mark.0).filter(|_| self.is_ours());
                Some(WireTool::Function { kind: "function", function, cache_control })
            }
            Tool::Vendor { raw, origin, .. } if origin.dialect == Dialect::OpenaiChat => {
                Some(WireTool::Vendor(raw))
            }
            Tool::Vendor { name, .. } => {
                self.lose(&losses::CHAT_VENDOR_TOOL, &format!("tools[{i}] ({name})"));
                None
            }
        }
    }

    fn output(&mut self, output: &OutputFormat) {
        match output {
            OutputFormat::Text => {}
            OutputFormat::JsonObject => self.body.member("response_format", &json!({"type": "json_object"})),
            OutputFormat::JsonSchema { name, description, schema, strict } => {
                let mut inner = ObjectWriter::new();
                inner.member("name", name);
                inner.optional("description", description.as_ref());
                inner.member("schema", schema);
                inner.optional("strict", strict.as_ref());
                let mut format = ObjectWriter::new();
                format.member("type", "json_schema");
                format.raw_member("json_schema", &inner.finish());
                self.body.raw_member("response_format", &format.finish());
            }
        }
    }

    fn sampling(&mut self, sampling: &Sampling, model: &str) {
        let Sampling {
            temperature,
            top_p,
            top_k,
            max_output_tokens,
            stop,
            seed,
            frequency_penalty,
            presence_penalty,
        } = sampling;
        self.body.optional(limit_key(model), max_output_tokens.as_ref());
        self.body.optional("temperature", temperature.as_ref());
        self.body.optional("top_p", top_p.as_ref());
        match top_k {
            // No member of OpenAI's own, but compatible servers take it: who sent it here meant that.
            Some(top_k) if self.is_ours() => self.body.member("top_k", top_k),
            Some(_) => self.lose(&losses::CHAT_TOP_K, "top_k"),
            None => {}
        }
        self.stop(stop);
        self.body.optional("seed", seed.as_ref());
        self.body.optional("frequency_penalty", frequency_penalty.as_ref());
        self.body.optional("presence_penalty", presence_penalty.as_ref());
    }

    fn stop(&mut self, stop: &[String]) {
        let sent = if self.is_ours() { stop } else { stop.get(..MAX_STOPS).unwrap_or(stop) };
        if !sent.is_empty() {
            self.body.member("stop", sent);
        }
        if sent.len() < stop.len() {
            self.lose(&losses::CHAT_STOP, &format!("stop_sequences[{MAX_STOPS}..]"));
        }
    }

    fn reasoning(&mut self, reasoning: Option<&Reasoning>) {
        let Some(Reasoning { effort, budget_tokens, raw }) = reasoning else { return };
        if self.is_ours() {
            match raw {
                Some(raw) => self.body.member("reasoning", raw),
                None => self.body.optional("reasoning_effort", effort.as_ref()),
            }
            return;
        }
        match effort.as_deref().or_else(|| budget_tokens.map(effort_of_budget)) {
            Some(effort) if self.shared => self.body.member("reasoning_effort", effort),
            // Models that cannot think refuse the word, and the others take no `none` before GPT-5.1.
            Some("none") | None => {
                let of_messages = self.origin == Dialect::AnthropicMessages;
                self.lose(&losses::CHAT_THINKING, if of_messages { "thinking" } else { "reasoning" });
            }
            Some(effort) => self.body.member("reasoning_effort", effort),
        }
    }

    fn stream(&mut self, request: &Request, target: &EncodeTarget<'_>) {
        if !target.stream {
            return;
        }
        self.body.member("stream", &true);
        let takes = self.is_ours() || self.shared;
        let given = request.extra.iter().find(|(key, _)| key == "stream_options" && takes);
        let options = given.map(|(_, raw)| with_usage(raw));
        self.body.raw_member("stream_options", options.as_deref().unwrap_or(USAGE_ONLY));
    }

    fn extra(&mut self, extra: &[(String, RawJson)]) {
        for (key, value) in extra {
            if self.shared && self.shares(key, value) {
                continue;
            }
            if !self.is_ours() {
                // What is not asked for anyway is not lost.
                if !matches!(value.get(), "false" | "{}" | "[]") {
                    self.lose(&losses::CHAT_MEMBER, key);
                }
            } else if key != "stream_options" {
                self.body.member(key, value);
            }
        }
    }
}

impl Writer {
    /// Writes a member of OpenAI's other API under the name that it has in this one, if it has one.
    fn shares(&mut self, key: &str, value: &RawJson) -> bool {
        match key {
            "text.verbosity" => self.body.member("verbosity", value),
            "top_logprobs" => self.body.member(key, value),
            // What is asked for beside that can only be lost.
            "include" => {
                let asked: Vec<String> = value.read().unwrap_or_default();
                if asked.iter().any(|asked| asked == INCLUDED_LOGPROBS) {
                    self.body.member("logprobs", &true);
                }
                return asked.iter().all(|asked| asked == INCLUDED_LOGPROBS);
            }
            // Written with the usage that is asked for.
            "stream_options" => {}
            key if OF_RESPONSES.contains(&key) => self.body.member(key, value),
            _ => return false,
        }
        true
    }
}

/// The member that asks for usage on a stream, alone.
pub(super) const USAGE_ONLY: &[u8] = br#"{"include_usage":true}"#;

/// The client's stream options, with usage asked for.
pub(super) fn with_usage(options: &RawJson) -> Vec<u8> {
    let asked = [("include_usage", Some(Bytes::from_static(b"true")))];
    RawObject::parse(Bytes::copy_from_slice(options.get().as_bytes()))
        .map_or_else(|_| USAGE_ONLY.to_vec(), |options| options.rewrite(&asked).concat())
}

/// OpenAI's thinking models refuse `max_tokens`, and most compatible servers know nothing else.
/// <https://platform.openai.com/docs/api-reference/chat/create#chat-create-max_tokens>
fn limit_key(model: &str) -> &'static str {
    let name = model.rsplit('/').next().unwrap_or(model);
    let thinks = ["o1", "o3", "o4", "gpt-5", "codex"].iter().any(|family| name.starts_with(family));
    if thinks { "max_completion_tokens" } else { "max_tokens" }
}
