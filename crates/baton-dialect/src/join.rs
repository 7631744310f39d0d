//! Makes one answer of the answers of a run's turns, streamed or whole.
//!
//! A client sends one request and gets one answer, however many models had the conversation in between. In
//! the patch lane every turn speaks the client's dialect, and its frames are edited only where they must be:
//! members that nobody here knows survive. In the model lane the turns go through the model's events.
//!
//! - Start with [`Joiner`] for streams and [`join_answers`] for whole answers.
//! - **Invariant:** what a client puts together from the joined stream is what the joined answer says.
//! - **Invariant:** a hidden call leaves no trace, neither a frame nor a gap in a numbering.
//! - **Never here:** which calls are hidden (a [`Gate`] says it), and what happens after a turn.

mod model;

use baton_model::{Answer, Dialect, Fault, FinishReason, RawJson, StreamEvent, Usage};
use bytes::Bytes;

use crate::{AnswerContext, ChangedStream, ErrorBody, StreamOptions, anthropic_messages, openai_chat};

/// Which calls of a turn a client may see.
pub trait Gate {
    /// Asked once for each call of a function, in the order in which they begin. Calls of a vendor's other kinds
    /// of tool always pass: only a client can have asked for those.
    fn call(&mut self, id: &str, name: &str) -> Show;
}

/// Whether a client sees a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Show {
    /// It does.
    Pass,
    /// It does not.
    Hide,
}

/// How the turns of a run become one answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinLane {
    /// Every turn comes in the client's own dialect, and its frames are edited.
    Patch,
    /// Turns come in any dialect and are written anew.
    Model,
}

/// How a run ends.
#[derive(Clone, Copy, Debug)]
pub struct JoinEnd<'a> {
    /// Why, in the client's eyes: a guard may say something else than the last turn did.
    pub finish: FinishReason,
    /// The stop sequence that was met, where the last turn told it.
    pub stop_sequence: Option<&'a str>,
    /// The sum over the turns; `None` where nobody told any.
    pub usage: Option<Usage>,
    /// Members that stand at the top of the last frame, or of the whole answer.
    pub extras: &'a [(&'a str, RawJson)],
}

/// Makes one stream of the streams of a run's turns.
///
/// An attempt works on a copy; a failed one throws its copy away.
#[derive(Clone, Debug)]
pub struct Joiner {
    lane: Lane,
}

#[derive(Clone, Debug)]
enum Lane {
    Chat(Box<openai_chat::Joiner>),
    Messages(Box<anthropic_messages::Joiner>),
    Model(Box<model::ModelJoiner>),
}

impl Joiner {
    /// A joiner for one client. `options.model` does not count: [`Joiner::begin`] names the model of each turn.
    #[must_use]
    pub fn new(client: Dialect, lane: JoinLane, options: StreamOptions) -> Self {
        let lane = match (lane, client) {
            (JoinLane::Patch, Dialect::OpenaiChat) => Lane::Chat(Box::new(openai_chat::Joiner::new(options))),
            (JoinLane::Patch, Dialect::AnthropicMessages) => {
                Lane::Messages(Box::new(anthropic_messages::Joiner::new(options)))
            }
            // No frame of this dialect can be edited alone: each one is repeated in those that follow it.
            (JoinLane::Patch, client @ Dialect::OpenaiResponses) | (JoinLane::Model, client) => {
                Lane::Model(Box::new(model::ModelJoiner::new(client, options)))
            }
        };
        Self { lane }
    }

    /// A turn begins. Its stream comes in this dialect (in the patch lane: the client's), and its frames show
    /// this model name. What was held back of the turn before is dropped.
    pub fn begin(&mut self, upstream: Dialect, model: &str) {
        match &mut self.lane {
            Lane::Chat(joiner) => joiner.begin(model),
            Lane::Messages(joiner) => joiner.begin(model),
            Lane::Model(joiner) => joiner.begin(upstream, model),
        }
    }

    /// This turn's request was changed: its events are changed back. Only the model lane can do that.
    pub fn change_back(&mut self, changes: ChangedStream) {
        if let Lane::Model(joiner) = &mut self.lane {
            joiner.change_back(changes);
        }
    }

    /// What changes this turn's events back.
    #[must_use]
    pub const fn changes(&self) -> Option<&ChangedStream> {
        match &self.lane {
            Lane::Chat(_) | Lane::Messages(_) => None,
            Lane::Model(joiner) => joiner.changes(),
        }
    }

    /// Takes one SSE event of the turn. Writes whole client frames to `out`, and adds everything the turn said,
    /// hidden parts too, to `events`.
    ///
    /// # Errors
    /// A [`Fault`] for an error frame and for what is no event of the turn's dialect.
    pub fn pass(
        &mut self,
        event: &str,
        data: &Bytes,
        gate: &mut dyn Gate,
        out: &mut Vec<u8>,
        events: &mut Vec<StreamEvent>,
    ) -> Result<(), Fault> {
        match &mut self.lane {
            Lane::Chat(joiner) => joiner.pass(event, data, gate, out, events),
            Lane::Messages(joiner) => joiner.pass(event, data, gate, out, events),
            Lane::Model(joiner) => joiner.pass(event, data, gate, out, events),
        }
    }

    /// Whether this turn has written anything that a client sees as content.
    #[must_use]
    pub const fn showed_content(&self) -> bool {
        match &self.lane {
            Lane::Chat(joiner) => joiner.showed_content(),
            Lane::Messages(joiner) => joiner.showed_content(),
            Lane::Model(joiner) => joiner.showed_content(),
        }
    }

    /// Writes extra members on a frame that says nothing else, between two frames. `false` where the dialect has
    /// no place for them.
    pub fn announce(&mut self, extras: &[(&str, RawJson)], out: &mut Vec<u8>) -> bool {
        match &mut self.lane {
            Lane::Chat(joiner) => {
                joiner.announce(extras, out);
                true
            }
            Lane::Messages(_) => false,
            Lane::Model(joiner) => joiner.announce(extras, out),
        }
    }

    /// Writes the regular end of the run: why it ended with the extras, the usage where the client is told it,
    /// and the dialect's end mark.
    pub fn finish(&mut self, end: &JoinEnd<'_>, out: &mut Vec<u8>) {
        match &mut self.lane {
            Lane::Chat(joiner) => joiner.finish(end, out),
            Lane::Messages(joiner) => joiner.finish(end, out),
            Lane::Model(joiner) => joiner.finish(end, out),
        }
    }

    /// Writes an error as the last thing the client sees.
    pub fn fail(&mut self, error: &ErrorBody<'_>, out: &mut Vec<u8>) {
        match &mut self.lane {
            Lane::Chat(_) => out.extend(crate::error_frame(Dialect::OpenaiChat, error)),
            Lane::Messages(_) => out.extend(crate::error_frame(Dialect::AnthropicMessages, error)),
            Lane::Model(joiner) => joiner.fail(error, out),
        }
    }
}

/// The whole answer of one turn.
#[derive(Clone, Copy, Debug)]
pub struct TurnAnswer<'a> {
    /// The dialect it came in.
    pub dialect: Dialect,
    /// Its body.
    pub raw: &'a Bytes,
    /// The same, read.
    pub answer: &'a Answer,
    /// The ids of its calls that the client must not see. Two turns may use one id for different calls.
    pub hidden: &'a [String],
}

impl TurnAnswer<'_> {
    pub(crate) fn hides(&self, id: &str) -> bool {
        self.hidden.iter().any(|hidden| hidden == id)
    }
}

/// Makes one answer of the answers of a run's turns, in order, the last one final. `id` is the id to show.
///
/// In the patch lane every turn must be of the client's dialect, and the last body is edited.
///
/// # Errors
/// A [`Fault`] when there is no turn, or a body in the patch lane is no answer of the client's dialect.
pub fn join_answers(
    client: Dialect,
    lane: JoinLane,
    turns: &[TurnAnswer<'_>],
    end: &JoinEnd<'_>,
    context: &AnswerContext<'_>,
    id: &str,
) -> Result<Vec<u8>, Fault> {
    match (lane, client) {
        (JoinLane::Patch, Dialect::OpenaiChat) => openai_chat::join_answers(turns, end, context, id),
        (JoinLane::Patch, Dialect::AnthropicMessages) => {
            anthropic_messages::join_answers(turns, end, context, id)
        }
        (JoinLane::Patch, client @ Dialect::OpenaiResponses) | (JoinLane::Model, client) => {
            model::join_answers(client, turns, end, context, id)
        }
    }
}

/// What stands between the texts of two turns, where a dialect runs them together.
pub(crate) const PARAGRAPH: &str = "\n\n";

/// The fault of a run that ended without a turn.
pub(crate) fn no_turn() -> Fault {
    Fault::new(baton_model::FaultKind::MalformedAnswer, "a run without a turn has no answer")
}

#[cfg(test)]
mod tests;
