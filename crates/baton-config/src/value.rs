//! Reads the small languages of single values: durations, sizes, money, shares, origins.
//!
//! - **Invariant:** decimals are read digit by digit; no float comes near money.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use baton_model::nearest;

/// What is wrong with a value, without the value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wrong {
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

impl Wrong {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// The longest time that is taken for meant.
const MAX_DURATION: Duration = Duration::from_secs(24 * 60 * 60);

/// `500ms`, `60s`, `10m`, `1h`.
pub(crate) fn duration(text: &str) -> Result<Duration, Wrong> {
    let (digits, unit) = split_unit(text);
    let no_duration = || {
        Wrong::new("expected a duration")
            .hint("write a whole number and a unit, such as `500ms`, `60s` or `10m`")
    };
    let number: u64 = digits.parse().map_err(|_not_a_number| no_duration())?;
    let unit_ms = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "" => return Err(Wrong::new("the duration has no unit").hint(format!("did you mean `{number}s`?"))),
        fraction if fraction.starts_with('.') => return Err(no_duration()),
        _ => return Err(Wrong::new("unknown unit of time").hint("the units are `ms`, `s`, `m` and `h`")),
    };
    let duration = Duration::from_millis(number.saturating_mul(unit_ms));
    if duration.is_zero() {
        return Err(Wrong::new("the duration is zero"));
    }
    if duration > MAX_DURATION {
        return Err(Wrong::new("the duration is longer than a day").hint("the longest is `24h`"));
    }
    Ok(duration)
}

/// `1048576`, `64KiB`, `32MB`, `8GiB`.
pub(crate) fn size(text: &str) -> Result<u64, Wrong> {
    let (digits, unit) = split_unit(text);
    let no_size = || Wrong::new("expected a size").hint("write whole bytes, or a unit such as `32MiB`");
    let number: u64 = digits.parse().map_err(|_not_a_number| no_size())?;
    let unit_bytes: u64 = match unit {
        "" | "B" => 1,
        "kB" | "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        fraction if fraction.starts_with('.') => return Err(no_size()),
        _ => {
            return Err(Wrong::new("unknown unit of size")
                .hint("the units are `B`, `kB`, `MB`, `GB`, `KiB`, `MiB` and `GiB`"));
        }
    };
    number.checked_mul(unit_bytes).ok_or_else(|| Wrong::new("the size is too large"))
}

fn split_unit(text: &str) -> (&str, &str) {
    let (digits, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    (digits, unit.trim_start())
}

/// US dollars, as nano-dollars.
pub(crate) fn dollars(text: &str) -> Result<u64, Wrong> {
    let hint = "write US dollars per million tokens as a decimal, such as `0.15`";
    let nano = decimal(text, 9).map_err(|wrong| wrong.hint(hint))?;
    if nano > 1_000_000 * 1_000_000_000 {
        return Err(Wrong::new("more than a million dollars per million tokens").hint(hint));
    }
    Ok(nano)
}

/// US dollars of one request, as nano-dollars.
pub(crate) fn money(text: &str) -> Result<u64, Wrong> {
    decimal(text, 9).map_err(|wrong| wrong.hint("write US dollars as a decimal, such as `0.02`"))
}

/// A share between 0 and 1, as millionths.
pub(crate) fn share(text: &str) -> Result<u32, Wrong> {
    share_of(text, 6)
}

/// A share between 0 and 1, as thousandths.
pub(crate) fn thousandths(text: &str) -> Result<u32, Wrong> {
    share_of(text, 3)
}

fn share_of(text: &str, places: usize) -> Result<u32, Wrong> {
    let number =
        decimal(text, places).map_err(|wrong| wrong.hint("write a number from 0 to 1, such as `0.8`"))?;
    let one = (0..places).fold(1, |one, _place| one * 10);
    let share = u32::try_from(number).ok().filter(|share| *share <= one);
    share.ok_or_else(|| Wrong::new("expected a number from 0 to 1"))
}

/// A time in milliseconds: a duration, or a bare number of them.
pub(crate) fn millis(text: &str) -> Result<u64, Wrong> {
    let is_bare = text.bytes().all(|byte| byte.is_ascii_digit());
    let time = if is_bare { duration(&format!("{text}ms"))? } else { duration(text)? };
    Ok(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}

/// A decimal without sign or exponent, as a whole number of its last decimal place.
fn decimal(text: &str, places: usize) -> Result<u64, Wrong> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(fraction) {
        return Err(Wrong::new("expected a decimal number"));
    }
    let fraction = fraction.trim_end_matches('0');
    if fraction.len() > places {
        return Err(Wrong::new(format!("more than {places} digits after the point")));
    }
    format!("{whole}{fraction:0<places$}").parse().map_err(|_overflow| Wrong::new("the number is too large"))
}

/// `127.0.0.1:8080`, `[::1]:8080`, `localhost:8080`.
pub(crate) fn listen(text: &str) -> Result<SocketAddr, Wrong> {
    let numeric = text.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
    numeric.as_deref().unwrap_or(text).parse().map_err(|_no_address| {
        let wrong = Wrong::new("expected an address and a port");
        match text.strip_prefix(':').unwrap_or(text).parse::<u16>() {
            Ok(port) => {
                wrong.hint(format!("`127.0.0.1:{port}` for this machine only, `0.0.0.0:{port}` for all"))
            }
            Err(_) => wrong.hint("such as `127.0.0.1:8080`; a host name is not taken"),
        }
    })
}

/// The name of a file or a directory.
pub(crate) fn path(text: &str) -> Result<PathBuf, Wrong> {
    if text == "~" || text.starts_with("~/") {
        return Err(Wrong::new("`~` is not expanded here").hint("write `${HOME}` in its place"));
    }
    if text.contains('\0') {
        return Err(Wrong::new("a path cannot hold a null character"));
    }
    Ok(PathBuf::from(text))
}

/// `https://app.example.com`, `http://localhost:3000`: what a browser sends as `Origin`.
pub(crate) fn origin(text: &str) -> Result<String, Wrong> {
    let hint = "write scheme, host and maybe a port, as in `https://app.example.com`";
    if text == "*" {
        return Err(Wrong::new("every origin cannot be allowed").hint("list the origins that may call"));
    }
    let lower = text.to_ascii_lowercase();
    let host = lower.strip_prefix("https://").or_else(|| lower.strip_prefix("http://"));
    match host {
        None => Err(Wrong::new("expected an origin").hint(hint)),
        Some(host) if host.ends_with('/') => {
            let bare = lower.trim_end_matches('/');
            Err(Wrong::new("an origin has no path").hint(format!("did you mean `{bare}`?")))
        }
        Some(host) if is_authority(host) => Ok(lower),
        Some(_) => Err(Wrong::new("expected an origin").hint(hint)),
    }
}

fn is_authority(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, port)) => {
            return address.parse::<std::net::Ipv6Addr>().is_ok() && is_port(port);
        }
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    let label = |label: &str| {
        !label.is_empty()
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    host.split('.').all(label) && is_port(port)
}

fn is_port(text: &str) -> bool {
    text.is_empty()
        || text.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
}

/// The hint for a name that is not there.
pub(crate) fn did_you_mean<'n>(given: &str, names: impl IntoIterator<Item = &'n str>) -> Option<String> {
    nearest(given, names).map(|name| format!("did you mean `{name}`?"))
}

#[cfg(test)]
mod tests;
