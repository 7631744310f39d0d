//! The ids of responses that are ours.

use std::fmt;
use std::str::FromStr;

use baton_model::RequestId;

/// The id of a response that Baton made: its request's digits behind `resp_`.
///
/// A provider's id has another length or is no `UUIDv7`: it is not one of ours, and is never looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ResponseId(RequestId);

/// A text that is not the id of a response of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is not an id that Baton gave to a response")]
pub struct NotOurs;

impl ResponseId {
    /// What stands before the digits.
    pub const PREFIX: &str = "resp_";

    /// The response to this request.
    #[must_use]
    pub const fn of(request: RequestId) -> Self {
        Self(request)
    }

    /// The request it answers.
    #[must_use]
    pub const fn request(self) -> RequestId {
        self.0
    }
}

impl fmt::Display for ResponseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", Self::PREFIX, self.0.uuid().simple())
    }
}

impl FromStr for ResponseId {
    type Err = NotOurs;

    fn from_str(text: &str) -> Result<Self, NotOurs> {
        let digits = text.strip_prefix(Self::PREFIX).ok_or(NotOurs)?;
        let is_written_by_us = digits.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
        let request = format!("{}{digits}", RequestId::PREFIX).parse::<RequestId>();
        let request = request.ok().filter(|request| request.uuid().get_version_num() == 7);
        request.filter(|_| is_written_by_us).map(Self).ok_or(NotOurs)
    }
}
