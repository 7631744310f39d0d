//! Reads from a request what finds its conversation again, and the hand-offs that a client made itself.
//!
//! - Start with [`conversation_marks`] and [`observed_transfers`].
//! - **Invariant:** a mark depends on what is said, not on how its JSON is written.
//! - **Never here:** keys and secrets: the caller makes the mark of one principal differ from another's.

use std::sync::LazyLock;

use baton_model::{Dialect, ImageSource, Message, Part, PartKind, RawObject, Role};
use memchr::memmem::Finder;
use serde::Deserialize;

use crate::{DecodeError, anthropic_messages, openai_chat, openai_responses};

/// A hand-off that a client's own loop made just before this request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservedTransfer {
    /// The call that asked for it.
    pub call_id: String,
    /// The tool that was called.
    pub tool: String,
    /// Who it went to, as the arguments or the tool's name say.
    pub to: Option<String>,
}

/// What finds a conversation again.
///
/// The hashes are keys of buckets, not proofs: whoever knows how they are made can make two conversations meet.
/// So the caller puts them under a secret of its own, together with the principal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// The ids of the tool calls that the last messages answer.
    pub answered: Vec<String>,
    /// All before the last assistant turn; `None` where there is none.
    pub before: Option<u128>,
    /// All of it; `None` without messages.
    pub now: Option<u128>,
}

/// The transfers that a client's own loop made just before this request: calls of `transfer_to_…`, `handoff` and
/// `transfer_task` whose results are the last messages.
///
/// # Errors
/// [`DecodeError`] when such a call may be there and the messages cannot be read.
pub fn observed_transfers(dialect: Dialect, body: &RawObject) -> Result<Vec<ObservedTransfer>, DecodeError> {
    let key = if dialect == Dialect::OpenaiResponses { "input" } else { "messages" };
    let messages = body.get(key).unwrap_or_default();
    if SEARCHES.iter().all(|search| search.find(messages).is_none()) {
        return Ok(Vec::new());
    }
    let messages = decode_messages(dialect, body)?;
    let answered = answered(&messages);
    let (start, end) = last_assistant_turn(&messages).unwrap_or_default();
    let calls = messages.get(start..end).unwrap_or_default().iter().flat_map(|message| &message.parts);
    let transfers = calls.filter_map(|part| match &part.kind {
        PartKind::ToolCall { id, name, arguments } if answered.contains(&id.as_str()) => {
            let is_transfer = name.starts_with(PREFIX) || TOOLS.contains(&name.as_str());
            is_transfer.then(|| ObservedTransfer {
                call_id: id.clone(),
                tool: name.clone(),
                to: recipient(name, arguments),
            })
        }
        _ => None,
    });
    Ok(transfers.collect())
}

/// How the tools begin that name their recipient.
const PREFIX: &str = "transfer_to_";

/// The tools whose arguments name it.
const TOOLS: [&str; 2] = ["handoff", "transfer_task"];

/// Looks for each of these words. Made once: every request is searched.
static SEARCHES: LazyLock<[Finder<'static>; 3]> = LazyLock::new(|| {
    let [handoff, task] = TOOLS;
    [PREFIX, handoff, task].map(Finder::new)
});

/// Who a call hands over to.
fn recipient(tool: &str, arguments: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Arguments {
        agent: Option<String>,
    }
    match tool.strip_prefix(PREFIX) {
        Some(to) => Some(to.to_owned()).filter(|to| !to.is_empty()),
        None => serde_json::from_str::<Arguments>(arguments).ok().and_then(|arguments| arguments.agent),
    }
}

/// Ids and hashes that find this conversation again when it goes on.
///
/// # Errors
/// [`DecodeError`] when the messages cannot be read.
pub fn conversation_marks(dialect: Dialect, body: &RawObject) -> Result<Marks, DecodeError> {
    let messages = decode_messages(dialect, body)?;
    let turn = last_assistant_turn(&messages);
    let mut hash = Hash::new();
    let mut before = None;
    for (at, message) in messages.iter().enumerate() {
        if turn.is_some_and(|(start, _)| start == at) {
            before = Some(hash.value());
        }
        hash.message(message);
    }
    let now = (!messages.is_empty()).then(|| hash.value());
    Ok(Marks { answered: answered(&messages).into_iter().map(str::to_owned).collect(), before, now })
}

fn decode_messages(dialect: Dialect, body: &RawObject) -> Result<Vec<Message>, DecodeError> {
    match dialect {
        Dialect::OpenaiChat => openai_chat::decode_messages(body),
        Dialect::AnthropicMessages => anthropic_messages::decode_messages(body),
        Dialect::OpenaiResponses => openai_responses::decode_messages(body),
    }
}

/// Where the last assistant messages without anything between them stand.
fn last_assistant_turn(messages: &[Message]) -> Option<(usize, usize)> {
    let end = messages.iter().rposition(|message| message.role == Role::Assistant)? + 1;
    let turn = messages.get(..end)?;
    let start = turn.iter().rposition(|message| message.role != Role::Assistant).map_or(0, |at| at + 1);
    Some((start, end))
}

/// The calls that the messages behind the last assistant turn answer, where nothing follows the results but in
/// the same message.
fn answered(messages: &[Message]) -> Vec<&str> {
    let has_result = |message: &&Message| message.parts.iter().any(|part| result_of(part).is_some());
    let last = messages.iter().rev().take_while(has_result);
    let mut ids: Vec<&str> =
        last.flat_map(|message| message.parts.iter().rev().filter_map(result_of)).collect();
    ids.reverse();
    ids
}

fn result_of(part: &Part) -> Option<&str> {
    match &part.kind {
        PartKind::ToolResult { call_id, .. } => Some(call_id),
        _ => None,
    }
}

/// A hash of what is said: FNV-1a with 128 bits, which is the same on every machine and in every version, taken
/// in words of eight bytes instead of single ones, because conversations are long.
struct Hash(u128);

impl Hash {
    const fn new() -> Self {
        Self(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d)
    }

    const fn word(&mut self, word: u64) {
        self.0 = (self.0 ^ word as u128).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b);
        // A product carries upwards only; this brings the upper half down again.
        self.0 ^= self.0 >> 64;
    }

    fn text(&mut self, kind: u64, text: &str) {
        self.word(kind);
        self.word(text.len() as u64);
        let (words, rest) = text.as_bytes().as_chunks::<8>();
        for word in words {
            self.word(u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        for (to, from) in last.iter_mut().zip(rest) {
            *to = *from;
        }
        self.word(u64::from_le_bytes(last));
    }

    fn message(&mut self, message: &Message) {
        self.word(match message.role {
            Role::System => 1,
            Role::Developer => 2,
            Role::User => 3,
            Role::Assistant => 4,
            Role::Tool => 5,
        });
        for part in &message.parts {
            self.part(part);
        }
    }

    /// Thinking does not count, since clients may leave it out when they send an answer back. Of pictures only
    /// the length does.
    fn part(&mut self, part: &Part) {
        match &part.kind {
            PartKind::Text(text) if text.is_empty() => {}
            PartKind::Text(text) => self.text(6, text),
            PartKind::Refusal(text) => self.text(7, text),
            PartKind::Image { source: ImageSource::Url(url), .. } => self.text(8, url),
            PartKind::Image { source: ImageSource::Base64 { data, .. }, .. } => {
                self.word(9);
                self.word(data.len() as u64);
            }
            PartKind::ToolCall { id, name, .. } => {
                self.text(10, id);
                self.text(11, name);
            }
            PartKind::ToolResult { call_id, parts, .. } => {
                self.text(12, call_id);
                for part in parts {
                    self.part(part);
                }
            }
            PartKind::Document { .. } | PartKind::Other(_) => self.word(13),
            PartKind::Reasoning { .. } | PartKind::RedactedReasoning { .. } => {}
        }
    }

    const fn value(&self) -> u128 {
        self.0
    }
}

#[cfg(test)]
mod tests;
