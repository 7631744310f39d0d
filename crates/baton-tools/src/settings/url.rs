//! URLs of servers, and which of them a request may name.
//!
//! Patterns are compared part by part, never as text: `https://mcp.example.com@evil.test/` begins
//! with the name of a friend and leads to somebody else.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use http::Uri;
use http::uri::Scheme;

/// The longest URL that is accepted.
const MAX_URL: usize = 2048;

/// Why a text is not the URL of an MCP server, or not a pattern of such.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// Too long, or not a URL at all.
    #[error("this is not a URL")]
    Syntax,
    /// Another scheme than the two of the web, or none.
    #[error("the URL must begin with `https://` or `http://`")]
    Scheme,
    /// A user or password in it.
    #[error("a URL with a user or a password is not taken")]
    UserInfo,
    /// `#...`
    #[error("a URL with a fragment is not taken")]
    Fragment,
    /// `..` or `.` as a part of the path, plain or escaped.
    #[error("a path with `.` or `..` in it is not taken")]
    DotSegment,
    /// A star where none can stand.
    #[error("`*` can stand alone as the host, before the host's first `.`, and at the end of the path")]
    Star,
}

/// The URL of an MCP server, in one spelling: scheme and host in lower case, no default port.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ServerUrl {
    text: Arc<str>,
    uri: Uri,
}

impl ServerUrl {
    /// The URL as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The host, in lower case.
    #[must_use]
    pub fn host(&self) -> &str {
        self.uri.host().unwrap_or_default()
    }

    fn port(&self) -> u16 {
        self.uri.port_u16().unwrap_or(default_port(self.uri.scheme()))
    }
}

impl FromStr for ServerUrl {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        if text.len() > MAX_URL || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(UrlError::Syntax);
        }
        if text.contains('#') {
            return Err(UrlError::Fragment);
        }
        // What the parser makes of `\` and a browser differ.
        if text.contains('\\') {
            return Err(UrlError::Syntax);
        }
        let uri: Uri = text.parse().map_err(|_not_a_url| UrlError::Syntax)?;
        let scheme = uri.scheme().filter(|scheme| **scheme == Scheme::HTTPS || **scheme == Scheme::HTTP);
        let scheme = scheme.ok_or(UrlError::Scheme)?;
        let authority = uri.authority().ok_or(UrlError::Syntax)?;
        if authority.as_str().contains('@') {
            return Err(UrlError::UserInfo);
        }
        if authority.host().is_empty() {
            return Err(UrlError::Syntax);
        }
        if uri.path().split('/').any(is_dot_segment) {
            return Err(UrlError::DotSegment);
        }
        let host = authority.host().to_ascii_lowercase();
        let port = authority.port_u16().filter(|port| *port != default_port(Some(scheme)));
        let port = port.map(|port| format!(":{port}")).unwrap_or_default();
        let rest = uri.path_and_query().map_or("/", |rest| rest.as_str());
        let text: Arc<str> = format!("{scheme}://{host}{port}{rest}").into();
        let uri = text.parse().map_err(|_not_a_url| UrlError::Syntax)?;
        Ok(Self { text, uri })
    }
}

fn default_port(scheme: Option<&Scheme>) -> u16 {
    if scheme.is_some_and(|scheme| *scheme == Scheme::HTTP) { 80 } else { 443 }
}

fn is_dot_segment(segment: &str) -> bool {
    let plain = segment.to_ascii_lowercase().replace("%2e", ".");
    plain == "." || plain == ".."
}

impl fmt::Debug for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Which URLs a request may name: `https://mcp.example.com/mcp`, `https://*.example.com/*`, `https://*/mcp`.
///
/// A star as the host is any host; `*.` before a host is any name below it, not itself; a star at the
/// end of the path is anything behind what stands before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UrlPattern {
    text: String,
    scheme: Scheme,
    host: HostPattern,
    port: u16,
    path: String,
    open_end: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum HostPattern {
    Any,
    Below(String),
    Exactly(String),
}

/// What the host of a pattern reads as while it is parsed as a URL.
const ANY_HOST: &str = "any.invalid";

impl UrlPattern {
    /// Whether a request may name this URL.
    #[must_use]
    pub fn matches(&self, url: &ServerUrl) -> bool {
        let host = url.host();
        let host_matches = match &self.host {
            HostPattern::Any => true,
            HostPattern::Below(suffix) => {
                host.strip_suffix(suffix.as_str()).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
            }
            HostPattern::Exactly(name) => host == name,
        };
        let rest = url.uri.path_and_query().map_or("/", |rest| rest.as_str());
        let path_matches = if self.open_end { rest.starts_with(&self.path) } else { rest == self.path };
        url.uri.scheme() == Some(&self.scheme) && url.port() == self.port && host_matches && path_matches
    }

    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl FromStr for UrlPattern {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let (scheme, rest) = text.split_once("://").ok_or(UrlError::Scheme)?;
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (path, open_end) = path.strip_suffix('*').map_or((path, false), |path| (path, true));
        if path.contains('*') {
            return Err(UrlError::Star);
        }
        let (any, below) = (authority == "*" || authority.starts_with("*:"), authority.starts_with("*."));
        let concrete = if any {
            authority.replacen('*', ANY_HOST, 1)
        } else if below {
            authority.replacen("*.", "", 1)
        } else {
            authority.to_owned()
        };
        if concrete.contains('*') {
            return Err(UrlError::Star);
        }
        let url: ServerUrl = format!("{scheme}://{concrete}{path}").parse()?;
        let host = match (any, below) {
            (true, _) => HostPattern::Any,
            (false, true) => HostPattern::Below(url.host().to_owned()),
            (false, false) => HostPattern::Exactly(url.host().to_owned()),
        };
        let path = url.uri.path_and_query().map_or("/", |rest| rest.as_str()).to_owned();
        let scheme = url.uri.scheme().cloned().ok_or(UrlError::Scheme)?;
        Ok(Self { text: text.to_owned(), scheme, host, port: url.port(), path, open_end })
    }
}

#[cfg(test)]
mod tests;
