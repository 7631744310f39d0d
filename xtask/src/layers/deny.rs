//! Reads the two lists of `deny.toml` that are checked here.
//!
//! It reads the shape in which that file is kept, one entry a line, and no other TOML.

use anyhow::{Context, bail};

/// The allowed licences and the banned crates.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Deny {
    pub(super) licences: Vec<String>,
    pub(super) bans: Vec<Ban>,
}

/// A crate that nobody may use, or only these.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Ban {
    pub(super) name: String,
    pub(super) wrappers: Vec<String>,
}

impl Deny {
    pub(super) fn read(text: &str) -> anyhow::Result<Self> {
        let mut deny = Self::default();
        let (mut section, mut list) = ("", "");
        for line in text.lines().map(|line| line.split('#').next().unwrap_or("").trim()) {
            if let Some(name) =
                line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).filter(|_| list.is_empty())
            {
                section = name;
            } else if let Some(name) = line.strip_suffix("= [") {
                list = name.trim();
            } else if line == "]" {
                list = "";
            } else if !line.is_empty() {
                match (section, list) {
                    ("licenses", "allow") => deny.licences.extend(quoted(line)),
                    ("bans", "deny") => deny.bans.push(ban(line)?),
                    _ => {}
                }
            }
        }
        if deny.licences.is_empty() || deny.bans.is_empty() {
            bail!("deny.toml has no `allow` under [licenses] or no `deny` under [bans]");
        }
        Ok(deny)
    }
}

/// `{ crate = "sqlx", wrappers = ["a", "b"] },`
fn ban(line: &str) -> anyhow::Result<Ban> {
    let mut words = quoted(line);
    let name = words.next().with_context(|| format!("no crate in `{line}` of deny.toml"))?;
    Ok(Ban { name, wrappers: words.collect() })
}

/// The texts in quotes.
fn quoted(line: &str) -> impl Iterator<Item = String> {
    line.split('"').skip(1).step_by(2).map(str::to_owned)
}
