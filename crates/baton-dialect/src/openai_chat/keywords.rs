//! Gives the keywords of JSON schemas their spelling back.
//!
//! The npm client of Dedalus turns every key of a body to `snake_case`, those of the schemas of tools too:
//! `additionalProperties` arrives as `additional_properties`, which validators pass over and strict upstreams
//! refuse. Only the keywords of JSON Schema are mended, and only where a keyword stands: names of properties,
//! defaults, examples and enumerated values are the client's own.
//!
//! - Start with [`mend_tools`] and [`mend_format`].
//! - **Invariant:** everything but the keys of such keywords keeps its bytes.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use serde::Deserializer;
use serde::de::{MapAccess, Visitor};
use serde_json::value::RawValue;

use super::types::Text;

/// As they arrive, and as they are. `allOf` and its like are among them: every capital letter is changed.
const KEYWORDS: [(&str, &str); 31] = [
    ("$dynamic_anchor", "$dynamicAnchor"),
    ("$dynamic_ref", "$dynamicRef"),
    ("$recursive_anchor", "$recursiveAnchor"),
    ("$recursive_ref", "$recursiveRef"),
    ("additional_items", "additionalItems"),
    ("additional_properties", "additionalProperties"),
    ("all_of", "allOf"),
    ("any_of", "anyOf"),
    ("content_encoding", "contentEncoding"),
    ("content_media_type", "contentMediaType"),
    ("content_schema", "contentSchema"),
    ("dependent_required", "dependentRequired"),
    ("dependent_schemas", "dependentSchemas"),
    ("exclusive_maximum", "exclusiveMaximum"),
    ("exclusive_minimum", "exclusiveMinimum"),
    ("max_contains", "maxContains"),
    ("max_items", "maxItems"),
    ("max_length", "maxLength"),
    ("max_properties", "maxProperties"),
    ("min_contains", "minContains"),
    ("min_items", "minItems"),
    ("min_length", "minLength"),
    ("min_properties", "minProperties"),
    ("multiple_of", "multipleOf"),
    ("one_of", "oneOf"),
    ("pattern_properties", "patternProperties"),
    ("prefix_items", "prefixItems"),
    ("property_names", "propertyNames"),
    ("unevaluated_items", "unevaluatedItems"),
    ("unevaluated_properties", "unevaluatedProperties"),
    ("unique_items", "uniqueItems"),
];

/// The list of tools with the keywords of its schemas mended; `None` where nothing is wrong with them.
pub(crate) fn mend_tools(tools: &[u8]) -> Option<Vec<u8>> {
    mended(tools, |edits| {
        for tool in list(tools)? {
            // Nested under `function`, flat as the Responses format has it, or of the old form.
            let parts = members(tool.get())?;
            let function = value(&parts, "function").and_then(|function| members(function.get()));
            if let Some(schema) = value(&function.unwrap_or(parts), "parameters") {
                edits.schema(schema);
            }
        }
        Some(())
    })
}

/// The same for `response_format`.
pub(super) fn mend_format(format: &[u8]) -> Option<Vec<u8>> {
    mended(format, |edits| {
        let format = members(std::str::from_utf8(format).ok()?)?;
        let inner = members(value(&format, "json_schema")?.get())?;
        edits.schema(value(&inner, "schema")?);
        Some(())
    })
}

/// The same for `text` of the Responses format.
pub(crate) fn mend_text(text: &[u8]) -> Option<Vec<u8>> {
    mended(text, |edits| {
        let text = members(std::str::from_utf8(text).ok()?)?;
        let format = members(value(&text, "format")?.get())?;
        edits.schema(value(&format, "schema")?);
        Some(())
    })
}

/// Changes found in JSON text, made in its bytes.
fn mended<'a>(json: &'a [u8], find: impl FnOnce(&mut Edits<'a>) -> Option<()>) -> Option<Vec<u8>> {
    if !may_be_mangled(json) {
        return None;
    }
    let mut edits = Edits { json, keys: Vec::new() };
    find(&mut edits)?;
    let Edits { mut keys, .. } = edits;
    if keys.is_empty() {
        return None;
    }
    keys.sort_unstable_by_key(|(place, _)| place.start);
    let mut out = Vec::with_capacity(json.len());
    let mut from = 0;
    for (place, keyword) in keys {
        out.extend_from_slice(json.get(from..place.start)?);
        out.extend_from_slice(keyword.as_bytes());
        from = place.end;
    }
    out.extend_from_slice(json.get(from..)?);
    Some(out)
}

/// Whether a mangled keyword stands somewhere in quotes: mostly none does, and nothing is parsed.
fn may_be_mangled(json: &[u8]) -> bool {
    memchr::memchr_iter(b'_', json).any(|at| {
        let before = json.get(..at).unwrap_or_default();
        let near = before.get(before.len().saturating_sub(24)..).unwrap_or_default();
        let Some(quote) = memchr::memrchr(b'"', near) else { return false };
        let start = at - near.len() + quote + 1;
        let rest = json.get(start..).unwrap_or_default();
        KEYWORDS.iter().any(|(mangled, _)| {
            rest.strip_prefix(mangled.as_bytes()).is_some_and(|rest| rest.starts_with(b"\""))
        })
    })
}

struct Edits<'a> {
    json: &'a [u8],
    /// Where keys stand, without their quotes, and what belongs there.
    keys: Vec<(Range<usize>, &'static str)>,
}

impl<'a> Edits<'a> {
    /// Mends a schema and those in it. What is no object has no keywords.
    fn schema(&mut self, raw: &'a RawValue) {
        let Some(parts) = members(raw.get()) else { return };
        for (key, value) in &parts {
            let mangled = KEYWORDS.iter().find(|(mangled, _)| mangled == key).map(|(_, keyword)| *keyword);
            // Where both spellings stand, somebody meant it so.
            let mangled = mangled.filter(|keyword| self::value(&parts, keyword).is_none());
            if let Some(keyword) = mangled {
                self.keys.extend(self.place_of(key, value).map(|place| (place, keyword)));
            }
            match mangled.unwrap_or(key) {
                "properties" | "patternProperties" | "$defs" | "definitions" | "dependentSchemas"
                | "dependencies" => {
                    let named = members(value.get()).unwrap_or_default();
                    named.into_iter().for_each(|(_, schema)| self.schema(schema));
                }
                "allOf" | "anyOf" | "oneOf" | "prefixItems" => self.schemas(value),
                "items" if value.get().starts_with('[') => self.schemas(value),
                "additionalItems"
                | "additionalProperties"
                | "contains"
                | "contentSchema"
                | "else"
                | "if"
                | "items"
                | "not"
                | "propertyNames"
                | "then"
                | "unevaluatedItems"
                | "unevaluatedProperties" => self.schema(value),
                _ => {}
            }
        }
    }

    fn schemas(&mut self, raw: &'a RawValue) {
        for schema in list(raw.get().as_bytes()).unwrap_or_default() {
            self.schema(schema);
        }
    }

    /// Where the key of this value stands. A key with escapes is none of a keyword's.
    fn place_of(&self, key: &str, value: &RawValue) -> Option<Range<usize>> {
        let at = value.get().as_ptr().addr().checked_sub(self.json.as_ptr().addr())?;
        let before = self.json.get(..at)?.trim_ascii_end().strip_suffix(b":")?.trim_ascii_end();
        let end = before.strip_suffix(b"\"")?.len();
        let start = end.checked_sub(key.len())?;
        (self.json.get(start..end) == Some(key.as_bytes())).then_some(start..end)
    }
}

/// The members of an object in order, with the places of their values.
fn members(json: &str) -> Option<Vec<(Cow<'_, str>, &RawValue)>> {
    struct Members;

    impl<'de> Visitor<'de> for Members {
        type Value = Vec<(Cow<'de, str>, &'de RawValue)>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut members = Vec::new();
            while let Some((Text(key), value)) = map.next_entry()? {
                members.push((key, value));
            }
            Ok(members)
        }
    }

    serde_json::Deserializer::from_str(json).deserialize_map(Members).ok()
}

fn value<'a>(members: &[(Cow<'a, str>, &'a RawValue)], key: &str) -> Option<&'a RawValue> {
    members.iter().find(|(known, _)| known == key).map(|(_, value)| *value)
}

fn list(json: &[u8]) -> Option<Vec<&RawValue>> {
    serde_json::from_slice(json).ok()
}

#[cfg(test)]
mod tests;
