//! Finds which tool result belongs to which call, wherever in the conversation they stand.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet, VecDeque};

use baton_model::{Message, Part, PartKind};

use super::wire::custom_call_id;

/// Where a part stands: message and part.
pub(super) type Place = (usize, usize);

/// A tool result of the request.
#[derive(Clone, Copy)]
pub(super) struct Outcome<'a> {
    pub(super) place: Place,
    pub(super) parts: &'a [Part],
    pub(super) is_error: bool,
}

/// Which result belongs to which call.
pub(super) struct Rounds<'a> {
    pub(super) results: HashMap<Place, Outcome<'a>>,
    /// Results without a call.
    pub(super) orphans: HashSet<Place>,
}

impl<'a> Rounds<'a> {
    pub(super) fn of(messages: &'a [Message]) -> Self {
        let mut open: HashMap<Cow<'a, str>, VecDeque<Place>> = HashMap::new();
        let mut rounds = Self { results: HashMap::new(), orphans: HashSet::new() };
        let parts = messages.iter().enumerate().flat_map(|(i, message)| {
            message.parts.iter().enumerate().map(move |(j, part)| ((i, j), &part.kind))
        });
        for (place, kind) in parts {
            match kind {
                PartKind::ToolCall { id, .. } => open.entry(id.into()).or_default().push_back(place),
                PartKind::Other(raw) => {
                    if let Some(id) = custom_call_id(raw) {
                        open.entry(id).or_default().push_back(place);
                    }
                }
                PartKind::ToolResult { call_id, parts, is_error } => {
                    let outcome = Outcome { place, parts, is_error: *is_error };
                    match open.get_mut(call_id.as_str()).and_then(VecDeque::pop_front) {
                        Some(call) => {
                            rounds.results.insert(call, outcome);
                        }
                        None => {
                            rounds.orphans.insert(place);
                        }
                    }
                }
                _ => {}
            }
        }
        rounds
    }
}
