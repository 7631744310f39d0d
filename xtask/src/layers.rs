//! Holds the crates to the layers of the design, and the dependencies to `deny.toml`.
//!
//! It reads `cargo metadata`, so it says what cargo will build and not what a file intends.
//!
//! - Start with [`check`]; [`LAYERS`] is the one table.
//! - **Invariant:** a crate uses lower layers only, never its own or a higher one.
//! - The licence list and the banned crates are read from `deny.toml`, which `cargo deny` reads too.

mod deny;
mod graph;
mod licence;

use std::fs;

use anyhow::{Context, bail};

use crate::place::{Place, run_quietly};
use deny::Deny;
use graph::{Edge, Graph, Use};

/// Every crate of the workspace with its layer.
const LAYERS: [(&str, u8); 18] = [
    ("baton", 6),
    ("baton-admin", 5),
    ("baton-api", 5),
    ("baton-config", 5),
    ("baton-engine", 4),
    ("baton-store-postgres", 4),
    ("baton-store-sqlite", 4),
    ("baton-upstream", 3),
    ("baton-audit", 3),
    ("baton-access", 3),
    ("baton-tools", 3),
    ("baton-state", 3),
    ("baton-net", 2),
    ("baton-dialect", 1),
    ("baton-policy", 1),
    ("baton-run", 1),
    ("baton-telemetry", 1),
    ("baton-model", 0),
];

/// Beside the layers: they may use any crate, and only tests may use them.
const BESIDE: [&str; 2] = ["baton-testkit", "xtask"];

/// What the crates of layer 0 and 1 must do without: async, I/O, dice.
const NOT_PURE: [&str; 8] = ["tokio", "hyper", "hyper-util", "axum", "sqlx", "reqwest", "rand", "notify"];

/// Crates that only some of ours may name, whatever other projects do.
const OURS_ONLY: [(&str, &[&str]); 2] =
    [("anyhow", &["baton", "baton-testkit", "xtask"]), ("clap", &["baton", "baton-testkit", "xtask"])];

/// What the tests of a crate may use and the crate may not.
const TESTS_ONLY: [(&str, &str); 2] = [("baton", "reqwest"), ("baton", "sqlx")];

/// Checks everything and prints every finding.
pub(crate) fn check(place: &Place) -> anyhow::Result<()> {
    let text = fs::read_to_string(place.root.join("deny.toml")).context("reading deny.toml")?;
    let deny = Deny::read(&text)?;
    let graph = Graph::read(place)?;
    let mut findings = layer_findings(&graph.ours);
    findings.extend(own_findings(&graph.ours));
    findings.extend(ban_findings(place, &deny, &graph)?);
    findings.extend(licence_findings(&deny, &graph));
    for finding in &findings {
        println!("{finding}");
    }
    if findings.is_empty() {
        println!(
            "{} crates of ours in {} layers, {} of others: all as they should be",
            graph.members.len(),
            7,
            graph.licences.len()
        );
        Ok(())
    } else {
        bail!("{} findings", findings.len())
    }
}

fn layer(name: &str) -> Option<u8> {
    LAYERS.iter().find(|(known, _)| *known == name).map(|(_, layer)| *layer)
}

/// Arrows that do not point down, and crates that have no layer.
fn layer_findings(edges: &[Edge]) -> Vec<String> {
    let mut findings = Vec::new();
    for edge in edges {
        let (from, to) = (edge.from.as_str(), edge.to.as_str());
        let beside = |name: &str| BESIDE.contains(&name);
        if beside(from) {
            continue;
        }
        let Some(own) = layer(from) else {
            findings.push(format!("{from} has no layer: add it to the table"));
            continue;
        };
        match layer(to) {
            Some(other) if other >= own => {
                findings.push(format!("{from} -> {to}: layer {own} may not use layer {other}"));
            }
            None if beside(to) && edge.how != Use::Tests => {
                findings.push(format!("{from} -> {to}: only tests may use it"));
            }
            _ => {}
        }
    }
    findings.dedup();
    findings
}

/// Crates of others that one of ours may not name.
fn own_findings(edges: &[Edge]) -> Vec<String> {
    let mut findings = Vec::new();
    for edge in edges {
        let (from, to) = (edge.from.as_str(), edge.to.as_str());
        let shipped = edge.how != Use::Tests;
        if shipped && layer(from).is_some_and(|layer| layer <= 1) && NOT_PURE.contains(&to) {
            findings.push(format!("{from} -> {to}: a pure crate has no async, I/O or dice"));
        }
        if let Some((_, allowed)) = OURS_ONLY.iter().find(|(name, _)| *name == to)
            && shipped
            && !allowed.contains(&from)
        {
            findings.push(format!("{from} -> {to}: only {} may use it", allowed.join(", ")));
        }
        if shipped && TESTS_ONLY.contains(&(from, to)) {
            findings.push(format!("{from} -> {to}: only its tests may use it"));
        }
    }
    findings
}

/// Banned crates that are built, and users of a crate that only others may use.
fn ban_findings(place: &Place, deny: &Deny, graph: &Graph) -> anyhow::Result<Vec<String>> {
    let mut findings = Vec::new();
    for ban in &deny.bans {
        if ban.wrappers.is_empty() {
            // `cargo metadata` also lists what a weak dependency could bring; `cargo tree` is exact.
            let mut tree =
                place.cargo(&["tree", "--workspace", "--target", "all", "--quiet", "--invert", &ban.name]);
            let users = match run_quietly(&mut tree) {
                Err(error) if error.to_string().contains("did not match any packages") => continue,
                users => users?,
            };
            if users.starts_with(&ban.name) {
                findings.push(format!("{} is banned:\n{users}", ban.name));
            }
            continue;
        }
        for user in graph.users(&ban.name) {
            if !ban.wrappers.contains(&user) {
                findings.push(format!("{user} -> {}: only {} may use it", ban.name, ban.wrappers.join(", ")));
            }
        }
    }
    Ok(findings)
}

fn licence_findings(deny: &Deny, graph: &Graph) -> Vec<String> {
    let refused = graph.licences.iter().filter(|(_, terms)| !licence::allows(&deny.licences, terms));
    refused.map(|(name, terms)| format!("{name}: licence `{terms}` is not on the list")).collect()
}

#[cfg(test)]
mod tests;
