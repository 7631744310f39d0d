//! Tells which addresses a URL may reach.
//!
//! A provider in the operator's file may stand in a private network. A URL that came in by the
//! API must not lead there. The services that hand out a machine's credentials are closed to both.
//!
//! An IPv6 address that carries an IPv4 address in it is judged by both.
//!
//! - Start with [`Trust::permits`].
//! - **Never here:** names; only what they resolve to counts.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// How far a URL is trusted: by where it came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Trust {
    /// From the operator's file or environment: any address but those of metadata services.
    Operator,
    /// From the API, the database or a request: public addresses only.
    Filtered,
}

impl Trust {
    /// Whether a connection may go to this address.
    #[must_use]
    pub fn permits(self, address: IpAddr) -> bool {
        let permits_v4 = |v4: Ipv4Addr| match self {
            Self::Operator => !is_metadata_v4(v4),
            Self::Filtered => is_public_v4(v4),
        };
        match address {
            IpAddr::V4(v4) => permits_v4(v4),
            IpAddr::V6(v6) => {
                embedded_v4(v6).is_none_or(permits_v4)
                    && match self {
                        Self::Operator => !is_metadata_v6(v6),
                        Self::Filtered => is_public_v6(v6),
                    }
            }
        }
    }
}

/// Names of metadata services, for the case that a proxy looks the name up.
pub(super) fn is_metadata_name(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    ["metadata", "metadata.goog", "metadata.google.internal", "instance-data", "instance-data.ec2.internal"]
        .iter()
        .any(|name| name.eq_ignore_ascii_case(host))
}

fn is_metadata_v4(v4: Ipv4Addr) -> bool {
    v4.is_link_local()
        || [
            [100, 100, 100, 200], // Alibaba Cloud
            [168, 63, 129, 16],   // Azure
            [192, 0, 0, 192],     // Oracle Cloud
        ]
        .contains(&v4.octets())
}

fn is_metadata_v6(v6: Ipv6Addr) -> bool {
    v6.is_unicast_link_local()
        || matches!(
            v6.segments(),
            [0xfd00, 0x0ec2, ..]                                  // AWS: ::254, ::23, ::253
                | [0xfd00, 0x0042, 0, 0, 0, 0, 0, 0x0042]         // Scaleway
                | [0xfd20, 0x00ce, 0, 0, 0, 0, 0, 0x0254] // Google Cloud
        )
}

/// Public unicast, after the registry of special-purpose IPv4 addresses.
fn is_public_v4(v4: Ipv4Addr) -> bool {
    let [a, b, c, _] = v4.octets();
    !(is_metadata_v4(v4)
        || v4.is_private()
        || v4.is_loopback()
        || v4.is_documentation()
        || a == 0                                   // this network
        || (a == 100 && b & 0xc0 == 64)             // shared by carriers, 100.64/10
        || (a == 192 && b == 0 && c == 0)           // protocol assignments
        || (a == 192 && b == 88 && c == 99)         // 6to4 relays
        || (a == 198 && b & 0xfe == 18)             // benchmarks, 198.18/15
        || a >= 224) // multicast, reserved, broadcast
}

/// Public unicast, after the registry of special-purpose IPv6 addresses: a part of `2000::/3`.
fn is_public_v6(v6: Ipv6Addr) -> bool {
    let segments = v6.segments();
    matches!(segments, [0x2000..=0x3fff, ..])
        && !matches!(
            segments,
            [0x2001, 0x0000..=0x01ff, ..]       // protocol assignments, Teredo, ORCHID
                | [0x2001, 0x0db8, ..]          // documentation
                | [0x2002, ..]                  // 6to4
                | [0x3fff, 0x0000..=0x0fff, ..] // documentation
        )
}

/// The IPv4 address that an IPv6 address leads to or stands for.
fn embedded_v4(v6: Ipv6Addr) -> Option<Ipv4Addr> {
    let join = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    match v6.segments() {
        // ::1 and :: are not of this kind; as IPv4 they would read 0.0.0.1 and 0.0.0.0.
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        // Compatible, mapped, translated.
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] | [0, 0, 0, 0, 0xffff, 0, high, low] => Some(join(high, low)),
        // NAT64, well known and local.
        [0x64, 0xff9b, .., high, low] => Some(join(high, low)),
        // 6to4.
        [0x2002, high, low, ..] => Some(join(high, low)),
        // Teredo hides the client's address by inverting it.
        [0x2001, 0, .., high, low] => Some(join(!high, !low)),
        // ISATAP.
        [_, _, _, _, 0 | 0x0200, 0x5efe, high, low] => Some(join(high, low)),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
