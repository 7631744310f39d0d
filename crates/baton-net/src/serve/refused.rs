//! Puts words in the place of the HTTP library's answer to what never became a request.
//!
//! A torn or oversized head is answered by the library itself, with a status and nothing else, and the
//! connection is closed. Here that answer is exchanged for one with a body, on its way to the socket.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use memchr::memmem;
use tokio::io::AsyncWrite;

/// Writes the whole answer, head and body, to a head that was refused with this status. It sees how the
/// head began: its method and path, if it came so far.
pub type Malformed = fn(status: u16, began: &[u8]) -> Vec<u8>;

/// How much of a head's beginning is kept.
const KEPT: usize = 64;

/// How the library's answer begins.
const ANSWER: &[u8] = b"HTTP/1.1 4";

/// What every answer of a service carries, and the library's own does not.
const OURS: &[u8] = b"x-request-id";

/// Watches for the library's own answers on a connection.
#[derive(Debug)]
pub(super) struct Refused {
    words: Option<Malformed>,
    began: Vec<u8>,
    /// The answer that is sent in the place of the library's, and how much of it is.
    sending: Option<(Vec<u8>, usize)>,
}

impl Refused {
    pub(super) const fn new(words: Option<Malformed>) -> Self {
        Self { words, began: Vec::new(), sending: None }
    }

    /// Notes bytes of a head that is being read; `first` where they are its first.
    pub(super) fn note(&mut self, bytes: &[u8], first: bool) {
        if self.words.is_none() {
            return;
        }
        if first {
            self.began.clear();
        }
        let room = KEPT.saturating_sub(self.began.len());
        self.began.extend(bytes.iter().take(room));
    }

    /// Whether a write is the library's own answer, and so is not to be sent. `open` says that no request
    /// came of the head that is being read.
    pub(super) fn takes(&mut self, open: bool, bytes: &[u8]) -> bool {
        if self.sending.is_some() {
            return true;
        }
        let Some(words) = self.words.filter(|_| open && bytes.starts_with(ANSWER)) else { return false };
        let status = bytes.get(9..12).and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
        let Some(status) = status.filter(|_| memmem::find(bytes, OURS).is_none()) else { return false };
        self.sending = Some((words(status, &self.began), 0));
        true
    }

    /// Sends our answer; done when all of it is written.
    pub(super) fn poll_send<I: AsyncWrite + Unpin>(
        &mut self,
        io: &mut I,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let Some((text, sent)) = &mut self.sending else { return Poll::Ready(Ok(())) };
        while let Some(rest) = text.get(*sent..).filter(|rest| !rest.is_empty()) {
            match ready!(Pin::new(&mut *io).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                more => *sent += more,
            }
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_librarys_own_answers_are_exchanged() {
        let theirs = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\n\r\n";
        let ours = b"HTTP/1.1 404 Not Found\r\nx-request-id: req_1\r\n\r\n{}";
        let words: Malformed = |status, began| format!("{status} {}", began.escape_ascii()).into_bytes();
        for (open, written, expected) in [
            (true, theirs.as_slice(), true),
            (false, theirs, false),
            (true, ours, false),
            (true, b"data: x", false),
        ] {
            let mut refused = Refused::new(Some(words));
            refused.note(b"GET /v1/messages", true);
            assert_eq!(refused.takes(open, written), expected);
            let text = refused.sending.map(|(text, _)| text);
            assert_eq!(text, expected.then(|| b"431 GET /v1/messages".to_vec()));
        }
        assert!(!Refused::new(None).takes(true, theirs));
    }
}
