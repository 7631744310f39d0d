//! Reads a moment as people write it: `2h` ago, `2026-11-21`, `2026-11-21T20:36:29Z`.

/// A moment that was not understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MomentError;

impl std::fmt::Display for MomentError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(
            "write how long ago (`30m`, `2h`, `7d`), a day (`2026-11-21`) or a time (`2026-11-21T20:36:29Z`)",
        )
    }
}

impl std::error::Error for MomentError {}

/// A moment in milliseconds since 1970. What has no zone is UTC.
pub(crate) fn moment(text: &str, now_ms: u64) -> Result<u64, MomentError> {
    ago(text).map(|ago| now_ms.saturating_sub(ago)).or_else(|| at(text)).ok_or(MomentError)
}

fn ago(text: &str) -> Option<u64> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let unit = match unit {
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    digits(number)?.checked_mul(unit)
}

fn at(text: &str) -> Option<u64> {
    let (day, time) = text.split_once('T').unwrap_or((text, "00:00:00"));
    let time = time.strip_suffix('Z').unwrap_or(time);
    let [year, month, day] = fields(day, '-')?;
    let (whole, fraction) = time.split_once('.').unwrap_or((time, ""));
    let [hour, minute, second] = fields(whole, ':')?;
    if !(1970..=9999).contains(&year)
        || !(1..=12).contains(&month)
        || !(1..=days_of(year, month)).contains(&day)
    {
        return None;
    }
    if hour > 23 || minute > 59 || second > 60 || fraction.len() > 9 {
        return None;
    }
    let padded = format!("{fraction:0<3}");
    let milli = if fraction.is_empty() { 0 } else { digits(padded.get(..3)?)? };
    let of_day = (hour * 60 + minute) * 60 + second;
    Some((days_before(year, month) + day - 1) * 86_400_000 + of_day * 1_000 + milli)
}

/// Three numbers with a mark between them.
fn fields(text: &str, mark: char) -> Option<[u64; 3]> {
    let mut parts = text.split(mark).map(digits);
    let fields = [parts.next()??, parts.next()??, parts.next()??];
    parts.next().is_none().then_some(fields)
}

fn digits(text: &str) -> Option<u64> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().ok())?
}

const fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

const fn days_of(year: u64, month: u64) -> u64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if is_leap(year) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days from 1970 to the first of a month.
fn days_before(year: u64, month: u64) -> u64 {
    let years: u64 = (1970..year).map(|year| if is_leap(year) { 366 } else { 365 }).sum();
    years + (1..month).map(|month| days_of(year, month)).sum::<u64>()
}

#[cfg(test)]
mod tests;
