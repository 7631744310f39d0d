//! Texts with places in them that are filled in when they are used: `{{context.user.name}}`, `{{answer}}`.
//!
//! Whatever stands in double braces and is no name that somebody knows stays as it is written: instructions
//! quote other languages.
//!
//! - Start with [`fill`] for a text, [`fill_value`] for JSON.
//! - **Invariant:** what is filled in is not looked at again: a value cannot bring places of its own.

use serde_json::{Map, Value};

const OPEN: &str = "{{";
const CLOSE: &str = "}}";

/// What a place stands for under a name, where somebody knows it.
pub trait Known {
    /// The value of this name; `None` where it is no name of a place.
    fn value(&self, name: &str) -> Option<Value>;
}

impl<F: Fn(&str) -> Option<Value>> Known for F {
    fn value(&self, name: &str) -> Option<Value> {
        self(name)
    }
}

/// The text with what is known put in.
#[must_use]
pub fn fill(text: &str, known: &impl Known) -> String {
    let mut filled = String::with_capacity(text.len());
    for piece in pieces(text) {
        match piece {
            Piece::Text(text) => filled.push_str(text),
            Piece::Place { name, written } => match known.value(name) {
                Some(value) => filled.push_str(&shown(&value)),
                None => filled.push_str(written),
            },
        }
    }
    filled
}

/// A value with what is known put into its texts. A text that is one place and nothing else becomes the value
/// itself, whatever it is.
#[must_use]
pub fn fill_value(value: &Value, known: &impl Known) -> Value {
    match value {
        Value::String(text) => {
            let mut all = pieces(text);
            if let (Some(Piece::Place { name, .. }), None) = (all.next(), all.next())
                && let Some(value) = known.value(name)
            {
                return value;
            }
            Value::String(fill(text, known))
        }
        Value::Array(items) => Value::Array(items.iter().map(|item| fill_value(item, known)).collect()),
        Value::Object(members) => {
            let filled = members.iter().map(|(key, value)| (key.clone(), fill_value(value, known)));
            Value::Object(filled.collect())
        }
        other => other.clone(),
    }
}

/// The names of the places of a text, in order.
pub fn names(text: &str) -> impl Iterator<Item = &str> {
    pieces(text).filter_map(|piece| match piece {
        Piece::Place { name, .. } => Some(name),
        Piece::Text(_) => None,
    })
}

/// What stands in an object under names with dots between them; null where nothing does.
#[must_use]
pub fn member(object: &Map<String, Value>, path: &str) -> Value {
    let mut names = path.split('.');
    let first = names.next().and_then(|name| object.get(name));
    names.fold(first, |value, name| value?.get(name)).cloned().unwrap_or_default()
}

enum Piece<'t> {
    Text(&'t str),
    Place { name: &'t str, written: &'t str },
}

fn pieces(text: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let Some(start) = rest.find(OPEN) else { return Some(Piece::Text(std::mem::take(&mut rest))) };
        if start > 0 {
            let (before, place) = rest.split_at(start);
            rest = place;
            return Some(Piece::Text(before));
        }
        let Some((inside, _)) = rest.strip_prefix(OPEN).and_then(|rest| rest.split_once(CLOSE)) else {
            return Some(Piece::Text(std::mem::take(&mut rest)));
        };
        if !is_name(inside.trim()) {
            let (brace, after) = rest.split_at(1);
            rest = after;
            return Some(Piece::Text(brace));
        }
        let (written, after) = rest.split_at(OPEN.len() + inside.len() + CLOSE.len());
        rest = after;
        Some(Piece::Place { name: inside.trim(), written })
    })
}

fn is_name(text: &str) -> bool {
    let of_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    !text.is_empty() && text.chars().all(of_name)
}

/// A value as part of a text: nothing for null, JSON for what is more than one word.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let Value::Object(context) =
            json!({"user": {"name": "Ann"}, "n": 7, "list": ["a"], "evil": "{{answer}}"})
        else {
            unreachable!()
        };
        let known = |name: &str| match name {
            "answer" => Some(json!("yes")),
            name => name.strip_prefix("context.").map(|path| member(&context, path)),
        };
        assert_eq!(fill(text, &known), expected);
    }

    #[test]
    fn what_is_known_is_put_in() {
        check("For {{context.user.name}}, {{ context.n }}: {{answer}}.", "For Ann, 7: yes.");
        check("{{context.list}}", r#"["a"]"#);
        check("[{{context.nobody.here}}]", "[]");
    }

    #[test]
    fn what_nobody_knows_stays_as_it_is() {
        for text in ["{{nobody}}", "{{#if x}}", "{{ }}", "{{", "a {{ b", "}}", "{", "{{{", "{{a b}}"] {
            check(text, text);
        }
        check("{{{answer}}}", "{yes}");
        check("{{ x y {{answer}}", "{{ x y yes");
    }

    #[test]
    fn what_is_filled_in_is_not_looked_at_again() {
        check("{{context.evil}}", "{{answer}}");
    }

    #[test]
    fn one_place_alone_is_the_value_itself() {
        let known = |name: &str| (name == "n").then(|| json!(7));
        let value = json!({"a": "{{n}}", "b": "no {{n}}", "c": ["{{n}}", true], "d": "{{m}}"});
        let expected = json!({"a": 7, "b": "no 7", "c": [7, true], "d": "{{m}}"});
        assert_eq!(fill_value(&value, &known), expected);
    }

    #[test]
    fn names_are_told_in_order() {
        assert_eq!(names("{{b}} {{ a.c }} {{").collect::<Vec<_>>(), ["b", "a.c"]);
    }
}
