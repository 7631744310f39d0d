//! Looks for teams that load and will not work well. Warnings, for some are meant so.

use std::collections::{BTreeSet, HashMap};

use baton_model::Target;

use super::note::Notes;
use super::{Around, Entry};
use crate::knowledge;

/// More targets than a model tells apart well.
const MANY_TARGETS: usize = 5;

/// So deep, coordinators of coordinators cost more than they bring.
const DEEP: usize = 4;

/// So many hand-overs in a row, a coordinator would do better.
const LONG_CHAIN: usize = 4;

/// Words that say nothing of what an agent is for.
const EMPTY_WORDS: [&str; 33] = [
    "a",
    "agent",
    "agents",
    "all",
    "an",
    "and",
    "any",
    "anything",
    "assistant",
    "bot",
    "does",
    "everything",
    "for",
    "general",
    "generic",
    "handles",
    "helper",
    "helpful",
    "helps",
    "it",
    "of",
    "other",
    "purpose",
    "specialist",
    "specialized",
    "stuff",
    "task",
    "tasks",
    "the",
    "things",
    "this",
    "to",
    "with",
];

pub(super) fn lint(read: &[Entry], around: &Around<'_>, notes: &mut Notes) {
    let team = Team::of(read);
    team.cycles(notes);
    team.counts(notes);
    team.descriptions(notes);
    team.no_coordinator(notes);
    team.depth(notes);
    team.chains(notes);
    team.dear_triage(around, notes);
}

/// Agents by their place, and who leads to whom.
struct Team<'a> {
    read: &'a [Entry],
    /// Hand-overs, forced ones too.
    handoffs: Vec<Vec<usize>>,
    /// Whatever is open while somebody else works: tasks, and hand-overs that return.
    nested: Vec<Vec<usize>>,
}

impl<'a> Team<'a> {
    fn of(read: &'a [Entry]) -> Self {
        let places: HashMap<&str, usize> =
            read.iter().enumerate().map(|(at, entry)| (entry.agent.name.as_str(), at)).collect();
        let place = |name: &str| places.get(name).copied();
        let handoffs = |entry: &Entry| {
            let named = entry.agent.handoffs.iter().map(|edge| edge.agent.as_str());
            named.chain(entry.agent.force_handoff.as_deref()).filter_map(place).collect()
        };
        let nested = |entry: &Entry| {
            let tasks = entry.agent.sub_agents.iter().map(|edge| edge.agent.as_str());
            let returning = entry.agent.handoffs.iter().filter(|edge| edge.returns);
            tasks.chain(returning.map(|edge| edge.agent.as_str())).filter_map(place).collect()
        };
        Self {
            read,
            handoffs: read.iter().map(handoffs).collect(),
            nested: read.iter().map(nested).collect(),
        }
    }

    fn name(&self, at: usize) -> &str {
        self.read.get(at).map_or("", |entry| entry.agent.name.as_str())
    }

    fn names(&self, path: &[usize]) -> String {
        path.iter().map(|at| self.name(*at)).collect::<Vec<_>>().join(" → ")
    }

    fn after(edges: &[Vec<usize>], at: usize) -> &[usize] {
        edges.get(at).map_or(&[], Vec::as_slice)
    }

    /// Warns where an agent stands, at the key that names the other one if there is one.
    fn warn(&self, notes: &mut Notes, at: usize, to: Option<usize>, why: String) {
        let Some(entry) = self.read.get(at) else { return };
        let to = to.map(|to| self.name(to));
        let named = entry.places.handoffs.iter().chain(&entry.places.sub_agents).chain(&entry.places.force);
        match named.clone().find(|(name, ..)| Some(name.as_str()) == to) {
            Some((_, span, path)) => notes.warn(*span, path, why),
            None => notes.warn(entry.places.name, &entry.path, why),
        }
    }

    /// A way from one agent to another over as few edges as there are.
    fn shortest(edges: &[Vec<usize>], from: usize, to: usize) -> Option<Vec<usize>> {
        let mut before: HashMap<usize, usize> = HashMap::new();
        let mut open = std::collections::VecDeque::from([from]);
        while let Some(at) = open.pop_front() {
            for next in Self::after(edges, at) {
                if *next == to {
                    let mut path = vec![to, at];
                    let mut last = at;
                    while let Some(earlier) = before.get(&last).filter(|_| last != from) {
                        path.push(*earlier);
                        last = *earlier;
                    }
                    path.reverse();
                    return Some(path);
                }
                if *next != from && !before.contains_key(next) {
                    before.insert(*next, at);
                    open.push_back(*next);
                }
            }
        }
        None
    }

    /// Cycles of hand-overs that nobody's `max_iterations` bounds; each set of agents once.
    fn cycles(&self, notes: &mut Notes) {
        let mut told: BTreeSet<BTreeSet<usize>> = BTreeSet::new();
        for at in 0..self.read.len() {
            let Some(path) = Self::shortest(&self.handoffs, at, at) else { continue };
            let bounded = path
                .iter()
                .filter_map(|at| self.read.get(*at))
                .any(|entry| entry.agent.max_iterations.is_some());
            if bounded || !told.insert(path.iter().copied().collect()) {
                continue;
            }
            let why = format!(
                "the conversation can go in a circle ({}), which only the limits of a run end; give one of them \
                 `max_iterations`",
                self.names(&path)
            );
            self.warn(notes, at, path.get(1).copied(), why);
        }
    }

    fn counts(&self, notes: &mut Notes) {
        for (at, entry) in self.read.iter().enumerate() {
            for (what, count) in [
                ("hand over to", entry.agent.handoffs.len()),
                ("give tasks to", entry.agent.sub_agents.len()),
            ] {
                if count > MANY_TARGETS {
                    let why = format!(
                        "it can {what} {count} agents; a model tells more than {MANY_TARGETS} apart badly"
                    );
                    self.warn(notes, at, None, why);
                }
            }
        }
    }

    /// What each agent may choose among, with what it is told of them.
    fn choices(&self, at: usize) -> Vec<(usize, &str)> {
        let Some(entry) = self.read.get(at) else { return Vec::new() };
        let place = |name: &str| self.read.iter().position(|other| other.agent.name == name);
        let own = |at: usize| self.read.get(at).map_or("", |entry| entry.agent.description.as_str());
        let handoffs = entry.agent.handoffs.iter().map(|edge| (&edge.agent, &edge.description));
        let tasks = entry.agent.sub_agents.iter().map(|edge| (&edge.agent, &edge.description));
        handoffs
            .chain(tasks)
            .filter_map(|(name, described)| {
                let to = place(name)?;
                Some((to, described.as_deref().unwrap_or_else(|| own(to))))
            })
            .collect()
    }

    fn descriptions(&self, notes: &mut Notes) {
        for at in 0..self.read.len() {
            let choices = self.choices(at);
            let words: Vec<BTreeSet<String>> = choices.iter().map(|(_, text)| telling(text)).collect();
            for ((to, text), telling) in choices.iter().zip(&words) {
                if text.is_empty() {
                    let why = format!("`{}` has no description to be chosen by", self.name(*to));
                    self.warn(notes, at, Some(*to), why);
                } else if telling.is_empty() {
                    let why = format!("the description of `{}` does not say what it is for", self.name(*to));
                    self.warn(notes, at, Some(*to), why);
                }
            }
            for (first, ((one, _), mine)) in choices.iter().zip(&words).enumerate() {
                for ((other, _), theirs) in choices.iter().zip(&words).skip(first + 1) {
                    if one != other && alike(mine, theirs) {
                        let why = format!(
                            "the descriptions of `{}` and `{}` are nearly the same",
                            self.name(*one),
                            self.name(*other)
                        );
                        self.warn(notes, at, Some(*other), why);
                    }
                }
            }
        }
    }

    /// Two that hand to each other, where nobody has both to choose from.
    fn no_coordinator(&self, notes: &mut Notes) {
        let leads = |from: usize, to: usize| Self::after(&self.handoffs, from).contains(&to);
        let coordinates = |at: usize| Self::after(&self.handoffs, at).len() > 1;
        for one in 0..self.read.len() {
            for other in one + 1..self.read.len() {
                let mutual = leads(one, other) && leads(other, one);
                let above = (0..self.read.len()).any(|at| leads(at, one) && leads(at, other));
                if mutual && !above && !coordinates(one) && !coordinates(other) {
                    let why = format!(
                        "`{}` and `{}` hand to each other without a coordinator",
                        self.name(one),
                        self.name(other)
                    );
                    self.warn(notes, one, Some(other), why);
                }
            }
        }
    }

    /// A way of this many agents, each once.
    fn path(edges: &[Vec<usize>], path: &mut Vec<usize>, agents: usize) -> bool {
        if path.len() >= agents {
            return true;
        }
        let Some(last) = path.last().copied() else { return false };
        for next in Self::after(edges, last) {
            if path.contains(next) {
                continue;
            }
            path.push(*next);
            if Self::path(edges, path, agents) {
                return true;
            }
            path.pop();
        }
        false
    }

    fn depth(&self, notes: &mut Notes) {
        for at in 0..self.read.len() {
            let mut path = vec![at];
            if Self::path(&self.nested, &mut path, DEEP) {
                let why =
                    format!("{} levels of coordinators ({}); a run allows 4", path.len(), self.names(&path));
                return self.warn(notes, at, path.get(1).copied(), why);
            }
        }
    }

    fn chains(&self, notes: &mut Notes) {
        for at in 0..self.read.len() {
            let mut path = vec![at];
            if Self::path(&self.handoffs, &mut path, LONG_CHAIN + 1) {
                let why = format!(
                    "{LONG_CHAIN} hand-overs in a row are possible ({}); a coordinator does with fewer",
                    self.names(&path)
                );
                return self.warn(notes, at, path.get(1).copied(), why);
            }
        }
    }

    /// One that only hands on should not cost more than those who do the work.
    fn dear_triage(&self, around: &Around<'_>, notes: &mut Notes) {
        let price = |at: usize| {
            let name = &self.read.get(at)?.agent.models.first()?.name;
            let own = around.models.iter().find(|model| {
                model.target.to_string() == name.as_str() || model.facts.aliases.contains(name)
            });
            let price = match own {
                Some(model) => model.facts.price?,
                None => {
                    let target = name.as_str().parse::<Target>().ok();
                    let known = target.and_then(|target| knowledge::facts(&target).price);
                    known.or_else(|| baton_upstream::catalog().find(name.as_str())?.facts.price)?
                }
            };
            Some(price.input.0.saturating_add(price.output.0))
        };
        for at in 0..self.read.len() {
            let targets = Self::after(&self.handoffs, at);
            let dearest = targets.iter().filter_map(|to| price(*to)).max();
            if let (Some(own), Some(dearest)) = (price(at), dearest)
                && targets.len() > 1
                && own > dearest
            {
                let why = "its model costs more than those of all whom it hands over to".to_owned();
                self.warn(notes, at, None, why);
            }
        }
    }
}

/// Whether a description does not say what an agent is for.
pub(super) fn is_vague(description: &str) -> bool {
    telling(description).is_empty()
}

/// The words of a description that say something.
fn telling(text: &str) -> BTreeSet<String> {
    text.split(|c: char| !c.is_alphanumeric())
        .map(str::to_lowercase)
        .filter(|word| !word.is_empty() && !EMPTY_WORDS.contains(&word.as_str()))
        .collect()
}

/// Whether four of five words are the same.
fn alike(one: &BTreeSet<String>, other: &BTreeSet<String>) -> bool {
    let shared = one.intersection(other).count();
    let all = one.union(other).count();
    all > 0 && shared * 5 >= all * 4
}
