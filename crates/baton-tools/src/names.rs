//! Gives each tool the one name that models call it by.
//!
//! Two servers may have a tool of one name, and one may imitate the other's. So the server stands in
//! front, and what vendors do not take in a name is replaced. Two tools that come out alike are told apart
//! by a hash of what they are, not by a count: a tool keeps its name whoever stands beside it first.

use aws_lc_rs::digest::{SHA256, digest};

/// The longest name that every vendor takes.
const MAX_NAME: usize = 64;

/// How many hex digits tell two names apart.
const MARK: usize = 8;

/// The name of a tool, which none of the taken ones equals.
pub(crate) fn offered(server: &str, tool: &str, is_taken: impl Fn(&str) -> bool) -> Option<String> {
    let plain = format!("{}__{}", sanitised(server), sanitised(tool));
    if plain.len() <= MAX_NAME && !is_taken(&plain) {
        return Some(plain);
    }
    let mark = mark(server, tool);
    let mut cut: String = plain.chars().take(MAX_NAME - MARK - 1).collect();
    cut.push('_');
    cut.push_str(&mark);
    (!is_taken(&cut)).then_some(cut)
}

fn sanitised(name: &str) -> String {
    let allowed = |found: char| found.is_ascii_alphanumeric() || found == '_' || found == '-';
    // `acme/search` is `acme-search` to the clients that name connections too.
    name.chars()
        .map(|found| {
            if allowed(found) {
                found
            } else if found == '/' {
                '-'
            } else {
                '_'
            }
        })
        .collect()
}

fn mark(server: &str, tool: &str) -> String {
    let hash = digest(&SHA256, format!("{}:{server}{tool}", server.len()).as_bytes());
    let digits = hash.as_ref().iter().map(|byte| format!("{byte:02x}"));
    digits.collect::<String>().chars().take(MARK).collect()
}

#[cfg(test)]
mod tests;
