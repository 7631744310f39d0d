//! Reads `audit`: how long decisions are kept, and where what proves them is kept beside.

use std::time::Duration;

use super::provider;
use crate::reader::{At, Reader, Section};
use crate::value::{Wrong, duration, path, size};
use crate::{Alerts, Audit, WebhookSettings};

/// How far the store may be behind before somebody is told.
const RELAY_LAG: Duration = Duration::from_secs(60);
/// How much room the disk must have before somebody is told.
const DISK_FREE: u64 = 1 << 30;

/// A month, and nothing goes early.
const DAYS_OF_A_MONTH: u64 = 31;
const DAYS_OF_A_YEAR: u64 = 366;
const DAY: u64 = 86_400;
/// Longer is meant as for ever.
const MAX_DAYS: u64 = 100 * DAYS_OF_A_YEAR;

pub(super) fn audit(reader: &mut Reader<'_>, top: &mut Section<'_>) -> Audit {
    let mut audit = Audit::default();
    let Some(mut section) = reader.take(top, "audit").and_then(|at| reader.section(&at)) else {
        return audit;
    };
    if let Some(time) = reader.take(&mut section, "retention").and_then(|at| reader.read(&at, retention)) {
        audit.retention = time;
    }
    if let Some(mut outside) = reader.take(&mut section, "checkpoints").and_then(|at| reader.section(&at)) {
        audit.checkpoints.file = reader.take(&mut outside, "file").and_then(|at| reader.read(&at, path));
        audit.checkpoints.webhook = reader.take(&mut outside, "webhook").and_then(|at| webhook(reader, &at));
        reader.finish(outside);
    }
    if let Some(mut files) = reader.take(&mut section, "export").and_then(|at| reader.section(&at)) {
        audit.export = match reader.take(&mut files, "dir") {
            Some(at) => reader.read(&at, path),
            None => {
                reader.missing(&files, "dir", "give a folder that nobody else writes to");
                None
            }
        };
        reader.finish(files);
    }
    audit.alerts = reader.take(&mut section, "alerts").and_then(|at| alerts(reader, &at));
    reader.unsupported(&mut section, "capture");
    reader.finish(section);
    audit
}

/// Who is told, and when.
fn alerts(reader: &mut Reader<'_>, at: &At<'_>) -> Option<Alerts> {
    let mut section = reader.section(at)?;
    let webhook = match reader.take(&mut section, "webhook") {
        Some(at) => webhook(reader, &at),
        None => {
            reader.missing(&section, "webhook", "give the `url` and the `secret` of who is to be told");
            None
        }
    };
    let relay_lag = reader.take(&mut section, "relay_lag").and_then(|at| reader.read(&at, duration));
    let disk_free = reader.take(&mut section, "disk_free").and_then(|at| reader.read(&at, size));
    reader.finish(section);
    Some(Alerts {
        webhook: webhook?,
        relay_lag: relay_lag.unwrap_or(RELAY_LAG),
        disk_free: disk_free.unwrap_or(DISK_FREE),
    })
}

/// Where messages go, with the secret that signs them.
fn webhook(reader: &mut Reader<'_>, at: &At<'_>) -> Option<WebhookSettings> {
    let mut section = reader.section(at)?;
    let url = match reader.take(&mut section, "url") {
        Some(at) => provider::base_url(reader, &at),
        None => {
            reader.missing(&section, "url", "give the URL that takes the messages");
            None
        }
    };
    let secret = match reader.take(&mut section, "secret") {
        Some(at) => reader.secret(&at).filter(|secret| {
            let signs = secret.expose().starts_with("whsec_");
            if !signs {
                let wrong = Wrong::new("the secret of a webhook begins with `whsec_`")
                    .hint("`echo whsec_$(openssl rand -base64 32)` makes one");
                reader.wrong_secret(&at, wrong);
            }
            signs
        }),
        None => {
            reader.missing(&section, "secret", "`echo whsec_$(openssl rand -base64 32)` makes one");
            None
        }
    };
    reader.finish(section);
    Some(WebhookSettings { url: url?.to_string(), secret: secret? })
}

/// `13 months`, `400 days`, `2 years`; `0` and `off` keep everything.
pub(super) fn retention(text: &str) -> Result<Option<Duration>, Wrong> {
    if matches!(text, "0" | "off") {
        return Ok(None);
    }
    let wrong = || {
        Wrong::new("expected a number of days, months or years")
            .hint("write `13 months` or `400 days`; `off` keeps everything")
    };
    let digits = text.find(|it: char| !it.is_ascii_digit()).ok_or_else(wrong)?;
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_not_a_number| wrong())?;
    let days = match unit.trim() {
        "day" | "days" | "d" => 1,
        "month" | "months" => DAYS_OF_A_MONTH,
        "year" | "years" => DAYS_OF_A_YEAR,
        _ => return Err(wrong()),
    };
    let days = number.saturating_mul(days);
    if days == 0 {
        return Err(Wrong::new("nothing would be kept").hint("`off` keeps everything"));
    }
    if days > MAX_DAYS {
        return Err(Wrong::new("longer than a hundred years").hint("`off` keeps everything"));
    }
    Ok(Some(Duration::from_secs(days * DAY)))
}

#[cfg(test)]
mod tests;
