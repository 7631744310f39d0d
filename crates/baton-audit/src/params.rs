//! Reads the parameters of a question from the pairs of a URL, by allow-lists.
//!
//! Each struct takes the names that it knows; what nobody took is refused with the nearest name that
//! would have been right. So there is one list of names: the fields.
//!
//! - Start with [`Params`]; [`Filters`] and [`PageParams`] make a [`crate::ListQuery`] of them.
//! - **Invariant:** a parameter is followed or refused by its name, never passed over.
//! - **Never here:** HTTP; SQL. What is received becomes a typed value.

mod filters;

use std::fmt;

use baton_model::nearest;
use serde::de::value::{MapDeserializer, SeqDeserializer, StrDeserializer};
use serde::de::{DeserializeOwned, Deserializer, Error as _, IntoDeserializer, Visitor};
use serde::{Deserialize, de, forward_to_deserialize_any};

pub use filters::{Filters, PageParams, RangeParams};

/// The longest part of a value that a message repeats, in characters.
const SHOWN: usize = 64;
/// So many words are told in full where one is none of them.
const FEW: usize = 12;

/// A parameter that cannot be followed, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct BadParameter {
    name: String,
    message: String,
}

impl BadParameter {
    /// What is wrong with the parameter of this name, as a sentence.
    pub fn new(name: impl Into<String>, message: impl Into<String>) -> Self {
        Self { name: name.into(), message: message.into() }
    }

    /// The parameter.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl de::Error for BadParameter {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new("", message.to_string())
    }
}

/// The parameters of one question.
#[derive(Clone, Debug)]
pub struct Params {
    pairs: Vec<(String, String)>,
    known: Vec<&'static str>,
}

impl Params {
    /// Takes names and values, decoded. `name[]` is `name`.
    pub fn new(pairs: impl IntoIterator<Item = (String, String)>) -> Self {
        let plain = |name: String| name.strip_suffix("[]").map(ToOwned::to_owned).unwrap_or(name);
        let pairs = pairs.into_iter().map(|(name, value)| (plain(name), value)).collect();
        Self { pairs, known: Vec::new() }
    }

    /// Takes what the fields of a struct name. Fields are optional texts or lists of texts.
    ///
    /// # Errors
    /// When a value is empty, or stands twice where there can be one.
    pub fn take<T: DeserializeOwned>(&mut self) -> Result<T, BadParameter> {
        T::deserialize(Fields(self))
    }

    /// Refuses what nobody took.
    ///
    /// # Errors
    /// With the name, and the nearest that is known.
    pub fn finish(self) -> Result<(), BadParameter> {
        let Some((name, _)) = self.pairs.first() else { return Ok(()) };
        let shown = shown(name);
        let hint = match nearest(&shown, self.known.iter().copied()) {
            Some(nearest) => format!("did you mean `{nearest}`?"),
            None if self.known.is_empty() => "there are none".to_owned(),
            None => format!("there are {}", listed(&self.known)),
        };
        Err(BadParameter::new(shown.clone(), format!("there is no parameter `{shown}`; {hint}")))
    }

    fn values(&mut self, wanted: &str) -> Vec<String> {
        let (taken, left) = std::mem::take(&mut self.pairs).into_iter().partition(|(name, _)| name == wanted);
        self.pairs = left;
        let taken: Vec<(String, String)> = taken;
        taken.into_iter().map(|(_, value)| value).collect()
    }
}

/// Gives a struct the pairs that its fields name.
struct Fields<'p>(&'p mut Params);

impl<'de> Deserializer<'de> for Fields<'_> {
    type Error = BadParameter;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, BadParameter> {
        self.0.known.extend(fields);
        let given = fields.iter().filter_map(|name| {
            let values = self.0.values(name);
            (!values.is_empty()).then_some((*name, Given { name, values }))
        });
        visitor.visit_map(MapDeserializer::new(given))
    }

    fn deserialize_any<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, BadParameter> {
        Err(BadParameter::custom("parameters are read into a struct"))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

/// What a parameter was given: once, or as a list.
struct Given {
    name: &'static str,
    values: Vec<String>,
}

impl Given {
    fn only(self) -> Result<String, BadParameter> {
        let Self { name, mut values } = self;
        match (values.pop(), values.is_empty()) {
            (Some(value), true) if !value.is_empty() => Ok(value),
            (_, true) => Err(BadParameter::new(name, format!("`{name}` is empty"))),
            (_, false) => Err(BadParameter::new(name, format!("`{name}` stands twice"))),
        }
    }
}

impl IntoDeserializer<'_, BadParameter> for Given {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Given {
    type Error = BadParameter;

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BadParameter> {
        visitor.visit_some(self)
    }

    /// `a=1&a=2` and `a=1,2` are the same list.
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BadParameter> {
        let Self { name, values } = self;
        let items: Vec<String> =
            values.iter().flat_map(|value| value.split(',')).map(|item| item.trim().to_owned()).collect();
        if items.iter().any(String::is_empty) {
            return Err(BadParameter::new(name, format!("a part of `{name}` is empty")));
        }
        visitor.visit_seq(SeqDeserializer::new(items.into_iter()))
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, BadParameter> {
        visitor.visit_string(self.only()?)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct newtype_struct tuple tuple_struct map struct enum identifier ignored_any
    }
}

/// One of the words of an enum.
///
/// # Errors
/// With the nearest word, or all of them where there are few.
pub fn word<T: for<'de> Deserialize<'de>>(name: &str, text: &str) -> Result<T, BadParameter> {
    T::deserialize(StrDeserializer::new(text)).map_err(|Unlisted(words)| {
        let hint = match nearest(text, words.iter().copied()) {
            Some(nearest) => format!("did you mean `{nearest}`?"),
            None if words.len() <= FEW => format!("it is one of {}", listed(words)),
            None => "the guide has the list".to_owned(),
        };
        BadParameter::new(name, format!("`{name}` is `{}`, which is none of its words; {hint}", shown(text)))
    })
}

/// A word that an enum does not have, and those that it has.
#[derive(Debug, thiserror::Error)]
#[error("none of {0:?}")]
struct Unlisted(&'static [&'static str]);

impl de::Error for Unlisted {
    fn custom<T: fmt::Display>(_message: T) -> Self {
        Self(&[])
    }

    fn unknown_variant(_word: &str, words: &'static [&'static str]) -> Self {
        Self(words)
    }
}

/// A value as far as a message repeats it.
fn shown(text: &str) -> String {
    text.chars().filter(|found| !found.is_control()).take(SHOWN).collect()
}

fn listed(words: &[&str]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
