//! Makes content blocks of parts.

use std::borrow::Cow;

use baton_model::{CacheControl, Dialect, DocumentSource, ImageSource, Part, RawJson};
use serde::Deserialize;

use super::DIALECT;
use super::types::{Block, Source};
use crate::convert::split_data_url;

/// What stands for the result of a call that has none.
pub(super) fn missing_result<'r>(tool_use_id: String) -> Block<'r> {
    let text = Cow::Borrowed("no result was recorded");
    result_block(tool_use_id, vec![Block::Text { text, cache_control: None }], true, None)
}

/// The result of a call.
pub(super) fn result_block(
    tool_use_id: String,
    mut content: Vec<Block<'_>>,
    is_error: bool,
    cache_control: Option<RawJson>,
) -> Block<'_> {
    if is_error && content.is_empty() {
        // The API refuses an error that says nothing.
        content.push(Block::Text { text: Cow::Borrowed("the tool failed"), cache_control: None });
    }
    Block::ToolResult { tool_use_id, content, is_error, cache_control }
}

/// Blank texts are refused, and say nothing.
pub(super) fn text_block<'r>(text: &'r str, part: &Part) -> Option<Block<'r>> {
    let blank = text.trim().is_empty();
    (!blank).then(|| Block::Text { text: Cow::Borrowed(text), cache_control: cache(part) })
}

/// An image, whose bytes may stand in its address.
pub(super) fn image_block<'r>(source: &'r ImageSource, part: &Part) -> Block<'r> {
    let source = match source {
        ImageSource::Base64 { media_type, data } => {
            Source::Base64 { media_type: plain_type(media_type), data }
        }
        ImageSource::Url(url) => match split_data_url(url) {
            Some((media_type, data)) => Source::Base64 { media_type: plain_type(media_type), data },
            None => Source::Url { url },
        },
    };
    Block::Image { source, cache_control: cache(part) }
}

/// A document; `None` for one of a kind that this dialect does not take.
pub(super) fn document_block<'r>(
    source: &'r DocumentSource,
    name: Option<&'r str>,
    part: &Part,
) -> Option<Block<'r>> {
    let source = match source {
        DocumentSource::Base64 { media_type, data } if media_type == "application/pdf" => {
            Source::Base64 { media_type, data }
        }
        DocumentSource::Base64 { .. } => return None,
        DocumentSource::Url(url) => Source::Url { url },
        DocumentSource::Text(data) => Source::Text { media_type: "text/plain", data },
    };
    Some(Block::Document { source, title: name, cache_control: cache(part) })
}

/// The registered name of a type that is often written in another way.
fn plain_type(media_type: &str) -> &str {
    if media_type.eq_ignore_ascii_case("image/jpg") { "image/jpeg" } else { media_type }
}

/// The API refuses a last assistant turn that ends in white space.
pub(super) fn trim_end(blocks: &mut [Block<'_>]) {
    if let Some(Block::Text { text, .. }) = blocks.last_mut() {
        let end = text.trim_end().len();
        match text {
            Cow::Borrowed(text) => *text = text.get(..end).unwrap_or(text),
            Cow::Owned(text) => text.truncate(end),
        }
    }
}

/// Whether a part came from this dialect.
pub(super) fn is_own(part: &Part) -> bool {
    part.origin.dialect == DIALECT
}

/// A part's cache mark, if this dialect reads it.
pub(super) fn cache(part: &Part) -> Option<RawJson> {
    part.cache.as_ref().and_then(|mark| readable_mark(mark, part.origin.dialect))
}

/// A cache mark that this dialect reads: its own, and those of clients that write them in the same way.
pub(super) fn readable_mark(CacheControl(mark): &CacheControl, origin: Dialect) -> Option<RawJson> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Ephemeral {
        r#type: String,
        #[serde(rename = "ttl")]
        _ttl: Option<String>,
    }
    /// OpenAI's mark: it too ends the part of the prompt that is used again.
    #[derive(Deserialize)]
    struct Breakpoint {
        mode: String,
    }
    let same = || mark.read::<Ephemeral>().is_ok_and(|mark| mark.r#type == "ephemeral");
    if origin == DIALECT || same() {
        return Some(mark.clone());
    }
    let explicit = mark.read::<Breakpoint>().is_ok_and(|mark| mark.mode == "explicit");
    if explicit { RawJson::parse(r#"{"type":"ephemeral"}"#).ok() } else { None }
}
