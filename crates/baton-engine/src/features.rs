//! Reads off a body what a decision needs to know, without keeping what it says.

use std::borrow::Cow;
use std::sync::LazyLock;

use baton_model::{Dialect, JsonError, RawObject};
use baton_policy::{
    Candidate, Capabilities, DeclaredTask, Features, Needs, Shape, estimate_tokens, read_task,
};
use memchr::memmem::{self, Finder};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use crate::Ask;

/// As much of the last user message as is looked at.
const TEXT_LIMIT: usize = 8 * 1024;

/// What marks messages with pictures, in one dialect and in the others. Every request is searched for them.
static IMAGES: LazyLock<[Finder<'static>; 2]> =
    LazyLock::new(|| ["\"image_url\"", "\"image\""].map(Finder::new));
/// The same in `openai_responses`.
static INPUT_IMAGE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"input_image\""));
/// What marks messages with audio.
static AUDIO: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"input_audio\""));

/// The list in which a body has the conversation, by its name in the dialect.
pub(crate) const fn list_name(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::OpenaiChat | Dialect::AnthropicMessages => "messages",
        Dialect::OpenaiResponses => "input",
    }
}

/// The conversation of a body: a list, or one text of the user.
pub(crate) fn conversation(dialect: Dialect, body: &RawObject) -> &[u8] {
    body.get(list_name(dialect)).unwrap_or_default()
}

/// What the body asks for.
///
/// # Errors
/// When a member that is read has the wrong type.
pub(crate) fn features(
    dialect: Dialect,
    body: &RawObject,
    stream: bool,
    declared: Option<DeclaredTask>,
    needs: Needs,
) -> Result<Features, JsonError> {
    let messages = conversation(dialect, body);
    let of_responses = dialect == Dialect::OpenaiResponses;
    let system = body.get(if of_responses { "instructions" } else { "system" }).unwrap_or_default();
    let tools = body.get("tools").unwrap_or_default();
    let has = |mark: &Finder<'_>| mark.find(messages).is_some();
    let limit =
        match body.read::<u64>(if of_responses { "max_output_tokens" } else { "max_completion_tokens" })? {
            None if !of_responses => body.read::<u64>("max_tokens")?,
            limit => limit,
        };
    let asks = if of_responses { Asks::of_response(body) } else { Asks::of_messages(body) };
    let mut features = Features {
        input_tokens: estimate_tokens(messages) + estimate_tokens(system) + estimate_tokens(tools),
        max_output_tokens: limit,
        tools: body
            .read::<Vec<IgnoredAny>>("tools")?
            .map_or(0, |tools| u32::try_from(tools.len()).unwrap_or(u32::MAX)),
        images: if of_responses { has(&INPUT_IMAGE) } else { IMAGES.iter().any(has) },
        audio: has(&AUDIO),
        structured_output: asks.structured_output,
        // A tool gives one answer.
        schema_by_tool: asks.structured_output && body.read::<u64>("n")?.is_none_or(|n| n < 2),
        logprobs: asks.logprobs,
        reasoning: asks.reasoning,
        stream,
        declared_task: declared,
        ..Features::default()
    };
    if needs.task {
        let (text, count) = last_user_text(messages);
        features.messages = count;
        let shape = Shape {
            tools: features.tools,
            structured_output: features.structured_output,
            images: features.images,
            messages: count,
            input_tokens: features.input_tokens,
            max_output_tokens: features.max_output_tokens,
        };
        features.task = Some(Box::new(read_task(&text, &shape)));
    }
    Ok(features)
}

/// Notes in which ways a model may be asked for less than the request does, where any of these would have to be.
///
/// # Errors
/// When a member that is read has the wrong type.
pub(crate) fn note_ways(
    features: &mut Features,
    ask: &Ask,
    candidates: &[Candidate],
) -> Result<(), JsonError> {
    let any = |lacks: &dyn Fn(&Capabilities) -> bool| {
        candidates.iter().any(|candidate| lacks(&candidate.facts.capabilities))
    };
    let asked = features.max_output_tokens.unwrap_or_default();
    features.lowers_output =
        !ask.strict && any(&|can| can.max_output_tokens.is_some_and(|most| asked > most));
    // A tool gives one answer.
    features.schema_by_tool = features.structured_output
        && any(&|can| can.structured_output == Some(false))
        && ask.body.read::<u64>("n")?.is_none_or(|n| n < 2);
    Ok(())
}

/// What a body wants of the answer.
struct Asks {
    structured_output: bool,
    logprobs: bool,
    reasoning: bool,
}

impl Asks {
    fn of_messages(body: &RawObject) -> Self {
        Self {
            structured_output: ["response_format", "output_config", "output_format"]
                .iter()
                .any(|key| has(body, key, b"json_schema")),
            logprobs: body.get("logprobs").is_some_and(|value| value == b"true"),
            reasoning: body.get("reasoning_effort").is_some_and(is_effort)
                || has(body, "thinking", b"\"enabled\""),
        }
    }

    fn of_response(body: &RawObject) -> Self {
        #[derive(Deserialize)]
        struct Reasoning<'a> {
            #[serde(borrow, default)]
            effort: Option<&'a RawValue>,
        }
        let reasoning: Option<Reasoning<'_>> =
            body.get("reasoning").and_then(|value| serde_json::from_slice(value).ok());
        Self {
            structured_output: has(body, "text", b"json_schema"),
            logprobs: has(body, "include", b"message.output_text.logprobs")
                || body.get("top_logprobs").is_some_and(|value| !matches!(value, b"0" | b"null")),
            reasoning: reasoning
                .and_then(|reasoning| reasoning.effort)
                .is_some_and(|effort| is_effort(effort.get().as_bytes())),
        }
    }
}

fn has(body: &RawObject, key: &str, word: &[u8]) -> bool {
    body.get(key).is_some_and(|value| memmem::find(value, word).is_some())
}

fn is_effort(value: &[u8]) -> bool {
    value != b"\"none\"" && value != b"null"
}

/// A message, as far as its text is sought. What has another form has no text.
#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow, default)]
    role: Cow<'a, str>,
    #[serde(borrow, default)]
    content: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Part<'a> {
    #[serde(borrow, default)]
    text: Option<Cow<'a, str>>,
}

/// The text of the last message of a user, at most its first 8 KB, and how many messages there are.
pub(crate) fn last_user_text(messages: &[u8]) -> (String, u32) {
    if messages.first() == Some(&b'"') {
        return (serde_json::from_slice::<String>(messages).map(cut).unwrap_or_default(), 1);
    }
    let messages: Vec<&RawValue> = serde_json::from_slice(messages).unwrap_or_default();
    let count = u32::try_from(messages.len()).unwrap_or(u32::MAX);
    let text = messages.iter().rev().find_map(|message| {
        let message: Message<'_> = serde_json::from_str(message.get()).ok()?;
        (message.role == "user")
            .then(|| message.content.map(text_of).unwrap_or_default())
            .filter(|text| !text.is_empty())
    });
    (text.unwrap_or_default(), count)
}

fn text_of(content: &RawValue) -> String {
    if let Ok(text) = serde_json::from_str::<Cow<'_, str>>(content.get()) {
        return cut(text.into_owned());
    }
    let parts: Vec<Part<'_>> = serde_json::from_str(content.get()).unwrap_or_default();
    let mut all = String::new();
    for text in parts.into_iter().filter_map(|part| part.text) {
        if !all.is_empty() {
            all.push('\n');
        }
        all.push_str(&text);
        if all.len() >= TEXT_LIMIT {
            break;
        }
    }
    cut(all)
}

fn cut(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(TEXT_LIMIT));
    text
}

/// A count of tokens from a count of bytes, where nothing but that is known.
pub(crate) fn estimate(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX).div_ceil(4)
}

#[cfg(test)]
mod tests;
