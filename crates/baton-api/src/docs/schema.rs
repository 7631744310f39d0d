//! Says what bodies look like, where the code that reads or writes them has no schema of its own.
//!
//! Requests are described as far as Baton reads them: every other member goes to the provider as
//! it was sent, so the schema allows it. The types of records mirror those of the crates below,
//! which know nothing of `OpenAPI`; the documentation tests hold real answers against them.
#![expect(dead_code, reason = "these types are read by their derives only")]

use serde_json::Value;
use utoipa::ToSchema;
use utoipa::openapi::schema::AnyOfBuilder;
use utoipa::openapi::{Ref, RefOr, Schema};

/// OpenAI's request for a chat completion. Members that are not listed go to the provider as they were sent.
#[derive(ToSchema)]
pub(crate) struct ChatRequest {
    model: ModelChoice,
    /// More models, tried in this order after `model` until one answers. May stand without `model`.
    models: Option<Vec<NameText>>,
    /// The same as `models`.
    fallbacks: Option<Vec<NameText>>,
    messages: ChatMessages,
    /// Whether the answer comes as server-sent events.
    stream: Option<bool>,
    stream_options: Option<StreamOptions>,
    /// The most tokens that the answer may have.
    #[schema(minimum = 1)]
    max_completion_tokens: Option<u64>,
    /// The older name of `max_completion_tokens`.
    #[schema(minimum = 1)]
    max_tokens: Option<u64>,
    /// Tools that the model may call, as OpenAI defines them.
    tools: Option<Vec<Tool>>,
    /// `none`, `auto`, `required`, or one tool.
    tool_choice: Option<Value>,
    /// The form of the answer: `text`, `json_object`, or `json_schema` with its schema.
    response_format: Option<Value>,
    /// Short texts, recorded with the decision.
    metadata: Option<Value>,
    /// Whom the answer is for, recorded with the decision.
    safety_identifier: Option<Value>,
    /// The older name of `safety_identifier`.
    user: Option<Value>,
    /// The most answers of models that this request may take.
    #[schema(minimum = 1)]
    max_turns: Option<u32>,
    /// How models of a list may hand the conversation over: `strategy` (`first`, `rules`, `attributes`, `llm`,
    /// `hybrid`), `max_handoffs`, `allow_return`, `history` (`full`, `{"last_n": 4}`, `summary`, `none`), `require_reason`,
    /// `targets` (`model`, `description`, `when`, `additional_instructions`, `settings`), `constraints` (`max_cost`,
    /// `max_latency_ms`, `capabilities`). Nothing in it is refused: what is not followed is named in the decision.
    handoff_config: Option<Value>,
    provider: Option<ProviderWishes>,
    baton: Option<OwnMembers>,
}

/// A run. Members that are not listed here are refused, but for the settings that chat has: `temperature`,
/// `response_format` and the like.
#[derive(ToSchema)]
pub(crate) struct RunRequest {
    /// What the user says: a text, or messages as chat has them.
    input: Value,
    /// A name, or a list of models that may hand the conversation to each other.
    model: Option<Value>,
    /// A configured agent by its name, or an agent of the request's own: `model`, `instruction`, `tools`,
    /// `mcp_servers` (names of the file's), and settings.
    agent: Option<Value>,
    /// A workflow of the file by its name, or one of the request's own: `sequence`, `parallel` or `consensus`.
    workflow: Option<Value>,
    /// What the answer has to be: `schema`, `cel`, or `criteria` and `judge`; and `on_failure`.
    validation: Option<Value>,
    /// Which calls of the gateway's tools need the caller's word: `tools`, and `idempotent`.
    approvals: Option<Value>,
    /// Tools of the caller's: a call of one ends the turn, and the run waits for `tool_outputs`.
    tools: Option<Vec<Tool>>,
    /// Servers of tools that the gateway runs.
    mcp_servers: Option<Value>,
    /// The policy that chooses.
    policy: Option<String>,
    /// Variables, for conditions and templates.
    context: Option<Value>,
    /// JSON Schema that `context` has to follow.
    context_schema: Option<Value>,
    #[schema(minimum = 1, maximum = 50)]
    max_turns: Option<u32>,
    #[schema(maximum = 50)]
    max_handoffs: Option<u32>,
    budget: Option<RunBudget>,
    /// `false`: the run ends where the conversation is handed over, with the status `handoff` and its `target`.
    follow_handoffs: Option<bool>,
    /// The run whose conversation goes on. Without `model` and `agent`, those who had it go on with it.
    #[schema(pattern = "^run_[0-9a-f]{32}$")]
    previous_run: Option<String>,
    /// Short texts, recorded with the decisions.
    metadata: Option<Value>,
    /// Whether the answer is the run's events.
    stream: Option<bool>,
    /// Whether the run goes on without its caller.
    background: Option<bool>,
}

/// What a run may use up.
#[derive(ToSchema)]
pub(crate) struct RunBudget {
    /// No turn is begun that could cost more than is left.
    max_cost_usd: Option<Value>,
    /// In and out. No turn is begun once they are used.
    #[schema(minimum = 1)]
    max_tokens: Option<u64>,
    #[schema(minimum = 1, maximum = 86_400)]
    max_seconds: Option<u64>,
}

/// Results of the calls that a run waits for.
#[derive(ToSchema)]
pub(crate) struct RunOutputs {
    /// One for each call: `tool_call_id`, and `output`, which is a text or any JSON. Of a call that needs a word: its
    /// `hash`, `approved`, and a `reason`.
    tool_outputs: Vec<Value>,
    /// Whether the answer is the run's further events.
    stream: Option<bool>,
}

/// A run.
#[derive(ToSchema)]
pub(crate) struct RunObject {
    #[schema(pattern = "^run_[0-9a-f]{32}$")]
    id: String,
    object: String,
    /// `queued`, `in_progress`, `requires_action`, `completed`, `handoff`, `incomplete`, `failed`, `cancelled`.
    status: String,
    /// In seconds since 1970.
    created_at: u64,
    #[schema(required = true)]
    ended_at: Option<u64>,
    /// What was said to the user: `text`, and `messages` with who said each.
    output: Option<Value>,
    /// Who took the last turn.
    ended_by: Option<Value>,
    /// What the run waits for: results of calls (`tool_outputs`), or a word of each (`approval`).
    required_action: Option<Value>,
    /// The steps of a workflow: what each said, who answered, under which decisions, at what cost, when.
    steps: Option<Vec<Value>>,
    /// Which vote counts, where the workflow is one.
    choice: Option<Value>,
    /// The answers that were not taken.
    checks: Option<Vec<Value>>,
    /// Who the conversation was handed to, with the status `handoff`.
    target: Option<String>,
    /// Why it ended early.
    incomplete_details: Option<Value>,
    /// Why it failed.
    error: Option<Value>,
    /// What went wrong on the way.
    errors: Option<Vec<Value>>,
    /// Those who took turns, in order.
    agents_used: Option<Vec<String>>,
    /// Each hand-over with its reason and its decision.
    handoffs: Option<Vec<Value>>,
    turns: Option<Vec<Value>>,
    turns_consumed: Option<u32>,
    /// What the gateway's tools were asked, and said.
    tool_results: Option<Vec<Value>>,
    usage: Option<Value>,
    /// In US dollars; `null` where the price of a turn is not known.
    cost_usd: Option<String>,
    /// The variables.
    context: Option<Value>,
    metadata: Option<Value>,
    model: Option<Value>,
    agent: Option<String>,
    workflow: Option<String>,
    background: Option<bool>,
    previous_run: Option<String>,
}

/// Events of a run, as server-sent events: `run_start`, `step_start`, `step_end`, `agent_start`, `turn_start`,
/// `text_delta`, `text_done`, `tool_call_start`, `tool_call_done`, `tool_approval_required`, `tool_result`, `turn_end`,
/// `handoff`, `agent_end`, `validation`, `requires_action`, `error`, `run_end`.
#[derive(ToSchema)]
pub(crate) struct RunEvents(String);

/// A page of runs.
#[derive(ToSchema)]
pub(crate) struct RunList {
    object: String,
    data: Vec<RunObject>,
    has_more: bool,
}

/// Anthropic's request for a message. Members that are not listed go to the provider as they were sent.
#[derive(ToSchema)]
pub(crate) struct MessagesRequest {
    model: ModelChoice,
    /// More models, tried in this order after `model` until one answers. May stand without `model`.
    models: Option<Vec<NameText>>,
    /// The same as `models`.
    fallbacks: Option<Vec<NameText>>,
    /// The most tokens that the answer may have.
    #[schema(minimum = 1)]
    max_tokens: u64,
    messages: AnthropicMessageList,
    system: Option<AnthropicText>,
    /// Whether the answer comes as server-sent events.
    stream: Option<bool>,
    /// Tools that the model may call, as Anthropic defines them.
    tools: Option<Vec<AnthropicTool>>,
    /// `auto`, `any`, `none`, or one tool.
    tool_choice: Option<Value>,
    /// `user_id` is recorded with the decision.
    metadata: Option<Value>,
    /// The most answers of models that this request may take.
    #[schema(minimum = 1)]
    max_turns: Option<u32>,
    /// How models of a list may hand the conversation over: `strategy` (`first`, `rules`, `attributes`, `llm`,
    /// `hybrid`), `max_handoffs`, `allow_return`, `history` (`full`, `{"last_n": 4}`, `summary`, `none`), `require_reason`,
    /// `targets` (`model`, `description`, `when`, `additional_instructions`, `settings`), `constraints` (`max_cost`,
    /// `max_latency_ms`, `capabilities`). Nothing in it is refused: what is not followed is named in the decision.
    handoff_config: Option<Value>,
    provider: Option<ProviderWishes>,
    baton: Option<OwnMembers>,
}

/// OpenAI's request for a response. Members that are not listed go to the provider as they were sent.
#[derive(ToSchema)]
pub(crate) struct ResponsesRequest {
    model: ModelChoice,
    /// More models, tried in this order after `model` until one answers. May stand without `model`.
    models: Option<Vec<NameText>>,
    /// The same as `models`.
    fallbacks: Option<Vec<NameText>>,
    input: ResponsesInput,
    /// What stands in front of the conversation.
    instructions: Option<String>,
    /// Whether the answer comes as server-sent events.
    stream: Option<bool>,
    /// The most tokens that the answer may have.
    #[schema(minimum = 1)]
    max_output_tokens: Option<u64>,
    /// Tools that the model may call, as OpenAI defines them for this API.
    tools: Option<Vec<ResponsesTool>>,
    /// `none`, `auto`, `required`, or one tool.
    tool_choice: Option<Value>,
    /// `format`: the form of the answer (`text`, `json_object`, or `json_schema` with its schema).
    text: Option<Value>,
    /// `effort` and `summary`.
    reasoning: Option<Value>,
    /// What else the answer should have, as `reasoning.encrypted_content`.
    include: Option<Vec<String>>,
    /// Short texts, recorded with the decision.
    metadata: Option<Value>,
    /// Whom the answer is for, recorded with the decision.
    safety_identifier: Option<Value>,
    /// The older name of `safety_identifier`.
    user: Option<Value>,
    /// The most answers of models that this request may take.
    #[schema(minimum = 1)]
    max_turns: Option<u32>,
    /// How models of a list may hand the conversation over: `strategy` (`first`, `rules`, `attributes`, `llm`,
    /// `hybrid`), `max_handoffs`, `allow_return`, `history` (`full`, `{"last_n": 4}`, `summary`, `none`), `require_reason`,
    /// `targets` (`model`, `description`, `when`, `additional_instructions`, `settings`), `constraints` (`max_cost`,
    /// `max_latency_ms`, `capabilities`). Nothing in it is refused: what is not followed is named in the decision.
    handoff_config: Option<Value>,
    provider: Option<ProviderWishes>,
    baton: Option<OwnMembers>,
}

/// One text of the user, or the items of the conversation.
#[derive(ToSchema)]
#[serde(untagged)]
pub(crate) enum ResponsesInput {
    Text(String),
    Items(ResponsesItems),
}

/// At least one item: a message, a call, a result, thinking, as OpenAI defines them.
#[derive(ToSchema)]
#[schema(min_items = 1)]
pub(crate) struct ResponsesItems(Vec<Value>);

/// A function that the model may call, or a tool of the provider's.
#[derive(ToSchema)]
pub(crate) struct ResponsesTool {
    #[serde(rename = "type")]
    kind: String,
    /// The function's name.
    name: Option<String>,
    description: Option<String>,
    /// The JSON Schema of its arguments.
    parameters: Option<Value>,
    strict: Option<bool>,
}

/// A message whose tokens are to be counted; like a message, without `max_tokens`.
#[derive(ToSchema)]
pub(crate) struct CountRequest {
    model: ModelChoice,
    /// As in a message.
    messages: Vec<Value>,
    /// As in a message.
    system: Option<Value>,
    /// Tools that count as input.
    tools: Option<Value>,
}

/// A model's name, the name with settings, or a list of either. The models of a list may hand the
/// conversation over to each other; it begins with the first.
#[derive(ToSchema)]
#[serde(untagged)]
pub(crate) enum ModelChoice {
    /// `provider/model`, an alias, or a route.
    Name(NameText),
    Settings(ModelWithSettings),
    Many(ModelSequence),
}

/// A model's name.
#[derive(ToSchema)]
#[schema(min_length = 1, pattern = r"\S")]
pub(crate) struct NameText(String);

/// Models, the first of which begins.
#[derive(ToSchema)]
#[schema(min_items = 1)]
pub(crate) struct ModelSequence(Vec<OneModel>);

/// One model of a list.
#[derive(ToSchema)]
#[serde(untagged)]
pub(crate) enum OneModel {
    Name(NameText),
    Settings(ModelWithSettings),
}

/// A model with members of the request that have another value while it answers. What is no such member is
/// named in the decision.
#[derive(ToSchema)]
pub(crate) struct ModelWithSettings {
    model: NameText,
    settings: Option<Value>,
}

/// The conversation, or one text that stands for a message of the user.
#[derive(ToSchema)]
#[serde(untagged)]
pub(crate) enum ChatMessages {
    List(ChatMessageList),
    Text(String),
}

/// At least one message.
#[derive(ToSchema)]
#[schema(min_items = 1)]
pub(crate) struct ChatMessageList(Vec<ChatMessage>);

/// One message, as OpenAI defines it for its role.
#[derive(ToSchema)]
pub(crate) struct ChatMessage {
    role: ChatRole,
    content: Option<ChatContent>,
}

#[derive(ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ChatRole {
    System,
    Developer,
    User,
    Assistant,
    Tool,
}

/// Text, or a list of parts.
#[derive(ToSchema)]
#[serde(untagged)]
pub(crate) enum ChatContent {
    Text(String),
    Parts(Vec<ChatPart>),
}

/// Text or an image. Other parts (`input_audio`, `file`) are as OpenAI defines them.
#[derive(ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum ChatPart {
    Text { text: String },
    ImageUrl { image_url: ImageUrl },
}

/// Where an image is, or the image itself as a `data:` URL.
#[derive(ToSchema)]
pub(crate) struct ImageUrl {
    #[schema(pattern = "^(https?://.|data:image/)")]
    url: String,
}

/// How a stream is to be told.
#[derive(ToSchema)]
pub(crate) struct StreamOptions {
    /// Whether the stream ends with a chunk that has the usage.
    include_usage: Option<bool>,
}

/// A function that the model may call.
#[derive(ToSchema)]
pub(crate) struct Tool {
    #[serde(rename = "type")]
    kind: ToolKind,
    function: Function,
}

#[derive(ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ToolKind {
    Function,
}

/// A function's name and the schema of its arguments.
#[derive(ToSchema)]
pub(crate) struct Function {
    name: String,
    description: Option<String>,
    /// The schema of the arguments.
    parameters: Option<Value>,
}

/// At least one message.
#[derive(ToSchema)]
#[schema(min_items = 1)]
pub(crate) struct AnthropicMessageList(Vec<AnthropicMessage>);

/// One message of the user or the model.
#[derive(ToSchema)]
pub(crate) struct AnthropicMessage {
    role: AnthropicRole,
    content: AnthropicText,
}

#[derive(ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum AnthropicRole {
    User,
    Assistant,
}

/// Text, or a list of blocks.
#[derive(ToSchema)]
#[serde(untagged)]
pub(crate) enum AnthropicText {
    Text(String),
    Blocks(Vec<AnthropicBlock>),
}

/// A block, as Anthropic defines it for its type.
#[derive(ToSchema)]
pub(crate) struct AnthropicBlock {
    /// `text`, `image`, `tool_use`, `tool_result` and others.
    #[serde(rename = "type")]
    kind: String,
}

/// A tool that the model may call.
#[derive(ToSchema)]
pub(crate) struct AnthropicTool {
    name: String,
    description: Option<String>,
    /// The schema of the arguments.
    input_schema: Value,
}

/// Wishes about providers, as `OpenRouter` defines them.
#[derive(ToSchema)]
pub(crate) struct ProviderWishes {
    /// These first, in this order.
    #[schema(required = false)]
    order: Vec<ProviderText>,
    /// No others.
    only: Option<Vec<ProviderText>>,
    /// Not these.
    #[schema(required = false)]
    ignore: Vec<ProviderText>,
    /// `false`: only the first candidate may answer.
    allow_fallbacks: Option<bool>,
    /// `true`: a target that cannot carry every parameter is refused.
    require_parameters: Option<bool>,
}

/// A provider's name.
#[derive(ToSchema)]
#[schema(pattern = "^[A-Za-z0-9._-]{1,256}$")]
pub(crate) struct ProviderText(String);

/// What a body can tell Baton itself. Never sent on.
#[derive(ToSchema)]
pub(crate) struct OwnMembers {
    /// The conversation that the request belongs to; recorded.
    session: Option<String>,
    /// Words to find it by; recorded.
    tags: Option<Vec<String>>,
    /// Whether a parameter that a target cannot carry is an error.
    strict: Option<bool>,
    /// Not followed by this version.
    policy: Option<String>,
}

/// An error as OpenAI writes it. Baton repeats the members at the top, since clients differ in where
/// they look; an error body that is passed on from a provider has what the provider wrote.
#[derive(ToSchema)]
pub(crate) struct OpenaiError {
    error: OpenaiErrorDetail,
    message: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    param: Option<String>,
    code: Option<String>,
}

/// What went wrong.
#[derive(ToSchema)]
pub(crate) struct OpenaiErrorDetail {
    /// A sentence.
    message: String,
    /// The kind of error.
    #[serde(rename = "type")]
    kind: String,
    /// The path of the member that is wrong.
    #[schema(required = true)]
    param: Option<String>,
    /// A stable word.
    #[schema(required = true)]
    code: Option<String>,
    /// What was said of each candidate, where none was eligible.
    candidates: Option<Vec<baton_audit::CandidateBody>>,
}

/// An error as Anthropic writes it.
#[derive(ToSchema)]
pub(crate) struct AnthropicError {
    /// `error`.
    #[serde(rename = "type")]
    kind: AnthropicErrorMark,
    error: AnthropicErrorDetail,
    /// The request's id, as in `request-id`.
    request_id: Option<String>,
    /// The sentence again.
    message: Option<String>,
    /// The path of the member that is wrong.
    param: Option<String>,
    /// A stable word.
    code: Option<String>,
}

#[derive(ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AnthropicErrorMark {
    Error,
}

/// What went wrong.
#[derive(ToSchema)]
pub(crate) struct AnthropicErrorDetail {
    /// The kind of error.
    #[serde(rename = "type")]
    kind: String,
    /// A sentence.
    message: String,
    /// What was said of each candidate, where none was eligible.
    candidates: Option<Vec<baton_audit::CandidateBody>>,
}

/// An error in the caller's dialect: Anthropic's if `anthropic-version` was sent, else OpenAI's.
pub(crate) struct AnyError;

impl utoipa::PartialSchema for AnyError {
    fn schema() -> RefOr<Schema> {
        let either = AnyOfBuilder::new()
            .item(Ref::from_schema_name("OpenaiError"))
            .item(Ref::from_schema_name("AnthropicError"))
            .description(Some(
                "An error in the caller's dialect: Anthropic's if `anthropic-version` was sent, else OpenAI's.",
            ));
        either.into()
    }
}

impl ToSchema for AnyError {}
