//! Reads a request body as Anthropic's reference allows it, and refuses everything else.
//!
//! Stricter than the vendor in one place: roles must alternate, unless the script says otherwise. The vendor
//! joins neighbours of the same role, other servers of this format do not, and a converter should not lean on it.
//!
//! - **Invariant:** a request that is read here is one that the vendor accepts.

use serde_json::Value;

use crate::fake::model::{Ask, Choice, Shape, Tool};
use crate::fake::script::Turns;
use crate::fake::shape::{
    Members, Misfit, Read, boolean, each, filled, integer, list, name, number, object, one_of, string,
};

/// Names a conversation that the vendor keeps. A fake keeps none, and says so as the vendor does where it cannot.
pub(super) const THREAD: &str = "thread";

/// Reads a request for a message.
pub(crate) fn read(body: &Value, turns: Turns) -> Read<Ask> {
    let mut members = Members::of(body, "")?;
    let mut ask = Ask { choices: 1, ..Ask::default() };
    let most = members.required("max_tokens", integer(1, i64::MAX))?;
    ask.most_tokens = u64::try_from(most).ok();
    ask.stream = members.optional("stream", boolean)?.unwrap_or(false);
    ask.stops = members.optional("stop_sequences", stops)?.unwrap_or_default();
    let warm = members.optional("temperature", number(0.0, 1.0))?;
    members.optional("top_p", number(0.0, 1.0))?;
    members.optional("top_k", integer(0, i64::MAX))?;
    members.optional("metadata", metadata)?;
    members.optional("service_tier", one_of(&["auto", "standard_only"]))?;
    members.nullable("inference_geo", string)?;
    members.nullable("speed", one_of(&["standard", "fast"]))?;
    members.skip(&["container", "context_management", "diagnostics", "mcp_servers"]);
    members
        .optional(THREAD, |_, path| Err::<(), _>(Misfit::rule(path, "this request cannot be threaded")))?;
    read_prompt(&mut members, &mut ask, most, turns)?;
    members.end()?;
    let forced = matches!(ask.choice, Choice::Required | Choice::Named(_));
    if ask.reasoning && forced {
        return Err(Misfit::rule(
            "tool_choice",
            "thinking may not be enabled when tool_choice forces tool use",
        ));
    }
    if ask.reasoning && warm.is_some_and(|warm| warm < 1.0) {
        return Err(Misfit::rule("temperature", "may only be set to 1 when thinking is enabled"));
    }
    Ok(ask)
}

/// Reads a request to count tokens: a prompt without what steers the answer.
pub(crate) fn read_count(body: &Value, turns: Turns) -> Read<Ask> {
    let mut members = Members::of(body, "")?;
    let mut ask = Ask::default();
    members.skip(&["context_management", "mcp_servers", "speed"]);
    read_prompt(&mut members, &mut ask, i64::MAX, turns)?;
    members.end()?;
    Ok(ask)
}

/// The members that both endpoints have.
fn read_prompt(members: &mut Members<'_>, ask: &mut Ask, most_tokens: i64, turns: Turns) -> Read<()> {
    ask.model = members.required("model", filled)?.to_owned();
    let mut talk = Talk { turns, ..Talk::default() };
    members.optional("system", |value, path| match value {
        Value::String(text) => {
            talk.bytes += text.len();
            Ok(())
        }
        _ => each(value, path, usize::MAX, |block, path| talk.text(&mut Members::of(block, path)?)).map(drop),
    })?;
    members.required("messages", |value, path| talk.read(value, path))?;
    members.nullable("cache_control", cache_control)?;
    ask.last_text = talk.last_text;
    ask.after_tool_result = talk.last_is_result;
    ask.prompt_bytes = talk.bytes;
    ask.tools = members.optional("tools", tools)?.unwrap_or_default();
    if let Some((choice, one_call)) = members.optional("tool_choice", choice)? {
        if ask.tools.is_empty() {
            return Err(Misfit::rule("tool_choice", "may only be specified while providing tools"));
        }
        if let Choice::Named(named) = &choice
            && !ask.tools.iter().any(|tool| &tool.name == named)
        {
            return Err(Misfit::rule("tool_choice", format!("tool '{named}' not found in provided tools")));
        }
        (ask.choice, ask.one_call) = (choice, one_call);
    }
    if talk.has_tools && ask.tools.is_empty() {
        return Err(Misfit::rule(
            "tools",
            "must be given when messages contain tool_use or tool_result blocks",
        ));
    }
    let thinking = |value, path: &str| thinking(value, path, most_tokens);
    ask.reasoning = members.optional("thinking", thinking)?.unwrap_or(false);
    ask.shape = members.optional("output_config", output_config)?.unwrap_or_default();
    Ok(())
}

fn stops(value: &Value, path: &str) -> Read<Vec<String>> {
    let items = list(value, path)?.iter().enumerate();
    items
        .map(|(at, item)| {
            let place = format!("{path}.{at}");
            let text = string(item, &place)?;
            if text.trim().is_empty() {
                return Err(Misfit::rule(&place, "each stop sequence must contain non-whitespace"));
            }
            Ok(text.to_owned())
        })
        .collect()
}

fn metadata(value: &Value, path: &str) -> Read<()> {
    let mut members = Members::of(value, path)?;
    members.nullable("user_id", |value, path| match string(value, path)? {
        text if text.len() > 512 => Err(Misfit::rule(path, "String should have at most 512 characters")),
        _ => Ok(()),
    })?;
    members.end()
}

fn cache_control(value: &Value, path: &str) -> Read<()> {
    let mut members = Members::of(value, path)?;
    members.required("type", one_of(&["ephemeral"]))?;
    members.optional("ttl", one_of(&["5m", "1h"]))?;
    members.end()
}

fn thinking(value: &Value, path: &str, most_tokens: i64) -> Read<bool> {
    let mut members = Members::of(value, path)?;
    let kind = members.required("type", one_of(&["enabled", "disabled", "adaptive", "between_tools"]))?;
    if kind == "enabled" {
        let budget = members.required("budget_tokens", integer(1024, i64::MAX))?;
        if budget >= most_tokens {
            return Err(Misfit::rule("max_tokens", "must be greater than `thinking.budget_tokens`"));
        }
    }
    members.nullable("display", one_of(&["summarized", "omitted"]))?;
    members.end()?;
    Ok(kind != "disabled")
}

fn output_config(value: &Value, path: &str) -> Read<Shape> {
    let mut members = Members::of(value, path)?;
    members.nullable("effort", one_of(&["low", "medium", "high", "xhigh", "max"]))?;
    let shape = members.nullable("format", |value, path| {
        let mut format = Members::of(value, path)?;
        format.required("type", one_of(&["json_schema"]))?;
        let schema: Value = format.required("schema", object)?.clone().into();
        closed_schema(&schema, &format.place("schema"))?;
        format.end()?;
        Ok(Shape::Schema(schema))
    })?;
    members.end()?;
    Ok(shape.unwrap_or_default())
}

/// Structured output wants every object closed.
fn closed_schema(schema: &Value, path: &str) -> Read<()> {
    match schema {
        Value::Object(map) => {
            let is_object = map.get("type").and_then(Value::as_str) == Some("object");
            if is_object && map.get("additionalProperties") != Some(&Value::Bool(false)) {
                let rule = "For 'object' type, 'additionalProperties' must be explicitly set to false";
                return Err(Misfit::rule(path, rule));
            }
            map.iter().try_for_each(|(name, part)| closed_schema(part, &format!("{path}.{name}")))
        }
        Value::Array(items) => items.iter().try_for_each(|item| closed_schema(item, path)),
        _ => Ok(()),
    }
}

fn tools(value: &Value, path: &str) -> Read<Vec<Tool>> {
    let items = list(value, path)?.iter().enumerate();
    let tools = items.map(|(at, item)| tool(item, &format!("{path}.{at}"))).collect::<Read<Vec<_>>>()?;
    let mut names = tools.iter().map(|tool| tool.name.as_str()).collect::<Vec<_>>();
    names.sort_unstable();
    names.dedup();
    if names.len() == tools.len() { Ok(tools) } else { Err(Misfit::rule(path, "Tool names must be unique.")) }
}

fn tool(value: &Value, path: &str) -> Read<Tool> {
    let mut members = Members::of(value, path)?;
    members.nullable("type", one_of(&["custom"]))?;
    let named = members.required("name", name(128))?.to_owned();
    let description = members.optional("description", string)?.unwrap_or_default().to_owned();
    let schema = members.required("input_schema", object)?;
    if schema.get("type").and_then(Value::as_str) != Some("object") {
        return Err(Misfit::rule(&members.place("input_schema.type"), "Input should be 'object'"));
    }
    members.nullable("cache_control", cache_control)?;
    members.optional("strict", boolean)?;
    members.optional("defer_loading", boolean)?;
    members.nullable("eager_input_streaming", boolean)?;
    members.skip(&["allowed_callers", "input_examples"]);
    members.end()?;
    Ok(Tool { name: named, description, schema: schema.clone().into() })
}

fn choice(value: &Value, path: &str) -> Read<(Choice, bool)> {
    let mut members = Members::of(value, path)?;
    let kind = members.required("type", one_of(&["auto", "any", "tool", "none"]))?;
    let choice = match kind {
        "any" => Choice::Required,
        "none" => Choice::None,
        "tool" => Choice::Named(members.required("name", name(128))?.to_owned()),
        _ => Choice::Auto,
    };
    let one_call = match kind {
        "none" => false,
        _ => members.optional("disable_parallel_tool_use", boolean)?.unwrap_or(false),
    };
    members.end()?;
    Ok((choice, one_call))
}

/// What the messages say, and which tool uses still wait for their results.
#[derive(Default)]
struct Talk {
    turns: Turns,
    last_role: &'static str,
    open: Vec<String>,
    last_text: String,
    last_is_result: bool,
    has_tools: bool,
    bytes: usize,
}

impl Talk {
    fn read(&mut self, value: &Value, path: &str) -> Read<()> {
        let messages = list(value, path)?;
        if messages.is_empty() {
            return Err(Misfit::rule(path, "at least one message is required"));
        }
        let last = messages.len() - 1;
        for (at, message) in messages.iter().enumerate() {
            self.message(message, &format!("{path}.{at}"), at == last)?;
        }
        if self.open.is_empty() { Ok(()) } else { Err(self.unanswered(path)) }
    }

    fn unanswered(&self, path: &str) -> Misfit {
        let ids = self.open.join(", ");
        Misfit::rule(
            path,
            format!(
                "`tool_use` ids were found without `tool_result` blocks immediately after: {ids}. Each `tool_use` block must have a corresponding `tool_result` block in the next message."
            ),
        )
    }

    fn message(&mut self, value: &Value, path: &str, last: bool) -> Read<()> {
        let mut members = Members::of(value, path)?;
        let role = match members.required("role", one_of(&["user", "assistant"]))? {
            "user" => "user",
            _ => "assistant",
        };
        match (self.last_role, role) {
            ("", "assistant") => return Err(Misfit::rule(path, "first message must use the \"user\" role")),
            (before, now) if before == now && self.turns == Turns::Alternate => {
                return Err(Misfit::rule(
                    path,
                    format!("roles must alternate, but two messages in a row are \"{now}\""),
                ));
            }
            _ => self.last_role = role,
        }
        self.last_is_result = false;
        let prefill = last && role == "assistant";
        members.required("content", |value, path| match value {
            Value::String(text) => self.plain(text, path, prefill),
            _ => self.blocks(value, path, role),
        })?;
        members.end()
    }

    fn plain(&mut self, text: &str, path: &str, prefill: bool) -> Read<()> {
        if !self.open.is_empty() {
            return Err(self.unanswered(path));
        }
        if text.is_empty() {
            return Err(Misfit::rule(path, "all messages must have non-empty content"));
        }
        if prefill && text.ends_with(char::is_whitespace) {
            return Err(Misfit::rule(path, "final assistant content cannot end with trailing whitespace"));
        }
        self.hear(text);
        Ok(())
    }

    fn hear(&mut self, text: &str) {
        self.bytes += text.len();
        if self.last_role == "user" {
            self.last_text = text.to_owned();
        }
    }

    fn blocks(&mut self, value: &Value, path: &str, role: &str) -> Read<()> {
        let mut results = 0;
        let blocks = each(value, path, usize::MAX, |block, path| {
            let mut members = Members::of(block, path)?;
            let kind = members.required("type", string)?;
            match (role, kind) {
                ("user", "tool_result") => {
                    results += 1;
                    self.result(&mut members)?;
                }
                (_, _) if !self.open.is_empty() && role == "user" => return Err(self.unanswered(path)),
                (_, "text") => self.text(&mut members)?,
                ("user", "image") => source(&mut members)?,
                ("user", "document") => members.skip(&["source", "title", "context", "citations"]),
                ("assistant", "tool_use") => self.tool_use(&mut members)?,
                ("assistant", "thinking") => {
                    members.required("thinking", string)?;
                    members.required("signature", filled)?;
                }
                ("assistant", "redacted_thinking") => {
                    members.required("data", filled)?;
                }
                _ => {
                    return Err(Misfit::rule(
                        path,
                        format!("`{kind}` is not allowed in a message of \"{role}\""),
                    ));
                }
            }
            if !matches!(kind, "thinking" | "redacted_thinking") {
                members.nullable("cache_control", cache_control)?;
            }
            members.end()?;
            Ok(kind)
        })?;
        self.last_is_result = results > 0;
        let thought_late = blocks
            .iter()
            .skip_while(|kind| kind.ends_with("thinking"))
            .any(|kind| kind.ends_with("thinking"));
        if thought_late && !blocks.contains(&"tool_use") {
            return Err(Misfit::rule(path, "thinking blocks must come first"));
        }
        Ok(())
    }

    fn text(&mut self, members: &mut Members<'_>) -> Read<()> {
        members.required("type", one_of(&["text"]))?;
        let text = members.required("text", string)?;
        if text.trim().is_empty() {
            return Err(Misfit::rule(members.path(), "text content blocks must contain non-whitespace text"));
        }
        members.nullable("citations", list)?;
        members.nullable("cache_control", cache_control)?;
        self.hear(text);
        Ok(())
    }

    fn tool_use(&mut self, members: &mut Members<'_>) -> Read<()> {
        let id = members.required("id", name(64))?;
        members.required("name", name(128))?;
        members.required("input", object)?;
        members.optional("caller", object)?;
        self.has_tools = true;
        if self.open.iter().any(|open| open == id) {
            return Err(Misfit::rule(&members.place("id"), "`tool_use` ids must be unique"));
        }
        self.open.push(id.to_owned());
        Ok(())
    }

    fn result(&mut self, members: &mut Members<'_>) -> Read<()> {
        let id = members.required("tool_use_id", filled)?;
        self.has_tools = true;
        match self.open.iter().position(|open| open == id) {
            Some(at) => drop(self.open.remove(at)),
            None => {
                let rule = format!(
                    "unexpected `tool_use_id` found in `tool_result` blocks: {id}. Each `tool_result` block must have a corresponding `tool_use` block in the previous message."
                );
                return Err(Misfit::rule(members.path(), rule));
            }
        }
        members.optional("is_error", boolean)?;
        members.optional("content", |value, path| match value {
            Value::String(_) => Ok(()),
            _ => list(value, path)?.iter().enumerate().try_for_each(|(at, block)| {
                let mut block = Members::of(block, &format!("{path}.{at}"))?;
                match block.required("type", one_of(&["text", "image", "document"]))? {
                    "text" => drop(block.required("text", filled)?),
                    "image" => source(&mut block)?,
                    _ => block.skip(&["source", "title", "context", "citations"]),
                }
                block.nullable("citations", list)?;
                block.nullable("cache_control", cache_control)?;
                block.end()
            }),
        })?;
        Ok(())
    }
}

/// The source of an image.
fn source(members: &mut Members<'_>) -> Read<()> {
    members.required("source", |value, path| {
        let mut source = Members::of(value, path)?;
        match source.required("type", one_of(&["base64", "url", "file"]))? {
            "base64" => {
                source.required(
                    "media_type",
                    one_of(&["image/jpeg", "image/png", "image/gif", "image/webp"]),
                )?;
                source.required("data", filled)?;
            }
            "url" => drop(source.required("url", filled)?),
            _ => drop(source.required("file_id", filled)?),
        }
        source.end()
    })
}
