//! Reads a chat request the way a strict provider does.
//!
//! The types in `wire` are the format as OpenAI documents it, so a request that a real provider
//! would refuse is refused here too, with the same kind of error body.

mod wire;

use baton_model::{JsonError, RawObject};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use self::wire::{
    WireChoiceWord, WireContent, WireFormat, WireMessage, WirePart, WireStop, WireStreamOptions, WireTool,
    WireToolChoice,
};

/// A request, checked.
#[derive(Debug)]
pub(super) struct Request {
    /// The model, parameters included.
    pub(super) model: String,
    /// The conversation; never empty.
    pub(super) messages: Vec<Message>,
    /// The functions on offer.
    pub(super) tools: Vec<Function>,
    /// What may or must be called.
    pub(super) tool_choice: ToolChoice,
    /// The form of the answer.
    pub(super) format: Format,
    /// Whether to stream.
    pub(super) stream: bool,
    /// Whether the stream ends with usage.
    pub(super) include_usage: bool,
    /// The most tokens to say.
    pub(super) max_tokens: Option<u64>,
    /// What ends the answer.
    pub(super) stop: Vec<String>,
    /// How many answers.
    pub(super) choices: u32,
    /// What the input would count as.
    pub(super) input_tokens: u64,
}

/// One message.
#[derive(Debug)]
pub(super) struct Message {
    /// Who speaks.
    pub(super) role: Role,
    /// All its text, joined.
    pub(super) text: String,
    /// Its images.
    pub(super) images: Vec<Image>,
    /// The ids and names of the calls it makes.
    pub(super) calls: Vec<(String, String)>,
    /// The call it answers.
    pub(super) call_id: Option<String>,
}

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Role {
    System,
    Developer,
    User,
    Assistant,
    Tool,
    Function,
}

/// An image, as far as it can be told without decoding it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Image {
    /// In the message.
    Inline {
        /// `JPEG`, `PNG` and the like.
        format: String,
        /// How large.
        bytes: usize,
    },
    /// At an address; not looked up.
    Remote,
}

/// A function on offer.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Function {
    pub(super) name: String,
    #[serde(default)]
    pub(super) description: Option<String>,
    #[serde(default)]
    pub(super) parameters: Option<Value>,
}

/// What may or must be called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ToolChoice {
    Auto,
    None,
    Required,
    Named(String),
}

/// The form of the answer.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Format {
    Text,
    JsonObject,
    JsonSchema(Value),
}

/// A request that is answered with an error.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) message: String,
    pub(super) param: Option<String>,
    pub(super) code: Option<&'static str>,
}

impl Refusal {
    fn at(param: impl Into<String>, message: impl Into<String>) -> Self {
        Self { message: message.into(), param: Some(param.into()), code: None }
    }
}

impl From<JsonError> for Refusal {
    fn from(error: JsonError) -> Self {
        let param = match &error {
            JsonError::Member { key, .. } | JsonError::Duplicate(key) => Some(key.clone()),
            JsonError::Syntax(_)
            | JsonError::NotAnObject
            | JsonError::TooManyKeys
            | JsonError::TooDeep
            | JsonError::LoneSurrogate(_) => None,
        };
        Self { message: error.to_string(), param, code: None }
    }
}

impl Request {
    /// Reads and checks a body.
    pub(super) fn parse(body: Bytes) -> Result<Self, Refusal> {
        let body = RawObject::parse(body)?;
        let model: String = body.read("model")?.ok_or_else(|| missing("model"))?;
        let raw: Vec<&RawValue> = body.read("messages")?.ok_or_else(|| missing("messages"))?;
        if raw.is_empty() {
            return Err(Refusal::at("messages", "`messages` must have at least one message."));
        }
        let messages =
            raw.iter().enumerate().map(|(at, raw)| message(at, raw)).collect::<Result<Vec<_>, _>>()?;

        let offered: Vec<WireTool> = body.read("tools")?.unwrap_or_default();
        let any_offered = !offered.is_empty();
        let mut tools: Vec<Function> = offered
            .into_iter()
            .filter_map(|tool| match tool {
                WireTool::Function { function } => Some(function),
                WireTool::Custom {} => None,
            })
            .collect();
        let choice: Option<WireToolChoice> = body.read("tool_choice")?;
        if choice.is_some() && !any_offered {
            return Err(Refusal::at("tool_choice", "`tool_choice` is only allowed when `tools` are given."));
        }
        let tool_choice = tool_choice(choice, &mut tools)?;

        let stream = body.read("stream")?.unwrap_or(false);
        let options: Option<WireStreamOptions> = body.read("stream_options")?;
        if options.is_some() && !stream {
            return Err(Refusal::at(
                "stream_options",
                "`stream_options` is only allowed when `stream` is true.",
            ));
        }
        let max_tokens = match body.read("max_completion_tokens")? {
            Some(limit) => Some(limit),
            None => body.read("max_tokens")?,
        };
        if max_tokens == Some(0) {
            return Err(Refusal::at("max_tokens", "`max_tokens` must be at least 1."));
        }
        let choices = body.read("n")?.unwrap_or(1);
        if !(1..=128).contains(&choices) {
            return Err(Refusal::at("n", "`n` must be between 1 and 128."));
        }
        let input_tokens = input_tokens(&messages, body.get("tools").unwrap_or_default());
        Ok(Self {
            model,
            messages,
            tools,
            tool_choice,
            format: body.read::<WireFormat>("response_format")?.map_or(Format::Text, Format::from),
            stream,
            include_usage: options.and_then(|options| options.include_usage).unwrap_or(false),
            max_tokens,
            stop: body.read::<WireStop>("stop")?.map_or_else(Vec::new, WireStop::texts),
            choices,
            input_tokens,
        })
    }

    /// The last user message.
    pub(super) fn last_user(&self) -> Option<&Message> {
        self.messages.iter().rev().find(|message| message.role == Role::User)
    }

    /// The tool results that the conversation ends with: tool name, where it is known, and result.
    pub(super) fn tool_results(&self) -> Vec<(Option<&str>, &str)> {
        let mut results: Vec<_> = self
            .messages
            .iter()
            .rev()
            .take_while(|message| matches!(message.role, Role::Tool | Role::Function))
            .map(|message| (self.called_name(message.call_id.as_deref()), message.text.as_str()))
            .collect();
        results.reverse();
        results
    }

    fn called_name(&self, call_id: Option<&str>) -> Option<&str> {
        let calls = self.messages.iter().rev().flat_map(|message| &message.calls);
        calls.into_iter().find(|(id, _)| Some(id.as_str()) == call_id).map(|(_, name)| name.as_str())
    }
}

fn missing(param: &'static str) -> Refusal {
    Refusal {
        message: format!("Missing required parameter: `{param}`."),
        param: Some(param.to_owned()),
        code: Some("missing_required_parameter"),
    }
}

fn message(at: usize, raw: &RawValue) -> Result<Message, Refusal> {
    let wire: WireMessage = serde_json::from_str(raw.get()).map_err(|error| {
        Refusal::at(format!("messages[{at}]"), format!("The message is not valid: {error}."))
    })?;
    let mut text = String::new();
    let mut images = Vec::new();
    match wire.content {
        None => {}
        Some(WireContent::Text(whole)) => text = whole,
        Some(WireContent::Parts(parts)) => {
            for (part_at, part) in parts.into_iter().enumerate() {
                match part {
                    WirePart::Text { text: more } | WirePart::Refusal { refusal: more } => {
                        if !text.is_empty() {
                            text.push('\n');
                        }
                        text.push_str(&more);
                    }
                    WirePart::ImageUrl { image_url } => images.push(image(&image_url.url).ok_or_else(|| {
                        Refusal::at(
                            format!("messages[{at}].content[{part_at}].image_url.url"),
                            "The image must be at an http(s) address or in a base64 data URL of an image type.",
                        )
                    })?),
                    WirePart::InputAudio {} | WirePart::File {} => {}
                }
            }
        }
    }
    let calls = wire.tool_calls.unwrap_or_default();
    let calls = calls.into_iter().filter_map(|call| Some((call.id, call.function?.name))).collect();
    Ok(Message { role: wire.role, text, images, calls, call_id: wire.tool_call_id })
}

/// Reads the head of a data URL, and the length of the rest.
fn image(url: &str) -> Option<Image> {
    if url.starts_with("https://") || url.starts_with("http://") {
        return Some(Image::Remote);
    }
    let (head, data) = url.strip_prefix("data:image/")?.split_once(',')?;
    let (format, encoding) = head.split_once(';')?;
    let named = !format.is_empty()
        && format.chars().all(|letter| letter.is_ascii_alphanumeric() || "+-.".contains(letter));
    let padding = data.bytes().rev().take_while(|byte| *byte == b'=').count();
    (named && encoding.ends_with("base64")).then(|| Image::Inline {
        format: format.to_ascii_uppercase(),
        bytes: (data.len() * 3 / 4).saturating_sub(padding),
    })
}

/// What the client's words mean for these tools; `allowed_tools` narrows them.
fn tool_choice(choice: Option<WireToolChoice>, tools: &mut Vec<Function>) -> Result<ToolChoice, Refusal> {
    let word = match choice {
        None => WireChoiceWord::Auto,
        Some(WireToolChoice::Word(word)) => word,
        Some(WireToolChoice::Allowed { allowed_tools }) => {
            tools.retain(|tool| allowed_tools.tools.iter().any(|allowed| allowed.function.name == tool.name));
            allowed_tools.mode
        }
        Some(WireToolChoice::Named { function }) => {
            return if tools.iter().any(|tool| tool.name == function.name) {
                Ok(ToolChoice::Named(function.name))
            } else {
                Err(Refusal::at("tool_choice", "`tool_choice` names a function that is not in `tools`."))
            };
        }
    };
    match word {
        WireChoiceWord::None => Ok(ToolChoice::None),
        WireChoiceWord::Auto => Ok(ToolChoice::Auto),
        WireChoiceWord::Required if tools.is_empty() => {
            Err(Refusal::at("tool_choice", "A tool call is required, but no function is on offer."))
        }
        WireChoiceWord::Required => Ok(ToolChoice::Required),
    }
}

/// A plausible count: four bytes to a token, and what messages and images add at real providers.
fn input_tokens(messages: &[Message], tools: &[u8]) -> u64 {
    const PER_MESSAGE: usize = 4;
    const PER_IMAGE: usize = 85;
    let said: usize = messages
        .iter()
        .map(|message| message.text.len().div_ceil(4) + PER_MESSAGE + PER_IMAGE * message.images.len())
        .sum();
    u64::try_from(said + tools.len().div_ceil(4)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
