//! Keeps account of what came of each key of agents.

use crate::agents::{LoadNote, NoteKind};
use crate::mistake::Place;
use crate::reader::{At, Reader, Section};
use crate::tree::Span;

/// More than this nobody reads.
const MOST: usize = 20_000;

/// What came of each key so far.
#[derive(Default)]
pub(crate) struct Notes(Vec<LoadNote>);

impl Notes {
    pub(super) fn into_inner(self) -> Vec<LoadNote> {
        self.0
    }

    /// Takes a key that is honoured.
    pub(super) fn take<'t>(
        &mut self,
        reader: &mut Reader<'_>,
        section: &mut Section<'t>,
        key: &'static str,
    ) -> Option<At<'t>> {
        let (span, path) = section.place_of(key)?;
        let at = reader.take(section, key)?;
        self.honoured(span, &path);
        Some(at)
    }

    pub(super) fn honoured(&mut self, span: Span, path: &str) {
        self.note(span, path, NoteKind::Honoured, String::new());
    }

    pub(in crate::read) fn without_effect(&mut self, span: Span, path: &str, why: impl Into<String>) {
        self.note(span, path, NoteKind::WithoutEffect, why.into());
    }

    pub(super) fn unsupported(&mut self, span: Span, path: &str, why: impl Into<String>) {
        self.note(span, path, NoteKind::Unsupported, why.into());
    }

    pub(super) fn warn(&mut self, span: Span, path: &str, why: impl Into<String>) {
        self.note(span, path, NoteKind::Warning, why.into());
    }

    fn note(&mut self, span: Span, path: &str, kind: NoteKind, message: String) {
        if self.0.len() < MOST {
            let place = Place::Line { line: span.line, column: span.column };
            self.0.push(LoadNote { place, path: path.to_owned(), kind, message });
        }
    }
}
