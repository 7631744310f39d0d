//! Joins whole answers: the last one's body with the blocks of all turns.

use baton_model::{Fault, PartKind, RawObject};
use bytes::Bytes;
use serde_json::value::RawValue;

use super::super::answer::malformed;
use super::super::types::BlockIn;
use super::{stop_edits, usage_with};
use crate::additions::{Edits, object, push_extras};
use crate::convert::to_json;
use crate::join::no_turn;
use crate::{AnswerContext, JoinEnd, TurnAnswer};

pub(crate) fn join_answers(
    turns: &[TurnAnswer<'_>],
    end: &JoinEnd<'_>,
    context: &AnswerContext<'_>,
    id: &str,
) -> Result<Vec<u8>, Fault> {
    let Some(last) = turns.last() else { return Err(no_turn()) };
    let mut content: Vec<Bytes> = Vec::new();
    for turn in turns {
        let body = RawObject::parse(turn.raw.clone()).map_err(malformed)?;
        let blocks: Vec<&RawValue> = body.read("content").map_err(malformed)?.unwrap_or_default();
        let shown = blocks.into_iter().filter(|block| !is_hidden(block, turn));
        content.extend(shown.map(|block| Bytes::copy_from_slice(block.get().as_bytes())));
    }
    let calls = last
        .answer
        .parts
        .iter()
        .any(|part| matches!(&part.kind, PartKind::ToolCall { id, .. } if !last.hides(id)));
    let body = RawObject::parse(last.raw.clone()).map_err(malformed)?;
    let mut edits: Edits<'_> = vec![
        ("id", Some(to_json(id).into())),
        ("model", Some(to_json(context.model).into())),
        ("content", Some([b"[".as_slice(), &content.join(&b','), b"]"].concat().into())),
    ];
    edits.extend(stop_edits(end, Some(last.answer.finish), calls));
    if turns.len() > 1 || end.usage != last.answer.usage {
        let usage = usage_with(&object(&body, "usage"), &end.usage.unwrap_or_default());
        edits.push(("usage", Some(usage)));
    }
    push_extras(&mut edits, end.extras);
    Ok(body.rewritten(&edits))
}

fn is_hidden(block: &RawValue, turn: &TurnAnswer<'_>) -> bool {
    let Ok(block) = serde_json::from_str::<BlockIn<'_>>(block.get()) else { return false };
    let is_call = block.r#type.is_some_and(|kind| kind.0 == "tool_use");
    let id = block.id.and_then(|id| serde_json::from_str::<String>(id.get()).ok());
    is_call && id.is_some_and(|id| turn.hides(&id))
}
