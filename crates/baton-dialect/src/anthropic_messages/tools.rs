//! Writes the tools on offer and the choice among them.

use std::collections::HashSet;

use baton_model::{Dialect, Message, PartKind, RawJson, RawObject, Request, Tool, ToolChoice};
use bytes::Bytes;
use serde::Serialize;

use super::DIALECT;
use super::block::readable_mark;
use super::schema::enforceable;
use crate::additions::entries;
use crate::convert::{ObjectWriter, to_json};
use crate::losses::{self, Dropped};

#[derive(Serialize)]
#[serde(untagged)]
enum ToolOut<'r> {
    Function {
        name: &'r str,
        #[serde(skip_serializing_if = "Option::is_none")]
        description: Option<&'r str>,
        input_schema: Schema,
        #[serde(skip_serializing_if = "Option::is_none")]
        strict: Option<bool>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<RawJson>,
    },
    Vendor(&'r RawJson),
}

impl ToolOut<'_> {
    const fn name(&self) -> Option<&str> {
        match self {
            Self::Function { name, .. } => Some(name),
            Self::Vendor(_) => None,
        }
    }
}

/// A schema that says it is of an object, as the API demands.
#[derive(Serialize)]
#[serde(untagged)]
enum Schema {
    Given(RawJson),
    Open { r#type: &'static str, properties: Empty },
}

#[derive(Serialize)]
struct Empty {}

impl Schema {
    const OPEN: Self = Self::Open { r#type: "object", properties: Empty {} };

    fn of(parameters: Option<RawJson>) -> Self {
        parameters.map_or(Self::OPEN, |given| Self::Given(typed(&given).unwrap_or(given)))
    }
}

/// The schema with the type that it lacks.
fn typed(schema: &RawJson) -> Option<RawJson> {
    let members = RawObject::parse(Bytes::from(schema.get().to_owned())).ok()?;
    if members.get("type").is_some() {
        return None;
    }
    let typed = members.rewrite(&[("type", Some(Bytes::from_static(b"\"object\"")))]).concat();
    RawJson::parse(String::from_utf8(typed).ok()?).ok()
}

#[derive(Serialize)]
struct ChoiceOut<'r> {
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'r str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    disable_parallel_tool_use: bool,
}

/// Writes `tools` and `tool_choice`.
pub(super) fn encode_tools(request: &Request, body: &mut ObjectWriter, dropped: &mut Dropped) {
    let tools = request.tools.iter().enumerate();
    let offered: Vec<ToolOut<'_>> =
        tools.filter_map(|(at, tool)| encode_tool(at, tool, request.origin, dropped)).collect();
    if offered.is_empty() {
        let wanted = matches!(request.tool_choice, Some(ToolChoice::Required | ToolChoice::Tool(_)));
        dropped.lose_if(wanted, &losses::MESSAGES_CHOICE, "tool_choice");
        return declare_past_tools(request, body);
    }
    body.member("tools", &offered);
    body.optional("tool_choice", encode_choice(request, &offered, dropped).as_ref());
}

fn encode_tool<'r>(at: usize, tool: &'r Tool, client: Dialect, dropped: &mut Dropped) -> Option<ToolOut<'r>> {
    match tool {
        Tool::Function { name, description, parameters, strict, cache } => {
            let wanted = *strict == Some(true);
            let (input_schema, strict) = encode_schema(parameters.as_ref(), wanted, client);
            let lenient = wanted && !strict && parameters.is_some();
            dropped.lose_if(lenient, &losses::MESSAGES_STRICT, &format!("tools[{at}].strict"));
            Some(ToolOut::Function {
                name,
                description: description.as_deref(),
                input_schema,
                strict: strict.then_some(true),
                cache_control: cache.as_ref().and_then(|mark| readable_mark(mark, client)),
            })
        }
        Tool::Vendor { raw, origin, .. } if origin.dialect == DIALECT => Some(ToolOut::Vendor(raw)),
        Tool::Vendor { name, .. } => {
            dropped.lose(&losses::MESSAGES_VENDOR_TOOL, &format!("tools[{at}] ({name})"));
            None
        }
    }
}

/// The schema of a tool's arguments, and whether it is to be enforced. What cannot be is still told.
fn encode_schema(parameters: Option<&RawJson>, strict: bool, client: Dialect) -> (Schema, bool) {
    let enforced = parameters.filter(|_| strict && client != DIALECT).map(enforceable);
    match enforced {
        Some(Some(schema)) => (Schema::of(Some(schema)), true),
        Some(None) => (Schema::of(parameters.cloned()), false),
        None => (Schema::of(parameters.cloned()), strict && parameters.is_some()),
    }
}

fn encode_choice<'r>(
    request: &'r Request,
    offered: &[ToolOut<'_>],
    dropped: &mut Dropped,
) -> Option<ChoiceOut<'r>> {
    let single = request.parallel_tool_calls == Some(false);
    let choice = |r#type, name| ChoiceOut { r#type, name, disable_parallel_tool_use: single };
    match &request.tool_choice {
        None => single.then(|| choice("auto", None)),
        Some(ToolChoice::Auto) => Some(choice("auto", None)),
        Some(ToolChoice::Required) => Some(choice("any", None)),
        Some(ToolChoice::None) => {
            Some(ChoiceOut { r#type: "none", name: None, disable_parallel_tool_use: false })
        }
        Some(ToolChoice::Tool(name)) => {
            // A vendor's tool that could not be carried cannot be asked for either.
            let gone = request.origin != DIALECT && !offered.iter().any(|tool| tool.name() == Some(name));
            dropped.lose_if(gone, &losses::MESSAGES_CHOICE, "tool_choice");
            (!gone).then(|| choice("tool", Some(name)))
        }
    }
}

/// A history with calls is refused where no tools are declared. The tools called there are declared
/// again, with an open schema, and may not be called: the client offered none.
fn declare_past_tools(request: &Request, body: &mut ObjectWriter) {
    if let Some(PastTools { tools, choice }) = past_tools(&request.messages) {
        body.raw_member("tools", &tools);
        body.raw_member("tool_choice", &choice);
    }
}

/// The members that declare the tools of a history.
pub(super) struct PastTools {
    pub(super) tools: Vec<u8>,
    pub(super) choice: Vec<u8>,
}

/// Declares the tools that were called in these messages, if any were.
pub(super) fn past_tools(messages: &[Message]) -> Option<PastTools> {
    let parts = messages.iter().flat_map(|message| &message.parts);
    let called = parts.filter_map(|part| match &part.kind {
        PartKind::ToolCall { name, .. } => Some(name.as_str()),
        _ => None,
    });
    let mut seen = HashSet::new();
    let names: Vec<&str> = called.filter(|name| seen.insert(*name)).collect();
    if names.is_empty() {
        return None;
    }
    let declare = |name| ToolOut::Function {
        name,
        description: None,
        input_schema: Schema::OPEN,
        strict: None,
        cache_control: None,
    };
    let tools = to_json(&names.into_iter().map(declare).collect::<Vec<_>>());
    let choice = ChoiceOut { r#type: "none", name: None, disable_parallel_tool_use: false };
    Some(PastTools { tools, choice: to_json(&choice) })
}

/// The entries of `tools` for these, as JSON text.
pub(super) fn added_tools(tools: &[Tool]) -> Vec<u8> {
    let mut dropped = Dropped::default();
    let tools = tools.iter().enumerate();
    let tools: Vec<ToolOut<'_>> =
        tools.filter_map(|(at, tool)| encode_tool(at, tool, DIALECT, &mut dropped)).collect();
    entries(&tools)
}
