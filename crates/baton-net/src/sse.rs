//! Cuts a byte stream into server-sent events without copying them.
//!
//! The fast lane forwards what the upstream sent, byte for byte, and only looks at it in passing.
//! So an event keeps its exact bytes as a slice of the chunk it came in, and a [`Passage`] joins
//! the slices of neighbours again, so that a burst of events leaves as one frame. Bytes are copied
//! only for an event that lies across chunks, or for the data of an event with several `data:` lines.
//!
//! - Start with [`SseDecoder`].
//! - **Invariant:** the raw bytes of all events, in order, are the stream; where the chunks were
//!   cut changes neither the events nor the sum of the raw bytes.
//! - **Never here:** JSON, `[DONE]`, reconnecting, UTF-8 checks.

use std::ops::Range;

use bytes::{BufMut, Bytes, BytesMut};
use memchr::memchr2;

/// The usual limit of one event: 16 MiB.
pub const DEFAULT_EVENT_LIMIT: usize = 16 << 20;

const BOM: &[u8] = b"\xEF\xBB\xBF";

/// One event of a stream.
#[derive(Clone, Debug)]
pub struct SseEvent {
    /// The exact bytes, with the blank line that ended the event.
    ///
    /// When a chunk ends between the CR and the LF of that blank line, the event is given out at
    /// once, and the late LF stands at the head of the next event's bytes. It means nothing there.
    pub raw: Bytes,
    /// The last `event:` value, or empty.
    pub event: Bytes,
    /// The `data:` values, joined by line feeds.
    pub data: Bytes,
    /// From the start of `raw` to the end of the chunk; what lets a [`Passage`] join neighbours.
    rest: Bytes,
}

impl SseEvent {
    /// Whether the event says nothing: only comments, ids or blank lines.
    #[must_use]
    pub fn is_comment(&self) -> bool {
        self.event.is_empty() && self.data.is_empty()
    }
}

/// What stops a decoder for good.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SseError {
    /// An event did not end within the limit.
    #[error("an event is longer than {limit} bytes")]
    TooLong {
        /// The limit that was passed.
        limit: usize,
    },
}

/// Turns chunks into events: push a chunk, take events until there is none.
#[derive(Debug)]
pub struct SseDecoder {
    limit: usize,
    /// The bytes of the unfinished event that came in earlier chunks.
    carry: BytesMut,
    /// What is left of the newest chunk. Without a carry it begins where the event begins.
    chunk: Bytes,
    /// Up to here, counted from the start of `chunk`, there is no unseen line end.
    scanned: usize,
    /// Where the current line begins, counted from the start of the event.
    line_start: usize,
    /// The last byte seen ended a line and was a CR, so that a LF now belongs to it.
    after_cr: bool,
    /// No line has been read yet, so that a byte order mark may stand here.
    first_line: bool,
    fields: Fields,
    failed: bool,
}

/// The fields of the unfinished event, as places counted from its start.
#[derive(Debug, Default)]
struct Fields {
    name: Option<Range<usize>>,
    data: Data,
}

#[derive(Debug, Default)]
enum Data {
    #[default]
    None,
    Line(Range<usize>),
    Joined(BytesMut),
}

impl SseDecoder {
    /// Makes a decoder that fails on an event longer than `limit` bytes.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            carry: BytesMut::new(),
            chunk: Bytes::new(),
            scanned: 0,
            line_start: 0,
            after_cr: false,
            first_line: true,
            fields: Fields::default(),
            failed: false,
        }
    }

    /// Takes the next chunk. Take all events of the previous one first: what is left of it is copied.
    pub fn push(&mut self, chunk: Bytes) {
        if self.chunk.is_empty() {
            self.chunk = chunk;
            return;
        }
        let mut both = BytesMut::with_capacity(self.chunk.len() + chunk.len());
        both.put_slice(&self.chunk);
        both.put_slice(&chunk);
        self.chunk = both.freeze();
    }

    /// The next whole event of what was pushed.
    ///
    /// # Errors
    /// [`SseError::TooLong`], from then on always.
    pub fn next_event(&mut self) -> Result<Option<SseEvent>, SseError> {
        self.check_failed()?;
        while let Some(line) = self.next_line() {
            if !self.read_line(line.content) {
                continue;
            }
            let event = self.cut(line.end);
            return self.checked(event).map(Some);
        }
        self.keep_rest()?;
        Ok(None)
    }

    /// The last event, when the stream ended without the blank line after it.
    ///
    /// A stream that was cut ends so too, so the data may be incomplete. Call
    /// [`next_event`](Self::next_event) until there is none before.
    ///
    /// # Errors
    /// [`SseError::TooLong`], as for every event.
    pub fn finish(&mut self) -> Result<Option<SseEvent>, SseError> {
        if let Some(event) = self.next_event()? {
            return Ok(Some(event));
        }
        if self.carry.is_empty() {
            return Ok(None);
        }
        let end = self.carry.len();
        self.read_line(self.line_start.min(end)..end);
        let event = self.cut(0);
        self.checked(event).map(Some)
    }

    fn check_failed(&self) -> Result<(), SseError> {
        if self.failed { Err(SseError::TooLong { limit: self.limit }) } else { Ok(()) }
    }

    fn checked(&mut self, event: SseEvent) -> Result<SseEvent, SseError> {
        self.failed = event.raw.len() > self.limit;
        self.check_failed().map(|()| event)
    }

    /// Finds the next line end in the chunk. What it passes over is not looked at again.
    fn next_line(&mut self) -> Option<Line> {
        if self.after_cr
            && let Some(next) = self.chunk.get(self.scanned)
        {
            self.after_cr = false;
            if *next == b'\n' {
                self.scanned += 1;
                self.line_start += 1;
            }
        }
        let unseen = self.chunk.get(self.scanned..)?;
        let at = self.scanned + memchr2(b'\n', b'\r', unseen)?;
        let mut end = at + 1;
        if self.chunk.get(at) == Some(&b'\r') {
            match self.chunk.get(end) {
                Some(b'\n') => end += 1,
                Some(_) => {}
                None => self.after_cr = true,
            }
        }
        self.scanned = end;
        let content = self.line_start..self.carry.len() + at;
        self.line_start = self.carry.len() + end;
        Some(Line { content, end })
    }

    /// Reads one line of the event; `true` when it is the blank one that ends it.
    fn read_line(&mut self, mut content: Range<usize>) -> bool {
        if !self.carry.is_empty() {
            // The line may have begun in an earlier chunk: bring what is known of the event together.
            let seen = self.chunk.split_to(self.scanned.min(self.chunk.len()));
            self.carry.put_slice(&seen);
            self.scanned = 0;
        }
        let event: &[u8] = if self.carry.is_empty() { &self.chunk } else { &self.carry };
        let mut line = event.get(content.clone()).unwrap_or_default();
        if std::mem::take(&mut self.first_line)
            && let Some(after) = line.strip_prefix(BOM)
        {
            line = after;
            content.start += BOM.len();
        }
        if line.is_empty() {
            return true;
        }
        self.fields.read(event, line, content);
        false
    }

    /// Takes the finished event out; `end` is where it ends in the chunk when nothing is carried.
    fn cut(&mut self, end: usize) -> SseEvent {
        let (raw, rest) = if self.carry.is_empty() {
            let rest = self.chunk.clone();
            (self.chunk.split_to(end), rest)
        } else {
            let raw = self.carry.split().freeze();
            (raw.clone(), raw)
        };
        self.scanned = 0;
        self.line_start = 0;
        let fields = std::mem::take(&mut self.fields);
        let slice = |range: Range<usize>| if range.is_empty() { Bytes::new() } else { raw.slice(range) };
        SseEvent {
            event: fields.name.map(slice).unwrap_or_default(),
            data: match fields.data {
                Data::None => Bytes::new(),
                Data::Line(range) => slice(range),
                Data::Joined(data) => data.freeze(),
            },
            rest,
            raw,
        }
    }

    /// Copies the unfinished event out of the chunk, which ends inside it.
    fn keep_rest(&mut self) -> Result<(), SseError> {
        self.failed = self.carry.len() + self.chunk.len() > self.limit;
        self.check_failed()?;
        self.carry.put_slice(&self.chunk);
        self.chunk = Bytes::new();
        self.scanned = 0;
        Ok(())
    }
}

/// A line: its content, counted from the start of the event, and its end in the chunk.
struct Line {
    content: Range<usize>,
    end: usize,
}

impl Fields {
    /// Takes in one line, which lies at `at` in the event.
    fn read(&mut self, event: &[u8], line: &[u8], at: Range<usize>) {
        if let Some(value) = value_of(line, b"data") {
            let range = at.end - value..at.end;
            let value = event.get(range.clone()).unwrap_or_default();
            match &mut self.data {
                Data::None => self.data = Data::Line(range),
                Data::Line(first) => {
                    let first = event.get(first.clone()).unwrap_or_default();
                    let mut joined = BytesMut::with_capacity(2 * (first.len() + value.len()));
                    joined.put_slice(first);
                    joined.put_u8(b'\n');
                    joined.put_slice(value);
                    self.data = Data::Joined(joined);
                }
                Data::Joined(joined) => {
                    joined.put_u8(b'\n');
                    joined.put_slice(value);
                }
            }
        } else if let Some(value) = value_of(line, b"event") {
            self.name = Some(at.end - value..at.end);
        }
    }
}

/// The length of the line's value, when the line is of this field. The value is the line's tail.
fn value_of(line: &[u8], field: &[u8]) -> Option<usize> {
    match line.strip_prefix(field)? {
        [] => Some(0),
        [b':', b' ', value @ ..] | [b':', value @ ..] => Some(value.len()),
        _ => None,
    }
}

/// Collects the raw bytes of events to forward; neighbours in one chunk leave as one slice of it.
///
/// ```
/// # use baton_net::sse::{Passage, SseDecoder};
/// # use bytes::Bytes;
/// let mut decoder = SseDecoder::new(1024);
/// decoder.push(Bytes::from_static(b"data: 1\n\ndata: 2\n\n"));
/// let mut passage = Passage::default();
/// while let Some(event) = decoder.next_event()? {
///     // Given out when `event` is no neighbour of what was collected.
///     assert!(passage.add(&event).is_none());
/// }
/// assert_eq!(passage.take().as_deref(), Some(&b"data: 1\n\ndata: 2\n\n"[..]));
/// # Ok::<_, baton_net::sse::SseError>(())
/// ```
#[derive(Debug, Default)]
pub struct Passage {
    /// From the first collected event to the end of its chunk.
    rest: Bytes,
    len: usize,
}

impl Passage {
    /// Adds an event. Gives out what was collected when the event does not follow it in one chunk.
    pub fn add(&mut self, event: &SseEvent) -> Option<Bytes> {
        if self.is_followed_by(&event.raw) {
            self.len += event.raw.len();
            return None;
        }
        let before = self.take();
        self.rest = event.rest.clone();
        self.len = event.raw.len();
        before
    }

    /// Takes what was collected.
    pub fn take(&mut self) -> Option<Bytes> {
        let mut passage = std::mem::take(&mut self.rest);
        passage.truncate(std::mem::take(&mut self.len));
        (!passage.is_empty()).then_some(passage)
    }

    /// Whether nothing is collected.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether `raw` is the memory right behind the collected bytes. `rest` is alive and reaches to
    /// the end of its chunk, so an address inside it can belong to that chunk only.
    fn is_followed_by(&self, raw: &Bytes) -> bool {
        self.len > 0
            && self
                .rest
                .get(self.len..self.len + raw.len())
                .is_some_and(|next| std::ptr::eq(next, raw.as_ref()))
    }
}

#[cfg(test)]
mod tests;
