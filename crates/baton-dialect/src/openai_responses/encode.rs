//! Writes a request for an upstream that speaks this dialect, from a request of any origin.
//!
//! - Start with [`encode_request`].
//! - **Invariant:** what is left out is named in `dropped`, by the name it has at the client.
//! - **Invariant:** a request of another dialect is not kept by the provider: no other one keeps it unasked.

mod items;
mod pairs;

use baton_model::{
    Dialect, Message, OutputFormat, PartKind, RawJson, Reasoning, Request, Sampling, Tool, ToolChoice,
};
use serde::Serialize;
use serde_json::json;

use super::DIALECT;
use super::decode::{PATHS, TEXT_PREFIX};
use crate::additions::entries;
use crate::convert::{ObjectWriter, effort_of_budget};
use crate::losses::{self, Dropped};
use crate::shared::{LOGPROBS, SHARED, is_of_logprobs, wanted_logprobs};
use crate::{EncodeTarget, Encoded, Loss};

/// OpenAI refuses lower limits of output here.
const MIN_OUTPUT_TOKENS: u64 = 16;

/// OpenAI refuses longer ids of end users.
const MAX_USER_ID: usize = 64;

pub(crate) fn encode_request(request: &Request, target: &EncodeTarget<'_>) -> Encoded {
    let mut out = Writer { body: ObjectWriter::new(), dropped: Dropped::default(), origin: request.origin };
    out.body.member("model", target.model);
    out.input(&request.messages);
    out.tools(request);
    out.text(request);
    out.reasoning(request.reasoning.as_ref());
    out.sampling(&request.sampling);
    out.user(request);
    if target.stream {
        out.body.member("stream", &true);
    }
    out.logprobs(&request.extra);
    out.extra(&request.extra);
    let left_out = left_out(&request.messages);
    out.dropped.leave_out(left_out, &losses::RESPONSES_PAST_THINKING);
    let (dropped, lost) = out.dropped.into_parts();
    Encoded { body: out.body.finish(), dropped, lost, left_out }
}

/// How many parts of thinking are left out: this vendor takes back its own only, and knows it by its id or its seal.
fn left_out(messages: &[Message]) -> usize {
    let parts = messages.iter().flat_map(|message| &message.parts);
    let gone = parts.filter(|part| match part.kind {
        PartKind::Reasoning { .. } => !items::can_go_back(part),
        PartKind::RedactedReasoning { .. } => true,
        _ => false,
    });
    gone.count()
}

/// The entries of `tools` for these, as JSON text.
pub(super) fn encode_tools(tools: &[Tool]) -> Vec<u8> {
    let mut out = Writer { body: ObjectWriter::new(), dropped: Dropped::default(), origin: DIALECT };
    let tools: Vec<WireTool<'_>> =
        tools.iter().enumerate().filter_map(|(i, tool)| out.tool(i, tool)).collect();
    entries(&tools)
}

/// The entries of `input` for these, as JSON text.
pub(super) fn encode_items(messages: &[Message]) -> Vec<u8> {
    entries(&items::encode(messages, DIALECT, &mut Dropped::default()))
}

/// A tool on offer.
#[derive(Serialize)]
#[serde(untagged)]
enum WireTool<'a> {
    Function {
        #[serde(rename = "type")]
        kind: &'static str,
        name: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        description: Option<&'a str>,
        parameters: Parameters<'a>,
        strict: Option<bool>,
    },
    Vendor(&'a RawJson),
}

#[derive(Serialize)]
#[serde(untagged)]
enum Parameters<'a> {
    Given(&'a RawJson),
    None {
        #[serde(rename = "type")]
        kind: &'static str,
        properties: Nothing,
    },
}

#[derive(Serialize)]
struct Nothing {}

struct Writer {
    body: ObjectWriter,
    dropped: Dropped,
    origin: Dialect,
}

impl Writer {
    fn is_own(&self) -> bool {
        self.origin == DIALECT
    }

    fn lose(&mut self, loss: &'static Loss, name: &str) {
        self.dropped.lose(loss, name);
    }

    fn input(&mut self, messages: &[Message]) {
        let (instructions, rest) = match items::instructions(messages) {
            Some((text, rest)) => (Some(text), rest),
            None => (None, messages),
        };
        self.body.optional("instructions", instructions);
        // Places are told as the client counts them, so the items are made of all messages.
        let skipped = messages.len() - rest.len();
        self.body.member("input", &items::encode_from(messages, skipped, self.origin, &mut self.dropped));
    }

    fn tools(&mut self, request: &Request) {
        let mut tools = Vec::with_capacity(request.tools.len());
        for (i, tool) in request.tools.iter().enumerate() {
            tools.extend(self.tool(i, tool));
        }
        if !tools.is_empty() {
            self.body.member("tools", &tools);
        }
        match &request.tool_choice {
            Some(choice) if !tools.is_empty() => match choice {
                ToolChoice::Auto => self.body.member("tool_choice", "auto"),
                ToolChoice::None => self.body.member("tool_choice", "none"),
                ToolChoice::Required => self.body.member("tool_choice", "required"),
                ToolChoice::Tool(name) => {
                    self.body.member("tool_choice", &json!({"type": "function", "name": name}));
                }
            },
            Some(ToolChoice::Auto | ToolChoice::None) | None => {}
            Some(ToolChoice::Required | ToolChoice::Tool(_)) => {
                self.lose(&losses::RESPONSES_CHOICE, "tool_choice");
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
                if cache.is_some() {
                    self.lose(&losses::RESPONSES_CACHE, "cache_control");
                }
                // Elsewhere a tool is strict when it says so, and here when it says nothing.
                let strict = if self.is_own() { *strict } else { Some(strict.unwrap_or(false)) };
                let nothing = Parameters::None { kind: "object", properties: Nothing {} };
                Some(WireTool::Function {
                    kind: "function",
                    name,
                    description: description.as_deref(),
                    parameters: parameters.as_ref().map_or(nothing, Parameters::Given),
                    strict,
                })
            }
            Tool::Vendor { raw, origin, .. } if origin.dialect == DIALECT => Some(WireTool::Vendor(raw)),
            Tool::Vendor { name, .. } => {
                self.lose(&losses::RESPONSES_VENDOR_TOOL, &format!("tools[{i}] ({name})"));
                None
            }
        }
    }

    /// `text`: the form of the answer, and how long-winded it is.
    fn text(&mut self, request: &Request) {
        let mut text = ObjectWriter::new();
        let mut says_something = true;
        match &request.output {
            OutputFormat::Text => says_something = false,
            OutputFormat::JsonObject => text.member("format", &json!({"type": "json_object"})),
            OutputFormat::JsonSchema { name, description, schema, strict } => {
                let mut format = ObjectWriter::new();
                format.member("type", "json_schema");
                format.member("name", name);
                format.optional("description", description.as_ref());
                format.member("schema", schema);
                format.optional("strict", strict.as_ref());
                text.raw_member("format", &format.finish());
            }
        }
        for (key, value) in &request.extra {
            let key = match self.origin {
                Dialect::OpenaiResponses => key.strip_prefix(TEXT_PREFIX),
                Dialect::OpenaiChat => Some(key.as_str()).filter(|key| *key == "verbosity"),
                Dialect::AnthropicMessages => None,
            };
            if let Some(key) = key {
                text.member(key, value);
                says_something = true;
            }
        }
        if says_something {
            self.body.raw_member("text", &text.finish());
        }
    }

    fn reasoning(&mut self, reasoning: Option<&Reasoning>) {
        let Some(Reasoning { effort, budget_tokens, raw }) = reasoning else { return };
        if let Some(raw) = raw.as_ref().filter(|_| self.is_own()) {
            return self.body.member("reasoning", raw);
        }
        let effort = effort.as_deref().or_else(|| budget_tokens.map(effort_of_budget));
        match effort {
            // The same word, for the same vendor's models.
            Some(effort) if self.origin != Dialect::AnthropicMessages || effort != "none" => {
                self.body.member("reasoning", &json!({"effort": effort}));
            }
            // Models that cannot think refuse the word, and the others take no `none` before GPT-5.1.
            _ => {
                let of_messages = self.origin == Dialect::AnthropicMessages;
                self.lose(&losses::RESPONSES_THINKING, if of_messages { "thinking" } else { "reasoning" });
            }
        }
    }

    fn sampling(&mut self, sampling: &Sampling) {
        let own = self.is_own();
        if let Some(limit) = sampling.max_output_tokens {
            let limit = if own { limit } else { limit.max(MIN_OUTPUT_TOKENS) };
            if sampling.max_output_tokens != Some(limit) {
                self.lose(&losses::RESPONSES_LIMIT, &format!("max_tokens<{MIN_OUTPUT_TOKENS}"));
            }
            self.body.member("max_output_tokens", &limit);
        }
        self.body.optional("temperature", sampling.temperature.as_ref());
        self.body.optional("top_p", sampling.top_p.as_ref());
        let penalties = [
            ("frequency_penalty", sampling.frequency_penalty),
            ("presence_penalty", sampling.presence_penalty),
        ];
        for (key, penalty) in penalties {
            match penalty {
                // No members of OpenAI's own, but compatible servers take them: who sent them here meant that.
                Some(penalty) if own => self.body.member(key, &penalty),
                Some(penalty) if penalty != 0.0 => self.lose(&losses::RESPONSES_PENALTIES, key),
                _ => {}
            }
        }
        if sampling.top_k.is_some() {
            self.lose(&losses::RESPONSES_TOP_K, "top_k");
        }
        if !sampling.stop.is_empty() {
            let of_messages = self.origin == Dialect::AnthropicMessages;
            self.lose(&losses::RESPONSES_STOP, if of_messages { "stop_sequences" } else { "stop" });
        }
        if sampling.seed.is_some() {
            self.lose(&losses::RESPONSES_SEED, "seed");
        }
    }

    fn user(&mut self, request: &Request) {
        let Some(user) = request.user.as_deref() else { return };
        if self.is_own() || user.chars().count() <= MAX_USER_ID {
            self.body.member("safety_identifier", user);
        } else {
            let of_messages = self.origin == Dialect::AnthropicMessages;
            self.lose(&losses::RESPONSES_USER, if of_messages { "metadata.user_id" } else { "user" });
        }
    }

    /// The wish for log probabilities, as a client of chat completions has it.
    fn logprobs(&mut self, extra: &[(String, RawJson)]) {
        if let Some(top) = wanted_logprobs(extra).filter(|_| !self.is_own()) {
            self.body.member("include", &[LOGPROBS]);
            self.body.member("top_logprobs", &top);
        }
    }

    /// Members without a place in the model: written back where they came from, and where they mean the same; else
    /// named, unless leaving them out changes nothing.
    fn extra(&mut self, extra: &[(String, RawJson)]) {
        let of_chat = self.origin == Dialect::OpenaiChat;
        let says_it = of_chat && extra.iter().any(|(key, _)| key == "store");
        if !self.is_own() && !says_it {
            self.body.member("store", &false);
        }
        let asks = wanted_logprobs(extra).is_some();
        for (key, value) in extra {
            let path = PATHS.iter().any(|path| key.starts_with(path));
            let says_nothing = matches!(value.get(), "false" | "{}" | "[]");
            let named_twice = key == "safety_identifier" && of_chat;
            match self.origin {
                Dialect::OpenaiResponses if key.starts_with(TEXT_PREFIX) => {}
                Dialect::OpenaiResponses if !path => self.body.member(key, value),
                // What stands beside an item goes back with it; of a tool only the raw form knows it.
                Dialect::OpenaiResponses if key.starts_with("input[") => {}
                Dialect::OpenaiChat if key == "verbosity" => {}
                Dialect::OpenaiChat if asks && is_of_logprobs(key, value) => {}
                Dialect::OpenaiChat if SHARED.contains(&key.as_str()) && !named_twice => {
                    self.body.member(key, value);
                }
                _ if says_nothing => {}
                _ => self.lose(&losses::RESPONSES_MEMBER, key),
            }
        }
    }
}
