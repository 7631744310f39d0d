//! Makes strings of a format, a pattern or a length.

use serde_json::Value;

use super::number::{Limits, limits};
use super::{All, find};

mod pattern;

/// The longest string that is made.
const LONGEST: usize = 10_000;
/// How much of the hint is said.
const HINT: usize = 200;

/// A string that the maps allow.
pub(super) fn string(all: &All<'_>, hint: &str, name: &str, variant: usize) -> String {
    let limits = limits(all, "Length");
    if let Some(made) =
        find(all, "pattern").and_then(Value::as_str).and_then(|text| pattern::example(text, limits))
    {
        return made;
    }
    if let Some(made) =
        find(all, "format").and_then(Value::as_str).and_then(|format| of_format(format, variant))
    {
        return made;
    }
    let hint: String = hint.chars().take(HINT).collect();
    let text = if hint.is_empty() { name.to_owned() } else { hint };
    let text = if variant == 0 { text } else { format!("{} {text}", variant + 1) };
    fit(&text, limits)
}

fn of_format(format: &str, variant: usize) -> Option<String> {
    let number = variant % 10;
    let text = match format {
        "date-time" => format!("2026-01-15T09:30:0{number}Z"),
        "date" => format!("2026-01-1{number}"),
        "time" => format!("09:30:0{number}Z"),
        "duration" => format!("PT{}M", 30 + number),
        "email" | "idn-email" => format!("ada{number}@example.com"),
        "hostname" | "idn-hostname" => format!("host{number}.example.com"),
        "ipv4" => format!("192.0.2.{}", number + 1),
        "ipv6" => format!("2001:db8::{}", number + 1),
        "uri" | "iri" | "url" => format!("https://example.com/{number}"),
        "uri-reference" | "iri-reference" | "json-pointer" => format!("/{number}"),
        "uuid" => format!("123e4567-e89b-42d3-a456-42661417400{number}"),
        "byte" => "aGVsbG8=".to_owned(),
        _ => return None,
    };
    Some(text)
}

/// Cuts a text that is too long and repeats one that is too short.
fn fit(text: &str, limits: Limits) -> String {
    let most = limits.most.unwrap_or(LONGEST).min(LONGEST);
    let least = limits.least.min(LONGEST);
    let have = text.chars().count();
    if have > most {
        return text.chars().take(most).collect();
    }
    text.chars().chain(text.chars().cycle().take(least.saturating_sub(have))).collect()
}
