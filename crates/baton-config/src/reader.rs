//! Takes values out of the tree and keeps account of every mistake on the way.
//!
//! Each taking method answers `None` for a value that is not there or not right; in the second case
//! the mistake is noted. Reading goes on, so that a file is corrected in one round.
//!
//! - Start with [`Reader::section`], take keys from it, end with [`Reader::finish`].
//! - **Invariant:** a key that nobody asked for is a mistake.
//! - **Invariant:** the text of a value gets into a mistake only through [`Reader::read`], for keys
//!   that hold no secret.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Display;
use std::path::PathBuf;

use baton_model::{Secret, nearest};

use crate::file::read_file;
use crate::mistake::{Excerpt, Mistake, Place, Visibility};
use crate::reference::{Form, Piece, Reference, References};
use crate::tree::{Key, Node, Span, Value};
use crate::value::{Wrong, did_you_mean, path};

/// The longest value that a mistake repeats.
const MAX_SEEN: usize = 80;

/// What a scalar is called in messages.
const SINGLE: &str = "a single value";

/// A file with so many mistakes is not a file of ours; the rest is not looked for.
const ENOUGH: usize = 200;

/// Where things stand while a file is read.
pub(crate) struct Reader<'s> {
    lines: Vec<&'s str>,
    references: References,
    env: &'s dyn Fn(&str) -> Option<String>,
    mistakes: Vec<Mistake>,
    files: BTreeSet<PathBuf>,
}

/// A value with its key's full path.
#[derive(Clone, Debug)]
pub(crate) struct At<'t> {
    pub(crate) node: &'t Node,
    pub(crate) path: String,
}

/// A map whose keys are known beforehand.
#[derive(Debug)]
pub(crate) struct Section<'t> {
    path: String,
    span: Span,
    entries: Vec<(&'t Key, &'t Node)>,
    asked: Vec<&'static str>,
}

/// An entry of a map whose keys are names that the file gives.
#[derive(Debug)]
pub(crate) struct Named<'t> {
    pub(crate) name: &'t str,
    pub(crate) key: Span,
    pub(crate) value: At<'t>,
}

/// The text of a value, once references are put in.
struct Text {
    value: String,
    /// As it is written in the file.
    source: String,
    referenced: bool,
}

impl<'s> Reader<'s> {
    pub(crate) fn new(
        text: &'s str,
        references: References,
        env: &'s dyn Fn(&str) -> Option<String>,
    ) -> Self {
        Self { lines: text.lines().collect(), references, env, mistakes: Vec::new(), files: BTreeSet::new() }
    }

    /// Every mistake, and every other file that was read.
    pub(crate) fn into_parts(self) -> (Vec<Mistake>, BTreeSet<PathBuf>) {
        (self.mistakes, self.files)
    }

    /// A variable of the environment; one that is set to nothing counts as not set.
    pub(crate) fn env(&self, name: &str) -> Option<String> {
        (self.env)(name).filter(|value| !value.is_empty())
    }

    /// Notes a mistake that has no place in the file.
    pub(crate) fn note(&mut self, mistake: Mistake) {
        self.mistakes.push(mistake);
    }

    /// Notes a mistake about a place whose text may be shown.
    pub(crate) fn wrong_at(&mut self, span: Span, path: &str, wrong: Wrong) {
        self.push(span, path, wrong, Visibility::Shown, None);
    }

    /// Notes a mistake about a value that must not be shown.
    pub(crate) fn wrong_secret(&mut self, at: &At<'_>, wrong: Wrong) {
        self.push(at.node.span, &at.path, wrong, Visibility::Veiled, None);
    }

    fn push(&mut self, span: Span, path: &str, wrong: Wrong, visibility: Visibility, seen: Option<&str>) {
        let place = Place::Line { line: span.line, column: span.column };
        let start = span.column.saturating_sub(1);
        let line = span.line.checked_sub(1).and_then(|at| self.lines.get(at));
        let excerpt = line.map(|line| Excerpt::new(line, start..start.saturating_add(span.len), visibility));
        let seen = seen.map(|seen| seen.chars().take(MAX_SEEN).collect());
        let path = path.to_owned();
        self.add(Mistake { place, path, message: wrong.message, seen, hint: wrong.hint, excerpt });
    }

    fn add(&mut self, mistake: Mistake) {
        if self.mistakes.len() < ENOUGH {
            self.mistakes.push(mistake);
        }
    }

    /// A map with known keys.
    pub(crate) fn section<'t>(&mut self, at: &At<'t>) -> Option<Section<'t>> {
        let entries = self.map(at)?;
        let entries = entries.into_iter().filter(|(key, _)| self.is_plain_key(key, &at.path)).collect();
        Some(Section { path: at.path.clone(), span: at.node.span, entries, asked: Vec::new() })
    }

    /// A map whose keys are names.
    pub(crate) fn named<'t>(&mut self, at: &At<'t>) -> Vec<Named<'t>> {
        let entries = self.map(at).unwrap_or_default();
        let entries =
            entries.into_iter().filter(|(key, _)| self.is_plain_key(key, &at.path)).map(|(key, node)| {
                let value = At { node, path: join(&at.path, &key.text) };
                Named { name: &key.text, key: key.span, value }
            });
        entries.collect()
    }

    /// The entries of a map, each key once.
    fn map<'t>(&mut self, at: &At<'t>) -> Option<Vec<(&'t Key, &'t Node)>> {
        let Value::Map(entries) = &at.node.value else {
            self.expected(at, "a map of keys and values");
            return None;
        };
        let mut once = Vec::with_capacity(entries.len());
        let mut first_lines = HashMap::with_capacity(entries.len());
        for (key, node) in entries {
            if let Some(line) = first_lines.get(key.text.as_str()) {
                let wrong = Wrong::new(format!("this key stands here twice, first on line {line}"));
                self.wrong_at(key.span, &join(&at.path, &key.text), wrong);
                continue;
            }
            first_lines.insert(key.text.as_str(), key.span.line);
            once.push((key, node));
        }
        Some(once)
    }

    fn is_plain_key(&mut self, key: &Key, path: &str) -> bool {
        let source = self.references.source(&key.text);
        if source == key.text {
            return true;
        }
        self.wrong_at(key.span, path, Wrong::new("a key cannot hold a reference"));
        false
    }

    /// The value of a key, if it is there. A null, and a lone `${NAME:-}` that stands for nothing,
    /// are as if it were not.
    pub(crate) fn take<'t>(&mut self, section: &mut Section<'t>, key: &'static str) -> Option<At<'t>> {
        let (found, node) = section.find(key)?;
        let at = At { node, path: join(&section.path, &found.text) };
        (!self.is_absent(&at)).then_some(at)
    }

    /// Notes every key of a section that nobody asked for.
    pub(crate) fn finish(&mut self, section: Section<'_>) {
        let Section { path, entries, asked, .. } = section;
        let is_known = |key: &str| asked.contains(&key);
        for (key, _) in entries.iter().filter(|(key, _)| !is_known(&key.text)) {
            if self.mistakes.len() >= ENOUGH {
                return;
            }
            let hint = usual_name(&key.text)
                .filter(|name| asked.contains(name))
                .or_else(|| nearest(&key.text, asked.iter().copied()));
            let hint = match hint {
                Some(name) => format!("did you mean `{name}`?"),
                None if asked.len() == 1 => format!("the only key here is {}", listed(&asked, "and")),
                None => format!("the keys here are {}", listed(&asked, "and")),
            };
            let key_path = join(&path, &key.text);
            self.wrong_at(key.span, &key_path, Wrong::new("unknown key").hint(hint));
        }
    }

    /// Notes a mistake about a section as a whole.
    pub(crate) fn wrong_section(&mut self, section: &Section<'_>, wrong: Wrong) {
        self.push(section.span, &section.path, wrong, Visibility::Veiled, None);
    }

    /// How many mistakes were noted so far.
    pub(crate) fn mistake_count(&self) -> usize {
        self.mistakes.len()
    }

    /// Notes a key that has to be there and is not.
    pub(crate) fn missing(&mut self, section: &Section<'_>, key: &str, hint: impl Into<String>) {
        self.wrong_section(section, Wrong::new(format!("`{key}` is missing")).hint(hint));
    }

    /// The items of a list.
    pub(crate) fn list<'t>(&mut self, at: &At<'t>) -> Option<Vec<At<'t>>> {
        let Value::List(items) = &at.node.value else {
            self.expected(at, "a list");
            return None;
        };
        let path = |n: usize| format!("{}[{n}]", at.path);
        Some(items.iter().enumerate().map(|(n, node)| At { node, path: path(n) }).collect())
    }

    /// The items of a list, or the one value that stands in its place.
    pub(crate) fn one_or_more<'t>(&mut self, at: &At<'t>) -> Option<Vec<At<'t>>> {
        let items = match &at.node.value {
            Value::Text(_) => vec![at.clone()],
            Value::List(items) if !items.is_empty() => self.list(at)?,
            Value::List(_) => {
                self.wrong_at(at.node.span, &at.path, Wrong::new("the list is empty"));
                return None;
            }
            Value::Null | Value::Map(_) => {
                self.expected(at, "a single value or a list of them");
                return None;
            }
        };
        Some(items)
    }

    /// Reads a value that may be shown.
    pub(crate) fn read<T>(&mut self, at: &At<'_>, parse: impl FnOnce(&str) -> Result<T, Wrong>) -> Option<T> {
        let text = self.text(at)?;
        match parse(&text.value) {
            Ok(value) => Some(value),
            Err(wrong) => {
                self.wrong_value(at, &text, wrong);
                None
            }
        }
    }

    /// Reads a value whose type says itself what is wrong.
    pub(crate) fn parse<T>(&mut self, at: &At<'_>) -> Option<T>
    where
        T: std::str::FromStr,
        T::Err: Display,
    {
        self.read(at, |text| text.parse().map_err(|error: T::Err| Wrong::new(error.to_string())))
    }

    /// Reads `true` or `false`.
    pub(crate) fn boolean(&mut self, at: &At<'_>) -> Option<bool> {
        self.read(at, |text| match text {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(Wrong::new("expected `true` or `false`")),
        })
    }

    /// Reads a whole number of a range.
    pub(crate) fn number(&mut self, at: &At<'_>, range: std::ops::RangeInclusive<u64>) -> Option<u64> {
        self.read(at, |text| {
            let wrong =
                || Wrong::new(format!("expected a whole number from {} to {}", range.start(), range.end()));
            text.parse().ok().filter(|number| range.contains(number)).ok_or_else(wrong)
        })
    }

    /// Reads one of a few words.
    pub(crate) fn word<T: Copy>(&mut self, at: &At<'_>, words: &[(&'static str, T)]) -> Option<T> {
        self.read(at, |text| match words.iter().find(|(word, _)| *word == text) {
            Some((_, value)) => Ok(*value),
            None => {
                let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
                let wrong = Wrong::new(format!("expected {}", listed(&names, "or")));
                Err(match did_you_mean(text, names) {
                    Some(hint) => wrong.hint(hint),
                    None => wrong,
                })
            }
        })
    }

    /// Reads a value that is never shown.
    pub(crate) fn secret(&mut self, at: &At<'_>) -> Option<Secret<String>> {
        let text = self.text(at)?;
        if text.value.chars().any(char::is_control) {
            self.wrong_secret(at, Wrong::new("the value has control characters, such as the end of a line"));
            return None;
        }
        Some(Secret::new(text.value))
    }

    /// Reads the file that a value names.
    pub(crate) fn file(&mut self, at: &At<'_>) -> Option<(PathBuf, String)> {
        let path = self.read(at, path)?;
        self.files.insert(path.clone());
        match read_file(&path) {
            Ok(content) => Some((path, content)),
            Err(message) => {
                self.wrong_at(at.node.span, &at.path, Wrong::new(message));
                None
            }
        }
    }

    /// Notes that a readable value is wrong.
    pub(crate) fn wrong(&mut self, at: &At<'_>, wrong: Wrong) {
        match self.source(at) {
            Some(source) => {
                let text = Text { value: String::new(), source, referenced: false };
                self.wrong_value(at, &text, wrong);
            }
            None => self.push(at.node.span, &at.path, wrong, Visibility::Veiled, None),
        }
    }

    /// Notes a mistake inside a readable value: at its own place in the file where the value is written
    /// on one line as it is read, else at the value's place.
    pub(crate) fn wrong_inside(&mut self, at: &At<'_>, line: u32, column: u32, mut wrong: Wrong) {
        let Some(source) = self.source(at) else {
            return self.wrong(at, wrong);
        };
        if self.is_referenced(at) {
            // What stands there comes from elsewhere: nothing said of it may repeat it.
            self.wrong(at, Wrong::new(format!("the value of `{source}` is not right here")));
        } else if let Some(skipped) = self.written_as_read(at, &source).filter(|_| line == 1) {
            let span = at.node.span;
            let shown = span.column - 1..span.column - 1 + span.len;
            let within = usize::try_from(column).unwrap_or(usize::MAX).saturating_sub(1).min(span.len);
            let start = shown.start + skipped + within;
            let text = span.line.checked_sub(1).and_then(|at| self.lines.get(at)).copied();
            let is_public = may_be_shown(&source);
            let excerpt = text.map(|text| match is_public {
                true => Excerpt::pointing(text, shown, start),
                false => Excerpt::new(text, shown, Visibility::Veiled),
            });
            let place = Place::Line { line: span.line, column: start + 1 };
            let seen = is_public.then(|| source.chars().take(MAX_SEEN).collect());
            let path = at.path.clone();
            self.add(Mistake { place, path, message: wrong.message, seen, hint: wrong.hint, excerpt });
        } else {
            wrong.message = format!("line {line}, column {column} of the expression: {}", wrong.message);
            self.wrong(at, wrong);
        }
    }

    /// How many characters stand before a value's own text, if it is on one line and nothing is escaped.
    fn written_as_read(&self, at: &At<'_>, source: &str) -> Option<usize> {
        let span = at.node.span;
        let line = self.lines.get(span.line.checked_sub(1)?)?;
        let written: String = line.chars().skip(span.column.checked_sub(1)?).take(span.len).collect();
        let quoted = |quote| written.strip_prefix(quote)?.strip_suffix(quote);
        match source {
            _ if written == source => Some(0),
            _ if quoted('\'').or_else(|| quoted('"')) == Some(source) => Some(1),
            _ => None,
        }
    }

    /// Whether a value, or a part of it, stands elsewhere.
    fn is_referenced(&self, at: &At<'_>) -> bool {
        let Value::Text(masked) = &at.node.value else { return false };
        self.references.pieces(masked).any(|piece| {
            matches!(piece, Piece::Reference(Reference { form, .. }) if !matches!(form, Form::Literal(_)))
        })
    }

    fn wrong_value(&mut self, at: &At<'_>, text: &Text, mut wrong: Wrong) {
        let visibility = if may_be_shown(&text.source) { Visibility::Shown } else { Visibility::Veiled };
        if text.referenced {
            // The value comes from elsewhere and may be a secret: nothing said of it may quote it.
            if quotes(&wrong.message, &text.value) {
                wrong.message = format!("the value of `{}` is not right here", text.source);
            }
            wrong.hint = wrong.hint.filter(|hint| !quotes(hint, &text.value));
        }
        let seen = (visibility == Visibility::Shown).then_some(text.source.as_str());
        self.push(at.node.span, &at.path, wrong, visibility, seen);
    }

    fn source(&self, at: &At<'_>) -> Option<String> {
        match &at.node.value {
            Value::Text(masked) => Some(self.references.source(masked)),
            Value::Null | Value::List(_) | Value::Map(_) => None,
        }
    }

    fn expected(&mut self, at: &At<'_>, wanted: &str) {
        let found = match &at.node.value {
            Value::Null => "nothing",
            Value::Text(_) => SINGLE,
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
        };
        let mut wrong = Wrong::new(format!("expected {wanted}, found {found}"));
        let starts_with_bracket = matches!(at.node.value, Value::List(_) | Value::Map(_)) && wanted == SINGLE;
        if starts_with_bracket {
            wrong = wrong.hint("if it is meant as text, put it in quotes");
        }
        self.push(at.node.span, &at.path, wrong, Visibility::Veiled, None);
    }

    /// The text of a single value that is not empty, with its references put in.
    fn text(&mut self, at: &At<'_>) -> Option<Text> {
        let Value::Text(masked) = &at.node.value else {
            self.expected(at, SINGLE);
            return None;
        };
        let text = self.resolve(at, masked)?;
        if text.value.trim().is_empty() {
            self.push(at.node.span, &at.path, Wrong::new("the value is empty"), Visibility::Veiled, None);
            return None;
        }
        Some(text)
    }

    /// Whether a value is nothing, or nothing but a reference that stands for nothing.
    fn is_absent(&mut self, at: &At<'_>) -> bool {
        match &at.node.value {
            Value::Null => true,
            Value::Text(masked) => {
                let mut pieces = self.references.pieces(masked);
                let first = pieces.next();
                let is_alone = pieces.next().is_none();
                drop(pieces);
                let has_default = matches!(
                    first,
                    Some(Piece::Reference(Reference { form: Form::Env { default: Some(_), .. }, .. }))
                );
                has_default && is_alone && self.resolve(at, masked).is_some_and(|text| text.value.is_empty())
            }
            Value::List(_) | Value::Map(_) => false,
        }
    }

    fn resolve(&mut self, at: &At<'_>, masked: &str) -> Option<Text> {
        let mut text =
            Text { value: String::new(), source: self.references.source(masked), referenced: false };
        let mut wrongs = Vec::new();
        let mut files = Vec::new();
        for piece in self.references.pieces(masked) {
            match piece {
                Piece::Char(c) => text.value.push(c),
                Piece::Reference(reference) => {
                    text.referenced |= !matches!(reference.form, Form::Literal(_));
                    match reference.value(self.env, &mut files) {
                        Ok(value) => text.value.push_str(&value),
                        Err(wrong) => wrongs.push(wrong),
                    }
                }
            }
        }
        self.files.extend(files);
        let failed = !wrongs.is_empty();
        for wrong in wrongs {
            self.push(at.node.span, &at.path, wrong, Visibility::Veiled, None);
        }
        (!failed).then_some(text)
    }
}

impl At<'_> {
    /// Whether it is a list.
    pub(crate) fn is_list(&self) -> bool {
        matches!(self.node.value, Value::List(_))
    }

    /// Whether it is a map.
    pub(crate) fn is_map(&self) -> bool {
        matches!(self.node.value, Value::Map(_))
    }
}

impl<'t> Section<'t> {
    /// Where a key stands and its full path, if it is there, even with nothing.
    pub(crate) fn place_of(&mut self, key: &'static str) -> Option<(Span, String)> {
        let (found, _) = self.find(key)?;
        Some((found.span, join(&self.path, &found.text)))
    }

    /// Whether a key was asked for before.
    pub(crate) fn was_taken(&self, key: &str) -> bool {
        self.asked.contains(&key)
    }

    /// Whether a key stands there, even with nothing.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.entries.iter().any(|(found, _)| found.text == key)
    }

    fn find(&mut self, key: &'static str) -> Option<(&'t Key, &'t Node)> {
        self.asked.push(key);
        self.entries.iter().find(|(found, _)| found.text == key).copied()
    }
}

/// What other programs call a key of ours.
fn usual_name(key: &str) -> Option<&'static str> {
    Some(match key {
        "port" | "host" | "bind" | "address" => "listen",
        "db" | "database_url" => "database",
        "key" | "token" | "apikey" => "api_key",
        "keys" => "api_keys",
        "url" | "endpoint" | "api_base" => "base_url",
        "timeout" => "timeouts",
        "alias" => "aliases",
        "cost" | "pricing" => "price",
        "models" => "pool",
        _ => return None,
    })
}

/// Whether a value holds no password: a URL with a user in it may.
fn may_be_shown(source: &str) -> bool {
    !source.contains('@')
}

/// Whether one of the literals of a message is a part of the value, or holds it.
fn quotes(message: &str, value: &str) -> bool {
    let mut literals = message.split('`').skip(1).step_by(2).filter(|literal| !literal.is_empty());
    literals.any(|literal| value.contains(literal) || literal.contains(value))
}

fn listed(names: &[&str], last_word: &str) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} {last_word} {last}", rest.join(", ")),
        None => "none".to_owned(),
    }
}

fn join(path: &str, key: &str) -> String {
    let key: String = key.chars().take(MAX_SEEN).collect();
    if path.is_empty() { key } else { format!("{path}.{key}") }
}
