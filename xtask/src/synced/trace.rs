//! Reads what `strace` wrote, and judges the order of writes, syncs and answers.
//!
//! - Start with [`Order::take`], a line at a time, in the order in which they were written.
//! - **Invariant:** a sync counts for what had been written when it *began*, in the same file.

use std::collections::HashMap;
use std::fmt;

/// What a decision's id begins with.
const ID: &str = "dec_";
/// The header that brings the id to the client.
const HEADER: &str = "x-baton-decision-id: ";
/// The folder of the journal, in the path of a file.
const JOURNAL: &str = "/journal/";

/// The order of things, as far as it was read.
#[derive(Debug, Default)]
pub(super) struct Order {
    /// Answers with a decision that were seen to leave.
    pub(super) answers: u64,
    /// Syncs of the journal that returned well.
    pub(super) syncs: u64,
    /// Decisions whose answers left too early.
    pub(super) early: Vec<String>,
    /// How far each decision is.
    decisions: HashMap<String, State>,
    /// Calls that have begun and not returned, by thread.
    open: HashMap<String, Begun>,
    /// How many lines were read.
    line: u64,
}

/// How far a decision is.
#[derive(Debug)]
enum State {
    /// It is in this file since this line.
    Written { file: String, line: u64 },
    /// A sync has returned that began after that.
    Synced,
}

/// A call that has not returned.
#[derive(Debug)]
enum Begun {
    /// Entries of these decisions go into a file.
    Write { file: String, ids: Vec<String> },
    /// A file is synced, since this line.
    Sync { file: String, line: u64 },
}

impl Order {
    /// Takes the next line.
    pub(super) fn take(&mut self, line: &str) {
        self.line += 1;
        let Some((thread, rest)) = line.split_once(' ') else { return };
        let rest = rest.trim_start();
        if rest.starts_with("<...") {
            if let Some(begun) = self.open.remove(thread) {
                self.end(begun, rest);
            }
            return;
        }
        let Some((call, arguments)) = rest.split_once('(') else { return };
        let begun = match call {
            "pwrite64" => journal_file(arguments).map(|file| Begun::Write { file, ids: ids(arguments) }),
            "fdatasync" | "fsync" => {
                journal_file(arguments).map(|file| Begun::Sync { file, line: self.line })
            }
            "write" | "writev" | "sendto" | "sendmsg" => {
                self.answer(arguments);
                None
            }
            _ => None,
        };
        let Some(begun) = begun else { return };
        if rest.ends_with("<unfinished ...>") {
            self.open.insert(thread.to_owned(), begun);
        } else {
            self.end(begun, rest);
        }
    }

    /// A call has returned.
    fn end(&mut self, begun: Begun, line: &str) {
        let result = line.rsplit_once(" = ").map_or("", |(_, result)| result);
        let went_well = result.split_whitespace().next().is_some_and(|number| number.parse::<u64>().is_ok());
        if !went_well {
            return;
        }
        match begun {
            Begun::Write { file, ids } => {
                for id in ids {
                    let state = State::Written { file: file.clone(), line: self.line };
                    // An outcome names its decision too; the first entry is the decision.
                    self.decisions.entry(id).or_insert(state);
                }
            }
            Begun::Sync { file: synced, line: began } => {
                self.syncs += 1;
                for state in self.decisions.values_mut() {
                    if matches!(state, State::Written { file, line } if *file == synced && *line < began) {
                        *state = State::Synced;
                    }
                }
            }
        }
    }

    /// Bytes that begin to leave: an answer, if they hold the header.
    fn answer(&mut self, arguments: &str) {
        for (at, _) in arguments.match_indices(HEADER) {
            let Some(id) = arguments.get(at + HEADER.len()..).and_then(id_at) else { continue };
            self.answers += 1;
            if !matches!(self.decisions.get(id), Some(State::Synced)) {
                self.early.push(id.to_owned());
            }
        }
    }
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let in_time = self.answers.saturating_sub(self.early.len() as u64);
        write!(
            f,
            "{in_time} of {} answers: a sync that covers the decision had returned before the first byte ({} syncs)",
            self.answers, self.syncs
        )
    }
}

/// The file of a call whose first argument is `12</path/to/file>`, if it belongs to the journal.
fn journal_file(arguments: &str) -> Option<String> {
    let (_, rest) = arguments.split_once('<')?;
    let (path, _) = rest.split_once('>')?;
    path.contains(JOURNAL).then(|| path.to_owned())
}

/// Every id in a text.
fn ids(text: &str) -> Vec<String> {
    let places = text.match_indices(ID);
    places.filter_map(|(at, _)| id_at(text.get(at..)?)).map(str::to_owned).collect()
}

/// The id that a text begins with.
fn id_at(text: &str) -> Option<&str> {
    let rest = text.strip_prefix(ID)?;
    let digits = rest.find(|digit: char| !digit.is_ascii_alphanumeric()).unwrap_or(rest.len());
    text.get(..ID.len() + digits).filter(|_| digits > 0)
}

#[cfg(test)]
mod tests;
