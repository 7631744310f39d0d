//! Accepts connections and serves HTTP/1.1 and HTTP/2 on them, with limits and deadlines.
//!
//! A client can hold a connection in many ways: send half a head, send nothing, never read. Each
//! has its deadline here. hyper's own header timer is left off: it also runs between two requests
//! and would close kept connections after ten seconds; ours tells the two apart.
//!
//! A client that closes only its sending half is taken as gone, and its request is dropped. On
//! HTTP/1.1 this looks the same as a client that left, and a model that goes on working for nobody
//! costs more than the rare client that half-closes.
//!
//! - Start with [`serve`].
//! - **Invariant:** at most `max_connections` connections at a time; none outlives the drain.
//! - **Never here:** routes, keys, bodies of errors.

mod load;
mod refused;
mod timed;

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tower::Service;

use crate::BoxError;
use crate::tasks::Tasks;
use load::{Load, Tagged};
pub use refused::Malformed;
use timed::{Timed, Timeouts};

/// How long streams may take for their last words when the drain's deadline has passed.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// The pause after the system refused to accept: out of file descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(250);

/// How often a silent HTTP/2 connection is pinged, and how long it may take to answer.
const PING: Duration = Duration::from_secs(20);

/// How much of an HTTP/2 answer is held for a client that does not read.
const H2_SEND_BUFFER: usize = 64 << 10;

/// The limits of a listener.
#[derive(Clone, Debug)]
pub struct ServeOptions {
    /// The longest time for a request's head, and for the first one from the connection's start.
    pub header_timeout: Duration,
    /// How long a connection may be open without a request.
    pub keep_alive_idle: Duration,
    /// How long a client may take no byte of what it is sent.
    pub write_stall_timeout: Duration,
    /// How many connections may be open. When they are, new ones wait to be accepted.
    pub max_connections: u32,
    /// The longest head of a request, and the most that is read or written at once. At least 8 KiB.
    pub max_header_bytes: usize,
    /// How many headers a request may have.
    pub max_headers: usize,
    /// How many requests one HTTP/2 connection may have open.
    pub h2_max_streams: u32,
    /// How many requests an HTTP/2 client may reset before they are served.
    pub h2_max_resets: usize,
    /// What is answered on HTTP/1.1 to a head that is no request, in the place of a bare status.
    pub malformed: Option<Malformed>,
}

impl Default for ServeOptions {
    fn default() -> Self {
        Self {
            header_timeout: Duration::from_secs(10),
            keep_alive_idle: Duration::from_secs(75),
            write_stall_timeout: Duration::from_secs(120),
            max_connections: 10_000,
            max_header_bytes: 64 << 10,
            max_headers: 100,
            h2_max_streams: 128,
            h2_max_resets: 20,
            malformed: None,
        }
    }
}

/// How a listener ends.
#[derive(Clone, Debug)]
pub struct Drain {
    /// Cancelled by the caller: nothing more is accepted, and connections close after their request.
    pub begin: CancellationToken,
    /// How long requests may go on after that.
    pub deadline: Duration,
    /// Cancelled by [`serve`] at the deadline: streams that watch it have a second to say so.
    pub last_words: CancellationToken,
}

impl Drain {
    /// A drain that begins with `begin`.
    #[must_use]
    pub fn new(begin: CancellationToken, deadline: Duration) -> Self {
        Self { begin, deadline, last_words: CancellationToken::new() }
    }
}

/// How a drain went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// How many connections were closed in the middle of a request.
    pub cut: u32,
}

/// Where a request came from; every request has it in its extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerAddr {
    /// A client on the network.
    Tcp(SocketAddr),
    /// A process of this machine, by a socket in the file system.
    Unix,
}

/// A source of connections.
pub trait Listener: Send + 'static {
    /// A connection.
    type Io: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// Waits for the next connection.
    fn accept(&mut self) -> impl Future<Output = io::Result<(Self::Io, PeerAddr)>> + Send;
}

impl Listener for TcpListener {
    type Io = tokio::net::TcpStream;

    async fn accept(&mut self) -> io::Result<(Self::Io, PeerAddr)> {
        let (tcp, peer) = Self::accept(self).await?;
        tcp.set_nodelay(true)?;
        Ok((tcp, PeerAddr::Tcp(peer)))
    }
}

impl Listener for UnixListener {
    type Io = tokio::net::UnixStream;

    async fn accept(&mut self) -> io::Result<(Self::Io, PeerAddr)> {
        Self::accept(self).await.map(|(unix, _)| (unix, PeerAddr::Unix))
    }
}

/// Serves every connection of the listener until the drain is over.
pub async fn serve<L, S, B>(
    mut listener: L,
    service: S,
    options: ServeOptions,
    drain: Drain,
    tasks: Tasks,
) -> Drained
where
    L: Listener,
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
    B: Body<Data: Send, Error: Into<BoxError>> + Send + 'static,
{
    let server = Server::new(&options, &drain, tasks);
    while let Some((io, peer, slot)) = server.next_connection(&mut listener).await {
        let load = Arc::new(Load::new());
        let io = Timed::new(io, Arc::clone(&load), server.timeouts, options.malformed);
        let service = Tagged::new(service.clone(), peer, load);
        let builder = Arc::clone(&server.builder);
        let begin = drain.begin.child_token();
        let close = server.close.clone();
        drop(server.tasks.spawn(async move {
            let _slot = slot;
            let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(io), service));
            let result = tokio::select! {
                result = connection.as_mut() => result,
                () = begin.cancelled() => {
                    connection.as_mut().graceful_shutdown();
                    tokio::select! {
                        result = connection => result,
                        () = close.cancelled() => Ok(()),
                    }
                }
            };
            if let Err(error) = result {
                tracing::debug!(error, "a connection ended with an error");
            }
        }));
    }
    drop(listener);
    server.drain(&drain).await
}

/// What the accept loop and its connections share.
struct Server {
    builder: Arc<Builder<Tasks>>,
    timeouts: Timeouts,
    slots: Arc<Semaphore>,
    max_connections: u32,
    begin: CancellationToken,
    /// Cancelled when connections must close, whatever they do.
    close: CancellationToken,
    tasks: Tasks,
}

impl Server {
    fn new(options: &ServeOptions, drain: &Drain, tasks: Tasks) -> Self {
        let max_connections = options.max_connections.max(1);
        Self {
            builder: Arc::new(builder(options, tasks.clone())),
            timeouts: Timeouts {
                header: options.header_timeout,
                idle: options.keep_alive_idle,
                write_stall: options.write_stall_timeout,
            },
            slots: Arc::new(Semaphore::new(max_connections as usize)),
            max_connections,
            begin: drain.begin.clone(),
            close: CancellationToken::new(),
            tasks,
        }
    }

    /// Waits for a free slot, then for a connection to put there; nothing when the drain begins.
    async fn next_connection<L: Listener>(
        &self,
        listener: &mut L,
    ) -> Option<(L::Io, PeerAddr, OwnedSemaphorePermit)> {
        let accepting = async {
            let slot = Arc::clone(&self.slots).acquire_owned().await.ok()?;
            loop {
                match listener.accept().await {
                    Ok((io, peer)) => return Some((io, peer, slot)),
                    Err(error) if ended_before_accept(error.kind()) => {}
                    Err(error) => {
                        tracing::warn!(%error, "connections cannot be accepted; trying again");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                }
            }
        };
        tokio::select! {
            biased;
            () = self.begin.cancelled() => None,
            accepted = accepting => accepted,
        }
    }

    async fn drain(&self, drain: &Drain) -> Drained {
        if self.ended_within(drain.deadline).await {
            return Drained { cut: 0 };
        }
        drain.last_words.cancel();
        if self.ended_within(LAST_WORDS).await {
            return Drained { cut: 0 };
        }
        let free = u32::try_from(self.slots.available_permits()).unwrap_or(u32::MAX);
        self.close.cancel();
        drop(self.slots.acquire_many(self.max_connections).await);
        Drained { cut: self.max_connections.saturating_sub(free) }
    }

    /// Whether all connections have ended in time.
    async fn ended_within(&self, deadline: Duration) -> bool {
        tokio::time::timeout(deadline, self.slots.acquire_many(self.max_connections)).await.is_ok()
    }
}

/// Errors of a single connection that ended while it waited to be accepted.
fn ended_before_accept(kind: io::ErrorKind) -> bool {
    matches!(
        kind,
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::NotConnected
            | io::ErrorKind::InvalidInput
    )
}

fn builder(options: &ServeOptions, tasks: Tasks) -> Builder<Tasks> {
    let mut builder = Builder::new(tasks);
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(None)
        .max_headers(options.max_headers)
        .max_buf_size(options.max_header_bytes.max(8 << 10));
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(PING)
        .keep_alive_timeout(PING)
        .max_concurrent_streams(options.h2_max_streams)
        .max_pending_accept_reset_streams(options.h2_max_resets)
        .max_header_list_size(u32::try_from(options.max_header_bytes).unwrap_or(u32::MAX))
        .max_send_buf_size(H2_SEND_BUFFER);
    builder
}

#[cfg(test)]
mod tests;
