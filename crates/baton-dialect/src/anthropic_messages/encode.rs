//! Writes a request of any origin for a Messages server.

use std::borrow::Cow;

use baton_model::{Dialect, Message, OutputFormat, PartKind, RawJson, Request, Sampling};
use serde::Serialize;

use super::DIALECT;
use super::block::is_own;
use super::reasoning::{ReasoningOut, Thinking, encode_reasoning, raw_json};
use super::schema::enforceable;
use super::tools::encode_tools;
use super::turns::Conversation;
use super::types::Block;
use crate::convert::ObjectWriter;
use crate::losses::{self, Dropped};
use crate::shared::{is_of_logprobs, wanted_logprobs};
use crate::{EncodeTarget, Encoded};

/// The longest `metadata.user_id` that is accepted.
const MAX_USER_ID: usize = 512;

/// Said to the model where a client asks for some JSON object, for which this dialect has no member.
const JSON_OBJECT: &str =
    "Answer with exactly one JSON object and nothing else: no code fence, no text around it.";

/// Writes a request for a target, and says what could not be carried.
pub(crate) fn encode_request(request: &Request, target: &EncodeTarget<'_>) -> Encoded {
    let mut dropped = Dropped::default();
    let mut conversation = Conversation::of(request, &mut dropped);
    let form = form(request);
    if let FormOut::Words(words) = &form {
        conversation.system.push(Block::Text { text: words.into(), cache_control: None });
    }
    let max_tokens = request.sampling.max_output_tokens.unwrap_or(target.default_max_tokens);
    let reasoning = encode_reasoning(request, target, max_tokens, conversation.open_round, &mut dropped);

    let mut body = ObjectWriter::new();
    body.member("model", target.model);
    body.member("max_tokens", &max_tokens);
    if !conversation.system.is_empty() {
        body.member("system", &conversation.system);
    }
    body.member("messages", &conversation.turns);
    encode_tools(request, &mut body, &mut dropped);
    encode_sampling(request, &reasoning, &mut body, &mut dropped);
    encode_output(&form, &reasoning, &mut body);
    encode_user(request, &mut body, &mut dropped);
    if target.stream {
        body.member("stream", &true);
    }
    encode_extra(request, &mut body, &mut dropped);
    let left_out = left_out(&request.messages);
    dropped.leave_out(left_out, &losses::MESSAGES_PAST_THINKING);
    let (dropped, lost) = dropped.into_parts();
    Encoded { body: body.finish(), dropped, lost, left_out }
}

/// How many parts of thinking, and signatures of calls, are left out: those of other vendors, and those without
/// their proof.
fn left_out(messages: &[Message]) -> usize {
    let parts = messages.iter().flat_map(|message| &message.parts);
    let gone = parts.filter(|part| match &part.kind {
        PartKind::Reasoning { signature, .. } => {
            !is_own(part) || signature.as_deref().is_none_or(str::is_empty)
        }
        PartKind::RedactedReasoning { .. } => !is_own(part),
        PartKind::ToolCall { .. } => {
            part.origin.dialect == Dialect::OpenaiChat && !part.attached().is_empty()
        }
        _ => false,
    });
    gone.count()
}

fn encode_sampling(
    request: &Request,
    reasoning: &ReasoningOut,
    body: &mut ObjectWriter,
    dropped: &mut Dropped,
) {
    let mut sampling = request.sampling.clone();
    let hot = sampling.temperature.is_some_and(|temperature| temperature > 1.0);
    dropped.lose_if(hot, &losses::MESSAGES_TEMPERATURE, "temperature>1");
    sampling.temperature = sampling.temperature.map(|temperature| temperature.clamp(0.0, 1.0));
    if request.origin != DIALECT {
        let thinks = matches!(reasoning.thinking, Some(Thinking::Enabled { .. } | Thinking::Adaptive {}));
        fit_sampling(&mut sampling, thinks, dropped);
    }
    body.optional("temperature", sampling.temperature.as_ref());
    body.optional("top_p", sampling.top_p.as_ref());
    body.optional("top_k", sampling.top_k.as_ref());
    encode_stop(request, body, dropped);
    dropped.lose_if(sampling.seed.is_some(), &losses::MESSAGES_SEED, "seed");
    let penalties =
        [("frequency_penalty", sampling.frequency_penalty), ("presence_penalty", sampling.presence_penalty)];
    for (name, penalty) in penalties {
        let punishes = penalty.is_some_and(|penalty| penalty != 0.0);
        dropped.lose_if(punishes, &losses::MESSAGES_PENALTIES, name);
    }
}

/// Takes out what models refuse: two ways of sampling at once, and any beside thinking.
fn fit_sampling(sampling: &mut Sampling, thinks: bool, dropped: &mut Dropped) {
    // 1 is what every model does unasked.
    sampling.top_p = sampling.top_p.filter(|top_p| *top_p < 1.0);
    let crowded = thinks || sampling.temperature.is_some();
    if crowded && sampling.top_p.take().is_some() {
        dropped.lose(&losses::MESSAGES_TOP_P, "top_p");
    }
    if thinks && sampling.temperature.take().is_some_and(|temperature| temperature < 1.0) {
        dropped.lose(&losses::MESSAGES_TEMPERATURE, "temperature");
    }
    if thinks && sampling.top_k.take().is_some() {
        dropped.lose(&losses::MESSAGES_TOP_K, "top_k");
    }
}

/// A stop sequence of nothing but white space is refused.
fn encode_stop(request: &Request, body: &mut ObjectWriter, dropped: &mut Dropped) {
    let stop = &request.sampling.stop;
    let kept: Vec<&String> = stop.iter().filter(|stop| !stop.trim().is_empty()).collect();
    let name = if request.origin == DIALECT { "stop_sequences" } else { "stop" };
    dropped.lose_if(kept.len() < stop.len(), &losses::MESSAGES_STOP, name);
    if !kept.is_empty() {
        body.member("stop_sequences", &kept);
    }
}

/// How the form of the answer is asked for.
enum FormOut<'r> {
    Free,
    /// To be enforced.
    Schema(Cow<'r, RawJson>),
    /// Said to the model, where the dialect cannot enforce it.
    Words(String),
}

fn form(request: &Request) -> FormOut<'_> {
    match &request.output {
        OutputFormat::Text => FormOut::Free,
        OutputFormat::JsonObject => FormOut::Words(JSON_OBJECT.to_owned()),
        OutputFormat::JsonSchema { schema, .. } if request.origin == DIALECT => {
            FormOut::Schema(Cow::Borrowed(schema))
        }
        OutputFormat::JsonSchema { schema, .. } => match enforceable(schema) {
            Some(schema) => FormOut::Schema(Cow::Owned(schema)),
            None => {
                FormOut::Words(format!("{JSON_OBJECT} It must follow this JSON schema: {}", schema.get()))
            }
        },
    }
}

/// Writes `thinking`, and `output_config` with what of the effort and the format there is.
fn encode_output(form: &FormOut<'_>, reasoning: &ReasoningOut, body: &mut ObjectWriter) {
    #[derive(Serialize)]
    struct Format<'r> {
        r#type: &'static str,
        schema: &'r RawJson,
    }
    body.optional("thinking", reasoning.thinking.as_ref());
    let mut config = ObjectWriter::new();
    for (key, value) in &reasoning.config {
        config.member(key, value);
    }
    let format = match form {
        FormOut::Schema(schema) => Some(Format { r#type: "json_schema", schema }),
        FormOut::Free | FormOut::Words(_) => None,
    };
    config.optional("format", format.as_ref());
    if !reasoning.config.is_empty() || format.is_some() {
        body.optional("output_config", raw_json(config).as_ref());
    }
}

fn encode_user(request: &Request, body: &mut ObjectWriter, dropped: &mut Dropped) {
    #[derive(Serialize)]
    struct Metadata<'r> {
        user_id: &'r str,
    }
    let Some(user_id) = request.user.as_deref() else { return };
    if user_id.chars().count() > MAX_USER_ID {
        let name = if request.origin == DIALECT { "metadata.user_id" } else { "user" };
        return dropped.lose(&losses::MESSAGES_USER, name);
    }
    body.member("metadata", &Metadata { user_id });
}

/// Members without a place in the model: written back where they came from, else named, unless
/// leaving them out changes nothing.
fn encode_extra(request: &Request, body: &mut ObjectWriter, dropped: &mut Dropped) {
    let asks = wanted_logprobs(&request.extra).is_some();
    for (key, value) in &request.extra {
        if request.origin == DIALECT {
            body.member(key, value);
        } else if asks && is_of_logprobs(key, value) {
            dropped.lose(&losses::MESSAGES_LOGPROBS, key);
        } else {
            let says_nothing =
                matches!(value.get(), "false" | "{}" | "[]") || (key == "n" && value.get() == "1");
            dropped.lose_if(!says_nothing, &losses::MESSAGES_MEMBER, key);
        }
    }
}
