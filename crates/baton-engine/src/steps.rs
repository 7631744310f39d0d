//! What agents want done before a hand-over to them, and when they have given their last answer.
//!
//! A step reads and changes the context of the run: a JSON object that conditions and templates look at. Beside
//! that it may ask a tool or a webhook, put messages into the conversation, tell the agent more, or forbid the
//! hand-over.
//!
//! - Start with [`Doing::run`].
//! - **Invariant:** each step ends within its deadline and the run's, and each is noted, without content.
//! - **Invariant:** after a step that forbids nothing more is done.

use std::sync::Arc;
use std::time::Duration;

use baton_audit::{Hash, StepNote};
use baton_net::webhook::{Webhook, WebhookError};
use baton_policy::{Context, Inputs, RuleSet, Variable};
use baton_run::{fill, fill_value, member};
use baton_tools::{Registry, ServerRef, ToolSet};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

/// The most bytes of a run's context, as JSON.
pub const MOST_CONTEXT: usize = 64 * 1024;

/// The longest text that conditions look at.
const LONGEST_VARIABLE: usize = 256;

/// What is done, and what if it cannot be.
#[derive(Clone, Debug)]
pub struct Step {
    /// What is done.
    pub action: Action,
    /// How long it may take.
    pub deadline: Duration,
    /// What if it fails.
    pub on_error: OnError,
}

/// What if a step fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnError {
    /// The hand-over does not happen.
    #[default]
    Veto,
    /// Nothing.
    GoOn,
}

/// What a step does. Texts may have places that are filled in.
#[derive(Clone, Debug)]
pub enum Action {
    /// Sets members of the context, by paths with dots.
    Set(Vec<(String, Value)>),
    /// Adds to lists in the context.
    Push(Vec<(String, Value)>),
    /// Puts a message in front of the conversation.
    Prepend(String),
    /// Puts a message behind it.
    Append(String),
    /// Tells the agent this.
    Instructions(String),
    /// Forbids the hand-over where the condition holds.
    VetoIf {
        /// Its only rule holds where the condition does.
        when: Arc<RuleSet>,
        /// What the model is told.
        why: String,
    },
    /// Asks a tool of a server.
    Tool {
        /// The server, as the configuration names it.
        server: String,
        /// The tool, as the server names it.
        tool: String,
        /// What it is told.
        arguments: Value,
        /// Where in the context the result goes.
        into: Option<String>,
    },
    /// Asks a webhook, which may do what the other steps do.
    Webhook {
        /// Where it is.
        webhook: Webhook,
        /// Whether it is told the conversation.
        conversation: bool,
    },
}

/// When steps are done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Point {
    BeforeHandoff,
    OnEnd,
}

/// What steps are done for.
pub(crate) struct Moment<'a> {
    pub(crate) point: Point,
    /// Whose steps.
    pub(crate) agent: &'a str,
    pub(crate) run: String,
    pub(crate) from: &'a str,
    pub(crate) to: &'a str,
    /// Why the model hands over, in its words.
    pub(crate) reason: Option<&'a str>,
    /// The answer that ends the agent's part.
    pub(crate) answer: Option<&'a str>,
    /// The conversation, where a webhook is told it.
    pub(crate) messages: Option<Value>,
    /// What conditions look at beside the context.
    pub(crate) about: Context,
    /// When the run's time is over.
    pub(crate) until: Instant,
}

/// What came of steps.
#[derive(Debug, Default)]
pub(crate) struct Done {
    pub(crate) notes: Vec<StepNote>,
    /// Why the hand-over is forbidden.
    pub(crate) veto: Option<String>,
    pub(crate) prepend: Vec<String>,
    pub(crate) append: Vec<String>,
    pub(crate) instructions: Vec<String>,
    /// Whether the context is another one.
    pub(crate) changed: bool,
}

/// What went wrong, as a stable word.
type Failed = &'static str;

/// What a step brought.
#[derive(Default)]
struct Brought {
    result: Option<&'static str>,
    content: Vec<u8>,
    veto: Option<String>,
}

impl Brought {
    fn of(content: impl Into<Vec<u8>>) -> Self {
        Self { content: content.into(), ..Self::default() }
    }
}

/// What a webhook may answer.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Answer {
    context: Map<String, Value>,
    prepend: Option<String>,
    append: Option<String>,
    instructions: Option<String>,
    veto: Option<Veto>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Veto {
    Is(bool),
    Because(String),
}

impl Point {
    const fn as_str(self) -> &'static str {
        match self {
            Self::BeforeHandoff => "before_handoff",
            Self::OnEnd => "on_end",
        }
    }

    const fn event(self) -> &'static str {
        match self {
            Self::BeforeHandoff => "agent.before_handoff",
            Self::OnEnd => "agent.on_end",
        }
    }
}

impl Action {
    const fn word(&self) -> &'static str {
        match self {
            Self::Set(_) => "set",
            Self::Push(_) => "push",
            Self::Prepend(_) => "prepend",
            Self::Append(_) => "append",
            Self::Instructions(_) => "instructions",
            Self::VetoIf { .. } => "veto_if",
            Self::Tool { .. } => "tool",
            Self::Webhook { .. } => "webhook",
        }
    }

    /// Whether it has to be told the conversation.
    pub(crate) const fn wants_conversation(&self) -> bool {
        matches!(self, Self::Webhook { conversation: true, .. })
    }
}

impl Done {
    /// Whether the request that the agent sends on is another one now.
    pub(crate) const fn edits(&self) -> bool {
        !self.prepend.is_empty() || !self.append.is_empty()
    }

    /// What the agent is told.
    pub(crate) fn briefing(&self) -> Option<String> {
        (!self.instructions.is_empty()).then(|| self.instructions.join("\n"))
    }
}

/// Steps that are being done.
pub(crate) struct Doing<'a> {
    pub(crate) moment: Moment<'a>,
    pub(crate) context: &'a mut Map<String, Value>,
    pub(crate) registry: &'a Registry,
    /// The servers that steps have asked.
    pub(crate) tools: &'a mut Option<ToolSet>,
    done: Done,
}

impl<'a> Doing<'a> {
    pub(crate) fn new(
        moment: Moment<'a>,
        context: &'a mut Map<String, Value>,
        registry: &'a Registry,
        tools: &'a mut Option<ToolSet>,
    ) -> Self {
        Self { moment, context, registry, tools, done: Done::default() }
    }

    /// Does the steps in order.
    pub(crate) async fn run(mut self, steps: &[Step]) -> Done {
        for (at, step) in steps.iter().enumerate() {
            let began = Instant::now();
            let deadline = (began + step.deadline).min(self.moment.until);
            let before = self.context.clone();
            let brought = match tokio::time::timeout_at(deadline, self.one(step, deadline)).await {
                Ok(brought) => brought,
                Err(_elapsed) => Err("late"),
            };
            let failed = brought.as_ref().err().copied();
            if failed.is_some() {
                // A step is done or it is not.
                *self.context = before;
            } else {
                self.done.changed |= *self.context != before;
            }
            let Brought { result, content, veto } = brought.unwrap_or_default();
            let is_veto = veto.is_some() || failed.is_some() && step.on_error == OnError::Veto;
            self.done.notes.push(StepNote {
                agent: self.moment.agent.to_owned(),
                point: self.moment.point.as_str().to_owned(),
                step: u64::try_from(at).unwrap_or(u64::MAX),
                kind: step.action.word().to_owned(),
                result: match (failed, &veto) {
                    (Some(_), _) => "failed",
                    (None, Some(_)) => "vetoed",
                    (None, None) => result.unwrap_or("done"),
                }
                .to_owned(),
                code: failed.map(ToOwned::to_owned),
                took_us: u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX),
                bytes: u64::try_from(content.len()).unwrap_or(u64::MAX),
                hash: if content.is_empty() { String::new() } else { Hash::of(&content).to_string() },
            });
            if is_veto && self.moment.point == Point::BeforeHandoff {
                let because = || format!("a step before it failed ({})", failed.unwrap_or("failed"));
                self.done.veto = Some(veto.unwrap_or_else(because));
                break;
            }
        }
        self.done
    }

    async fn one(&mut self, step: &Step, deadline: Instant) -> Result<Brought, Failed> {
        match &step.action {
            Action::Set(members) => {
                let members = self.filled(members);
                for (path, value) in &members {
                    set(self.context, path, value.clone())?;
                }
                self.fits()?;
                Ok(Brought::of(json!(members).to_string()))
            }
            Action::Push(members) => {
                let members = self.filled(members);
                for (path, value) in &members {
                    push(self.context, path, value.clone())?;
                }
                self.fits()?;
                Ok(Brought::of(json!(members).to_string()))
            }
            Action::Prepend(text) => {
                let text = self.text(text);
                self.done.prepend.push(text.clone());
                Ok(Brought::of(text))
            }
            Action::Append(text) => {
                let text = self.text(text);
                self.done.append.push(text.clone());
                Ok(Brought::of(text))
            }
            Action::Instructions(text) => {
                let text = self.text(text);
                self.done.instructions.push(text.clone());
                Ok(Brought::of(text))
            }
            Action::VetoIf { when, why } => {
                let mut about = self.moment.about.clone();
                about.variables.extend(variables(self.context));
                let inputs = Inputs { context: Some(Box::new(about)), ..Inputs::default() };
                let holds = when.first_match(&inputs).is_some();
                let veto = holds.then(|| self.text(why));
                Ok(Brought { result: (!holds).then_some("skipped"), veto, ..Brought::default() })
            }
            Action::Tool { server, tool, arguments, into } => {
                let arguments = fill_value(arguments, &|name: &str| self.known(name)).to_string();
                self.ask_tool(server, tool, &arguments, into.as_deref(), deadline).await
            }
            Action::Webhook { webhook, conversation } => {
                self.ask_webhook(webhook, *conversation, deadline).await
            }
        }
    }

    /// The value of a place in a text.
    fn known(&self, name: &str) -> Option<Value> {
        let text = |text: Option<&str>| Some(text.map(Value::from).unwrap_or_default());
        match name {
            "answer" => text(self.moment.answer),
            "reason" => text(self.moment.reason),
            "from" => text(Some(self.moment.from)),
            "to" => text(Some(self.moment.to)),
            name => looked_up(self.context, name),
        }
    }

    fn text(&self, text: &str) -> String {
        fill(text, &|name: &str| self.known(name))
    }

    fn filled(&self, members: &[(String, Value)]) -> Vec<(String, Value)> {
        let value = |value: &Value| fill_value(value, &|name: &str| self.known(name));
        members.iter().map(|(path, it)| (path.clone(), value(it))).collect()
    }

    fn fits(&self) -> Result<(), Failed> {
        let size = serde_json::to_vec(&self.context).map_or(usize::MAX, |bytes| bytes.len());
        if size > MOST_CONTEXT { Err("context_too_large") } else { Ok(()) }
    }

    async fn ask_tool(
        &mut self,
        server: &str,
        tool: &str,
        arguments: &str,
        into: Option<&str>,
        deadline: Instant,
    ) -> Result<Brought, Failed> {
        let refs = [ServerRef::slug(server)];
        let left = || deadline.saturating_duration_since(Instant::now());
        let set_of_tools = match &mut *self.tools {
            Some(tools) => {
                self.registry.open_more(tools, &refs, left()).await;
                tools
            }
            none => none.insert(self.registry.open(&refs, left()).await),
        };
        let offered = set_of_tools.tools().iter().find(|it| it.server == server && it.tool == tool);
        let name = offered.map(|offered| offered.name.clone()).ok_or("no_such_tool")?;
        let called = set_of_tools.call(&name, arguments, left()).await;
        if called.is_error {
            return Err("tool_failed");
        }
        if let Some(path) = into {
            set(self.context, path, called.result)?;
            self.fits()?;
        }
        Ok(Brought::of(called.text))
    }

    async fn ask_webhook(
        &mut self,
        webhook: &Webhook,
        conversation: bool,
        deadline: Instant,
    ) -> Result<Brought, Failed> {
        let moment = &self.moment;
        let mut data = json!({
            "run": moment.run,
            "agent": moment.agent,
            "from": moment.from,
            "to": moment.to,
            "context": self.context,
        });
        if let Some(members) = data.as_object_mut() {
            let more = [
                ("reason", moment.reason.map(Value::from)),
                ("answer", moment.answer.map(Value::from)),
                ("messages", moment.messages.clone().filter(|_| conversation)),
            ];
            members.extend(more.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))));
        }
        let left = deadline.saturating_duration_since(Instant::now());
        let answer = webhook.ask(moment.point.event(), data.to_string().as_bytes(), left).await;
        let answer = answer.map_err(|error| why(&error))?;
        if answer.trim_ascii().is_empty() {
            return Ok(Brought::default());
        }
        let said: Answer = serde_json::from_slice(&answer).map_err(|_no_answer| "bad_answer")?;
        self.context.extend(said.context);
        self.fits()?;
        let veto = match said.veto {
            Some(Veto::Because(why)) => Some(why),
            Some(Veto::Is(true)) => Some("it is not wanted now".to_owned()),
            Some(Veto::Is(false)) | None => None,
        };
        self.done.prepend.extend(said.prepend);
        self.done.append.extend(said.append);
        self.done.instructions.extend(said.instructions);
        Ok(Brought { content: answer.to_vec(), veto, ..Brought::default() })
    }
}

/// What a place that names the context stands for; `None` for other names.
pub(crate) fn looked_up(context: &Map<String, Value>, name: &str) -> Option<Value> {
    name.strip_prefix("context.").map(|path| member(context, path))
}

/// What conditions see of a context: its short texts, numbers and truth values.
pub fn variables(context: &Map<String, Value>) -> impl Iterator<Item = (String, Variable)> {
    context.iter().filter_map(|(name, value)| {
        let variable = match value {
            Value::Bool(is) => Variable::Bool(*is),
            Value::String(text) if text.len() <= LONGEST_VARIABLE => Variable::Text(text.clone()),
            Value::Number(number) => match (number.as_i64(), number.as_f64()) {
                (Some(number), _) => Variable::Int(number),
                (None, Some(number)) => Variable::Float(number),
                (None, None) => return None,
            },
            Value::String(_) | Value::Null | Value::Array(_) | Value::Object(_) => return None,
        };
        Some((name.clone(), variable))
    })
}

/// Sets a member; null takes it away.
fn set(context: &mut Map<String, Value>, path: &str, value: Value) -> Result<(), Failed> {
    let (object, name) = place(context, path)?;
    if value.is_null() {
        object.remove(name);
    } else {
        object.insert(name.to_owned(), value);
    }
    Ok(())
}

fn push(context: &mut Map<String, Value>, path: &str, value: Value) -> Result<(), Failed> {
    let (object, name) = place(context, path)?;
    match object.entry(name).or_insert_with(|| json!([])) {
        Value::Array(items) => items.push(value),
        _ => return Err("not_a_list"),
    }
    Ok(())
}

/// The object that a path leads into, made where nothing stands, and the last name of the path.
fn place<'c, 'p>(
    context: &'c mut Map<String, Value>,
    path: &'p str,
) -> Result<(&'c mut Map<String, Value>, &'p str), Failed> {
    let (objects, name) = path.rsplit_once('.').map_or((None, path), |(objects, name)| (Some(objects), name));
    let mut object = context;
    for name in objects.into_iter().flat_map(|objects| objects.split('.')) {
        object = match object.entry(name).or_insert_with(|| json!({})) {
            Value::Object(members) => members,
            _ => return Err("not_an_object"),
        };
    }
    Ok((object, name))
}

fn why(error: &WebhookError) -> Failed {
    match error {
        WebhookError::Late(_) => "late",
        WebhookError::Refused(_) => "refused",
        WebhookError::Answer(_) => "bad_answer",
        _ => "unreachable",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(value: Value) -> Map<String, Value> {
        let Value::Object(members) = value else { unreachable!() };
        members
    }

    #[test]
    fn members_are_set_by_their_paths() {
        let check = |before: Value, path: &str, value: Value, expected: Result<Value, Failed>| {
            let mut context = object(before);
            let done = set(&mut context, path, value).map(|()| Value::Object(context));
            assert_eq!(done, expected, "{path}");
        };
        check(json!({}), "a", json!(1), Ok(json!({"a": 1})));
        check(json!({"a": 0}), "a", json!([1]), Ok(json!({"a": [1]})));
        check(json!({}), "a.b.c", json!("x"), Ok(json!({"a": {"b": {"c": "x"}}})));
        check(json!({"a": {"b": 1}}), "a.b", Value::Null, Ok(json!({"a": {}})));
        check(json!({"a": 1}), "a.b", json!(1), Err("not_an_object"));
    }

    #[test]
    fn lists_grow() {
        let mut context = object(json!({"n": 1}));
        assert_eq!(push(&mut context, "steps", json!("research")), Ok(()));
        assert_eq!(push(&mut context, "steps", json!("writing")), Ok(()));
        assert_eq!(push(&mut context, "deep.list", json!(1)), Ok(()));
        assert_eq!(push(&mut context, "n", json!(1)), Err("not_a_list"));
        assert_eq!(
            Value::Object(context),
            json!({"n": 1, "steps": ["research", "writing"], "deep": {"list": [1]}})
        );
    }

    #[test]
    fn conditions_see_what_is_short_and_plain() {
        let context = object(json!({
            "a": true, "b": 1, "c": 1.5, "d": "x", "e": "y".repeat(257), "f": [], "g": {}, "h": null,
        }));
        let seen: Vec<String> = variables(&context).map(|(name, _)| name).collect();
        assert_eq!(seen, ["a", "b", "c", "d"]);
    }
}
