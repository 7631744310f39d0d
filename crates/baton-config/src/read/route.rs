//! Reads `routes`, and sees to it that each name in the file means one thing.

use std::collections::BTreeMap;

use baton_model::ModelName;
use baton_run::HandoffMode;

use super::names::Names;
use super::policy;
use crate::Route;
use crate::config::DEFAULT_POLICY;
use crate::reader::{At, Named, Reader, Section};
use crate::tree::Span;
use crate::value::{Wrong, did_you_mean};

/// Who may hand over, as the file says it.
const HANDOFF: [(&str, HandoffMode); 4] = [
    ("off", HandoffMode::Off),
    ("model", HandoffMode::Model),
    ("rules", HandoffMode::Rules),
    ("both", HandoffMode::Both),
];

pub(super) fn routes(
    reader: &mut Reader<'_>,
    top: &mut Section<'_>,
    names: &Names<'_>,
    policies: &[policy::Entry],
) -> Vec<Route> {
    let entries = reader.take(top, "routes").map(|at| reader.named(&at)).unwrap_or_default();
    check_names(reader, &entries, names);
    entries.iter().filter_map(|entry| read(reader, entry, names, policies)).collect()
}

fn read(
    reader: &mut Reader<'_>,
    entry: &Named<'_>,
    names: &Names<'_>,
    policies: &[policy::Entry],
) -> Option<Route> {
    let name = entry.name.parse::<ModelName>();
    let name =
        name.map_err(|error| reader.wrong_at(entry.key, &entry.value.path, Wrong::new(format!("{error}"))));
    let mut section = reader.section(&entry.value)?;
    let pool_at = reader.take(&mut section, "pool");
    let pool = pool_at.as_ref().and_then(|at| read_pool(reader, at, names));
    if pool_at.is_none() {
        reader.missing(&section, "pool", "the models of the route, in order");
    }
    let policy = reader
        .take(&mut section, "policy")
        .and_then(|at| reader.read(&at, |text| policy_name(text, policies)));
    let handoff = reader.take(&mut section, "handoff").and_then(|at| reader.word(&at, &HANDOFF));
    reader.finish(section);
    Some(Route {
        name: name.ok()?,
        pool: pool?,
        policy: policy.unwrap_or_else(|| DEFAULT_POLICY.to_owned()),
        handoff: handoff.unwrap_or_default(),
    })
}

pub(super) fn policy_name(text: &str, policies: &[policy::Entry]) -> Result<String, Wrong> {
    let names = || policies.iter().map(|entry| entry.name.as_str()).chain([DEFAULT_POLICY]);
    if names().any(|name| name == text) {
        return Ok(text.to_owned());
    }
    let wrong = Wrong::new(format!("there is no policy `{text}`"));
    Err(match did_you_mean(text, names()) {
        Some(hint) => wrong.hint(hint),
        None => wrong.hint("add it to `policies`"),
    })
}

/// A list of models that is not empty.
pub(super) fn read_pool(reader: &mut Reader<'_>, at: &At<'_>, names: &Names<'_>) -> Option<Vec<ModelName>> {
    let items = reader.list(at)?;
    if items.is_empty() {
        reader.wrong_at(at.node.span, &at.path, Wrong::new("the pool is empty"));
        return None;
    }
    Some(names.models(reader, &items, "pool"))
}

/// Notes each name that is given twice, and each that clients could not reach.
fn check_names(reader: &mut Reader<'_>, routes: &[Named<'_>], names: &Names<'_>) {
    let keys = names
        .models
        .iter()
        .map(|entry| (entry.model.target.to_string(), entry.key, "a model", String::new()));
    let aliases = names.models.iter().flat_map(|entry| {
        let path = format!("models.{}.aliases", entry.model.target);
        entry.aliases.iter().map(move |(name, span)| (name.to_string(), *span, "an alias", path.clone()))
    });
    let routes =
        routes.iter().map(|entry| (entry.name.to_owned(), entry.key, "a route", entry.value.path.clone()));
    let mut taken: BTreeMap<String, (Span, &str)> = BTreeMap::new();
    for (name, span, what, path) in keys.chain(aliases).chain(routes) {
        if what != "a model" && is_reserved(&name) {
            let wrong = Wrong::new(format!("`{name}` means something of its own to clients"));
            reader.wrong_at(span, &path, wrong.hint("choose another name"));
        }
        match taken.get(&name) {
            Some((first, of)) => {
                let wrong =
                    Wrong::new(format!("`{name}` is the name of {of} already, on line {}", first.line));
                reader.wrong_at(span, &path, wrong);
            }
            None => {
                taken.insert(name, (span, what));
            }
        }
    }
}

fn is_reserved(name: &str) -> bool {
    ["baton/", "policy/", "agent/", "echo/"].iter().any(|prefix| name.starts_with(prefix))
}
