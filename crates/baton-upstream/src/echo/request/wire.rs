//! The members of a chat request as OpenAI documents them; what is not read here is not checked.

use serde::Deserialize;
use serde_json::Value;

use super::{Format, Function, Role};

#[derive(Deserialize)]
pub(super) struct WireMessage {
    pub(super) role: Role,
    #[serde(default)]
    pub(super) content: Option<WireContent>,
    #[serde(default)]
    pub(super) tool_calls: Option<Vec<WireCall>>,
    #[serde(default)]
    pub(super) tool_call_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a string or a list of content parts")]
pub(super) enum WireContent {
    Text(String),
    Parts(Vec<WirePart>),
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum WirePart {
    Text { text: String },
    Refusal { refusal: String },
    ImageUrl { image_url: WireImage },
    InputAudio {},
    File {},
}

#[derive(Deserialize)]
pub(super) struct WireImage {
    pub(super) url: String,
}

#[derive(Deserialize)]
pub(super) struct WireCall {
    pub(super) id: String,
    #[serde(default)]
    pub(super) function: Option<WireCalled>,
}

#[derive(Deserialize)]
pub(super) struct WireCalled {
    pub(super) name: String,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum WireTool {
    Function { function: Function },
    Custom {},
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected `none`, `auto`, `required` or an object that names a function")]
pub(super) enum WireToolChoice {
    Word(WireChoiceWord),
    Named { function: WireName },
    Allowed { allowed_tools: WireAllowed },
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum WireChoiceWord {
    None,
    Auto,
    Required,
}

#[derive(Deserialize)]
pub(super) struct WireName {
    pub(super) name: String,
}

#[derive(Deserialize)]
pub(super) struct WireAllowed {
    pub(super) mode: WireChoiceWord,
    pub(super) tools: Vec<WireAllowedTool>,
}

#[derive(Deserialize)]
pub(super) struct WireAllowedTool {
    pub(super) function: WireName,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum WireFormat {
    Text,
    JsonObject,
    JsonSchema { json_schema: WireSchema },
}

#[derive(Deserialize)]
pub(super) struct WireSchema {
    #[serde(default)]
    pub(super) schema: Option<Value>,
}

#[derive(Default, Deserialize)]
pub(super) struct WireStreamOptions {
    #[serde(default)]
    pub(super) include_usage: Option<bool>,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a string or a list of strings")]
pub(super) enum WireStop {
    One(String),
    Many(Vec<String>),
}

impl From<WireFormat> for Format {
    fn from(format: WireFormat) -> Self {
        match format {
            WireFormat::Text => Self::Text,
            WireFormat::JsonObject => Self::JsonObject,
            WireFormat::JsonSchema { json_schema } => {
                Self::JsonSchema(json_schema.schema.unwrap_or(Value::Bool(true)))
            }
        }
    }
}

impl WireStop {
    /// The sequences; an empty one would end every answer at once.
    pub(super) fn texts(self) -> Vec<String> {
        match self {
            Self::One(text) => vec![text],
            Self::Many(texts) => texts,
        }
        .into_iter()
        .filter(|text| !text.is_empty())
        .collect()
    }
}
