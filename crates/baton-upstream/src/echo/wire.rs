//! The answers of a chat provider as they stand on the wire, whole and in chunks.

use serde::Serialize;

use super::answer::{Content, Finish};

/// A whole answer.
#[derive(Serialize)]
pub(super) struct Completion<'a> {
    pub(super) id: &'a str,
    pub(super) object: &'static str,
    pub(super) created: u64,
    pub(super) model: &'a str,
    pub(super) choices: Vec<Choice<'a>>,
    pub(super) usage: Usage,
    pub(super) system_fingerprint: &'static str,
}

#[derive(Serialize)]
pub(super) struct Choice<'a> {
    pub(super) index: u32,
    pub(super) message: Message<'a>,
    pub(super) logprobs: Option<()>,
    pub(super) finish_reason: Finish,
}

#[derive(Serialize)]
pub(super) struct Message<'a> {
    role: &'static str,
    content: Option<&'a str>,
    refusal: Option<()>,
    annotations: [(); 0],
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_calls: Option<[ToolCall<'a>; 1]>,
}

/// A whole call, or, with an index, the part of one that a chunk brings.
#[derive(Serialize)]
pub(super) struct ToolCall<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    function: Called<'a>,
}

#[derive(Serialize)]
struct Called<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    arguments: &'a str,
}

/// Tokens used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Usage {
    prompt_tokens: u64,
    completion_tokens: u64,
    total_tokens: u64,
    prompt_tokens_details: PromptDetails,
    completion_tokens_details: CompletionDetails,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
struct PromptDetails {
    cached_tokens: u64,
    audio_tokens: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
struct CompletionDetails {
    reasoning_tokens: u64,
    audio_tokens: u64,
    accepted_prediction_tokens: u64,
    rejected_prediction_tokens: u64,
}

/// One chunk of a stream.
#[derive(Serialize)]
pub(super) struct Chunk<'a> {
    pub(super) id: &'a str,
    pub(super) object: &'static str,
    pub(super) created: u64,
    pub(super) model: &'a str,
    pub(super) system_fingerprint: &'static str,
    pub(super) choices: &'a [ChunkChoice<'a>],
    /// Absent unless asked for; then `null` but in the last chunk.
    #[serde(skip_serializing_if = "ChunkUsage::is_absent")]
    pub(super) usage: ChunkUsage,
}

/// The usage member of a chunk.
#[derive(Clone, Copy, Serialize)]
#[serde(untagged)]
pub(super) enum ChunkUsage {
    /// Not asked for.
    Absent,
    /// Asked for, and still to come.
    Later(()),
    /// Here it is.
    Now(Usage),
}

#[derive(Serialize)]
pub(super) struct ChunkChoice<'a> {
    pub(super) index: u32,
    pub(super) delta: Delta<'a>,
    pub(super) logprobs: Option<()>,
    pub(super) finish_reason: Option<Finish>,
}

/// What a chunk adds.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Delta<'a> {
    /// The first chunk: who speaks. A call has no content, which is not the same as empty content.
    Begin { role: &'static str, content: Option<&'static str>, refusal: Option<()> },
    /// Text.
    Text { content: &'a str },
    /// The beginning of a call, or more of its arguments.
    Call { tool_calls: [ToolCall<'a>; 1] },
    /// The last chunk.
    End {},
}

impl ChunkUsage {
    const fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }
}

impl Usage {
    /// The details are all zero: nothing is cached, nothing is thought.
    pub(super) fn new(prompt_tokens: u64, completion_tokens: u64) -> Self {
        Self {
            prompt_tokens,
            completion_tokens,
            total_tokens: prompt_tokens.saturating_add(completion_tokens),
            prompt_tokens_details: PromptDetails::default(),
            completion_tokens_details: CompletionDetails::default(),
        }
    }
}

impl<'a> Message<'a> {
    pub(super) fn new(content: &'a Content, call_id: &'a str) -> Self {
        let (content, tool_calls) = match content {
            Content::Text(text) => (Some(text.as_str()), None),
            Content::Call { name, arguments } => (None, Some([ToolCall::whole(call_id, name, arguments)])),
        };
        Self { role: "assistant", content, refusal: None, annotations: [], tool_calls }
    }
}

impl<'a> ToolCall<'a> {
    const fn whole(id: &'a str, name: &'a str, arguments: &'a str) -> Self {
        let function = Called { name: Some(name), arguments };
        Self { index: None, id: Some(id), kind: Some("function"), function }
    }

    /// The first chunk of a call: only here are its id and its name.
    pub(super) const fn begin(id: &'a str, name: &'a str) -> Self {
        let function = Called { name: Some(name), arguments: "" };
        Self { index: Some(0), id: Some(id), kind: Some("function"), function }
    }

    /// More of its arguments.
    pub(super) const fn more(arguments: &'a str) -> Self {
        Self { index: Some(0), id: None, kind: None, function: Called { name: None, arguments } }
    }
}

impl Delta<'_> {
    pub(super) const fn begin(content: &Content) -> Self {
        let content = match content {
            Content::Text(_) => Some(""),
            Content::Call { .. } => None,
        };
        Self::Begin { role: "assistant", content, refusal: None }
    }
}

/// An error body.
#[derive(Serialize)]
pub(super) struct ErrorBody<'a> {
    pub(super) error: ErrorDetail<'a>,
}

#[derive(Serialize)]
pub(super) struct ErrorDetail<'a> {
    pub(super) message: &'a str,
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    pub(super) param: Option<&'a str>,
    pub(super) code: Option<&'static str>,
}

/// The model list.
#[derive(Serialize)]
pub(super) struct Models {
    pub(super) object: &'static str,
    pub(super) data: Vec<ModelEntry>,
}

#[derive(Serialize)]
pub(super) struct ModelEntry {
    pub(super) id: &'static str,
    pub(super) object: &'static str,
    pub(super) created: u64,
    pub(super) owned_by: &'static str,
}

/// JSON text. The types here have no map with keys that are not text, so it cannot fail.
pub(super) fn to_json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}
