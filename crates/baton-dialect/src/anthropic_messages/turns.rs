//! Brings a conversation of any origin into the order that this dialect demands.
//!
//! System messages at the start go apart. Then roles alternate, a user turn comes first, and the
//! results of all calls of an assistant turn stand together at the head of the next turn. What does
//! not fit is moved or said in words, never lost; a call without a result gets one that says so.
//!
//! - Start with [`Conversation::of`].
//! - **Invariant:** every `tool_use` is answered in the next turn, exactly once, in order.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet, VecDeque};

use baton_model::{Dialect, Message, Part, PartKind, RawJson, Request, Role};
use memchr::memmem;
use serde::Serialize;

use super::DIALECT;
use super::block::{
    cache, document_block, image_block, is_own, missing_result, result_block, text_block, trim_end,
};
use super::types::{Block, Input};
use super::usage::call_id;
use crate::Loss;
use crate::convert::hashed_id;
use crate::losses::{self, Dropped};

/// What a user turn says that exists only because the dialect demands one.
const MINIMAL_USER_TEXT: &str = "Continue.";

/// A conversation as it is sent.
pub(super) struct Conversation<'r> {
    pub(super) system: Vec<Block<'r>>,
    pub(super) turns: Vec<Turn<'r>>,
    /// Whether it ends with the results of calls that were made without thinking.
    pub(super) open_round: bool,
}

/// One message.
#[derive(Serialize)]
pub(super) struct Turn<'r> {
    role: Speaker,
    pub(super) content: Vec<Block<'r>>,
}

impl Turn<'_> {
    /// Whose turn it is, as the dialect says it.
    pub(super) const fn role(&self) -> &'static str {
        match self.role {
            Speaker::User => "user",
            Speaker::Assistant => "assistant",
            Speaker::System => "system",
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Speaker {
    User,
    Assistant,
    /// Only for clients of this dialect, who may put one between the turns.
    System,
}

impl<'r> Conversation<'r> {
    /// Orders a request's messages. What cannot be carried is named in `dropped`.
    pub(super) fn of(request: &'r Request, dropped: &mut Dropped) -> Self {
        let mut arrangement = Arrangement::new(request.origin == DIALECT, dropped);
        arrangement.add_all(&request.messages, Instructions::AtTheStart);
        arrangement.finish()
    }

    /// Orders messages that go on from a client's own, which stand in the body already and are `given` as JSON.
    /// No turn is made up at either end, and instructions go to the system prompt wherever they stand.
    pub(super) fn going_on(messages: &'r [Message], given: &'r [u8]) -> Self {
        let mut dropped = Dropped::default();
        let mut arrangement = Arrangement { given, ..Arrangement::new(true, &mut dropped) };
        arrangement.add_all(messages, Instructions::Anywhere);
        arrangement.answer_open_calls();
        let open_round = arrangement.ends_with_unthought_calls();
        Conversation { open_round, ..arrangement.fill() }
    }
}

/// Which instructions belong to the system prompt.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Instructions {
    AtTheStart,
    Anywhere,
}

/// The state of one arrangement.
struct Arrangement<'r, 'd> {
    own: bool,
    system: Vec<Block<'r>>,
    turns: Vec<Draft<'r>>,
    calls: Vec<Call<'r>>,
    /// The calls without a result yet, by the id the client gave them, in order.
    open: HashMap<&'r str, VecDeque<usize>>,
    /// The ids that are written.
    ids: HashSet<String>,
    /// The messages that stand before, whose ids are taken too.
    given: &'r [u8],
    /// How often an id was given by the client.
    times: HashMap<&'r str, usize>,
    /// Whether the message before was the assistant's.
    speaks: bool,
    /// Which message and which of its parts is looked at.
    place: (usize, usize),
    dropped: &'d mut Dropped,
}

/// A turn whose results are not filled in yet.
struct Draft<'r> {
    speaker: Speaker,
    /// The calls it makes, or for a user turn those it answers: indices into the list of calls.
    calls: Vec<usize>,
    blocks: Vec<Block<'r>>,
}

/// A call and, once it is found, its result.
struct Call<'r> {
    id: String,
    result: Option<Block<'r>>,
}

impl<'r, 'd> Arrangement<'r, 'd> {
    fn new(own: bool, dropped: &'d mut Dropped) -> Self {
        Self {
            own,
            system: Vec::new(),
            turns: Vec::new(),
            calls: Vec::new(),
            open: HashMap::new(),
            ids: HashSet::new(),
            given: b"",
            times: HashMap::new(),
            speaks: false,
            place: (0, 0),
            dropped,
        }
    }

    fn add_all(&mut self, messages: &'r [Message], instructions: Instructions) {
        let mut started = false;
        for (at, message) in messages.iter().enumerate() {
            let instructs = matches!(message.role, Role::System | Role::Developer);
            started |= !instructs;
            let above = instructs && (!started || instructions == Instructions::Anywhere);
            self.begin(message);
            if message.name.is_some() {
                self.dropped.lose(&losses::MESSAGES_NAME, "name");
            }
            for (part_at, part) in message.parts.iter().enumerate() {
                self.place = (at, part_at);
                if part.cache.is_some() && cache(part).is_none() {
                    self.dropped.lose(&losses::MESSAGES_CACHE, "cache_control");
                }
                match &part.kind {
                    PartKind::Text(text) if above => self.system.extend(text_block(text, part)),
                    _ => self.add(message.role, part),
                }
            }
        }
    }

    /// A message begins: calls of an earlier assistant message are answered before the next one. In Responses the
    /// items of one answer stand side by side, and each text begins a message: there both are one turn.
    fn begin(&mut self, message: &Message) {
        let speaks = message.role == Role::Assistant;
        let of_items = message.parts.iter().all(|part| part.origin.dialect == Dialect::OpenaiResponses);
        if speaks && !(self.speaks && of_items) {
            self.answer_open_calls();
        }
        self.speaks = speaks;
    }

    fn add(&mut self, role: Role, part: &'r Part) {
        match &part.kind {
            PartKind::Text(text) | PartKind::Refusal(text) => self.add_text(role, text, part),
            PartKind::Image { source, detail } => {
                self.note_detail(detail.as_deref());
                if role == Role::Assistant {
                    return self.drop_part(&losses::MESSAGES_PART, "image");
                }
                self.push(Speaker::User, image_block(source, part));
            }
            PartKind::Document { source, name } => match document_block(source, name.as_deref(), part) {
                Some(block) => self.push(Speaker::User, block),
                None => self.drop_part(&losses::MESSAGES_DOCUMENT, "document"),
            },
            PartKind::Reasoning { text, signature: Some(signature) }
                if is_own(part) && !signature.is_empty() =>
            {
                self.push(Speaker::Assistant, Block::Thinking { thinking: text, signature });
            }
            PartKind::RedactedReasoning { data } if is_own(part) => {
                self.push(Speaker::Assistant, Block::RedactedThinking { data });
            }
            // Thinking of other vendors, or without its proof, is refused here: its origin keeps it.
            PartKind::Reasoning { .. } | PartKind::RedactedReasoning { .. } => {}
            PartKind::ToolCall { id, name, arguments } => self.add_call(id, name, arguments, part),
            PartKind::ToolResult { call_id, parts, is_error } => {
                self.add_result(call_id, parts, *is_error, part);
            }
            PartKind::Other(raw) if is_own(part) => {
                let speaker = if role == Role::Assistant { Speaker::Assistant } else { Speaker::User };
                self.push(speaker, Block::Other(raw.clone()));
            }
            PartKind::Other(raw) => self.drop_other(raw),
        }
    }

    fn add_text(&mut self, role: Role, text: &'r str, part: &Part) {
        let Some(block) = text_block(text, part) else { return };
        match role {
            Role::Assistant => self.push(Speaker::Assistant, block),
            Role::User | Role::Tool => self.push(Speaker::User, block),
            Role::System | Role::Developer if self.own => self.push(Speaker::System, block),
            Role::System | Role::Developer => {
                let text = Cow::Owned(format!("System instruction: {text}"));
                self.push(Speaker::User, Block::Text { text, cache_control: cache(part) });
            }
        }
    }

    fn add_call(&mut self, id: &'r str, name: &'r str, arguments: &'r str, part: &Part) {
        let new = self.unused_id(id);
        let block =
            Block::ToolUse { id: new.clone(), name, input: Input::of(arguments), cache_control: cache(part) };
        let call = self.calls.len();
        self.calls.push(Call { id: new, result: None });
        self.open.entry(id).or_default().push_back(call);
        self.turn(Speaker::Assistant).calls.push(call);
        self.push(Speaker::Assistant, block);
    }

    /// Some providers begin to count their calls anew in every turn; here ids are unique.
    fn unused_id(&mut self, id: &'r str) -> String {
        let times = self.times.entry(id).or_default();
        loop {
            *times += 1;
            let new = if *times == 1 {
                call_id(id).into_owned()
            } else {
                hashed_id(&format!("{id}#{times}"), "toolu_")
            };
            let quoted = format!("\"{new}\"");
            if memmem::find(self.given, quoted.as_bytes()).is_none() && self.ids.insert(new.clone()) {
                return new;
            }
        }
    }

    fn add_result(&mut self, call_id: &'r str, parts: &'r [Part], is_error: bool, part: &Part) {
        let content = self.result_content(parts);
        let Some(call) = self.find_call(call_id) else { return self.add_orphan(call_id, content) };
        call.result = Some(result_block(call.id.clone(), content, is_error, cache(part)));
        self.answer_open_calls();
    }

    /// Takes the open call of this id. Where ids are given twice, results are in the order of the calls
    /// of the last round; one of an earlier round comes late.
    fn find_call(&mut self, call_id: &str) -> Option<&mut Call<'r>> {
        let asked =
            self.turns.iter().rfind(|turn| turn.speaker == Speaker::Assistant && !turn.calls.is_empty());
        let round = asked.and_then(|turn| turn.calls.first()).copied().unwrap_or(0);
        let open = self.open.get_mut(call_id)?;
        let of_last_round = open.partition_point(|call| *call < round);
        let call = open.remove(of_last_round).or_else(|| open.pop_back())?;
        self.calls.get_mut(call)
    }

    /// A result whose call is not in the conversation is refused as a result, so it is said in words.
    fn add_orphan(&mut self, call_id: &str, content: Vec<Block<'r>>) {
        let text = Cow::Owned(format!("Result of the earlier tool call `{call_id}`:"));
        self.push(Speaker::User, Block::Text { text, cache_control: None });
        for block in content {
            self.push(Speaker::User, block);
        }
    }

    fn result_content(&mut self, parts: &'r [Part]) -> Vec<Block<'r>> {
        let mut content = Vec::with_capacity(parts.len());
        for part in parts {
            match &part.kind {
                PartKind::Text(text) | PartKind::Refusal(text) => content.extend(text_block(text, part)),
                PartKind::Image { source, detail } => {
                    self.note_detail(detail.as_deref());
                    content.push(image_block(source, part));
                }
                PartKind::Document { source, name } => match document_block(source, name.as_deref(), part) {
                    Some(block) => content.push(block),
                    None => self.drop_part(&losses::MESSAGES_DOCUMENT, "document"),
                },
                PartKind::Other(raw) if is_own(part) => content.push(Block::Other(raw.clone())),
                PartKind::Other(raw) => self.drop_other(raw),
                PartKind::Reasoning { .. }
                | PartKind::RedactedReasoning { .. }
                | PartKind::ToolCall { .. }
                | PartKind::ToolResult { .. } => {}
            }
        }
        content
    }

    /// After a turn with calls, opens the user turn that answers them.
    fn answer_open_calls(&mut self) {
        if let Some(last) = self.turns.last()
            && last.speaker == Speaker::Assistant
            && !last.calls.is_empty()
        {
            let calls = last.calls.clone();
            self.turns.push(Draft { speaker: Speaker::User, calls, blocks: Vec::new() });
        }
    }

    /// The turn that a speaker's next block belongs to.
    fn turn(&mut self, speaker: Speaker) -> &mut Draft<'r> {
        if self.turns.last().is_none_or(|last| last.speaker != speaker) {
            self.answer_open_calls();
        }
        if self.turns.last().is_none_or(|last| last.speaker != speaker) {
            self.turns.push(Draft { speaker, calls: Vec::new(), blocks: Vec::new() });
        }
        let last = self.turns.len() - 1;
        #[expect(clippy::indexing_slicing, reason = "a turn of this speaker was pushed just above")]
        &mut self.turns[last]
    }

    fn push(&mut self, speaker: Speaker, block: Block<'r>) {
        self.turn(speaker).blocks.push(block);
    }

    fn note_detail(&mut self, detail: Option<&str>) {
        let asks = detail.is_some_and(|detail| detail != "auto");
        self.dropped.lose_if(asks, &losses::MESSAGES_DETAIL, "detail");
    }

    fn drop_other(&mut self, raw: &RawJson) {
        #[derive(serde::Deserialize)]
        struct Kind {
            r#type: Option<String>,
        }
        let kind = raw.read::<Kind>().ok().and_then(|kind| kind.r#type);
        let kind = kind.as_deref().unwrap_or("unknown");
        let audio = kind == "input_audio";
        self.drop_part(if audio { &losses::MESSAGES_AUDIO } else { &losses::MESSAGES_PART }, kind);
    }

    fn drop_part(&mut self, loss: &'static Loss, kind: &str) {
        let (message, part) = self.place;
        self.dropped.lose(loss, &format!("messages[{message}].content[{part}] ({kind})"));
    }

    fn finish(mut self) -> Conversation<'r> {
        self.answer_open_calls();
        let open_round = self.ends_with_unthought_calls();
        if self.turns.first().is_none_or(|first| first.speaker != Speaker::User) {
            self.turns.insert(0, minimal_turn());
        }
        if let Some(last) = self.turns.last_mut()
            && last.speaker == Speaker::Assistant
        {
            if self.own {
                trim_end(&mut last.blocks);
            } else {
                // Elsewhere an answer at the end is history. Here the model would write on in it.
                self.turns.push(minimal_turn());
            }
        }
        Conversation { open_round, ..self.fill() }
    }

    /// Puts the results in their places.
    fn fill(self) -> Conversation<'r> {
        let Self { system, turns, mut calls, .. } = self;
        let turns = turns.into_iter().map(|draft| draft.fill(&mut calls)).collect();
        Conversation { system, turns, open_round: false }
    }

    fn ends_with_unthought_calls(&self) -> bool {
        let mut turns = self.turns.iter().rev();
        let answers =
            turns.next().is_some_and(|last| last.speaker == Speaker::User && !last.calls.is_empty());
        answers
            && turns.next().is_some_and(|asked| {
                !matches!(asked.blocks.first(), Some(Block::Thinking { .. } | Block::RedactedThinking { .. }))
            })
    }
}

impl<'r> Draft<'r> {
    fn fill(self, calls: &mut [Call<'r>]) -> Turn<'r> {
        if self.speaker != Speaker::User {
            return Turn { role: self.speaker, content: self.blocks };
        }
        let mut content = Vec::with_capacity(self.calls.len() + self.blocks.len());
        for index in self.calls {
            if let Some(call) = calls.get_mut(index) {
                content.push(call.result.take().unwrap_or_else(|| missing_result(call.id.clone())));
            }
        }
        content.extend(self.blocks);
        Turn { role: self.speaker, content }
    }
}

fn minimal_turn<'r>() -> Draft<'r> {
    let text = Cow::Borrowed(MINIMAL_USER_TEXT);
    Draft {
        speaker: Speaker::User,
        calls: Vec::new(),
        blocks: vec![Block::Text { text, cache_control: None }],
    }
}
