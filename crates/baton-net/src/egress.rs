//! Connects to the outside: the one place from which the gateway opens a connection.
//!
//! A name is looked up here, its addresses are filtered by how far the URL is trusted, and the
//! connection goes to those addresses. Nothing looks the name up a second time, so no answer can
//! change in between, and an address written as a number in any spelling meets the same filter.
//! Environment variables for proxies are not read.
//!
//! - Start with [`Connector`]; [`Trust`] says what may be reached.
//! - **Invariant:** no connection goes to an address that [`Trust::permits`] refuses; the address of
//!   a configured proxy is the operator's word and has their trust.
//! - **Never here:** pools, requests, redirects.

mod address;
mod connect;
mod error;
mod proxy;
mod stream;
mod tls;

pub use address::Trust;
pub use connect::Connector;
pub use error::{ClientError, SendError, SendErrorKind};
pub use proxy::ProxyConfig;
pub use stream::{EgressStream, TcpEgress};

pub(crate) use connect::ConnectorParts;
