//! Puts the fragments of streamed tool calls together.
//!
//! By the book a fragment has an `index`, and id and name stand whole in the first one. In the field
//! the index is missing or always 0, ids and names come again with every fragment, or in pieces. So a
//! call is opened only when its first argument comes, or its end: then id and name are whole.
//!
//! - Start with [`ToolCalls::fragment`].
//! - **Invariant:** calls are opened in the order in which they first appeared.

use baton_model::{Delta, Fault, PartStart, RawJson, StreamEvent};

use serde_json::json;

use super::super::answer::missing_call_id;
use super::super::malformed;
use super::super::types::{CustomPiece, Function, ToolCall};
use super::decoder::next;

#[derive(Clone, Debug, Default)]
pub(in super::super) struct ToolCalls {
    answer_id: String,
    calls: Vec<Call>,
    custom: Vec<Custom>,
    /// The call that the last fragment belonged to.
    last: Option<usize>,
    /// The calls that the fragments of the last chunk belong to; `None` for one that is no function's.
    of_chunk: Vec<Option<usize>>,
}

/// A call of a tool that takes free text.
#[derive(Clone, Debug)]
struct Custom {
    index: Option<u64>,
    id: String,
    name: String,
    input: String,
}

impl Custom {
    fn whole(&self) -> serde_json::Value {
        let Self { id, name, input, .. } = self;
        json!({"id": id, "type": "custom", "custom": {"name": name, "input": input}})
    }
}

#[derive(Clone, Debug, Default)]
struct Call {
    /// The upstream's index; `None` where it gave none.
    index: Option<u64>,
    id: String,
    name: String,
    /// Arguments that came before the name.
    early: String,
    /// What its maker put beside it, until it is told.
    attached: Vec<(String, RawJson)>,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Pending,
    Open(u32),
    Closed(u32),
}

impl ToolCalls {
    pub(super) fn name_answer(&mut self, id: &str) {
        id.clone_into(&mut self.answer_id);
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.calls.is_empty() && self.custom.is_empty()
    }

    /// A chunk begins.
    pub(super) fn begin_chunk(&mut self) {
        self.of_chunk.clear();
    }

    /// The calls that the fragments of the last chunk belong to, in the order in which they were added.
    pub(in super::super) fn of_chunk(&self) -> &[Option<usize>] {
        &self.of_chunk
    }

    /// The part that a call became, once it is opened.
    pub(in super::super) fn part(&self, call: usize) -> Option<u32> {
        match self.calls.get(call)?.stage {
            Stage::Pending => None,
            Stage::Open(part) | Stage::Closed(part) => Some(part),
        }
    }

    /// Adds a fragment of `delta.tool_calls`.
    pub(super) fn fragment(&mut self, call: ToolCall<'_>, next_part: &mut u32, out: &mut Vec<StreamEvent>) {
        let is_function = call.kind.as_ref().is_none_or(|kind| kind.0 == "function");
        let attached = call.attached();
        let id = call.id.unwrap_or_default();
        // A fragment of a custom tool's call: only an upstream of the client's own dialect has those.
        if call.function.is_none() && (id.is_empty() || !is_function) {
            self.of_chunk.push(None);
            self.add_custom(call.index, id, call.custom);
            return;
        }
        let function = call.function.unwrap_or_default();
        let says_type = call.kind.is_some();
        let at = self.find(call.index, &id, says_type);
        self.add(at, &id, &function, next_part, out);
        self.attach(at, attached, out);
    }

    /// Calls with free text are told when they are whole.
    fn add_custom(&mut self, index: Option<u64>, id: String, piece: Option<CustomPiece>) {
        if !id.is_empty() {
            self.custom.push(Custom { index, id, name: String::new(), input: String::new() });
        }
        let known = self.custom.iter_mut().rfind(|call| call.index == index);
        if let (Some(call), Some(piece)) = (known, piece) {
            call.name.push_str(&piece.name.unwrap_or_default());
            call.input.push_str(&piece.input.unwrap_or_default());
        }
    }

    /// Adds a fragment of `delta.function_call`, the old form with one call and no id.
    pub(super) fn function(
        &mut self,
        function: &Function<'_>,
        next_part: &mut u32,
        out: &mut Vec<StreamEvent>,
    ) {
        let at = self.find(None, "", false);
        self.add(at, "", function, next_part, out);
    }

    /// Which call a fragment belongs to; a new one if none fits. Another id at the same index is
    /// another call, though Gemini counts all of them as 0: unless nothing has come but names, and the
    /// fragment does not open with a type, for then it may be the rest of an id in pieces.
    fn find(&mut self, index: Option<u64>, id: &str, says_type: bool) -> usize {
        let in_pieces = |call: &Call| call.stage == Stage::Pending && (!says_type || call.id.is_empty());
        let known = match index {
            None if id.is_empty() => self.last,
            None => self.calls.iter().rposition(|call| call.id == id),
            Some(_) => {
                let here = |call: &Call| call.index == index;
                let same = self.calls.iter().rposition(|call| here(call) && (id.is_empty() || call.id == id));
                same.or_else(|| self.calls.iter().rposition(|call| here(call) && in_pieces(call)))
            }
        };
        let at = known.unwrap_or(self.calls.len());
        if at == self.calls.len() {
            self.calls.push(Call { index, ..Call::default() });
        }
        self.last = Some(at);
        at
    }

    fn add(
        &mut self,
        at: usize,
        id: &str,
        function: &Function<'_>,
        next_part: &mut u32,
        out: &mut Vec<StreamEvent>,
    ) {
        self.of_chunk.push(Some(at));
        let Some(call) = self.calls.get_mut(at) else { return };
        if call.stage == Stage::Pending {
            extend(&mut call.id, id);
            extend(&mut call.name, function.name.as_deref().unwrap_or_default());
        }
        let Some(arguments) = function.arguments_text() else { return };
        if call.name.is_empty() {
            call.early.push_str(&arguments);
            return;
        }
        self.open_until(at, next_part, out);
        if let Some(Call { stage: Stage::Open(index), .. }) = self.calls.get(at) {
            out.push(StreamEvent::Delta { index: *index, delta: Delta::Arguments(arguments) });
        }
    }

    /// What belongs to a call that is open is told at once, else when it opens.
    fn attach(&mut self, at: usize, attached: Vec<(String, RawJson)>, out: &mut Vec<StreamEvent>) {
        let Some(call) = self.calls.get_mut(at).filter(|_| !attached.is_empty()) else { return };
        match call.stage {
            Stage::Pending => call.attached.extend(attached),
            Stage::Open(index) => out.push(StreamEvent::Delta { index, delta: Delta::Attached(attached) }),
            Stage::Closed(_) => {}
        }
    }

    /// Opens this call and those that appeared before it, as far as they have a name.
    fn open_until(&mut self, at: usize, next_part: &mut u32, out: &mut Vec<StreamEvent>) {
        let answer_id = &self.answer_id;
        for (i, call) in self.calls.iter_mut().enumerate().take(at + 1) {
            if call.stage != Stage::Pending || call.name.is_empty() {
                continue;
            }
            if call.id.is_empty() {
                call.id = missing_call_id(answer_id, i);
            }
            let index = next(next_part);
            let part = PartStart::ToolCall { id: call.id.clone(), name: call.name.clone() };
            out.push(StreamEvent::PartStart { index, part });
            if !call.attached.is_empty() {
                let delta = Delta::Attached(std::mem::take(&mut call.attached));
                out.push(StreamEvent::Delta { index, delta });
            }
            if !call.early.is_empty() {
                let delta = Delta::Arguments(std::mem::take(&mut call.early));
                out.push(StreamEvent::Delta { index, delta });
            }
            call.stage = Stage::Open(index);
        }
    }

    /// Opens what still waits, and closes everything.
    pub(super) fn close(&mut self, next_part: &mut u32, out: &mut Vec<StreamEvent>) -> Result<(), Fault> {
        if self.calls.iter().any(|call| call.name.is_empty()) {
            return Err(malformed("a tool call in the provider's stream has no name"));
        }
        self.open_until(self.calls.len(), next_part, out);
        for call in self.custom.drain(..) {
            let index = next(next_part);
            let part = PartStart::Other(RawJson::of(&call.whole()).map_err(|_json| malformed("no call"))?);
            out.push(StreamEvent::PartStart { index, part });
            out.push(StreamEvent::PartEnd { index });
        }
        for call in &mut self.calls {
            if let Stage::Open(index) = call.stage {
                out.push(StreamEvent::PartEnd { index });
                call.stage = Stage::Closed(index);
            }
        }
        Ok(())
    }
}

/// Adds a piece of an id or name; one that is only said again adds nothing.
fn extend(text: &mut String, piece: &str) {
    if text != piece {
        text.push_str(piece);
    }
}
