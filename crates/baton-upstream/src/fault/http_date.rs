//! Reads the date form of HTTP headers: `Sun, 06 Nov 1994 08:49:37 GMT`.
//!
//! Only this form is sent today (RFC 9110, 5.6.7); the two obsolete ones are junk to us.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// The moment that a date names, from 1970 on.
pub(super) fn parse(text: &str) -> Option<SystemTime> {
    let (_, rest) = text.split_once(", ")?;
    let mut words = rest.split(' ');
    let day = number(words.next()?, 2, 1..=31)?;
    let name = words.next()?;
    let month = u64::try_from(MONTHS.iter().position(|month| *month == name)?).ok()? + 1;
    let year = number(words.next()?, 4, 1970..=9999)?;
    let mut clock = words.next()?.split(':');
    let hour = number(clock.next()?, 2, 0..=23)?;
    let minute = number(clock.next()?, 2, 0..=59)?;
    // 60 is a leap second.
    let second = number(clock.next()?, 2, 0..=60)?;
    if words.next()? != "GMT" || words.next().is_some() || clock.next().is_some() {
        return None;
    }
    let seconds = days_since_1970(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second;
    Some(UNIX_EPOCH + Duration::from_secs(seconds))
}

fn number(text: &str, digits: usize, range: std::ops::RangeInclusive<u64>) -> Option<u64> {
    let plain = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| plain && range.contains(number))
}

/// Counts from March, so that the leap day is the last of its year.
pub(crate) const fn days_since_1970(year: u64, month: u64, day: u64) -> u64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1;
    // What the line above gives for 1970-01-01.
    days - 719_468
}
