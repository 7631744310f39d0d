//! Reads JSON into wire types and says in plain words where it is wrong.
//!
//! Wire types are read in one pass by serde, which knows only the byte at which it stopped. The path
//! of the member at that byte is found in a second walk, that only a wrong request pays for. What
//! serde says is not passed on: it quotes values, and those may be prompts.
//!
//! - Start with [`read`].
//! - **Invariant:** no message contains a value of the request.

use std::fmt;

use serde::Deserialize;

use crate::DecodeError;

/// Reads JSON text whose own path is `at`.
pub(crate) fn read<'a, T: Deserialize<'a>>(json: &'a [u8], at: fmt::Arguments<'_>) -> Result<T, DecodeError> {
    let read = match std::str::from_utf8(json) {
        // One check of the encoding for the whole is cheaper than the parser's own for each string.
        Ok(text) => serde_json::from_str(text),
        // The parser says where.
        Err(_place) => serde_json::from_slice(json),
    };
    read.map_err(|error| explain(json, at, &error))
}

fn explain(json: &[u8], at: fmt::Arguments<'_>, error: &serde_json::Error) -> DecodeError {
    let place = locate(json, offset(json, error));
    let mut path = at.to_string();
    for step in &place.path {
        step.write(&mut path);
    }
    let said = error.to_string();
    let found = found(place.first_byte);
    let message = match expected(&said) {
        Some(wanted) if wanted.starts_with("a whole number") && found == "a number" => {
            format!("`{path}` must be {wanted}")
        }
        Some(wanted) => format!("`{path}` must be {wanted}, not {found}"),
        None if said.starts_with("duplicate field") => format!("`{path}` stands twice"),
        None => format!("`{path}` cannot be read"),
    };
    DecodeError::at(path, message)
}

/// What serde wanted, in words that stand in API documentation.
fn expected(said: &str) -> Option<&str> {
    let (_, rest) = said.rsplit_once(", expected ")?;
    let wanted = rest.split(" at line ").next().unwrap_or(rest);
    Some(match wanted {
        "f64" | "f32" => "a number",
        "i64" => "a whole number",
        "u64" | "u32" => "a whole number from 0 up",
        "a sequence" => "a list",
        "a map" => "an object",
        "a borrowed string" => "a string",
        _ if wanted.starts_with("struct ") => "an object",
        _ => wanted,
    })
}

const fn found(first_byte: u8) -> &'static str {
    match first_byte {
        b'"' => "a string",
        b'{' => "an object",
        b'[' => "a list",
        b't' | b'f' => "a boolean",
        b'n' => "null",
        _ => "a number",
    }
}

fn offset(json: &[u8], error: &serde_json::Error) -> usize {
    let lines = json.split(|byte| *byte == b'\n').take(error.line().saturating_sub(1));
    lines.map(|line| line.len() + 1).sum::<usize>() + error.column()
}

#[derive(Debug)]
enum Step {
    Key(String),
    Index(usize),
}

impl Step {
    fn write(&self, path: &mut String) {
        match self {
            Self::Key(key) if path.is_empty() => path.push_str(key),
            Self::Key(key) => {
                path.push('.');
                path.push_str(key);
            }
            Self::Index(index) => path.push_str(&format!("[{index}]")),
        }
    }
}

struct Place {
    path: Vec<Step>,
    first_byte: u8,
}

/// The value at which a parser stood that had read `offset` bytes.
fn locate(json: &[u8], offset: usize) -> Place {
    let mut path: Vec<Step> = Vec::new();
    let mut key_next = false;
    let mut at = 0;
    while let Some(&byte) = json.get(at) {
        let mut end = at + 1;
        match byte {
            b'{' | b'[' => {
                if end >= offset {
                    return Place { path, first_byte: byte };
                }
                key_next = byte == b'{';
                path.push(if key_next { Step::Key(String::new()) } else { Step::Index(0) });
            }
            b'}' | b']' => {
                path.pop();
                key_next = false;
                if end >= offset {
                    return Place { path, first_byte: if byte == b'}' { b'{' } else { b'[' } };
                }
            }
            b',' => match path.last_mut() {
                Some(Step::Index(index)) => *index += 1,
                _ => key_next = true,
            },
            b':' => key_next = false,
            byte if byte.is_ascii_whitespace() => {}
            _ => {
                end = scalar_end(json, at);
                if key_next {
                    let key = serde_json::from_slice(json.get(at..end).unwrap_or_default());
                    path.pop();
                    path.push(Step::Key(key.unwrap_or_default()));
                } else if end >= offset {
                    return Place { path, first_byte: byte };
                }
            }
        }
        at = end;
    }
    Place { path, first_byte: json.first().copied().unwrap_or_default() }
}

/// The index behind a string, number or word.
fn scalar_end(json: &[u8], start: usize) -> usize {
    let rest = json.get(start..).unwrap_or_default();
    if rest.first() != Some(&b'"') {
        let length = rest.iter().position(|byte| b",]} \t\r\n".contains(byte));
        return length.map_or(json.len(), |length| start + length);
    }
    let mut escaped = false;
    for (at, byte) in rest.iter().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return start + at + 1,
            _ => {}
        }
    }
    json.len()
}

#[cfg(test)]
mod tests;
