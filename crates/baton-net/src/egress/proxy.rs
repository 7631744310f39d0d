//! The way through an HTTP proxy.
//!
//! A proxy resolves names itself, where no filter of ours can look. So for a filtered URL the
//! address is found and filtered here and the proxy is asked to connect to that address.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::{HeaderValue, Uri};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{ClientError, SendError, SendErrorKind};

/// The longest answer to `CONNECT` that is read.
const ANSWER_LIMIT: usize = 16 << 10;

/// An HTTP proxy and which hosts go around it. Credentials do not show in `Debug`.
#[derive(Clone, Debug)]
pub struct ProxyConfig {
    host: String,
    port: u16,
    authorization: Option<HeaderValue>,
    bypass: Vec<String>,
}

impl ProxyConfig {
    /// Reads `http://[user:password@]host[:port]`; the port defaults to 80.
    ///
    /// # Errors
    /// [`ClientError::ProxyUrl`], which does not repeat the URL, as it may hold a password.
    pub fn new(url: &str) -> Result<Self, ClientError> {
        let uri: Uri = url.parse().map_err(|_secret| ClientError::ProxyUrl)?;
        let authority = uri.authority().ok_or(ClientError::ProxyUrl)?;
        if uri.scheme_str() != Some("http") || !matches!(uri.path(), "" | "/") || authority.host().is_empty()
        {
            return Err(ClientError::ProxyUrl);
        }
        let authorization = match authority.as_str().rsplit_once('@') {
            Some((user, _)) => Some(basic(user)?),
            None => None,
        };
        Ok(Self {
            host: authority.host().to_owned(),
            port: authority.port_u16().unwrap_or(80),
            authorization,
            bypass: Vec::new(),
        })
    }

    /// Lets hosts go around the proxy: `example.com` is that host and all below it.
    /// This machine's own loopback always does.
    #[must_use]
    pub fn with_bypass(mut self, hosts: impl IntoIterator<Item = String>) -> Self {
        self.bypass.extend(hosts.into_iter().map(|host| host.trim_start_matches('.').to_ascii_lowercase()));
        self
    }

    pub(super) fn host(&self) -> &str {
        &self.host
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn authorization(&self) -> Option<&HeaderValue> {
        self.authorization.as_ref()
    }

    /// Whether requests to this host take the proxy.
    pub(super) fn serves(&self, host: &str) -> bool {
        let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
        let loopback = host == "localhost" || literal.is_ok_and(|address| address.is_loopback());
        let bypassed = self.bypass.iter().any(|name| {
            host.strip_suffix(name.as_str()).is_some_and(|front| front.is_empty() || front.ends_with('.'))
        });
        !loopback && !bypassed
    }

    /// Asks the proxy for a tunnel to `authority` and hands back the connection once it stands.
    pub(super) async fn tunnel(&self, mut tcp: TcpStream, authority: &str) -> Result<TcpStream, SendError> {
        let failed = |error: std::io::Error| SendError::because(SendErrorKind::Proxy, error);
        tcp.write_all(&self.connect_request(authority)).await.map_err(failed)?;
        let mut answer = Vec::with_capacity(512);
        while !answer.ends_with(b"\r\n\r\n") {
            // The server speaks second in HTTP and TLS, so nothing but the head can be here yet.
            let read = tcp.read_buf(&mut answer).await.map_err(failed)?;
            if read == 0 || answer.len() > ANSWER_LIMIT {
                return Err(SendError::because(SendErrorKind::Proxy, "the proxy broke off its answer"));
            }
        }
        match status(&answer) {
            Some(200..=299) => Ok(tcp),
            Some(status) => {
                Err(SendError::because(SendErrorKind::Proxy, format!("the proxy answered {status}")))
            }
            None => Err(SendError::because(SendErrorKind::Proxy, "the proxy's answer is no HTTP")),
        }
    }

    fn connect_request(&self, authority: &str) -> Vec<u8> {
        let mut request = format!("CONNECT {authority} HTTP/1.1\r\nhost: {authority}\r\n").into_bytes();
        if let Some(authorization) = &self.authorization {
            request.extend_from_slice(b"proxy-authorization: ");
            request.extend_from_slice(authorization.as_bytes());
            request.extend_from_slice(b"\r\n");
        }
        request.extend_from_slice(b"\r\n");
        request
    }
}

/// The status code of an answer's first line.
fn status(answer: &[u8]) -> Option<u16> {
    let line = answer.split(|byte| *byte == b'\r').next()?;
    let rest = line.strip_prefix(b"HTTP/1.1 ").or_else(|| line.strip_prefix(b"HTTP/1.0 "))?;
    std::str::from_utf8(rest.get(..3)?).ok()?.parse().ok()
}

/// The header value for `user:password`, each percent-encoded as URLs have it.
fn basic(user_info: &str) -> Result<HeaderValue, ClientError> {
    let plain = percent_decoded(user_info).ok_or(ClientError::ProxyUrl)?;
    let mut value = HeaderValue::try_from(format!("Basic {}", BASE64_STANDARD.encode(plain)))
        .map_err(|_secret| ClientError::ProxyUrl)?;
    value.set_sensitive(true);
    Ok(value)
}

fn percent_decoded(text: &str) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    let hex = |byte: Option<u8>| char::from(byte?).to_digit(16);
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => u8::try_from(hex(bytes.next())? * 16 + hex(bytes.next())?).ok()?,
            _ => byte,
        });
    }
    Some(decoded)
}

#[cfg(test)]
mod tests;
