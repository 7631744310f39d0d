//! What a provider is asked, and what it answers.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use baton_model::Secret;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode};

use crate::UpstreamBody;
use crate::base_url::{JoinError, check_path};

/// One call to a provider.
#[derive(Clone)]
pub struct Call {
    /// Which endpoint.
    pub path: CallPath,
    /// The body, in slices that are sent as they are.
    pub body: Vec<Bytes>,
    /// Whether the body asks for a stream.
    pub stream: bool,
    /// Headers of the client's request. Only those on this provider's list are sent.
    pub forward: HeaderMap,
    /// The query of the client's request, such as `beta=true`.
    pub query: Option<String>,
    /// Which key to send.
    pub credential: Credential,
    /// How long to wait for a connection, where there is a client that waits as long.
    pub connect: Option<Duration>,
}

/// Which endpoint a call is for.
#[derive(Clone, Debug)]
pub enum CallPath {
    /// The dialect's main endpoint.
    Answers,
    /// `/responses` of a provider of chat completions that has it too.
    Responses,
    /// `/v1/messages/count_tokens`; only `anthropic_messages` has it.
    CountTokens,
    /// Any other path, passed through.
    Raw {
        /// The client's method.
        method: Method,
        /// The path below `/v1`.
        path: RawPath,
        /// The client's content type; none for requests without a body.
        content_type: Option<HeaderValue>,
    },
}

/// A client's path below `/v1` that cannot climb out of it: `/embeddings`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawPath(String);

/// A path that cannot be passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the path cannot be passed on to a provider")]
pub struct RawPathError;

/// Which key a call carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// One of the provider's own, by its place.
    Own(usize),
    /// The client's.
    Byok(Secret<String>),
}

/// A provider's answer, whatever its status.
#[derive(Debug)]
pub struct UpstreamResponse {
    /// The provider's status.
    pub status: StatusCode,
    /// The provider's headers.
    pub headers: HeaderMap,
    /// The body, not read yet.
    pub body: UpstreamBody,
}

impl Call {
    /// A call of the main endpoint with the provider's first key and nothing forwarded.
    #[must_use]
    pub fn answers(body: Vec<Bytes>) -> Self {
        Self {
            path: CallPath::Answers,
            body,
            stream: false,
            forward: HeaderMap::new(),
            query: None,
            credential: Credential::Own(0),
            connect: None,
        }
    }
}

impl fmt::Debug for Call {
    /// Neither body nor headers: that is what clients say.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("path", &self.path)
            .field("bytes", &self.body.iter().map(Bytes::len).sum::<usize>())
            .field("stream", &self.stream)
            .field("credential", &self.credential)
            .finish_non_exhaustive()
    }
}

impl RawPath {
    /// The path, with its leading slash.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RawPath {
    type Err = RawPathError;

    fn from_str(path: &str) -> Result<Self, Self::Err> {
        check_path(path).map_err(|JoinError| RawPathError)?;
        Ok(Self(path.to_owned()))
    }
}
