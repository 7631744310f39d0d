//! Writes `messages`: each tool result right behind its call, each picture where one may stand.
//!
//! - Start with [`encode`].
//! - **Invariant:** every result of the model's request is written exactly once, behind its call.

use std::borrow::Cow;

use baton_model::{Dialect, DocumentSource, ImageSource, Message, Part, PartKind, RawJson, Role};

use super::super::{MAX_CALL_ID, UNKNOWN_TOOL};
use super::CACHE_MARK;
use super::rounds::{Outcome, Place, Rounds};
use super::wire::{WireCall, WireContent, WireFile, WireImage, WireMessage, WirePart, custom_call_id};
use crate::convert::{remap_id, titled};
use crate::losses::{self, Dropped};

pub(super) fn encode<'a>(messages: &'a [Message], dropped: &mut Dropped) -> Vec<WireMessage<'a>> {
    let rounds = Rounds::of(messages);
    let mut writer = Writer { rounds, out: Vec::with_capacity(messages.len()), dropped };
    let mut first = 0;
    for turn in messages.chunk_by(belong_together) {
        writer.turn(first, turn);
        first += turn.len();
    }
    writer.out
}

/// Whether a message of the assistant's goes on in the next: in Responses the items of one answer stand side by side,
/// and each text begins a message. Here calls in the first are answered behind the last.
fn belong_together(one: &Message, next: &Message) -> bool {
    let of_items = |part: &Part| part.origin.dialect == Dialect::OpenaiResponses;
    let calls = |part: &Part| matches!(part.kind, PartKind::ToolCall { .. }) && of_items(part);
    one.role == Role::Assistant && next.role == Role::Assistant && one.parts.iter().any(calls)
}

struct Writer<'a, 'd> {
    rounds: Rounds<'a>,
    out: Vec<WireMessage<'a>>,
    dropped: &'d mut Dropped,
}

/// What a message's parts come to.
#[derive(Default)]
struct Sorted<'a> {
    content: Vec<(usize, &'a Part)>,
    refusal: Option<String>,
    reasoning: Option<String>,
    tool_calls: Vec<WireCall<'a>>,
    /// The calls once more: place, id as written, tool.
    open: Vec<(Place, Cow<'a, str>, &'a str)>,
}

impl<'a> Writer<'a, '_> {
    fn turn(&mut self, i: usize, turn: &'a [Message]) {
        let Some(message) = turn.first() else { return };
        let mut sorted = Sorted::default();
        for (j, message) in turn.iter().enumerate() {
            self.sort(i + j, &message.parts, &mut sorted);
        }
        let role = match message.role {
            Role::System => "system",
            Role::Developer => "developer",
            Role::Assistant => "assistant",
            Role::User | Role::Tool => "user",
        };
        let content = self.content(i, role, &sorted.content);
        let says_nothing = content.is_none() && sorted.tool_calls.is_empty() && sorted.refusal.is_none();
        // Only a call or a refusal may stand for content, and results have their own messages.
        let content = if says_nothing { Some(WireContent::Text("".into())) } else { content };
        let has_results = turn
            .iter()
            .flat_map(|message| &message.parts)
            .any(|part| matches!(part.kind, PartKind::ToolResult { .. }));
        if !(says_nothing && has_results) {
            self.out.push(WireMessage {
                name: message.name.as_deref(),
                refusal: sorted.refusal,
                reasoning_content: sorted.reasoning,
                tool_calls: sorted.tool_calls,
                ..WireMessage::new(role, content)
            });
        }
        self.results(sorted.open);
    }

    fn sort(&mut self, i: usize, parts: &'a [Part], sorted: &mut Sorted<'a>) {
        for (j, part) in parts.iter().enumerate() {
            let ours = part.origin.dialect == Dialect::OpenaiChat;
            match &part.kind {
                PartKind::Text(_) | PartKind::Image { .. } | PartKind::Document { .. } => {
                    sorted.content.push((j, part));
                }
                PartKind::Refusal(text) => append(&mut sorted.refusal, text),
                // A vendor takes back its own thinking only; the signature stays with us.
                PartKind::Reasoning { text, .. } if ours => append(&mut sorted.reasoning, text),
                PartKind::Reasoning { .. } | PartKind::RedactedReasoning { .. } => {}
                PartKind::ToolCall { id, name, arguments } => {
                    let id = call_id(id);
                    sorted.open.push(((i, j), id.clone(), name));
                    sorted.tool_calls.push(WireCall::function(id, name, arguments, super::ours(part)));
                }
                PartKind::ToolResult { call_id, parts, is_error } => {
                    if self.rounds.orphans.contains(&(i, j)) {
                        self.orphan(call_id, Outcome { place: (i, j), parts, is_error: *is_error });
                    }
                }
                PartKind::Other(raw) if ours && let Some(id) = custom_call_id(raw) => {
                    sorted.tool_calls.push(WireCall::Custom(raw));
                    sorted.open.push(((i, j), id, "custom"));
                }
                PartKind::Other(_) if ours => sorted.content.push((j, part)),
                PartKind::Other(raw) => self.drop_part((i, j), raw),
            }
        }
    }

    fn drop_part(&mut self, (i, j): Place, raw: &RawJson) {
        #[derive(serde::Deserialize)]
        struct Tag {
            r#type: String,
        }
        let kind = raw.read::<Tag>().map_or_else(|_| "unknown".to_owned(), |tag| tag.r#type);
        self.dropped.lose(&losses::CHAT_PART, &format!("messages[{i}].content[{j}] ({kind})"));
    }

    /// `None` for nothing. Texts of another dialect are joined, because many servers behind this one
    /// take plain text only; where the client sent a list, its list goes on.
    fn content(&mut self, i: usize, role: &str, parts: &[(usize, &'a Part)]) -> Option<WireContent<'a>> {
        let mut texts = Vec::with_capacity(parts.len());
        let mut joinable = true;
        for (_, part) in parts {
            match &part.kind {
                PartKind::Text(text) => texts.push(text.as_str()),
                _ => joinable = false,
            }
            let ours = part.origin.dialect == Dialect::OpenaiChat;
            joinable &= if ours { part.cache.is_none() && parts.len() == 1 } else { true };
        }
        match texts.as_slice() {
            _ if parts.is_empty() => None,
            [text] if joinable => {
                self.note_marks(parts);
                Some(WireContent::Text(Cow::Borrowed(*text)))
            }
            texts if joinable => {
                self.note_marks(parts);
                // Blocks of an assistant are one running text; those of others are paragraphs.
                let between = if role == "assistant" { "" } else { "\n\n" };
                Some(WireContent::Text(Cow::Owned(texts.join(between))))
            }
            _ => Some(WireContent::Parts(
                parts.iter().filter_map(|(j, part)| self.part((i, *j), part)).collect(),
            )),
        }
    }

    fn note_marks(&mut self, parts: &[(usize, &Part)]) {
        if parts.iter().any(|(_, part)| part.cache.is_some()) {
            self.dropped.lose(&losses::CHAT_CACHE, CACHE_MARK);
        }
    }

    fn part(&mut self, place: Place, part: &'a Part) -> Option<WirePart<'a>> {
        let ours = part.origin.dialect == Dialect::OpenaiChat;
        let cache_control = part.cache.as_ref().map(|mark| &mark.0).filter(|_| ours);
        if part.cache.is_some() && !ours {
            self.dropped.lose(&losses::CHAT_CACHE, CACHE_MARK);
        }
        match &part.kind {
            PartKind::Text(text) => {
                Some(WirePart::Text { kind: "text", text: Cow::Borrowed(text.as_str()), cache_control })
            }
            PartKind::Image { source, detail } => {
                let image_url = WireImage { url: image_url(source), detail: detail.as_deref() };
                Some(WirePart::Image { kind: "image_url", image_url, cache_control })
            }
            PartKind::Document { source, name } => {
                self.document(place, source, name.as_deref(), cache_control)
            }
            PartKind::Other(raw) if ours => Some(WirePart::Other(raw)),
            PartKind::Other(raw) => {
                self.drop_part(place, raw);
                None
            }
            _ => None,
        }
    }

    fn document(
        &mut self,
        (i, j): Place,
        source: &'a DocumentSource,
        name: Option<&'a str>,
        cache_control: Option<&'a RawJson>,
    ) -> Option<WirePart<'a>> {
        match source {
            DocumentSource::Base64 { media_type, data } => {
                let file_data = format!("data:{media_type};base64,{data}");
                Some(WirePart::File {
                    kind: "file",
                    file: WireFile { filename: name, file_data },
                    cache_control,
                })
            }
            DocumentSource::Text(text) => {
                let text = Cow::Owned(titled(name, text));
                Some(WirePart::Text { kind: "text", text, cache_control })
            }
            DocumentSource::Url(_) => {
                let name = format!("messages[{i}].content[{j}] (document)");
                self.dropped.lose(&losses::CHAT_DOCUMENT, &name);
                None
            }
        }
    }

    fn orphan(&mut self, id: &'a str, outcome: Outcome<'a>) {
        let id = call_id(id);
        self.out.push(WireMessage {
            tool_calls: vec![WireCall::function(id.clone(), UNKNOWN_TOOL, "{}", &[])],
            ..WireMessage::new("assistant", None)
        });
        let mut images = Vec::new();
        self.result(id, UNKNOWN_TOOL, outcome, &mut images);
        self.images(images);
    }

    /// The results of one message's calls, then the pictures of all of them: between the results
    /// of one round nothing may stand.
    fn results(&mut self, calls: Vec<(Place, Cow<'a, str>, &'a str)>) {
        let mut images = Vec::new();
        for (place, id, name) in calls {
            if let Some(outcome) = self.rounds.results.get(&place).copied() {
                self.result(id, name, outcome, &mut images);
            }
        }
        self.images(images);
    }

    fn result(&mut self, id: Cow<'a, str>, name: &str, outcome: Outcome<'a>, images: &mut Vec<WirePart<'a>>) {
        let mut texts: Vec<(usize, &Part)> = Vec::new();
        let mut pictures = Vec::new();
        for (k, part) in outcome.parts.iter().enumerate() {
            match &part.kind {
                PartKind::Text(_) => texts.push((k, part)),
                PartKind::Image { .. } => pictures.extend(self.part(outcome.place, part)),
                PartKind::Document { source: DocumentSource::Text(_), .. } => texts.push((k, part)),
                PartKind::Document { .. } => pictures.extend(self.part(outcome.place, part)),
                PartKind::Other(raw) => self.drop_part(outcome.place, raw),
                _ => {}
            }
        }
        let content = self.content(outcome.place.0, "tool", &texts).unwrap_or(WireContent::Text("".into()));
        let content = if outcome.is_error { content.failed() } else { content };
        if !pictures.is_empty() {
            let all_images = pictures.iter().all(|part| matches!(part, WirePart::Image { .. }));
            let what = if all_images { "Images" } else { "Files" };
            let text = format!("{what} in the result of tool call {id} ({name}):").into();
            images.push(WirePart::Text { kind: "text", text, cache_control: None });
            images.extend(pictures);
        }
        self.out.push(WireMessage { tool_call_id: Some(id), ..WireMessage::new("tool", Some(content)) });
    }

    /// A tool message takes text only, so pictures follow as the user's.
    fn images(&mut self, images: Vec<WirePart<'a>>) {
        if !images.is_empty() {
            self.out.push(WireMessage::new("user", Some(WireContent::Parts(images))));
        }
    }
}

fn call_id(id: &str) -> Cow<'_, str> {
    remap_id(id, "call_", MAX_CALL_ID)
}

fn append(text: &mut Option<String>, more: &str) {
    text.get_or_insert_default().push_str(more);
}

fn image_url(source: &ImageSource) -> Cow<'_, str> {
    match source {
        ImageSource::Url(url) => Cow::Borrowed(url),
        ImageSource::Base64 { media_type, data } => Cow::Owned(format!("data:{media_type};base64,{data}")),
    }
}
