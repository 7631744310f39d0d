//! Reads what is done before the conversation is handed over to an agent, and when it has given its last answer.
//!
//! - Start with [`steps`].
//! - **Invariant:** each step does one thing, and every place in its texts has a name that is known there.

use std::time::Duration;

use serde_json::{Map, Number, Value};

use super::edge::read_condition;
use super::note::Notes;
use crate::agents::{OnError, Step, StepAction};
use crate::read::audit::webhook_in;
use crate::read::names::Names;
use crate::reader::{At, Reader, Section};
use crate::tree;
use crate::value::{Wrong, did_you_mean, duration};

/// The most steps in one place.
const MOST: usize = 16;

/// How long a step may take unless it says so.
const USUAL_DEADLINE: Duration = Duration::from_secs(5);

/// The longest time that somebody waits for one step.
const LONGEST_DEADLINE: Duration = Duration::from_secs(60);

/// The words for what a step does.
const ACTIONS: [&str; 8] = ["set", "push", "prepend", "append", "instructions", "veto_if", "tool", "webhook"];

/// When steps are done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    BeforeHandoff,
    OnEnd,
}

impl When {
    const fn key(self) -> &'static str {
        match self {
            Self::BeforeHandoff => "before_handoff",
            Self::OnEnd => "on_end",
        }
    }

    /// The names that places may have beside `context.`.
    const fn words(self) -> &'static [&'static str] {
        match self {
            Self::BeforeHandoff => &["from", "to", "reason"],
            Self::OnEnd => &["from", "answer"],
        }
    }

    /// Whether a step can do this then.
    fn allows(self, action: &str) -> bool {
        self == Self::BeforeHandoff || matches!(action, "set" | "push" | "tool" | "webhook")
    }
}

/// The steps of an agent; none where it has none.
pub(super) fn steps(
    reader: &mut Reader<'_>,
    section: &mut Section<'_>,
    when: When,
    names: &Names<'_>,
    notes: &mut Notes,
) -> Vec<Step> {
    let Some(at) = notes.take(reader, section, when.key()) else { return Vec::new() };
    let items = reader.list(&at).unwrap_or_default();
    if let Some(one_more) = items.get(MOST) {
        reader.wrong_at(
            one_more.node.span,
            &one_more.path,
            Wrong::new(format!("there are {MOST} steps at most")),
        );
    }
    items.iter().take(MOST).filter_map(|item| step(reader, item, when, names, notes)).collect()
}

fn step(
    reader: &mut Reader<'_>,
    item: &At<'_>,
    when: When,
    names: &Names<'_>,
    notes: &mut Notes,
) -> Option<Step> {
    let mut section = reader.section(item)?;
    let there: Vec<&str> = ACTIONS.into_iter().filter(|action| section.has(action)).collect();
    let action = match there.as_slice() {
        [one] if when.allows(one) => action(reader, &mut section, one, when, names, notes),
        [one] => {
            let wrong =
                Wrong::new(format!("nothing is handed over at an end, so a step cannot `{one}` there"));
            reader.wrong_at(item.node.span, &item.path, wrong.hint("write it under `before_handoff`"));
            drop(reader.take(&mut section, known_key(one)));
            None
        }
        several => {
            let what = if several.is_empty() { "it does nothing" } else { "it does more than one thing" };
            let words = ACTIONS.join("`, `");
            reader.wrong_at(
                item.node.span,
                &item.path,
                Wrong::new(format!("a step does one thing: {what}"))
                    .hint(format!("write one of `{words}`, and a step for each")),
            );
            for known in several {
                drop(reader.take(&mut section, known_key(known)));
            }
            None
        }
    };
    let why = notes.take(reader, &mut section, "why").and_then(|at| text(reader, &at, when));
    let deadline = notes.take(reader, &mut section, "deadline").and_then(|at| reader.read(&at, deadline));
    let on_error = notes.take(reader, &mut section, "on_error").and_then(|at| {
        let error = reader.word(&at, &[("veto", OnError::Veto), ("go_on", OnError::GoOn)])?;
        if error == OnError::Veto && when == When::OnEnd {
            let wrong = Wrong::new("there is nothing left to forbid at an end");
            reader.wrong_at(at.node.span, &at.path, wrong.hint("leave it out"));
        }
        Some(error)
    });
    reader.finish(section);
    let mut action = action?;
    if let StepAction::VetoIf { why: told, .. } = &mut action {
        *told = why.unwrap_or_else(|| "it is not wanted now".to_owned());
    }
    let otherwise = if when == When::OnEnd { OnError::GoOn } else { OnError::Veto };
    let (deadline, on_error) = (deadline.unwrap_or(USUAL_DEADLINE), on_error.unwrap_or(otherwise));
    Some(Step { action, deadline, on_error })
}

/// The key as the reader wants it.
fn known_key(key: &str) -> &'static str {
    ACTIONS.into_iter().find(|known| *known == key).unwrap_or("set")
}

fn action(
    reader: &mut Reader<'_>,
    section: &mut Section<'_>,
    key: &str,
    when: When,
    names: &Names<'_>,
    notes: &mut Notes,
) -> Option<StepAction> {
    let at = notes.take(reader, section, known_key(key))?;
    match key {
        "set" => members(reader, &at, when).map(StepAction::Set),
        "push" => members(reader, &at, when).map(StepAction::Push),
        "prepend" => text(reader, &at, when).map(StepAction::Prepend),
        "append" => text(reader, &at, when).map(StepAction::Append),
        "instructions" => text(reader, &at, when).map(StepAction::Instructions),
        "veto_if" => read_condition(reader, &at).map(|when| StepAction::VetoIf { when, why: String::new() }),
        "tool" => tool(reader, &at, when, names, notes),
        _ => asked(reader, &at, notes),
    }
}

fn tool(
    reader: &mut Reader<'_>,
    at: &At<'_>,
    when: When,
    names: &Names<'_>,
    notes: &mut Notes,
) -> Option<StepAction> {
    let mut section = reader.section(at)?;
    let server_at = notes.take(reader, &mut section, "server");
    let name_at = notes.take(reader, &mut section, "name");
    for (key, at) in [("server", &server_at), ("name", &name_at)] {
        if at.is_none() {
            reader.missing(&section, key, "a server of `mcp_servers` and the name of one of its tools");
        }
    }
    let server = server_at.and_then(|at| reader.read(&at, |text| names.server(text)));
    let tool = name_at.and_then(|at| reader.read(&at, |text| Ok(text.to_owned())));
    let arguments = notes
        .take(reader, &mut section, "arguments")
        .and_then(|at| members(reader, &at, when))
        .map(|members| Value::Object(members.into_iter().collect()));
    let into = notes.take(reader, &mut section, "into").and_then(|at| reader.read(&at, member));
    reader.finish(section);
    let arguments = arguments.unwrap_or_else(|| Value::Object(Map::new()));
    Some(StepAction::Tool { server: server?, tool: tool?, arguments, into })
}

fn asked(reader: &mut Reader<'_>, at: &At<'_>, notes: &mut Notes) -> Option<StepAction> {
    let mut section = reader.section(at)?;
    let conversation = notes.take(reader, &mut section, "conversation").and_then(|at| reader.boolean(&at));
    let webhook = webhook_in(reader, section)?;
    Some(StepAction::Webhook { webhook, conversation: conversation.unwrap_or_default() })
}

/// Members of the context, or of arguments: names with values. A value without quotes is a number or a truth
/// value where it reads like one, else a text.
fn members(reader: &mut Reader<'_>, at: &At<'_>, when: When) -> Option<Vec<(String, Value)>> {
    let mut members = Vec::new();
    for entry in reader.named(at) {
        match member(entry.name) {
            Ok(name) => members.push((name, value(reader, &entry.value, when)?)),
            Err(wrong) => reader.wrong_at(entry.key, &entry.value.path, wrong),
        }
    }
    if members.is_empty() {
        reader.wrong_at(at.node.span, &at.path, Wrong::new("nothing stands here"));
        return None;
    }
    Some(members)
}

/// A path into the context: names with dots between them.
fn member(text: &str) -> Result<String, Wrong> {
    let is_name =
        |name: &str| !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-'));
    if text.len() <= 256 && text.split('.').all(is_name) {
        return Ok(text.to_owned());
    }
    Err(Wrong::new("a member of the context is named with letters, digits, `-`, `_`, and dots between names"))
}

fn value(reader: &mut Reader<'_>, at: &At<'_>, when: When) -> Option<Value> {
    match &at.node.value {
        tree::Value::Null => Some(Value::Null),
        tree::Value::Text(_) => {
            let text = text(reader, at, when)?;
            if !at.node.is_plain {
                return Some(Value::String(text));
            }
            let number = || text.parse::<Number>().ok().map(Value::Number);
            let word = text.parse::<bool>().ok().map(Value::Bool);
            Some(word.or_else(number).unwrap_or(Value::String(text)))
        }
        tree::Value::List(_) => {
            let items = reader.list(at)?;
            items.iter().map(|item| value(reader, item, when)).collect::<Option<Vec<_>>>().map(Value::Array)
        }
        tree::Value::Map(_) => {
            let mut object = Map::new();
            for entry in reader.named(at) {
                object.insert(entry.name.to_owned(), value(reader, &entry.value, when)?);
            }
            Some(Value::Object(object))
        }
    }
}

/// A text whose places all have a name that is known then.
fn text(reader: &mut Reader<'_>, at: &At<'_>, when: When) -> Option<String> {
    reader.read(at, |text| {
        let is_known = |name: &&str| {
            name.strip_prefix("context.").is_some_and(|path| member(path).is_ok())
                || when.words().contains(name)
        };
        match baton_run::names(text).find(|name| !is_known(name)) {
            None => Ok(text.to_owned()),
            Some(name) => {
                let wrong = Wrong::new(format!("there is no `{{{{{name}}}}}` here"));
                let words = when.words().iter().copied();
                Err(match did_you_mean(name, words.chain(["context"])) {
                    Some(hint) => wrong.hint(hint),
                    None => wrong.hint("write `{{context.NAME}}`"),
                })
            }
        }
    })
}

fn deadline(text: &str) -> Result<Duration, Wrong> {
    let time = duration(text)?;
    if time.is_zero() || time > LONGEST_DEADLINE {
        return Err(Wrong::new(format!("expected a time up to {} s", LONGEST_DEADLINE.as_secs())));
    }
    Ok(time)
}
