//! Joins what the client, the upstream and the store say of the same run, and reports what is missing.
//!
//! - Start with [`check`].
//! - **Invariant:** it compares records only; it never asks the gateway.

use std::collections::{HashMap, HashSet};
use std::fmt;

use crate::client::Entry;
use crate::fake::Seen;

/// A decision as the store has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecisionRow {
    /// Its id.
    pub id: String,
    /// The client request it belongs to.
    pub run: String,
    /// The chain it was written in.
    pub boot: String,
    /// Its place in the chain.
    pub seq: i64,
    /// What kind of choice.
    pub kind: String,
    /// The end user that the request named: its marker.
    pub end_user: Option<String>,
    /// Whether an upstream call follows.
    pub attempt: bool,
    /// How it ended, if that is known.
    pub status: Option<String>,
}

/// What the three logs say together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// Requests whose client saw content of an answer.
    pub acknowledged: usize,
    /// Requests whose client cannot tell what became of them.
    pub unknown: usize,
    /// Calls that the upstream saw.
    pub upstream_calls: usize,
    /// Rows in the store.
    pub decisions: usize,
    /// Markers of acknowledged answers whose decision is not in the store.
    pub acknowledged_without_decision: Vec<String>,
    /// Markers of upstream calls without a decision that was to make them.
    pub upstream_without_decision: Vec<String>,
    /// What stands twice that may stand once.
    pub duplicates: Vec<String>,
}

impl Findings {
    /// Whether nothing is missing and nothing stands twice.
    #[must_use]
    pub const fn is_clean(&self) -> bool {
        self.acknowledged_without_decision.is_empty()
            && self.upstream_without_decision.is_empty()
            && self.duplicates.is_empty()
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} acknowledged, {} unknown, {} upstream calls, {} decisions: {} acknowledged without a decision, {} upstream calls without one, {} duplicates",
            self.acknowledged,
            self.unknown,
            self.upstream_calls,
            self.decisions,
            self.acknowledged_without_decision.len(),
            self.upstream_without_decision.len(),
            self.duplicates.len()
        )
    }
}

/// Joins the three logs.
#[must_use]
pub fn check(client: &[Entry], upstream: &[Seen], store: &[DecisionRow]) -> Findings {
    let calls = upstream.iter().filter(|seen| seen.method == "POST").map(marker_of).collect::<Vec<_>>();
    Findings {
        acknowledged: client.iter().filter(|entry| entry.acknowledged).count(),
        unknown: client.iter().filter(|entry| entry.verdict == crate::client::Verdict::Unknown).count(),
        upstream_calls: calls.len(),
        decisions: store.len(),
        acknowledged_without_decision: acknowledged_without_decision(client, store),
        upstream_without_decision: upstream_without_decision(&calls, store),
        duplicates: duplicates(store),
    }
}

/// The marker of a request that the upstream saw, in the place of either dialect.
fn marker_of(seen: &Seen) -> String {
    let body = seen.json();
    let marker = body.get("user").or_else(|| body.pointer("/metadata/user_id"));
    let unmarked = || format!("call {} to {} without a marker", seen.number, seen.path);
    marker.and_then(|marker| marker.as_str()).map_or_else(unmarked, str::to_owned)
}

fn acknowledged_without_decision(client: &[Entry], store: &[DecisionRow]) -> Vec<String> {
    let ids = store.iter().map(|row| row.id.as_str()).collect::<HashSet<_>>();
    let markers = store.iter().filter_map(|row| row.end_user.as_deref()).collect::<HashSet<_>>();
    let stored = |entry: &Entry| {
        markers.contains(entry.marker.as_str())
            && entry.decision_id.as_deref().is_some_and(|id| ids.contains(id))
    };
    let lost = client.iter().filter(|entry| entry.acknowledged && !stored(entry));
    lost.map(|entry| entry.marker.clone()).collect()
}

/// Each call needs a decision of its own, so they are counted for each marker.
fn upstream_without_decision(calls: &[String], store: &[DecisionRow]) -> Vec<String> {
    let mut decided = HashMap::new();
    for row in store.iter().filter(|row| row.attempt) {
        *decided.entry(row.end_user.as_deref().unwrap_or("")).or_insert(0_usize) += 1;
    }
    let undecided = calls.iter().filter(|marker| match decided.get_mut(marker.as_str()) {
        Some(left) if *left > 0 => {
            *left -= 1;
            false
        }
        _ => true,
    });
    undecided.cloned().collect()
}

fn duplicates(store: &[DecisionRow]) -> Vec<String> {
    let (mut ids, mut places, mut begun) = (HashSet::new(), HashSet::new(), HashSet::new());
    let mut twice = Vec::new();
    for row in store {
        if !ids.insert(row.id.as_str()) {
            twice.push(format!("decision {}", row.id));
        }
        if !places.insert((row.boot.as_str(), row.seq)) {
            twice.push(format!("entry {} of chain {}", row.seq, row.boot));
        }
        if row.kind == "select" && !begun.insert(row.run.as_str()) {
            twice.push(format!("the first choice of run {}", row.run));
        }
    }
    twice
}

#[cfg(test)]
mod tests;
