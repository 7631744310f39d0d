//! The answer to a running request: written once, heard by as many as came for it.
//!
//! Whoever comes late hears it from its beginning, as long as that is there. A very long answer loses
//! its beginning: those who listen hear it to the end, and nobody can come any more. The writer waits
//! for the fastest listener. One that stays far behind it is cut off, so that a connection that died
//! unnoticed does not hold up the others.
//!
//! - Start with [`Listener`].
//! - **Invariant:** every listener hears the same bytes, and all of them or an error.
//! - **Invariant:** a closed tape is never listened to again.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode};
use tokio::sync::Notify;

use super::Answer;

/// The longest answer whose beginning is held.
const LONGEST: usize = 8 * 1024 * 1024;
/// The most that the beginnings of all running answers may take.
const MOST: usize = 256 * 1024 * 1024;
/// How far the writer may be ahead of the fastest listener, and a listener behind it.
const DISTANCE: usize = 256 * 1024;
/// How long a request goes on without listeners. Client libraries that gave up waiting come back
/// after half a second, or one.
const LINGER: Duration = Duration::from_secs(2);

/// What all running answers take together.
#[derive(Debug, Default)]
pub(super) struct Room(AtomicUsize);

/// Status and headers of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
}

/// Why an answer cannot be heard to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// The request ended in the middle of its answer.
    #[error("the answer broke off")]
    CutOff,
    /// The listener was too slow.
    #[error("the answer went on without this listener")]
    Behind,
}

#[derive(Debug)]
pub(super) struct Tape {
    room: Arc<Room>,
    state: Mutex<State>,
    /// Something was written.
    written: Notify,
    /// Somebody has heard more, or left.
    heard: Notify,
}

#[derive(Debug, Default)]
struct State {
    head: Option<Head>,
    pieces: VecDeque<Bytes>,
    /// How many pieces are gone from the front.
    gone: usize,
    /// The bytes of the pieces that are here.
    held: usize,
    /// The bytes of all pieces.
    written: usize,
    /// The bytes that the fastest listener has heard.
    heard: usize,
    /// Whether the beginning is not held any more.
    beginning_lost: bool,
    ended: Option<Result<(), Broken>>,
    listeners: usize,
    /// How many listeners there were in all.
    came: usize,
    closed: bool,
}

/// What somebody finds who comes to listen.
#[derive(Debug)]
pub(super) enum Listen {
    Here(Listener),
    /// It has gone on too far.
    BeginningLost,
    /// It was given up.
    Closed,
}

impl Tape {
    pub(super) fn new(room: Arc<Room>) -> Self {
        Self { room, state: Mutex::default(), written: Notify::new(), heard: Notify::new() }
    }

    pub(super) fn listen(tape: &Arc<Self>) -> Listen {
        let mut state = tape.state();
        if state.closed {
            return Listen::Closed;
        }
        if state.beginning_lost {
            return Listen::BeginningLost;
        }
        state.comes();
        drop(state);
        Listen::Here(Listener { tape: Arc::clone(tape), next: 0, heard: 0 })
    }

    pub(super) fn say(&self, head: Head) {
        self.state().head = Some(head);
        self.written.notify_waiters();
    }

    /// The head, after which nothing follows: whoever waits for it finds everything there.
    pub(super) fn say_last(&self, head: Head) {
        let mut state = self.state();
        state.head = Some(head);
        state.ended = Some(Ok(()));
        drop(state);
        self.written.notify_waiters();
    }

    pub(super) async fn push(&self, piece: Bytes) {
        loop {
            let mut heard = std::pin::pin!(self.heard.notified());
            heard.as_mut().enable();
            if self.state().is_near() {
                break;
            }
            heard.await;
        }
        self.add(piece);
    }

    /// Adds a piece, however far the listeners are.
    pub(super) fn add(&self, piece: Bytes) {
        if piece.is_empty() {
            return;
        }
        let mut state = self.state();
        let others = self.room.0.fetch_add(piece.len(), Ordering::Relaxed);
        state.written += piece.len();
        state.held += piece.len();
        state.beginning_lost |= state.held > LONGEST || others + piece.len() > MOST;
        state.pieces.push_back(piece);
        let gone = state.trim();
        drop(state);
        self.room.0.fetch_sub(gone, Ordering::Relaxed);
        self.written.notify_waiters();
    }

    pub(super) fn end(&self, how: Result<(), Broken>) {
        self.state().ended.get_or_insert(how);
        self.written.notify_waiters();
    }

    /// All that was said, if it is all here and no longer than that.
    pub(super) fn recorded(&self, longest: usize) -> Option<Answer> {
        let state = self.state();
        let head = state.head.clone().filter(|_| !state.beginning_lost && state.held <= longest)?;
        Some(Answer { head, body: joined(state.pieces.iter()) })
    }

    /// Waits until nobody has listened for a while, and closes it.
    pub(super) async fn left(self: Arc<Self>) {
        loop {
            let mut heard = std::pin::pin!(self.heard.notified());
            heard.as_mut().enable();
            let (listeners, came) = self.audience();
            if listeners > 0 {
                heard.await;
                continue;
            }
            tokio::time::sleep(LINGER).await;
            let mut state = self.state();
            // Whoever came and left meanwhile may come back too.
            if state.listeners == 0 && state.came == came {
                state.closed = true;
                return;
            }
        }
    }

    fn audience(&self) -> (usize, usize) {
        let state = self.state();
        (state.listeners, state.came)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Tape {
    fn drop(&mut self) {
        let held = self.state().held;
        self.room.0.fetch_sub(held, Ordering::Relaxed);
    }
}

impl State {
    const fn comes(&mut self) {
        self.listeners += 1;
        self.came += 1;
    }

    const fn is_near(&self) -> bool {
        self.written.saturating_sub(self.heard) < DISTANCE
    }

    /// Lets go what nobody can come for and whoever listens should have heard; how many bytes.
    fn trim(&mut self) -> usize {
        let mut gone = 0;
        while self.beginning_lost
            && let Some(piece) = self.pieces.front().map(Bytes::len)
            && self.written - self.held + piece + DISTANCE <= self.heard
        {
            self.pieces.pop_front();
            self.gone += 1;
            self.held -= piece;
            gone += piece;
        }
        gone
    }
}

fn joined<'a>(pieces: impl Iterator<Item = &'a Bytes> + Clone) -> Bytes {
    let mut pieces = pieces.peekable();
    let first = pieces.next().cloned().unwrap_or_default();
    if pieces.peek().is_none() {
        return first;
    }
    let mut whole = BytesMut::from(&*first);
    pieces.for_each(|piece| whole.extend_from_slice(piece));
    whole.freeze()
}

/// Somebody who hears an answer.
#[derive(Debug)]
pub struct Listener {
    tape: Arc<Tape>,
    next: usize,
    heard: usize,
}

impl Listener {
    /// The one for whom the request is carried out.
    pub(super) fn first(tape: Arc<Tape>) -> Self {
        tape.state().comes();
        Self { tape, next: 0, heard: 0 }
    }

    /// Waits for status and headers.
    ///
    /// # Errors
    /// When the request ended without an answer.
    pub async fn head(&mut self) -> Result<Head, Broken> {
        loop {
            let mut written = std::pin::pin!(self.tape.written.notified());
            written.as_mut().enable();
            {
                let state = self.tape.state();
                match (&state.head, state.ended) {
                    (Some(head), _) => return Ok(head.clone()),
                    (None, Some(ended)) => return Err(ended.err().unwrap_or(Broken::CutOff)),
                    (None, None) => {}
                }
            }
            written.await;
        }
    }

    /// All that this listener has not heard, if the answer is complete already.
    pub fn rest(&mut self) -> Option<Bytes> {
        let mut state = self.tape.state();
        if state.ended != Some(Ok(())) {
            return None;
        }
        let rest = joined(state.pieces.iter().skip(self.next.checked_sub(state.gone)?));
        self.next = state.gone + state.pieces.len();
        state.heard = state.written;
        Some(rest)
    }

    /// Waits for the next piece; none after the last.
    ///
    /// # Errors
    /// [`Broken`], after which there is nothing more.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Broken> {
        loop {
            let mut written = std::pin::pin!(self.tape.written.notified());
            written.as_mut().enable();
            if let Some(heard) = hear(&self.tape, &mut self.next, &mut self.heard) {
                return heard;
            }
            written.await;
        }
    }
}

/// The next piece or the end, if there is one now.
fn hear(tape: &Tape, next: &mut usize, heard: &mut usize) -> Option<Result<Option<Bytes>, Broken>> {
    let mut state = tape.state();
    let Some(at) = next.checked_sub(state.gone) else { return Some(Err(Broken::Behind)) };
    let Some(piece) = state.pieces.get(at).cloned() else {
        return state.ended.map(|ended| ended.map(|()| None));
    };
    *next += 1;
    *heard += piece.len();
    state.heard = state.heard.max(*heard);
    let gone = state.trim();
    drop(state);
    tape.room.0.fetch_sub(gone, Ordering::Relaxed);
    tape.heard.notify_waiters();
    Some(Ok(Some(piece)))
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.tape.state().listeners -= 1;
        self.tape.heard.notify_waiters();
    }
}

#[cfg(test)]
mod tests;
