//! Joins whole answers: the last one's body with what all turns said.

use baton_model::{Fault, Part, PartKind, RawJson, RawObject, Usage};
use bytes::Bytes;
use serde_json::value::RawValue;

use super::super::encode::custom_call_id;
use super::super::usage::WireUsage;
use super::super::{finish_word, malformed};
use super::chunk::{is_nothing, list, numbered};
use crate::additions::{Edits, object, push_extras};
use crate::convert::to_json;
use crate::join::{PARAGRAPH, no_turn};
use crate::{AnswerContext, JoinEnd, TurnAnswer};

pub(crate) fn join_answers(
    turns: &[TurnAnswer<'_>],
    end: &JoinEnd<'_>,
    context: &AnswerContext<'_>,
    id: &str,
) -> Result<Vec<u8>, Fault> {
    let (Some(first), Some((last, earlier))) = (turns.first(), turns.split_last()) else {
        return Err(no_turn());
    };
    let created = first.answer.created.unwrap_or(context.created);
    let mut edits: Edits<'_> = vec![
        ("id", Some(to_json(id).into())),
        ("created", Some(to_json(&created).into())),
        ("model", Some(to_json(context.model).into())),
    ];
    if !stands_alone(last, earlier, end) {
        edits.push(("choices", Some(joined_choices(turns, end)?)));
    }
    if end.usage != last.answer.usage {
        edits.push(("usage", end.usage.map(|usage: Usage| to_json(&WireUsage::from(&usage)).into())));
    }
    push_extras(&mut edits, end.extras);
    Ok(parse(last.raw.clone())?.rewritten(&edits))
}

/// Whether the choices of the last turn are those of the run: the turns before it only made calls that a client
/// does not see. Mostly it is so, and then nothing below the top of an answer is parsed again.
fn stands_alone(last: &TurnAnswer<'_>, earlier: &[TurnAnswer<'_>], end: &JoinEnd<'_>) -> bool {
    let is_hidden = |turn: &TurnAnswer<'_>, part: &Part| matches!(&part.kind, PartKind::ToolCall { id, .. } if turn.hides(id));
    let is_silent = |turn: &TurnAnswer<'_>| turn.answer.parts.iter().all(|part| is_hidden(turn, part));
    let speaks = |part: &Part| {
        matches!(part.kind, PartKind::Text(_) | PartKind::Refusal(_) | PartKind::ToolCall { .. })
    };
    let said = &last.answer.parts;
    earlier.iter().all(is_silent)
        && said.iter().any(speaks)
        && !said.iter().any(|part| is_hidden(last, part))
        && finish_word(last.answer.finish) == finish_word(end.finish)
}

/// The choices of the last turn with what all turns said.
fn joined_choices(turns: &[TurnAnswer<'_>], end: &JoinEnd<'_>) -> Result<Bytes, Fault> {
    let messages: Vec<Said<'_>> = turns.iter().map(Said::of).collect::<Result<_, _>>()?;
    let said = messages.last().ok_or_else(no_turn)?;
    let mut choices = said.choices.clone();
    let word = finish_word(end.finish);
    let mut edits: Edits<'_> = vec![("message", Some(said.message.rewritten(&message(&messages)).into()))];
    if finish_word(said.turn.answer.finish) != word {
        edits.push(("finish_reason", Some(to_json(word).into())));
    }
    if let Some(choice) = choices.first_mut() {
        *choice = said.choice.rewritten(&edits).into();
    }
    Ok(list(&choices))
}

/// What one turn said, raw and read.
struct Said<'a> {
    choices: Vec<Bytes>,
    /// The first of them, read.
    choice: RawObject,
    message: RawObject,
    turn: &'a TurnAnswer<'a>,
}

impl<'a> Said<'a> {
    fn of(turn: &'a TurnAnswer<'a>) -> Result<Self, Fault> {
        let body = parse(turn.raw.clone())?;
        let choices = choices(&body);
        let first = choices.first().cloned();
        let choice = parse(first.ok_or_else(|| malformed("the provider's answer has no choices"))?)?;
        let message = object(&choice, "message");
        Ok(Self { choices, choice, message, turn })
    }

    fn text(&self) -> String {
        let texts = self.turn.answer.parts.iter().filter_map(|part| match &part.kind {
            PartKind::Text(text) => Some(text.as_str()),
            _ => None,
        });
        texts.collect()
    }

    fn entries(&self, key: &str) -> Vec<Bytes> {
        let entries: Vec<&RawValue> = self.message.read(key).ok().flatten().unwrap_or_default();
        entries.into_iter().map(|raw| Bytes::copy_from_slice(raw.get().as_bytes())).collect()
    }

    /// The calls that a client sees, and whether the call of the old form is one.
    fn calls(&self) -> (Vec<Bytes>, bool) {
        let mut ids = self.turn.answer.parts.iter().filter_map(|part| match &part.kind {
            PartKind::ToolCall { id, .. } => Some(id.as_str()),
            _ => None,
        });
        let mut calls = self.entries("tool_calls");
        calls.retain(|call| is_custom(call) || ids.next().is_some_and(|id| !self.turn.hides(id)));
        (calls, ids.next().is_some_and(|id| !self.turn.hides(id)))
    }
}

fn is_custom(call: &Bytes) -> bool {
    let raw = std::str::from_utf8(call).ok().and_then(|text| RawJson::parse(text).ok());
    raw.is_some_and(|raw| custom_call_id(&raw).is_some())
}

/// The members of the last message that what was said before changes.
fn message(all: &[Said<'_>]) -> Edits<'static> {
    let Some((last, earlier)) = all.split_last() else { return Vec::new() };
    let mut edits: Edits<'_> = Vec::new();
    let said: Vec<String> = earlier.iter().map(Said::text).filter(|text| !text.is_empty()).collect();
    if !said.is_empty() {
        edits.push(("content", Some(content(&said.join(PARAGRAPH), last))));
    }
    for key in ["refusal", "reasoning_content", "reasoning"] {
        let texts: Vec<String> = all.iter().filter_map(|said| said.message.read(key).ok()?).collect();
        if texts.len() > usize::from(last.message.get(key).is_some()) {
            edits.push((key, Some(to_json(&texts.concat()).into())));
        }
    }
    let calls: Vec<Bytes> = all.iter().flat_map(|said| said.calls().0).collect();
    let keeps_function = last.calls().1;
    let lists = [
        ("reasoning_details", details(all)),
        ("annotations", all.iter().flat_map(|said| said.entries("annotations")).collect()),
        ("tool_calls", calls.clone()),
    ];
    for (key, entries) in lists {
        if entries != last.entries(key) {
            edits.push((key, (!entries.is_empty()).then(|| list(&entries))));
        }
    }
    if !keeps_function {
        edits.push(("function_call", None));
    }
    // Clients that expect text get some, unless something else stands for it.
    let stands = |key| last.message.get(key).is_some();
    if said.is_empty() && calls.is_empty() && !keeps_function && !stands("content") && !stands("refusal") {
        edits.push(("content", Some(Bytes::from_static(b"\"\""))));
    }
    edits
}

fn content(earlier: &str, last: &Said<'_>) -> Bytes {
    let text = last.text();
    let given = last.message.get_bytes("content").unwrap_or_default();
    let before = if text.is_empty() { earlier.to_owned() } else { format!("{earlier}{PARAGRAPH}") };
    if given.starts_with(b"[") && !is_nothing(&given) {
        #[derive(serde::Serialize)]
        struct Text<'a> {
            r#type: &'static str,
            text: &'a str,
        }
        let mut parts = vec![Bytes::from(to_json(&Text { r#type: "text", text: &before }))];
        parts.extend(last.entries("content"));
        return list(&parts);
    }
    to_json(&(before + &text)).into()
}

/// The details of all turns, numbered on as on a stream.
fn details(all: &[Said<'_>]) -> Vec<Bytes> {
    let mut details = Vec::new();
    let mut next = 0;
    for said in all {
        let first = next;
        for entry in said.entries("reasoning_details") {
            let index =
                RawObject::parse(entry.clone()).ok().and_then(|entry| entry.read::<u32>("index").ok()?);
            let number = index.and_then(|index| index.checked_add(first));
            next = next.max(number.map_or(0, |number| number.saturating_add(1)));
            details.push(number.map_or_else(|| entry.clone(), |number| numbered(&entry, number)));
        }
    }
    details
}

fn choices(body: &RawObject) -> Vec<Bytes> {
    let choices: Vec<&RawValue> = body.read("choices").ok().flatten().unwrap_or_default();
    choices.into_iter().map(|raw| Bytes::copy_from_slice(raw.get().as_bytes())).collect()
}

fn parse(json: Bytes) -> Result<RawObject, Fault> {
    RawObject::parse(json).map_err(|_place| malformed("the provider's answer is not valid"))
}
