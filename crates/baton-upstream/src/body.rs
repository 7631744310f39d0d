//! The body of a provider's answer, from the network or from this process.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use baton_model::{Fault, ProviderName};
use baton_net::egress::SendError;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use crate::echo::EchoBody;
use crate::fault::of_body;

/// The body of an answer. Dropping it closes the connection it comes from.
pub struct UpstreamBody(Source);

enum Source {
    Network { body: Incoming, provider: ProviderName },
    Echo(EchoBody),
}

impl UpstreamBody {
    pub(crate) const fn network(body: Incoming, provider: ProviderName) -> Self {
        Self(Source::Network { body, provider })
    }

    pub(crate) const fn echo(body: EchoBody) -> Self {
        Self(Source::Echo(body))
    }
}

impl Body for UpstreamBody {
    type Data = Bytes;
    type Error = Fault;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        match &mut self.0 {
            Source::Network { body, provider } => Pin::new(body)
                .poll_frame(context)
                .map_err(|error| of_body(provider, &SendError::from_body(error))),
            Source::Echo(body) => Pin::new(body).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Source::Network { body, .. } => body.is_end_stream(),
            Source::Echo(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Source::Network { body, .. } => body.size_hint(),
            Source::Echo(body) => body.size_hint(),
        }
    }
}

impl fmt::Debug for UpstreamBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source = match &self.0 {
            Source::Network { provider, .. } => provider.as_str(),
            Source::Echo(_) => "echo",
        };
        f.debug_tuple("UpstreamBody").field(&source).finish()
    }
}
