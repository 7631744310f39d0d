//! The request on the wire, as far as Baton reads it. Everything is optional, because clients send
//! `null` for any of it and leave out what the reference calls required.
//!
//! - Start with [`Message`].
//! - **Never here:** defaults and meaning; `decode.rs` knows those.

use std::borrow::Cow;
use std::fmt;

use baton_model::RawJson;
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

/// A string that borrows when it has no escapes.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(transparent)]
pub(super) struct Text<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);

/// One message of a request.
#[derive(Debug, Deserialize)]
pub(super) struct Message<'a> {
    pub(super) role: Option<String>,
    pub(super) name: Option<String>,
    #[serde(borrow)]
    pub(super) content: Option<Content<'a>>,
    pub(super) refusal: Option<String>,
    pub(super) reasoning_content: Option<String>,
    pub(super) reasoning: Option<String>,
    #[serde(borrow)]
    pub(super) reasoning_details: Option<Vec<&'a RawValue>>,
    #[serde(borrow)]
    pub(super) tool_calls: Option<Vec<&'a RawValue>>,
    pub(super) tool_call_id: Option<String>,
    #[serde(borrow)]
    pub(super) function_call: Option<Function<'a>>,
}

/// Content is text or a list of parts. Parts stay raw until their type is known.
#[derive(Debug)]
pub(super) enum Content<'a> {
    Text(String),
    Parts(Vec<&'a RawValue>),
}

impl<'de: 'a, 'a> Deserialize<'de> for Content<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ContentVisitor)
    }
}

struct ContentVisitor;

impl<'de> Visitor<'de> for ContentVisitor {
    type Value = Content<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text or a list of parts")
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Content::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Self::Value, E> {
        Ok(Content::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut parts = Vec::new();
        while let Some(part) = list.next_element()? {
            parts.push(part);
        }
        Ok(Content::Parts(parts))
    }
}

/// What tells the members of a list apart.
#[derive(Debug, Deserialize)]
pub(super) struct Tag<'a> {
    #[serde(borrow, rename = "type")]
    pub(super) kind: Option<Text<'a>>,
}

/// A text or refusal part.
#[derive(Debug, Deserialize)]
pub(super) struct TextPart<'a> {
    pub(super) text: Option<String>,
    pub(super) refusal: Option<String>,
    #[serde(borrow)]
    pub(super) cache_control: Option<&'a RawValue>,
}

/// An image part.
#[derive(Debug, Deserialize)]
pub(super) struct ImagePart<'a> {
    #[serde(borrow)]
    pub(super) image_url: Option<ImageUrl<'a>>,
    #[serde(borrow)]
    pub(super) cache_control: Option<&'a RawValue>,
}

/// A file part, as far as Baton knows its members: one with others is kept as it is.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FilePart<'a> {
    #[serde(rename = "type")]
    _kind: serde::de::IgnoredAny,
    pub(super) file: File,
    #[serde(borrow)]
    pub(super) cache_control: Option<&'a RawValue>,
}

/// The file of such a part.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) file_data: Option<String>,
    pub(super) filename: Option<String>,
}

/// `{"url": …}`, or the address alone, which some clients send.
#[derive(Debug)]
pub(super) struct ImageUrl<'a> {
    pub(super) url: Option<Text<'a>>,
    pub(super) detail: Option<String>,
}

impl<'de: 'a, 'a> Deserialize<'de> for ImageUrl<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Object<'a> {
            #[serde(borrow)]
            url: Option<Text<'a>>,
            detail: Option<String>,
        }

        struct ImageUrlVisitor;

        impl<'de> Visitor<'de> for ImageUrlVisitor {
            type Value = ImageUrl<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with `url`")
            }

            fn visit_str<E>(self, url: &str) -> Result<Self::Value, E> {
                Ok(ImageUrl { url: Some(Text(Cow::Owned(url.to_owned()))), detail: None })
            }

            fn visit_borrowed_str<E>(self, url: &'de str) -> Result<Self::Value, E> {
                Ok(ImageUrl { url: Some(Text(Cow::Borrowed(url))), detail: None })
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                let object = Object::deserialize(serde::de::value::MapAccessDeserializer::new(map))?;
                Ok(ImageUrl { url: object.url, detail: object.detail })
            }
        }

        deserializer.deserialize_any(ImageUrlVisitor)
    }
}

/// A call of a tool, in a message or in a chunk.
#[derive(Debug, Deserialize)]
pub(super) struct ToolCall<'a> {
    pub(super) index: Option<u64>,
    pub(super) id: Option<String>,
    #[serde(borrow, rename = "type")]
    pub(super) kind: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) function: Option<Function<'a>>,
    pub(super) custom: Option<CustomPiece>,
    #[serde(borrow)]
    extra_content: Option<&'a RawValue>,
    #[serde(borrow)]
    thought_signature: Option<&'a RawValue>,
}

/// A piece of a call with free text.
#[derive(Debug, Deserialize)]
pub(super) struct CustomPiece {
    pub(super) name: Option<String>,
    pub(super) input: Option<String>,
}

/// The members that makers are known to put beside a call, and that only they read: Google's models
/// want their signatures back, by either name.
/// <https://ai.google.dev/gemini-api/docs/thought-signatures>
pub(super) const ATTACHED: [&str; 2] = ["extra_content", "thought_signature"];

impl ToolCall<'_> {
    /// What the call's maker put beside it.
    pub(super) fn attached(&self) -> Vec<(String, RawJson)> {
        let [extra, signature] = ATTACHED;
        let members = [(extra, self.extra_content), (signature, self.thought_signature)];
        members.into_iter().filter_map(|(key, raw)| Some((key.to_owned(), raw?.to_owned().into()))).collect()
    }
}

/// The function of a call. Arguments are JSON in a string; some upstreams send the JSON itself.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Function<'a> {
    pub(super) name: Option<String>,
    #[serde(borrow)]
    pub(super) arguments: Option<&'a RawValue>,
}

impl Function<'_> {
    /// The arguments as JSON text; `None` where there are none.
    pub(super) fn arguments_text(&self) -> Option<String> {
        crate::openai::arguments_text(self.arguments?)
    }
}

/// A tool on offer: nested under `function`, or flat as the Responses format has it.
#[derive(Debug, Deserialize)]
pub(super) struct Tool<'a> {
    #[serde(borrow)]
    pub(super) function: Option<ToolFunction<'a>>,
    #[serde(borrow)]
    pub(super) cache_control: Option<&'a RawValue>,
}

/// The definition of a function.
#[derive(Debug, Deserialize)]
pub(super) struct ToolFunction<'a> {
    pub(super) name: Option<String>,
    pub(super) description: Option<String>,
    #[serde(borrow)]
    pub(super) parameters: Option<&'a RawValue>,
    pub(super) strict: Option<bool>,
}

/// `{"type": "function", "function": {"name": …}}`, or `{"name": …}` of the old form.
#[derive(Debug, Deserialize)]
pub(super) struct NamedChoice {
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
    pub(super) function: Option<ChosenFunction>,
    pub(super) name: Option<String>,
}

/// The function a choice names.
#[derive(Debug, Deserialize)]
pub(super) struct ChosenFunction {
    pub(super) name: Option<String>,
}

/// `response_format`.
#[derive(Debug, Deserialize)]
pub(super) struct ResponseFormat<'a> {
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
    #[serde(borrow)]
    pub(super) json_schema: Option<JsonSchema<'a>>,
}

/// `response_format.json_schema`.
#[derive(Debug, Deserialize)]
pub(super) struct JsonSchema<'a> {
    pub(super) name: Option<String>,
    pub(super) description: Option<String>,
    #[serde(borrow)]
    pub(super) schema: Option<&'a RawValue>,
    pub(super) strict: Option<bool>,
}

/// One entry of `reasoning_details`, a form that OpenRouter brought and others took over.
#[derive(Debug, Deserialize)]
pub(super) struct ReasoningDetail {
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
    pub(super) text: Option<String>,
    pub(super) summary: Option<String>,
    pub(super) signature: Option<String>,
    pub(super) data: Option<String>,
    pub(super) format: Option<String>,
}

/// `reasoning`, as OpenRouter has it beside `reasoning_effort`.
#[derive(Debug, Deserialize)]
pub(super) struct ReasoningOptions {
    pub(super) effort: Option<String>,
    pub(super) max_tokens: Option<u64>,
    pub(super) enabled: Option<bool>,
}
