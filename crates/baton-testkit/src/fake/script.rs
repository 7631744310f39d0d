//! Says how a fake upstream behaves: as a model, or with a fault.
//!
//! A request follows the first step of the queue; when the queue is empty, its model name
//! decides. `fake-l50-n20-i5` waits 50 ms and streams 20 chunks 5 ms apart, `fault-500` fails.
//!
//! - Start with [`Script`].
//! - Faults that a listening server cannot show are in [`super::unreachable`].

use std::collections::VecDeque;
use std::time::Duration;

use serde_json::Value;

use super::model::Usage;

/// What a fake upstream does with the requests it gets.
#[derive(Clone, Debug, Default)]
pub struct Script {
    pub(crate) pace: Pace,
    pub(crate) steps: VecDeque<Step>,
    pub(crate) models: Vec<String>,
    pub(crate) key: Option<String>,
    pub(crate) controlled: bool,
    pub(crate) turns: Turns,
}

/// What becomes of messages in a row that are of one role, where it is Anthropic's format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Turns {
    /// They are refused.
    #[default]
    Alternate,
    /// They are one turn.
    Joined,
}

impl Script {
    /// Answers every request at this pace, unless its step or its model name says otherwise.
    #[must_use]
    pub const fn pace(mut self, pace: Pace) -> Self {
        self.pace = pace;
        self
    }

    /// Waits so long before each answer.
    #[must_use]
    pub const fn latency(mut self, latency: Duration) -> Self {
        self.pace.latency = latency;
        self
    }

    /// The next request without a step gets this one.
    #[must_use]
    pub fn then(mut self, step: Step) -> Self {
        self.steps.push_back(step);
        self
    }

    /// Serves a model of this name, beside those named `fake…` and `fault-…`.
    #[must_use]
    pub fn model(mut self, name: &str) -> Self {
        self.models.push(name.to_owned());
        self
    }

    /// Accepts this credential only; without it, any that is not empty.
    #[must_use]
    pub fn key(mut self, key: &str) -> Self {
        self.key = Some(key.to_owned());
        self
    }

    /// Takes steps from outside, at `/__script`, and tells what it saw, at `/__seen`.
    #[must_use]
    pub const fn controlled(mut self) -> Self {
        self.controlled = true;
        self
    }

    /// Takes messages in a row that are of one role, as Anthropic does, and others with its format do not.
    #[must_use]
    pub const fn joining_turns(mut self) -> Self {
        self.turns = Turns::Joined;
        self
    }

    /// Whether a model of this name is served.
    pub(crate) fn serves(&self, model: &str) -> bool {
        let bare = bare(model);
        bare.starts_with("fake") || Fault::named(bare).is_some() || self.models.iter().any(|one| one == model)
    }
}

/// The part of a model name that this module reads: what follows the last slash.
fn bare(model: &str) -> &str {
    model.rsplit('/').next().unwrap_or(model)
}

/// One entry of the queue.
#[derive(Clone, Debug)]
pub enum Step {
    /// Answers as a model would, at this pace.
    Answer(Pace),
    /// Answers with this content.
    Say(Said),
    /// Answers with this content, and says that it cost so much.
    Counted(Said, Usage),
    /// Fails in this way.
    Fault(Fault),
    /// Sends these bytes, whatever was asked.
    Raw(Raw),
}

/// Content given by the script.
#[derive(Clone, Debug)]
pub enum Said {
    /// This text.
    Text(String),
    /// Calls of these tools with these arguments.
    Calls(Vec<(String, Value)>),
    /// This text, and behind it these calls.
    TextAndCalls(String, Vec<(String, Value)>),
}

/// An answer given byte by byte.
#[derive(Clone, Debug)]
pub struct Raw {
    /// The status.
    pub status: u16,
    /// `content-type` and others.
    pub headers: Vec<(String, String)>,
    /// The body, in the pieces in which it is written.
    pub pieces: Vec<Vec<u8>>,
    /// What follows the last piece.
    pub then: End,
}

/// How the body of an answer ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// In order.
    Whole,
    /// The connection is closed in the middle of the framing.
    Cut,
    /// The connection is reset.
    Reset,
    /// Nothing more comes, and the connection stays open.
    Stall,
}

/// How fast an answer comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Before the head of the answer.
    pub latency: Duration,
    /// Into how many pieces the text is cut when streaming.
    pub chunks: usize,
    /// Between two frames of a stream.
    pub interval: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self { latency: Duration::ZERO, chunks: 6, interval: Duration::ZERO }
    }
}

impl Pace {
    /// This pace, changed by the options of a model name: `-l<ms>`, `-n<chunks>`, `-i<ms>`.
    pub(crate) fn of_model(mut self, model: &str) -> Self {
        for option in bare(model).split('-').skip(1) {
            let mut letters = option.chars();
            let kind = letters.next();
            let Ok(number) = letters.as_str().parse::<u64>() else { continue };
            match kind {
                Some('l') => self.latency = Duration::from_millis(number),
                Some('n') => self.chunks = usize::try_from(number).unwrap_or(usize::MAX),
                Some('i') => self.interval = Duration::from_millis(number),
                _ => {}
            }
        }
        self
    }
}

/// A way to fail that a listening server can show.
///
/// The comment beside each says what a request without streaming sees where that differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The connection is closed after the request, without an answer.
    AcceptThenClose,
    /// The head of the answer never comes.
    HeaderStall,
    /// 400 that blames a parameter.
    BadRequest,
    /// 400 that says that the context is too long.
    ContextOverflow,
    /// 401.
    Unauthorized,
    /// 403.
    Forbidden,
    /// 404 of the model.
    ModelNotFound,
    /// 408.
    RequestTimeout,
    /// 413.
    TooLarge,
    /// 429 with `retry-after: 1`.
    RateLimitedRetryAfter,
    /// 429 without `retry-after`.
    RateLimited,
    /// 500.
    ServerError,
    /// 502 with a page of HTML.
    BadGatewayHtml,
    /// 503 with `retry-after: 1`.
    Unavailable,
    /// 529, as Anthropic says that it is overloaded.
    Overloaded,
    /// 200 with an error for a body.
    ErrorIn200,
    /// 200 with JSON that is cut off.
    TruncatedJson,
    /// 200 with a page of HTML.
    WrongContentType,
    /// A stream whose first frame is an error. Not streamed: as [`Self::ErrorIn200`].
    ErrorFirstFrame,
    /// A stream with an error after its opening frames. Not streamed: as [`Self::ErrorIn200`].
    ErrorAfterLifecycle,
    /// A stream with an error after content. Not streamed: as [`Self::TruncatedJson`].
    ErrorAfterContent,
    /// The connection is reset after content. Not streamed: in the middle of the body.
    ResetAfterContent,
    /// Nothing comes after content. Not streamed: after half of the body.
    StallAfterContent,
    /// A stream that ends in order after the finish reason, without its end marker. Not streamed: no fault.
    NoEndMarker,
    /// A stream that ends after content, without a finish reason. Not streamed: as [`Self::TruncatedJson`].
    NoFinish,
    /// Bytes that are not UTF-8 in the text.
    InvalidUtf8,
    /// A frame that is not JSON, after content. Not streamed: a body that is not JSON.
    GarbageFrame,
    /// A stream that goes on after its end marker. Not streamed: no fault.
    DataAfterEnd,
}

impl Fault {
    /// Every fault with the model name that brings it about.
    pub const ALL: [(Self, &'static str); 28] = [
        (Self::AcceptThenClose, "fault-close"),
        (Self::HeaderStall, "fault-header-stall"),
        (Self::BadRequest, "fault-400"),
        (Self::ContextOverflow, "fault-context"),
        (Self::Unauthorized, "fault-401"),
        (Self::Forbidden, "fault-403"),
        (Self::ModelNotFound, "fault-404"),
        (Self::RequestTimeout, "fault-408"),
        (Self::TooLarge, "fault-413"),
        (Self::RateLimitedRetryAfter, "fault-429-retry-after"),
        (Self::RateLimited, "fault-429"),
        (Self::ServerError, "fault-500"),
        (Self::BadGatewayHtml, "fault-502"),
        (Self::Unavailable, "fault-503"),
        (Self::Overloaded, "fault-529"),
        (Self::ErrorIn200, "fault-200-error"),
        (Self::TruncatedJson, "fault-truncated"),
        (Self::WrongContentType, "fault-content-type"),
        (Self::ErrorFirstFrame, "fault-first-frame"),
        (Self::ErrorAfterLifecycle, "fault-lifecycle"),
        (Self::ErrorAfterContent, "fault-after-content"),
        (Self::ResetAfterContent, "fault-reset"),
        (Self::StallAfterContent, "fault-stall"),
        (Self::NoEndMarker, "fault-no-end"),
        (Self::NoFinish, "fault-no-finish"),
        (Self::InvalidUtf8, "fault-utf8"),
        (Self::GarbageFrame, "fault-garbage"),
        (Self::DataAfterEnd, "fault-after-end"),
    ];

    /// The fault that a model name asks for.
    #[must_use]
    pub fn named(model: &str) -> Option<Self> {
        let bare = bare(model);
        Self::ALL.iter().find(|(_, name)| *name == bare).map(|(fault, _)| *fault)
    }

    /// The model name that brings this fault about.
    #[must_use]
    pub fn model(self) -> &'static str {
        Self::ALL.iter().find(|(fault, _)| *fault == self).map_or("", |(_, name)| *name)
    }
}

#[cfg(test)]
mod tests;
