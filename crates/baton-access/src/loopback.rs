//! Keeps web pages away from a gateway that asks for no key.
//!
//! On loopback without keys, whoever can open a connection may spend the owner's provider keys. A
//! web page in the owner's browser can: by a plain request to `127.0.0.1` (it sends a foreign
//! `Origin`), or by a name that resolves to it, DNS rebinding (it sends a foreign `Host`).
//!
//! - Start with [`HostPolicy::check`].
//! - **Invariant:** what is not surely loopback is foreign.

use std::net::{Ipv4Addr, Ipv6Addr};

/// Why a keyless request on loopback is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// No `Host` header.
    #[error("the request has no `Host` header")]
    Missing,
    /// A name that is not this machine's own.
    #[error("`Host: {0}` is not a loopback address; keyless access is for this machine only")]
    ForeignHost(String),
    /// Sent by a page from elsewhere.
    #[error(
        "`Origin: {0}` is neither loopback nor listed in `cors.origins`; keyless access is for this machine only"
    )]
    ForeignOrigin(String),
}

/// Which `Host` and `Origin` a keyless caller may send.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostPolicy {
    origins: Vec<String>,
}

impl HostPolicy {
    /// Allows loopback, and pages from these origins (`https://app.example.com`).
    #[must_use]
    pub fn new(origins: impl IntoIterator<Item = String>) -> Self {
        Self { origins: origins.into_iter().collect() }
    }

    /// Checks the `Host` (or `:authority`) and the `Origin` of a request without a key.
    ///
    /// # Errors
    ///
    /// When the host is missing or not loopback, or an origin is there and foreign.
    pub fn check(&self, host: Option<&str>, origin: Option<&str>) -> Result<(), HostError> {
        let host = host.ok_or(HostError::Missing)?;
        if !is_loopback_authority(host) {
            return Err(HostError::ForeignHost(shown(host)));
        }
        match origin {
            Some(origin) if !self.allows_origin(origin) => Err(HostError::ForeignOrigin(shown(origin))),
            _ => Ok(()),
        }
    }

    fn allows_origin(&self, origin: &str) -> bool {
        is_loopback_origin(origin) || self.origins.iter().any(|allowed| allowed.eq_ignore_ascii_case(origin))
    }
}

/// Whether an origin is a page served by this machine: `http(s)://`, a loopback host, maybe a port.
fn is_loopback_origin(origin: &str) -> bool {
    let lower = origin.to_ascii_lowercase();
    lower
        .strip_prefix("http://")
        .or_else(|| lower.strip_prefix("https://"))
        .is_some_and(is_loopback_authority)
}

/// Whether `host[:port]` is `localhost`, 127.0.0.0/8 or `[::1]`, in the spellings that clients send.
fn is_loopback_authority(authority: &str) -> bool {
    if let Some(rest) = authority.strip_prefix('[') {
        return rest
            .split_once(']')
            .is_some_and(|(address, port)| is_port(port) && address.parse() == Ok(Ipv6Addr::LOCALHOST));
    }
    let (host, port) = authority.split_at(authority.find(':').unwrap_or(authority.len()));
    is_port(port)
        && (is_localhost(host) || host.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback()))
}

fn is_localhost(host: &str) -> bool {
    host.strip_suffix('.').unwrap_or(host).eq_ignore_ascii_case("localhost")
}

/// Nothing, or `:` and a port.
fn is_port(text: &str) -> bool {
    text.is_empty()
        || text.strip_prefix(':').is_some_and(|digits| {
            digits.bytes().all(|byte| byte.is_ascii_digit())
                && digits.parse::<u16>().is_ok_and(|port| port > 0)
        })
}

/// A header as a message may show it.
fn shown(header: &str) -> String {
    header.chars().filter(|c| !c.is_control()).take(100).collect()
}

#[cfg(test)]
mod tests;
