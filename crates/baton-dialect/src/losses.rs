//! What a dialect's API has no place for: the one table of what may be lost in a translation.
//!
//! An encoder can leave something out of a request only by naming a row of this table, so the decision's
//! `dropped_parameters`, the published matrix and this table cannot disagree. Rows about answers are compared with
//! what the fidelity suite finds: an undeclared loss fails it, and so does a row that nothing in it shows.
//!
//! - Start with [`Loss`] and [`Dropped`].
//! - **Invariant:** text, instructions, calls, results, usage and the reason of the end are in no row.

use baton_model::Dialect;

use Dialect::{AnthropicMessages, OpenaiChat, OpenaiResponses};
use Feature as F;

/// What a conversation may hold, as far as dialects differ in it: a row of the published matrix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the title says it")]
pub enum Feature {
    SystemText,
    LaterInstruction,
    UserText,
    SpeakerName,
    Image,
    ImageDetail,
    Document,
    Audio,
    AssistantText,
    PastRefusal,
    PastThinking,
    PastCall,
    PastVendorItem,
    Result,
    FailedResult,
    ImageInResult,
    DocumentInResult,
    CacheMark,
    Tool,
    ToolSchema,
    StrictTool,
    VendorTool,
    ToolChoice,
    ParallelCalls,
    JsonObject,
    JsonSchema,
    OutputLimit,
    Temperature,
    TopP,
    TopK,
    Stop,
    Seed,
    Penalties,
    Effort,
    ThinkingBudget,
    EndUser,
    AskedLogprobs,
    OtherMember,
    Text,
    Refusal,
    Call,
    Thinking,
    ThinkingProof,
    VendorItem,
    Citation,
    Logprobs,
    SpokenAudio,
    Finish,
    StopSequence,
    Usage,
    CachedUsage,
    ReasoningUsage,
    Fault,
}

impl Feature {
    /// What the matrix calls it.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::SystemText => "instructions",
            Self::LaterInstruction => "instructions between turns",
            Self::UserText => "text of the user",
            Self::SpeakerName => "name of a speaker",
            Self::Image => "image",
            Self::ImageDetail => "how closely to look at an image",
            Self::Document => "document",
            Self::Audio => "audio of the user",
            Self::AssistantText => "text of the assistant",
            Self::PastRefusal => "refusal in the history",
            Self::PastThinking => "thinking in the history, with its proof",
            Self::PastCall => "tool call in the history",
            Self::PastVendorItem => "work of a vendor's tool in the history",
            Self::Result => "tool result",
            Self::FailedResult => "failed tool result",
            Self::ImageInResult => "image in a tool result",
            Self::DocumentInResult => "document in a tool result",
            Self::CacheMark => "prompt-cache mark",
            Self::Tool => "tool",
            Self::ToolSchema => "schema of a tool",
            Self::StrictTool => "strict tool",
            Self::VendorTool => "tool that its vendor runs",
            Self::ToolChoice => "choice of tools",
            Self::ParallelCalls => "parallel tool calls",
            Self::JsonObject => "answer as some JSON object",
            Self::JsonSchema => "answer of a JSON schema",
            Self::OutputLimit => "limit of output",
            Self::Temperature => "temperature",
            Self::TopP => "top_p",
            Self::TopK => "top_k",
            Self::Stop => "stop sequences",
            Self::Seed => "seed",
            Self::Penalties => "penalties",
            Self::Effort => "effort of thinking",
            Self::ThinkingBudget => "budget of thinking",
            Self::EndUser => "id of the end user",
            Self::AskedLogprobs => "wish for log probabilities",
            Self::OtherMember => "other member",
            Self::Text => "text",
            Self::Refusal => "refusal",
            Self::Call => "tool call",
            Self::Thinking => "thinking",
            Self::ThinkingProof => "proof of thinking",
            Self::VendorItem => "work of a vendor's tool",
            Self::Citation => "citation",
            Self::Logprobs => "log probabilities",
            Self::SpokenAudio => "spoken answer",
            Self::Finish => "reason of the end",
            Self::StopSequence => "stop sequence that was met",
            Self::Usage => "tokens in and out",
            Self::CachedUsage => "cached tokens",
            Self::ReasoningUsage => "tokens of thinking",
            Self::Fault => "error",
        }
    }
}

/// Something that a dialect's API cannot express, and where its vendor says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loss {
    /// The dialect that has no place for it.
    pub target: Dialect,
    /// What is lost.
    pub feature: Feature,
    /// Why, in a sentence's part.
    pub why: &'static str,
    /// The page of the vendor's documentation.
    pub see: &'static str,
}

const CHAT_REQUEST: &str = "https://platform.openai.com/docs/api-reference/chat/create";
const CHAT_ANSWER: &str = "https://platform.openai.com/docs/api-reference/chat/object";
const OPENAI_CACHING: &str = "https://platform.openai.com/docs/guides/prompt-caching";
const RESPONSES_REQUEST: &str = "https://platform.openai.com/docs/api-reference/responses/create";
const RESPONSES_ANSWER: &str = "https://platform.openai.com/docs/api-reference/responses/object";
const RESPONSES_TEXTS: &str = "https://platform.openai.com/docs/guides/migrate-to-responses";
const MESSAGES_REQUEST: &str = "https://platform.claude.com/docs/en/api/messages";
const MESSAGES_THINKING: &str = "https://platform.claude.com/docs/en/build-with-claude/extended-thinking";
const MESSAGES_FORMAT: &str = "https://platform.claude.com/docs/en/build-with-claude/structured-outputs";
const MESSAGES_DOCUMENTS: &str = "https://platform.claude.com/docs/en/build-with-claude/pdf-support";
const MESSAGES_VISION: &str = "https://platform.claude.com/docs/en/build-with-claude/vision";

macro_rules! losses {
    ($($name:ident: $target:ident, $feature:ident, $why:expr, $see:expr;)*) => {
        $(pub(crate) static $name: Loss =
            Loss { target: $target, feature: F::$feature, why: $why, see: $see };)*

        /// Every row of the table.
        pub static LOSSES: &[&Loss] = &[$(&$name),*];
    };
}

losses! {
    CHAT_CACHE: OpenaiChat, CacheMark,
        "caching is automatic, and only some models take a mark", OPENAI_CACHING;
    CHAT_VENDOR_TOOL: OpenaiChat, VendorTool,
        "only the vendor whose tool it is runs it", CHAT_REQUEST;
    CHAT_CHOICE: OpenaiChat, ToolChoice,
        "the chosen tool is one that only its vendor runs", CHAT_REQUEST;
    CHAT_DOCUMENT: OpenaiChat, Document,
        "a document is taken with its bytes, not from an address", CHAT_REQUEST;
    CHAT_ANSWER_PROOF: OpenaiChat, ThinkingProof,
        "the answer has no place for encrypted thinking of Responses", CHAT_ANSWER;
    CHAT_TOP_K: OpenaiChat, TopK,
        "there is no such member", CHAT_REQUEST;
    CHAT_STOP: OpenaiChat, Stop,
        "at most four stop sequences are taken", CHAT_REQUEST;
    CHAT_THINKING: OpenaiChat, Effort,
        "thinking cannot be switched off: models that do not think refuse the word", CHAT_REQUEST;
    CHAT_PART: OpenaiChat, PastVendorItem,
        "a part that only another vendor's API has", CHAT_REQUEST;
    CHAT_PAST_THINKING: OpenaiChat, PastThinking,
        "another vendor's thinking cannot be checked; it is kept for its maker", CHAT_REQUEST;
    CHAT_MEMBER: OpenaiChat, OtherMember,
        "the API has no such member", CHAT_REQUEST;
    CHAT_ANSWER_STOP: OpenaiChat, StopSequence,
        "the answer does not say which stop sequence was met", CHAT_ANSWER;
    CHAT_ANSWER_VENDOR: OpenaiChat, VendorItem,
        "the answer has no place for the work of another vendor's tools", CHAT_ANSWER;

    RESPONSES_NAME: OpenaiResponses, SpeakerName,
        "messages have no name", RESPONSES_REQUEST;
    RESPONSES_CACHE: OpenaiResponses, CacheMark,
        "caching is automatic, and only some models take a mark", OPENAI_CACHING;
    RESPONSES_VENDOR_TOOL: OpenaiResponses, VendorTool,
        "only the vendor whose tool it is runs it", RESPONSES_REQUEST;
    RESPONSES_CHOICE: OpenaiResponses, ToolChoice,
        "the chosen tool is one that only its vendor runs", RESPONSES_REQUEST;
    RESPONSES_LIMIT: OpenaiResponses, OutputLimit,
        "limits below 16 tokens are refused", RESPONSES_REQUEST;
    RESPONSES_TOP_K: OpenaiResponses, TopK,
        "there is no such member", RESPONSES_REQUEST;
    RESPONSES_STOP: OpenaiResponses, Stop,
        "there is no such member", RESPONSES_REQUEST;
    RESPONSES_SEED: OpenaiResponses, Seed,
        "there is no such member", RESPONSES_REQUEST;
    RESPONSES_PENALTIES: OpenaiResponses, Penalties,
        "there is no such member", RESPONSES_REQUEST;
    RESPONSES_THINKING: OpenaiResponses, Effort,
        "thinking cannot be switched off: models that do not think refuse the word", RESPONSES_REQUEST;
    RESPONSES_USER: OpenaiResponses, EndUser,
        "ids of more than 64 characters are refused", RESPONSES_REQUEST;
    RESPONSES_AUDIO: OpenaiResponses, Audio,
        "audio is not taken", RESPONSES_TEXTS;
    RESPONSES_PART: OpenaiResponses, PastVendorItem,
        "a part that only another vendor's API has", RESPONSES_REQUEST;
    RESPONSES_PAST_THINKING: OpenaiResponses, PastThinking,
        "another vendor's thinking cannot be checked; it is kept for its maker", RESPONSES_REQUEST;
    RESPONSES_MEMBER: OpenaiResponses, OtherMember,
        "the API has no such member", RESPONSES_REQUEST;
    RESPONSES_ANSWER_STOP: OpenaiResponses, StopSequence,
        "the answer does not say which stop sequence was met", RESPONSES_ANSWER;
    RESPONSES_ANSWER_VENDOR: OpenaiResponses, VendorItem,
        "the answer has no place for the work of another vendor's tools", RESPONSES_ANSWER;
    RESPONSES_ANSWER_AUDIO: OpenaiResponses, SpokenAudio,
        "answers are not spoken", RESPONSES_TEXTS;

    MESSAGES_NAME: AnthropicMessages, SpeakerName,
        "messages have no name", MESSAGES_REQUEST;
    MESSAGES_CACHE: AnthropicMessages, CacheMark,
        "a mark with members of another vendor's is refused", MESSAGES_REQUEST;
    MESSAGES_DETAIL: AnthropicMessages, ImageDetail,
        "images have no such member", MESSAGES_VISION;
    MESSAGES_DOCUMENT: AnthropicMessages, Document,
        "documents are PDFs or plain text", MESSAGES_DOCUMENTS;
    MESSAGES_AUDIO: AnthropicMessages, Audio,
        "audio is not taken", MESSAGES_REQUEST;
    MESSAGES_PART: AnthropicMessages, PastVendorItem,
        "a part that only another vendor's API has", MESSAGES_REQUEST;
    MESSAGES_PAST_THINKING: AnthropicMessages, PastThinking,
        "another vendor's thinking cannot be checked; it is kept for its maker", MESSAGES_THINKING;
    MESSAGES_VENDOR_TOOL: AnthropicMessages, VendorTool,
        "only the vendor whose tool it is runs it", MESSAGES_REQUEST;
    MESSAGES_CHOICE: AnthropicMessages, ToolChoice,
        "the chosen tool is one that only its vendor runs", MESSAGES_REQUEST;
    MESSAGES_STRICT: AnthropicMessages, StrictTool,
        "a schema with open maps cannot be enforced", MESSAGES_FORMAT;
    MESSAGES_TEMPERATURE: AnthropicMessages, Temperature,
        "it goes up to 1, and not beside thinking", MESSAGES_REQUEST;
    MESSAGES_TOP_P: AnthropicMessages, TopP,
        "not beside a temperature or thinking", MESSAGES_REQUEST;
    MESSAGES_TOP_K: AnthropicMessages, TopK,
        "not beside thinking", MESSAGES_THINKING;
    MESSAGES_STOP: AnthropicMessages, Stop,
        "a stop sequence of white space is refused", MESSAGES_REQUEST;
    MESSAGES_SEED: AnthropicMessages, Seed,
        "there is no such member", MESSAGES_REQUEST;
    MESSAGES_PENALTIES: AnthropicMessages, Penalties,
        "there is no such member", MESSAGES_REQUEST;
    MESSAGES_EFFORT: AnthropicMessages, Effort,
        "not beside a forced call, a round of tools begun without thinking, or a small limit of output",
        MESSAGES_THINKING;
    MESSAGES_BUDGET: AnthropicMessages, ThinkingBudget,
        "not in a round of tools that was begun without thinking", MESSAGES_THINKING;
    MESSAGES_USER: AnthropicMessages, EndUser,
        "ids of more than 512 characters are refused", MESSAGES_REQUEST;
    MESSAGES_MEMBER: AnthropicMessages, OtherMember,
        "the API has no such member", MESSAGES_REQUEST;
    MESSAGES_LOGPROBS: AnthropicMessages, AskedLogprobs,
        "log probabilities are not told", MESSAGES_REQUEST;
    MESSAGES_ANSWER_LOGPROBS: AnthropicMessages, Logprobs,
        "the answer has no place for them", MESSAGES_REQUEST;
    MESSAGES_ANSWER_VENDOR: AnthropicMessages, VendorItem,
        "the answer has no place for the work of another vendor's tools", MESSAGES_REQUEST;
    MESSAGES_ANSWER_PROOF: AnthropicMessages, ThinkingProof,
        "only the vendor's own signatures are taken", MESSAGES_THINKING;
    MESSAGES_ANSWER_AUDIO: AnthropicMessages, SpokenAudio,
        "answers are not spoken", MESSAGES_REQUEST;
}

/// The most that is named as dropped: beyond, a longer list tells nobody more.
const MAX_NAMED: usize = 64;

/// What an encoder leaves out of a request.
#[derive(Debug, Default)]
pub(crate) struct Dropped {
    names: Vec<String>,
    losses: Vec<&'static Loss>,
}

impl Dropped {
    /// Leaves something out that the client calls by this name.
    pub(crate) fn lose(&mut self, loss: &'static Loss, name: &str) {
        if !self.losses.contains(&loss) {
            self.losses.push(loss);
        }
        if self.names.len() < MAX_NAMED && !self.names.iter().any(|known| known == name) {
            self.names.push(name.to_owned());
        }
    }

    /// The same, where this holds.
    pub(crate) fn lose_if(&mut self, lost: bool, loss: &'static Loss, name: &str) {
        if lost {
            self.lose(loss, name);
        }
    }

    /// Leaves so many parts out that no client names.
    pub(crate) fn leave_out(&mut self, parts: usize, loss: &'static Loss) {
        if parts > 0 && !self.losses.contains(&loss) {
            self.losses.push(loss);
        }
    }

    /// The client's names, and the rows of the table.
    pub(crate) fn into_parts(self) -> (Vec<String>, Vec<&'static Loss>) {
        (self.names, self.losses)
    }
}
