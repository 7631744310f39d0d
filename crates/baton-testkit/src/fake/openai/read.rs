//! Reads a request body as OpenAI's reference allows it, and refuses everything else.
//!
//! - **Invariant:** a request that is read here is one that the vendor accepts.

use serde_json::Value;

use crate::fake::model::{Ask, Choice, Shape, Tool};
use crate::fake::shape::{
    Members, Misfit, Read, boolean, each, filled, integer, list, name, number, object, one_of, string,
};

/// Reads a chat completion request.
pub(crate) fn read(body: &Value) -> Read<Ask> {
    let mut members = Members::of(body, "")?;
    let mut ask = Ask { choices: 1, ..Ask::default() };
    ask.model = members.required("model", filled)?.to_owned();
    let mut talk = Talk::default();
    members.required("messages", |value, path| talk.read(value, path))?;
    ask.last_text = talk.last_text;
    ask.after_tool_result = talk.result_since_assistant;
    ask.prompt_bytes = talk.bytes;
    ask.stream = members.nullable("stream", boolean)?.unwrap_or(false);
    ask.include_usage = members.nullable("stream_options", stream_options)?.unwrap_or(false);
    if members.has("stream_options") && !ask.stream {
        return Err(Misfit::rule("stream_options", "only allowed when 'stream' is enabled"));
    }
    read_tools(&mut members, &mut ask)?;
    read_sampling(&mut members, &mut ask)?;
    ask.shape = members.optional("response_format", response_format)?.unwrap_or_default();
    if matches!(ask.shape, Shape::Object) && !talk.says_json {
        let rule = "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'";
        return Err(Misfit::rule("messages", rule));
    }
    ask.reasoning = members.nullable("reasoning_effort", effort)?.is_some_and(|effort| effort != "none");
    members.nullable("metadata", metadata)?;
    members.optional("user", string)?;
    members.nullable("safety_identifier", string)?;
    members.nullable("prompt_cache_key", string)?;
    members.nullable("prompt_cache_retention", one_of(&["in_memory", "in-memory", "24h"]))?;
    members.nullable("store", boolean)?;
    members.nullable("service_tier", one_of(&["auto", "default", "flex", "scale", "priority", "fast"]))?;
    members.nullable("verbosity", one_of(&["low", "medium", "high"]))?;
    members.nullable("modalities", |value, path| each(value, path, 2, one_of(&["text", "audio"])))?;
    members.skip(&["audio", "moderation", "prediction", "prompt_cache_options", "web_search_options"]);
    members.end()?;
    Ok(ask)
}

pub(crate) fn effort<'a>(value: &'a Value, path: &str) -> Read<&'a str> {
    one_of(&["none", "minimal", "low", "medium", "high", "xhigh", "max"])(value, path)
}

fn read_sampling(members: &mut Members<'_>, ask: &mut Ask) -> Read<()> {
    members.nullable("temperature", number(0.0, 2.0))?;
    members.nullable("top_p", number(0.0, 1.0))?;
    members.nullable("frequency_penalty", number(-2.0, 2.0))?;
    members.nullable("presence_penalty", number(-2.0, 2.0))?;
    members.nullable("seed", integer(i64::MIN, i64::MAX))?;
    members.nullable("logit_bias", object)?;
    let choices = members.nullable("n", integer(1, 128))?.unwrap_or(1);
    ask.choices = u64::try_from(choices).unwrap_or(1);
    ask.logprobs = members.nullable("logprobs", boolean)?.unwrap_or(false);
    if members.nullable("top_logprobs", integer(0, 20))?.is_some() && !ask.logprobs {
        return Err(Misfit::rule("top_logprobs", "only allowed when 'logprobs' is enabled"));
    }
    let old = members.nullable("max_tokens", integer(1, i64::MAX))?;
    let new = members.nullable("max_completion_tokens", integer(1, i64::MAX))?;
    if old.is_some() && new.is_some() {
        return Err(Misfit::rule("max_tokens", "not allowed together with 'max_completion_tokens'"));
    }
    ask.most_tokens = new.or(old).and_then(|most| u64::try_from(most).ok());
    ask.stops = members.nullable("stop", stops)?.unwrap_or_default();
    Ok(())
}

fn stops(value: &Value, path: &str) -> Read<Vec<String>> {
    match value {
        Value::String(one) => Ok(vec![one.clone()]),
        _ => each(value, path, 4, |item, path| filled(item, path).map(str::to_owned)),
    }
}

fn stream_options(value: &Value, path: &str) -> Read<bool> {
    let mut members = Members::of(value, path)?;
    let include = members.optional("include_usage", boolean)?.unwrap_or(false);
    members.optional("include_obfuscation", boolean)?;
    members.end()?;
    Ok(include)
}

pub(crate) fn metadata(value: &Value, path: &str) -> Read<()> {
    let pairs = object(value, path)?;
    if pairs.len() > 16 {
        return Err(Misfit::rule(path, "at most 16 pairs are allowed"));
    }
    pairs.iter().try_for_each(|(key, value)| {
        let place = format!("{path}.{key}");
        match string(value, &place)? {
            text if key.len() > 64 || text.len() > 512 => Err(Misfit::rule(&place, "the pair is too long")),
            _ => Ok(()),
        }
    })
}

fn read_tools(members: &mut Members<'_>, ask: &mut Ask) -> Read<()> {
    ask.tools = members.optional("tools", |value, path| each(value, path, 128, tool))?.unwrap_or_default();
    for member in ["tool_choice", "parallel_tool_calls"] {
        if ask.tools.is_empty() && members.has(member) {
            return Err(Misfit::rule(member, "only allowed when 'tools' are specified"));
        }
    }
    ask.one_call = members.optional("parallel_tool_calls", boolean)? == Some(false);
    ask.choice = members.optional("tool_choice", choice)?.unwrap_or_default();
    if let Choice::Named(named) = &ask.choice
        && !ask.tools.iter().any(|tool| &tool.name == named)
    {
        return Err(Misfit::rule("tool_choice", format!("function '{named}' is not in 'tools'")));
    }
    if members.has("functions") || members.has("function_call") {
        return Err(Misfit::rule("functions", "the old form is not served by this model; use 'tools'"));
    }
    Ok(())
}

fn tool(value: &Value, path: &str) -> Read<Tool> {
    let mut members = Members::of(value, path)?;
    members.required("type", one_of(&["function"]))?;
    let tool = members.required("function", |value, path| {
        let mut function = Members::of(value, path)?;
        let named = function.required("name", name(64))?.to_owned();
        let description = function.optional("description", string)?.unwrap_or_default().to_owned();
        let schema = function.optional("parameters", object)?;
        let strict = function.nullable("strict", boolean)?.unwrap_or(false);
        let place = function.place("parameters");
        function.end()?;
        let schema = schema.map_or_else(|| Value::Object(serde_json::Map::new()), |map| map.clone().into());
        if strict {
            strict_schema(&schema, &place)?;
        }
        Ok(Tool { name: named, description, schema })
    })?;
    members.end()?;
    Ok(tool)
}

fn choice(value: &Value, path: &str) -> Read<Choice> {
    if let Some(word) = value.as_str() {
        return match one_of(&["none", "auto", "required"])(value, path) {
            Ok(_) if word == "none" => Ok(Choice::None),
            Ok(_) if word == "auto" => Ok(Choice::Auto),
            Ok(_) => Ok(Choice::Required),
            Err(misfit) => Err(misfit),
        };
    }
    let mut members = Members::of(value, path)?;
    members.required("type", one_of(&["function"]))?;
    let named = members.required("function", |value, path| {
        let mut function = Members::of(value, path)?;
        let named = function.required("name", name(64))?.to_owned();
        function.end()?;
        Ok(named)
    })?;
    members.end()?;
    Ok(Choice::Named(named))
}

fn response_format(value: &Value, path: &str) -> Read<Shape> {
    let mut members = Members::of(value, path)?;
    let kind = members.required("type", one_of(&["text", "json_object", "json_schema"]))?;
    let shape = match kind {
        "json_schema" => members.required("json_schema", |value, path| {
            let mut format = Members::of(value, path)?;
            format.required("name", name(64))?;
            format.optional("description", string)?;
            let strict = format.nullable("strict", boolean)?.unwrap_or(false);
            let schema: Value = format.required("schema", object)?.clone().into();
            if strict {
                strict_schema(&schema, &format.place("schema"))?;
            }
            format.end()?;
            Ok(Shape::Schema(schema))
        })?,
        "json_object" => Shape::Object,
        _ => Shape::Free,
    };
    members.end()?;
    Ok(shape)
}

/// In strict mode every object closes itself and requires all of its properties.
pub(crate) fn strict_schema(schema: &Value, path: &str) -> Read<()> {
    let Some(map) = schema.as_object() else { return Ok(()) };
    if map.get("type").and_then(Value::as_str) == Some("object") || map.contains_key("properties") {
        if map.get("additionalProperties") != Some(&Value::Bool(false)) {
            return Err(Misfit::rule(
                path,
                "'additionalProperties' is required to be supplied and to be false",
            ));
        }
        let required = map.get("required").and_then(Value::as_array);
        let properties = map.get("properties").and_then(Value::as_object).into_iter().flatten();
        for (name, part) in properties {
            if !required.is_some_and(|all| all.iter().any(|one| one.as_str() == Some(name))) {
                return Err(Misfit::rule(
                    path,
                    format!("'required' must include every property; '{name}' is missing"),
                ));
            }
            strict_schema(part, &format!("{path}.properties.{name}"))?;
        }
    }
    for (member, part) in map {
        match (member.as_str(), part) {
            ("items", part) => strict_schema(part, &format!("{path}.items"))?,
            ("anyOf", Value::Array(all)) => {
                all.iter().try_for_each(|one| strict_schema(one, &format!("{path}.anyOf")))?;
            }
            ("$defs", Value::Object(all)) => {
                all.iter().try_for_each(|(name, one)| strict_schema(one, &format!("{path}.$defs.{name}")))?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// What the messages say, and which tool calls still wait for their results.
#[derive(Default)]
struct Talk {
    open_calls: Vec<String>,
    result_since_assistant: bool,
    last_text: String,
    says_json: bool,
    bytes: usize,
}

impl Talk {
    fn read(&mut self, value: &Value, path: &str) -> Read<()> {
        each(value, path, usize::MAX, |message, path| self.message(message, path))?;
        self.nothing_open(path)
    }

    fn message(&mut self, value: &Value, path: &str) -> Read<()> {
        let mut members = Members::of(value, path)?;
        let role = members
            .required("role", one_of(&["system", "developer", "user", "assistant", "tool", "function"]))?;
        if role != "tool" {
            self.nothing_open(path)?;
        }
        match role {
            "tool" => self.tool(&mut members)?,
            "assistant" => self.assistant(&mut members)?,
            "user" => {
                members.optional("name", name(64))?;
                let kinds = &["text", "image_url", "input_audio", "file"];
                self.last_text = members.required("content", |value, path| content(value, path, kinds))?;
                self.hear(&self.last_text.clone());
            }
            "function" => {
                return Err(Misfit::rule(path, "the old form is not served by this model; use 'tool'"));
            }
            _ => {
                members.optional("name", name(64))?;
                let text = members.required("content", |value, path| content(value, path, &["text"]))?;
                self.hear(&text);
            }
        }
        members.end()
    }

    fn hear(&mut self, text: &str) {
        self.bytes += text.len();
        self.says_json |= text.to_ascii_lowercase().contains("json");
    }

    fn nothing_open(&self, path: &str) -> Read<()> {
        if self.open_calls.is_empty() {
            return Ok(());
        }
        let ids = self.open_calls.join(", ");
        let rule = "an assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'";
        Err(Misfit::rule(
            path,
            format!("{rule}. The following tool_call_ids did not have response messages: {ids}"),
        ))
    }

    fn assistant(&mut self, members: &mut Members<'_>) -> Read<()> {
        members.optional("name", name(64))?;
        members.nullable("refusal", string)?;
        members.nullable("audio", object)?;
        // An SDK's answer is sent back as it is, with what the SDK added to it.
        members.skip(&["annotations", "parsed"]);
        let text = members.nullable("content", |value, path| content(value, path, &["text", "refusal"]))?;
        let ids = members.optional("tool_calls", |value, path| each(value, path, 128, tool_call))?;
        if text.is_none() && ids.is_none() && !members.has("refusal") {
            let place = members.place("content");
            return Err(Misfit::rule(&place, "expected a string, as there are no 'tool_calls'"));
        }
        self.open_calls = ids.unwrap_or_default();
        self.result_since_assistant = false;
        let mut seen = self.open_calls.clone();
        seen.sort();
        seen.dedup();
        if seen.len() != self.open_calls.len() {
            return Err(Misfit::rule(&members.place("tool_calls"), "two calls have the same id"));
        }
        Ok(())
    }

    fn tool(&mut self, members: &mut Members<'_>) -> Read<()> {
        let id = members.required("tool_call_id", filled)?;
        // No longer in the reference; the vendor takes it, and there are libraries that send it.
        members.optional("name", name(64))?;
        members.required("content", |value, path| content(value, path, &["text"]))?;
        match self.open_calls.iter().position(|open| open == id) {
            Some(at) => {
                self.open_calls.remove(at);
                self.result_since_assistant = true;
                Ok(())
            }
            None => Err(Misfit::rule(
                members.path(),
                "messages with role 'tool' must be a response to a preceding message with 'tool_calls'",
            )),
        }
    }
}

fn tool_call(value: &Value, path: &str) -> Read<String> {
    let mut members = Members::of(value, path)?;
    let id = members.required("id", filled)?;
    if id.len() > 40 {
        return Err(Misfit::rule(
            &members.place("id"),
            "the string is too long: at most 40 bytes are allowed",
        ));
    }
    members.required("type", one_of(&["function"]))?;
    members.required("function", |value, path| {
        let mut function = Members::of(value, path)?;
        function.required("name", name(64))?;
        function.required("arguments", string)?;
        function.skip(&["parsed_arguments"]);
        function.end()
    })?;
    members.end()?;
    Ok(id.to_owned())
}

/// A string, or parts of the given kinds; answers the text in them.
fn content(value: &Value, path: &str, kinds: &'static [&'static str]) -> Read<String> {
    if let Value::String(text) = value {
        return Ok(text.clone());
    }
    let parts = each(value, path, usize::MAX, |part, path| {
        let mut members = Members::of(part, path)?;
        let text = match members.required("type", one_of(kinds))? {
            "text" => members.required("text", string)?,
            "refusal" => members.required("refusal", string)?,
            "image_url" => members.required("image_url", image)?,
            other => {
                members.skip(&["input_audio", "file"]);
                if members.has(other) { "" } else { return Err(Misfit::rule(path, "the part is empty")) }
            }
        };
        members.optional("prompt_cache_breakpoint", object)?;
        members.end()?;
        Ok(text)
    })?;
    Ok(parts.join("\n"))
}

fn image<'a>(value: &'a Value, path: &str) -> Read<&'a str> {
    let mut members = Members::of(value, path)?;
    let url = members.required("url", filled)?;
    members.optional("detail", one_of(&["auto", "low", "high", "original"]))?;
    let place = members.place("url");
    members.end()?;
    let inline = url.strip_prefix("data:image/").and_then(|rest| rest.split_once(";base64,"));
    match inline {
        Some((kind, data)) if ["png", "jpeg", "gif", "webp"].contains(&kind) && !data.is_empty() => Ok(""),
        Some(_) => Err(Misfit::rule(&place, "unsupported image")),
        None if url.starts_with("https://") || url.starts_with("http://") => Ok(""),
        None => Err(Misfit::rule(&place, "expected a URL or a base64-encoded data URL")),
    }
}

/// A request for embeddings.
pub(crate) struct Embed {
    pub(crate) model: String,
    /// The length of each input, in tokens or in bytes.
    pub(crate) inputs: Vec<usize>,
    pub(crate) base64: bool,
    pub(crate) dimensions: usize,
}

/// Reads a request for embeddings.
pub(crate) fn read_embed(body: &Value) -> Read<Embed> {
    let mut members = Members::of(body, "")?;
    let model = members.required("model", filled)?.to_owned();
    let inputs = members.required("input", inputs)?;
    let base64 = members.optional("encoding_format", one_of(&["float", "base64"]))? == Some("base64");
    let dimensions = members.optional("dimensions", integer(1, 3072))?.unwrap_or(8);
    members.optional("user", string)?;
    members.end()?;
    Ok(Embed { model, inputs, base64, dimensions: usize::try_from(dimensions).unwrap_or(8) })
}

/// A string, strings, token ids, or lists of token ids.
fn inputs(value: &Value, path: &str) -> Read<Vec<usize>> {
    if value.is_string() {
        return filled(value, path).map(|text| vec![text.len()]);
    }
    if list(value, path)?.first().is_some_and(Value::is_u64) {
        return each(value, path, 8192, integer(0, i64::MAX)).map(|tokens| vec![tokens.len()]);
    }
    each(value, path, 2048, |item, path| match item {
        Value::Array(_) => each(item, path, 8192, integer(0, i64::MAX)).map(|tokens| tokens.len()),
        _ => filled(item, path).map(str::len),
    })
}
