//! Gives every call of a conversation an id of its own, and every result its call.
//!
//! Some providers begin to count their calls anew in every turn, and this dialect knows calls by their ids alone. It
//! refuses a call without a result, and a result without a call.

use std::collections::{HashMap, HashSet, VecDeque};

use baton_model::{Message, PartKind};

use crate::convert::{hashed_id, remap_id};

/// OpenAI refuses longer ids of calls.
const MAX_CALL_ID: usize = 64;

/// Where a part stands: message and part.
pub(super) type Place = (usize, usize);

/// The ids as they are written.
#[derive(Debug, Default)]
pub(super) struct Pairs {
    /// Of calls, and of the results that have one.
    ids: HashMap<Place, String>,
    /// Calls that have no result.
    open: HashSet<Place>,
}

impl Pairs {
    pub(super) fn of(messages: &[Message]) -> Self {
        let mut pairs = Self::default();
        let mut waiting: HashMap<&str, VecDeque<Place>> = HashMap::new();
        let mut used: HashSet<String> = HashSet::new();
        let mut times: HashMap<&str, usize> = HashMap::new();
        let parts = messages.iter().enumerate().flat_map(|(i, message)| {
            message.parts.iter().enumerate().map(move |(j, part)| ((i, j), &part.kind))
        });
        for (place, kind) in parts {
            match kind {
                PartKind::ToolCall { id, .. } => {
                    pairs.ids.insert(place, unused(id, &mut times, &mut used));
                    pairs.open.insert(place);
                    waiting.entry(id).or_default().push_back(place);
                }
                PartKind::ToolResult { call_id, .. } => {
                    if let Some(call) = waiting.get_mut(call_id.as_str()).and_then(VecDeque::pop_front) {
                        pairs.open.remove(&call);
                        let id = pairs.ids.get(&call).cloned().unwrap_or_default();
                        pairs.ids.insert(place, id);
                    }
                }
                _ => {}
            }
        }
        pairs
    }

    /// The id of a call, or of a result that has one.
    pub(super) fn id(&self, place: Place) -> Option<&str> {
        self.ids.get(&place).map(String::as_str)
    }

    /// Whether a call has no result.
    pub(super) fn is_open(&self, place: Place) -> bool {
        self.open.contains(&place)
    }
}

/// The id of a result that has no call.
pub(super) fn lonely(call_id: &str, (message, part): Place) -> String {
    hashed_id(&format!("{call_id}@{message}.{part}"), "call_")
}

fn unused<'a>(id: &'a str, times: &mut HashMap<&'a str, usize>, used: &mut HashSet<String>) -> String {
    let times = times.entry(id).or_default();
    loop {
        *times += 1;
        let new = if *times == 1 {
            remap_id(id, "call_", MAX_CALL_ID).into_owned()
        } else {
            hashed_id(&format!("{id}#{times}"), "call_")
        };
        if used.insert(new.clone()) {
            return new;
        }
    }
}
