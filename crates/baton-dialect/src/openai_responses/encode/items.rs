//! Writes the items of `input`: messages, calls, results and thinking, side by side.
//!
//! - Start with [`encode`].
//! - **Invariant:** every result of the model's request is written exactly once, behind its call.

use std::borrow::Cow;

use baton_model::{Dialect, DocumentSource, ImageSource, Message, Part, PartKind, RawJson, Role};
use serde::{Serialize, Serializer};

use super::super::DIALECT;
use super::pairs::{Pairs, Place, lonely};
use crate::Loss;
use crate::convert::{hashed_id, titled};
use crate::losses::{self, Dropped};

/// The name under which a result without its call gets one.
const UNKNOWN_TOOL: &str = "unknown_tool";

/// What stands for the result of a call that has none.
const NO_RESULT: &str = "no result was recorded";

/// This dialect has no flag for a failed tool, so the text says it.
const FAILED: &str = "[tool error]";

/// One item.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum WireItem<'a> {
    Message {
        #[serde(rename = "type")]
        kind: &'static str,
        /// Only the answers of a model have one, and how they stand.
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        status: Option<&'static str>,
        role: &'static str,
        content: WireContent<'a>,
        #[serde(flatten)]
        attached: Members<'a>,
    },
    Call {
        #[serde(rename = "type")]
        kind: &'static str,
        call_id: String,
        name: &'a str,
        arguments: &'a str,
        #[serde(flatten)]
        attached: Members<'a>,
    },
    Result {
        #[serde(rename = "type")]
        kind: &'static str,
        call_id: String,
        output: WireContent<'a>,
        #[serde(flatten)]
        attached: Members<'a>,
    },
    Reasoning {
        #[serde(rename = "type")]
        kind: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        summary: Option<Vec<WirePart<'a>>>,
        #[serde(flatten)]
        attached: Members<'a>,
    },
    Raw(&'a RawJson),
}

/// Text, or a list of parts.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum WireContent<'a> {
    Text(Cow<'a, str>),
    Parts(Vec<WirePart<'a>>),
}

/// A part of content.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum WirePart<'a> {
    Text {
        #[serde(rename = "type")]
        kind: &'static str,
        text: Cow<'a, str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        prompt_cache_breakpoint: Option<&'a RawJson>,
    },
    Output {
        #[serde(rename = "type")]
        kind: &'static str,
        text: &'a str,
        annotations: Beside<'a>,
        logprobs: Beside<'a>,
    },
    Refusal {
        #[serde(rename = "type")]
        kind: &'static str,
        refusal: &'a str,
    },
    Image {
        #[serde(rename = "type")]
        kind: &'static str,
        image_url: Cow<'a, str>,
        detail: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        prompt_cache_breakpoint: Option<&'a RawJson>,
    },
    File {
        #[serde(rename = "type")]
        kind: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        filename: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        file_url: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        file_data: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        prompt_cache_breakpoint: Option<&'a RawJson>,
    },
    Raw(&'a RawJson),
}

/// Members that go back to where they came from: those of these names.
pub(super) struct Members<'a> {
    of: &'a [(String, RawJson)],
    names: &'static [&'static str],
}

impl Members<'_> {
    const NONE: Self = Self { of: &[], names: &[] };
}

impl Serialize for Members<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let ours = self.of.iter().filter(|(key, _)| self.names.contains(&key.as_str()));
        serializer.collect_map(ours.map(|(key, value)| (key, value)))
    }
}

/// What stands beside a text of the model's.
const BESIDE_TEXT: [&str; 2] = ["annotations", "logprobs"];

/// A list beside a text: as it came, else empty.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Beside<'a> {
    Given(&'a RawJson),
    Nothing([(); 0]),
}

fn beside<'a>(part: &'a Part, key: &str) -> Beside<'a> {
    let given = part.attached().iter().find(|(known, _)| is_ours(part) && known == key);
    given.map_or(Beside::Nothing([]), |(_, list)| Beside::Given(list))
}

/// Whether nothing stands beside a text.
fn is_plain(part: &Part) -> bool {
    BESIDE_TEXT.into_iter().all(|key| matches!(beside(part, key), Beside::Nothing(_)))
}

/// Whether a part came from this dialect.
fn is_ours(part: &Part) -> bool {
    part.origin.dialect == DIALECT
}

/// Whether the vendor knows this thinking again.
pub(super) fn can_go_back(part: &Part) -> bool {
    is_ours(part) && part.attached().iter().any(|(key, _)| matches!(key.as_str(), "id" | "encrypted_content"))
}

/// Instructions that stand first and are one plain text have a member of their own. Something must follow them.
pub(super) fn instructions(messages: &[Message]) -> Option<(&str, &[Message])> {
    let (Message { role: Role::System, name: None, parts }, rest) = messages.split_first()? else {
        return None;
    };
    match parts.as_slice() {
        [Part { kind: PartKind::Text(text), cache: None, .. }] if !rest.is_empty() => Some((text, rest)),
        _ => None,
    }
}

pub(super) fn encode<'a>(
    messages: &'a [Message],
    origin: Dialect,
    dropped: &mut Dropped,
) -> Vec<WireItem<'a>> {
    encode_from(messages, 0, origin, dropped)
}

/// The items of the messages behind the first few.
pub(super) fn encode_from<'a>(
    messages: &'a [Message],
    skipped: usize,
    origin: Dialect,
    dropped: &mut Dropped,
) -> Vec<WireItem<'a>> {
    let mut writer = Writer { pairs: Pairs::of(messages), origin, out: Vec::new(), dropped };
    for (i, message) in messages.iter().enumerate().skip(skipped) {
        writer.message(i, message);
    }
    writer.out
}

struct Writer<'a, 'd> {
    pairs: Pairs,
    origin: Dialect,
    out: Vec<WireItem<'a>>,
    dropped: &'d mut Dropped,
}

impl<'a> Writer<'a, '_> {
    fn message(&mut self, i: usize, message: &'a Message) {
        let role = match message.role {
            Role::System => "system",
            Role::Developer => "developer",
            Role::Assistant => "assistant",
            Role::User | Role::Tool => "user",
        };
        if message.name.is_some() {
            self.dropped.lose(&losses::RESPONSES_NAME, "name");
        }
        let before = self.out.len();
        let mut said: Vec<(usize, &'a Part)> = Vec::new();
        for (j, part) in message.parts.iter().enumerate() {
            let item = match &part.kind {
                PartKind::ToolCall { .. }
                | PartKind::ToolResult { .. }
                | PartKind::Reasoning { .. }
                | PartKind::RedactedReasoning { .. } => true,
                PartKind::Other(_) => role == "assistant",
                PartKind::Text(_)
                | PartKind::Refusal(_)
                | PartKind::Image { .. }
                | PartKind::Document { .. } => false,
            };
            if item {
                self.said(i, role, &std::mem::take(&mut said));
                self.item((i, j), part);
            } else {
                said.push((j, part));
            }
        }
        self.said(i, role, &said);
        // A speaker who says nothing still had a turn, unless what was said cannot be carried.
        if self.out.len() == before && message.parts.is_empty() && role != "assistant" {
            let content = WireContent::Text("".into());
            self.say(None, role, content, Members::NONE);
        }
    }

    fn said(&mut self, i: usize, role: &'static str, parts: &[(usize, &'a Part)]) {
        let Some((_, first)) = parts.first() else { return };
        let of = if is_ours(first) { first.attached() } else { &[] };
        let attached = Members { of, names: &["phase"] };
        let content = match parts {
            [(_, Part { kind: PartKind::Text(text), cache: None, .. })]
                if role != "assistant" || is_plain(first) =>
            {
                WireContent::Text(text.into())
            }
            _ => WireContent::Parts(
                parts.iter().filter_map(|(j, part)| self.part((i, *j), role, part)).collect(),
            ),
        };
        // What is more than a text is the answer of a model, and those have an id.
        let id = match (&content, parts.first()) {
            (WireContent::Parts(parts), _) if parts.is_empty() => return,
            (WireContent::Parts(_), Some((j, _))) if role == "assistant" => {
                Some(hashed_id(&format!("{i}.{j}"), "msg_"))
            }
            _ => None,
        };
        self.say(id, role, content, attached);
    }

    fn say(
        &mut self,
        id: Option<String>,
        role: &'static str,
        content: WireContent<'a>,
        attached: Members<'a>,
    ) {
        let status = id.is_some().then_some("completed");
        self.out.push(WireItem::Message { kind: "message", id, status, role, content, attached });
    }

    fn part(&mut self, place: Place, role: &str, part: &'a Part) -> Option<WirePart<'a>> {
        let ours = is_ours(part);
        let prompt_cache_breakpoint = part.cache.as_ref().map(|mark| &mark.0).filter(|_| ours);
        if part.cache.is_some() && !ours {
            self.dropped.lose(&losses::RESPONSES_CACHE, "cache_control");
        }
        match &part.kind {
            PartKind::Text(text) if role == "assistant" => {
                let [annotations, logprobs] = BESIDE_TEXT.map(|key| beside(part, key));
                Some(WirePart::Output { kind: "output_text", text, annotations, logprobs })
            }
            PartKind::Text(text) => {
                Some(WirePart::Text { kind: "input_text", text: text.into(), prompt_cache_breakpoint })
            }
            PartKind::Refusal(refusal) if role == "assistant" => {
                Some(WirePart::Refusal { kind: "refusal", refusal })
            }
            PartKind::Refusal(text) => {
                Some(WirePart::Text { kind: "input_text", text: text.into(), prompt_cache_breakpoint })
            }
            PartKind::Image { .. } | PartKind::Document { .. } if role == "assistant" => {
                self.drop_part(place, &losses::RESPONSES_PART, "image");
                None
            }
            PartKind::Image { source, detail } => Some(WirePart::Image {
                kind: "input_image",
                image_url: image_url(source),
                detail: detail.as_deref().unwrap_or("auto"),
                prompt_cache_breakpoint,
            }),
            PartKind::Document { source, name } => {
                Some(document(source, name.as_deref(), prompt_cache_breakpoint))
            }
            PartKind::Other(raw) if ours => Some(WirePart::Raw(raw)),
            PartKind::Other(raw) => {
                self.drop_other(place, raw);
                None
            }
            _ => None,
        }
    }

    fn item(&mut self, place: Place, part: &'a Part) {
        let ours = is_ours(part);
        let of = if ours { part.attached() } else { &[] };
        match &part.kind {
            PartKind::ToolCall { name, arguments, .. } => {
                let id = self.pairs.id(place).unwrap_or_default().to_owned();
                let attached = Members { of, names: &["namespace", "caller"] };
                self.call(id.clone(), name, arguments, attached);
                // In a history of this dialect's own that is the client's mistake, and the upstream's to name.
                if self.pairs.is_open(place) && self.origin != DIALECT {
                    self.result(id, WireContent::Text(NO_RESULT.into()), Members::NONE);
                }
            }
            PartKind::ToolResult { call_id, parts, is_error } => {
                let id = match self.pairs.id(place) {
                    Some(id) => id.to_owned(),
                    None => {
                        let id = lonely(call_id, place);
                        self.call(id.clone(), UNKNOWN_TOOL, "{}", Members::NONE);
                        id
                    }
                };
                if part.cache.is_some() {
                    self.dropped.lose(&losses::RESPONSES_CACHE, "cache_control");
                }
                let output = self.output(place, parts, *is_error);
                self.result(id, output, Members { of, names: &["namespace", "caller"] });
            }
            PartKind::Reasoning { text, .. } if can_go_back(part) => {
                let given = of.iter().any(|(key, _)| key == "summary");
                let summary = (!given).then(|| summary(text));
                let names = &["id", "encrypted_content", "summary", "content"];
                self.out.push(WireItem::Reasoning {
                    kind: "reasoning",
                    summary,
                    attached: Members { of, names },
                });
            }
            PartKind::Other(raw) if ours => self.out.push(WireItem::Raw(raw)),
            PartKind::Other(raw) => self.drop_other(place, raw),
            _ => {}
        }
    }

    fn call(&mut self, call_id: String, name: &'a str, arguments: &'a str, attached: Members<'a>) {
        // The API refuses arguments that are not JSON, and nothing is not.
        let arguments = if arguments.is_empty() { "{}" } else { arguments };
        self.out.push(WireItem::Call { kind: "function_call", call_id, name, arguments, attached });
    }

    fn result(&mut self, call_id: String, output: WireContent<'a>, attached: Members<'a>) {
        self.out.push(WireItem::Result { kind: "function_call_output", call_id, output, attached });
    }

    fn output(&mut self, place: Place, parts: &'a [Part], is_error: bool) -> WireContent<'a> {
        match parts {
            [] if is_error => return WireContent::Text(FAILED.into()),
            [] => return WireContent::Text("".into()),
            [Part { kind: PartKind::Text(text), cache: None, .. }] => {
                let text = if is_error {
                    Cow::Owned(format!("{FAILED} {text}"))
                } else {
                    Cow::Borrowed(text.as_str())
                };
                return WireContent::Text(text);
            }
            _ => {}
        }
        let failed = is_error.then(|| WirePart::Text {
            kind: "input_text",
            text: FAILED.into(),
            prompt_cache_breakpoint: None,
        });
        let mut list: Vec<WirePart<'a>> = failed.into_iter().collect();
        list.extend(parts.iter().filter_map(|part| self.part(place, "user", part)));
        if list.is_empty() { WireContent::Text("".into()) } else { WireContent::Parts(list) }
    }

    fn drop_other(&mut self, place: Place, raw: &RawJson) {
        #[derive(serde::Deserialize)]
        struct Tag {
            r#type: String,
        }
        let kind = raw.read::<Tag>().map_or_else(|_| "unknown".to_owned(), |tag| tag.r#type);
        let audio = kind == "input_audio";
        self.drop_part(place, if audio { &losses::RESPONSES_AUDIO } else { &losses::RESPONSES_PART }, &kind);
    }

    fn drop_part(&mut self, (i, j): Place, loss: &'static Loss, kind: &str) {
        self.dropped.lose(loss, &format!("messages[{i}].content[{j}] ({kind})"));
    }
}

/// The summary of thinking where it is one text; else it stands beside the part as it came.
fn summary(text: &str) -> Vec<WirePart<'_>> {
    let text = Cow::Borrowed(text);
    vec![WirePart::Text { kind: "summary_text", text, prompt_cache_breakpoint: None }]
}

fn document<'a>(
    source: &'a DocumentSource,
    filename: Option<&'a str>,
    prompt_cache_breakpoint: Option<&'a RawJson>,
) -> WirePart<'a> {
    let (file_url, file_data) = match source {
        DocumentSource::Url(url) => (Some(url.as_str()), None),
        DocumentSource::Base64 { media_type, data } => {
            (None, Some(format!("data:{media_type};base64,{data}")))
        }
        DocumentSource::Text(text) => {
            let text = Cow::Owned(titled(filename, text));
            return WirePart::Text { kind: "input_text", text, prompt_cache_breakpoint };
        }
    };
    WirePart::File { kind: "input_file", filename, file_url, file_data, prompt_cache_breakpoint }
}

fn image_url(source: &ImageSource) -> Cow<'_, str> {
    match source {
        ImageSource::Url(url) => Cow::Borrowed(url),
        ImageSource::Base64 { media_type, data } => Cow::Owned(format!("data:{media_type};base64,{data}")),
    }
}
