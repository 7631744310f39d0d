//! Reads `policies`.

use std::time::Duration;

use baton_policy::Timeouts;

use crate::config::DEFAULT_POLICY;
use crate::reader::{At, Named, Reader, Section};
use crate::value::{Wrong, did_you_mean, duration};
use crate::{Order, Policy, document};

/// Orders that later versions bring.
const LATER: [&str; 8] =
    ["weighted", "cheapest", "fastest", "balanced", "attributes", "strengths", "auto", "judge"];

/// A policy of the file.
pub(super) struct Entry {
    pub(super) policy: Policy,
}

pub(super) fn policies(reader: &mut Reader<'_>, top: &mut Section<'_>) -> Vec<Entry> {
    let Some(at) = reader.take(top, "policies") else {
        return Vec::new();
    };
    let entries = reader.named(&at);
    entries.iter().filter_map(|entry| read(reader, entry)).collect()
}

/// What holds where nothing is said.
pub(super) fn default_policy() -> Policy {
    named(DEFAULT_POLICY)
}

fn named(name: &str) -> Policy {
    let mut policy = Policy {
        name: name.to_owned(),
        version: String::new(),
        order: Order::Ordered,
        retries: 2,
        cooldown: Duration::from_secs(60),
        timeouts: Timeouts::default(),
    };
    policy.version = document::policy_version(&policy);
    policy
}

fn read(reader: &mut Reader<'_>, entry: &Named<'_>) -> Option<Entry> {
    let mut policy = named(entry.name);
    if !is_policy_name(entry.name) {
        let wrong = Wrong::new("a policy is named with letters, digits, `-`, `_` and `.`");
        reader.wrong_at(entry.key, &entry.value.path, wrong);
    }
    let mut section = reader.section(&entry.value)?;
    if let Some(order) = reader.take(&mut section, "order").and_then(|at| reader.read(&at, order)) {
        policy.order = order;
    }
    if let Some(at) = reader.take(&mut section, "fallback") {
        read_fallback(reader, &at, &mut policy);
    }
    if let Some(at) = reader.take(&mut section, "timeouts") {
        read_timeouts(reader, &at, &mut policy.timeouts);
    }
    for later in ["rules", "constraints"] {
        reader.unsupported(&mut section, later);
    }
    reader.finish(section);
    policy.version = document::policy_version(&policy);
    Some(Entry { policy })
}

fn is_policy_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
}

fn order(text: &str) -> Result<Order, Wrong> {
    match text {
        "ordered" => Ok(Order::Ordered),
        later if LATER.contains(&later) => {
            Err(Wrong::new("not supported by this version yet").hint("`ordered` is, as the pool is written"))
        }
        other => {
            let wrong = Wrong::new("unknown order");
            Err(match did_you_mean(other, LATER.into_iter().chain(["ordered"])) {
                Some(hint) => wrong.hint(hint),
                None => wrong.hint("write `ordered`"),
            })
        }
    }
}

fn read_fallback(reader: &mut Reader<'_>, at: &At<'_>, policy: &mut Policy) {
    let Some(mut section) = reader.section(at) else { return };
    if let Some(retries) = reader.take(&mut section, "retries").and_then(|at| reader.number(&at, 0..=3)) {
        policy.retries = u32::try_from(retries).unwrap_or(policy.retries);
    }
    if let Some(cooldown) = reader.take(&mut section, "cooldown").and_then(|at| reader.read(&at, duration)) {
        policy.cooldown = cooldown;
    }
    reader.finish(section);
}

fn read_timeouts(reader: &mut Reader<'_>, at: &At<'_>, timeouts: &mut Timeouts) {
    let Some(mut section) = reader.section(at) else { return };
    let rows = [
        ("connect", &mut timeouts.connect),
        ("first_content", &mut timeouts.first_content),
        ("idle", &mut timeouts.idle),
        ("total", &mut timeouts.total),
    ];
    for (key, timeout) in rows {
        if let Some(time) = reader.take(&mut section, key).and_then(|at| reader.read(&at, duration)) {
            *timeout = time;
        }
    }
    reader.finish(section);
}
