//! Hands what was asked and answered to whoever keeps it, where somebody wants that.
//!
//! The request's own task only copies what passes, up to a bound; what it means is read elsewhere
//! ([`Answered::parts`]). Without a bound that has room left, content is left out and nothing waits.
//!
//! - Start with [`Capture`].
//! - **Invariant:** where nothing is captured, a request pays one branch.
//! - **Never here:** redaction, sealing, a way for capturing to fail an answer.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use baton_audit::OutcomeStatus;
use baton_dialect::{decode_answer, stream_decoder};
use baton_model::{DecisionId, Dialect, Part, StreamEvent};
use bytes::Bytes;

use crate::Ask;
use crate::said::Said;

/// Keeps content. What it does with it is no business of the request's.
pub trait Capture: fmt::Debug + Send + Sync + 'static {
    /// Whether the content of this request is wanted, and how it is bounded. Asked once for each request.
    fn wants(&self, ask: &Ask, policy: &str) -> Option<Bounds>;

    /// Takes content. It must neither wait nor fail.
    fn take(&self, captured: Captured);
}

/// How much may be held.
#[derive(Clone, Debug)]
pub struct Bounds {
    /// The most of one answer, in bytes as the upstream sent them.
    pub most: usize,
    /// What all together may still hold.
    pub room: Arc<Room>,
}

/// Bytes that may be held, shared by all that hold some.
#[derive(Debug)]
pub struct Room(AtomicUsize);

impl Room {
    /// Room for so many bytes.
    #[must_use]
    pub const fn new(bytes: usize) -> Self {
        Self(AtomicUsize::new(bytes))
    }

    fn take(&self, bytes: usize) -> bool {
        self.0.try_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(bytes)).is_ok()
    }

    fn give(&self, bytes: usize) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// One side of an exchange.
#[derive(Debug)]
pub struct Captured {
    /// The decision that it belongs to.
    pub decision: DecisionId,
    /// The request that it belongs to.
    pub ask: Arc<Ask>,
    /// What it is.
    pub said: SaidContent,
    /// Held until it is dealt with.
    _held: Held,
}

/// What was said.
#[derive(Debug)]
pub enum SaidContent {
    /// What the client asked: the body of the request.
    Request,
    /// What an attempt answered.
    Answer(Answered),
}

/// What an attempt answered, as far as it came.
#[derive(Debug)]
pub struct Answered {
    /// How the attempt ended.
    pub status: OutcomeStatus,
    /// Whether there was more than may be held.
    pub cut: bool,
    dialect: Dialect,
    came: Came,
}

/// What came from the upstream.
enum Came {
    Nothing,
    Whole(Bytes),
    /// Events: where the name of each ends, and where its data does.
    Events {
        bytes: Vec<u8>,
        ends: Vec<(usize, usize)>,
    },
}

impl fmt::Debug for Came {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nothing => "Nothing",
            Self::Whole(_) => "Whole(..)",
            Self::Events { .. } => "Events(..)",
        })
    }
}

impl Answered {
    /// The parts of the answer, each put together from its pieces. What cannot be read ends it.
    #[must_use]
    pub fn parts(&self) -> Vec<Part> {
        match &self.came {
            Came::Nothing => Vec::new(),
            Came::Whole(bytes) => {
                decode_answer(self.dialect, bytes).map_or_else(|_fault| Vec::new(), |answer| answer.parts)
            }
            Came::Events { bytes, ends } => {
                let mut decoder = stream_decoder(self.dialect);
                let mut said = Said::new(self.dialect);
                let mut events: Vec<StreamEvent> = Vec::new();
                let mut from = 0;
                for &(named, end) in ends {
                    let name = bytes.get(from..named).and_then(|name| str::from_utf8(name).ok());
                    let data = bytes.get(named..end).unwrap_or_default();
                    from = end;
                    if decoder.decode(name.unwrap_or_default(), data, &mut events).is_err() {
                        break;
                    }
                    events.drain(..).for_each(|event| said.add(event));
                }
                events.drain(..).for_each(|event| said.add(event));
                said.into_parts().1
            }
        }
    }
}

/// Bytes that are held, given back when they are not any more.
#[derive(Debug)]
struct Held {
    room: Arc<Room>,
    bytes: usize,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.room.give(self.bytes);
    }
}

/// What a request's content goes to, once it is known that it is wanted.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    to: Arc<dyn Capture>,
    bounds: Bounds,
}

impl Wanted {
    pub(crate) fn by(to: &Arc<dyn Capture>, ask: &Ask, policy: &str) -> Option<Self> {
        let bounds = to.wants(ask, policy)?;
        Some(Self { to: Arc::clone(to), bounds })
    }

    /// Hands in the request, where it was not, and begins to gather the answer of an attempt.
    pub(crate) fn begin(
        &self,
        decision: DecisionId,
        ask: &Arc<Ask>,
        dialect: Dialect,
        is_first: bool,
    ) -> Box<Capturing> {
        let held = || Held { room: Arc::clone(&self.bounds.room), bytes: 0 };
        if is_first {
            let bytes = ask.body.body().len();
            let mut held = held();
            if held.room.take(bytes) {
                held.bytes = bytes;
                let ask = Arc::clone(ask);
                self.to.take(Captured { decision, ask, said: SaidContent::Request, _held: held });
            }
        }
        Box::new(Capturing {
            wanted: self.clone(),
            decision,
            ask: Arc::clone(ask),
            dialect,
            came: Came::Nothing,
            cut: false,
            held: held(),
        })
    }
}

/// The answer of an attempt, while it comes.
#[derive(Debug)]
pub(crate) struct Capturing {
    wanted: Wanted,
    decision: DecisionId,
    ask: Arc<Ask>,
    dialect: Dialect,
    came: Came,
    cut: bool,
    held: Held,
}

impl Capturing {
    /// A whole answer.
    pub(crate) fn whole(&mut self, body: &Bytes) {
        if self.hold(body.len()) {
            self.came = Came::Whole(body.clone());
        }
    }

    /// An event of a stream.
    pub(crate) fn event(&mut self, name: &str, data: &[u8]) {
        if self.cut || !self.hold(name.len() + data.len()) {
            return;
        }
        if !matches!(self.came, Came::Events { .. }) {
            self.came = Came::Events { bytes: Vec::new(), ends: Vec::new() };
        }
        if let Came::Events { bytes, ends } = &mut self.came {
            bytes.extend_from_slice(name.as_bytes());
            let named = bytes.len();
            bytes.extend_from_slice(data);
            ends.push((named, bytes.len()));
        }
    }

    fn hold(&mut self, bytes: usize) -> bool {
        let fits =
            self.held.bytes.saturating_add(bytes) <= self.wanted.bounds.most && self.held.room.take(bytes);
        if fits {
            self.held.bytes += bytes;
        } else {
            self.cut = true;
        }
        fits
    }

    /// The attempt ended.
    pub(crate) fn end(self, status: OutcomeStatus) {
        let Self { wanted, decision, ask, dialect, came, cut, held } = self;
        if matches!(came, Came::Nothing) && !cut {
            return;
        }
        let said = SaidContent::Answer(Answered { status, cut, dialect, came });
        wanted.to.take(Captured { decision, ask, said, _held: held });
    }
}

#[cfg(test)]
mod tests;
