//! The shapes on the wire, as Anthropic's own libraries declare them.
//!
//! What we write is declared whole, with `null` where a strict reader wants the member and we do
//! not know it. What we read is declared loosely: only what we use, everything optional.

use std::borrow::Cow;

use baton_model::RawJson;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use crate::citations::{self, Quoted};

/// A text that borrows when it can, also inside an `Option`.
#[derive(Deserialize)]
#[serde(transparent)]
pub(super) struct Text<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);

/// A content block of a request.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Block<'r> {
    Text {
        text: Cow<'r, str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<RawJson>,
    },
    Image {
        source: Source<'r>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<RawJson>,
    },
    Document {
        source: Source<'r>,
        #[serde(skip_serializing_if = "Option::is_none")]
        title: Option<&'r str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<RawJson>,
    },
    Thinking {
        thinking: &'r str,
        signature: &'r str,
    },
    RedactedThinking {
        data: &'r str,
    },
    ToolUse {
        id: String,
        name: &'r str,
        input: Input<'r>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<RawJson>,
    },
    ToolResult {
        tool_use_id: String,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        content: Vec<Self>,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        is_error: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<RawJson>,
    },
    /// A block that only this dialect has, as it came.
    #[serde(untagged)]
    Other(RawJson),
}

/// Where an image is.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Source<'r> {
    Base64 { media_type: &'r str, data: &'r str },
    Url { url: &'r str },
    Text { media_type: &'static str, data: &'r str },
}

/// The arguments of a call: always an object.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Input<'r> {
    /// The object as the model wrote it.
    Object(&'r RawValue),
    /// JSON that is no object, kept whole.
    Json { arguments: &'r RawValue },
    /// Text that is no JSON, kept whole.
    Text { arguments: &'r str },
}

impl<'r> Input<'r> {
    /// Makes an object of what a model wrote, losing nothing.
    pub(super) fn of(arguments: &'r str) -> Self {
        let text = if arguments.trim().is_empty() { "{}" } else { arguments };
        match serde_json::from_str::<&RawValue>(text) {
            Ok(raw) if raw.get().starts_with('{') => Self::Object(raw),
            Ok(raw) => Self::Json { arguments: raw },
            Err(_) => Self::Text { arguments },
        }
    }
}

/// A content block of an answer.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum AnswerBlock<'r> {
    Text {
        citations: Citations<'r>,
        text: &'r str,
    },
    Thinking {
        signature: &'r str,
        thinking: &'r str,
    },
    RedactedThinking {
        data: &'r str,
    },
    ToolUse {
        caller: Caller,
        id: &'r str,
        input: Input<'r>,
        name: &'r str,
    },
    /// A block that only this dialect has, as it came.
    #[serde(untagged)]
    Other(&'r RawJson),
}

/// Where a text has it from.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Citations<'r> {
    None([(); 0]),
    /// As this dialect's own vendor told them.
    Own(&'r RawJson),
    /// Of another vendor.
    Others(Vec<Quoted>),
}

impl<'r> Citations<'r> {
    pub(super) const NONE: Self = Self::None([]);

    /// Those that stand beside a text.
    pub(super) fn of(beside: &'r [(String, RawJson)], text: &str) -> Self {
        if let Some((_, own)) = beside.iter().find(|(key, _)| key == citations::CITATIONS) {
            return Self::Own(own);
        }
        let quoted = citations::quoted(beside, text);
        if quoted.is_empty() { Self::NONE } else { Self::Others(quoted) }
    }
}

/// Who calls a tool: always the model itself, since we offer no code that calls tools.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Caller {
    Direct {},
}

/// A whole answer, or with no content the one that begins a stream.
#[derive(Serialize)]
pub(super) struct MessageOut<'r> {
    pub(super) id: &'r str,
    pub(super) r#type: &'static str,
    pub(super) role: &'static str,
    pub(super) model: &'r str,
    pub(super) content: Vec<AnswerBlock<'r>>,
    #[serde(flatten)]
    pub(super) stop: StopOut<'r>,
    pub(super) usage: UsageOut,
}

/// Why an answer ended: members of a whole answer, or of the last delta of a stream.
#[derive(Serialize, Default)]
pub(super) struct StopOut<'r> {
    pub(super) stop_reason: Option<&'static str>,
    pub(super) stop_sequence: Option<&'r str>,
    pub(super) stop_details: Option<StopDetails<'r>>,
    pub(super) container: (),
}

/// What a refusal says about itself.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum StopDetails<'r> {
    /// Of another vendor, whose words are text.
    Refusal { category: (), explanation: () },
    /// As this dialect's own vendor told it.
    #[serde(untagged)]
    Own(&'r RawJson),
}

/// Beside a refusal that this dialect's own vendor explains: all that it says of it.
pub(super) const STOP_DETAILS: &str = "stop_details";

/// Tokens as this dialect counts them: cached ones are not part of `input_tokens`.
#[derive(Serialize, Default)]
pub(super) struct UsageOut {
    pub(super) input_tokens: u64,
    pub(super) cache_creation_input_tokens: u64,
    pub(super) cache_read_input_tokens: u64,
    pub(super) cache_creation: (),
    pub(super) output_tokens: u64,
    pub(super) output_tokens_details: Option<OutputDetails>,
    pub(super) server_tool_use: (),
    pub(super) service_tier: (),
    pub(super) inference_geo: (),
}

/// What output tokens were spent on.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, Default)]
pub(super) struct OutputDetails {
    pub(super) thinking_tokens: Option<u64>,
}

/// Usage as read, whole or in parts.
#[derive(Deserialize, Clone, Copy, Debug, Default)]
pub(super) struct UsageIn {
    pub(super) input_tokens: Option<u64>,
    pub(super) cache_creation_input_tokens: Option<u64>,
    pub(super) cache_creation: Option<CacheCreation>,
    pub(super) cache_read_input_tokens: Option<u64>,
    pub(super) output_tokens: Option<u64>,
    pub(super) output_tokens_details: Option<OutputDetails>,
}

/// What was written to the cache, by how long it is kept.
#[derive(Deserialize, Clone, Copy, Debug, Default)]
pub(super) struct CacheCreation {
    pub(super) ephemeral_1h_input_tokens: Option<u64>,
}

/// A message of a request as read.
#[derive(Deserialize)]
pub(super) struct TurnIn<'a> {
    #[serde(borrow)]
    pub(super) role: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) content: Option<&'a RawValue>,
}

/// A content block as read, of a request or an answer: the members of all the kinds we know.
#[derive(Deserialize)]
pub(super) struct BlockIn<'a> {
    #[serde(borrow)]
    pub(super) r#type: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) text: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) source: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) id: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) name: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) input: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) tool_use_id: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) content: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) is_error: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) thinking: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) signature: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) citations: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) data: Option<&'a RawValue>,
    pub(super) cache_control: Option<RawJson>,
}

/// Where an image is, as read.
#[derive(Deserialize)]
pub(super) struct SourceIn<'a> {
    #[serde(borrow)]
    pub(super) r#type: Option<Text<'a>>,
    pub(super) media_type: Option<String>,
    pub(super) data: Option<String>,
    pub(super) url: Option<String>,
}

/// A document as read: one with other members is kept as it is.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DocumentIn {
    #[serde(rename = "type")]
    _kind: serde::de::IgnoredAny,
    pub(super) source: DocumentSourceIn,
    pub(super) title: Option<String>,
    #[serde(rename = "cache_control")]
    _cache_control: Option<serde::de::IgnoredAny>,
}

/// Where a document is, as read.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum DocumentSourceIn {
    Base64 {
        media_type: String,
        data: String,
    },
    Url {
        url: String,
    },
    Text {
        #[serde(rename = "media_type")]
        _media_type: serde::de::IgnoredAny,
        data: String,
    },
}

/// A tool as read.
#[derive(Deserialize)]
pub(super) struct ToolIn<'a> {
    #[serde(borrow)]
    pub(super) r#type: Option<Text<'a>>,
    pub(super) name: Option<String>,
    pub(super) description: Option<String>,
    pub(super) input_schema: Option<RawJson>,
    pub(super) strict: Option<bool>,
    pub(super) cache_control: Option<RawJson>,
}

/// The choice of tools as read.
#[derive(Deserialize)]
pub(super) struct ToolChoiceIn<'a> {
    #[serde(borrow)]
    pub(super) r#type: Option<Text<'a>>,
    pub(super) name: Option<String>,
    pub(super) disable_parallel_tool_use: Option<bool>,
}

/// Whose request it is, as read.
#[derive(Deserialize)]
pub(super) struct MetadataIn {
    pub(super) user_id: Option<String>,
}

/// The form of the output, as read.
#[derive(Deserialize)]
pub(super) struct FormatIn<'a> {
    #[serde(borrow)]
    pub(super) r#type: Option<Text<'a>>,
    pub(super) schema: Option<RawJson>,
}

/// A whole answer as read, or the message that begins a stream, or an error in their place.
#[derive(Deserialize)]
pub(super) struct MessageIn<'a> {
    #[serde(borrow)]
    pub(super) id: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) model: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) content: Option<Vec<&'a RawValue>>,
    #[serde(borrow)]
    pub(super) stop_reason: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) stop_sequence: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) stop_details: Option<StopDetailsIn<'a>>,
    pub(super) usage: Option<UsageIn>,
}

/// What is known of a refusal, as read: the words, and all of it.
pub(super) struct StopDetailsIn<'a> {
    pub(super) explanation: Option<Text<'a>>,
    pub(super) whole: &'a RawValue,
}

impl<'de: 'a, 'a> Deserialize<'de> for StopDetailsIn<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Words<'a> {
            #[serde(borrow)]
            explanation: Option<Text<'a>>,
        }
        let whole = <&RawValue>::deserialize(deserializer)?;
        let Words { explanation } = serde_json::from_str(whole.get()).map_err(D::Error::custom)?;
        Ok(Self { explanation, whole })
    }
}

impl StopDetailsIn<'_> {
    /// The refusal, and what stands beside it.
    pub(super) fn refusal(&self) -> Option<(String, (String, RawJson))> {
        let text = self.explanation.as_ref()?.0.clone().into_owned();
        Some((text, (STOP_DETAILS.to_owned(), self.whole.to_owned().into())))
    }
}

/// The kinds of event.
#[derive(Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(super) enum EventKind {
    MessageStart,
    ContentBlockStart,
    ContentBlockDelta,
    ContentBlockStop,
    MessageDelta,
    MessageStop,
    Error,
    /// `ping`, and what is still to be invented.
    #[default]
    #[serde(other)]
    Other,
}

/// An event of a stream as read: the members of all kinds.
#[derive(Deserialize, Default)]
pub(super) struct EventIn<'a> {
    pub(super) r#type: Option<EventKind>,
    pub(super) index: Option<u64>,
    #[serde(borrow)]
    pub(super) message: Option<MessageIn<'a>>,
    #[serde(borrow)]
    pub(super) content_block: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) delta: Option<DeltaIn<'a>>,
    pub(super) usage: Option<UsageIn>,
}

/// The delta of a block or of the message, as read.
#[derive(Deserialize)]
pub(super) struct DeltaIn<'a> {
    #[serde(borrow)]
    pub(super) r#type: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) text: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) partial_json: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) thinking: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) signature: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) citation: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) stop_reason: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) stop_sequence: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) stop_details: Option<StopDetailsIn<'a>>,
}
