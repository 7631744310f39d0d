//! Resolves, filters, connects.
//!
//! - Start with [`Connector`].
//! - **Invariant:** sockets are opened in [`open`] only, with addresses from [`Dialer::resolve`] only.
//! - **Never here:** retries of requests; a second look-up of a name.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use http::{HeaderValue, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use rustix::net::sockopt;
use tokio::net::{TcpSocket, TcpStream};
use tower::Service;

use super::address::is_metadata_name;
use super::{ClientError, EgressStream, ProxyConfig, SendError, SendErrorKind, TcpEgress, Trust, tls};
use crate::BoxError;

/// The head start an address has before the next one is tried beside it (RFC 8305, section 5).
const HEAD_START: Duration = Duration::from_millis(250);

/// How long a connection is silent before the first probe. NAT gateways forget after 350 s.
const PROBE_AFTER: Duration = Duration::from_secs(60);

/// The time between probes; after nine without an answer the connection is dead.
const PROBE_INTERVAL: Duration = Duration::from_secs(15);

/// What a [`Connector`] is made of.
#[derive(Clone, Debug)]
pub(crate) struct ConnectorParts {
    pub(crate) trust: Trust,
    pub(crate) connect_timeout: Duration,
    pub(crate) extra_ca_pem: Option<Vec<u8>>,
    pub(crate) proxy: Option<ProxyConfig>,
}

/// Opens connections for a URL: plain TCP for `http`, TLS with HTTP/2 or HTTP/1.1 for `https`.
#[derive(Clone, Debug)]
pub struct Connector {
    https: HttpsConnector<Dialer>,
    timeout: Duration,
    /// The proxy, when it reads plain requests itself.
    forward_proxy: Option<Arc<ProxyConfig>>,
}

impl Connector {
    pub(crate) fn new(parts: ConnectorParts) -> Result<Self, ClientError> {
        Self::with_resolver(parts, Resolver::System)
    }

    fn with_resolver(parts: ConnectorParts, resolver: Resolver) -> Result<Self, ClientError> {
        let tls = tls::client_config(parts.extra_ca_pem.as_deref())?;
        let proxy = parts.proxy.map(Arc::new);
        let forward_proxy = proxy.clone().filter(|_| parts.trust == Trust::Operator);
        let dialer = Dialer { trust: parts.trust, proxy, resolver };
        let https = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_all_versions()
            .wrap_connector(dialer);
        Ok(Self { https, timeout: parts.connect_timeout, forward_proxy })
    }

    /// The header that a request to this URL must carry because the proxy reads it.
    pub(crate) fn proxy_authorization(&self, target: &Uri) -> Option<&HeaderValue> {
        let proxy = self.forward_proxy.as_ref()?;
        let plain = target.scheme_str() == Some("http") && proxy.serves(target.host()?);
        if plain { proxy.authorization() } else { None }
    }
}

impl Service<Uri> for Connector {
    type Response = EgressStream;
    type Error = SendError;
    type Future = Pin<Box<dyn Future<Output = Result<EgressStream, SendError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, target: Uri) -> Self::Future {
        // The TLS layer would refuse another scheme too, but not say why in our words.
        let checked = Target::read(&target);
        let connecting = self.https.call(target);
        let timeout = self.timeout;
        Box::pin(async move {
            checked?;
            match tokio::time::timeout(timeout, connecting).await {
                Ok(Ok(stream)) => Ok(stream),
                Ok(Err(error)) => Err(own_or_tls(error)),
                Err(elapsed) => Err(SendError::because(SendErrorKind::ConnectTimeout, elapsed)),
            }
        })
    }
}

/// An error of the dialer as it is; what else can fail up to here is TLS.
fn own_or_tls(error: BoxError) -> SendError {
    match error.downcast::<SendError>() {
        Ok(own) => *own,
        Err(error) => SendError::because(SendErrorKind::Tls, error),
    }
}

/// Opens the TCP connection, directly or through the proxy.
#[derive(Clone, Debug)]
pub(crate) struct Dialer {
    trust: Trust,
    proxy: Option<Arc<ProxyConfig>>,
    resolver: Resolver,
}

/// How names become addresses. Tests bring their own answers.
#[derive(Clone, Debug)]
enum Resolver {
    System,
    #[cfg(test)]
    Fixed(fn(&str) -> Vec<std::net::IpAddr>),
}

/// The part of a URL that says where to connect.
struct Target {
    host: String,
    port: u16,
    https: bool,
}

impl Service<Uri> for Dialer {
    type Response = TcpEgress;
    type Error = SendError;
    type Future = Pin<Box<dyn Future<Output = Result<TcpEgress, SendError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, target: Uri) -> Self::Future {
        let dialer = self.clone();
        Box::pin(async move { dialer.dial(&Target::read(&target)?).await })
    }
}

impl Target {
    fn read(uri: &Uri) -> Result<Self, SendError> {
        let https = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            Some(_) | None => return Err(SendError::new(SendErrorKind::Target)),
        };
        let host = uri.host().filter(|host| !host.is_empty());
        let host = host.ok_or_else(|| SendError::new(SendErrorKind::Target))?.to_owned();
        let port = uri.port_u16().unwrap_or(if https { 443 } else { 80 });
        Ok(Self { host, port, https })
    }
}

impl Dialer {
    async fn dial(&self, target: &Target) -> Result<TcpEgress, SendError> {
        let Some(proxy) = self.proxy.as_ref().filter(|proxy| proxy.serves(&target.host)) else {
            let addresses = self.resolve(&target.host, target.port, self.trust).await?;
            return connect_to(addresses).await.map(TcpEgress::direct);
        };
        let authority = self.authority_for_proxy(target).await?;
        let addresses = self.resolve(proxy.host(), proxy.port(), Trust::Operator).await?;
        let tcp = connect_to(addresses).await?;
        match authority {
            Some(authority) => proxy.tunnel(tcp, &authority).await.map(TcpEgress::direct),
            None => Ok(TcpEgress::to_proxy(tcp)),
        }
    }

    /// What the proxy is asked to open a tunnel to; nothing for requests that it reads itself.
    async fn authority_for_proxy(&self, target: &Target) -> Result<Option<String>, SendError> {
        let Target { host, port, https } = target;
        if self.trust == Trust::Operator {
            if is_metadata_name(host) {
                return Err(SendError::new(SendErrorKind::Blocked));
            }
            if is_numeric(host) {
                self.resolve(host, *port, self.trust).await?;
            }
            return Ok(https.then(|| format!("{host}:{port}")));
        }
        let addresses = self.resolve(host, *port, self.trust).await?;
        Ok(addresses.first().map(SocketAddr::to_string))
    }

    /// The addresses of a host that may be reached, the families taking turns.
    async fn resolve(&self, host: &str, port: u16, trust: Trust) -> Result<Vec<SocketAddr>, SendError> {
        let name = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let found = self
            .resolver
            .look_up(name, port)
            .await
            .map_err(|error| SendError::because(SendErrorKind::Dns, error))?;
        let (mut permitted, refused): (Vec<_>, Vec<_>) =
            found.into_iter().partition(|address| trust.permits(address.ip()));
        if permitted.is_empty() {
            return Err(SendError::new(match refused.is_empty() {
                true => SendErrorKind::Dns,
                false => SendErrorKind::Blocked,
            }));
        }
        take_turns(&mut permitted);
        Ok(permitted)
    }
}

impl Resolver {
    async fn look_up(&self, name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        match self {
            Self::System => Ok(tokio::net::lookup_host((name, port)).await?.collect()),
            #[cfg(test)]
            Self::Fixed(answer) => {
                Ok(answer(name).into_iter().map(|address| SocketAddr::new(address, port)).collect())
            }
        }
    }
}

/// Whether a resolver would read the host as an address, in any of the old spellings.
fn is_numeric(host: &str) -> bool {
    let last = host.strip_suffix('.').unwrap_or(host).rsplit('.').next().unwrap_or_default();
    let hexadecimal = last.strip_prefix("0x").or_else(|| last.strip_prefix("0X"));
    host.starts_with('[')
        || hexadecimal.is_some_and(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
        || (!last.is_empty() && last.bytes().all(|digit| digit.is_ascii_digit()))
}

/// Orders addresses so that the families alternate, beginning with the resolver's first choice.
fn take_turns(addresses: &mut Vec<SocketAddr>) {
    let Some(first_is_v4) = addresses.first().map(SocketAddr::is_ipv4) else { return };
    let (first, second): (Vec<_>, Vec<_>) =
        addresses.drain(..).partition(|address| address.is_ipv4() == first_is_v4);
    let mut second = second.into_iter();
    for address in first {
        addresses.push(address);
        addresses.extend(second.next());
    }
    addresses.extend(second);
}

async fn connect_to(addresses: Vec<SocketAddr>) -> Result<TcpStream, SendError> {
    first_of(addresses, open).await.map_err(|error| SendError::because(of_connect(error.kind()), error))
}

/// Tries the addresses in order, and gives the first connection. The next address is tried when
/// one fails, or beside it when it is slow. The caller sets the time limit.
async fn first_of<C, T>(addresses: Vec<SocketAddr>, connect: impl Fn(SocketAddr) -> C) -> io::Result<T>
where
    C: Future<Output = io::Result<T>>,
{
    let mut waiting = addresses.into_iter();
    let mut attempts: FuturesUnordered<C> = waiting.next().map(&connect).into_iter().collect();
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    loop {
        let more = waiting.len() > 0;
        tokio::select! {
            attempt = attempts.next() => match attempt {
                Some(Ok(connection)) => return Ok(connection),
                Some(Err(error)) => last = error,
                None => return Err(last),
            },
            () = tokio::time::sleep(HEAD_START), if more => {}
        }
        attempts.extend(waiting.next().map(&connect));
    }
}

/// Opens one connection: without delay for small writes, and with probes, so that an answer may
/// take minutes without a router between forgetting the connection.
async fn open(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_nodelay(true)?;
    socket.set_keepalive(true)?;
    let tcp = socket.connect(address).await?;
    sockopt::set_tcp_keepidle(&tcp, PROBE_AFTER)?;
    sockopt::set_tcp_keepintvl(&tcp, PROBE_INTERVAL)?;
    Ok(tcp)
}

fn of_connect(kind: io::ErrorKind) -> SendErrorKind {
    match kind {
        io::ErrorKind::ConnectionRefused => SendErrorKind::Refused,
        io::ErrorKind::TimedOut => SendErrorKind::ConnectTimeout,
        _ => SendErrorKind::Unreachable,
    }
}

#[cfg(test)]
mod tests;
