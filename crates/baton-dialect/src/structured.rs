//! Gives a structured answer where a target has no place for a schema: by a tool that must be called.
//!
//! The schema becomes the arguments of one more tool, and what the model calls it with becomes the text of its
//! answer, whole and streamed alike. What does not fit the schema can be asked for once more.
//!
//! - Start with [`by_tool`].
//! - **Invariant:** a call of the client's tools is never taken for the answer.
//! - **Never here:** whether a target needs this, and how often is asked: the engine knows that.

mod check;

use std::collections::HashMap;

use baton_model::{
    Answer, Delta, Fault, FaultKind, FinishReason, Message, OutputFormat, Part, PartKind, PartStart, RawJson,
    Request, Role, StreamEvent, Tool, ToolChoice,
};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;
use serde_json::value::RawValue;

pub use check::Misfit;

/// Whether JSON text follows a schema, as far as the keywords go that are known here.
///
/// # Errors
/// Where it does not, and what was wanted.
pub fn follows_schema(schema: &Value, text: &str) -> Result<(), Misfit> {
    check::check(schema, text)
}

/// The longest name of a tool that every vendor takes.
const MAX_NAME: usize = 64;
/// Where an answer stands that is no object: arguments always are one.
const WRAPPED: &str = "value";

/// The tool through which an answer is given.
#[derive(Clone, Debug)]
pub struct AnswerTool {
    name: String,
    schema: Value,
    wrapped: bool,
}

/// The request without a schema, but with a tool for the answer. `None` where no schema is asked for, or where the
/// client wants a call of its own tools and no answer.
#[must_use]
pub fn by_tool(request: &Request) -> Option<(Request, AnswerTool)> {
    let OutputFormat::JsonSchema { name, description, schema, .. } = &request.output else { return None };
    if matches!(request.tool_choice, Some(ToolChoice::Required | ToolChoice::Tool(_))) {
        return None;
    }
    let schema: Value = schema.read().ok()?;
    let wrapped = !takes_objects(&schema);
    let tool = AnswerTool { name: unused_name(name, &request.tools), schema, wrapped };
    let mut request = request.clone();
    request.output = OutputFormat::Text;
    let free = request.tools.is_empty() || request.tool_choice == Some(ToolChoice::None);
    request.tool_choice = Some(if free { ToolChoice::Tool(tool.name.clone()) } else { ToolChoice::Required });
    if free {
        request.parallel_tool_calls = Some(false);
    }
    let purpose = description.clone().unwrap_or_default();
    request.tools.push(Tool::Function {
        name: tool.name.clone(),
        description: Some(format!("Call this to give your final answer. {purpose}").trim_end().to_owned()),
        parameters: Some(tool.parameters()?),
        strict: None,
        cache: None,
    });
    Some((request, tool))
}

fn takes_objects(schema: &Value) -> bool {
    let kind = schema.get("type");
    kind.is_some_and(|kind| kind == "object") || (kind.is_none() && schema.get("properties").is_some())
}

/// A name that no tool of the client's has, with characters that every vendor takes.
fn unused_name(wanted: &str, tools: &[Tool]) -> String {
    let plain = |letter: char| if letter.is_ascii_alphanumeric() || letter == '-' { letter } else { '_' };
    let base: String = wanted.chars().take(MAX_NAME - 4).map(plain).collect();
    let base = if base.is_empty() { "answer".to_owned() } else { base };
    let taken = |name: &str| {
        tools.iter().any(|tool| match tool {
            Tool::Function { name: known, .. } | Tool::Vendor { name: known, .. } => known == name,
        })
    };
    let numbered = (2..).map(|number| format!("{base}_{number}"));
    std::iter::once(base.clone()).chain(numbered).find(|name| !taken(name)).unwrap_or(base)
}

impl AnswerTool {
    /// The tool's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    fn parameters(&self) -> Option<RawJson> {
        if !self.wrapped {
            return RawJson::of(&self.schema).ok();
        }
        let mut inner = self.schema.clone();
        let mut outer = serde_json::json!({
            "type": "object", "required": [WRAPPED], "additionalProperties": false, "properties": {},
        });
        // References are counted from the top.
        for key in ["$defs", "definitions"] {
            if let Some(definitions) = inner.as_object_mut().and_then(|inner| inner.remove(key)) {
                outer.as_object_mut()?.insert(key.to_owned(), definitions);
            }
        }
        outer.get_mut("properties")?.as_object_mut()?.insert(WRAPPED.to_owned(), inner);
        RawJson::of(&outer).ok()
    }

    /// The answer's text, from what the tool was called with.
    fn text(&self, arguments: &str) -> String {
        #[derive(Deserialize)]
        struct Wrapped<'a> {
            #[serde(borrow)]
            value: &'a RawValue,
        }
        let inner = self.wrapped.then(|| serde_json::from_str::<Wrapped<'_>>(arguments).ok()).flatten();
        inner.map_or_else(|| arguments.to_owned(), |inner| inner.value.get().to_owned())
    }

    /// The answer as the client asked for it. Where the client's own tools are called too, the turn is theirs.
    #[must_use]
    pub fn answer(&self, answer: Answer) -> Answer {
        let is_answer =
            |part: &Part| matches!(&part.kind, PartKind::ToolCall { name, .. } if *name == self.name);
        let others = answer
            .parts
            .iter()
            .any(|part| matches!(part.kind, PartKind::ToolCall { .. }) && !is_answer(part));
        let given = answer.parts.iter().any(is_answer);
        let mut told = false;
        let parts = answer.parts.into_iter().filter_map(|part| match &part.kind {
            PartKind::ToolCall { arguments, .. } if is_answer(&part) => {
                let first = !std::mem::replace(&mut told, true) && !others;
                first.then(|| Part::text(self.text(arguments), part.origin.dialect))
            }
            // What is said beside the answer is no part of it.
            PartKind::Text(_) if given && !others => None,
            _ => Some(part),
        });
        let parts = parts.collect();
        let finish = finish(answer.finish, given && !others);
        Answer { parts, finish, ..answer }
    }

    /// A stream of such answers.
    #[must_use]
    pub fn stream(&self) -> AnswerStream {
        AnswerStream {
            tool: self.clone(),
            held: Vec::new(),
            text: None,
            hidden: Vec::new(),
            calls: false,
            refused: false,
            unfit: None,
        }
    }

    /// Whether an answer, as [`Self::answer`] makes it, is one of the schema. One that calls tools, was cut off or
    /// refused is not held against it.
    ///
    /// # Errors
    /// [`Unfit`] with what is to be said of it.
    pub fn check(&self, answer: &Answer) -> Result<(), Unfit> {
        let mut text = String::new();
        for part in &answer.parts {
            match &part.kind {
                PartKind::ToolCall { .. } | PartKind::Refusal(_) => return Ok(()),
                PartKind::Text(piece) => text.push_str(piece),
                _ => {}
            }
        }
        if answer.finish == FinishReason::Stop { self.check_text(text) } else { Ok(()) }
    }

    fn check_text(&self, text: String) -> Result<(), Unfit> {
        check::check(&self.schema, &text).map_err(|misfit| Unfit { text, misfit })
    }

    /// The request once more, with the answer that did not fit and what is wrong with it.
    #[must_use]
    pub fn repair(&self, request: &Request, Unfit { text, misfit }: &Unfit) -> Request {
        let mut request = request.clone();
        let words = format!(
            "The answer does not fit the schema: {misfit}. Call the tool `{}` with one that does.",
            self.name
        );
        let words = Part::text(words, request.origin);
        let arguments = if self.wrapped { format!("{{\"{WRAPPED}\":{text}}}") } else { text.clone() };
        let message = |role, parts| Message { role, name: None, parts };
        if serde_json::from_str::<HashMap<String, IgnoredAny>>(&arguments).is_err() {
            // No server takes arguments that are no object: it was said, not called.
            if !text.trim().is_empty() {
                request
                    .messages
                    .push(message(Role::Assistant, vec![Part::text(text.clone(), request.origin)]));
            }
            request.messages.push(message(Role::User, vec![words]));
            return request;
        }
        let id = "call_answer".to_owned();
        let call = PartKind::ToolCall { id: id.clone(), name: self.name.clone(), arguments };
        let result = PartKind::ToolResult { call_id: id, parts: vec![words], is_error: true };
        for (role, kind) in [(Role::Assistant, call), (Role::Tool, result)] {
            let parts = vec![Part::new(kind, request.origin)];
            request.messages.push(message(role, parts));
        }
        request
    }
}

/// An answer that does not follow its schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfit {
    /// What was answered.
    pub text: String,
    /// What is wrong with it.
    pub misfit: Misfit,
}

impl Unfit {
    /// The same as a fault of the model's. Nothing of the answer is in it.
    #[must_use]
    pub fn fault(&self) -> Fault {
        let message = format!("the model's answer does not follow the schema: {}", self.misfit);
        Fault::new(FaultKind::MalformedAnswer, message)
    }
}

const fn finish(reason: FinishReason, answered: bool) -> FinishReason {
    match reason {
        FinishReason::ToolCalls if answered => FinishReason::Stop,
        reason => reason,
    }
}

/// Turns the events of a stream with such a call into those of an answer.
#[derive(Clone, Debug)]
pub struct AnswerStream {
    tool: AnswerTool,
    /// Text before it is known whether it is the answer, and the answer that can only be told whole.
    held: Vec<StreamEvent>,
    /// The part that is the answer, and what came of it.
    text: Option<(u32, String)>,
    /// Parts that are not shown.
    hidden: Vec<u32>,
    /// Whether the client's own tools are called.
    calls: bool,
    /// Whether the model refused.
    refused: bool,
    unfit: Option<Unfit>,
}

impl AnswerStream {
    /// What does not follow the schema, once an error event was given out for it.
    #[must_use]
    pub const fn unfit(&self) -> Option<&Unfit> {
        self.unfit.as_ref()
    }

    /// Takes an event and tells what follows from it. An answer that does not follow the schema ends with an error in
    /// the place of its finish.
    pub fn push(&mut self, event: StreamEvent, out: &mut Vec<StreamEvent>) {
        match event {
            StreamEvent::PartStart { index, part: PartStart::ToolCall { name, .. } }
                if name == self.tool.name =>
            {
                if self.calls || self.text.is_some() {
                    return self.hidden.push(index);
                }
                self.held.clear();
                self.text = Some((index, String::new()));
                out.push(StreamEvent::PartStart { index, part: PartStart::Text });
            }
            StreamEvent::PartStart { index, part } => {
                let is_text = part == PartStart::Text;
                self.calls |= matches!(part, PartStart::ToolCall { .. });
                self.refused |= part == PartStart::Refusal;
                if self.calls {
                    out.append(&mut self.held);
                }
                let event = StreamEvent::PartStart { index, part };
                match (is_text && !self.calls, self.text.is_some()) {
                    (true, true) => self.hidden.push(index),
                    (true, false) => self.held.push(event),
                    (false, _) => out.push(event),
                }
            }
            StreamEvent::Delta { index, delta } => self.delta(index, delta, out),
            StreamEvent::PartEnd { index } => self.end(index, out),
            StreamEvent::Finish { reason, stop_sequence } => {
                let reason = finish(reason, self.text.is_some() && !self.calls);
                if reason == FinishReason::Stop
                    && !self.calls
                    && !self.refused
                    && let Err(unfit) = self.tool.check_text(self.said())
                {
                    self.held.clear();
                    out.push(StreamEvent::Error(unfit.fault()));
                    self.unfit = Some(unfit);
                    return;
                }
                out.append(&mut self.held);
                out.push(StreamEvent::Finish { reason, stop_sequence });
            }
            StreamEvent::End => {
                out.append(&mut self.held);
                out.push(StreamEvent::End);
            }
            StreamEvent::Start { .. } | StreamEvent::Usage(_) | StreamEvent::Error(_) => out.push(event),
        }
    }

    /// The answer's text.
    fn said(&self) -> String {
        match &self.text {
            Some((_, whole)) => self.tool.text(whole),
            None => {
                let texts = self.held.iter().filter_map(|event| match event {
                    StreamEvent::Delta { delta: Delta::Text(text), .. } => Some(text.as_str()),
                    _ => None,
                });
                texts.collect()
            }
        }
    }

    fn delta(&mut self, index: u32, delta: Delta, out: &mut Vec<StreamEvent>) {
        if self.hidden.contains(&index) {
            return;
        }
        if let Some((answer, whole)) = &mut self.text
            && *answer == index
        {
            // What its maker puts beside a call has no place beside a text.
            if let Delta::Arguments(piece) = delta {
                whole.push_str(&piece);
                if !self.tool.wrapped {
                    out.push(StreamEvent::Delta { index, delta: Delta::Text(piece) });
                }
            }
            return;
        }
        let event = StreamEvent::Delta { index, delta };
        if self.is_held(index) { self.held.push(event) } else { out.push(event) }
    }

    fn end(&mut self, index: u32, out: &mut Vec<StreamEvent>) {
        if self.hidden.contains(&index) {
            return;
        }
        let end = StreamEvent::PartEnd { index };
        if let Some((answer, whole)) = &self.text
            && *answer == index
            && self.tool.wrapped
        {
            let text = self.tool.text(whole);
            self.held.extend([StreamEvent::Delta { index, delta: Delta::Text(text) }, end]);
        } else if self.is_held(index) {
            self.held.push(end);
        } else {
            out.push(end);
        }
    }

    fn is_held(&self, part: u32) -> bool {
        self.held.iter().any(|event| matches!(event, StreamEvent::PartStart { index, .. } if *index == part))
    }
}

#[cfg(test)]
mod tests;
