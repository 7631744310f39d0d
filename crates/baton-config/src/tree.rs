//! Parses YAML into a tree that knows the place of every key and value.
//!
//! Deserialising straight into structs would stop at the first mistake. The tree is read by
//! [`crate::reader`], which goes on.
//!
//! - Start with [`parse`].
//! - **Invariant:** scalars keep the text they are written with, so that `0.1` is never a float.
//! - **Invariant:** a small file stays small: anchors, depth and size have tight limits.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::options::AliasLimits;
use serde_saphyr::{DuplicateKeyPolicy, Location, MergeKeyPolicy, Options, Spanned};

/// A value and where it is.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) span: Span,
    pub(crate) value: Value,
    /// Whether it is a number or a truth value, written without quotes.
    pub(crate) is_plain: bool,
}

impl Node {
    /// A node without a place.
    pub(crate) fn of(value: Value) -> Self {
        Self { span: Span::default(), value, is_plain: false }
    }
}

/// What a node holds.
#[derive(Debug)]
pub(crate) enum Value {
    Null,
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

/// The key of an entry and where it is.
#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) span: Span,
    pub(crate) text: String,
}

/// A place in the file: line and column from 1, and a length, all in characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) line: usize,
    pub(crate) column: usize,
    pub(crate) len: usize,
}

/// Why the text is no YAML, or not of a kind that is taken.
#[derive(Debug)]
pub(crate) struct SyntaxError {
    pub(crate) span: Option<Span>,
    pub(crate) message: String,
}

const TOO_LARGE: &str = "the file is nested too deep, or grows too large by its anchors";

/// Parses one document; an empty one is a null.
pub(crate) fn parse(text: &str) -> Result<Node, SyntaxError> {
    let parsed = serde_saphyr::from_str_with_options::<Option<RawNode>>(text, options());
    match parsed {
        Ok(Some(raw)) => Ok(raw.into_node(text)),
        Ok(None) => Ok(Node { span: Span { line: 1, column: 1, len: 0 }, ..Node::of(Value::Null) }),
        Err(error) => Err(syntax_error(&error)),
    }
}

fn options() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_events: 100_000,
            max_nodes: 50_000,
            max_depth: 32,
            max_aliases: 200,
            max_anchors: 200,
            max_documents: 2,
        },
        alias_limits: alias_limits(),
        duplicate_keys: DuplicateKeyPolicy::LastWins,
        merge_keys: MergeKeyPolicy::AsOrdinary,
        strict_booleans: true,
        reject_unsupported_tags: true,
        with_snippet: false,
    }
}

fn alias_limits() -> AliasLimits {
    let mut limits = AliasLimits::default();
    limits.max_total_replayed_events = 5_000;
    limits.max_replay_stack_depth = 8;
    limits
}

fn syntax_error(error: &serde_saphyr::Error) -> SyntaxError {
    let span = error.location().map(Span::from).filter(|span| span.line > 0);
    SyntaxError { span, message: message(error.without_snippet()) }
}

/// What the parser says. Its texts name characters and kinds, never values, but for duplicate keys and
/// tags; those variants are not reached or are put in other words here.
fn message(error: &serde_saphyr::Error) -> String {
    use serde_saphyr::Error;
    match error {
        Error::Budget { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. } => TOO_LARGE.to_owned(),
        Error::AliasError { error, .. } => message(error),
        Error::ExternalMessage { msg, .. } => format!("not valid YAML: {msg}"),
        Error::MultipleDocuments { .. } => "the file holds more than one YAML document".to_owned(),
        Error::RecursiveReferencesRequireWeakTypes { .. } => "the anchor holds itself".to_owned(),
        Error::UnknownAnchor { .. } => "the alias names an anchor that was not set before".to_owned(),
        Error::UnsupportedTag { .. } => "a tag is not allowed here".to_owned(),
        Error::Eof { .. } => "not valid YAML: the file ends too early".to_owned(),
        Error::Unexpected { expected, .. } => format!("not valid YAML: expected {expected}"),
        _ => "not valid YAML at this place".to_owned(),
    }
}

/// A node as the parser gives it.
struct RawNode(Spanned<RawValue>);

enum RawValue {
    Null,
    Text(String),
    /// A plain number or truth value: its text is looked up in the source.
    Plain,
    List(Vec<RawNode>),
    Map(Vec<(Spanned<String>, RawNode)>),
}

impl<'de> Deserialize<'de> for RawNode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Spanned::deserialize(deserializer).map(Self)
    }
}

impl<'de> Deserialize<'de> for RawValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = RawValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<RawValue, E> {
        Ok(RawValue::Null)
    }

    fn visit_none<E>(self) -> Result<RawValue, E> {
        Ok(RawValue::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<RawValue, D::Error> {
        RawValue::deserialize(deserializer)
    }

    fn visit_str<E>(self, text: &str) -> Result<RawValue, E> {
        Ok(RawValue::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<RawValue, E> {
        Ok(RawValue::Text(text))
    }

    fn visit_bool<E>(self, _value: bool) -> Result<RawValue, E> {
        Ok(RawValue::Plain)
    }

    fn visit_i64<E>(self, _value: i64) -> Result<RawValue, E> {
        Ok(RawValue::Plain)
    }

    fn visit_u64<E>(self, _value: u64) -> Result<RawValue, E> {
        Ok(RawValue::Plain)
    }

    fn visit_i128<E>(self, _value: i128) -> Result<RawValue, E> {
        Ok(RawValue::Plain)
    }

    fn visit_u128<E>(self, _value: u128) -> Result<RawValue, E> {
        Ok(RawValue::Plain)
    }

    fn visit_f64<E>(self, _value: f64) -> Result<RawValue, E> {
        Ok(RawValue::Plain)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<RawValue, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(RawValue::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<RawValue, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(RawValue::Map(map))
    }

    fn visit_bytes<E: serde::de::Error>(self, _bytes: &[u8]) -> Result<RawValue, E> {
        Err(E::custom("binary values are not allowed"))
    }
}

impl RawNode {
    fn into_node(self, text: &str) -> Node {
        let Spanned { value, referenced, defined } = self.0;
        let is_plain = matches!(value, RawValue::Plain);
        let value = match value {
            RawValue::Null => Value::Null,
            RawValue::Text(text) => Value::Text(text),
            RawValue::Plain => Value::Text(written(text, defined).to_owned()),
            RawValue::List(items) => {
                Value::List(items.into_iter().map(|item| item.into_node(text)).collect())
            }
            RawValue::Map(entries) => Value::Map(
                entries.into_iter().map(|(key, value)| (Key::from(key), value.into_node(text))).collect(),
            ),
        };
        let mut span = Span::from(referenced);
        if matches!(value, Value::List(_) | Value::Map(_)) {
            span.len = 1;
        }
        Node { span, value, is_plain }
    }
}

/// How a plain scalar is written.
fn written(text: &str, at: Location) -> &str {
    let range = at.span().byte_offset().zip(at.span().byte_len());
    let range =
        range.and_then(|(start, len)| Some(usize::try_from(start).ok()?..usize::try_from(start + len).ok()?));
    range.and_then(|range| text.get(range)).unwrap_or_default().trim()
}

impl From<Spanned<String>> for Key {
    fn from(key: Spanned<String>) -> Self {
        Self { span: key.referenced.into(), text: key.value }
    }
}

impl From<Location> for Span {
    fn from(at: Location) -> Self {
        let small = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
        Self { line: small(at.line()), column: small(at.column()), len: small(at.span().len()) }
    }
}

#[cfg(test)]
mod tests;
