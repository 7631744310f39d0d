//! Reads and writes whole answers (the Response object).
//!
//! - Start with [`decode_answer`].
//! - **Invariant:** what is no finished answer is a fault, whatever status it came with.

use baton_model::{Answer, Fault, FinishReason, Part, PartKind, RawJson};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::decode::{Item, decode_item};
use super::item::{LOGPROBS, Stage, attached, drafts, tell_logprobs};
use super::response::{Envelope, Status, response_id};
use super::types::Text;
use super::usage::Usage;
use super::{malformed, parse};
use crate::AnswerContext;
use crate::convert::hashed_id;
use crate::lists;
use crate::openai::error_in_answer;

/// The Response object as upstreams send it, whole or in the first and last events of a stream.
#[derive(Deserialize)]
pub(super) struct Response<'a> {
    #[serde(borrow)]
    pub(super) id: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) model: Option<Text<'a>>,
    created_at: Option<f64>,
    #[serde(borrow)]
    pub(super) status: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) error: Option<&'a RawValue>,
    incomplete_details: Option<IncompleteDetails>,
    #[serde(borrow)]
    pub(super) output: Option<&'a RawValue>,
    pub(super) usage: Option<Usage>,
}

#[derive(Deserialize)]
struct IncompleteDetails {
    reason: Option<String>,
}

impl Response<'_> {
    /// Why it ended; `None` while it has not, and where it failed.
    pub(super) fn finish(&self, has_calls: bool) -> Option<FinishReason> {
        let reason = self.incomplete_details.as_ref().and_then(|details| details.reason.as_deref());
        match (self.status.as_ref().map(|status| status.0.as_ref()), reason) {
            (Some("incomplete"), Some("content_filter")) => Some(FinishReason::ContentFilter),
            (Some("incomplete"), _) => Some(FinishReason::Length),
            // Some servers leave the status out.
            (None | Some("completed"), _) if has_calls => Some(FinishReason::ToolCalls),
            (None | Some("completed"), _) => Some(FinishReason::Stop),
            (Some(_), _) => None,
        }
    }

    /// What is not an answer but says why there is none.
    pub(super) fn fault(&self) -> Fault {
        match (self.error, self.status.as_ref().map(|status| status.0.as_ref())) {
            (Some(error), _) => error_in_answer(error.get().as_bytes()),
            (None, Some("cancelled")) => malformed("the provider cancelled the answer"),
            (None, Some("queued" | "in_progress")) => malformed("the provider's answer is not finished"),
            (None, _) => malformed("the provider's answer failed without a reason"),
        }
    }

    /// The items of the output.
    pub(super) fn items(&self) -> Result<Vec<&RawValue>, Fault> {
        let Some(output) = self.output else { return Ok(Vec::new()) };
        parse(output.get().as_bytes(), "the output of the provider's answer")
    }
}

/// Reads the body of a 200 as far as to know that it is an answer.
pub(super) fn read_response(body: &[u8]) -> Result<Response<'_>, Fault> {
    if body.trim_ascii_start().starts_with(b"<") {
        return Err(malformed("the provider sent an HTML page instead of an answer"));
    }
    let response: Response<'_> = parse(body, "the provider's answer")?;
    if response.output.is_none() && response.status.is_none() {
        return Err(match response.error {
            Some(_) => error_in_answer(body),
            None => malformed("the provider's answer has no output"),
        });
    }
    if response.finish(false).is_none() {
        return Err(response.fault());
    }
    Ok(response)
}

pub(crate) fn decode_answer(body: &[u8]) -> Result<Answer, Fault> {
    let response = read_response(body)?;
    let mut parts: Vec<Part> = Vec::new();
    for (i, raw) in response.items()?.into_iter().enumerate() {
        parts.extend(item_parts(raw, i)?);
    }
    let has_calls = parts.iter().any(|part| matches!(part.kind, PartKind::ToolCall { .. }));
    let finish = response.finish(has_calls).unwrap_or(FinishReason::Stop);
    let logprobs = logprobs(&parts);
    Ok(Answer {
        finish,
        parts,
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a cast from float saturates; some send fractions"
        )]
        created: response.created_at.map(|seconds| seconds as i64),
        usage: response.usage.as_ref().map(Usage::to_model),
        id: response.id.map(Text::into_owned).unwrap_or_default(),
        model: response.model.map(Text::into_owned).unwrap_or_default(),
        stop_sequence: None,
        logprobs,
    })
}

/// The log probabilities that stand beside the texts, in the form that chat completions have for them.
fn logprobs(parts: &[Part]) -> Option<RawJson> {
    #[derive(Serialize)]
    struct Tokens {
        content: RawJson,
        refusal: (),
    }
    let lists = parts.iter().filter_map(|part| attached(part.attached(), LOGPROBS));
    let lists = lists.filter_map(|list| RawJson::parse(list).ok());
    let content = lists.fold(None, |so_far, more| lists::joined(so_far, &more))?;
    RawJson::of(&Tokens { content, refusal: () }).ok()
}

/// What an item of the output says.
pub(super) fn item_parts(raw: &RawValue, i: usize) -> Result<Vec<Part>, Fault> {
    let item = decode_item(raw, format_args!("output[{i}]"));
    // The message names members, never values.
    match item.map_err(|error| malformed(&format!("the provider's answer is not valid: {error}")))? {
        Item::Message(_, parts) => Ok(parts),
        Item::Part(part) => Ok(Some(part).filter(says_something).into_iter().collect()),
        // A server that runs functions itself tells both.
        Item::Result(_) | Item::Reference => {
            Ok(vec![Part::new(PartKind::Other(raw.to_owned().into()), super::DIALECT)])
        }
    }
}

/// Thinking of which nothing is told but that there was some, is nothing to anybody.
pub(super) fn says_something(part: &Part) -> bool {
    match &part.kind {
        PartKind::Reasoning { text, .. } => {
            !text.is_empty() || part.attached().iter().any(|(key, _)| key == "encrypted_content")
        }
        _ => true,
    }
}

pub(crate) fn encode_answer(answer: &Answer, context: &AnswerContext<'_>) -> Vec<u8> {
    encode_turns(answer, &[], context)
}

/// Writes an answer of several turns: each has messages of its own. `turns` says with which parts they begin.
pub(crate) fn encode_turns(answer: &Answer, turns: &[usize], context: &AnswerContext<'_>) -> Vec<u8> {
    let created = answer.created.unwrap_or(context.created);
    let id = match answer.id.as_str() {
        "" => hashed_id(&format!("{created}:{}", context.model), "resp_"),
        id => response_id(id),
    };
    let mut drafts = drafts(&id, &answer.parts, turns);
    tell_logprobs(&mut drafts, answer.logprobs.as_ref());
    let refused = answer.parts.iter().any(|part| matches!(part.kind, PartKind::Refusal(_)));
    let status = Status::of(answer.finish, refused);
    let last = drafts.len().saturating_sub(1);
    let items: Vec<Vec<u8>> = drafts
        .iter()
        .enumerate()
        .map(|(i, draft)| {
            let cut = i == last && matches!(status, Status::Incomplete(_));
            draft.json(if cut { Stage::Incomplete } else { Stage::Completed })
        })
        .collect();
    let items: Vec<&[u8]> = items.iter().map(Vec::as_slice).collect();
    let mut out = Vec::new();
    Envelope::new(id, created, context.model, context.request).write(
        status,
        &items,
        answer.usage.as_ref(),
        &mut out,
    );
    out.push(b'}');
    out
}
