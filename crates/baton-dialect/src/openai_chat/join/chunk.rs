//! What becomes of one chunk of a turn.
//!
//! Most chunks are a piece of text: they need edits at the top only, and nothing below is parsed. A chunk may
//! also carry text, fragments of several calls and the reason to end at once; then each part goes its own way.
//!
//! - **Invariant:** a chunk is dropped only if the edits left nothing in it.

use baton_model::RawObject;
use bytes::Bytes;
use memchr::memmem;
use serde_json::value::RawValue;

use super::{Fate, Held, HeldFinish, Joiner, has_no_choices};
use crate::additions::{Edits, object};

/// What stands between the texts of two turns, as it is written in JSON.
const PARAGRAPH: &[u8] = br"\n\n";

/// What is to be done with a chunk.
#[derive(Clone, Copy)]
struct Task {
    /// Its text is the first of a turn, and an earlier turn showed text.
    paragraph: bool,
    /// It says why the turn ended.
    finishes: bool,
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
    pub(super) fn chunk(&mut self, chunk: &RawObject, first_text: bool, finishes: bool, out: &mut Vec<u8>) {
        self.identify(chunk);
        if has_no_choices(chunk) && chunk.get("usage").is_some() {
            return;
        }
        let task = Task { paragraph: first_text && self.spoke, finishes };
        if !self.must_open(chunk.body(), task) {
            self.role_sent |= has(chunk.body(), b"\"role\"");
            let edits = self.top_edits(chunk);
            if edits.is_empty() {
                return self.show(chunk.body(), out);
            }
            return self.show(&chunk.rewrite(&edits).concat(), out);
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
            self.show(&chunk.rewrite(&edits).concat(), out);
        }
    }

    /// Whether a chunk may need more than edits at its top.
    fn must_open(&self, json: &[u8], task: Task) -> bool {
        task.finishes
            || task.paragraph
            || self.turn.finish.is_some()
            || has(json, b"\"tool_calls\"")
            || has(json, b"\"function_call\"")
            || has(json, b"\"reasoning_details\"")
            || (self.role_sent && has(json, b"\"role\""))
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
            return Some(choice.rewrite(&edits).concat().into());
        }
        Some(choice.rewrite(&edits).concat().into())
    }

    fn hold_finish(&mut self, chunk: &RawObject, choice: &RawObject, said_something: bool) {
        let mut edits: Edits<'_> = vec![("message", None), ("delta", Some(Bytes::from_static(b"{}")))];
        if said_something && choice.get("logprobs").is_some() {
            edits.push(("logprobs", Some(Bytes::from_static(b"null"))));
        }
        let choice = choice.rewrite(&edits).concat().into();
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
        let rest = Bytes::from(said.rewrite(&edits).concat());
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
        let mut choice_edits: Edits<'_> = vec![(member, Some(said.rewrite(&said_edits).concat().into()))];
        choice_edits.extend(null("finish_reason"));
        choice_edits.extend(null("logprobs"));
        let choice = Bytes::from(choice.rewrite(&choice_edits).concat());
        let mut edits = self.top_edits(&chunk);
        edits.push(("choices", Some(list(&[choice]))));
        Some(chunk.rewrite(&edits).concat())
    }
}

fn has(json: &[u8], word: &[u8]) -> bool {
    memmem::find(json, word).is_some()
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
            object.rewrite(&[("index", Some(number))]).concat().into()
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
