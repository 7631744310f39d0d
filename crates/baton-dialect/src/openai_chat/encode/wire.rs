//! The request on the wire, as it is written. `WireCall` stands in answers too.

use std::borrow::Cow;

use baton_model::{RawJson, ToolChoice};
use serde::{Serialize, Serializer};

use super::super::types::Text;

/// One message, in the order in which OpenAI's reference lists the members.
#[derive(Serialize)]
pub(super) struct WireMessage<'a> {
    pub(super) role: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<&'a str>,
    pub(super) content: Option<WireContent<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) refusal: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) reasoning_content: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) tool_calls: Vec<WireCall<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tool_call_id: Option<Cow<'a, str>>,
}

impl<'a> WireMessage<'a> {
    pub(super) const fn new(role: &'static str, content: Option<WireContent<'a>>) -> Self {
        Self {
            role,
            name: None,
            content,
            refusal: None,
            reasoning_content: None,
            tool_calls: Vec::new(),
            tool_call_id: None,
        }
    }
}

/// Text, or a list of parts.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum WireContent<'a> {
    Text(Cow<'a, str>),
    Parts(Vec<WirePart<'a>>),
}

impl WireContent<'_> {
    /// This dialect has no flag for a failed tool, so the text says it.
    pub(super) fn failed(self) -> Self {
        const MARK: &str = "[tool error]";
        match self {
            Self::Text(text) if text.is_empty() => Self::Text(Cow::Borrowed(MARK)),
            Self::Text(text) => Self::Text(Cow::Owned(format!("{MARK} {text}"))),
            Self::Parts(mut parts) => {
                parts.insert(
                    0,
                    WirePart::Text { kind: "text", text: Cow::Borrowed(MARK), cache_control: None },
                );
                Self::Parts(parts)
            }
        }
    }
}

/// A part of a message.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum WirePart<'a> {
    Text {
        #[serde(rename = "type")]
        kind: &'static str,
        text: Cow<'a, str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<&'a RawJson>,
    },
    Image {
        #[serde(rename = "type")]
        kind: &'static str,
        image_url: WireImage<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<&'a RawJson>,
    },
    File {
        #[serde(rename = "type")]
        kind: &'static str,
        file: WireFile<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<&'a RawJson>,
    },
    Other(&'a RawJson),
}

#[derive(Serialize)]
pub(super) struct WireFile<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) filename: Option<&'a str>,
    pub(super) file_data: String,
}

#[derive(Serialize)]
pub(super) struct WireImage<'a> {
    pub(super) url: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) detail: Option<&'a str>,
}

/// A call of a tool.
#[derive(Serialize)]
#[serde(untagged)]
pub(in super::super) enum WireCall<'a> {
    Function {
        id: Cow<'a, str>,
        #[serde(rename = "type")]
        kind: &'static str,
        function: WireCalled<'a>,
        #[serde(flatten)]
        attached: WireAttached<'a>,
    },
    Custom(&'a RawJson),
}

/// What the call's maker put beside it.
pub(in super::super) struct WireAttached<'a>(pub(in super::super) &'a [(String, RawJson)]);

impl Serialize for WireAttached<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, value)| (key, value)))
    }
}

#[derive(Serialize)]
pub(in super::super) struct WireCalled<'a> {
    name: &'a str,
    arguments: &'a str,
}

impl<'a> WireCall<'a> {
    pub(in super::super) fn function(
        id: Cow<'a, str>,
        name: &'a str,
        arguments: &'a str,
        attached: &'a [(String, RawJson)],
    ) -> Self {
        // Clients parse the arguments, and nothing is not JSON.
        let arguments = if arguments.is_empty() { "{}" } else { arguments };
        let function = WireCalled { name, arguments };
        Self::Function { id, kind: "function", function, attached: WireAttached(attached) }
    }

    /// `None` when the raw value is no call of a custom tool.
    pub(in super::super) fn custom(raw: &'a RawJson) -> Option<Self> {
        custom_call_id(raw).map(|_| Self::Custom(raw))
    }
}

/// The id, if the raw value is a call of a custom tool: those have their place among the calls.
pub(in super::super) fn custom_call_id(raw: &RawJson) -> Option<Cow<'_, str>> {
    #[derive(serde::Deserialize)]
    struct Call<'a> {
        #[serde(borrow)]
        id: Option<Text<'a>>,
        custom: Option<serde::de::IgnoredAny>,
    }
    let call: Call<'_> = raw.read().ok()?;
    call.custom.and(call.id).map(|id| id.0)
}

/// A tool on offer.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum WireTool<'a> {
    Function {
        #[serde(rename = "type")]
        kind: &'static str,
        function: WireFunction<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<&'a RawJson>,
    },
    Vendor(&'a RawJson),
}

#[derive(Serialize)]
pub(super) struct WireFunction<'a> {
    pub(super) name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) description: Option<&'a str>,
    pub(super) parameters: WireParameters<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) strict: Option<bool>,
}

/// OpenAI lets a function be without a schema; some compatible servers do not.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum WireParameters<'a> {
    Given(&'a RawJson),
    None {
        #[serde(rename = "type")]
        kind: &'static str,
        properties: Nothing,
    },
}

impl<'a> WireParameters<'a> {
    pub(super) fn new(schema: Option<&'a RawJson>) -> Self {
        schema.map_or(Self::None { kind: "object", properties: Nothing {} }, Self::Given)
    }
}

/// An empty object.
#[derive(Serialize)]
pub(super) struct Nothing {}

/// `tool_choice`.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum WireChoice<'a> {
    Word(&'static str),
    Tool {
        #[serde(rename = "type")]
        kind: &'static str,
        function: WireChosen<'a>,
    },
}

#[derive(Serialize)]
pub(super) struct WireChosen<'a> {
    name: &'a str,
}

impl<'a> From<&'a ToolChoice> for WireChoice<'a> {
    fn from(choice: &'a ToolChoice) -> Self {
        match choice {
            ToolChoice::Auto => Self::Word("auto"),
            ToolChoice::None => Self::Word("none"),
            ToolChoice::Required => Self::Word("required"),
            ToolChoice::Tool(name) => Self::Tool { kind: "function", function: WireChosen { name } },
        }
    }
}
