//! Builds request URLs from parts, so that no text of a client can lead a call elsewhere.
//!
//! The base URL is the operator's and is used as given. What is added below it is checked first:
//! a path that climbs or a text that would end the path is refused, not repaired.

use std::fmt;
use std::str::FromStr;

use http::Uri;
use http::uri::{Authority, PathAndQuery, Scheme};

/// Where a provider is: scheme, host and the path that all its endpoints share.
#[derive(Clone, PartialEq, Eq)]
pub struct BaseUrl {
    scheme: Scheme,
    authority: Authority,
    /// Without a slash at its end; empty for the root.
    path: String,
}

/// Why a text is no base URL. The text itself is not repeated: it may hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BaseUrlError {
    /// Not a URL.
    #[error("the base URL is not a valid URL")]
    Syntax,
    /// Another scheme, or none.
    #[error("the base URL must begin with `https://` or `http://`")]
    Scheme,
    /// A user name or password.
    #[error("the base URL must not hold a user name or password; give the key as `api_key`")]
    UserInfo,
    /// A query or a fragment.
    #[error("the base URL must not have a `?` or a `#`")]
    Query,
    /// A path with `.` or `..` in it.
    #[error("the path of the base URL must not have `.` or `..` segments")]
    Dots,
}

/// A path or query of a client that cannot be put below a base URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the path or query cannot be passed on")]
pub(crate) struct JoinError;

impl FromStr for BaseUrl {
    type Err = BaseUrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.contains(['?', '#']) {
            return Err(BaseUrlError::Query);
        }
        // The parser of `http` knows no difference between a host and `host:` with a path.
        if !text.starts_with("http://") && !text.starts_with("https://") {
            return Err(BaseUrlError::Scheme);
        }
        let uri: Uri = text.parse().map_err(|_error| BaseUrlError::Syntax)?;
        let parts = uri.into_parts();
        let (Some(scheme), Some(authority)) = (parts.scheme, parts.authority) else {
            return Err(BaseUrlError::Syntax);
        };
        if authority.as_str().contains('@') {
            return Err(BaseUrlError::UserInfo);
        }
        let has_bad_port = authority.as_str() != authority.host() && authority.port_u16().is_none();
        if authority.host().is_empty() || has_bad_port {
            return Err(BaseUrlError::Syntax);
        }
        let path =
            parts.path_and_query.as_ref().map_or("", PathAndQuery::path).trim_end_matches('/').to_owned();
        if path.split('/').any(is_dots) {
            return Err(BaseUrlError::Dots);
        }
        Ok(Self { scheme, authority, path })
    }
}

impl BaseUrl {
    /// The URL of an endpoint below this one. The path is ours, or has passed [`check_path`].
    pub(crate) fn join(&self, path: &str, query: Option<&str>) -> Result<Uri, JoinError> {
        let mut text = format!("{}{path}", self.path);
        if let Some(query) = query.filter(|query| !query.is_empty()) {
            text.push('?');
            text.push_str(query);
        }
        if text.contains('#') {
            return Err(JoinError);
        }
        let path_and_query: PathAndQuery = text.parse().map_err(|_error| JoinError)?;
        Uri::builder()
            .scheme(self.scheme.clone())
            .authority(self.authority.clone())
            .path_and_query(path_and_query)
            .build()
            .map_err(|_error| JoinError)
    }

    /// Whether the path ends in the version segment.
    pub(crate) fn ends_in_v1(&self) -> bool {
        self.path.rsplit('/').next() == Some("v1")
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme, self.authority, self.path)
    }
}

impl fmt::Debug for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Whether a client's path may stand below a base URL.
pub(crate) fn check_path(path: &str) -> Result<(), JoinError> {
    let Some(below) = path.strip_prefix('/') else { return Err(JoinError) };
    let plain =
        !path.contains(['?', '#', '\\']) && !path.chars().any(|found| found.is_control() || found == ' ');
    // An empty segment is only fine as a slash at the end.
    let inner = below.strip_suffix('/').unwrap_or(below);
    if plain && !inner.split('/').any(|segment| segment.is_empty() || is_dots(segment)) {
        Ok(())
    } else {
        Err(JoinError)
    }
}

/// `.` and `..`, percent-encoded and with parameters (`..;x`) too, since servers decode and cut
/// before they walk.
fn is_dots(segment: &str) -> bool {
    let decoded = segment
        .to_ascii_lowercase()
        .replace("%2e", ".")
        .replace("%2f", "/")
        .replace("%5c", "/")
        .replace("%3b", ";");
    decoded.split('/').any(|segment| matches!(segment.split(';').next(), Some("." | "..")))
}

#[cfg(test)]
mod tests;
