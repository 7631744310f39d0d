//! Lets a run read the files below configured folders, and change them where that is allowed.
//!
//! Every path is walked from its folder part by part, and no link is followed on the way: so nothing outside can be
//! reached, whatever changes while a call runs.
//!
//! - Start with [`Filesystem::new`], then [`Filesystem::call`].
//! - **Invariant:** a call touches regular files and folders below its roots, and nothing else.
//! - **Invariant:** what is read, searched, written and told is bounded.
//! - **Never here:** programs, links, devices.

use std::ffi::OsStr;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use baton_model::RawJson;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, fstat, open, openat, renameat, unlinkat};
use rustix::io::Errno;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{Called, ErrorCode, OfferedTool};

/// What its tools are called by.
const SERVER: &str = "filesystem";

/// As much of a file as is read for a model.
const MOST_READ: u64 = 256 * 1024;

/// As much as is written or edited.
const MOST_WRITTEN: usize = 1 << 20;

/// As many entries of a folder as are listed.
const MOST_ENTRIES: usize = 1_000;

/// As many files, bytes, levels and finds as a search goes through.
const MOST_SEARCHED: usize = 5_000;
const MOST_BYTES: u64 = 64 << 20;
const MOST_LEVELS: usize = 32;
const MOST_FOUND: usize = 200;

/// A line that was found is shown in part.
const LINE: usize = 300;

/// Whether files may be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileAccess {
    /// They may only be read.
    Read,
    /// They may be changed too.
    Write,
}

/// Folders, and the tools to use them with.
#[derive(Clone, Debug)]
pub struct Filesystem {
    roots: Arc<[PathBuf]>,
    tools: Vec<OfferedTool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    ListRoots,
    List,
    Read,
    Search,
    Write,
    Edit,
}

const ACTS: [(&str, Act, FileAccess); 6] = [
    ("list_allowed_directories", Act::ListRoots, FileAccess::Read),
    ("list_directory", Act::List, FileAccess::Read),
    ("read_file", Act::Read, FileAccess::Read),
    ("search_files_content", Act::Search, FileAccess::Read),
    ("write_file", Act::Write, FileAccess::Write),
    ("edit_file", Act::Edit, FileAccess::Write),
];

/// What a call may say.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Arguments {
    path: Option<String>,
    query: Option<String>,
    content: Option<String>,
    old_text: Option<String>,
    new_text: Option<String>,
}

/// What came of a call, or half a sentence that says why not.
type Done = Result<String, String>;

impl Filesystem {
    /// Folders with the tools for them; with `only`, those of these names.
    #[must_use]
    pub fn new(roots: Vec<PathBuf>, access: FileAccess, only: Option<&[String]>) -> Self {
        let wanted = |name: &str| only.is_none_or(|only| only.iter().any(|it| it == name));
        let tools = ACTS
            .iter()
            .filter(|(name, _, needs)| {
                wanted(name) && (*needs == FileAccess::Read || access == FileAccess::Write)
            })
            .filter_map(|(name, act, _)| offered(name, *act))
            .collect();
        Self { roots: roots.into(), tools }
    }

    /// The tools, in an order that never changes.
    #[must_use]
    pub fn tools(&self) -> &[OfferedTool] {
        &self.tools
    }

    /// Whether a model's call of this name is one of these tools.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.tools.iter().any(|tool| tool.name == name)
    }

    /// Calls a tool by its offered name, with the arguments as the model wrote them. Never fails: what goes wrong is
    /// a result that says so.
    pub async fn call(&self, name: &str, arguments: &str, patience: Duration) -> Called {
        let started = Instant::now();
        let tool = name.strip_prefix("filesystem__").unwrap_or(name).to_owned();
        let act = ACTS.iter().find(|(known, ..)| *known == tool).filter(|_| self.has(name));
        let Some((_, act, _)) = act else {
            let shown: String = crate::shown::visible(name).chars().take(100).collect();
            return called(
                tool,
                Err((ErrorCode::UnknownTool, format!("there is no tool `{shown}`"))),
                started,
            );
        };
        let text = if arguments.trim().is_empty() { "{}" } else { arguments };
        let Ok(arguments) = serde_json::from_str::<Arguments>(text) else {
            let why = "the arguments are no JSON object of texts".to_owned();
            return called(tool, Err((ErrorCode::BadArguments, why)), started);
        };
        let (roots, act) = (Arc::clone(&self.roots), *act);
        // Disks are slow, and a search is long.
        let work = tokio::task::spawn_blocking(move || carry_out(&roots, act, &arguments));
        let done = match tokio::time::timeout(patience, work).await {
            Ok(Ok(done)) => done.map_err(|why| (ErrorCode::BadArguments, why)),
            Ok(Err(_broken)) => Err((ErrorCode::ProtocolError, "the tool broke".to_owned())),
            Err(_elapsed) => Err((ErrorCode::Timeout, "it took too long".to_owned())),
        };
        called(tool, done, started)
    }
}

fn called(tool: String, done: Result<String, (ErrorCode, String)>, started: Instant) -> Called {
    let (code, text) = match done {
        Ok(text) => (None, text),
        Err((code, why)) => (Some(code), why),
    };
    Called {
        server: SERVER.to_owned(),
        tool,
        is_error: code.is_some(),
        code,
        bytes: text.len(),
        result: Value::from(text.clone()),
        text,
        took: started.elapsed(),
    }
}

fn offered(name: &str, act: Act) -> Option<OfferedTool> {
    let text = |about: &str| json!({ "type": "string", "description": about });
    let path = || text("A path below one of the folders: absolute, or from the first of them on.");
    let (about, properties, required): (_, Value, &[&str]) = match act {
        Act::ListRoots => ("List the folders that can be used.", json!({}), &[]),
        Act::List => ("List what is in a folder.", json!({ "path": path() }), &[]),
        Act::Read => ("Read a text file.", json!({ "path": path() }), &["path"]),
        Act::Search => (
            "Find the lines of text files below a folder that contain a text.",
            json!({ "path": path(), "query": text("The text, as it stands there.") }),
            &["query"],
        ),
        Act::Write => (
            "Write a text file, in the place of what is there.",
            json!({ "path": path(), "content": text("All that it shall contain.") }),
            &["path", "content"],
        ),
        Act::Edit => (
            "Change a part of a text file. The old text must stand there exactly once.",
            json!({
                "path": path(),
                "old_text": text("The part, as it stands there."),
                "new_text": text("What shall stand in its place."),
            }),
            &["path", "old_text", "new_text"],
        ),
    };
    let schema = json!({
        "type": "object", "properties": properties, "required": required, "additionalProperties": false,
    });
    Some(OfferedTool {
        name: format!("{SERVER}__{name}"),
        server: SERVER.to_owned(),
        tool: name.to_owned(),
        description: Some(about.to_owned()),
        schema: RawJson::of(&schema).ok()?,
        hash: String::new(),
    })
}

fn carry_out(roots: &[PathBuf], act: Act, arguments: &Arguments) -> Done {
    let path = arguments.path.as_deref();
    let given =
        |text: &Option<String>, name: &str| text.clone().ok_or_else(|| format!("`{name}` is missing"));
    match act {
        Act::ListRoots => {
            let shown: Vec<String> = roots.iter().map(|root| root.display().to_string()).collect();
            Ok(shown.join("\n"))
        }
        Act::List => list(&folder(&Place::of(roots, path)?)?),
        Act::Read => read(&Place::of(roots, Some(&given(&arguments.path, "path")?))?),
        Act::Search => search(&Place::of(roots, path)?, &given(&arguments.query, "query")?),
        Act::Write => {
            let place = Place::of(roots, Some(&given(&arguments.path, "path")?))?;
            let content = given(&arguments.content, "content")?;
            write(&place, &content)?;
            Ok(format!("wrote {} bytes", content.len()))
        }
        Act::Edit => {
            let place = Place::of(roots, Some(&given(&arguments.path, "path")?))?;
            edit(&place, &given(&arguments.old_text, "old_text")?, &given(&arguments.new_text, "new_text")?)
        }
    }
}

/// A folder of the configuration, and the way down from it.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    root: PathBuf,
    parts: Vec<std::ffi::OsString>,
}

impl Place {
    /// Where a path leads. Nothing is looked up: what is not plainly below a root is refused.
    fn of(roots: &[PathBuf], path: Option<&str>) -> Result<Self, String> {
        let path = Path::new(path.unwrap_or(""));
        let (root, rest) = if path.is_absolute() {
            let root = roots.iter().find(|root| path.starts_with(root));
            let root = root.ok_or("the path is not below one of the folders")?;
            (root, path.strip_prefix(root).unwrap_or(path))
        } else {
            (roots.first().ok_or("there is no folder")?, path)
        };
        let mut parts = Vec::new();
        for part in rest.components() {
            match part {
                Component::Normal(part) => parts.push(part.to_owned()),
                Component::CurDir => {}
                Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                    return Err("the path is not below one of the folders".to_owned());
                }
            }
        }
        if parts.len() > 2 * MOST_LEVELS {
            return Err("the path is too long".to_owned());
        }
        Ok(Self { root: root.clone(), parts })
    }
}

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// The root itself is the operator's, so that it may be a link.
fn root(place: &Place) -> Result<OwnedFd, String> {
    open(&place.root, FOLDER, Mode::empty()).map_err(|error| said(error, "the folder"))
}

/// A folder, from its root on without following a link.
fn folder_of(place: &Place, parts: &[std::ffi::OsString]) -> Result<OwnedFd, String> {
    let mut at = root(place)?;
    for part in parts {
        let flags = FOLDER | OFlags::NOFOLLOW;
        at = openat(&at, part.as_os_str(), flags, Mode::empty())
            .map_err(|error| said(error, "a folder of the path"))?;
    }
    Ok(at)
}

fn folder(place: &Place) -> Result<OwnedFd, String> {
    folder_of(place, &place.parts)
}

/// The folder that a file is in, and its name there.
fn parent(place: &Place) -> Result<(OwnedFd, &OsStr), String> {
    let (name, above) = place.parts.split_last().ok_or("the path is a folder")?;
    Ok((folder_of(place, above)?, name))
}

/// A regular file's beginning, as text; whether there is more of it.
fn text_of(dir: &OwnedFd, name: &OsStr, most: u64) -> Result<(String, bool), String> {
    // Without waiting: a pipe that nobody writes to would hold the call up.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = openat(dir, name, flags, Mode::empty()).map_err(|error| said(error, "the file"))?;
    let about = fstat(&file).map_err(|error| said(error, "the file"))?;
    if FileType::from_raw_mode(about.st_mode) != FileType::RegularFile {
        return Err("this is no regular file".to_owned());
    }
    let mut bytes = Vec::new();
    let read = std::fs::File::from(file).take(most + 1).read_to_end(&mut bytes);
    read.map_err(|error| format!("the file cannot be read: {}", error.kind()))?;
    let is_cut = u64::try_from(bytes.len()).unwrap_or(u64::MAX) > most;
    if is_cut {
        bytes.truncate(usize::try_from(most).unwrap_or(usize::MAX));
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok((text, is_cut)),
        // A letter may be cut at the end.
        Err(error) if is_cut && error.utf8_error().error_len().is_none() => {
            let whole = error.utf8_error().valid_up_to();
            let mut bytes = error.into_bytes();
            bytes.truncate(whole);
            String::from_utf8(bytes)
                .map(|text| (text, true))
                .map_err(|_not_text| "this is no text".to_owned())
        }
        Err(_) => Err("this is no text".to_owned()),
    }
}

fn read(place: &Place) -> Done {
    let (dir, name) = parent(place)?;
    let (mut text, is_cut) = text_of(&dir, name, MOST_READ)?;
    if is_cut {
        text.push_str(&format!("\n[cut after {MOST_READ} bytes]"));
    }
    Ok(text)
}

/// What a folder holds: names with their kinds, sorted.
fn entries(dir: &OwnedFd) -> Result<Vec<(Vec<u8>, FileType)>, String> {
    let mut all = Vec::new();
    for entry in Dir::read_from(dir).map_err(|error| said(error, "the folder"))? {
        let entry = entry.map_err(|error| said(error, "the folder"))?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            all.push((name.to_vec(), entry.file_type()));
        }
        if all.len() > 10 * MOST_ENTRIES {
            break;
        }
    }
    all.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(all)
}

fn list(dir: &OwnedFd) -> Done {
    let all = entries(dir)?;
    let more = all.len().saturating_sub(MOST_ENTRIES);
    let mut lines: Vec<String> = all
        .iter()
        .take(MOST_ENTRIES)
        .map(|(name, kind)| {
            let kind = match kind {
                FileType::Directory => "DIR",
                FileType::Symlink => "LINK",
                _ => "FILE",
            };
            format!("[{kind}] {}", crate::shown::visible(&String::from_utf8_lossy(name)))
        })
        .collect();
    if more > 0 {
        lines.push(format!("[and {more} more]"));
    }
    Ok(if lines.is_empty() { "the folder is empty".to_owned() } else { lines.join("\n") })
}

/// What a search has gone through so far.
#[derive(Default)]
struct Search {
    found: Vec<String>,
    files: usize,
    bytes: u64,
    is_cut: bool,
}

fn search(place: &Place, query: &str) -> Done {
    if query.is_empty() {
        return Err("`query` is empty".to_owned());
    }
    let mut search = Search::default();
    let below: PathBuf = place.parts.iter().collect();
    search.folder(&folder(place)?, &place.root.join(below), query, 0);
    let mut lines = search.found;
    if search.is_cut {
        lines.push("[there is more than a search goes through]".to_owned());
    }
    Ok(if lines.is_empty() { "nothing found".to_owned() } else { lines.join("\n") })
}

impl Search {
    fn is_full(&self) -> bool {
        self.files >= MOST_SEARCHED || self.bytes >= MOST_BYTES || self.found.len() >= MOST_FOUND
    }

    fn folder(&mut self, dir: &OwnedFd, path: &Path, query: &str, level: usize) {
        let Ok(all) = entries(dir) else { return };
        for (name, kind) in all {
            if self.is_full() || level >= MOST_LEVELS {
                self.is_cut = true;
                return;
            }
            let name = OsStr::from_bytes(&name);
            let path = path.join(name);
            match kind {
                FileType::Directory => {
                    let flags = FOLDER | OFlags::NOFOLLOW;
                    if let Ok(below) = openat(dir, name, flags, Mode::empty()) {
                        self.folder(&below, &path, query, level + 1);
                    }
                }
                FileType::RegularFile | FileType::Unknown => self.file(dir, name, &path, query),
                _ => {}
            }
        }
    }

    fn file(&mut self, dir: &OwnedFd, name: &OsStr, path: &Path, query: &str) {
        self.files += 1;
        let Ok((text, is_cut)) = text_of(dir, name, 1 << 20) else { return };
        self.bytes += u64::try_from(text.len()).unwrap_or(u64::MAX);
        self.is_cut |= is_cut;
        for (at, line) in text.lines().enumerate().filter(|(_, line)| line.contains(query)) {
            if self.found.len() >= MOST_FOUND {
                self.is_cut = true;
                return;
            }
            let line: String = line.trim().chars().take(LINE).collect();
            self.found.push(format!("{}:{}: {line}", path.display(), at + 1));
        }
    }
}

/// Writes beside and puts in place, so that nobody sees half of it and no link is followed.
fn write(place: &Place, content: &str) -> Result<(), String> {
    if content.len() > MOST_WRITTEN {
        return Err(format!("the content is longer than {MOST_WRITTEN} bytes"));
    }
    let (dir, name) = parent(place)?;
    let mut beside = name.as_bytes().to_vec();
    beside.truncate(200);
    beside.extend_from_slice(format!(".{:08x}.new", rand_suffix()).as_bytes());
    let beside = OsStr::from_bytes(&beside);
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mode = Mode::RUSR | Mode::WUSR | Mode::RGRP | Mode::ROTH;
    let file = openat(&dir, beside, flags, mode).map_err(|error| said(error, "the file"))?;
    let mut file = std::fs::File::from(file);
    let written = file.write_all(content.as_bytes()).and_then(|()| file.sync_data());
    let done = written
        .map_err(|error| format!("the file cannot be written: {}", error.kind()))
        .and_then(|()| renameat(&dir, beside, &dir, name).map_err(|error| said(error, "the file")));
    if done.is_err() {
        // What is left of it is no use to anybody.
        unlinkat(&dir, beside, AtFlags::empty()).ok();
    }
    done
}

/// Tells files that are written at the same time apart; the name is taken only if it is free.
fn rand_suffix() -> u32 {
    use std::hash::{BuildHasher, Hasher};
    let hash = std::collections::hash_map::RandomState::new().build_hasher().finish();
    u32::try_from(hash >> 32).unwrap_or_default()
}

fn edit(place: &Place, old: &str, new: &str) -> Done {
    if old.is_empty() {
        return Err("`old_text` is empty".to_owned());
    }
    let (dir, name) = parent(place)?;
    let (text, is_cut) = text_of(&dir, name, u64::try_from(MOST_WRITTEN).unwrap_or(u64::MAX))?;
    if is_cut {
        return Err(format!("the file is longer than {MOST_WRITTEN} bytes"));
    }
    match text.matches(old).count() {
        0 => Err("`old_text` does not stand in the file".to_owned()),
        1 => {
            write(place, &text.replacen(old, new, 1))?;
            Ok("changed it in 1 place".to_owned())
        }
        count => Err(format!("`old_text` stands in the file {count} times; give more of what is around it")),
    }
}

fn said(error: Errno, what: &str) -> String {
    match error {
        Errno::LOOP => format!("{what} is a link, and none is followed"),
        Errno::NOTDIR => format!("{what} is no folder, or a link, and none is followed"),
        Errno::NOENT => format!("{what} is not there"),
        other => format!("{what} cannot be used: {}", kind(other)),
    }
}

fn kind(error: Errno) -> ErrorKind {
    std::io::Error::from(error).kind()
}

#[cfg(test)]
mod tests;
