//! Reads JSON members strictly: what is missing, unknown or of the wrong type is named with its path.
//!
//! The real upstreams refuse what they do not know, and a lenient fake would let a common
//! misreading of a format pass. So every member is either read or refused here.
//!
//! - Start with [`document`], then [`Members::of`].
//! - **Invariant:** [`Members::end`] fails when a member was present that nobody asked for.
//! - **Never here:** the words of a vendor; `openai` and `anthropic` have their own.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// What does not fit, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Misfit {
    /// Member names and list positions with dots between them; empty for the whole body.
    pub(crate) path: String,
    pub(crate) kind: MisfitKind,
}

/// In which way something does not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum MisfitKind {
    Missing,
    Unknown,
    Type(&'static str),
    Rule(String),
}

pub(crate) type Read<T> = Result<T, Misfit>;

impl Misfit {
    pub(crate) fn rule(path: &str, rule: impl Into<String>) -> Self {
        Self { path: path.to_owned(), kind: MisfitKind::Rule(rule.into()) }
    }

    fn wrong_type(path: &str, expected: &'static str) -> Self {
        Self { path: path.to_owned(), kind: MisfitKind::Type(expected) }
    }
}

/// Parses a body; a member that stands twice in an object is an error.
pub(crate) fn document(body: &[u8]) -> Result<Value, serde_json::Error> {
    serde_json::from_slice::<Strict>(body).map(|strict| strict.0)
}

struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Self)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON without repeated members")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("number out of range"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Strict(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some((name, Strict(value))) = members.next_entry::<String, Strict>()? {
            if map.contains_key(&name) {
                return Err(de::Error::custom(format_args!("member `{name}` stands twice")));
            }
            map.insert(name, value);
        }
        Ok(Value::Object(map))
    }
}

/// The members of one object, ticked off as they are read.
pub(crate) struct Members<'a> {
    path: String,
    map: &'a Map<String, Value>,
    known: Vec<&'static str>,
}

impl<'a> Members<'a> {
    pub(crate) fn of(value: &'a Value, path: &str) -> Read<Self> {
        Ok(Self { path: path.to_owned(), map: object(value, path)?, known: Vec::new() })
    }

    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.map.contains_key(name)
    }

    pub(crate) fn place(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    /// A member that must be there.
    pub(crate) fn required<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&'a Value, &str) -> Read<T>,
    ) -> Read<T> {
        self.optional(name, read)?.ok_or_else(|| Misfit { path: self.place(name), kind: MisfitKind::Missing })
    }

    /// A member that may be left out, but not be `null`.
    pub(crate) fn optional<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&'a Value, &str) -> Read<T>,
    ) -> Read<Option<T>> {
        self.known.push(name);
        let place = self.place(name);
        self.map.get(name).map(|value| read(value, &place)).transpose()
    }

    /// A member that may be left out or be `null`.
    pub(crate) fn nullable<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&'a Value, &str) -> Read<T>,
    ) -> Read<Option<T>> {
        self.known.push(name);
        let place = self.place(name);
        self.map.get(name).filter(|value| !value.is_null()).map(|value| read(value, &place)).transpose()
    }

    /// Members that are allowed and not looked at.
    pub(crate) fn skip(&mut self, names: &[&'static str]) {
        self.known.extend_from_slice(names);
    }

    /// Refuses whatever was not read.
    pub(crate) fn end(self) -> Read<()> {
        match self.map.keys().find(|name| !self.known.contains(&name.as_str())) {
            Some(name) => Err(Misfit { path: self.place(name), kind: MisfitKind::Unknown }),
            None => Ok(()),
        }
    }
}

pub(crate) fn object<'a>(value: &'a Value, path: &str) -> Read<&'a Map<String, Value>> {
    value.as_object().ok_or_else(|| Misfit::wrong_type(path, "an object"))
}

pub(crate) fn list<'a>(value: &'a Value, path: &str) -> Read<&'a Vec<Value>> {
    value.as_array().ok_or_else(|| Misfit::wrong_type(path, "an array"))
}

/// Every item of a list that has at least one and at most `most` of them.
pub(crate) fn each<'a, T>(
    value: &'a Value,
    path: &str,
    most: usize,
    mut read: impl FnMut(&'a Value, &str) -> Read<T>,
) -> Read<Vec<T>> {
    let items = list(value, path)?;
    if items.is_empty() {
        return Err(Misfit::rule(path, "the array is too short: at least 1 item is needed"));
    }
    if items.len() > most {
        return Err(Misfit::rule(path, format!("the array is too long: at most {most} items are allowed")));
    }
    items.iter().enumerate().map(|(at, item)| read(item, &format!("{path}.{at}"))).collect()
}

pub(crate) fn string<'a>(value: &'a Value, path: &str) -> Read<&'a str> {
    value.as_str().ok_or_else(|| Misfit::wrong_type(path, "a string"))
}

pub(crate) fn filled<'a>(value: &'a Value, path: &str) -> Read<&'a str> {
    let text = string(value, path)?;
    if text.is_empty() { Err(Misfit::rule(path, "the string is empty")) } else { Ok(text) }
}

/// A string of ASCII letters, digits, `_` and `-`, between 1 and `most` bytes long.
pub(crate) fn name<'a>(most: usize) -> impl Fn(&'a Value, &str) -> Read<&'a str> {
    move |value, path| {
        let text = string(value, path)?;
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        if text.is_empty() || text.len() > most || !text.bytes().all(allowed) {
            return Err(Misfit::rule(
                path,
                format!("the string does not match the pattern '^[a-zA-Z0-9_-]{{1,{most}}}$'"),
            ));
        }
        Ok(text)
    }
}

pub(crate) fn boolean(value: &Value, path: &str) -> Read<bool> {
    value.as_bool().ok_or_else(|| Misfit::wrong_type(path, "a boolean"))
}

pub(crate) fn integer(least: i64, most: i64) -> impl Fn(&Value, &str) -> Read<i64> {
    move |value, path| {
        let number = value.as_i64().ok_or_else(|| Misfit::wrong_type(path, "an integer"))?;
        if (least..=most).contains(&number) {
            Ok(number)
        } else {
            Err(Misfit::rule(path, format!("{number} is not between {least} and {most}")))
        }
    }
}

pub(crate) fn number(least: f64, most: f64) -> impl Fn(&Value, &str) -> Read<f64> {
    move |value, path| {
        let number = value.as_f64().ok_or_else(|| Misfit::wrong_type(path, "a number"))?;
        if (least..=most).contains(&number) {
            Ok(number)
        } else {
            Err(Misfit::rule(path, format!("{number} is not between {least} and {most}")))
        }
    }
}

pub(crate) fn one_of<'a>(words: &'static [&'static str]) -> impl Fn(&'a Value, &str) -> Read<&'a str> {
    move |value, path| {
        let word = string(value, path)?;
        if words.contains(&word) {
            Ok(word)
        } else {
            Err(Misfit::rule(path, format!("`{word}` is not one of {}", words.join(", "))))
        }
    }
}

#[cfg(test)]
mod tests;
