//! Finds `${NAME}`, `${NAME:-default}` and `${file:/path}` in the text of a file and gets what they
//! stand for.
//!
//! A plain scalar of YAML cannot hold braces between other braces, and a default may hold anything.
//! So before YAML sees the text, each reference is replaced by as many private-use characters as it
//! has: every position stays true. What it stands for is put in later, into the finished scalar, so
//! that no value can change the structure of the file.
//!
//! - Start with [`mask`], then [`References::pieces`] and [`Reference::value`].
//! - **Invariant:** masking changes no line and no column.
//! - `$${NAME}` is the text `${NAME}`.

use std::path::{Path, PathBuf};

use crate::file::read_file;
use crate::value::Wrong;

/// The first of the characters that stand for a reference; the reference's number is added.
const FIRST: u32 = 0xF_0000;

/// How many references a file may have.
const LIMIT: usize = 10_000;

/// The character that fills the place of a reference after its first one.
const FILLER: char = '\u{E000}';

/// The references of a file in their order.
#[derive(Debug, Default)]
pub(crate) struct References(Vec<Reference>);

/// A reference as it is written, and as it is understood.
#[derive(Debug)]
pub(crate) struct Reference {
    pub(crate) source: String,
    pub(crate) form: Form,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Env { name: String, default: Option<String> },
    File { path: String },
    Literal(String),
    Malformed { message: &'static str },
}

/// A piece of a scalar.
pub(crate) enum Piece<'r> {
    Char(char),
    Reference(&'r Reference),
}

/// Why a text cannot be masked.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum MaskError {
    /// A character that this module needs for itself, at this byte.
    Reserved(usize),
    /// More references than any file needs; the first surplus one is at this byte.
    TooMany(usize),
}

/// Puts placeholders in the place of references.
pub(crate) fn mask(text: &str) -> Result<(String, References), MaskError> {
    let mut masked = String::with_capacity(text.len());
    let mut references = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let at = text.len() - rest.len();
        if is_reserved(c) {
            return Err(MaskError::Reserved(at));
        }
        let Some(reference) = reference(rest) else {
            masked.push(c);
            rest = rest.get(c.len_utf8()..).unwrap_or_default();
            continue;
        };
        if references.len() == LIMIT {
            return Err(MaskError::TooMany(at));
        }
        let number = u32::try_from(references.len()).unwrap_or(u32::MAX);
        masked.push(char::from_u32(FIRST + number).unwrap_or(FILLER));
        masked.extend(reference.source.chars().skip(1).map(|_| FILLER));
        rest = rest.get(reference.source.len()..).unwrap_or_default();
        references.push(reference);
    }
    Ok((masked, References(references)))
}

impl References {
    /// The pieces of a masked scalar.
    pub(crate) fn pieces<'r>(&'r self, masked: &'r str) -> impl Iterator<Item = Piece<'r>> {
        masked.chars().filter(|c| *c != FILLER).map(|c| match self.get(c) {
            Some(reference) => Piece::Reference(reference),
            None => Piece::Char(c),
        })
    }

    /// A masked scalar as it is written in the file.
    pub(crate) fn source(&self, masked: &str) -> String {
        let mut source = String::with_capacity(masked.len());
        for piece in self.pieces(masked) {
            match piece {
                Piece::Char(c) => source.push(c),
                Piece::Reference(reference) => source.push_str(&reference.source),
            }
        }
        source
    }

    fn get(&self, c: char) -> Option<&Reference> {
        let number = u32::from(c).checked_sub(FIRST)?;
        self.0.get(usize::try_from(number).ok()?)
    }
}

impl Reference {
    /// What it stands for. A file that is asked for is added to the list, even if it is not there.
    pub(crate) fn value(
        &self,
        env: &dyn Fn(&str) -> Option<String>,
        files: &mut Vec<PathBuf>,
    ) -> Result<String, Wrong> {
        match &self.form {
            Form::Literal(text) => Ok(text.clone()),
            Form::Malformed { message } => Err(Wrong::new(*message)),
            Form::File { path } => {
                files.push(PathBuf::from(path));
                let content = read_file(Path::new(path)).map_err(Wrong::new)?;
                Ok(content.trim_end_matches(['\n', '\r']).to_owned())
            }
            Form::Env { name, default } => match (env(name), default) {
                (Some(value), None) => Ok(value),
                (Some(value), Some(_)) if !value.is_empty() => Ok(value),
                (_, Some(default)) => Ok(default.clone()),
                (None, None) => Err(Wrong::new(format!("the environment variable `{name}` is not set"))
                    .hint(format!("set it, or give a default: `${{{name}:-...}}`"))),
            },
        }
    }
}

fn is_reserved(c: char) -> bool {
    c == FILLER || (FIRST..=FIRST + 0xFFFF).contains(&u32::from(c))
}

/// The reference at the start of a text, if there is one.
fn reference(text: &str) -> Option<Reference> {
    let (marker, rest) = match text.strip_prefix("$${") {
        Some(rest) => ("$${", rest),
        None => ("${", text.strip_prefix("${")?),
    };
    let line = rest.split(['\n', '\r']).next().unwrap_or_default();
    let malformed =
        |message| Some(Reference { source: marker.to_owned(), form: Form::Malformed { message } });
    let Some((inside, _)) = line.split_once('}') else {
        return malformed("`${` has no `}` on its line; write `$${` for the text itself");
    };
    if inside.chars().any(is_reserved) {
        return malformed("a private-use character is not allowed here");
    }
    let source = format!("{marker}{inside}}}");
    let form = if marker == "$${" { Form::Literal(format!("${{{inside}}}")) } else { form(inside) };
    Some(Reference { source, form })
}

fn form(inside: &str) -> Form {
    if let Some(path) = inside.strip_prefix("file:") {
        return match path.trim() {
            "" => Form::Malformed { message: "`${file:}` needs a path" },
            path => Form::File { path: path.to_owned() },
        };
    }
    let (name, default) = match inside.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inside, None),
    };
    if default.is_some_and(|default| default.contains("${")) {
        return Form::Malformed { message: "a default cannot hold another reference" };
    }
    let starts_well = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if !starts_well || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return Form::Malformed { message: "expected `${NAME}`, `${NAME:-default}` or `${file:/path}`" };
    }
    Form::Env { name: name.to_owned(), default: default.map(str::to_owned) }
}

#[cfg(test)]
mod tests;
