//! Reads a request: the members one by one, in the order in which they stand.
//!
//! - Start with [`decode_request`].
//! - **Invariant:** a member is read into the model, is one of Baton's own, or is kept raw in `extra`.

mod messages;

use std::borrow::Cow;

use baton_model::{
    CacheControl, Dialect, Member, Message, Origin, OutputFormat, RawJson, RawObject, Reasoning, Request,
    Sampling, Tool, ToolChoice,
};
use serde_json::value::RawValue;

use super::keywords::{mend_format, mend_tools};
use super::types::{self, NamedChoice, ReasoningOptions, ResponseFormat, Tag, ToolFunction};
use crate::read::read;
use crate::{DecodeError, OWN_KEYS};

pub(crate) fn decode_request(body: &RawObject) -> Result<Request, DecodeError> {
    if body.get("messages").is_none() {
        return Err(DecodeError::at("messages", "`messages` is missing"));
    }
    let mut request = Request {
        origin: Dialect::OpenaiChat,
        messages: Vec::new(),
        tools: Vec::new(),
        tool_choice: None,
        parallel_tool_calls: None,
        output: OutputFormat::Text,
        sampling: Sampling::default(),
        reasoning: None,
        stream: false,
        stream_usage: false,
        user: None,
        extra: Vec::new(),
    };
    for member in body.members() {
        let skipped = member.key == "model" || OWN_KEYS.contains(&member.key) || member.value == b"null";
        if !skipped && !decode_member(&mut request, &member)? {
            request.extra.push((member.key.to_owned(), raw(member.value)?));
        }
    }
    // The newer limit counts, whichever stands first.
    if let Some(limit) = body.get("max_completion_tokens") {
        request.sampling.max_output_tokens = Some(read(limit, format_args!("max_completion_tokens"))?);
    }
    Ok(request)
}

/// Reads the messages of a body alone.
pub(crate) fn decode_messages(body: &RawObject) -> Result<Vec<Message>, DecodeError> {
    body.get("messages").map_or_else(|| Ok(Vec::new()), messages::decode)
}

/// Whether the member has a place in the model.
fn decode_member(request: &mut Request, member: &Member<'_>) -> Result<bool, DecodeError> {
    let Member { key, value } = *member;
    let at = format_args!("{key}");
    match key {
        "messages" => request.messages = messages::decode(value)?,
        "tools" => decode_tools(mended(value, mend_tools).as_ref(), &mut request.tools)?,
        "functions" => decode_functions(mended(value, mend_tools).as_ref(), &mut request.tools)?,
        "tool_choice" | "function_call" => match decode_choice(key, value)? {
            Some(choice) => request.tool_choice = Some(choice),
            None => return Ok(false),
        },
        "parallel_tool_calls" => request.parallel_tool_calls = Some(read(value, at)?),
        "response_format" => match decode_format(mended(value, mend_format).as_ref())? {
            Some(format) => request.output = format,
            None => return Ok(false),
        },
        "reasoning_effort" => {
            request.reasoning.get_or_insert_default().effort = Some(read(value, at)?);
        }
        "reasoning" => decode_reasoning(value, request)?,
        "stream" => request.stream = read(value, at)?,
        "stream_options" => return decode_stream_options(value, request),
        "user" => {
            if let Some(other) = request.user.replace(read(value, at)?) {
                request.extra.push(("safety_identifier".to_owned(), json(&other)?));
            }
        }
        "safety_identifier" => {
            let id: String = read(value, at)?;
            if request.user.is_some() {
                return Ok(false);
            }
            request.user = Some(id);
        }
        // What holds anyway need not be carried.
        "n" => return Ok(value == b"1"),
        "logprobs" => return Ok(value == b"false"),
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
        "top_k" => sampling.top_k = Some(read(value, at)?),
        "max_tokens" | "max_completion_tokens" => sampling.max_output_tokens = Some(read(value, at)?),
        "stop" if value.starts_with(b"\"") => sampling.stop = vec![read(value, at)?],
        "stop" => sampling.stop = read(value, at)?,
        "seed" => sampling.seed = Some(read(value, at)?),
        "frequency_penalty" => sampling.frequency_penalty = Some(read(value, at)?),
        "presence_penalty" => sampling.presence_penalty = Some(read(value, at)?),
        _ => return Ok(false),
    }
    Ok(true)
}

fn decode_tools(value: &[u8], tools: &mut Vec<Tool>) -> Result<(), DecodeError> {
    let list: Vec<&RawValue> = read(value, format_args!("tools"))?;
    for (i, definition) in list.iter().enumerate() {
        let bytes = definition.get().as_bytes();
        let tag: Tag<'_> = read(bytes, format_args!("tools[{i}]"))?;
        let kind = tag.kind.as_ref().map_or("function", |kind| kind.0.as_ref());
        if kind != "function" {
            let origin = Origin { dialect: Dialect::OpenaiChat };
            tools.push(Tool::Vendor { name: kind.to_owned(), raw: raw(bytes)?, origin });
            continue;
        }
        let tool: types::Tool<'_> = read(bytes, format_args!("tools[{i}]"))?;
        let (function, path) = match tool.function {
            Some(function) => (function, format!("tools[{i}].function")),
            None => (read(bytes, format_args!("tools[{i}]"))?, format!("tools[{i}]")),
        };
        tools.push(decode_function(function, &path, tool.cache_control)?);
    }
    Ok(())
}

fn decode_functions(value: &[u8], tools: &mut Vec<Tool>) -> Result<(), DecodeError> {
    let list: Vec<ToolFunction<'_>> = read(value, format_args!("functions"))?;
    for (i, function) in list.into_iter().enumerate() {
        tools.push(decode_function(function, &format!("functions[{i}]"), None)?);
    }
    Ok(())
}

fn decode_function(
    function: ToolFunction<'_>,
    path: &str,
    cache: Option<&RawValue>,
) -> Result<Tool, DecodeError> {
    let name = function.name.filter(|name| !name.is_empty());
    Ok(Tool::Function {
        name: name.ok_or_else(|| missing(format!("{path}.name")))?,
        description: function.description,
        parameters: function.parameters.map(keep),
        strict: function.strict,
        cache: cache.map(|mark| CacheControl(keep(mark))),
    })
}

/// `None` where the choice has a form that only this dialect knows.
fn decode_choice(key: &str, value: &[u8]) -> Result<Option<ToolChoice>, DecodeError> {
    if value.starts_with(b"\"") {
        let word: String = read(value, format_args!("{key}"))?;
        return match word.as_str() {
            "auto" => Ok(Some(ToolChoice::Auto)),
            "none" => Ok(Some(ToolChoice::None)),
            // `any` is Mistral's word.
            "required" | "any" => Ok(Some(ToolChoice::Required)),
            _ => {
                Err(DecodeError::at(key, format!("`{key}` must be `auto`, `none`, `required` or an object")))
            }
        };
    }
    let choice: NamedChoice = read(value, format_args!("{key}"))?;
    let name = choice.function.and_then(|function| function.name).or(choice.name);
    match (choice.kind.as_deref(), name) {
        (None | Some("function"), Some(name)) => Ok(Some(ToolChoice::Tool(name))),
        (None | Some("function"), None) if key == "function_call" => Err(missing(format!("{key}.name"))),
        (None | Some("function"), None) => Err(missing(format!("{key}.function.name"))),
        (Some(_), _) => Ok(None),
    }
}

/// `None` where the format is one that only this dialect knows.
fn decode_format(value: &[u8]) -> Result<Option<OutputFormat>, DecodeError> {
    let format: ResponseFormat<'_> = read(value, format_args!("response_format"))?;
    match format.kind.as_deref() {
        None => Err(missing("response_format.type".to_owned())),
        Some("text") => Ok(Some(OutputFormat::Text)),
        Some("json_object") => Ok(Some(OutputFormat::JsonObject)),
        Some("json_schema") => {
            let path = "response_format.json_schema";
            let schema = format.json_schema.ok_or_else(|| missing(path.to_owned()))?;
            Ok(Some(OutputFormat::JsonSchema {
                name: schema.name.ok_or_else(|| missing(format!("{path}.name")))?,
                description: schema.description,
                schema: schema.schema.map(keep).ok_or_else(|| missing(format!("{path}.schema")))?,
                strict: schema.strict,
            }))
        }
        Some(_) => Ok(None),
    }
}

fn decode_reasoning(value: &[u8], request: &mut Request) -> Result<(), DecodeError> {
    let options: ReasoningOptions = read(value, format_args!("reasoning"))?;
    let Reasoning { effort, budget_tokens, raw: kept } = request.reasoning.get_or_insert_default();
    if options.enabled == Some(false) {
        *effort = Some("none".to_owned());
    } else if options.effort.is_some() {
        *effort = options.effort;
    }
    *budget_tokens = options.max_tokens;
    *kept = Some(raw(value)?);
    Ok(())
}

/// Usage is asked for in any case; what else stands there is kept.
fn decode_stream_options(value: &[u8], request: &mut Request) -> Result<bool, DecodeError> {
    #[derive(serde::Deserialize)]
    struct Options {
        include_usage: Option<bool>,
    }
    let options: Options = read(value, format_args!("stream_options"))?;
    request.stream_usage = options.include_usage.unwrap_or(false);
    let members: std::collections::BTreeMap<String, serde::de::IgnoredAny> =
        read(value, format_args!("stream_options"))?;
    Ok(members.keys().all(|key| key == "include_usage"))
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
