//! Reads a request: the members one by one, in the order in which they stand.
//!
//! - Start with [`decode_request`].
//! - **Invariant:** a member is read into the model, is one of Baton's own, says nothing, or is kept raw in `extra`.
//! - **Invariant:** what inside an item or a tool has no place in the model, and changes what it means, stands in
//!   `extra` under its path, so that it is told where it is lost.

mod items;

use std::borrow::Cow;

use baton_model::{
    Dialect, Member, Message, Origin, OutputFormat, Part, RawJson, RawObject, Reasoning, Request, Role,
    Sampling, Tool, ToolChoice,
};
use memchr::memmem;
use serde::Deserialize;
use serde_json::value::RawValue;

pub(super) use items::{Item, decode_item};

use items::References;

use super::DIALECT;
use super::types::{Format, FunctionTool, NamedChoice, Tag};
use crate::openai::{mend_text, mend_tools};
use crate::read::read;
use crate::{DecodeError, OWN_KEYS};

/// How the names begin of what stands in `extra` under its path.
pub(super) const PATHS: [&str; 2] = ["input[", "tools["];

/// Before the members of `text` that have no place in the model.
pub(super) const TEXT_PREFIX: &str = "text.";

pub(crate) fn decode_request(body: &RawObject) -> Result<Request, DecodeError> {
    refuse_what_is_kept_elsewhere(body)?;
    let input = body.get("input").ok_or_else(|| missing("input".to_owned()))?;
    let mut request = Request {
        origin: Dialect::OpenaiResponses,
        messages: Vec::new(),
        tools: Vec::new(),
        tool_choice: None,
        parallel_tool_calls: None,
        output: OutputFormat::Text,
        sampling: Sampling::default(),
        reasoning: None,
        stream: false,
        stream_usage: true,
        user: None,
        extra: Vec::new(),
    };
    request.messages = items::decode(input, References::Refused, &mut request.extra)?;
    if request.messages.is_empty() {
        return Err(DecodeError::at("input", "`input` is empty"));
    }
    if let Some(instructions) = instructions(body)? {
        request.messages.insert(0, instructions);
    }
    for member in body.members() {
        let skipped = matches!(member.key, "model" | "input" | "instructions")
            || OWN_KEYS.contains(&member.key)
            || says_nothing(&member);
        if !skipped && !decode_member(&mut request, &member)? {
            request.extra.push((member.key.to_owned(), raw(member.value)?));
        }
    }
    Ok(request)
}

/// Reads the messages of a body alone, as far as they stand in it.
pub(crate) fn decode_messages(body: &RawObject) -> Result<Vec<Message>, DecodeError> {
    let mut messages: Vec<Message> = instructions(body)?.into_iter().collect();
    if let Some(input) = body.get("input") {
        messages.extend(items::decode(input, References::LeftOut, &mut Vec::new())?);
    }
    Ok(messages)
}

/// Refuses what only the provider that keeps it knows: an earlier answer, a conversation, an item.
pub(crate) fn refuse_what_is_kept(body: &RawObject) -> Result<(), DecodeError> {
    refuse_what_is_kept_elsewhere(body)?;
    let input = body.get("input").unwrap_or_default();
    if memmem::find(input, b"item_reference").is_none() || !input.starts_with(b"[") {
        return Ok(());
    }
    items::refuse_references(input)
}

/// Only the provider that keeps them knows what these stand for.
fn refuse_what_is_kept_elsewhere(body: &RawObject) -> Result<(), DecodeError> {
    let kept = [
        ("previous_response_id", "an earlier answer"),
        ("conversation", "a conversation"),
        ("prompt", "a prompt"),
    ];
    for (key, what) in kept {
        if body.get(key).is_some() {
            let message = format!(
                "`{key}` names {what} that is kept by one provider: send the items themselves, or name a model of \
                 that provider alone"
            );
            return Err(DecodeError::at(key, message));
        }
    }
    if body.get("background") == Some(b"true") {
        let message = "`background` needs a provider that keeps the answer: leave it out, or name a model of such a \
                       provider alone";
        return Err(DecodeError::at("background", message));
    }
    Ok(())
}

fn instructions(body: &RawObject) -> Result<Option<Message>, DecodeError> {
    let Some(value) = body.get("instructions") else { return Ok(None) };
    let text: String = read(value, format_args!("instructions"))?;
    Ok((!text.is_empty()).then(|| Message {
        role: Role::System,
        name: None,
        parts: vec![Part::text(text, DIALECT)],
    }))
}

/// Whether a member asks for what holds anyway, with every target.
fn says_nothing(member: &Member<'_>) -> bool {
    let Member { key, value } = *member;
    match key {
        _ if value == b"null" => true,
        "truncation" => value == b"\"disabled\"",
        "background" => value == b"false",
        "service_tier" => value == b"\"auto\"",
        "top_logprobs" => value == b"0",
        "metadata" => is_empty(value, |_| false),
        // Nothing is padded here.
        "stream_options" => {
            is_empty(value, |member| member.key == "include_obfuscation" && member.value == b"false")
        }
        "include" | "context_management" => serde_json::from_slice::<[(); 0]>(value).is_ok(),
        _ => false,
    }
}

/// Whether an object has no other members than these.
fn is_empty(object: &[u8], but: impl Fn(&Member<'_>) -> bool) -> bool {
    RawObject::parse(object.to_vec().into()).is_ok_and(|object| object.members().all(|member| but(&member)))
}

/// Whether the member has a place in the model.
fn decode_member(request: &mut Request, member: &Member<'_>) -> Result<bool, DecodeError> {
    let Member { key, value } = *member;
    let at = format_args!("{key}");
    match key {
        "tools" => decode_tools(mended(value, mend_tools).as_ref(), request)?,
        "tool_choice" => match decode_choice(value)? {
            Some(choice) => request.tool_choice = Some(choice),
            None => return Ok(false),
        },
        "parallel_tool_calls" => request.parallel_tool_calls = Some(read(value, at)?),
        "text" => decode_text(mended(value, mend_text).as_ref(), request)?,
        "reasoning" => request.reasoning = decode_reasoning(value)?,
        "stream" => request.stream = read(value, at)?,
        // Two names of one thing, the second one old. With both, each goes its own way.
        "safety_identifier" => {
            let id: String = read(value, at)?;
            if let Some(user) = request.user.replace(id) {
                request.extra.push(("user".to_owned(), json(&user)?));
            }
        }
        "user" => {
            let user: String = read(value, at)?;
            if request.user.is_some() {
                return Ok(false);
            }
            request.user = Some(user);
        }
        _ => return decode_sampling(&mut request.sampling, member),
    }
    Ok(true)
}

fn decode_sampling(sampling: &mut Sampling, member: &Member<'_>) -> Result<bool, DecodeError> {
    let Member { key, value } = *member;
    let at = format_args!("{key}");
    match key {
        "temperature" => sampling.temperature = Some(read(value, at)?),
        "top_p" => sampling.top_p = Some(read(value, at)?),
        "max_output_tokens" => sampling.max_output_tokens = Some(read(value, at)?),
        // Of Open Responses, not of OpenAI.
        "frequency_penalty" => sampling.frequency_penalty = Some(read(value, at)?),
        "presence_penalty" => sampling.presence_penalty = Some(read(value, at)?),
        _ => return Ok(false),
    }
    Ok(true)
}

fn decode_tools(value: &[u8], request: &mut Request) -> Result<(), DecodeError> {
    let list: Vec<&RawValue> = read(value, format_args!("tools"))?;
    for (i, definition) in list.iter().enumerate() {
        let bytes = definition.get().as_bytes();
        let at = format_args!("tools[{i}]");
        let tag: Tag<'_> = read(bytes, at)?;
        let kind = tag.kind.ok_or_else(|| missing(format!("tools[{i}].type")))?.into_owned();
        if kind != "function" {
            let origin = Origin { dialect: DIALECT };
            request.tools.push(Tool::Vendor { name: kind, raw: raw(bytes)?, origin });
            continue;
        }
        let function: FunctionTool<'_> = read(bytes, at)?;
        let name = function.name.filter(|name| !name.is_empty());
        request.tools.push(Tool::Function {
            name: name.ok_or_else(|| missing(format!("tools[{i}].name")))?,
            description: function.description,
            parameters: function.parameters.map(keep),
            strict: function.strict,
            cache: None,
        });
        note_others(bytes, &format!("tools[{i}]"), &mut request.extra)?;
    }
    Ok(())
}

/// Members of a function that only some models know: when it may be loaded, who may call it.
fn note_others(tool: &[u8], path: &str, extra: &mut Vec<(String, RawJson)>) -> Result<(), DecodeError> {
    let known = ["type", "name", "description", "parameters", "strict"];
    for member in RawObject::parse(tool.to_vec().into())?.members() {
        if !known.contains(&member.key) && member.value != b"null" {
            extra.push((format!("{path}.{}", member.key), raw(member.value)?));
        }
    }
    Ok(())
}

/// `None` where the choice has a form that only this dialect knows.
fn decode_choice(value: &[u8]) -> Result<Option<ToolChoice>, DecodeError> {
    let at = format_args!("tool_choice");
    if value.starts_with(b"\"") {
        let word: String = read(value, at)?;
        return match word.as_str() {
            "auto" => Ok(Some(ToolChoice::Auto)),
            "none" => Ok(Some(ToolChoice::None)),
            "required" => Ok(Some(ToolChoice::Required)),
            _ => Err(DecodeError::at(
                "tool_choice",
                "`tool_choice` must be `auto`, `none`, `required` or an object",
            )),
        };
    }
    let choice: NamedChoice = read(value, at)?;
    match (choice.kind.as_deref(), choice.name) {
        (Some("function"), Some(name)) => Ok(Some(ToolChoice::Tool(name))),
        (Some("function"), None) => Err(missing("tool_choice.name".to_owned())),
        (None, _) => Err(missing("tool_choice.type".to_owned())),
        (Some(_), _) => Ok(None),
    }
}

fn decode_text(value: &[u8], request: &mut Request) -> Result<(), DecodeError> {
    #[derive(Deserialize)]
    struct Config<'a> {
        #[serde(borrow)]
        format: Option<&'a RawValue>,
    }
    let config: Config<'_> = read(value, format_args!("text"))?;
    for member in RawObject::parse(value.to_vec().into())?.members() {
        if member.key != "format" && member.value != b"null" {
            request.extra.push((format!("{TEXT_PREFIX}{}", member.key), raw(member.value)?));
        }
    }
    let Some(format) = config.format else { return Ok(()) };
    match decode_format(format)? {
        Some(output) => request.output = output,
        None => request.extra.push((format!("{TEXT_PREFIX}format"), keep(format))),
    }
    Ok(())
}

/// `None` where the format is one that only this dialect knows.
fn decode_format(raw: &RawValue) -> Result<Option<OutputFormat>, DecodeError> {
    let path = "text.format";
    let format: Format<'_> = read(raw.get().as_bytes(), format_args!("{path}"))?;
    match format.kind.as_deref() {
        None => Err(missing(format!("{path}.type"))),
        Some("text") => Ok(Some(OutputFormat::Text)),
        Some("json_object") => Ok(Some(OutputFormat::JsonObject)),
        Some("json_schema") => Ok(Some(OutputFormat::JsonSchema {
            name: format.name.ok_or_else(|| missing(format!("{path}.name")))?,
            description: format.description,
            schema: format.schema.map(keep).ok_or_else(|| missing(format!("{path}.schema")))?,
            strict: format.strict,
        })),
        Some(_) => Ok(None),
    }
}

/// An empty object, and one of nothing but `null`, ask for nothing.
fn decode_reasoning(value: &[u8]) -> Result<Option<Reasoning>, DecodeError> {
    #[derive(Deserialize)]
    struct Options {
        effort: Option<String>,
    }
    let Options { effort } = read(value, format_args!("reasoning"))?;
    let said = RawObject::parse(value.to_vec().into())?;
    let said = said.members().filter(|member| member.value != b"null").count();
    if said == 0 {
        return Ok(None);
    }
    let plain = said == usize::from(effort.is_some());
    let raw = if plain { None } else { Some(raw(value)?) };
    Ok(Some(Reasoning { effort, budget_tokens: None, raw }))
}

/// A member with the keywords of its schemas as they are spelled.
fn mended(value: &[u8], mend: fn(&[u8]) -> Option<Vec<u8>>) -> Cow<'_, [u8]> {
    mend(value).map_or(Cow::Borrowed(value), Cow::Owned)
}

fn missing(path: String) -> DecodeError {
    let message = format!("`{path}` is missing");
    DecodeError::at(path, message)
}

fn keep(raw: &RawValue) -> RawJson {
    raw.to_owned().into()
}

fn raw(value: &[u8]) -> Result<RawJson, DecodeError> {
    Ok(RawJson::parse(String::from_utf8_lossy(value))?)
}

fn json(text: &str) -> Result<RawJson, DecodeError> {
    Ok(RawJson::of(&text)?)
}
