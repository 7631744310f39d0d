//! A request in no dialect: what every dialect decodes to and encodes from.
//!
//! A field that only one dialect has is kept raw in `extra` with its key: encoded again when the
//! target speaks the dialect it came from, reported as dropped when it does not.

use serde::{Deserialize, Serialize};

use crate::{Dialect, ProviderName, RawJson};

/// One request to a model.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// The dialect it was decoded from.
    pub origin: Dialect,
    /// System, developer, user, assistant and tool messages, in order.
    pub messages: Vec<Message>,
    /// The tools on offer.
    pub tools: Vec<Tool>,
    /// Which of them the model may, must or must not call.
    pub tool_choice: Option<ToolChoice>,
    /// Whether several calls may stand in one answer.
    pub parallel_tool_calls: Option<bool>,
    /// The form the answer must have.
    pub output: OutputFormat,
    /// How the answer is drawn.
    pub sampling: Sampling,
    /// How much the model may think first.
    pub reasoning: Option<Reasoning>,
    /// Whether the client wants the answer in pieces.
    pub stream: bool,
    /// Whether the client asked for usage on the stream (only `openai_chat` asks).
    pub stream_usage: bool,
    /// The end user's id as the client gave it (`user`, `safety_identifier`, `metadata.user_id`).
    pub user: Option<String>,
    /// Members that have no place above, raw, in order.
    pub extra: Vec<(String, RawJson)>,
}

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The operator's instruction.
    System,
    /// The developer's instruction; below the system's where a dialect tells them apart.
    Developer,
    /// The user.
    User,
    /// The model.
    Assistant,
    /// The result of a tool, in dialects where it is a message of its own.
    Tool,
}

/// One message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// The speaker's name, where the dialect has one.
    pub name: Option<String>,
    /// What is said, in order. May be empty.
    pub parts: Vec<Part>,
}

/// A piece of a message, with where it came from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// What it is.
    pub kind: PartKind,
    /// Which dialect made it; a signature is only valid where it was made.
    pub origin: Origin,
    /// A prompt-cache mark set on this part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<CacheControl>,
    /// What its maker put beside it, which only its maker can read: a thought signature, say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attached: Option<Box<Attached>>,
}

/// Members of a part that belong to whoever made it. They go back there and nowhere else.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Attached {
    /// The provider it came from, where that is known: a client's history does not say it.
    pub maker: Option<ProviderName>,
    /// The members, raw, in order.
    pub members: Vec<(String, RawJson)>,
}

/// Where a part came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Origin {
    /// The dialect it was read from.
    pub dialect: Dialect,
}

/// A prompt-cache mark, raw: its members differ by vendor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CacheControl(pub RawJson);

/// The kinds of part.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PartKind {
    /// Plain text.
    Text(String),
    /// A picture.
    Image {
        /// Where its bytes are.
        source: ImageSource,
        /// How closely to look (`low`, `high`, `auto`), where the dialect has it.
        detail: Option<String>,
    },
    /// A document, to be read by the model.
    Document {
        /// Where its bytes are.
        source: DocumentSource,
        /// Its file name or title.
        name: Option<String>,
    },
    /// The model's thinking.
    Reasoning {
        /// The readable text, possibly empty.
        text: String,
        /// The vendor's proof of it, only valid at its origin.
        signature: Option<String>,
    },
    /// Thinking that only its vendor can read.
    RedactedReasoning {
        /// The sealed bytes, as the vendor encoded them.
        data: String,
    },
    /// A call of a tool.
    ToolCall {
        /// The call's id in the conversation.
        id: String,
        /// The tool.
        name: String,
        /// The arguments: JSON text as the model wrote it, valid or not.
        arguments: String,
    },
    /// The result of a tool call.
    ToolResult {
        /// Which call it answers.
        call_id: String,
        /// The result: text and images.
        parts: Vec<Part>,
        /// Whether the tool failed.
        is_error: bool,
    },
    /// The model's refusal, where the dialect tells it from text.
    Refusal(String),
    /// Anything else (audio, server tools, what a vendor keeps), raw; only its origin can carry it.
    Other(RawJson),
}

/// Where the bytes of an image are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImageSource {
    /// At an address.
    Url(String),
    /// In the message, base64.
    Base64 {
        /// `image/png` and the like.
        media_type: String,
        /// The bytes, base64.
        data: String,
    },
}

/// Where the bytes of a document are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DocumentSource {
    /// At an address.
    Url(String),
    /// In the message, base64.
    Base64 {
        /// `application/pdf` and the like.
        media_type: String,
        /// The bytes, base64.
        data: String,
    },
    /// In the message, as plain text.
    Text(String),
}

/// A tool on offer.
#[derive(Clone, Debug, PartialEq)]
pub enum Tool {
    /// A function of the client's.
    Function {
        /// Its name.
        name: String,
        /// What it does, for the model.
        description: Option<String>,
        /// JSON schema of its arguments; `None` where the client gave none.
        parameters: Option<RawJson>,
        /// Whether the arguments must follow the schema to the letter.
        strict: Option<bool>,
        /// A prompt-cache mark.
        cache: Option<CacheControl>,
    },
    /// A tool the vendor runs itself, raw: only its origin has it.
    Vendor {
        /// Its name or type, for messages to people.
        name: String,
        /// Its definition.
        raw: RawJson,
        /// Where it came from.
        origin: Origin,
    },
}

/// Which tools the model may, must or must not call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToolChoice {
    /// As the model likes.
    Auto,
    /// None.
    None,
    /// At least one.
    Required,
    /// This one.
    Tool(String),
}

/// The form the answer must have.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum OutputFormat {
    /// Free text.
    #[default]
    Text,
    /// Some JSON object.
    JsonObject,
    /// JSON of this schema.
    JsonSchema {
        /// The schema's name.
        name: String,
        /// What it is for.
        description: Option<String>,
        /// The schema.
        schema: RawJson,
        /// Whether it must be followed to the letter.
        strict: Option<bool>,
    },
}

/// How the answer is drawn.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sampling {
    /// Randomness.
    pub temperature: Option<f64>,
    /// Nucleus.
    pub top_p: Option<f64>,
    /// Only the k likeliest tokens.
    pub top_k: Option<u64>,
    /// The most tokens to produce.
    pub max_output_tokens: Option<u64>,
    /// Texts that end the answer.
    pub stop: Vec<String>,
    /// For a repeatable draw.
    pub seed: Option<i64>,
    /// Penalty on frequent tokens.
    pub frequency_penalty: Option<f64>,
    /// Penalty on tokens already there.
    pub presence_penalty: Option<f64>,
}

/// How much the model may think first. A dialect fills what it has; the other is derived.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reasoning {
    /// `none`, `minimal`, `low`, `medium`, `high`, `xhigh`.
    pub effort: Option<String>,
    /// A limit in tokens.
    pub budget_tokens: Option<u64>,
    /// The dialect's own form, raw, where the two above do not say it all (`thinking.type: adaptive`).
    pub raw: Option<RawJson>,
}

impl Part {
    /// A part read from a dialect, without a cache mark.
    #[must_use]
    pub const fn new(kind: PartKind, dialect: Dialect) -> Self {
        Self { kind, origin: Origin { dialect }, cache: None, attached: None }
    }

    /// The same part with these members beside it; none is none.
    #[must_use]
    pub fn with(mut self, members: Vec<(String, RawJson)>) -> Self {
        self.attached = (!members.is_empty()).then(|| Box::new(Attached { maker: None, members }));
        self
    }

    /// The members that its maker put beside it.
    #[must_use]
    pub fn attached(&self) -> &[(String, RawJson)] {
        self.attached.as_ref().map_or(&[], |attached| &attached.members)
    }

    /// A text part.
    pub fn text(text: impl Into<String>, dialect: Dialect) -> Self {
        Self::new(PartKind::Text(text.into()), dialect)
    }
}
