//! Carries the sources of a text between the forms that dialects have for them.
//!
//! OpenAI's dialects name an address and the characters that it stands for; Anthropic's name what is quoted, beside a
//! text of its own. An address with a title is the same to all. What names no address (a page of a document, a file
//! at the vendor) stays with its maker.
//!
//! Beside a part of the model, `annotations` is the list as Responses have it, and `citations` as Messages have it.
//!
//! - Start with [`sources`].
//! - **Never here:** streams, order of events.

use baton_model::RawJson;
use serde::{Deserialize, Serialize};

/// Beside a text, in OpenAI's form.
pub(crate) const ANNOTATIONS: &str = "annotations";
/// Beside a text, in Anthropic's form.
pub(crate) const CITATIONS: &str = "citations";

/// A source with an address, as Responses have it.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Source {
    #[serde(rename = "type", default = "url_citation")]
    kind: String,
    #[serde(default)]
    start_index: usize,
    #[serde(default = "far")]
    end_index: usize,
    url: String,
    #[serde(default)]
    title: Option<String>,
}

fn url_citation() -> String {
    "url_citation".to_owned()
}

const fn far() -> usize {
    usize::MAX
}

/// The same, one level deeper, as chat completions have it.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Nested {
    #[serde(rename = "type", default = "url_citation")]
    kind: String,
    url_citation: Place,
}

#[derive(Debug, Deserialize, Serialize)]
struct Place {
    #[serde(default)]
    start_index: usize,
    #[serde(default = "far")]
    end_index: usize,
    url: String,
    #[serde(default)]
    title: String,
}

/// The same, as Messages have it.
#[derive(Debug, Serialize)]
pub(crate) struct Quoted {
    #[serde(rename = "type")]
    kind: &'static str,
    cited_text: String,
    url: String,
    title: Option<String>,
    encrypted_index: &'static str,
}

/// The sources that stand beside a text, which goes from one character of the answer to another. Other kinds of
/// source are left out.
pub(crate) fn sources(beside: &[(String, RawJson)], from: usize, to: usize) -> Vec<Source> {
    let lists = beside.iter().filter(|(key, _)| matches!(key.as_str(), ANNOTATIONS | CITATIONS));
    let entries = lists.flat_map(|(_, list)| list.read::<Vec<RawJson>>().unwrap_or_default());
    let sources = entries.filter_map(|entry| entry.read::<Source>().ok());
    sources
        .map(|source| Source {
            kind: url_citation(),
            start_index: from.saturating_add(source.start_index).min(to),
            end_index: from.saturating_add(source.end_index).min(to),
            title: Some(source.title.unwrap_or_default()),
            ..source
        })
        .collect()
}

/// In the form of chat completions.
pub(crate) fn nested(sources: Vec<Source>) -> Vec<Nested> {
    let nest = |source: Source| Nested {
        kind: source.kind,
        url_citation: Place {
            start_index: source.start_index,
            end_index: source.end_index,
            url: source.url,
            title: source.title.unwrap_or_default(),
        },
    };
    sources.into_iter().map(nest).collect()
}

/// The list of chat completions as Responses have it.
pub(crate) fn flat(list: &RawJson) -> Option<RawJson> {
    let entries: Vec<RawJson> = list.read().ok()?;
    let sources: Vec<Source> = entries
        .iter()
        .filter_map(|entry| entry.read::<Nested>().ok())
        .map(|Nested { kind, url_citation: Place { start_index, end_index, url, title } }| Source {
            kind,
            start_index,
            end_index,
            url,
            title: Some(title),
        })
        .collect();
    RawJson::of(&sources).ok().filter(|_| !sources.is_empty())
}

/// In the form of Messages, with the words that each stands for.
pub(crate) fn quoted(beside: &[(String, RawJson)], text: &str) -> Vec<Quoted> {
    let quote = |source: Source| {
        let length = source.end_index.saturating_sub(source.start_index);
        Quoted {
            kind: "web_search_result_location",
            cited_text: text.chars().skip(source.start_index).take(length).collect(),
            url: source.url,
            title: source.title,
            encrypted_index: "",
        }
    };
    sources(beside, 0, text.chars().count()).into_iter().map(quote).collect()
}
