//! Reads which servers a request names.
//!
//! A reference is a slug (`acme/search`, with or without `@version`), a URL, or an object that holds one
//! of them. What an object holds beyond the known is told, not refused: clients send more with each
//! version, and nothing of it may make a server do more than its name says.
//!
//! - Start with [`ServerRef::read`].
//! - **Invariant:** nothing a request says reaches a server but its arguments of calls: no header, no
//!   credential, no command.

use serde_json::{Map, Value};

use crate::settings::{ServerUrl, UrlError};

/// The most servers that one request may name.
const MAX_REFS: usize = 32;

/// The longest name of a server.
const MAX_NAME: usize = 256;

/// A server as a request names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerRef {
    pub(crate) place: Place,
    pub(crate) label: Option<String>,
    pub(crate) ignored: Vec<String>,
}

/// What a reference leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The name of a configured server.
    Slug(String),
    Url(ServerUrl),
}

/// Why `mcp_servers` of a request cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RefError {
    /// Neither a text nor an object nor a list of them.
    #[error("`mcp_servers` must be a name, a URL, an object with `slug` or `url`, or a list of them")]
    Shape,
    /// An object without a place, or with two.
    #[error("each object in `mcp_servers` must have one of `slug` and `url`")]
    OneOf,
    /// A member of the wrong type.
    #[error("`{0}` in `mcp_servers` must be a text")]
    NotText(&'static str),
    /// Something else than a name.
    #[error("a name in `mcp_servers` is empty, too long, or has a character that no name may have")]
    Name,
    /// A URL that cannot be taken.
    #[error("a URL in `mcp_servers` cannot be taken")]
    Url(#[source] UrlError),
    /// A program to start: only the configuration may say that.
    #[error("`command` in `mcp_servers` is not taken from a request: the operator configures it")]
    Command,
    /// Too many of them.
    #[error("`mcp_servers` names more than {MAX_REFS} servers")]
    TooMany,
}

impl ServerRef {
    /// Reads the value of `mcp_servers`. `null` is none.
    ///
    /// # Errors
    /// See [`RefError`]. A server that is not there or not permitted is none: [`crate::ToolSet::errors`] has it.
    pub fn read(value: &Value) -> Result<Vec<Self>, RefError> {
        let items = match value {
            Value::Null => return Ok(Vec::new()),
            Value::Array(items) => items.as_slice(),
            single => std::slice::from_ref(single),
        };
        if items.len() > MAX_REFS {
            return Err(RefError::TooMany);
        }
        items.iter().map(Self::read_one).collect()
    }

    /// A configured server, by its name.
    #[must_use]
    pub fn slug(name: impl Into<String>) -> Self {
        Self { place: Place::Slug(name.into()), label: None, ignored: Vec::new() }
    }

    /// The members of the object that had no effect, such as `version`.
    #[must_use]
    pub fn ignored(&self) -> &[String] {
        &self.ignored
    }

    fn read_one(value: &Value) -> Result<Self, RefError> {
        match value {
            Value::String(text) => Ok(Self { place: place(text)?, label: None, ignored: Vec::new() }),
            Value::Object(object) => Self::read_object(object),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => Err(RefError::Shape),
        }
    }

    fn read_object(object: &Map<String, Value>) -> Result<Self, RefError> {
        if object.contains_key("command") {
            return Err(RefError::Command);
        }
        let place = match (text(object, "slug")?, text(object, "url")?) {
            (Some(slug), None) => slug_place(slug)?,
            (None, Some(url)) => Place::Url(url.parse().map_err(RefError::Url)?),
            (Some(_), Some(_)) | (None, None) => return Err(RefError::OneOf),
        };
        let label =
            text(object, "name")?.map(|name| check_name(name).map(|()| name.to_owned())).transpose()?;
        let mut ignored: Vec<String> = object
            .iter()
            .filter(|(key, value)| !value.is_null() && !matches!(key.as_str(), "slug" | "url" | "name"))
            .map(|(key, _)| key.chars().take(MAX_NAME).collect())
            .collect();
        ignored.sort_unstable();
        Ok(Self { place, label, ignored })
    }
}

fn text<'v>(object: &'v Map<String, Value>, key: &'static str) -> Result<Option<&'v str>, RefError> {
    match object.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(RefError::NotText(key)),
    }
}

fn place(text: &str) -> Result<Place, RefError> {
    if text.contains("://") {
        return text.parse().map(Place::Url).map_err(RefError::Url);
    }
    slug_place(text)
}

fn slug_place(slug: &str) -> Result<Place, RefError> {
    check_name(slug)?;
    Ok(Place::Slug(slug.to_owned()))
}

fn check_name(name: &str) -> Result<(), RefError> {
    let is_fine = !name.is_empty()
        && name.len() <= MAX_NAME
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/-_.:@".contains(&byte));
    if is_fine { Ok(()) } else { Err(RefError::Name) }
}

#[cfg(test)]
mod tests;
