//! One answer for one `Idempotency-Key`: repeats join the running request, or get its answer again.
//!
//! A client that lost its connection cannot know whether its request was carried out, so it sends it
//! again. Told by the key that it is the same request, the gateway does not carry it out twice:
//!
//! ```text
//! begun ── running ──────────── kept, 10 minutes ──── outcome unknown, to 24 hours ──── new again
//!            │ repeats join it    │ repeats get it      │ repeats are refused
//!            └ not to be kept: new again at once (`Forget`)
//! ```
//!
//! That a key was begun is in a file before the request goes on, so it survives a crash; answers are
//! in memory only, sealed. What is not known any more is refused and never carried out again.
//!
//! - Start with [`Idempotency::begin`].
//! - **Invariant:** within a process, two requests of one key never run at the same time.
//! - **Invariant:** a key that was begun is known after a `kill -9`, unless it was forgotten.
//! - **Never here:** which answers are worth keeping; the caller says so with [`Verdict`].

mod kept;
mod key;
mod marks;
mod tape;

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_lc_rs::hmac::{self, HMAC_SHA256};
use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use kept::{Kept, LARGEST, Sealer};
pub use key::{Asked, IdempotencyKey, KeyError};
use key::{Fingerprint, Id};
use marks::Marks;
pub use tape::{Broken, Head, Listener};
use tape::{Room, Tape};

/// How long a finished answer is given again.
const KEEP_MS: u64 = 10 * 60 * 1000;
/// How long it is known that a key was begun.
const KNOW_MS: u64 = 24 * 60 * 60 * 1000;

/// Tells the time, in milliseconds since 1970.
pub type Clock = Box<dyn Fn() -> u64 + Send + Sync>;

/// The keys of one installation. One for the process.
pub struct Idempotency {
    clock: Clock,
    mac: hmac::Key,
    room: Arc<Room>,
    sealer: Sealer,
    keys: Mutex<Keys>,
}

struct Keys {
    running: HashMap<Id, Running>,
    kept: Kept,
    marks: Marks,
}

struct Running {
    fingerprint: Fingerprint,
    tape: Arc<Tape>,
}

/// What there is under a key.
#[derive(Debug)]
pub enum Begun {
    /// Nothing yet. Whoever gets this carries the request out, and hears the answer like the others.
    New(Recording, Listener),
    /// The same request is being carried out.
    Running(Listener),
    /// The same request was answered.
    Answered(Answer),
    /// Another request has this key.
    OtherRequest,
    /// The same request was begun, and what came of it is not known here any more.
    Unknown,
}

/// A whole answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Status and headers.
    pub head: Head,
    /// The body.
    pub body: Bytes,
}

/// Whether an answer is given again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is, if it is not too large.
    Keep,
    /// It is not, and the key is free again: the next request is carried out.
    Forget,
}

/// That a key was begun could not be written down, so the request must not go on.
#[derive(Debug, thiserror::Error)]
#[error("the idempotency key cannot be written down")]
pub struct NotRecorded(#[source] io::Error);

/// The files of begun keys cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the idempotency keys in `{dir}` cannot be read")]
pub struct OpenError {
    dir: String,
    #[source]
    source: io::Error,
}

impl Idempotency {
    /// Opens the files in this directory. `key` makes what stands in them say nothing about the keys
    /// of clients; under another one, the keys of before are not known.
    ///
    /// # Errors
    /// When the files cannot be read or made.
    pub fn open(dir: &Path, key: &[u8; 32], clock: Clock) -> Result<Arc<Self>, OpenError> {
        let marks = Marks::open(dir, clock())
            .map_err(|source| OpenError { dir: dir.display().to_string(), source })?;
        let keys = Keys { running: HashMap::new(), kept: Kept::default(), marks };
        let mac = hmac::Key::new(HMAC_SHA256, key);
        Ok(Arc::new(Self {
            clock,
            mac,
            room: Arc::default(),
            sealer: Sealer::default(),
            keys: Mutex::new(keys),
        }))
    }

    /// Looks a request up by its key, and begins it where there is nothing yet.
    ///
    /// # Errors
    /// When it cannot be written down that the key was begun.
    pub fn begin(self: &Arc<Self>, asked: &Asked<'_>) -> Result<Begun, NotRecorded> {
        let (id, fingerprint) = (asked.id(&self.mac), asked.fingerprint());
        let now = (self.clock)();
        let mut keys = self.keys();
        if let Some(running) = keys.running.get(&id) {
            if running.fingerprint != fingerprint {
                return Ok(Begun::OtherRequest);
            }
            match Tape::listen(&running.tape) {
                tape::Listen::Here(listener) => return Ok(Begun::Running(listener)),
                tape::Listen::BeginningLost => return Ok(Begun::Unknown),
                // It is being ended because nobody was left; this request is a new one.
                tape::Listen::Closed => {
                    keys.running.remove(&id);
                }
            }
        } else if let Some(known) = keys.marks.get(&id, now) {
            if known != fingerprint {
                return Ok(Begun::OtherRequest);
            }
            let sealed = keys.kept.get(&id, now);
            drop(keys);
            let answer = sealed.and_then(|sealed| self.sealer.open(&id, &sealed));
            return Ok(answer.map_or(Begun::Unknown, Begun::Answered));
        }
        keys.marks.begin(id, fingerprint, now).map_err(NotRecorded)?;
        let tape = Arc::new(Tape::new(Arc::clone(&self.room)));
        let listener = Listener::first(Arc::clone(&tape));
        keys.running.insert(id, Running { fingerprint, tape: Arc::clone(&tape) });
        drop(keys);
        Ok(Begun::New(Recording { keys: Arc::clone(self), id, tape, settled: false }, listener))
    }

    /// Says what became of a request. Before its last byte can be heard, so that whoever has heard
    /// it and asks again finds what is said here.
    fn settle(&self, id: &Id, tape: &Arc<Tape>, answer: Option<&Answer>, verdict: Verdict) {
        let now = (self.clock)();
        let answer = answer.filter(|_| verdict == Verdict::Keep);
        let sealed = answer.and_then(|answer| self.sealer.seal(id, answer));
        let mut keys = self.keys();
        if keys.running.get(id).is_none_or(|running| !Arc::ptr_eq(&running.tape, tape)) {
            // The key is another request's by now.
            return;
        }
        keys.running.remove(id);
        match (verdict, sealed) {
            (Verdict::Keep, Some(sealed)) => keys.kept.put(*id, sealed, now),
            (Verdict::Keep, None) => {}
            (Verdict::Forget, _) => {
                if let Err(error) = keys.marks.forget(*id, now) {
                    tracing::warn!(error = %error, "an idempotency key cannot be freed on disk; it is free until the next start");
                }
            }
        }
    }

    /// Lets go of every finished answer, whoever's: what a key was begun for is not known here. Repeats are
    /// told that the outcome is unknown, and none is carried out again. Returns how many there were.
    pub fn forget_answers(&self) -> u64 {
        self.keys().kept.clear()
    }

    fn keys(&self) -> MutexGuard<'_, Keys> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Idempotency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Idempotency").finish_non_exhaustive()
    }
}

/// The answer to a request while it is made. Dropped before its end, the key is free again and
/// whoever listens is cut off.
#[derive(Debug)]
pub struct Recording {
    keys: Arc<Idempotency>,
    id: Id,
    tape: Arc<Tape>,
    settled: bool,
}

impl Recording {
    /// Gives a whole answer at once.
    pub fn whole(mut self, answer: Answer, verdict: Verdict) {
        self.settle(Some(&answer), verdict);
        self.tape.add(answer.body);
        self.tape.say_last(answer.head);
    }

    /// Gives the head of an answer that comes in pieces.
    pub fn head(&self, head: Head) {
        self.tape.say(head);
    }

    /// Gives a piece, once the fastest listener is near.
    pub async fn push(&self, piece: Bytes) {
        self.tape.push(piece).await;
    }

    /// The answer is complete.
    pub fn end(mut self, verdict: Verdict) {
        let answer = self.tape.recorded(LARGEST);
        self.settle(answer.as_ref(), verdict);
        self.tape.end(Ok(()));
    }

    /// Waits until nobody listens any more, and a little longer, for somebody who comes back. After
    /// that nobody can join; the recording should be dropped.
    pub fn left(&self) -> impl Future<Output = ()> + Send + 'static {
        Arc::clone(&self.tape).left()
    }

    fn settle(&mut self, answer: Option<&Answer>, verdict: Verdict) {
        self.settled = true;
        self.keys.settle(&self.id, &self.tape, answer, verdict);
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        if !self.settled {
            self.settle(None, Verdict::Forget);
            self.tape.end(Err(Broken::CutOff));
        }
    }
}

impl Answer {
    /// An answer of these parts.
    #[must_use]
    pub const fn new(status: StatusCode, headers: HeaderMap, body: Bytes) -> Self {
        Self { head: Head { status, headers }, body }
    }
}

#[cfg(test)]
mod tests;
