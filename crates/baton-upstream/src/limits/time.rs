//! Reads when a limit is reset, in the ways in which providers say it.

use std::time::Duration;

use crate::fault::http_date::days_since_1970;

/// When a limit is reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reset {
    /// After a time.
    After(Duration),
    /// At a moment, in milliseconds since 1970.
    At(u64),
}

/// No number of seconds until a reset is as great; one of seconds since 1970 is.
const LEAST_UNIX_SECONDS: f64 = 1e9;
/// The same for milliseconds.
const LEAST_UNIX_MS: f64 = 1e12;
/// The greatest number that is read at all: some 30,000 years in milliseconds.
const MOST: f64 = 1e15;

impl Reset {
    /// A number of seconds (`1.5`), a duration (`6m0s`, `120ms`), a date (RFC 3339), or a time since
    /// 1970 in seconds or milliseconds.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if let Some(number) = number(text) {
            return Some(if number >= LEAST_UNIX_MS {
                Self::At(millis(number / 1_000.0)?)
            } else if number >= LEAST_UNIX_SECONDS {
                Self::At(millis(number)?)
            } else {
                Self::After(Duration::try_from_secs_f64(number).ok()?)
            });
        }
        duration(text).map(Self::After).or_else(|| rfc_3339(text).map(Self::At))
    }

    /// How long it is until then; `None` for what is past.
    pub(super) fn until(self, now_unix_ms: u64) -> Option<Duration> {
        match self {
            Self::After(time) => Some(time),
            Self::At(at) => at.checked_sub(now_unix_ms).map(Duration::from_millis),
        }
    }
}

/// A number without sign or exponent.
fn number(text: &str) -> Option<f64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    text.parse::<f64>().ok().filter(|number| plain && *number <= MOST)
}

fn millis(seconds: f64) -> Option<u64> {
    u64::try_from(Duration::try_from_secs_f64(seconds).ok()?.as_millis()).ok()
}

/// Numbers with units, as Go writes them: `1h2m3.5s`, `120ms`.
fn duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut sum = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|found: char| !found.is_ascii_digit() && found != '.')?;
        let (amount, tail) = rest.split_at_checked(digits)?;
        let end = tail.find(|found: char| found.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at_checked(end)?;
        let seconds = match unit {
            "d" => 86_400.0,
            "h" => 3_600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" => 1e-6,
            "ns" => 1e-9,
            _ => return None,
        };
        sum = sum.checked_add(Duration::try_from_secs_f64(number(amount)? * seconds).ok()?)?;
        rest = tail;
    }
    (!text.is_empty()).then_some(sum)
}

/// `2026-03-01T12:30:00Z`, with fractions of a second and an offset if need be, in milliseconds since 1970.
fn rfc_3339(text: &str) -> Option<u64> {
    let (date, time) = text.split_at_checked(10)?;
    let mut date = date.split('-');
    let year = digits(date.next()?, 4, 1970..=9999)?;
    let month = digits(date.next()?, 2, 1..=12)?;
    let day = digits(date.next()?, 2, 1..=31)?;
    let (clock, zone) = time.strip_prefix(['T', 't', ' '])?.split_at_checked(8)?;
    let mut clock = clock.split(':');
    let hour = digits(clock.next()?, 2, 0..=23)?;
    let minute = digits(clock.next()?, 2, 0..=59)?;
    // 60 is a leap second.
    let second = digits(clock.next()?, 2, 0..=60)?;
    let (fraction, zone) = zone.split_at_checked(zone.find(['Z', 'z', '+', '-'])?)?;
    let fraction_ms = match fraction.strip_prefix('.') {
        Some(digits) if !digits.is_empty() => millis(number(&format!("0.{digits}"))?)?,
        _ if fraction.is_empty() => 0,
        _ => return None,
    };
    let seconds = days_since_1970(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second;
    let seconds = match zone {
        "Z" | "z" => seconds,
        _ => {
            let (sign, offset) = zone.split_at_checked(1)?;
            let (hours, minutes) = offset.split_once(':')?;
            let offset = digits(hours, 2, 0..=23)? * 3_600 + digits(minutes, 2, 0..=59)? * 60;
            // The clock there is ahead by the offset.
            if sign == "+" { seconds.checked_sub(offset)? } else { seconds + offset }
        }
    };
    Some(seconds * 1_000 + fraction_ms)
}

fn digits(text: &str, length: usize, range: std::ops::RangeInclusive<u64>) -> Option<u64> {
    let plain = text.len() == length && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| plain && range.contains(number))
}
