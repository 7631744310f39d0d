//! Looks at answers that are passed on as they are, without holding or copying them.
//!
//! The parser below visits each byte once and allocates nothing for an ordinary chunk: texts are
//! skipped, not read, and names are borrowed.
//!
//! - Start with [`observe_event`].
//! - **Invariant:** any number of choices, and members nobody knows yet, are fine.

use std::borrow::Cow;
use std::fmt;

use baton_model::{Fault, FinishReason};
use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::types::Text;
use super::usage::Usage;
use super::{error, finish_reason, malformed};
use crate::Observation;

#[derive(Deserialize)]
struct Passing<'a> {
    #[serde(borrow)]
    id: Option<Text<'a>>,
    #[serde(borrow)]
    model: Option<Text<'a>>,
    choices: Option<Choices>,
    usage: Option<Usage>,
    x_groq: Option<Groq>,
    error: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Groq {
    usage: Option<Usage>,
}

/// All choices together.
#[derive(Debug, Default)]
struct Choices {
    count: usize,
    content: bool,
    finish: Option<FinishReason>,
}

#[derive(Deserialize)]
struct Choice<'a> {
    delta: Option<Piece>,
    message: Option<Piece>,
    #[serde(borrow)]
    finish_reason: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct Piece {
    #[serde(default)]
    content: Something,
    #[serde(default)]
    tool_calls: Something,
    #[serde(default)]
    reasoning_content: Something,
    #[serde(default)]
    reasoning: Something,
    #[serde(default)]
    reasoning_details: Something,
    #[serde(default)]
    refusal: Something,
    #[serde(default)]
    function_call: Something,
    #[serde(default)]
    audio: Something,
}

impl Piece {
    const fn has_content(&self) -> bool {
        self.content.0
            || self.tool_calls.0
            || self.reasoning_content.0
            || self.reasoning.0
            || self.reasoning_details.0
            || self.refusal.0
            || self.function_call.0
            || self.audio.0
    }
}

/// Whether a value says anything: `null`, and empty text, lists and objects do not.
#[derive(Clone, Copy, Debug, Default)]
struct Something(bool);

impl<'de> Deserialize<'de> for Something {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SomethingVisitor).map(Self)
    }
}

struct SomethingVisitor;

impl<'de> Visitor<'de> for SomethingVisitor {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_bool<E>(self, _: bool) -> Result<bool, E> {
        Ok(true)
    }

    fn visit_u64<E>(self, _: u64) -> Result<bool, E> {
        Ok(true)
    }

    fn visit_i64<E>(self, _: i64) -> Result<bool, E> {
        Ok(true)
    }

    fn visit_f64<E>(self, _: f64) -> Result<bool, E> {
        Ok(true)
    }

    fn visit_str<E>(self, text: &str) -> Result<bool, E> {
        Ok(!text.is_empty())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<bool, A::Error> {
        let mut any = false;
        while list.next_element::<IgnoredAny>()?.is_some() {
            any = true;
        }
        Ok(any)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<bool, A::Error> {
        let mut any = false;
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {
            any = true;
        }
        Ok(any)
    }
}

impl<'de> Deserialize<'de> for Choices {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(ChoicesVisitor)
    }
}

struct ChoicesVisitor;

impl<'de> Visitor<'de> for ChoicesVisitor {
    type Value = Choices;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of choices")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Choices, A::Error> {
        let mut all = Choices::default();
        while let Some(choice) = list.next_element::<Choice<'de>>()? {
            all.count += 1;
            for piece in [choice.delta, choice.message].into_iter().flatten() {
                all.content |= piece.has_content();
            }
            all.finish = told(choice.finish_reason).map(|word| finish_reason(&word)).or(all.finish);
        }
        Ok(all)
    }
}

pub(crate) fn observe_answer(body: &[u8]) -> Result<Observation<'_>, Fault> {
    if body.trim_ascii_start().starts_with(b"<") {
        return Err(malformed("the provider sent an HTML page instead of an answer"));
    }
    let passing = look_at(body, "the provider's answer")?;
    if passing.choices.as_ref().is_none_or(|choices| choices.count == 0) {
        return Err(malformed("the provider's answer has no choices"));
    }
    let mut seen = observe(passing);
    seen.end = true;
    Ok(seen)
}

pub(crate) fn observe_event<'a>(event: &str, data: &'a [u8]) -> Result<Observation<'a>, Fault> {
    let data = data.trim_ascii();
    if event == "error" {
        return Err(error::error_in_answer(data));
    }
    if data == b"[DONE]" {
        return Ok(Observation { end: true, ..Observation::default() });
    }
    if data.is_empty() {
        return Ok(Observation::default());
    }
    look_at(data, "a chunk of the provider's stream").map(observe)
}

fn look_at<'a>(data: &'a [u8], what: &str) -> Result<Passing<'a>, Fault> {
    let passing: Passing<'a> = super::parse(data, what)?;
    if passing.error.is_some() || (passing.choices.is_none() && error::is_bare_error(data)) {
        return Err(error::error_in_answer(data));
    }
    Ok(passing)
}

fn observe(passing: Passing<'_>) -> Observation<'_> {
    let Choices { count, content, finish } = passing.choices.unwrap_or_default();
    let usage = passing.usage.or(passing.x_groq.and_then(|groq| groq.usage)).map(|usage| usage.to_model());
    Observation {
        content,
        usage_only: count == 0 && usage.is_some(),
        usage,
        finish,
        id: told(passing.id),
        model: told(passing.model),
        end: false,
    }
}

fn told(text: Option<Text<'_>>) -> Option<Cow<'_, str>> {
    text.map(|text| text.0).filter(|text| !text.is_empty())
}
