//! Writes the items of an answer, the same for a whole one and for a stream.
//!
//! - Start with [`Draft`].
//! - **Invariant:** the ids of items depend on the answer's id and their place alone.
//! - **Invariant:** the id of an item of an answer that can be asked for again tells which answer that is.

use baton_model::{Dialect, Part, PartKind, RawJson};
use serde::Deserialize;

use super::response::asked_for;
use super::seal::{self, FOREIGN_ID};
use crate::citations;
use crate::convert::{ObjectWriter, hashed_id};

/// How an item stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Begun,
    Completed,
    Incomplete,
}

impl Stage {
    const fn word(self) -> &'static str {
        match self {
            Self::Begun => "in_progress",
            Self::Completed => "completed",
            Self::Incomplete => "incomplete",
        }
    }
}

/// How many digits the place of an item has in its id.
const PLACE_DIGITS: usize = 4;

/// The id of the answer that an item was written in, by the item's own; `None` for an id that does not tell.
pub fn answer_of(item: &str) -> Option<String> {
    let digits = ["msg_", "fc_", FOREIGN_ID].iter().find_map(|prefix| item.strip_prefix(prefix))?;
    let (answer, place) = digits.split_at_checked(digits.len().checked_sub(PLACE_DIGITS)?)?;
    let answer = format!("resp_{answer}");
    (asked_for(&answer).is_some() && place.bytes().all(|digit| digit.is_ascii_hexdigit())).then_some(answer)
}

/// An item that is being written.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    pub(super) id: String,
    pub(super) kind: Kind,
}

/// What it is.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    Message { content: Vec<Piece>, phase: Option<RawJson> },
    Call { call_id: String, name: String, arguments: String, attached: Vec<(String, RawJson)> },
    Reasoning(Thought),
    Raw(RawJson),
}

/// What was thought.
#[derive(Clone, Debug, Default)]
pub(super) struct Thought {
    pub(super) text: String,
    /// Another vendor's proof of the text.
    pub(super) signature: String,
    /// Another vendor's thinking that is sealed as a whole.
    pub(super) sealed: Option<String>,
    /// Members of this dialect's own vendor.
    pub(super) attached: Vec<(String, RawJson)>,
}

/// A part of a message.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub(super) tone: Tone,
    pub(super) text: String,
    pub(super) attached: Vec<(String, RawJson)>,
}

/// Whether the model speaks or refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    Text,
    Refusal,
}

impl Piece {
    pub(super) const fn new(tone: Tone) -> Self {
        Self { tone, text: String::new(), attached: Vec::new() }
    }

    /// The part as JSON.
    pub(super) fn json(&self) -> Vec<u8> {
        let mut part = ObjectWriter::new();
        match self.tone {
            Tone::Text => {
                part.member("type", "output_text");
                part.member("text", &self.text);
                for key in ["annotations", "logprobs"] {
                    part.raw_member(key, attached(&self.attached, key).unwrap_or("[]").as_bytes());
                }
            }
            Tone::Refusal => {
                part.member("type", "refusal");
                part.member("refusal", &self.text);
            }
        }
        part.finish()
    }
}

/// A member that stands beside a part.
pub(super) fn attached<'a>(members: &'a [(String, RawJson)], key: &str) -> Option<&'a str> {
    members.iter().find(|(known, _)| known == key).map(|(_, value)| value.get())
}

impl Draft {
    /// The item at this place of the answer with this id.
    pub(super) fn new(answer_id: &str, place: usize, kind: Kind) -> Self {
        let prefix = match &kind {
            Kind::Message { .. } => "msg_",
            Kind::Call { .. } => "fc_",
            Kind::Reasoning(thought) => match attached(&thought.attached, "id") {
                Some(id) => {
                    return Self { id: serde_json::from_str(id).unwrap_or_default(), kind };
                }
                None => FOREIGN_ID,
            },
            Kind::Raw(raw) => return Self { id: id_of(raw), kind },
        };
        let id = match asked_for(answer_id) {
            Some(digits) => format!("{prefix}{digits}{place:0PLACE_DIGITS$x}"),
            None => hashed_id(&format!("{answer_id}:{place}"), prefix),
        };
        Self { id, kind }
    }

    /// The item as JSON.
    pub(super) fn json(&self, stage: Stage) -> Vec<u8> {
        let mut item = ObjectWriter::new();
        match &self.kind {
            Kind::Message { content, phase } => {
                item.member("type", "message");
                item.member("id", &self.id);
                item.member("status", stage.word());
                item.member("role", "assistant");
                item.optional("phase", phase.as_ref());
                let content: Vec<Vec<u8>> = content.iter().map(Piece::json).collect();
                item.raw_member("content", &[b"[".as_slice(), &content.join(&b','), b"]"].concat());
            }
            Kind::Call { call_id, name, arguments, attached } => {
                item.member("type", "function_call");
                item.member("id", &self.id);
                item.member("status", stage.word());
                item.member("call_id", call_id);
                item.member("name", name);
                // Clients parse the arguments, and nothing is not JSON.
                let done = stage != Stage::Begun;
                item.member("arguments", if done && arguments.is_empty() { "{}" } else { arguments });
                for (key, value) in attached.iter().filter(|(key, _)| is_of_call(key)) {
                    item.member(key, value);
                }
            }
            Kind::Reasoning(thought) => thought.write(&self.id, &mut item),
            Kind::Raw(raw) => return raw.get().as_bytes().to_vec(),
        }
        item.finish()
    }
}

/// Whether this dialect's own vendor puts such a member beside a call.
fn is_of_call(key: &str) -> bool {
    matches!(key, "namespace" | "caller")
}

impl Thought {
    fn write(&self, id: &str, item: &mut ObjectWriter) {
        item.member("type", "reasoning");
        item.member("id", id);
        match attached(&self.attached, "summary") {
            Some(summary) => item.raw_member("summary", summary.as_bytes()),
            None if self.text.is_empty() => item.raw_member("summary", b"[]"),
            None => item.raw_member("summary", &[b"[".as_slice(), &summary_part(&self.text), b"]"].concat()),
        }
        if let Some(content) = attached(&self.attached, "content") {
            item.raw_member("content", content.as_bytes());
        }
        let own = attached(&self.attached, "encrypted_content");
        match (own, &self.sealed) {
            (Some(own), _) => item.raw_member("encrypted_content", own.as_bytes()),
            (None, Some(data)) => item.member("encrypted_content", &seal::sealed(data)),
            (None, None) if !self.signature.is_empty() => {
                item.member("encrypted_content", &seal::signature(&self.signature));
            }
            (None, None) => {}
        }
    }
}

/// A part of a summary as JSON.
pub(super) fn summary_part(text: &str) -> Vec<u8> {
    let mut part = ObjectWriter::new();
    part.member("type", "summary_text");
    part.member("text", text);
    part.finish()
}

/// The items of whole parts. Texts that follow one another stand in one message, unless the later one has a phase or
/// is the first of a turn: `turns` says with which parts turns begin.
pub(super) fn drafts(answer_id: &str, parts: &[Part], turns: &[usize]) -> Vec<Draft> {
    let mut drafts: Vec<Draft> = Vec::new();
    let mut of_turn = 0;
    for (i, part) in parts.iter().enumerate() {
        if turns.contains(&i) {
            of_turn = drafts.len();
        }
        let said = drafts.get_mut(of_turn..).unwrap_or_default();
        let ours = part.origin.dialect == Dialect::OpenaiResponses;
        let attached = if ours { part.attached().to_vec() } else { beside_text(part) };
        let kind = match &part.kind {
            PartKind::Text(text) | PartKind::Refusal(text) if text.is_empty() => continue,
            PartKind::Text(text) => add_piece(said, Tone::Text, text, attached),
            PartKind::Refusal(text) => add_piece(said, Tone::Refusal, text, attached),
            PartKind::Reasoning { text, signature } => {
                // Only makers with a dialect of their own can check what they signed.
                let theirs = part.origin.dialect == Dialect::AnthropicMessages;
                let signature = signature.clone().filter(|_| theirs).unwrap_or_default();
                Some(Kind::Reasoning(Thought { text: text.clone(), signature, sealed: None, attached }))
            }
            PartKind::RedactedReasoning { data } => {
                let sealed = (part.origin.dialect == Dialect::AnthropicMessages).then(|| data.clone());
                sealed.map(|data| Kind::Reasoning(Thought { sealed: Some(data), ..Thought::default() }))
            }
            PartKind::ToolCall { id, name, arguments } => Some(Kind::Call {
                call_id: id.clone(),
                name: name.clone(),
                arguments: arguments.clone(),
                attached,
            }),
            PartKind::Other(raw) if is_item(raw) => Some(Kind::Raw(raw.clone())),
            PartKind::Other(_)
            | PartKind::Image { .. }
            | PartKind::Document { .. }
            | PartKind::ToolResult { .. } => None,
        };
        if let Some(kind) = kind {
            drafts.push(Draft::new(answer_id, drafts.len(), kind));
        }
    }
    if drafts.is_empty() {
        drafts.push(empty_message(answer_id));
    }
    drafts
}

/// What stands beside another dialect's text and has a place here: where it has it from.
fn beside_text(part: &Part) -> Vec<(String, RawJson)> {
    let PartKind::Text(text) = &part.kind else { return Vec::new() };
    cited(part.attached(), text)
}

/// The sources beside a text, as annotations.
pub(super) fn cited(beside: &[(String, RawJson)], text: &str) -> Vec<(String, RawJson)> {
    let sources = citations::sources(beside, 0, text.chars().count());
    let list = RawJson::of(&sources).ok().filter(|_| !sources.is_empty());
    list.map(|list| (citations::ANNOTATIONS.to_owned(), list)).into_iter().collect()
}

/// Puts the log probabilities of an answer beside its last text, unless they stand there already.
pub(super) fn tell_logprobs(drafts: &mut [Draft], logprobs: Option<&RawJson>) {
    #[derive(Deserialize)]
    struct Tokens {
        content: Option<RawJson>,
    }
    let Some(tokens) = logprobs.and_then(|logprobs| logprobs.read::<Tokens>().ok()?.content) else { return };
    let texts = drafts.iter_mut().filter_map(|draft| match &mut draft.kind {
        Kind::Message { content, .. } => Some(content),
        _ => None,
    });
    let mut texts: Vec<&mut Piece> = texts.flatten().filter(|piece| piece.tone == Tone::Text).collect();
    if texts.iter().all(|piece| attached(&piece.attached, LOGPROBS).is_none())
        && let Some(last) = texts.last_mut()
    {
        last.attached.push((LOGPROBS.to_owned(), tokens));
    }
}

/// Beside a text: how likely it was.
pub(super) const LOGPROBS: &str = "logprobs";

/// What stands for an answer without anything in it: clients look at the first item.
pub(super) fn empty_message(answer_id: &str) -> Draft {
    Draft::new(answer_id, 0, Kind::Message { content: vec![Piece::new(Tone::Text)], phase: None })
}

/// Adds to the message that stands last; `None` then, else the new one.
fn add_piece(drafts: &mut [Draft], tone: Tone, text: &str, attached: Vec<(String, RawJson)>) -> Option<Kind> {
    let phase = attached.iter().find(|(key, _)| key == "phase").map(|(_, phase)| phase.clone());
    let piece = Piece { tone, text: text.to_owned(), attached };
    if let Some(Draft { kind: Kind::Message { content, .. }, .. }) =
        drafts.last_mut().filter(|_| phase.is_none())
    {
        content.push(piece);
        return None;
    }
    Some(Kind::Message { content: vec![piece], phase })
}

/// Whether a raw value is an item of this dialect: its origin is not told on a stream.
pub(super) fn is_item(raw: &RawJson) -> bool {
    const OTHERS: [&str; 10] = [
        "mcp_list_tools",
        "mcp_approval_request",
        "mcp_approval_response",
        "compaction",
        "program",
        "program_output",
        "tool_search_output",
        "additional_tools",
        "function_call_output",
        "configuration_update",
    ];
    #[derive(Deserialize)]
    struct Kind {
        r#type: String,
    }
    raw.read::<Kind>().is_ok_and(|Kind { r#type: kind }| {
        kind.ends_with("_call") || kind.ends_with("_call_output") || OTHERS.contains(&kind.as_str())
    })
}

fn id_of(raw: &RawJson) -> String {
    #[derive(Deserialize)]
    struct Named {
        id: Option<String>,
    }
    raw.read::<Named>().ok().and_then(|named| named.id).unwrap_or_default()
}
