//! The crates and who uses whom, from `cargo metadata`.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context;
use serde_json::Value;

use crate::place::{Place, run_quietly};

/// One crate uses another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Edge {
    pub(super) from: String,
    pub(super) to: String,
    pub(super) how: Use,
}

/// For what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    Product,
    Build,
    Tests,
}

/// What cargo would build.
#[derive(Debug, Default)]
pub(super) struct Graph {
    pub(super) members: BTreeSet<String>,
    /// What our crates use.
    pub(super) ours: Vec<Edge>,
    /// What all crates use, by name.
    users: BTreeMap<String, BTreeSet<String>>,
    /// The licence of each crate that is not ours.
    pub(super) licences: BTreeMap<String, String>,
}

impl Graph {
    pub(super) fn read(place: &Place) -> anyhow::Result<Self> {
        let text =
            run_quietly(&mut place.cargo(&["metadata", "--format-version", "1", "--locked", "--quiet"]))?;
        let metadata: Value = serde_json::from_str(&text).context("reading `cargo metadata`")?;
        Ok(Self::of(&metadata))
    }

    fn of(metadata: &Value) -> Self {
        let mut graph = Self::default();
        let mut names = BTreeMap::new();
        for package in array(metadata, "packages") {
            let (id, name) = (text(package, "id"), text(package, "name"));
            names.insert(id, name);
            if package.get("source").is_some_and(Value::is_null) {
                graph.members.insert(name.to_owned());
                graph.ours.extend(array(package, "dependencies").map(|dependency| edge(name, dependency)));
            } else {
                graph.licences.insert(name.to_owned(), text(package, "license").to_owned());
            }
        }
        for node in metadata.get("resolve").into_iter().flat_map(|resolve| array(resolve, "nodes")) {
            for dependency in array(node, "deps") {
                if let (Some(from), Some(to)) =
                    (names.get(text(node, "id")), names.get(text(dependency, "pkg")))
                {
                    graph.users.entry((*to).to_owned()).or_default().insert((*from).to_owned());
                }
            }
        }
        graph
    }

    /// Who uses a crate directly.
    pub(super) fn users(&self, name: &str) -> Vec<String> {
        self.users.get(name).into_iter().flatten().cloned().collect()
    }
}

fn edge(from: &str, dependency: &Value) -> Edge {
    let how = match dependency.get("kind").and_then(Value::as_str) {
        Some("dev") => Use::Tests,
        Some("build") => Use::Build,
        _ => Use::Product,
    };
    Edge { from: from.to_owned(), to: text(dependency, "name").to_owned(), how }
}

fn array<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    value.get(name).and_then(Value::as_array).into_iter().flatten()
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or("")
}
