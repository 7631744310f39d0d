//! Says why a request got no answer.

use std::error::Error;
use std::io;

use crate::BoxError;

/// What went wrong on the way out, as far as the caller acts on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SendErrorKind {
    /// The URL is no `http` or `https` URL with a host.
    Target,
    /// The name could not be looked up.
    Dns,
    /// The name leads only to addresses that may not be reached.
    Blocked,
    /// The host refused the connection.
    Refused,
    /// The host or its network could not be reached.
    Unreachable,
    /// No connection came about in time, TLS included.
    ConnectTimeout,
    /// TLS failed: most often the certificate.
    Tls,
    /// The proxy did not open the way.
    Proxy,
    /// The connection broke before the answer was complete.
    Reset,
    /// What came back is not HTTP.
    Protocol,
}

impl SendErrorKind {
    /// Whether it failed before the request could leave, so that sending it again repeats nothing.
    #[must_use]
    pub fn is_connect(self) -> bool {
        !matches!(self, Self::Reset | Self::Protocol)
    }

    /// The kind as a word for records and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Target => "target",
            Self::Dns => "dns",
            Self::Blocked => "blocked",
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::ConnectTimeout => "connect_timeout",
            Self::Tls => "tls",
            Self::Proxy => "proxy",
            Self::Reset => "reset",
            Self::Protocol => "protocol",
        }
    }

    fn message(self) -> &'static str {
        match self {
            Self::Target => "the URL is no `http` or `https` URL with a host",
            Self::Dns => "the host name could not be looked up",
            Self::Blocked => "the host leads to an address that may not be reached",
            Self::Refused => "the host refused the connection",
            Self::Unreachable => "the host could not be reached",
            Self::ConnectTimeout => "no connection came about in time",
            Self::Tls => "the TLS handshake failed",
            Self::Proxy => "the proxy did not open the connection",
            Self::Reset => "the connection broke before the answer was complete",
            Self::Protocol => "the answer is not valid HTTP",
        }
    }
}

/// A request that got no answer, or an answer that broke off.
#[derive(Debug, thiserror::Error)]
#[error("{}", kind.message())]
pub struct SendError {
    kind: SendErrorKind,
    #[source]
    source: Option<BoxError>,
}

impl SendError {
    pub(crate) fn new(kind: SendErrorKind) -> Self {
        Self { kind, source: None }
    }

    pub(crate) fn because(kind: SendErrorKind, source: impl Into<BoxError>) -> Self {
        Self { kind, source: Some(source.into()) }
    }

    /// Finds the kind in the errors under `source`; `otherwise` when none of them tells.
    pub(crate) fn classified(source: BoxError, otherwise: SendErrorKind) -> Self {
        let kind = chain(&*source).find_map(kind_of).unwrap_or(otherwise);
        Self { kind, source: Some(source) }
    }

    /// Classifies an error met while reading the body of an answer.
    #[must_use]
    pub fn from_body(error: hyper::Error) -> Self {
        Self::classified(Box::new(error), SendErrorKind::Reset)
    }

    /// What went wrong.
    #[must_use]
    pub fn kind(&self) -> SendErrorKind {
        self.kind
    }

    /// Whether it failed before the request could leave.
    #[must_use]
    pub fn is_connect(&self) -> bool {
        self.kind.is_connect()
    }
}

fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error: &&'a (dyn Error + 'static)| {
        let error: &'a (dyn Error + 'static) = *error;
        // An `io::Error` made from another error hides it from `source`.
        match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner as &(dyn Error + 'static)),
            None => error.source(),
        }
    })
}

/// What an error says about its kind. What failed while connecting says it in our own type; so an
/// error of the socket or of TLS that is met here broke a connection that stood.
fn kind_of(error: &(dyn Error + 'static)) -> Option<SendErrorKind> {
    if let Some(ours) = error.downcast_ref::<SendError>() {
        return Some(ours.kind);
    }
    let hyper = error.downcast_ref::<hyper::Error>()?;
    (hyper.is_parse() || hyper.is_parse_too_large()).then_some(SendErrorKind::Protocol)
}

/// Why a client cannot be made from its options.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The extra certificates are no PEM file with at least one certificate.
    #[error("the extra CA file holds no certificate that can be read")]
    ExtraCa(#[source] Option<BoxError>),
    /// The proxy's URL cannot be used.
    #[error("the proxy URL must read `http://[user:password@]host[:port]`")]
    ProxyUrl,
    /// The TLS library refuses its settings.
    #[error("TLS cannot be set up")]
    Tls(#[source] rustls::Error),
}

#[cfg(test)]
mod tests;
