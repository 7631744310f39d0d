//! Whole answers, in both directions.

use std::fmt;

use baton_model::{Answer, Fault, FaultKind, FinishReason, Part, PartKind};

use super::DIALECT;
use super::content::decode_block;
use super::error::decode_fault;
use super::types::{
    AnswerBlock, Caller, Citations, Input, MessageIn, MessageOut, STOP_DETAILS, StopDetails, StopOut,
};
use super::usage::{answer_call_id, decode_stop, encode_stop, encode_usage, message_id};
use crate::AnswerContext;
use crate::convert::to_json;

/// Reads a whole answer.
pub(crate) fn decode_answer(body: &[u8]) -> Result<Answer, Fault> {
    let message = read_message(body)?;
    let blocks = message.content.unwrap_or_default();
    let mut parts = Vec::with_capacity(blocks.len());
    for (index, block) in blocks.into_iter().enumerate() {
        parts.push(
            decode_block(block, format_args!("content[{index}]"))
                .map_err(|error| malformed(error.message))?,
        );
    }
    let refusal = message.stop_details.and_then(|details| details.refusal());
    parts.extend(refusal.map(|(text, whole)| Part::new(PartKind::Refusal(text), DIALECT).with(vec![whole])));
    let calls = parts.iter().any(|part| matches!(part.kind, PartKind::ToolCall { .. }));
    let finish = match message.stop_reason {
        Some(reason) => decode_stop(&reason.0),
        None if calls => FinishReason::ToolCalls,
        None => FinishReason::Stop,
    };
    Ok(Answer {
        id: message.id.map(|id| id.0.into_owned()).unwrap_or_default(),
        model: message.model.map(|model| model.0.into_owned()).unwrap_or_default(),
        created: None,
        parts,
        finish,
        stop_sequence: message.stop_sequence.map(|stop| stop.0.into_owned()),
        usage: message.usage.map(|usage| usage.decode()),
        logprobs: None,
    })
}

/// Reads the body of a 200 as far as to know that it is an answer.
pub(super) fn read_message(body: &[u8]) -> Result<MessageIn<'_>, Fault> {
    match serde_json::from_slice::<MessageIn<'_>>(body) {
        Ok(message) if message.content.is_some() => Ok(message),
        _ => Err(decode_fault(None, body)),
    }
}

/// A fault for what is no answer of this dialect. The reason names members, never values.
pub(super) fn malformed(reason: impl fmt::Display) -> Fault {
    Fault::new(FaultKind::MalformedAnswer, format!("the provider's answer is not valid: {reason}"))
}

/// Writes a whole answer.
pub(crate) fn encode_answer(answer: &Answer, context: &AnswerContext<'_>) -> Vec<u8> {
    let ids: Vec<String> =
        answer.parts.iter().enumerate().map(|(index, part)| part_id(index, part)).collect();
    let lone = answer.parts.len() == 1;
    let content =
        answer.parts.iter().zip(&ids).filter_map(|(part, id)| encode_part(part, id, lone)).collect();
    to_json(&MessageOut {
        id: &message_id(&answer.id),
        r#type: "message",
        role: "assistant",
        model: context.model,
        content,
        stop: encode_finish(answer),
        usage: encode_usage(answer.usage.as_ref()),
    })
}

fn part_id(index: usize, part: &Part) -> String {
    match &part.kind {
        PartKind::ToolCall { id, .. } => answer_call_id(id, index),
        _ => String::new(),
    }
}

fn encode_part<'r>(part: &'r Part, id: &'r str, lone: bool) -> Option<AnswerBlock<'r>> {
    let own = part.origin.dialect == DIALECT;
    match &part.kind {
        // A client must be able to send the answer back, and empty texts are refused: one alone is
        // still better than no content, which breaks clients that look at the first block.
        PartKind::Text(text) => (lone || !text.is_empty())
            .then(|| AnswerBlock::Text { citations: Citations::of(part.attached(), text), text }),
        // Our own refusals stand in `stop_details`.
        PartKind::Refusal(text) => (!own).then_some(AnswerBlock::Text { citations: Citations::NONE, text }),
        PartKind::Reasoning { text, signature } => {
            let signature = signature.as_deref().filter(|_| own).unwrap_or_default();
            Some(AnswerBlock::Thinking { signature, thinking: text })
        }
        PartKind::RedactedReasoning { data } => own.then_some(AnswerBlock::RedactedThinking { data }),
        PartKind::ToolCall { name, arguments, .. } => {
            Some(AnswerBlock::ToolUse { caller: Caller::Direct {}, id, input: Input::of(arguments), name })
        }
        PartKind::Other(raw) => own.then_some(AnswerBlock::Other(raw)),
        // Answers have neither.
        PartKind::Image { .. } | PartKind::Document { .. } | PartKind::ToolResult { .. } => None,
    }
}

fn encode_finish(answer: &Answer) -> StopOut<'_> {
    let refusal = answer.parts.iter().find(|part| matches!(part.kind, PartKind::Refusal(_)));
    let own = refusal.and_then(|part| part.attached().iter().find(|(key, _)| key == STOP_DETAILS));
    let calls = answer.parts.iter().any(|part| matches!(part.kind, PartKind::ToolCall { .. }));
    let stop_reason = encode_stop(answer.finish, calls, refusal.is_some());
    StopOut {
        stop_reason: Some(stop_reason),
        stop_sequence: answer.stop_sequence.as_deref(),
        stop_details: (stop_reason == "refusal").then_some(match own {
            Some((_, whole)) => StopDetails::Own(whole),
            None => StopDetails::Refusal { category: (), explanation: () },
        }),
        container: (),
    }
}
