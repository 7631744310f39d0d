//! Turns the result of a call into what a model reads and what a record keeps.
//!
//! A model gets text: text as it is, structured content as JSON where there is no text, anything else as
//! a line that names it. What is longer than the server's limit is cut, and says so.

use std::time::Duration;

use baton_model::RawJson;
use rmcp::model::{CallToolResult, ContentBlock, ResourceContents};
use serde_json::Value;

use crate::fault::{ErrorCode, Fault};
use crate::shown;

/// The result of one call.
#[derive(Clone, Debug, PartialEq)]
pub struct Called {
    /// The server, as errors and records name it.
    pub server: String,
    /// The tool, as its server names it.
    pub tool: String,
    /// Whether it failed, by the server's word or by ours.
    pub is_error: bool,
    /// What came in the way, where it was not the server that answered.
    pub code: Option<ErrorCode>,
    /// What the model gets.
    pub text: String,
    /// The structured content, else the text, else the content blocks.
    pub result: Value,
    /// From the call to the end of its result.
    pub took: Duration,
    /// The length of the result before anything was cut.
    pub bytes: usize,
}

/// What a call came to, before it is known whose it was.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) is_error: bool,
    pub(crate) code: Option<ErrorCode>,
    pub(crate) text: String,
    pub(crate) result: Value,
    pub(crate) bytes: usize,
}

impl Outcome {
    /// A result of the server.
    pub(crate) fn of(result: CallToolResult, limit: usize) -> Self {
        let whole = text_of(&result);
        let bytes = whole.len();
        let text = within(whole, limit);
        let value = match result.structured_content {
            Some(structured) => structured,
            None if result.content.iter().all(|block| block.as_text().is_some()) => {
                Value::from(text.as_str())
            }
            None => serde_json::to_value(&result.content).unwrap_or_default(),
        };
        let length = RawJson::of(&value).map_or(0, |json| json.get().len());
        let value = if length > limit.saturating_mul(2) { Value::from(text.as_str()) } else { value };
        Self {
            is_error: result.is_error.unwrap_or(false),
            code: None,
            text,
            result: value,
            bytes: bytes.max(length),
        }
    }

    /// A call that came to nothing.
    pub(crate) fn failed(fault: &Fault) -> Self {
        Self::refused(fault.code(), &fault.to_string())
    }

    /// A call that was not made.
    pub(crate) fn refused(code: ErrorCode, why: &str) -> Self {
        let text = format!("error: {why}");
        Self { is_error: true, code: Some(code), result: Value::from(text.as_str()), text, bytes: 0 }
    }
}

fn text_of(result: &CallToolResult) -> String {
    if let (true, Some(structured)) = (result.content.is_empty(), &result.structured_content) {
        return structured.to_string();
    }
    let mut text = String::new();
    for block in &result.content {
        if !text.is_empty() {
            text.push('\n');
        }
        push(&mut text, block);
    }
    text
}

fn push(text: &mut String, block: &ContentBlock) {
    let bytes = |base64: &str| base64.len() / 4 * 3;
    match block {
        ContentBlock::Text(block) => text.push_str(&block.text),
        ContentBlock::Image(image) => {
            named(text, "image", &image.mime_type, Some(bytes(&image.data)));
        }
        ContentBlock::Audio(audio) => {
            named(text, "audio", &audio.mime_type, Some(bytes(&audio.data)));
        }
        ContentBlock::ResourceLink(link) => named(text, "link", &link.uri, None),
        ContentBlock::Resource(embedded) => match &embedded.resource {
            ResourceContents::TextResourceContents { text: content, .. } => text.push_str(content),
            ResourceContents::BlobResourceContents { uri, blob, .. } => {
                named(text, "file", uri, Some(bytes(blob)));
            }
            _ => named(text, "resource", "unknown", None),
        },
        _ => named(text, "content", "unknown", None),
    }
}

/// The line that stands for what is no text.
fn named(text: &mut String, kind: &str, what: &str, bytes: Option<usize>) {
    let what: String = shown::visible(what).chars().take(200).collect();
    text.push_str(&match bytes {
        Some(bytes) => format!("[{kind}: {what}, {bytes} bytes, not shown]"),
        None => format!("[{kind}: {what}]"),
    });
}

fn within(mut text: String, limit: usize) -> String {
    let whole = text.len();
    if whole > limit {
        text.truncate(text.floor_char_boundary(limit));
        text.push_str(&format!(
            "\n[cut here: the result has {whole} bytes, the first {} are shown]",
            text.len()
        ));
    }
    text
}

#[cfg(test)]
mod tests;
