//! Keeps what a fake upstream saw: the ground truth that a gateway's records are held against.
//!
//! - Start with [`Seen`].
//! - **Invariant:** no credential is kept, only a hash to compare by.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName};
use serde_json::Value;

/// Headers that carry a credential.
const SECRET: [&str; 5] = ["authorization", "x-api-key", "api-key", "x-goog-api-key", "cookie"];

/// One request and what became of it.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Its place in the order of arrival, from 0.
    pub number: usize,
    /// When it had arrived whole, since the fake was started.
    pub at: Duration,
    /// The method.
    pub method: String,
    /// The path with its query.
    pub path: String,
    /// Names and values, without those that carry a credential.
    pub headers: Vec<(String, String)>,
    /// The credential, as a hash.
    pub credential: Option<Credential>,
    /// The body as it came.
    pub body: Bytes,
    /// The status of the answer, once its head was written.
    pub status: Option<u16>,
    /// Bytes of the answer's body that were handed to the connection.
    pub sent: u64,
    /// How the exchange ended, and how long after the request's arrival.
    pub ended: Option<(Ending, Duration)>,
}

impl Seen {
    /// The first value of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The body as JSON; `null` when it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// Whether the other side closed the connection before the answer was complete.
    #[must_use]
    pub fn closed_by_peer(&self) -> bool {
        matches!(self.ended, Some((Ending::ClosedByPeer, _)))
    }
}

/// How an exchange ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The whole answer was handed over.
    Whole,
    /// The script cut it.
    CutByScript,
    /// The other side went away first.
    ClosedByPeer,
}

/// A hash of the credential that came with a request: to compare, not to keep.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Credential(u64);

impl Credential {
    /// The hash of this credential.
    #[must_use]
    pub fn of(secret: &str) -> Self {
        let mut hasher = DefaultHasher::new();
        secret.hash(&mut hasher);
        Self(hasher.finish())
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credential({:016x})", self.0)
    }
}

/// The headers without secrets.
pub(crate) fn public(headers: &HeaderMap) -> Vec<(String, String)> {
    let secret = |name: &HeaderName| SECRET.contains(&name.as_str());
    let pairs = headers.iter().filter(|(name, _)| !secret(name));
    pairs
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect()
}

/// The credential in either of the two places where vendors take it.
pub(crate) fn secret(headers: &HeaderMap) -> Option<&str> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let bearer = text("authorization").and_then(|value| value.strip_prefix("Bearer "));
    bearer.or_else(|| text("x-api-key")).filter(|secret| !secret.is_empty())
}
