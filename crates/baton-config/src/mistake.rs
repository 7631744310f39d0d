//! Says what is wrong with a configuration: all of it at once, each with its place and a way out.
//!
//! A line of the file is shown with a caret, as compilers do. Whatever on that line could be a secret
//! is veiled: keys and punctuation stay, values go, but for the one the message is about, if its key
//! is a public one.
//!
//! - Start with [`ConfigError`].
//! - **Invariant:** no rendering holds a value of a key that can hold a secret.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;

/// More mistakes than this are counted, not shown.
const SHOWN: usize = 50;

/// A longer line is shown in part.
const LINE_WIDTH: usize = 120;

/// No more of a line than this, on each side of its mistake, is looked at.
const WINDOW: usize = 400;

/// Everything that is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The file, if there was one.
    pub file: Option<PathBuf>,
    /// At least one mistake, in the order of their places.
    pub mistakes: Vec<Mistake>,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Where it is.
    pub place: Place,
    /// The key, as `providers.openai.base_url`. Empty when there is none.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// The value seen, as it is written; absent for a secret.
    pub seen: Option<String>,
    /// What to do, often the nearest valid name.
    pub hint: Option<String>,
    /// The line of the file, without what could be a secret.
    pub(crate) excerpt: Option<Excerpt>,
}

/// Where a mistake is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// The file as a whole.
    File,
    /// A flag or an environment variable, by its name.
    Setting(String),
    /// In the file.
    Line {
        /// Counted from 1.
        line: usize,
        /// Counted from 1, in characters.
        column: usize,
    },
}

/// A line of the file and the part of it that is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Excerpt {
    text: String,
    caret: Range<usize>,
}

impl Mistake {
    pub(crate) fn new(place: Place, path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { place, path: path.into(), message: message.into(), seen: None, hint: None, excerpt: None }
    }

    pub(crate) fn hint(mut self, hint: impl Into<Option<String>>) -> Self {
        self.hint = hint.into();
        self
    }

    /// The line of the mistake, if it is in the file.
    #[must_use]
    pub const fn line(&self) -> Option<usize> {
        match self.place {
            Place::Line { line, .. } => Some(line),
            Place::File | Place::Setting(_) => None,
        }
    }

    /// The column of the mistake, if it is in the file.
    #[must_use]
    pub const fn column(&self) -> Option<usize> {
        match self.place {
            Place::Line { column, .. } => Some(column),
            Place::File | Place::Setting(_) => None,
        }
    }
}

impl std::error::Error for ConfigError {}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file =
            self.file.as_ref().map_or_else(|| "baton.yaml".to_owned(), |path| path.display().to_string());
        for mistake in self.mistakes.iter().take(SHOWN) {
            mistake.render(&file, f)?;
            f.write_str("\n")?;
        }
        match self.mistakes.len() {
            1 => f.write_str("found 1 mistake"),
            n if n > SHOWN => write!(f, "found {n} mistakes, the first {SHOWN} are shown"),
            n => write!(f, "found {n} mistakes"),
        }
    }
}

impl Mistake {
    fn render(&self, file: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path.as_str() {
            "" => writeln!(f, "error: {}", self.message)?,
            path => writeln!(f, "error: `{path}`: {}", self.message)?,
        }
        match &self.place {
            Place::File => writeln!(f, " --> {file}")?,
            Place::Setting(name) => match &self.seen {
                Some(seen) => writeln!(f, " --> {name} `{seen}`")?,
                None => writeln!(f, " --> {name}")?,
            },
            Place::Line { line, column } => {
                writeln!(f, " --> {file}:{line}:{column}")?;
                if let Some(excerpt) = &self.excerpt {
                    excerpt.render(*line, f)?;
                }
            }
        }
        match &self.hint {
            Some(hint) => writeln!(f, "hint: {hint}"),
            None => Ok(()),
        }
    }
}

impl Excerpt {
    /// Takes a line; `meant` are the characters the caret points at, `public` says whether they may
    /// be shown.
    pub(crate) fn new(line: &str, meant: Range<usize>, public: Visibility) -> Self {
        let skipped = meant.start.saturating_sub(WINDOW);
        Self::drawn(line, skipped, meant, public).cropped()
    }

    /// Takes a line; the caret points at one character of the part that is shown.
    pub(crate) fn pointing(line: &str, shown: Range<usize>, at: usize) -> Self {
        let skipped = at.saturating_sub(WINDOW);
        let first = shown.start.max(skipped);
        let drawn = Self::drawn(line, skipped, shown, Visibility::Shown);
        let at = drawn.caret.start + at.saturating_sub(first);
        Self { caret: at..at + 1, text: drawn.text }.cropped()
    }

    /// The line from a character on, redrawn without its values.
    fn drawn(line: &str, skipped: usize, meant: Range<usize>, public: Visibility) -> Self {
        let plain = |c: char| if c.is_control() && c != '\t' { '\u{fffd}' } else { c };
        let chars: Vec<char> = line.chars().skip(skipped).take(2 * WINDOW).map(plain).collect();
        let start = meant.start.saturating_sub(skipped).min(chars.len());
        let meant = start..(meant.end.saturating_sub(skipped)).clamp(start, chars.len());
        Veil { chars: &chars, meant, public, text: String::new(), width: 0 }.draw()
    }

    fn render(&self, line: usize, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = line.to_string();
        let margin = " ".repeat(number.len());
        let indent: String =
            self.text.chars().take(self.caret.start).map(|c| if c == '\t' { c } else { ' ' }).collect();
        let caret = "^".repeat(self.caret.len().max(1));
        writeln!(f, "{margin} |")?;
        writeln!(f, "{number} | {}", self.text)?;
        writeln!(f, "{margin} | {indent}{caret}")
    }

    /// The part of a long line that is around the caret.
    fn cropped(self) -> Self {
        if self.text.chars().count() <= LINE_WIDTH {
            return self;
        }
        let start = self.caret.start.saturating_sub(LINE_WIDTH / 3);
        let cut = |at: usize| at.saturating_sub(start).min(LINE_WIDTH);
        let caret = cut(self.caret.start)..cut(self.caret.end);
        Self { text: self.text.chars().skip(start).take(LINE_WIDTH).collect(), caret }
    }
}

/// Whether the part of a line that a mistake is about may be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Visibility {
    Shown,
    Veiled,
}

/// Redraws a line without its values.
struct Veil<'l> {
    chars: &'l [char],
    meant: Range<usize>,
    public: Visibility,
    text: String,
    width: usize,
}

impl Veil<'_> {
    fn draw(mut self) -> Excerpt {
        let mut at = 0;
        let mut start = None;
        let mut end = 0;
        while let Some(c) = self.chars.get(at).copied() {
            let next = self.token_end(at, c);
            let before = self.width;
            let is_shown = self.copy(at..next, c);
            if (at..next).contains(&self.meant.start) {
                start = Some(before + if is_shown { self.meant.start - at } else { 0 });
            }
            if next <= self.meant.end {
                end = self.width;
            }
            at = next;
        }
        let start = start.unwrap_or(self.width);
        Excerpt { text: self.text.trim_end().to_owned(), caret: start..end.max(start + 1) }
    }

    /// Where the token that starts here ends.
    fn token_end(&self, at: usize, c: char) -> usize {
        if self.is_meant_and_public(at) || is_mark(c) {
            return at + 1;
        }
        let rest = self.chars.get(at..).unwrap_or_default();
        let starts_comment =
            c == '#' && at.checked_sub(1).is_none_or(|before| self.chars.get(before) == Some(&' '));
        if starts_comment {
            return self.chars.len();
        }
        let is_end =
            |n: &usize| self.is_meant_and_public(at + n) || rest.get(*n).is_some_and(|c| is_mark(*c));
        at + (1..rest.len()).find(is_end).unwrap_or(rest.len())
    }

    fn is_meant_and_public(&self, at: usize) -> bool {
        self.public == Visibility::Shown && self.meant.contains(&at)
    }

    /// Adds a token, or what stands for it; whether it is shown.
    fn copy(&mut self, token: Range<usize>, first: char) -> bool {
        let text: String = self.chars.get(token.clone()).unwrap_or_default().iter().collect();
        let shown = self.is_meant_and_public(token.start)
            || is_mark(first)
            || text == "-"
            || text == "$"
            || self.is_key(&text, token.end);
        let text = match self.reference(&token, &text) {
            _ if shown => text,
            Some(reference) => reference,
            None => "…".to_owned(),
        };
        self.width += text.chars().count();
        self.text.push_str(&text);
        shown
    }

    /// What may be shown of the inside of `${NAME}`, `${NAME:-default}` or `${file:/path}`.
    fn reference(&self, token: &Range<usize>, text: &str) -> Option<String> {
        let before = token.start.checked_sub(2).and_then(|start| self.chars.get(start..token.start));
        if before != Some(&['$', '{']) || self.chars.get(token.end) != Some(&'}') {
            return None;
        }
        Some(text.split_once(":-").map_or_else(|| text.to_owned(), |(name, _)| format!("{name}:-…")))
    }

    /// A short word before `:` and a space or the end of the line.
    fn is_key(&self, text: &str, end: usize) -> bool {
        let Some(word) = text.strip_suffix(':') else {
            let mut rest = self.chars.iter().skip(end);
            let quoted = matches!(rest.next(), Some('"' | '\''));
            return quoted && rest.next() == Some(&':') && is_word(text);
        };
        is_word(word) && self.chars.get(end).is_none_or(|next| next.is_whitespace())
    }
}

fn is_word(text: &str) -> bool {
    text.len() <= 40 && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/'))
}

/// A character that is never part of a value worth veiling.
fn is_mark(c: char) -> bool {
    c.is_whitespace() || matches!(c, '{' | '}' | '[' | ']' | ',' | '"' | '\'')
}

#[cfg(test)]
mod tests;
