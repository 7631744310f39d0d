//! Reads a JSON body once into its top-level members, and writes it back with only those changed.
//!
//! Numbers, escapes, order and unknown members survive byte for byte, because values are never
//! parsed into a tree. What a policy saw is what an upstream gets: duplicate top-level keys are
//! refused, since two parsers may disagree on which one counts.
//!
//! - Start with [`RawObject::parse`].
//! - **Invariant:** every member's span lies inside the body and holds one valid JSON value.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use serde::de::{DeserializeOwned, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::de::Read;
use serde_json::value::RawValue;

/// The deepest nesting that is accepted: the parsers behind us stop near there too.
const MAX_DEPTH: usize = 120;

/// The most members that are accepted: what is done for each pair of them stays cheap.
const MAX_MEMBERS: usize = 1024;

/// Why a body was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// Not JSON, or not valid UTF-8.
    #[error("the body is not valid JSON: {0}")]
    Syntax(String),
    /// JSON, but not an object.
    #[error("the body must be a JSON object")]
    NotAnObject,
    /// The same key twice.
    #[error("the key `{0}` stands twice in the body")]
    Duplicate(String),
    /// More keys than any request has.
    #[error("the body has more than {MAX_MEMBERS} keys at the top")]
    TooManyKeys,
    /// Nested too deeply.
    #[error("the body is nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
    /// `\ud800` without its other half.
    #[error("the body has a lone surrogate escape at byte {0}")]
    LoneSurrogate(usize),
    /// A member of the wrong type.
    #[error("`{key}` is not valid: {message}")]
    Member {
        /// Which member.
        key: String,
        /// What the parser said.
        message: String,
    },
}

/// A JSON value kept as its text.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RawJson(Arc<RawValue>);

impl RawJson {
    /// Takes JSON text. Fails if it is not exactly one JSON value.
    ///
    /// # Errors
    /// The parser's complaint.
    pub fn parse(text: impl Into<String>) -> Result<Self, JsonError> {
        RawValue::from_string(text.into())
            .map(|raw| Self(raw.into()))
            .map_err(|error| JsonError::Syntax(error.to_string()))
    }

    /// Serialises a value.
    ///
    /// # Errors
    /// When the value has no JSON form (a map with keys that are not text).
    pub fn of(value: &impl Serialize) -> Result<Self, JsonError> {
        serde_json::value::to_raw_value(value)
            .map(|raw| Self(raw.into()))
            .map_err(|error| JsonError::Syntax(error.to_string()))
    }

    /// The text.
    #[must_use]
    pub fn get(&self) -> &str {
        self.0.get()
    }

    /// Reads it as a type.
    ///
    /// # Errors
    /// The parser's complaint.
    pub fn read<'a, T: Deserialize<'a>>(&'a self) -> Result<T, JsonError> {
        serde_json::from_str(self.get()).map_err(|error| JsonError::Syntax(error.to_string()))
    }
}

impl PartialEq for RawJson {
    fn eq(&self, other: &Self) -> bool {
        self.get() == other.get()
    }
}

impl fmt::Debug for RawJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.get())
    }
}

impl From<Box<RawValue>> for RawJson {
    fn from(raw: Box<RawValue>) -> Self {
        Self(raw.into())
    }
}

/// A body, parsed once into its top-level members.
#[derive(Clone)]
pub struct RawObject {
    body: Bytes,
    members: Vec<Span>,
}

/// Where a member stands in the body.
#[derive(Clone, Debug)]
struct Span {
    /// From the key's opening quote to the value's end.
    whole: Range<usize>,
    /// The key between its quotes.
    key: Range<usize>,
    /// The value alone.
    value: Range<usize>,
    /// The key, where it is not simply the bytes between its quotes.
    unescaped: Option<Box<str>>,
}

/// A member as seen from outside.
#[derive(Clone, Copy, Debug)]
pub struct Member<'a> {
    /// The key, unescaped.
    pub key: &'a str,
    /// The value's JSON text.
    pub value: &'a [u8],
}

impl RawObject {
    /// Parses a body. Nothing is copied but keys that contain escapes.
    ///
    /// # Errors
    /// [`JsonError`], with the place where there is one.
    pub fn parse(body: Bytes) -> Result<Self, JsonError> {
        scan(&body)?;
        let members = {
            let pairs = match std::str::from_utf8(&body) {
                // Checked as a whole, which costs less than text by text.
                Ok(text) => pairs(serde_json::Deserializer::from_str(text)),
                // The parser says where.
                Err(_place) => pairs(serde_json::Deserializer::from_slice(&body)),
            };
            let pairs = pairs.map_err(|error| {
                if error.is_data() && !body.trim_ascii_start().starts_with(b"{") {
                    JsonError::NotAnObject
                } else {
                    JsonError::Syntax(error.to_string())
                }
            })?;
            if pairs.len() > MAX_MEMBERS {
                return Err(JsonError::TooManyKeys);
            }
            spans(&body, &pairs)?
        };
        Ok(Self { body, members })
    }

    /// An object without members.
    #[must_use]
    pub fn empty() -> Self {
        Self { body: Bytes::from_static(b"{}"), members: Vec::new() }
    }

    /// The body as it came.
    #[must_use]
    pub const fn body(&self) -> &Bytes {
        &self.body
    }

    /// The members in order.
    pub fn members(&self) -> impl Iterator<Item = Member<'_>> {
        self.members.iter().map(|span| Member { key: self.key(span), value: self.slice(&span.value) })
    }

    /// A member's JSON text, if it is there and not `null`.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&[u8]> {
        self.members
            .iter()
            .find(|span| self.is(span, key))
            .map(|span| self.slice(&span.value))
            .filter(|value| *value != b"null")
    }

    /// A member's JSON text as a slice of the body that shares its memory.
    #[must_use]
    pub fn get_bytes(&self, key: &str) -> Option<Bytes> {
        self.get(key).map(|value| self.body.slice_ref(value))
    }

    /// Reads a member as a type; `null` and absent are the same.
    ///
    /// # Errors
    /// [`JsonError::Member`] when it is there and of another type.
    pub fn read<'a, T: Deserialize<'a>>(&'a self, key: &str) -> Result<Option<T>, JsonError> {
        self.get(key)
            .map(serde_json::from_slice)
            .transpose()
            .map_err(|error| JsonError::Member { key: key.to_owned(), message: error.to_string() })
    }

    /// Reads the whole body as a type.
    ///
    /// # Errors
    /// The parser's complaint, with its place.
    pub fn read_all<T: DeserializeOwned>(&self) -> Result<T, JsonError> {
        serde_json::from_slice(&self.body).map_err(|error| JsonError::Syntax(error.to_string()))
    }

    /// The body with members replaced (`Some`), removed (`None`) or, where they are not there,
    /// appended. What is not named stays byte for byte. The slices share the body's memory.
    #[must_use]
    pub fn rewrite(&self, edits: &[(&str, Option<Bytes>)]) -> Vec<Bytes> {
        let mut out = Vec::with_capacity(2 * edits.len() + 2);
        self.edited(edits, |piece| {
            out.push(match piece {
                Piece::Stretch(range) => self.body.slice(range),
                Piece::Value(value) => value.clone(),
                Piece::Key(key) => Bytes::from(format!("\"{key}\":")),
                Piece::Sign(sign) => Bytes::from_static(sign.as_bytes()),
            });
        });
        out
    }

    /// The same in one piece.
    #[must_use]
    pub fn rewritten(&self, edits: &[(&str, Option<Bytes>)]) -> Vec<u8> {
        let values = edits.iter().map(|(key, value)| key.len() + value.as_ref().map_or(0, Bytes::len) + 4);
        let mut out = Vec::with_capacity(self.body.len() + values.sum::<usize>());
        self.edited(edits, |piece| match piece {
            Piece::Stretch(range) => out.extend_from_slice(self.slice(&range)),
            Piece::Value(value) => out.extend_from_slice(value),
            Piece::Key(key) => {
                out.push(b'"');
                out.extend_from_slice(key.as_bytes());
                out.extend_from_slice(b"\":");
            }
            Piece::Sign(sign) => out.extend_from_slice(sign.as_bytes()),
        });
        out
    }

    /// Gives out the pieces of the edited body, in order.
    fn edited<'a>(&self, edits: &'a [(&'a str, Option<Bytes>)], mut out: impl FnMut(Piece<'a>)) {
        let mut sign = "{";
        // A stretch of neighbours that all stay as they are, separators included.
        let mut stretch: Option<Range<usize>> = None;
        for span in &self.members {
            match edits.iter().find(|(name, _)| self.is(span, name)) {
                None => {
                    let start = match stretch.take() {
                        Some(range) => range.start,
                        None => {
                            out(Piece::Sign(std::mem::replace(&mut sign, ",")));
                            span.whole.start
                        }
                    };
                    stretch = Some(start..span.whole.end);
                }
                Some((_, edit)) => {
                    if let Some(range) = stretch.take() {
                        out(Piece::Stretch(range));
                    }
                    if let Some(value) = edit {
                        out(Piece::Sign(std::mem::replace(&mut sign, ",")));
                        out(Piece::Stretch(span.whole.start..span.value.start));
                        out(Piece::Value(value));
                    }
                }
            }
        }
        if let Some(range) = stretch {
            out(Piece::Stretch(range));
        }
        for (name, edit) in edits {
            if let Some(value) = edit
                && !self.members.iter().any(|span| self.is(span, name))
            {
                out(Piece::Sign(std::mem::replace(&mut sign, ",")));
                out(Piece::Key(name));
                out(Piece::Value(value));
            }
        }
        out(Piece::Sign(if sign == "{" { "{}" } else { "}" }));
    }

    fn key<'a>(&'a self, span: &'a Span) -> &'a str {
        span.unescaped
            .as_deref()
            .unwrap_or_else(|| std::str::from_utf8(self.slice(&span.key)).unwrap_or_default())
    }

    /// Whether a member has this key. A key without escapes is compared where it stands.
    fn is(&self, span: &Span, key: &str) -> bool {
        match &span.unescaped {
            Some(unescaped) => **unescaped == *key,
            None => span.key.len() == key.len() && self.slice(&span.key) == key.as_bytes(),
        }
    }

    fn slice(&self, range: &Range<usize>) -> &[u8] {
        self.body.get(range.clone()).unwrap_or_default()
    }
}

impl fmt::Debug for RawObject {
    /// Keys only: the values are what clients say.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.members().map(|member| member.key)).finish()
    }
}

/// A piece of an edited body.
enum Piece<'a> {
    /// As it stands in the body.
    Stretch(Range<usize>),
    Value(&'a Bytes),
    /// The key of a member that the body does not have.
    Key(&'a str),
    Sign(&'static str),
}

/// Key, and the value's place as address and length.
type Pair<'a> = (Cow<'a, str>, &'a RawValue);

fn pairs<'a>(mut parser: serde_json::Deserializer<impl Read<'a>>) -> serde_json::Result<Vec<Pair<'a>>> {
    let pairs = parser.deserialize_map(PairsVisitor)?;
    parser.end()?;
    Ok(pairs)
}

struct PairsVisitor;

impl<'de> Visitor<'de> for PairsVisitor {
    type Value = Vec<Pair<'de>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut pairs = Vec::with_capacity(16);
        while let Some(Key(key)) = map.next_key()? {
            pairs.push((key, map.next_value()?));
            if pairs.len() > MAX_MEMBERS {
                // The rest is only read to be sure that it is JSON.
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                break;
            }
        }
        Ok(pairs)
    }
}

/// A key that borrows when it can.
#[derive(Deserialize)]
#[serde(transparent)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

fn spans(body: &[u8], pairs: &[Pair<'_>]) -> Result<Vec<Span>, JsonError> {
    let base = body.as_ptr().addr();
    let mut members: Vec<Span> = Vec::with_capacity(pairs.len());
    let mut previous_end = 0;
    for (at, (key, value)) in pairs.iter().enumerate() {
        if pairs.iter().take(at).any(|(earlier, _)| earlier == key) {
            return Err(JsonError::Duplicate(key.chars().take(64).collect()));
        }
        let start = value.get().as_ptr().addr() - base;
        let end = start + value.get().len();
        let gap = body.get(previous_end..start).unwrap_or_default();
        let quote = previous_end + memchr::memchr(b'"', gap).unwrap_or(0);
        // Escapes are longer than what they stand for, and then the key is kept beside its place.
        let unescaped = match key {
            Cow::Borrowed(_) => None,
            Cow::Owned(text) => Some(text.clone().into_boxed_str()),
        };
        let key = quote + 1..quote + 1 + key.len();
        members.push(Span { whole: quote..end, key, value: start..end, unescaped });
        previous_end = end;
    }
    Ok(members)
}

/// One pass for what the parser does not refuse in values that it only skips: depth and lone
/// surrogates. Strings are crossed with `memchr`, so that long prompts cost little.
fn scan(body: &[u8]) -> Result<(), JsonError> {
    let mut at = 0;
    let mut depth = 0_usize;
    while let Some(byte) = body.get(at) {
        at += 1;
        match byte {
            b'{' | b'[' => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return Err(JsonError::TooDeep);
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            b'"' => at = skip_string(body, at)?,
            _ => {}
        }
    }
    Ok(())
}

/// The index behind the closing quote of the string whose first character is at `at`.
fn skip_string(body: &[u8], mut at: usize) -> Result<usize, JsonError> {
    loop {
        let rest = body.get(at..).unwrap_or_default();
        let Some(found) = memchr::memchr2(b'"', b'\\', rest) else { return Ok(body.len()) };
        at += found;
        if body.get(at) == Some(&b'"') {
            return Ok(at + 1);
        }
        at = match escape(body, at) {
            Some(unit) if (0xD800..0xDC00).contains(&unit) => match escape(body, at + 6) {
                Some(low) if (0xDC00..0xE000).contains(&low) => at + 12,
                _ => return Err(JsonError::LoneSurrogate(at)),
            },
            Some(unit) if (0xDC00..0xE000).contains(&unit) => return Err(JsonError::LoneSurrogate(at)),
            _ => at + 2,
        };
    }
}

/// The code unit of a `\uXXXX` escape at this place, if there is one.
fn escape(body: &[u8], at: usize) -> Option<u32> {
    let digits = body.get(at..at + 6)?.strip_prefix(b"\\u")?;
    u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests;
