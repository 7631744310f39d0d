//! Speaks HTTP by hand, for what no client library would send.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::PATIENCE;

/// A connection on which everything can be said.
#[derive(Debug)]
pub(crate) struct Raw(TcpStream);

impl Raw {
    pub(crate) async fn open(address: &str) -> Self {
        Self(TcpStream::connect(address).await.expect("a connection"))
    }

    /// Writes; a server that has heard enough may have closed already.
    pub(crate) async fn say(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes).await
    }

    /// Says that nothing more will be sent; the server may have closed before.
    pub(crate) async fn stop_sending(&mut self) {
        drop(self.0.shutdown().await);
    }

    /// Reads until the head of a response is whole, or what came until the connection closed.
    pub(crate) async fn head(&mut self) -> String {
        self.read_until(|text| text.contains("\r\n\r\n")).await
    }

    /// Reads until what came satisfies `enough`, or the connection closes.
    pub(crate) async fn read_until(&mut self, enough: impl Fn(&str) -> bool) -> String {
        let mut bytes = Vec::new();
        let reading = async {
            let mut buffer = [0; 4096];
            while !enough(&String::from_utf8_lossy(&bytes)) {
                match self.0.read(&mut buffer).await {
                    Ok(0) | Err(_) => break,
                    Ok(count) => bytes.extend_from_slice(&buffer[..count]),
                }
            }
        };
        tokio::time::timeout(PATIENCE, reading).await.expect("an answer or an end");
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// Sends these bytes on a connection of their own and reads the head of the response.
pub(crate) async fn exchange(address: &str, bytes: &[u8]) -> String {
    let mut raw = Raw::open(address).await;
    // The server may answer and close before it has heard all.
    drop(raw.say(bytes).await);
    raw.head().await
}

/// The status in the head of a response; 0 when the connection was closed without one.
pub(crate) fn status_of(head: &str) -> u16 {
    head.strip_prefix("HTTP/1.1 ")
        .or_else(|| head.strip_prefix("HTTP/1.0 "))
        .and_then(|rest| rest.get(..3))
        .and_then(|status| status.parse().ok())
        .unwrap_or_default()
}
