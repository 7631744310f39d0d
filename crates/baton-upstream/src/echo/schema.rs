//! Makes a value that satisfies a JSON schema.
//!
//! A schema is read as a conjunction of plain maps: references, `allOf` and the chosen branch of
//! `anyOf` or `oneOf` all add maps to it, and every keyword is looked up over all of them. So
//! nothing is copied or merged, and a schema that refers to itself costs no more than others.
//!
//! - Start with [`example`].
//! - **Invariant:** the work is bounded by [`NODES`] values, whatever the schema says.
//! - **Never here:** `not`, `if`, `contains`, dependent keywords. A value may break those.

mod number;
mod text;

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// The most values made for one schema.
const NODES: usize = 4_000;
/// From here on only what is required is made, and alternatives are chosen for being small.
const DEEP: usize = 6;
/// From here on nothing is made.
const BOTTOM: usize = 100;
/// The most maps in one conjunction.
const MAPS: usize = 256;
/// How much of a list of alternatives, of types or of `enum` values is looked at.
const LISTED: usize = 256;

/// A value for the schema. Plain strings say `hint`, where they may.
pub(super) fn example(schema: &Value, hint: &str) -> Value {
    Maker { root: schema, hint, left: NODES }.value(&[schema], Place { name: "value", depth: 0, variant: 0 })
}

struct Maker<'a> {
    root: &'a Value,
    hint: &'a str,
    left: usize,
}

/// Where a value will stand.
#[derive(Clone, Copy)]
struct Place<'a> {
    /// The member it is for.
    name: &'a str,
    /// How many values are around it.
    depth: usize,
    /// Which of several values that should differ.
    variant: usize,
}

impl<'a> Place<'a> {
    const fn inside(self, name: &'a str, variant: usize) -> Self {
        Self { name, depth: self.depth + 1, variant }
    }
}

/// What must all hold.
type All<'a> = Vec<&'a Map<String, Value>>;

impl<'a> Maker<'a> {
    fn value(&mut self, schemas: &[&'a Value], place: Place<'a>) -> Value {
        if self.left == 0 {
            return Value::Null;
        }
        self.left -= 1;
        if place.depth >= BOTTOM {
            return Value::Null;
        }
        let all = self.conjunction(schemas, place.depth);
        let types = types(&all);
        if let Some(value) = find(&all, "const") {
            return value.clone();
        }
        if let Some(value) = one_of_enum(&all, &types, place.variant) {
            return value;
        }
        if let Some(value) = given_example(&all, &types, place.variant) {
            return value;
        }
        match types.first().copied().unwrap_or("string") {
            "object" => self.object(&all, place),
            "array" => self.array(&all, place),
            "integer" => number::integer(&all, place.variant),
            "number" => number::number(&all, place.variant),
            "boolean" => Value::Bool(place.variant.is_multiple_of(2)),
            "null" => Value::Null,
            _ => {
                let text = text::string(&all, self.hint, place.name, place.variant);
                // A schema may ask for long texts, or for many values, but not for many long texts.
                self.left = self.left.saturating_sub(text.len() / 64);
                Value::String(text)
            }
        }
    }

    /// Follows references and picks alternatives until only plain maps are left.
    fn conjunction(&self, schemas: &[&'a Value], depth: usize) -> All<'a> {
        let mut todo: Vec<&'a Value> = schemas.iter().rev().copied().collect();
        let mut all: All<'a> = Vec::new();
        while let Some(schema) = todo.pop() {
            let Value::Object(map) = schema else { continue };
            if all.len() >= MAPS || all.iter().any(|seen| std::ptr::eq(*seen, map)) {
                continue;
            }
            all.push(map);
            for key in ["anyOf", "oneOf"] {
                if let Some(Value::Array(branches)) = map.get(key) {
                    todo.extend(self.choose(branches, depth));
                }
            }
            if let Some(Value::Array(parts)) = map.get("allOf") {
                todo.extend(parts.iter().rev());
            }
            if let Some(Value::String(reference)) = map.get("$ref") {
                todo.extend(self.resolve(reference));
            }
        }
        all
    }

    /// The first branch that is not `null`, or, deep down, the one that leads no further.
    fn choose(&self, branches: &'a [Value], depth: usize) -> Option<&'a Value> {
        let possible = || branches.iter().take(LISTED).filter(|branch| **branch != Value::Bool(false));
        if depth < DEEP && self.left > NODES / 2 {
            possible().find(|branch| branch.get("type") != Some(&"null".into())).or_else(|| possible().next())
        } else {
            possible().min_by_key(|branch| self.weight(branch))
        }
    }

    /// How much a branch is likely to lead to.
    fn weight(&self, branch: &'a Value) -> u8 {
        let branch = match branch.get("$ref") {
            Some(Value::String(reference)) => self.resolve(reference).unwrap_or(branch),
            _ => branch,
        };
        if branch.get("const").is_some() || branch.get("enum").is_some() {
            return 0;
        }
        match branch.get("type").and_then(Value::as_str) {
            Some("object") => 3,
            Some("array") => 2,
            Some(_) => 1,
            None => 4,
        }
    }

    /// What a reference inside this document points to.
    fn resolve(&self, reference: &str) -> Option<&'a Value> {
        self.root.pointer(&percent_decode(reference.strip_prefix('#')?)?)
    }

    fn object(&mut self, all: &All<'a>, place: Place<'a>) -> Value {
        let mut made = Map::new();
        let required: BTreeSet<&'a str> = names(all, "required").take(self.left).collect();
        let mut wanted: Vec<&'a str> = required.iter().copied().collect();
        if place.depth < DEEP {
            wanted.extend(maps(all, "properties").flat_map(Map::keys).map(String::as_str).take(self.left));
        }
        let most = number::limits(all, "Properties").most.unwrap_or(usize::MAX);
        for name in wanted {
            if made.contains_key(name) || (made.len() >= most && !required.contains(name)) {
                continue;
            }
            if self.left == 0 {
                break;
            }
            let schemas = member_schemas(all, name);
            if schemas.contains(&&Value::Bool(false)) && !required.contains(name) {
                // What is left out was looked at all the same.
                self.left -= 1;
                continue;
            }
            let value = self.value(&schemas, place.inside(name, 0));
            made.insert(name.to_owned(), value);
        }
        let least = number::limits(all, "Properties").least.min(NODES);
        let extra: Vec<&'a Value> = all.iter().filter_map(|map| map.get("additionalProperties")).collect();
        for at in 1.. {
            if made.len() >= least || self.left == 0 {
                break;
            }
            let value = self.value(&extra, place.inside("value", at));
            made.insert(format!("key_{at}"), value);
        }
        Value::Object(made)
    }

    fn array(&mut self, all: &All<'a>, place: Place<'a>) -> Value {
        let limits = number::limits(all, "Items");
        let prefixes: Vec<&'a Vec<Value>> = all
            .iter()
            .filter_map(|map| map.get("prefixItems").or_else(|| map.get("items"))?.as_array())
            .collect();
        let rest: Vec<&'a Value> = all
            .iter()
            .filter_map(|map| {
                map.get("items").filter(|items| !items.is_array()).or_else(|| map.get("additionalItems"))
            })
            .collect();
        let fixed = prefixes.iter().map(|prefix| prefix.len()).max().unwrap_or(0);
        let closed = rest.contains(&&Value::Bool(false));
        let usual = if place.depth < DEEP { fixed.max(usize::from(!closed)) } else { 0 };
        let count = usual.max(limits.least).min(limits.most.unwrap_or(usize::MAX));
        let differ = all.iter().any(|map| map.get("uniqueItems") == Some(&Value::Bool(true)));
        let mut made = Vec::new();
        for at in 0..count {
            if self.left == 0 {
                break;
            }
            let here: Vec<&'a Value> = prefixes.iter().filter_map(|prefix| prefix.get(at)).collect();
            let schemas = if at < fixed { here } else { rest.clone() };
            made.push(self.value(&schemas, place.inside(place.name, if differ { at } else { 0 })));
        }
        Value::Array(made)
    }
}

/// The types that every map allows, `null` last; one guessed from other keywords where none is said.
fn types<'a>(all: &All<'a>) -> Vec<&'a str> {
    let mut allowed: Option<Vec<&'a str>> = None;
    for said in all.iter().filter_map(|map| map.get("type")) {
        let said: Vec<&'a str> = match said {
            Value::String(one) => vec![one],
            Value::Array(several) => several.iter().take(LISTED).filter_map(Value::as_str).collect(),
            _ => continue,
        };
        allowed = Some(match allowed {
            None => said,
            Some(before) => both(&before, &said),
        });
    }
    let mut types = allowed.unwrap_or_else(|| guess(all).into_iter().collect());
    types.sort_by_key(|name| *name == "null");
    types
}

/// Every integer is a number, so the two have `integer` in common.
fn both<'a>(left: &[&'a str], right: &[&'a str]) -> Vec<&'a str> {
    let narrow = |one: &&'a str, others: &[&'a str]| {
        others.contains(one) || (*one == "integer" && others.contains(&"number"))
    };
    let mut common: Vec<&'a str> = left.iter().filter(|one| narrow(one, right)).copied().collect();
    common.extend(right.iter().filter(|one| **one == "integer" && narrow(one, left) && !left.contains(one)));
    common
}

fn guess(all: &All<'_>) -> Option<&'static str> {
    const SIGNS: [(&str, &[&str]); 4] = [
        ("object", &["properties", "required", "additionalProperties", "minProperties", "patternProperties"]),
        ("array", &["items", "prefixItems", "minItems", "uniqueItems"]),
        ("string", &["minLength", "maxLength", "pattern", "format"]),
        ("number", &["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"]),
    ];
    SIGNS.into_iter().find(|(_, keys)| keys.iter().any(|key| find(all, key).is_some())).map(|(name, _)| name)
}

fn has_type(value: &Value, types: &[&str]) -> bool {
    types.is_empty()
        || types.iter().any(|name| match *name {
            "object" => value.is_object(),
            "array" => value.is_array(),
            "string" => value.is_string(),
            "integer" => value.is_i64() || value.is_u64(),
            "number" => value.is_number(),
            "boolean" => value.is_boolean(),
            "null" => value.is_null(),
            _ => false,
        })
}

/// A value that all `enum` lists share. `null` only when there is nothing else.
fn one_of_enum(all: &All<'_>, types: &[&str], variant: usize) -> Option<Value> {
    let mut lists = all.iter().filter_map(|map| map.get("enum")?.as_array());
    let first = lists.next()?;
    let others: Vec<_> = lists.collect();
    let typed = if all.iter().any(|map| map.contains_key("type")) { types } else { &[] };
    let mut shared: Vec<&Value> = first
        .iter()
        .take(LISTED)
        .filter(|value| {
            has_type(value, typed)
                && others.iter().all(|list| list.iter().take(LISTED).any(|other| other == *value))
        })
        .collect();
    shared.sort_by_key(|value| value.is_null());
    shared.get(variant.checked_rem(shared.len())?).map(|value| (*value).clone())
}

/// A value that the schema's author gives as an example, if no one else has a say.
fn given_example(all: &All<'_>, types: &[&str], variant: usize) -> Option<Value> {
    let [map] = all.as_slice() else { return None };
    let examples = map.get("examples")?.as_array()?;
    examples.get(variant).filter(|value| has_type(value, types)).cloned()
}

/// What a member must satisfy: its own schemas, else what holds for other members.
fn member_schemas<'a>(all: &All<'a>, name: &str) -> Vec<&'a Value> {
    all.iter()
        .filter_map(|map| {
            let own = map.get("properties").and_then(|properties| properties.get(name));
            own.or_else(|| map.get("additionalProperties"))
        })
        .collect()
}

fn find<'a>(all: &All<'a>, key: &str) -> Option<&'a Value> {
    all.iter().find_map(|map| map.get(key))
}

fn maps<'a>(all: &All<'a>, key: &'static str) -> impl Iterator<Item = &'a Map<String, Value>> {
    all.iter().filter_map(move |map| map.get(key)?.as_object())
}

fn names<'a>(all: &All<'a>, key: &'static str) -> impl Iterator<Item = &'a str> {
    all.iter().filter_map(move |map| map.get(key)?.as_array()).flatten().filter_map(Value::as_str)
}

/// `%25` and the like in a reference; `None` for what is no text.
fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next()?, rest.next()?];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests;
