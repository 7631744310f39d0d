//! What becomes of one chunk of a turn.
//!
//! Most chunks are a piece of text: other values at the top are all that they need, and the decoder has told
//! where those stand. A chunk may also carry text, fragments of several calls and the reason to end at once;
//! then each part goes its own way.
//!
//! - **Invariant:** a chunk is dropped only if the edits left nothing in it.

use baton_model::RawObject;
use bytes::Bytes;
use serde_json::value::RawValue;

use super::super::stream::Top;
use super::{Fate, Held, HeldFinish, Joiner, has_no_choices};
use crate::additions::{Edits, object};
use crate::convert::push_line;

/// What stands between the texts of two turns, as it is written in JSON.
const PARAGRAPH: &[u8] = br"\n\n";

/// What is to be done with a chunk.
#[derive(Clone, Copy)]
pub(super) struct Task {
    /// Its text is the first of a turn, and an earlier turn showed text.
    pub(super) paragraph: bool,
    /// It says why the turn ended.
    pub(super) finishes: bool,
}

/// The edited members of what is said.
struct Said {
    rest: Bytes,
    /// Whether something was taken out.
    cut: bool,
    has_role: bool,
    /// Whether something besides the role is left.
    speaks: bool,
}

impl Joiner {
    /// Whether at most values at the top of a chunk are others for the client, of which all are known.
    pub(super) const fn is_plain(&self, top: &Top<'_>, task: Task) -> bool {
        self.identity.is_some() && !top.has_usage && !self.must_open(top, task)
    }

    /// Writes such a chunk, with the answer's values in the places of its own.
    pub(super) fn plain(&mut self, json: &[u8], top: &Top<'_>, out: &mut Vec<u8>) {
        self.role_sent |= top.has_role;
        self.note_content(json);
        let mut values = self.same_everywhere(top);
        values.sort_unstable_by_key(|value| value.map(|(given, _)| given.as_ptr()));
        out.extend_from_slice(b"data: ");
        let mut rest = 0;
        for (given, value) in values.into_iter().flatten() {
            let start = given.as_ptr().addr() - json.as_ptr().addr();
            push_line(out, json.get(rest..start).unwrap_or_default());
            push_line(out, value);
            rest = start + given.len();
        }
        push_line(out, json.get(rest..).unwrap_or_default());
        out.extend_from_slice(b"\n\n");
    }

    pub(super) fn chunk(&mut self, chunk: &RawObject, top: &Top<'_>, task: Task, out: &mut Vec<u8>) {
        self.identify(chunk);
        if has_no_choices(chunk) && chunk.get("usage").is_some() {
            return;
        }
        if !self.must_open(top, task) {
            self.role_sent |= top.has_role;
            let edits = self.top_edits(chunk);
            if edits.is_empty() {
                return self.show(chunk.body(), out);
            }
            return self.show(&chunk.rewritten(&edits), out);
        }
        let choices: Vec<&RawValue> = chunk.read("choices").ok().flatten().unwrap_or_default();
        let mut shown: Vec<Bytes> = Vec::with_capacity(choices.len());
        for raw in choices {
            let raw = Bytes::copy_from_slice(raw.get().as_bytes());
            match RawObject::parse(raw.clone()) {
                Ok(choice) if is_first(&choice) => shown.extend(self.choice(chunk, &choice, task)),
                _ => shown.push(raw),
            }
        }
        if !shown.is_empty() {
            let mut edits = self.top_edits(chunk);
            edits.push(("choices", Some(list(&shown))));
            self.show(&chunk.rewritten(&edits), out);
        }
    }

    /// Whether a chunk may need more than edits at its top.
    const fn must_open(&self, top: &Top<'_>, task: Task) -> bool {
        task.finishes
            || task.paragraph
            || self.turn.finish.is_some()
            || top.has_numbers
            || (self.role_sent && top.has_role)
    }

    /// The choice as a client sees it; `None` if nothing of it is left.
    fn choice(&mut self, chunk: &RawObject, choice: &RawObject, task: Task) -> Option<Bytes> {
        // Some servers send a whole answer in one chunk.
        let member = if choice.get("delta").is_some() { "delta" } else { "message" };
        let said = object(choice, member);
        if self.turn.finish.is_some() && speaks(&said) {
            // After the reason to end, nobody reads what is said.
            return None;
        }
        let said = self.said(chunk, &said, task);
        if task.finishes {
            self.hold_finish(chunk, choice, said.speaks);
        }
        if !said.speaks && (said.cut || task.finishes) {
            return None;
        }
        self.role_sent |= said.has_role;
        let mut edits: Edits<'_> = vec![(member, Some(said.rest))];
        if choice.get("finish_reason").is_some_and(|word| word != b"\"\"") {
            edits.push(("finish_reason", Some(Bytes::from_static(b"null"))));
        }
        if task.finishes {
            // What else is known of the end comes with the end.
            let known = ["index", "delta", "message", "logprobs", "finish_reason"];
            let others = choice.members().filter(|member| !known.contains(&member.key));
            let others: Vec<&str> = others.map(|member| member.key).collect();
            edits.extend(others.into_iter().map(|key| (key, None)));
            return Some(choice.rewritten(&edits).into());
        }
        Some(choice.rewritten(&edits).into())
    }

    fn hold_finish(&mut self, chunk: &RawObject, choice: &RawObject, said_something: bool) {
        let mut edits: Edits<'_> = vec![("message", None), ("delta", Some(Bytes::from_static(b"{}")))];
        if said_something && choice.get("logprobs").is_some() {
            edits.push(("logprobs", Some(Bytes::from_static(b"null"))));
        }
        let choice = choice.rewritten(&edits).into();
        self.turn.finish = Some(HeldFinish { chunk: chunk.body().clone(), choice });
    }

    fn said(&mut self, chunk: &RawObject, said: &RawObject, task: Task) -> Said {
        let mut edits: Edits<'_> = Vec::new();
        let mut cut = false;
        let has_role = said.get("role").is_some();
        if has_role && self.role_sent {
            edits.push(("role", None));
            cut = true;
        }
        if let Some(content) = said.get("content").filter(|_| task.paragraph) {
            edits.push(("content", Some(after_paragraph(content))));
        }
        if let Some(details) = said.get("reasoning_details") {
            edits.extend(self.details(details).map(|details| ("reasoning_details", Some(details))));
        }
        cut |= self.calls(chunk, said, &mut edits);
        let rest = Bytes::from(said.rewritten(&edits));
        let speaks = RawObject::parse(rest.clone()).is_ok_and(|rest| speaks(&rest));
        Said { rest, cut, has_role, speaks }
    }

    /// Sorts the fragments of calls. Whether some were taken out.
    fn calls(&mut self, chunk: &RawObject, said: &RawObject, edits: &mut Edits<'_>) -> bool {
        let fragments: Vec<&RawValue> = said.read("tool_calls").ok().flatten().unwrap_or_default();
        let of_chunk = self.turn.decoder.calls().of_chunk().to_vec();
        let mut shown = Vec::with_capacity(fragments.len());
        for (at, raw) in fragments.iter().enumerate() {
            let fragment = Bytes::copy_from_slice(raw.get().as_bytes());
            let Some(call) = of_chunk.get(at).copied().flatten() else {
                shown.push(self.custom(fragment));
                continue;
            };
            match self.fate(call) {
                Fate::Shown(number) => shown.push(numbered(&fragment, number)),
                Fate::Hidden => {}
                Fate::Open => self.hold(call, chunk, "tool_calls", fragment),
            }
        }
        let mut cut = shown.len() < fragments.len();
        if cut && shown.is_empty() {
            edits.push(("tool_calls", None));
        } else if !fragments.is_empty() {
            edits.push(("tool_calls", Some(list(&shown))));
        }
        // The old form has one call, which the decoder reads last.
        if let Some(function) = said.get_bytes("function_call")
            && let Some(call) = of_chunk.get(fragments.len()).copied().flatten()
        {
            let fate = self.fate(call);
            if fate == Fate::Open {
                self.hold(call, chunk, "function_call", function);
            }
            if !matches!(fate, Fate::Shown(_)) {
                edits.push(("function_call", None));
                cut = true;
            }
        }
        cut
    }

    fn hold(&mut self, call: usize, chunk: &RawObject, member: &'static str, fragment: Bytes) {
        self.turn.held.push(Held { call, chunk: chunk.body().clone(), member, fragment });
    }

    /// A fragment of a custom tool's call.
    fn custom(&mut self, fragment: Bytes) -> Bytes {
        #[derive(serde::Deserialize)]
        struct Fragment {
            index: Option<u64>,
            custom: Option<serde::de::IgnoredAny>,
        }
        let Ok(Fragment { index, custom }) = serde_json::from_slice(&fragment) else { return fragment };
        let known = self.turn.custom.iter().find(|(known, _)| *known == index).map(|(_, number)| *number);
        let number = match (known, custom) {
            (Some(number), _) => number,
            (None, Some(_)) => {
                let number = self.number();
                self.turn.custom.push((index, number));
                number
            }
            (None, None) => return fragment,
        };
        numbered(&fragment, number)
    }

    /// Numbers the entries on over the turns: clients put together what has the same number.
    fn details(&mut self, details: &[u8]) -> Option<Bytes> {
        let entries: Vec<&RawValue> = serde_json::from_slice(details).ok()?;
        let mut numbered_on = Vec::with_capacity(entries.len());
        for raw in entries {
            let raw = Bytes::copy_from_slice(raw.get().as_bytes());
            let index =
                RawObject::parse(raw.clone()).ok().and_then(|entry| entry.read::<u32>("index").ok()?);
            let Some(number) = index.and_then(|index| index.checked_add(self.turn.first_detail)) else {
                numbered_on.push(raw);
                continue;
            };
            self.next_detail = self.next_detail.max(number.saturating_add(1));
            numbered_on.push(numbered(&raw, number));
        }
        (self.turn.first_detail > 0).then(|| list(&numbered_on))
    }

    /// Shows fragments that waited and whose calls have passed the gate meanwhile, each in the chunk it came in.
    pub(super) fn flush(&mut self, out: &mut Vec<u8>) {
        if self.turn.held.is_empty() {
            return;
        }
        for held in std::mem::take(&mut self.turn.held) {
            match self.fate(held.call) {
                Fate::Open => self.turn.held.push(held),
                Fate::Hidden => {}
                Fate::Shown(number) => {
                    if let Some(json) = self.chunk_of(&held, number) {
                        self.show(&json, out);
                    }
                }
            }
        }
    }

    /// The chunk that a fragment came in, with nothing else that it said.
    fn chunk_of(&mut self, held: &Held, number: u32) -> Option<Vec<u8>> {
        let chunk = RawObject::parse(held.chunk.clone()).ok()?;
        let choices: Vec<&RawValue> = chunk.read("choices").ok()??;
        let choices = choices.iter().map(|raw| Bytes::copy_from_slice(raw.get().as_bytes()));
        let choice = choices.filter_map(|raw| RawObject::parse(raw).ok()).find(is_first)?;
        let member = if choice.get("delta").is_some() { "delta" } else { "message" };
        let said = object(&choice, member);
        let gives_role = said.get("role").is_some() && !self.role_sent;
        self.role_sent |= gives_role;
        let stays = |key: &str, value: &[u8]| gives_role && (key == "role" || value == b"null");
        let others = said.members().filter(|member| !stays(member.key, member.value));
        let mut said_edits: Edits<'_> =
            others.filter(|member| member.key != held.member).map(|member| (member.key, None)).collect();
        let fragment = match held.member {
            "tool_calls" => list(&[numbered(&held.fragment, number)]),
            _ => held.fragment.clone(),
        };
        said_edits.push((held.member, Some(fragment)));
        let null = |key| choice.get(key).is_some().then(|| (key, Some(Bytes::from_static(b"null"))));
        let mut choice_edits: Edits<'_> = vec![(member, Some(said.rewritten(&said_edits).into()))];
        choice_edits.extend(null("finish_reason"));
        choice_edits.extend(null("logprobs"));
        let choice = Bytes::from(choice.rewritten(&choice_edits));
        let mut edits = self.top_edits(&chunk);
        edits.push(("choices", Some(list(&[choice]))));
        Some(chunk.rewritten(&edits))
    }
}

/// Whether it is the choice that a run goes on with: others only exist where there are no hand-offs.
fn is_first(choice: &RawObject) -> bool {
    choice.read::<u64>("index").ok().flatten().unwrap_or(0) == 0
}

/// Whether something besides the role is said.
fn speaks(said: &RawObject) -> bool {
    said.members().any(|member| member.key != "role" && !is_nothing(member.value))
}

/// `null`, and empty text, lists and objects.
pub(super) fn is_nothing(value: &[u8]) -> bool {
    match value.trim_ascii() {
        b"null" | b"\"\"" => true,
        [b'[', inner @ .., b']'] | [b'{', inner @ .., b'}'] => inner.trim_ascii().is_empty(),
        _ => false,
    }
}

pub(super) fn numbered(entry: &Bytes, number: u32) -> Bytes {
    let number = Bytes::from(number.to_string());
    match RawObject::parse(entry.clone()) {
        Ok(object) if object.get("index") != Some(&*number) => {
            object.rewritten(&[("index", Some(number))]).into()
        }
        _ => entry.clone(),
    }
}

pub(super) fn list(entries: &[Bytes]) -> Bytes {
    [b"[".as_slice(), &entries.join(&b','), b"]"].concat().into()
}

/// Content with a blank line before it, as text or as a list of parts.
pub(super) fn after_paragraph(content: &[u8]) -> Bytes {
    match content {
        [b'"', text @ ..] => [b"\"", PARAGRAPH, text].concat().into(),
        [b'[', parts @ ..] => [br#"[{"type":"text","text":""#, PARAGRAPH, br#""},"#, parts].concat().into(),
        other => Bytes::copy_from_slice(other),
    }
}
