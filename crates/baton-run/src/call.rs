//! The calls of a turn, told apart by who carries them out.

use std::collections::BTreeSet;

use baton_model::{Part, PartKind};
use serde::Deserialize;

/// The longest reason of a model's that is read, in bytes: whoever records it takes out what has no place in a
/// log, and shortens it then.
const LONGEST_REASON: usize = 64 * 1024;

/// The most calls of a turn that go into the history: no vendor takes more in one message.
const MOST_CALLS: usize = 128;

/// Who carries a call out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallKind {
    /// The client.
    Client,
    /// The gateway, by asking a tool.
    Server,
    /// The gateway, by handing the conversation to this member.
    Transfer(usize),
    /// The gateway, by having this member do a task.
    Errand(usize),
    /// Nobody: it gives a task to somebody who does not exist.
    NoSuchErrand,
    /// Nobody: it is made like a transfer, and its target does not exist.
    NoSuchTarget,
    /// Nobody: no tool of this name was offered.
    NoSuchTool,
}

/// A call that a model made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    /// Where it stands among the turn's parts.
    pub(crate) part: usize,
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) arguments: String,
    pub(crate) kind: CallKind,
}

/// The one argument of a transfer that Baton reads itself.
#[derive(Deserialize)]
struct Why {
    #[serde(default)]
    reason: Option<String>,
}

impl Call {
    /// The arguments, where they are more than a reason.
    pub(crate) fn package(&self) -> Option<String> {
        let members: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(&self.arguments).ok()?;
        members.keys().any(|key| key != "reason" && key != "agent").then(|| self.arguments.clone())
    }

    /// Why, in the model's words.
    pub(crate) fn reason(&self) -> Option<String> {
        let why: Why = serde_json::from_str(&self.arguments).ok()?;
        let reason = why.reason?;
        let reason = whole_words(reason.trim(), LONGEST_REASON);
        Some(reason.to_owned()).filter(|reason| !reason.is_empty())
    }
}

/// As many whole words as fit: half a secret would not be known for one.
fn whole_words(text: &str, most: usize) -> &str {
    if text.len() <= most {
        return text;
    }
    let head = text.get(..text.floor_char_boundary(most)).unwrap_or_default();
    head.rfind(char::is_whitespace).and_then(|end| head.get(..end)).unwrap_or_default().trim_end()
}

/// The calls among the parts. One without an id, or with another's, gets an id of its own.
pub(crate) fn calls_of(parts: &mut Vec<Part>, turn: u32, kind: impl Fn(&str, &str) -> CallKind) -> Vec<Call> {
    let mut room = MOST_CALLS;
    parts.retain(|part| match &part.kind {
        PartKind::Text(text) => !text.is_empty(),
        PartKind::ToolCall { .. } => {
            let fits = room > 0;
            room = room.saturating_sub(1);
            fits
        }
        _ => true,
    });
    let mut seen = BTreeSet::new();
    let mut calls = Vec::new();
    for (at, part) in parts.iter().enumerate() {
        let PartKind::ToolCall { id, name, arguments } = &part.kind else { continue };
        let mut id = id.clone();
        if id.is_empty() || seen.contains(&id) {
            id = format!("call_{turn}_{}", calls.len() + 1);
        }
        seen.insert(id.clone());
        calls.push(Call {
            part: at,
            id,
            name: name.clone(),
            arguments: arguments.clone(),
            kind: kind(name, arguments),
        });
    }
    calls
}

/// A tool's name as every vendor takes it: models make up others.
fn named(name: &str) -> String {
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-');
    let name: String =
        name.chars().take(64).map(|letter| if allowed(letter) { letter } else { '_' }).collect();
    if name.is_empty() { "unnamed".to_owned() } else { name }
}

/// The parts, with each call under the id that it has in the history and arguments that are JSON.
pub(crate) fn named_calls(mut parts: Vec<Part>, calls: &[Call]) -> Vec<Part> {
    for call in calls {
        if let Some(PartKind::ToolCall { id, name, arguments }) =
            parts.get_mut(call.part).map(|part| &mut part.kind)
        {
            id.clone_from(&call.id);
            *name = named(name);
            // What a model wrote in haste must not make the next request one that no upstream takes.
            if serde_json::from_str::<serde::de::IgnoredAny>(arguments).is_err() {
                "{}".clone_into(arguments);
            }
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_word_of_a_reason_is_cut() {
        assert_eq!(whole_words("one two", 7), "one two");
        assert_eq!(whole_words("one two", 6), "one");
        assert_eq!(whole_words("one", 2), "");
        assert_eq!(whole_words("é é", 4), "é");
    }
}
