//! Reads a request body as OpenAI's reference of the Responses API allows it, and refuses everything else.
//!
//! - **Invariant:** a request that is read here is one that the vendor accepts.

use serde_json::{Map, Value};

use super::SEAL;
use crate::fake::model::{Ask, Choice, Shape, Tool};
use crate::fake::openai::{effort, metadata, strict_schema};
use crate::fake::shape::{
    Members, Misfit, Read, boolean, each, filled, integer, name, number, object, one_of, string,
};

/// The least output that can be asked for.
const LEAST_TOKENS: i64 = 16;

/// What can be asked for beside the answer.
const INCLUDE: [&str; 8] = [
    "code_interpreter_call.outputs",
    "computer_call_output.output.image_url",
    "file_search_call.results",
    "message.input_image.image_url",
    "message.output_text.logprobs",
    "reasoning.encrypted_content",
    "web_search_call.action.sources",
    "web_search_call.results",
];

/// Tools of the vendor's own.
const VENDOR_TOOLS: [&str; 12] = [
    "apply_patch",
    "code_interpreter",
    "computer_use_preview",
    "custom",
    "file_search",
    "image_generation",
    "local_shell",
    "mcp",
    "namespace",
    "shell",
    "tool_search",
    "web_search",
];

/// Members that an answer repeats, and what they are where nothing was asked.
const ECHO: [(&str, &str); 22] = [
    ("background", "false"),
    ("frequency_penalty", "0.0"),
    ("instructions", "null"),
    ("max_output_tokens", "null"),
    ("max_tool_calls", "null"),
    ("metadata", "{}"),
    ("parallel_tool_calls", "true"),
    ("presence_penalty", "0.0"),
    ("previous_response_id", "null"),
    ("prompt_cache_key", "null"),
    ("prompt_cache_retention", "null"),
    ("reasoning", r#"{"effort":null,"summary":null}"#),
    ("safety_identifier", "null"),
    ("service_tier", "\"default\""),
    ("store", "true"),
    ("temperature", "1.0"),
    ("text", r#"{"format":{"type":"text"}}"#),
    ("tool_choice", "\"auto\""),
    ("tools", "[]"),
    ("top_logprobs", "0"),
    ("top_p", "1.0"),
    ("truncation", "\"disabled\""),
];

/// A request, with what only this format asks.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked {
    pub(crate) ask: Ask,
    /// Whether a summary of the thinking is wanted.
    pub(crate) summary: bool,
    /// Whether the thinking is wanted under a seal.
    pub(crate) encrypted: bool,
    pub(crate) logprobs: bool,
    /// What the answer repeats.
    pub(crate) echo: Map<String, Value>,
}

/// Reads a request for a response.
pub(crate) fn read(body: &Value) -> Read<Asked> {
    let mut members = Members::of(body, "")?;
    let mut asked = Asked { echo: echo(body), ..Asked::default() };
    asked.ask.choices = 1;
    asked.ask.model = members.required("model", filled)?.to_owned();
    let earlier = members.nullable("previous_response_id", known("resp_fake", "Previous response"))?;
    let kept = members.nullable("conversation", conversation)?;
    if earlier.is_some() && kept.is_some() {
        return Err(Misfit::rule(
            "conversation",
            "only one of 'previous_response_id' and 'conversation' is allowed",
        ));
    }
    let mut talk = Talk { goes_on: earlier.is_some() || kept.is_some(), ..Talk::default() };
    if let Some(text) = members.nullable("instructions", string)? {
        talk.hear(text);
    }
    members.required("input", |value, path| talk.read(value, path))?;
    asked.ask.last_text = talk.last_text;
    asked.ask.after_tool_result = talk.after_result;
    asked.ask.prompt_bytes = talk.bytes;
    asked.ask.stream = members.nullable("stream", boolean)?.unwrap_or(false);
    members.nullable("stream_options", |value, path| {
        let mut options = Members::of(value, path)?;
        options.optional("include_obfuscation", boolean)?;
        options.end()
    })?;
    if members.has("stream_options") && !asked.ask.stream {
        return Err(Misfit::rule("stream_options", "only allowed when 'stream' is enabled"));
    }
    read_tools(&mut members, &mut asked.ask)?;
    asked.ask.shape = members.nullable("text", text)?.unwrap_or_default();
    if matches!(asked.ask.shape, Shape::Object) && !talk.says_json {
        let rule =
            "'input' must contain the word 'json' in some form, to use 'text.format' of type 'json_object'";
        return Err(Misfit::rule("input", rule));
    }
    if let Some((thinks, summary)) = members.nullable("reasoning", reasoning)? {
        asked.ask.reasoning = thinks;
        asked.summary = summary;
    }
    let include = members
        .nullable("include", |value, path| {
            if value.as_array().is_some_and(Vec::is_empty) {
                Ok(Vec::new())
            } else {
                each(value, path, 16, one_of(&INCLUDE))
            }
        })?
        .unwrap_or_default();
    asked.encrypted = include.contains(&"reasoning.encrypted_content");
    asked.logprobs = include.contains(&"message.output_text.logprobs");
    let most = members.nullable("max_output_tokens", integer(LEAST_TOKENS, i64::MAX))?;
    asked.ask.most_tokens = most.and_then(|most| u64::try_from(most).ok());
    members.nullable("max_tool_calls", integer(1, i64::MAX))?;
    members.nullable("temperature", number(0.0, 2.0))?;
    members.nullable("top_p", number(0.0, 1.0))?;
    members.nullable("top_logprobs", integer(0, 20))?;
    members.nullable("metadata", metadata)?;
    members.nullable("user", string)?;
    members.nullable("safety_identifier", string)?;
    members.nullable("prompt_cache_key", string)?;
    members.nullable("prompt_cache_retention", one_of(&["in_memory", "in-memory", "24h"]))?;
    members.nullable("store", boolean)?;
    members.nullable("background", boolean)?;
    members.nullable("service_tier", one_of(&["auto", "default", "flex", "scale", "priority", "fast"]))?;
    members.nullable("truncation", one_of(&["auto", "disabled"]))?;
    members.skip(&["context_management", "moderation", "prompt", "prompt_cache_options"]);
    members.end()?;
    Ok(asked)
}

fn echo(body: &Value) -> Map<String, Value> {
    let member = |(key, default): (&str, &str)| {
        let given = body.get(key).filter(|value| !value.is_null()).cloned().map(complete);
        let value = given.or_else(|| serde_json::from_str(default).ok());
        (key.to_owned(), value.unwrap_or_default())
    };
    ECHO.into_iter().map(member).collect()
}

/// The client's tools and its format, with the members that an answer always has.
fn complete(mut value: Value) -> Value {
    let fill = |object: &mut Map<String, Value>, members: &[(&str, Value)]| {
        for (key, default) in members {
            let member = object.entry(*key).or_insert(Value::Null);
            if member.is_null() {
                *member = default.clone();
            }
        }
    };
    for tool in value.as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
        if tool.get("type").is_some_and(|kind| kind == "function") {
            fill(tool, &[("description", Value::Null), ("parameters", Value::Null), ("strict", true.into())]);
        }
    }
    if let Some(object) = value.as_object_mut() {
        if object.contains_key("effort") || object.contains_key("summary") {
            fill(object, &[("effort", Value::Null), ("summary", Value::Null)]);
        }
        if let Some(format) = object.get_mut("format").and_then(Value::as_object_mut)
            && format.get("type").is_some_and(|kind| kind == "json_schema")
        {
            fill(format, &[("description", Value::Null), ("strict", false.into())]);
        }
    }
    value
}

/// An id of something that is kept here.
fn known<'a>(prefix: &'static str, what: &'static str) -> impl Fn(&'a Value, &str) -> Read<&'a str> {
    move |value, path| {
        let id = filled(value, path)?;
        if id.starts_with(prefix) {
            Ok(id)
        } else {
            Err(Misfit::rule(path, format!("{what} with id '{id}' not found")))
        }
    }
}

fn conversation<'a>(value: &'a Value, path: &str) -> Read<&'a str> {
    let id = known("conv_fake", "Conversation");
    if value.is_string() {
        return id(value, path);
    }
    let mut members = Members::of(value, path)?;
    let found = members.required("id", id)?;
    members.end()?;
    Ok(found)
}

fn read_tools(members: &mut Members<'_>, ask: &mut Ask) -> Read<()> {
    let none = |value: &Value| value.as_array().is_some_and(Vec::is_empty);
    let tools =
        members.nullable(
            "tools",
            |value, path| {
                if none(value) { Ok(Vec::new()) } else { each(value, path, 128, tool) }
            },
        )?;
    ask.tools = tools.unwrap_or_default().into_iter().flatten().collect();
    ask.one_call = members.nullable("parallel_tool_calls", boolean)? == Some(false);
    ask.choice = members.nullable("tool_choice", choice)?.unwrap_or_default();
    if let Choice::Named(named) = &ask.choice
        && !ask.tools.iter().any(|tool| &tool.name == named)
    {
        return Err(Misfit::rule(
            "tool_choice",
            format!("Tool choice '{named}' not found in 'tools' parameter"),
        ));
    }
    Ok(())
}

/// A function, or `None` for a tool of the vendor's own.
fn tool(value: &Value, path: &str) -> Read<Option<Tool>> {
    let mut members = Members::of(value, path)?;
    let kind = members.required("type", string)?;
    if VENDOR_TOOLS.contains(&kind) {
        return Ok(None);
    }
    if kind != "function" {
        return Err(Misfit::rule(&members.place("type"), format!("'{kind}' is no kind of tool")));
    }
    let named = members.required("name", name(128))?.to_owned();
    let description = members.nullable("description", string)?.unwrap_or_default().to_owned();
    let schema = members.nullable("parameters", object)?.cloned().unwrap_or_default();
    let strict = members.nullable("strict", boolean)?.unwrap_or(false);
    members.nullable("defer_loading", boolean)?;
    let place = members.place("parameters");
    members.end()?;
    let schema = Value::Object(schema);
    if strict {
        strict_schema(&schema, &place)?;
    }
    Ok(Some(Tool { name: named, description, schema }))
}

fn choice(value: &Value, path: &str) -> Read<Choice> {
    if value.is_string() {
        return match one_of(&["none", "auto", "required"])(value, path)? {
            "none" => Ok(Choice::None),
            "required" => Ok(Choice::Required),
            _ => Ok(Choice::Auto),
        };
    }
    let mut members = Members::of(value, path)?;
    match members.required("type", string)? {
        "function" => {
            let named = members.required("name", name(128))?.to_owned();
            members.end()?;
            Ok(Choice::Named(named))
        }
        _ => Ok(Choice::Auto),
    }
}

fn text(value: &Value, path: &str) -> Read<Shape> {
    let mut members = Members::of(value, path)?;
    members.nullable("verbosity", one_of(&["low", "medium", "high"]))?;
    let shape = members.nullable("format", |value, path| {
        let mut format = Members::of(value, path)?;
        let shape = match format.required("type", one_of(&["text", "json_object", "json_schema"]))? {
            "json_schema" => {
                format.required("name", name(64))?;
                format.nullable("description", string)?;
                let strict = format.nullable("strict", boolean)?.unwrap_or(false);
                let schema: Value = format.required("schema", object)?.clone().into();
                if strict {
                    strict_schema(&schema, &format.place("schema"))?;
                }
                Shape::Schema(schema)
            }
            "json_object" => Shape::Object,
            _ => Shape::Free,
        };
        format.end()?;
        Ok(shape)
    })?;
    members.end()?;
    Ok(shape.unwrap_or_default())
}

/// Whether there is thinking, and a summary of it.
fn reasoning(value: &Value, path: &str) -> Read<(bool, bool)> {
    let mut members = Members::of(value, path)?;
    let effort = members.nullable("effort", effort)?;
    let words = &["auto", "concise", "detailed"];
    let summary = members.nullable("summary", one_of(words))?.is_some();
    let older = members.nullable("generate_summary", one_of(words))?.is_some();
    members.end()?;
    let summary = summary || older;
    Ok((effort.map_or(summary, |effort| effort != "none"), summary))
}

/// What the items say, and which calls still wait for their results.
#[derive(Default)]
struct Talk {
    /// Whether calls may stand in what is kept here.
    goes_on: bool,
    calls: Vec<String>,
    answered: Vec<String>,
    after_result: bool,
    last_text: String,
    says_json: bool,
    bytes: usize,
}

impl Talk {
    fn read(&mut self, value: &Value, path: &str) -> Read<()> {
        if let Some(text) = value.as_str() {
            text.clone_into(&mut self.last_text);
            self.hear(text);
            return Ok(());
        }
        each(value, path, usize::MAX, |item, path| self.item(item, path))?;
        match self.calls.iter().find(|call| !self.answered.contains(call)) {
            Some(call) => Err(Misfit::rule(path, format!("No tool output found for function call {call}"))),
            None => Ok(()),
        }
    }

    fn hear(&mut self, text: &str) {
        self.bytes += text.len();
        self.says_json |= text.to_ascii_lowercase().contains("json");
    }

    fn item(&mut self, value: &Value, path: &str) -> Read<()> {
        let mut members = Members::of(value, path)?;
        let kind = members.optional("type", string)?.unwrap_or("message");
        match kind {
            "message" => self.message(&mut members)?,
            "function_call" => {
                members.nullable("id", begins_with("fc"))?;
                members.required("name", name(128))?;
                members.required("arguments", string)?;
                // An SDK's answer is sent back as it is, with what the SDK added to it.
                members.skip(&["parsed_arguments"]);
                let id = call_id(&mut members)?;
                if self.calls.contains(&id) {
                    return Err(Misfit::rule(path, format!("Duplicate function call id {id}")));
                }
                self.calls.push(id);
            }
            "function_call_output" => {
                members.nullable("id", begins_with("fc"))?;
                let id = call_id(&mut members)?;
                if !self.goes_on && !self.calls.contains(&id) {
                    return Err(Misfit::rule(
                        path,
                        format!("No tool call found for function call output with call_id {id}"),
                    ));
                }
                let text = members.required("output", |value, path| {
                    content(value, path, &["input_text", "input_image", "input_file"])
                })?;
                self.bytes += text.len();
                self.answered.push(id);
                self.after_result = true;
            }
            "reasoning" => thought(&mut members)?,
            "item_reference" => {
                members.required("id", filled)?;
            }
            other if other.ends_with("_call") || other.ends_with("_output") || other == "compaction" => {
                return Ok(());
            }
            other => return Err(Misfit::rule(&members.place("type"), format!("Invalid value: '{other}'"))),
        }
        members.nullable("status", one_of(&["in_progress", "completed", "incomplete"]))?;
        members.end()
    }

    fn message(&mut self, members: &mut Members<'_>) -> Read<()> {
        let role = members.required("role", one_of(&["system", "developer", "user", "assistant"]))?;
        members.nullable("id", begins_with("msg"))?;
        members.nullable("phase", one_of(&["commentary", "final_answer"]))?;
        let kinds: &'static [&'static str] = match role {
            "assistant" => &["output_text", "refusal"],
            _ => &["input_text", "input_image", "input_file", "input_audio"],
        };
        let text = members.required("content", |value, path| content(value, path, kinds))?;
        self.hear(&text);
        if role == "user" {
            self.last_text = text;
        }
        self.after_result &= role != "user";
        Ok(())
    }
}

fn begins_with<'a>(prefix: &'static str) -> impl Fn(&'a Value, &str) -> Read<&'a str> {
    move |value, path| {
        let id = filled(value, path)?;
        if id.starts_with(prefix) {
            Ok(id)
        } else {
            Err(Misfit::rule(path, format!("'{id}'. Expected an ID that begins with '{prefix}'")))
        }
    }
}

fn call_id(members: &mut Members<'_>) -> Read<String> {
    let id = members.required("call_id", filled)?;
    if id.len() > 64 {
        let rule = "the string is too long: at most 64 bytes are allowed";
        return Err(Misfit::rule(&members.place("call_id"), rule));
    }
    Ok(id.to_owned())
}

/// Thinking of this vendor's own; it knows its seals.
fn thought(members: &mut Members<'_>) -> Read<()> {
    members.required("id", begins_with("rs"))?;
    let texts = |kind: &'static [&'static str]| {
        move |value: &Value, path: &str| {
            if value.as_array().is_some_and(Vec::is_empty) {
                Ok(String::new())
            } else {
                content(value, path, kind)
            }
        }
    };
    members.required("summary", texts(&["summary_text"]))?;
    members.nullable("content", texts(&["reasoning_text"]))?;
    let sealed = members.nullable("encrypted_content", filled)?;
    if sealed.is_some_and(|sealed| !sealed.starts_with(SEAL)) {
        let rule = "the encrypted content could not be verified";
        return Err(Misfit::rule(&members.place("encrypted_content"), rule));
    }
    Ok(())
}

/// A string, or parts of the given kinds; answers the text in them.
fn content(value: &Value, path: &str, kinds: &'static [&'static str]) -> Read<String> {
    if let Value::String(text) = value {
        return Ok(text.clone());
    }
    let parts = each(value, path, usize::MAX, |part, path| {
        let mut members = Members::of(part, path)?;
        let kind = members.required("type", one_of(kinds))?;
        let text = match kind {
            "refusal" => members.required("refusal", string)?,
            "input_image" => {
                members.nullable("image_url", filled)?;
                members.nullable("detail", one_of(&["auto", "low", "high", "original"]))?;
                members.nullable("file_id", filled)?;
                ""
            }
            "input_file" | "input_audio" => {
                members.skip(&["file_id", "file_data", "file_url", "filename", "input_audio", "detail"]);
                ""
            }
            _ => members.required("text", string)?,
        };
        members.skip(&["annotations", "logprobs", "prompt_cache_breakpoint", "parsed"]);
        members.end()?;
        Ok(text)
    })?;
    Ok(parts.join("\n"))
}
