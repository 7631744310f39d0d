//! Puts calls back whose results a client sends without them.

use std::borrow::Cow;
use std::collections::HashSet;

use baton_model::RawObject;
use memchr::memmem;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::UNKNOWN_TOOL;
use super::encode::WireCall;
use super::types::Text;
use crate::convert::{ObjectWriter, to_json};
use crate::read::read;
use crate::{DecodeError, GivenCall};

/// As much of a message as is looked at.
#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    role: Option<Text<'a>>,
    #[serde(borrow)]
    tool_call_id: Option<Text<'a>>,
    #[serde(borrow)]
    tool_calls: Option<Vec<Call<'a>>>,
}

#[derive(Deserialize)]
struct Call<'a> {
    #[serde(borrow)]
    id: Option<Text<'a>>,
}

pub(crate) fn restore_calls(
    body: &RawObject,
    known: &dyn Fn(&str) -> Option<GivenCall>,
) -> Result<Option<RawObject>, DecodeError> {
    let value = body.get("messages").unwrap_or_default();
    if !value.starts_with(b"[") || memmem::find(value, b"\"tool_call_id\"").is_none() {
        return Ok(None);
    }
    let list: Vec<&RawValue> = read(value, format_args!("messages"))?;
    let mut made: HashSet<Cow<'_, str>> = HashSet::new();
    let mut out: Vec<Cow<'_, [u8]>> = Vec::with_capacity(list.len() + 1);
    // Where the present row of results began, and its results without a call.
    let mut row: Option<(usize, Vec<Cow<'_, str>>)> = None;
    let mut changed = false;
    for (i, raw) in list.into_iter().enumerate() {
        let message: Message<'_> = read(raw.get().as_bytes(), format_args!("messages[{i}]"))?;
        let is_result = message.role.is_some_and(|role| role.0 == "tool");
        if is_result {
            let (_, orphans) = row.get_or_insert((out.len(), Vec::new()));
            orphans.extend(message.tool_call_id.map(|id| id.0).filter(|id| made.insert(id.clone())));
        } else {
            changed |= close(row.take(), &mut out, known);
            made.extend(message.tool_calls.into_iter().flatten().filter_map(|call| call.id).map(|id| id.0));
        }
        out.push(Cow::Borrowed(raw.get().as_bytes()));
    }
    changed |= close(row, &mut out, known);
    if !changed {
        return Ok(None);
    }
    let messages = [b"[".as_slice(), &out.join(b",".as_slice()), b"]"].concat();
    Ok(Some(RawObject::parse(body.rewrite(&[("messages", Some(messages.into()))]).concat().into())?))
}

/// Puts a message with the calls of these results in front of them, if any is known.
fn close(
    row: Option<(usize, Vec<Cow<'_, str>>)>,
    out: &mut Vec<Cow<'_, [u8]>>,
    known: &dyn Fn(&str) -> Option<GivenCall>,
) -> bool {
    let Some((at, ids)) = row else { return false };
    let given: Vec<Option<GivenCall>> = ids.iter().map(|id| known(id)).collect();
    if given.iter().all(Option::is_none) {
        return false;
    }
    let calls: Vec<WireCall<'_>> = ids
        .iter()
        .zip(&given)
        .map(|(id, given)| {
            let id = Cow::Borrowed(id.as_ref());
            match given {
                Some(GivenCall { name, arguments, attached }) => {
                    WireCall::function(id, name, arguments, attached)
                }
                None => WireCall::function(id, UNKNOWN_TOOL, "{}", &[]),
            }
        })
        .collect();
    let mut message = ObjectWriter::new();
    message.member("role", "assistant");
    message.raw_member("content", b"null");
    message.raw_member("tool_calls", &to_json(&calls));
    out.insert(at, Cow::Owned(message.finish()));
    true
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    /// The messages with the calls that are known: `c1` and `c2`.
    #[track_caller]
    fn check(messages: &str, expected: Option<&str>) {
        let known = |id: &str| {
            let (name, attached) = match id {
                "c1" => ("weather", Vec::new()),
                "c2" => ("time", vec![("x".to_owned(), baton_model::RawJson::parse("1").unwrap())]),
                _ => return None,
            };
            Some(GivenCall { name: name.to_owned(), arguments: "{\"a\":1}".to_owned(), attached })
        };
        let body = RawObject::parse(Bytes::from(format!("{{\"n\":1,\"messages\":{messages}}}"))).unwrap();
        let made = restore_calls(&body, &known).unwrap();
        let made = made.map(|body| String::from_utf8(body.body().to_vec()).unwrap());
        assert_eq!(made, expected.map(|messages| format!("{{\"n\":1,\"messages\":{messages}}}")));
    }

    const C1: &str = r#"{"id":"c1","type":"function","function":{"name":"weather","arguments":"{\"a\":1}"}}"#;
    const C2: &str =
        r#"{"id":"c2","type":"function","function":{"name":"time","arguments":"{\"a\":1}"},"x":1}"#;

    fn result(id: &str) -> String {
        format!(r#"{{"role":"tool", "tool_call_id":"{id}","content":"r"}}"#)
    }

    fn calls(calls: &[&str]) -> String {
        format!(r#"{{"role":"assistant","content":null,"tool_calls":[{}]}}"#, calls.join(","))
    }

    #[test]
    fn a_result_whose_call_is_known_gets_it() {
        let (user, one) = (r#"{"role":"user","content":"w?"}"#, result("c1"));
        check(&format!("[{user} , {one}]"), Some(&format!("[{user},{},{one}]", calls(&[C1]))));
    }

    #[test]
    fn results_of_one_row_get_one_turn() {
        let (one, two, other) = (result("c1"), result("c2"), result("other"));
        let unknown =
            r#"{"id":"other","type":"function","function":{"name":"unknown_tool","arguments":"{}"}}"#;
        check(
            &format!("[{one},{two},{other}]"),
            Some(&format!("[{},{one},{two},{other}]", calls(&[C1, C2, unknown]))),
        );
    }

    #[test]
    fn rows_apart_get_turns_apart() {
        let (user, one, two) = (r#"{"role":"user","content":"w?"}"#, result("c1"), result("c2"));
        check(
            &format!("[{one},{user},{two}]"),
            Some(&format!("[{},{one},{user},{},{two}]", calls(&[C1]), calls(&[C2]))),
        );
    }

    #[test]
    fn what_is_not_known_or_is_there_stays() {
        let one = result("c1");
        check(&format!("[{},{one}]", calls(&[C1])), None);
        check(&format!("[{}]", result("other")), None);
        check("[]", None);
        check(r#""tool_call_id""#, None);
    }
}
