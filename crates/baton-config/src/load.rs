//! Puts flags, environment and file together: flags win over environment, environment over file.
//!
//! - Start with [`Config::load`].
//! - **Invariant:** all mistakes of all three are reported at once, and with a mistake there is no
//!   configuration.
//! - **Never here:** the process's environment itself; it comes in as a function.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use baton_model::Secret;
use baton_upstream::PRESETS;

use crate::file::read_file;
use crate::mistake::{Excerpt, Visibility};
use crate::reader::{At, Reader};
use crate::reference::{MaskError, References, mask};
use crate::tree::{self, Node, Span, Value};
use crate::value::{Wrong, listen};
use crate::{Config, ConfigError, Database, Mistake, Place, read};

/// Looks a variable of the environment up.
pub type Env = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// Where a configuration comes from. Can be loaded again and again.
#[derive(Clone)]
pub struct Sources {
    /// The file; without one, the environment and the defaults say everything.
    pub file: Option<PathBuf>,
    /// The environment.
    pub env: Env,
    /// The command line.
    pub flags: Flags,
}

impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sources")
            .field("file", &self.file)
            .field("flags", &self.flags)
            .finish_non_exhaustive()
    }
}

/// What the command line can say. Each also has a variable of the environment.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    /// `--listen`, `BATON_LISTEN`.
    pub listen: Option<String>,
    /// `--data-dir`, `BATON_DATA_DIR`.
    pub data_dir: Option<PathBuf>,
    /// `--database`, `DATABASE_URL`. May hold a password.
    pub database: Option<Secret<String>>,
}

/// A configuration, and the files beside its own that it was made from.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) result: Result<Config, ConfigError>,
    pub(crate) files: BTreeSet<PathBuf>,
}

/// A preset that the environment holds what it needs for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Detected {
    /// The provider's name.
    pub provider: &'static str,
    /// The variable that says so.
    pub variable: &'static str,
}

/// The presets whose key, or whose host, is in the environment. Names only, never a value.
pub fn detected_providers(env: &dyn Fn(&str) -> Option<String>) -> Vec<Detected> {
    let is_set = |name: &&'static str| env(name).is_some_and(|value| !value.trim().is_empty());
    PRESETS
        .iter()
        .filter_map(|preset| {
            let variable = preset.key_env.iter().copied().chain(preset.host_env).find(|name| is_set(name))?;
            Some(Detected { provider: preset.name, variable })
        })
        .collect()
}

impl Config {
    /// Reads and checks everything.
    ///
    /// # Errors
    ///
    /// With every mistake that was found.
    pub fn load(sources: &Sources) -> Result<Self, ConfigError> {
        load(sources).result
    }
}

pub(crate) fn load(sources: &Sources) -> Loaded {
    let fail = |mistakes| Err(ConfigError { file: sources.file.clone(), mistakes });
    let text = match sources.file.as_deref().map(read_file).transpose() {
        Ok(text) => text.unwrap_or_default(),
        Err(message) => {
            return Loaded {
                result: fail(vec![Mistake::new(Place::File, "", message)]),
                files: BTreeSet::new(),
            };
        }
    };
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let (root, references, syntax) = match parse(text) {
        Ok((root, references)) => (root, references, None),
        Err(mistake) => (Node::of(Value::Null), References::default(), Some(*mistake)),
    };
    let is_parsed = syntax.is_none();
    let mut reader = Reader::new(text, references, &*sources.env);
    if let Some(mistake) = syntax {
        reader.note(mistake);
    }
    let over = overrides(&mut reader, &sources.flags);
    let config = if is_parsed {
        read::config(&mut reader, &At { node: &root, path: String::new() }, over)
    } else {
        None
    };
    let (mut mistakes, files) = reader.into_parts();
    mistakes.sort_by(|a, b| a.place.cmp(&b.place));
    mistakes.dedup();
    let result = match config {
        Some(config) if mistakes.is_empty() => Ok(config),
        _ => fail(mistakes),
    };
    Loaded { result, files }
}

/// Parses the text into a tree and its references.
fn parse(text: &str) -> Result<(Node, References), Box<Mistake>> {
    let (masked, references) = mask(text).map_err(|error| {
        let (at, message) = match error {
            MaskError::Reserved(at) => (at, "a private-use character is not allowed"),
            MaskError::TooMany(at) => (at, "too many references"),
        };
        syntax_mistake(text, Some(span_of_byte(text, at)), message.to_owned())
    })?;
    let root = tree::parse(&masked).map_err(|error| syntax_mistake(text, error.span, error.message))?;
    Ok((root, references))
}

fn syntax_mistake(text: &str, span: Option<Span>, message: String) -> Box<Mistake> {
    let Some(span) = span else {
        return Box::new(Mistake::new(Place::File, "", message));
    };
    let mut mistake = Mistake::new(Place::Line { line: span.line, column: span.column }, "", message);
    let start = span.column.saturating_sub(1);
    let line = text.lines().nth(span.line.saturating_sub(1));
    mistake.excerpt = line.map(|line| Excerpt::new(line, start..start + 1, Visibility::Veiled));
    Box::new(mistake)
}

fn span_of_byte(text: &str, at: usize) -> Span {
    let before = text.get(..at).unwrap_or_default();
    let line = before.rsplit('\n').next().unwrap_or_default();
    Span { line: before.matches('\n').count() + 1, column: line.chars().count() + 1, len: 1 }
}

/// What flags and environment say of the keys that they can set.
#[derive(Debug, Default)]
pub(crate) struct Overrides {
    pub(crate) listen: Option<std::net::SocketAddr>,
    pub(crate) data_dir: Option<PathBuf>,
    pub(crate) database: Option<Database>,
}

fn overrides(reader: &mut Reader<'_>, flags: &Flags) -> Overrides {
    let setting = |flag: Option<String>, flag_name: &str, variable: &str| match flag {
        Some(value) => Some((flag_name.to_owned(), value)),
        None => reader.env(variable).map(|value| (variable.to_owned(), value)),
    };
    let address = setting(flags.listen.clone(), "--listen", "BATON_LISTEN");
    let data_dir = setting(None, "--data-dir", "BATON_DATA_DIR").map(|(_, value)| PathBuf::from(value));
    let database =
        setting(flags.database.as_ref().map(|url| url.expose().clone()), "--database", "DATABASE_URL");
    let mut note = |name: String, seen: Option<String>, wrong: Wrong| {
        let mistake = Mistake::new(Place::Setting(name), "", wrong.message).hint(wrong.hint);
        reader.note(Mistake { seen, ..mistake });
    };
    Overrides {
        listen: address
            .and_then(|(name, value)| listen(&value).map_err(|wrong| note(name, Some(value), wrong)).ok()),
        data_dir: flags.data_dir.clone().or(data_dir),
        database: database
            .and_then(|(name, value)| read::database(&value).map_err(|wrong| note(name, None, wrong)).ok()),
    }
}

#[cfg(test)]
pub(crate) mod tests;
