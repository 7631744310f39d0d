//! Cuts an answer into chunks, one at a time, each with the time to wait before it.
//!
//! A chunk is written when it is asked for, so a long answer is never held as a list of frames,
//! and a slow stream is as slow as its reader sees it.

use std::time::Duration;

use baton_model::{Fault, FaultKind};
use bytes::Bytes;

use super::answer::{Answer, Content, tokens};
use super::model::Breakage;
use super::wire::{Chunk, ChunkChoice, ChunkUsage, Delta, ErrorBody, ErrorDetail, ToolCall, Usage, to_json};

/// No answer has many more chunks than this.
const MOST_PIECES: usize = 512;
/// A piece of arguments, or of text without white space, is at least this long.
const LEAST_PIECE: usize = 12;

/// A piece of a body, and how long to wait before it.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) wait: Duration,
    pub(super) data: Result<Bytes, Fault>,
}

/// Everything that all chunks of a stream share.
#[derive(Debug)]
pub(super) struct StreamPlan {
    pub(super) id: String,
    pub(super) call_id: String,
    pub(super) created: u64,
    pub(super) model: String,
    pub(super) answer: Answer,
    pub(super) choices: u32,
    pub(super) usage: Usage,
    pub(super) include_usage: bool,
    pub(super) pace: Pace,
    pub(super) breakage: Option<Breakage>,
}

/// How fast a stream goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pace {
    /// Before the first chunk.
    pub(super) ttft: Duration,
    /// After that; `None` is at once.
    pub(super) tokens_per_second: Option<u32>,
}

/// The stream as an iterator of steps.
#[derive(Debug)]
pub(super) struct Chunks {
    plan: StreamPlan,
    at: At,
}

/// What comes next.
#[derive(Clone, Copy, Debug)]
enum At {
    /// The first chunk of a choice.
    Begin { choice: u32 },
    /// The chunk that names the tool.
    Named { choice: u32 },
    /// Content from this byte on.
    Content { choice: u32, from: usize },
    /// The chunk with the finish reason.
    Finish { choice: u32 },
    /// The chunk with usage.
    Usage,
    /// The end mark.
    Done,
    /// The connection breaks.
    Break,
    /// Nothing more.
    End,
}

impl Pace {
    /// No waiting at all.
    pub(super) const AT_ONCE: Self = Self { ttft: Duration::ZERO, tokens_per_second: None };

    /// How long so many tokens take.
    pub(super) fn of(self, tokens: u64) -> Duration {
        self.tokens_per_second.map_or(Duration::ZERO, |rate| {
            Duration::from_secs(1).saturating_mul(u32::try_from(tokens).unwrap_or(u32::MAX)) / rate
        })
    }
}

impl Chunks {
    pub(super) const fn new(plan: StreamPlan) -> Self {
        Self { plan, at: At::Begin { choice: 0 } }
    }

    fn chunk(&self, index: u32, delta: Delta<'_>) -> Bytes {
        let finish_reason = matches!(delta, Delta::End {}).then_some(self.plan.answer.finish);
        let usage = if self.plan.include_usage { ChunkUsage::Later(()) } else { ChunkUsage::Absent };
        self.frame(&[ChunkChoice { index, delta, logprobs: None, finish_reason }], usage)
    }

    fn frame(&self, choices: &[ChunkChoice<'_>], usage: ChunkUsage) -> Bytes {
        sse(&to_json(&Chunk {
            id: &self.plan.id,
            object: "chat.completion.chunk",
            created: self.plan.created,
            model: &self.plan.model,
            system_fingerprint: super::FINGERPRINT,
            choices,
            usage,
        }))
    }

    /// The end of the piece that begins here: after a word, and never inside a letter.
    fn piece_end(&self, from: usize) -> usize {
        let text = self.plan.answer.content.text();
        let words = matches!(self.plan.answer.content, Content::Text(_));
        let least = text.len() / MOST_PIECES;
        let rest = text.get(from..).unwrap_or_default();
        let mut after_space = false;
        for (at, letter) in rest.char_indices().skip(1) {
            let at_word = words && after_space && !letter.is_whitespace();
            let long = at >= LEAST_PIECE && !(words && at < 2 * LEAST_PIECE);
            if at >= least && (at_word || long) {
                return from + at;
            }
            after_space = letter.is_whitespace();
        }
        text.len()
    }

    /// Where a breaking answer breaks: behind its first half.
    fn breaks_at(&self, from: usize) -> bool {
        self.plan.breakage.is_some() && from >= self.plan.answer.content.text().len() / 2
    }

    fn content(&mut self, choice: u32, from: usize) -> Step {
        let end = self.piece_end(from);
        let piece = self.plan.answer.content.text().get(from..end).unwrap_or_default();
        let delta = match self.plan.answer.content {
            Content::Text(_) => Delta::Text { content: piece },
            Content::Call { .. } => Delta::Call { tool_calls: [ToolCall::more(piece)] },
        };
        let step = Step { wait: self.plan.pace.of(tokens(piece.len())), data: Ok(self.chunk(choice, delta)) };
        self.at = self.after_content(choice, end);
        step
    }

    fn after_content(&self, choice: u32, from: usize) -> At {
        if self.breaks_at(from) {
            At::Break
        } else if from >= self.plan.answer.content.text().len() {
            At::Finish { choice }
        } else {
            At::Content { choice, from }
        }
    }

    /// The last thing of a stream that breaks.
    fn broken(&self) -> Result<Bytes, Fault> {
        match self.plan.breakage {
            Some(Breakage::ErrorFrame) => Ok(sse(&to_json(&ErrorBody {
                error: ErrorDetail {
                    message: "The model failed in the middle of its answer.",
                    kind: "server_error",
                    param: None,
                    code: None,
                },
            }))),
            Some(Breakage::Cut) | None => Err(cut()),
        }
    }
}

impl Iterator for Chunks {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        let at_once = |data| Some(Step { wait: Duration::ZERO, data });
        match self.at {
            At::Begin { choice } => {
                let wait = if choice == 0 { self.plan.pace.ttft } else { Duration::ZERO };
                let data = Ok(self.chunk(choice, Delta::begin(&self.plan.answer.content)));
                self.at = match self.plan.answer.content {
                    Content::Text(_) => self.after_content(choice, 0),
                    Content::Call { .. } => At::Named { choice },
                };
                Some(Step { wait, data })
            }
            At::Named { choice } => {
                let data = match &self.plan.answer.content {
                    Content::Call { name, .. } => {
                        let call = ToolCall::begin(&self.plan.call_id, name);
                        self.chunk(choice, Delta::Call { tool_calls: [call] })
                    }
                    Content::Text(_) => Bytes::new(),
                };
                self.at = self.after_content(choice, 0);
                at_once(Ok(data))
            }
            At::Content { choice, from } => Some(self.content(choice, from)),
            At::Finish { choice } => {
                let data = Ok(self.chunk(choice, Delta::End {}));
                self.at = match choice + 1 {
                    next if next < self.plan.choices => At::Begin { choice: next },
                    _ if self.plan.include_usage => At::Usage,
                    _ => At::Done,
                };
                at_once(data)
            }
            At::Usage => {
                self.at = At::Done;
                at_once(Ok(self.frame(&[], ChunkUsage::Now(self.plan.usage))))
            }
            At::Done => {
                self.at = At::End;
                at_once(Ok(Bytes::from_static(b"data: [DONE]\n\n")))
            }
            At::Break => {
                self.at = At::End;
                at_once(self.broken())
            }
            At::End => None,
        }
    }
}

/// What a reader is told when the connection ends too early.
pub(super) fn cut() -> Fault {
    Fault::new(FaultKind::Truncated, "the connection to `echo` broke in the middle of the answer")
}

fn sse(json: &[u8]) -> Bytes {
    [b"data: ", json, b"\n\n"].concat().into()
}

#[cfg(test)]
mod tests;
