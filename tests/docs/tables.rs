//! Compares what the guides repeat with where it comes from.

use std::collections::BTreeSet;

use baton_model::FaultKind;
use baton_policy::{SameTarget, reaction};
use baton_telemetry::Metric;
use baton_upstream::PRESETS;

use super::blocks::{documents, guide, root};

/// Compares a part of a guide with what it should be, which is printed ready to be put in.
#[track_caller]
fn same(name: &str, part: &str, table: &str) {
    let guide = guide(name);
    assert!(guide.part(part) == table, "docs/{name} has another table than the code says:\n\n{table}");
}

#[test]
fn the_table_of_presets_is_that_of_the_code() {
    let mut table = "| Name | Provider | Speaks | Base URL | Key from |\n|---|---|---|---|---|\n".to_owned();
    for preset in PRESETS {
        let names: Vec<String> =
            [preset.name].iter().chain(preset.aliases).map(|name| format!("`{name}`")).collect();
        let keys: Vec<String> = preset.key_env.iter().map(|name| format!("`{name}`")).collect();
        let keys = match preset.host_env {
            Some(host) => format!("none; place from `{host}`"),
            None if keys.is_empty() => "none".to_owned(),
            None => keys.join(", "),
        };
        table += &format!(
            "| {} | {} | `{}` | `{}` | {keys} |\n",
            names.join(", "),
            preset.display_name,
            preset.dialect.as_str(),
            preset.base_url
        );
    }
    same("providers.md", "presets", &table);
}

#[test]
fn the_table_of_failures_is_that_of_the_code() {
    let rows = [
        (FaultKind::ServerError, "another 5xx, or 408"),
        (FaultKind::Overloaded, "503, 529"),
        (FaultKind::Connect, "no connection: DNS, refused, TLS, reset before an answer"),
        (FaultKind::Timeout, "a deadline passed"),
        (FaultKind::MalformedAnswer, "HTML, broken JSON, an error frame without a class"),
        (FaultKind::Truncated, "the answer ended in the middle, before its first content"),
        (FaultKind::RateLimited, "429"),
        (FaultKind::Unauthorized, "401, 403"),
        (FaultKind::QuotaExhausted, "402, or a 429 that says `insufficient_quota`"),
        (FaultKind::ContextTooLong, "more input than the model's window takes"),
        (FaultKind::UnsupportedFeature, "the target cannot do what was asked"),
        (FaultKind::ModelUnavailable, "the target does not have that model, or not now"),
        (FaultKind::InvalidRequest, "any other 400, 422"),
        (FaultKind::TooLarge, "413"),
        (FaultKind::ContentFiltered, "refused on grounds of content"),
    ];
    let mut table = "| What failed | Seen as | What follows |\n|---|---|---|\n".to_owned();
    for (kind, seen) in rows {
        let row = reaction(kind);
        let steps: Vec<&str> = [
            (row.other_credential, "another key of the provider"),
            (row.same_target == SameTarget::Yes, "the same target again after a short pause"),
            (row.other_target, "the next target"),
            (row.same_target == SameTarget::IfAlone, "alone in the list, the same one again"),
        ]
        .into_iter()
        .filter_map(|(is_next, step)| is_next.then_some(step))
        .collect();
        let follows =
            if steps.is_empty() { "the client is told at once".to_owned() } else { steps.join("; then ") };
        table += &format!("| `{kind}` | {seen} | {follows} |\n");
    }
    same("fallback.md", "failures", &table);
}

#[test]
fn every_metric_is_explained() {
    let text = guide("deployment.md").text;
    for metric in Metric::ALL {
        assert!(text.contains(&format!("`{}`", metric.name())), "`{}` is missing", metric.name());
    }
}

#[test]
fn every_key_and_default_of_the_configuration_is_explained() {
    let source = root().join("crates/baton-config/src/config.rs");
    let source = std::fs::read_to_string(source).expect("the source of the configuration");
    let words: BTreeSet<&str> = source
        .lines()
        .filter_map(|line| line.strip_prefix("    /// "))
        .flat_map(|line| line.split('`').skip(1).step_by(2))
        .filter(|word| !word.contains(' '))
        .collect();
    assert!(words.contains("limits.max_body_bytes"), "{words:?}");
    let text = guide("configuration.md").text;
    let missing: Vec<&&str> = words.iter().filter(|word| !text.contains(&format!("`{word}`"))).collect();
    assert!(missing.is_empty(), "configuration.md does not explain {missing:?}");
}

#[test]
fn every_link_between_documents_leads_somewhere() {
    for document in documents() {
        for link in document.text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.contains("://") || link.starts_with('#') {
                continue;
            }
            let path = link.split('#').next().expect("a path");
            let folder = document.path.parent().expect("a folder");
            assert!(folder.join(path).exists(), "{}: {link}", document.name());
        }
    }
}
