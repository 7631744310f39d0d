//! What comes on the wire, as far as Baton reads it. Everything is optional, because clients send `null` for any of
//! it and leave out what the reference calls required.
//!
//! - Start with [`Tag`], which tells items and parts apart.
//! - **Never here:** defaults and meaning; `decode.rs` knows those.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// A string that borrows when it has no escapes.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(transparent)]
pub(super) struct Text<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);

impl Text<'_> {
    pub(super) fn into_owned(self) -> String {
        self.0.into_owned()
    }
}

/// What tells the members of a list apart.
#[derive(Debug, Deserialize)]
pub(super) struct Tag<'a> {
    #[serde(borrow, rename = "type")]
    pub(super) kind: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) role: Option<Text<'a>>,
}

/// An item with a role: `{"type": "message", …}`, whose type may be left out.
#[derive(Debug, Deserialize)]
pub(super) struct MessageItem<'a> {
    #[serde(borrow)]
    pub(super) content: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) phase: Option<&'a RawValue>,
}

/// A call of a function.
#[derive(Debug, Deserialize)]
pub(super) struct CallItem<'a> {
    #[serde(borrow)]
    pub(super) call_id: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) id: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) name: Option<Text<'a>>,
    /// JSON in a string; some servers send the JSON itself.
    #[serde(borrow)]
    pub(super) arguments: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) namespace: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) caller: Option<&'a RawValue>,
}

impl CallItem<'_> {
    /// The arguments as JSON text; `None` where there are none.
    pub(super) fn arguments_text(&self) -> Option<String> {
        crate::openai::arguments_text(self.arguments?)
    }
}

/// The result of such a call.
#[derive(Debug, Deserialize)]
pub(super) struct ResultItem<'a> {
    #[serde(borrow)]
    pub(super) call_id: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) output: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) namespace: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) caller: Option<&'a RawValue>,
}

/// What the model thought. The summary is for people, the content is the text itself where a model shows it, and
/// the encrypted content is for its vendor.
#[derive(Debug, Deserialize)]
pub(super) struct ReasoningItem<'a> {
    #[serde(borrow)]
    pub(super) id: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) summary: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) content: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) encrypted_content: Option<Text<'a>>,
}

/// A part of content.
#[derive(Debug, Deserialize)]
pub(super) struct ContentPart<'a> {
    #[serde(borrow)]
    pub(super) text: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) refusal: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) image_url: Option<Text<'a>>,
    pub(super) detail: Option<String>,
    #[serde(borrow)]
    pub(super) annotations: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) logprobs: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) prompt_cache_breakpoint: Option<&'a RawValue>,
}

/// A file, as far as Baton knows its members: one with others is kept as it is.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FilePart {
    #[serde(rename = "type")]
    _kind: serde::de::IgnoredAny,
    pub(super) file_data: Option<String>,
    pub(super) file_url: Option<String>,
    pub(super) filename: Option<String>,
    #[serde(rename = "prompt_cache_breakpoint")]
    _mark: Option<serde::de::IgnoredAny>,
}

/// A function on offer.
#[derive(Debug, Deserialize)]
pub(super) struct FunctionTool<'a> {
    pub(super) name: Option<String>,
    pub(super) description: Option<String>,
    #[serde(borrow)]
    pub(super) parameters: Option<&'a RawValue>,
    pub(super) strict: Option<bool>,
}

/// `{"type": "function", "name": …}`, or the choice of something else.
#[derive(Debug, Deserialize)]
pub(super) struct NamedChoice {
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
    pub(super) name: Option<String>,
}

/// `text.format`.
#[derive(Debug, Deserialize)]
pub(super) struct Format<'a> {
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
    pub(super) name: Option<String>,
    pub(super) description: Option<String>,
    #[serde(borrow)]
    pub(super) schema: Option<&'a RawValue>,
    pub(super) strict: Option<bool>,
}
