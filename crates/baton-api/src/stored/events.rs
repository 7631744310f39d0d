//! Takes out of a stream the events that tell how a response stands, and lets all else pass at once.

use std::collections::VecDeque;

use bytes::Bytes;

/// The first lines of the events that are taken out.
const TAKEN: [&[u8]; 5] = [
    b"event: response.created\n",
    b"event: response.in_progress\n",
    b"event: response.completed\n",
    b"event: response.incomplete\n",
    b"event: response.failed\n",
];

/// A part of a stream.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// As it came.
    Passing(Bytes),
    /// A whole event, its last blank line included.
    Event(Vec<u8>),
}

/// Splits a stream.
#[derive(Debug, Default)]
pub(super) struct Events {
    place: Place,
    /// An event that is not whole, or the beginning of a line that may become one's first.
    held: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Default)]
enum Place {
    #[default]
    LineStart,
    InLine,
    InEvent,
    /// Nothing is looked for any more.
    Stopped,
}

impl Events {
    /// Adds the next part of the stream.
    pub(super) fn split(&mut self, data: Bytes, pieces: &mut VecDeque<Piece>) {
        let mut rest = data;
        // So much of the rest passes.
        let mut passing = 0;
        while let Some(left) = rest.get(passing..).filter(|left| !left.is_empty()) {
            let end = left.iter().position(|byte| *byte == b'\n').map(|at| at + 1);
            let length = end.unwrap_or(left.len());
            let behind = if end.is_some() { Place::LineStart } else { Place::InLine };
            match self.place {
                Place::Stopped => passing = rest.len(),
                Place::InLine => {
                    passing += length;
                    self.place = behind;
                }
                Place::LineStart => {
                    let line = left.get(..length).unwrap_or_default();
                    if self.held.is_empty() && !may_be_taken(line) {
                        passing += length;
                        self.place = behind;
                        continue;
                    }
                    pass(rest.split_to(passing), pieces);
                    passing = 0;
                    self.held.extend_from_slice(&rest.split_to(length));
                    if !may_be_taken(&self.held) {
                        pass(std::mem::take(&mut self.held).into(), pieces);
                        self.place = behind;
                    } else if end.is_some() {
                        self.place = Place::InEvent;
                    }
                }
                Place::InEvent => {
                    self.held.extend_from_slice(&rest.split_to(length));
                    if self.held.ends_with(b"\n\n") {
                        pieces.push_back(Piece::Event(std::mem::take(&mut self.held)));
                        self.place = Place::LineStart;
                    }
                }
            }
        }
        pass(rest, pieces);
    }

    /// From here on everything passes.
    pub(super) const fn stop(&mut self) {
        self.place = Place::Stopped;
    }

    /// What was held back when the stream ended.
    pub(super) fn rest(&mut self) -> Option<Piece> {
        let held = std::mem::take(&mut self.held);
        (!held.is_empty()).then(|| Piece::Passing(held.into()))
    }
}

/// Whether the beginning of a line can be, or is, the first line of an event that is taken out.
fn may_be_taken(line: &[u8]) -> bool {
    TAKEN.iter().any(|taken| taken.starts_with(line))
}

fn pass(bytes: Bytes, pieces: &mut VecDeque<Piece>) {
    if !bytes.is_empty() {
        pieces.push_back(Piece::Passing(bytes));
    }
}

#[cfg(test)]
mod tests;
