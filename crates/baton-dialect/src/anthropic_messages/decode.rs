//! Reads a request body into the model.
//!
//! The system prompt becomes the first message. Tool results stay where they are, as parts of user
//! messages. Members the model has no place for are kept raw.

use std::fmt;

use baton_model::{
    CacheControl, Message, Origin, OutputFormat, PartKind, RawJson, RawObject, Request, Role, Sampling, Tool,
    ToolChoice,
};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::content::{decode_content, missing, value};
use super::reasoning::decode_reasoning;
use super::types::{FormatIn, MetadataIn, ToolChoiceIn, ToolIn, TurnIn};
use super::{DIALECT, THREAD};
use crate::read::read;
use crate::{DecodeError, OWN_KEYS};

/// The members that have a place in the model.
const KNOWN: [&str; 15] = [
    "model",
    "messages",
    "system",
    "max_tokens",
    "temperature",
    "top_p",
    "top_k",
    "stop_sequences",
    "stream",
    "tools",
    "tool_choice",
    "thinking",
    "output_config",
    "output_format",
    "metadata",
];

/// Reads a request body.
pub(crate) fn decode_request(body: &RawObject) -> Result<Request, DecodeError> {
    let (tool_choice, parallel_tool_calls) = decode_tool_choice(body)?;
    Ok(Request {
        origin: DIALECT,
        messages: decode_messages(body)?,
        tools: decode_tools(body)?,
        tool_choice,
        parallel_tool_calls,
        output: decode_output(body)?,
        sampling: decode_sampling(body)?,
        reasoning: decode_reasoning(body)?,
        stream: member(body, "stream")?.unwrap_or(false),
        stream_usage: false,
        user: member::<MetadataIn>(body, "metadata")?.and_then(|metadata| metadata.user_id),
        extra: decode_extra(body)?,
    })
}

/// Refuses a thread: a conversation that one provider keeps, so that later requests bring only what is new.
pub(crate) fn refuse_what_is_kept(body: &RawObject) -> Result<(), DecodeError> {
    if body.get(THREAD).is_none() {
        return Ok(());
    }
    let message = "`thread` names a conversation that is kept by one provider: send the messages themselves, or name a \
                   model of that provider alone";
    Err(DecodeError::at(THREAD, message))
}

/// Reads a member of the body; `null` and absent are the same.
pub(super) fn member<'a, T: Deserialize<'a>>(
    body: &'a RawObject,
    key: &str,
) -> Result<Option<T>, DecodeError> {
    body.get(key).map(|json| read(json, format_args!("{key}"))).transpose()
}

fn required(key: &str) -> DecodeError {
    DecodeError::at(key, format!("`{key}` is required"))
}

/// Reads the messages of a body alone, the system prompt first.
pub(crate) fn decode_messages(body: &RawObject) -> Result<Vec<Message>, DecodeError> {
    let turns: Vec<&RawValue> = member(body, "messages")?.ok_or_else(|| required("messages"))?;
    if turns.is_empty() {
        return Err(DecodeError::at("messages", "`messages` must have at least one message"));
    }
    let mut messages = Vec::with_capacity(turns.len() + 1);
    if let Some(system) = member::<&RawValue>(body, "system")? {
        let parts = decode_content(system, format_args!("system"))?;
        if parts.iter().any(|part| part.kind != PartKind::Text(String::new())) {
            messages.push(Message { role: Role::System, name: None, parts });
        }
    }
    for (index, turn) in turns.into_iter().enumerate() {
        messages.push(decode_message(turn, format_args!("messages[{index}]"))?);
    }
    Ok(messages)
}

fn decode_message(raw: &RawValue, at: fmt::Arguments<'_>) -> Result<Message, DecodeError> {
    let turn: TurnIn<'_> = value(raw, at)?;
    let role = match turn.role.ok_or_else(|| missing(at, "role"))?.0.as_ref() {
        "user" => Role::User,
        "assistant" => Role::Assistant,
        "system" => Role::System,
        _ => {
            let message = format!("`{at}.role` must be `user`, `assistant` or `system`");
            return Err(DecodeError::at(format!("{at}.role"), message));
        }
    };
    let parts = match turn.content {
        Some(content) => decode_content(content, format_args!("{at}.content"))?,
        // Clients send back an answer without content as they got it.
        None if role == Role::Assistant => Vec::new(),
        None => return Err(missing(at, "content")),
    };
    Ok(Message { role, name: None, parts })
}

fn decode_tools(body: &RawObject) -> Result<Vec<Tool>, DecodeError> {
    let tools: Vec<&RawValue> = member(body, "tools")?.unwrap_or_default();
    tools
        .into_iter()
        .enumerate()
        .map(|(index, tool)| decode_tool(tool, format_args!("tools[{index}]")))
        .collect()
}

fn decode_tool(raw: &RawValue, at: fmt::Arguments<'_>) -> Result<Tool, DecodeError> {
    let tool: ToolIn<'_> = value(raw, at)?;
    match tool.r#type.as_ref().map(|kind| kind.0.as_ref()) {
        None | Some("custom") => Ok(Tool::Function {
            name: tool.name.ok_or_else(|| missing(at, "name"))?,
            description: tool.description,
            parameters: Some(tool.input_schema.ok_or_else(|| missing(at, "input_schema"))?),
            strict: tool.strict,
            cache: tool.cache_control.map(CacheControl),
        }),
        Some(kind) => Ok(Tool::Vendor {
            name: tool.name.unwrap_or_else(|| kind.to_owned()),
            raw: RawJson::from(raw.to_owned()),
            origin: Origin { dialect: DIALECT },
        }),
    }
}

fn decode_tool_choice(body: &RawObject) -> Result<(Option<ToolChoice>, Option<bool>), DecodeError> {
    let Some(choice) = member::<ToolChoiceIn<'_>>(body, "tool_choice")? else { return Ok((None, None)) };
    let at = format_args!("tool_choice");
    let tools = match choice.r#type.ok_or_else(|| missing(at, "type"))?.0.as_ref() {
        "auto" => ToolChoice::Auto,
        "any" => ToolChoice::Required,
        "none" => ToolChoice::None,
        "tool" => ToolChoice::Tool(choice.name.ok_or_else(|| missing(at, "name"))?),
        _ => {
            let message = "`tool_choice.type` must be `auto`, `any`, `tool` or `none`";
            return Err(DecodeError::at("tool_choice.type", message));
        }
    };
    Ok((Some(tools), choice.disable_parallel_tool_use.map(|disabled| !disabled)))
}

fn decode_output(body: &RawObject) -> Result<OutputFormat, DecodeError> {
    #[derive(Deserialize)]
    struct Config<'a> {
        #[serde(borrow)]
        format: Option<FormatIn<'a>>,
    }
    let config = member::<Config<'_>>(body, "output_config")?.and_then(|config| config.format);
    let (format, path) = match config {
        Some(format) => (format, "output_config.format"),
        // The name this had before it became part of the API.
        None => match member(body, "output_format")? {
            Some(format) => (format, "output_format"),
            None => return Ok(OutputFormat::Text),
        },
    };
    let at = format_args!("{path}");
    match format.r#type.ok_or_else(|| missing(at, "type"))?.0.as_ref() {
        "json_schema" => Ok(OutputFormat::JsonSchema {
            name: "output".to_owned(),
            description: None,
            schema: format.schema.ok_or_else(|| missing(at, "schema"))?,
            strict: Some(true),
        }),
        _ => Err(DecodeError::at(format!("{path}.type"), format!("`{path}.type` must be `json_schema`"))),
    }
}

fn decode_sampling(body: &RawObject) -> Result<Sampling, DecodeError> {
    Ok(Sampling {
        temperature: member(body, "temperature")?,
        top_p: member(body, "top_p")?,
        top_k: member(body, "top_k")?,
        max_output_tokens: Some(member(body, "max_tokens")?.ok_or_else(|| required("max_tokens"))?),
        stop: member(body, "stop_sequences")?.unwrap_or_default(),
        ..Sampling::default()
    })
}

fn decode_extra(body: &RawObject) -> Result<Vec<(String, RawJson)>, DecodeError> {
    body.members()
        .filter(|member| {
            member.value != b"null" && !KNOWN.contains(&member.key) && !OWN_KEYS.contains(&member.key)
        })
        .map(|member| Ok((member.key.to_owned(), read(member.value, format_args!("{}", member.key))?)))
        .collect()
}
