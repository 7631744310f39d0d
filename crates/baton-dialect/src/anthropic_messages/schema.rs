//! Brings a JSON schema into the part of the language that Anthropic enforces.
//!
//! A schema with anything else is refused, so what is left out is said to the model in the
//! description instead. Anthropic's own libraries do the same before they send:
//! <https://platform.claude.com/docs/en/build-with-claude/structured-outputs#json-schema-limitations>

use baton_model::{Member, RawJson, RawObject};
use bytes::Bytes;
use serde_json::value::RawValue;

use super::reasoning::raw_json;
use crate::convert::ObjectWriter;

/// Formats of strings that are enforced.
const FORMATS: [&str; 10] =
    ["date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"];

/// A schema that is accepted and means the same, as far as it can be enforced. `None` for one with
/// open maps: closed as is demanded, they could only be empty.
pub(super) fn enforceable(schema: &RawJson) -> Option<RawJson> {
    let mut maps = false;
    let narrowed = narrow(schema.get(), &mut maps);
    (!maps).then(|| narrowed.unwrap_or_else(|| schema.clone()))
}

/// `None` for what is no object: `true` is a schema too, and junk is the server's to refuse.
fn narrow(schema: &str, maps: &mut bool) -> Option<RawJson> {
    let schema = RawObject::parse(Bytes::from(schema.to_owned())).ok()?;
    let mut out = ObjectWriter::new();
    let mut unsaid: Vec<String> = Vec::new();
    for member in schema.members() {
        match member.key {
            "type" | "enum" | "const" | "$ref" | "required" | "title" | "default" => keep(&member, &mut out),
            "properties" | "$defs" | "definitions" => match narrow_each(&member, maps) {
                Some(schemas) => out.member(member.key, &schemas),
                None => keep(&member, &mut out),
            },
            "items" => out.optional("items", narrow_or_keep(text(&member), maps).as_ref()),
            "anyOf" | "allOf" | "oneOf" => match narrow_list(&member, maps) {
                // Only what fits twice is told apart by `oneOf`.
                Some(schemas) => {
                    out.member(if member.key == "oneOf" { "anyOf" } else { member.key }, &schemas);
                }
                None => keep(&member, &mut out),
            },
            "format" if FORMATS.contains(&text(&member).trim_matches('"')) => keep(&member, &mut out),
            "minItems" if matches!(member.value, b"0" | b"1") => keep(&member, &mut out),
            // Objects are closed below.
            "additionalProperties" => *maps |= member.value.starts_with(b"{"),
            // Written below, or of no use to a model.
            "description" | "$schema" | "$id" | "$comment" => {}
            key => unsaid.push(format!("{key}: {}", text(&member))),
        }
    }
    if is_object(&schema) {
        out.member("additionalProperties", &false);
    }
    out.optional("description", describe(&schema, &unsaid).as_deref());
    raw_json(out)
}

fn keep(member: &Member<'_>, out: &mut ObjectWriter) {
    out.optional(member.key, serde_json::from_slice::<&RawValue>(member.value).ok());
}

fn text<'a>(member: &Member<'a>) -> &'a str {
    std::str::from_utf8(member.value).unwrap_or_default()
}

fn narrow_or_keep(schema: &str, maps: &mut bool) -> Option<RawJson> {
    narrow(schema, maps).or_else(|| RawJson::parse(schema).ok())
}

/// Each value of an object is a schema.
fn narrow_each(member: &Member<'_>, maps: &mut bool) -> Option<RawJson> {
    let schemas = RawObject::parse(Bytes::from(member.value.to_vec())).ok()?;
    let mut out = ObjectWriter::new();
    for schema in schemas.members() {
        out.optional(schema.key, narrow_or_keep(text(&schema), maps).as_ref());
    }
    raw_json(out)
}

/// Each item of a list is a schema.
fn narrow_list(member: &Member<'_>, maps: &mut bool) -> Option<Vec<RawJson>> {
    let schemas: Vec<&RawValue> = serde_json::from_slice(member.value).ok()?;
    Some(schemas.into_iter().filter_map(|schema| narrow_or_keep(schema.get(), maps)).collect())
}

fn is_object(schema: &RawObject) -> bool {
    let named = |value: &[u8]| value.windows(8).any(|window| window == b"\"object\"");
    schema.get("type").map_or_else(|| schema.get("properties").is_some(), named)
}

fn describe(schema: &RawObject, unsaid: &[String]) -> Option<String> {
    let description: Option<String> = schema.read("description").ok().flatten();
    if unsaid.is_empty() {
        return description;
    }
    let unsaid = format!("{{{}}}", unsaid.join(", "));
    Some(description.map_or_else(|| unsaid.clone(), |description| format!("{description}\n\n{unsaid}")))
}
