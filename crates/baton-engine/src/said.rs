//! Puts together what a streamed turn said.

use std::collections::BTreeMap;

use baton_model::{Delta, Dialect, Part, PartKind, PartStart, StreamEvent};

/// The parts of a turn, growing.
#[derive(Debug)]
pub(crate) struct Said {
    dialect: Dialect,
    parts: BTreeMap<u32, Part>,
    stop_sequence: Option<String>,
}

impl Said {
    pub(crate) const fn new(dialect: Dialect) -> Self {
        Self { dialect, parts: BTreeMap::new(), stop_sequence: None }
    }

    pub(crate) fn add(&mut self, event: StreamEvent) {
        match event {
            StreamEvent::PartStart { index, part } => {
                self.parts.insert(index, Part::new(begun(part), self.dialect));
            }
            StreamEvent::Delta { index, delta } => {
                if let Some(part) = self.parts.get_mut(&index) {
                    extend(part, delta);
                }
            }
            StreamEvent::Finish { stop_sequence, .. } => self.stop_sequence = stop_sequence,
            StreamEvent::Start { .. }
            | StreamEvent::PartEnd { .. }
            | StreamEvent::Usage(_)
            | StreamEvent::Error(_)
            | StreamEvent::End => {}
        }
    }

    /// The dialect, the parts in their order, and the stop sequence that was met.
    pub(crate) fn into_parts(self) -> (Dialect, Vec<Part>, Option<String>) {
        let Self { dialect, parts, stop_sequence } = self;
        (dialect, parts.into_values().collect(), stop_sequence)
    }
}

fn begun(part: PartStart) -> PartKind {
    match part {
        PartStart::Text => PartKind::Text(String::new()),
        PartStart::Refusal => PartKind::Refusal(String::new()),
        PartStart::Reasoning => PartKind::Reasoning { text: String::new(), signature: None },
        PartStart::RedactedReasoning { data } => PartKind::RedactedReasoning { data },
        PartStart::ToolCall { id, name } => PartKind::ToolCall { id, name, arguments: String::new() },
        PartStart::Other(raw) => PartKind::Other(raw),
    }
}

fn extend(part: &mut Part, delta: Delta) {
    match (&mut part.kind, delta) {
        (_, Delta::Attached(members)) => {
            part.attached.get_or_insert_default().members.extend(members);
        }
        (
            PartKind::Text(text) | PartKind::Refusal(text) | PartKind::Reasoning { text, .. },
            Delta::Text(more),
        ) => {
            text.push_str(&more);
        }
        (PartKind::ToolCall { arguments, .. }, Delta::Arguments(more)) => arguments.push_str(&more),
        (PartKind::Reasoning { signature, .. }, Delta::Signature(more)) => {
            signature.get_or_insert_default().push_str(&more);
        }
        _ => {}
    }
}
