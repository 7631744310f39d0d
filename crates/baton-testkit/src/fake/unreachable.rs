//! Addresses at which no upstream answers, each in its own way.
//!
//! - **Invariant:** nothing here leaves the machine.

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// A URL whose host has no address: the name is reserved for that.
pub const NO_SUCH_HOST: &str = "http://no-such-host.invalid/v1";

/// A URL on which nobody listens.
///
/// # Errors
/// When no port can be had.
pub fn refused() -> io::Result<String> {
    let address = StdListener::bind("127.0.0.1:0")?.local_addr()?;
    Ok(format!("http://{address}/v1"))
}

/// A URL whose server does not speak TLS, where TLS is asked for: `plain` is a fake's address.
#[must_use]
pub fn without_tls(plain: SocketAddr) -> String {
    format!("https://{plain}/v1")
}

/// A listener that completes no handshake: its queue is full.
#[derive(Debug)]
pub struct BlackHole {
    listener: TcpListener,
    waiting: Vec<TcpStream>,
}

impl BlackHole {
    /// Listens and fills its own queue.
    ///
    /// # Errors
    /// When no port can be had, or the queue takes every connection.
    pub async fn dig() -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
        let listener = socket.listen(1)?;
        let address = listener.local_addr()?;
        let mut waiting = Vec::new();
        // A connection that is not answered at once meets a full queue.
        while let Ok(connected) =
            tokio::time::timeout(Duration::from_millis(200), TcpStream::connect(address)).await
        {
            waiting.push(connected?);
            if waiting.len() > 64 {
                return Err(io::Error::other("the queue of the listener does not fill"));
            }
        }
        Ok(Self { listener, waiting })
    }

    /// The URL at which a connection is never made.
    ///
    /// # Errors
    /// When the listener is gone.
    pub fn url(&self) -> io::Result<String> {
        Ok(format!("http://{}/v1", self.listener.local_addr()?))
    }

    /// How many connections fill the queue.
    #[must_use]
    pub const fn depth(&self) -> usize {
        self.waiting.len()
    }
}
