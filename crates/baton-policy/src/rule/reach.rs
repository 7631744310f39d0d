//! Finds rules that cannot match, and rules behind others that leave them nothing.
//!
//! An expression is read as facts: for each name, the values that it leaves. The facts may be too
//! wide, never too narrow, so a name without values proves that the expression never holds.
//!
//! - Start with [`holds`] and [`both`].

use std::collections::BTreeMap;

use super::check::{Node, Shape};
use super::domain::{Comparison, Constant, Domain};
use super::vocabulary::{CONTEXT, Member};

/// A name that has values.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Subject {
    Member(Member),
    Variable(String),
}

/// For each name, the values that are left. A name that is missing has all of its own.
pub(super) type Facts = BTreeMap<Subject, Domain>;

/// A proof that something never holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Never {
    /// The byte that the culprit begins at.
    pub(super) at: usize,
    pub(super) why: String,
}

/// What is known of a request for which an expression is true, or false.
pub(super) fn holds(node: &Node, wanted: bool) -> Result<Facts, Never> {
    match &node.shape {
        Shape::Constant(Constant::Bool(is)) if *is != wanted => {
            Err(Never { at: node.start, why: format!("this is always {is}") })
        }
        Shape::Not(one) => holds(one, !wanted),
        Shape::And(sides) if wanted => all(sides, wanted),
        Shape::Or(sides) if !wanted => all(sides, wanted),
        Shape::And(sides) | Shape::Or(sides) => {
            let [left, right] = &**sides;
            either(holds(left, wanted), holds(right, wanted))
        }
        Shape::Choose(parts) => {
            let [which, one, other] = &**parts;
            let when = |is, part: &Node| both(&holds(which, is)?, &holds(part, wanted)?, part.start);
            either(when(true, one), when(false, other))
        }
        Shape::Compare(comparison, sides) => compare(*comparison, sides, node.start, wanted),
        Shape::Within(one, entries) => within(one, entries, node.start, wanted),
        Shape::Has(one) => {
            let null = Domain::satisfying(Comparison::Equal, &Constant::Null);
            restrict(one, &if wanted { Domain::not_null() } else { null }, node.start)
        }
        Shape::Member(_) | Shape::Variable(_) => restrict(node, &Domain::only_bool(wanted), node.start),
        Shape::Constant(_) | Shape::Other => Ok(Facts::new()),
    }
}

fn all(sides: &[Node; 2], wanted: bool) -> Result<Facts, Never> {
    let [left, right] = sides;
    both(&holds(left, wanted)?, &holds(right, wanted)?, right.start)
}

fn compare(comparison: Comparison, sides: &[Node; 2], at: usize, wanted: bool) -> Result<Facts, Never> {
    let comparison = if wanted { comparison } else { comparison.opposite() };
    let [left, right] = sides;
    match (&left.shape, &right.shape) {
        (_, Shape::Constant(constant)) => restrict(left, &Domain::satisfying(comparison, constant), at),
        (Shape::Constant(constant), _) => {
            restrict(right, &Domain::satisfying(comparison.mirrored(), constant), at)
        }
        _ => Ok(Facts::new()),
    }
}

fn within(one: &Node, entries: &[Constant], at: usize, wanted: bool) -> Result<Facts, Never> {
    if !wanted {
        let others = entries.iter().map(|entry| Domain::satisfying(Comparison::NotEqual, entry));
        return restrict(one, &others.fold(Domain::all(), |all, next| all.meet(&next)), at);
    }
    let never = || Err(Never { at, why: "the list is empty".to_owned() });
    entries
        .iter()
        .map(|entry| restrict(one, &Domain::satisfying(Comparison::Equal, entry), at))
        .reduce(either)
        .unwrap_or_else(never)
}

/// The fact that a name has a value of a set.
fn restrict(node: &Node, to: &Domain, at: usize) -> Result<Facts, Never> {
    let subject = match &node.shape {
        Shape::Member(member) => Subject::Member(*member),
        Shape::Variable(name) => Subject::Variable(name.clone()),
        _ => return Ok(Facts::new()),
    };
    let own = subject.domain();
    let left = own.meet(to);
    if left.is_empty() {
        let why = match own.bounds() {
            Some(bounds) => format!("`{}` {bounds}", subject.name()),
            None => format!("`{}` has no such value", subject.name()),
        };
        return Err(Never { at, why });
    }
    Ok([(subject, left)].into())
}

/// What is known where both are true.
pub(super) fn both(left: &Facts, right: &Facts, at: usize) -> Result<Facts, Never> {
    let mut facts = left.clone();
    for (subject, domain) in right {
        let met = facts.get(subject).map_or_else(|| domain.clone(), |known| known.meet(domain));
        if met.is_empty() {
            return Err(Never { at, why: format!("it leaves no value for `{}`", subject.name()) });
        }
        facts.insert(subject.clone(), met);
    }
    Ok(facts)
}

/// What is known where one of the two is true.
fn either(left: Result<Facts, Never>, right: Result<Facts, Never>) -> Result<Facts, Never> {
    match (left, right) {
        (Ok(left), Ok(right)) => Ok(left
            .into_iter()
            .filter_map(|(subject, domain)| right.get(&subject).map(|other| (subject, domain.join(other))))
            .collect()),
        (Ok(facts), Err(_)) | (Err(_), Ok(facts)) => Ok(facts),
        (Err(never), Err(_)) => Err(never),
    }
}

impl Subject {
    fn domain(&self) -> Domain {
        match self {
            Self::Member(member) => member.domain(),
            Self::Variable(_) => Domain::all(),
        }
    }

    fn name(&self) -> String {
        match self {
            Self::Member(member) => member.name().to_owned(),
            Self::Variable(name) => format!("{CONTEXT}.{name}"),
        }
    }
}
