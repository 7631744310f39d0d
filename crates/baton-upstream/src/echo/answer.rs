//! Decides what an echo model says: text, JSON or a tool call.
//!
//! A plain function of the request, so that the same request always gets the same answer.

use serde_json::{Value, json};

use super::model::EchoModel;
use super::request::{Format, Function, Image, Request, ToolChoice};
use super::schema;

mod pick;

const HELLO: &str =
    "Hello from Baton. This answer was made inside the gateway, so no provider and no key was needed.";
const SLOW: &str = "This answer takes its time. It comes one word after the other, at the pace that the \
                    name of the model asks for, so that you can watch a stream and see what a deadline does to it.";
const NO_TOOL: &str =
    "No tool is on offer, so there is nothing to call. Send `tools` and this model calls one.";
const MIDSTREAM: &str = "This answer begins well, and it would go on for a while, but it never gets to its end, \
                         because this model breaks in the middle of what it says.";

/// What is said, and why it ended.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Answer {
    /// What is said.
    pub(super) content: Content,
    /// Why it ended.
    pub(super) finish: Finish,
}

/// What is said.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Content {
    /// Text, or JSON as text.
    Text(String),
    /// A call of one function.
    Call {
        /// Which.
        name: String,
        /// JSON text.
        arguments: String,
    },
}

/// Why an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Finish {
    /// Done, or a stop sequence.
    Stop,
    /// The limit.
    Length,
    /// A tool is to be called.
    ToolCalls,
}

impl Content {
    /// The text or the arguments.
    pub(super) fn text(&self) -> &str {
        match self {
            Self::Text(text) => text,
            Self::Call { arguments, .. } => arguments,
        }
    }

    /// What the output would count as.
    pub(super) fn tokens(&self) -> u64 {
        let named = match self {
            Self::Text(_) => 0,
            Self::Call { name, .. } => name.len(),
        };
        tokens(named + self.text().len())
    }
}

/// Four bytes to a token.
pub(super) fn tokens(bytes: usize) -> u64 {
    u64::try_from(bytes.div_ceil(4)).unwrap_or(u64::MAX)
}

/// The answer of a model to a request.
pub(super) fn answer(request: &Request, model: &EchoModel) -> Answer {
    if let Some(tool) = tool_to_call(request, model) {
        let schema = tool.parameters.clone().unwrap_or_else(|| json!({"type": "object"}));
        let arguments = match schema::example(&schema, hint(request)) {
            made @ Value::Object(_) => made,
            _ => json!({}),
        };
        let content = Content::Call { name: tool.name.clone(), arguments: arguments.to_string() };
        return Answer { content, finish: Finish::ToolCalls };
    }
    let mut text = text(request, model);
    if let Some(at) = request.stop.iter().filter_map(|stop| text.find(stop.as_str())).min() {
        text.truncate(at);
    }
    let most = request.max_tokens.and_then(|most| usize::try_from(most).ok()?.checked_mul(4));
    let finish = match most {
        Some(most) if most < text.len() => {
            text.truncate(text.floor_char_boundary(most));
            Finish::Length
        }
        _ => Finish::Stop,
    };
    Answer { content: Content::Text(text), finish }
}

/// Whether this turn is a tool call. The client's word counts first; of its own accord only the
/// model `tool` calls, and not when it has just been given a result.
fn tool_to_call<'a>(request: &'a Request, model: &EchoModel) -> Option<&'a Function> {
    let fitting = || pick::fitting(&request.tools, request.last_user().map_or("", |user| user.text.as_str()));
    match &request.tool_choice {
        ToolChoice::None => None,
        ToolChoice::Named(name) => request.tools.iter().find(|tool| tool.name == *name),
        ToolChoice::Required => fitting(),
        ToolChoice::Auto if *model == EchoModel::Tool && request.tool_results().is_empty() => fitting(),
        ToolChoice::Auto => None,
    }
}

fn text(request: &Request, model: &EchoModel) -> String {
    match &request.format {
        Format::JsonSchema(schema) => schema::example(schema, hint(request)).to_string(),
        Format::JsonObject => json_object(request).to_string(),
        Format::Text if *model == EchoModel::Json => json_object(request).to_string(),
        Format::Text => {
            let mut text = spoken(request, model);
            if let Some(seen) = images(request) {
                text.push(' ');
                text.push_str(&seen);
            }
            text
        }
    }
}

fn spoken(request: &Request, model: &EchoModel) -> String {
    let mut results = request.tool_results();
    // One that was handed the conversation answers the user, as it was told.
    results.retain(|(name, _)| !name.is_some_and(|name| name.starts_with("transfer_to_")));
    if !results.is_empty() {
        let told = results.iter().map(|(name, result)| match name {
            Some(name) => format!("The tool `{name}` answered: {result}"),
            None => format!("The tool answered: {result}"),
        });
        return told.collect::<Vec<_>>().join("\n");
    }
    match model {
        EchoModel::Parrot => match request.last_user().map(|user| user.text.as_str()) {
            None | Some("") => "There is no text to repeat.".to_owned(),
            Some(text) => text.to_owned(),
        },
        EchoModel::Tool => NO_TOOL.to_owned(),
        EchoModel::Slow { .. } => SLOW.to_owned(),
        EchoModel::FailMidstream { .. } => MIDSTREAM.to_owned(),
        EchoModel::Hello
        | EchoModel::Json
        | EchoModel::Fail429 { .. }
        | EchoModel::Fail500
        | EchoModel::FailTimeout => HELLO.to_owned(),
    }
}

fn json_object(request: &Request) -> Value {
    let results: Vec<Value> = request
        .tool_results()
        .into_iter()
        .map(|(name, result)| json!({"tool": name, "result": result}))
        .collect();
    let asked = request.last_user().map_or("", |user| user.text.as_str());
    let mut object = json!({"model": "json", "you_said": asked});
    if let Value::Object(members) = &mut object {
        if !results.is_empty() {
            members.insert("tool_results".to_owned(), results.into());
        }
        if let Some(seen) = images(request) {
            members.insert("images".to_owned(), seen.into());
        }
    }
    object
}

/// What strings in made-up JSON say: the newest tool result, else a name the user mentions, else
/// the user's words.
fn hint(request: &Request) -> &str {
    if let Some((_, result)) = request.tool_results().last() {
        return result;
    }
    let said = request.last_user().map_or("", |user| user.text.as_str());
    pick::proper_name(said).unwrap_or(said)
}

/// One sentence about the images of the last user message.
fn images(request: &Request) -> Option<String> {
    let images =
        request.last_user().map(|user| user.images.as_slice()).filter(|images| !images.is_empty())?;
    let told = images.iter().map(|image| match image {
        Image::Inline { format, bytes } => format!("a {format} image of {bytes} bytes"),
        Image::Remote => "an image at an address".to_owned(),
    });
    Some(format!("I was shown {}.", told.collect::<Vec<_>>().join(" and ")))
}

#[cfg(test)]
mod tests;
