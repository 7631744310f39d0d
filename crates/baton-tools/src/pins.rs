//! Remembers what each tool was when it was first seen.
//!
//! A server can show one description to whoever approves it and another one later. So the first
//! definition that is seen is pinned, and a tool that becomes another one is not offered until somebody
//! approves it. A tool that is new is offered and pinned; one that goes away and comes back changed is changed.
//!
//! A pin holds for a server at one place. When the operator gives the name to another URL or command,
//! that is their word, and the server is pinned anew.
//!
//! - Start with [`Pins::judge`].
//! - **Invariant:** the file changes by renaming a whole one over it, and only its owner can read it.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use baton_net::tasks::Tasks;
use serde::{Deserialize, Serialize};

use crate::definition::Definition;

/// The version of the file.
const VERSION: u32 = 1;

/// The longest file that is read.
const MAX_FILE: u64 = 64 << 20;

/// The most servers that are remembered.
const MAX_SERVERS: usize = 4096;

/// Why pins cannot be read, or an approval not be kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PinError {
    /// The file is there and cannot be read or written.
    #[error("`{}` cannot be read or written", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The file holds something else. Without it every change of a tool would pass, so nothing goes on.
    #[error("`{}` is no file of pinned tools: put it back, or remove it to pin every tool anew", path.display())]
    Content {
        /// Which file.
        path: PathBuf,
    },
    /// No tool of this server was ever seen.
    #[error("no MCP server `{0}` was seen yet")]
    UnknownServer(String),
}

/// A server whose tools are pinned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PinnedServer {
    /// Its name, or the URL that a request named it by.
    pub server: String,
    /// Its tools, by name.
    pub tools: Vec<PinnedTool>,
}

/// A tool that is pinned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PinnedTool {
    /// The tool's name.
    pub tool: String,
    /// SHA-256 of the definition that may be offered.
    pub hash: String,
    /// SHA-256 of the definition that the server shows now, where it is another one: the tool is disabled.
    pub changed_to: Option<String>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Book {
    version: u32,
    servers: BTreeMap<String, Shelf>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Shelf {
    /// Where the server was when it was pinned.
    place: String,
    tools: BTreeMap<String, Pin>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Pin {
    hash: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    changed_to: Option<String>,
}

/// The pins of all servers.
#[derive(Clone, Debug)]
pub(crate) struct Pins {
    path: Arc<Path>,
    book: Arc<Mutex<Book>>,
    /// Held while the file is written, so that an older state never replaces a newer one.
    writing: Arc<Mutex<()>>,
}

/// Which tools of a list may be offered.
#[derive(Debug)]
pub(crate) struct Judged {
    /// One for each definition: whether it is the pinned one.
    pub(crate) fits: Vec<bool>,
    /// The server is not remembered because too many are.
    pub(crate) full: bool,
}

impl Pins {
    /// Reads the file. One that is not there is empty.
    pub(crate) fn open(path: PathBuf) -> Result<Self, PinError> {
        let book = match fs::metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Book::default(),
            Err(source) => return Err(PinError::File { path, source }),
            Ok(found) if found.len() > MAX_FILE => return Err(PinError::Content { path }),
            Ok(_) => read(&path)?,
        };
        Ok(Self { path: path.into(), book: Arc::new(Mutex::new(book)), writing: Arc::new(Mutex::new(())) })
    }

    /// Compares a server's tools with what is pinned, and pins what is new.
    pub(crate) fn judge(&self, server: &str, place: &str, tools: &[Definition], tasks: &Tasks) -> Judged {
        let mut book = self.book();
        if !book.servers.contains_key(server) && book.servers.len() >= MAX_SERVERS {
            return Judged { fits: vec![false; tools.len()], full: true };
        }
        let shelf = book.servers.entry(server.to_owned()).or_default();
        let mut news = shelf.place != place;
        if news {
            *shelf = Shelf { place: place.to_owned(), tools: BTreeMap::new() };
        }
        let fits = tools
            .iter()
            .map(|tool| match shelf.tools.get_mut(&tool.name) {
                None => {
                    news = true;
                    let pin = Pin { hash: tool.hash.clone(), changed_to: None };
                    shelf.tools.insert(tool.name.clone(), pin);
                    true
                }
                Some(pin) => {
                    let now = (pin.hash != tool.hash).then(|| tool.hash.clone());
                    news |= pin.changed_to != now;
                    pin.changed_to = now;
                    pin.changed_to.is_none()
                }
            })
            .collect();
        drop(book);
        if news {
            let pins = self.clone();
            drop(tasks.spawn_blocking(move || pins.keep_or_log()));
        }
        Judged { fits, full: false }
    }

    /// Takes every changed tool of a server as it is now; their names.
    pub(crate) fn approve(&self, server: &str) -> Result<Vec<String>, PinError> {
        let mut book = self.book();
        let shelf = book.servers.get_mut(server);
        let shelf = shelf.ok_or_else(|| PinError::UnknownServer(server.to_owned()))?;
        let changed = shelf.tools.iter_mut().filter_map(|(name, pin)| {
            pin.hash = pin.changed_to.take()?;
            Some(name.clone())
        });
        let changed: Vec<String> = changed.collect();
        drop(book);
        self.keep()?;
        Ok(changed)
    }

    pub(crate) fn all(&self) -> Vec<PinnedServer> {
        let book = self.book();
        let servers = book.servers.iter().map(|(server, shelf)| PinnedServer {
            server: server.clone(),
            tools: shelf
                .tools
                .iter()
                .map(|(tool, pin)| PinnedTool {
                    tool: tool.clone(),
                    hash: pin.hash.clone(),
                    changed_to: pin.changed_to.clone(),
                })
                .collect(),
        });
        servers.collect()
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep_or_log(&self) {
        if let Err(error) = self.keep() {
            tracing::error!(error = %error, "pins of MCP tools were not kept: after a restart a changed tool would pass");
        }
    }

    fn keep(&self) -> Result<(), PinError> {
        let _one_at_a_time = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let book = Book { version: VERSION, ..self.book().clone() };
        write(&self.path, &book).map_err(|source| PinError::File { path: self.path.to_path_buf(), source })
    }
}

fn read(path: &Path) -> Result<Book, PinError> {
    let text = fs::read(path).map_err(|source| PinError::File { path: path.to_owned(), source })?;
    let book: Option<Book> = serde_json::from_slice(&text).ok();
    book.filter(|book| book.version == VERSION).ok_or_else(|| PinError::Content { path: path.to_owned() })
}

fn write(path: &Path, book: &Book) -> io::Result<()> {
    let draft = path.with_extension("json.new");
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    file.write_all(&serde_json::to_vec_pretty(book)?)?;
    file.sync_all()?;
    fs::rename(&draft, path)?;
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => File::open(folder)?.sync_all(),
        Some(_) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
