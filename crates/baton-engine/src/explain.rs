//! Puts what was decided into the answer itself, where the client asked for it or named a list.
//!
//! It goes in as the first member of the first object, so that nothing has to be parsed again.

use baton_audit::Decision;
use bytes::Bytes;
use memchr::memmem;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::{Explain, Head};

/// The `baton` member of an answer.
#[derive(Serialize)]
struct Explanation<'a> {
    run: String,
    decision: String,
    model: &'a str,
    provider: &'a str,
    policy: &'a str,
    attempts: u32,
    handoffs: usize,
    reason: &'a baton_policy::Reason,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    dropped_parameters: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    candidates: Option<Box<RawValue>>,
}

/// The member's text, if there is to be one.
pub(crate) fn explanation(
    wanted: Explain,
    named_many: bool,
    decision: &Decision,
    head: &Head,
) -> Option<Bytes> {
    if wanted == Explain::None && !named_many {
        return None;
    }
    let candidates =
        (wanted == Explain::Full).then(|| serde_json::value::to_raw_value(&decision.table).ok()).flatten();
    let explanation = Explanation {
        run: head.run.to_string(),
        decision: head.decision.to_string(),
        model: &head.target,
        provider: &head.provider,
        policy: &head.policy,
        attempts: head.attempts,
        handoffs: head.handoffs,
        reason: &decision.reason,
        dropped_parameters: decision.dropped_parameters.iter().map(String::as_str).collect(),
        candidates,
    };
    serde_json::to_vec(&explanation).ok().map(Bytes::from)
}

/// A body that is one object, with the member in front. An empty object stays as it is.
pub(crate) fn annotate_whole(body: &Bytes, member: &[u8]) -> Option<Bytes> {
    let at = body.iter().position(|byte| *byte == b'{')? + 1;
    insert(body, at, member)
}

/// A piece of a stream, with the member in its first object.
pub(crate) fn annotate_frame(piece: &Bytes, member: &[u8]) -> Option<Bytes> {
    let mark = memmem::find(piece, b"data: {")
        .map(|at| at + 7)
        .or_else(|| memmem::find(piece, b"data:{").map(|at| at + 6))?;
    insert(piece, mark, member)
}

fn insert(text: &Bytes, at: usize, member: &[u8]) -> Option<Bytes> {
    let (before, after) = text.split_at_checked(at)?;
    if after.trim_ascii_start().starts_with(b"}") {
        return None;
    }
    Some([before, b"\"baton\":", member, b",", after].concat().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_member_goes_in_front_of_the_others() {
        let whole = annotate_whole(&Bytes::from_static(b" {\"id\":1}"), b"{}").unwrap();
        assert_eq!(whole, b" {\"baton\":{},\"id\":1}".as_slice());
        let frame = annotate_frame(&Bytes::from_static(b"event: x\ndata: {\"id\":1}\n\n"), b"{}").unwrap();
        assert_eq!(frame, b"event: x\ndata: {\"baton\":{},\"id\":1}\n\n".as_slice());
    }

    #[test]
    fn what_has_no_object_stays() {
        assert_eq!(annotate_frame(&Bytes::from_static(b": comment\n\n"), b"{}"), None);
        assert_eq!(annotate_whole(&Bytes::from_static(b"{ }"), b"{}"), None);
    }
}
