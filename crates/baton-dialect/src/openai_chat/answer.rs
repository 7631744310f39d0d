//! Reads and writes whole answers (`chat.completion`).
//!
//! - Start with [`decode_answer`].
//! - **Invariant:** what is no answer is a fault, whatever status it came with.

use baton_model::{Answer, Dialect, Fault, FinishReason, Part, PartKind, RawJson};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::encode::{WireCall, ours};
use super::reasoning::{self, Detail};
use super::types::{Content, Function, ToolCall};
use super::usage::{Usage, WireUsage};
use super::{error, finish_reason, finish_word, malformed, parse, unreadable};
use crate::AnswerContext;
use crate::citations::{self, Nested};
use crate::convert::{hashed_id, to_json};

const HERE: Dialect = Dialect::OpenaiChat;

#[derive(Deserialize)]
struct Completion<'a> {
    id: Option<String>,
    created: Option<f64>,
    model: Option<String>,
    #[serde(borrow)]
    choices: Option<Vec<Choice<'a>>>,
    usage: Option<Usage>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(borrow)]
    message: Option<Said<'a>>,
    finish_reason: Option<String>,
    #[serde(borrow)]
    logprobs: Option<&'a RawValue>,
}

/// What the model said, whole in an answer or a piece of it in a chunk.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Said<'a> {
    pub(super) role: Option<IgnoredAny>,
    #[serde(borrow)]
    pub(super) content: Option<Content<'a>>,
    pub(super) refusal: Option<String>,
    pub(super) reasoning_content: Option<String>,
    pub(super) reasoning: Option<String>,
    #[serde(borrow)]
    pub(super) reasoning_details: Option<Vec<&'a RawValue>>,
    #[serde(borrow)]
    pub(super) tool_calls: Option<Vec<&'a RawValue>>,
    #[serde(borrow)]
    pub(super) function_call: Option<Function<'a>>,
    /// Where the text has it from.
    #[serde(borrow)]
    pub(super) annotations: Option<&'a RawValue>,
    /// A spoken answer.
    #[serde(borrow)]
    pub(super) audio: Option<&'a RawValue>,
}

impl Said<'_> {
    /// Whether there is anything in it whose numbers count over the whole answer.
    pub(super) const fn has_numbers(&self) -> bool {
        self.tool_calls.is_some() || self.function_call.is_some() || self.reasoning_details.is_some()
    }
}

pub(crate) fn decode_answer(body: &[u8]) -> Result<Answer, Fault> {
    if body.trim_ascii_start().starts_with(b"<") {
        return Err(malformed("the provider sent an HTML page instead of an answer"));
    }
    let completion: Completion<'_> = parse(body, "the provider's answer")?;
    if completion.error.is_some() || (completion.choices.is_none() && error::is_bare_error(body)) {
        return Err(error::error_in_answer(body));
    }
    let id = completion.id.unwrap_or_default();
    let choice = completion.choices.and_then(|choices| choices.into_iter().next());
    let Some(Choice { message: Some(said), finish_reason: word, logprobs }) = choice else {
        return Err(malformed("the provider's answer has no choices"));
    };
    let parts = decode_said(said, &id)?;
    let finish =
        finish(word.as_deref(), parts.iter().any(|part| matches!(part.kind, PartKind::ToolCall { .. })));
    Ok(Answer {
        id,
        model: completion.model.unwrap_or_default(),
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a cast from float saturates; some send fractions"
        )]
        created: completion.created.map(|seconds| seconds as i64),
        parts,
        finish,
        stop_sequence: None,
        usage: completion.usage.map(|usage| usage.to_model()),
        logprobs: logprobs.map(|raw| raw.to_owned().into()),
    })
}

/// A forced call ends with `stop` at OpenAI; other dialects wait for results only when told to.
pub(super) fn finish(word: Option<&str>, has_calls: bool) -> FinishReason {
    match finish_reason(word.unwrap_or("stop")) {
        FinishReason::Stop if has_calls => FinishReason::ToolCalls,
        reason => reason,
    }
}

fn decode_said(said: Said<'_>, answer_id: &str) -> Result<Vec<Part>, Fault> {
    let details = said.reasoning_details.unwrap_or_default();
    let mut parts = reasoning::decode(&details, said.reasoning_content.or(said.reasoning));
    match said.content {
        Some(Content::Text(text)) if !text.is_empty() => {
            let sources = said.annotations.and_then(|list| citations::flat(&list.to_owned().into()));
            let beside = sources.map(|list| (citations::ANNOTATIONS.to_owned(), list));
            parts.push(Part::text(text, HERE).with(beside.into_iter().collect()));
        }
        Some(Content::Parts(list)) => parts.extend(list.iter().filter_map(|raw| decode_part(raw))),
        Some(Content::Text(_)) | None => {}
    }
    let refusal = said.refusal.filter(|refusal| !refusal.is_empty());
    parts.extend(refusal.map(|refusal| Part::new(PartKind::Refusal(refusal), HERE)));
    parts.extend(said.audio.and_then(sound).map(|raw| Part::new(PartKind::Other(raw), HERE)));
    for (i, raw) in said.tool_calls.iter().flatten().enumerate() {
        parts.push(decode_call(raw, answer_id, i)?);
    }
    if let Some(function) = said.function_call {
        parts.push(Part::new(called(None, function, answer_id, 0)?, HERE));
    }
    Ok(parts)
}

/// Sound as a part: the member by its name, so that it is known again.
pub(super) fn sound(audio: &RawValue) -> Option<RawJson> {
    #[derive(Serialize)]
    struct Sound<'a> {
        audio: &'a RawValue,
    }
    RawJson::of(&Sound { audio }).ok()
}

/// The member `audio`, if the part is sound.
pub(super) fn spoken(raw: &RawJson) -> Option<RawJson> {
    #[derive(Deserialize)]
    struct Sound {
        audio: RawJson,
    }
    raw.read::<Sound>().ok().map(|sound| sound.audio)
}

/// A part of content given as a list, as Mistral's thinking models do.
pub(super) fn decode_part(raw: &RawValue) -> Option<Part> {
    #[derive(Deserialize)]
    struct Piece {
        text: Option<String>,
        refusal: Option<String>,
        thinking: Option<Vec<Self>>,
    }
    let piece: Piece = serde_json::from_str(raw.get()).ok()?;
    let kind = match piece {
        Piece { text: Some(text), .. } => PartKind::Text(text),
        Piece { refusal: Some(refusal), .. } => PartKind::Refusal(refusal),
        Piece { thinking: Some(list), .. } => {
            let text = list.into_iter().filter_map(|piece| piece.text).collect();
            PartKind::Reasoning { text, signature: None }
        }
        _ => PartKind::Other(raw.to_owned().into()),
    };
    Some(Part::new(kind, HERE))
}

fn decode_call(raw: &RawValue, answer_id: &str, i: usize) -> Result<Part, Fault> {
    let call: ToolCall<'_> = serde_json::from_str(raw.get())
        .map_err(|error| unreadable("a tool call in the provider's answer", &error))?;
    let attached = call.attached();
    let kind = match (call.function, call.kind) {
        (Some(function), _) => called(call.id, function, answer_id, i)?,
        (None, Some(kind)) if kind.0 != "function" => PartKind::Other(raw.to_owned().into()),
        (None, _) => return Err(malformed("a tool call in the provider's answer has no function")),
    };
    Ok(Part::new(kind, HERE).with(attached))
}

fn called(id: Option<String>, function: Function<'_>, answer_id: &str, i: usize) -> Result<PartKind, Fault> {
    let arguments = function.arguments_text().unwrap_or_else(|| "{}".to_owned());
    let name = function.name.filter(|name| !name.is_empty());
    Ok(PartKind::ToolCall {
        id: id.filter(|id| !id.is_empty()).unwrap_or_else(|| missing_call_id(answer_id, i)),
        name: name.ok_or_else(|| malformed("a tool call in the provider's answer has no name"))?,
        arguments,
    })
}

/// Some servers give calls no id, and a result cannot name its call without one.
pub(super) fn missing_call_id(answer_id: &str, i: usize) -> String {
    hashed_id(&format!("{answer_id}:{i}"), "call_")
}

#[derive(Serialize)]
struct WireCompletion<'a> {
    id: &'a str,
    object: &'static str,
    created: i64,
    model: &'a str,
    choices: [WireChoice<'a>; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<WireUsage>,
}

#[derive(Serialize)]
struct WireChoice<'a> {
    index: u32,
    message: WireSaid<'a>,
    logprobs: Option<&'a RawJson>,
    finish_reason: &'static str,
}

#[derive(Serialize)]
struct WireSaid<'a> {
    role: &'static str,
    content: Option<String>,
    refusal: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reasoning_details: Vec<Detail<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<WireCall<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    annotations: Vec<Nested>,
    #[serde(skip_serializing_if = "Option::is_none")]
    audio: Option<RawJson>,
}

pub(crate) fn encode_answer(answer: &Answer, context: &AnswerContext<'_>) -> Vec<u8> {
    let message = encode_said(&answer.parts);
    let created = answer.created.unwrap_or(context.created);
    let made_id;
    let id = if answer.id.is_empty() {
        made_id =
            hashed_id(&format!("{created}:{}", message.content.as_deref().unwrap_or_default()), "chatcmpl-");
        &made_id
    } else {
        &answer.id
    };
    to_json(&WireCompletion {
        id,
        object: "chat.completion",
        created,
        model: context.model,
        choices: [WireChoice {
            index: 0,
            message,
            logprobs: answer.logprobs.as_ref(),
            finish_reason: finish_word(answer.finish),
        }],
        usage: answer.usage.as_ref().map(WireUsage::from),
    })
}

fn encode_said(parts: &[Part]) -> WireSaid<'_> {
    let mut said = WireSaid {
        role: "assistant",
        content: None,
        refusal: None,
        reasoning_content: None,
        reasoning_details: Vec::new(),
        tool_calls: Vec::new(),
        annotations: Vec::new(),
        audio: None,
    };
    let mut characters = 0;
    for part in parts {
        let dialect = part.origin.dialect;
        let index = u32::try_from(said.reasoning_details.len()).unwrap_or(u32::MAX);
        match &part.kind {
            PartKind::Text(text) if text.is_empty() => {}
            PartKind::Text(text) => {
                let end = characters + text.chars().count();
                let sources = citations::sources(part.attached(), characters, end);
                said.annotations.extend(citations::nested(sources));
                said.content.get_or_insert_default().push_str(text);
                characters = end;
            }
            PartKind::Refusal(text) => said.refusal.get_or_insert_default().push_str(text),
            PartKind::Reasoning { text, signature } => {
                said.reasoning_content.get_or_insert_default().push_str(text);
                // Without a signature the plain text says it all.
                if let Some(signature) = signature.as_deref().filter(|signature| !signature.is_empty()) {
                    said.reasoning_details.push(Detail::text(text, Some(signature), dialect, index));
                }
            }
            PartKind::RedactedReasoning { data } => {
                said.reasoning_details.push(Detail::sealed(data, dialect, index));
            }
            PartKind::ToolCall { id, name, arguments } => {
                said.tool_calls.push(WireCall::function(id.into(), name, arguments, ours(part)));
            }
            PartKind::Other(raw) if dialect == HERE => match spoken(raw) {
                Some(audio) => said.audio = Some(audio),
                None => said.tool_calls.extend(WireCall::custom(raw)),
            },
            PartKind::Other(_)
            | PartKind::Image { .. }
            | PartKind::Document { .. }
            | PartKind::ToolResult { .. } => {}
        }
    }
    // Clients that expect text get some, unless something else stands for it.
    if said.content.is_none() && said.refusal.is_none() && said.tool_calls.is_empty() {
        said.content = Some(String::new());
    }
    said
}
