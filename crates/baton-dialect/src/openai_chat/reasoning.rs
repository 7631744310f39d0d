//! Reads and writes `reasoning_content` and `reasoning_details`.
//!
//! The plain text goes in `reasoning_content`, which most clients show. A signature or sealed bytes
//! need `reasoning_details`, whose `format` says who made them, so that they find their way back to
//! their own vendor through a client that speaks this dialect.
//!
//! - Start with [`decode`].
//! - **Invariant:** a signature keeps the exact text it was made for, or is dropped.

use baton_model::{Dialect, Origin, Part, PartKind};
use serde::Serialize;
use serde_json::value::RawValue;

use super::types::ReasoningDetail;

/// What `format` says for what Anthropic's models made.
pub(super) const ANTHROPIC_FORMAT: &str = "anthropic-claude-v1";
const OTHER_FORMAT: &str = "unknown";

/// One entry of `reasoning_details`, to be written.
#[derive(Debug, Serialize)]
pub(super) struct Detail<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signature: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a str>,
    format: &'static str,
    index: u32,
}

impl<'a> Detail<'a> {
    pub(super) const fn text(
        text: &'a str,
        signature: Option<&'a str>,
        dialect: Dialect,
        index: u32,
    ) -> Self {
        Self {
            kind: "reasoning.text",
            text: Some(text),
            signature,
            data: None,
            format: format_of(dialect),
            index,
        }
    }

    pub(super) const fn sealed(data: &'a str, dialect: Dialect, index: u32) -> Self {
        Self {
            kind: "reasoning.encrypted",
            text: None,
            signature: None,
            data: Some(data),
            format: format_of(dialect),
            index,
        }
    }
}

const fn format_of(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::AnthropicMessages => ANTHROPIC_FORMAT,
        Dialect::OpenaiChat | Dialect::OpenaiResponses => OTHER_FORMAT,
    }
}

/// The dialect whose vendor made what carries this `format`.
pub(super) fn dialect_of(format: Option<&str>) -> Dialect {
    match format {
        Some(format) if format.starts_with("anthropic") => Dialect::AnthropicMessages,
        _ => Dialect::OpenaiChat,
    }
}

/// The thinking of a message: its details where they say something, else its plain text.
pub(super) fn decode(details: &[&RawValue], plain: Option<String>) -> Vec<Part> {
    let mut parts: Vec<Part> = details.iter().filter_map(|raw| decode_detail(raw)).collect();
    let has_text =
        parts.iter().any(|part| matches!(&part.kind, PartKind::Reasoning { text, .. } if !text.is_empty()));
    if let Some(plain) = plain.filter(|plain| !plain.is_empty() && !has_text) {
        adopt(&mut parts, plain);
    }
    parts
}

/// An entry of a type that nobody has defined yet is left out: it is an annex of the answer, not
/// the answer.
fn decode_detail(raw: &RawValue) -> Option<Part> {
    let detail: ReasoningDetail = serde_json::from_str(raw.get()).ok()?;
    let kind = match (detail.kind.as_deref()?, detail.data) {
        ("reasoning.text", _) => {
            PartKind::Reasoning { text: detail.text.unwrap_or_default(), signature: detail.signature }
        }
        ("reasoning.summary", _) => PartKind::Reasoning { text: detail.summary?, signature: None },
        ("reasoning.encrypted", Some(data)) => PartKind::RedactedReasoning { data },
        _ => return None,
    };
    let origin = Origin { dialect: dialect_of(detail.format.as_deref()) };
    Some(Part { origin, ..Part::new(kind, origin.dialect) })
}

/// A stream carries text and signature apart, and a client sends them back as it got them. One
/// signature belongs to all of the text. Of several nobody can say which part is whose: they go.
fn adopt(parts: &mut Vec<Part>, plain: String) {
    let bare = |part: &Part| matches!(part.kind, PartKind::Reasoning { .. });
    if parts.iter().filter(|part| bare(part)).count() == 1 {
        if let Some(Part { kind: PartKind::Reasoning { text, .. }, .. }) =
            parts.iter_mut().find(|part| bare(part))
        {
            *text = plain;
        }
        return;
    }
    parts.retain(|part| !bare(part));
    let kind = PartKind::Reasoning { text: plain, signature: None };
    parts.insert(0, Part::new(kind, Dialect::OpenaiChat));
}
