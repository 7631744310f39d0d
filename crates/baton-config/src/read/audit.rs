//! Reads `audit`: how long decisions are kept, and where what proves them is kept beside.

use std::time::Duration;

use baton_audit::{Redactor, SecretKind};
use baton_model::KeyId;

use super::mcp::Nameable;
use super::provider;
use crate::reader::{At, Reader, Section};
use crate::value::{Wrong, duration, path, size};
use crate::{Alerts, Audit, CaptureSettings, WebhookSettings};

/// As much is kept of a request or of an answer.
const CAPTURED_BYTES: u64 = 256 << 10;
/// An entry of the journal has room for no more.
const MOST_CAPTURED: u64 = 1 << 20;
/// How long content can be opened.
const CAPTURE_KEPT: Duration = Duration::from_secs(30 * DAY);
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

pub(super) fn audit(reader: &mut Reader<'_>, top: &mut Section<'_>, known: &Nameable<'_>) -> Audit {
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
    audit.capture = reader.take(&mut section, "capture").and_then(|at| capture(reader, &at, known));
    reader.finish(section);
    audit
}

/// What is kept of requests and answers; nothing unless it says so.
fn capture(reader: &mut Reader<'_>, at: &At<'_>, known: &Nameable<'_>) -> Option<CaptureSettings> {
    let mut section = reader.section(at)?;
    let content = reader.take(&mut section, "content").and_then(|at| reader.boolean(&at));
    let keys = names(reader, &mut section, "keys", |text| match text {
        "anonymous" => Ok(text.to_owned()),
        id => id.parse::<KeyId>().map(|_| id.to_owned()).map_err(|_error| {
            Wrong::new(format!("`{id}` is no id of a key")).hint("`baton keys list` shows them: `key_...`")
        }),
    });
    let routes = names(reader, &mut section, "routes", |text| known.asked(text));
    let policies = names(reader, &mut section, "policies", |text| known.deciding(text));
    let words = SecretKind::ALL.map(|kind| (kind.as_str(), kind));
    let redact = reader.take(&mut section, "redact").and_then(|at| reader.list(&at));
    let redact =
        redact.map(|items| items.iter().filter_map(|at| reader.word(at, &words)).collect::<Vec<_>>());
    let items = reader.take(&mut section, "patterns").and_then(|at| reader.list(&at)).unwrap_or_default();
    let patterns = items.iter().filter_map(|at| reader.read(at, pattern)).collect();
    let max_bytes = reader.take(&mut section, "max_bytes").and_then(|at| reader.read(&at, captured_bytes));
    let keep = reader.take(&mut section, "keep").and_then(|at| reader.read(&at, retention));
    reader.finish(section);
    content.unwrap_or_default().then(|| CaptureSettings {
        keys,
        routes,
        policies,
        redact: redact.unwrap_or_else(|| SecretKind::ALL.to_vec()),
        patterns,
        max_bytes: max_bytes.unwrap_or(CAPTURED_BYTES),
        keep: keep.unwrap_or(Some(CAPTURE_KEPT)),
    })
}

fn names(
    reader: &mut Reader<'_>,
    section: &mut Section<'_>,
    key: &'static str,
    name: impl Fn(&str) -> Result<String, Wrong>,
) -> Vec<String> {
    let items = reader.take(section, key).and_then(|at| reader.one_or_more(&at)).unwrap_or_default();
    let text = |text: &str| match text {
        "" => Err(Wrong::new("the name is empty")),
        text => name(text),
    };
    items.iter().filter_map(|at| reader.read(at, text)).collect()
}

/// A regular expression that a redactor takes.
fn pattern(text: &str) -> Result<String, Wrong> {
    let pattern = text.to_owned();
    match Redactor::new(&[], std::slice::from_ref(&pattern)) {
        Ok(_redactor) => Ok(pattern),
        Err(error) => Err(Wrong::new(error.to_string())),
    }
}

fn captured_bytes(text: &str) -> Result<u64, Wrong> {
    let bytes = size(text)?;
    if (1..=MOST_CAPTURED).contains(&bytes) {
        Ok(bytes)
    } else {
        Err(Wrong::new("expected at most `1MiB`, and more than nothing"))
    }
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
pub(super) fn webhook(reader: &mut Reader<'_>, at: &At<'_>) -> Option<WebhookSettings> {
    let section = reader.section(at)?;
    webhook_in(reader, section)
}

/// The same, of a section that says more.
pub(super) fn webhook_in(reader: &mut Reader<'_>, mut section: Section<'_>) -> Option<WebhookSettings> {
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
